# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What a training run leaves in its folder, so that nothing is lost."""

import contextlib
import json
import logging
import math
import os
import pathlib
import time

from lightning.fabric.utilities.seed import (
    _collect_rng_states,
    _set_rng_states,
)
from lightning.pytorch import Callback

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
# The beginnings of temporary names, as `write_files` makes them.
_OURS = ('.best-', '.final-', '.finished-', '.config-', '.step-')
_OTHERS = ('.scores-', '.skipped-')
_LONG = 3600  # seconds, in which these small files are written
_log = logging.getLogger(__name__)


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
    run : dict, optional
        What tells the run apart from others: a checkpoint of which
        something in it is different is refused.
    validation : dict, optional
        What tells the validation pairs apart from others. If they have
        changed when a run goes on, the best weights are chosen anew.

    Raises
    ------
    ValueError
        If ``every`` is not positive.

    Notes
    -----
    With the checkpoint of a step, a run goes on as if it had never been
    interrupted: weights, optimiser, schedule, random states and the place in
    the stream of samples are those of the step. Where the network is validated
    after the step, there is a checkpoint from before, so that no step is lost
    if the validation fails, which is then the first thing that is done when
    the run goes on; and one from after it, which takes the place of the first.
    """

    def __init__(self, folder, every=500, run=None, validation=None):
        self.folder = pathlib.Path(folder)
        self.every = whole_number('trainer.checkpoint_every', every, 1)
        self.run = run
        self.validation = validation
        self.best_psnr = None
        self._rng_states = None
        self._step = 0
        self._saved_at = None
        self._awaits_validation = False
        self._is_stopped = False
        self._max_steps = None

    def state_dict(self):
        """Return what the run is, where it is, and the random states."""
        return {
            'best_psnr': self.best_psnr,
            'is_stopped': self._is_stopped,
            'awaits_validation': self._awaits_validation,
            'rng_states': _collect_rng_states(),
            'run': self.run,
            'validation': self.validation,
        }

    def on_save_checkpoint(self, trainer, task, checkpoint):
        """Let Lightning go on after a validation, even if there was none."""
        if self._awaits_validation:
            loops = checkpoint['loops']['fit_loop']
            for count in ('total', 'current'):
                loops['epoch_loop.batch_progress'][count]['completed'] += 1

    def load_state_dict(self, state):
        """Take from a checkpoint where the run is."""
        self.best_psnr = state['best_psnr']
        self._rng_states = state['rng_states']
        self._is_stopped = state['is_stopped']
        if self.run and not state.get('run'):
            _log.warning(
                'the checkpoint does not say which run it is of, as an older '
                'version wrote it: it is taken for one of this run'
            )
        self._awaits_validation = state.get('awaits_validation', False)
        before = state.get('validation')
        if None not in (before, self.validation) and (
            before != self.validation
        ):
            self.best_psnr = None
            _log.warning(
                'the validation pairs have changed: %s is chosen anew', BEST
            )

    # --- Going on --- #

    def found(self):
        """Return what there is of a run in the folder, by its names."""
        names = [
            name for name in _FILES if os.path.lexists(self.folder / name)
        ]
        steps = checkpoints(self.folder / 'checkpoints')
        return [f'checkpoints/{path.name}' for path in steps] + names

    def check_places(self):
        """Raise an error if a run could not write one of its files.

        Raises
        ------
        IsADirectoryError
            If there is a folder in the place of a file.
        ValueError
            If the configuration is a link that leads nowhere.
        """
        for name in _FILES:
            check_no_folder(self.folder / name)
        path = self.folder / CONFIGURATION
        if path.is_symlink() and not path.exists():
            raise ValueError(
                f'{path} is a link to {os.readlink(path)}, where no file can '
                'be read: mend the link, or delete it if the run in that '
                'folder is yours'
            )

    def check_run(self, path, checkpoint):
        """Raise an error for the checkpoint of another run.

        Parameters
        ----------
        path : pathlib.Path
            Where it comes from.
        checkpoint : dict
            What was read.

        Raises
        ------
        ValueError
            If weights of that run depend on something that is different now;
            with what it is.
        """
        before = self._own(checkpoint).get('run')
        check_same(before or {}, self.run or {}, str(path))

    def _own(self, checkpoint):
        return checkpoint['callbacks'][self.state_key]

    def awaits_validation(self, checkpoint):
        """Return whether a checkpoint is from just before a validation."""
        return self._own(checkpoint).get('awaits_validation', False)

    def is_last(self, checkpoint, max_steps):
        """Return whether nothing follows after a checkpoint, as it is read."""
        is_stopped = self._own(checkpoint)['is_stopped']
        return not self.awaits_validation(checkpoint) and (
            is_stopped or checkpoint['global_step'] >= max_steps
        )

    @contextlib.contextmanager
    def validation_first(self, trainer, step):
        """Let a run go on with a validation, be it at its end.

        Lightning's loop does not even begin if no step follows.
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

    def on_train_start(self, trainer, task):
        """Note where the run begins, and that it is not at its end."""
        self._step = self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            # loggers make it too, but there may be none
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _FINISHED).unlink(missing_ok=True)
        if self._awaits_validation:
            self._saved_at = None
            self._validate_first(trainer)

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        """Go on with the random numbers of the interrupted run."""
        if self._rng_states is not None:
            # Not before: what prepares the run draws random numbers, too.
            _set_rng_states(self._rng_states)
            self._rng_states = None

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
        """Write a checkpoint if it is time, or a validation comes next."""
        step = trainer.global_step
        if step == self._step:  # gradients are being accumulated
            return
        self._step = step
        # The one epoch of Lightning is the whole run.
        self._awaits_validation = (
            trainer.enable_validation
            and (batch_idx + 1) % trainer.val_check_batch == 0
        )
        if self._awaits_validation or step % self.every == 0:
            self.save_checkpoint(trainer)

    def save_checkpoint(self, trainer):
        """Write the checkpoint of this step, and drop what is too old."""
        folder = self.folder / 'checkpoints'
        self._is_stopped = bool(trainer.should_stop)
        trainer.save_checkpoint(checkpoint_path(folder, trainer.global_step))
        self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            files = [path for path in checkpoints(folder) if path.is_file()]
            for path in files[_N_KEPT:]:
                CheckpointFiles().remove_checkpoint(path)

    # --- Weights --- #

    def on_validation_end(self, trainer, task):
        """Keep a copy of the best weights, and then the checkpoint."""
        if trainer.state.fn != 'fit' or trainer.sanity_checking:
            return
        self._keep_best(trainer, task)
        if self._awaits_validation:
            self._awaits_validation = False
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

    def clean(self):
        """Remove what a killed training has left half written."""
        for folder in (self.folder, self.folder / 'checkpoints'):
            remove_leftovers(folder, _OURS)


def remove_leftovers(folder, ours):
    """Remove what killed processes have left half written.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of a run.
    ours : tuple of str
        Beginnings of the temporary names that nobody else uses now. Others
        may be written to by another command at this moment: they are removed
        if they are older than an hour.
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
