# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""FFT plans by SciPy's pocketfft, for lengths that slow down FFTW."""

import numpy as np

__all__ = ('PocketfftPlan', 'is_better')

# FFTW has code of its own for prime factors up to this one, and sums plainly
# for larger ones: a third of the speed at 368 = 16 * 23 points an axis.
_LARGEST_PRIME = 13


def is_better(shape, axes):
    """Return whether pocketfft is faster for an array of this shape.

    Parameters
    ----------
    shape, axes : tuple of int
        Shape of the array, and axes along which to transform it.

    Returns
    -------
    is_better : bool
        Whether the length of one of the axes has a large prime factor.

    Examples
    --------
    >>> is_better((320, 320), (0, 1)), is_better((640, 368), (0, 1))
    (False, True)
    """
    return any(_has_large_prime(shape[axis]) for axis in axes)


def _has_large_prime(n):
    for factor in range(2, _LARGEST_PRIME + 1):
        while n % factor == 0:
            n //= factor
    return n > 1


class PocketfftPlan:
    """An in-place, unscaled transform of its own memory.

    Parameters
    ----------
    shape, axes : tuple of int
        Shape of the array, and axes along which to transform it.
    dtype : numpy.dtype
        complex64 or complex128.
    inverse : bool
        Direction of the transform.
    threads : int
        Number of threads.
    """

    def __init__(self, shape, axes, dtype, inverse, threads):
        self.memory = np.empty(shape, dtype)
        real_dtype = self.memory.real.dtype
        self.pairs = self.memory.view(real_dtype).reshape(*shape, 2)
        self.axes, self.inverse, self.threads = axes, inverse, threads

    def execute(self):
        """Replace the contents of the memory by their transform."""
        import scipy.fft

        transform = scipy.fft.ifftn if self.inverse else scipy.fft.fftn
        result = transform(
            self.memory,
            axes=self.axes,
            norm='forward' if self.inverse else 'backward',
            overwrite_x=True,
            workers=self.threads,
        )
        # SciPy is allowed to work in place, but need not
        if not np.may_share_memory(result, self.memory):
            self.memory[...] = result
