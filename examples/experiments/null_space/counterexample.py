# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Inpainting by an invariant functional, which is not equivariant."""

import numpy as np
import odl

from examples.experiments.tables import verdict
from odl_equivariant.actions import Rotation
from odl_equivariant.data import Inpainting, ellipse_phantom
from odl_equivariant.diagnostics import (
    invariance_error,
    reconstruction_equivariance_error,
)
from odl_equivariant.functionals import InvariantTotalVariation

__all__ = ('N_ITERATIONS', 'TOLERANCE', 'counterexample', 'statements')

SHAPE = (32, 32)
MISSING = (0.1, 0.3, 0.5, 0.7, 0.9)
N_ITERATIONS = 8
# of the proximal, to which no law can hold better
TOLERANCE = 1e-3
WEIGHT = 0.01
# from which one on an error is none of rounding
LARGE = 0.01


def counterexample(missing=MISSING):
    """Return errors of inpainting by total variation under a quarter turn.

    Parameters
    ----------
    missing : sequence of float, optional
        Fractions of the cells that are not seen.

    Returns
    -------
    errors : dict of dict of float
        By what is missing, relative to the norm of the image: of the
        invariance of the functional; of the reconstruction from data of the
        turned image with the mask in place; and with the mask turned, too.
    """
    return {part: _errors(part) for part in missing}


def _errors(missing):
    problem = Inpainting(SHAPE, missing=missing)
    functional = InvariantTotalVariation(problem.space, tol=TOLERANCE)
    turn = Rotation(problem.space, np.pi / 2)
    image = problem.ground_truth(ellipse_phantom(SHAPE, rng=0, kind='head'))
    data = problem.operator(image)

    def method(operator, data):
        distance = odl.functionals.L2NormSquared(operator.range)
        fit = 0.5 * distance.translated(data) * operator
        u = operator.adjoint(data)
        odl.solvers.proximal_gradient(
            u, WEIGHT * functional, fit, gamma=1.0, niter=N_ITERATIONS
        )
        return u

    upright = turn(method(problem.operator, data))
    turned = method(problem.operator, problem.operator(turn(image)))
    return {
        'functional': float(invariance_error(functional, turn)),
        'mask stays': float((turned - upright).norm() / upright.norm()),
        'mask turns': float(
            reconstruction_equivariance_error(
                method, problem.operator, turn, data
            )
        ),
    }


def statements(errors):
    """Return what the errors say, as `verdicts` does.

    Parameters
    ----------
    errors : dict of dict of float
        What `counterexample` returned.

    Returns
    -------
    statements : list of tuple of str
        Words, figures, and whether they hold.
    """
    sentences = {
        'functional': 'total variation is invariant under quarter turns',
        'mask stays': 'inpainting by total variation is not equivariant: '
        'data of a turned image, with the mask in place, give another image '
        'than the turned one',
        'mask turns': 'inpainting by total variation is equivariant for data '
        'and operator together, $\\Phi(y; A T) = T^{-1} \\Phi(y; A)$',
    }
    found = []
    for name, sentence in sentences.items():
        values = {part: one[name] for part, one in errors.items()}
        figures = ', '.join(
            f'{100 * part:g} % missing: {value:.1e}'
            for part, value in values.items()
        )
        flags = [
            value > LARGE if name == 'mask stays' else value <= TOLERANCE
            for value in values.values()
        ]
        found.append((sentence, figures, verdict(flags)))
    return found
