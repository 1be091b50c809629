# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of what a network remembers, in checkpoints."""

import pytest
import torch

from odl_equivariant.data import Denoising, SparseViewCT
from odl_equivariant.nn import EnergyDenoiser, RidgeEnergy
from odl_equivariant.training import ReconstructionTask

# Lightning's own, under warnings as errors
pytestmark = pytest.mark.filterwarnings('ignore:.*LeafSpec.*:FutureWarning')


def denoiser(memory=3):
    energy = RidgeEnergy('C4', 3, 4)
    return EnergyDenoiser(
        energy,
        training_tolerance=1e-9,
        training_maxiter=2,
        training_memory=memory,
    ).train()


def task(memory=3):
    return ReconstructionTask(Denoising((8, 8)), lambda: denoiser(memory))


def visited(network, n):
    """Return how many iterations a visit of the image n takes."""
    generator = torch.Generator().manual_seed(n)
    with torch.no_grad():
        network(torch.rand(1, 1, 8, 8, generator=generator), sigma=0.1)
    return network.n_iterations


def test_checkpoint_restores_it():
    """What one task has seen, another one knows, and nothing else."""
    one, other = task(), task()
    assert visited(one.network, 0) == 6
    assert visited(other.network, 1) == 6
    checkpoint = {}
    one.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    assert visited(other.network, 0) == 2
    assert visited(other.network, 1) == 6


def test_checkpoint_without_it_leaves_nothing():
    """A task that goes on from an old checkpoint knows no image."""
    one, other = task(memory=0), task()
    checkpoint = {}
    one.on_save_checkpoint(checkpoint)
    assert set(checkpoint) == {'architecture'}
    visited(other.network, 0)
    other.on_load_checkpoint(checkpoint)
    assert visited(other.network, 0) == 6


def test_memory_within_a_network_is_refused():
    """Images there change with the weights: an error, before any work."""
    with pytest.raises(ValueError, match=r'training_memory=0, got 3 in .*\w'):
        ReconstructionTask(
            SparseViewCT((16, 16), n_views=4),
            denoiser,
            n_iterations=2,
            method='half_quadratic_splitting',
        )
