# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Gradient steps that are proximals, as far as is checked where they go."""

from __future__ import annotations

import torch

from odl_equivariant._checks import one_of, whole_number
from odl_equivariant._warnings import warn_user
from odl_equivariant.nn.blocks.inputs import has_values
from odl_equivariant.nn.energies._derivatives import out_of_inference
from odl_equivariant.nn.energies.base import Energy
from odl_equivariant.nn.energies.gradient_step import GradientStepDenoiser

__all__ = ('ProximalDenoiser', 'hessian_norm')

_IF_VIOLATED = ('raise', 'warn')


def hessian_norm(
    energy: Energy,
    x: torch.Tensor,
    sigma: float | torch.Tensor | None = None,
    n_iterations: int = 20,
    seed: int = 0,
) -> torch.Tensor:
    r"""Estimate the spectral norm of the Hessian of an energy at images.

    Parameters
    ----------
    energy : Energy
        The energy.
    x : torch.Tensor
        Images of shape ``(N, C, *shape)``.
    sigma : float or torch.Tensor, optional
        Noise level, as for the energy.
    n_iterations : int, optional
        Number of power iterations.
    seed : int, optional
        Seed of the random direction from which they start.

    Returns
    -------
    norms : torch.Tensor
        Tensor of shape ``(N,)``. Each is a lower bound of the norm at its
        image, up to rounding, and does not fall with more iterations. If
        gradients are enabled, it can be differentiated with respect to the
        weights and to ``x``, the direction being held fixed.

    Examples
    --------
    >>> class Tikhonov(Energy):
    ...     def forward(self, x, sigma=None):
    ...         return 1.5 * x.square().flatten(1).sum(1)
    >>> hessian_norm(Tikhonov(), torch.zeros(2, 1, 4, 4)).round(decimals=3)
    tensor([3., 3.])
    """
    n_iterations = whole_number('n_iterations', n_iterations, 1)
    start = random_direction(x, seed)
    return _power(energy, x, sigma, start, n_iterations)[0]


def random_direction(x, seed):
    """Return a random direction of the shape of images, always the same."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape, generator=generator, device='cpu')
    return noise.to(x)


def _power(energy, x, sigma, direction, n_iterations):
    """Return norms, and the direction where they were found."""
    direction = _unit(out_of_inference(direction))[0]
    if n_iterations > 1:
        apply = _hessian(energy, x, sigma)
        for _ in range(n_iterations - 1):
            direction, _ = _unit(apply(direction), direction)
    image = energy.hessian_product(x, direction, sigma)
    return _sizes(image).flatten(), direction


def _hessian(energy, x, sigma):
    """Return the Hessian as a map of directions, by one graph for all."""
    sigma = out_of_inference(sigma)
    with torch.inference_mode(False), torch.enable_grad():
        u = out_of_inference(x).detach().requires_grad_()
        gradient = energy.gradient(u, sigma)

    def apply(direction):
        if not gradient.requires_grad:
            return torch.zeros_like(direction)
        with torch.inference_mode(False):
            return torch.autograd.grad(
                gradient,
                u,
                direction,
                retain_graph=True,
                materialize_grads=True,
            )[0]

    return apply


def _sizes(x):
    """Return the norm of each image, of shape (N, 1, ..., 1)."""
    # by flat images, as norms over several axes have no second derivative
    sizes = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return sizes.reshape(-1, *(1 for _ in x.shape[1:]))


def _unit(x, otherwise=None):
    """Return images of norm one, and the norms; zeros are replaced."""
    sizes = _sizes(x)
    is_zero = sizes == 0
    unit = x / torch.where(is_zero, 1, sizes)
    if otherwise is not None:
        unit = torch.where(is_zero, otherwise, unit)
    return unit.detach(), sizes


class ProximalDenoiser(GradientStepDenoiser):
    r"""A gradient step that checks, at each image, whether it is a proximal.

    .. math::
        D(y; \sigma) = y - \gamma \nabla J(y; \sigma)
        = \mathrm{prox}_\phi(y), \qquad
        \phi(D(y)) = \gamma J(y) - \tfrac12 \|y - D(y)\|^2 .

    Parameters
    ----------
    energy : Energy
        The energy :math:`J`, such as that of a trained
        `GradientStepDenoiser`.
    relaxation : float, optional
        The factor :math:`\gamma` in :math:`(0, 1]`. The smaller it is, the
        weaker is the denoiser, and the condition.
    if_violated : {'raise', 'warn'}, optional
        What happens at an image where the condition fails: an error, or a
        warning, once.
    n_iterations : int, optional
        Number of power iterations at each image. They start from the
        direction in which the last ones ended, if the images have the same
        shape, so that few are needed along the iterates of a solver.

    Attributes
    ----------
    norms : torch.Tensor or None
        Estimates, of shape ``(N,)``, of :math:`\gamma \|\nabla^2 J\|` at the
        images of the last call.
    values : torch.Tensor or None
        Values, of shape ``(N,)``, of :math:`\phi` at the results of the last
        call, in the unit of a squared image.

    Raises
    ------
    TypeError
        If ``energy`` is none, or an argument is of another type.
    ValueError
        If an argument is out of its range. When it is applied, with
        ``if_violated='raise'``: if the condition fails.

    Warns
    -----
    UserWarning
        Once, with ``if_violated='warn'``, if the condition fails.

    Notes
    -----
    **Theorem.** Let :math:`\nabla J` be :math:`L`-Lipschitz on the whole
    space, with :math:`\gamma L < 1`. Then :math:`D = \mathrm{prox}_\phi`,
    with the :math:`\phi` above on the range of D, which is
    :math:`\gamma L / (1 + \gamma L)`-weakly convex [HLP2022b]_.

    *Proof.* D is the gradient of :math:`h(y) = \tfrac12 \|y\|^2 - \gamma
    J(y)`, which is strongly convex. For :math:`x = D(y)` let :math:`\phi(x) =
    h^*(x) - \tfrac12 \|x\|^2`. By Fenchel's inequality
    :math:`h^*(z) \ge \langle y, z \rangle - h(y)`, so
    :math:`\phi(z) + \tfrac12 \|z - y\|^2 \ge \tfrac12 \|y\|^2 - h(y)` for all
    z, with equality for :math:`z = \nabla h(y) = D(y)`. That equality is the
    formula for :math:`\phi`. As D is :math:`(1 + \gamma L)`-Lipschitz,
    :math:`h^*` is :math:`1 / (1 + \gamma L)`-strongly convex.

    The condition is **checked, and not assumed**, by power iterations on the
    Hessian at each image that is denoised. The estimate is a lower bound of
    its norm there. So a violation that is reported is real: the theorem does
    not apply and, if the eigenvalue is positive, D is not monotone and no
    proximal. What is not reported may be violated elsewhere, in another
    direction, or where a network with LeakyReLU has kinks, see
    `GradientStepEnergy`.

    The iteration :math:`x_{k+1} = D(x_k - \tau \nabla f(x_k))`, as in
    ``odl.solvers.proximal_gradient`` with
    `odl_equivariant.functionals.LearnedProximal`, then never increases
    :math:`\tau f + \phi`, if :math:`\nabla f` is :math:`L_f`-Lipschitz and
    :math:`\tau L_f \le 1`. After each iteration, ``values`` has :math:`\phi`
    at the new iterate. Images in another unit, with the ``scale`` c, have
    :math:`c^2` times this value.

    References
    ----------
    .. [HLP2022b] Hurault S, Leclaire A and Papadakis N. *Proximal denoiser
       for convergent plug-and-play optimization with nonconvex
       regularization*. International Conference on Machine Learning (2022).

    Examples
    --------
    >>> class Tikhonov(Energy):
    ...     def forward(self, x, sigma=None):
    ...         return 0.25 * x.square().flatten(1).sum(1)
    >>> denoiser = ProximalDenoiser(Tikhonov())
    >>> x = torch.ones(1, 1, 2, 2)
    >>> denoiser(x).flatten()
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    >>> denoiser.norms, denoiser.values
    (tensor([0.5000]), tensor([0.5000]))
    """

    def __init__(
        self,
        energy: Energy,
        relaxation: float = 1.0,
        if_violated: str = 'raise',
        n_iterations: int = 10,
    ) -> None:
        super().__init__(energy, relaxation)
        self.if_violated = one_of('if_violated', if_violated, _IF_VIOLATED)
        self.n_iterations = whole_number('n_iterations', n_iterations, 1)
        self.norms: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self._direction: torch.Tensor | None = None
        self._is_warned = False

    @property
    def architecture(self) -> None:
        """None: the energy is what a file holds."""
        return None

    def forward(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Apply the proximal.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, *shape)``.
        sigma : float or torch.Tensor, optional
            Noise level, as for the energy.

        Returns
        -------
        x : torch.Tensor
            Results, of the shape of ``x``.
        """
        value, gradient = self.energy.value_and_gradient(x, sigma)
        step = self.relaxation * gradient
        if has_values(x):
            with torch.no_grad():
                moved = step.square().flatten(1).sum(1)
                self.values = self.relaxation * value.detach() - 0.5 * moved
                self._check(x, sigma)
        return x - step

    def _check(self, x, sigma):
        """Estimate the norm of the Hessian, and compare it with one."""
        direction = self._direction
        if direction is None or direction.shape != x.shape:
            direction = random_direction(x, 0)
        norms, self._direction = _power(
            self.energy,
            x.detach(),
            sigma,
            direction.to(x),
            self.n_iterations,
        )
        self.norms = self.relaxation * norms
        largest = float(self.norms.max())
        if largest < 1:
            return
        message = (
            'the condition of a proximal denoiser fails at this image: the '
            f'Hessian of {type(self.energy).__name__}, times the relaxation '
            f'{self.relaxation:g}, has a norm of at least {largest:.4g}, '
            'which must be below 1. Take a relaxation below '
            f'{self.relaxation / largest:.3g}, another noise level, or an '
            'energy that was trained with a penalty on this norm'
        )
        if self.if_violated == 'raise':
            raise ValueError(message)
        if not self._is_warned:
            self._is_warned = True
            warn_user(message, UserWarning)
