# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of values that turn with the functions."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import (
    GridAction,
    Reflection,
    Rotation,
    Translation,
    group_actions,
)
from odl_equivariant.diagnostics import adjoint_error, equivariance_error
from odl_equivariant.operators import NetworkOperator


def groups():
    """Return the module of escnn's groups, which takes long to import."""
    from odl_equivariant.nn.escnn.library import group

    return group


def plane(impl='numpy', dtype='float64', shape=(8, 8)):
    """Return functions on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], shape, dtype=dtype, impl=impl)


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
    """Return the values as a numpy array."""
    if isinstance(element.space, odl.ProductSpace):
        return np.stack([array(part) for part in element])
    return np.asarray(element.data).copy()


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
def test_values_turn_by_the_matrix(impl, dtype):
    """(g.u)(x) = R (T u)(x), where T moves each component."""
    space = plane(impl, dtype) ** 2
    x = noise(space)
    for moving, both in (
        (
            Rotation(space, np.pi / 2),
            Rotation(space, np.pi / 2, representation='standard'),
        ),
        (
            Rotation(space, 0.4, 'fourier'),
            Rotation(space, 0.4, 'fourier', representation='standard'),
        ),
        (
            Reflection(space, 0),
            Reflection(space, 0, representation='standard'),
        ),
    ):
        np.testing.assert_allclose(
            array(both(x)),
            np.einsum('ij,j...->i...', both.matrix, array(moving(x))),
            rtol=1e-5,
            atol=1e-6 if dtype == 'float32' else 1e-13,
        )
        assert both(x) in space


def test_gradients_are_vector_fields():
    """grad(g.u) = g.(grad u) with the standard representation."""
    space = plane()
    gradient = odl.Gradient(space, method='central', pad_mode='symmetric')
    for action, range_action in zip(
        group_actions(space, 'D4'),
        group_actions(gradient.range, 'D4', representation='standard'),
        strict=True,
    ):
        assert equivariance_error(gradient, action, range_action) < 1e-14


@pytest.mark.parametrize('method', ['fourier', 'cubic'])
def test_gradients_at_any_angle(method):
    """grad(g.u) = g.(grad u) for smooth u, up to the order of the grid."""
    space = plane(shape=(64, 64))
    x, y = np.meshgrid(*space.grid.coord_vectors, indexing='ij')
    u = space.element(np.exp(-((x - 0.2) ** 2 + 2 * (y + 0.1) ** 2) / 0.08))
    gradient = odl.Gradient(space, method='central', pad_mode='symmetric')
    action = Rotation(space, 0.5, method)
    turned = Rotation(gradient.range, 0.5, method, representation='standard')
    moved_only = Rotation(gradient.range, 0.5, method)
    assert equivariance_error(gradient, action, turned, x=u) < 1e-2
    assert equivariance_error(gradient, action, moved_only, x=u) > 0.3


def test_adjoint_with_weighted_components():
    """The adjoint knows the weights of the components."""
    space = odl.ProductSpace(plane(), 2, weighting=[1.0, 3.0])
    for method in (None, 'linear', 'fourier'):
        angle = np.pi / 2 if method is None else 0.4
        action = Rotation(space, angle, method, representation='standard')
        assert not action.is_isometry
        assert adjoint_error(action) < 1e-14
    mirror = Reflection(space, 0, representation='standard')
    assert mirror.is_isometry
    assert adjoint_error(mirror) < 1e-14


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_unitary_with_equal_weights(impl):
    """With orthogonal pi and equal weights the action is an isometry."""
    space = plane(impl) ** 2
    action = Rotation(space, 0.4, 'fourier', representation='standard')
    assert action.is_isometry
    assert adjoint_error(action) < 1e-13
    x = noise(space)
    np.testing.assert_allclose(
        array(action.inverse(action(x))), array(x), atol=1e-13
    )


def test_products_of_vector_fields():
    """(g h).u = g.(h.u) in D4 on vector fields, exactly."""
    space = plane() ** 2
    actions = group_actions(space, 'D4', representation='standard')
    x = noise(space)
    for left in actions:
        for right in actions:
            product = left @ right
            assert isinstance(product, GridAction)
            assert product in actions
            np.testing.assert_allclose(
                array(product(x)), array(left(right(x))), atol=1e-15
            )


def test_translations_multiply_with_any_representation():
    """A shift times an action has the representation of the action."""
    space = plane() ** 2
    turn = Rotation(space, np.pi / 2, representation='standard')
    shift = Translation(space, (0.25, -0.5))
    x = noise(space)
    other = Translation(space, (0.25, 0), representation='standard')
    moving = Rotation(space, np.pi / 2)
    for left, right, expected in (
        (shift, turn, 'standard'),
        (turn, shift, 'standard'),
        (other, moving, None),
        (moving, other, None),
    ):
        product = left @ right
        assert isinstance(product, GridAction)
        assert product.representation == expected
        np.testing.assert_allclose(
            array(product(x)), array(left(right(x))), atol=1e-15
        )
    mixed = turn @ Rotation(space, np.pi / 2)
    assert isinstance(mixed, odl.OperatorComp)


def test_equality_tells_representations_apart():
    """Actions that turn values in another way are different."""
    space = plane() ** 2
    assert Rotation(space, np.pi, representation='standard') != Rotation(
        space, np.pi
    )
    assert Rotation(space, np.pi, representation='standard') == Rotation(
        space, np.pi, representation='standard'
    )


@pytest.mark.parametrize('name', ['C4', 'C8', 'D4', 'SO(2)', 'O(2)'])
def test_escnn_standard_representation(name):
    """Frequency 1 of escnn's groups of the plane is the standard one."""
    group = groups()
    vectors = {
        'C4': lambda: group.cyclic_group(4).irrep(1),
        'C8': lambda: group.cyclic_group(8).irrep(1),
        'D4': lambda: group.dihedral_group(4).irrep(1, 1),
        'SO(2)': lambda: group.so2_group(2).standard_representation(),
        'O(2)': lambda: group.o2_group(2).standard_representation(),
    }[name]()
    space = plane() ** 2
    x = noise(space)
    elements = 'D4' if name in ('D4', 'O(2)') else 'C4'
    for one, other in zip(
        group_actions(space, elements, representation=vectors),
        group_actions(space, elements, representation='standard'),
        strict=True,
    ):
        np.testing.assert_allclose(array(one(x)), array(other(x)), atol=1e-14)


def test_regular_representation():
    """In D8 products and inverses hold on regular fields, up to rounding."""
    regular = groups().dihedral_group(8).regular_representation
    space = plane(shape=(7, 7)) ** 16
    actions = group_actions(space, 'D8', 'fourier', representation=regular)
    x = noise(space)
    for left in actions[3::4]:
        assert left.is_isometry
        np.testing.assert_allclose(
            array(left.inverse(left(x))), array(x), atol=1e-13
        )
        for right in actions[1::5]:
            product = left @ right
            assert product in actions
    quarter = actions[2]
    assert quarter.is_exact
    assert set(map(float, array(quarter(space.one())).ravel())) == {1.0}


def test_equivariant_convolution_between_fields():
    """A convolution from scalars to regular fields turns them as pi says."""
    import torch

    from odl_equivariant.nn.escnn.library import enn, gspaces

    torch.manual_seed(0)
    gspace = gspaces.flipRot2dOnR2(4)
    scalars = enn.FieldType(gspace, [gspace.trivial_repr])
    fields = enn.FieldType(gspace, [gspace.regular_repr])
    convolution = enn.R2Conv(scalars, fields, 3, padding=1).eval()

    class Module(torch.nn.Module):
        def forward(self, x):
            return convolution(enn.GeometricTensor(x, scalars)).tensor

    space = plane(dtype='float32')
    operator = NetworkOperator(Module(), space, space**8)
    regular = gspace.regular_repr
    for action, range_action in zip(
        group_actions(space, 'D4'),
        group_actions(space**8, 'D4', representation=regular),
        strict=True,
    ):
        assert equivariance_error(operator, action, range_action) < 1e-5
    for action, wrong in zip(
        group_actions(space, 'D4')[1:],
        group_actions(space**8, 'D4')[1:],
        strict=True,
    ):
        assert equivariance_error(operator, action, wrong) > 0.1


def test_vector_fields_in_space():
    """In 3D, gradients are vector fields that turn about the axis."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (6, 6, 6))
    gradient = odl.Gradient(space, method='central', pad_mode='symmetric')
    for axis in range(3):
        action = Rotation(space, np.pi / 2, axis=axis)
        turned = Rotation(
            gradient.range, np.pi / 2, axis=axis, representation='standard'
        )
        assert equivariance_error(gradient, action, turned) < 1e-14


@pytest.mark.slow
def test_escnn_representation_in_space():
    """Representations of SO(3) and of the octahedral group are taken."""
    group = groups()
    space = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4)) ** 3
    x = noise(space)
    expected = Rotation(space, np.pi / 2, axis=0, representation='standard')
    for vectors in (
        group.so3_group(1).standard_representation(),
        group.octa_group().standard_representation,
    ):
        action = Rotation(space, np.pi / 2, axis=0, representation=vectors)
        np.testing.assert_allclose(
            array(action(x)), array(expected(x)), atol=1e-12
        )


def test_reflections_in_space():
    """In O(3) reflections turn vectors, and a mirror is not in SO(3)."""
    group = groups()
    space = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4)) ** 3
    x = noise(space)
    mirror = Reflection(space, 2, representation='standard')
    vectors = group.o3_group(1).standard_representation()
    action = Reflection(space, 2, representation=vectors)
    np.testing.assert_allclose(array(action(x)), array(mirror(x)), atol=1e-12)
    rotations = group.so3_group(1).standard_representation()
    with pytest.raises(ValueError, match=r'O\(3\) with reflections'):
        Reflection(space, 2, representation=rotations)


def test_a_wrong_number_of_components_is_refused():
    """The error names the size that fits."""
    for space in (plane(), plane() ** 3):
        with pytest.raises(ValueError, match=r'space \*\* 2'):
            Rotation(space, np.pi, representation='standard')
    regular = groups().cyclic_group(4).regular_representation
    with pytest.raises(ValueError, match=r'space \*\* 4'):
        Rotation(plane() ** 2, np.pi, representation=regular)


def test_an_element_of_another_group_is_refused():
    """The error names the groups that have the element."""
    space = plane() ** 2
    vectors = groups().cyclic_group(4).irrep(1)
    with pytest.raises(ValueError, match='C4 .*of C8, of CN with N a'):
        Rotation(space, np.pi / 4, 'linear', representation=vectors)
    with pytest.raises(ValueError, match='representations of SO'):
        Rotation(space, 0.123, 'linear', representation=vectors)
    with pytest.raises(ValueError, match=r'representations of D2, .*O\(2\)'):
        Reflection(space, 0, representation=vectors)
    rotations = groups().so2_group(2).standard_representation()
    with pytest.raises(ValueError, match=r'SO\(2\) of the repr.* O\(2\) fit'):
        Reflection(space, 0, representation=rotations)


def test_a_group_of_another_dimension_is_refused():
    """A group of the space does not turn the plane."""
    vectors = groups().so3_group(1).standard_representation()
    with pytest.raises(ValueError, match=r'2 x 2 matrices .*SO\(3\)'):
        Rotation(plane() ** 3, np.pi, representation=vectors)


@pytest.mark.parametrize('representation', ['vectors', 4, 'regular', object()])
def test_what_is_no_representation_is_refused(representation):
    """The error lists what can be given."""
    with pytest.raises(TypeError, match="'trivial', 'standard' or an escnn"):
        Rotation(plane() ** 2, np.pi, representation=representation)


def test_other_things_of_escnn_are_refused():
    """The error says what to take of a `FieldType` or a `GSpace`."""
    from odl_equivariant.nn.escnn.library import enn, gspaces

    space = plane() ** 2
    for gspace in (gspaces.rot2dOnR2(4), gspaces.flip2dOnR2(0.0)):
        fields = enn.FieldType(gspace, 2 * [gspace.trivial_repr])
        for value, match in (
            (fields, 'its attribute `representation`'),
            (gspace, "'standard' for vector fields"),
        ):
            with pytest.raises(TypeError, match=f"(?s)'trivial', .*{match}"):
                Rotation(space, np.pi, representation=value)
            with pytest.raises(TypeError, match='(?s)C4.*pass the name'):
                group_actions(space, value)
    quarter = gspaces.rot2dOnR2(4)
    vectors = enn.FieldType(quarter, [quarter.irrep(1)]).representation
    action = Rotation(space, np.pi / 2, representation=vectors)
    x = noise(space)
    standard = Rotation(space, np.pi / 2, representation='standard')
    np.testing.assert_allclose(array(action(x)), array(standard(x)))


def test_names_of_networks_are_known():
    """'trivial' and 'vector' are what networks call None and 'standard'."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 4)) ** 2
    for own, theirs in ((None, 'trivial'), ('standard', 'vector')):
        g = Rotation(space, np.pi / 2, representation=own)
        h = Rotation(space, np.pi / 2, representation=theirs)
        assert g == h
        assert h.representation == own
        assert (g @ h).representation == own
