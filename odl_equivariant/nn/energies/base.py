# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The base class of learned energies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from odl_equivariant.nn.energies._derivatives import (
    is_differentiated,
    out_of_inference,
    transposed,
)

__all__ = ('Energy',)


class Energy(nn.Module):
    r"""A scalar energy of images, with gradient and Hessian.

    An energy maps images of shape ``(N, C, *shape)``, and the noise level
    :math:`\sigma` that it is meant for, to one number for each image,

    .. math::
        J(u; \sigma) = \sum_x j(u; \sigma)(x),

    the **sum over the cells** of the grid. The volume of a cell is no part of
    it: `odl_equivariant.functionals.LearnedRegularizer` multiplies by the
    weight of its space, so that its value does not depend on the grid.

    Derive from this class and define `forward`. Define the other methods
    where there is a faster or a sharper way. By default, derivatives are
    those of autograd, and no bound is known.

    Attributes
    ----------
    in_channels : int
        Channels of an image: 1 if real, 2 if complex. Default: 1.
    noise_level : bool
        Whether the energy needs ``sigma``. Default: False.
    architecture : mapping or None
        Name and arguments of the class, as JSON can hold them.

    Notes
    -----
    The denoiser that belongs to an energy is
    :math:`\mathrm{arg\,min}_u\, \tfrac12 \|u - x\|^2 + J(u; \sigma)`. So an
    energy has the unit of a squared image, and includes the factor
    :math:`\sigma^2` of a prior :math:`e^{-R}`: :math:`J = \sigma^2 R`.

    Examples
    --------
    >>> class Tikhonov(Energy):
    ...     def forward(self, x, sigma=None):
    ...         return 0.5 * x.square().flatten(1).sum(1)
    >>> x = torch.ones(2, 1, 3, 3)
    >>> Tikhonov()(x)
    tensor([4.5000, 4.5000])
    >>> bool((Tikhonov().gradient(x) == x).all())
    True
    >>> bool((Tikhonov().hessian_product(x, 2 * x) == 2 * x).all())
    True
    """

    in_channels: int = 1
    noise_level: bool = False
    architecture: Mapping[str, Any] | None = None

    def forward(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the energy of each image.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, *shape)``.
        sigma : float or torch.Tensor, optional
            Noise level in the unit of the images, one number or one for each
            image, of shape ``(N,)``. Needed if ``noise_level``.

        Returns
        -------
        energies : torch.Tensor
            Tensor of shape ``(N,)``.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define `forward(x, sigma)`'
        )

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
        sigma = out_of_inference(sigma)
        return transposed(
            lambda u: self(u, sigma),
            x,
            torch.ones_like,
            is_differentiated(self, x, sigma),
        )[1]

    def value_and_gradient(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return energies and gradients, for less than both alone if it can.

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
        return self(x, sigma), self.gradient(x, sigma)

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
            Hessian at ``x``, applied to ``direction``.
        """
        sigma = out_of_inference(sigma)
        direction = out_of_inference(direction)
        return transposed(
            lambda u: self.gradient(u, sigma),
            x,
            lambda _: direction,
            is_differentiated(self, x, direction, sigma),
        )[1]

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
            graph.
        """

        def hessian(direction):
            with torch.no_grad():
                return self.hessian_product(x, direction, sigma)

        return hessian

    def gradient_function(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the gradient as a function, to be applied several times.

        Parameters
        ----------
        x : torch.Tensor
            Images on whose grid, and as many as which, it is applied to.
        sigma
            As for `forward`.

        Returns
        -------
        gradient : callable
            Function of images of the shape of ``x``, which need not be equal
            to them. Its results have no graph.
        """

        def gradient(u):
            with torch.no_grad():
                return self.gradient(u, sigma)

        return gradient

    def bounds(
        self, sigma: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Lipschitz constants and moduli of several noise levels.

        Parameters
        ----------
        sigma : torch.Tensor, optional
            Noise levels of shape ``(N,)``. Default: none, for energies that
            need none.

        Returns
        -------
        lipschitz, moduli : torch.Tensor
            `gradient_lipschitz` and `weak_convexity` for each, of shape
            ``(N,)``, or ``(1,)`` without noise levels, in double precision.
        """
        levels = [None] if sigma is None else sigma.tolist()
        device = None if sigma is None else sigma.device
        return tuple(
            torch.tensor(
                [float(bound(level)) for level in levels],
                dtype=torch.float64,
                device=device,
            )
            for bound in (self.gradient_lipschitz, self.weak_convexity)
        )

    def gradient_lipschitz(self, sigma: float | None = None) -> float:
        """Return a Lipschitz constant of the gradient.

        Parameters
        ----------
        sigma : float, optional
            Noise level.

        Returns
        -------
        bound : float
            Proven for images of every shape. ``inf`` if none is known.
        """
        return math.inf

    def weak_convexity(self, sigma: float | None = None) -> float:
        r"""Return the modulus of weak convexity.

        Parameters
        ----------
        sigma : float, optional
            Noise level.

        Returns
        -------
        modulus : float
            A number :math:`\rho \geq 0` with which :math:`J + \tfrac{\rho}{2}
            \|\cdot\|^2` is proven to be convex. 0 if J is convex, ``inf`` if
            none is known.
        """
        return math.inf
