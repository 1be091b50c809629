# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of headers: networks of several scales, and of several parts."""

import copy
import time

import pytest
import torch

from odl_equivariant import models
from odl_equivariant.models.architectures import loaded_blocks
from odl_equivariant.nn import (
    GradientStepDenoiser,
    GradientStepEnergy,
    MultiscaleDenoiser,
    MultiscaleProximal,
)


@pytest.mark.parametrize('cls', [MultiscaleDenoiser, MultiscaleProximal])
@pytest.mark.parametrize('homogeneous', [True, False])
@pytest.mark.parametrize('n_scales, n_blocks', [(1, 1), (2, 3), (3, 1)])
def test_number_of_weights(cls, homogeneous, n_scales, n_blocks):
    """The number that a header asks for is that of the network."""
    block = cls(
        None,
        channels=4,
        n_scales=n_scales,
        n_blocks=n_blocks,
        homogeneous=homogeneous,
    )
    weights = block.state_dict()
    assert cls.n_weights(block.architecture['arguments']) == len(weights)
    (again,) = loaded_blocks(block.architecture, weights).values()
    assert again.architecture == block.architecture


@pytest.mark.parametrize(
    'change, match',
    [
        ({'n_scales': 10**9}, 'the file has 14'),
        ({'n_blocks': 10**9}, 'the file has 14'),
        ({'homogeneous': False}, 'have 28 weights and biases'),
        ({'channels': 10**6}, 'of shape'),
    ],
)
def test_headers_that_do_not_fit(change, match):
    """A header for other sizes is refused before anything is built."""
    block = MultiscaleDenoiser(None, channels=4, n_scales=1, n_blocks=6)
    architecture = block.architecture
    arguments = {**architecture['arguments'], **change}
    start = time.perf_counter()
    with pytest.raises(ValueError, match=match):
        loaded_blocks(
            {**architecture, 'arguments': arguments}, block.state_dict()
        )
    assert time.perf_counter() - start < 5


def gradient_step(**kwargs):
    """Return a denoiser of an energy of a denoiser."""
    inner = MultiscaleDenoiser('C4', channels=8, n_scales=1, **kwargs)
    return GradientStepDenoiser(GradientStepEnergy(inner, lipschitz=2.0), 0.5)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_energies_and_their_denoisers_are_saved(tmp_path, dtype):
    """What consists of parts comes back with the same bits and values."""
    path = tmp_path / 'network.safetensors'
    network = gradient_step().to(dtype).eval()
    x = torch.rand(1, 1, 9, 9, dtype=dtype)
    for module in (network, network.energy):
        models.save(module, path, value_range=(0, 2))
        loaded = models.load(path)
        assert type(loaded) is type(module)
        assert loaded.architecture == module.architecture
        assert loaded.value_range == (0.0, 2.0)
        assert torch.equal(loaded(x, 0.1), module(x, 0.1))
    assert loaded.gradient_lipschitz() == 2.0


def test_parts_of_other_classes_are_refused(tmp_path):
    """An error at saving, since files hold no code."""

    class Mine(MultiscaleDenoiser):
        pass

    path = tmp_path / 'network.safetensors'
    energy = GradientStepEnergy(Mine(channels=8, n_scales=1))
    for module in (energy, GradientStepDenoiser(energy)):
        with pytest.raises(TypeError, match='no class derived.*got Mine'):
            models.save(module, path)
    assert not path.exists()


@pytest.mark.parametrize(
    'change, match',
    [
        (lambda a: a['energy'].pop('denoiser'), 'by name and denoiser'),
        (lambda a: a.update(energy=3), 'got 3'),
        (
            lambda a: a['energy'].update(
                {'class': 'Linear', 'denoiser': a['energy'].pop('denoiser')}
            ),
            'arguments by name, got',
        ),
        (lambda a: a.update({'class': 'Linear'}), 'arguments by name, got'),
        (lambda a: a['energy'].update({'class': ['a']}), 'arguments by name'),
        (
            lambda a: a['energy'].update(denoiser=a['energy'].copy()),
            "unknown class 'GradientStepEnergy'",
        ),
        (
            lambda a: a['energy']['denoiser']['arguments'].update(
                n_blocks=10**9
            ),
            'convolutions of energy.denoiser. have',
        ),
        (lambda a: a['arguments'].update(relaxation=7), '`relaxation` must'),
    ],
)
def test_damaged_parts_are_named(change, match):
    """A header whose parts do not fit is refused before anything is built."""
    network = gradient_step()
    architecture = copy.deepcopy(network.architecture)
    change(architecture)
    with pytest.raises(ValueError, match=match):
        loaded_blocks(architecture, network.state_dict())


def test_unrolled_methods_have_blocks_without_energies():
    """An energy is no block of an unrolled method."""
    network = gradient_step()
    with pytest.raises(ValueError, match='unknown class .GradientStepDen'):
        loaded_blocks(
            {
                'class': 'LearnedProximalGradient',
                'arguments': {'n_iterations': 1, 'initial': 'zero'},
                'blocks': [network.architecture],
            },
            {
                'relative_steps': torch.ones(1),
                **{
                    f'blocks.0.{name}': weight
                    for name, weight in network.state_dict().items()
                },
            },
        )
