# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What a training run leaves in its folder, so that nothing is lost."""

import json
import math
import pathlib

from lightning.fabric.utilities.seed import (
    _collect_rng_states,
    _set_rng_states,
)
from lightning.pytorch import Callback

from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.training.checkpoints import (
    CheckpointFiles,
    checkpoint_path,
    checkpoints,
)

__all__ = ('BEST', 'FINAL', 'RunFolder')

BEST, FINAL = 'best.safetensors', 'final.safetensors'
_FINISHED = 'finished.json'
_N_KEPT = 2
_OURS = ('.best-', '.final-', '.finished-', '.config-', '.step-')


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
    the stream of samples are those of the step. Where the network is validated
    after the step, the checkpoint is from after that.
    """

    def __init__(self, folder, every=500):
        if every < 1:
            raise ValueError(
                '`trainer.checkpoint_every` must be a positive number of '
                f'steps, got {every}'
            )
        self.folder = pathlib.Path(folder)
        self.every = every
        self.best_psnr = None
        self._rng_states = None
        self._step = 0
        self._saved_at = None
        self._is_due = False
        self._is_stopped = False

    def state_dict(self):
        """Return the best score, whether to stop, and the random states."""
        return {
            'best_psnr': self.best_psnr,
            'is_stopped': self._is_stopped,
            'rng_states': _collect_rng_states(),
        }

    def load_state_dict(self, state):
        """Take the best score from a checkpoint."""
        self.best_psnr = state['best_psnr']
        self._rng_states = state['rng_states']

    # --- Checkpoints --- #

    def on_train_start(self, trainer, task):
        """Note where the run begins, and that it is not at its end."""
        self._step = self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            # loggers make it too, but there may be none
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _FINISHED).unlink(missing_ok=True)

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        """Go on with the random numbers of the interrupted run."""
        if self._rng_states is not None:
            # Not before: what prepares the run draws random numbers, too.
            _set_rng_states(self._rng_states)
            self._rng_states = None

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
        """Write a checkpoint if it is time, or leave it to the validation."""
        step = trainer.global_step
        if step == self._step:  # gradients are being accumulated
            return
        self._step = step
        self._is_due = step % self.every == 0
        # The one epoch of Lightning is the whole run.
        validates = (
            trainer.enable_validation
            and (batch_idx + 1) % trainer.val_check_batch == 0
        )
        if self._is_due and not validates:
            self.save_checkpoint(trainer)

    def save_checkpoint(self, trainer):
        """Write the checkpoint of this step, and drop what is too old."""
        folder = self.folder / 'checkpoints'
        self._is_stopped = bool(trainer.should_stop)
        trainer.save_checkpoint(checkpoint_path(folder, trainer.global_step))
        self._saved_at, self._is_due = trainer.global_step, False
        if trainer.is_global_zero:
            for path in checkpoints(folder)[_N_KEPT:]:
                CheckpointFiles().remove_checkpoint(path)

    def is_last(self, checkpoint, max_steps):
        """Return whether nothing follows after a checkpoint, as it is read."""
        own = checkpoint['callbacks'][self.state_key]
        return own['is_stopped'] or checkpoint['global_step'] >= max_steps

    # --- Weights --- #

    def on_validation_end(self, trainer, task):
        """Keep a copy of the best weights, and then write what is due."""
        if trainer.state.fn != 'fit':
            return
        self._keep_best(trainer, task)
        if self._is_due:
            self.save_checkpoint(trainer)

    def _keep_best(self, trainer, task):
        psnr = float(trainer.callback_metrics.get('validation/psnr', math.nan))
        best = -math.inf if self.best_psnr is None else self.best_psnr
        if math.isfinite(psnr) and psnr > best:
            self.best_psnr = psnr
            if trainer.is_global_zero:
                models.save(task.network, self.folder / BEST)

    def on_train_end(self, trainer, task):
        """Write the last checkpoint and the final weights."""
        if trainer.global_step != self._saved_at:
            self.save_checkpoint(trainer)
        if trainer.is_global_zero:
            self.finish(task.network, trainer.global_step, trainer.max_steps)

    def finish(self, network, step, max_steps):
        """Write the final weights, and that the run is at its end.

        Parameters
        ----------
        network : torch.nn.Module
            Network with the weights of the last step.
        step, max_steps : int
            The last step, and the one that was asked for; a run can stop
            early.
        """
        models.save(network, self.folder / FINAL)
        content = json.dumps({'step': step, 'max_steps': max_steps})
        write_atomically(self.folder / _FINISHED, content.encode())

    def finished_at(self, max_steps):
        """Return the last step of a run that is at its end, or ``None``."""
        try:
            state = json.loads((self.folder / _FINISHED).read_text('utf-8'))
            asked, step = int(state['max_steps']), int(state['step'])
        except (KeyError, OSError, TypeError, ValueError):
            return None
        there = (self.folder / FINAL).is_file()
        return step if there and asked == max_steps else None

    def clean(self):
        """Remove what a killed process has left half written."""
        for folder in (self.folder, self.folder / 'checkpoints'):
            for path in folder.glob('.*.tmp'):
                if path.name.startswith(_OURS):
                    path.unlink(missing_ok=True)
