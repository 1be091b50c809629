# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of the networks that a configuration asks for."""

import pathlib

from odl_equivariant._checks import one_of
from odl_equivariant.data import Denoising
from odl_equivariant.nn import LearnedPrimalDual, LearnedProximalGradient

__all__ = (
    'check_method',
    'checked_denoiser',
    'first_difference',
    'made_network',
)

_METHODS = ('proximal_gradient', 'primal_dual')


def check_method(method, dual, acquisition):
    """Raise a ValueError unless method and data-side block go together."""
    one_of('method', method, _METHODS)
    if method == 'primal_dual' and isinstance(acquisition, Denoising):
        raise ValueError(
            '`model.method: primal_dual` inverts an operator, and the '
            'acquisition `Denoising` has none: remove `model.method` and '
            '`model.dual`'
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
    n_iterations,
    shared,
    initial,
    checkpointing,
    pretrained,
):
    """Return the network of a task, see `ReconstructionTask`.

    Raises
    ------
    ValueError
        If there are neither blocks nor a file that names them.
    """
    if proximal is None:
        return _loaded_network(acquisition, dual, checkpointing, pretrained)
    if isinstance(acquisition, Denoising):
        return checked_denoiser(proximal(), acquisition.space)
    operator = acquisition.forward_operator()
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


def _loaded_network(acquisition, dual, checkpointing, pretrained):
    """Return a network of the architecture that a file has."""
    from odl_equivariant import models

    if pretrained is None or dual is not None:
        raise ValueError(
            'the network has no blocks: set `model.proximal`, for example to '
            '`odl_equivariant.nn.EquivariantProximal`'
            + (
                ', or `model.pretrained` to a file or a shipped model'
                if dual is None
                else ', beside `model.dual`'
            )
        )
    if pathlib.Path(pretrained).suffix == '.ckpt':
        raise ValueError(
            f'the checkpoint {pretrained} needs `model.proximal`, as in the '
            'configuration of its run: set it, or give `best.safetensors` or '
            '`final.safetensors` of that run'
        )
    if isinstance(acquisition, Denoising):
        return checked_denoiser(models.load(pretrained), acquisition.space)
    network = models.load(pretrained, acquisition.forward_operator())
    network.checkpointing = checkpointing
    return network.train()


def first_difference(theirs, ours, place='it'):
    """Describe the first difference of two architectures."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *ours]:
            if theirs.get(key) != ours.get(key):
                return first_difference(
                    theirs.get(key), ours.get(key), str(key)
                )
    if isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            return f'it has {len(theirs)} {place}, not {len(ours)}'
        for one, other in zip(theirs, ours, strict=True):
            if one != other:
                return first_difference(one, other, place)
    return f'{place} is {theirs!r}, not {ours!r}'
