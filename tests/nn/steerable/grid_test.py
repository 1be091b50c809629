# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the kernels that are equivariant on the grid."""

import itertools
import math
import subprocess
import sys

import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.nn.steerable.convolutions import (
    PaddedConvolution,
    SteerableConvolution,
    _kernel_basis,
    _scaled_basis,
)
from odl_equivariant.nn.steerable.grid import (
    _range,
    acts_exactly,
    equivariant_kernels,
    grid_basis,
    split,
)
from odl_equivariant.nn.steerable.groups import group_elements, group_order
from odl_equivariant.nn.steerable.mixed import MixedConvolution
from odl_equivariant.nn.steerable.symmetries import equivariance_gap

GROUPS = ['C1', 'C2', 'C4', 'D1', 'D2', 'D4']
REPRESENTATIONS = ['trivial', 'sign', 'standard', 'irrep(2)', 'regular']

PAIRS = list(itertools.product(REPRESENTATIONS, repeat=2))

group = simple_fixture('group', GROUPS)
kernel_size = simple_fixture('kernel_size', [1, 3, 5])


def character(group, representation, turn, flipped):
    """Return the trace of an element of a group of the plane."""
    if representation == 'trivial':
        return 1
    if representation == 'sign':
        return -1 if flipped else 1
    if representation == 'regular':
        return 0 if turn or flipped else group_order(group)
    frequency = 1 if representation == 'standard' else 2
    return 0 if flipped else 2 * math.cos(2 * math.pi * frequency * turn)


def n_fixed(turn, flipped, kernel_size):
    """Return how many cells of a kernel stay where they are."""
    if flipped:
        return kernel_size
    return 1 if turn else kernel_size**2


def rank_by_characters(group, source, target, kernel_size):
    """Return the trace of the projection onto the equivariant kernels."""
    traces = [
        character(group, source, *element)
        * character(group, target, *element)
        * n_fixed(*element, kernel_size)
        for element in group_elements(group)
    ]
    return round(sum(traces) / len(traces))


# --- The basis --- #


def test_as_many_as_the_characters_say(group, kernel_size):
    """There are |H|^-1 sum_R chi_in(R) chi_out(R) fix(R) kernels."""
    for source, target in PAIRS:
        basis = grid_basis(group, source, target, kernel_size)
        expected = rank_by_characters(group, source, target, kernel_size)
        assert len(basis) == expected
        gram = basis.flatten(1) @ basis.flatten(1).T
        unit = torch.eye(expected).double()
        torch.testing.assert_close(gram, unit, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    'arguments, rank, rank_of_escnn',
    [
        (('C4', 'trivial', 'regular', 3), 9, 6),
        (('C4', 'trivial', 'regular', 5), 25, 11),
        (('C4', 'regular', 'regular', 5), 100, 44),
        (('D4', 'regular', 'regular', 3), 72, 48),
        (('C4', 'trivial', 'trivial', 5), 7, 3),
    ],
)
def test_more_than_escnn_has(arguments, rank, rank_of_escnn):
    """The numbers of kernels are those that were counted by hand."""
    assert len(grid_basis(*arguments)) == rank
    assert len(_kernel_basis(*arguments)) == rank_of_escnn


def test_kernels_are_equivariant(group, kernel_size):
    """The constraint holds to the last bit."""
    for source, target in PAIRS:
        basis = _scaled_basis(group, source, target, kernel_size, 'grid')
        if len(basis):
            assert equivariance_gap(basis, group, source, target) == 0


@pytest.mark.parametrize('group', ['C4', 'D4'])
@pytest.mark.parametrize(
    'source, target',
    [('trivial', 'regular'), ('regular', 'regular'), ('standard', 'regular')],
)
def test_mixed_kernels_are_equivariant(group, source, target):
    """Smooth kernels become as exact as those on the grid."""
    basis = _scaled_basis(group, source, target, 5, 'mixed')
    assert equivariance_gap(basis, group, source, target) == 0


def test_each_kernel_is_an_average_of_one_entry(group):
    """All entries but zeros have one size: nothing was left to chance."""
    for source, target in PAIRS:
        for kernel in grid_basis(group, source, target, 3):
            sizes = kernel[kernel != 0].abs()
            assert (sizes == sizes[0]).all()
            assert round(float(sizes[0]) ** -2) == len(sizes)


def test_escnn_spans_less(group):
    """Smooth kernels are among those on the grid, and mixed ones are all."""
    for source, target in itertools.product(REPRESENTATIONS[2:], repeat=2):
        basis = grid_basis(group, source, target, 3).flatten(1)
        smooth = _kernel_basis(group, source, target, 3).flatten(1)
        inside = smooth @ basis.T @ basis
        torch.testing.assert_close(inside, smooth, rtol=0, atol=1e-14)
        mixed = _scaled_basis(group, source, target, 3, 'mixed')
        assert len(mixed) == len(basis)
        assert torch.linalg.matrix_rank(mixed.flatten(1)) == len(basis)


@pytest.mark.parametrize('group', ['C4', 'D4'])
def test_the_laplacian_is_a_kernel(group):
    """The stencil of five points is in the span, and not in escnn's."""
    laplacian = torch.zeros(3, 3).double()
    laplacian[1], laplacian[:, 1] = 1, 1
    laplacian[1, 1] = -4
    left = []
    for basis in (
        grid_basis(group, 'trivial', 'trivial', 3),
        _kernel_basis(group, 'trivial', 'trivial', 3),
    ):
        span = torch.linalg.qr(basis.flatten(1).T).Q
        rest = laplacian.flatten() - span @ (span.T @ laplacian.flatten())
        left.append(float(rest.norm() / laplacian.norm()))
    assert left[0] < 1e-15
    assert left[1] == pytest.approx(0.23, abs=0.01)


def test_the_rest_is_orthogonal():
    """What escnn lacks is orthonormal, and orthogonal to what it has."""
    key = ('C4', 'regular', 'regular', 5)
    smooth, rest = split(grid_basis(*key), _kernel_basis(*key))
    torch.testing.assert_close(smooth, _kernel_basis(*key))
    rest = rest.flatten(1)
    assert len(rest) == 100 - 44
    torch.testing.assert_close(rest @ rest.T, torch.eye(56).double())
    assert (rest @ smooth.flatten(1).T).abs().max() < 1e-14


def test_the_rest_of_a_dependent_family():
    """Kernels that say the same twice leave as much as once."""
    basis = grid_basis('C4', 'trivial', 'trivial', 3)
    for part, n in ((basis[[0, 0]], 2), (basis, 0), (basis[:0], 3)):
        kernels, rest = split(basis, part)
        assert torch.equal(kernels, part)
        assert len(rest) == n


def test_longest_projections_come_first():
    """The basis of a range depends on the projection alone."""
    normal = torch.tensor([0.6, 0.8, 0.0]).double()
    projection = torch.eye(3).double() - torch.outer(normal, normal)
    expected = torch.tensor([[0.0, 0.0, 1.0], [0.8, -0.6, 0.0]]).double()
    torch.testing.assert_close(_range(projection), expected)
    # of equals, whatever rounding says, the first
    projection = torch.diag(torch.tensor([1 - 1e-9, 1.0, 1.0])).double()
    torch.testing.assert_close(_range(projection), torch.eye(3).double())


def test_basis_is_the_same_in_any_context():
    """Neither dtype nor device of the context change what is computed."""
    key = ('D4', 'standard', 'regular', 3)
    basis, smooth = grid_basis(*key), _kernel_basis(*key)
    expected = basis, *split(basis, smooth)
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device('meta'), torch.inference_mode():
            again = grid_basis.__wrapped__(*key)
            found = again, *split(again, smooth)
    finally:
        torch.set_default_dtype(torch.float32)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


# --- Any group of signed permutations --- #


def cube():
    """Return the matrices of the rotations and reflections of a cube."""
    matrices = []
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3).double()
            matrix[range(3), list(axes)] = torch.tensor(signs).double()
            matrices.append(matrix)
    return matrices


def of_cube(name, matrix):
    """Return a matrix in a representation of the group of the cube."""
    if name == 'trivial':
        return torch.ones(1, 1).double()
    if name == 'vector':
        return matrix
    # on the diagonal quadratic forms of trace zero: no signed permutations
    forms = torch.tensor([[1, -1, 0], [1, 1, -2]]).double()
    forms /= forms.norm(dim=1, keepdim=True)
    return forms @ matrix.abs() @ forms.T


@pytest.mark.parametrize('full', [False, True])
@pytest.mark.parametrize('source', ['trivial', 'vector', 'forms'])
@pytest.mark.parametrize('target', ['trivial', 'vector', 'forms'])
def test_kernels_in_three_dimensions(full, source, target):
    """As many as the characters say, orthonormal and equivariant."""
    matrices = [m for m in cube() if full or torch.linalg.det(m) > 0]
    elements = [(m, of_cube(target, m), of_cube(source, m)) for m in matrices]
    basis = equivariant_kernels(elements, 3)
    cells = torch.cartesian_prod(*3 * [torch.arange(-1.0, 2)]).double()
    rank = sum(
        outer.trace() * inner.trace() * (cells @ m.T == cells).all(1).sum()
        for m, outer, inner in elements
    ) / len(elements)
    assert len(basis) == round(float(rank)) > 0
    flat = basis.flatten(1)
    gram = torch.eye(len(flat)).double()
    torch.testing.assert_close(flat @ flat.T, gram, rtol=0, atol=1e-14)
    for m, outer, inner in elements:
        x, y, z = (cells @ m + 1).long().T  # R^-1 of each cell
        moved = basis[..., x, y, z].unflatten(-1, (3, 3, 3))
        moved = torch.einsum('ab,nbcxyz,dc->nadxyz', outer, moved, inner)
        torch.testing.assert_close(moved, basis, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    'matrices, turn, size, match',
    [
        ([[[1, 0], [0, 1]]], [1], 2, 'must be odd, got 2'),
        ([[[0, 2], [1, 0]]], [1], 3, 'permute the axes'),
        ([[[1, 1], [0, 1]]], [1], 3, 'permute the axes'),
        ([[[0.8, -0.6], [0.6, 0.8]]], [1], 3, 'permute the axes'),
        ([[[1, 0], [0, 1]]] * 3, [1, 1, -1], 3, 'all elements of a group'),
    ],
)
def test_what_is_no_group_of_the_grid(matrices, turn, size, match):
    """No kernels are made that would not be equivariant."""
    one = torch.ones(1, 1)
    elements = [(m, t * one, one) for m, t in zip(matrices, turn, strict=True)]
    with pytest.raises(ValueError, match=match):
        equivariant_kernels(elements, size)


def test_sums_of_representations():
    """Kernels between sums are the blocks of those between the parts."""
    elements = []
    for m in cube():
        total = torch.block_diag(m, of_cube('forms', m))
        elements.append((m, total, of_cube('trivial', m)))
    parts = [
        len(
            equivariant_kernels(
                [(m, of_cube(name, m), torch.ones(1, 1)) for m in cube()], 3
            )
        )
        for name in ('vector', 'forms')
    ]
    assert len(equivariant_kernels(elements, 3)) == sum(parts)


# --- The layers --- #


@pytest.mark.parametrize('basis', ['escnn', 'grid', 'mixed'])
@pytest.mark.parametrize('source', ['trivial', 'regular', 'standard'])
@pytest.mark.parametrize('target', ['trivial', 'regular', 'standard'])
def test_white_noise_keeps_its_variance(basis, source, target):
    """Layers of all bases start with the same output, as ordinary ones do."""
    size = {'trivial': 1, 'regular': 4, 'standard': 2}
    layer = SteerableConvolution(
        60, 60, source, target, 'C4', gain=0.7, basis=basis
    )
    ordinary = PaddedConvolution(
        60 * size[source], 60 * size[target], gain=0.7
    )
    for kernel, _ in (layer.kernel(), ordinary.kernel()):
        variance = kernel.square().sum((1, 2, 3)).mean().item()
        assert variance == pytest.approx(0.7**2, rel=0.1)


def test_mixed_layers_start_as_smooth_ones(group):
    """The same random numbers give the same kernel."""
    kernels = []
    for basis in ('escnn', 'mixed'):
        torch.manual_seed(0)
        layer = SteerableConvolution(2, 3, 'regular', 'regular', group)
        torch.manual_seed(0)
        layer = SteerableConvolution(
            2, 3, 'regular', 'regular', group, basis=basis
        )
        kernels.append(layer.kernel()[0])
    torch.testing.assert_close(*kernels)
    n = len(_kernel_basis(group, 'regular', 'regular', 3))
    assert not layer.weight[..., n:].any()
    assert layer.weight[..., :n].all()


@pytest.mark.parametrize('basis', ['grid', 'mixed'])
def test_mixed_fields(basis):
    """Convolutions between sums of fields hand the basis on."""
    layer = MixedConvolution(
        [('standard', 1), ('trivial', 2)],
        [('regular', 2), ('standard', 1)],
        'D4',
        basis=basis,
    )
    for block in layer.blocks:
        group, source, target, size, kind = block.basis_key
        assert kind == basis
        expected = rank_by_characters(group, source, target, size)
        assert block.weight.shape[-1] == expected


# --- Errors and dependencies --- #


def test_which_groups_act_exactly():
    """They are those of the square and its subgroups with an axis."""
    names = [f'{kind}{n}' for kind in 'CD' for n in range(1, 13)]
    exact = [name for name in [*names, 'SO2', 'O2'] if acts_exactly(name)]
    assert exact == GROUPS


@pytest.mark.parametrize('basis', ['grid', 'mixed'])
@pytest.mark.parametrize('group', ['C3', 'C8', 'D3', 'D8', 'SO2', 'O2'])
def test_groups_that_do_not_act_exactly(group, basis):
    """Their grid has no such kernels, and the error names the choices."""
    hidden = 'trivial' if group in ('SO2', 'O2') else 'regular'
    with pytest.raises(
        ValueError, match=f"'{basis}'.*C1, C2, C4, D1, D2 and D4.*'escnn'"
    ):
        SteerableConvolution(1, 1, 'trivial', hidden, group, basis=basis)


@pytest.mark.parametrize('basis', ['Grid', None, 3, ['grid'], ''])
def test_unknown_bases(basis):
    """An error names those that there are."""
    with pytest.raises(
        ValueError, match="'escnn'.*'grid'.*'mixed'.*'fourier'"
    ):
        SteerableConvolution(1, 1, 'trivial', 'regular', 'C4', basis=basis)


@pytest.mark.parametrize('basis', ['escnn', 'grid', 'mixed'])
def test_fields_between_which_there_is_no_kernel(basis):
    """A vector at a single pixel gives no invariant number."""
    with pytest.raises(ValueError, match='1 x 1 kernels from standard to'):
        SteerableConvolution(1, 1, 'standard', 'trivial', 'C4', 1, basis=basis)


def test_mixed_where_no_kernel_is_smooth():
    """Then all kernels start, so that the layer does not begin with none."""
    key = ('D4', 'trivial', 'sign', 5)
    assert not len(_kernel_basis(*key))
    layer = SteerableConvolution(1, 1, *key[1:3], 'D4', 5, basis='mixed')
    assert layer.weight.shape == (1, 1, 1)
    assert layer.weight.all()


_WITHOUT_ESCNN = """
import sys
sys.modules['escnn'] = None  # importing it fails from now on
import torch
from odl_equivariant.nn import EquivariantProximal

for basis in ('grid', 'fourier'):
    block = EquivariantProximal(channels=8, group='D4', basis=basis)
    x = torch.randn(1, 1, 9, 8)
    block(x, x)[0].sum().backward()
print('done')
"""


@pytest.mark.slow
def test_what_needs_no_escnn():
    """New networks are made and trained where it is not installed."""
    result = subprocess.run(
        [sys.executable, '-c', _WITHOUT_ESCNN], capture_output=True, text=True
    )
    assert result.stdout == 'done\n', result.stderr
