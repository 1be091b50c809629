# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""A training in the folder of a run, from its last checkpoint on."""

import contextlib
import logging

from odl_equivariant._files import write_atomically
from odl_equivariant.training.runs.averaging import WeightAverage
from odl_equivariant.training.runs.checkpoints import (
    CheckpointFiles,
    checkpoints,
    last_whole,
    set_aside,
)
from odl_equivariant.training.runs.files import CONFIGURATION
from odl_equivariant.training.runs.identity import (
    check_file,
    contents,
    identity,
)
from odl_equivariant.training.runs.path import path_followed, path_from
from odl_equivariant.training.runs.run_folder import RunFolder
from odl_equivariant.training.runs.wholeness import check_whole

__all__ = ('fit_run',)

_log = logging.getLogger(__name__)


def fit_run(trainer, task, data):
    """Begin, resume or finish the run in the folder of a trainer.

    Parameters
    ----------
    trainer : Trainer
        Trainer. Its folder is locked.
    task : ReconstructionTask
        Network, loss and optimiser.
    data : ReconstructionData
        Training and validation pairs.

    Raises
    ------
    ValueError
        If the folder holds another run, or one that must not be resumed, see
        `Trainer.train`.
    """
    folder = trainer.folder / 'checkpoints'
    average = None
    if trainer.averaging is not None:
        average = WeightAverage(trainer.averaging)
    keeper = RunFolder(
        trainer.folder,
        trainer.checkpoint_every,
        identity(trainer, task, data),
        average=average,
    )
    keeper.check_places(trainer.loggers)
    # The other processes may begin when this one has written something.
    if not trainer.resume and trainer.is_global_zero:
        keeper.check_empty()
    checkpoint = last_whole(
        folder,
        lambda path, state: check_whole(
            path, state, trainer, task, keeper.state_key
        ),
    )
    path = trainer.folder / CONFIGURATION
    if trainer.configuration is not None:
        begun = checkpoint is not None or bool(keeper.weights())
        check_file(path, trainer.configuration, begun)
    if trainer.is_global_zero:
        keeper.clean()
    state = None
    if checkpoint is not None:
        state = CheckpointFiles().load_checkpoint(checkpoint)
        task.on_load_checkpoint(state)
        keeper.check_run(checkpoint, state)
    finished_at = keeper.finished_at(trainer.max_steps)
    if finished_at is not None:
        _log.info('the run is finished, at step %d', finished_at)
        return
    if state is None and trainer.is_global_zero:
        keeper.check_no_weights()
    keeper.run['training images'] = contents(data.pairs('train'))
    validation = data.pairs('validation')
    # an error now, not after the first steps
    validation[0]
    keeper.validation = contents(validation)
    if state is not None:
        keeper.check_run(checkpoint, state)
    if trainer.is_global_zero:
        for other in checkpoints(folder):
            if checkpoint is None or other > checkpoint:  # it is damaged
                set_aside(other)
        if trainer.configuration is not None:
            write_atomically(path, trainer.configuration.encode())
    first = contextlib.nullcontext()
    if state is not None:
        _log.info('resuming from %s', checkpoint)
        if keeper.is_last(state, trainer.max_steps):
            _finish(trainer, task, state, keeper)
            return
        if keeper.awaits_validation(state):
            first = keeper.validation_first(trainer, state['global_step'])
    keeper.path = path_from(state and keeper.path_of(state), trainer)
    # in this order, so that a checkpoint holds the averages of its step
    own = [average, keeper] if average is not None else [keeper]
    trainer.callbacks.extend(own)
    try:
        with first, path_followed(keeper.path):
            trainer.fit(task, datamodule=data, ckpt_path=checkpoint)
    finally:
        for callback in own:
            trainer.callbacks.remove(callback)


def _finish(trainer, task, state, keeper):
    """Write the weights of a run that was killed after its last step."""
    task.load_state_dict(state['state_dict'])
    average = keeper.average
    if average is not None:
        average.load_state_dict(state['callbacks'][average.state_key])
        average.copy_to(task)
    if trainer.is_global_zero:
        keeper.finish(task.network, state['global_step'], trainer.max_steps)
