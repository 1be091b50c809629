# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Losses between splitting and supervised training."""

import functools

import numpy as np
import torch

from examples.experiments.without_truth.pose import (
    FromCrossings,
    turned_mask,
)
from odl_equivariant.training import losses
from odl_equivariant.training.losses.parts import Parts
from odl_equivariant.training.losses.problem import applied
from odl_equivariant.training.losses.weighting import density_weights

__all__ = ('CAUSES', 'ROWS', 'FromPart', 'in_fourier')


class FromPart(losses.Loss):
    """Supervised training of networks that are given a part of the lines.

    Parameters
    ----------
    fraction, keep : float
        The part, see `MeasurementSplitting`.
    n_targets : int, optional
        The truth is known on so many sets of lines, and on the given ones.
        Each has as many lines as are held out, at random, and counts by its
        density. Default: the truth is known everywhere.
    poses : bool, optional
        Whether the truth is known only where the mask of all scans measures
        in one of four poses.
    """

    needs_truth = True

    def __init__(self, fraction, keep, n_targets=None, poses=False):
        self.fraction, self.keep = fraction, keep
        self.n_targets, self.poses = n_targets, poses
        self.parts = Parts(fraction, keep=keep)

    def __call__(self, problem):
        """Return the losses of the samples, see `Loss`."""
        part = self.parts.draw(problem)
        error = self.parts.reconstruct(problem, part) - problem.truth
        if self.n_targets is None and not self.poses:
            return error.square().flatten(1).mean(1)
        squares = in_fourier(problem.acquisition, error).square()
        if self.poses:
            mask = torch.from_numpy(problem.acquisition.mask.copy())
            seen = turned_mask(mask.expand(squares.shape[2:]))
            return (seen * squares).flatten(1).mean(1)
        weights = density_weights(problem.acquisition, self.parts)[:1]
        total = 0.0
        for _ in range(self.n_targets):
            where = self._target(problem, part, weights) | part.chosen
            counted = torch.where(part.chosen, 1.0, weights.to(squares))
            total = total + (where * counted * squares).flatten(1).mean(1)
        return total / self.n_targets

    def _target(self, problem, part, weights):
        """Return as many random lines as those that are held out."""
        held_out = problem.measured[..., :1, :] & ~part.chosen
        # where no chance is involved, those that are held out
        certain = (weights > 0) & (weights < 1.5)
        target = held_out & certain
        free = ~part.chosen & ~certain
        numbers = (held_out & ~certain).sum(-1)
        order = torch.rand(free.shape, generator=problem.generator)
        order = order.masked_fill(~free, 2.0).argsort(-1).argsort(-1)
        return target | (free & (order < numbers[..., None]))


def in_fourier(acquisition, images):
    """Return the unitary Fourier transforms of images, all of them."""
    full = np.ones(acquisition.space.shape, bool)
    return applied(acquisition.forward_operator(mask=full), images)


def by_design(loss, *arguments, **options):
    """Return a row of a network that is equivariant by design."""
    return 'by design', functools.partial(loss, *arguments, **options)


def ordinary(loss, *arguments, **options):
    """Return a row of an ordinary network."""
    return 'ordinary', functools.partial(loss, *arguments, **options)


def also_of_crossings(loss):
    """Return the mean of a loss and of splitting that hides the pose."""
    return losses.SumOfLosses([loss(0.6), FromCrossings()], [0.5, 0.5])


# problem: rows, each with a network and a maker of the loss
ROWS = {
    'mri_4_masks': {
        'supervised': by_design(losses.Supervised),
        'supervised, given 60 %': by_design(FromPart, 0.6, 0.04),
        'that, on 16 times as many': by_design(FromPart, 0.6, 0.04, 16),
        'that, truth on random lines': by_design(FromPart, 0.6, 0.04, 1),
        'splitting, of 4 % kept': by_design(
            losses.EquivariantSplitting, 0.6, keep=0.04, weighting='density'
        ),
        'supervised, given 60 %, centre kept': by_design(FromPart, 0.6, None),
        'that, centre kept, on 16 times as many': by_design(
            FromPart, 0.6, None, 16
        ),
        'that, centre kept, truth on random lines': by_design(
            FromPart, 0.6, None, 1
        ),
        'splitting, centre kept': by_design(
            losses.EquivariantSplitting, 0.6, keep=None, weighting='density'
        ),
        'splitting of 30 %, centre kept': by_design(
            losses.EquivariantSplitting, 0.3, keep=None, weighting='density'
        ),
    },
    'mri_4': {
        'supervised': by_design(losses.Supervised),
        'supervised, given 60 %': by_design(FromPart, 0.6, 0.04),
        'supervised, given 60 %, ordinary': ordinary(FromPart, 0.6, 0.04),
        'that, truth on the lines of all poses': by_design(
            FromPart, 0.6, 0.04, poses=True
        ),
        'truth on the lines of all poses, ordinary': ordinary(
            FromPart, 0.6, 0.04, poses=True
        ),
        'equivariant splitting': by_design(losses.EquivariantSplitting, 0.6),
        'equivariant splitting, C4': ordinary(
            losses.EquivariantSplitting, 0.6, actions='C4'
        ),
        'splitting': ordinary(losses.MeasurementSplitting, 0.6),
        'equivariant splitting, C16': by_design(
            losses.EquivariantSplitting, 0.6, actions='C16'
        ),
        'equivariant splitting, also of crossings': by_design(
            also_of_crossings, losses.EquivariantSplitting
        ),
        'splitting, also of crossings': ordinary(
            also_of_crossings, losses.MeasurementSplitting
        ),
        'crossings, supervised': by_design(FromCrossings, truth=True),
        'crossings, pose hidden': by_design(FromCrossings),
        'crossings, pose shown, supervised': by_design(
            FromCrossings, hidden=False, truth=True
        ),
        'crossings, pose shown': by_design(FromCrossings, hidden=False),
        'crossings, pose hidden, ordinary': ordinary(FromCrossings),
    },
}
# problem: in words what changes alone, from which row to which
CAUSES = {
    'mri_4_masks': [
        (
            'the network is given 60 % of the lines and 4 % of the centre',
            'supervised',
            'supervised, given 60 %',
        ),
        (
            'of these, the target in a step is a few lines, not all',
            'supervised, given 60 %',
            'that, truth on random lines',
        ),
        (
            'it is 16 times a few lines',
            'supervised, given 60 %',
            'that, on 16 times as many',
        ),
        (
            'the few lines are those that were measured, without truth',
            'that, truth on random lines',
            'splitting, of 4 % kept',
        ),
        (
            'the network is given 60 % of the lines and the whole centre',
            'supervised',
            'supervised, given 60 %, centre kept',
        ),
        (
            'of these, the target in a step is a few lines, not all',
            'supervised, given 60 %, centre kept',
            'that, centre kept, truth on random lines',
        ),
        (
            'it is 16 times a few lines',
            'supervised, given 60 %, centre kept',
            'that, centre kept, on 16 times as many',
        ),
        (
            'the few lines are those that were measured, without truth',
            'that, centre kept, truth on random lines',
            'splitting, centre kept',
        ),
        (
            'fewer lines are given, so that more are a target',
            'splitting, centre kept',
            'splitting of 30 %, centre kept',
        ),
        (
            'four times as many steps',
            'splitting, centre kept',
            'splitting, centre kept, 1600 steps',
        ),
        (
            'splitting in place of supervised training',
            'supervised',
            'splitting, centre kept',
        ),
        (
            'splitting in place of supervised training, 1600 steps',
            'supervised, 1600 steps',
            'splitting, centre kept, 1600 steps',
        ),
    ],
    'mri_4': [
        (
            'supervised, given 60 % of the lines, the network is ordinary',
            'supervised, given 60 %',
            'supervised, given 60 %, ordinary',
        ),
        (
            'of the target on the lines of all poses, the network is ordinary',
            'that, truth on the lines of all poses',
            'truth on the lines of all poses, ordinary',
        ),
        (
            'of the target on the lines of one pose, the network is ordinary',
            'equivariant splitting',
            'splitting',
        ),
        (
            'by design, the target is the lines of all poses, not all of '
            'k-space',
            'supervised, given 60 %',
            'that, truth on the lines of all poses',
        ),
        (
            'by design, the target is the lines of one pose, not of all',
            'that, truth on the lines of all poses',
            'equivariant splitting',
        ),
        (
            'ordinary, the target is the lines of one pose, not of all',
            'truth on the lines of all poses, ordinary',
            'splitting',
        ),
        (
            'from crossings that hide the pose, by design: no truth',
            'crossings, supervised',
            'crossings, pose hidden',
        ),
        (
            'from crossings that show the pose, by design: no truth',
            'crossings, pose shown, supervised',
            'crossings, pose shown',
        ),
        (
            'by design, half of the loss is from crossings',
            'equivariant splitting',
            'equivariant splitting, also of crossings',
        ),
        (
            'by design, finer turns in the loss (C16)',
            'equivariant splitting',
            'equivariant splitting, C16',
        ),
        (
            'ordinary, turns in the loss (C4)',
            'splitting',
            'equivariant splitting, C4',
        ),
    ],
}
