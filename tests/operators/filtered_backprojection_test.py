# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of filtered back-projection."""

import numpy as np
import pytest

from odl_equivariant.data import SparseViewCT
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.operators.filtered_backprojection import (
    WINDOWS,
    RampFilter,
    filtered_backprojection,
)

RADIUS = 0.1


def _disc(space, value=0.25):
    x, y = (np.asarray(axis) for axis in space.grid.coord_vectors)
    distance = np.hypot(x[:, None] - 0.02, y[None, :])
    return value * (distance < RADIUS), distance


def _random(space, seed):
    import torch

    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(1, 1, *space.shape, generator=generator)
    return as_element(tensor.to(as_tensor(space.zero()).dtype), space)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('shape', [(96, 96), (80, 97)])
@pytest.mark.parametrize('filter_type', sorted(WINDOWS))
def test_disc_has_its_value_and_air_is_zero(backend, shape, filter_type):
    """A disc without noise comes back with its value, on no background."""
    acquisition = SparseViewCT(
        shape, n_views=120, n_photons=None, impl='astra_cpu', backend=backend
    )
    fine, _ = _disc(acquisition.fine_space)
    _, distance = _disc(acquisition.space)
    data = acquisition.simulate(fine)
    image = np.asarray(acquisition.fbp(data, filter_type, 1.0).data)
    assert image[distance < 0.8 * RADIUS].mean() == pytest.approx(
        0.25, rel=2e-3
    )
    outside = (distance > 1.2 * RADIUS) & (distance < 1.4 * RADIUS)
    assert image[outside].mean() == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_adjoint(backend):
    """The operator has the adjoint in the spaces' inner products."""
    acquisition = SparseViewCT(
        (24, 31), n_views=10, impl='astra_cpu', backend=backend
    )
    operator = acquisition.fbp_operator
    y, x = _random(operator.domain, 0), _random(operator.range, 1)
    left = float(operator(y).inner(x))
    right = float(y.inner(operator.adjoint(x)))
    assert left == pytest.approx(right, rel=1e-4)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('n_detectors', [1, 16, 33])
def test_ramp_is_a_convolution_that_does_not_wrap(backend, n_detectors):
    """The filter is the sum with the band-limited ramp, edges included."""
    operator = SparseViewCT(
        (16, 16),
        n_views=3,
        n_detectors=n_detectors,
        impl='astra_cpu',
        backend=backend,
    ).operator
    width = float(operator.range.cell_sides[1])
    index = np.arange(n_detectors)
    lag = index[:, None] - index[None, :]
    kernel = np.zeros(lag.shape)
    kernel[lag == 0] = 1 / (4 * width**2)
    odd = lag % 2 == 1
    kernel[odd] = -1 / (np.pi * lag[odd] * width) ** 2
    data = _random(operator.range, 0)
    filtered = RampFilter(operator.range, 'Ram-Lak')(data)
    expected = width * np.asarray(data.data) @ kernel
    error = np.linalg.norm(np.asarray(filtered.data) - expected)
    assert error < 1e-5 * np.linalg.norm(expected)


def test_lower_cutoff_gives_less_noise():
    """Noise in air falls with the cutoff."""
    acquisition = SparseViewCT((48, 48), impl='astra_cpu')
    data = acquisition.simulate(np.zeros((96, 96)), rng=0)
    deviation = [
        np.std(acquisition.fbp(data, 'Hann', cutoff).data)
        for cutoff in (0.3, 0.6, 1.0)
    ]
    assert deviation[0] < 0.7 * deviation[1] < 0.5 * deviation[2]


def test_unknown_window_is_refused():
    """The error of an unknown window lists the known ones."""
    operator = SparseViewCT((16, 16), n_views=4, impl='astra_cpu').operator
    with pytest.raises(ValueError, match="'Ram-Lak'.*'Hann'.*got 'box'"):
        filtered_backprojection(operator, 'box')


@pytest.mark.parametrize('cutoff', [0, -0.5, 1.1, float('nan')])
def test_cutoff_out_of_range_is_refused(cutoff):
    """A cutoff lies in (0, 1]."""
    operator = SparseViewCT((16, 16), n_views=4, impl='astra_cpu').operator
    with pytest.raises(ValueError, match='frequency_scaling'):
        filtered_backprojection(operator, 'Hann', cutoff)
