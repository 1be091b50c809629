# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the weights that a training starts from."""

import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.data import CartesianMRI, Denoising, SparseViewCT
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedHalfQuadraticSplitting,
    MultiscaleDenoiser,
)
from odl_equivariant.training import CheckpointFiles, ReconstructionTask

shared = simple_fixture('shared', [False, True])
METHOD = 'half_quadratic_splitting'
PATH = 'denoiser.safetensors'


def ct():
    """Return a small acquisition."""
    return SparseViewCT((16, 16), n_views=6)


def denoiser(channels=4):
    """Return a small denoiser."""
    return MultiscaleDenoiser('C4', 1, channels, n_scales=1, n_blocks=1)


@pytest.fixture
def saved(tmp_path):
    """Return a denoiser, and the path of a file of it."""
    torch.manual_seed(3)
    block = denoiser()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    models.save(block, tmp_path / PATH)
    return block, tmp_path / PATH


def assert_from(network, block, n):
    """Compare all of the n denoisers of a network with one."""
    assert type(network) is LearnedHalfQuadraticSplitting
    assert len(network.blocks) == n and network.training
    # not the same tensors, which would be trained together
    assert len({id(p) for p in network.blocks.parameters()}) == n * len(
        [*block.parameters()]
    )
    for own in network.blocks:
        assert own.architecture == block.architecture
        for name, tensor in own.state_dict().items():
            assert torch.equal(tensor, block.state_dict()[name]), name


@pytest.mark.parametrize('given', [True, False])
@pytest.mark.parametrize(
    'acquisition', [ct(), CartesianMRI((16, 16), acceleration=2)]
)
def test_a_denoiser_is_that_of_each_iteration(
    saved, shared, given, acquisition
):
    """All denoisers start from its weights, for real and complex images."""
    block, path = saved
    task = ReconstructionTask(
        acquisition,
        denoiser if given else None,
        n_iterations=3,
        shared=shared,
        initial='adjoint',
        method=METHOD,
        pretrained=path,
        inner_iterations=2,
        relative_levels=(2.0, 2.0),
        checkpointing=True,
    )
    network = task.network
    assert_from(network, block, 1 if shared else 3)
    assert network.n_iterations == 3 and network.inner_iterations == 2
    assert network.checkpointing
    assert network.architecture['arguments']['initial'] == 'adjoint'
    assert torch.allclose(network.relative_levels, torch.tensor(2.0))


def test_a_shipped_denoiser():
    """Its name is enough, without any block."""
    name = 'multiscale_denoiser_c4'
    task = ReconstructionTask(
        ct(), n_iterations=2, method=METHOD, pretrained=name
    )
    assert_from(task.network, models.load(name), 2)


@pytest.mark.parametrize('given', [True, False])
def test_precisions_of_a_denoiser(tmp_path, given):
    """The network has that of its operator, whatever the file has."""
    block = denoiser().double()
    models.save(block, tmp_path / PATH)
    task = ReconstructionTask(
        ct(),
        denoiser if given else None,
        2,
        method=METHOD,
        pretrained=tmp_path / PATH,
    )
    assert {p.dtype for p in task.parameters()} == {torch.float32}
    weight = task.network.block(1).lift.weight
    assert torch.equal(weight, block.lift.weight.float())


def test_weights_of_a_denoiser_are_loaded_later(saved):
    """The method of the task takes such a file, too."""
    block, path = saved
    task = ReconstructionTask(ct(), denoiser, 2, method=METHOD)
    task.load_weights(path)
    assert_from(task.network, block, 2)


def test_denoisers_of_another_architecture(saved):
    """The error names the first difference."""
    with pytest.raises(
        ValueError,
        match=f'denoiser in .*{PATH} is of another .* channels is 4, not 8',
    ):
        ReconstructionTask(
            ct(), lambda: denoiser(8), method=METHOD, pretrained=saved[1]
        )


def test_blocks_that_are_no_denoisers(tmp_path):
    """A block with a memory is refused, whether or not one is given."""
    models.save(EquivariantProximal(channels=4), tmp_path / PATH)
    with pytest.raises(ValueError, match='must be a denoiser, which'):
        ReconstructionTask(ct(), method=METHOD, pretrained=tmp_path / PATH)
    with pytest.raises(ValueError, match='another architecture'):
        ReconstructionTask(
            ct(), denoiser, method=METHOD, pretrained=tmp_path / PATH
        )


def test_denoisers_are_of_this_method_alone(saved):
    """The error says which method a file of a denoiser is for."""
    with pytest.raises(
        ValueError, match=f'MultiscaleDenoiser: set `model.method: {METHOD}`'
    ):
        ReconstructionTask(ct(), pretrained=saved[1])
    with pytest.raises(ValueError, match='holds no unrolled method'):
        ReconstructionTask(
            ct(), lambda: EquivariantProximal(channels=4), pretrained=saved[1]
        )


def test_a_denoiser_for_denoising(saved):
    """It is the network."""
    block, path = saved
    network = ReconstructionTask(Denoising((16, 16)), pretrained=path).network
    assert network.architecture == block.architecture


@pytest.mark.parametrize('method', [METHOD, 'proximal_gradient'])
def test_a_whole_network(tmp_path, shared, method):
    """Its class, steps and levels are those of the file."""
    path = tmp_path / 'network.safetensors'
    block = denoiser()
    network = LearnedHalfQuadraticSplitting(
        ct().operator, block if shared else denoiser, 2, 3
    )
    with torch.no_grad():
        network.log_steps += 0.3
        network.log_levels -= 0.2
    models.save(network, path)
    task = ReconstructionTask(ct(), method=method, pretrained=path)
    assert task.network.architecture == network.architecture
    state = network.state_dict()
    for name, tensor in task.network.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_networks_of_another_method(saved):
    """The error names both, and what to do."""
    with pytest.raises(
        ValueError,
        match='does not fit the LearnedProximalGradient in sparse_view_ct_c4',
    ):
        ReconstructionTask(ct(), method=METHOD, pretrained='sparse_view_ct_c4')


def test_settings_of_a_whole_network(tmp_path):
    """Those that the file has already are refused."""
    path = tmp_path / 'network.safetensors'
    models.save(
        LearnedHalfQuadraticSplitting(ct().operator, denoiser, 2), path
    )
    with pytest.raises(
        ValueError,
        match='`model.inner_iterations` would .* has its own: remove it$',
    ):
        ReconstructionTask(
            ct(), method=METHOD, pretrained=path, inner_iterations=4
        )


def test_values_that_a_file_replaces(tmp_path, caplog, saved):
    """They are refused beside a whole network, and named for a checkpoint."""
    path = tmp_path / 'network.safetensors'
    network = LearnedHalfQuadraticSplitting(ct().operator, denoiser, 2)
    models.save(network, path)
    settings = {
        'proximal': denoiser,
        'n_iterations': 2,
        'method': METHOD,
        'inner_iterations': 4,
    }
    for name in ('relative_steps', 'relative_levels'):
        with pytest.raises(
            ValueError, match=f'`model.{name}` would .* its own: remove it$'
        ):
            ReconstructionTask(
                ct(), pretrained=path, **settings, **{name: [3.0, 4.0]}
            )
    ReconstructionTask(ct(), pretrained=path, **settings)
    # a denoiser has none
    task = ReconstructionTask(
        ct(), pretrained=saved[1], **settings, relative_steps=[3.0, 4.0]
    )
    steps = torch.tensor([3.0, 4.0])
    assert torch.allclose(task.network.relative_steps, steps)
    state = {
        'architecture': task.network.architecture,
        'state_dict': task.state_dict(),
        'optimizer_states': [{'state': {}}],
    }
    CheckpointFiles().save_checkpoint(state, tmp_path / 'a.ckpt')
    caplog.set_level('INFO')
    task = ReconstructionTask(
        ct(),
        pretrained=tmp_path / 'a.ckpt',
        **settings,
        relative_steps=[5.0, 6.0],
    )
    assert '`model.relative_steps` is that of the checkpoint' in caplog.text
    assert torch.allclose(task.network.relative_steps, steps)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({}, 'has no blocks.*or `model.pretrained`'),
        ({'method': METHOD}, 'has no blocks.*or `model.pretrained`'),
        (
            {'method': 'primal_dual', 'dual': lambda: None},
            'has no blocks.*beside `model.dual`',
        ),
        ({'pretrained': 'a.ckpt'}, 'needs `model.proximal`'),
    ],
)
def test_networks_without_blocks(settings, message):
    """The error says which keys to set."""
    with pytest.raises(ValueError, match=message):
        ReconstructionTask(ct(), **settings)
