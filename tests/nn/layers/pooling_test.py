# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of pooling and up-sampling."""

import pytest
import torch
from torch import nn

from odl_equivariant.nn.layers import (
    AveragePooling,
    Fields,
    GroupPooling,
    MaxPooling,
    Upsampling,
)
from odl_equivariant.nn.layers.pooling import coarse_size
from tests.nn.layers.fields_test import GROUPS, all_kinds, regular

SIZES = [(6, 8), (5, 7), (6, 7), (7, 6), (5, 5), (2, 3), (1, 4), (1, 1)]
each_size = pytest.mark.parametrize('size', SIZES)


def matrix(n):
    """Return the matrix of up-sampling along an axis of n cells."""
    fine = torch.arange(n).double()
    coarse = 2 * torch.arange(coarse_size(n)) + (0.5 if n % 2 == 0 else 0)
    return (1.5 - (fine[:, None] - coarse).abs()).clamp(0, 1)


def random(*shape):
    """Return random numbers in float64."""
    return torch.randn(shape, dtype=torch.float64)


@each_size
def test_poolings_commute_with_the_group(size):
    """Averages, maxima and interpolations move along with their images."""
    fields = all_kinds('D4')
    scalars = Fields('D4', regular=1, trivial=2)
    for layer, kinds in (
        (AveragePooling(), fields),
        (MaxPooling(scalars), scalars),
    ):
        x = random(2, kinds.channels, *size)
        for element in kinds.elements:
            moved = layer(kinds.transform(x, element))
            expected = kinds.transform(layer(x), element)
            torch.testing.assert_close(moved, expected, rtol=0, atol=1e-14)
    x = random(2, fields.channels, *map(coarse_size, size))
    for element in fields.elements:
        expected = fields.transform(Upsampling()(x, size), element)
        moved = Upsampling()(
            fields.transform(x, element), tuple(expected.shape[2:])
        )
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-14)


@each_size
def test_upsampling_has_its_matrix(size):
    """Interpolation along an axis is the matrix of the documentation."""
    x = random(2, 3, *map(coarse_size, size))
    rows, columns = map(matrix, size)
    torch.testing.assert_close(Upsampling()(x, size), rows @ x @ columns.T)
    assert torch.equal(Upsampling(size)(x), Upsampling()(x, size))


@each_size
def test_pooling_is_the_weighted_adjoint(size):
    """<w P x, y> = <x, U y>, with the widths w of the coarse cells."""
    x = random(2, 3, *size)
    y = random(2, 3, *map(coarse_size, size))
    rows, columns = (matrix(n).sum(0) for n in size)
    left = (rows[:, None] * columns * AveragePooling()(x) * y).sum()
    torch.testing.assert_close(left, (x * Upsampling()(y, size)).sum())


@each_size
def test_constants_are_kept(size):
    """Averages and interpolations of a constant are the constant."""
    ones = torch.ones(1, 1, *size, dtype=torch.float64)
    coarse = AveragePooling()(ones)
    torch.testing.assert_close(coarse, torch.ones_like(coarse))
    torch.testing.assert_close(Upsampling()(coarse, size), ones)


@each_size
def test_complex_images_are_two_real_ones(size):
    """Averages and interpolations act on real and imaginary parts."""
    x = torch.complex(random(1, 2, *size), random(1, 2, *size))
    coarse = AveragePooling()(x)
    for part in ('real', 'imag'):
        expected = AveragePooling()(getattr(x, part))
        torch.testing.assert_close(getattr(coarse, part), expected)
        expected = Upsampling()(expected, size)
        finer = Upsampling()(coarse, size)
        torch.testing.assert_close(getattr(finer, part), expected)


@pytest.mark.slow
def test_exported_poolings_are_for_all_sizes():
    """A graph that was exported for one size is right for all."""

    class Poolings(nn.Module):
        def __init__(self):
            super().__init__()
            self.largest = MaxPooling(Fields('C1', trivial=1))
            self.mean, self.refine = AveragePooling(), Upsampling()

        def forward(self, x):
            finer = self.refine(self.mean(x), x.shape[2:])
            return self.largest(x), self.mean(x), finer

    network = Poolings()
    sides = [torch.export.Dim(name, min=3, max=64) for name in 'nm']
    program = torch.export.export(
        network,
        (torch.randn(1, 1, 9, 12),),
        dynamic_shapes=({2: sides[0], 3: sides[1]},),
    )
    for size in SIZES[:5]:
        x = torch.randn(1, 1, *size)
        for result, expected in zip(
            program.module()(x), network(x), strict=True
        ):
            torch.testing.assert_close(result, expected)


def test_maxima_are_of_the_cells_around():
    """Pairs of an even axis, and cells with neighbours of an odd one."""
    layer = MaxPooling(Fields('C1', trivial=1))
    x = torch.tensor([[[[-5.0, -9.0, -2.0, -7.0]]]])
    assert layer(x).flatten().tolist() == [-5, -2]
    assert layer(x[..., 1:]).flatten().tolist() == [-2, -2]


def test_poolings_of_even_periodic_grids_commute_with_even_shifts():
    """A shift by two cells is a shift by one coarse cell."""
    x = random(1, 2, 6, 8)
    moved = x.roll((2, -4), (2, 3))
    for layer in (AveragePooling(), MaxPooling(Fields('C1', trivial=2))):
        assert torch.equal(layer(moved), layer(x).roll((1, -2), (2, 3)))
    y = random(1, 2, 3, 4)
    finer = Upsampling()(y).roll((2, -4), (2, 3))
    assert torch.equal(Upsampling()(y.roll((1, -2), (2, 3))), finer)


@pytest.mark.parametrize('group', GROUPS)
@pytest.mark.parametrize('mode', ['max', 'mean', 'norm'])
def test_group_pooling_is_invariant(group, mode):
    """Numbers of the fields move as trivial fields."""
    fields = all_kinds(group)
    if mode == 'max':
        fields = Fields(group, trivial=2)
        if group not in ('SO2', 'O2'):
            fields += Fields(group, regular=2)
    elif mode == 'mean':
        fields = Fields(group, [('trivial', 2), (regular(group), 2)])
    layer = GroupPooling(fields, mode)
    x = random(2, fields.channels, 4, 5)
    y = layer(x)
    assert y.shape == (2, layer.out_fields.channels, 4, 5)
    for element in fields.elements:
        moved = layer(fields.transform(x, element))
        expected = layer.out_fields.transform(y, element)
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-14)


def test_poolings_that_are_refused():
    """Poolings that are not equivariant, and sizes that there are not."""
    vectors = Fields('D4', standard=1)
    with pytest.raises(ValueError, match='take `AveragePooling`'):
        MaxPooling(vectors)
    for mode in ('max', 'mean'):
        with pytest.raises(ValueError, match="standard .*mode='norm'"):
            GroupPooling(vectors, mode)
    with pytest.raises(ValueError, match="one of 'max', 'mean', 'norm'"):
        GroupPooling(vectors, 'min')
    for size in ((6, 7), (4, 8), (6,), (5, 6, 8)):
        with pytest.raises(ValueError, match='5 or 6 x 7 or 8 cells'):
            Upsampling()(torch.zeros(1, 1, 3, 4), (size[0], 9, *size[2:]))
    with pytest.raises(ValueError, match='2 whole numbers of at least 1'):
        Upsampling((4, 0))
    for layer in (AveragePooling(), Upsampling()):
        with pytest.raises(ValueError, match=r'images of shape \(N, C, n, m'):
            layer(torch.zeros(1, 4, 4))
