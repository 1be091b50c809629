# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The files of a training run, from which it resumes."""

import contextlib
import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning.fabric.utilities.seed import (
    _collect_rng_states,
    _set_rng_states,
)
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from odl_equivariant import models
from odl_equivariant._checks import whole_number
from odl_equivariant._files import check_no_folder, write_atomically
from odl_equivariant.training.runs.checkpoints import (
    CheckpointFiles,
    checkpoint_path,
    checkpoints,
)
from odl_equivariant.training.runs.identity import check_same

__all__ = ('BEST', 'CONFIGURATION', 'FINAL', 'RunFolder', 'remove_leftovers')

BEST, FINAL = 'best.safetensors', 'final.safetensors'
CONFIGURATION = 'config.yaml'
_FINISHED = 'finished.json'
_FILES = (BEST, FINAL, _FINISHED, CONFIGURATION)
_N_KEPT = 2
# Temporary names of `write_files` begin like this.
_OURS = ('.best-', '.final-', '.finished-', '.config-', '.step-')
_OTHERS = ('.scores-', '.skipped-')
_LONG = 3600  # seconds, enough to write these small files
_log = logging.getLogger(__name__)


class RunFolder(Callback):
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
    ) -> None:
        self.folder = pathlib.Path(folder)
        self.every = whole_number('trainer.checkpoint_every', every, 1)
        self.run = run
        self.validation = validation
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

    def found(self) -> list[str]:
        """Return the names of the files of a run in the folder."""
        names = [
            name for name in _FILES if os.path.lexists(self.folder / name)
        ]
        steps = checkpoints(self.folder / 'checkpoints')
        return [f'checkpoints/{path.name}' for path in steps] + names

    def weights(self) -> list[str]:
        """Return the names of the files of weights in the folder."""
        return [name for name in self.found() if name in (BEST, FINAL)]

    def check_empty(self) -> None:
        """Raise an error if the folder holds anything of a run.

        Raises
        ------
        ValueError
            If it does. The message names the files.
        """
        found = self.found()
        if found:
            has_checkpoints = bool(checkpoints(self.folder / 'checkpoints'))
            resume = ', or set `trainer.resume` to true'
            raise ValueError(
                f'the folder {self.folder} holds a run, {", ".join(found)}: '
                'take another `trainer.default_root_dir`, or move these files '
                f'away{resume if has_checkpoints else ""}'
            )

    def check_no_weights(self) -> None:
        """Raise an error if a new run would overwrite weights.

        Raises
        ------
        ValueError
            If there are weights. The message names the files.
        """
        weights = self.weights()
        if weights:
            raise ValueError(
                f'the folder {self.folder} holds {", ".join(weights)}, but no '
                'checkpoint from which the run could resume. A new run would '
                'overwrite these weights: take another '
                '`trainer.default_root_dir`, or move the files away. To start '
                'from these weights, name one of the files as '
                '`model.pretrained`'
            )

    def check_places(self, loggers: Sequence[Logger] = ()) -> None:
        """Raise an error if the run cannot write one of its files.

        Parameters
        ----------
        loggers : sequence of Logger, optional
            Loggers of the run, of which some write to a folder.

        Raises
        ------
        IsADirectoryError
            If a folder has the name of a file.
        NotADirectoryError
            If a file has the name of the folder of a logger.
        ValueError
            If the configuration is a link that leads nowhere.
        """
        for name in _FILES:
            check_no_folder(self.folder / name)
        for logger in loggers:
            place = getattr(logger, 'root_dir', None)
            if place and os.path.lexists(place) and not os.path.isdir(place):
                raise NotADirectoryError(
                    f'{place} must be a folder, for logs: move the file away'
                )
        path = self.folder / CONFIGURATION
        if path.is_symlink() and not path.exists():
            raise ValueError(
                f'{path} is a link to {os.readlink(path)}, where there is no '
                'file: correct the link, or delete it if the run in that '
                'folder is yours'
            )

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
            # loggers make it too, but there may be none
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _FINISHED).unlink(missing_ok=True)
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
                models.save(task.network, self.folder / BEST)

    def on_train_end(self, trainer: Trainer, task: LightningModule) -> None:
        """Write the last checkpoint and the final weights."""
        if trainer.global_step != self._saved_at:
            self.save_checkpoint(trainer)
        if trainer.is_global_zero:
            self.finish(task.network, trainer.global_step, trainer.max_steps)

    def finish(
        self, network: torch.nn.Module, step: int, max_steps: int
    ) -> None:
        """Write the final weights, and record that the run is finished.

        Parameters
        ----------
        network : torch.nn.Module
            Network with the weights of the last step.
        step, max_steps : int
            The last step, and the requested one. A run can stop early.
        """
        models.save(network, self.folder / FINAL)
        content = json.dumps({'step': step, 'max_steps': max_steps})
        write_atomically(self.folder / _FINISHED, content.encode())

    def finished_at(self, max_steps: int) -> int | None:
        """Return the last step of a finished run, or ``None``."""
        try:
            state = json.loads((self.folder / _FINISHED).read_text('utf-8'))
            asked, step = int(state['max_steps']), int(state['step'])
        except (
            KeyError,
            OSError,
            OverflowError,
            RecursionError,
            TypeError,
            ValueError,
        ):
            return None
        there = (self.folder / FINAL).is_file()
        return step if there and asked == max_steps else None

    def clean(self) -> None:
        """Remove half-written files of a killed training."""
        for folder in (self.folder, self.folder / 'checkpoints'):
            remove_leftovers(folder, _OURS)


def remove_leftovers(folder: pathlib.Path, ours: tuple[str, ...]) -> None:
    """Remove half-written files of killed processes.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of a run.
    ours : tuple of str
        Beginnings of the temporary names that no other process uses now.
        Another command may be writing to other temporary files: they are
        removed if they are older than an hour.
    """
    now = time.time()
    for path in folder.glob('.*.tmp'):
        if not path.name.startswith((*ours, *_OTHERS)):
            continue
        with contextlib.suppress(FileNotFoundError):
            if path.name.startswith(ours) or (
                now - path.lstat().st_mtime > _LONG
            ):
                path.unlink()
