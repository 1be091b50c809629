# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Denoisers that are firmly non-expansive by construction."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from odl_equivariant.nn._convolution import PaddedConvolution
from odl_equivariant.nn.blocks.base import Proximal
from odl_equivariant.nn.blocks.inputs import (
    check_input,
    check_square_cells,
    checked_sigma,
)
from odl_equivariant.nn.convolution_norm import bound_for_every_shape
from odl_equivariant.nn.steerable import layout
from odl_equivariant.nn.steerable.convolutions import SteerableConvolution
from odl_equivariant.nn.steerable.grid import checked_basis
from odl_equivariant.nn.steerable.groups import (
    INFINITE,
    checked_group,
    group_order,
)

__all__ = ('AveragedProximal',)

# Steps at the start: one layer reflects the noise, the others do little.
_REFLECTS, _RESTS = 1.98, 0.1
# Thresholds at the start, as multiples of the noise in each channel.
_THRESHOLD = 2.0
# Norm of a kernel of zeros, which any number may divide.
_LEAST_NORM = 1e-12


class AveragedProximal(Proximal):
    r"""Denoiser that is firmly non-expansive, whatever its weights are.

    With it, solvers that need a proximal have fixed points to which they
    converge: see the notes.

    Parameters
    ----------
    in_channels : int, optional
        Channels of an image: 1 if real, 2 if complex.
    channels : int, optional
        Number of filters of each layer, a multiple of the order of the group.
    group : str or None, optional
        Finite group, ``'C<N>'`` or ``'D<N>'``. ``None`` for ordinary filters.
    noise_level : bool, optional
        Whether the thresholds are proportional to the noise level ``sigma``.
        Otherwise the denoiser is for one unit of the images.
    n_layers : int, optional
        Number of layers.
    kernel_size : int, optional
        Odd side of the filters in cells, at least 3.
    basis : {'grid', 'escnn', 'mixed', 'fourier'}, optional
        Basis of the filters, as for `EquivariantProximal`. Default:
        ``'grid'`` if the group maps pixels to pixels, and ``'escnn'``
        otherwise.

    Raises
    ------
    TypeError
        If a number or a bool is none.
    ValueError
        If an argument is out of its range, or does not fit the group.

    Notes
    -----
    The denoiser is the mean of the identity and of a composition of layers
    (Sherry et al. [S+2024]_),

    .. math::
        \Phi = \tfrac12 (\mathrm{id} + Q), \qquad
        Q = R_n \circ \dots \circ R_1, \qquad
        R_i(u) = u - \tau_i K_i^T \phi_i(K_i u),

    with :math:`0 < \tau_i < 2`. The function :math:`\phi_i` clips each
    channel to :math:`[-\lambda \sigma, \lambda \sigma]`. It is the gradient
    of a convex function with 1-Lipschitz gradient. The convolution
    :math:`K_i` is divided by a certified bound of its norm over images of
    all shapes, see `convolution_norm`, so that :math:`\|K_i\| \le 1`. Hence
    each :math:`R_i` is a step of gradient descent on a convex function, of at
    most 2 / (Lipschitz constant of the gradient). It is non-expansive, and
    so is :math:`Q`. Therefore, in exact arithmetic and for a fixed
    :math:`\sigma`,

    .. math::
        \|\Phi(u) - \Phi(v)\|^2 \le \langle \Phi(u) - \Phi(v), u - v \rangle .

    The iteration :math:`u \leftarrow \Phi(u - \tau \nabla D(u))`, as in
    ``odl.solvers.proximal_gradient``, converges to a fixed point if there is
    one, for convex :math:`D` and steps :math:`\tau` below 2 / (Lipschitz
    constant of :math:`\nabla D`); the distance between iterates falls
    monotonically [BC2017]_. This is the case although :math:`\Phi` need not
    be the proximal of a function.

    Filters have mean zero, and are applied where they lie in the image
    entirely. So :math:`\Phi(a u + b; |a| \sigma) = a \Phi(u; \sigma) + b` for
    all numbers :math:`a \ne 0` and b (with ``noise_level=True``): the unit of
    the images does not matter. With a group, filters are steerable, from
    trivial to regular fields, and :math:`\Phi(g \cdot u) = g \cdot \Phi(u)`
    for all elements that map the grid to itself.

    References
    ----------
    .. [S+2024] Sherry F, Celledoni E, Ehrhardt M J, Murari D, Owren B and
       Schönlieb C-B. *Designing stable neural networks using convex analysis
       and ODEs*. Physica D 463 (2024) 134159.
    .. [BC2017] Bauschke H H and Combettes P L. *Convex analysis and monotone
       operator theory in Hilbert spaces*. Springer (2017), theorem 26.14.

    Examples
    --------
    >>> denoiser = AveragedProximal(channels=8)
    >>> u = torch.randn(1, 1, 17, 20)
    >>> v = torch.randn(1, 1, 17, 20)
    >>> difference = denoiser(u, sigma=0.1) - denoiser(v, sigma=0.1)
    >>> bool((difference * (u - v)).sum() >= difference.square().sum())
    True
    >>> scaled = denoiser(255 * u + 3, sigma=25.5)
    >>> torch.allclose(scaled, 255 * denoiser(u, sigma=0.1) + 3, atol=1e-3)
    True
    """

    memory = 0
    gradient = False
    skip = False

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 48,
        group: str | None = 'C4',
        noise_level: bool = True,
        n_layers: int = 3,
        kernel_size: int = 5,
        basis: str | None = None,
    ) -> None:
        super().__init__(
            {
                'in_channels': in_channels,
                'channels': channels,
                'group': group,
                'noise_level': noise_level,
                'n_layers': n_layers,
                'kernel_size': kernel_size,
                'basis': basis,
            }
        )
        if self.kernel_size == 1:
            raise ValueError(
                '`kernel_size` must be at least 3: a filter of mean zero with '
                'one cell is zero'
            )
        if self.group is None:
            if basis is not None:
                raise ValueError(
                    f'ordinary filters have no basis: basis={basis!r} needs a '
                    'group'
                )
        else:
            self._check_group()
        layers, thresholds = [], []
        for _ in range(self.n_layers):
            layers.append(self._layer())
            fields = self.channels // self._field_size()
            thresholds.append(
                nn.Parameter(torch.full((fields,), math.log(_THRESHOLD)))
            )
        # the thresholds are then the only numbers with a unit
        self.homogeneous = self.shift_equivariant = self.noise_level
        self.filters = nn.ModuleList(layers)
        self.log_thresholds = nn.ParameterList(thresholds)
        steps = torch.full((self.n_layers,), _RESTS)
        steps[self.n_layers // 2] = _REFLECTS
        self.step_logits = nn.Parameter(torch.logit(steps / 2))
        self._follow_order()

    def _check_group(self):
        self.group = self._arguments['group'] = checked_group(self.group)
        if self.group in INFINITE:
            raise ValueError(
                f'the infinite group {self.group} has no regular fields, '
                "which the filters map to: take a finite one, such as 'C4' or "
                "'D4', or None for ordinary filters"
            )
        layout.check_channels(
            self.group, self.channels, None, self.kernel_size
        )
        if self.basis is None:
            try:
                self.basis = checked_basis('grid', self.group)
            except ValueError:
                self.basis = 'escnn'
        self._arguments['basis'] = checked_basis(self.basis, self.group)

    def _field_size(self):
        return 1 if self.group is None else group_order(self.group)

    def _layer(self):
        if self.group is None:
            layer = PaddedConvolution(
                self.in_channels, self.channels, self.kernel_size, bias=False
            )
        else:
            layer = SteerableConvolution(
                self.in_channels,
                self.channels // self._field_size(),
                'trivial',
                'regular',
                self.group,
                self.kernel_size,
                bias=False,
                basis=self.basis,
            )
        if not layer.weight.is_meta:
            # of an orthonormal basis, filters that make up a tight frame
            matrix = torch.empty_like(layer.weight).flatten(1)
            nn.init.orthogonal_(matrix)
            with torch.no_grad():
                layer.weight.copy_(matrix.view_as(layer.weight))
        return layer

    @property
    def lift(self) -> nn.Module:
        """First convolution, whose weights tell precision and device."""
        return self.filters[0]

    def convolutions(self) -> list[nn.Module]:
        """Return the convolutions, in the order of their use."""
        return list(self.filters)

    @classmethod
    def n_weights(cls, arguments: dict[str, Any]) -> int:
        """Return how many tensors of weights the arguments ask for."""
        return 2 * arguments['n_layers'] + 1

    def _check_cells(self, space):
        if self.group is not None:
            check_square_cells(space)

    def kernels(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the filters and thresholds of each layer, for `forward`.

        Returns
        -------
        kernels : list of tuple of torch.Tensor
            For each layer, filters of mean zero whose convolution has a norm
            of at most 1, of shape ``(channels, in_channels, k, k)``, and the
            thresholds of the channels at ``sigma=1``, of shape
            ``(channels,)``. They are out of date once the weights change.
        """
        size = self._field_size()
        result = []
        for layer, logarithms in zip(
            self.filters, self.log_thresholds, strict=True
        ):
            kernel, _ = layer.kernel()
            kernel = kernel - kernel.mean((2, 3), keepdim=True)
            norm = bound_for_every_shape(kernel).clamp_min(_LEAST_NORM)
            kernel = kernel / norm.to(kernel)
            # White noise of deviation 1 has this one in each channel, the
            # same in all of a field. The square root of zero has no slope.
            energy = kernel.square().sum((1, 2, 3))
            noise = energy.clamp_min(_LEAST_NORM**2).sqrt()
            factors = logarithms.exp().repeat_interleave(size)
            result.append((kernel, factors * noise))
        return result

    def forward(
        self,
        x: torch.Tensor,
        sigma: float | torch.Tensor | None = None,
        kernels: list[tuple[torch.Tensor, torch.Tensor]] | None = None,
    ) -> torch.Tensor:
        """Denoise images.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, in_channels, n, m)``, at least as large as
            the filters.
        sigma : float or torch.Tensor, optional
            Noise level, one number or one for each image; needed if the
            module has ``noise_level=True``.
        kernels : list of tuple of torch.Tensor, optional
            What `kernels` returned. Default: they are made anew.

        Returns
        -------
        x : torch.Tensor
            Denoised images, of the shape of ``x``.

        Raises
        ------
        TypeError
            If an input is missing, or not a tensor of the precision of the
            weights.
        ValueError
            If a shape does not fit, ``sigma`` is given to a denoiser that
            does not take it, or is not positive and finite.
        """
        check_input('x', x, self.in_channels, self.lift.weight.dtype)
        if min(x.shape[2:]) < self.kernel_size:
            raise ValueError(
                f'the images of shape {tuple(x.shape[2:])} are smaller than '
                f'the filters of side {self.kernel_size}'
            )
        level = x.new_ones(1, 1, 1, 1)
        if self.noise_level:
            level = checked_sigma(sigma, x)
        elif sigma is not None:
            raise ValueError(
                '`sigma` was given to a denoiser that was made with '
                'noise_level=False, and would be lost'
            )
        y = x
        # in lowered precision, the filters could have a norm above 1
        with torch.autocast(x.device.type, enabled=False):
            for (kernel, thresholds), logit in zip(
                self.kernels() if kernels is None else kernels,
                self.step_logits,
                strict=True,
            ):
                most = level * thresholds[:, None, None]
                responses = functional.conv2d(y, kernel)
                clipped = torch.maximum(torch.minimum(responses, most), -most)
                step = 2 * torch.sigmoid(logit)
                y = y - step * functional.conv_transpose2d(clipped, kernel)
            return (x + y) / 2
