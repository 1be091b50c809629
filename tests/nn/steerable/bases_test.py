# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of proximals with the bases of kernels that there are."""

import os

import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_equivariant
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks.calibration import _random_images
from odl_equivariant.nn.blocks.network import activated
from odl_equivariant.nn.steerable.bases import bases_of
from odl_equivariant.operators import NetworkOperator

PATH = 'network.safetensors'

basis = simple_fixture('basis', ['escnn', 'grid', 'mixed', 'fourier'])
complete = simple_fixture('complete', ['grid', 'mixed'])
named = simple_fixture('named', ['grid', 'mixed', 'fourier'])
representation = simple_fixture('representation', ['trivial', 'standard'])


def randomise(module):
    """Draw all weights anew, also those that start at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * noise)
    return module


def denoiser(basis, group='C4', representation='trivial', **kwargs):
    """Return a denoiser with random weights."""
    return randomise(
        EquivariantProximal(
            1 if representation == 'trivial' else 2,
            8,
            group,
            memory=0,
            gradient=False,
            representation=representation,
            basis=basis,
            **kwargs,
        )
    )


def step(basis):
    """Return a block of an unrolled network with random weights."""
    return randomise(EquivariantProximal(1, 8, 'D4', basis=basis))


@pytest.mark.parametrize(
    'complete, group',
    [('grid', name) for name in ('C2', 'C4', 'D1', 'D2', 'D4')]
    + [('mixed', 'D4'), ('fourier', 'D2')],
)
def test_equivariance(complete, group, representation):
    """It is exact for images and vector fields on even and odd grids."""
    module = denoiser(complete, group, representation)
    assert all(name.endswith(complete) for name in bases_of(module))
    for dtype, tol, n in (
        ('float32', 1e-6, 8),
        ('float64', 1e-12, 8),
        ('float64', 1e-12, 9),
    ):
        space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype)
        space = space if representation == 'trivial' else space**2
        op = NetworkOperator(module.to(getattr(torch, dtype)), space)
        actions = group_actions(space, group, representation=representation)
        assert_equivariant(op, actions, tol=tol)


def test_restriction(named):
    """A network that is less symmetric with depth keeps the smaller group."""
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    module = denoiser(named, 'D4', restrict_to='C4', restrict_after=0)
    op = NetworkOperator(module.double(), space)
    assert_equivariant(op, group_actions(space, 'C4'), tol=1e-12)


@pytest.mark.parametrize('skip, expected', [(True, 0.1), (False, 1.0)])
def test_initial_values_are_calibrated(skip, expected):
    """The networks of all bases, and the ordinary one, start alike."""
    arguments = {
        'channels': 16,
        'memory': 0,
        'gradient': False,
        'skip': skip,
    }
    images = _random_images(1, 32)
    for network in (
        EquivariantProximal(**arguments),
        EquivariantProximal(**arguments, basis='grid'),
        EquivariantProximal(**arguments, basis='mixed'),
        EquivariantProximal(**arguments, basis='fourier'),
        OrdinaryProximal(**arguments),
    ):
        with torch.no_grad():
            lifted = activated(
                network.lift(images), 0, network.nonlinearities()
            )
            result = network(images) - (images if skip else 0)
        for value, size in ((lifted, 1.0), (result, expected)):
            assert float(value.square().mean().sqrt()) == pytest.approx(size)


def test_round_trip(named):
    """A file gives a network back, to the last bit, and says its basis."""
    network = step(named)
    assert network.architecture['arguments']['basis'] == named
    models.save(network, PATH)
    loaded = models.load(PATH)
    assert loaded.architecture == network.architecture
    x = torch.randn(2, 1, 9, 8)
    with torch.no_grad():
        for found, expected in zip(loaded(x, x), network(x, x), strict=True):
            assert torch.equal(found, expected)
    names = list(bases_of(network))
    assert f'bases.D4.regular.trivial.3.{named}' in names


def test_bases_in_one_network():
    """Blocks of an unrolled network may each have their own."""
    operator = odl.IdentityOperator(odl.rn((8, 8), dtype='float32'))
    blocks = map(step, ('escnn', 'grid', 'mixed', 'fourier'))
    network = LearnedProximalGradient(operator, blocks.__next__, 4)
    models.save(network, PATH)
    loaded = models.load(PATH, operator)
    y = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded(y), network(y))


def test_architectures_without_a_basis():
    """They are escnn's, as all were once, and are written as before."""
    network = step('escnn')
    assert 'basis' not in network.architecture['arguments']
    assert all(name.count('.') == 4 for name in bases_of(network))
    models.save(network, PATH)
    assert models.load(PATH).basis == 'escnn'


def test_the_same_network_with_plain_convolutions(basis):
    """Conversions and preparations compute what the network does."""
    network = step(basis).eval()
    x = torch.randn(1, 1, 16, 15)
    with torch.no_grad():
        expected = torch.cat(network(x, x), 1)
        for other in (to_convolutional(network), for_inference(network)):
            found = torch.cat(other(x, x), 1)
            torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_onnx(named):
    """The file computes the same, which the export itself compares."""
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    models.export_onnx(step(named), 'network.onnx')
    assert os.path.getsize('network.onnx') > 0


@pytest.mark.parametrize('group', ['C8', 'D3', 'SO2', 'SO(2)', 'O2'])
def test_groups_that_do_not_act_exactly(group, complete):
    """They are refused at construction, and the choices are named."""
    with pytest.raises(
        ValueError, match="C1, C2, C4, D1, D2 and D4.*basis='escnn'"
    ):
        EquivariantProximal(channels=48, group=group, basis=complete)
