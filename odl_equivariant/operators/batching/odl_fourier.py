# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Batched maps of ODL's Fourier transforms, with the true transpose."""

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


def _negative(axes, space):
    """Return axes counted from the end, as batches have more in front."""
    ndim = len(grid_shape(space))
    return tuple(int(axis) - ndim for axis in axes)


def _conj(x):
    return x.conj().resolve_conj() if x.is_complex() else x


def _sums(x, axes, sign, scaled=False):
    """Return the plain sums with one sign of the exponent."""
    if x.numel() == 0:
        return x + 0j
    if sign == '-':
        return torch.fft.fftn(x, dim=axes, norm=_norm(not scaled))
    return torch.fft.ifftn(x, dim=axes, norm=_norm(scaled))


def _norm(backward):
    return 'backward' if backward else 'forward'


class _Complex:
    """The transform from and to all frequencies."""

    def __init__(self, axes, sign, scaled):
        self.axes, self.sign, self.scaled = axes, sign, scaled

    def apply(self, x):
        return _sums(x, self.axes, self.sign, self.scaled)

    def transpose(self, y):
        other = '+' if self.sign == '-' else '-'
        return _sums(y, self.axes, other, self.scaled)


class _HalfComplex:
    """The transform of real arrays to half of the frequencies.

    It is real-linear. The omitted frequencies are conjugates of others, so
    that sums over all frequencies count these others twice.
    """

    def __init__(self, axes, shape):
        *self.others, self.last = axes
        self.n = shape[self.last]
        self.size = math.prod(shape[axis] for axis in axes)
        half = self.n // 2 + 1
        count = torch.full((half,), 2.0, dtype=torch.float64)
        # what has no partner: zero, and for even sizes the highest frequency
        self.alone = [0] if self.n % 2 else [0, self.n // 2]
        count[self.alone] = 1
        count = count.reshape(-1, *[1] * (-self.last - 1))
        self.count, self.inverse_count = Constant(count), Constant(1 / count)
        self.half = half

    def apply(self, x):
        if x.numel() == 0:
            return (
                x.movedim(self.last, -1)[..., : self.half].movedim(
                    -1, self.last
                )
                + 0j
            )
        return torch.fft.rfftn(x, dim=(*self.others, self.last))

    def invert(self, y):
        if y.numel() == 0:
            shape = list(y.shape)
            shape[self.last] = self.n
            return y.real.new_zeros(shape)
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


def _core(operator, inverse):
    """Return the transform without factors, and its transpose."""
    space = operator.range if inverse else operator.domain
    frequencies = operator.domain if inverse else operator.range
    axes = _negative(operator.axes, space)
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
        transform = _Complex(axes, operator.sign, scaled=inverse)
        return transform.apply, transform.transpose
    transform = _HalfComplex(axes, space.shape)
    if inverse:
        return transform.invert, transform.transpose_inverse
    return transform.apply, transform.transpose


@register_batched(DiscreteFourierTransform)
def _discrete(operator):
    domain, range = layouts(operator)
    apply, transpose = _core(operator, inverse=False)
    return (
        lambda x: range.cast(apply(x)),
        lambda y: domain.cast(transpose(y)),
    )


@register_batched(DiscreteFourierTransformInverse)
def _discrete_inverse(operator):
    domain, range = layouts(operator)
    apply, transpose = _core(operator, inverse=True)
    return (
        lambda x: range.cast(apply(x)),
        lambda y: domain.cast(transpose(y)),
    )


def _with_factors(operator, inverse):
    """Return ODL's quadrature of the Fourier integral, and its transpose."""
    if operator.halfcomplex and not all(operator.shifts):
        raise NotImplementedError(
            f'`{type(operator).__name__}` with halfcomplex=True and '
            f'shift={tuple(operator.shifts)} is not supported: it would '
            'transform complex arrays; choose shift=True along all axes'
        )
    domain, range = layouts(operator)
    space = operator.range if inverse else operator.domain
    frequencies = operator.domain if inverse else operator.range
    options = {
        'shift': operator.shifts,
        'axes': operator.axes,
        'sign': operator.sign,
    }
    # ODL's own factors, found as what becomes of ones
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
    before, after = (
        (in_frequency, in_space) if inverse else (in_space, in_frequency)
    )
    before, after = map(_constant(domain.real_dtype), (before, after))
    apply, transpose = _core(operator, inverse)

    def apply_factors(x):
        return range.cast(apply(x * before.like(x)) * after.like(x))

    def transpose_factors(y):
        y = transpose(y * _conj(after.like(y)))
        return domain.cast(y * _conj(before.like(y)))

    return apply_factors, transpose_factors


def _constant(real_dtype):
    def constant(factors):
        tensor = torch.from_numpy(np.ascontiguousarray(factors))
        dtype = (
            torch.promote_types(real_dtype, torch.complex64)
            if tensor.is_complex()
            else real_dtype
        )
        return Constant(tensor.to(dtype))

    return constant


@register_batched(FourierTransform)
def _fourier(operator):
    return _with_factors(operator, inverse=False)


@register_batched(FourierTransformInverse)
def _fourier_inverse(operator):
    return _with_factors(operator, inverse=True)
