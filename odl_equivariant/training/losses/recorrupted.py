# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Recorrupted data: two copies of the data with independent noise."""

from __future__ import annotations

from typing import Any

import torch

from odl_equivariant._checks import positive_number
from odl_equivariant.training.losses.base import Loss
from odl_equivariant.training.losses.noise import GaussianNoise
from odl_equivariant.training.losses.problem import Problem

__all__ = ('RecorruptedData',)


class RecorruptedData(Loss):
    r"""Data with more noise as input, and others as target (R2R).

    Parameters
    ----------
    noise : GaussianNoise, optional
        Default: the level of the acquisition.
    alpha : float, optional
        How much noise is added. Small: inputs are like the data, and the
        target is very noisy.

    Raises
    ------
    ValueError
        If the noise level is 0 or unknown, or ``alpha`` is not positive.
    TypeError
        If the noise is not Gaussian.

    Notes
    -----
    With :math:`\omega` of the covariance :math:`\Sigma` of the noise,

    .. math::
        y_1 = y + \alpha\, \omega, \quad y_2 = y - \omega / \alpha, \quad
        \ell(y) = \|A \Phi(y_1) - y_2\|^2 - (1 + \alpha^{-2})\,
        \mathrm{tr}\, \Sigma.

    The noises of :math:`y_1` and :math:`y_2` have the covariance
    :math:`\Sigma - \Sigma = 0`. Gaussian noises are then independent, so
    that :math:`E\,\ell = E \|A \Phi(y_1) - A x\|^2`: the risk at data with
    the variance :math:`1 + \alpha^2` times the noise. Source: Pang, Zheng,
    Quan and Ji, *Recorrupted-to-Recorrupted: unsupervised deep learning for
    image denoising*, CVPR 2021. As `SURE`, it says nothing about the null
    space of :math:`A`.
    """

    def __init__(
        self, noise: GaussianNoise | None = None, alpha: float = 0.5
    ) -> None:
        self.noise = GaussianNoise() if noise is None else noise
        if not isinstance(self.noise, GaussianNoise):
            raise TypeError(
                'recorrupted data are independent for Gaussian noise only: '
                f'take `GaussianNoise`, or the loss `SURE`, got {noise!r}'
            )
        self.alpha = positive_number('alpha', alpha)

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check that the noise is known, see `Loss.check`."""
        self.noise.check(acquisition)

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        variance = self.noise.variance(problem)
        noise = problem.measured * (variance.sqrt() * problem.normal())
        inputs = problem.data + self.alpha * noise
        target = problem.data - noise / self.alpha
        result = problem.project(problem.reconstruct(inputs))
        loss = problem.mean_data((result - target).square() - variance)
        return loss - problem.mean_data(
            (variance / self.alpha**2).expand(problem.data.shape)
        )
