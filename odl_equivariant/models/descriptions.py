# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What files of weights say of themselves."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from odl_equivariant._files import sealed, write_atomically
from odl_equivariant._types import PathLike
from odl_equivariant.models.cards import ModelCard, card_from_header
from odl_equivariant.models.files import OWN, checked_path, read
from odl_equivariant.models.shipped import weights_path

__all__ = ('ModelDescription', 'add_card', 'describe')

_ALIGNMENT = 8
_METADATA = '__metadata__'
_OWN_METADATA = 'odl_equivariant'
# The parts of a network that consists of others, the first of which counts.
_PARTS = ('blocks', 'energy', 'denoiser', 'module')


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """What a file of weights says of the network; `str` gives a table.

    Parameters
    ----------
    name : str
        Name of the shipped model, or of the file.
    network : str
        Class of the network.
    block : str
        Class of its first block, or of the network without any.
    group : str or None
        Group under which its blocks are equivariant, if they have one.
    axis : int or None
        Axis of the volumes about which the group acts, if it has one.
    n_iterations : int or None
        Number of iterations of an unrolled method.
    n_weights : int
        Number of weights.
    value_range : tuple of 2 floats or None
        Least and greatest value of the images of the training.
    card : ModelCard or None
        What it was trained on, if the file says so.
    """

    name: str
    network: str
    block: str
    group: str | None
    axis: int | None
    n_iterations: int | None
    n_weights: int
    value_range: tuple[float, float] | None
    card: ModelCard | None

    def rows(self) -> dict[str, str]:
        """Return what is known, in words, by what it is."""
        rows = {'network': self.network}
        if self.block != self.network:
            rows['block'] = self.block
        if self.n_iterations is not None:
            rows['iterations'] = str(self.n_iterations)
        group = self.group or 'translations alone'
        if self.axis is not None:
            group = f'{group} about axis {self.axis}'
        rows['equivariant under'] = group
        rows['weights'] = str(self.n_weights)
        if self.value_range is not None:
            low, high = self.value_range
            rows['values of images'] = f'{low:g} to {high:g}'
        if self.card is None:
            return rows | {'trained on': 'unknown: the file has no model card'}
        return rows | self.card.rows()

    def __str__(self) -> str:
        """Return a table of what is known."""
        rows = self.rows()
        width = max(map(len, rows))
        lines = [f'  {key:<{width}}  {text}' for key, text in rows.items()]
        return '\n'.join([self.name, *lines])


def describe(name: PathLike) -> ModelDescription:
    """Return what a shipped model, or a file, says of the network.

    Parameters
    ----------
    name : str or path-like
        Name of a shipped model, see `available`, or path of a file that
        `save` wrote.

    Returns
    -------
    description : ModelDescription
        Architecture, values of images, and the model card; ``print`` shows a
        table.

    Raises
    ------
    ValueError
        If there is no such model, or the file is damaged.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> description = describe('sparse_view_ct_c4')
    >>> description.group, description.card.views
    ('C4', (24.0, 200.0))
    """
    path = weights_path(name)
    architecture, tensors, _, header = read(path)
    kind = str(architecture.get('class'))
    arguments = architecture.get('arguments')
    arguments = arguments if isinstance(arguments, dict) else {}
    block = architecture
    try:
        while part := next((key for key in _PARTS if key in block), None):
            block = block[part]
            block = block[0] if isinstance(block, list) else block
        of_block = block.get('arguments', {})
        group, axis = of_block.get('group'), of_block.get('axis')
        value_range = header.get('value_range')
        card = card_from_header(header.get('card'))
        return ModelDescription(
            path.stem if str(name) != str(path) else path.name,
            'a module of your own' if kind == OWN else kind,
            str(block.get('class', kind)) if kind != OWN else kind,
            group if group is None else str(group),
            axis,
            arguments.get('n_iterations'),
            sum(tensor.numel() for tensor in tensors.values()),
            None if value_range is None else tuple(value_range),
            card,
        )
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f'cannot describe {path}: {error}') from error


def add_card(
    path: PathLike,
    card: ModelCard,
    value_range: tuple[float, float] | None = None,
) -> None:
    """Write a model card to the header of a file of weights.

    Parameters
    ----------
    path : path-like
        File that `save` wrote. Its tensors stay as they are, byte by byte; a
        card that it has is replaced.
    card : ModelCard
        What the network was trained on, see `model_card`.
    value_range : tuple of 2 floats, optional
        Least and greatest value of the images of the training. Default: what
        the file says.

    Raises
    ------
    TypeError
        If ``card`` is none.
    ValueError
        If the file is damaged, or of a version without checksums.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import os, tempfile
    >>> from odl_equivariant.data import Denoising
    >>> from odl_equivariant.models import model_card, save
    >>> from odl_equivariant.nn import OrdinaryProximal
    >>> network = OrdinaryProximal(channels=4, memory=0, gradient=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, 'network.safetensors')
    ...     save(network, path)
    ...     add_card(path, model_card(Denoising((16, 16), sigma=0.1)))
    ...     describe(path).card.noise
    (0.1, 0.1)
    """
    path = checked_path(path)
    if not isinstance(card, ModelCard):
        raise TypeError(
            f'`card` must be a `ModelCard`, got {type(card).__name__}'
        )
    _, tensors, bases, header = read(path)
    if not header:
        raise ValueError(
            f'{path} was written by an early version, without a checksum: '
            'load the network and save it again, with the card'
        )
    header = {**header, 'card': card.header()}
    if value_range is not None:
        header['value_range'] = list(map(float, value_range))
    content = pathlib.Path(path).read_bytes()
    length = int.from_bytes(content[:_ALIGNMENT], 'little')
    body = content[_ALIGNMENT + length :]
    layout = json.loads(content[_ALIGNMENT : _ALIGNMENT + length])
    layout[_METADATA] = {
        _OWN_METADATA: sealed(header, {**tensors, **(bases or {})})
    }
    text = json.dumps(layout, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % _ALIGNMENT)
    size = len(text).to_bytes(_ALIGNMENT, 'little')
    write_atomically(path, size + text + body)
