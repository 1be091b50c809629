# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the profiles of ridge energies, for both kinds of knots."""

import numpy as np
import pytest
import torch

from odl_equivariant.nn.energies.profiles import Profiles, Splines

KINDS = pytest.mark.parametrize('dense', [False, True])
LIMIT = {torch.float32: 1e-5, torch.float64: 1e-13}


def splines(dense, dtype=torch.float64, n_knots=7):
    generator = torch.Generator().manual_seed(0)
    slopes = torch.randn(2, 3, n_knots, generator=generator)
    slopes = torch.nn.functional.pad(slopes, (0, 1)).to(dtype)
    scales = torch.rand(2, 3, generator=generator).add(0.5).to(dtype)
    return Splines(scales, slopes, 0.25, dense)


def responses(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    t = 15 * torch.randn(2, 3, 40, 50, generator=generator)
    t[..., 0] = 0
    return t.to(dtype)


def knots_of(dense):
    places = np.arange(8.0)
    return 0.25 * (places**2 if dense else places)


@KINDS
@pytest.mark.parametrize('dtype', LIMIT)
def test_derivative_is_the_spline_through_its_knots(dense, dtype):
    """It is odd, linear between knots, and constant behind the last one."""
    made, t = splines(dense, dtype), responses(dtype)
    knots = knots_of(dense)
    value = made.prepared().derivative(t).double()
    for i in range(2):
        for j in range(3):
            scale = float(made.scales[i, j])
            rises = made.slopes[i, j, :-1].double().numpy() * np.diff(knots)
            ends = np.concatenate([[0], rises.cumsum()])
            exact = t[i, j].double().numpy()
            size = np.interp(scale * abs(exact), knots, ends)
            expected = torch.from_numpy(np.sign(exact) * size / scale)
            error = (value[i, j] - expected).abs().max()
            assert error <= LIMIT[dtype] * abs(ends).max()


@KINDS
def test_value_has_this_derivative(dense):
    """The value is zero at zero, and its derivative is that of autograd."""
    tables, t = splines(dense).prepared(), responses().requires_grad_()
    value = tables.value(t)
    (expected,) = torch.autograd.grad(value.sum(), t)
    assert torch.allclose(tables.derivative(t), expected)
    assert value[..., 0].abs().max() == 0


@KINDS
def test_slope_is_the_derivative_of_the_derivative(dense):
    """So it is by autograd, and the ratio is the derivative over t."""
    tables, t = splines(dense).prepared(), responses().requires_grad_()
    value = tables.derivative(t)
    (expected,) = torch.autograd.grad(value.sum(), t)
    inside = t != 0
    assert torch.allclose(tables.slope(t)[inside], expected[inside])
    assert torch.allclose((tables.ratio(t.abs()) * t)[inside], value[inside])


@KINDS
@pytest.mark.parametrize('dtype', LIMIT)
def test_quick_functions_are_the_same_without_a_graph(dense, dtype):
    """They may overwrite what they are given."""
    tables, t = splines(dense, dtype).prepared(), responses(dtype)
    value, sums = tables.derivative(t), tables.value(t).sum((1, 2, 3))
    quick = tables.quick_derivative(t.clone())
    assert torch.allclose(quick, value, atol=1e-5)
    assert torch.allclose(tables.quick_value(t.clone()), sums)
    both = tables.quick_value_and_derivative(t.clone())
    assert torch.allclose(both[0], sums)
    assert torch.allclose(both[1], value, atol=1e-5)


@KINDS
@pytest.mark.parametrize('convex', [False, True])
def test_profiles_are_least_at_zero(dense, convex):
    """Slopes are within their bounds, and no derivative is negative."""
    profiles = Profiles(5, convex, False, 40, 8.0, 11, 0.2, 30.0, dense)
    generator = torch.Generator().manual_seed(0)
    for parameter in profiles.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data += 0.3 * noise
    made = profiles(torch.tensor([0.01, 0.1]))
    assert made.slopes.min() >= (0 if convex else -1)
    assert made.slopes.max() <= 30
    t = torch.linspace(0, 20, 2000).view(1, 1, 40, 50).expand(2, 5, -1, -1)
    value = made.prepared().derivative(t)
    assert value.min() >= -1e-5
    assert value.max() > 0


def test_dense_knots_are_steep_at_zero_and_reach_as_far():
    """The last knot is the same; the first one is 40 times closer to zero."""
    even, dense = (
        Profiles(1, False, False, 40, 8.0, 11, 0.2, dense=kind)
        for kind in (False, True)
    )
    assert dense.step * 40**2 == pytest.approx(even.step * 40)
    assert dense.step == pytest.approx(even.step / 40)


@KINDS
def test_images_may_share_a_table(dense):
    """One table for several images is that table for each of them."""
    made, t = splines(dense), responses()
    one = made._replace(scales=made.scales[:1], slopes=made.slopes[:1])
    tables = one.prepared()
    together = tables.derivative(t)
    for i in range(2):
        assert torch.equal(tables.of(i).derivative(t[i : i + 1])[0], together[i])
    some = made.prepared()
    part = some.of(slice(1, 2)).derivative(t[1:])
    assert torch.equal(part, some.derivative(t)[1:])
