# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Denoisers that minimise an energy."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._types import Space
from odl_equivariant._warnings import ConvergenceWarning, warn_user
from odl_equivariant.nn.blocks.inputs import checked_sigma
from odl_equivariant.nn.energies import _equilibrium
from odl_equivariant.nn.energies._derivatives import out_of_inference
from odl_equivariant.nn.energies._memory import Memory, keys_of
from odl_equivariant.nn.energies.base import Energy

__all__ = ('EnergyDenoiser',)

# The linear system of the derivative needs fewer digits than the minimiser.
_LINEAR = 5.0
# How many times as many iterations a batch gets that has an unknown image.
_MORE = 3


class EnergyDenoiser(nn.Module):
    r"""The denoiser that minimises an energy near an image.

    .. math::
        D(x; \sigma) = \mathrm{arg\,min}_u \; \tfrac12 \|u - x\|^2 + \lambda
        J(u; \sigma)

    Trained as a denoiser, it makes J a regulariser. If J is invariant under a
    group that acts by isometries, D is equivariant.

    Parameters
    ----------
    energy : Energy
        The energy J, such as `RidgeEnergy`, with a known
        ``weak_convexity`` and ``gradient_lipschitz``.
    weight : float, optional
        The factor :math:`\lambda`.
    tolerance : float, optional
        The minimisation stops where the gradient of the sum has at most this
        norm, relative to that of the noise, :math:`\sigma \sqrt{n}` for n
        values. For energies without a noise level, relative to the norm of
        the image.
    maxiter : int, optional
        Largest number of gradients of J.
    training_tolerance, training_maxiter : float and int, optional
        The same, in training mode.
    steps : int, optional
        Return this many steps of gradient descent from x, of the length
        :math:`1 / (1 + \lambda L)`, in place of the minimiser. Autograd
        follows them. Default: the minimiser.
    training_memory : int, optional
        Number of images whose minimisers a training remembers, see the notes.
        It keeps four images for each. It has no effect with ``steps``.
        Default: 0.

    Attributes
    ----------
    n_iterations : int
        Number of gradients in the last call.
    residual : torch.Tensor
        What the last call has reached in place of ``tolerance``, of shape
        ``(N,)``.

    Raises
    ------
    TypeError
        If ``energy`` is none, or a number is none.
    ValueError
        If a number is out of its range. When it is applied: if
        :math:`\lambda` is above 1 / (modulus of weak convexity), so that the
        minimiser need not be unique, or no bound is known.

    Warns
    -----
    ConvergenceWarning
        In evaluation mode, if ``maxiter`` gradients do not reach the
        tolerance. The warning has the residual that was reached.

    Notes
    -----
    The minimiser is found by Nesterov's method, which starts anew where its
    momentum points uphill [OC2015]_. If J is convex, the sum is 1-strongly
    convex. Then the distance to the minimiser is at most the norm of the
    gradient, and falls linearly.

    **Derivatives.** By the implicit function theorem, with the Hessian H of
    :math:`\lambda J` at the minimiser u, :math:`(1 + H) \, du = dx - \lambda
    \, d_\theta \nabla J(u)`. So the derivatives with respect to x and to the
    weights :math:`\theta` take one linear system, which conjugate gradients
    solve to five times the relative tolerance, and no memory for iterations.

    **A training that remembers.** The weights change little from step to
    step, and so do minimisers. With ``training_memory``, an image that is
    seen again with the same noise and level is minimised from where the last
    minimisation of it has ended, with its momentum, and its linear system is
    solved from a multiple of the last solution. So few iterations are enough,
    such as ``training_maxiter=10``; a batch with an image that is not known
    gets three times as many. A training takes a fraction of the time, if its
    images come back (``fresh_noise: false`` in a configuration). Images are
    recognised by their values. Those not seen for longest are forgotten
    first; so a training with more images than places may recognise none. Deep
    copies and pickles of the denoiser begin with an empty memory. Checkpoints
    of a training keep it, so that a training that is resumed, in one process,
    ends as one in one go.

    References
    ----------
    .. [OC2015] O'Donoghue B and Candès E. *Adaptive restart for accelerated
       gradient schemes*. Foundations of Computational Mathematics 15 (2015),
       715-732.

    Examples
    --------
    >>> from odl_equivariant.nn import RidgeEnergy
    >>> energy = RidgeEnergy('C4', kernel_size=7, n_filters=16, convex=True)
    >>> denoiser = EnergyDenoiser(energy, tolerance=1e-4).eval()
    >>> x = torch.rand(1, 1, 20, 20)
    >>> u = denoiser(x, sigma=0.1)
    >>> residual = u - x + energy.gradient(u, sigma=0.1)
    >>> bool(residual.norm() <= 1e-4 * 0.1 * 20)
    True
    """

    gradient = False
    memory = 0

    n_iterations: int
    residual: torch.Tensor

    def __init__(
        self,
        energy: Energy,
        weight: float = 1.0,
        tolerance: float = 1e-3,
        maxiter: int = 500,
        training_tolerance: float = 2e-2,
        training_maxiter: int = 50,
        steps: int | None = None,
        training_memory: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(energy, Energy):
            raise TypeError(
                '`energy` must be an `odl_equivariant.nn.Energy`, such as '
                f'`RidgeEnergy`, got {type(energy).__name__}'
            )
        self.weight = positive_number('weight', weight)
        self.tolerance = positive_number('tolerance', tolerance)
        self.maxiter = whole_number('maxiter', maxiter, 1)
        self.training_tolerance = positive_number(
            'training_tolerance', training_tolerance
        )
        self.training_maxiter = whole_number(
            'training_maxiter', training_maxiter, 1
        )
        self.steps = None if steps is None else whole_number('steps', steps, 1)
        self.training_memory = whole_number(
            'training_memory', training_memory, 0
        )
        self._minimisers = Memory(self.training_memory)
        self._solutions = Memory(self.training_memory)
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
        """Name and arguments, the energy among them; None if it has none.

        How it is trained is no part of it, so that a later stage of a
        training may differ from an earlier one.
        """
        inner = self.energy.architecture
        if inner is None:
            return None
        arguments = {'tolerance': self.tolerance, 'maxiter': self.maxiter}
        if self.weight != 1:
            arguments['weight'] = self.weight
        if self.steps is not None:
            arguments['steps'] = self.steps
        return {
            'class': type(self).__name__,
            'arguments': arguments,
            'energy': inner,
        }

    def extra_repr(self) -> str:
        """Return the arguments that are not the defaults, for ``repr``."""
        steps = '' if self.steps is None else f', steps={self.steps}'
        return f'weight={self.weight:g}, tolerance={self.tolerance:g}{steps}'

    def memory_state(self) -> dict[str, Any]:
        """Return what the training remembers, for a checkpoint.

        Returns
        -------
        state : dict
            Tensors, in dicts and lists, for `load_memory_state`.
        """
        return {
            'minimisers': self._minimisers.state(),
            'solutions': self._solutions.state(),
        }

    def load_memory_state(self, state: dict[str, Any]) -> None:
        """Remember what another denoiser knew, and nothing else.

        Parameters
        ----------
        state : dict
            What `memory_state` returned.
        """
        self._minimisers.load(state['minimisers'])
        self._solutions.load(state['solutions'])

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
            Noise level in the unit of the images, one number or one for each
            image, of shape ``(N,)``. Needed if ``noise_level``.

        Returns
        -------
        images : torch.Tensor
            Tensor of the shape of ``x``.
        """
        if self.noise_level:
            sigma = checked_sigma(out_of_inference(sigma), x).flatten()
        elif sigma is not None:
            raise ValueError(
                '`sigma` was given to a denoiser of an energy without a noise '
                'level, and would be lost'
            )
        if not len(x):
            return x.clone()
        lipschitz, is_convex = self._bounds(x, sigma)
        if self.steps is not None:
            return self._descended(x, sigma, lipschitz)
        return self._minimised(x, sigma, lipschitz, is_convex)

    def _bounds(self, x, sigma):
        """Return Lipschitz constants, and whether all energies are convex."""
        bounds, moduli = self.energy.bounds(sigma)
        largest, modulus = torch.stack([bounds.max(), moduli.max()]).tolist()
        if not math.isfinite(max(modulus, largest)):
            raise ValueError(
                'to minimise an energy near an image, its weak convexity and '
                'the Lipschitz constant of its gradient must be known; '
                f'{type(self.energy).__name__} does not tell'
            )
        if self.weight * modulus > 1:
            raise ValueError(
                f'with weight={self.weight:g}, the minimiser need not be '
                f'unique: the energy is {modulus:g}-weakly convex, so the '
                f'largest weight is {1 / modulus:g}'
            )
        lipschitz = bounds.to(x.device, x.dtype) * self.weight
        return lipschitz.view(-1, *[1] * (x.ndim - 1)), modulus == 0

    def _descent(self, u, sigma):
        """Return the gradient of the weighted energy."""
        return self._weighted(self.energy.gradient)(u, sigma)

    def _weighted(self, gradient):
        if self.weight == 1:
            return gradient
        return lambda *arguments: self.weight * gradient(*arguments)

    def _descended(self, x, sigma, lipschitz):
        u = x
        for _ in range(self.steps):
            change = x - u - self._descent(u, sigma)
            u = u + change / (1 + lipschitz)
        return u

    def _first(self, x, sigma, keys, is_known):
        """Return where a minimisation starts, in training nearer to its end.

        From shrunk responses, a fifth to a quarter of the gradients is saved.
        """
        start = x
        if self.training and self.weight == 1 and not is_known:
            if hasattr(self.energy, 'shrinkage'):
                start = self.energy.shrinkage(x, sigma)
        if keys is None:
            return start
        momentum = x.new_ones(len(x), *[1] * (x.ndim - 1))
        return _equilibrium.Progress(
            *self._minimisers.recalled(keys, (start, start, momentum))
        )

    def _minimised(self, x, sigma, lipschitz, is_convex):
        tolerance, maxiter = self.tolerance, self.maxiter
        keys, is_known = None, False
        if self.training:
            tolerance = self.training_tolerance
            maxiter = self.training_maxiter
            if self.training_memory:
                keys = keys_of(x, sigma)
                is_known = self._minimisers.knows(keys)
                maxiter = self._most(self._minimisers, keys)
        with torch.inference_mode(False), torch.no_grad():
            start = out_of_inference(x).detach()
            if sigma is None:
                unit = start.flatten(1).norm(dim=1)
            else:
                unit = sigma * math.sqrt(x[0].numel())
            progress, residual, self.n_iterations = _equilibrium.minimiser(
                start,
                self._weighted(self.energy.gradient_function(start, sigma)),
                lipschitz.expand(len(x), *lipschitz.shape[1:]),
                tolerance * unit,
                maxiter,
                is_convex,
                self._first(start, sigma, keys, is_known),
            )
            if keys is not None:
                self._minimisers.keep(keys, progress)
            unit = unit.clamp(min=torch.finfo(x.dtype).tiny)
            self.residual = residual / unit
        if not self.training:
            self._check_residual(tolerance, maxiter)
        u = progress.point
        if not torch.is_grad_enabled():
            return u
        rest = x - u - self._descent(u, sigma)
        if not rest.requires_grad:
            return u

        @torch.no_grad()
        def solve(right):
            start, most = None, maxiter
            if keys is not None:
                (start,) = self._solutions.recalled(
                    keys, [torch.zeros_like(right)]
                )
                most = self._most(self._solutions, keys)
            hessian = self.energy.linearised(u, sigma)
            solution = _equilibrium.conjugate_gradient(
                lambda v: v + self.weight * hessian(v),
                right,
                _LINEAR * tolerance,
                most,
                start,
            )
            if keys is not None:
                self._solutions.keep(keys, [solution])
            return solution

        return _equilibrium.implicit(rest, u, solve)

    def _most(self, memory, keys):
        """Return the largest number of iterations for images in training."""
        return self.training_maxiter * (1 if memory.knows(keys) else _MORE)

    def _check_residual(self, tolerance, maxiter):
        """Warn if the last minimisation has not reached its tolerance."""
        reached = float(self.residual.max())
        # also for values that are not a number
        if not reached <= tolerance:
            warn_user(
                f'the minimisation stopped after {maxiter} iterations at the '
                f'relative residual {reached:.2g}, above the tolerance '
                f'{tolerance:g}; raise `maxiter` or `tolerance`',
                ConvergenceWarning,
            )
