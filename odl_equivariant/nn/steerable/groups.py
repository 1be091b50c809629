# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Names of the groups of the plane."""

import re
from fractions import Fraction

__all__ = (
    'INFINITE',
    'checked_group',
    'parse_group',
    'group_order',
    'group_elements',
    'is_subgroup',
    'subgroups_of',
    'nearest_channels',
)

INFINITE = ('SO2', 'O2')

_SPELLINGS = {'SO(2)': 'SO2', 'O(2)': 'O2'}

_FINITE = (
    'the rotations C1, C2, C3, C4, ... and, with reflections, D1, D2, D3, '
    'D4, ...'
)


def checked_group(name):
    """Return the name of a finite or infinite group, in its one spelling.

    Parameters
    ----------
    name : str
        ``'C<N>'``, ``'D<N>'``, ``'SO2'`` or ``'SO(2)'``, all rotations, or
        ``'O2'`` or ``'O(2)'``, the same with reflections.

    Returns
    -------
    name : str
        The name without parentheses.

    Raises
    ------
    ValueError
        If the name is not one of these.

    Examples
    --------
    >>> checked_group('SO(2)'), checked_group('D4')
    ('SO2', 'D4')
    """
    if isinstance(name, str):
        name = _SPELLINGS.get(name, name)
        if name in INFINITE:
            return name
    if _match(name) is None:
        raise ValueError(
            f'unknown group {name!r}; known are {_FINITE}, and the infinite '
            f'SO2 and O2{_hint(name)}'
        )
    return name


def _match(name):
    if not isinstance(name, str):
        return None
    return re.fullmatch(r'([CD])([1-9][0-9]*)', name)


def _hint(name):
    """Return what to pass in place of something of escnn."""
    if name in ('T', 'Td', 'Th', 'O', 'Oh'):
        return '. It is one of the space: `EquivariantProximal` takes it'
    if hasattr(name, 'gspace'):
        return (
            '. A `FieldType` is none: the fields are made here, from the name '
            'of the group'
        )
    if hasattr(name, 'fibergroup') or hasattr(name, 'elements'):
        return '. Pass the name of the group, and not what escnn makes of it'
    return ''


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
    match = _match(name)
    if match is not None:
        return match.group(1), int(match.group(2))
    if isinstance(name, str) and _SPELLINGS.get(name, name) in INFINITE:
        raise ValueError(
            f'the group {name} is infinite, and a finite one is needed here: '
            f'{_FINITE}'
        )
    raise ValueError(
        f'unknown group {name!r}; known are {_FINITE}{_hint(name)}'
    )


def group_order(name):
    """Return the number of elements of a finite group.

    Examples
    --------
    >>> group_order('C4'), group_order('D4')
    (4, 8)
    """
    kind, n_rotations = parse_group(name)
    return n_rotations if kind == 'C' else 2 * n_rotations


def group_elements(name):
    r"""Return the elements of a finite group, in escnn's order.

    Returns
    -------
    elements : list of tuple
        For each element the fraction t of a turn and whether it is a
        reflection: it is the rotation by :math:`2 \pi t`, after the
        reflection :math:`y \mapsto -y` if so.

    Notes
    -----
    All groups with reflections have :math:`x \mapsto -x`. For odd N it is
    escnn's reflection f, for even N that is :math:`y \mapsto -y`.

    Examples
    --------
    >>> for turn, flipped in group_elements('D1'):
    ...     print(turn, flipped)
    0 False
    1/2 True
    """
    kind, order = parse_group(name)
    start = Fraction(order % 2, 2)
    elements = [(Fraction(k, order), False) for k in range(order)]
    if kind == 'D':
        elements += [
            ((Fraction(k, order) + start) % 1, True) for k in range(order)
        ]
    return elements


def is_subgroup(name, group):
    """Return whether all elements of one group are in another.

    Examples
    --------
    >>> is_subgroup('C4', 'D8'), is_subgroup('D2', 'SO2')
    (True, False)
    """
    if name == group or group == 'O2':
        return True
    if name == 'O2' or (name[0] == 'D' and group[0] != 'D'):
        return False
    if group == 'SO2':
        return True
    if name == 'SO2':
        return False
    return parse_group(group)[1] % parse_group(name)[1] == 0


def subgroups_of(group):
    """Return the names of the subgroups, for messages.

    Examples
    --------
    >>> subgroups_of('D4')
    'C1, C2, C4, D1, D2, D4'
    """
    if group == 'SO2':
        return 'C1, C2, C3, C4, ...'
    if group == 'O2':
        return 'SO2, C1, C2, C3, C4, ..., D1, D2, D3, D4, ...'
    kind, order = parse_group(group)
    return ', '.join(
        f'{letter}{n}'
        for letter in ('C' if kind == 'C' else 'CD')
        for n in range(1, order + 1)
        if order % n == 0
    )


def nearest_channels(channels, order):
    """Return the numbers nearest to ``channels`` that ``order`` divides."""
    below = channels // order * order
    return [n for n in (below, below + order) if n > 0]
