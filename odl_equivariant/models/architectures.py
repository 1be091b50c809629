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
from typing import Any, TypeAlias

import torch

from odl_equivariant.nn import (
    AtScales,
    AveragedProximal,
    DualProximal,
    EnergyDenoiser,
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    LearnedPrimalDual,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    MultiscaleProximal,
    OrdinaryProximal,
    RidgeEnergy,
    SpaceTimeProximal,
)
from odl_equivariant.nn.unrolled.layers import INITIALS

__all__ = (
    'BLOCKS',
    'Block',
    'DUALS',
    'ENERGIES',
    'UNROLLED',
    'check_classes',
    'loaded_blocks',
)

#: Classes of blocks by their names.
BLOCKS = {
    cls.__name__: cls
    for cls in (
        EquivariantProximal,
        OrdinaryProximal,
        MultiscaleDenoiser,
        MultiscaleProximal,
        AveragedProximal,
        SpaceTimeProximal,
    )
}
Block: TypeAlias = (
    EquivariantProximal
    | OrdinaryProximal
    | MultiscaleDenoiser
    | MultiscaleProximal
    | AveragedProximal
    | SpaceTimeProximal
    | AtScales
    | GradientStepDenoiser
    | GradientStepEnergy
    | RidgeEnergy
    | EnergyDenoiser
)
#: Classes of energies by their names.
ENERGIES = {cls.__name__: cls for cls in (GradientStepEnergy, RidgeEnergy)}
#: Classes of denoisers that consist of an energy by their names.
OF_ENERGIES = {
    cls.__name__: cls for cls in (GradientStepDenoiser, EnergyDenoiser)
}
#: The parts of a network by the name of its class: their attributes, which
#: are entries of its architecture, and their classes.
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    **{name: {'energy': ENERGIES} for name in OF_ENERGIES},
    GradientStepEnergy.__name__: {'denoiser': BLOCKS},
    AtScales.__name__: {'module': BLOCKS},
}
#: Blocks of unrolled methods, those of others included.
_IN_METHODS = {**BLOCKS, AtScales.__name__: AtScales}
_ALONE = {**_IN_METHODS, **ENERGIES, **OF_ENERGIES}
#: Classes of data-side blocks by their names.
DUALS = {DualProximal.__name__: DualProximal}
#: The unrolled methods by their names, and the lists of their blocks.
UNROLLED: dict[str, dict[str, Any]] = {
    LearnedProximalGradient.__name__: {'blocks': _IN_METHODS},
    LearnedPrimalDual.__name__: {'blocks': _IN_METHODS, 'duals': DUALS},
}
# With one of these arguments, convolutions may not have just two weights.
_OF_SEVERAL_WEIGHTS = {
    'representation',
    'nonlinearity',
    'restrict_to',
    'phase',
}


def check_classes(network):
    """Raise a TypeError unless a network, and all its parts, can be rebuilt.

    A class derived from one of these may compute something else.
    """
    lists = UNROLLED.get(type(network).__name__)
    if lists is not None and type(network) in (
        LearnedProximalGradient,
        LearnedPrimalDual,
    ):
        for name, classes in lists.items():
            for block in getattr(network, name):
                _check_class(block, classes, classes)
        return
    _check_class(network, _ALONE, (*_ALONE, *UNROLLED))


def _check_class(network, classes, known):
    if type(network) not in classes.values():
        raise TypeError(
            f'expected {", ".join(known)}, no class derived from one, got '
            f'{type(network).__name__}'
        )
    parts = PARTS.get(type(network).__name__, {})
    for name, allowed in parts.items():
        _check_class(getattr(network, name), allowed, allowed)


def loaded_blocks(architecture, tensors):
    """Return the blocks that a file describes, with its weights.

    They are a dict by the beginning of the names of their weights, such as
    ``'blocks.0.'``, in order; a block alone has the name ``''``.
    """
    kind = architecture.get('class')
    lists = UNROLLED.get(kind) if isinstance(kind, str) else None
    tensors = dict(tensors)
    if lists is None:
        places = {'': (architecture, _ALONE)}
    else:
        _check_entries(architecture, *lists)
        places = {
            f'{name}.{i}.': (block, classes)
            for name, classes in lists.items()
            for i, block in enumerate(architecture[name])
        }
        has_steps = 'duals' not in lists
        _check_unrolled(
            architecture,
            lists,
            tensors.pop('relative_steps', None) if has_steps else None,
        )
    weights = {prefix: {} for prefix in places}
    for name, tensor in tensors.items():
        prefix = re.match(r'((blocks|duals)\.\d+\.)?', name)[0]
        if prefix not in weights:
            raise ValueError(f'the architecture has no {name}, the file has')
        weights[prefix][name[len(prefix) :]] = tensor
    return {
        prefix: _loaded_block(block, weights[prefix], prefix, classes)
        for prefix, (block, classes) in places.items()
    }


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


def _check_unrolled(architecture, lists, steps):
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
    n_blocks = [len(architecture[name]) for name in lists]
    fits = all(n in (1, n_iterations) for n in n_blocks)
    if 'duals' in lists:
        if not fits:
            raise ValueError(
                f'{n_iterations} iterations have 1 or {n_iterations} blocks '
                f'on each side, the file has {n_blocks[0]} and {n_blocks[1]}'
            )
        return
    shape = None if steps is None else tuple(steps.shape)
    if shape != (n_iterations,) or not fits:
        raise ValueError(
            f'{n_iterations} iterations have relative_steps of shape '
            f'({n_iterations},) and 1 or {n_iterations} blocks, the file has '
            f'{shape} and {n_blocks[0]}'
        )


def _check_number(cls, arguments, n_weights, prefix):
    """Check the number of weights against that of the convolutions."""
    if hasattr(cls, 'n_weights'):
        n_expected = least = cls.n_weights(arguments)
        exactly = True
    else:
        n_layers = 2 + arguments['n_residual_blocks']
        n_biases = 0 if arguments.get('homogeneous') else n_layers
        n_expected = n_layers + n_biases
        exactly = not _OF_SEVERAL_WEIGHTS & arguments.keys()
        least = n_expected if exactly else n_layers
    if n_weights != n_expected and (exactly or n_weights < least):
        raise ValueError(
            f'the convolutions of {prefix or "the network"} have '
            f'{n_expected} weights and biases, the file has {n_weights}'
        )


def _loaded_block(architecture, weights, prefix, classes):
    # Only the weights of the file take memory, whatever the header says.
    with torch.device('meta'):
        block = _built(architecture, len(weights), prefix, classes)
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
    return block.to(next(block.parameters()).dtype)


def _built(architecture, n_weights, prefix, classes):
    """Return a block of fresh weights, after checks of what is asked for."""
    name = architecture.get('class') if type(architecture) is dict else None
    parts = PARTS.get(name, {}) if isinstance(name, str) else {}
    _check_entries(architecture, *parts)
    if name not in list(classes):
        known = classes if prefix else (*classes, *UNROLLED)
        raise ValueError(
            f'unknown class {name!r}; known are {", ".join(known)}'
        )
    arguments = architecture['arguments']
    if not parts:
        # A short header could ask for any number of modules.
        _check_number(classes[name], arguments, n_weights, prefix)
    inner = {
        part: _built(architecture[part], n_weights, f'{prefix}{part}.', known)
        for part, known in parts.items()
    }
    return classes[name](**inner, **arguments)
