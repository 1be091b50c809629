# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Losses that compare with a ground truth, sample by sample."""

from typing import Any

import torch

from odl_equivariant._checks import one_of, real_number
from odl_equivariant.data import Denoising
from odl_equivariant.training.losses.base import Loss
from odl_equivariant.training.losses.problem import Problem

__all__ = ('LOSSES', 'Supervised', 'charbonnier', 'check_loss', 'loss_of')

# Errors below this share of the root mean square of the truth count squared.
EPSILON = 1e-3


def _squared(result, batch, floor):
    return 0.5 * (result - batch['truth']).square().flatten(1).mean(1)


def _relative(result, batch, floor):
    truth = batch['truth']
    squares = truth.square().flatten(1).sum(1)
    if floor:
        squares = squares + floor * truth[0].numel()
    return (result - truth).square().flatten(1).sum(1) / squares


def charbonnier(result, batch, floor, epsilon=EPSILON):
    """Return the losses of `Charbonnier`, as `loss_of` does."""
    truth = batch['truth']
    squares = truth.square().sum(1).flatten(1)
    means = squares.mean(1, keepdim=True) + floor
    errors = (result - truth).square().sum(1).flatten(1) / means
    # the root less epsilon, without a difference of close numbers
    return (errors / ((errors + epsilon**2).sqrt() + epsilon)).mean(1)


def _absolute(result, batch, floor):
    return (result - batch['truth']).abs().flatten(1).mean(1)


def _noise(result, batch, floor):
    errors = (result - batch['truth']).square().flatten(1).mean(1)
    return errors / batch['sigma']


LOSSES = {
    'squared': _squared,
    'relative': _relative,
    'absolute': _absolute,
    'noise': _noise,
    'charbonnier': charbonnier,
}


def check_loss(name, floor, acquisition):
    """Raise a ValueError if a loss does not fit an acquisition.

    Parameters
    ----------
    name, floor : str, float
        Loss and its floor, as for `loss_of`.
    acquisition : Acquisition
        The acquisition of the pairs.
    """
    one_of('loss', name, LOSSES)
    real_number('loss_floor', floor, 0)
    if floor and name not in ('relative', 'charbonnier'):
        raise ValueError(
            '`loss_floor` is for the losses `relative` and `charbonnier`, got '
            f'`{name}`'
        )
    if name == 'noise' and not isinstance(acquisition, Denoising):
        raise ValueError(
            'the loss `noise` is for the acquisition `Denoising`, whose '
            f'samples have a noise level, got {acquisition!r}'
        )


def loss_of(name, result, batch, floor=0.0):
    """Return the losses of the samples of a batch.

    Parameters
    ----------
    name : {'squared', 'relative', 'absolute', 'noise', 'charbonnier'}
        Which loss, see `ReconstructionTask`.
    result : torch.Tensor
        Images of shape ``(N, C, n, m)``.
    batch : dict
        Batch of pairs: ``'truth'``, of the shape of ``result``, and for
        ``'noise'`` also ``'sigma'``, of shape ``(N,)``.
    floor : float, optional
        Added to the mean square of the truth in ``'relative'`` and
        ``'charbonnier'``.

    Returns
    -------
    losses : torch.Tensor
        Tensor of shape ``(N,)``.
    """
    return LOSSES[name](result, batch, floor)


class Supervised(Loss):
    r"""Distance from the ground truth.

    Parameters
    ----------
    kind : str, optional
        ``'squared'``, ``'relative'``, ``'absolute'``, ``'noise'`` or
        ``'charbonnier'``, see `ReconstructionTask` and `Charbonnier`.
    floor : float, optional
        Added to the mean square of the truth in ``'relative'`` and
        ``'charbonnier'``.

    Raises
    ------
    ValueError
        If the kind is unknown, or does not fit the acquisition.

    Notes
    -----
    The minimiser of the mean squared error over all estimators is the
    conditional mean :math:`E[x \mid y]`.
    """

    needs_truth = True

    def __init__(self, kind: str = 'squared', floor: float = 0.0) -> None:
        self.kind = one_of('kind', kind, LOSSES)
        self.floor = real_number('floor', floor, 0)

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check that the kind fits the acquisition, see `Loss.check`."""
        check_loss(self.kind, self.floor, acquisition)

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        if problem.truth is None:
            raise ValueError(
                'the loss `Supervised` compares with a ground truth, and the '
                'data have none: take a loss without truth, such as '
                '`odl_equivariant.training.losses.EquivariantSplitting`'
            )
        batch = {'truth': problem.truth, 'sigma': problem.sigma}
        return self._losses(problem.reconstruct(), batch)

    def _losses(self, result, batch):
        return loss_of(self.kind, result, batch, self.floor)
