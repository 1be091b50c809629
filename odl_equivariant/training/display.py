# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Progress bar and images of a training run."""

import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from odl_equivariant.training.scores.metrics import magnitude

__all__ = ('ImagePanels', 'Progress', 'is_read')

_DECAY = 0.98
# seconds between two looks at the loss
_EVERY = 0.5


class Progress(ProgressBar):
    """One bar over all steps of a run, with loss, PSNR and remaining time.

    If the output is not a terminal, it prints a line every 30 seconds at most.
    """

    def __init__(self):
        super().__init__()
        self._bar = None
        self._loss = None
        self._next = 0.0
        self._enabled = True

    def disable(self):
        """Print nothing. Lightning calls this on other ranks than 0."""
        self._enabled = False

    def enable(self):
        """Print again."""
        self._enabled = True

    def on_train_start(self, trainer, task):
        """Begin a bar at the current step."""
        from tqdm import tqdm

        self._bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            desc='training',
            unit='step',
            mininterval=0.5 if sys.stderr.isatty() else 30,
            disable=not self._enabled,
            dynamic_ncols=sys.stderr.isatty(),
        )

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
        """Show a running mean of the loss."""
        loss = outputs['loss'] if isinstance(outputs, dict) else outputs
        # Lightning divides it; as a number only where it is shown, since a
        # number waits for a GPU
        loss = torch.as_tensor(loss).detach() * trainer.accumulate_grad_batches
        if self._loss is None:
            self._loss = loss
        self._loss = _DECAY * self._loss + (1 - _DECAY) * loss
        now = time.monotonic()
        if now >= self._next or trainer.global_step >= trainer.max_steps:
            self._next = now + _EVERY
            shown = {'loss': f'{float(self._loss):.3e}'}
            for name, word in (('psnr', 'PSNR'), ('held_out', 'held out')):
                value = trainer.callback_metrics.get(f'validation/{name}')
                if value is not None:
                    shown[word] = f'{float(value):.2f}'
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(trainer.global_step - self._bar.n)

    def _close(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_train_end(self, trainer, task):
        """Close the bar."""
        self._close()

    def on_exception(self, trainer, task, exception):
        """Close the bar, so that an error message begins a new line."""
        self._close()

    def on_test_start(self, trainer, task):
        """Begin a bar over the test pairs."""
        from tqdm import tqdm

        self._bar = tqdm(
            total=sum(trainer.num_test_batches),
            desc='evaluation',
            unit='image',
            disable=not self._enabled,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )

    def on_test_batch_end(self, *args, **kwargs):
        """Count one image."""
        self._bar.update()

    def on_test_end(self, trainer, task):
        """Close the bar."""
        self._close()


class ImagePanels(Callback):
    """Log validation images to TensorBoard.

    From left to right: baseline, reconstruction, ground truth, and the error
    of the reconstruction, magnified. Of volumes, the slice in the middle of
    the last axis is shown. Data without ground truth are left out.

    Parameters
    ----------
    n_images : int, optional
        Number of validation pairs to show, the first ones.
    error_scale : float, optional
        Magnification of the error.
    """

    def __init__(self, n_images: int = 2, error_scale: float = 5.0) -> None:
        self.n_images = n_images
        self.error_scale = error_scale

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        task: LightningModule,
        outputs: torch.Tensor,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the panel of one of the first pairs."""
        loggers = [
            logger
            for logger in trainer.loggers
            if isinstance(logger, TensorBoardLogger)
        ]
        if batch_idx >= self.n_images or not loggers or 'truth' not in batch:
            return
        truth, result, baseline = (
            _middle_slice(magnitude(image))
            for image in (
                batch['truth'],
                outputs.float(),
                task.baseline(batch).float(),
            )
        )
        low, high = truth.min(), truth.max()
        # a constant image has no range
        scale = 1 / (high - low) if high > low else 1
        panels = [scale * (image - low) for image in (baseline, result, truth)]
        error = self.error_scale * (panels[1] - panels[2]).abs()
        # axis 0 is x, to the right, and axis 1 is y, upwards
        panel = torch.cat([*panels, error], 2)[0].clamp(0, 1)
        panel = panel.transpose(1, 2).flip(1)
        for logger in loggers:
            logger.experiment.add_image(
                f'validation/{batch_idx}', panel, trainer.global_step
            )


def _middle_slice(images):
    """Return images, and of volumes the slices in the middle."""
    return images if images.ndim == 4 else images[..., images.shape[-1] // 2]


def is_read(name, trainer, step):
    """Return whether anything reads a metric of a step, counted from 1.

    Lightning would do all but write it in the other steps, too.

    Parameters
    ----------
    name : str
        Name of the metric.
    trainer : lightning.pytorch.Trainer or None
        Trainer with loggers and callbacks.
    step : int
        Number of the step.
    """
    return (
        trainer is None
        or trainer.log_every_n_steps < 1
        or step % trainer.log_every_n_steps == 0
        or step == trainer.max_steps
        or name in (getattr(part, 'monitor', '') for part in trainer.callbacks)
    )
