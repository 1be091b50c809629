# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Groups act linearly, by isometries, and as groups.

Every action on every back-end, in every data type, on even and odd grids.
"""

from itertools import product

import numpy as np
import odl
import pytest
from odl.applications.tomo import (
    RayTransform,
    cone_beam_geometry,
    parallel_beam_geometry,
)

from odl_equivariant.actions import (
    Dilation,
    Intensity,
    Reflection,
    Rotation,
    Translation,
    group_actions,
    induced_action,
)
from odl_equivariant.diagnostics import (
    TOLERANCES,
    assert_adjoint,
    assert_linear,
    assert_unitary,
    isometry_error,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.nn.escnn.library import group as escnn_group


def square(where, size):
    """Return a space on a square grid, with the origin off its centre."""
    dtype, impl = where
    return odl.uniform_discr(
        [-1, 0], [2, 3], (size, size), dtype=dtype, impl=impl
    )


def cube(where, size):
    """Return a space on a cubic grid."""
    dtype, impl = where
    return odl.uniform_discr([-1] * 3, [1] * 3, (size,) * 3, dtype, impl=impl)


def turns(method=None, angles=(0.4, 1.9)):
    """Return what makes two rotations."""
    return lambda *where: [
        Rotation(square(*where), angle, method) for angle in angles
    ]


def shifts(cells, **options):
    """Return what makes two translations."""

    def make(*where):
        space = square(*where)
        return [
            Translation(space, space.cell_sides * shift, **options)
            for shift in cells
        ]

    return make


def roto_translations(*where):
    """Return two elements that shift and turn."""
    space = square(*where)
    step = Translation(space, space.cell_sides * (1, 2))
    return [step @ g for g in group_actions(space, 'D4')[1:6:4]]


def vector_fields(*where):
    """Return two turns of vector fields, weighted unequally."""
    space = odl.ProductSpace(square(*where), 2, weighting=[0.5, 0.5])
    return group_actions(space, 'D4', representation='standard')[1:6:4]


def regular_fields(*where):
    """Return two turns that make four components change places."""
    regular = escnn_group.cyclic_group(4).regular_representation
    space = square(*where) ** 4
    return group_actions(space, 'C4', representation=regular)[1:3]


def in_space(*where):
    """Return a turn and a mirror image in space."""
    space = cube(*where)
    return [Rotation(space, np.pi / 2, axis=1), Reflection(space, 2)]


def of_the_cube(*where):
    """Return two elements of the full group of the cube."""
    return group_actions(cube(*where), 'Oh')[7:36:28]


def vector_fields_in_space(*where):
    """Return two turns of vector fields in space."""
    space = cube(*where) ** 3
    return group_actions(space, 'Oh', representation='standard')[10:47:36]


def about_an_axis(*where):
    """Return two elements of the group of a slab."""
    dtype, impl = where[0]
    shape = (where[1], 3, where[1])
    slab = odl.uniform_discr(
        [-1, 0, -1], [1, 3, 1], shape, dtype=dtype, impl=impl
    )
    return group_actions(slab, 'D4h', axis=1)[1:14:12]


def of_the_icosahedron(*where):
    """Return two rotations of the icosahedron."""
    return group_actions(cube(*where), 'I', 'linear')[1:14:12]


quarter_turns = turns(angles=(np.pi / 2, np.pi))
EXACT = {
    'quarter turns': quarter_turns,
    'reflections': lambda *where: [
        Reflection(square(*where), axis) for axis in (0, 1)
    ],
    'shifts by cells': shifts([(1, 2), (0, -3)]),
    'roto-translations': roto_translations,
    'quarter turns of vector fields': vector_fields,
    'quarter turns of regular fields': regular_fields,
    'turns and reflections in space': in_space,
    'group of the cube': of_the_cube,
    'group of the cube on vector fields': vector_fields_in_space,
    'group of a slab': about_an_axis,
    'scalings of the values': lambda *where: [
        Intensity(square(*where), factor) for factor in (-1.0, 2.0)
    ],
}
INEXACT = {
    'rotations by three shears': turns('fourier'),
    'rotations of the icosahedron': of_the_icosahedron,
    'rotations by linear interpolation': turns('linear'),
    'rotations by cubic interpolation': turns('cubic'),
    'shifts of trigonometric functions': shifts(
        [(0.3, 1.2), (0.5, -0.1)], method='fourier'
    ),
    'shifts by linear interpolation': shifts(
        [(0.3, 1.2), (0.5, -0.1)], method='linear'
    ),
    'shifts out of the domain': shifts([(1, 2), (0, -3)], fill=0.0),
    'scalings of the domain': lambda *where: [
        Dilation(square(*where), factor) for factor in (1.3, 0.7)
    ],
}
ACTIONS = EXACT | INEXACT
DTYPES = 'float32', 'float64', 'complex64', 'complex128'
WHERE = list(product(DTYPES, ('numpy', 'pytorch')))

each_action = pytest.mark.parametrize('name', ACTIONS)
each_space = pytest.mark.parametrize('where', WHERE, ids=' '.join)
each_size = pytest.mark.parametrize('size', [4, 5])


@each_size
@each_space
@each_action
def test_actions_are_linear(law, name, where, size):
    """T_g (a u + v) = a T_g u + T_g v."""
    for g in ACTIONS[name](where, size):
        law.holds(assert_linear(g), TOLERANCES[where[0]])


@each_size
@each_space
@each_action
def test_adjoints_of_actions_are_exact(law, name, where, size):
    """<g . u, v> = <u, g* v>, also for interpolation."""
    for g in ACTIONS[name](where, size):
        law.holds(assert_adjoint(g), TOLERANCES[where[0]])


@each_size
@each_space
@each_action
def test_isometries_are_unitary(law, name, where, size):
    """If an action keeps norms, its adjoint is its inverse."""
    for g in ACTIONS[name](where, size):
        if g.is_isometry:
            law.holds(assert_unitary(g), TOLERANCES[where[0]])
        else:
            law.fails(isometry_error(g), 1e-3, 'Other actions change norms.')


@each_size
@each_space
@pytest.mark.parametrize('name', EXACT)
def test_products_are_those_of_the_group(law, name, where, size):
    """(g h) . u = g . (h . u), on the grid."""
    g, h = EXACT[name](where, size)
    u = random_element(g.domain, np.random.default_rng(0))
    one_after_the_other = g(h(u))
    gap = norm(u.space, (g @ h)(u) - one_after_the_other)
    law.holds(gap / norm(u.space, u), TOLERANCES[where[0]])
    gap = norm(u.space, (g @ g.inverse)(u) - u)
    law.holds(gap / norm(u.space, u), TOLERANCES[where[0]])


@pytest.mark.parametrize('method', ['linear', 'cubic', 'fourier'])
def test_products_of_interpolated_actions_are_so_in_the_limit(law, method):
    """The same up to interpolation errors, which vanish on fine grids."""
    errors = []
    for size in (32, 128):
        space = odl.uniform_discr([-1, -1], [1, 1], (size, size))
        u = space.element(
            lambda x: np.exp(-(((x[0] - 0.2) / 0.15) ** 2) - (x[1] / 0.2) ** 2)
        )
        g, h = Rotation(space, 0.4, method), Rotation(space, 1.9, method)
        gap = norm(space, (g @ h)(u) - g(h(u)))
        errors.append(gap / norm(space, u))
    assert errors[1] < errors[0] / 10 or errors[1] < 1e-9
    law.holds(errors[1], 1e-2, 'On 128 x 128 cells.')


@each_space
@pytest.mark.parametrize('beam', [parallel_beam_geometry, cone_beam_geometry])
def test_turned_images_have_permuted_views(law, beam, where):
    """A T_g = S_g A for all g in D4, for parallel and fan beams."""
    dtype, impl = where
    space = odl.uniform_discr([-1, -1], [1, 1], (7, 7), dtype=dtype, impl=impl)
    radii = () if beam is parallel_beam_geometry else (4, 3)
    geometry = beam(space, *radii, num_angles=8, det_shape=13)
    operator = RayTransform(space, geometry, impl='astra_matrix')
    single = dtype in ('float32', 'complex64')
    for g in group_actions(space, 'D4'):
        u = random_element(space, np.random.default_rng(0))
        image = operator(g(u))
        moved = induced_action(operator, g)(operator(u))
        gap = norm(image.space, image - moved) / norm(image.space, image)
        law.holds(gap, 1e-5 if single else 1e-12)
