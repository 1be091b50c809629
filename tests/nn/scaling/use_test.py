# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Networks at several scales, wherever other blocks go."""

import copy

import odl
import pytest
import torch
import yaml

from odl_equivariant import models
from odl_equivariant.models.architectures import loaded_blocks
from odl_equivariant.nn import (
    AtScales,
    AveragedProximal,
    EquivariantProximal,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.training import ReconstructionTask
from odl_equivariant.training.configuration.parser import Parser
from odl_equivariant.training.configuration.permissions import restricted

SCALES = (1, 2**0.5, 2)
DENOISER = {'channels': 4, 'gradient': False, 'memory': 0}
MODULES = {
    'equivariant': lambda: EquivariantProximal(**DENOISER),
    'ordinary': lambda: OrdinaryProximal(**DENOISER),
    'multiscale': lambda: MultiscaleDenoiser(channels=4, n_scales=2),
    'averaged': lambda: AveragedProximal(channels=4),
}


def at_scales(name='equivariant', scales=SCALES):
    """Return a network at several scales with random weights."""
    torch.manual_seed(0)
    return AtScales(MODULES[name](), scales).eval()


def applied(network, u):
    """Return its result, with a noise level if it takes one."""
    options = {'sigma': 0.1} if network.noise_level else {}
    with torch.no_grad():
        return network(u, **options)


def unrolled(space, **options):
    """Return an unrolled method with a block for each iteration."""
    torch.manual_seed(0)
    return LearnedProximalGradient(
        odl.IdentityOperator(space),
        lambda: AtScales(EquivariantProximal(channels=4, **options), SCALES),
        n_iterations=2,
        initial='adjoint',
    ).eval()


@pytest.mark.parametrize('name', MODULES)
def test_files(name, tmp_path):
    """A network comes back from its file, with its scales."""
    network = at_scales(name)
    path = tmp_path / 'network.safetensors'
    models.save(network, path, value_range=(0, 1))
    again = models.load(path)
    assert type(again) is AtScales and again.scales == SCALES
    assert again.architecture == network.architecture
    assert again.value_range == (0, 1)
    u = torch.rand(2, 1, 24, 17)
    assert torch.equal(applied(again, u), applied(network, u))
    description = models.describe(path)
    assert description.network == 'AtScales'
    assert description.block == type(network.module).__name__


def test_files_of_unrolled_methods(tmp_path):
    """Blocks may be networks at several scales, also with a memory."""
    space = odl.uniform_discr([0, 0], [12, 11], (12, 11), dtype='float32')
    network = unrolled(space)
    assert network.memory == network.blocks[0].module.memory > 0
    path = tmp_path / 'network.safetensors'
    models.save(network, path)
    again = models.load(path, odl.IdentityOperator(space))
    y = torch.rand(1, 1, 12, 11)
    with torch.no_grad():
        assert torch.equal(again(y), network(y))


def test_networks_that_cannot_be_rebuilt(tmp_path):
    """A module of another class, and one at scales in another, are refused."""
    for module in (torch.nn.Conv2d(1, 1, 3), at_scales()):
        with pytest.raises(TypeError, match='expected EquivariantProximal'):
            models.save(AtScales(module), tmp_path / 'network.safetensors')


@pytest.mark.parametrize(
    'scales, match',
    [([0.5], 'at least 1'), ([], 'at least one'), (2, 'a sequence')],
)
def test_headers_with_other_scales(scales, match):
    """What no network could have is refused."""
    network = at_scales()
    architecture = copy.deepcopy(network.architecture)
    architecture['arguments']['scales'] = scales
    with pytest.raises((TypeError, ValueError), match=match):
        loaded_blocks(architecture, network.state_dict())


def test_copies_for_inference():
    """Plain convolutions, and pieces, compute the same."""
    network = at_scales()
    u = torch.rand(1, 1, 24, 17)
    for quick in (for_inference(network, tile=8), to_convolutional(network)):
        assert type(quick.module) is not EquivariantProximal
        gap = (applied(quick, u) - applied(network, u)).abs().max()
        assert float(gap) < 1e-5
    plain = for_inference(
        unrolled(odl.rn((12, 12), dtype='float32'), memory=0)
    )
    assert plain(torch.rand(1, 1, 12, 12)).shape == (1, 1, 12, 12)


def test_exported_programs():
    """`torch.export` keeps a network for one grid."""
    network = at_scales()
    u = torch.rand(1, 1, 16, 13)
    with torch.no_grad():
        program = torch.export.export(network, (u,))
    torch.testing.assert_close(program.module()(u), network(u))


@pytest.mark.slow
def test_onnx(tmp_path):
    """An ONNX file is for one grid, which the error asks for."""
    pytest.importorskip('onnxruntime')
    network, path = at_scales(), tmp_path / 'network.onnx'
    with pytest.raises(ValueError, match='give it as `shape`'):
        models.export_onnx(network, path)
    with pytest.raises(ValueError, match='`shape`, for kernels of side 10'):
        models.export_onnx(at_scales(scales=(1, 3.2)), path, (9, 20))
    assert models.export_onnx(network, path, (16, 13)) == (path,)


@pytest.mark.parametrize('shared', [True, False])
def test_configurations(shared):
    """YAML names the module and the scales; each iteration has its own."""
    module = {
        'class_path': 'odl_equivariant.nn.EquivariantProximal',
        'init_args': {'channels': 8, 'group': 'D4'},
    }
    model = {
        'acquisition': {
            'class_path': 'odl_equivariant.data.Deblurring',
            'init_args': {'shape': [16, 16]},
        },
        'proximal': {
            'class_path': 'odl_equivariant.nn.AtScales',
            'init_args': {'module': module, 'scales': [1, 1.5, 2]},
        },
        'n_iterations': 3,
        'shared': shared,
        'initial': 'adjoint',
    }
    parser = Parser(prog='test')
    parser.add_lightning_class_args(ReconstructionTask, 'model')
    with restricted():
        settings = parser.parse_string(yaml.safe_dump({'model': model}))
        network = parser.instantiate(settings)['model'].network
    blocks = list(network.blocks)
    assert len({id(block.module) for block in blocks}) == (1 if shared else 3)
    for block in blocks:
        assert block.scales == (1, 1.5, 2)
        assert block.module.group == 'D4'
