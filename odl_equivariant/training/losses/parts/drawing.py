# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Random parts of measurements: views, lines or samples."""

from __future__ import annotations

from typing import Any, Literal

import odl
import torch

from odl_equivariant._checks import one_of, real_number, whole_number
from odl_equivariant.nn import UnrolledMethod
from odl_equivariant.training.losses.parts.lines import (
    always_measured,
    full_mask,
    line_axis,
    radius_of,
)
from odl_equivariant.training.losses.parts.operators import (
    Part,
    masked,
    network_of_part,
    of_views,
    usable_views,
)
from odl_equivariant.training.losses.problem import Problem

__all__ = (
    'Parts',
    'Units',
    'check_splittable',
    'check_unrolled',
    'predicted_measurements',
)

Units = Literal['auto', 'views', 'lines', 'samples']
_UNITS = ('auto', 'views', 'lines', 'samples')
_DENSITIES = ('uniform', 'centre')
_N_KEPT = 16
_WIDTH = 0.4


class Parts:
    """How a random part of the measurements is chosen, and reconstructed.

    Parameters
    ----------
    fraction : float
        Fraction of the units that are chosen.
    over : {'auto', 'views', 'lines', 'samples'}
        What is chosen as a whole: a view of tomography, a line of k-space or
        a single sample. Default: views of tomography; lines of k-space if its
        mask consists of lines, and else samples.
    density : {'uniform', 'centre'}
        Whether all units are chosen with the same probability, or those
        near the zero frequency, or the middle of the data, more often.
    keep : float or None
        Fraction of k-space around the zero frequency that is always chosen;
        ``None`` is what all masks measure that the acquisition draws.
    """

    def __init__(
        self,
        fraction: float,
        over: Units = 'auto',
        density: Literal['uniform', 'centre'] = 'uniform',
        keep: float | None = 0.04,
    ) -> None:
        self.fraction = real_number('fraction', fraction, 0, 1)
        if not 0 < self.fraction < 1:
            raise ValueError(
                '`fraction` of the measurements that the network is given '
                f'must be between 0 and 1, got {fraction}'
            )
        self.over = one_of('over', over, _UNITS)
        self.density = one_of('density', density, _DENSITIES)
        self.keep = None if keep is None else real_number('keep', keep, 0, 1)
        self._networks = {}

    def units(
        self, acquisition: Any, measured: torch.Tensor | None = None
    ) -> str:
        """Return what is chosen as a whole.

        Parameters
        ----------
        acquisition : Acquisition
            Acquisition of the data.
        measured : torch.Tensor, optional
            Mask of k-space of one sample. Default: that of the acquisition.

        Returns
        -------
        units : {'views', 'lines', 'samples'}
            Which units.
        """
        if hasattr(acquisition, 'geometry'):
            kind = 'views'
        elif not hasattr(acquisition, 'mask'):
            kind = 'samples'
        else:
            if measured is None:
                measured = full_mask(acquisition)
            kind = 'samples' if line_axis(measured) is None else 'lines'
        if self.over == 'auto':
            return kind
        if (self.over == 'views') != (kind == 'views'):
            raise ValueError(
                f'`over: {self.over}` does not fit '
                f'{type(acquisition).__name__}, whose measurements consist '
                f'of {kind}: take `over: auto`'
            )
        if self.over == 'lines' and kind == 'samples':
            raise ValueError(
                'the mask of the data does not consist of lines: take '
                '`over: samples`'
            )
        return self.over

    def check(self, acquisition: Any) -> None:
        """Raise a ValueError if there are too few measurements to split."""
        check_splittable(acquisition)
        if self.keep is None and not getattr(acquisition, 'random_masks', 0):
            raise ValueError(
                '`keep: null` is what all masks measure that are drawn, and '
                f'{type(acquisition).__name__} draws none: take a fraction '
                'of k-space, such as 0.04'
            )
        if self.keep is None and (
            getattr(acquisition, 'pattern', None) == 'poisson_disc'
        ):
            raise ValueError(
                '`keep: null` is what all masks measure, which of masks of '
                '`pattern: poisson_disc` no number of draws tells: take a '
                'fraction of k-space, such as 0.04'
            )
        if self.units(acquisition) == 'views':
            self._number(acquisition.operator.range.shape[0], 'views')
            return
        measured = torch.ones(acquisition.space.shape, dtype=torch.bool)
        if hasattr(acquisition, 'mask'):
            measured = full_mask(acquisition)
        self.choose(measured, acquisition, None)

    def draw(self, problem: Problem) -> Part:
        """Return a random part of the measurements of a batch."""
        acquisition = problem.acquisition
        if self.units(acquisition) == 'views':
            return self.part(problem, problem.integer(_N_KEPT))
        measured = problem.measured
        if measured.ndim == 0:
            measured = measured.expand(1, 1, *problem.data.shape[2:])
        n = len(problem) if hasattr(acquisition, 'mask') else 1
        measured = measured.expand(n, *measured.shape[1:]).cpu()
        chosen = [
            self.choose(one[0], acquisition, problem.generator)
            for one in measured
        ]
        return Part(torch.stack(chosen)[:, None].to(problem.data.device))

    def part(self, problem: Problem, number: int) -> Part:
        """Return the part of views with a number, the same each time.

        It has no view that is held out.
        """
        usable = usable_views(problem)
        rng = torch.Generator().manual_seed(whole_number('number', number, 0))
        order = torch.randperm(len(usable), generator=rng)
        order = order[usable[order]]
        chosen = torch.zeros_like(usable)
        chosen[order[: self._number(len(order), 'views')]] = True
        return of_views(problem, chosen)

    def _number(self, n, units):
        number = round(self.fraction * n)
        if not 0 < number < n:
            raise ValueError(
                f'{n} {units} cannot be split with `fraction: '
                f'{self.fraction:g}`, since {min(max(number, 0), n)} would be '
                f'given and {n - min(max(number, 0), n)} held out: at least '
                'one is needed in each part, so take data with at least 2 '
                f'{units}, or another fraction'
            )
        return number

    def choose(
        self,
        measured: torch.Tensor,
        acquisition: Any,
        generator: torch.Generator | None,
    ) -> torch.Tensor:
        """Return the chosen part of a mask, of its broadcast shape."""
        shape = tuple(acquisition.space.shape)
        measured = measured.expand(shape)
        units = self.units(acquisition, measured)
        if units == 'lines':
            measured = measured.narrow(1 - line_axis(measured), 0, 1)
        radius = radius_of(measured.shape, shape)
        if self.keep is not None:
            centre = measured & (radius < self.keep)
        else:
            always = always_measured(acquisition)
            centre = (
                measured
                & always.expand(shape)[tuple(slice(n) for n in measured.shape)]
            )
        if not hasattr(acquisition, 'mask'):
            centre = torch.zeros_like(measured)
        others = (measured & ~centre).flatten().nonzero().flatten()
        if not len(others):
            raise ValueError(
                f'the measurements consist of {int(measured.sum())} {units}, '
                f'all within the part `keep: {self.keep}` of k-space that '
                'is always given to the network: nothing is left to hold '
                'out. Take a smaller `keep`, such as 0.04, or more '
                'measurements'
            )
        number = self._number(len(others), units)
        uniform = torch.rand(
            len(others), generator=generator, dtype=torch.float64
        )
        if self.density == 'centre':
            # Efraimidis and Spirakis: keys of a weighted sample
            at = radius.expand(measured.shape).flatten()[others]
            weights = torch.exp(-0.5 * (at / _WIDTH) ** 2) + 0.05
            uniform = uniform ** (1 / weights)
        taken = others[uniform.argsort(descending=True)[:number]]
        chosen = centre.flatten().clone()
        chosen[taken] = True
        return chosen.reshape(measured.shape)

    def reconstruct(
        self,
        problem: Problem,
        part: Part,
        data: torch.Tensor | None = None,
        action: odl.Operator | None = None,
    ) -> torch.Tensor:
        r"""Return what the network makes of a part of the measurements.

        Parameters
        ----------
        problem : Problem
            Network, operator and data.
        part : Part
            The part :math:`M`.
        data : torch.Tensor, optional
            Other data of the same shape.
        action : odl.Operator, optional
            Action :math:`T` on images. Default: none.

        Returns
        -------
        images : torch.Tensor
            :math:`\Phi(M y; M A T)`.
        """
        data = problem.data if data is None else data
        chosen = part.chosen
        given = chosen * data
        if hasattr(problem.acquisition, 'mask'):
            operators = masked(problem, chosen, action)
            return problem.reconstruct(given, operators)
        network = self._network(problem, part, action)
        return network(given)

    def _network(self, problem, part, action):
        """Return the network for a part, made once if the part comes again."""
        key = None
        if part.key is not None:
            key = (id(problem.network), part.key, id(action))
        if key is None or key not in self._networks:
            network = network_of_part(problem, part, action)
            if key is None:
                return network
            # the originals as well, so that their ids are not given again
            self._networks[key] = (network, problem.network, action)
        network = self._networks[key][0]
        network.train(problem.network.training)
        return network


def check_splittable(acquisition: Any) -> None:
    """Raise a ValueError for data that a network cannot get in parts."""
    if type(acquisition).__name__ == 'Denoising':
        raise ValueError(
            'a denoiser is given whole images: splitting is for networks that '
            'are told the operator. Take `RecorruptedData` or `SURE`'
        )


def check_unrolled(network: torch.nn.Module) -> None:
    """Raise a ValueError for a network that takes no other operator."""
    if not isinstance(network, UnrolledMethod):
        raise ValueError(
            'splitting needs a network that is told the operator, such as '
            f'`LearnedProximalGradient`, got {type(network).__name__}'
        )


def predicted_measurements(
    problem: Problem,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return how well measurements are predicted that were held out.

    Parameters
    ----------
    problem : Problem
        Data of a batch, of which some are held out.

    Returns
    -------
    images : torch.Tensor
        Reconstructions from the others.
    scores : torch.Tensor
        Signal-to-noise ratio of the held-out data in decibel,
        :math:`20 \log_{10} \|N y\| / \|N (A u - y)\|`, of shape ``(N,)``.
        Their noise counts as an error.
    """
    where = problem.held_out
    if where is None:
        raise ValueError(
            'data without ground truth are validated by measurements that '
            'are held out: set `hold_out` of `data.validation` above 0'
        )
    images = Parts(0.5).reconstruct(problem, Part(problem.measured))
    operators = None
    if hasattr(problem.acquisition, 'mask'):
        operators = masked(problem, where)
    gap = problem.project(images, operators) - problem.data
    error = problem.mean_data(gap.square(), where)
    size = problem.mean_data(problem.data.square(), where)
    return images, 10 * torch.log10(size / error)
