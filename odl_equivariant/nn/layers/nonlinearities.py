# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Non-linearities of declared fields, with any function of numbers.

Each commutes with the group exactly: a function of each number with
permutations of the channels, and a factor that depends on lengths, or on what
the group does not change, with rotations of the channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from odl_equivariant._checks import boolean
from odl_equivariant.nn.layers.base import Layer
from odl_equivariant.nn.layers.fields import (
    Fields,
    checked_fields,
    parts_of,
)
from odl_equivariant.nn.steerable.activations import SMOOTHING

__all__ = (
    'GatedNonlinearity',
    'NormNonlinearity',
    'PointwiseNonlinearity',
)

#: What maps each number of a tensor.
NumberMap = Callable[[torch.Tensor], torch.Tensor]


class PointwiseNonlinearity(Layer):
    r"""A function of each number, on fields that the group permutes.

    Parameters
    ----------
    fields : Fields
        Trivial and regular fields.
    psi : callable, optional
        Function of each number alone, from a tensor to one of the same
        shape, or a `torch.nn.Module`, whose weights are trained. Default:
        `torch.nn.functional.leaky_relu`.

    Raises
    ------
    TypeError
        If an argument has not its type.
    ValueError
        If there are fields whose channels the group turns, or ``psi`` does
        not map each number alone.

    Examples
    --------
    >>> layer = PointwiseNonlinearity(Fields('C4', regular=2), torch.tanh)
    >>> layer(torch.zeros(1, 8, 5, 5)).shape
    torch.Size([1, 8, 5, 5])
    """

    def __init__(
        self, fields: Fields, psi: NumberMap = functional.leaky_relu
    ) -> None:
        super().__init__()
        self.in_fields = self.out_fields = checked_fields('fields', fields)
        if not fields.permutes:
            turned = [
                name
                for name, _ in fields.parts
                if name not in ('trivial', 'regular')
            ]
            raise ValueError(
                f'{fields.group} does not permute the channels of '
                f'{", ".join(turned)} fields, and a function of each channel '
                'would not be equivariant: take `NormNonlinearity` or '
                '`GatedNonlinearity`'
            )
        self.psi = checked_psi('psi', psi)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the function to each number.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, fields.channels, n, m)``.
        """
        self._check(x)
        return self.psi(x)


class _OnParts(Layer):
    """A non-linearity that multiplies the parts of fields by factors."""

    def __init__(self, fields):
        super().__init__()
        self.out_fields = checked_fields('fields', fields)
        self._parts = [
            (n, *zip(*parts_of(fields.group, name), strict=True))
            for name, n in fields.parts
        ]
        self._n_turned = [
            n * (len(invariant) - sum(invariant))
            for n, _, invariant in self._parts
        ]

    def _map(self, x, of_invariant, factors):
        """Map each part of some fields.

        ``factors`` takes a part, of shape ``(N, fields, channels, n, m)``,
        and the number of parts before it.
        """
        done, results = 0, []
        for piece, (n, sizes, invariant) in zip(
            self.out_fields.split(x), self._parts, strict=True
        ):
            parts = list(piece.unflatten(1, (n, sum(sizes))).split(sizes, 2))
            for i, is_invariant in enumerate(invariant):
                if is_invariant:
                    parts[i] = of_invariant(parts[i])
                else:
                    parts[i] = parts[i] * factors(parts[i], done)
                    done += n
            results.append(torch.cat(parts, 2).flatten(1, 2))
        return torch.cat(results, 1)


class NormNonlinearity(_OnParts):
    r"""A function of the lengths of fields, which keeps their directions.

    Parameters
    ----------
    fields : Fields
        Fields of any kind.
    psi : callable, optional
        As for `PointwiseNonlinearity`. Default: `torch.relu`.
    bias : bool, optional
        Whether there is a number b to train for each part, from 0.

    Raises
    ------
    TypeError
        If an argument has not its type.
    ValueError
        If ``psi`` does not map each number alone.

    Notes
    -----
    With :math:`|u|_\epsilon^2 = |u|^2 + \epsilon` and
    :math:`\epsilon = 10^{-6}`, each part u of a field becomes

    .. math::
        \frac{\psi(|u|_\epsilon + b)}{|u|_\epsilon}\, u .

    The parts of band-limited fields are irreducible, other fields are one
    part. If :math:`\psi(b)` is not zero, the map jumps where u is zero, up
    to the smoothing. What the group does not change at all becomes
    :math:`\psi(u)`.

    Examples
    --------
    >>> vectors = Fields('O2', standard=1)
    >>> layer = NormNonlinearity(vectors, torch.tanh)
    >>> u = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    >>> layer(u).flatten()
    tensor([0.5999, 0.7999], grad_fn=<ViewBackward0>)
    """

    def __init__(
        self, fields: Fields, psi: NumberMap = torch.relu, bias: bool = True
    ) -> None:
        super().__init__(fields)
        self.in_fields = self.out_fields
        self.psi = checked_psi('psi', psi)
        if boolean('bias', bias):
            self.bias = nn.Parameter(torch.zeros(sum(self._n_turned)))
        else:
            self.register_parameter('bias', None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the function to the lengths.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, fields.channels, n, m)``.
        """
        self._check(x)
        return self._map(x, self.psi, self._factors)

    def _factors(self, part, done):
        squares = part.square().sum(2, keepdim=True)
        lengths = (squares + SMOOTHING).sqrt()
        shifted = lengths
        if self.bias is not None:
            bias = self.bias[done : done + part.shape[1]].to(part.dtype)
            shifted = lengths + bias[:, None, None, None]
        return self.psi(shifted) / lengths


class GatedNonlinearity(_OnParts):
    r"""Fields times functions of numbers that the group does not change.

    Parameters
    ----------
    fields : Fields
        Fields of the output, of any kind.
    psi : callable, optional
        Function of the gates, as for `PointwiseNonlinearity`. Default:
        `torch.sigmoid`.
    psi_invariant : callable, optional
        Function of what the group does not change, which has no gates.
        Default: `torch.nn.functional.leaky_relu`.

    Raises
    ------
    TypeError
        If an argument has not its type.
    ValueError
        If a function does not map each number alone.

    Notes
    -----
    ``in_fields`` are the fields and, after them, one trivial field s for each
    part u of the others, which becomes :math:`\psi(s)\, u`. The parts are
    those of `NormNonlinearity`.

    Examples
    --------
    >>> layer = GatedNonlinearity(Fields('D4', trivial=2, standard=3))
    >>> layer.in_fields
    Fields('D4', [('trivial', 2), ('standard', 3), ('trivial', 3)])
    """

    def __init__(
        self,
        fields: Fields,
        psi: NumberMap = torch.sigmoid,
        psi_invariant: NumberMap = functional.leaky_relu,
    ) -> None:
        super().__init__(fields)
        n_gates = sum(self._n_turned)
        self.in_fields = fields
        if n_gates:
            self.in_fields = fields + Fields(fields.group, trivial=n_gates)
        self.psi = checked_psi('psi', psi)
        self.psi_invariant = checked_psi('psi_invariant', psi_invariant)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply the fields by their gates.

        Parameters
        ----------
        x : torch.Tensor
            Fields and gates, ``(N, in_fields.channels, n, m)``.

        Returns
        -------
        y : torch.Tensor
            Fields of shape ``(N, out_fields.channels, n, m)``.
        """
        self._check(x)
        channels = self.out_fields.channels
        gates = self.psi(x[:, channels:])[:, :, None]
        return self._map(
            x[:, :channels],
            self.psi_invariant,
            lambda part, done: gates[:, done : done + part.shape[1]],
        )


def checked_psi(name: str, psi: NumberMap) -> NumberMap:
    """Return a function after a trial that it maps each number alone."""
    if not callable(psi) or isinstance(psi, type):
        hint = f': make one, as in {psi.__name__}()' if callable(psi) else ''
        raise TypeError(
            f'`{name}` must be a function of a tensor, such as torch.relu, '
            f'got {psi!r:.80}{hint}'
        )
    like = torch.empty(0)
    if isinstance(psi, nn.Module):
        like = next(psi.parameters(), like)
    if like.is_meta:
        return psi
    # in steps of binary fractions, which all precisions have, in no order
    x = torch.tensor([(5 * i % 17) / 4 - 2 for i in range(16)]).to(like)
    together = x.reshape(1, 4, 2, 2).clone()
    message = (
        f'`{name}` must map each number of a tensor alone, without regard of '
        'its place and of the others, to be equivariant: '
    )
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            result = psi(together)
            some = psi(x[:5].clone().reshape(5, 1, 1, 1))
    except (IndexError, RuntimeError, ValueError) as error:
        raise ValueError(message + f'{psi!r:.80} fails, {error}') from error
    if not isinstance(result, torch.Tensor) or result.shape != together.shape:
        found = getattr(result, 'shape', type(result).__name__)
        raise ValueError(
            message + f'{psi!r:.80} maps the shape (1, 4, 2, 2) to {found}'
        )
    if not torch.equal(together.flatten(), x):
        raise ValueError(
            f'`{name}` must leave its input as it is, but {psi!r:.80} works '
            'in place: take inplace=False, or the function without a _'
        )
    same = torch.isclose(result.flatten()[:5], some.flatten(), equal_nan=True)
    if not same.all():
        raise ValueError(
            message
            + f'{psi!r:.80} does not; a random one, such as a dropout, '
            'is none either'
        )
    return psi
