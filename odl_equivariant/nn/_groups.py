# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Names of the finite groups of the plane."""

import re

__all__ = ('parse_group', 'group_order', 'nearest_channels')


def parse_group(name):
    """Return the kind and the number of rotations of a finite group.

    Parameters
    ----------
    name : str
        ``'C<N>'``, the rotations by multiples of 2 pi / N, or ``'D<N>'``,
        the same with reflections.

    Returns
    -------
    kind : {'C', 'D'}
        Whether the group has reflections.
    n_rotations : int
        The number N.

    Raises
    ------
    ValueError
        If the name is not one of these.

    Examples
    --------
    >>> parse_group('D4')
    ('D', 4)
    """
    match = re.fullmatch(r'([CD])([1-9][0-9]*)', str(name))
    if match is None:
        raise ValueError(
            f'unknown group {name!r}; known are the rotations C1, C2, C3, C4, '
            '... and, with reflections, D1, D2, D3, D4, ...'
        )
    return match.group(1), int(match.group(2))


def group_order(name):
    """Return the number of elements of a finite group.

    Examples
    --------
    >>> group_order('C4'), group_order('D4')
    (4, 8)
    """
    kind, n_rotations = parse_group(name)
    return n_rotations if kind == 'C' else 2 * n_rotations


def nearest_channels(channels, order):
    """Return the numbers nearest to ``channels`` that ``order`` divides."""
    below = channels // order * order
    return [n for n in (below, below + order) if n > 0]
