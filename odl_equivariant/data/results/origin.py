# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What an image was made from, and by what."""

from __future__ import annotations

import hashlib
import pathlib
import platform
import shlex
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import odl
import torch

import odl_equivariant
from odl_equivariant._types import PathLike

__all__ = ('provenance',)

_CHUNK = 1 << 20


def provenance(
    weights: PathLike | Mapping[str, PathLike] | None = None,
    source: PathLike | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return what says how an image was made.

    Parameters
    ----------
    weights : path-like, or dict of path-like, optional
        Files of the weights of a network, or of several by name.
    source : path-like, optional
        File of the data. Its name is kept, and its checksum.
    **more
        What else JSON can hold, such as ``method='TV'``.

    Returns
    -------
    provenance : dict
        ``command``, the command line of this process; ``versions``, of
        Python and of packages; ``weights`` and ``source``, names of files
        with their SHA-256; and what else was given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> made = provenance(method='FBP')
    >>> sorted(made)
    ['command', 'method', 'versions']
    """
    made: dict[str, Any] = {
        'command': shlex.join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]),
        'versions': {
            'odl_equivariant': odl_equivariant.__version__,
            'odl': odl.__version__,
            'torch': str(torch.__version__),
            'numpy': np.__version__,
            'python': platform.python_version(),
        },
    }
    if isinstance(weights, Mapping):
        made['weights'] = {k: _file(v) for k, v in weights.items()}
    elif weights is not None:
        made['weights'] = _file(weights)
    if source is not None:
        made['source'] = _file(source)
    return {**made, **more}


def _file(path):
    """Return the name of a file and its SHA-256; of a folder, its name."""
    path = pathlib.Path(path)
    if path.is_dir():
        return {'name': path.name}
    state = hashlib.sha256()
    with open(path, 'rb') as file:
        while part := file.read(_CHUNK):
            state.update(part)
    return {'name': path.name, 'sha256': state.hexdigest()}
