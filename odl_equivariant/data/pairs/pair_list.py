# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The list of the pairs in a folder, which is checked when it is read."""

import json
import re

import numpy as np

from odl_equivariant._files import path_inside, split_seal, unsealed

__all__ = (
    'FORMAT',
    'KINDS',
    'PARTIAL',
    'VERSION',
    'WHOLE',
    'array_path',
    'read_list',
)

# The lists of the pairs in a whole store, and in an incomplete one.
WHOLE = 'pairs.json'
PARTIAL = 'partial.json'

FORMAT = 'odl_equivariant pairs'
# Version 1 had no checksums.
VERSION = 2
# Kinds of dtypes, all of numbers.
KINDS = 'biufc'

_PART = re.compile(r'part-[0-9a-f]{1,32}')
_DTYPE = re.compile(rf'[<>|=]?[{KINDS}]\d{{1,2}}')


def array_path(folder, part, key):
    """Return the path of the array of a key.

    Raises
    ------
    ValueError
        If the path would lead out of a part of the folder.
    """
    if not isinstance(part, str) or not _PART.fullmatch(part):
        raise ValueError(f'{part!r:.80} is not the name of a part of {folder}')
    return path_inside(folder, part, f'{key}.npy')


def read_list(folder, name):
    """Return the content of a list of pairs, or ``None`` without a list.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the store.
    name : str
        Either `WHOLE` or `PARTIAL`.

    Returns
    -------
    content : dict or None
        ``n``, the number of pairs, and ``done``, how many are written;
        ``part``, a folder; ``fields``, dtype and shape of each array by its
        key; ``labels`` of each pair. Since version 2 also ``checksums`` by
        key, one for each pair, and ``acquisition`` if it is known, see
        `described`.

    Raises
    ------
    ValueError
        If the file is damaged, or of another version.
    """
    path = folder / name
    try:
        text = path.read_text('utf-8')
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise _damaged(path, error) from error
    try:
        content = json.loads(split_seal(text)[0])
    except (RecursionError, ValueError) as error:
        raise _damaged(path, error) from error
    known = isinstance(content, dict) and content.get('format') == FORMAT
    if not known or content.get('version') not in range(1, VERSION + 1):
        raise ValueError(
            f'{path} is no list of pairs in a format up to {VERSION}: write '
            'the pairs again, or install a newer version of odl_equivariant'
        )
    try:
        if content['version'] > 1:
            content = unsealed(text)
        _check(content, folder)
        if name == WHOLE and content['done'] != content['n']:
            raise ValueError(f'{content["done"]} of {content["n"]} are done')
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    return content


def _damaged(path, error):
    kind = '' if type(error) is ValueError else f'{type(error).__name__}: '
    return ValueError(
        f'{path} is damaged: {kind}{error}; restore it, or delete it and '
        'write the pairs again'
    )


def _check(content, folder):
    """Raise an error if an entry has a wrong type or value."""
    n, done = content['n'], content['done']
    if not (_is_count(n) and _is_count(done) and done <= n and n > 0):
        raise ValueError(f'{done!r:.80} of {n!r:.80} are not numbers of pairs')
    fields, labels = content['fields'], content['labels']
    if not isinstance(fields, dict):
        raise ValueError(f'its fields are {fields!r:.80}')
    for key, layout in fields.items():
        array_path(folder, content['part'], key)
        dtype, shape = layout
        if not _DTYPE.fullmatch(dtype) or not all(map(_is_count, shape)):
            raise ValueError(
                f'the dtype and shape of {key!r} are {str(layout):.80}'
            )
        np.dtype(dtype)
    if not isinstance(labels, list) or len(labels) != done:
        raise ValueError(f'it does not have the labels of {done} pairs')
    for label in labels:
        if not isinstance(label, dict) or not all(
            type(value) in (str, int) for value in label.values()
        ):
            raise ValueError(f'{label!r:.80} are not labels')
        if not label.keys().isdisjoint(fields):
            raise ValueError(f'{label!r:.80} have the key of an array')
    origin = content.get('acquisition')
    if origin is not None and not (
        isinstance(origin, dict)
        and isinstance(origin.get('fingerprint'), str)
        and isinstance(origin.get('settings'), dict)
    ):
        raise ValueError(f'its acquisition is {str(origin):.80}')
    if content['version'] > 1:
        _check_sums(content['checksums'], fields, done)


def _check_sums(checksums, fields, done):
    if not isinstance(checksums, dict) or checksums.keys() != fields.keys():
        raise ValueError('its checksums are not those of its arrays')
    for key, values in checksums.items():
        if len(values) != done or not all(map(_is_count, values)):
            raise ValueError(f'the checksums of {key!r} are not of {done}')


def _is_count(value):
    # a bool is an int, but not a count
    return type(value) is int and value >= 0
