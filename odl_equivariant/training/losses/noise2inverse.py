# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Noise2Inverse: images of some measurements from the others."""

from __future__ import annotations

from typing import Any

import torch

from odl_equivariant._checks import whole_number
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.training.losses.base import Loss
from odl_equivariant.training.losses.parts import (
    Part,
    Parts,
    Units,
    check_unrolled,
    of_views,
    usable_views,
)
from odl_equivariant.training.losses.problem import Problem, mean_square

__all__ = ('Noise2Inverse',)


class Noise2Inverse(Loss):
    r"""Linear reconstruction of held-out measurements as target.

    Parameters
    ----------
    n_parts : int, optional
        Into how many parts the measurements are split. One is the target,
        the others are the input.
    over : {'auto', 'views', 'lines', 'samples'}, optional
        What is split, see `MeasurementSplitting`.

    Raises
    ------
    ValueError
        If there are fewer measurements than parts.

    Notes
    -----
    With the linear reconstruction :math:`B_N` from a part :math:`N` of the
    measurements, filtered back-projection or the adjoint, and the others
    :math:`M = 1 - N`,

    .. math::
        \ell(y) = \|\Phi(M y; M A) - B_N N y\|_X^2.

    The noise of the target is independent of the input. So the expectation is
    that of :math:`\|\Phi - B_N N A x\|^2`, and a constant: the minimiser is
    the conditional mean of :math:`B_N N A x`. That is the image if
    :math:`B_N N A` is the identity, so the measurements must be complete
    in each part; streaks of few views are learned, too (Hendriksen, Pelt
    and Batenburg, *Noise2Inverse: self-supervised deep convolutional
    denoising for tomography*, IEEE Transactions on Computational Imaging 6
    (2020)). A baseline, for dense and noisy data.
    """

    def __init__(self, n_parts: int = 4, over: Units = 'auto') -> None:
        self.n_parts = whole_number('n_parts', n_parts, 2)
        self.parts = Parts(1 - 1 / self.n_parts, over, keep=0.0)
        self.over = over

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check that there is enough to split, see `Loss.check`."""
        units = self.parts.units(acquisition)
        if units == 'views':
            n = acquisition.operator.range.shape[0]
            if n < self.n_parts:
                raise ValueError(
                    f'{n} views cannot be split into {self.n_parts} parts: '
                    'take fewer `n_parts`, or more views'
                )
        self.parts.check(acquisition)
        check_unrolled(network)

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        if hasattr(problem.acquisition, 'geometry'):
            # every n-th view, as evenly as they are
            n, k = self.n_parts, problem.integer(self.n_parts)
            usable = usable_views(problem)
            places = torch.arange(len(usable))
            part = of_views(problem, usable & (places % n != k))
        else:
            part = self.parts.draw(problem)
        target = self.target(problem, part)
        result = self.parts.reconstruct(problem, part)
        return mean_square(result - target, problem.operator.domain)

    def target(self, problem: Problem, part: Part) -> torch.Tensor:
        """Return the linear reconstruction of what is not in a part.

        Parameters
        ----------
        problem : Problem
            Data of a batch.
        part : Part
            What the network is given.

        Returns
        -------
        images : torch.Tensor
            Images of shape ``(N, C, *domain.shape)``.
        """
        others = problem.measured & ~part.chosen
        others = others.expand(len(problem), *problem.data.shape[1:])
        held_out = others * problem.data
        shares = others.to(problem.data).flatten(1).mean(1)
        shares = shares.reshape(-1, *(problem.data.ndim - 1) * [1])
        acquisition = problem.acquisition
        if hasattr(acquisition, 'fbp_operator'):
            layer = OperatorLayer(acquisition.fbp_operator)
            return layer.to(problem.data.device)(held_out) / shares
        images = [
            OperatorLayer(acquisition.forward_operator(**own)).adjoint.to(
                problem.data.device
            )(y[None])
            for own, y in zip(
                problem.own or len(problem) * [{}], held_out, strict=True
            )
        ]
        return torch.cat(images) / shares
