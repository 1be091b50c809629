# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of functionals that are known by a learned proximal."""

import math

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_equivariant
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, n_channels
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import EquivariantProximal, OrdinaryProximal

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
    """What changes the module changes the proximal."""
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


# --- No value --- #


def test_value_is_not_known(backend):
    """Asking for the value says that there is none."""
    space = image_space(backend=backend)
    functional = LearnedProximal(space, Shrink())
    assert functional.has_proximal and not functional.has_value
    with pytest.raises(NotImplementedError, match='proximal and no value'):
        functional(space.one())
    with pytest.raises(NotImplementedError, match='proximal and no value'):
        (2.0 * functional)(space.one())


def test_gradient_is_not_known():
    """Asking for the gradient says what to use instead."""
    functional = LearnedProximal(image_space(), Shrink())
    with pytest.raises(NotImplementedError, match='no gradient; use a solver'):
        functional.gradient  # noqa: B018


def test_repr_names_space_and_module():
    """The representation is short: a module's own is pages long."""
    functional = LearnedProximal(image_space(), Shrink())
    assert repr(functional).startswith('LearnedProximal(uniform_discr(')
    assert 'Shrink' in repr(functional)


# --- Bad input --- #


@pytest.mark.parametrize('sigma', [0, -1.0, math.nan, math.inf, 'a', None, 1j])
def test_parameter_that_is_not_positive_is_refused(sigma):
    """The error shows the parameter, before any work."""
    functional = LearnedProximal(image_space(), Shrink())
    with pytest.raises(ValueError) as error:
        functional.proximal(sigma)
    assert 'positive number' in str(error.value)
    assert repr(sigma) in str(error.value)


@pytest.mark.parametrize('sigma', [[1.0, 2.0], np.ones((6, 6))])
def test_parameter_that_is_an_array_is_refused(sigma):
    """The error names the shape."""
    functional = LearnedProximal(image_space(), Shrink())
    with pytest.raises(ValueError) as error:
        functional.proximal(sigma)
    assert f'array of shape {np.shape(sigma)}' in str(error.value)


def test_what_is_no_module_is_refused():
    """A function is an error that names its type."""
    with pytest.raises(TypeError, match='`torch.nn.Module`, got function'):
        LearnedProximal(image_space(), lambda x: x)


@pytest.mark.parametrize(
    'arguments', [{'memory': 5, 'gradient': False}, {'memory': 0}]
)
def test_blocks_of_unrolled_networks_are_refused(arguments):
    """A module that needs a gradient or a memory is an error at once."""
    module = OrdinaryProximal(channels=4, **arguments)
    with pytest.raises(ValueError, match='gradient=False and memory=0'):
        LearnedProximal(image_space(), module)


class Named(Tanh):
    """Module that uses the names of a proximal's arguments otherwise."""

    def __init__(self):
        super().__init__()
        self.memory = nn.Linear(1, 1)

    def gradient(self, x):
        return 2 * x


def test_other_meanings_of_gradient_and_memory_are_fine():
    """A method ``gradient`` or a layer ``memory`` is no argument."""
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
