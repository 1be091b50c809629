# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""How the groups of the plane act on the channels of a field.

An orthogonal map of the plane is given as the rotation by an angle, after
the reflection :math:`y \mapsto -y` if it is one with a reflection, in the
coordinates of `odl_equivariant.actions`: x along axis 0, y along axis 1.
"""

import functools
import math
import re

import torch

from odl_equivariant.nn.steerable.groups import group_elements, group_order

__all__ = (
    'band_limited',
    'field_size',
    'line_of',
    'irreps_of',
    'is_hidden',
    'fibre_matrix',
    'elements_in_order',
)

_SIGN = -1


def band_limited(group, max_frequency):
    """Return the name of a band-limited regular representation.

    Parameters
    ----------
    group : {'SO2', 'O2'}
        The group.
    max_frequency : int
        Largest angular frequency of the functions on the group.

    Examples
    --------
    >>> band_limited('SO2', 3)
    'regular(SO2,3)'
    """
    return f'regular({group},{max_frequency})'


def _parse_band_limited(name):
    match = re.fullmatch(r'regular\((SO2|O2),(\d+)\)', name, re.ASCII)
    return None if match is None else (match[1], int(match[2]))


def is_hidden(representation):
    """Return whether a representation has room for all irreducible ones."""
    return representation == 'regular' or (
        _parse_band_limited(representation) is not None
    )


def line_of(representation):
    r"""Return the frequency and the component of a line, or None.

    Where rotations by angles that are multiples of :math:`2 \pi / N`, with an
    even N, turn two channels by N / 2 times that, they change their signs at
    most. So each component of ``'irrep(<N/2>)'`` is a representation itself.

    Examples
    --------
    >>> line_of('irrep(2,+)'), line_of('irrep(2,-)'), line_of('irrep(2)')
    ((2, 0), (2, 1), None)
    """
    match = re.fullmatch(
        r'irrep\((\d{1,9}),([+-])\)', representation, re.ASCII
    )
    return None if match is None else (int(match[1]), '+-'.index(match[2]))


def irreps_of(representation):
    r"""Return the irreducible representations of O(2) in a representation.

    Parameters
    ----------
    representation : str
        ``'trivial'``, ``'sign'``, that of the determinant, ``'standard'``,
        the matrix itself, ``'irrep(<k>)'``, or a name from `band_limited`: of
        SO(2) it is the sum of the frequencies 0, ..., F, each once, of O(2)
        of the trivial one, the sign and the frequencies 1, ..., F, each
        twice.

    Returns
    -------
    irreps : list of int
        The frequencies, -1 for the sign of the determinant.

    Raises
    ------
    ValueError
        If there is no such representation.

    Examples
    --------
    >>> irreps_of('regular(SO2,2)'), irreps_of('regular(O2,2)')
    ([0, 1, 2], [0, -1, 1, 1, 2, 2])
    """
    if representation == 'trivial':
        return [0]
    if representation == 'standard':
        return [1]
    if representation == 'sign':
        return [_SIGN]
    match = re.fullmatch(r'irrep\((\d{1,9})\)', representation, re.ASCII)
    if match is not None:
        return [int(match[1])]
    found = _parse_band_limited(representation)
    if found is None:
        raise ValueError(
            f'unknown representation {representation!r}; known are trivial, '
            'sign, standard, irrep(<k>), regular, of finite groups, and '
            'regular(SO2,<F>) and regular(O2,<F>)'
        )
    group, largest = found
    frequencies = range(1, largest + 1)
    if group == 'SO2':
        return [0, *frequencies]
    return [0, _SIGN, *(k for k in frequencies for _ in range(2))]


def field_size(group, representation):
    """Return the number of channels of a field.

    Examples
    --------
    >>> field_size('C4', 'regular'), field_size('C4', 'regular(O2,2)')
    (4, 10)
    """
    if representation == 'regular':
        return group_order(group)
    if line_of(representation) is not None:
        return 1
    found = _parse_band_limited(representation)
    if found is not None:
        # a large number from a file shall make no list
        return (1 if found[0] == 'SO2' else 2) * (2 * found[1] + 1)
    return sum(2 if k > 0 else 1 for k in irreps_of(representation))


def _irrep(frequency, angle, flipped):
    if frequency <= 0:
        sign = -1.0 if flipped and frequency == _SIGN else 1.0
        return torch.tensor([[sign]], dtype=torch.float64, device='cpu')
    cos, sin = math.cos(frequency * angle), math.sin(frequency * angle)
    # of a quarter turn they are whole numbers
    cos, sin = (
        float(round(c)) if abs(c - round(c)) < 1e-12 else c for c in (cos, sin)
    )
    sign = -1.0 if flipped else 1.0
    return torch.tensor(
        [[cos, -sign * sin], [sin, sign * cos]],
        dtype=torch.float64,
        device='cpu',
    )


def fibre_matrix(representation, angle, flipped=False):
    r"""Return the matrix of an orthogonal map in a representation.

    Parameters
    ----------
    representation : str
        As for `irreps_of`, or a line of `line_of`.
    angle : float
        Angle of the rotation, in radians.
    flipped : bool, optional
        Whether the reflection :math:`y \mapsto -y` comes first.

    Returns
    -------
    matrix : torch.Tensor
        Float64 tensor, block diagonal: the frequency k > 0 has the block
        :math:`R_{k \theta}\, \mathrm{diag}(1, \pm 1)`.

    Examples
    --------
    >>> fibre_matrix('standard', math.pi / 2).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    line = line_of(representation)
    if line is not None:
        frequency, i = line
        return _irrep(frequency, angle, flipped)[i : i + 1, i : i + 1]
    return torch.block_diag(
        *(_irrep(k, angle, flipped) for k in irreps_of(representation))
    )


@functools.cache
def elements_in_order(group, subgroup):
    r"""Return the place of each group element in cosets of a subgroup.

    Under a subgroup H, a regular field of a group G splits into one regular
    field of H for each coset :math:`H g_j`.

    Parameters
    ----------
    group, subgroup : str
        Names of finite groups.

    Returns
    -------
    order : tuple of int
        For each element of G, in its order, where it is among those of the
        cosets, one coset after the other.

    Examples
    --------
    >>> elements_in_order('C4', 'C2')
    (0, 2, 1, 3)
    """
    elements = group_elements(group)
    place = {element: i for i, element in enumerate(elements)}
    order = [None] * len(elements)
    n_placed = 0
    for i, (turn, flipped) in enumerate(elements):
        if order[i] is not None:
            continue
        for turn_h, flipped_h in group_elements(subgroup):
            sign = -1 if flipped_h else 1
            product = ((turn_h + sign * turn) % 1, flipped_h != flipped)
            order[place[product]] = n_placed
            n_placed += 1
    return tuple(order)
