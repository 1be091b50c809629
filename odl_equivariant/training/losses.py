# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Losses of the training, sample by sample."""

from odl_equivariant._checks import one_of, real_number
from odl_equivariant.data import Denoising
from odl_equivariant.nn import GradientStepDenoiser, hessian_norm

__all__ = ('LOSSES', 'check_loss', 'check_penalty', 'loss_of', 'penalty_of')

# Norms of Hessians below it are not penalised.
_LARGEST_NORM = 0.9
_N_ITERATIONS = 8


def _squared(result, batch, floor):
    return 0.5 * (result - batch['truth']).square().flatten(1).mean(1)


def _relative(result, batch, floor):
    truth = batch['truth']
    squares = truth.square().flatten(1).sum(1)
    if floor:
        squares = squares + floor * truth[0].numel()
    return (result - truth).square().flatten(1).sum(1) / squares


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
    if floor and name != 'relative':
        raise ValueError(
            f'`loss_floor` is for the loss `relative`, got `{name}`'
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
    name : {'squared', 'relative', 'absolute', 'noise'}
        Which loss, see `ReconstructionTask`.
    result : torch.Tensor
        Images of shape ``(N, C, n, m)``.
    batch : dict
        Batch of pairs: ``'truth'``, of the shape of ``result``, and for
        ``'noise'`` also ``'sigma'``, of shape ``(N,)``.
    floor : float, optional
        Added to the mean square of the truth in ``'relative'``.

    Returns
    -------
    losses : torch.Tensor
        Tensor of shape ``(N,)``.
    """
    return LOSSES[name](result, batch, floor)


def check_penalty(weight, network):
    """Raise a ValueError if a penalty does not fit a network.

    Parameters
    ----------
    weight : float
        Weight of the penalty, as for `penalty_of`.
    network : torch.nn.Module
        Network to be trained.
    """
    real_number('hessian_penalty', weight, 0)
    if weight and not isinstance(network, GradientStepDenoiser):
        raise ValueError(
            '`hessian_penalty` is for a `GradientStepDenoiser`, which has an '
            f'energy with a Hessian, got {type(network).__name__}'
        )


def penalty_of(weight, network, batch):
    """Return penalties on the norm of the Hessian at noisy images.

    Parameters
    ----------
    weight : float
        Weight of the penalty.
    network : GradientStepDenoiser
        Denoiser, whose Hessian times the relaxation should have a norm below
        one, see `odl_equivariant.nn.ProximalDenoiser`.
    batch : dict
        Batch of pairs: ``'data'`` and ``'sigma'``.

    Returns
    -------
    penalties : torch.Tensor
        Tensor of shape ``(N,)``. Norms below 0.9 count as 0.9.
    """
    norms = hessian_norm(
        network.energy, batch['data'], batch['sigma'], _N_ITERATIONS
    )
    return weight * (network.relaxation * norms).clamp_min(_LARGEST_NORM)
