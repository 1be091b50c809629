# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The optimiser of a training, and whether gradients are finite."""

import torch

from odl_equivariant._checks import positive_number
from odl_equivariant.nn import UnrolledMethod

__all__ = (
    'adam',
    'check_gradients',
    'check_steps_rate',
)


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


def adam(module, network, rate, steps_learning_rate=None, moments=None):
    """Return Adam for all that is trained.

    Parameters
    ----------
    module : torch.nn.Module
        All that is trained.
    network : torch.nn.Module
        The network in it.
    rate : float
        Learning rate.
    steps_learning_rate : float, optional
        Learning rate of its steps and noise levels, if it is one of their own.
    moments : dict, optional
        Moments of each parameter at the end of another run.

    Returns
    -------
    optimizer : torch.optim.Adam
        The optimiser.
    """
    optimizer = torch.optim.Adam(
        _parameter_groups(module, network, steps_learning_rate), lr=rate
    )
    if moments is not None:
        own = optimizer.state_dict()
        optimizer.load_state_dict({**own, 'state': moments})
    return optimizer


def _parameter_groups(module, network, steps_learning_rate):
    """Return parameters in the form that an optimiser takes."""
    if steps_learning_rate is None:
        return list(module.parameters())
    steps = list(_steps_of(network))
    of_steps = {id(parameter) for parameter in steps}
    rest = [p for p in module.parameters() if id(p) not in of_steps]
    # steps first, as in the network: an optimiser numbers its moments so
    return [{'params': steps, 'lr': steps_learning_rate}, {'params': rest}]


def check_gradients(module, names, step):
    """Raise an error if a gradient is not finite.

    Parameters
    ----------
    module : torch.nn.Module
        All that is trained.
    names : str
        Samples of the batch, for the message.
    step : int
        Number of the step, for the message.

    Raises
    ------
    FloatingPointError
        If it is infinite or no number. The message names the parameter.
    """
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if not gradients or _have_finite_norms(gradients):
        return
    for name, parameter in module.named_parameters():
        gradient = parameter.grad
        if gradient is not None and not gradient.isfinite().all():
            raise FloatingPointError(
                f'the gradient of {name} is not finite for {names} at step '
                f'{step}; the last checkpoint was written before. Check these '
                'data, or take a smaller learning rate'
            )


def _have_finite_norms(tensors):
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
