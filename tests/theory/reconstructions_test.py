# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Reconstructions that are equivariant, and reconstructions that are not.

Celledoni et al., *Equivariant neural networks for inverse problems*,
Inverse Problems 37 (2021), 085006.
"""

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.functionals import L2NormSquared

from odl_equivariant.actions import group_actions, induced_action
from odl_equivariant.diagnostics import (
    TOLERANCES,
    assert_equivariant,
    assert_reconstruction_equivariant,
    equivariance_error,
    reconstruction_equivariance_error,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.functionals import (
    InvariantTotalVariation,
    LearnedProximal,
)
from odl_equivariant.nn import (
    DualProximal,
    EquivariantProximal,
    LearnedHalfQuadraticSplitting,
    LearnedPrimalDual,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    OrdinaryProximal,
)
from odl_equivariant.operators import (
    SensitivityEncoding,
    SubsampledFourierTransform,
    UnitaryFourierTransform,
    operator_norm,
)

each_element = pytest.mark.parametrize('index', range(1, 8))


def square(size=8, dtype='float64'):
    """Return a space on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], (size, size), dtype=dtype)


class Blur(odl.Operator):
    """Periodic mean with the four neighbours, its own adjoint."""

    def __init__(self, space):
        """Initialize a new instance."""
        super().__init__(space, space, linear=True)

    def _call(self, x):
        data = x.asarray()
        shifted = [np.roll(data, s, a) for s in (1, -1) for a in (0, 1)]
        return self.range.element(data / 2 + sum(shifted) / 8)

    @property
    def adjoint(self):
        """The blur itself."""
        return self


def half_mask(space):
    """Return the projection that keeps the left half of an image."""
    left = space.element(lambda x: 1.0 * (x[0] < 0) + 0 * x[1])
    return odl.MultiplyOperator(left, space, space)


def reconstruct(operator, data, make_regulariser, n_iterations=40, step=0.9):
    """Return an approximate minimiser, from proximal gradient steps."""
    x = operator.domain.zero()
    regulariser = make_regulariser(operator.domain)
    fit = 0.5 * L2NormSquared(operator.range).translated(data) * operator
    odl.solvers.proximal_gradient(x, regulariser, fit, step, n_iterations)
    return x


class Reconstruction(odl.Operator):
    """The map from data to the minimiser, for one forward operator."""

    def __init__(self, operator, make_regulariser):
        """Initialize a new instance."""
        super().__init__(operator.range, operator.domain)
        self.operator = operator
        self.make_regulariser = make_regulariser

    def _call(self, data):
        return reconstruct(self.operator, data, self.make_regulariser)


def object_on(space):
    """Return an image without symmetry: an edge and a corner."""
    return space.element(
        lambda x: (
            1.0 * (x[0] + 0.3 > 0.4 * x[1])
            + 0.7 * ((x[1] > 0.2) & (x[0] < 0.5))
        )
    )


def total_variation(weight=0.02):
    """Return what makes a regulariser that knows no earlier images."""
    return lambda space: (
        weight * InvariantTotalVariation(space, 'periodic', warm_start=True)
    )


# --- As maps of the data --- #


def test_blurring_is_equivariant(law):
    """A (g . u) = g . A u, the assumption of the next law."""
    space = square()
    law.holds(assert_equivariant(Blur(space), group_actions(space, 'D4')))


def test_deblurring_is_equivariant(law):
    """If J is invariant and A equivariant, u(g . y) = g . u(y)."""
    space = square()
    y = Blur(space)(object_on(space))
    method = Reconstruction(Blur(space), total_variation())
    assert norm(space, method(y) - y) > 0.02 * norm(space, y)
    actions = group_actions(space, 'D4')[1:6:2]
    law.holds(assert_equivariant(method, actions, x=y))


def test_a_mask_is_not_equivariant(law):
    """The mask does not turn with the image, so the assumption fails."""
    space = square()
    g = group_actions(space, 'C4')[1]
    law.fails(equivariance_error(half_mask(space), g), 0.5)


@pytest.mark.slow
def test_inpainting_is_a_counterexample(law):
    """Total variation inpainting: J is invariant, the minimiser is not.

    The data are zero where the image is not known. After the turn, some of
    these zeros lie inside of the mask and count as known.
    """
    space = square()
    g = group_actions(space, 'C4')[1]
    mask = half_mask(space)
    y = mask(object_on(space))
    method = Reconstruction(mask, total_variation())
    inpainted = method(y)
    # it has filled in what was not known
    unknown = inpainted - mask(inpainted)
    assert norm(space, unknown) > 0.1 * norm(space, y)
    law.fails(equivariance_error(method, g, x=y), 0.3)


def test_inpainting_of_a_mask_that_is_symmetric_is_equivariant(law):
    """With a disc as the mask, inpainting is equivariant."""
    space = square()
    disc = space.element(lambda x: 1.0 * (x[0] ** 2 + x[1] ** 2 > 0.3))
    mask = odl.MultiplyOperator(disc, space, space)
    y = mask(object_on(space))
    method = Reconstruction(mask, total_variation())
    law.holds(assert_equivariant(method, group_actions(space, 'C4')[1:2], x=y))


# --- As maps of the data and of the forward operator --- #


def steps(make_regulariser, n_iterations, step=0.9):
    """Return a reconstruction, as a map of the operator and the data."""
    return lambda operator, y: reconstruct(
        operator, y, make_regulariser, n_iterations, step
    )


@each_element
def test_inpainting_with_the_mask_turned_too_is_equivariant(law, index):
    """u(y; A T_g) = g^-1 . u(y; A), for any A."""
    space = square()
    mask = half_mask(space)
    g = group_actions(space, 'D4')[index]
    y = mask(object_on(space))
    method = steps(total_variation(), 15)
    law.holds(assert_reconstruction_equivariant(method, mask, g, y))


def ray_transform(size=8, dtype='float64'):
    """Return a ray transform with few views, all on one side."""
    space = square(size, dtype)
    geometry = parallel_beam_geometry(space, 3, 13)
    return RayTransform(space, geometry, impl='astra_matrix')


def test_tomography_with_the_geometry_turned_too_is_equivariant(law):
    """The same for a ray transform with views from one side."""
    operator = ray_transform()
    space = operator.domain
    g = group_actions(space, 'C4')[1]
    y = operator(object_on(space))
    method = steps(total_variation(0.01), 15, 0.1)
    upright = method(operator, y)
    assert norm(space, g(upright) - upright) > 0.1 * norm(space, upright)
    error = reconstruction_equivariance_error(method, operator, g, y)
    law.holds(error, 1e-8)


def learned(block):
    """Return what makes a learned proximal with random weights."""
    torch.manual_seed(1)
    module = block(channels=8, memory=0, gradient=False).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.2)
    return lambda space: LearnedProximal(space, module)


def learned_error(block):
    """Return the error with learned proximals in place of exact ones."""
    operator = ray_transform()
    g = group_actions(operator.domain, 'C4')[1]
    method = steps(learned(block), 4, 0.1)
    return reconstruction_equivariance_error(
        method, operator, g, operator(object_on(operator.domain))
    )


def test_equivariant_networks_in_place_of_proximals_do_as_well(law):
    """The same for a learned proximal in a solver."""
    law.holds(learned_error(EquivariantProximal), 1e-10)


def test_ordinary_networks_in_place_of_proximals_do_not(law):
    """The same fails for ordinary networks in a solver."""
    law.fails(learned_error(OrdinaryProximal), 1e-2)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@each_element
def test_the_unrolled_method_is_equivariant(law, index, impl, dtype):
    """Phi(y; A T_g) = g^-1 . Phi(y; A) for algorithm 2 and any weights."""
    space = odl.uniform_discr([-1, -1], [1, 1], (7, 7), dtype=dtype, impl=impl)
    torch.manual_seed(2)
    network = LearnedProximalGradient(
        half_mask(space),
        lambda: EquivariantProximal(channels=8, group='D4', memory=2),
        n_iterations=3,
    )
    network = network.to(getattr(torch, dtype))
    error = assert_reconstruction_equivariant(
        lambda A, y: network.with_operator(A).as_operator()(y),
        half_mask(space),
        group_actions(space, 'D4')[index],
    )
    law.holds(error, TOLERANCES[dtype])


def operators_without_symmetry():
    """Return operators, no two of which are alike, that no action keeps."""
    rng = np.random.default_rng(4)
    space = square(7)
    images = square(7, 'complex128')
    maps = rng.standard_normal((3, 7, 7)) + 1j * rng.standard_normal((3, 7, 7))
    coils = SensitivityEncoding(images, maps)
    mask = rng.random((7, 7)) < 0.5
    matrix = rng.standard_normal((49, 49))
    flat = odl.FlatteningOperator(space)
    return {
        'coils': coils,
        'coils, all samples': UnitaryFourierTransform(coils.range) @ coils,
        'coils, some samples': SubsampledFourierTransform(coils.range, mask)
        @ coils,
        'derivative': odl.PartialDerivative(space, 0),
        'gradient': odl.Gradient(space),
        'multiplication': odl.MultiplyOperator(
            space.element(rng.uniform(0.5, 1, space.shape)), space, space
        ),
        'matrix': odl.MatrixOperator(matrix, flat.range, flat.range) @ flat,
        'few views': ray_transform(7),
    }


@pytest.mark.parametrize('kind', operators_without_symmetry())
def test_the_unrolled_method_is_equivariant_whatever_is_measured(law, kind):
    """The same for operators of all kinds, with steps of 1 / ||A||^2."""
    operator = operators_without_symmetry()[kind]
    space = operator.domain
    torch.manual_seed(2)
    network = LearnedProximalGradient(
        operator,
        lambda: EquivariantProximal(
            2 if space.is_complex else 1, channels=8, group='D4', memory=2
        ),
        n_iterations=3,
        initial='fbp' if kind == 'few views' else 'adjoint',
    ).double()
    for action in group_actions(space, 'D4')[1:]:
        error = reconstruction_equivariance_error(
            lambda A, y: network.with_operator(A).as_operator()(y),
            operator,
            action,
        )
        law.holds(error, 1e-12)


def splitting(operator, group):
    """Return a network of half-quadratic splitting with random weights."""
    torch.manual_seed(2)
    network = LearnedHalfQuadraticSplitting(
        operator,
        # one channel, also for the parts of complex images
        lambda: MultiscaleDenoiser(group, 1, 8, n_scales=1, n_blocks=1),
        n_iterations=3,
        inner_iterations=3,
        relative_steps=(10.0, 1.0),
    )
    with torch.no_grad():
        for parameter in network.blocks.parameters():
            # what starts at zero, too
            parameter += 0.05 * torch.randn_like(parameter)
    return network.double()


@pytest.mark.parametrize('kind', operators_without_symmetry())
def test_learned_half_quadratic_splitting_is_equivariant(law, kind):
    """Phi(y; A T_g) = T_g^-1 Phi(y; A), for denoisers that are equivariant."""
    operator = operators_without_symmetry()[kind]
    network = splitting(operator, 'D4')
    for action in group_actions(operator.domain, 'D4')[1:]:
        error = reconstruction_equivariance_error(
            lambda A, y: network.with_operator(A).as_operator()(y),
            operator,
            action,
        )
        law.holds(error, 1e-10)


def test_learned_half_quadratic_splitting_with_ordinary_denoisers_is_not(law):
    """With ordinary denoisers, the image does not turn as the scanner does."""
    operator = ray_transform(7)
    network = splitting(operator, None)
    for action in group_actions(operator.domain, 'D4')[1:]:
        error = reconstruction_equivariance_error(
            lambda A, y: network.with_operator(A).as_operator()(y),
            operator,
            action,
        )
        law.fails(error, 1e-3)


def primal_dual(operator, group, dual_group=None, n=1, **kwargs):
    """Return a learned primal-dual network with random weights."""
    torch.manual_seed(2)
    network = LearnedPrimalDual(
        operator,
        lambda: EquivariantProximal(n, channels=8, group=group, memory=2),
        lambda: DualProximal(
            n, 6, group=dual_group or group, memory=2, **kwargs
        ),
        n_iterations=3,
    )
    with torch.no_grad():
        # what starts at zero, too
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    dtype = str(operator.domain.real_dtype)
    return network.to(getattr(torch, dtype))


def error_of_turned_data(network, move_data, move_image):
    """Return the relative error of the reconstruction of turned data."""
    space = network.forward_operator.range
    torch.manual_seed(3)
    y = torch.randn_like(as_tensor(space.zero()))
    turned = as_tensor(move_data(as_element(y, space)))
    with torch.no_grad():
        method = network.as_operator()
        expected = move_image(method(as_element(y, space)))
        found = method(as_element(turned, space))
    return norm(move_image.domain, found - expected) / norm(
        move_image.domain, expected
    )


@pytest.mark.parametrize('kind', operators_without_symmetry())
def test_the_learned_primal_dual_method_is_equivariant(law, kind):
    """Phi(y; A T_g) = g^-1 . Phi(y; A), whatever the data-side blocks."""
    operator = operators_without_symmetry()[kind]
    space = operator.domain
    as_tensor_of_data = as_tensor(operator.range.zero())
    torch.manual_seed(2)
    network = LearnedPrimalDual(
        operator,
        lambda: EquivariantProximal(
            2 if space.is_complex else 1, channels=8, group='D4', memory=2
        ),
        lambda: DualProximal(
            as_tensor_of_data.shape[1],
            6,
            'C1',
            kernel_size=3 if as_tensor_of_data.ndim == 4 else 1,
        ),
        n_iterations=3,
        initial='fbp' if kind == 'few views' else 'adjoint',
    ).double()
    for action in group_actions(space, 'D4')[1:]:
        error = reconstruction_equivariance_error(
            lambda A, y: network.with_operator(A).as_operator()(y),
            operator,
            action,
        )
        law.holds(error, 1e-12)


def many_views(dtype='float64', n_views=6, size=7):
    """Return a ray transform whose data follow turns and reflections."""
    space = square(size, dtype)
    geometry = parallel_beam_geometry(space, n_views, 13)
    return RayTransform(space, geometry, impl='astra_matrix')


@pytest.mark.parametrize('group', ['C4', 'D4'])
@pytest.mark.parametrize('size', [7, 8])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_the_learned_primal_dual_method_follows_turned_data(
    law, dtype, size, group
):
    """Phi(S_g y; A) = g . Phi(y; A) for data-side convolutions, too."""
    operator = many_views(dtype, 6, size)
    network = primal_dual(operator, group)
    for g in group_actions(operator.domain, group)[1:]:
        error = error_of_turned_data(network, induced_action(operator, g), g)
        law.holds(error, TOLERANCES[dtype])


def test_learned_primal_dual_with_blocks_of_single_rays_follows_all(law):
    """The same for data-side blocks that treat each ray alike."""
    space = odl.uniform_discr([-1, -1], [1, 1], (7, 7), dtype='complex128')
    mask = np.random.default_rng(0).random((7, 7)) < 0.5
    mask = np.logical_or.reduce([np.rot90(mask, k) for k in range(4)])
    assert not mask.all()
    operator = SubsampledFourierTransform(space, mask)
    network = primal_dual(operator, 'C4', n=2, kernel_size=1)
    # on a grid with an odd number of points, samples turn with the image
    moves = zip(
        group_actions(space, 'C4')[1:],
        group_actions(operator.range, 'C4')[1:],
        strict=True,
    )
    for g, of_data in moves:
        error = error_of_turned_data(network, of_data, g)
        law.holds(error, 1e-10)


def test_learned_primal_dual_with_ordinary_data_side_blocks_does_not(law):
    """The same fails for ordinary convolutions of the data."""
    operator = many_views()
    network = primal_dual(operator, 'C4', 'C1')
    g = group_actions(operator.domain, 'C4')[1]
    error = error_of_turned_data(network, induced_action(operator, g), g)
    law.fails(error, 1e-2)


def test_learned_primal_dual_with_ordinary_image_side_blocks_does_not(law):
    """Nor does it hold for ordinary blocks of the images."""
    operator = many_views()
    network = LearnedPrimalDual(
        operator,
        lambda: OrdinaryProximal(channels=8, memory=2),
        lambda: DualProximal(1, 6, memory=2),
        n_iterations=3,
    ).double()
    g = group_actions(operator.domain, 'C4')[1]
    error = error_of_turned_data(network, induced_action(operator, g), g)
    law.fails(error, 1e-2)


def turned_as_an_array(kind, action):
    """Return an operator and T_g^-1 A T_g, made from arrays that are turned.

    On a grid with an odd number of points, the transform turns with them.
    """
    space = action.domain
    back = action.inverse
    rng = np.random.default_rng(5)

    def turned(array):
        return back(space.element(array)).asarray()

    if kind == 'matrix':
        matrix = rng.standard_normal((49, 49))
        flat = odl.FlatteningOperator(space)
        places = turned(np.arange(49.0).reshape(7, 7)).ravel().astype(int)
        return [
            flat.inverse @ odl.MatrixOperator(m, flat.range, flat.range) @ flat
            for m in (matrix, matrix[np.ix_(places, places)])
        ]
    if kind == 'multiplication':
        array = rng.uniform(0.5, 1, space.shape)
        return [
            odl.MultiplyOperator(space.element(a), space, space)
            for a in (array, turned(array))
        ]
    maps = rng.standard_normal((3, 7, 7)) + 1j * rng.standard_normal((3, 7, 7))
    mask = (rng.random((7, 7)) < 0.5) + 0j
    pairs = (maps, mask), (np.stack(list(map(turned, maps))), turned(mask))
    encodings = [SensitivityEncoding(space, coils) for coils, _ in pairs]
    if kind == 'coils':
        return encodings
    return [
        SubsampledFourierTransform(coils.range, where.real) @ coils
        for coils, (_, where) in zip(encodings, pairs, strict=True)
    ]


@each_element
@pytest.mark.parametrize(
    'kind', ['coils', 'coils, some samples', 'multiplication', 'matrix']
)
def test_the_unrolled_method_follows_arrays_that_are_turned(
    law, rng, kind, index
):
    """Phi(g^-1 . y; g^-1 A g) = g^-1 . Phi(y; A) for turned arrays.

    The operator does not know that it was turned.
    """
    space = square(7, 'complex128' if 'coils' in kind else 'float64')
    action = group_actions(space, 'D4')[index]
    operator, turned = turned_as_an_array(kind, action)
    torch.manual_seed(2)
    network = LearnedProximalGradient(
        operator,
        lambda: EquivariantProximal(
            2 if space.is_complex else 1, channels=8, group='D4', memory=2
        ),
        n_iterations=3,
        initial='adjoint',
    ).double()
    y = random_element(operator.range, rng)
    turn_data = group_actions(operator.range, 'D4')[index]
    moved = turn_data.inverse(y)
    expected = action.inverse(network.as_operator()(y))
    gap = network.with_operator(turned).as_operator()(moved) - expected
    law.holds(norm(space, gap) / norm(space, expected), 1e-12)


@pytest.mark.parametrize('kind', operators_without_symmetry())
def test_actions_do_not_change_the_norm(law, kind):
    """||A T_g|| = ||A||, which the steps need."""
    operator = operators_without_symmetry()[kind]
    norm = operator_norm(operator)
    for action in group_actions(operator.domain, 'D4')[1:]:
        law.holds(abs(operator_norm(operator @ action) / norm - 1), 1e-12)


def test_the_ordinary_unrolled_method_is_not(law):
    """The same fails for ordinary proximals."""
    space = square(7)
    torch.manual_seed(2)
    network = LearnedProximalGradient(
        half_mask(space),
        lambda: OrdinaryProximal(channels=8, memory=2),
        n_iterations=3,
    ).double()
    error = reconstruction_equivariance_error(
        lambda A, y: network.with_operator(A).as_operator()(y),
        half_mask(space),
        group_actions(space, 'C4')[1],
    )
    law.fails(error, 0.01)


def test_noise_need_not_be_turned(law, rng):
    """The law holds for all y, also outside of the range of A."""
    operator = ray_transform()
    g = group_actions(operator.domain, 'C4')[3]
    y = random_element(operator.range, rng)
    method = steps(total_variation(0.01), 10, 0.1)
    error = reconstruction_equivariance_error(method, operator, g, y)
    law.holds(error, 1e-8)
