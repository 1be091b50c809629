# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Equivariant imaging, and its form for noisy data."""

from __future__ import annotations

from typing import Any, Literal

import torch

from odl_equivariant._checks import one_of, real_number
from odl_equivariant.training.losses.base import Loss
from odl_equivariant.training.losses.groups import (
    Actions,
    made_actions,
    symmetries_of,
)
from odl_equivariant.training.losses.noise import GaussianNoise, Noise
from odl_equivariant.training.losses.problem import (
    Problem,
    applied,
    mean_square,
)
from odl_equivariant.training.losses.risk import SURE, MeasurementConsistency

__all__ = ('EquivariantImaging', 'RobustEquivariantImaging')


class EquivariantImaging(Loss):
    r"""Measurement consistency, and equivariance of the whole system.

    Parameters
    ----------
    actions : str or list
        Group: its name, such as ``'C8'``, or a list of
        `odl_equivariant.actions`. In a configuration each is a class with
        the arguments after the space.
    strength : float, optional
        Weight of the equivariance relative to the consistency.

    Raises
    ------
    ValueError
        If the operator is equivariant under all of the group, so that it
        cannot show the null space. The message names groups that would.

    Notes
    -----
    With a random element :math:`T`, the image :math:`u = \Phi(y; A)` and the
    strength :math:`\alpha`,

    .. math::
        \ell(y) = \|A u - y\|_Y^2 + \alpha\, \|T u - \Phi(A T u; A)\|_X^2,

    each norm divided by the sum of its weights. If the images :math:`x` and
    :math:`T x` are equally likely, then :math:`A x` is as likely to
    come from :math:`A T^{-1}`, and the operators :math:`A T` together
    may see what :math:`A` alone does not; necessary is that the stacked
    operators have full rank, and that there are enough of them (Chen,
    Tachella and Davies, *Equivariant imaging: learning beyond the range
    space*, ICCV 2021; Tachella, Chen and Davies, *Sensing theorems for
    unsupervised learning in linear inverse problems*, JMLR 24 (2023)). The
    estimate assumes data without noise; `RobustEquivariantImaging`
    corrects for it.

    If :math:`A T = S A` for all :math:`T`, then :math:`A^* A` commutes with
    them and the null space stays where it is. This is measured, see
    `odl_equivariant.diagnostics.Symmetries`, and refused. For a
    network that is equivariant by design, the second term is then
    :math:`\|u - \Phi(A u; A)\|^2` for each :math:`T`.
    """

    def __init__(self, actions: Actions, strength: float = 1.0) -> None:
        self.actions = actions
        self.strength = real_number('strength', strength, 0)
        self._made = []

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check that the group shows the null space, see `Loss.check`."""
        if type(acquisition).__name__ == 'Denoising':
            raise ValueError(
                'equivariant imaging is about the null space of an operator, '
                'and denoising has none: take `SURE` or `RecorruptedData`'
            )
        self._made = made_actions(self.actions, acquisition.space)
        symmetries = symmetries_of(acquisition)
        if not all(T in symmetries for T in self._made):
            return
        works = symmetries.missing()
        raise ValueError(
            f'the operator of {type(acquisition).__name__} is equivariant '
            f'under all {len(self._made)} elements of `actions`, such as the '
            f'{self._made[0]}: moved images have the same null space, and '
            'equivariant imaging cannot see it. '
            + (
                f'These groups would show it: {"; ".join(works)}; or take '
                'another number of views or other lines'
                if works
                else 'No rotation or shift would, as of an operator without '
                'a null space: take `SURE` or `MeasurementConsistency`'
            )
        )

    def _consistency(self, problem):
        return MeasurementConsistency()(problem)

    def _measure(self, problem, images):
        """Return the data of images, with noise if there is any."""
        return problem.project(images)

    def equivariance(self, problem: Problem, action: Any) -> torch.Tensor:
        """Return the second term of the loss for one element.

        Parameters
        ----------
        problem : Problem
            Network, operator and data of a batch.
        action : Action
            Element of the group.

        Returns
        -------
        terms : torch.Tensor
            Tensor of shape ``(N,)``, without ``strength``.
        """
        moved = applied(action, problem.reconstruct())
        again = problem.reconstruct(self._measure(problem, moved))
        return mean_square(moved - again, problem.operator.domain)

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        if not self._made:
            self._made = made_actions(self.actions, problem.operator.domain)
        action = self._made[problem.integer(len(self._made))]
        term = self.equivariance(problem, action)
        return self._consistency(problem) + self.strength * term


class RobustEquivariantImaging(EquivariantImaging):
    r"""Equivariant imaging of noisy data, with Stein's estimate.

    Parameters
    ----------
    actions : str or list
        Group, see `EquivariantImaging`.
    strength : float, optional
        Weight of the equivariance relative to the estimated risk.
    noise : Noise, optional
        Noise of the data. Default: Gaussian, with the level of the
        acquisition.
    divergence : {'auto', 'jvp', 'difference'}, optional
        See `SURE`.

    Raises
    ------
    ValueError
        As `EquivariantImaging`, and if the noise level is 0 or unknown.

    Notes
    -----
    The first term of `EquivariantImaging` is replaced by `SURE`, which is an
    unbiased estimate of what it would be for exact data as target, and the
    data of moved images get new noise :math:`n`,

    .. math::
        \ell(y) = \mathrm{SURE}(y)
        + \alpha\, \|T u - \Phi(A T u + n; A)\|_X^2,

    so that the network reconstructs both from data of the same kind (Chen,
    Tachella and Davies, *Robust equivariant imaging: a fully unsupervised
    framework for learning to image from noisy and partial measurements*,
    CVPR 2022).
    """

    def __init__(
        self,
        actions: Actions,
        strength: float = 1.0,
        noise: Noise | None = None,
        divergence: Literal['auto', 'jvp', 'difference'] = 'auto',
    ) -> None:
        super().__init__(actions, strength)
        self.noise = GaussianNoise() if noise is None else noise
        self.divergence = one_of(
            'divergence', divergence, ('auto', 'jvp', 'difference')
        )

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check group and noise, see `Loss.check`."""
        self.noise.check(acquisition)
        super().check(acquisition, network)

    def _consistency(self, problem):
        return SURE(self.noise, self.divergence)(problem)

    def _measure(self, problem, images):
        return self.noise.add(problem, problem.project(images))
