# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Which parameters learn at which rate, and whether gradients are finite."""

import torch

from odl_equivariant._checks import positive_number
from odl_equivariant.nn import UnrolledMethod

__all__ = ('check_steps_rate', 'have_finite_norms', 'parameter_groups')


def check_steps_rate(steps_learning_rate, network):
    """Raise an error if a network has no steps that could learn at a rate.

    Parameters
    ----------
    steps_learning_rate : float or None
        Learning rate of the steps and noise levels, if it is one of their own.
    network : torch.nn.Module
        What is trained.

    Raises
    ------
    TypeError
        If the rate is no number.
    ValueError
        If it is not positive, or the network has no steps.
    """
    if steps_learning_rate is None:
        return
    positive_number('steps_learning_rate', steps_learning_rate)
    if not list(_steps_of(network)):
        raise ValueError(
            '`steps_learning_rate` is for the steps and noise levels of an '
            f'unrolled method, and {type(network).__name__} has none: leave '
            'it out'
        )


def parameter_groups(module, network, steps_learning_rate):
    """Return parameters in the form that an optimiser takes.

    Parameters
    ----------
    module : torch.nn.Module
        All that is trained.
    network : torch.nn.Module
        The network in it.
    steps_learning_rate : float or None
        Learning rate of its steps and noise levels, if it is one of their own.

    Returns
    -------
    groups : list of dict or list of torch.nn.Parameter
        The parameters, or groups of them.
    """
    if steps_learning_rate is None:
        return list(module.parameters())
    steps = list(_steps_of(network))
    of_steps = {id(parameter) for parameter in steps}
    rest = [p for p in module.parameters() if id(p) not in of_steps]
    # steps first, as in the network: an optimiser numbers its moments so
    return [{'params': steps, 'lr': steps_learning_rate}, {'params': rest}]


def have_finite_norms(tensors):
    """Return whether all norms are finite, after a single wait for a GPU.

    A norm can overflow where the tensor is finite.

    Parameters
    ----------
    tensors : list of torch.Tensor
        Gradients, on any devices.
    """
    norms = torch._foreach_norm(tensors)
    if len({(norm.device, norm.dtype) for norm in norms}) > 1:
        device = norms[0].device
        norms = [norm.to(device, torch.double) for norm in norms]
    return bool(torch.stack(norms).isfinite().all())


def _steps_of(network):
    """Yield the parameters of an unrolled method but those of its blocks."""
    if isinstance(network, UnrolledMethod):
        yield from network.parameters(recurse=False)
