# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the orbits of kernels of volumes, and of their convolutions."""

import itertools

import numpy as np
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.nn import _slices
from odl_equivariant.nn._convolution import PaddedConvolution
from odl_equivariant.nn.steerable.grid import equivariant_kernels
from odl_equivariant.nn.steerable.orbits import (
    OrbitConvolution,
    checked_kind,
    kernel_orbits,
)
from odl_equivariant.nn.steerable.space import (
    elements_of,
    fibre_matrices,
    group_in_space,
    n_elements,
    signed_permutation,
)

GROUPS = ['O', 'Oh', 'T', 'Td', 'Th', 'C4z', 'D4x', 'C4hy', 'D4hz', 'D2hx']
REPRESENTATIONS = ['trivial', 'sign', 'standard', 'regular']
PAIRS = list(itertools.product(REPRESENTATIONS, repeat=2))

group = simple_fixture('group', GROUPS)
kernel_size = simple_fixture('kernel_size', [1, 3, 5])


def kernel_of(group, source, target, size=3, seed=0):
    """Return a convolution with random weights, in double precision."""
    torch.manual_seed(seed)
    layer = OrbitConvolution(
        2, 3, source, target, group, size, 'zeros', may_be_zero=True
    ).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


def turned(x, matrix):
    """Return volumes, in the last three axes, moved by a matrix."""
    axes = np.abs(matrix).argmax(1)
    signs = matrix[range(3), axes]
    x = x.permute(*range(x.ndim - 3), *(x.ndim - 3 + axes))
    return x.flip([x.ndim - 3 + i for i in range(3) if signs[i] < 0])


def on_fields(x, representation, group, h):
    """Return channels, in axis 1, moved by an element of a group."""
    matrix = fibre_matrices(group, representation)[h]
    fields = x.unflatten(1, (-1, len(matrix)))
    return torch.einsum('ab,nfb...->nfa...', matrix, fields).flatten(1, 2)


# --- Groups --- #


def test_representations_are_homomorphisms(group):
    """The matrix of a product is the product of the matrices."""
    elements = [matrix.tobytes() for matrix in elements_of(group)]
    for name in REPRESENTATIONS:
        matrices = fibre_matrices(group, name)
        for g, h in itertools.product(range(0, len(elements), 5), repeat=2):
            product = elements_of(group)[g] @ elements_of(group)[h]
            expected = matrices[elements.index(product.tobytes())]
            assert torch.equal(matrices[g] @ matrices[h], expected)


def test_names_of_groups():
    """A group about an axis has its letter, and others have no axis."""
    assert group_in_space('C4h', 1) == 'C4hy'
    assert group_in_space('O_h') == 'Oh'
    assert group_in_space('C8') == 'C8'
    assert [n_elements(name) for name in GROUPS[:5]] == [24, 48, 12, 24, 24]


@pytest.mark.parametrize(
    'name, axis, words',
    [
        ('O', 2, 'has no axis'),
        ('D4h', None, 'give `axis`'),
        ('I', None, 'does not map cells to cells'),
        ('C3', 0, 'map cells to cells'),
        ('SO2', 0, 'map cells to cells'),
        ('C4z', None, 'unknown group'),
        ('C_4', None, 'unknown group'),
        ('SO(3)', None, 'unknown group'),
        ('octahedral', None, 'unknown group'),
        ('C4', 3, 'axis'),
    ],
)
def test_wrong_groups(name, axis, words):
    """A group that there is not says what to take."""
    with pytest.raises(ValueError, match=words):
        group_in_space(name, axis)


def test_bases_in_space():
    """In space there is the basis of the grid alone."""
    assert checked_kind(None, 'C4') == 'escnn'
    assert checked_kind(None, 'O') == 'grid'
    with pytest.raises(ValueError, match="take basis='grid', got 'escnn'"):
        checked_kind('escnn', 'O')


# --- Kernels --- #


def test_as_many_as_the_characters_say(group, kernel_size):
    """There are |H|^-1 sum_R chi_in(R) chi_out(R) fix(R) kernels."""
    half = kernel_size // 2
    along = np.arange(-half, half + 1)
    cells = np.stack(np.meshgrid(along, along, along), -1).reshape(-1, 3)
    n_fixed = [
        (cells @ matrix.T == cells).all(1).sum()
        for matrix in elements_of(group)
    ]
    for source, target in PAIRS:
        characters = [
            fibre_matrices(group, name).diagonal(dim1=1, dim2=2).sum(1)
            for name in (source, target)
        ]
        traces = characters[0] * characters[1] * torch.tensor(n_fixed)
        orbits = kernel_orbits(group, source, target, kernel_size)
        assert orbits.number == float(traces.mean())
        # and each of them is a kernel that is not zero
        used = orbits.index[orbits.value != 0]
        assert len(np.unique(used)) == orbits.number


@pytest.mark.parametrize('name', ['O', 'D4hz', 'C2x'])
def test_the_same_kernels_as_by_projection(name):
    """They span what the average over the group leaves."""
    for source, target in PAIRS:
        if (source, target) == ('regular', 'regular') and name == 'O':
            # as a tensor, that basis takes 80 megabytes
            continue
        elements = zip(
            elements_of(name).tolist(),
            fibre_matrices(name, target),
            fibre_matrices(name, source),
            strict=True,
        )
        basis = equivariant_kernels(list(elements), 3).flatten(1)
        orbits = kernel_orbits(name, source, target, 3)
        assert orbits.number == len(basis)
        kernel = torch.from_numpy(orbits.value.copy()).flatten()
        torch.testing.assert_close(kernel @ basis.T @ basis, kernel)


@pytest.mark.parametrize('source, target', PAIRS)
def test_convolutions_are_equivariant(group, source, target):
    """The convolution of turned fields is the turned convolution."""
    layer = kernel_of(group, source, target)
    torch.manual_seed(1)
    rows = 2 * len(fibre_matrices(group, source)[0])
    x = torch.randn(1, rows, 4, 4, 4, dtype=torch.float64)
    y = layer(x)
    for h in range(1, n_elements(group), 7):
        matrix = elements_of(group)[h]
        there = layer(turned(on_fields(x, source, group, h), matrix))
        here = turned(on_fields(y, target, group, h), matrix)
        torch.testing.assert_close(there, here, rtol=1e-12, atol=1e-12)


def test_variance_of_the_output():
    """A convolution starts with the variance of an ordinary one."""
    torch.manual_seed(0)
    x = torch.randn(1, 48, 8, 8, 8)
    steerable = OrbitConvolution(2, 8, 'regular', 'regular', 'O', 3, 'zeros')
    plain = PaddedConvolution(48, 192, 3, 'zeros', dimension=3)
    with torch.no_grad():
        for one, other in (
            (steerable.weight, plain.weight),
            (steerable(x), plain(x)),
        ):
            assert float(one.std()) == pytest.approx(
                float(other.std()), rel=0.1
            )


def test_no_kernel_at_all():
    """Where there is no kernel an error says so, or the kernel is zero."""
    arguments = (1, 1, 'sign', 'trivial', 'Oh', 3)
    with pytest.raises(ValueError, match='from sign to trivial fields of Oh'):
        OrbitConvolution(*arguments)
    layer = OrbitConvolution(*arguments, may_be_zero=True)
    assert not layer.kernel()[0].any()


def test_conversion_keeps_the_numbers_exact():
    """The values of a module that was in half precision are not rounded."""
    layer = OrbitConvolution(1, 1, 'trivial', 'regular', 'O')
    values = layer.half().double().value
    expected = kernel_orbits('O', 'trivial', 'regular', 3).value.ravel()
    assert np.array_equal(values.numpy(), expected)


def test_signed_permutations_are_read():
    """The matrices move the channels as places and signs say."""
    places, signs = signed_permutation('Oh', 'standard')
    found = fibre_matrices('Oh', 'standard').numpy()
    assert np.array_equal(found, elements_of('Oh'))
    assert np.array_equal(found[7, places[7, 1], 1], signs[7, 1])


# --- Convolutions by slices --- #


def operands(n=2, dtype=torch.float64):
    """Return volumes, kernels and biases, which need gradients."""
    torch.manual_seed(0)
    shapes = (n, 3, 5, 4, 6), (2, 3, 3, 3, 3), (2,)
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


@pytest.mark.parametrize('n', [1, 2])
def test_slices_are_volumes(n):
    """The sum over slices is the convolution of volumes."""
    inputs = operands(n)
    found = _slices.convolution(*inputs)
    expected = torch.nn.functional.conv3d(*inputs)
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(found)
    torch.testing.assert_close(
        _slices.convolution_backward(
            direction, *inputs[:2], (True, True, True)
        ),
        torch.autograd.grad(expected, inputs, direction),
    )


def test_slices_derivatives():
    """First and second derivatives are those of finite differences."""
    inputs = operands(1)
    assert torch.autograd.gradcheck(_slices.convolution, inputs)
    assert torch.autograd.gradgradcheck(_slices.convolution, inputs)


@pytest.mark.parametrize('wanted', [(False, True, False), (True, False, True)])
def test_slices_gradients_that_are_wanted(wanted):
    """Gradients that are not wanted are None."""
    x, weight, _ = operands()
    gradient = torch.ones(2, 2, 3, 2, 4, dtype=torch.float64)
    found = _slices.convolution_backward(gradient, x, weight, wanted)
    assert tuple(part is not None for part in found) == wanted
