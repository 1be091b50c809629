# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random linear measurements, as in compressed sensing."""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import odl
import torch
from odl.core.space.base_tensors import TensorSpace

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import boolean, one_of, whole_number
from odl_equivariant._types import Operator, Space, TensorMap
from odl_equivariant.elements import (
    describe_space,
    grid_shape,
    is_complex,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    register_batched,
)
from odl_equivariant.operators.degradations.hadamard import (
    HadamardTransform,
    hadamard,
)

__all__ = ('Ensemble', 'RandomMeasurements')

Ensemble = Literal['fourier', 'hadamard', 'gaussian']
_ENSEMBLES = ('fourier', 'hadamard', 'gaussian')
_LARGEST_MATRIX = 2**28  # entries: 1 GiB in single precision


class RandomMeasurements(CheckedOperator):
    r"""Some random linear measurements of an image.

    Parameters
    ----------
    space : `DiscretizedSpace` or `TensorSpace`
        Real or complex space of images, backed by numpy or pytorch. All
        weights of its inner product are equal.
    n_measurements : int
        Number of measurements, at least 1.
    ensemble : {'hadamard', 'fourier', 'gaussian'}, optional
        Random rows of the orthonormal Hadamard transform, whose sides are
        powers of two; random frequencies of the unitary Fourier transform,
        which are complex; or a matrix of normal random numbers, which is
        kept in memory.
    seed : int, optional
        Seed of the random numbers.
    scrambled : bool, optional
        Whether random signs multiply the image first, for the first two
        ensembles. Then each measurement sees all frequencies alike.
    orthonormal : bool, optional
        Whether the rows of the normal matrix are made orthonormal. Otherwise
        its entries have the variance ``1 / n_measurements``. The rows of the
        other two are orthonormal always.

    Raises
    ------
    ValueError
        If there are more orthonormal rows than cells, a side is no power of
        two, the matrix is too large, or the weights differ.
    TypeError
        If ``space`` is something else, or a number is not whole.

    Notes
    -----
    With a unitary transform :math:`U`, random signs :math:`D` and a random
    choice :math:`R` of rows without repetition, :math:`A = R U D`. The range
    has one axis and the weights of ``space``, so that :math:`A A^*` is the
    identity. With the Fourier transform of real images it is not, since
    frequencies come in conjugate pairs; :math:`\|A\| \le 1` still holds.

    Examples
    --------
    >>> sensing = RandomMeasurements(odl.rn((8, 8)), 16)
    >>> sensing.range
    rn(16)
    >>> y = sensing.range.one()
    >>> bool((sensing(sensing.adjoint(y)) - y).norm() < 1e-12)
    True
    """

    def __init__(
        self,
        space: Space,
        n_measurements: int,
        ensemble: Ensemble = 'hadamard',
        seed: int = 0,
        scrambled: bool = True,
        orthonormal: bool = True,
    ) -> None:
        if not isinstance(space, odl.DiscretizedSpace | TensorSpace):
            raise TypeError(
                'expected a `DiscretizedSpace` or a `TensorSpace`, got '
                f'{describe_space(space)}'
            )
        real = tensor_dtype(space)
        weights = inner_product_weights(space)
        weight = float(weights.flatten()[0])
        if not bool((weights == weight).all()):
            raise ValueError(
                'random measurements need equal weights of the inner product, '
                f'got different ones in {describe_space(space)}'
            )
        self._ensemble = one_of('ensemble', ensemble, _ENSEMBLES)
        self._seed = whole_number('seed', seed, 0)
        self._scrambled = boolean('scrambled', scrambled)
        self._orthonormal = boolean('orthonormal', orthonormal)
        n = whole_number('n_measurements', n_measurements, 1)
        size = math.prod(grid_shape(space))
        if n > size and (ensemble != 'gaussian' or orthonormal):
            raise ValueError(
                f'there are at most {size} orthonormal measurements of images '
                f'of the shape {grid_shape(space)}, got n_measurements={n}: '
                'take fewer, or '
                "ensemble='gaussian' with orthonormal=False"
            )
        if ensemble == 'hadamard':
            HadamardTransform(space)  # which says what a space must have
        if ensemble == 'gaussian' and n * size > _LARGEST_MATRIX:
            raise ValueError(
                f'a matrix of {n} x {size} normal random numbers takes '
                f'{n * size * real.itemsize / 2**30:.3g} GiB: take '
                "ensemble='hadamard' or 'fourier', which need no matrix, or "
                f'at most {_LARGEST_MATRIX // size} measurements'
            )
        is_complex_range = is_complex(space) or ensemble == 'fourier'
        make = odl.cn if is_complex_range else odl.rn
        double = real == torch.float64
        names = (
            ('complex64', 'complex128')
            if is_complex_range
            else (
                'float32',
                'float64',
            )
        )
        range = make(
            n,
            dtype=names[double],
            impl=space.impl,
            device=space.device,
            weighting=weight,
        )
        super().__init__(space, range, linear=True)

    @functools.cached_property
    def _parts(self):
        """Random signs and chosen rows, or the matrix."""
        rng = np.random.default_rng(self._seed)
        n, shape = self.range.size, grid_shape(self.domain)
        size = math.prod(shape)
        if self._ensemble == 'gaussian':
            matrix = rng.standard_normal((n, size)) / math.sqrt(n)
            if self._orthonormal:
                # signs of the diagonal make the distribution uniform
                columns, triangle = np.linalg.qr(matrix.T)
                matrix = (columns * np.sign(np.diag(triangle))).T
            return None, None, np.ascontiguousarray(matrix)
        rows = np.sort(rng.permutation(size)[:n])
        signs = rng.choice([-1.0, 1.0], shape) if self._scrambled else None
        return signs, rows, None

    @functools.cached_property
    def maps(self) -> tuple[TensorMap, TensorMap]:
        """The measurements and their transpose as maps of batches."""
        domain, range = layouts(self)
        signs, rows, matrix = self._parts
        shape = domain.shape[1:]
        if matrix is not None:
            dense = Constant(torch.from_numpy(matrix).to(domain.dtype))
            return (
                lambda x: x.flatten(2) @ dense.like(x).mT,
                lambda y: (y @ dense.like(y)).reshape(*y.shape[:2], *shape),
            )
        rows = Constant(torch.from_numpy(rows))
        if signs is not None:
            signs = Constant(torch.from_numpy(signs).to(domain.real_dtype))
        forward, backward = self._transforms(len(shape))

        def apply(x):
            if not x.numel():
                return range.zeros(x)
            if signs is not None:
                x = x * signs.like(x)
            transformed = forward(x).flatten(2)
            return transformed.index_select(2, rows.like(x))

        def transpose(y):
            if not y.numel():
                return domain.zeros(y)
            chosen = y.new_zeros((*y.shape[:2], math.prod(shape)))
            chosen.index_copy_(2, rows.like(y), y)
            x = domain.cast(backward(chosen.reshape(*y.shape[:2], *shape)))
            return x if signs is None else x * signs.like(x)

        return apply, transpose

    def _transforms(self, n_axes):
        axes = tuple(range(-n_axes, 0))
        if self._ensemble == 'hadamard':
            return (lambda x: hadamard(x, n_axes),) * 2
        return (
            lambda x: torch.fft.fftn(x, dim=axes, norm='ortho'),
            lambda y: torch.fft.ifftn(y, dim=axes, norm='ortho'),
        )

    def _call(self, x):
        domain, range = layouts(self)
        return range.element(self.maps[0](domain.tensor(x)[None])[0])

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint in the weighted inner products."""
        return AdjointOperator(self)

    def __reduce__(self):
        """Pickle the arguments only: the seed makes the same rows again."""
        return type(self), (
            self.domain,
            self.range.size,
            self._ensemble,
            self._seed,
            self._scrambled,
            self._orthonormal,
        )


@register_batched(RandomMeasurements)
def _batched(operator):
    return operator.maps
