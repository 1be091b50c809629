# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the loss in which no single pixel counts much."""

import math

import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.data import SparseViewCT
from odl_equivariant.nn import EquivariantProximal
from odl_equivariant.training import ReconstructionTask
from odl_equivariant.training.losses import Charbonnier, Supervised
from odl_equivariant.training.losses.supervised import EPSILON

dtype = simple_fixture('dtype', [torch.float32, torch.float64])
channels = simple_fixture('channels', [1, 2, 3])
shape = simple_fixture('shape', [(8, 8), (7, 5), (1, 1), (3, 4, 5)])


class Given:
    """A problem whose reconstruction is given."""

    sigma = None

    def __init__(self, result, truth):
        self.result, self.truth = result, truth

    def reconstruct(self):
        """Return it."""
        return self.result


def images(channels=1, shape=(8, 8), dtype=torch.float64, error=0.1):
    """Return images, and reconstructions of them."""
    generator = torch.Generator().manual_seed(3)
    size = (4, channels, *shape)
    x, noise = (
        torch.randn(size, generator=generator, dtype=dtype) for _ in range(2)
    )
    return x + error * noise, x


def test_value_is_that_of_the_formula(channels, shape, dtype):
    """Pixel by pixel, with the lengths of vectors and complex numbers."""
    u, x = images(channels, shape, dtype)
    values = Charbonnier(0.05, 0.2)(Given(u, x))
    assert values.shape == (4,) and values.dtype == dtype
    for value, one, truth in zip(values, u, x, strict=True):
        pixels = truth.flatten(1).T
        errors = (one - truth).flatten(1).T
        square = sum(float(p @ p) for p in pixels) / len(pixels) + 0.2
        expected = sum(
            math.sqrt(float(e @ e) / square + 0.05**2) - 0.05 for e in errors
        ) / len(errors)
        assert float(value) == pytest.approx(expected, rel=2e-5)


def test_value_is_the_same_in_each_unit(channels, shape, dtype):
    """Images in other units have the same loss, if there is no floor."""
    u, x = images(channels, shape, dtype)
    values = Charbonnier()(Given(u, x))
    for c in (-1.0, 1e-6, 3000.0):
        other = Charbonnier()(Given(c * u, c * x))
        torch.testing.assert_close(other, values, rtol=1e-5, atol=0)


def test_value_is_the_same_for_each_phase(dtype):
    """Images times a complex number have the same loss."""
    u, x = images(2, (7, 8), dtype)
    c = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=dtype)
    turned = [torch.einsum('ab,nbij->naij', 7 * c, v) for v in (u, x)]
    torch.testing.assert_close(
        Charbonnier()(Given(*turned)),
        Charbonnier()(Given(u, x)),
        rtol=1e-5,
        atol=0,
    )


def test_gradient_is_that_of_differences(channels, shape):
    """Also where result and truth are equal."""
    u, x = images(channels, shape)
    u[0] = x[0]
    u.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: Charbonnier(0.05)(Given(v, x)), (u,), eps=1e-7, atol=1e-6
    )


def test_gradient_of_a_pixel_is_bounded(channels, shape, dtype):
    """However large its error is: by 1 / (n s); squared errors grow."""
    u, x = images(channels, shape, dtype, error=1e4)
    u[0] = x[0]
    u.requires_grad_()
    Charbonnier()(Given(u, x)).sum().backward()
    lengths = u.grad.square().sum(1).sqrt().flatten(1)
    n = lengths.shape[1]
    s = x.square().sum(1).flatten(1).mean(1).sqrt()
    assert lengths.isfinite().all() and not lengths[0].any()
    assert (lengths * n * s[:, None] <= 1 + 1e-5).all()
    # and is reached
    assert (lengths[1:] * n * s[1:, None] > 0.999).all()


def test_limits(dtype):
    """Large errors count absolute, and small ones squared."""
    x = torch.full((1, 1, 6, 5), 2.0, dtype=dtype)
    large, small = 100.0, 1e-6
    value = Charbonnier()(Given(x + large, x))
    assert float(value) == pytest.approx(large / 2 - EPSILON, rel=1e-5)
    value = Charbonnier()(Given(x + small, x))
    gap = (x + small - x)[0, 0, 0, 0].double() / 2
    assert float(value) == pytest.approx(
        float(gap**2) / (2 * EPSILON), rel=1e-5
    )


def test_images_of_zeros_need_a_floor():
    """Relative to nothing, there is no error."""
    zeros = torch.zeros(1, 1, 4, 4)
    assert not Charbonnier()(Given(zeros + 1, zeros)).isfinite()
    value = Charbonnier(floor=0.25)(Given(zeros + 1, zeros))
    assert float(value) == pytest.approx(2 - EPSILON, rel=1e-4)


def test_name_is_the_class():
    """`model.loss: charbonnier` is the loss with its default."""
    u, x = images()
    expected = Charbonnier(floor=0.1)(Given(u, x))
    assert torch.equal(Supervised('charbonnier', 0.1)(Given(u, x)), expected)
    task = ReconstructionTask(
        SparseViewCT((16, 16), n_views=6),
        lambda: EquivariantProximal(channels=8),
        n_iterations=1,
        loss='charbonnier',
        loss_floor=0.1,
    )
    assert torch.equal(task._loss(Given(u, x)), expected)
    assert repr(Charbonnier(0.01)) == 'Charbonnier(epsilon=0.01, floor=0.0)'


@pytest.mark.parametrize(
    'arguments, error',
    [
        ({'epsilon': 0}, ValueError),
        ({'epsilon': -1.0}, ValueError),
        ({'epsilon': math.nan}, ValueError),
        ({'epsilon': True}, TypeError),
        ({'floor': -1}, ValueError),
        ({'floor': 'a'}, TypeError),
    ],
)
def test_arguments_are_checked(arguments, error):
    """The message names the argument."""
    (name,) = arguments
    with pytest.raises(error, match=f'`{name}`'):
        Charbonnier(**arguments)


def test_truth_is_needed():
    """The error says so."""
    loss = Charbonnier()
    assert loss.needs_truth
    with pytest.raises(ValueError, match='compares with a ground truth'):
        loss(Given(torch.zeros(1), None))
