# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Consistency with the measurements, and unbiased estimates of the risk."""

from __future__ import annotations

from typing import Any, Literal

import torch

from odl_equivariant._checks import one_of
from odl_equivariant.training.losses.base import Loss
from odl_equivariant.training.losses.divergence import METHODS, derivative
from odl_equivariant.training.losses.noise import GaussianNoise, Noise
from odl_equivariant.training.losses.problem import Problem

__all__ = ('SURE', 'MeasurementConsistency')

# a sign times it has mean 0, variance 1 and third moment 1
_GOLDEN = (1 + 5**0.5) / 2


class MeasurementConsistency(Loss):
    r"""Distance of a reconstruction from its own data, :math:`A \Phi(y) - y`.

    Notes
    -----
    It is the mean over measured data of

    .. math::
        \ell(y) = \|A \Phi(y) - y\|_Y^2

    in the weighted norm of the data. Without noise it vanishes for each
    reconstruction that explains the data. It says nothing about the part in
    the null space of :math:`A`, and with noise a network learns to explain
    the noise, too. So it is a term of other losses, or a baseline.
    """

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        residual = problem.project(problem.reconstruct()) - problem.data
        return problem.mean_data(residual.square())


class SURE(Loss):
    r"""Stein's unbiased estimate of the risk in the data.

    Parameters
    ----------
    noise : Noise, optional
        Gaussian noise, counts of photons, or both. Default: Gaussian noise
        with the level of the acquisition.
    divergence : {'auto', 'jvp', 'difference'}, optional
        How the Monte-Carlo divergence is computed: by a forward-mode
        derivative, or by a difference with a second evaluation.

    Raises
    ------
    ValueError
        If the noise level is 0 or unknown.

    Notes
    -----
    With :math:`h(y) = A \Phi(y)`, independent noise of the variance
    :math:`v_i = \gamma (A x)_i + \sigma_i^2`, and its unbiased estimate
    :math:`\hat v_i = \gamma y_i + \sigma_i^2`,

    .. math::
        \ell(y) = \|h(y) - y\|^2 - \sum_i \hat v_i
        + 2 \sum_i \hat v_i\, \partial_i h_i(y)
        - 2 \gamma \sum_i \sigma_i^2\, \partial_i^2 h_i(y),

    with the weights of the inner product in all sums, has the expectation
    :math:`E \|h(y) - A x\|^2`: no ground truth is needed. For Gaussian noise
    (:math:`\gamma = 0`) and each :math:`h` with a weak derivative this is
    Stein's identity (*Estimation of the mean of a multivariate normal
    distribution*, Annals of Statistics 9 (1981)). For counts it holds if
    :math:`h_i` is affine in :math:`y_i` over one photon, and else up to
    terms of the order of :math:`\gamma^2` (Le Montagner, Angelini and
    Olivo-Marin, *An unbiased risk estimator for image denoising in the
    presence of mixed Poisson-Gaussian noise*, IEEE Transactions on Image
    Processing 23 (2014)). The divergence is estimated with one random
    vector :math:`b` of signs, :math:`E\, b^T J b = \mathrm{tr}\, J` (Ramani,
    Blu and Unser, 2008); the second derivatives with a vector of
    the moments 0, 1 and 1. A complex number counts as two real ones.

    The estimate is of the error *in the data*: nothing is said about the
    null space of :math:`A`, for which `RobustEquivariantImaging` is.
    """

    def __init__(
        self,
        noise: Noise | None = None,
        divergence: Literal['auto', 'jvp', 'difference'] = 'auto',
    ) -> None:
        self.noise = GaussianNoise() if noise is None else noise
        self.divergence = one_of('divergence', divergence, METHODS)

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check that the noise is known, see `Loss.check`."""
        self.noise.check(acquisition)

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        y, mean = problem.data, problem.mean_data
        variance = self.noise.variance(problem)

        def predicted(data):
            return problem.project(problem.reconstruct(data))

        signs = problem.measured * problem.signs()
        value, along = derivative(predicted, y, signs, self.divergence)
        loss = mean((value - y).square() - variance)
        loss = loss + 2 * mean(variance * signs * along)
        gain, sigma = self.noise.gain, self.noise.gaussian(problem)
        if gain and bool((sigma > 0).any()):
            second = self._second(problem, predicted)
            loss = loss - 2 * gain * mean(sigma * second)
        return loss

    def _second(self, problem, predicted):
        """Return what has the pure second derivatives as expectation."""
        # signs are negative with the probability g / (1 + g^2) ... 1 / g
        uniform = torch.rand(
            problem.data.shape, generator=problem.generator
        ).to(problem.data)
        large = uniform < 1 / (1 + _GOLDEN**2)
        vector = torch.where(large, _GOLDEN, -1 / _GOLDEN).to(problem.data)
        vector = problem.measured * vector

        def slope(data):
            return derivative(predicted, data, vector, self.divergence)[1]

        return (
            vector
            * derivative(slope, problem.data, vector, self.divergence)[1]
        )
