# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Whether a checkpoint has all that a run needs to go on."""

from odl_equivariant.training.runs.checkpoints import checkpoint_path

__all__ = ('check_whole',)

# Those of Lightning, and ours.
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
    """Raise an error if something is missing in a checkpoint.

    Parameters
    ----------
    path : pathlib.Path
        Where it comes from.
    checkpoint : object
        What was read: its checksum is right, but anyone can write one.
    trainer, task : Trainer, ReconstructionTask
        What will take its state.
    key : str
        What the state of `RunFolder` is kept by.

    Raises
    ------
    ValueError
        If it has not all that is needed to go on, or another name.
    """
    for missing in _missing(checkpoint, trainer, task, key):
        raise ValueError(f'{path} is no whole checkpoint: no {missing}')
    step = checkpoint['global_step']
    if checkpoint_path(path.parent, step).name != path.name:
        raise ValueError(f'{path} is the checkpoint of step {step}')


def _missing(checkpoint, trainer, task, key):
    """Yield the names of what is missing; after the first, anything goes."""
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
    for name in ('lr_schedulers', 'optimizer_states'):
        if not checkpoint[name]:
            yield name
    for optimizer in checkpoint['optimizer_states']:
        yield from _missing_in_optimizer(optimizer)
    # that it is of another architecture is said by another error
    if checkpoint['architecture'] == task.network.architecture:
        for name, tensor in task.state_dict().items():
            theirs = checkpoint['state_dict'].get(name)
            if getattr(theirs, 'shape', None) != tensor.shape:
                yield f'{name} of the shape {tuple(tensor.shape)}'


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
