# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The weights that come with the package."""

from __future__ import annotations

import pathlib

__all__ = ('available', 'shipped_path', 'weights_path')

_FOLDER = pathlib.Path(__file__).parent / 'trained'


def available() -> tuple[str, ...]:
    """Return the names of the models that come with the package.

    Returns
    -------
    names : tuple of str
        Names that `load` takes.

    Examples
    --------
    >>> 'sparse_view_ct_c4' in available()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob('*.safetensors')))


def shipped_path(name):
    """Return the path of a shipped model's file.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    if name not in available():
        raise ValueError(
            f'unknown model {name!r}; available are '
            f'{", ".join(available())}, or give the path of a file that '
            'ends in .safetensors'
        )
    return _FOLDER / f'{name}.safetensors'


def weights_path(name):
    """Return the path of a file of weights, or of a shipped model.

    Raises
    ------
    ValueError
        If the name is no path of such a file, and there is no such model.
    """
    if str(name).endswith('.safetensors'):
        return pathlib.Path(name)
    return shipped_path(name)
