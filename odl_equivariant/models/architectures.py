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

from odl_equivariant._checks import whole_number
from odl_equivariant.nn import (
    AtScales,
    AveragedProximal,
    DualProximal,
    EnergyDenoiser,
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    LearnedHalfQuadraticSplitting,
    LearnedPrimalDual,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    MultiscaleProximal,
    OrdinaryProximal,
    RidgeEnergy,
    SpaceTimeProximal,
    UnrolledMethod,
)
from odl_equivariant.nn.unrolled.half_quadratic_splitting import (
    MOST_INNER_ITERATIONS,
)
from odl_equivariant.nn.unrolled.layers import INITIALS

__all__ = (
    'BLOCKS',
    'Block',
    'DUALS',
    'ENERGIES',
    'METHODS',
    'OF_ITERATIONS',
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
#: The unrolled methods by their names.
METHODS: dict[str, type[UnrolledMethod]] = {
    cls.__name__: cls
    for cls in (
        LearnedProximalGradient,
        LearnedPrimalDual,
        LearnedHalfQuadraticSplitting,
    )
}
#: The lists of their blocks, in the order of the arguments.
UNROLLED: dict[str, dict[str, Any]] = {
    LearnedProximalGradient.__name__: {'blocks': _IN_METHODS},
    LearnedPrimalDual.__name__: {'blocks': _IN_METHODS, 'duals': DUALS},
    LearnedHalfQuadraticSplitting.__name__: {
        'blocks': {**_IN_METHODS, **OF_ENERGIES}
    },
}
# Only there if a denoiser takes a noise level.
_LEVELS = 'log_levels'
#: Their weights of one number for each iteration.
OF_ITERATIONS = {
    LearnedProximalGradient.__name__: ('relative_steps',),
    LearnedPrimalDual.__name__: (),
    LearnedHalfQuadraticSplitting.__name__: ('log_steps', _LEVELS),
}
# Their arguments beside those of all.
_MORE_ARGUMENTS = {
    LearnedHalfQuadraticSplitting.__name__: ('inner_iterations',)
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
    if lists is not None and type(network) in METHODS.values():
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
    has_levels = _LEVELS in tensors
    if lists is None:
        places = {'': (architecture, _ALONE)}
    else:
        _check_entries(architecture, *lists)
        places = {
            f'{name}.{i}.': (block, classes)
            for name, classes in lists.items()
            for i, block in enumerate(architecture[name])
        }
        _check_unrolled(
            architecture,
            lists,
            {name: tensors.pop(name, None) for name in OF_ITERATIONS[kind]},
        )
    weights = {prefix: {} for prefix in places}
    for name, tensor in tensors.items():
        prefix = re.match(r'((blocks|duals)\.\d+\.)?', name)[0]
        if prefix not in weights:
            raise ValueError(f'the architecture has no {name}, the file has')
        weights[prefix][name[len(prefix) :]] = tensor
    blocks = {
        prefix: _loaded_block(block, weights[prefix], prefix, classes)
        for prefix, (block, classes) in places.items()
    }
    if _LEVELS in OF_ITERATIONS.get(kind, ()):
        _check_levels(blocks.values(), has_levels)
    return blocks


def _check_levels(blocks, has_levels):
    """Check that there are factors of noise levels if a block takes one."""
    expected = any(block.noise_level for block in blocks)
    if expected != has_levels:
        raise ValueError(
            f'the denoisers take {"a" if expected else "no"} noise level, and '
            f'the file has {"" if has_levels else "no "}{_LEVELS}'
        )


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


def _check_unrolled(architecture, lists, weights):
    """Check the arguments of an unrolled network, given its own weights."""
    arguments = architecture['arguments']
    more = _MORE_ARGUMENTS.get(architecture['class'], ())
    names = ('n_iterations', *more, 'initial')
    if arguments.keys() != set(names):
        raise ValueError(
            f'the arguments must be {", ".join(names[:-1])} and {names[-1]}, '
            f'got {", ".join(map(str, arguments))}'
        )
    if 'inner_iterations' in more:
        whole_number(
            'inner_iterations',
            arguments['inner_iterations'],
            1,
            MOST_INNER_ITERATIONS,
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
    for name, tensor in weights.items():
        if tensor is None and name == _LEVELS:
            continue
        shape = None if tensor is None else tuple(tensor.shape)
        if shape != (n_iterations,) or not fits:
            raise ValueError(
                f'{n_iterations} iterations have {name} of shape '
                f'({n_iterations},) and 1 or {n_iterations} blocks, the file '
                f'has {shape} and {n_blocks[0]}'
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
