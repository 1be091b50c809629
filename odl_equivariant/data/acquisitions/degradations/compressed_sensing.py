# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Compressed sensing: random linear measurements of images."""

from __future__ import annotations

from odl_equivariant._checks import real_number
from odl_equivariant._types import Backend, ImageShape
from odl_equivariant.data.acquisitions.degradations.base import (
    Degradation,
    Dtype,
    centred_space,
)
from odl_equivariant.operators.degradations.measurements import (
    Ensemble,
    RandomMeasurements,
)

__all__ = ('CompressedSensing',)


class CompressedSensing(Degradation):
    r"""Fewer random linear measurements of an image than it has cells.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the images; for Hadamard measurements powers of two.
    ratio : float, optional
        Number of measurements over the number of cells, above 0, and at most
        1 for orthonormal ones.
    ensemble : {'hadamard', 'fourier', 'gaussian'}, optional
        Which measurements, see `odl_equivariant.operators.RandomMeasurements`.
    seed : int, optional
        Seed of the measurements.
    scrambled : bool, optional
        Whether random signs multiply the image first.
    orthonormal : bool, optional
        Whether normal measurements are made orthonormal.
    sigma : float, optional
        Standard deviation of the noise of a measurement; 0 for none. An
        orthonormal measurement of an image of values about 1 is about 1.
    side : float, optional
        Length of the longer side of the images.
    dtype : {'float32', 'float64', 'complex64', 'complex128'}, optional
        Precision of the images, and whether they are complex.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL space.

    Raises
    ------
    ValueError
        If there are more orthonormal measurements than cells, none at all, a
        matrix would be too large, or another number is out of range.
    TypeError
        If a number is none.

    Notes
    -----
    The baseline is :math:`A^* y`, of orthonormal measurements the image of
    least norm that has the data.

    Examples
    --------
    >>> import numpy as np
    >>> sensing = CompressedSensing((32, 32), ratio=0.25)
    >>> sensing.simulate(np.ones((32, 32)), rng=0).shape
    (256,)
    """

    baseline_name = 'adjoint'

    def __init__(
        self,
        shape: ImageShape = (64, 64),
        ratio: float = 0.25,
        ensemble: Ensemble = 'hadamard',
        seed: int = 0,
        scrambled: bool = True,
        orthonormal: bool = True,
        sigma: float = 0.01,
        side: float = 1.0,
        dtype: Dtype = 'float32',
        backend: Backend = 'numpy',
    ) -> None:
        space = centred_space(shape, side, dtype, backend)
        self.ratio = real_number('ratio', ratio, 0)
        n_measurements = round(self.ratio * space.size)
        if n_measurements < 1:
            raise ValueError(
                f'ratio={ratio!r} leaves no measurement of images of the '
                f'shape {tuple(space.shape)}: take at least '
                f'{1 / space.size:.2g}'
            )
        self.ensemble, self.seed = ensemble, seed
        self.scrambled, self.orthonormal = scrambled, orthonormal
        operator = RandomMeasurements(
            space, n_measurements, ensemble, seed, scrambled, orthonormal
        )
        super().__init__(operator, sigma, side)

    @property
    def n_measurements(self) -> int:
        """Number of measurements."""
        return self.operator.range.size

    def _own_settings(self):
        return {
            'ratio': self.ratio,
            'ensemble': self.ensemble,
            'seed': self.seed,
            'scrambled': self.scrambled,
            'orthonormal': self.orthonormal,
        }
