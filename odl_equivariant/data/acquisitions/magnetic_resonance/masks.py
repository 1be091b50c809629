# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Masks of k-space: drawn with settings, and of what was measured."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from odl_equivariant.operators.fourier.masks import CartesianMask
from odl_equivariant.operators.fourier.poisson_disc import PoissonDiscMask

__all__ = ('Pattern', 'Sampling', 'check_measured', 'measured_mask')

Pattern = Literal['random', 'equispaced', 'variable_density', 'poisson_disc']


class Sampling(NamedTuple):
    """How the samples of an image are chosen, see `CartesianMRI`.

    A call draws a mask from a seed. ``measured`` are the first line that may
    be sampled and the one after the last, by default all lines.
    """

    shape: tuple[int, ...]
    acceleration: int | float
    center_fraction: float
    pattern: Pattern
    axis: int
    partial_fourier: float

    @property
    def across(self):
        """The axis of readout, on which masks of lines do not depend."""
        return 1 - self.axis % 2

    def __call__(self, seed, measured=None):
        """Return the `CartesianMask` or the `PoissonDiscMask` of a seed."""
        if self.pattern != 'poisson_disc':
            return CartesianMask(
                self.shape,
                self.acceleration,
                self.center_fraction,
                self.pattern,
                self.axis,
                seed,
                measured,
                self.partial_fourier,
            )
        if measured is not None or self.partial_fourier != 1:
            raise ValueError(
                'Poisson-disc masks choose samples of all of k-space: '
                "for a part of the lines, take `pattern='random'`, or "
                'give a `mask`'
            )
        return PoissonDiscMask(
            self.shape, self.acceleration, self.center_fraction, seed=seed
        )


def measured_mask(measured, sampling, draw, given=None):
    """Return a mask that samples only what was measured.

    Its shape depends only on the settings and the shape of ``measured``, so
    that the masks of a set of images can be stacked.

    Parameters
    ----------
    measured : numpy.ndarray of bool
        Where k-space was measured, of its shape, or of length 1 along some
        axes.
    sampling : Sampling
        How masks are drawn.
    draw : callable
        Function of the first of the measured lines and the one after the
        last, which draws a mask of them.
    given : numpy.ndarray of bool, optional
        Mask in place of one that is drawn.

    Returns
    -------
    mask : numpy.ndarray of bool
        Of length 1 along the axis of readout, if it and ``measured`` do not
        depend on it.

    Raises
    ------
    ValueError
        If ``measured`` consists of no booleans, has another shape, or nothing
        of the mask was measured.
    """
    check_measured(measured, sampling.shape)
    if given is not None:
        mask = given & measured
    else:
        across = sampling.across
        ends = _ends(measured, sampling.shape, across)
        mask = draw(ends).array.take([0], across) & measured
    if not mask.any():
        raise ValueError(
            'the mask of the acquisition contains no measured sample'
        )
    return mask


def check_measured(measured, shape):
    """Raise a ValueError unless booleans fit the shape of k-space."""
    if (
        measured.dtype != bool
        or measured.ndim != len(shape)
        or any(
            m not in (1, n) for m, n in zip(measured.shape, shape, strict=True)
        )
    ):
        raise ValueError(
            f'`measured` must be booleans of shape {shape}, or of '
            f'length 1 along some axes, got {measured.dtype} of shape '
            f'{measured.shape}'
        )


def _ends(measured, shape, across):
    """Return the first of the measured lines, and the one after the last."""
    lines = np.flatnonzero(np.broadcast_to(measured, shape).any(axis=across))
    if not len(lines):
        raise ValueError('`measured` is false everywhere')
    return int(lines[0]), int(lines[-1]) + 1
