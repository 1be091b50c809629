# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Penalties that training adds to a loss."""

from odl_equivariant._checks import real_number
from odl_equivariant.nn import GradientStepDenoiser, hessian_norm

__all__ = ('check_penalty', 'penalty_of')

# Norms of Hessians below it are not penalised.
_LARGEST_NORM = 0.9
_N_ITERATIONS = 8


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
