# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of the networks that a configuration asks for."""

from odl_equivariant._checks import one_of
from odl_equivariant.data import Denoising

__all__ = ('check_method', 'checked_denoiser', 'first_difference')

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
