# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files of networks: weights and architecture, without pickle."""

from __future__ import annotations

import contextlib
import json
import pathlib
from typing import overload

import odl
import safetensors
import safetensors.torch
import torch

from odl_equivariant._checks import real_number
from odl_equivariant._files import (
    checksum,
    sealed,
    split_seal,
    write_files,
)
from odl_equivariant._types import Initial, Operator, PathLike
from odl_equivariant.data import Acquisition
from odl_equivariant.data.units import AttenuationUnit
from odl_equivariant.elements import tensor_device, tensor_dtype
from odl_equivariant.models.architectures import (
    METHODS,
    OF_ITERATIONS,
    UNROLLED,
    Block,
    check_classes,
    loaded_blocks,
)
from odl_equivariant.models.cards import ModelCard, card_from_header
from odl_equivariant.models.conversion import (
    ConvertedNetwork,
    check_square_cells,
    check_views,
    converted,
    operator_and_unit,
)
from odl_equivariant.models.shipped import weights_path
from odl_equivariant.nn import UnrolledMethod
from odl_equivariant.nn.steerable.bases import PREFIX, bases_of, checked_bases
from odl_equivariant.nn.steerable.convolutions import given_bases
from odl_equivariant.nn.unrolled.base import maker_of

__all__ = (
    'OWN',
    'check_values',
    'checked_path',
    'load',
    'only_these',
    'read',
    'save',
    'write_network',
)

# In place of the name of a class, where `load_weights` is told how to make
# the network.
OWN = 'own'

# Format 1 had no bases of kernels, so that loading needs escnn.
_FORMAT = 2
_PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save(
    network: Block | UnrolledMethod,
    path: PathLike,
    value_range: tuple[float, float] | None = None,
    card: ModelCard | None = None,
) -> None:
    """Save the weights and the architecture of a network.

    Parameters
    ----------
    network : EquivariantProximal, OrdinaryProximal, MultiscaleDenoiser, \
MultiscaleProximal, AveragedProximal, AtScales of one of these, \
SpaceTimeProximal, GradientStepEnergy, GradientStepDenoiser, RidgeEnergy, \
EnergyDenoiser, LearnedProximalGradient, LearnedPrimalDual or \
LearnedHalfQuadraticSplitting
        Network to save, in training or evaluation mode, on any device. The
        operators of an unrolled method are not saved. The bases of
        equivariant kernels are saved, so that `load` does not need escnn.
    path : path-like
        File to write, ending in ``.safetensors``. An existing file is
        replaced once the new one is complete.
    value_range : tuple of 2 floats, optional
        Least and greatest value of the images that the network was trained
        on, or of their real and imaginary parts if they are complex. `load`
        sets it as the attribute ``value_range``, with which
        `odl_equivariant.functionals.LearnedProximal` recognises images in
        another unit. Default: the attribute ``value_range`` of the network.
    card : ModelCard, optional
        What the network was trained on, see `model_card`. Default: the
        attribute ``card`` of the network.

    Raises
    ------
    TypeError
        If the network is none of these, or has blocks of another class, the
        range does not consist of numbers, or ``card`` is none.
    ValueError
        If the path does not end in ``.safetensors``, a weight is not finite,
        the weights are not all of one precision, or the range is none.
    FileNotFoundError
        If there is no such folder.

    Notes
    -----
    The header of the file has a checksum of itself and of all tensors. `load`
    verifies it.

    Examples
    --------
    >>> import os, tempfile
    >>> from odl_equivariant.nn import OrdinaryProximal
    >>> network = OrdinaryProximal(channels=4, memory=0, gradient=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, 'network.safetensors')
    ...     save(network, path, value_range=(0, 1))
    ...     load(path).architecture == network.architecture
    ...     load(path).value_range
    True
    (0.0, 1.0)
    """
    path = checked_path(path)
    check_classes(network)
    header = {'architecture': network.architecture}
    if value_range is None:
        value_range = network.value_range
    if value_range is not None:
        header['value_range'] = _checked_range(value_range)
    card = getattr(network, 'card', None) if card is None else card
    if card is not None:
        if not isinstance(card, ModelCard):
            raise TypeError(
                f'`card` must be a `ModelCard`, got {type(card).__name__}'
            )
        header['card'] = card.header()
    write_network(path, network, header)


@overload
def load(name: PathLike, forward_operator: None = None) -> Block: ...


@overload
def load(
    name: PathLike,
    forward_operator: Operator,
    initial: Initial | None = None,
    unit: None = None,
) -> UnrolledMethod: ...


@overload
def load(
    name: PathLike,
    forward_operator: Operator | Acquisition,
    initial: Initial | None = None,
    unit: AttenuationUnit | float | None = None,
    cell: float | None = None,
) -> UnrolledMethod | ConvertedNetwork: ...


def load(
    name: PathLike,
    forward_operator: Operator | Acquisition | None = None,
    initial: Initial | None = None,
    unit: AttenuationUnit | float | None = None,
    cell: float | None = None,
) -> Block | UnrolledMethod | ConvertedNetwork:
    """Load a network from the package or from a file.

    Parameters
    ----------
    name : str or path-like
        Name of a shipped model, see `available`, or path of a file that
        `save` wrote, ending in ``.safetensors``.
    forward_operator : `odl.Operator` or Acquisition, optional
        Linear forward operator; needed for an unrolled method, such as a
        `LearnedProximalGradient`, and for these alone. The weights are
        converted to the precision and the device of its domain. An
        acquisition of tomography also says in which unit its images and data
        are.
    initial : {'zero', 'adjoint', 'fbp'} or `odl.Operator`, optional
        Where the unrolled method starts. Default: as it was trained.
    unit : str or float, optional
        Unit of the images of ``forward_operator``, whose data are then
        exponents of Beer's law: ``'1/m'``, ``'1/mm'``, ``'1/cell'``, ...; or
        the value that 1 in the training corresponds to. For an acquisition,
        the unit of the results, such as ``'HU'``. Default: that of the
        acquisition, or for an operator that of the training, see `describe`.
    cell : float, optional
        Side of a cell of the images in metres, for the unit ``'1/cell'``.

    Returns
    -------
    network : torch.nn.Module
        Network in evaluation mode, with the weights of the file. Its
        attribute ``value_range`` is the least and the greatest value of the
        images it was trained on, or ``None`` if the file does not say, and
        ``card`` its `ModelCard`. In another unit than that of the training,
        an unrolled network is a `ConvertedNetwork`.

    Raises
    ------
    ValueError
        If there is no such model, the file is not in this format or a later
        one, damaged, or its weights do not fit its architecture, or the
        operator is missing or superfluous. Files that earlier versions
        wrote have no checksum, and not all damage to them is seen. Also if
        the unit is unknown, or the length of a cell is needed and missing, or
        the cells of an acquisition are no squares.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    UserWarning
        If the operator is a ray transform with another kind of beams than
        those of the training, or with views over another range of angles.
        When the network is applied: once, with both ranges, if images are
        far from those of the training, and blocks are not homogeneous.

    Examples
    --------
    >>> denoiser = load('denoiser_c4')
    >>> denoiser(torch.zeros(1, 1, 16, 16), sigma=0.1).shape
    torch.Size([1, 1, 16, 16])

    For a scanner that measures in millimetres:

    >>> from odl_equivariant.data import MeasuredCT
    >>> scanner = MeasuredCT(
    ...     {'kind': 'parallel', 'n_detectors': 46, 'detector_width': 11.0,
    ...      'angles': {'first': 0.0, 'step': 0.06, 'n': 50}},
    ...     {'shape': (32, 32), 'cell': 11.0}, length_unit='mm')
    >>> network = load('sparse_view_ct_c4', scanner)
    >>> network.value_range  # in 1 / mm
    (0.0, 0.08135858)
    """
    path = weights_path(name)
    forward_operator, own = operator_and_unit(forward_operator)
    architecture, tensors, bases, header = read(path)
    if architecture.get('class') == OWN:
        raise ValueError(
            f'{path.name} holds the weights of a module that is not of this '
            'package: load them with `load_weights`, and the function that '
            'makes the module'
        )
    try:
        value_range = _checked_range(header.get('value_range'))
        card = card_from_header(header.get('card'))
        check_values(tensors)
        with only_these(bases):
            blocks = loaded_blocks(architecture, tensors)
    except (
        ArithmeticError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        kind = '' if type(error) is ValueError else f'{type(error).__name__}: '
        raise ValueError(f'cannot load {path}: {kind}{error}') from error
    kind = architecture['class']
    if kind not in UNROLLED:
        if forward_operator is not None or initial is not None:
            raise ValueError(
                f'{path.name} holds no unrolled method: {kind} takes neither '
                '`forward_operator` nor `initial`'
            )
        if unit is not None or cell is not None:
            raise ValueError(
                f'{path.name} holds no unrolled method: {kind} takes images, '
                'and no `unit`. Pass the value of your images that is to be 1 '
                'for it as `scale` of `LearnedProximal` or '
                '`LearnedRegularizer`'
            )
        blocks[''].value_range = value_range
        blocks[''].card = card
        return blocks[''].eval()
    if not isinstance(forward_operator, odl.Operator):
        raise ValueError(
            f'{path.name} holds a {kind}: give the `odl.Operator` that '
            f'it inverts as `forward_operator`, got {forward_operator!r}'
        )
    if own is not None:
        check_square_cells(forward_operator, path.name)
    arguments = dict(architecture['arguments'])
    if initial is not None:
        arguments['initial'] = initial
    elif arguments['initial'] == 'operator':
        raise ValueError(
            f'the network in {path.name} starts at a reconstruction of its '
            'own: give it as `initial`'
        )
    network = METHODS[kind](
        forward_operator,
        *(
            maker_of([b for key, b in blocks.items() if key.startswith(name)])
            for name in UNROLLED[kind]
        ),
        **arguments,
    )
    check_views(forward_operator, card, path.name)
    with torch.no_grad():
        for name in OF_ITERATIONS[kind]:
            if name in tensors:
                getattr(network, name).copy_(tensors[name])
    network.value_range = value_range
    network.card = card
    space = forward_operator.domain
    network = network.to(tensor_device(space), tensor_dtype(space)).eval()
    return converted(network, unit, cell, own, path.name)


def checked_path(path):
    """Return a path, or raise a ValueError if it has another ending."""
    path = pathlib.Path(path)
    if path.suffix != '.safetensors':
        raise ValueError(
            f'the file must end in .safetensors, got {path.name!r}'
        )
    return path


def write_network(path, network, header, counts=False):
    """Write the weights of a network, its bases and a header to a file.

    Parameters
    ----------
    path : path-like
        File ``.safetensors``, written atomically.
    network : torch.nn.Module
        Network.
    header : dict
        What JSON can hold; its checksum covers the tensors too.
    counts : bool, optional
        See `check_values`.

    Raises
    ------
    ValueError
        If weights are not finite.
    """
    tensors = {
        name: tensor.detach()
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    check_values(tensors, counts)
    tensors |= bases_of(network)
    # one entry, as safetensors writes several in any order
    sealed_header = sealed({'format': _FORMAT, **header}, tensors)
    metadata = {'odl_equivariant': sealed_header}
    content = safetensors.torch.save(tensors, metadata)
    write_files({path: content})


@contextlib.contextmanager
def only_these(named_bases, of_blocks=True):
    """Context in which new layers take the bases of a file.

    Parameters
    ----------
    named_bases : dict of torch.Tensor or None
        Bases by their names; with ``None``, layers compute their own.
    of_blocks : bool, optional
        See `checked_bases`.

    Raises
    ------
    ValueError
        If a basis is none, or, at the end, if no layer has used it.
    """
    if named_bases is None:
        yield
        return
    bases = _Counted(checked_bases(named_bases, of_blocks))
    with given_bases(bases):
        yield
    for key in bases.keys() - bases.used:
        raise ValueError(f'the file has the basis {key}, which nothing uses')


class _Counted(dict):
    """A mapping that records which of its values were read."""

    def __init__(self, values):
        super().__init__(values)
        self.used = set()

    def __getitem__(self, key):
        self.used.add(key)
        return super().__getitem__(key)


def read(path):
    """Return the architecture, weights, bases and header of a file.

    The bases are a dict by name, or None for a file of the first format. The
    header has the range of values and the card, if there are any.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    try:
        with safetensors.safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
            # clones, which do not follow what later happens to the file
            tensors = {
                key: file.get_tensor(key).clone() for key in file.keys()
            }
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(
            f'{path} is not a whole safetensors file: {error}'
        ) from error
    expected, header = None, {}
    try:
        if 'odl_equivariant' in metadata:
            text, expected = split_seal(metadata['odl_equivariant'])
            header = json.loads(text)
            version, architecture = header['format'], header['architecture']
        else:
            version, architecture = 1, json.loads(metadata['architecture'])
        if not isinstance(architecture, dict):
            raise TypeError('it is no mapping')
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} has no architecture in its header, as '
            f'`odl_equivariant.models.save` writes it: {error}'
        ) from error
    if version not in range(1, _FORMAT + 1):
        raise ValueError(
            f'{path} is in the format {str(version):.20}, and this version of '
            f'odl_equivariant reads up to {_FORMAT}: install a newer one'
        )
    if expected is not None and checksum(text, tensors) != expected:
        raise ValueError(
            f'{path} is damaged, its checksum is wrong: get or save it again'
        )
    if version == 1:
        return architecture, tensors, None, header
    names = [name for name in tensors if name.startswith(PREFIX)]
    bases = {name: tensors.pop(name) for name in names}
    return architecture, tensors, bases, header


def _checked_range(value_range):
    """Return the least and the greatest value as floats, or None."""
    if value_range is None:
        return None
    message = (
        'the `value_range` must be the least and the greatest value of the '
        f'images of the training, got {value_range!r:.80}'
    )
    try:
        ends = [real_number('each of both', end) for end in value_range]
    except (TypeError, ValueError) as error:
        raise type(error)(f'{message}: {error}') from None
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise ValueError(message)
    return tuple(ends)


def check_values(tensors, counts=False):
    """Raise a ValueError unless all weights are finite, of one dtype.

    With ``counts``, whole numbers and bools may be among them.
    """
    if counts:
        tensors = {
            name: tensor
            for name, tensor in tensors.items()
            if tensor.is_floating_point() or tensor.is_complex()
        }
    for name, tensor in tensors.items():
        if tensor.dtype not in _PRECISIONS:
            raise ValueError(f'the weight {name} is of dtype {tensor.dtype}')
        if not torch.isfinite(tensor).all():
            raise ValueError(f'the weight {name} has NaN or infinite values')
    precisions = {str(tensor.dtype) for tensor in tensors.values()}
    if len(precisions) > 1:
        raise ValueError(
            f'the weights must have one precision, got {sorted(precisions)}'
        )
