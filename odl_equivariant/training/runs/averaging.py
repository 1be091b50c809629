# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Moving averages of the weights of a training."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from odl_equivariant._checks import real_number

__all__ = ('WeightAverage', 'checked_decay', 'decay_at')


def checked_decay(value: float) -> float:
    """Return a decay of averages, or raise an error unless it is below 1."""
    decay: float = real_number('trainer.averaging', value, 0)
    if decay >= 1:
        raise ValueError(
            '`trainer.averaging` must be below 1, since averages with 1 never '
            f'leave the first weights, got {value!r}: 0.999 is usual'
        )
    return decay


def decay_at(step: int, decay: float) -> float:
    r"""Return the decay of a step, which is smaller at the beginning.

    Parameters
    ----------
    step : int
        Number of the update, from 1.
    decay : float
        Largest decay.

    Returns
    -------
    decay : float
        The minimum of ``decay`` and ``step / (step + 9)``.

    Examples
    --------
    >>> [decay_at(k, 0.9) for k in (1, 9, 100)]
    [0.1, 0.5, 0.9]
    """
    return min(decay, step / (step + 9))


class WeightAverage(Callback):
    r"""Average the weights, validate with the averages, and keep them.

    Parameters
    ----------
    decay : float
        Largest decay :math:`d` of the averages, below 1. They look back over
        about :math:`1 / (1 - d)` steps.

    Attributes
    ----------
    weights : dict of torch.Tensor or None
        The averages by the names of the parameters. None before a training.
    n_updates : int
        Number of steps that they average.

    Raises
    ------
    ValueError
        If the decay is not below 1, or weights have a precision of 16 bits,
        in which small steps of averages are lost.

    Notes
    -----
    With the weights :math:`w_k` after step :math:`k`,

    .. math:: a_0 = w_0, \qquad a_k = d_k a_{k - 1} + (1 - d_k) w_k, \qquad
        d_k = \min\left(d, \frac{k}{k + 9}\right).

    Averages with a decay date from Polyak and Juditsky (SIAM J. Control
    Optim. 30, 1992). With a constant decay, they would hold the share
    :math:`d^k` of the first weights, which are random: more than a third
    after 1000 steps with :math:`d = 0.999`. The growing decay is that of
    ``num_updates`` in TensorFlow's ``tf.train.ExponentialMovingAverage``. As
    long as it grows, step :math:`j` counts as about :math:`j^8`, so that the
    averages look back over the last tenth of the steps, as the power
    functions of Karras et al. (CVPR 2024) do, and the share of the first
    weights is :math:`9!\, k! / (k + 9)!`.

    Parameters alone are averaged, and buffers stay as they are. A checkpoint
    holds both the weights and the averages. Each process averages by itself:
    the weights of all are the same after each step.
    """

    def __init__(self, decay: float) -> None:
        self.decay = checked_decay(decay)
        self.n_updates = 0
        self.weights: dict[str, torch.Tensor] | None = None
        self._step = 0
        self._is_swapped = False

    def state_dict(self) -> dict[str, Any]:
        """Return the averages, and the number of steps in them."""
        return {'n_updates': self.n_updates, 'weights': self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the averages of a checkpoint."""
        self.n_updates = state['n_updates']
        self.weights = state['weights']

    def on_train_start(self, trainer: Trainer, task: LightningModule) -> None:
        """Start with the weights, or with the averages of a checkpoint."""
        before, self.weights = self.weights or {}, {}
        for name, parameter in task.named_parameters():
            if parameter.dtype in (torch.float16, torch.bfloat16):
                raise ValueError(
                    '`trainer.averaging` needs weights in float32 or float64, '
                    f'and {name} is {parameter.dtype}: take the precision '
                    '32-true or bf16-mixed'
                )
            average = parameter.detach().clone()
            self.weights[name] = average
            if before:
                average.copy_(before[name])
        self._step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        task: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Update the averages after a step."""
        if trainer.global_step == self._step:  # gradients are accumulated
            return
        self._step = trainer.global_step
        self.n_updates += 1
        pairs = self._pairs(task)
        for one in _alike(pairs):
            update = get_ema_multi_avg_fn(decay_at(self.n_updates, self.decay))
            averages, weights = zip(*one, strict=True)
            update(list(averages), list(weights), self.n_updates)

    def on_validation_epoch_start(
        self, trainer: Trainer, task: LightningModule
    ) -> None:
        """Validate with the averages."""
        if self.weights is not None:
            self._swap(task)

    def on_validation_epoch_end(
        self, trainer: Trainer, task: LightningModule
    ) -> None:
        """Go on with the weights."""
        if self._is_swapped:
            self._swap(task)

    def on_exception(
        self,
        trainer: Trainer,
        task: LightningModule,
        exception: BaseException,
    ) -> None:
        """Leave the weights, even if a validation fails."""
        if self._is_swapped:
            self._swap(task)

    @contextlib.contextmanager
    def taken(self, task: LightningModule) -> Iterator[None]:
        """Give a task the averages for a while."""
        self._swap(task)
        try:
            yield
        finally:
            self._swap(task)

    @torch.no_grad()
    def copy_to(self, task: LightningModule) -> None:
        """Give a task the averages for good."""
        for average, parameter in self._pairs(task):
            parameter.copy_(average)

    @torch.no_grad()
    def _swap(self, task):
        self._is_swapped = not self._is_swapped
        for average, parameter in self._pairs(task):
            weights = parameter.clone()
            parameter.copy_(average)
            average.copy_(weights)

    def _pairs(self, task):
        return [
            (self.weights[name], parameter)
            for name, parameter in task.named_parameters()
        ]


def _alike(pairs):
    """Yield pairs of one precision and device each, as torch takes them."""
    kinds = {}
    for pair in pairs:
        kinds.setdefault((pair[0].dtype, pair[0].device), []).append(pair)
    return kinds.values()
