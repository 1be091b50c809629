# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Nested states as JSON and tensors, for files without pickle."""

import numpy as np
import torch

__all__ = ('pack', 'unpack')

# A dictionary with this one key stands for what JSON does not have.
_TENSOR, _TUPLE, _ITEMS, _ARRAY = '%tensor', '%tuple', '%items', '%array'


def pack(state):
    """Return a nested state as what JSON can hold, and its tensors.

    Parameters
    ----------
    state : dict, list, tuple, tensor, array, str, number, bool or None
        State, nested to any depth; the keys of a dictionary are strings or
        integers.

    Returns
    -------
    tree : object
        The state with references in place of tensors.
    tensors : dict
        Tensors by the names that the references have.

    Raises
    ------
    TypeError
        If there is anything else in it; with the place where it is.

    Examples
    --------
    >>> tree, tensors = pack({'a': [1, torch.ones(2)], 3: (True, None)})
    >>> tensors
    {'0': tensor([1., 1.])}
    >>> unpack(tree, tensors)
    {'a': [1, tensor([1., 1.])], 3: (True, None)}
    """
    tensors = {}
    return _pack(state, tensors, 'state'), tensors


def _pack(value, tensors, place):
    if value is None or isinstance(value, bool | int | float | str):
        # of a subclass, such as that of an enumeration, only the value
        if isinstance(value, str):
            return str.__str__(value)
        for kind in (bool, int, float):
            if isinstance(value, kind):
                return kind(value)
        return None
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


def unpack(tree, tensors):
    """Return the state that `pack` was given.

    Parameters
    ----------
    tree : object
        What `pack` returned, possibly read from JSON.
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
    """
    if isinstance(tree, list):
        return [unpack(part, tensors) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) == 1:
        ((key, value),) = tree.items()
        if key == _TENSOR:
            return tensors[value]
        if key == _ARRAY:
            return tensors[value].numpy()
        if key == _TUPLE:
            return tuple(unpack(part, tensors) for part in value)
        if key == _ITEMS:
            return {key: unpack(part, tensors) for key, part in value}
    return {key: unpack(part, tensors) for key, part in tree.items()}
