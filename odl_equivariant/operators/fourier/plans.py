# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Plans of finufft, which threads share."""

import collections

import numpy as np
import torch

from odl_equivariant._locks import Lock
from odl_equivariant._packages import import_package
from odl_equivariant.operators.fourier.fft import in_forked_process

__all__ = ('Plans',)

_MAX_PLANS = 4


class Plans:
    """Non-uniform FFTs at fixed points, for any number of images.

    A plan belongs to a number of images and to one thread at a time. Plans
    that no thread uses wait for the next one.

    Parameters
    ----------
    points : numpy.ndarray
        Frequencies of shape ``(M, d)``, in radians per cell.
    shape : tuple of int
        Shape of an image.
    tol : float
        Relative error.
    """

    def __init__(self, points, shape, tol):
        self._points, self._shape, self._tol = points, shape, tol
        self._idle = collections.OrderedDict()
        self._lock = Lock()

    def _make(self, n_images, dtype, threads):
        finufft = import_package('finufft', 'a non-uniform Fourier transform')
        plan = finufft.Plan(
            2, self._shape, n_images, self._tol, -1, dtype, nthreads=threads
        )
        precision = 'float32' if dtype == 'complex64' else 'float64'
        plan.setpts(*np.ascontiguousarray(self._points.T, precision))
        return plan

    def _run(self, array, method, shape):
        # The threads of OpenMP do not survive a fork, and a team of more than
        # one would wait for them.
        threads = 1 if in_forked_process() else torch.get_num_threads()
        key = (len(array), str(array.dtype), threads)
        with self._lock:
            waiting = self._idle.get(key)
            plan = waiting.pop() if waiting else None
        if plan is None:
            plan = self._make(*key)
        out = np.empty((len(array), *shape), array.dtype)
        if len(array) == 1:  # such a plan has no axis for the images
            getattr(plan, method)(array[0], out=out[0])
        else:
            getattr(plan, method)(array, out=out)
        with self._lock:
            self._idle.setdefault(key, []).append(plan)
            self._idle.move_to_end(key)
            while sum(map(len, self._idle.values())) > _MAX_PLANS:
                oldest = next(iter(self._idle))
                self._idle[oldest].pop()
                if not self._idle[oldest]:
                    del self._idle[oldest]
        return out

    def apply(self, images):
        """Return the sums at the points, of shape ``(N, M)``.

        Parameters
        ----------
        images : numpy.ndarray
            Contiguous complex array of shape ``(N, *shape)``, N > 0.
        """
        return self._run(images, 'execute', (len(self._points),))

    def transpose(self, samples):
        """Return the Hermitian transpose of `apply`, with the same kernels.

        Parameters
        ----------
        samples : numpy.ndarray
            Contiguous complex array of shape ``(N, M)``, N > 0.
        """
        return self._run(samples, 'execute_adjoint', self._shape)
