# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
r"""Spiral MRI with several coils
=============================

Eight coils measure four spirals, half as many as the grid needs. One operator
maps the image to the samples of all coils: the `SensitivityEncoding`
:math:`S`, followed by the `NonUniformFourierTransform` :math:`A`. The
least-squares image solves the normal equations

.. math::
    S^* A^* w A S\, u = S^* A^* w\, y

by conjugate gradients (Pruessmann et al. 2001). The weights :math:`w` of Pipe
and Menon compensate the density of the samples, so that few iterations are
enough. :math:`A^* w A` is a convolution, and needs two FFTs.
"""

import numpy as np
import odl
from radial_mri import compared, complex_slice, output_of

from odl_equivariant.operators import (
    NonUniformFourierTransform,
    NonUniformNormalOperator,
    SensitivityEncoding,
    gridding,
    pipe_menon_weights,
    spiral_trajectory,
)

SIZE = 256
N_COILS = 8
N_SPIRALS = 4
SIGMA = 0.02
ITERATIONS = 12


def coil_maps(space):
    """Return smooth sensitivities of coils on a circle around the image."""
    side = float(space.partition.extent[0])
    x, y = (np.asarray(axis) / side for axis in space.meshgrid)
    angles = 2 * np.pi * np.arange(N_COILS) / N_COILS
    maps = [
        np.exp(-2 * ((x - 0.6 * np.cos(a)) ** 2 + (y - 0.6 * np.sin(a)) ** 2))
        * np.exp(1j * (a + x * np.cos(a) + y * np.sin(a)))
        for a in angles
    ]
    return SensitivityEncoding(space, np.array(maps)).normalised()


def main():
    """Reconstruct the slice by gridding and by least squares."""
    output = output_of(main.__doc__, 'spiral_mri.png')

    # --- Measure --- #

    truth = complex_slice(SIZE)
    S = coil_maps(truth.space)
    # eight such spirals would be as dense as the grid
    points = spiral_trajectory(truth.space, N_SPIRALS, n_turns=SIZE / 16)
    A = NonUniformFourierTransform(S.range, points)
    rng = np.random.default_rng(0)
    noise = SIGMA * rng.standard_normal((2, N_COILS, *points.shape[:-1]))
    data = (A * S)(truth) + A.range.element(list(noise[0] + 1j * noise[1]))

    # --- Reconstruct --- #

    one = NonUniformFourierTransform(truth.space, points)
    weights = pipe_menon_weights(one)
    right_side = S.adjoint(gridding(A, weights)(data))
    u = truth.space.zero()
    odl.solvers.conjugate_gradient(
        S.adjoint * NonUniformNormalOperator(A, weights) * S,
        u,
        right_side,
        ITERATIONS,
    )

    # --- Compare --- #

    images = {'gridding': right_side, 'least squares (CG)': u}
    return compared(images, truth, output)


if __name__ == '__main__':
    main()
