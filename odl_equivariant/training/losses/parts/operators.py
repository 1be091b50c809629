# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The operators and networks of parts of the measurements."""

from __future__ import annotations

import dataclasses

import numpy as np
import odl
import torch
from odl.applications import tomo

from odl_equivariant.elements import as_element
from odl_equivariant.operators.ray.view_weights import Scan
from odl_equivariant.training.losses.problem import Problem

__all__ = (
    'Part',
    'factors_of_views',
    'masked',
    'network_of_part',
    'of_views',
    'usable_views',
)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the measurements.

    Parameters
    ----------
    chosen : torch.Tensor
        Booleans that broadcast to the data, true in the part.
    key : bytes or None
        What is the same for the same part, if it comes again.
    """

    chosen: torch.Tensor
    key: bytes | None = None


def usable_views(problem: Problem) -> torch.Tensor:
    """Return which views are not held out, as booleans on the CPU.

    Raises
    ------
    ValueError
        If the samples of the batch hold out different views.
    """
    n = problem.data.shape[2]
    measured = problem.measured.cpu()
    if measured.ndim == 0:
        return torch.ones(n, dtype=torch.bool)
    measured = measured.expand(*measured.shape[:2], n, *measured.shape[3:])
    views = measured.transpose(1, 2).flatten(2).all(2)
    if not bool((views == views[:1]).all()):
        raise ValueError(
            'the samples of a batch hold out different views: take '
            '`data.batch_size` 1'
        )
    return views[0]


def of_views(problem: Problem, views: torch.Tensor) -> Part:
    """Return the part of some views, which may come again."""
    shape = [1, 1, -1, *(problem.data.ndim - 3) * [1]]
    chosen = views.reshape(shape).to(problem.data.device)
    return Part(chosen, views.numpy().tobytes())


def masked(problem, masks, action=None):
    """Return the operator of each sample, with a mask."""
    masks = masks.expand(len(problem), *masks.shape[1:])[:, 0].cpu()
    operators = []
    for mask, own in zip(
        masks, problem.own or len(problem) * [{}], strict=True
    ):
        own = {**own, 'mask': mask.numpy()}
        operator = problem.acquisition.forward_operator(**own)
        if action is not None:
            operator = odl.OperatorComp(operator, action)
        operators.append(operator)
    return operators


def network_of_part(problem, part, action):
    """Return the network of the operator ``M A T``."""
    own = problem.operator
    mask = part.chosen.to(problem.data).expand(1, *problem.data.shape[1:])
    multiply = odl.MultiplyOperator(
        as_element(mask.cpu(), own.range), own.range, own.range
    )
    operator = odl.OperatorComp(multiply, own)
    initial = None
    kind = problem.network.architecture['arguments']['initial']
    if kind == 'fbp':
        factors = torch.from_numpy(factors_of_views(problem, part))
        factors = factors.to(mask).reshape(-1, *(own.range.ndim - 1) * [1])
        weigh = odl.MultiplyOperator(
            as_element((factors * mask).cpu(), own.range), own.range, own.range
        )
        start = problem.network._layers.apply_initial.operator
        initial = odl.OperatorComp(start, weigh)
    if action is not None:
        operator = odl.OperatorComp(operator, action)
        if initial is not None:
            initial = odl.OperatorComp(action.inverse, initial)
    return problem.network.with_operator(operator, initial)


def factors_of_views(problem: Problem, part: Part) -> np.ndarray:
    """Return how much more each view of a part stands for than among all.

    In the filtered back-projection of some views, each of them stands for
    half of the gaps beside it. The same factor for all would not be an
    integral over the angles: random views leave large gaps and small ones.
    What the scan itself leaves out, such as the rest of the half circle of a
    limited range of angles, is no gap.

    Parameters
    ----------
    problem : Problem
        Data of a batch.
    part : Part
        Some of their views, the same for all samples.

    Returns
    -------
    factors : numpy.ndarray
        A number for each view, 0 for those that are not in the part.
    """
    geometry = problem.acquisition.geometry
    is_parallel = isinstance(geometry, tomo.ParallelBeamGeometry)
    period = np.pi if is_parallel else 2 * np.pi
    scan = Scan.of_partition(geometry.motion_partition, period)
    n_views = len(scan.angles)
    chosen = part.chosen[0, 0].reshape(n_views, -1).all(1).cpu().numpy()
    angles, factors = scan.angles[chosen], np.zeros(n_views)
    if scan.turns is not None:
        # of several turns, all together
        period = scan.turns * period
        before, after = angles[-1:] - period, angles[:1] + period
        ends = np.concatenate([before, angles, after])
        factors[chosen] = (ends[2:] - ends[:-2]) / 2
        return factors / scan.widths
    for low, high in scan.arcs:
        inside = chosen & (scan.angles >= low) & (scan.angles <= high)
        own = scan.angles[inside]
        cells = np.concatenate([[low], (own[1:] + own[:-1]) / 2, [high]])
        factors[inside] = np.diff(cells)[: len(own)]
    return factors / scan.widths
