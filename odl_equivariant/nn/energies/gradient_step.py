# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The energy of a denoiser, and the denoiser that is a step down on it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from odl_equivariant._checks import positive_number, real_number
from odl_equivariant._types import Space
from odl_equivariant.nn.blocks.contract import (
    parameters_of,
    precomputed_of,
)
from odl_equivariant.nn.blocks.inputs import checked_sigma
from odl_equivariant.nn.energies._derivatives import (
    is_differentiated,
    out_of_inference,
    transposed,
)
from odl_equivariant.nn.energies.base import Energy

__all__ = ('GradientStepDenoiser', 'GradientStepEnergy')


class GradientStepEnergy(Energy):
    r"""Half of the squared distance of an image to what a network makes of it.

    With any denoiser :math:`N`, equivariant or not,

    .. math::
        J(u; \sigma) = \tfrac12 \|u - N(u; \sigma)\|^2 .

    Parameters
    ----------
    denoiser : torch.nn.Module
        Module of images of shape ``(N, C, *shape)``, with the same shape as
        its result, such as `MultiscaleDenoiser`. Where its ``forward`` takes
        ``sigma``, it is given the noise level.
    lipschitz : float, optional
        Lipschitz constant of the gradient, if you can prove one. Default:
        None is known.
    modulus : float, optional
        Number :math:`\rho \ge 0` with which you can prove :math:`J +
        \tfrac{\rho}{2} \|\cdot\|^2` to be convex. Default: ``lipschitz``.

    Raises
    ------
    TypeError
        If ``denoiser`` is no module, or a bound no number.
    ValueError
        If the denoiser needs more than an image (a gradient or a memory), or
        a bound is out of its range. When it is applied: if ``sigma`` is not
        positive, or is given to a denoiser without a noise level, or the
        denoiser returns images of another shape.

    Notes
    -----
    With :math:`r = u - N(u)` and the derivative :math:`N'(u)`,

    .. math::
        \nabla J(u) = r - N'(u)^T r .

    **Proposition.** Let G act on images by linear isometries
    :math:`T_g`, and :math:`N(T_g u; \sigma) = T_g N(u; \sigma)` for all g and
    u. Then :math:`J(T_g u; \sigma) = J(u; \sigma)` and :math:`\nabla J(T_g u;
    \sigma) = T_g \nabla J(u; \sigma)`.

    *Proof.* :math:`T_g u - N(T_g u) = T_g (u - N(u))`, and :math:`T_g` keeps
    norms. So :math:`J(T_g u) = J(u)`; its derivative is :math:`T_g^T
    \nabla J(T_g u) = \nabla J(u)`, with :math:`T_g^T = T_g^{-1}`.

    If :math:`N(a u; a \sigma) = a N(u; \sigma)` for :math:`a > 0`, as for
    networks that are ``homogeneous``, then :math:`J(a u; a \sigma) = a^2 J(u;
    \sigma)`, and the Hessian at :math:`(a u; a \sigma)` is that at :math:`(u;
    \sigma)`.

    **How smooth?** A network of convolutions and LeakyReLU is piecewise
    affine. So J is continuous and piecewise quadratic, and almost everywhere
    :math:`\nabla J` is what is computed here. Where two pieces meet,
    :math:`N'` jumps, and so does :math:`\nabla J`, unless r is zero: there is
    no Lipschitz constant. Nor need J be weakly convex. With :math:`N(u) = u -
    1 + |u|` on the real line, :math:`J = \tfrac12 (1 - |u|)^2` has a peak at
    zero, which no parabola makes convex. With ``activation='elu'`` or
    ``'softplus'``, see `MultiscaleDenoiser`, :math:`N'` is locally
    Lipschitz continuous, and so is :math:`\nabla J`. A global constant does
    not follow: the Hessian has a part proportional to r.

    Hence `gradient_lipschitz` and `weak_convexity` are infinite, unknown,
    unless you give them. Solvers find the step by a line search, and
    `ProximalDenoiser` estimates the norm of the Hessian where it is applied.

    The energy is that of Hurault, Leclaire and Papadakis [HLP2022]_.

    References
    ----------
    .. [HLP2022] Hurault S, Leclaire A and Papadakis N. *Gradient step
       denoiser for convergent plug-and-play*. International Conference on
       Learning Representations (2022).

    Examples
    --------
    >>> from odl_equivariant.nn import MultiscaleDenoiser
    >>> J = GradientStepEnergy(MultiscaleDenoiser('C4', channels=8))
    >>> u = torch.rand(1, 1, 17, 17)
    >>> value = J(u, sigma=0.1)
    >>> value.shape
    torch.Size([1])
    >>> turned = J(u.rot90(1, (2, 3)), sigma=0.1)
    >>> torch.allclose(turned, value, rtol=1e-5)
    True
    >>> torch.allclose(J(8 * u, sigma=0.8), 64 * value, rtol=1e-4)
    True
    >>> J.gradient_lipschitz(0.1)
    inf
    """

    def __init__(
        self,
        denoiser: nn.Module,
        lipschitz: float | None = None,
        modulus: float | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(denoiser, nn.Module):
            raise TypeError(
                '`denoiser` must be a `torch.nn.Module`, got '
                f'{type(denoiser).__name__}'
            )
        memory = getattr(denoiser, 'memory', 0)
        if getattr(denoiser, 'gradient', None) is True or (
            isinstance(memory, int) and memory > 0
        ):
            raise ValueError(
                'the denoiser of an energy maps an image to an image: make it '
                'with gradient=False and memory=0'
            )
        self.lipschitz = _bound('lipschitz', lipschitz)
        self.modulus = _bound('modulus', modulus)
        self.denoiser = denoiser
        takes_sigma = 'sigma' in parameters_of(denoiser)
        self.noise_level = takes_sigma and bool(
            getattr(denoiser, 'noise_level', True)
        )
        channels = getattr(denoiser, 'in_channels', 1)
        self.in_channels = channels if isinstance(channels, int) else 1

    @property
    def architecture(self) -> dict[str, Any] | None:
        """Name and arguments, the denoiser among them; None if it has none."""
        inner = getattr(self.denoiser, 'architecture', None)
        if inner is None:
            return None
        bounds = {'lipschitz': self.lipschitz, 'modulus': self.modulus}
        return {
            'class': type(self).__name__,
            'arguments': {k: v for k, v in bounds.items() if v is not None},
            'denoiser': inner,
        }

    @property
    def homogeneous(self) -> bool:
        """Whether :math:`J(a u; a σ) = a^2 J(u; σ)` by construction."""
        return getattr(self.denoiser, 'homogeneous', False) is True

    @property
    def shift_equivariant(self) -> bool:
        """Whether constants may be added to images by construction."""
        return getattr(self.denoiser, 'shift_equivariant', False) is True

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Least and greatest value of the training images, where known."""
        return getattr(self.denoiser, 'value_range', None)

    @value_range.setter
    def value_range(self, ends: tuple[float, float] | None) -> None:
        self.denoiser.value_range = ends

    def extra_repr(self) -> str:
        """Return the bounds that were given, for ``repr``."""
        names = ('lipschitz', 'modulus')
        given = [(name, getattr(self, name)) for name in names]
        return ', '.join(f'{k}={v:g}' for k, v in given if v is not None)

    def check_space(self, space: Space) -> None:
        """Raise a ValueError unless images of a space fit the denoiser.

        Parameters
        ----------
        space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
            Space of the images.
        """
        check = getattr(self.denoiser, 'check_space', None)
        if check is not None:
            check(space)

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
        return _half_square(self._residual(x, sigma))

    def gradient(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the gradient with respect to the values of the cells.

        It takes one evaluation of the denoiser and one of the transposed
        derivative. Where nothing is differentiated again, autograd keeps only
        what the derivative with respect to ``x`` needs.

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
        return self.value_and_gradient(x, sigma)[1]

    def value_and_gradient(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return energies and gradients, by one evaluation of the denoiser.

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
        graph = is_differentiated(self, x, sigma)
        kernels = self._kernels(graph)
        residual, gradient = self._pulled(x, sigma, kernels, graph)
        return _half_square(residual), gradient

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
            Hessian at ``x``, applied to ``direction``: with LeakyReLU, that
            of the quadratic piece in which ``x`` lies.
        """
        graph = is_differentiated(self, x, direction, sigma)
        kernels = self._kernels(graph)
        direction = out_of_inference(direction)
        return transposed(
            lambda u: self._pulled(u, sigma, kernels, True)[1],
            x,
            lambda _: direction,
            graph,
        )[1]

    def gradient_lipschitz(self, sigma: float | None = None) -> float:
        """Return the constant that was given, ``inf`` if none was."""
        return math.inf if self.lipschitz is None else self.lipschitz

    def weak_convexity(self, sigma: float | None = None) -> float:
        """Return the least modulus that was given, ``inf`` if none was."""
        given = (self.lipschitz, self.modulus)
        return min((b for b in given if b is not None), default=math.inf)

    def _pulled(self, x, sigma, kernels, graph):
        """Return the residual, and its transposed derivative at itself."""
        return transposed(
            lambda u: self._residual(u, sigma, kernels), x, _itself, graph
        )

    def _kernels(self, graph):
        """Return what depends on weights alone, without a graph to them."""
        if graph:
            return {}
        with torch.inference_mode(False), torch.no_grad():
            return precomputed_of(self.denoiser)

    def _residual(self, x, sigma, kernels=None):
        level = {}
        if self.noise_level:
            checked_sigma(sigma, x)
            level = {'sigma': out_of_inference(sigma)}
        elif sigma is not None:
            raise ValueError(
                '`sigma` was given to an energy whose denoiser has no noise '
                'level, and would be lost'
            )
        y = self.denoiser(x, **level, **(kernels or {}))
        if not isinstance(y, torch.Tensor) or y.shape != x.shape:
            raise ValueError(
                'the denoiser of an energy must return images of the shape '
                f'{tuple(x.shape)} of those it is given, got '
                f'{tuple(y.shape) if hasattr(y, "shape") else type(y)}'
            )
        return x - y


class GradientStepDenoiser(nn.Module):
    r"""The denoiser that is one step of gradient descent on an energy.

    .. math::
        D(x; \sigma) = x - \gamma \nabla J(x; \sigma)

    Parameters
    ----------
    energy : Energy
        The energy :math:`J`, such as `GradientStepEnergy`.
    relaxation : float, optional
        The factor :math:`\gamma` in :math:`(0, 1]`. The result is
        :math:`\gamma D + (1 - \gamma) \mathrm{id}`, with the :math:`D` of
        :math:`\gamma = 1`.

    Raises
    ------
    TypeError
        If ``energy`` is none, or ``relaxation`` no number.
    ValueError
        If ``relaxation`` is out of its range.

    Notes
    -----
    Trained as a denoiser, it makes J a regulariser: the most probable step
    from a noisy image is one down on J. If J is invariant under a group that
    acts by isometries, D is equivariant. Its weights are those of the energy,
    and derivatives of D with respect to them take second derivatives of the
    energy, which autograd has.

    D is in general not a proximal. `ProximalDenoiser` checks whether it is.

    Examples
    --------
    >>> from odl_equivariant.nn import MultiscaleDenoiser
    >>> energy = GradientStepEnergy(MultiscaleDenoiser('C4', channels=8))
    >>> denoiser = GradientStepDenoiser(energy)
    >>> x = torch.rand(1, 1, 17, 17)
    >>> bool((denoiser(x, 0.1) == x - energy.gradient(x, 0.1)).all())
    True
    """

    memory = 0
    gradient = False

    def __init__(self, energy: Energy, relaxation: float = 1.0) -> None:
        super().__init__()
        if not isinstance(energy, Energy):
            raise TypeError(
                '`energy` must be an `odl_equivariant.nn.Energy`, such as '
                f'`GradientStepEnergy`, got {type(energy).__name__}'
            )
        self.relaxation = positive_number('relaxation', relaxation, most=1)
        self.energy = energy

    @property
    def in_channels(self) -> int:
        """Channels of an image: 1 if real, 2 if complex."""
        return self.energy.in_channels

    @property
    def noise_level(self) -> bool:
        """Whether the noise level ``sigma`` is needed."""
        return self.energy.noise_level

    @property
    def homogeneous(self) -> bool:
        """Whether the result scales with image and noise level."""
        return getattr(self.energy, 'homogeneous', False) is True

    @property
    def shift_equivariant(self) -> bool:
        """Whether the result shifts with the image."""
        return getattr(self.energy, 'shift_equivariant', False) is True

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Least and greatest value of the training images, where known."""
        return getattr(self.energy, 'value_range', None)

    @value_range.setter
    def value_range(self, ends: tuple[float, float] | None) -> None:
        self.energy.value_range = ends

    @property
    def architecture(self) -> dict[str, Any] | None:
        """Name and arguments, the energy among them; None if it has none."""
        inner = self.energy.architecture
        if inner is None:
            return None
        return {
            'class': type(self).__name__,
            'arguments': {'relaxation': self.relaxation},
            'energy': inner,
        }

    def extra_repr(self) -> str:
        """Return the relaxation, for ``repr``."""
        return '' if self.relaxation == 1 else f'relaxation={self.relaxation}'

    def check_space(self, space: Space) -> None:
        """Raise a ValueError unless images of a space fit the energy.

        Parameters
        ----------
        space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
            Space of the images.
        """
        check = getattr(self.energy, 'check_space', None)
        if check is not None:
            check(space)

    def forward(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Denoise images.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, *shape)``.
        sigma : float or torch.Tensor, optional
            Noise level, one number or one for each image, of shape ``(N,)``.
            Needed if ``noise_level``.

        Returns
        -------
        x : torch.Tensor
            Denoised images, of the shape of ``x``.
        """
        gradient = self.energy.gradient(x, sigma)
        if self.relaxation != 1:
            gradient = self.relaxation * gradient
        return x - gradient


def _bound(name, value):
    return None if value is None else real_number(name, value, least=0)


def _itself(residual):
    return residual


def _half_square(residual):
    return 0.5 * residual.square().flatten(1).sum(1)
