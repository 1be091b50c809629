# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Headers of measured data, which say how the data were measured."""

import json

import numpy as np

from odl_equivariant.data.acquisitions.base import HOW_TO_COMPUTE

__all__ = ('HEADER', 'check_header', 'header_path')

# The header of all files in a folder.
HEADER = 'acquisition.json'
_KEY = 'acquisition'


def header_path(path):
    """Return the path of the header of a file of data, or ``None``.

    Parameters
    ----------
    path : pathlib.Path
        File of data, ``a.npy``.

    Returns
    -------
    header : pathlib.Path or None
        ``a.json`` beside it, or else ``acquisition.json``.
    """
    for header in (path.with_suffix('.json'), path.with_name(HEADER)):
        if header.exists() or header.is_symlink():
            return header
    return None


def check_header(header, acquisition):
    """Raise an error if a header contradicts an acquisition.

    Parameters
    ----------
    header : pathlib.Path
        File in JSON. Its key ``"acquisition"`` holds the text that
        `Acquisition.fingerprint` returns, or arguments of the acquisition and
        their values. ``impl``, ``dtype`` and ``backend`` are not compared,
        since they do not affect the data. Other keys are ignored.
    acquisition : Acquisition
        Acquisition of the configuration.

    Returns
    -------
    says_so : bool
        Whether the file says how the data were measured.

    Raises
    ------
    ValueError
        If a value differs, the acquisition has no such argument, or the file
        cannot be read.
    """
    try:
        content = json.loads(header.read_text('utf-8'))
    except (OSError, RecursionError, ValueError) as error:
        raise ValueError(f'{header} cannot be read: {error}') from error
    if not isinstance(content, dict) or (
        _KEY not in content and header.name == HEADER
    ):
        raise ValueError(
            f'{header} has no key "{_KEY}", with arguments of the acquisition '
            'and their values, such as {"acquisition": {"n_views": 50}}'
        )
    if _KEY not in content:  # a file for another purpose
        return False
    given = content[_KEY]
    if isinstance(given, str):
        if given != acquisition.fingerprint():
            raise ValueError(
                f'{header} says that the data are of {given}, but the '
                f'configuration has {acquisition.fingerprint()}, '
                f'{acquisition!r}'
            )
        return True
    if not isinstance(given, dict):
        raise ValueError(
            f'"{_KEY}" in {header} is {_short(given)}, not arguments of the '
            'acquisition and their values, such as {"n_views": 50}'
        )
    known = acquisition.settings()
    for key, value in given.items():
        if key not in known:
            raise ValueError(
                f'{header}: {type(acquisition).__name__} has no `{key}`; it '
                f'has {", ".join(known)}'
            )
        if key in HOW_TO_COMPUTE:
            continue
        if not _same(value, known[key]):
            raise ValueError(
                f'{header} says that the data were measured with `{key}` '
                f'{_short(value)}, but the configuration has '
                f'{_short(known[key])}: set '
                f'`data.acquisition.init_args.{key}`'
            )
    return True


def _same(one, other):
    if isinstance(one, str | bool) or one is None:
        return isinstance(other, type(one)) and one == other
    if not isinstance(other, np.ndarray | list | tuple | int | float):
        return False
    if np.iscomplexobj(other):  # JSON has no complex numbers
        return False
    try:
        one, other = np.asarray(one, float), np.asarray(other, float)
    except (TypeError, ValueError):
        return False
    # masks have length 1 along axes on which they do not depend
    if one.ndim == other.ndim > 1:
        sides = zip(one.shape, other.shape, strict=True)
        other = np.broadcast_to(other, [n if k == 1 else k for n, k in sides])
    return one.shape == other.shape and np.allclose(
        one, other, rtol=1e-6, atol=0, equal_nan=True
    )


def _short(value):
    text = str(value)
    return text if len(text) < 60 else f'{text[:57]}...'
