# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of operators, for each acquisition, grid and number of axes."""

import numpy as np
import odl
import pytest
import torch
from torch.autograd import gradcheck

from odl_equivariant.data import (
    CompressedSensing,
    Deblurring,
    Denoising,
    Inpainting,
    SuperResolution,
)
from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, is_complex
from odl_equivariant.operators import (
    Convolution,
    Downsampling,
    HadamardTransform,
    Masking,
    OperatorLayer,
    RandomMeasurements,
)

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

EVEN, ODD = (8, 4), (9, 5)
# each on an even and an odd grid, where it has one
ACQUISITIONS = {
    f'{name} {shape}': (kind, {'shape': shape, **arguments})
    for name, kind, arguments, shapes in (
        ('inpainting', Inpainting, {}, (EVEN, ODD)),
        ('stripes', Inpainting, {'pattern': 'stripes'}, (EVEN, ODD)),
        ('random masks', Inpainting, {'random_masks': True}, (EVEN, ODD)),
        (
            'deblurring',
            Deblurring,
            {'kernel': [[1, 2, 0], [0, 3, 1]]},
            (EVEN, ODD),
        ),
        (
            'periodic deblurring',
            Deblurring,
            {'kernel': 0.3, 'boundary': 'periodic'},
            (EVEN, ODD),
        ),
        ('denoising', Denoising, {}, (EVEN, ODD)),
        ('hadamard', CompressedSensing, {}, (EVEN,)),
        ('fourier', CompressedSensing, {'ensemble': 'fourier'}, (EVEN, ODD)),
        ('gaussian', CompressedSensing, {'ensemble': 'gaussian'}, (EVEN, ODD)),
        ('super-resolution', SuperResolution, {'factor': 2}, (EVEN,)),
        ('by 3', SuperResolution, {'factor': 3}, ((9, 15),)),
    )
    for shape in shapes
}
each = pytest.mark.parametrize('name', ACQUISITIONS)


def made(name, dtype='float64', backend='numpy'):
    """Return the operator of an acquisition."""
    kind, arguments = ACQUISITIONS[name]
    return kind(dtype=dtype, backend=backend, **arguments).operator


@each
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
def test_adjoint(name, dtype, backend):
    """<A u, v> = <u, A* v>, in the weighted inner products."""
    operator = made(name, dtype, backend)
    mixed = is_complex(operator.range) and not is_complex(operator.domain)
    assert_adjoint(operator, real_linear=mixed)


@each
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
def test_batch_is_a_loop(name, dtype, backend):
    """A batch is mapped as its samples are, there and back."""
    operator = made(name, dtype, backend)
    rng = np.random.default_rng(0)
    samples = [random_element(operator.domain, rng) for _ in range(3)]
    batch = torch.cat([as_tensor(x) for x in samples])
    layer = OperatorLayer(operator)
    with torch.no_grad():
        data = layer(batch)
        images = layer.adjoint(data)
    for i, x in enumerate(samples):
        y = operator(x)
        for found, one in ((data, y), (images, operator.adjoint(y))):
            one = as_tensor(one)
            gap = (found[i : i + 1] - one).abs().max() / one.abs().max()
            assert float(gap) <= (1e-12 if dtype == 'float64' else 1e-5)


@each
@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_gradients(name, dtype):
    """Autograd has the right derivative, of the operator and its adjoint."""
    operator = made(name, dtype)
    layer = OperatorLayer(operator)
    rng = np.random.default_rng(0)
    for one in (layer, layer.adjoint):
        space = operator.domain if one is layer else operator.range
        x = as_tensor(random_element(space, rng)).clone().requires_grad_()
        assert gradcheck(one, (x,), fast_mode=True)


OF_ALL_AXES = {
    'masking': lambda space: Masking(
        space, np.indices(space.shape).sum(0) % 3 > 0
    ),
    'convolution': lambda space: Convolution(
        space, np.arange(1.0, 1 + 2**space.ndim).reshape(space.ndim * (2,))
    ),
    'downsampling': lambda space: Downsampling(space, 3),
    'fourier': lambda space: RandomMeasurements(space, 5, 'fourier'),
    'gaussian': lambda space: RandomMeasurements(space, 5, 'gaussian'),
}


@pytest.mark.parametrize('name', [*OF_ALL_AXES, 'hadamard', 'random hadamard'])
@pytest.mark.parametrize('n_axes', [1, 3])
@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
def test_lines_and_volumes(name, n_axes, dtype, backend):
    """The operators have the same laws on one axis and on three."""
    side, makers = 3, OF_ALL_AXES
    if 'hadamard' in name:
        side = 4
        makers = {
            'hadamard': HadamardTransform,
            'random hadamard': lambda space: RandomMeasurements(space, 3),
        }
    shape = (5 * side,) if n_axes == 1 and side == 3 else n_axes * (side,)
    space = odl.uniform_discr(
        n_axes * [-1], n_axes * [2], shape, dtype=dtype, impl=backend
    )
    operator = makers[name](space)
    mixed = is_complex(operator.range) and not is_complex(operator.domain)
    assert_adjoint(operator, real_linear=mixed)
    rng = np.random.default_rng(0)
    samples = [random_element(space, rng) for _ in range(2)]
    with torch.no_grad():
        data = OperatorLayer(operator)(torch.cat([*map(as_tensor, samples)]))
    for i, x in enumerate(samples):
        one = as_tensor(operator(x))
        gap = (data[i : i + 1] - one).abs().max() / one.abs().max()
        assert float(gap) <= (1e-5 if dtype == 'float32' else 1e-12)
