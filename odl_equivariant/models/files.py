# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""One file a network: weights and architecture, without pickle."""

import json
import os
import pathlib
import tempfile

import odl
import safetensors
import safetensors.torch
import torch

from odl_equivariant.elements import tensor_device, tensor_dtype
from odl_equivariant.models.shipped import shipped_path
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)

__all__ = ('load', 'save')

_BLOCKS = {
    cls.__name__: cls for cls in (EquivariantProximal, OrdinaryProximal)
}
_UNROLLED = LearnedProximalGradient.__name__


def save(network, path):
    """Save the weights and the architecture of a network.

    Parameters
    ----------
    network : EquivariantProximal, OrdinaryProximal or LearnedProximalGradient
        Network to save, in training or evaluation mode, on any device. The
        operators of a `LearnedProximalGradient` are not saved.
    path : path-like
        File to write, ending in ``.safetensors``. An existing file is
        replaced once the new one is complete.

    Raises
    ------
    TypeError
        If the network is none of these.
    ValueError
        If the path does not end in ``.safetensors``, or a weight is not
        finite.

    Examples
    --------
    >>> import tempfile
    >>> network = OrdinaryProximal(channels=4, memory=0, gradient=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, 'network.safetensors')
    ...     save(network, path)
    ...     load(path).architecture == network.architecture
    True
    """
    path = pathlib.Path(path)
    if path.suffix != '.safetensors':
        raise ValueError(
            f'the file must end in .safetensors, got {path.name!r}'
        )
    known = (*_BLOCKS.values(), LearnedProximalGradient)
    if not isinstance(network, known):
        raise TypeError(
            f'expected one of {", ".join(cls.__name__ for cls in known)}, '
            f'got {type(network).__name__}'
        )
    metadata = {'architecture': json.dumps(network.architecture)}
    tensors = {
        name: tensor.detach()
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f'the weight {name} has NaN or infinite values')
    content = safetensors.torch.save(tensors, metadata)
    handle, temporary = tempfile.mkstemp('.tmp', path.stem, path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask():
    value = os.umask(0)
    os.umask(value)
    return value


def load(name, forward_operator=None, initial=None):
    """Load a network from the package or from a file.

    Parameters
    ----------
    name : str or path-like
        Name of a shipped model, see `available`, or path of a file that
        `save` wrote, ending in ``.safetensors``.
    forward_operator : `odl.Operator`, optional
        Linear forward operator; needed for a `LearnedProximalGradient`, and
        for that alone. The weights are converted to the precision and the
        device of its domain.
    initial : {'zero', 'adjoint', 'fbp'} or `odl.Operator`, optional
        Where a `LearnedProximalGradient` starts. Default: as it was trained.

    Returns
    -------
    network : torch.nn.Module
        Network in evaluation mode, with the weights of the file.

    Raises
    ------
    ValueError
        If there is no such model, the file is not in this format, damaged,
        or its weights do not fit its architecture, or the operator is
        missing or superfluous.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> denoiser = load('denoiser_c4')
    >>> denoiser(torch.zeros(1, 1, 16, 16), sigma=0.1).shape
    torch.Size([1, 1, 16, 16])
    """
    if str(name).endswith('.safetensors'):
        path = pathlib.Path(name)
    else:
        path = shipped_path(name)
    architecture, tensors = _read(path)
    unrolled = architecture.get('class') == _UNROLLED
    if unrolled and not isinstance(forward_operator, odl.Operator):
        raise ValueError(
            f'{path.name} holds a {_UNROLLED}: give the `odl.Operator` that '
            f'it inverts as `forward_operator`, got {forward_operator!r}'
        )
    if not unrolled and not (forward_operator is None and initial is None):
        raise ValueError(
            f'{path.name} holds a proximal: it takes neither '
            '`forward_operator` nor `initial`'
        )
    try:
        with torch.device('meta'):
            _check_shapes(_blocks(architecture), tensors, unrolled)
        network = _build(architecture, forward_operator, initial)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'cannot load {path}: {error}') from error
    if unrolled:
        space = forward_operator.domain
        network = network.to(tensor_device(space), tensor_dtype(space))
    return network.eval()


def _read(path):
    """Return the architecture and the tensors of a file."""
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    try:
        with safetensors.safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(
            f'{path} is not a whole safetensors file: {error}'
        ) from error
    try:
        architecture = json.loads(metadata['architecture'])
        if not isinstance(architecture, dict):
            raise TypeError('it is no mapping')
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} has no architecture in its header, as '
            f'`odl_equivariant.models.save` writes it: {error}'
        ) from error
    return architecture, tensors


def _block(architecture):
    name = architecture['class']
    if name not in _BLOCKS:
        raise ValueError(
            f'unknown class {name!r}; known are '
            f'{", ".join((*_BLOCKS, _UNROLLED))}'
        )
    return _BLOCKS[name](**architecture['arguments'])


def _blocks(architecture):
    if architecture['class'] == _UNROLLED:
        return [_block(block) for block in architecture['blocks']]
    return [_block(architecture)]


def _check_shapes(blocks, tensors, unrolled):
    """Compare shapes before any memory is taken on the header's word."""
    expected = {
        (f'blocks.{i}.{name}' if unrolled else name): tuple(tensor.shape)
        for i, block in enumerate(blocks)
        for name, tensor in block.state_dict().items()
    }
    given = {
        name: tuple(tensor.shape)
        for name, tensor in tensors.items()
        if name != 'relative_steps'
    }
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            raise ValueError(
                f'the architecture has {name} of shape {expected.get(name)}, '
                f'the file {given.get(name)}'
            )


def _build(architecture, forward_operator, initial):
    blocks = _blocks(architecture)
    if architecture['class'] != _UNROLLED:
        return blocks[0]
    arguments = architecture['arguments']
    if initial is None:
        initial = arguments['initial']
        if initial == 'operator':
            raise ValueError(
                'the network starts at a reconstruction of its own: give it '
                'as `initial`'
            )
    n_iterations = arguments['n_iterations']
    if len(blocks) not in (1, n_iterations):
        raise ValueError(
            f'{n_iterations} iterations need 1 or {n_iterations} blocks, got '
            f'{len(blocks)}'
        )
    rest = iter(blocks)
    return LearnedProximalGradient(
        forward_operator,
        blocks[0] if len(blocks) == 1 else lambda: next(rest),
        n_iterations,
        initial,
    )
