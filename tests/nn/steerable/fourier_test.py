# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the kernels of turned Fourier series."""

import itertools
import math
import re

import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_equivariant
from odl_equivariant.nn import EquivariantProximal
from odl_equivariant.nn.steerable.convolutions import (
    SteerableConvolution,
    _scaled_basis,
)
from odl_equivariant.nn.steerable.fourier import filters, fourier_basis, mask
from odl_equivariant.nn.steerable.grid import grid_basis
from odl_equivariant.nn.steerable.groups import group_elements, group_order
from odl_equivariant.nn.steerable.mixed import MixedConvolution
from odl_equivariant.nn.steerable.representations import (
    fibre_matrix,
    field_size,
)
from odl_equivariant.nn.steerable.symmetries import equivariance_gap
from odl_equivariant.operators import NetworkOperator

GROUPS = ['C1', 'C2', 'C3', 'C4', 'C8', 'D1', 'D2', 'D3', 'D4', 'D8']
OTHERS = ['trivial', 'sign', 'standard', 'irrep(2)']
PAIRS = [
    *((other, 'regular') for other in OTHERS),
    *(('regular', other) for other in OTHERS),
    ('regular', 'regular'),
]

group = simple_fixture('group', GROUPS)
kernel_size = simple_fixture('kernel_size', [1, 3, 5, 7])


def cells_of(kernel_size):
    """Return the cells of a kernel, from its centre, in its order."""
    along = torch.arange(kernel_size).double() - kernel_size // 2
    return torch.cartesian_prod(along, along)


def matrix_of(turn, flipped):
    """Return the matrix of an element of a group, by hand."""
    angle = 2 * math.pi * float(turn)
    cos, sin = math.cos(angle), math.sin(angle)
    sign = -1 if flipped else 1
    rows = [[cos, -sign * sin], [sin, sign * cos]]
    return torch.tensor(rows, dtype=torch.float64)


def rank(kernels):
    """Return the dimension of the span of kernels."""
    return int(torch.linalg.matrix_rank(kernels.flatten(1), rtol=1e-10))


# --- The filters --- #


def test_filters_interpolate(kernel_size):
    """On the cells within the mask, they take all values."""
    values = filters(cells_of(kernel_size), kernel_size)
    assert values.shape == (kernel_size**2, kernel_size**2)
    within = cells_of(kernel_size).norm(dim=1) < (kernel_size + 1) / 2
    assert within.all() == (kernel_size <= 5)
    assert not values[:, ~within].any()
    coefficients = torch.linalg.pinv(values[:, within].T)
    unit = values[:, within].T @ coefficients
    expected = torch.eye(int(within.sum())).double()
    torch.testing.assert_close(unit, expected, rtol=0, atol=1e-12)


def test_filters_are_waves(kernel_size):
    """Up to the mask, they are orthogonal, and of frequencies below p / 2."""
    cells = cells_of(kernel_size)
    cover = mask(cells.norm(dim=1), kernel_size)
    within = cover > 0
    values = filters(cells, kernel_size)
    waves = torch.zeros(kernel_size**2, kernel_size, kernel_size).double()
    flat = waves.flatten(1)
    flat[:, within] = values[:, within] / cover[within]
    if within.all():
        gram = flat @ flat.T / kernel_size**2
        unit = torch.eye(len(gram)).double()
        torch.testing.assert_close(gram, unit, rtol=0, atol=1e-13)
    # the slope at the centre says the frequency of each sine
    step = 1e-6
    for axis in torch.eye(2).double():
        slope = filters(step * axis[None], kernel_size)[:, 0] / step
        frequencies = slope[2::2] * kernel_size / (2 * math.pi * 2**0.5)
        whole = frequencies.round()
        torch.testing.assert_close(frequencies, whole, rtol=0, atol=1e-6)
        assert (whole.abs() < kernel_size / 2).all()


def test_the_mask_is_smooth():
    """It falls from 1 to 0, without jumps of its slope."""
    for size in (1, 3, 5, 7):
        radii = torch.linspace(0, 0.75 * (size + 1), 3001).double()
        values = mask(radii, size)
        assert (values[radii <= (size + 1) / 4] == 1).all()
        assert (values[radii >= (size + 1) / 2] == 0).all()
        assert (values[radii < 0.499 * (size + 1)] > 0).all()
        slopes = values.diff() / radii.diff()
        assert (slopes <= 0).all()
        jumps = slopes.diff().abs() / radii.diff()[1:]
        # the second derivative of the squared cosine
        assert jumps.max() < 1.01 * 2 * (2 * math.pi / (size + 1)) ** 2


# --- The basis --- #


@pytest.mark.parametrize('size', [1, 3, 5])
def test_kernels_are_equivariant(group, size):
    """Under elements that map cells to cells, to the last bit."""
    for source, target in PAIRS:
        basis = _scaled_basis(group, source, target, size, 'fourier')
        assert equivariance_gap(basis, group, source, target) == 0


@pytest.mark.parametrize('other', OTHERS)
def test_kernels_are_turned_filters(group, other):
    """Each channel has the filters at the turned cells, at all angles."""
    basis = fourier_basis(group, other, 'regular', 5).flatten(-2)
    size = field_size(group, other)
    assert len(basis) == 25 * size
    for g, (turn, flipped) in enumerate(group_elements(group)):
        matrix = matrix_of(turn, flipped)
        values = filters(cells_of(5) @ matrix, 5)
        fibre = fibre_matrix(other, 2 * math.pi * float(turn), flipped)
        expected = torch.einsum('fx,cv->fvcx', values, fibre).flatten(0, 1)
        torch.testing.assert_close(basis[:, g], expected, atol=1e-13, rtol=0)


def test_kernels_between_regular_fields(group):
    """The channels g and h have the filter of g^-1 h, turned by g."""
    basis = fourier_basis(group, 'regular', 'regular', 3).flatten(-2)
    order = group_order(group)
    basis = basis.unflatten(0, (9, order))
    matrices = [matrix_of(*element) for element in group_elements(group)]
    for g, h in itertools.product(range(order), repeat=2):
        inverse = matrices[g].T @ matrices[h]
        distances = [float((inverse - other).norm()) for other in matrices]
        relative = distances.index(min(distances))
        assert distances[relative] < 1e-12
        values = filters(cells_of(3) @ matrices[g], 3)
        for filter_of in range(order):
            expected = values if filter_of == relative else 0 * values
            found = basis[:, filter_of, g, h]
            torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)


def test_kernels_from_regular_fields_are_transposed(group):
    """They are those to regular fields, with the channels exchanged."""
    for other in OTHERS:
        there = fourier_basis(group, other, 'regular', 3)
        back = fourier_basis(group, 'regular', other, 3)
        assert torch.equal(back, there.transpose(1, 2))


@pytest.mark.parametrize('group', ['C1', 'C2', 'C4', 'D1', 'D2', 'D4'])
@pytest.mark.parametrize('size', [1, 3, 5, 7])
def test_span_where_the_group_acts_exactly(group, size):
    """They span all kernels on the grid that vanish outside of the disk."""
    outside = cells_of(size).norm(dim=1) >= (size + 1) / 2
    for source, target in PAIRS:
        basis = fourier_basis(group, source, target, size)
        complete = grid_basis(group, source, target, size)
        left = complete.flatten(-2)[..., outside].flatten(1).norm(dim=1)
        inside = complete[left == 0]
        assert (len(inside) == len(complete)) == (size <= 5)
        assert rank(basis) == len(inside)
        assert rank(torch.cat([basis, inside])) == len(inside)


@pytest.mark.parametrize('group', ['C8', 'D8'])
def test_more_turns_leave_all_filters(group):
    """There are p^2 independent kernels for each channel of the other."""
    for source, target in PAIRS:
        basis = fourier_basis(group, source, target, 3)
        other = source if target == 'regular' else target
        assert rank(basis) == len(basis) == 9 * field_size(group, other)


def test_basis_is_the_same_in_any_context():
    """Neither dtype nor device of the context change what is computed."""
    key = ('D8', 'standard', 'regular', 3)
    expected = fourier_basis(*key)
    assert expected.is_contiguous()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device('meta'), torch.inference_mode():
            found = fourier_basis.__wrapped__(*key)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)


# --- Turns by other angles --- #


def smooth_function(seed):
    """Return a sum of bells on the plane."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, 2, generator=generator).double()
    heights = torch.randn(10, generator=generator).double()

    def value(points):
        squares = (points[:, None] - centres).square().sum(-1)
        return (heights * torch.exp(-squares)).sum(-1)

    return value


def error_of_a_turn(group, element, kernel_size):
    """Return how far a lift is from equivariant, relative to its values.

    The kernels have the same size in all units, and so filters of the same
    frequencies: the cells are smaller if there are more of them.
    """
    layer = SteerableConvolution(
        1, 1, 'trivial', 'regular', group, kernel_size, basis='fourier'
    ).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.weight.zero_()
        weights = torch.randn(9, generator=generator).double()
        layer.weight[..., :9] = weights / layer.basis[:9, 0, 0].norm()
    elements = group_elements(group)
    matrix = matrix_of(*elements[element])
    (turn, flipped) = elements[element]
    sign = -1 if flipped else 1
    moved = [
        elements.index(((turn + sign * other) % 1, flipped != other_flipped))
        for other, other_flipped in elements
    ]
    points = 2 / (kernel_size + 1) * cells_of(kernel_size)
    results = []
    for seed in range(20):
        value = smooth_function(seed)
        # the image, and as the element of the group moves it
        images = [value(points), value(points @ matrix)]
        x = torch.stack(images).unflatten(1, (1, kernel_size, kernel_size))
        centre = kernel_size // 2
        results.append(layer(x)[..., centre, centre].detach())
    results = torch.stack(results)
    plain, turned = results[:, 0], results[:, 1]
    return float((turned[:, moved] - plain).norm() / plain.norm())


@pytest.mark.parametrize(
    'group, element', [('C8', 1), ('C8', 3), ('C3', 1), ('D8', 9)]
)
def test_other_angles_err_by_the_square_of_the_cells(group, element):
    """Half as large cells give at most about a quarter of the error."""
    coarse, middle, fine = (
        error_of_a_turn(group, element, size) for size in (5, 11, 23)
    )
    assert 1e-10 < fine < 0.3 * middle < 0.3 * 0.3 * coarse
    assert coarse < 0.3


@pytest.mark.parametrize('group', ['C4', 'C8', 'D4'])
@pytest.mark.parametrize('representation', ['trivial', 'standard'])
@pytest.mark.parametrize('dtype, tol', [('float32', 2e-6), ('float64', 1e-13)])
@pytest.mark.parametrize('n', [8, 9])
def test_proximals_are_exact_for_quarter_turns(
    group, representation, dtype, tol, n
):
    """On even and odd grids, up to rounding."""
    torch.manual_seed(0)
    is_vector = representation == 'standard'
    module = EquivariantProximal(
        2 if is_vector else 1,
        16,
        group,
        memory=0,
        gradient=False,
        kernel_size=5,
        representation=representation,
        basis='fourier',
    ).to(getattr(torch, dtype))
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype)
    space = space**2 if is_vector else space
    exact = 'C4' if group[0] == 'C' else 'D4'
    actions = group_actions(space, exact, representation=representation)
    assert_equivariant(NetworkOperator(module, space), actions, tol=tol)


# --- The layers, and errors --- #


@pytest.mark.parametrize('group', ['C4', 'C8', 'D3'])
@pytest.mark.parametrize('source, target', PAIRS)
def test_white_noise_keeps_its_variance(group, source, target):
    """Layers start with the variance of the other bases, per channel."""
    layer = SteerableConvolution(
        60, 60, source, target, group, 5, gain=0.7, basis='fourier'
    )
    kernel, _ = layer.kernel()
    variance = kernel.square().sum((1, 2, 3)).mean().item()
    assert variance == pytest.approx(0.7**2, rel=0.1)
    columns = 60 * field_size(group, source)
    std = 0.7 / math.sqrt(25 * columns)
    assert layer.weight.std().item() == pytest.approx(std, rel=0.1)


def test_number_of_weights():
    """There is one filter for each relative element of the group."""
    layers = EquivariantProximal(
        1, 16, 'D8', 2, kernel_size=5, basis='fourier'
    ).convolutions()
    found = [layer.weight.numel() for layer in layers]
    # from an image, a gradient and two channels of memory to one field
    assert found == [4 * 25, 16 * 25, 3 * 25]


def test_mixed_fields():
    """Convolutions between sums of fields hand the basis on."""
    layer = MixedConvolution(
        [('standard', 1), ('trivial', 2)],
        [('regular', 2)],
        'D8',
        basis='fourier',
    )
    for block in layer.blocks:
        group, source, _, size, kind = block.basis_key
        assert kind == 'fourier'
        expected = field_size(group, source) * size**2
        assert block.weight.shape[-1] == expected


@pytest.mark.parametrize('source', OTHERS)
@pytest.mark.parametrize('target', OTHERS)
def test_no_kernels_without_regular_fields(source, target):
    """An error says which fields there must be."""
    named = re.escape(f'{source} to {target} fields')
    with pytest.raises(
        ValueError, match=f"regular fields.*{named}.*basis='escnn'"
    ):
        SteerableConvolution(1, 1, source, target, 'C8', basis='fourier')


@pytest.mark.parametrize('group', ['SO2', 'SO(2)', 'O2'])
def test_infinite_groups(group):
    """They have no regular fields, and the error says what to take."""
    with pytest.raises(
        ValueError, match=r"'fourier'.*finite group.*'C8'.*'escnn'"
    ):
        EquivariantProximal(channels=48, group=group, basis='fourier')
