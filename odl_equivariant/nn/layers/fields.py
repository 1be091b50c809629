# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Declared fields: how a group acts on the channels of a tensor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

import torch

from odl_equivariant._checks import whole_number
from odl_equivariant.nn.steerable.groups import (
    INFINITE,
    checked_group,
    group_order,
    nearest_channels,
    parse_group,
)
from odl_equivariant.nn.steerable.representations import (
    band_limited,
    field_size,
    irreps_of,
    line_of,
)
from odl_equivariant.nn.steerable.symmetries import (
    array_matrix,
    exact_symmetries,
    matrix_of_fibre,
)

__all__ = ('Fields',)

_LARGEST_FREQUENCY = 100

# Other names for the same matrices.
_SAME = {'irrep(0)': 'trivial', 'irrep(1)': 'standard', 'vector': 'standard'}

#: A rotation by this fraction of a turn, after a reflection if so.
GroupElement = tuple[Fraction | float, bool]


class Fields:
    r"""Fields of some kinds, the channels of which a group mixes.

    A layer is declared between two of these. The channels of a field lie side
    by side, and one field comes after the other.

    Parameters
    ----------
    group : str
        ``'C<N>'``, the rotations by multiples of :math:`2 \pi / N`,
        ``'D<N>'``, the same with reflections, ``'SO2'`` or ``'O2'``.
    fields : mapping or iterable of tuple, optional
        Representations, each with a number of fields, in their order. A
        representation is ``'trivial'``, one channel that nothing changes;
        ``'regular'``, one channel for each element of a finite group, which
        it permutes; ``'standard'``, the two components of a vector, in the
        order of the axes; ``'sign'``, one channel that changes its sign
        under reflections; ``'irrep(<k>)'`` or the number k, two channels that
        turn k times as fast as the plane; ``'irrep(<N/2>,+)'`` or
        ``'irrep(<N/2>,-)'``, its first or its second component, where these
        change their signs only; ``'regular(SO2,<F>)'`` or
        ``'regular(O2,<F>)'``, functions on an infinite group with the
        frequencies up to F.
    **numbers : int
        Numbers of fields of the representations whose names are identifiers.

    Raises
    ------
    TypeError
        If a number is no whole number.
    ValueError
        If the group or a representation is unknown or does not fit, a number
        is negative, or there is no field at all.

    Notes
    -----
    An element R of the group moves a field by

    .. math::
        (R \cdot u)(x) = \rho(R)\, u(R^{-1} x)

    with the block diagonal matrix :math:`\rho(R)` of the representations. As
    in `odl_equivariant.actions`, x is along axis 0 of an image and y along
    axis 1, and rotations are counter-clockwise.

    The irreducible representations are those of O(2), restricted to the
    group. In a finite group with N rotations, ``'irrep(k)'`` and
    ``'irrep(N - k)'`` are the same up to signs. The one of N / 2, with N even,
    falls into two lines, ``'irrep(N/2,+)'`` and ``'irrep(N/2,-)'``. Under
    rotations both change their signs in turn, under the reflection
    :math:`y \mapsto -y` only the second one does.

    Examples
    --------
    >>> fields = Fields('C4', regular=2, trivial=3, standard=1)
    >>> fields
    Fields('C4', [('regular', 2), ('trivial', 3), ('standard', 1)])
    >>> fields.channels, fields.permutes
    (13, False)
    >>> x = torch.randn(1, 13, 5, 5)
    >>> fields.transform(x, (1 / 4, False)).shape
    torch.Size([1, 13, 5, 5])
    """

    def __init__(
        self,
        group: str,
        fields: Mapping[str | int, int] | Iterable[tuple[str | int, int]] = (),
        **numbers: int,
    ) -> None:
        self.group = checked_group(group)
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        parts: list[tuple[str, int]] = []
        for name, number in (*_pairs(pairs), *numbers.items()):
            name = _checked_name(self.group, name)
            number = whole_number(f'the number of {name} fields', number, 0)
            if parts and parts[-1][0] == name:
                number += parts.pop()[1]
            if number:
                parts.append((name, number))
        if not parts:
            raise ValueError(
                'there must be a field: give numbers of representations, as '
                f'in Fields({self.group!r}, trivial=1)'
            )
        self.parts = tuple(parts)

    @classmethod
    def hidden(
        cls, group: str, channels: int, max_frequency: int = 1
    ) -> Fields:
        """Return the regular fields that make up a number of channels.

        Parameters
        ----------
        group : str
            The group.
        channels : int
            Number of channels, a multiple of those of a field.
        max_frequency : int, optional
            Largest frequency of the fields of an infinite group.

        Raises
        ------
        ValueError
            If the channels are no multiple of those of a field.

        Examples
        --------
        >>> Fields.hidden('D4', 24)
        Fields('D4', [('regular', 3)])
        >>> Fields.hidden('SO2', 12)
        Fields('SO2', [('regular(SO2,1)', 4)])
        """
        group = checked_group(group)
        channels = whole_number('channels', channels, 1)
        name = 'regular'
        if group in INFINITE:
            largest = whole_number('max_frequency', max_frequency, 1)
            name = band_limited(group, largest)
        size = field_size(group, name)
        if channels % size:
            nearest = ' or '.join(map(str, nearest_channels(channels, size)))
            raise ValueError(
                f'`channels` must be a multiple of {size}, the channels of a '
                f'{name} field of {group}, got {channels}; the nearest are '
                f'{nearest}'
            )
        return cls(group, [(name, channels // size)])

    @property
    def channels(self) -> int:
        """Number of channels of all fields."""
        return sum(n * size for _, n, size in self.blocks)

    @property
    def n_fields(self) -> int:
        """Number of fields."""
        return sum(n for _, n in self.parts)

    @property
    def blocks(self) -> list[tuple[str, int, int]]:
        """Representations, numbers of fields, and channels of each."""
        return [
            (name, n, field_size(self.group, name)) for name, n in self.parts
        ]

    @property
    def permutes(self) -> bool:
        """Whether the group does nothing but permute the channels."""
        return all(name in ('trivial', 'regular') for name, _ in self.parts)

    @property
    def elements(self) -> list[tuple[Fraction, bool]]:
        r"""Elements of the group that map pixels to pixels, for `transform`.

        Each is the fraction t of a turn and whether it is a reflection: the
        rotation by :math:`2 \pi t`, after the reflection
        :math:`y \mapsto -y` if so.
        """
        return list(self._symmetries())

    def _symmetries(self):
        found = {}
        for symmetry in exact_symmetries(self.group):
            (a, b), (c, d) = array_matrix(symmetry)
            quarter = {(1, 0): 0, (0, 1): 1, (-1, 0): 2, (0, -1): 3}[a, c]
            found[Fraction(quarter, 4), a * d - b * c < 0] = symmetry
        return found

    def transform(
        self, x: torch.Tensor, element: GroupElement
    ) -> torch.Tensor:
        """Move fields by an element of the group.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, channels, n, m)``.
        element : tuple
            One of `elements`: a fraction of a turn, and whether the
            reflection of axis 1 comes first.

        Returns
        -------
        moved : torch.Tensor
            The moved fields; a quarter turn exchanges n and m.

        Raises
        ------
        ValueError
            If the shape does not fit, or the element is not one of the group
            that maps pixels to pixels.
        """
        self.check(x)
        try:
            turn, flipped = element
            turn, flipped = Fraction(turn) % 1, bool(flipped)
            symmetry = self._symmetries()[turn, flipped]
        except (KeyError, OverflowError, TypeError, ValueError):
            known = ', '.join(
                f'({float(t):g}, {flipped})' for t, flipped in self.elements
            )
            raise ValueError(
                f'the elements of {self.group} that map pixels to pixels are '
                f'{known}, each a fraction of a turn and whether it is a '
                f'reflection; got {element!r}'
            ) from None
        x = x.flip(3) if flipped else x
        x = x.rot90(int(4 * turn), (2, 3))
        pieces = []
        for (name, n, size), piece in zip(
            self.blocks, self.split(x), strict=True
        ):
            matrix = matrix_of_fibre(name, symmetry).to(piece)
            fields = piece.unflatten(1, (n, size))
            pieces.append(
                torch.einsum('ab,znbij->znaij', matrix, fields).flatten(1, 2)
            )
        return torch.cat(pieces, 1)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the channels of each kind of fields, as views.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, channels, ...)``.
        """
        return x.split([n * size for _, n, size in self.blocks], 1)

    def check(self, x: torch.Tensor) -> None:
        """Raise a ValueError unless a tensor has the shape of such fields.

        Parameters
        ----------
        x : torch.Tensor
            What should be of shape ``(N, channels, n, m)``.
        """
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f'expected a tensor of shape (N, {self.channels}, n, m) of '
                f'{self!r}, got {tuple(x.shape)}'
            )

    def __add__(self, other: Fields) -> Fields:
        """Return these fields, and others after them, as `torch.cat` does."""
        if not isinstance(other, Fields):
            return NotImplemented
        check_one_group(self, other)
        return Fields(self.group, (*self.parts, *other.parts))

    def __eq__(self, other: object) -> bool:
        """Whether group, representations, numbers and order are the same."""
        if not isinstance(other, Fields):
            return NotImplemented
        return (self.group, self.parts) == (other.group, other.parts)

    def __hash__(self) -> int:
        """Return a number that is the same for equal fields."""
        return hash((self.group, self.parts))

    def __repr__(self) -> str:
        """Return an expression for these fields."""
        return f'Fields({self.group!r}, {list(self.parts)!r})'


def check_one_group(fields: Fields, other: Fields) -> None:
    """Raise a ValueError unless both are fields of one group."""
    if fields.group != other.group:
        raise ValueError(
            f'the fields must be of one group, got {fields.group} and '
            f'{other.group}: declare both for the group under which the '
            'network shall be equivariant'
        )


def checked_fields(name: str, fields: object) -> Fields:
    """Return fields, or raise a TypeError that says how to declare them."""
    if isinstance(fields, Fields):
        return fields
    hint = ''
    if hasattr(fields, 'gspace'):
        hint = ', and no `FieldType` of escnn'
    raise TypeError(
        f"`{name}` must be `Fields`, such as Fields('C4', regular=8){hint}; "
        f'got {type(fields).__name__}'
    )


def parts_of(group: str, representation: str) -> list[tuple[int, bool]]:
    """Return the sizes of the parts of a field that a group keeps apart.

    Returns
    -------
    parts : list of tuple
        For each part its channels, and whether nothing changes it. A regular
        field is one part.
    """
    if representation == 'regular':
        return [(group_order(group), False)]
    if line_of(representation) is not None:
        return [(1, False)]
    return [(2 if k > 0 else 1, k == 0) for k in irreps_of(representation)]


def _pairs(pairs):
    """Return pairs of a representation and a number."""
    try:
        return [(name, number) for name, number in pairs]
    except (TypeError, ValueError):
        raise TypeError(
            '`fields` must be a mapping, or pairs of a representation and a '
            "number of fields, as in {'regular': 8, 'irrep(2)': 1}, got "
            f'{pairs!r:.80}'
        ) from None


def _checked_name(group, name):
    if isinstance(name, int) and not isinstance(name, bool):
        name = 'sign' if name == -1 else f'irrep({name})'
    if not isinstance(name, str):
        raise TypeError(
            'a representation is a name or a frequency, got '
            f'{type(name).__name__}'
        )
    name = _SAME.get(name, name)
    if name == 'regular':
        if group in INFINITE:
            raise ValueError(
                f'the infinite group {group} has no regular fields with '
                'finitely many channels: take band-limited ones, such as '
                f'{band_limited(group, 1)!r}'
            )
        return name
    frequency = re.search(r'(\d+)(?:,[+-])?\)$', name, re.ASCII)
    # before a list is made of so many
    if frequency is not None and int(frequency[1]) > _LARGEST_FREQUENCY:
        raise ValueError(
            f'the frequency of a field is at most {_LARGEST_FREQUENCY}, got '
            f'{name:.80}: kernels of a few cells do not resolve more'
        )
    line = line_of(name)
    if line is None:
        irreps_of(name)
    elif group in INFINITE or 2 * line[0] != parse_group(group)[1]:
        raise ValueError(
            f'{name} is for the groups with {2 * line[0]} rotations, under '
            f'which irrep({line[0]}) falls into two lines; {group} has '
            f'irrep({line[0]})'
        )
    return name
