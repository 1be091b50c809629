# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a part of one mask of lines shows of the pose of the mask."""

import numpy as np
import torch

from odl_equivariant.training import losses
from odl_equivariant.training.losses.parts import Part, Parts

__all__ = ('FromCrossings', 'turned_mask')


class FromCrossings(losses.Loss):
    r"""Splitting that gives the crossings of the lines with lines across.

    The target is all that the mask measures. Given the lines :math:`L` of the
    mask, and lines :math:`K` across, the network is given
    :math:`L \times K`.

    Parameters
    ----------
    hidden : bool, optional
        Whether the lines across are those of the mask in another pose, at
        random :math:`L` or :math:`-L`. Then two poses of the mask have the
        same part, equally often, and the target of a network that is
        equivariant under quarter turns is the lines of both. Otherwise as
        many lines across are chosen at random, with the same centre, and the
        part shows along which axis the mask measures.
    truth : bool, optional
        Whether the target is the image, for comparison.

    Raises
    ------
    ValueError
        If the acquisition has not one mask of lines on a square grid.
    """

    def __init__(self, hidden=True, truth=False):
        self.hidden, self.truth = hidden, truth
        self.needs_truth = truth
        # of it, only how a part is reconstructed
        self._parts = Parts(0.5)

    def check(self, acquisition, network):
        """Check that there is one mask of lines, see `Loss.check`."""
        n, m = acquisition.space.shape
        mask = getattr(acquisition, 'mask', None)
        if n != m or mask is None or mask.shape != (1, m):
            raise ValueError(
                'crossings are those of one mask of lines along the first '
                f'axis of a square grid, got {type(acquisition).__name__} '
                f'of shape {(n, m)}'
            )

    def __call__(self, problem):
        """Return the losses of the samples, see `Loss`."""
        across = self._across(_lines(problem), problem.generator)
        images = self._given(problem, across)
        if self.truth:
            return (images - problem.truth).square().flatten(1).mean(1)
        gap = problem.project(images) - problem.data
        return problem.mean_data(gap.square())

    def at_the_end(self, problem):
        """Return images from crossings, and the parts of k-space there.

        Parameters
        ----------
        problem : Problem
            Data to score with.

        Returns
        -------
        images : torch.Tensor
            Images, each from the same crossings.
        masks : dict of torch.Tensor
            Booleans of k-space: what is given, the rest of the lines along
            and across, and all others.
        """
        lines = _lines(problem)
        across = lines
        if not self.hidden:
            across = self._across(lines, torch.Generator().manual_seed(0))
        along, across = lines[None, :], across[:, None]
        masks = {
            'given': along & across,
            'rest of the lines along': along & ~across,
            'rest of the lines across': ~along & across,
            'others': ~along & ~across,
        }
        images = self._given(problem, across[:, 0])
        return images, {name: mask[None] for name, mask in masks.items()}

    def _across(self, lines, generator):
        """Return which lines across are given."""
        if self.hidden:
            first = torch.randint(2, (), generator=generator)
            return lines if first else lines[_turned_back(len(lines))]
        centre = lines & lines[_turned_back(len(lines))] & _block(lines)
        rest = (~centre).nonzero().flatten()
        order = torch.randperm(len(rest), generator=generator)
        chosen = centre.clone()
        chosen[rest[order[: int(lines.sum() - centre.sum())]]] = True
        return chosen

    def _given(self, problem, across):
        """Return what the network makes of crossings."""
        chosen = _lines(problem)[None, :] & across[:, None]
        return self._parts.reconstruct(problem, Part(chosen[None, None]))


def _lines(problem):
    """Return which lines the one mask of a problem measures."""
    return torch.from_numpy(problem.acquisition.mask[0].copy())


def _turned_back(n):
    """Return the places of the negative frequencies, which repeat after n."""
    return (2 * (n // 2) - torch.arange(n)) % n


def _block(lines):
    """Return the measured lines without a gap to the zero frequency."""
    n = len(lines)
    before = lines[: n // 2 + 1].flip(0).cumprod(0).flip(0)
    after = lines[n // 2 :].cumprod(0)
    return torch.cat([before[:-1], after]).bool()


def turned_mask(mask):
    """Return what a mask of k-space measures in four poses."""
    n = len(mask)
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing='ij')
    seen = torch.zeros_like(mask)
    for _ in range(4):
        seen = seen | mask[i, j]
        # about the zero frequency, and frequencies repeat after n
        i, j = (2 * (n // 2) - j) % n, i
    return seen
