# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Ridge energies: learned profiles of the responses of learned filters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from odl_equivariant._checks import boolean, positive_number, whole_number
from odl_equivariant._types import Space
from odl_equivariant.nn.blocks.inputs import (
    check_input,
    checked_sigma,
    checked_symmetry,
    has_values,
)
from odl_equivariant.nn.blocks.network import is_transformed
from odl_equivariant.nn.energies import (
    _boundary,
    _responses,
    _sweeps,
    filters,
)
from odl_equivariant.nn.energies._derivatives import (
    is_differentiated,
    out_of_inference,
)
from odl_equivariant.nn.energies._spaces import check_shape, check_space_of
from odl_equivariant.nn.energies.base import Energy
from odl_equivariant.nn.energies.profiles import (
    checked_first_knot,
    made_profiles,
)

__all__ = ('RidgeEnergy',)

# Intervals of a profile, its last knot in units of the noise, and knots in
# the noise level.
_N_KNOTS, _REACH, _N_LEVELS = 40, 8.0, 11


class RidgeEnergy(Energy):
    r"""Sum of learned profiles of the responses of learned filters.

    .. math::
        J(u; \sigma) = \sum_i \sum_x \psi_i\bigl((w_i * u)(x); \sigma\bigr)

    It is convex, or 1-weakly convex, whatever its weights are. With a group,
    the filters :math:`w_i` come in whole orbits, and all filters of an orbit
    have one profile. So :math:`J(g \cdot u) = J(u)`.

    Parameters
    ----------
    group : str or None, optional
        Group: ``'C<N>'``, ``'D<N>'``, ``'SO2'`` or ``'O2'``; for volumes one
        of the space, such as ``'O'``, see `EquivariantProximal`. ``None`` for
        ordinary filters, each with a profile of its own.
    kernel_size : int, optional
        Odd side of the filters in cells, at least 3. Filters of volumes have
        its cube of cells: 5 or 7 are wide there.
    n_filters : int, optional
        Number of all filters, a multiple of those in an orbit: the order of
        the group, and 2 for an infinite group. At equal numbers, energies
        with and without a group take the same time.
    convex : bool, optional
        Whether the energy is convex. Otherwise it is 1-weakly convex.
    in_channels : int, optional
        Channels of an image. The energy is the sum over the channels. So a
        complex image, of two channels, has the energy of its two parts.
    shared_profile : bool, optional
        Whether all orbits have the same profile, up to its scale and that of
        the responses.
    largest_slope : float, optional
        Bound of the second derivatives of the profiles, and so of L below.
        In a training, profiles become steep at zero, like the absolute value,
        and iterations that minimise the energy grow in number like the root
        of L. Default: no bound.
    axis : {0, 1, 2}, optional
        For volumes, the axis of a group about one, see `EquivariantProximal`.
    dimension : {2, 3}, optional
        Number of axes of an image, 3 for volumes. Default: that of the
        group, and 2 without one.
    first_knot : float, optional
        First knot of the profiles in units of the noise of a response, at
        most 0.2, the distance of the others. A small one lets derivatives of
        profiles jump at zero, and fall or stay behind, see the notes.
        Default: evenly spaced knots.

    Attributes
    ----------
    value_range : tuple of 2 floats or None
        Least and greatest value of the training images, where known.

    Raises
    ------
    TypeError
        If a number or a bool is none. When it is applied: if ``sigma`` is
        missing, or the images are not of the precision of the weights.
    ValueError
        If an argument is out of its range or does not fit the group. When it
        is applied: if a shape does not fit, an image is smaller than the
        filters, or images or ``sigma`` are not finite, or ``sigma`` is not
        positive.

    Notes
    -----
    **Profiles** [GNBDU2023]_, [GNU2024]_. The derivative of a profile is a
    linear spline, odd, on 40 intervals in the response, and constant behind
    the last knot. Its slopes are at most :math:`\mu_i(\sigma)`, and at least
    0 if ``convex`` and -1 otherwise. For the noise level,

    .. math::
        \psi_i(t; \sigma) = \alpha_i(\sigma)^{-2} \psi(\alpha_i(\sigma) t),
        \qquad \alpha_i(\sigma) = \frac{e^{a_i(\sigma)}}{c \sigma},

    where :math:`\log \mu_i` and :math:`a_i` are linear splines on 11 knots
    from 0 to 0.2, constant beyond, and :math:`c \sigma` is the usual noise of
    a response. Neither factor changes the bounds of the second derivative.
    With evenly spaced knots, a profile that becomes steep at zero, like the
    absolute value, does so by a large :math:`\alpha_i`. Its last knot is then
    near zero, and it cannot fall to zero behind. With ``first_knot``, it is
    steep on the first interval alone. The weights are then the values of the
    derivative at the knots.

    **Bounds.** Together, the filters have at most the norm 1: they are
    divided by a certified bound of :math:`\max_\omega (\sum_i |\hat
    w_i(\omega)|^2)^{1/2}` over all frequencies. With the map K from images to
    responses, :math:`\nabla J(u) = K^T \psi'(K u)` and :math:`\nabla^2 J =
    K^T \psi''(K u) K`. So for images of every shape,

    .. math::
        -1 \le -\rho \le \nabla^2 J \le L, \qquad L = \max_\omega \sum_i
        s_i |\hat w_i(\omega)|^2,

    with the greatest second derivatives :math:`s_i` of the profiles; the
    modulus :math:`\rho \le 1` is the same with those of :math:`-\psi_i`. So
    :math:`J + \tfrac12 \|\cdot\|^2` is convex. Certified bounds of both are
    `gradient_lipschitz` and `weak_convexity`.

    **Boundary.** Extension by zeros would add edges; extension by reflection
    would increase the norm, for filters that are not closed under
    reflections. The image goes on by E (u - S u). S is a wide mean with
    symmetric boundary, so that little is left but what filters of mean zero
    see. The isometry E folds the boundary: it hands a share of the cells near
    it to their mirror images. Both commute with the symmetries of the grid.
    Constants may be added to an image: J does not change.

    **Groups.** The group acts by moving the cells of images. C1, C2, C4, D1,
    D2 and D4, and the groups of the space, turn and mirror free filters
    exactly. For the other finite groups, filters consist of circular
    harmonics, which the group multiplies by phases. For SO2 and O2, a filter
    :math:`\sum_j c_j R_j(r) e^{i m \varphi}` is complex, and its profile is
    that of :math:`|w_i * u|`, the norm of a pair of real responses: a
    rotation only changes the phase. The numbers :math:`c_j` are real for O2.
    In each case J is invariant to rounding under those elements that map the
    grid to itself: if n = m those of the group in D4, otherwise those in D2.
    Under other angles it is invariant as far as the sampling of filters and
    image allows.

    References
    ----------
    .. [GNBDU2023] Goujon A, Neumayer S, Bohra P, Ducotterd S and Unser M. *A
       neural-network-based convex regularizer for inverse problems*. IEEE
       Transactions on Computational Imaging 9 (2023), 781-795.
    .. [GNU2024] Goujon A, Neumayer S and Unser M. *Learning weakly convex
       regularizers for convergent image-reconstruction algorithms*. SIAM
       Journal on Imaging Sciences 17 (2024), 91-115.

    Examples
    --------
    >>> J = RidgeEnergy('C4', kernel_size=7, n_filters=16)
    >>> u = torch.rand(1, 1, 20, 23)
    >>> turned = J(u.rot90(1, (2, 3)), sigma=0.1)
    >>> torch.allclose(turned, J(u, sigma=0.1), rtol=1e-5)
    True
    >>> J.weak_convexity(0.1) <= 1
    True
    >>> RidgeEnergy('C4', convex=True).weak_convexity(0.1)
    0.0

    Volumes, with the 24 rotations of the cube:

    >>> J = RidgeEnergy('O', kernel_size=3, n_filters=24)
    >>> u = torch.rand(1, 1, 6, 7, 8)
    >>> turned = J(u.transpose(2, 4).flip(4), sigma=0.1)
    >>> torch.allclose(turned, J(u, sigma=0.1), rtol=1e-5)
    True
    """

    noise_level = True
    homogeneous = False
    shift_equivariant = True

    value_range: tuple[float, float] | None = None

    def __init__(
        self,
        group: str | None = 'C4',
        kernel_size: int = 13,
        n_filters: int = 60,
        convex: bool = False,
        in_channels: int = 1,
        shared_profile: bool = False,
        largest_slope: float | None = None,
        axis: int | None = None,
        dimension: int | None = None,
        first_knot: float | None = None,
    ) -> None:
        super().__init__()
        name, self.dimension = checked_symmetry(group, axis, dimension)
        self.axis = None if axis is None else int(axis)
        # without the letter of its axis
        self.group = name if axis is None else name[:-1]
        self.kernel_size = whole_number('kernel_size', kernel_size, 3)
        self.n_filters = whole_number('n_filters', n_filters, 1)
        self.convex = boolean('convex', convex)
        self.in_channels = whole_number('in_channels', in_channels, 1)
        self.shared_profile = boolean('shared_profile', shared_profile)
        if largest_slope is not None:
            largest_slope = positive_number('largest_slope', largest_slope)
        self.largest_slope = largest_slope
        if first_knot is not None:
            first_knot = checked_first_knot(first_knot, _REACH / _N_KNOTS)
        self.first_knot = first_knot
        if self.kernel_size % 2 == 0:
            raise ValueError(
                '`kernel_size` must be odd, so that turned filters have the '
                f'same centre, got {kernel_size}'
            )
        self._family = filters.family(
            name, self.kernel_size, self.n_filters, self.dimension
        )
        self.kernels = nn.Parameter(self._family.start())
        self.profiles = made_profiles(
            self.first_knot,
            self._family.n_free,
            self.convex,
            self.shared_profile,
            _N_KNOTS,
            _REACH,
            _N_LEVELS,
            1 / math.sqrt(self.n_filters),
            self.largest_slope,
        )
        self._normalised = filters.Normalised()

    @property
    def architecture(self) -> dict[str, Any]:
        """Name and arguments of the class, from which it can be rebuilt."""
        return {'class': type(self).__name__, 'arguments': self._arguments()}

    def _arguments(self):
        names = (
            'group',
            'kernel_size',
            'n_filters',
            'convex',
            'in_channels',
            'shared_profile',
        )
        arguments = {name: getattr(self, name) for name in names}
        for name in ('largest_slope', 'axis', 'first_knot'):
            if getattr(self, name) is not None:
                arguments[name] = getattr(self, name)
        if self.group is None and self.dimension == 3:
            arguments['dimension'] = 3
        return arguments

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return ', '.join(f'{k}={v!r}' for k, v in self._arguments().items())

    @classmethod
    def n_weights(cls, arguments: dict[str, Any]) -> int:
        """Return how many tensors of weights the arguments ask for."""
        return 4

    def check_space(self, space: Space) -> None:
        """Raise a ValueError unless images of a space fit the energy.

        Parameters
        ----------
        space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
            Space of the images.
        """
        check_space_of(self, space)

    def filters(self) -> torch.Tensor:
        """Return all filters, which have at most the norm one together.

        Returns
        -------
        filters : torch.Tensor
            Filters of shape ``(n_filters, 1, k, k)``, or of volumes
            ``(n_filters, 1, k, k, k)``: those of the identity of the group,
            then those of its next element, and so on.
        """
        if is_transformed() or is_differentiated(self, self.kernels):
            return self._filters()
        return self._current()[0]

    def _filters(self):
        return filters.normalised(self._family.orbits(self.kernels))

    def _current(self):
        """Return filters and autocorrelations, without a graph."""
        return self._normalised.of(self.kernels.detach(), self._filters)

    def _prepared(self, x, sigma):
        """Return extended images, tables of the profiles, and matrices.

        Each channel is an image of its own from here on.
        """
        tables, matrices = self._tables(x, sigma)
        return _boundary.extend(_alone(x), matrices), tables, matrices

    def _tables(self, x, sigma):
        """Return the last two of them."""
        self._check_input('x', x)
        check_shape(x.shape[2:], self.kernel_size)
        if has_values(x) and not bool(x.isfinite().all()):
            raise ValueError(
                'the images of an energy must be finite, got NaN or infinity'
            )
        levels = checked_sigma(out_of_inference(sigma), x).flatten()
        if len(levels) > 1:
            levels = levels.repeat_interleave(self.in_channels)
        splines = self.profiles(levels)
        copies = 1 if self._family.pairs else self._family.order
        tables = splines._replace(
            scales=splines.scales.repeat(1, copies),
            slopes=splines.slopes.repeat(1, copies, 1),
        ).prepared()
        # as many responses as cells
        reach = self.kernel_size // 4
        margin = self.kernel_size // 2 - reach
        return tables, _boundary.extension(x.shape[2:], reach, margin, x)

    def _check_input(self, name, x, like=None):
        dtype = self.kernels.dtype
        check_input(name, x, self.in_channels, dtype, like, self.dimension)

    def forward(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the energy of each image.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, in_channels, n, m)``, or volumes of shape
            ``(N, in_channels, n, m, l)``.
        sigma : float or torch.Tensor
            Noise level in the unit of the images, one number or one for each
            image, of shape ``(N,)``.

        Returns
        -------
        energies : torch.Tensor
            Tensor of shape ``(N,)``.
        """
        images, tables, _ = self._prepared(x, sigma)
        kernels = self.filters()
        if self._needs_graph(x, sigma):
            responses = _sweeps.correlate(images, kernels)
            energies = _responses.values(tables, responses, self._family.pairs)
        else:
            energies = images.new_zeros(len(images))

            def add(_, i, responses):
                energies[i] += _responses.quick_values(
                    tables.of(i), responses, self._family.pairs
                )

            _sweeps.sweep(images, kernels, add)
        return energies.view(x.shape[:2]).sum(1)

    def gradient(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the gradient with respect to the values of the cells.

        Parameters
        ----------
        x, sigma
            As for `forward`.

        Returns
        -------
        gradient : torch.Tensor
            Tensor of the shape of ``x``. If gradients are enabled, it can be
            differentiated again, with respect to ``x`` and to the weights.
        """
        if not self._needs_graph(x, sigma):
            return self.gradient_function(x, sigma)(x)
        images, tables, matrices = self._prepared(x, sigma)
        kernels, pairs = self.filters(), self._family.pairs
        responses = _sweeps.correlate(images, kernels)
        responses = _responses.derivative(tables, responses, pairs)
        total = _sweeps.transposed(responses, kernels)
        return _boundary.extended_transpose(total, matrices).view(x.shape)

    @torch.no_grad()
    def gradient_function(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the gradient as a function, to be applied several times.

        Parameters
        ----------
        x, sigma
            As for `forward`.

        Returns
        -------
        gradient : callable
            Function of images of the shape of ``x``, which need not be equal
            to them, and are not checked. Its results have no graph. It makes
            filters and tables of the profiles once.
        """
        tables, matrices = self._tables(x, sigma)
        kernels, pairs = self.filters(), self._family.pairs

        def derivative(_, i, responses):
            return _responses.quick_derivative(tables.of(i), responses, pairs)

        @torch.no_grad()
        def gradient(u):
            images = _boundary.extend(_alone(u), matrices)
            total = _sweeps.sweep(images, kernels, derivative)
            return _boundary.extended_transpose(total, matrices).view(u.shape)

        return gradient

    def shrinkage(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        r"""Return images whose responses are shrunk once.

        .. math::
            x - K^T (1 - \mathrm{prox}_\psi) K x

        It approximates the proximal of J, and is the proximal if the filters
        K are orthogonal. It takes the time of one gradient, so that filters
        and profiles can be trained with it before they are trained with
        minimisers. It commutes with the group.

        Parameters
        ----------
        x, sigma
            As for `forward`.

        Returns
        -------
        images : torch.Tensor
            Tensor of the shape of ``x``.
        """
        images, tables, matrices = self._prepared(x, sigma)
        kernels = self.filters()
        responses = _sweeps.correlate(images, kernels)
        rest = _responses.residual(tables, responses, self._family.pairs)
        total = _sweeps.transposed(rest, kernels)
        return x - _boundary.extended_transpose(total, matrices).view(x.shape)

    def value_and_gradient(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return energies and gradients, with the responses computed once.

        Parameters
        ----------
        x, sigma
            As for `forward`.

        Returns
        -------
        energies : torch.Tensor
            Tensor of shape ``(N,)``.
        gradient : torch.Tensor
            Tensor of the shape of ``x``.
        """
        if self._needs_graph(x, sigma):
            return super().value_and_gradient(x, sigma)
        images, tables, matrices = self._prepared(x, sigma)
        pairs = self._family.pairs
        energies = images.new_zeros(len(images))

        def add(_, i, responses):
            both = _responses.quick_values_and_derivative(
                tables.of(i), responses, pairs
            )
            energies[i] += both[0]
            return both[1]

        total = _sweeps.sweep(images, self.filters(), add)
        gradient = _boundary.extended_transpose(total, matrices)
        return energies.view(x.shape[:2]).sum(1), gradient.view(x.shape)

    def hessian_product(
        self,
        x: torch.Tensor,
        direction: torch.Tensor,
        sigma: float | torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the derivative of the gradient in a direction.

        Parameters
        ----------
        x, sigma
            As for `forward`.
        direction : torch.Tensor
            Tensor of the shape of ``x``.

        Returns
        -------
        product : torch.Tensor
            Hessian at ``x``, applied to ``direction``. At the knots of a
            profile, its second derivative is the one beyond the knot.
        """
        self._check_input('direction', direction, x)
        if self._needs_graph(x, direction, sigma):
            return super().hessian_product(x, direction, sigma)
        return self.linearised(x, sigma)(direction)

    @torch.no_grad()
    def linearised(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the Hessian at some images, to be applied several times.

        Parameters
        ----------
        x, sigma
            As for `forward`.

        Returns
        -------
        hessian : callable
            Function of a direction of the shape of ``x``. Its results have no
            graph. It keeps one number for each response.
        """
        images, tables, matrices = self._prepared(x, sigma)
        kernels, pairs = self.filters(), self._family.pairs
        curvatures = {}

        def keep(key, i, responses):
            curvatures[key] = _responses.curvature(
                tables.of(i), responses, pairs
            )

        _sweeps.sweep(images, kernels, keep)

        @torch.no_grad()
        def hessian(direction):
            total = _sweeps.sweep(
                _boundary.extend(_alone(direction), matrices),
                kernels,
                lambda key, _, responses: curvatures[key](responses),
            )
            total = _boundary.extended_transpose(total, matrices)
            return total.view(direction.shape)

        return hessian

    def _needs_graph(self, *inputs):
        return is_transformed() or is_differentiated(self, *inputs)

    def gradient_lipschitz(self, sigma: float | None = None) -> float:
        """Return a Lipschitz constant of the gradient.

        Parameters
        ----------
        sigma : float
            Noise level.

        Returns
        -------
        bound : float
            At most the greatest absolute second derivative of a profile.
        """
        return self._bound(sigma, 0)

    def weak_convexity(self, sigma: float | None = None) -> float:
        """Return the modulus of weak convexity.

        Parameters
        ----------
        sigma : float
            Noise level.

        Returns
        -------
        modulus : float
            At most 1. It is 0 if the energy is convex.
        """
        return self._bound(sigma, 1)

    def _bound(self, sigma, which):
        if sigma is None:
            raise TypeError(
                'the bounds of this energy depend on the noise level: pass '
                '`sigma`'
            )
        level = self.kernels.new_tensor([positive_number('sigma', sigma)])
        return float(self.bounds(level)[which])

    @torch.no_grad()
    def bounds(
        self, sigma: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Lipschitz constants and moduli of several noise levels.

        Parameters
        ----------
        sigma : torch.Tensor
            Noise levels of shape ``(N,)``.

        Returns
        -------
        lipschitz, moduli : torch.Tensor
            `gradient_lipschitz` and `weak_convexity` for each, of shape
            ``(N,)``, in double precision.
        """
        slopes = self.profiles(sigma).slopes
        lags = self._current()[1]
        moduli = filters.weighted_bound(lags, -slopes)
        greatest = filters.weighted_bound(lags, slopes)
        return torch.maximum(greatest, moduli), moduli


def _alone(x):
    """Return each channel as an image of its own."""
    return x.flatten(0, 1)[:, None]
