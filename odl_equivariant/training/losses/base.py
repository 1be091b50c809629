# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What all losses have in common, and their weighted sum."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Sequence
from typing import Any

import torch

from odl_equivariant._checks import real_number
from odl_equivariant.training.losses.problem import Problem

__all__ = ('Loss', 'SumOfLosses')


class Loss(abc.ABC):
    """A loss of the samples of a batch, with or without ground truth.

    Attributes
    ----------
    needs_truth : bool
        Whether it compares with a ground truth.

    Notes
    -----
    A subclass defines ``__call__``, and `check` if it has assumptions. It
    keeps each argument under its own name, from which ``repr`` is made.
    """

    needs_truth: bool = False

    def check(  # noqa: B027
        self, acquisition: Any, network: torch.nn.Module
    ) -> None:
        """Raise an error if an assumption does not hold; prepare the loss.

        `ReconstructionTask` calls it once, before the training.

        Parameters
        ----------
        acquisition : Acquisition
            Acquisition of the data.
        network : torch.nn.Module
            Network to be trained.

        Raises
        ------
        ValueError
            If the loss does not fit them. The message says what is needed.
        """

    @abc.abstractmethod
    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples.

        Parameters
        ----------
        problem : Problem
            Network, operator and data of a batch.

        Returns
        -------
        losses : torch.Tensor
            Tensor of shape ``(N,)``.
        """

    def __repr__(self) -> str:
        """Return the class and the arguments."""
        names = inspect.signature(type(self)).parameters
        given = ', '.join(f'{name}={getattr(self, name)!r}' for name in names)
        return f'{type(self).__name__}({given})'


class SumOfLosses(Loss):
    r"""Weighted sum of losses.

    Parameters
    ----------
    losses : list of Loss
        Terms.
    weights : list of float, optional
        Weight of each term. Default: 1 for all.

    Raises
    ------
    ValueError
        If there are no terms, or not one weight for each.

    Notes
    -----
    With weights :math:`w_k` it is :math:`\sum_k w_k \ell_k`. A sum of
    unbiased estimates, with weights whose sum is 1, is unbiased again.
    """

    def __init__(
        self, losses: list[Loss], weights: Sequence[float] | None = None
    ) -> None:
        self.losses = list(losses)
        if not self.losses:
            raise ValueError('`losses` must have at least one term, got none')
        if weights is None:
            weights = len(self.losses) * [1.0]
        self.weights = [real_number('weights', w) for w in weights]
        if len(self.weights) != len(self.losses):
            raise ValueError(
                f'`weights` must have one number for each of the '
                f'{len(self.losses)} `losses`, got {len(self.weights)}'
            )

    @property
    def needs_truth(self) -> bool:
        """Whether one of the terms needs a ground truth."""
        return any(loss.needs_truth for loss in self.losses)

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check all terms, see `Loss.check`."""
        for loss in self.losses:
            loss.check(acquisition, network)

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        terms = [
            weight * loss(problem)
            for weight, loss in zip(self.weights, self.losses, strict=True)
        ]
        return torch.stack(terms).sum(0)
