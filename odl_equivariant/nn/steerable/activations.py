# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Non-linearities of band-limited and of complex fields.

A LeakyReLU of each channel commutes with permutations of the channels, but not
with rotations of them, nor with phases. The non-linearities here do, and are
plain torch: matrices, norms and products.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from odl_equivariant.nn.steerable.groups import (
    INFINITE,
    checked_group,
)
from odl_equivariant.nn.steerable.representations import (
    band_limited,
    field_size,
    irreps_of,
)
from odl_equivariant.nn.steerable.space import dimension_of, n_elements

__all__ = (
    'MODULUS',
    'NONLINEARITIES',
    'check_samples',
    'default_samples',
    'fourier_matrix',
    'make_activation',
    'n_inputs_of',
    'checked_description',
)

# Of band-limited fields.
NONLINEARITIES = ('fourier', 'norm', 'gated')

# Of complex regular fields.
MODULUS = 'modulus'

# A file of weights may ask for any number.
_MOST_SAMPLES = 1024
_LARGEST_FREQUENCY = 100

# Lengths of vectors are smoothed below its root, where their derivative has
# no value.
SMOOTHING = 1e-6

# Thresholds of moduli start at this part of the root mean square of the
# channels, or at the noise level, their unit. The least of their squares is
# for zero over zero.
_THRESHOLD = 0.1
_THRESHOLD_OF_NOISE = 1.0
_LEAST = 1e-12


def default_samples(max_frequency):
    """Return about twice as many samples as the frequencies need."""
    return 4 * (max_frequency + 1)


def checked_description(description):
    """Check and return the description of a non-linearity.

    Parameters
    ----------
    description : mapping or None
        The ``name``, one of `NONLINEARITIES`, the ``group``, ``'SO2'`` or
        ``'O2'``, the ``max_frequency`` and, for ``'fourier'``, the number
        ``n_samples``. Or the name ``'modulus'`` and a finite group.

    Raises
    ------
    ValueError
        If it is none.
    """
    if description is None:
        return None
    names = ('name', 'group', 'max_frequency')
    given = dict(description) if isinstance(description, dict) else {}
    if _is_modulus(given):
        return given
    if given.get('name') == 'fourier':
        names += ('n_samples',)
    numbers = [given.get(name) for name in names[2:]]
    if not (
        given.keys() == set(names)
        and given['name'] in NONLINEARITIES
        and given['group'] in INFINITE
        and all(type(number) is int and number > 0 for number in numbers)
    ):
        raise ValueError(
            '`nonlinearity` must be None, for a LeakyReLU of each channel, or '
            'a mapping as `to_convolutional` makes it, with a name of '
            f'{", ".join(NONLINEARITIES)}, a group of SO2 and O2 and a '
            'positive max_frequency, and n_samples if it is fourier, or the '
            f"name {MODULUS} and a group such as 'C4', and nothing else; got "
            f'{str(description):.100}'
        )
    if given['max_frequency'] > _LARGEST_FREQUENCY:
        raise ValueError(
            f'the max_frequency of a non-linearity is at most '
            f'{_LARGEST_FREQUENCY}, got {given["max_frequency"]}'
        )
    if given['name'] == 'fourier':
        check_samples(given['max_frequency'], given['n_samples'])
    return given


def _is_modulus(given):
    if given.get('name') != MODULUS or given.keys() != {'name', 'group'}:
        return False
    if isinstance(given['group'], str) and dimension_of(given['group']) == 3:
        return True
    try:
        return checked_group(given['group']) not in INFINITE
    except ValueError:
        return False


def check_samples(max_frequency, n_samples):
    """Raise a ValueError unless so many samples are enough, and fit."""
    if n_samples > _MOST_SAMPLES:
        raise ValueError(
            f'`n_samples` must be at most {_MOST_SAMPLES}, with which the '
            f'error is far below that of the grid, got {n_samples}'
        )
    if n_samples % 4 or n_samples <= 2 * max_frequency:
        least = 4 * (max_frequency // 2 + 1)
        raise ValueError(
            '`n_samples` must be a multiple of 4, for quarter turns to move '
            f'samples to samples, and more than 2 * max_frequency = '
            f'{2 * max_frequency}, got {n_samples}; take {least}, or more for '
            'a smaller error at other angles'
        )


def _representation(description):
    return band_limited(description['group'], description['max_frequency'])


def _n_turning(representation):
    """Return how many irreducible parts are not trivial."""
    return len(irreps_of(representation)) - 1


def n_inputs_of(description, channels):
    """Return the number of input channels for some output channels."""
    if description is None or description['name'] != 'gated':
        return channels
    representation = _representation(description)
    n_fields = channels // field_size(description['group'], representation)
    return channels + n_fields * _n_turning(representation)


def make_activation(description, channels, slope, of_noise=False):
    """Return the module of a non-linearity.

    Parameters
    ----------
    description : dict
        As for `checked_description`.
    channels : int
        Number of channels, a multiple of those of a field.
    slope : float
        Slope of the LeakyReLU for negative values.
    of_noise : bool, optional
        Whether the noise level is the unit of the channels. It is for
        ``'modulus'`` alone.

    Returns
    -------
    activation : torch.nn.Module
        Maps ``(N, C, n, m)`` to ``(N, channels, n, m)``, with C from
        `n_inputs_of`.
    """
    if description['name'] == MODULUS:
        size = 2 * n_elements(description['group'])
    else:
        representation = _representation(description)
        size = field_size(description['group'], representation)
    if channels % size:
        raise ValueError(
            f'`channels` must be a multiple of {size}, the channels of a '
            f'field of the non-linearity {description}, got {channels}'
        )
    if description['name'] == MODULUS:
        threshold = _THRESHOLD_OF_NOISE if of_noise else _THRESHOLD
        return _Modulus(description, channels // size, slope, threshold)
    kind = {
        'fourier': _Fourier,
        'norm': _Norm,
        'gated': _Gated,
    }[description['name']]
    return kind(description, channels // size, slope)


def fourier_matrix(group, max_frequency, n_samples):
    r"""Return the matrix of the inverse Fourier transform on a group.

    Parameters
    ----------
    group : {'SO2', 'O2'}
        The group.
    max_frequency : int
        Largest frequency.
    n_samples : int
        Number of rotations, equally spaced.

    Returns
    -------
    matrix : torch.Tensor
        Float64 tensor with a column for each channel of a field and a row
        for each rotation and, for O(2), for each after the reflection. Its
        transpose over the number of rows is its left inverse.

    Notes
    -----
    The functions are :math:`1`, :math:`\sqrt{2} \cos k \theta` and
    :math:`\sqrt{2} \sin k \theta`, each of them on O(2) also times the
    sign :math:`s` of the determinant, in an order in which
    :math:`(g \cdot u)(h) = u(g^{-1} h)` has the matrix of `fibre_matrix`:

    .. math::
        1,\; s,\; \dots,\; \sqrt{2} \cos k \theta,\;
        \sqrt{2} \sin k \theta,\; \sqrt{2} s \sin k \theta,\;
        - \sqrt{2} s \cos k \theta,\; \dots

    Examples
    --------
    >>> fourier_matrix('SO2', 1, 4).round(decimals=3).tolist()[1]
    [1.0, 0.0, 1.414]
    """
    turns = torch.arange(n_samples, dtype=torch.float64, device='cpu')
    angles = 2 * math.pi / n_samples * turns
    halves = []
    for sign in (1.0,) if group == 'SO2' else (1.0, -1.0):
        columns = [torch.ones_like(angles)]
        if group == 'O2':
            columns.append(sign * torch.ones_like(angles))
        for k in range(1, max_frequency + 1):
            cos = math.sqrt(2) * torch.cos(k * angles)
            sin = math.sqrt(2) * torch.sin(k * angles)
            columns += [cos, sin]
            if group == 'O2':
                columns += [sign * sin, -sign * cos]
        halves.append(torch.stack(columns, 1))
    return torch.cat(halves)


class _OnFields(nn.Module):
    """A non-linearity of band-limited fields, with a matrix.

    Parameters
    ----------
    description : dict
        As for `checked_description`.
    n_fields : int
        Number of fields.
    slope : float
        Slope of the LeakyReLU.
    """

    def __init__(self, description, n_fields, slope):
        super().__init__()
        self.description, self.n_fields = description, n_fields
        self.negative_slope = slope
        representation = _representation(description)
        self.size = field_size(description['group'], representation)
        # No buffer, which would be converted with the module.
        self._exact = self._matrix(irreps_of(representation))
        self.register_buffer('matrix', self._exact.float(), persistent=False)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        # Made anew, without the rounding errors of a lower precision.
        self.matrix = self._exact.to(self.matrix, copy=True)
        return self

    def extra_repr(self):
        """Return the description, for ``repr``."""
        return f'{self.description}, n_fields={self.n_fields}'

    def forward(self, x):
        """Map ``(N, C, n, m)`` to ``(N, channels, n, m)``."""
        y = self._on_fields(x.movedim(1, -1), self.matrix.to(x.dtype))
        return y.flatten(-2).movedim(-1, 1)

    def _leaky(self, x):
        return functional.leaky_relu(x, self.negative_slope)

    def _with_factors(self, x, factors):
        """Multiply the non-trivial parts of fields by factors."""
        first, rest = x[..., :1], x[..., 1:]
        return torch.cat([self._leaky(first), rest * factors], -1)


class _Fourier(_OnFields):
    """A LeakyReLU of samples of the functions on the group."""

    def _matrix(self, irreps):
        return fourier_matrix(
            self.description['group'],
            self.description['max_frequency'],
            self.description['n_samples'],
        )

    def _on_fields(self, x, matrix):
        samples = x.unflatten(-1, (self.n_fields, self.size)) @ matrix.T
        return self._leaky(samples) @ (matrix / len(matrix))


def _membership(irreps):
    """Return which turning channel belongs to which irreducible part."""
    parts = [i for i, k in enumerate(irreps[1:]) for _ in range(1 + (k > 0))]
    shape = (len(parts), len(irreps) - 1)
    matrix = torch.zeros(shape, dtype=torch.float64, device='cpu')
    matrix[range(len(parts)), parts] = 1
    return matrix


class _Norm(_OnFields):
    """A rectifier of the lengths of the irreducible parts, with a bias."""

    def __init__(self, description, n_fields, slope):
        super().__init__(description, n_fields, slope)
        self.bias = nn.Parameter(torch.zeros(n_fields, self.matrix.shape[1]))

    def _matrix(self, irreps):
        return _membership(irreps)

    def _on_fields(self, x, matrix):
        x = x.unflatten(-1, (self.n_fields, self.size))
        squares = x[..., 1:].square() @ matrix
        lengths = (squares + SMOOTHING).sqrt()
        factors = torch.relu(lengths + self.bias.to(x.dtype)) / lengths
        return self._with_factors(x, factors @ matrix.T)


class _Gated(_OnFields):
    """Each irreducible part times the sigmoid of a number of its own."""

    def _matrix(self, irreps):
        return _membership(irreps)

    def _on_fields(self, x, matrix):
        channels = self.n_fields * self.size
        gates = x[..., channels:].unflatten(
            -1, (self.n_fields, matrix.shape[1])
        )
        x = x[..., :channels].unflatten(-1, (self.n_fields, self.size))
        return self._with_factors(x, torch.sigmoid(gates) @ matrix.T)


class _Modulus(nn.Module):
    r"""Complex numbers, multiplied by a function of their moduli.

    Parameters
    ----------
    description : dict
        As for `checked_description`.
    n_fields : int
        Number of fields, each with one complex channel for each element of
        the group.
    slope : float
        Factor of small numbers.
    threshold : float
        Where the thresholds start.

    Notes
    -----
    With the slope :math:`\lambda` and a threshold :math:`\beta` for each
    field,

    .. math::
        z \mapsto \Big(\lambda + (1 - \lambda)
        \frac{|z|^2}{|z|^2 + \beta^2}\Big)\, z .

    It is smooth, shrinks numbers that are small compared to the threshold,
    and keeps large ones. For :math:`0 \le \lambda \le 1` its Lipschitz
    constant is at most 9/8. All real parts come before all imaginary parts,
    so that they are added fast.
    """

    def __init__(self, description, n_fields, slope, threshold):
        super().__init__()
        self.description, self.slope = description, slope
        self._order = n_elements(description['group'])
        self.threshold = nn.Parameter(torch.full((n_fields,), threshold))

    def extra_repr(self):
        """Return the description, for ``repr``."""
        return f'{self.description}, n_fields={len(self.threshold)}'

    def forward(self, x):
        """Map ``(N, channels, n, m)`` to the same shape."""
        # squares of numbers above 256 overflow in float16
        dtype = torch.float32 if x.dtype == torch.float16 else x.dtype
        real, imaginary = x.to(dtype).chunk(2, 1)
        threshold = self.threshold.to(dtype).square() + _LEAST
        threshold = threshold.repeat_interleave(self._order)
        threshold = threshold.reshape(-1, *(x.ndim - 2) * [1])
        # as a quotient of sums, small factors are accurate too
        kept = torch.addcmul(self.slope * threshold, real, real)
        kept = torch.addcmul(kept, imaginary, imaginary)
        factor = kept / (kept + (1 - self.slope) * threshold)
        return torch.cat([factor * real, factor * imaginary], 1).to(x.dtype)
