# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Values that form a group, and networks that know it.

Herbreteau, Moebel and Kervrann, *Normalization-equivariant neural networks
with application to image denoising*, NeurIPS 2023.
"""

import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import Intensity, group_actions
from odl_equivariant.diagnostics import assert_equivariant, equivariance_error
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    Normalised,
    OrdinaryProximal,
)
from odl_equivariant.operators import NetworkOperator

group = simple_fixture('group', ['C4', 'D4', None])


def square(size=7):
    """Return a space on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], (size, size))


def denoiser(group=None, **arguments):
    """Return a denoiser with random weights, ordinary without a group."""
    torch.manual_seed(0)
    arguments = {'channels': 16, 'memory': 0, 'gradient': False, **arguments}
    if group is None:
        module = OrdinaryProximal(**arguments)
    else:
        module = EquivariantProximal(group=group, **arguments)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return module.double()


def turns(space, group):
    """Return the actions of a group, none without one."""
    return [] if group is None else group_actions(space, group)


@pytest.mark.parametrize('factor', [1e-3, 1e3])
def test_networks_without_biases_are_homogeneous(law, group, factor):
    """Phi(a u) = a Phi(u), and Phi(g . u) = g . Phi(u)."""
    space = square()
    module = denoiser(group, homogeneous=True)
    actions = [Intensity(space, factor), *turns(space, group)]
    operator = NetworkOperator(module, space)
    law.holds(assert_equivariant(operator, actions))


@pytest.mark.parametrize('factor', [1e-3, 1e3])
def test_sorting_networks_of_unit_sums_know_no_zero(law, group, factor):
    """Phi(a u + b) = a Phi(u) + b, and Phi(g . u) = g . Phi(u)."""
    space = square()
    module = denoiser(group, homogeneous=True, shift_equivariant=True)
    actions = [Intensity(space, factor, -2.0), *turns(space, group)]
    operator = NetworkOperator(module, space)
    law.holds(assert_equivariant(operator, actions))


def test_normalised_networks_know_no_unit(law, group):
    """The same for any module, between two normalisations."""
    space = square()
    module = Normalised(denoiser(group))
    actions = [Intensity(space, 1e3, -2.0), *turns(space, group)]
    operator = NetworkOperator(module, space)
    law.holds(assert_equivariant(operator, actions))


def test_other_networks_know_their_unit(law):
    """With biases, Phi(a u) is not a Phi(u)."""
    space = square()
    operator = NetworkOperator(denoiser('C4'), space)
    law.fails(equivariance_error(operator, Intensity(space, 1e3)), 1e-2)


def test_homogeneous_networks_know_their_zero(law):
    """Without biases, Phi(u + b) is not Phi(u) + b."""
    space = square()
    operator = NetworkOperator(denoiser('C4', homogeneous=True), space)
    law.fails(equivariance_error(operator, Intensity(space, 1, 5.0)), 1e-2)


@pytest.mark.parametrize('factor', [1e-3, 1e3])
def test_unrolled_networks_are_homogeneous_in_the_data(law, group, factor):
    """If the blocks are homogeneous, u(a y) = a u(y)."""
    space = square()
    network = LearnedProximalGradient(
        odl.MultiplyOperator(2 * space.one(), domain=space),
        lambda: denoiser(group, homogeneous=True, gradient=True, memory=2),
        n_iterations=3,
    )
    operator = NetworkOperator(network, space)
    law.holds(assert_equivariant(operator, [Intensity(space, factor)]))
