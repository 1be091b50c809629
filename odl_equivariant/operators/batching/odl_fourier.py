# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Batched maps of ODL's Fourier transforms, with the true transpose."""

import functools
import math

import numpy as np
import torch
from odl.trafos import (
    DiscreteFourierTransform,
    DiscreteFourierTransformInverse,
    FourierTransform,
    FourierTransformInverse,
)
from odl.trafos.util import dft_postprocess_data, dft_preprocess_data

from odl_equivariant.elements import grid_shape
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import register_batched

__all__ = ()


# --- Transforms without factors --- #


def _sums(axes, sign, scaled):
    """Return the plain sums with one sign of the exponent."""
    if sign == '-':
        norm = 'forward' if scaled else 'backward'
        return functools.partial(torch.fft.fftn, dim=axes, norm=norm)
    norm = 'backward' if scaled else 'forward'
    return functools.partial(torch.fft.ifftn, dim=axes, norm=norm)


class _HalfComplex:
    """The transform of real arrays to half of the frequencies.

    It is real-linear. The omitted frequencies are conjugates of others, so
    that sums over all frequencies count these others twice.
    """

    def __init__(self, axes, shape):
        *self.others, self.last = axes
        self.n = shape[self.last]
        self.size = math.prod(shape[axis] for axis in axes)
        count = torch.full((self.n // 2 + 1,), 2.0, dtype=torch.float64)
        # what has no partner: zero, and for even sizes the highest frequency
        self.alone = [0] if self.n % 2 else [0, self.n // 2]
        count[self.alone] = 1
        count = count.reshape(-1, *[1] * (-self.last - 1))
        self.count, self.inverse_count = Constant(count), Constant(1 / count)

    def apply(self, x):
        return torch.fft.rfftn(x, dim=(*self.others, self.last))

    def invert(self, y):
        if self.others:
            y = torch.fft.ifftn(y, dim=self.others)
        else:
            y = y.clone()
        # no library says what it makes of imaginary parts here
        for index in self.alone:
            y.imag.select(self.last, index).zero_()
        return torch.fft.irfft(y, n=self.n, dim=self.last)

    def transpose(self, y):
        inverse_count = self.inverse_count.like(y).to(y.real.dtype)
        return self.invert(y * inverse_count) * self.size

    def transpose_inverse(self, x):
        count = self.count.like(x).to(x.dtype)
        return self.apply(x) * (count / self.size)


def _without_factors(operator, inverse, space, frequencies):
    """Return the transform without factors, and its transpose."""
    # counted from the end, as batches have more axes in front
    ndim = len(grid_shape(space))
    axes = tuple(int(axis) - ndim for axis in operator.axes)
    shape = list(space.shape)
    if operator.halfcomplex:
        shape[axes[-1]] = shape[axes[-1]] // 2 + 1
    if tuple(shape) != tuple(frequencies.shape):
        raise NotImplementedError(
            f'`{type(operator).__name__}` with halfcomplex='
            f'{operator.halfcomplex} between the shapes {space.shape} and '
            f'{frequencies.shape} is not supported: choose `halfcomplex` for '
            'real spaces only'
        )
    if not operator.halfcomplex:
        other = '+' if operator.sign == '-' else '-'
        return tuple(
            _sums(axes, sign, scaled=inverse)
            for sign in (operator.sign, other)
        )
    transform = _HalfComplex(axes, space.shape)
    if inverse:
        return transform.invert, transform.transpose_inverse
    return transform.apply, transform.transpose


# --- Factors --- #


def _factors(operator, inverse, space, frequencies):
    """Return ODL's factors of the Fourier integral, in space and frequency."""
    if operator.halfcomplex and not all(operator.shifts):
        raise NotImplementedError(
            f'`{type(operator).__name__}` with halfcomplex=True and '
            f'shift={tuple(operator.shifts)} is not supported: it would '
            'transform complex arrays; choose shift=True along all axes'
        )
    options = {
        'shift': operator.shifts,
        'axes': operator.axes,
        'sign': operator.sign,
    }
    # found as what becomes of ones
    in_space = dft_preprocess_data(
        np.ones(space.shape, dtype='complex128'), **options
    )
    in_frequency = dft_postprocess_data(
        np.ones(frequencies.shape, dtype='complex128'),
        real_grid=space.grid,
        recip_grid=frequencies.grid,
        interp='nearest',
        op='divide' if inverse else 'multiply',
        **options,
    )
    if operator.halfcomplex:
        in_space = in_space.real  # signs, as all axes are shifted
    return in_space, in_frequency


def _constant(factors, real_dtype):
    tensor = torch.from_numpy(np.ascontiguousarray(factors))
    if tensor.is_complex():
        real_dtype = torch.promote_types(real_dtype, torch.complex64)
    return Constant(tensor.to(real_dtype))


# --- Operators --- #


@register_batched(
    DiscreteFourierTransform,
    DiscreteFourierTransformInverse,
    FourierTransform,
    FourierTransformInverse,
)
def _batched(operator):
    inverse = isinstance(
        operator, (DiscreteFourierTransformInverse, FourierTransformInverse)
    )
    domain, range = layouts(operator)
    space, frequencies = operator.domain, operator.range
    if inverse:
        space, frequencies = frequencies, space
    spaces = inverse, space, frequencies
    before = after = None
    if isinstance(operator, (FourierTransform, FourierTransformInverse)):
        factors = _factors(operator, *spaces)
        before, after = (
            _constant(factor, domain.real_dtype)
            for factor in (factors[::-1] if inverse else factors)
        )
    transform, transpose = _without_factors(operator, *spaces)

    def apply(x):
        if x.numel() == 0:  # torch does not transform nothing
            return range.zeros(x)
        x = x if before is None else x * before.like(x)
        y = transform(x)
        return range.cast(y if after is None else y * after.like(y))

    def apply_transpose(y):
        if y.numel() == 0:
            return domain.zeros(y)
        y = y if after is None else y * after.like(y).conj_physical()
        x = transpose(y)
        return domain.cast(
            x if before is None else x * before.like(x).conj_physical()
        )

    return apply, apply_transpose
