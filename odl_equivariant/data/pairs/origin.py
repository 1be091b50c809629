# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The acquisition that made a set of pairs, compared with another one."""

import hashlib
import json
from typing import Any

import numpy as np

from odl_equivariant.data.acquisitions.base import HOW_TO_COMPUTE

__all__ = ('check_origin', 'described', 'origin_of')


def described(acquisition: Any) -> dict[str, Any] | None:
    """Return a description of an acquisition.

    Parameters
    ----------
    acquisition : Acquisition or object
        Acquisition with a method ``fingerprint``.

    Returns
    -------
    description : dict or None
        The ``'fingerprint'`` and the ``'settings'`` by name, as JSON can hold
        them, with checksums in place of arrays. ``None`` if the acquisition
        has no fingerprint.
    """
    if not callable(getattr(acquisition, 'fingerprint', None)):
        return None
    settings = getattr(acquisition, 'settings', dict)()
    return {
        'fingerprint': acquisition.fingerprint(),
        'settings': json.loads(json.dumps(settings, default=_plain)),
    }


def _plain(value):
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if not isinstance(value, np.ndarray):
        return str(value)
    content = np.ascontiguousarray(value).tobytes()
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return f'{value.dtype} array of shape {value.shape}, checksum {digest}'


def origin_of(pairs: Any) -> dict[str, Any] | None:
    """Return the description of the acquisition that made a set of pairs.

    Parameters
    ----------
    pairs : Dataset
        Stored, simulated or measured pairs, or a subset of them.

    Returns
    -------
    origin : dict or None
        See `described`; ``None`` if it is not known.
    """
    pairs = _whole(pairs)
    if hasattr(pairs, 'origin'):
        return pairs.origin
    return described(getattr(pairs, 'acquisition', None))


def _whole(pairs):
    """Return the set of pairs that a subset is part of."""
    while hasattr(pairs, 'dataset'):
        pairs = pairs.dataset
    return pairs


def check_origin(pairs: Any, acquisition: Any) -> None:
    """Raise an error if another acquisition made a set of pairs.

    Parameters
    ----------
    pairs : Dataset
        See `origin_of`. Nothing is compared if the origin is not known.
    acquisition : Acquisition
        Acquisition for which the pairs are used. The array back-end, the
        precision and the implementation of the operator may differ.

    Raises
    ------
    ValueError
        If a setting differs. The message names it.
    """
    before, now = origin_of(pairs), described(acquisition)
    if None in (before, now) or before['fingerprint'] == now['fingerprint']:
        return
    pairs = _whole(pairs)
    name = getattr(pairs, 'folder', type(pairs).__name__)
    classes = [text['fingerprint'].partition(' ')[0] for text in (before, now)]
    if classes[0] != classes[1]:
        raise ValueError(
            f'the pairs {name} were made with the acquisition {classes[0]}, '
            f'but are used with {classes[1]}'
        )
    one, other = before['settings'], now['settings']
    for key in one:
        if key not in other or key in HOW_TO_COMPUTE:
            continue
        # as text, in which not-a-number equals itself
        if json.dumps(one[key]) != json.dumps(other[key]):
            raise ValueError(
                f'the pairs {name} were made with `{key}` {one[key]!r:.80}, '
                f'but are used with `{key}` {other[key]!r:.80}: use other '
                f'pairs, or set `data.acquisition.init_args.{key}`'
            )
    if not (one and other):
        raise ValueError(
            f'the pairs {name} were made with {before["fingerprint"]}, but '
            f'are used with {now["fingerprint"]}'
        )
