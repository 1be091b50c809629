# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Checks that a checkpoint holds all that a run needs to resume."""

from odl_equivariant.training.runs.averaging import WeightAverage
from odl_equivariant.training.runs.checkpoints import checkpoint_path
from odl_equivariant.training.runs.path import is_path

__all__ = ('check_whole',)

# Entries of Lightning, and ours.
_ENTRIES = {
    'architecture': dict,
    'callbacks': dict,
    'global_step': int,
    'loops': dict,
    'lr_schedulers': list,
    'optimizer_states': list,
    'pytorch-lightning_version': str,
    'state_dict': dict,
}
_ENTRIES_OF_FOLDER = ('best_psnr', 'is_stopped', 'rng_states')


def check_whole(path, checkpoint, trainer, task, key):
    """Raise an error if a checkpoint is incomplete.

    Parameters
    ----------
    path : pathlib.Path
        File of the checkpoint.
    checkpoint : object
        Content of the file. Its checksum is right, but anyone can write one.
    trainer, task : Trainer, ReconstructionTask
        Objects that will load it.
    key : str
        Key of the state of `RunFolder`.

    Raises
    ------
    ValueError
        If an entry is missing, or the file has the name of another step.
    """
    for missing in _missing(checkpoint, trainer, task, key):
        raise ValueError(f'{path} is incomplete: it has no {missing}')
    step = checkpoint['global_step']
    if checkpoint_path(path.parent, step).name != path.name:
        raise ValueError(f'{path} is the checkpoint of step {step}')


def _missing(checkpoint, trainer, task, key):
    """Yield what is missing. Only the first name is reliable."""
    if not isinstance(checkpoint, dict):
        yield 'state'
    for name, kind in _ENTRIES.items():
        if not isinstance(checkpoint.get(name), kind):
            yield name
    for part, names, words in (
        (checkpoint['callbacks'].get(key), _ENTRIES_OF_FOLDER, 'the run'),
        (
            checkpoint['loops'].get('fit_loop'),
            trainer.fit_loop.state_dict(),
            'the loop',
        ),
    ):
        for name in names:
            if not isinstance(part, dict) or name not in part:
                yield f'{name} of {words}'
    states = checkpoint['callbacks'][key]['rng_states']
    for name in ('python', 'torch'):
        if not isinstance(states, dict) or name not in states:
            yield f'random state of {name}'
    if trainer.averaging is not None:
        yield from _missing_averages(checkpoint, task)
    # older versions wrote none
    path = checkpoint['callbacks'][key].get('path')
    if path is not None and not is_path(path):
        yield 'path of computation'
    for name in ('lr_schedulers', 'optimizer_states'):
        if not checkpoint[name]:
            yield name
    for optimizer in checkpoint['optimizer_states']:
        yield from _missing_in_optimizer(optimizer)
    # another architecture is reported by another error
    if checkpoint['architecture'] == task.network.architecture:
        for name, tensor in task.state_dict().items():
            theirs = checkpoint['state_dict'].get(name)
            if getattr(theirs, 'shape', None) != tensor.shape:
                yield f'{name} of the shape {tuple(tensor.shape)}'


def _missing_averages(checkpoint, task):
    own = checkpoint['callbacks'].get(WeightAverage.__qualname__)
    if own is None:
        return  # a run without averages, which is another run
    weights = own.get('weights') if isinstance(own, dict) else None
    if not isinstance(weights, dict) or type(own.get('n_updates')) is not int:
        yield 'averages of the weights'
    if checkpoint['architecture'] == task.network.architecture:
        for name, parameter in task.named_parameters():
            theirs = weights.get(name)
            if getattr(theirs, 'shape', None) != parameter.shape:
                yield f'average of {name}'


def _missing_in_optimizer(optimizer):
    for name, kind in (('param_groups', list), ('state', dict)):
        if not isinstance(optimizer, dict) or not isinstance(
            optimizer.get(name), kind
        ):
            yield f'{name} of the optimiser'
    state = optimizer['state']
    names = {name for part in state.values() for name in part}
    for number, part in state.items():
        for name in sorted(names - part.keys()):
            yield f'{name} of parameter {number} in the optimiser'
