# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Super-resolution: images on a coarser grid."""

from __future__ import annotations

from collections.abc import Sequence

from odl_equivariant._types import Backend, ImageShape
from odl_equivariant.data.acquisitions.degradations.base import (
    Degradation,
    Dtype,
    centred_space,
)
from odl_equivariant.operators.degradations.downsampling import Downsampling

__all__ = ('SuperResolution',)


class SuperResolution(Degradation):
    r"""Images whose cells were averaged in blocks, with noise.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the images of high resolution.
    factor : int or sequence of 2 ints, optional
        Cells of a block, along both axes or along each. They divide the
        shape.
    sigma : float, optional
        Standard deviation of the noise of a block, in the unit of the
        images; 0 for none.
    side : float, optional
        Length of the longer side of the images.
    dtype : {'float32', 'float64', 'complex64', 'complex128'}, optional
        Precision of the images, and whether they are complex.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL space.

    Raises
    ------
    ValueError
        If the factor does not divide the shape, or a number is out of range.
    TypeError
        If a number is none.

    Notes
    -----
    ``operator`` is a `odl_equivariant.operators.Downsampling`. Its null space
    are the images whose mean over each block is zero. The baseline is
    constant on blocks.

    Examples
    --------
    >>> import numpy as np
    >>> resolution = SuperResolution((32, 32), factor=4)
    >>> resolution.simulate(np.ones((32, 32)), rng=0).shape
    (8, 8)
    """

    baseline_name = 'constant on blocks'

    def __init__(
        self,
        shape: ImageShape = (64, 64),
        factor: int | Sequence[int] = 2,
        sigma: float = 0.01,
        side: float = 1.0,
        dtype: Dtype = 'float32',
        backend: Backend = 'numpy',
    ) -> None:
        space = centred_space(shape, side, dtype, backend)
        super().__init__(Downsampling(space, factor), sigma, side)

    @property
    def factors(self) -> tuple[int, ...]:
        """Cells of a block along each axis."""
        return self.operator.factors

    def _own_settings(self):
        return {'factor': self.factors}
