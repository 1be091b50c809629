# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What a training run leaves in its folder, so that nothing is lost."""

import pathlib

from lightning.fabric.utilities.seed import (
    _collect_rng_states,
    _set_rng_states,
)
from lightning.pytorch import Callback

from odl_equivariant import models
from odl_equivariant.training.checkpoints import (
    CheckpointFiles,
    checkpoint_path,
    checkpoints,
)

__all__ = ('BEST', 'FINAL', 'RunFolder')

BEST, FINAL = 'best.safetensors', 'final.safetensors'
_N_KEPT = 2


class RunFolder(Callback):
    """Keep the last two checkpoints, the best weights and the final ones.

    Parameters
    ----------
    folder : path-like
        Folder of the run. Checkpoints lie in ``checkpoints/``, weights as
        `odl_equivariant.models.save` writes them in ``best.safetensors``,
        by the PSNR of validation, and ``final.safetensors``.
    every : int, optional
        Number of steps between checkpoints.

    Raises
    ------
    ValueError
        If ``every`` is not positive.

    Notes
    -----
    With the checkpoint of a step, a run goes on as if it had never been
    interrupted: weights, optimiser, schedule, random states and the place in
    the stream of samples are those of the step.
    """

    def __init__(self, folder, every=500):
        if every < 1:
            raise ValueError(
                '`checkpoint_every` must be a positive number of steps, got '
                f'{every}'
            )
        self.folder = pathlib.Path(folder)
        self.every = every
        self.best_psnr = None
        self._rng_states = None
        self._saved_at = None

    def state_dict(self):
        """Return the best score so far, and the random states."""
        return {
            'best_psnr': self.best_psnr,
            'rng_states': _collect_rng_states(),
        }

    def load_state_dict(self, state):
        """Take the best score from a checkpoint."""
        self.best_psnr = state['best_psnr']
        self._rng_states = state['rng_states']

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        """Go on with the random numbers of the interrupted run."""
        if self._rng_states is not None:
            # Not before: what prepares the run draws random numbers, too.
            _set_rng_states(self._rng_states)
            self._rng_states = None

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
        """Write a checkpoint if it is time."""
        step = trainer.global_step
        if step % self.every == 0 and step != self._saved_at:
            self.save_checkpoint(trainer)

    def save_checkpoint(self, trainer):
        """Write the checkpoint of this step, and drop what is too old."""
        folder = self.folder / 'checkpoints'
        trainer.save_checkpoint(checkpoint_path(folder, trainer.global_step))
        self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            for path in checkpoints(folder)[_N_KEPT:]:
                CheckpointFiles().remove_checkpoint(path)

    def on_validation_end(self, trainer, task):
        """Keep a copy of the best weights."""
        psnr = trainer.callback_metrics.get('validation/psnr')
        if trainer.state.fn != 'fit' or psnr is None:
            return
        psnr = float(psnr)
        if self.best_psnr is None or psnr > self.best_psnr:
            self.best_psnr = psnr
            if trainer.is_global_zero:
                models.save(task.network, self.folder / BEST)

    def on_train_end(self, trainer, task):
        """Write the last checkpoint and the final weights."""
        if trainer.global_step != self._saved_at:
            self.save_checkpoint(trainer)
        if trainer.is_global_zero:
            models.save(task.network, self.folder / FINAL)
