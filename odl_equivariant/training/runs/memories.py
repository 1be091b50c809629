# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a network remembers of its training images, in checkpoints."""

from odl_equivariant.nn.energies.denoiser import EnergyDenoiser

__all__ = ('check_memory', 'load_memory', 'save_memory')

_KEY = 'memory'
_NOTHING = {'minimisers': [], 'solutions': []}


def check_memory(network):
    """Raise a ValueError if a part of a network would remember in vain.

    Parameters
    ----------
    network : torch.nn.Module
        Network to be trained.
    """
    for name, module in network.named_modules():
        if name and _remembers(module):
            raise ValueError(
                'the images that an `EnergyDenoiser` within a network gets '
                'change with the weights, so none is ever recognised: give it '
                f'training_memory=0, got {module.training_memory} in {name}'
            )


def save_memory(network, checkpoint):
    """Add what a network remembers to a checkpoint."""
    if _remembers(network):
        checkpoint[_KEY] = network.memory_state()


def load_memory(network, checkpoint):
    """Let a network remember what a checkpoint has, and nothing else."""
    if _remembers(network):
        network.load_memory_state(checkpoint.get(_KEY, _NOTHING))


def _remembers(module):
    return isinstance(module, EnergyDenoiser) and module.training_memory > 0
