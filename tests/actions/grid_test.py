# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of exact actions, for every action, back-end and dtype."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import (
    GridAction,
    Reflection,
    Rotation,
    Translation,
)


def actions_on(space):
    """Return one action of each kind, by a short name."""
    return {
        'identity': Rotation(space, 0),
        'quarter': Rotation(space, np.pi / 2),
        'half': Rotation(space, np.pi),
        'three_quarters': Rotation(space, -np.pi / 2),
        'flip_x': Reflection(space, 0),
        'flip_y': Reflection(space, 1),
        'diagonal': GridAction(space, [[0, 1], [1, 0]]),
        'shift': GridAction(space, [[1, 0], [0, 1]], (1, -2)),
        'all': GridAction(space, [[0, 1], [-1, 0]], (2, 1)),
    }


@pytest.fixture(
    params=[
        ('numpy', 'float32', 4, 'scalar'),
        ('numpy', 'float64', 5, 'product'),
        ('numpy', 'complex64', 5, 'scalar'),
        ('numpy', 'complex128', 4, 'product'),
        ('pytorch', 'float32', 5, 'scalar'),
        ('pytorch', 'float64', 4, 'product'),
        ('pytorch', 'complex64', 4, 'product'),
        ('pytorch', 'complex128', 5, 'scalar'),
    ],
    ids=lambda params: '-'.join(map(str, params)),
)
def space(request):
    """Real or complex functions, or weighted pairs of them, on a square."""
    impl, dtype, size, kind = request.param
    component = odl.uniform_discr(
        [-1, 0], [1, 2], (size, size), dtype=dtype, impl=impl
    )
    if kind == 'scalar':
        return component
    return odl.ProductSpace(component, 2, weighting=[1.0, 3.0])


def noise(space, seed=0):
    """Return standard normal noise in any of the spaces of these tests."""
    if isinstance(space, odl.ProductSpace):
        return space.element(
            [noise(part, seed + 1 + index) for index, part in enumerate(space)]
        )
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(space.shape)
    if space.is_complex:
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values.astype(str(space.dtype_identifier)))


def array(element):
    """Return a copy of the values as a numpy array."""
    if isinstance(element.space, odl.ProductSpace):
        return np.stack([array(part) for part in element])
    return np.asarray(element.data).copy()


def test_product_in_the_group_is_composition(space):
    """(g h).u = g.(h.u), for all pairs of actions."""
    x = noise(space)
    for left in actions_on(space).values():
        for right in actions_on(space).values():
            product = left @ right
            assert isinstance(product, GridAction)
            np.testing.assert_array_equal(
                array(product(x)),
                array(left(right(x))),
                err_msg=f'{right}, then {left}',
            )


def test_inverse_undoes_the_action(space):
    """g^-1.(g.u) = u and g.(g^-1.u) = u to the last bit."""
    x = noise(space)
    for name, action in actions_on(space).items():
        for result in (action.inverse(action(x)), action(action.inverse(x))):
            np.testing.assert_array_equal(array(result), array(x), name)


def test_inverse_is_the_inverse_in_the_group(space):
    """The product with the inverse is the identity element."""
    identity = Rotation(space, 0)
    for action in actions_on(space).values():
        assert action @ action.inverse == identity
        assert action.inverse @ action == identity


def test_adjoint_is_the_inverse(space):
    """The adjoint is the same group element as the inverse."""
    for action in actions_on(space).values():
        assert action.adjoint == action.inverse


def test_adjoint_in_the_inner_product(space):
    """<g.u, v> = <u, g*.v> in the weighted inner product of the space."""
    x, y = noise(space, 0), noise(space, 10)
    action = actions_on(space)['all']
    left = complex(space.inner(action(x), y))
    right = complex(space.inner(x, action.adjoint(y)))
    assert left == pytest.approx(right, rel=1e-5, abs=1e-6)


def test_isometry(space):
    """|g.u| = |u| in the weighted norm of the space."""
    x = noise(space)
    length = float(x.norm())
    action = actions_on(space)['all']
    assert action.is_isometry
    assert action.norm() == 1.0
    assert float(action(x).norm()) == pytest.approx(length, rel=1e-6)


def test_values_are_moved_and_not_changed(space):
    """An exact action permutes the values."""
    x = noise(space)
    values = np.sort_complex(array(x).ravel())
    for name, action in actions_on(space).items():
        assert action.is_exact
        moved = np.sort_complex(array(action(x)).ravel())
        np.testing.assert_array_equal(moved, values, name)


def test_linear(space):
    """g.(u + v) = g.u + g.v exactly."""
    x, y = noise(space, 0), noise(space, 10)
    for name, action in actions_on(space).items():
        assert action.is_linear
        np.testing.assert_array_equal(
            array(action(x + y)), array(action(x)) + array(action(y)), name
        )


def test_result_is_in_the_space(space):
    """Back-end, dtype and grid of the result are those of the input."""
    for action in actions_on(space).values():
        assert action(noise(space)) in space


def test_result_does_not_share_memory(space):
    """Overwriting the result leaves the input as it was."""
    x = noise(space)
    before = array(x)
    for name, action in actions_on(space).items():
        action(x).set_zero()
        np.testing.assert_array_equal(array(x), before, name)


def test_in_place_call(space):
    """``action(x, out=y)`` writes the same result and keeps ``x``."""
    x, out = noise(space), space.element()
    before = array(x)
    for name, action in actions_on(space).items():
        assert action(x, out=out) is out
        np.testing.assert_array_equal(array(out), array(action(x)), name)
        np.testing.assert_array_equal(array(x), before, name)


def test_aliased_call(space):
    """``action(x, out=x)`` writes the same result."""
    for name, action in actions_on(space).items():
        x = noise(space)
        expected = array(action(x))
        action(x, out=x)
        np.testing.assert_array_equal(array(x), expected, name)


def test_matrix_and_translation_give_the_action():
    """(g.u)(x) = u(R^-1 (x - t)) for an analytic, periodic u."""
    space = odl.uniform_discr([-1, 0], [1, 2], (6, 6))
    x, y = np.meshgrid(*space.grid.coord_vectors, indexing='ij')

    def periodic(x, y):
        return np.sin(np.pi * x + 0.3) + np.cos(np.pi * (x + 2 * y) + 0.7)

    for name, action in actions_on(space).items():
        shifted = np.stack([x, y], -1) - action.translation
        backwards = shifted @ np.linalg.inv(action.matrix).T
        np.testing.assert_allclose(
            array(action(space.element(periodic(x, y)))),
            periodic(backwards[..., 0], backwards[..., 1]),
            atol=1e-12,
            err_msg=name,
        )


def test_powers_stay_in_the_group():
    """The fourth power of each of these actions is the identity."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    for action in actions_on(space).values():
        assert action**4 == Rotation(space, 0)


def test_boundary_nodes_keep_the_isometry():
    """Half cells at the boundary are mapped to half cells."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), nodes_on_bdry=True)
    x = noise(space)
    for action in (Rotation(space, np.pi / 2), Reflection(space, 0)):
        assert action(x).norm() == pytest.approx(x.norm(), rel=1e-14)


def test_asymmetric_boundary_nodes_are_refused():
    """A grid with a half cell on one side only cannot be mirrored there."""
    space = odl.uniform_discr(
        [0, 0], [1, 1], (4, 4), nodes_on_bdry=[(True, False), False]
    )
    with pytest.raises(ValueError, match='fractions of the boundary'):
        Reflection(space, 0)
    assert Reflection(space, 1).is_exact


def test_product_with_another_space_is_refused():
    """Elements of groups on different spaces have no product."""
    small, large = (odl.uniform_discr([0, 0], [1, 1], (n, n)) for n in (4, 6))
    with pytest.raises(TypeError, match='domain'):
        Rotation(small, np.pi) @ Rotation(large, np.pi)


def test_product_with_another_operator_is_an_operator():
    """Composed with other operators an action is an ordinary operator."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    action = Rotation(space, np.pi / 2)
    gradient = odl.Gradient(space)
    x = noise(space)
    both = gradient @ action
    np.testing.assert_array_equal(array(both(x)), array(gradient(action(x))))
    y = noise(gradient.range)
    np.testing.assert_allclose(
        array(both.adjoint(y)), array(action.inverse(gradient.adjoint(y)))
    )


def test_equality_tells_elements_and_spaces_apart():
    """Actions are equal if element and space are, however they are made."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    other = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='float32')
    half = Rotation(space, np.pi)
    assert half == Reflection(space, 0) @ Reflection(space, 1)
    assert hash(half) == hash(Reflection(space, 0) @ Reflection(space, 1))
    assert half != Rotation(space, 0)
    assert half != Translation(space, (0.5, 0.5))
    assert half != Rotation(other, np.pi)
    assert half != 'rotation by 180 degrees'


@pytest.mark.parametrize(
    'matrix',
    [[[1, 1], [0, 1]], [[0, 0], [0, 0]], [[2, 0], [0, 1]], [[1, 0]], [1, 1]],
)
def test_a_matrix_that_permutes_nothing_is_refused(matrix):
    """Only signed permutations map grid points to grid points."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match='2 x 2 matrix'):
        GridAction(space, matrix)


def test_a_wrong_number_of_cells_is_refused():
    """The shift has one entry for each axis."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match='2 whole cells'):
        GridAction(space, [[1, 0], [0, 1]], (1, 2, 3))


def test_names_in_words():
    """Actions print what they do, for error messages."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    names = {key: str(action) for key, action in actions_on(space).items()}
    assert names['quarter'] == 'rotation by 90 degrees'
    assert names['flip_x'] == 'reflection in the line at 90 degrees'
    assert names['diagonal'] == 'reflection in the line at 45 degrees'
    assert names['shift'] == 'translation by (1, 2) cells'
    assert names['all'] == (
        'rotation by 270 degrees, then translation by (2, 1) cells'
    )
    assert names['identity'] == 'identity'


def test_representation_names_the_space():
    """``repr`` tells the space and the group element."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    expected = 'uniform_discr([ 0., 0.], [ 1., 1.], (4, 4))'
    for action in actions_on(space).values():
        assert expected in repr(action)
    assert repr(Reflection(space, 1)) == f'Reflection({expected}, 1)'


@pytest.mark.cuda
def test_actions_stay_on_the_device():
    """On a GPU the result is there too, with the same values."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (4, 4), impl='pytorch', device='cuda:0'
    )
    x = noise(space)
    values = x.data.cpu().numpy()
    moved = Rotation(space, np.pi / 2)(x)
    assert moved in space
    assert moved.data.device == x.data.device
    np.testing.assert_array_equal(moved.data.cpu().numpy(), np.rot90(values))
