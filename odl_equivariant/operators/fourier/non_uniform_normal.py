# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The normal operator of a non-uniform Fourier transform, by FFTs."""

from __future__ import annotations

import functools
import math

import numpy as np
import odl
import torch

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Operator, Samples, TensorMap
from odl_equivariant.elements import first_part, grid_shape
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import register_batched
from odl_equivariant.operators.fourier.coordinates import (
    cell_sides,
    quiet_range,
)
from odl_equivariant.operators.fourier.density import (
    check_transform,
    checked_weights,
)
from odl_equivariant.operators.fourier.non_uniform import (
    NonUniformFourierTransform,
)

__all__ = ('NonUniformNormalOperator',)


class NonUniformNormalOperator(CheckedOperator):
    r"""The normal operator :math:`A^* w A` of a non-uniform transform.

    Parameters
    ----------
    transform : `NonUniformFourierTransform`
        Transform :math:`A`, possibly of the images of several coils.
    weights : array-like or torch.Tensor, optional
        Real weights :math:`w` of the shape of the samples, not negative.
        Default: 1.

    Raises
    ------
    ValueError
        If the weights have another shape, are negative, or not finite.
    TypeError
        If the weights are not real numbers, or ``transform`` is something
        else.

    Notes
    -----
    :math:`A^* w A` is a Toeplitz operator, the convolution with

    .. math::
        t_l = \frac{1}{N} \sum_m w_m\, e^{i\, \xi_m \cdot s\, l}

    of images continued by zero (Fessler et al. 2005). Two FFTs of twice the
    size along each axis compute it, in a time that does not depend on the
    number of samples. So :math:`\nabla \tfrac12 \|A u - y\|^2` is this
    operator minus the constant :math:`A^* y`. It is self-adjoint to rounding.

    Examples
    --------
    >>> transform = NonUniformFourierTransform(odl.cn(2), [[np.pi]])
    >>> normal = NonUniformNormalOperator(transform)
    >>> np.round(normal([1, 3]).asarray().real, 6) + 0
    array([-1.,  1.])
    """

    def __init__(
        self,
        transform: NonUniformFourierTransform,
        weights: Samples | None = None,
    ) -> None:
        check_transform(transform)
        if weights is None:
            weights = np.ones(grid_shape(transform.range))
        self._transform = transform
        self._weights = checked_weights(weights, transform)
        self._weights.flags.writeable = False
        space = transform.domain
        super().__init__(space, space, linear=True)

    @property
    def transform(self) -> NonUniformFourierTransform:
        """The transform of which this is the normal operator."""
        return self._transform

    @property
    def weights(self) -> np.ndarray:
        """Weights of the samples, a float64 array, read-only."""
        return self._weights

    @functools.cached_property
    def _multiplier(self):
        """The eigenvalues of the convolution, for the doubled grid."""
        part = first_part(self.domain)
        points = self._transform.coordinates * cell_sides(part)
        shape = tuple(2 * n for n in part.shape)
        grid = odl.cn(shape, dtype='complex128')
        with quiet_range():
            doubled = NonUniformFourierTransform(
                grid, points, self._transform.tol
            )
        weights = torch.from_numpy(self._weights.astype(complex))
        kernel = doubled.maps[1](weights[None, None])[0, 0]
        axes = tuple(range(kernel.ndim))
        # The kernel is Hermitian but at the first distances, which no two
        # cells have.
        values = torch.fft.fftn(torch.fft.ifftshift(kernel, dim=axes))
        scale = math.sqrt(math.prod(shape)) / part.size
        return values.real * scale

    @functools.cached_property
    def maps(self) -> tuple[TensorMap, TensorMap]:
        """The operator and its transpose as maps of batches."""
        domain, _ = layouts(self)
        multiplier = Constant(self._multiplier.to(domain.real_dtype))
        shape = domain.shape[1:]
        axes = tuple(range(-len(shape), 0))
        doubled = [2 * n for n in shape]
        corner = (..., *(slice(n) for n in shape))

        def apply(x):
            if x.numel() == 0:
                return torch.zeros_like(x)
            spectrum = torch.fft.fftn(x, s=doubled, dim=axes)
            spectrum *= multiplier.like(x)
            result = torch.fft.ifftn(spectrum, dim=axes)[corner]
            return domain.cast(result).contiguous()

        return apply, apply

    def _call(self, x):
        domain, _ = layouts(self)
        return domain.element(self.maps[0](domain.tensor(x)[None])[0])

    @property
    def adjoint(self) -> Operator:
        """The operator itself."""
        return self

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self._transform, self._weights)


@register_batched(NonUniformNormalOperator)
def _batched(operator):
    return operator.maps
