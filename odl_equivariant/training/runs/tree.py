# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Nested states as JSON and tensors, for files without pickle."""

import json

import numpy as np
import torch

__all__ = ('pack', 'unpack')

# A dictionary with one of these as its only key stands for a value that JSON
# does not have.
_TENSOR, _TUPLE, _ITEMS, _ARRAY = '%tensor', '%tuple', '%items', '%array'


def pack(state):
    """Return a nested state as JSON, and its tensors.

    Parameters
    ----------
    state : dict, list, tuple, tensor, array, str, number, bool or None
        State, nested to any depth. The keys of a dictionary are strings or
        integers.

    Returns
    -------
    text : str
        JSON, with a name in place of each tensor.
    tensors : dict
        Tensors by name.

    Raises
    ------
    TypeError
        If the state contains anything else. The message says where.

    Examples
    --------
    >>> text, tensors = pack({'a': [1, torch.ones(2)], 3: (True, None)})
    >>> tensors
    {'0': tensor([1., 1.])}
    >>> unpack(text, tensors)
    {'a': [1, tensor([1., 1.])], 3: (True, None)}
    """
    tensors = {}
    return json.dumps(_pack(state, tensors, 'state')), tensors


def _pack(value, tensors, place):
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if isinstance(value, torch.Tensor | np.ndarray):
        is_array = isinstance(value, np.ndarray)
        if is_array and value.dtype.kind not in 'biuf':
            raise TypeError(f'{place} is an array of dtype {value.dtype}')
        name = str(len(tensors))
        tensor = torch.as_tensor(np.array(value)) if is_array else value
        # no two of them may share memory
        tensors[name] = tensor.detach().cpu().contiguous().clone()
        return {_ARRAY if is_array else _TENSOR: name}
    if isinstance(value, dict):
        items = []
        for key, part in value.items():
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise TypeError(f'{place} has the key {key!r}')
            items.append([key, _pack(part, tensors, f'{place}[{key!r}]')])
        if all(isinstance(key, str) and key[:1] != '%' for key, _ in items):
            return dict(items)
        return {_ITEMS: items}
    if isinstance(value, list | tuple):
        parts = [
            _pack(part, tensors, f'{place}[{i}]')
            for i, part in enumerate(value)
        ]
        return {_TUPLE: parts} if isinstance(value, tuple) else parts
    raise TypeError(
        f'{place} is a {type(value).__name__}; states are made of tensors, '
        'numbers, strings, lists, tuples and dictionaries'
    )


def unpack(text, tensors):
    """Return the state that `pack` was given.

    Parameters
    ----------
    text : str
        JSON, as `pack` returns it.
    tensors : dict
        Tensors by name.

    Returns
    -------
    state : object
        The nested state.

    Raises
    ------
    KeyError
        If a tensor is missing.
    ValueError
        If the text is not JSON.
    """
    made = {
        _TENSOR: lambda name: tensors[name],
        _ARRAY: lambda name: tensors[name].numpy(),
        _TUPLE: tuple,
        _ITEMS: dict,
    }

    def restored(value):
        if len(value) == 1:
            ((key, part),) = value.items()
            if key in made:
                return made[key](part)
        return value

    return json.loads(text, object_hook=restored)
