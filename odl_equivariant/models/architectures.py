# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The classes that a file of weights may hold, rebuilt from its header."""

from __future__ import annotations

import re
from typing import TypeAlias

import torch

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.nn._layers import INITIALS

__all__ = ('BLOCKS', 'Block', 'UNROLLED', 'loaded_blocks')

#: Classes of blocks by their names.
BLOCKS = {cls.__name__: cls for cls in (EquivariantProximal, OrdinaryProximal)}
Block: TypeAlias = EquivariantProximal | OrdinaryProximal
UNROLLED = LearnedProximalGradient.__name__
# With one of these arguments, convolutions may not have just two weights.
_OF_SEVERAL_WEIGHTS = {'representation', 'nonlinearity', 'restrict_to'}


def loaded_blocks(architecture, tensors):
    """Return the blocks that a file describes, with its weights."""
    architectures = {'': architecture}
    tensors = dict(tensors)
    if architecture.get('class') == UNROLLED:
        _check_entries(architecture, 'blocks')
        architectures = {
            f'blocks.{i}.': block
            for i, block in enumerate(architecture['blocks'])
        }
        _check_unrolled(architecture, tensors.pop('relative_steps', None))
    weights = {prefix: {} for prefix in architectures}
    for name, tensor in tensors.items():
        prefix = re.match(r'(blocks\.\d+\.)?', name)[0]
        if prefix not in weights:
            raise ValueError(f'the architecture has no {name}, the file has')
        weights[prefix][name[len(prefix) :]] = tensor
    return [
        _loaded_block(block, weights[prefix], prefix)
        for prefix, block in architectures.items()
    ]


def _check_entries(architecture, *names):
    """Check that an architecture has the form that JSON gives it."""
    if not (
        isinstance(architecture, dict)
        and architecture.keys() == {'class', 'arguments', *names}
        and isinstance(architecture['arguments'], dict)
    ):
        raise ValueError(
            'an architecture has a class, arguments by name'
            f'{"".join(f" and {name}" for name in names)}, got '
            f'{str(architecture):.80}'
        )


def _check_unrolled(architecture, steps):
    """Check the arguments of an unrolled network, given its steps."""
    arguments = architecture['arguments']
    if arguments.keys() != {'n_iterations', 'initial'}:
        raise ValueError(
            'the arguments must be n_iterations and initial, got '
            f'{", ".join(map(str, arguments))}'
        )
    n_iterations, initial = arguments['n_iterations'], arguments['initial']
    if initial not in (*INITIALS, 'operator'):
        raise ValueError(f'unknown initial {initial!r}')
    n_blocks = len(architecture['blocks'])
    shape = None if steps is None else tuple(steps.shape)
    if shape != (n_iterations,) or n_blocks not in (1, n_iterations):
        raise ValueError(
            f'{n_iterations} iterations have relative_steps of shape '
            f'({n_iterations},) and 1 or {n_iterations} blocks, the file has '
            f'{shape} and {n_blocks}'
        )


def _loaded_block(architecture, weights, prefix):
    _check_entries(architecture)
    name, arguments = architecture['class'], architecture['arguments']
    if name not in list(BLOCKS):
        raise ValueError(
            f'unknown class {name!r}; known are '
            f'{", ".join((*BLOCKS, UNROLLED))}'
        )
    # A short header could ask for any number of modules: check it first.
    n_layers = 2 + arguments['n_residual_blocks']
    exactly = not _OF_SEVERAL_WEIGHTS & arguments.keys()
    biases = not arguments.get('homogeneous')
    expected = (1 + biases) * n_layers
    if len(weights) != expected and (exactly or len(weights) < n_layers):
        raise ValueError(
            f'the {n_layers} convolutions of {prefix or "the network"} have '
            f'{expected} weights{" and biases" if biases else ""}, the file '
            f'has {len(weights)}'
        )
    # Only the weights of the file take memory, whatever the header says.
    with torch.device('meta'):
        block = BLOCKS[name](**arguments)
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in block.state_dict().items()
    }
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            raise ValueError(
                f'the architecture has {prefix}{name} of shape '
                f'{expected.get(name)}, the file {given.get(name)}'
            )
    block.load_state_dict(weights, assign=True)
    return block.to(block.lift.weight.dtype)
