# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The Fourier transform at any frequencies: radial and spiral MRI."""

from __future__ import annotations

import functools
import math

import numpy as np
import odl
import torch

from odl_equivariant import _checks
from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._packages import import_package
from odl_equivariant._types import Operator, Samples, Space, TensorMap
from odl_equivariant.elements import describe_space, grid_shape, tensor_dtype
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    register_batched,
)
from odl_equivariant.operators.fourier.coordinates import (
    as_coordinates,
    cell_sides,
    check_range,
    quiet_range,
)
from odl_equivariant.operators.fourier.plans import Plans
from odl_equivariant.operators.fourier.unitary import UnitaryFourierTransform

__all__ = ('NonUniformFourierTransform',)

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
_TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-12}


def _sample_space(space, shape):
    """Return the space of samples, with the weights of a space of images."""
    if isinstance(space, odl.ProductSpace):
        part = _sample_space(space[0], shape)
        return odl.ProductSpace(part, len(space), weighting=space.weighting)
    return odl.cn(
        shape,
        dtype=str(_COMPLEX[tensor_dtype(space)]).removeprefix('torch.'),
        impl=space.impl,
        device=space.device,
        weighting=float(space.weighting.const),
    )


class NonUniformFourierTransform(CheckedOperator):
    r"""The Fourier transform of an image at given frequencies.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Real or complex space of images with one to three axes, backed by
        numpy or pytorch, or a product of equal ones for the images of several
        coils. Its grid must be uniform, and all weights of its inner product
        equal.
    coordinates : array-like or torch.Tensor
        Angular frequencies :math:`\xi` of shape ``(*samples, ndim)``, in
        radians per unit of length of the space, as ODL has them; for a
        `TensorSpace` in radians per cell. `angular_frequencies` converts
        other units. Along an axis with cells of side :math:`s` they are from
        :math:`-\pi / s` to :math:`\pi / s`. They are copied.
    tol : float, optional
        Relative error of the values, that finufft aims at. Default: 1e-6 in
        single and 1e-12 in double precision. In single precision, rounding
        adds errors of about 1e-7 times the number of cells along an axis.

    Raises
    ------
    ValueError
        If the coordinates have another shape, are empty, not finite, or out
        of the range of the grid; if the space has more than three axes, no
        uniform grid, or different weights; or if ``tol`` is not between the
        precision of the space and 0.1.
    TypeError
        If the coordinates are not real numbers, or ``space`` is no space of
        float32, float64, complex64 or complex128.
    ImportError
        If finufft is not installed.

    Warns
    -----
    UserWarning
        If the coordinates reach less than a quarter of the largest frequency
        of the grid in all axes: they may be in another unit.

    Notes
    -----
    With :math:`N` cells of sides :math:`s`, the index :math:`c` of the
    origin, which is ``n // 2`` along each axis, and the frequency
    :math:`\xi_m` of the sample :math:`m`,

    .. math::
        (A u)_m = \frac{1}{\sqrt{N}} \sum_j u_j\,
        e^{-i\, \xi_m \cdot s (j - c)}, \qquad
        (A^* y)_j = \frac{1}{\sqrt{N}} \sum_m y_m\,
        e^{i\, \xi_m \cdot s (j - c)}.

    At the frequencies ``UnitaryFourierTransform(space).range.points()`` this
    is `UnitaryFourierTransform`; at some of them it is the non-zero part of
    `SubsampledFourierTransform`. The range has the shape ``samples``, and
    the weights of the domain. Both sums are computed by finufft (Barnett,
    Magland and af Klinteberg 2019) with the same kernels, so that the adjoint
    is exact to rounding, whatever ``tol`` is. For real spaces, :math:`A^*` is
    the real part of its sum.

    For images with coil sensitivities, the acquisition of magnetic resonance
    imaging is ``NonUniformFourierTransform(S.range, coordinates) * S`` with
    the `SensitivityEncoding` ``S``.

    The number of threads is that of torch. Several Python threads can use one
    operator at the same time. finufft runs on the processor: tensors on other
    devices are copied there and back. There are no gradients with respect to
    the coordinates.

    Examples
    --------
    >>> transform = NonUniformFourierTransform(odl.cn(4), [[0.0], [np.pi]])
    >>> y = transform([0, 1, 1, 0])
    >>> np.round(y.asarray().real, 6) + 0
    array([ 1.,  0.])
    """

    def __init__(
        self, space: Space, coordinates: Samples, tol: float | None = None
    ) -> None:
        UnitaryFourierTransform(space)  # which says what a space must have
        shape = grid_shape(space)
        if len(shape) > 3:
            raise ValueError(
                'images must have one to three axes, got the shape '
                f'{shape} in {describe_space(space)}'
            )
        precision = tensor_dtype(space)
        tol = _TOLERANCES[precision] if tol is None else tol
        least = 4 * torch.finfo(precision).eps
        self._tol = _checks.real_number('tol', tol, least, 0.1)
        self._coordinates = as_coordinates(coordinates, len(shape))
        self._coordinates.flags.writeable = False
        check_range(self._coordinates, space)
        import_package('finufft', type(self).__name__)
        range = _sample_space(space, self._coordinates.shape[:-1])
        super().__init__(space, range, linear=True)

    @property
    def coordinates(self) -> np.ndarray:
        """Angular frequencies of shape ``(*samples, ndim)``, read-only."""
        return self._coordinates

    @property
    def tol(self) -> float:
        """Relative error of the values."""
        return self._tol

    @functools.cached_property
    def maps(self) -> tuple[TensorMap, TensorMap]:
        """The transform and its transpose as maps of batches."""
        points = (self._coordinates * cell_sides(self.domain)).reshape(
            -1, self._coordinates.shape[-1]
        )
        domain, range = layouts(self)
        images, samples = domain.shape[1:], range.shape[1:]
        plans = Plans(points, images, self._tol)
        scale, flat = 1 / math.sqrt(math.prod(images)), (len(points),)

        def mapped(function, x, flat_shape, in_shape, out_shape):
            leading = x.shape[: x.ndim - len(in_shape)]
            if x.numel() == 0:
                return x.new_zeros((*leading, *out_shape), dtype=range.dtype)
            array = x.detach().to('cpu', range.dtype).resolve_conj()
            array = array.resolve_neg().contiguous().numpy()
            result = function(array.reshape(-1, *flat_shape))
            result *= scale
            result = torch.from_numpy(result).reshape(*leading, *out_shape)
            return result.to(x.device)

        return (
            lambda x: mapped(plans.apply, x, images, images, samples),
            lambda y: domain.cast(
                mapped(plans.transpose, y, flat, samples, images)
            ),
        )

    def _call(self, x):
        domain, range = layouts(self)
        return range.element(self.maps[0](domain.tensor(x)[None])[0])

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint in the weighted inner products."""
        return AdjointOperator(self)

    def __reduce__(self):
        """Pickle the arguments only."""
        return _restored, (self.domain, self._coordinates, self._tol)


def _restored(space, coordinates, tol):
    with quiet_range():  # said when the operator was made
        return NonUniformFourierTransform(space, coordinates, tol)


@register_batched(NonUniformFourierTransform)
def _batched(operator):
    return operator.maps
