# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The files of a training run, from which it resumes."""

import contextlib
import logging
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from lightning.fabric.utilities.seed import (
    _collect_rng_states,
    _set_rng_states,
)
from lightning.pytorch import Callback, LightningModule, Trainer

from odl_equivariant import models
from odl_equivariant._checks import whole_number
from odl_equivariant.training.runs.averaging import WeightAverage
from odl_equivariant.training.runs.checkpoints import (
    CheckpointFiles,
    checkpoint_path,
    checkpoints,
)
from odl_equivariant.training.runs.files import BEST, RunFiles
from odl_equivariant.training.runs.identity import check_same

__all__ = ('RunFolder',)

_N_KEPT = 2
_log = logging.getLogger(__name__)


class RunFolder(RunFiles, Callback):
    """Write the last two checkpoints, the best weights and the final ones.

    Parameters
    ----------
    folder : path-like
        Folder of the run. Checkpoints are in ``checkpoints/``. The weights
        with the highest PSNR in validation are in ``best.safetensors``, and
        those of the last step in ``final.safetensors``, see
        `odl_equivariant.models.save`.
    every : int, optional
        Number of steps between checkpoints.
    run : dict, optional
        Settings that identify the run. A checkpoint with another setting is
        an error.
    validation : dict, optional
        Description of the validation pairs. If it has changed when a run
        resumes, the best weights are chosen again.
    average : WeightAverage, optional
        Callback before this one. Both files of weights hold its averages.

    Raises
    ------
    ValueError
        If ``every`` is not positive.

    Notes
    -----
    From the checkpoint of a step, a run resumes as if it had never been
    interrupted. The checkpoint holds weights, optimiser, schedule, random
    states and how convolutions are computed; the step determines the place in
    the stream of samples. Before a validation, a checkpoint is written, so
    that no step is lost if the validation fails. The run then resumes with
    the validation. After the validation, another checkpoint replaces it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 500,
        run: dict[str, Any] | None = None,
        validation: dict[str, Any] | None = None,
        average: WeightAverage | None = None,
    ) -> None:
        super().__init__(folder)
        self.every = whole_number('trainer.checkpoint_every', every, 1)
        self.run = run
        self.validation = validation
        self.average = average
        # how convolutions are computed, see `training.runs.path`
        self.path: dict[str, Any] | None = None
        self.best_psnr: float | None = None
        self._rng_states = None
        self._step = 0
        self._saved_at = None
        self._awaits_validation = False
        self._is_stopped = False
        self._max_steps = None

    def state_dict(self) -> dict[str, Any]:
        """Return the identity and state of the run, and the random states."""
        return {
            'best_psnr': self.best_psnr,
            'is_stopped': self._is_stopped,
            'awaits_validation': self._awaits_validation,
            'rng_states': _collect_rng_states(),
            'run': self.run,
            'validation': self.validation,
            'path': self.path,
        }

    def on_save_checkpoint(
        self,
        trainer: Trainer,
        task: LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Let Lightning resume after a validation, even if it comes next."""
        if self._awaits_validation:
            loops = checkpoint['loops']['fit_loop']
            for count in ('total', 'current'):
                loops['epoch_loop.batch_progress'][count]['completed'] += 1

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of the run from a checkpoint."""
        self.best_psnr = state['best_psnr']
        self._rng_states = state['rng_states']
        self._is_stopped = state['is_stopped']
        if self.run and not state.get('run'):
            _log.warning(
                'an older version wrote the checkpoint, which does not '
                'identify its run: it is used as one of this run'
            )
        self._awaits_validation = state.get('awaits_validation', False)
        before = state.get('validation')
        if None not in (before, self.validation) and (
            before != self.validation
        ):
            self.best_psnr = None
            _log.warning(
                'the validation pairs have changed: %s is chosen again',
                BEST,
            )

    # --- Resuming --- #

    def check_run(
        self, path: pathlib.Path, checkpoint: dict[str, Any]
    ) -> None:
        """Raise an error if a checkpoint is of another run.

        Parameters
        ----------
        path : pathlib.Path
            File of the checkpoint.
        checkpoint : dict
            Content of the file.

        Raises
        ------
        ValueError
            If a setting on which the weights depend differs. The message
            names it.
        """
        before = self._own(checkpoint).get('run')
        check_same(before or {}, self.run or {}, str(path))

    def _own(self, checkpoint):
        return checkpoint['callbacks'][self.state_key]

    def awaits_validation(self, checkpoint: dict[str, Any]) -> bool:
        """Return whether a checkpoint was written before a validation."""
        return self._own(checkpoint).get('awaits_validation', False)

    def path_of(self, checkpoint: dict[str, Any]) -> dict[str, Any] | None:
        """Return the path of computation, None if an older version wrote."""
        path: dict[str, Any] | None = self._own(checkpoint).get('path')
        return path

    def is_last(self, checkpoint: dict[str, Any], max_steps: int) -> bool:
        """Return whether a checkpoint is the last one of the run."""
        is_stopped = self._own(checkpoint)['is_stopped']
        return not self.awaits_validation(checkpoint) and (
            is_stopped or checkpoint['global_step'] >= max_steps
        )

    @contextlib.contextmanager
    def validation_first(self, trainer: Trainer, step: int) -> Iterator[None]:
        """Let a run resume with a validation, even after its last step.

        Without further steps, Lightning's loop would not begin at all.
        """
        loop = trainer.fit_loop.epoch_loop
        self._max_steps = loop.max_steps
        loop.max_steps = max(loop.max_steps, step + 1)
        try:
            yield
        finally:
            loop.max_steps = self._max_steps

    def _validate_first(self, trainer):
        loop = trainer.fit_loop.epoch_loop
        if self._max_steps is not None:
            loop.max_steps = self._max_steps
        _set_rng_states(self._rng_states)
        if trainer.enable_validation:
            # as in Lightning's `on_advance_end`
            connector = trainer._logger_connector
            first = connector._first_loop_iter
            trainer.validating = True
            loop.val_loop.restarting = False
            loop.val_loop.run()
            trainer.training = True
            connector._first_loop_iter = first
        self._rng_states = None
        self._awaits_validation = False
        if self._is_stopped:
            trainer.should_stop = True

    # --- Checkpoints --- #

    def on_train_start(self, trainer: Trainer, task: LightningModule) -> None:
        """Record the first step, and that the run is not finished."""
        self._step = self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            self.begin()
        if self._awaits_validation:
            self._saved_at = None
            self._validate_first(trainer)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        task: LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Continue the random numbers of the interrupted run."""
        if self._rng_states is not None:
            # Only now, as preparing the run draws random numbers, too.
            _set_rng_states(self._rng_states)
            self._rng_states = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        task: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write a checkpoint at intervals, and before a validation."""
        step = trainer.global_step
        if step == self._step:  # gradients are being accumulated
            return
        self._step = step
        # Lightning's single epoch is the whole run.
        self._awaits_validation = (
            trainer.enable_validation
            and (batch_idx + 1) % trainer.val_check_batch == 0
        )
        if self._awaits_validation or step % self.every == 0:
            self.save_checkpoint(trainer)

    def save_checkpoint(self, trainer: Trainer) -> None:
        """Write the checkpoint of this step, and delete older ones."""
        folder = self.folder / 'checkpoints'
        self._is_stopped = bool(trainer.should_stop)
        trainer.save_checkpoint(checkpoint_path(folder, trainer.global_step))
        self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            files = [path for path in checkpoints(folder) if path.is_file()]
            for path in files[_N_KEPT:]:
                CheckpointFiles().remove_checkpoint(path)

    # --- Weights --- #

    def on_validation_end(
        self, trainer: Trainer, task: LightningModule
    ) -> None:
        """Write the weights if they are the best, then a checkpoint."""
        if trainer.state.fn != 'fit' or trainer.sanity_checking:
            return
        self._keep_best(trainer, task)
        if self._awaits_validation:
            self._awaits_validation = False
            self.save_checkpoint(trainer)

    def _keep_best(self, trainer, task):
        found = trainer.callback_metrics
        # without ground truth, held-out measurements tell which are best
        psnr = found.get('validation/psnr', found.get('validation/held_out'))
        psnr = math.nan if psnr is None else float(psnr)
        best = -math.inf if self.best_psnr is None else self.best_psnr
        if math.isfinite(psnr) and psnr > best:
            self.best_psnr = psnr
            if trainer.is_global_zero:
                averaged = contextlib.nullcontext()
                if self.average is not None:
                    averaged = self.average.taken(task)
                with averaged:
                    models.save(task.network, self.folder / BEST)

    def on_train_end(self, trainer: Trainer, task: LightningModule) -> None:
        """Write the last checkpoint and the final weights."""
        if trainer.global_step != self._saved_at:
            self.save_checkpoint(trainer)
        if self.average is not None:
            self.average.copy_to(task)
        if trainer.is_global_zero:
            self.finish(task.network, trainer.global_step, trainer.max_steps)
