# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of operators of the samples of a batch, applied at once."""

import collections
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import Rotation
from odl_equivariant.operators import (
    CartesianMask,
    OperatorLayer,
    SensitivityEncoding,
    SubsampledFourierTransform,
)
from odl_equivariant.operators.batching.per_sample import per_sample_operator

backend = simple_fixture('backend', ['numpy', 'pytorch'])
dtype = simple_fixture(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
coils = simple_fixture('coils', ['none', 'shared', 'own'])

SHAPE = (9, 8)


def space(dtype='complex128', backend='numpy', shape=SHAPE):
    """Return a space of images with weights that are not one."""
    extent = [n / 8 for n in shape]
    return odl.uniform_discr([0, 0], extent, shape, dtype=dtype, impl=backend)


def masks():
    """Return masks of all kinds: all, lines along either axis, points."""
    rng = np.random.default_rng(0)
    return [
        np.ones((1, 1), bool),
        CartesianMask(SHAPE, 2, seed=1),
        CartesianMask(SHAPE, 2, seed=2, axis=0).array[:, :1],
        rng.random(SHAPE) < 0.3,
    ]


def encoding(space, seed):
    """Return the encoding by three coils."""
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((2, 3, *SHAPE))
    return SensitivityEncoding(space, maps[0] + 1j * maps[1])


def operators_with(coils, space):
    """Return an operator for each mask."""
    if coils == 'none':
        return [SubsampledFourierTransform(space, mask) for mask in masks()]
    shared = encoding(space, 0)
    encodings = [
        shared if coils == 'shared' else encoding(space, seed)
        for seed in range(len(masks()))
    ]
    return [
        SubsampledFourierTransform(own.range, mask) * own
        for own, mask in zip(encodings, masks(), strict=True)
    ]


def one_by_one(layers, x):
    """Return the results of the layers, sample by sample."""
    return torch.cat(
        [layer(image[None]) for layer, image in zip(layers, x, strict=True)]
    )


def images_for(layer, n):
    """Return random tensors that a layer takes."""
    torch.manual_seed(0)
    return torch.randn(n, *layer._shape, dtype=layer._dtype)


@pytest.mark.parametrize('order', [[0, 1, 2, 3], [3, 1, 0, 2, 1], [2]])
def test_samples_are_those_of_their_operators(coils, dtype, backend, order):
    """Sample ``i`` of the batch is ``A_i x_i``, and ``A_i^* y_i``."""
    operators = operators_with(coils, space(dtype, backend))
    operators = [operators[i] for i in order]
    layer = OperatorLayer(per_sample_operator(operators))
    for together, alone in (
        (layer, [OperatorLayer(own) for own in operators]),
        (layer.adjoint, [OperatorLayer(own).adjoint for own in operators]),
    ):
        x = images_for(together, len(order))
        torch.testing.assert_close(together(x), one_by_one(alone, x))


def test_gradients_are_those_of_the_operators(coils, dtype):
    """Gradients of a batch are those of its samples."""
    operators = operators_with(coils, space(dtype))
    together = OperatorLayer(per_sample_operator(operators))
    alone = [OperatorLayer(own) for own in operators]
    x = images_for(together, len(operators)).requires_grad_()
    weights = images_for(together.adjoint, len(operators))
    gradients = [
        torch.autograd.grad(result, x, weights)[0]
        for result in (together(x), one_by_one(alone, x))
    ]
    torch.testing.assert_close(*gradients)


def test_second_derivatives(coils):
    """First and second derivatives agree with differences."""
    operators = operators_with(coils, space())
    layer = OperatorLayer(per_sample_operator(operators[:2]))
    x = images_for(layer, 2).requires_grad_()
    weights = torch.randn(2, *layer.adjoint._shape, dtype=torch.float64)

    def number(x):
        return (weights * layer(x) ** 2).sum(dim=(0, 1, 2, 3))

    assert torch.autograd.gradcheck(number, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(number, x, fast_mode=True)


def test_vmap_takes_several_batches(coils):
    """Under `torch.func.vmap`, batches do not mix."""
    operators = operators_with(coils, space())
    layer = OperatorLayer(per_sample_operator(operators))
    n = len(operators)
    x = images_for(layer, 3 * n).unflatten(0, (3, n))
    expected = torch.stack([layer(batch) for batch in x])
    torch.testing.assert_close(torch.func.vmap(layer)(x), expected)


def test_one_transform_for_a_batch(coils, monkeypatch):
    """A batch is transformed at once, and not sample by sample."""
    layer = OperatorLayer(per_sample_operator(operators_with(coils, space())))
    adjoint = layer.adjoint
    counts = collections.Counter()

    def count(name):
        transform = getattr(torch.fft, name)

        def counted(*args, **kwargs):
            counts[name] += 1
            return transform(*args, **kwargs)

        monkeypatch.setattr(torch.fft, name, counted)

    count('fftn')
    count('ifftn')
    y = layer(images_for(layer, len(masks())))
    assert counts == {'fftn': 1}
    adjoint(y)
    assert counts == {'fftn': 1, 'ifftn': 1}


def test_moved_operators():
    """Factors that all compositions share are applied to the whole batch."""
    square = space(shape=(8, 8))
    turn = Rotation(square, np.pi / 2)
    operators = [
        SubsampledFourierTransform(square, CartesianMask((8, 8), 2, seed=s))
        * turn
        for s in (1, 2)
    ]
    layer = OperatorLayer(per_sample_operator(operators))
    x = images_for(layer, 2)
    expected = one_by_one([OperatorLayer(own) for own in operators], x)
    torch.testing.assert_close(layer(x), expected)


class Negative(SubsampledFourierTransform):
    """Operator that computes something else than its base class."""

    def _call(self, x):
        return -super()._call(x)


def different():
    """Return pairs of operators that are not of one kind."""
    own = space()
    mask = CartesianMask(SHAPE, 2)
    transform = SubsampledFourierTransform(own, mask)
    two, three = (
        SensitivityEncoding(own, np.ones((n, *SHAPE))) for n in (2, 3)
    )
    scaled = 2.0 * transform
    tensors = SubsampledFourierTransform(odl.cn(SHAPE), mask)
    square = space(shape=(8, 8))
    full = SubsampledFourierTransform(square, np.ones((1, 1), bool))
    turns = [Rotation(square, angle) for angle in (0, np.pi / 2)]
    return {
        'axes': [transform, SubsampledFourierTransform(own, mask, axes=0)],
        'spaces': [transform, tensors],
        'coils': [two, three],
        'classes': [transform, transform.transform],
        'derived class': [Negative(own, mask), Negative(own, ~mask.array)],
        'numbers': [scaled, 3.0 * transform],
        'one composed': [full, full * turns[0]],
        'actions': [full * turn for turn in turns],
    }


@pytest.mark.parametrize('kind', list(different()))
def test_other_operators_are_not_applied_at_once(kind):
    """Operators of different kinds have no map of the batch."""
    assert per_sample_operator(different()[kind]) is None


def test_operators_that_are_not_linear():
    """Operators that are not linear have no map of the batch."""
    shift = odl.IdentityOperator(odl.rn(3)) + odl.rn(3).one()
    assert per_sample_operator([shift, shift]) is None


def test_elements_are_refused():
    """Operators of a batch do not map an element."""
    operator = per_sample_operator(operators_with('none', space()))
    with pytest.raises(TypeError, match='map batches only'):
        operator(operator.domain.zero())


def test_pickles():
    """An unpickled layer computes the same."""
    layer = OperatorLayer(per_sample_operator(operators_with('own', space())))
    x = images_for(layer, len(masks()))
    other = pickle.loads(pickle.dumps(layer))
    assert torch.equal(other(x), layer(x))
