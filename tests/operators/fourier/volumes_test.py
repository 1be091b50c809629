# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of Fourier transforms of volumes, masked along two axes."""

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_tensor
from odl_equivariant.operators import (
    CartesianMask,
    OperatorLayer,
    PoissonDiscMask,
    SensitivityEncoding,
    SubsampledFourierTransform,
    UnitaryFourierTransform,
)

impl = simple_fixture('impl', ['numpy', 'pytorch'])
dtype = simple_fixture(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
shape = simple_fixture('shape', [(6, 8, 8), (5, 8, 7)])


def masked(shape, dtype, impl, n_coils=0):
    """Return a transform with a readout along the first axis."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, shape, dtype, impl=impl)
    mask = PoissonDiscMask(shape[1:], 2, 0.3).array[None]
    if not n_coils:
        return SubsampledFourierTransform(space, mask)
    maps = np.random.default_rng(0).standard_normal((2, n_coils, *shape))
    coils = SensitivityEncoding(space, maps[0] + 1j * maps[1])
    return SubsampledFourierTransform(coils.range, mask) * coils


@pytest.mark.parametrize('n_coils', [0, 3])
def test_adjoint_is_exact(shape, dtype, impl, n_coils):
    """The adjoint is one in the weighted inner products, with coils too."""
    if n_coils and not dtype.startswith('complex'):
        pytest.skip('images of coils are complex')
    tol = 1e-5 if dtype in ('float32', 'complex64') else 1e-13
    assert adjoint_error(masked(shape, dtype, impl, n_coils)) < tol


def test_samples_are_those_of_the_transform(shape, impl):
    """Where a sample is measured, it is that of the unitary transform."""
    operator = masked(shape, 'complex128', impl)
    rng = np.random.default_rng(1)
    x = operator.domain.element(rng.standard_normal(shape))
    found = as_tensor(operator(x)).numpy()
    whole = as_tensor(UnitaryFourierTransform(operator.domain)(x)).numpy()
    np.testing.assert_allclose(found, operator.mask * whole, atol=1e-12)
    # all of a readout, or nothing of it
    assert (operator.mask == operator.mask[:1]).all()


def test_layer_of_a_volume():
    """Gradients of the layer, with coils, are those of differences."""
    layer = OperatorLayer(masked((3, 4, 5), 'complex128', 'numpy', 2))
    x = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_planes_of_k_space():
    """A mask of whole lines along one axis takes planes of volumes."""
    mask = CartesianMask((4, 12, 6), 3, 0.2, axis=1)
    space = odl.cn((4, 12, 6))
    operator = SubsampledFourierTransform(space, mask)
    assert operator.sampling_fraction == pytest.approx(1 / 3)
    assert (operator.mask == operator.mask[:1, :, :1]).all()
