# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the translations of a grid."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import Rotation, Translation

each_impl = pytest.mark.parametrize('impl', ['numpy', 'pytorch'])


def bump(x):
    """Return a smooth function without any symmetry about the origin."""
    return np.exp(-((x[0] - 0.3) ** 2) - 2 * (x[1] + 0.1) ** 2 + x[0] * x[1])


def array(element):
    """Return the values as a numpy array."""
    return np.asarray(element.data).copy()


def sample(space, function):
    """Return the values of a function of [x, y] at the grid points."""
    x, y = space.grid.coord_vectors
    return space.element(function([x[:, None], y[None, :]]))


@each_impl
@pytest.mark.parametrize('shift', [(0.5, 0), (0, -0.25), (-1.0, 1.25)])
def test_translation_moves_by_the_shift(impl, shift):
    """(g.u)(x) = u(x - t) for a periodic u, with t in length units."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 8), impl=impl)

    def wave(x):
        return np.sin(np.pi * x[0] + 0.2) + np.cos(2 * np.pi * x[1] + x[0] * 0)

    def moved(x):
        return wave([x[0] - shift[0], x[1] - shift[1]])

    np.testing.assert_allclose(
        array(Translation(space, shift)(sample(space, wave))),
        array(sample(space, moved)),
        atol=1e-12,
    )


def test_translation_is_roll():
    """On the data a translation is ``roll``."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 8))
    x = sample(space, bump)
    np.testing.assert_array_equal(
        array(Translation(space, (0.5, -0.75))(x)),
        np.roll(array(x), (1, -3), axis=(0, 1)),
    )


def test_translation_by_a_period_is_the_identity():
    """Shifts count up to whole periods."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 8))
    assert Translation(space, (2, -4)) == Rotation(space, 0)


def test_a_shift_by_part_of_a_cell_is_refused():
    """The error names the cell sides and the nearest whole shift."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(
        ValueError, match=r'sides \[0\.25, 0\.25\].*nearest one is \[0\.25, 0'
    ):
        Translation(space, (0.3, 0.01))


@pytest.mark.parametrize('shift', [(np.nan, 0), (0, np.inf)])
def test_a_shift_that_is_not_finite_is_refused(shift):
    """A shift is a finite number of cells."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match='finite shift'):
        Translation(space, shift)


@pytest.mark.parametrize('shift', [0.25, (0.25,), (0.25, 0, 0), [[0, 0]]])
def test_a_shift_of_another_length_is_refused(shift):
    """The shift has one entry for each axis."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match='one for each axis'):
        Translation(space, shift)


def test_a_shift_that_is_no_number_is_refused():
    """The shift is made from real numbers."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(TypeError, match='2 real numbers'):
        Translation(space, 'up')


def test_a_shift_with_nodes_on_the_boundary_is_refused():
    """Half cells cannot change places with whole ones."""
    space = odl.uniform_discr([0, 0], [1, 1], (5, 5), nodes_on_bdry=True)
    with pytest.raises(ValueError, match='nodes_on_bdry=False'):
        Translation(space, (0.25, 0))


def test_a_shift_in_cells_is_refused():
    """The error shows how to convert a shift in cells."""
    space = odl.uniform_discr([0, 0], [0.7, 0.7], (6, 6))
    hint = r'for \[3, -1\] cells give `\[3, -1\] \* space\.cell_sides`'
    with pytest.raises(ValueError, match=hint):
        Translation(space, (3, -1))
    with pytest.raises(ValueError, match='out of the domain.*' + hint):
        Translation(space, (3, -1), 'linear', fill=0)


@pytest.mark.parametrize('fill', [np.nan, np.inf, 1j])
def test_a_fill_outside_of_the_field_is_refused(fill):
    """A fill must be a finite number, and real in a real space."""
    space = odl.uniform_discr([0, 0], [1, 1], (6, 6))
    for make in (
        lambda: Rotation(space, 0.3, 'linear', fill=fill),
        lambda: Translation(space, (0.3, 0), 'linear', fill=fill),
    ):
        with pytest.raises(
            ValueError, match='`fill` must be a (finite|real) num'
        ):
            make()


def test_a_complex_fill():
    """In a complex space the outside may be complex."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='complex64')
    moved = Translation(space, (0.25, 0), fill=2 - 1j)(space.zero())
    assert moved in space
    np.testing.assert_array_equal(array(moved)[0], 2 - 1j)
    np.testing.assert_array_equal(array(moved)[1:], 0)
