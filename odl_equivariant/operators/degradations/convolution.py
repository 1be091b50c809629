# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Convolutions of images, with the adjoint that belongs to the boundary."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import one_of
from odl_equivariant._types import Operator, Space, TensorMap
from odl_equivariant.elements import (
    describe_space,
    first_part,
    is_complex,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    register_batched,
)

__all__ = ('Boundary', 'Convolution')

Boundary = Literal['periodic', 'zeros', 'replicate', 'reflect']
# Names of `numpy.pad` for the indices of the cells.
_MODES = {'periodic': 'wrap', 'replicate': 'edge', 'reflect': 'reflect'}


class Convolution(CheckedOperator):
    r"""The convolution of an image with a kernel: a blur.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Real or complex space of images, backed by numpy or pytorch, with
        any number of axes; or a product of equal ones, whose parts are
        convolved one by one.
    kernel : array-like or torch.Tensor
        Real or complex weights of the cells, with as many axes as the image
        and at most its size. Its middle is at the index ``n // 2`` along
        each axis. They are copied.
    boundary : {'periodic', 'zeros', 'replicate', 'reflect'}, optional
        How the image goes on past its boundary: as on a torus, with zeros,
        with its outermost values, or mirrored at the outermost cells.

    Raises
    ------
    ValueError
        If the kernel has another number of axes, is larger than the image,
        empty, zero or not finite, or complex where ``space`` is real; or if
        the boundary is unknown.
    TypeError
        If the kernel does not consist of numbers, or ``space`` is no space
        of float32, float64, complex64 or complex128.

    Notes
    -----
    With the middle :math:`c` of the kernel :math:`k` and the continued image
    :math:`E u`,

    .. math::
        (A u)_i = \sum_j k_j\, (E u)_{i - (j - c)}.

    So a kernel whose sum is 1 keeps constant images, but for zeros at the
    boundary. The sum is computed by FFTs. The adjoint in the weighted inner
    products is exact for each boundary: with the transpose :math:`E^T`,
    which adds up what was copied.

    A kernel that is constant on the orbits of a group gives an operator that
    is equivariant under it; with a periodic boundary, it is so under shifts.

    Examples
    --------
    >>> import odl
    >>> blur = Convolution(odl.rn(4), [0.25, 0.5, 0.25], boundary='zeros')
    >>> np.round(blur([0, 4, 0, 4]).asarray(), 6)
    array([ 1.,  2.,  2.,  2.])
    >>> np.round(blur.adjoint([1, 0, 0, 0]).asarray(), 6) + 0
    array([ 0.5 ,  0.25,  0.  ,  0.  ])
    """

    def __init__(
        self,
        space: Space,
        kernel: ArrayLike | torch.Tensor,
        boundary: Boundary = 'periodic',
    ) -> None:
        tensor_dtype(space)
        inner_product_weights(space)
        self._boundary = one_of('boundary', boundary, ('zeros', *_MODES))
        self._kernel = _checked_kernel(kernel, space)
        super().__init__(space, space, linear=True)

    @property
    def kernel(self) -> np.ndarray:
        """Weights of the cells, of double precision, read-only."""
        return self._kernel

    @property
    def boundary(self) -> Boundary:
        """How the image goes on past its boundary."""
        return self._boundary

    @functools.cached_property
    def maps(self) -> tuple[TensorMap, TensorMap]:
        """The convolution and its transpose as maps of batches."""
        layout, _ = layouts(self)
        sizes = layout.shape[1:]
        sides = self._kernel.shape
        axes = tuple(range(-len(sizes), 0))
        # the continued image, of which a cyclic convolution has a valid part
        full = tuple(n + m - 1 for n, m in zip(sizes, sides, strict=True))
        spectrum = np.fft.fftn(self._kernel, s=full, axes=axes)
        if not layout.is_complex:
            spectrum = spectrum[..., : full[-1] // 2 + 1]
        multiplier = Constant(
            torch.from_numpy(spectrum).to(
                torch.complex64
                if layout.real_dtype == torch.float32
                else torch.complex128
            )
        )
        sources = [
            Constant(torch.from_numpy(_sources(n, m, self._boundary)))
            for n, m in zip(sizes, sides, strict=True)
        ]
        valid = (..., *(slice(m - 1, None) for m in sides))

        def filtered(x, factor):
            if layout.is_complex:
                return torch.fft.ifftn(
                    torch.fft.fftn(x, dim=axes) * factor, dim=axes
                )
            return torch.fft.irfftn(
                torch.fft.rfftn(x, dim=axes) * factor, s=full, dim=axes
            )

        def apply(x):
            if x.numel() == 0:
                return torch.zeros_like(x)
            for axis, source in zip(axes, sources, strict=True):
                x = _continued(x, axis, source.like(x))
            return filtered(x, multiplier.like(x))[valid].contiguous()

        def transpose(y):
            if y.numel() == 0:
                return torch.zeros_like(y)
            x = y.new_zeros((*y.shape[: -len(axes)], *full))
            x[valid] = y
            x = filtered(x, multiplier.like(y).conj())
            for axis, source, n in zip(axes, sources, sizes, strict=True):
                x = _added_up(x, axis, source.like(x), n)
            return x

        return apply, transpose

    def _call(self, x):
        layout, _ = layouts(self)
        return layout.element(self.maps[0](layout.tensor(x)[None])[0])

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint in the weighted inner products."""
        return AdjointOperator(self)

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self.domain, self._kernel, self._boundary)


@register_batched(Convolution)
def _batched(operator):
    return operator.maps


def _checked_kernel(kernel, space):
    """Return the kernel as a new array of double precision."""
    if isinstance(kernel, torch.Tensor):
        kernel = kernel.detach().cpu().resolve_conj().resolve_neg().numpy()
    try:
        array = np.asarray(kernel)
    except ValueError as error:
        raise ValueError(
            '`kernel` must be an array, and has rows of different lengths: '
            'fill them with zeros, evenly on both sides'
        ) from error
    if array.dtype.kind not in 'fiuc':
        raise TypeError(
            f'`kernel` must consist of numbers, got dtype {array.dtype}'
        )
    array = array.astype(complex if array.dtype.kind == 'c' else float)
    shape = first_part(space).shape
    if array.ndim != len(shape) or not array.size:
        raise ValueError(
            f'`kernel` must have {len(shape)} axes, as images of the shape '
            f'{tuple(shape)}, and at least one weight, got the shape '
            f'{array.shape}'
        )
    if any(m > n for m, n in zip(array.shape, shape, strict=True)):
        raise ValueError(
            f'`kernel` of the shape {array.shape} is larger than the images, '
            f'of the shape {tuple(shape)}: cut it'
        )
    n_wrong = np.count_nonzero(~np.isfinite(array))
    if n_wrong or not array.any():
        found = f'{n_wrong} that are not finite' if n_wrong else 'zeros only'
        raise ValueError(
            '`kernel` must be finite, and not zero everywhere, got '
            f'{found}, of {array.size} weights'
        )
    if np.iscomplexobj(array) and not is_complex(space):
        raise ValueError(
            '`kernel` is complex, and the space '
            f'{describe_space(space)} real: take its '
            'real part, or `space.complex_space`'
        )
    array.flags.writeable = False
    return array


def _sources(size, side, boundary):
    """Return the cell that each cell of the continued axis copies, or -1."""
    pad = (side - 1 - side // 2, side // 2)
    cells = np.arange(size)
    if boundary == 'zeros':
        return np.pad(cells, pad, constant_values=-1)
    return np.pad(cells, pad, mode=_MODES[boundary])


def _continued(x, axis, source):
    result = x.index_select(axis, source.clamp_min(0))
    if int(source.min()) < 0:
        result = result * _inside(source, axis, x)
    return result


def _added_up(y, axis, source, size):
    """Return the transpose of `_continued`."""
    if int(source.min()) < 0:
        y = y * _inside(source, axis, y)
    shape = list(y.shape)
    shape[axis] = size
    return y.new_zeros(shape).index_add(axis, source.clamp_min(0), y)


def _inside(source, axis, x):
    """Return 1 at the cells of the image and 0 past its boundary."""
    shape = [1] * x.ndim
    shape[axis] = -1
    return (source >= 0).to(x.real.dtype).reshape(shape)
