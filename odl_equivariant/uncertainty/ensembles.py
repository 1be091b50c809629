# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Several networks, trained from different seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from odl_equivariant._types import Element, ElementLike, Operator
from odl_equivariant.uncertainty.collecting import Collector, checked_size
from odl_equivariant.uncertainty.evaluation import (
    Reconstruction,
    checked_forward_operator,
)
from odl_equivariant.uncertainty.result import Uncertainty

__all__ = ('Ensemble', 'ensemble')


class Ensemble:
    """Several reconstructions of the same data.

    Made by `ensemble`, where all arguments are described.
    """

    def __init__(
        self,
        reconstructions: Sequence[
            Operator | torch.nn.Module | Callable[[Element], Any]
        ],
        operator: Operator,
        *,
        keep_samples: bool = True,
        memory_limit: float = 2**30,
    ) -> None:
        """Initialize a new instance, see `ensemble`."""
        self.operator = checked_forward_operator(operator)
        self.reconstructions = list(reconstructions)
        if len(self.reconstructions) < 2:
            raise ValueError(
                'an ensemble has at least 2 reconstructions, got '
                f'{len(self.reconstructions)}'
            )
        self._members = [
            Reconstruction(one, operator.range, operator.domain)
            for one in self.reconstructions
        ]
        _, self.keep_samples, self.memory_limit = checked_size(
            len(self._members), keep_samples, memory_limit, operator.domain
        )

    @property
    def n(self) -> int:
        """Number of reconstructions."""
        return len(self._members)

    def __call__(self, data: ElementLike) -> Uncertainty:
        """Return the mean reconstruction and its uncertainty.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Measured data.

        Returns
        -------
        uncertainty : `Uncertainty`
            Its samples are the reconstructions, its ``estimate`` is their
            mean.
        """
        data = self._members[0].data(data)
        images = [member.one(data) for member in self._members]
        mean = (1 / self.n) * sum(images[1:], images[0])
        collector = Collector(
            self.operator.domain, self.n, self.keep_samples, mean
        )
        for image in images:
            collector.add(image)
        return collector.result()

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'<ensemble of {self.n} reconstructions>'


def ensemble(
    reconstructions: Sequence[
        Operator | torch.nn.Module | Callable[[Element], Any]
    ],
    operator: Operator,
    *,
    keep_samples: bool = True,
    memory_limit: float = 2**30,
) -> Ensemble:
    """Return an ensemble of reconstructions, such as networks of many seeds.

    Parameters
    ----------
    reconstructions : sequence of `odl.Operator`, torch.nn.Module or callable
        At least 2, each as for `bootstrap`.
    operator : `odl.Operator`
        Forward operator, whose spaces they share.
    keep_samples : bool, optional
        Whether to keep all reconstructions, for quantiles.
    memory_limit : float, optional
        Most bytes that they may take then. Default: 1 GiB.

    Returns
    -------
    ensemble : `Ensemble`
        Maps data to an `Uncertainty`, with the mean as estimate.

    Raises
    ------
    TypeError
        If an argument has a wrong type.
    ValueError
        If there are fewer than 2, the spaces do not fit, or they take more
        memory than they may.

    Notes
    -----
    The deviations from the mean show where training has left a choice. They
    show neither the noise of the data nor what all members miss alike. So the
    levels of an ensemble should be calibrated, see `calibrate`. They are the
    baseline for `bootstrap` (Lakshminarayanan, Pritzel and Blundell, *Simple
    and scalable predictive uncertainty estimation using deep ensembles*,
    NeurIPS 2017).

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    >>> identity = odl.IdentityOperator(space)
    >>> result = ensemble([identity, 3 * identity], identity)(space.one())
    >>> float(result.estimate[0, 0])
    2.0
    """
    return Ensemble(
        reconstructions,
        operator,
        keep_samples=keep_samples,
        memory_limit=memory_limit,
    )
