# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Volumes with their data, turned as the cube turns, and total variation."""

import math

import numpy as np
import odl

from odl_equivariant.actions import group_actions
from odl_equivariant.data import NiftiVolumes, VolumeMRI, ellipsoid_phantom
from odl_equivariant.functionals import InvariantTotalVariation
from odl_equivariant.solvers import accelerated_proximal_gradient

__all__ = (
    'ACCELERATIONS',
    'SIGMA',
    'VolumeProblem',
    'brain',
    'phantoms',
    'problems',
    'psnr',
    'shown',
    'total_variation',
    'turns',
)

ACCELERATIONS = (2, 4, 8)
SIGMA = 0.03
SIZE = 40
N_PHANTOMS = 2
# Weights of the total variation, over the standard deviation of the noise
# and the side of a cell: the best one is taken, by the truth.
WEIGHTS = (0.15, 0.3, 0.6)
# Beyond the first and the last one, further weights by factors of two.
_MOST_FURTHER = 6
# Of the 24 rotations, one that exchanges axes.
_TURNS = (9,)


class VolumeProblem:
    """Data of a volume whose truth is known.

    Parameters
    ----------
    volume : numpy.ndarray
        Volume, with values up to 1.
    acceleration, sigma : float
        As for `VolumeMRI`.
    seed : int
        Seed of the noise, and of the mask.
    """

    def __init__(self, volume, acceleration, sigma, seed):
        self.acquisition = VolumeMRI(
            volume.shape, acceleration, sigma=sigma, seed=seed
        )
        self.operator = self.acquisition.operator
        self.space = self.operator.domain
        self.truth = self.space.element(volume.astype(complex))
        self.data = self.acquisition.simulate(volume, seed)

    def start(self):
        """Return the volume whose missing samples are zero."""
        return self.acquisition.baseline(self.data)


def brain(file, side):
    """Return the volume of a NIfTI file as a cube, from 0 to 1."""
    native = NiftiVolumes(file, progress=False)
    own = native.geometry(0)
    extent = max(n * h for n, h in zip(own.shape, own.spacing, strict=True))
    volume = NiftiVolumes(
        file, shape=3 * (side,), spacing=extent / side, progress=False
    )[0]
    return np.clip(volume / np.quantile(volume, 0.998), 0, 1)


def phantoms(n, side):
    """Return phantoms that no network was trained on."""
    return [ellipsoid_phantom(3 * (side,), rng=900 + i) for i in range(n)]


def shown(file=None):
    """Return the volumes to score on, in lists by what they show.

    Parameters
    ----------
    file : path-like, optional
        NIfTI file of a brain. Default: phantoms only.
    """
    found = {} if file is None else {'brain': [brain(file, SIZE)]}
    return {**found, 'volumes of phantoms': phantoms(N_PHANTOMS, SIZE)}


def problems(file=None):
    """Yield a setting, what is shown, and the problems, for each setting.

    Parameters
    ----------
    file : path-like, optional
        NIfTI file of a brain. Default: phantoms only.
    """
    for acceleration in ACCELERATIONS:
        for label, volumes in shown(file).items():
            yield (
                acceleration,
                label,
                [
                    VolumeProblem(volume, acceleration, SIGMA, seed)
                    for seed, volume in enumerate(volumes)
                ],
            )


def turns(space):
    """Return some rotations of the cube as actions on a space."""
    actions = group_actions(space, 'O')
    return [actions[i] for i in _TURNS]


def psnr(volume, truth):
    """Return the peak signal-to-noise ratio, at the peak of the truth."""
    truth = truth.asarray()
    gap = np.mean(np.abs(volume.asarray() - truth) ** 2)
    return 10 * math.log10(np.abs(truth).max() ** 2 / gap)


def total_variation(problem, weights=WEIGHTS, n_iterations=25):
    """Return the best PSNR of total variation, and its weight.

    Parameters
    ----------
    problem : VolumeProblem
        Data, and the truth by which the weight is chosen.
    weights : sequence of float, optional
        Weights to try. Further ones, by factors of two, while the best is
        the first or the last one.
    n_iterations : int, optional
        Number of accelerated proximal gradient steps.

    Raises
    ------
    ValueError
        If there are no weights, one is not positive, or the best one is still
        the least or the greatest after six further ones.
    """
    if len(weights) == 0 or not all(weight > 0 for weight in weights):
        raise ValueError(
            f'`weights` must be positive numbers, at least one, got {weights}'
        )
    A = problem.operator
    fit = 0.5 * odl.functionals.L2NormSquared(A.range).translated(problem.data)
    fit = fit @ A
    unit = problem.acquisition.sigma * float(min(problem.space.cell_sides))
    variation = InvariantTotalVariation(
        problem.space, tol=3e-3, warm_start=True
    )
    found = {}

    def score(weight):
        x = problem.start().copy()
        accelerated_proximal_gradient(
            x,
            weight * unit * variation,
            fit,
            1.0,
            n_iterations,
            line_search=False,
            objective=False,
        )
        found[weight] = psnr(x, problem.truth)

    for weight in weights:
        score(weight)
    most = len(found) + _MOST_FURTHER
    while (best := max(found, key=found.get)) in (min(found), max(found)):
        if len(found) == most:
            raise ValueError(
                f'total variation is still best with the weight {best:g}, the '
                f'end of {min(found):g} to {max(found):g}: is the noise level '
                f'{problem.acquisition.sigma:g} of the acquisition that of '
                'the data? Pass `weights` around the best one'
            )
        score(best / 2 if best == min(found) else 2 * best)
    return found[best], best
