# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The networks that a configuration asks for."""

from odl_equivariant._checks import one_of
from odl_equivariant.data import Denoising
from odl_equivariant.nn import (
    LearnedHalfQuadraticSplitting,
    LearnedPrimalDual,
    LearnedProximalGradient,
)

__all__ = (
    'SPLITTING',
    'check_method',
    'check_no_own_arguments',
    'checked_denoiser',
    'made_network',
    'made_splitting',
)

SPLITTING = 'half_quadratic_splitting'
_METHODS = ('proximal_gradient', 'primal_dual', SPLITTING)


def check_method(method, dual, acquisition, own):
    """Raise a ValueError unless method and its arguments go together.

    Parameters
    ----------
    method : str
        Name of the method.
    dual : callable or None
        Makes data-side blocks.
    acquisition : Acquisition
        What the network inverts.
    own : dict
        Arguments of half-quadratic splitting alone, None where not given.
    """
    one_of('method', method, _METHODS)
    if method != _METHODS[0] and isinstance(acquisition, Denoising):
        raise ValueError(
            f'`model.method: {method}` inverts an operator, and the '
            'acquisition `Denoising` has none: remove `model.method`'
            + (' and `model.dual`' if method == 'primal_dual' else '')
        )
    if method == 'primal_dual' and dual is None:
        raise ValueError(
            '`model.method: primal_dual` needs data-side blocks: set '
            '`model.dual` to `odl_equivariant.nn.DualProximal` and its '
            'arguments'
        )
    if method != 'primal_dual' and dual is not None:
        raise ValueError(
            '`model.dual` is for `model.method: primal_dual`, got the method '
            f'{method!r}: set that method, or remove `model.dual`'
        )
    if method != SPLITTING:
        check_no_own_arguments(
            own, f'set `model.method: {SPLITTING}`, or remove'
        )


def check_no_own_arguments(own, advice):
    """Raise a ValueError if there are arguments of splitting alone."""
    given = [f'`model.{name}`' for name in own if own[name] is not None]
    if given:
        raise ValueError(
            f'{" and ".join(given)} would have no effect: {advice} '
            f'{"it" if len(given) == 1 else "them"}'
        )


def checked_denoiser(block, space):
    """Return a block that is a denoiser for a space, or raise an error."""
    for name, expected in (
        ('gradient', False),
        ('memory', 0),
        ('noise_level', True),
    ):
        if getattr(block, name, None) != expected:
            raise ValueError(
                'the acquisition `Denoising` trains a denoiser, made with '
                '`gradient: false`, `memory: 0` and `noise_level: true` in '
                '`model.proximal.init_args`; got '
                f'{name}={getattr(block, name, None)!r}'
            )
    block.check_space(space)
    return block


def made_network(
    acquisition,
    proximal,
    dual,
    shared,
    initial,
    method,
    n_iterations,
    own,
    checkpointing,
):
    """Return the network of a task, see `ReconstructionTask`."""
    if isinstance(acquisition, Denoising):
        return checked_denoiser(proximal(), acquisition.space)
    operator = acquisition.forward_operator()
    if method == SPLITTING:
        return made_splitting(
            operator,
            proximal,
            shared,
            n_iterations,
            initial,
            own,
            checkpointing,
        )
    primal = proximal() if shared else proximal
    if dual is not None:
        return LearnedPrimalDual(
            operator,
            primal,
            dual() if shared else dual,
            n_iterations,
            initial,
            checkpointing,
        )
    return LearnedProximalGradient(
        operator, primal, n_iterations, initial, checkpointing
    )


def made_splitting(
    operator, denoiser, shared, n_iterations, initial, own, checkpointing
):
    """Return a network of half-quadratic splitting.

    Parameters
    ----------
    operator : odl.Operator
        Forward operator.
    denoiser : callable
        Returns the denoiser of an iteration.
    shared : bool
        Whether there is one for all.
    n_iterations, initial, checkpointing
        As for `LearnedHalfQuadraticSplitting`.
    own : dict
        Other arguments; those that are None have their default.
    """
    return LearnedHalfQuadraticSplitting(
        operator,
        denoiser() if shared else denoiser,
        n_iterations,
        initial=initial,
        checkpointing=checkpointing,
        **{name: value for name, value in own.items() if value is not None},
    )
