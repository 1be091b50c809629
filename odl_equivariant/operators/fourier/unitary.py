# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""The centred, orthonormal Fourier transform as an operator."""

from __future__ import annotations

import functools
import itertools
import operator
from typing import Any

import numpy as np
import odl
import torch
from odl.core.space.base_tensors import TensorSpace
from odl.core.space.weightings.weighting import (
    ArrayWeighting,
    ConstWeighting,
)

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Axes, Space
from odl_equivariant.elements import (
    describe_space,
    first_part,
    grid_shape,
    is_complex,
    tensor_dtype,
)
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import register_batched
from odl_equivariant.operators.fourier.fft import centred_fft
from odl_equivariant.operators.fourier.fft_torch import centred_fft_torch

__all__ = ('UnitaryFourierTransform', 'UnitaryFourierTransformInverse')

_COMPLEX_NAMES = {torch.float32: 'complex64', torch.float64: 'complex128'}
_REMEDY = (
    'use a space with one constant weight, like `uniform_discr` makes by '
    'default (without `nodes_on_bdry`)'
)


# --- Spaces --- #


def normalized_axes(axes, ndim):
    """Return axes as a tuple of non-negative integers, all if ``None``."""
    if axes is None:
        return tuple(range(ndim))
    try:
        given = (operator.index(axes),)
    except TypeError:
        given = tuple(operator.index(axis) for axis in axes)
    if any(not -ndim <= axis < ndim for axis in given):
        raise ValueError(
            f'`axes` must be between {-ndim} and {ndim - 1} for a space with '
            f'{ndim} axes, got {given}'
        )
    normalized = tuple(axis % ndim for axis in given)
    if not normalized or len(set(normalized)) != len(normalized):
        raise ValueError(
            f'`axes` must be one or more different axes, got {given}'
        )
    return normalized


def _check_exponent(space):
    if space.exponent != 2.0:
        raise ValueError(
            'only a space with exponent 2 has an inner product, in which the '
            f'transform is unitary, got exponent {space.exponent} in '
            f'{describe_space(space)}'
        )


def frequency_space(space, axes):
    """Return the space of the Fourier transforms of a space's elements.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the images.
    axes : tuple of int
        Axes of the transform, not negative.

    Returns
    -------
    frequency_space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Complex space with the same weights.

    Raises
    ------
    ValueError
        If the transform would not be unitary.
    TypeError
        If the elements of ``space`` cannot be transformed.
    """
    if isinstance(space, odl.ProductSpace):
        _check_exponent(space)
        if not isinstance(space.weighting, (ConstWeighting, ArrayWeighting)):
            raise ValueError(
                'the parts of a product space must have constant weights, '
                f'got {space.weighting!r}'
            )
        part = frequency_space(space[0], axes)
        return odl.ProductSpace(part, len(space), weighting=space.weighting)
    _check_exponent(space)
    weighting = space.weighting
    if not isinstance(weighting, ConstWeighting):
        raise ValueError(
            'the weights of the space are not one constant, and the '
            'transform is not unitary in such an inner product, got '
            f'{weighting!r}: {_REMEDY}'
        )
    if not isinstance(space, odl.DiscretizedSpace):
        return space.complex_space if space.is_real else space
    if not space.is_uniform:
        raise ValueError(
            'the grid of the space is not uniform, and the frequencies have '
            f'none then, got {describe_space(space)}: {_REMEDY}'
        )
    if not space.is_uniformly_weighted:
        raise ValueError(
            'the boundary cuts cells of the space, which weigh less than '
            'others, and the transform is not unitary in such an inner '
            f'product, got {describe_space(space)}: {_REMEDY}'
        )
    min_pt, max_pt = np.array(space.min_pt), np.array(space.max_pt)
    for axis in axes:
        n = space.shape[axis]
        step = 2 * np.pi / (n * space.cell_sides[axis])
        min_pt[axis] = -(n // 2 + 0.5) * step
        max_pt[axis] = min_pt[axis] + n * step
    return odl.uniform_discr(
        min_pt,
        max_pt,
        space.shape,
        dtype=_COMPLEX_NAMES[tensor_dtype(space)],
        impl=space.impl,
        device=space.device,
        weighting=float(weighting.const),
    )


def check_space(space):
    """Raise an error if there is no transform of a space's elements."""
    space = first_part(space, equal=True)
    if not isinstance(space, (odl.DiscretizedSpace, TensorSpace)):
        raise TypeError(
            'expected a `DiscretizedSpace`, a `TensorSpace` or a '
            f'`ProductSpace` of equal ones, got {describe_space(space)}'
        )
    tensor_dtype(space)
    if len(space.shape) == 0 or 0 in space.shape:
        raise ValueError(
            f'the space has nothing to transform, got {describe_space(space)}'
        )


# --- Elements --- #


def _arrays(element):
    if isinstance(element.space, odl.ProductSpace):
        return [array for part in element for array in _arrays(part)]
    return [element.data]


def _element(arrays, space):
    if isinstance(space, odl.ProductSpace):
        return space.element([_element(arrays, part) for part in space])
    return space.element(next(arrays))


def transform_element(x, range, axes, inverse=False, weights=None):
    """Return the transform of an element as a new element.

    Parameters
    ----------
    x : element of `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Element to transform.
    range : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the result. If it is real, the result is the real part.
    axes : tuple of int
        Axes of the transform, not negative.
    inverse : bool, optional
        Direction of the transform.
    weights : numpy.ndarray or torch.Tensor, optional
        See `centred_fft` for numpy spaces and `centred_fft_torch` for
        pytorch spaces.

    Returns
    -------
    element : element of ``range``
        Element with memory of its own.
    """
    arrays = _arrays(x)
    real = not is_complex(range)
    if first_part(range).impl == 'numpy':
        result = centred_fft(arrays, axes, inverse, weights, real)
        return _element(iter(result), range)
    batch = torch.stack([array.detach() for array in arrays])
    axes = tuple(axis - batch.ndim + 1 for axis in axes)
    result = centred_fft_torch(batch, axes, inverse, weights)
    result = result.real.contiguous() if real else result
    return _element(itertools.chain(result), range)


# --- Operators --- #


class UnitaryFourierTransform(CheckedOperator):
    r"""The centred, orthonormal discrete Fourier transform.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Real or complex space of images, backed by numpy or pytorch, or a
        product of equal ones, each part of which is transformed. All weights
        of its inner product must be equal.
    axes : int or sequence of int, optional
        Axes along which to transform. Default: all.

    Raises
    ------
    ValueError
        If the axes are not in the space or not different, or the transform
        would not be unitary in the inner product of the space.
    TypeError
        If ``space`` is no space of float32, float64, complex64 or complex128.

    Notes
    -----
    With :math:`c = \lfloor n / 2 \rfloor` this is, along each axis,

    .. math::
        (F u)_k = \frac{1}{\sqrt{n}} \sum_{j = 0}^{n - 1} u_j\,
        e^{-2 \pi i (j - c) (k - c) / n}.

    Origin and zero frequency have the index ``n // 2``, wherever the grid of
    the space lies. The range of a `DiscretizedSpace` has the angular
    frequencies :math:`\xi_k = 2 \pi (k - c) / (n s)` as its grid, in radians
    per unit of length, where :math:`s` is the side of a cell; they are those
    of ODL's ``reciprocal_grid``, shifted for even :math:`n`. Its weights are
    the constant of the domain, and not the volume of its own cells, so that
    :math:`F` is unitary in the inner products of the two spaces: :math:`F^* =
    F^{-1}`. The range of a `TensorSpace` is its complex counterpart.

    On a real space, :math:`F` is an isometry onto its image, the symmetric
    elements of the range. Its adjoint is the real part of the inverse
    transform, :math:`\mathrm{Re} \langle F u, v \rangle = \langle u, F^* v
    \rangle`, and ``inverse`` is the same: a left inverse, :math:`F^* F = I`.

    FFTW transforms numpy arrays. It plans the first transform of each shape,
    which takes less than a second for a slice. If a length has a prime factor
    above 13, SciPy is faster and is used instead.

    Examples
    --------
    >>> transform = UnitaryFourierTransform(odl.cn(4))
    >>> peak = transform.domain.element([0, 0, 1, 0])
    >>> transform(peak)
    cn(4).element([ 0.5+0.j,  0.5+0.j,  0.5+0.j,  0.5+0.j])
    >>> transform.adjoint(transform(peak))
    cn(4).element([ 0.+0.j,  0.+0.j,  1.+0.j,  0.+0.j])
    """

    def __init__(self, space: Space, axes: Axes | None = None) -> None:
        check_space(space)
        self._axes = normalized_axes(axes, len(grid_shape(space)))
        range = frequency_space(space, self._axes)
        super().__init__(space, range, linear=True)

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes of the transform, not negative."""
        return self._axes

    def _call(self, x):
        return transform_element(x, self.range, self._axes)

    @functools.cached_property
    def inverse(self) -> UnitaryFourierTransformInverse:
        """The inverse, on a real space a left inverse."""
        return UnitaryFourierTransformInverse(self.domain, self._axes)

    @property
    def adjoint(self) -> UnitaryFourierTransformInverse:
        """The adjoint, which is the inverse."""
        return self.inverse

    def norm(self, estimate: bool = False, **kwargs: Any) -> float:
        """Return the norm of the operator, which is exactly 1."""
        return 1.0

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self.domain, self._axes)


class UnitaryFourierTransformInverse(CheckedOperator):
    r"""The inverse of the centred, orthonormal discrete Fourier transform.

    Parameters
    ----------
    range : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of images, see `UnitaryFourierTransform`. If it is real, the
        result is the real part.
    axes : int or sequence of int, optional
        Axes along which to transform. Default: all.

    Raises
    ------
    ValueError, TypeError
        See `UnitaryFourierTransform`.

    Notes
    -----
    Along each axis of length :math:`n`, with :math:`c = \lfloor n / 2
    \rfloor`,

    .. math::
        (F^* v)_j = \frac{1}{\sqrt{n}} \sum_{k = 0}^{n - 1} v_k\,
        e^{2 \pi i (j - c) (k - c) / n}.

    On a real space its adjoint in the sense of :math:`\mathrm{Re} \langle
    F^* v, u \rangle = \mathrm{Re} \langle v, F u \rangle` is :math:`F`, and
    ``inverse`` is what it inverts.

    Examples
    --------
    >>> transform = UnitaryFourierTransformInverse(odl.rn(4))
    >>> transform([1, 1, 1, 1])
    rn(4).element([ 0.,  0.,  2.,  0.])
    """

    def __init__(self, range, axes=None):
        self._transform = UnitaryFourierTransform(range, axes)
        super().__init__(self._transform.range, range, linear=True)

    @property
    def axes(self):
        """Axes of the transform, not negative."""
        return self._transform.axes

    def _call(self, y):
        return transform_element(y, self.range, self.axes, inverse=True)

    @property
    def inverse(self):
        """The transform that this one inverts."""
        return self._transform

    @property
    def adjoint(self):
        """The adjoint, which is the transform that this one inverts."""
        return self._transform

    def norm(self, estimate=False, **kwargs):
        """Return the norm of the operator, which is exactly 1."""
        return 1.0

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self.range, self.axes)


def batch_axes(operator):
    """Return axes counted from the end, as batches have more in front."""
    ndim = len(grid_shape(operator.domain))
    return tuple(int(axis) - ndim for axis in operator.axes)


@register_batched(UnitaryFourierTransform)
def _batched(operator):
    domain, _ = layouts(operator)
    axes = batch_axes(operator)
    return (
        lambda x: centred_fft_torch(x, axes),
        lambda y: domain.cast(centred_fft_torch(y, axes, inverse=True)),
    )


@register_batched(UnitaryFourierTransformInverse)
def _batched_inverse(operator):
    # the weights of both spaces are the same: the transpose is the adjoint
    return _batched(operator.inverse)[::-1]
