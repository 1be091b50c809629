# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of functionals that are known by a learned proximal."""

import contextlib
import math
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant import models
from odl_equivariant.actions import Rotation, group_actions
from odl_equivariant.data import ellipse_phantom
from odl_equivariant.diagnostics import (
    assert_equivariant,
    derivative_error,
    equivariance_error,
    firm_nonexpansiveness_error,
    isometry_error,
    linearity_error,
    lipschitz_estimate,
)
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, n_channels
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    AveragedProximal,
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    MultiscaleDenoiser,
    Normalised,
    OrdinaryProximal,
)
from odl_equivariant.operators import NetworkOperator

dtype = simple_fixture('dtype', ['float32', 'complex128'])


class Shrink(nn.Module):
    """Proximal of half the squared norm."""

    def forward(self, x, sigma):
        return x / (1 + sigma)


class Tanh(nn.Module):
    """Module without a parameter sigma."""

    def forward(self, x):
        return torch.tanh(x)


class Bend(nn.Module):
    """Map that depends on sigma in no simple way."""

    def forward(self, x, sigma):
        return torch.tanh(x) / (1 + sigma**2)


def image_space(dtype='float32', backend='numpy', size=6):
    """Return a space on a square grid."""
    return odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=backend
    )


def denoiser(space, group='C4', **kwargs):
    """Return an untrained denoiser for images of a space."""
    return EquivariantProximal(
        in_channels=n_channels(space),
        channels=8,
        group=group,
        memory=0,
        gradient=False,
        **kwargs,
    )


def close(ours, theirs):
    """Assert that an element or tensor has the values of another."""
    ours, theirs = (
        x if isinstance(x, torch.Tensor) else as_tensor(x)
        for x in (ours, theirs)
    )
    tol = 1e-6 if ours.dtype == torch.float32 else 1e-13
    torch.testing.assert_close(ours, theirs, rtol=tol, atol=tol)


# --- The proximal --- #


def test_proximal_is_the_module_at_sigma(dtype, backend, rng):
    """``proximal(sigma)(x)`` is ``module(x, sigma)`` on the tensors."""
    space = image_space(dtype, backend)
    x = random_element(space, rng)
    functional = LearnedProximal(space, Bend())
    for sigma in (0.1, 2.0):
        proximal = functional.proximal(sigma)
        assert isinstance(proximal, odl.Operator)
        assert proximal.domain == proximal.range == space
        close(proximal(x), Bend()(as_tensor(x), sigma))


def test_proximal_does_not_need_sigma(dtype, backend, rng):
    """A module without ``sigma`` is the proximal for all parameters."""
    space = image_space(dtype, backend)
    x = random_element(space, rng)
    functional = LearnedProximal(space, Tanh())
    for sigma in (0.1, 2.0):
        close(functional.proximal(sigma)(x), torch.tanh(as_tensor(x)))


@pytest.mark.parametrize(
    'module',
    [
        AveragedProximal(channels=8, noise_level=False),
        MultiscaleDenoiser(channels=8, n_scales=1, noise_level=False),
        GradientStepDenoiser(
            GradientStepEnergy(AveragedProximal(channels=8, noise_level=False))
        ),
    ],
    ids=lambda module: type(module).__name__,
)
def test_modules_without_a_noise_level_are_given_none(module):
    """What was made without one, and would refuse it, is applied as it is."""
    space = odl.uniform_discr([0, 0], [1, 1], (9, 9), dtype='float32')
    x = space.element(lambda x: x[0] * x[1])
    y = LearnedProximal(space, module).proximal(0.3)(x)
    expected = module(as_tensor(x))
    torch.testing.assert_close(as_tensor(y), expected.detach())


@pytest.mark.parametrize(
    'sigma',
    [2, np.float32(2), np.float64(2), np.array(2.0), torch.tensor(2.0)],
)
def test_any_number_is_a_parameter(sigma):
    """Solvers pass Python's numbers and NumPy's."""
    space = image_space()
    functional = LearnedProximal(space, Shrink())
    close(functional.proximal(sigma)(space.one()), space.one() / 3)


def test_proximal_may_overwrite_its_argument(dtype, backend, rng):
    """``proximal(x, out=x)`` gives the values of ``proximal(x)``."""
    space = image_space(dtype, backend)
    x = random_element(space, rng)
    proximal = LearnedProximal(space, Bend()).proximal(0.5)
    expected = as_tensor(proximal(x))
    proximal(x, out=x)
    close(x, expected)


def test_denoiser_depends_on_the_noise_level(dtype, backend, rng):
    """With ``noise_level=True``, another sigma gives another image."""
    space = image_space(dtype, backend)
    module = denoiser(space, noise_level=True)
    module.to(as_tensor(space.zero()).dtype)
    functional = LearnedProximal(space, module)
    x = random_element(space, rng)
    little, much = functional.proximal(0.1)(x), functional.proximal(10.0)(x)
    assert float((little - much).norm()) > 0.1 * float(little.norm())
    with torch.no_grad():
        close(much, module(as_tensor(x), sigma=10.0))


@pytest.mark.parametrize('group, size', [('C4', 6), ('D4', 7)])
@pytest.mark.parametrize('real_or_complex', ['float32', 'complex64'])
def test_proximal_is_as_equivariant_as_its_module(
    backend, group, size, real_or_complex
):
    """``prox(g.u) = g.prox(u)`` for the group of the module."""
    space = image_space(real_or_complex, backend, size)
    module = denoiser(space, group, noise_level=True)
    proximal = LearnedProximal(space, module).proximal(0.3)
    assert_equivariant(proximal, group_actions(space, group), tol=1e-5)


def test_functional_follows_its_weights():
    """Changing the module changes the proximal."""
    space = image_space()
    module = nn.Conv2d(1, 1, 1)
    proximal = LearnedProximal(space, module).proximal(1.0)
    nn.init.zeros_(module.weight)
    nn.init.constant_(module.bias, 3.0)
    close(proximal(space.one()), 3 * space.one())


# --- The calculus of functionals --- #


def test_multiple_scales_the_parameter(backend, rng):
    """The proximal of ``c f`` is that of ``f`` at ``c sigma``."""
    space = image_space('float64', backend)
    x = random_element(space, rng)
    functional = LearnedProximal(space, Bend())
    close((0.25 * functional).proximal(2.0)(x), functional.proximal(0.5)(x))


def test_translation_moves_the_proximal(backend, rng):
    """The proximal of ``f(. - y)`` is ``y + prox(. - y)``."""
    space = image_space('float64', backend)
    x, y = random_element(space, rng), random_element(space, rng)
    functional = LearnedProximal(space, Bend())
    expected = y + functional.proximal(0.5)(x - y)
    close(functional.translated(y).proximal(0.5)(x), expected)


def test_convex_conjugate_has_the_proximal_of_moreau(dtype, backend, rng):
    """``prox_{s f*}(x) = x - s prox_{f / s}(x / s)``."""
    space = image_space(dtype, backend)
    x = random_element(space, rng)
    functional = LearnedProximal(space, Bend())
    expected = x - 0.5 * functional.proximal(2.0)(2.0 * x)
    close(functional.convex_conj.proximal(0.5)(x), expected)


def test_conjugate_of_a_known_functional(dtype, backend, rng):
    """The conjugate of half the squared norm is itself."""
    space = image_space(dtype, backend)
    x = random_element(space, rng)
    functional = LearnedProximal(space, Shrink())
    close(functional.convex_conj.proximal(0.5)(x), x / 1.5)
    assert functional.convex_conj.convex_conj is functional


def test_separable_sum_has_the_proximals_of_its_parts(backend, rng):
    """A learned part and a known one make a functional of two images."""
    space = image_space('float64', backend)
    learned = LearnedProximal(space, Bend())
    norm = odl.functionals.L2NormSquared(space)
    sum_ = odl.functionals.SeparableSum(learned, norm)
    x = random_element(sum_.domain, rng)
    result = sum_.proximal(0.5)(x)
    close(result[0], learned.proximal(0.5)(x[0]))
    close(result[1], norm.proximal(0.5)(x[1]))


def test_vector_fields_are_possible(dtype, backend, rng):
    """The module of a product space sees the channels of all parts."""
    space = image_space(dtype, backend) ** 3
    x = random_element(space, rng)
    result = LearnedProximal(space, Bend()).proximal(0.5)(x)
    close(result, Bend()(as_tensor(x), 0.5))


# --- Units and parameters --- #

parameter = simple_fixture('parameter', ['deviation', 'variance'])


class Gaussian(nn.Module):
    """Denoiser by the prior of half the squared norm."""

    def forward(self, x, sigma):
        return x / (1 + sigma**2)


class Laplace(nn.Module):
    """Denoiser by the prior of the sum of magnitudes of real images."""

    def forward(self, x, sigma):
        return x.sign() * (x.abs() - sigma**2).clamp_min(0)


def test_scale_is_the_unit_of_the_module(dtype, backend, rng):
    """``prox(x)`` is ``scale * module(x / scale, sigma / scale)``."""
    space = image_space(dtype, backend)
    x = random_element(space, rng)
    for module in (Bend(), Tanh()):
        proximal = LearnedProximal(space, module, scale=3.0).proximal(0.6)
        level = () if isinstance(module, Tanh) else (0.2,)
        expected = 3 * module(as_tensor(x) / 3, *level)
        close(proximal(x), expected)
        proximal(x, out=x)
        close(x, expected)


@pytest.mark.parametrize('size', [6, 7])
def test_homogeneity_in_the_unit(dtype, backend, parameter, size, rng):
    """An image in another unit has the same proximal in that unit.

    To the last bit, where the units differ by a power of two.
    """
    space = image_space(dtype, backend, size)
    x = random_element(space, rng)
    module = denoiser(space, noise_level=True)
    module.to(as_tensor(x).dtype)
    for k in (0.5**10, 4.0):
        power = k**2 if parameter == 'variance' else k
        ours = LearnedProximal(space, module, 3 * k, parameter)
        theirs = LearnedProximal(space, module, 3, parameter)
        result = as_tensor(ours.proximal(0.25 * power)(k * x))
        expected = k * as_tensor(theirs.proximal(0.25)(x))
        assert torch.equal(result, expected)


@pytest.mark.parametrize('scale', [1.0, 0.25, 7.0])
@pytest.mark.parametrize(
    'module, norm',
    [
        (Gaussian(), lambda space: 0.5 * odl.functionals.L2NormSquared(space)),
        (Laplace(), odl.functionals.L1Norm),
    ],
    ids=['Gaussian', 'Laplace'],
)
def test_variance_is_the_parameter_of_a_known_functional(
    backend, module, norm, scale, rng
):
    """A denoiser by the prior R is that of ``R(x / scale)``, and multiples.

    The norms of ODL have the weight of the space, and so has R.
    """
    space = image_space('float64', backend, 5)
    x = random_element(space, rng)
    ours = LearnedProximal(space, module, scale, 'variance')
    # both norms are homogeneous
    degree = 2 if isinstance(module, Gaussian) else 1
    theirs = scale**-degree * norm(space)
    for sigma in (0.1, 2.0):
        close(ours.proximal(sigma)(x), theirs.proximal(sigma)(x))
        ours_2, theirs_2 = 0.3 * ours, 0.3 * theirs
        close(ours_2.proximal(sigma)(x), theirs_2.proximal(sigma)(x))


class Level(nn.Module):
    """Module that returns the noise level as an image."""

    def forward(self, x, sigma):
        return torch.full_like(x, sigma)


@pytest.mark.parametrize('scale', [1.0, 4.0])
def test_multiple_scales_deviation_or_variance(backend, parameter, scale):
    """``c f`` at sigma has the level c sigma, or its square root."""
    space = image_space('float64', backend)
    functional = LearnedProximal(space, Level(), scale, parameter)
    for c, sigma in ((1.0, 0.3), (0.25, 2.0), (9.0, 0.1)):
        level = c * sigma if parameter == 'deviation' else math.sqrt(c * sigma)
        multiple = (c * functional).proximal(sigma)(space.zero())
        close(multiple, level * space.one())
        close(multiple, functional.proximal(c * sigma)(space.zero()))


def test_deviation_is_the_default(rng):
    """Without arguments, sigma is the noise level and the unit 1."""
    space = image_space()
    functional = LearnedProximal(space, Level())
    assert (functional.scale, functional.parameter) == (1, 'deviation')
    close(functional.proximal(0.3)(space.zero()), 0.3 * space.one())


def test_another_zero_is_a_translation(dtype, backend, parameter, rng):
    """Images in the unit c and with the zero b have the same proximal."""
    space = image_space(dtype, backend)
    x, c, b = random_element(space, rng), 40.0, -10 * space.one()
    power = c**2 if parameter == 'variance' else c
    functional = LearnedProximal(space, Bend(), c, parameter).translated(b)
    plain = LearnedProximal(space, Bend(), parameter=parameter)
    result = functional.proximal(0.5 * power)(b + c * x)
    expected = b + c * plain.proximal(0.5)(x)
    tol = 1e-5 if dtype == 'float32' else 1e-13
    assert float((result - expected).norm()) < tol * float(expected.norm())


def test_derivative_in_another_unit(backend, rng):
    """The derivative at x is that of the module at ``x / scale``."""
    space = image_space('float64', backend)
    x, h = random_element(space, rng), random_element(space, rng)
    ours = LearnedProximal(space, Tanh(), 3.0).proximal(1.0).derivative(x)
    theirs = LearnedProximal(space, Tanh()).proximal(1.0).derivative(x / 3)
    close(ours(h), theirs(h))
    close(ours.adjoint(h), theirs.adjoint(h))


@pytest.mark.parametrize('name', ['denoiser_c4', 'denoiser_ordinary'])
@pytest.mark.parametrize(
    'scale, zero', [(1e-4, 0.0), (1e-2, 0.0), (4096.0, 0.0), (4072.0, -1001.0)]
)
def test_shipped_denoisers_work_in_every_unit(name, scale, zero, backend, rng):
    """Shipped denoisers remove as much noise from raw MR and from HU."""
    space = image_space('float32', backend, 64)
    truth = space.element(ellipse_phantom((64, 64), 3))
    noisy = truth + 0.05 * random_element(space, rng)
    module = models.load(name)
    expected = LearnedProximal(space, module).proximal(0.05)(noisy)
    assert float((expected - truth).norm() / (noisy - truth).norm()) < 0.5
    functional = LearnedProximal(space, module, scale)
    b = zero * space.one()
    result = functional.translated(b).proximal(0.05 * scale)(b + scale * noisy)
    gap = (result - b) / scale - expected
    assert float(gap.norm()) < 1e-5 * float(expected.norm())


@pytest.mark.parametrize('name', ['denoiser_c4', 'denoiser_ordinary'])
@pytest.mark.parametrize(
    'scale, zero', [(1, 0.0), (1e-4, 0.0), (1e-2, 0.0), (4072.0, -1001.0)]
)
def test_normalised_denoisers_need_no_scale(name, scale, zero, backend, rng):
    """In any unit they remove nearly the noise that is removed in their own.

    No warning is given, and nothing is said about the unit.
    """
    space = image_space('float32', backend, 64)
    truth = space.element(ellipse_phantom((64, 64), 3))
    noisy = truth + 0.05 * random_element(space, rng)
    module = models.load(name)
    own = LearnedProximal(space, module).proximal(0.05)(noisy)
    b = zero * space.one()
    functional = LearnedProximal(space, Normalised(module))
    result = functional.proximal(0.05 * scale)(b + scale * noisy)
    error = float(((result - b) / scale - truth).norm())
    # one decibel
    assert error < 1.12 * float((own - truth).norm())


def test_units_of_homogeneous_modules(rng):
    """A homogeneous module has the same proximal with every scale."""
    space = image_space('float32', size=16)
    module = OrdinaryProximal(
        channels=4,
        memory=0,
        gradient=False,
        noise_level=True,
        homogeneous=True,
    )
    x = random_element(space, rng)
    results = [
        LearnedProximal(space, module, scale).proximal(0.1)(x)
        for scale in (1.0, 256.0)
    ]
    assert results[0] == results[1]


def test_one_operator_for_one_parameter():
    """A solver with a fixed step gets one operator in all iterations."""
    space = odl.rn((4, 4), dtype='float32')
    functional = LearnedProximal(space, Shrink())
    first, one = functional.proximal(1.0), space.one()
    assert functional.proximal(1.0) is first
    assert float(functional.proximal(3.0)(one)[0, 0]) == 0.25
    assert float(functional.proximal(1.0)(one)[0, 0]) == 0.5
    functional.parameter = 'variance'
    assert float(functional.proximal(9.0)(one)[0, 0]) == 0.25
    functional.module = Tanh()
    assert functional.proximal(9.0).module is functional.module


def test_proximals_can_be_pickled(rng):
    """The unpickled proximal is the same, with unit and parameter."""
    space = image_space()
    x = random_element(space, rng)
    proximal = LearnedProximal(space, Bend(), 3.0, 'variance').proximal(0.5)
    close(pickle.loads(pickle.dumps(proximal))(x), proximal(x))


# --- Images in another unit than the weights expect --- #


def known(value_range=(0, 1), **kwargs):
    """Return a functional of a module that knows its range of values."""
    module = Bend()
    module.value_range = value_range
    return LearnedProximal(image_space(), module, **kwargs)


def ramp(low, high):
    """Return an image with values from one number to another."""
    return image_space().element(np.linspace(low, high, 36).reshape(6, 6))


@pytest.mark.parametrize(
    'low, high',
    [
        (0, 255),
        (-1000, 3000),
        (0, 2.1),
        (-1.1, 0.9),
        (-0.9, 0.1),
        (1.2, 1.5),
        (0, 0.04),
        (0.5, 0.54),
    ],
)
def test_images_far_outside_the_range_are_told(low, high):
    """The warning names both ranges, the advice, and the caller's line."""
    functional = known()
    match = f'values from {low} to {high},.*from 0 to 1 .*`scale=`'
    with pytest.warns(UserWarning, match=match) as record:
        functional.proximal(1.0)(ramp(low, high))
    assert record[0].filename == __file__
    # only what is near zero may be the start of a solver
    remark = 'starts from zero' in str(record[0].message)
    assert remark == (high < 0.05 and low > -0.05)


@pytest.mark.parametrize(
    'low, high',
    [(0, 1), (-0.9, 1.9), (-0.6, 0.2), (0.2, 0.26), (0, 0), (0.7, 0.7)],
)
def test_other_images_are_not(low, high):
    """Noise, dark images and constant images give no warning."""
    x = ramp(low, high)
    assert known().proximal(1.0)(x) in x.space


def indifferent(value_range=(0, 1), shifts=False):
    """Return a functional of a module that says it is homogeneous."""
    functional = known(value_range)
    functional.module.homogeneous = True
    functional.module.shift_equivariant = shifts
    return functional


@pytest.mark.parametrize(
    'low, high', [(0, 4e3), (0, 1e-5), (3.0, 3.1), (-0.4, 0.5), (-1, 0.9)]
)
def test_homogeneous_modules_take_any_unit(low, high):
    """Images of the same sign give no warning, whatever their unit."""
    up, down = ramp(low, high), ramp(-high, -low)
    assert indifferent().proximal(1.0)(up) in up.space
    assert indifferent((-1, 0)).proximal(1.0)(down) in down.space
    assert indifferent((-1, 1)).proximal(1.0)(down) in down.space


@pytest.mark.parametrize('low, high', [(-1000, 500), (-1e-3, -1e-4)])
def test_homogeneous_modules_do_not_take_any_zero(low, high):
    """No multiple of images from 0 to 1 has a negative mean."""
    with pytest.warns(UserWarning, match='their zero differs') as record:
        indifferent().proximal(1.0)(ramp(low, high))
    assert record[0].filename == __file__
    indifferent(shifts=True).proximal(1.0)(ramp(low, high))


@pytest.mark.parametrize(
    'low, high, fits',
    [(99, 100, True), (-5, -3, True), (0, 4, False), (9, 9.01, False)],
)
def test_modules_that_commute_with_shifts_have_a_unit(low, high, fits):
    """Their images may lie anywhere, and must be as wide as the range."""
    functional = known()
    functional.module.shift_equivariant = True
    with contextlib.ExitStack() as stack:
        if not fits:
            stack.enter_context(pytest.warns(UserWarning, match='scale='))
        functional.proximal(1.0)(ramp(low, high))


def test_normalised_modules_without_a_shift_have_a_zero():
    """`Normalised` with no shift is homogeneous, and no more."""
    module = Normalised(known().module, 'rms', None)
    functional = LearnedProximal(image_space(), module)
    functional.proximal(1.0)(ramp(0, 1e-5))
    with pytest.warns(UserWarning, match='their zero differs'):
        functional.proximal(1.0)(ramp(-1000, 100))


def test_range_is_in_the_unit_of_the_images():
    """With the right scale there is no warning, with a wrong one there is."""
    known(scale=255).proximal(1.0)(ramp(0, 255))
    match = 'from 0 to 255 .with scale=255'
    with pytest.warns(UserWarning, match=match):
        known(scale=255).proximal(1.0)(ramp(0, 1))


def test_warning_comes_once():
    """Another image, or a multiple of the functional, gives no second one."""
    functional = known()
    with pytest.warns(UserWarning) as record:
        for f in (functional, 2 * functional, functional.convex_conj):
            f.proximal(1.0)(ramp(0, 100))
            f.proximal(2.0)(ramp(0, 200))
    assert len(record) == 1
    with pytest.warns(UserWarning):
        known().proximal(1.0)(ramp(0, 100))


def test_warning_in_a_solver_names_the_line_that_calls_it(backend):
    """The line is that of the user, not of ODL."""
    space = image_space(backend=backend)
    functional = LearnedProximal(space, known().module)
    fit = odl.functionals.L2NormSquared(space).translated(300 * space.one())
    x = space.element(np.arange(36.0).reshape(6, 6))
    with pytest.warns(
        UserWarning, match='images that corresponds to 1'
    ) as record:
        odl.solvers.proximal_gradient(x, functional, fit, 0.1, niter=2)
    assert [warning.filename for warning in record] == [__file__]


def test_range_of_complex_images_is_that_of_their_parts():
    """The range applies to real and imaginary parts, of both signs."""
    space = image_space('complex64')
    module = Bend()
    module.value_range = (-1, 1)
    functional = LearnedProximal(space, module)
    image = space.element(ramp(0, 1).asarray() * np.exp(2j))
    functional.proximal(1.0)(image)
    with pytest.warns(UserWarning, match='from -1 to 1'):
        functional.proximal(1.0)(50 * image)


@pytest.mark.parametrize(
    'measure',
    [
        firm_nonexpansiveness_error,
        lipschitz_estimate,
        lambda op: equivariance_error(op, Rotation(op.domain, np.pi / 2)),
        derivative_error,
        linearity_error,
        isometry_error,
    ],
)
def test_random_elements_of_diagnostics_are_no_images(measure):
    """Diagnostics on noise give no warning; the next image does."""
    functional = known((0, 0.1))
    measure(functional.proximal(1.0))
    with pytest.warns(UserWarning, match='from 0 to 0.1'):
        functional.proximal(1.0)(ramp(0, 1))


def test_modules_that_do_not_know_their_range_are_not_asked():
    """Without a range of values there is no warning."""
    x = ramp(0, 1e6)
    for value_range in (None, lambda: 3, 7):
        assert known(value_range).proximal(1.0)(x) in x.space


# --- No value --- #


def test_value_is_not_known(backend):
    """Evaluating the functional is an error that says why."""
    space = image_space(backend=backend)
    functional = LearnedProximal(space, Shrink())
    assert functional.has_proximal and not functional.has_value
    with pytest.raises(NotImplementedError, match='proximal and no value'):
        functional(space.one())
    with pytest.raises(NotImplementedError, match='proximal and no value'):
        (2.0 * functional)(space.one())


def test_gradient_is_not_known():
    """The error says what to use instead of the gradient."""
    functional = LearnedProximal(image_space(), Shrink())
    with pytest.raises(NotImplementedError, match='no gradient; use a solver'):
        functional.gradient  # noqa: B018


def test_repr_names_space_and_module():
    """The representation is short: a module's own is pages long."""
    functional = LearnedProximal(image_space(), Shrink())
    assert repr(functional).startswith('LearnedProximal(uniform_discr(')
    assert 'Shrink' in repr(functional)
    assert 'scale' not in repr(functional)
    functional = LearnedProximal(image_space(), Shrink(), 255, 'variance')
    assert repr(functional).endswith("scale=255, parameter='variance')")
    expected = f'{functional!r}.proximal(0.5)'
    assert repr(functional.proximal(0.5)) == expected
    assert str(functional.proximal(0.5)) == expected


# --- Bad input --- #


@pytest.mark.parametrize('sigma', [0, -1.0, math.nan, math.inf, 'a', None, 1j])
def test_parameter_that_is_not_positive_is_refused(sigma):
    """The error shows the parameter, before any work."""
    functional = LearnedProximal(image_space(), Shrink())
    kind = ValueError if isinstance(sigma, int | float) else TypeError
    with pytest.raises(kind) as error:
        functional.proximal(sigma)
    assert 'positive number' in str(error.value)
    assert repr(sigma) in str(error.value)


@pytest.mark.parametrize('scale', [0, -1.0, math.nan, math.inf, 'a', [1.0]])
def test_scale_that_is_not_positive_is_refused(scale):
    """The error names the argument."""
    error = ValueError if isinstance(scale, int | float) else TypeError
    with pytest.raises(error, match='`scale` must be .*positive number'):
        LearnedProximal(image_space(), Shrink(), scale)


@pytest.mark.parametrize('parameter', ['std', None, 'Variance', ['variance']])
def test_unknown_parameters_are_refused(parameter):
    """The error lists the known parameters."""
    error = ValueError if isinstance(parameter, str) else TypeError
    with pytest.raises(error, match='deviation.*variance.*, got'):
        LearnedProximal(image_space(), Shrink(), parameter=parameter)


@pytest.mark.parametrize(
    'value_range', [(1, 0), (0, math.nan), (0, math.inf), (0, 1, 2), ('a', 1)]
)
def test_range_of_a_module_that_is_none_is_refused(value_range):
    """The error says what a range of values is."""
    with pytest.raises(ValueError, match='least and the greatest value'):
        known(value_range)


@pytest.mark.parametrize('parameter', ['deviation', 'variance'])
def test_level_that_cannot_be_a_number_is_refused(parameter):
    """Neither zero nor infinity are handed to a module."""
    functional = LearnedProximal(image_space(), Shrink(), 1e200, parameter)
    with pytest.raises(ValueError, match='noise level .* positive number'):
        functional.proximal(1e-300)


@pytest.mark.parametrize('sigma', [[1.0, 2.0], np.ones((6, 6))])
def test_parameter_that_is_an_array_is_refused(sigma):
    """The error shows a list, and the shape of an array."""
    functional = LearnedProximal(image_space(), Shrink())
    with pytest.raises(TypeError, match=r'\[1.0, 2.0\]|shape \(6, 6\)'):
        functional.proximal(sigma)


def test_what_is_no_module_is_refused():
    """A function is an error that names its type."""
    with pytest.raises(TypeError, match='`torch.nn.Module`, got function'):
        LearnedProximal(image_space(), lambda x: x)


@pytest.mark.parametrize(
    'arguments', [{'memory': 5, 'gradient': False}, {'memory': 0}]
)
def test_blocks_of_unrolled_networks_are_refused(arguments):
    """A module that needs a gradient or a memory is refused at once."""
    module = OrdinaryProximal(channels=4, **arguments)
    with pytest.raises(ValueError, match='gradient=False and memory=0'):
        LearnedProximal(image_space(), module)


class Named(Tanh):
    """Module that uses the names of a proximal's arguments for others."""

    def __init__(self):
        super().__init__()
        self.memory = nn.Linear(1, 1)

    def gradient(self, x):
        return 2 * x


def test_other_meanings_of_gradient_and_memory_are_fine():
    """A method ``gradient`` or a layer ``memory`` is allowed."""
    space = image_space()
    proximal = LearnedProximal(space, Named()).proximal(1.0)
    close(proximal(space.zero()), space.zero())


def test_channels_must_be_those_of_the_space(backend):
    """A real denoiser is an error for complex images, at once."""
    module = denoiser(image_space())
    with pytest.raises(ValueError, match='2 channel.*in_channels=1'):
        LearnedProximal(image_space('complex64', backend), module)


def test_precision_must_be_that_of_the_space(backend):
    """A float32 module is an error for a float64 space, at once."""
    with pytest.raises(TypeError, match=r'module.to\(torch.float64\)'):
        LearnedProximal(image_space('float64', backend), nn.Conv2d(1, 1, 1))


def test_space_must_have_tensors():
    """A field is an error at once."""
    with pytest.raises(TypeError, match='got RealNumbers'):
        LearnedProximal(odl.RealNumbers(), Shrink())


# --- Cost of a call --- #


def test_new_proximals_check_the_module_once(monkeypatch):
    """A step that changes in each iteration does not repeat the checks."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8), dtype='float32')
    block = OrdinaryProximal(
        channels=4, memory=0, gradient=False, noise_level=True
    )
    f = LearnedProximal(space, block)
    made = []
    own = NetworkOperator.__init__

    def counted(self, *args):
        made.append(self)
        own(self, *args)

    monkeypatch.setattr(NetworkOperator, '__init__', counted)
    x = space.one()
    levels = [0.1, 0.2, 0.3, 0.1]
    found = [f.proximal(level)(x) for level in levels]
    assert len(made) == 1
    for level, one in zip(levels, found, strict=True):
        fresh = LearnedProximal(space, block).proximal(level)
        assert one == fresh(x)
        assert repr(fresh) == repr(f.proximal(level))
    # another module is checked
    f.module = OrdinaryProximal(channels=4, memory=0, in_channels=2)
    with pytest.raises(ValueError, match='in_channels=2'):
        f.proximal(0.1)


def test_proximals_of_several_steps_stay_as_they_were():
    """A later proximal changes no earlier one, nor what it writes to."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8), dtype='float32')
    block = OrdinaryProximal(
        channels=4, memory=0, gradient=False, noise_level=True
    )
    f, x = LearnedProximal(space, block), space.one()
    first = f.proximal(0.1)
    before = first(x)
    second = f.proximal(0.5)
    out = space.element()
    second(x, out=out)
    assert out == second(x)
    assert first(x) == before
