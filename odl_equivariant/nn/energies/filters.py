# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Filters of ridge energies: orbits under a group, and their norm."""

import functools
import math

import torch

from odl_equivariant.nn.steerable.groups import INFINITE, parse_group
from odl_equivariant.nn.steerable.space import elements_of

__all__ = (
    'Normalised',
    'autocorrelations',
    'centred',
    'family',
    'norm_bound',
    'normalised',
    'weighted_bound',
)

# Frequencies per axis of the certified bound, for each cell of a filter, by
# the number of axes: the bound is then at most 1.013 times the norm, and 1.054
# times that of filters of volumes.
_OVERSAMPLING = {2: 20, 3: 12}
# Angular frequencies of the filters whose pairs are rotated into each other.
_N_PAIRS = 7
# Least norm that filters are divided by.
_LEAST = 1e-12


def centred(kernels):
    """Return filters of mean zero."""
    axes = tuple(range(2, kernels.ndim))
    return kernels - kernels.mean(axes, keepdim=True)


def autocorrelations(kernels):
    """Return the autocorrelation of each filter, in double precision.

    Parameters
    ----------
    kernels : torch.Tensor
        Filters of shape ``(F, 1, k, k)``, or ``(F, 1, k, k, k)``.

    Returns
    -------
    lags : torch.Tensor
        Tensor of shape ``(F, 2 k, 2 k)``, or ``(F, 2 k, 2 k, 2 k)``.
    """
    axes = tuple(range(1, kernels.ndim - 1))
    # they are shorter than the period
    lengths = len(axes) * (2 * kernels.shape[-1],)
    spectra = torch.fft.rfftn(kernels[:, 0].double(), lengths, axes)
    power = spectra.real**2 + spectra.imag**2
    lags = torch.fft.irfftn(power, lengths, axes)
    return torch.fft.fftshift(lags, axes)


def norm_bound(lags, dimension=2):
    r"""Return a bound of the squared norm of filters together.

    Parameters
    ----------
    lags : torch.Tensor
        Sum of the `autocorrelations` of the filters, each possibly with a
        factor that is not negative. Or several such sums, one behind the
        other along a first axis.
    dimension : {2, 3}, optional
        Number d of axes of the filters.

    Returns
    -------
    bound : torch.Tensor
        Number, or one for each sum, that is at least :math:`\max_\omega
        \sum_i |\hat w_i(\omega)|^2`, over all frequencies, and so for images
        of every shape.

    Notes
    -----
    The sum is a trigonometric polynomial of the degree k - 1 along each axis.
    Its coefficients are the autocorrelations. Its maximum is at most
    :math:`\cos(\pi (k - 1) / N)^{-d}` times that over N equidistant
    frequencies along each axis (Ehlich and Zeller, see `convolution_norm`).
    """
    side = lags.shape[-1] // 2
    n, axes = _OVERSAMPLING[dimension] * side, tuple(range(-dimension, 0))
    values = torch.fft.rfftn(lags, dimension * (n,), axes).abs()
    factor = math.cos(math.pi * (side - 1) / n) ** dimension
    return values.amax(axes) / factor


def normalised(orbits):
    """Return filters of mean zero, which have at most the norm 1 together."""
    orbits = centred(orbits)
    dimension = orbits.ndim - 2
    square = norm_bound(autocorrelations(orbits).sum(0), dimension)
    return orbits / square.clamp(min=_LEAST**2).sqrt().to(orbits.dtype)


class Normalised:
    """Filters and their autocorrelations, kept until the weights change."""

    def __init__(self):
        self._kept = None

    def of(self, kernels, make):
        """Return both for some weights, without a graph.

        Parameters
        ----------
        kernels : torch.Tensor
            Weights, without a graph.
        make : callable
            Function without arguments that returns the filters of these
            weights.

        Returns
        -------
        made, lags : torch.Tensor
            Filters, and their `autocorrelations`.
        """
        # A copy is compared, as `.data` changes without a trace.
        kept = self._kept
        if kept is None or not (
            kept[0].dtype == kernels.dtype
            and kept[0].device == kernels.device
            and torch.equal(kept[0], kernels)
        ):
            with torch.inference_mode(False), torch.no_grad():
                made = make()
                kept = kernels.clone(), made, autocorrelations(made)
            self._kept = kept
        return kept[1:]


def weighted_bound(lags, slopes):
    """Return a bound of K^T diag(slopes) K for each noise level."""
    most = slopes.clamp(min=0).amax(2).double()
    weights = most.repeat(1, len(lags) // most.shape[1])
    dimension = lags.ndim - 1
    weights = weights.reshape(*weights.shape, *dimension * (1,))
    square = norm_bound((weights * lags).sum(1), dimension)
    # the filters have at most the norm 1, whatever rounding says
    return torch.minimum(square, most.amax(1))


def family(group, side, n_filters, dimension=2):
    """Return the family of filters that a group moves.

    Parameters
    ----------
    group : str or None
        Name of a group, of one about an axis with its letter.
    side : int
        Odd side k of the filters.
    n_filters : int
        Number of all filters.
    dimension : {2, 3}, optional
        Number of axes of the filters.

    Returns
    -------
    family : object
        With the number ``order`` of filters in an orbit, ``pairs``, whether
        the two filters of an orbit have one profile of the norm of both
        responses, ``start()``, the free parameters of shape ``(F, ...)``, and
        ``orbits(parameters)``, the filters of shape ``(order * F, 1, k, k)``,
        the same element of all orbits side by side.

    Raises
    ------
    ValueError
        If the order does not divide the number of filters.
    """
    if dimension == 3:
        made = _Permuted(group, side, n_filters)
    elif group in INFINITE:
        made = _Pairs(group, side, n_filters)
    elif group is None or parse_group(group)[1] in (1, 2, 4):
        made = _Turned(group, side, n_filters)
    else:
        made = _Steered(group, side, n_filters)
    if n_filters % made.order:
        raise ValueError(
            f'`n_filters` must be a multiple of the {made.order} filters of '
            f'an orbit under {group}, got {n_filters}'
        )
    return made


class _Family:
    pairs = False

    def __init__(self, group, side, n_filters):
        self.kind, self.n_turns = 'C', 1
        if group is not None and group not in INFINITE:
            self.kind, self.n_turns = parse_group(group)
        self.order = self.n_turns * (2 if self.kind == 'D' else 1)
        self.group, self.side = group, side
        self.n_filters = n_filters

    @property
    def n_free(self):
        return self.n_filters // self.order


class _Turned(_Family):
    """Filters of free cells, turned and mirrored exactly."""

    def start(self):
        return _waves(self.n_free, self.side, self.n_turns)

    def orbits(self, kernels):
        step = 4 // self.n_turns
        moved = [
            torch.rot90(kernels, step * i, (2, 3)) for i in range(self.n_turns)
        ]
        if self.kind == 'D':
            moved += [w.flip(2) for w in moved]
        return torch.cat(moved)


class _Permuted(_Family):
    """Filters of volumes, moved by exchanges and mirrors of their axes."""

    def __init__(self, group, side, n_filters):
        self.group, self.side, self.n_filters = group, side, n_filters
        self.order = 1 if group is None else len(elements_of(group))

    def start(self):
        return _waves_in_space(self.n_free, self.side)

    def orbits(self, kernels):
        if self.group is None:
            return kernels
        moved = []
        for element in elements_of(self.group):
            places = abs(element).argmax(1)
            image = kernels.permute(0, 1, *(2 + int(i) for i in places))
            mirrored = [2 + i for i in range(3) if element[i].sum() < 0]
            moved.append(image.flip(mirrored))
        return torch.cat(moved)


class _Steered(_Family):
    r"""Filters of circular harmonics, turned by their phases.

    The filter :math:`\mathrm{Re} \sum_{jm} c_{jm} R_j(r) e^{i m \varphi}`,
    turned by an angle t, has the coefficients :math:`c_{jm} e^{-i m t}`.
    Quarter turns of a sampled filter are exact. The reflection of the first
    axis maps :math:`c_{jm}` to :math:`(-1)^m \bar c_{jm}`.
    """

    def start(self):
        waves = _waves(self.n_free, self.side, self.n_turns)
        harmonics, _ = _harmonics(self.side, waves.dtype, waves.device)
        if waves.is_meta:
            return waves.new_empty(self.n_free, len(harmonics))
        basis = harmonics.flatten(1)
        # least squares, as the harmonics are nearly orthogonal only
        gram = basis @ basis.T
        gram += 1e-3 * gram.diagonal().mean() * torch.eye(len(gram))
        fitted = torch.linalg.solve(gram, basis @ waves.flatten(1).T).T
        return fitted.contiguous()

    def orbits(self, kernels):
        harmonics, frequencies = _harmonics(
            self.side, kernels.dtype, kernels.device
        )
        half = len(frequencies)
        c = torch.complex(kernels[:, :half], kernels[:, half:])
        moved = [c]
        if self.kind == 'D':
            moved.append(torch.where(frequencies % 2 == 0, 1, -1) * c.conj())
        turned = []
        for start in moved:
            for i in range(self.n_turns):
                angle = -2 * math.pi / self.n_turns * i * frequencies
                turned.append(
                    start * torch.polar(torch.ones_like(angle), angle)
                )
        c = torch.cat(turned)
        return torch.einsum(
            'fb,bxy->fxy', torch.cat([c.real, c.imag], 1), harmonics
        )[:, None]


class _Pairs(_Family):
    r"""Real and imaginary parts of filters of one angular frequency each.

    A rotation multiplies the response of :math:`\sum_j c_j R_j(r) e^{i m
    \varphi}` by a phase. With real coefficients, for O2, a reflection maps
    it to its conjugate, up to the sign.
    """

    pairs = True

    def __init__(self, group, side, n_filters):
        super().__init__(group, side, n_filters)
        self.order = 2

    def _frequencies(self, like):
        n_most = min(_N_PAIRS, self.side // 2 + 1)
        return torch.arange(self.n_free, device=like.device) % n_most

    def start(self):
        rings = _rings(self.side)
        like = torch.empty(0)
        shape = (self.n_free, rings.shape[0])
        if like.is_meta:
            return like.new_empty(*shape, 2)
        generator = torch.Generator('cpu').manual_seed(0)
        values = torch.randn(*shape, 2, generator=generator)
        scale = 1 / (1 + torch.arange(shape[1]))
        return 0.3 * values * scale[:, None]

    def orbits(self, kernels):
        harmonics, frequencies = _harmonics(
            self.side, kernels.dtype, kernels.device, everything=True
        )
        half, n_rings = len(frequencies), kernels.shape[1]
        # cosines and sines by frequency and ring
        parts = harmonics.view(2, half // n_rings, n_rings, *[self.side] * 2)
        chosen = parts[:, self._frequencies(kernels)]
        cosine, sine = chosen[0], -chosen[1]
        real, imaginary = kernels.unbind(2)
        if self.group == 'O2':
            imaginary = torch.zeros_like(imaginary)
        product = functools.partial(torch.einsum, 'fj,fjxy->fxy')
        first = product(real, cosine) - product(imaginary, sine)
        second = product(real, sine) + product(imaginary, cosine)
        return torch.cat([first, second])[:, None]


def _rings(side):
    """Return the radial functions on the cells, of shape (rings, k, k)."""
    cells = torch.arange(side, dtype=torch.float64, device='cpu') - side // 2
    radius = (cells[:, None] ** 2 + cells**2).sqrt()
    centres = torch.arange(side // 2 + 1, dtype=torch.float64, device='cpu')
    return torch.exp(-((radius - centres[:, None, None]) ** 2) / (2 * 0.6**2))


@functools.lru_cache(maxsize=16)
def _harmonics(side, dtype, device, everything=False):
    """Return real harmonics, those of cosines first, and frequencies.

    The second half are those of minus the sine, so that coefficients are the
    real and imaginary parts of complex ones. By default without the
    frequencies that a ring cannot resolve.
    """
    with torch.inference_mode(False), torch.no_grad():
        rings = _rings(side)
        cells = torch.arange(side, dtype=torch.float64, device='cpu')
        cells = cells - side // 2
        angle = torch.atan2(cells.expand(side, side), cells[:, None])
        cosines, sines, frequencies = [], [], []
        n_most = min(_N_PAIRS, side // 2 + 1) if everything else side // 2 + 1
        for m in range(n_most):
            for j, ring in enumerate(rings):
                if everything or m <= 2 * j:
                    # no angle is defined at the centre
                    hole = ring.clone()
                    if m:
                        hole[side // 2, side // 2] = 0
                    hole = hole / hole.norm()
                    cosines.append(hole * torch.cos(m * angle))
                    sines.append(-hole * torch.sin(m * angle))
                    frequencies.append(m)
        return (
            torch.stack(cosines + sines).to(device, dtype),
            torch.tensor(frequencies, dtype=dtype, device=device),
        )


def _waves(n_filters, side, order):
    """Return the filters that a training starts from, of norm one.

    They are waves of all lengths and directions of one sector, under a bell.
    With the phase of an eighth of a period, half a turn makes a wave the one
    that lies between its crests.
    """
    cells = torch.arange(side, dtype=torch.float64) - side // 2
    j = torch.arange(n_filters, dtype=torch.float64)
    # nearly as many for each area of the plane of frequencies
    frequency = math.pi * ((j + 0.5) / n_filters) ** 0.6
    # the golden section fills the sector evenly, whatever their number is
    angle = 2 * math.pi / order * (j * (math.sqrt(5) - 1) / 2 % 1)
    width = (2.4 / frequency).clamp(1.6, max(1.6, side / 5))
    bell = torch.exp(-((cells / width[:, None]) ** 2) / 2)
    bell = bell[:, :, None] * bell[:, None]
    along = frequency * torch.stack([angle.cos(), angle.sin()])
    phase = along[0][:, None, None] * cells[:, None]
    phase = phase + along[1][:, None, None] * cells + math.pi / 4
    start = centred((bell * phase.cos())[:, None])
    start = start / start.flatten(1).norm(dim=1)[:, None, None, None]
    return start.to(torch.get_default_dtype())


def _waves_in_space(n_filters, side):
    """Return the same for volumes, with directions all over the sphere."""
    cells = torch.arange(side, dtype=torch.float64) - side // 2
    j = torch.arange(n_filters, dtype=torch.float64)
    frequency = math.pi * ((j + 0.5) / n_filters) ** 0.6
    # two numbers without a common period fill the sphere evenly
    height = 2 * ((j + 0.5) * (math.sqrt(2) - 1) % 1) - 1
    angle = 2 * math.pi * (j * (math.sqrt(5) - 1) / 2 % 1)
    radius = (1 - height**2).sqrt()
    directions = torch.stack(
        [radius * angle.cos(), radius * angle.sin(), height]
    )
    width = (2.4 / frequency).clamp(1.6, max(1.6, side / 5))
    along = torch.stack(torch.meshgrid(3 * [cells], indexing='ij'))
    bell = torch.exp(
        -along.square().sum(0) / (2 * width.square()[:, None, None, None])
    )
    phase = torch.einsum('dj,dxyz->jxyz', frequency * directions, along)
    start = centred((bell * (phase + math.pi / 4).cos())[:, None])
    start = start / start.flatten(1).norm(dim=1)[:, None, None, None, None]
    return start.to(torch.get_default_dtype())
