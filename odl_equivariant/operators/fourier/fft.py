# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Centred, orthonormal FFTs of numpy arrays, and their plans."""

import collections
import itertools
import math
import os
import threading

import numpy as np

__all__ = (
    'centred_fft',
    'centred_blocks',
    'in_forked_process',
    'scaled_weights',
)

# With fewer points, waking a second thread takes longer than it saves, and
# much longer if other programs use the processors.
_POINTS_PER_THREAD = 2**17
_PLANNING_SECONDS = 10.0
_MAX_PLANS = 16
_MAX_BYTES = 2**28

# FFTW has special code for prime factors up to this one, and plain sums for
# larger ones. At 368 = 16 * 23 points per axis they take up to twice as long.
_LARGEST_PRIME = 13

_COMPLEX = {
    np.dtype('float32'): np.dtype('complex64'),
    np.dtype('float64'): np.dtype('complex128'),
}
_REAL = {
    np.dtype('complex64'): np.dtype('float32'),
    np.dtype('complex128'): np.dtype('float64'),
}


# --- Plans --- #

# A fork waits until no thread plans. Otherwise the child would inherit a lock
# of pyfftw, and nobody there would release it.
_LOCK = threading.RLock()
_LOCAL = threading.local()
_STATE = {'forked': False}


def _after_fork_in_child():
    _LOCK.release()
    # The child does not inherit FFTW's threads, but plans would wait for them.
    _STATE['forked'] = True
    _LOCAL.__dict__.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(
        before=_LOCK.acquire,
        after_in_parent=_LOCK.release,
        after_in_child=_after_fork_in_child,
    )


def in_forked_process():
    """Return whether the process has no threads that its parent had."""
    return _STATE['forked']


def n_threads(size):
    """Return in how many threads to transform an array of this size."""
    if in_forked_process():
        return 1
    if hasattr(os, 'sched_getaffinity'):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return max(1, min(usable, size // _POINTS_PER_THREAD))


def _has_large_prime(n):
    for factor in range(2, _LARGEST_PRIME + 1):
        while n % factor == 0:
            n //= factor
    return n > 1


class _Plan:
    """An unscaled transform of its own memory, in place."""

    def __init__(self, shape, axes, dtype, inverse, threads):
        import pyfftw

        self.memory = pyfftw.empty_aligned(shape, dtype=dtype)
        self.axes, self.inverse, self.threads = axes, inverse, threads
        self._fftw = None
        if any(_has_large_prime(shape[axis]) for axis in axes):
            return
        self._fftw = pyfftw.FFTW(
            self.memory,
            self.memory,
            axes=axes,
            direction='FFTW_BACKWARD' if inverse else 'FFTW_FORWARD',
            flags=('FFTW_MEASURE',),
            threads=threads,
            planning_timelimit=_PLANNING_SECONDS,
        )

    def execute(self):
        """Return the transform of the memory, which may be overwritten."""
        if self._fftw is not None:
            self._fftw.execute()
            return self.memory
        import scipy.fft

        transform = scipy.fft.ifftn if self.inverse else scipy.fft.fftn
        return transform(
            self.memory,
            axes=self.axes,
            norm='forward' if self.inverse else 'backward',
            overwrite_x=True,
            workers=self.threads,
        )


def get_plan(shape, axes, dtype, inverse):
    """Return a plan that belongs to the calling thread.

    Parameters
    ----------
    shape, axes : tuple of int
        Shape of the array, and axes along which to transform it.
    dtype : numpy.dtype
        complex64 or complex128.
    inverse : bool
        Direction of the transform.

    Returns
    -------
    plan : _Plan
        Plan. The contents of its memory are arbitrary.
    """
    plans = _LOCAL.__dict__.setdefault('plans', collections.OrderedDict())
    key = (shape, axes, dtype, inverse, n_threads(math.prod(shape)))
    plan = plans.get(key)
    if plan is None:
        with _LOCK:
            plan = plans[key] = _Plan(*key)
        used = sum(other.memory.nbytes for other in plans.values())
        while len(plans) > 1 and (
            len(plans) > _MAX_PLANS or used > _MAX_BYTES
        ):
            _, dropped = plans.popitem(last=False)
            used -= dropped.memory.nbytes
    plans.move_to_end(key)
    return plan


# --- Numpy arrays --- #


def centred_blocks(shape, axes):
    """Return the slices of an array, centred and in the order of FFTW."""
    parts = [[(slice(None), slice(None))] for _ in shape]
    for axis in axes:
        n = shape[axis]
        c = n // 2
        parts[axis] = [
            (slice(c, n), slice(0, n - c)),
            (slice(0, c), slice(n - c, n)),
        ][: 2 if c else 1]
    return [
        tuple(zip(*block, strict=True)) for block in itertools.product(*parts)
    ]


def scale_of(shape, axes):
    """Return the factor that makes the sums along some axes orthonormal."""
    return 1 / math.sqrt(math.prod(shape[axis] for axis in axes))


def scaled_weights(weights, shape, axes, dtype):
    """Return real weights in the form that `centred_fft` takes.

    Parameters
    ----------
    weights : numpy.ndarray
        Real or boolean array, broadcastable to ``shape``.
    shape, axes : tuple of int
        Those of the transform.
    dtype : numpy.dtype
        complex64 or complex128.

    Returns
    -------
    weights : numpy.ndarray
        Read-only real array of this shape, with the factor that makes the
        transform orthonormal.
    """
    weights = np.asarray(weights) * scale_of(shape, axes)
    return np.broadcast_to(weights.astype(_REAL[np.dtype(dtype)]), shape)


def centred_fft(parts, axes, inverse=False, weights=None, real=False):
    r"""Transform arrays along some axes, with zero in the middle of each.

    Parameters
    ----------
    parts : list of numpy.ndarray
        Arrays of one shape and dtype: float32, float64, complex64 or
        complex128. They are not changed.
    axes : tuple of int
        Non-negative axes without duplicates.
    inverse : bool, optional
        Direction of the transform.
    weights : numpy.ndarray, optional
        Result of `scaled_weights`: factors of the result, or, if
        ``inverse``, of the arrays, which must be complex then.
    real : bool, optional
        Whether to return the real part.

    Returns
    -------
    result : numpy.ndarray
        New array of shape ``(len(parts), *shape)``.

    Notes
    -----
    With :math:`c = \lfloor n / 2 \rfloor` this is, along each axis,

    .. math::
        y_k = \frac{1}{\sqrt{n}} \sum_j x_j\,
        e^{\mp 2 \pi i (j - c) (k - c) / n}.
    """
    shape = parts[0].shape
    dtype = parts[0].dtype
    dtype = _COMPLEX.get(dtype, dtype)
    plan = get_plan(
        (len(parts), *shape), tuple(a + 1 for a in axes), dtype, inverse
    )
    blocks = centred_blocks(shape, axes)
    # The copies to the plan's memory and back move zero from the middle to the
    # start and back, and multiply by the factors.
    scale = _REAL[dtype].type(scale_of(shape, axes))
    before, after = (weights, None) if inverse else (None, weights)
    for part, memory in zip(parts, plan.memory, strict=True):
        for centred, plain in blocks:
            if before is None:
                memory[plain] = part[centred]
            else:
                np.multiply(part[centred], before[centred], out=memory[plain])
    transformed = plan.execute()
    if real:
        transformed = transformed.real
    result = np.empty(transformed.shape, transformed.dtype)
    for centred, plain in blocks:
        source, target = transformed[:, *plain], result[:, *centred]
        if before is not None:
            target[...] = source  # the weights have the factor already
        else:
            factor = scale if after is None else after[centred]
            np.multiply(source, factor, out=target)
    return result
