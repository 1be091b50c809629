# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Centred, orthonormal FFTs of numpy arrays, and their plans."""

import base64
import collections
import itertools
import json
import math
import os
import tempfile
import threading

import numpy as np

from odl_equivariant._warnings import warn_user
from odl_equivariant.operators.fourier.pocketfft import (
    PocketfftPlan,
    is_better,
)

__all__ = ('centred_fft', 'centred_blocks', 'pair_weights')

# The environment variable with the folder in which FFTW's wisdom is kept.
CACHE_VARIABLE = 'ODL_EQUIVARIANT_CACHE'
WISDOM_FILE = 'fftw_wisdom.json'

# Below this, a second thread saves less than it takes to wake it, and very
# much less where something else wants the processors too.
_POINTS_PER_THREAD = 2**17
_PLANNING_SECONDS = 10.0
_MAX_PLANS = 16
_MAX_BYTES = 2**28

_COMPLEX = {
    np.dtype('float32'): np.dtype('complex64'),
    np.dtype('float64'): np.dtype('complex128'),
}
_REAL = {
    np.dtype('complex64'): np.dtype('float32'),
    np.dtype('complex128'): np.dtype('float64'),
}


# --- Plans --- #

# FFTW plans in one thread at a time; a fork waits for that, as the child would
# otherwise inherit a lock that nobody opens.
_LOCK = threading.RLock()
_LOCAL = threading.local()
_STATE = {'forked': False, 'folders': set()}


def _after_fork_in_child():
    _LOCK.release()
    # FFTW's own threads are not there in a forked process, but it would wait
    # for them
    _STATE['forked'] = True
    _LOCAL.__dict__.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(
        before=_LOCK.acquire,
        after_in_parent=_LOCK.release,
        after_in_child=_after_fork_in_child,
    )


def n_threads(size):
    """Return in how many threads to transform an array of this size."""
    if _STATE['forked']:
        return 1
    if hasattr(os, 'sched_getaffinity'):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return max(1, min(usable, size // _POINTS_PER_THREAD))


class _Plan:
    """An in-place transform of its own memory."""

    def __init__(self, shape, axes, dtype, inverse, threads):
        import pyfftw

        self.memory = pyfftw.empty_aligned(shape, dtype=dtype)
        # pairs of real numbers are multiplied faster than complex ones
        self.pairs = self.memory.view(_REAL[dtype]).reshape(*shape, 2)
        self._fftw = pyfftw.FFTW(
            self.memory,
            self.memory,
            axes=axes,
            direction='FFTW_BACKWARD' if inverse else 'FFTW_FORWARD',
            flags=('FFTW_MEASURE',),
            threads=threads,
            planning_timelimit=_PLANNING_SECONDS,
        )
        self.execute = self._fftw.execute


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
    plan : _Plan or PocketfftPlan
        Plan. The contents of its memory are arbitrary.
    """
    plans = _LOCAL.__dict__.setdefault('plans', collections.OrderedDict())
    key = (shape, axes, dtype, inverse, n_threads(math.prod(shape)))
    plan = plans.get(key)
    if plan is None:
        with _LOCK:
            plan = _planned(*key)
        plans[key] = plan
        used = sum(other.memory.nbytes for other in plans.values())
        while len(plans) > 1 and (
            len(plans) > _MAX_PLANS or used > _MAX_BYTES
        ):
            _, dropped = plans.popitem(last=False)
            used -= dropped.memory.nbytes
    plans.move_to_end(key)
    return plan


def _planned(*key):
    if is_better(*key[:2]):
        return PocketfftPlan(*key)
    folder = os.environ.get(CACHE_VARIABLE)
    if not folder:
        return _Plan(*key)
    import pyfftw

    path = os.path.join(folder, WISDOM_FILE)
    if path not in _STATE['folders']:
        _STATE['folders'].add(path)
        load_wisdom(path)
    before = pyfftw.export_wisdom()
    plan = _Plan(*key)
    if pyfftw.export_wisdom() != before or not os.path.exists(path):
        save_wisdom(path)
    return plan


# --- Wisdom --- #


def load_wisdom(path):
    """Add the wisdom in a file, if it exists, to that of the process.

    Parameters
    ----------
    path : str
        File that `save_wisdom` wrote.

    Returns
    -------
    loaded : bool
        Whether there was something to load. A file that cannot be used is
        ignored with a `RuntimeWarning`.
    """
    import pyfftw

    try:
        with open(path, encoding='utf-8') as file:
            texts = json.load(file)['wisdom']
        wisdom = tuple(base64.b64decode(text, validate=True) for text in texts)
        if len(wisdom) != 3:
            raise ValueError('expected the wisdom of three precisions')
        with _LOCK:
            accepted = pyfftw.import_wisdom(wisdom)
        # the third is of long double, which some builds lack
        if not all(accepted[:2]):
            raise ValueError('this FFTW does not take it')
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError, TypeError, KeyError) as error:
        warn_user(
            f'the FFTW wisdom in {path!r} cannot be used and is ignored '
            f'({error}); it is written anew',
            RuntimeWarning,
        )
        return False
    return True


def save_wisdom(path):
    """Write the wisdom of the process, with what a file has already.

    Parameters
    ----------
    path : str
        File to write, in a folder that is made if it is not there. Where that
        fails, there is a `RuntimeWarning`.
    """
    import pyfftw

    load_wisdom(path)
    wisdom = pyfftw.export_wisdom()
    texts = [base64.b64encode(part).decode() for part in wisdom]
    folder = os.path.dirname(path)
    temporary = None
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            'w', dir=folder, suffix='.tmp', delete=False, encoding='utf-8'
        ) as file:
            temporary = file.name
            json.dump({'wisdom': texts}, file)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.remove(temporary)
        warn_user(
            f'the FFTW wisdom cannot be written to {path!r} ({error})',
            RuntimeWarning,
        )


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


def pair_weights(weights, shape, axes, dtype):
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
        Read-only real array of shape ``(*shape, 2)``, with the factor of the
        transform in it.
    """
    weights = np.asarray(weights) * scale_of(shape, axes)
    pairs = np.repeat(weights.astype(_REAL[np.dtype(dtype)])[..., None], 2, -1)
    return np.broadcast_to(pairs, (*shape, 2))


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
        Result of `pair_weights`: factors of the transform's result, or, if
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
    memory, pairs = plan.memory, plan.pairs
    result = np.empty(memory.shape, _REAL[dtype] if real else dtype)
    # the copies to FFTW's memory and back move zero from the middle to the
    # start and back, and multiply by the factors
    for n, part in enumerate(parts):
        if inverse and weights is not None:
            part = np.ascontiguousarray(part)
            part = part.view(_REAL[dtype]).reshape(*shape, 2)
            for centred, plain in blocks:
                np.multiply(
                    part[centred], weights[centred], out=pairs[n][plain]
                )
        else:
            for centred, plain in blocks:
                memory[n][plain] = part[centred]
    plan.execute()
    if real:
        source, target = pairs[..., 0], result
    else:
        source, target = pairs, result.view(_REAL[dtype]).reshape(pairs.shape)
    # the factor of the inverse with weights is in the weights
    scale = _REAL[dtype].type(scale_of(shape, axes))
    for n in range(len(parts)):
        for centred, plain in blocks:
            if weights is None:
                np.multiply(source[n][plain], scale, out=target[n][centred])
            elif inverse:
                target[n][centred] = source[n][plain]
            else:
                np.multiply(
                    source[n][plain], weights[centred], out=target[n][centred]
                )
    return result
