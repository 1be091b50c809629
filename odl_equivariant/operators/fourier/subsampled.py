# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""The Fourier transform at some frequencies: magnetic resonance imaging."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Axes, Operator, Samples, Space
from odl_equivariant.elements import first_part, grid_shape, is_complex
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.per_sample import register_per_sample
from odl_equivariant.operators.batching.registry import register_batched
from odl_equivariant.operators.fourier.fft import scaled_weights
from odl_equivariant.operators.fourier.fft_torch import centred_fft_torch
from odl_equivariant.operators.fourier.masks import CartesianMask
from odl_equivariant.operators.fourier.unitary import (
    UnitaryFourierTransform,
    batch_axes,
    transform_element,
)

__all__ = ('SubsampledFourierTransform',)


def _boolean(mask, shape):
    """Return a mask as a boolean array, broadcastable to a shape."""
    if isinstance(mask, torch.Tensor):
        mask = mask.detach().cpu().numpy()
    if not isinstance(mask, CartesianMask):
        mask = np.asarray(mask)
        if mask.dtype.kind not in 'buif':
            raise TypeError(
                '`mask` must be an array of booleans, or of zeros and ones, '
                f'got dtype {mask.dtype}'
            )
        wrong = ~((mask == 0) | (mask == 1))
        if wrong.any():
            raise ValueError(
                '`mask` must consist of booleans, or of zeros and ones, got '
                f'{mask[wrong].flat[0]}: for weights of the samples, multiply '
                'the transform by an `odl.MultiplyOperator`'
            )
    array = np.array(mask, dtype=bool)
    if array.ndim != len(shape) or any(
        m not in (1, n) for m, n in zip(array.shape, shape, strict=True)
    ):
        others = ', '.join(['None'] * (len(shape) - 1))
        raise ValueError(
            f'`mask` must have the shape {shape} of the transform, or length '
            f'1 along some axes, got shape {array.shape}'
            + (
                f'; of lines along the last axis, pass `mask[{others}]`'
                if array.shape == shape[-1:]
                else ''
            )
        )
    if not array.any():
        raise ValueError(
            '`mask` must be true somewhere, got one that samples nothing'
        )
    array.flags.writeable = False
    return array


def _has_pair(mask, axes):
    """Return whether a frequency and its negative are both sampled."""
    mirrored = mask
    for axis in axes:
        n = mask.shape[axis]
        indices = (2 * (n // 2) - np.arange(n)) % n
        mirrored = np.take(mirrored, indices, axis)
    return bool((mask & mirrored).any())


class SubsampledFourierTransform(CheckedOperator):
    r"""The unitary Fourier transform, with zeros where it is not sampled.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of images, see `UnitaryFourierTransform`; a product of equal
        spaces for the images of several coils.
    mask : array-like, torch.Tensor or `CartesianMask`
        Where to sample: booleans, or zeros and ones, of the shape of one
        image, or with length 1 along axes on which it does not depend. The
        zero frequency is at index ``n // 2``. The samples of all parts of a
        product space are the same.
    axes : int or sequence of int, optional
        Axes along which to transform. Default: all.

    Raises
    ------
    ValueError
        If the mask has another shape or other values, or samples nothing;
        and see `UnitaryFourierTransform`.
    TypeError
        If the mask is not an array of numbers; and see
        `UnitaryFourierTransform`.

    Notes
    -----
    With the mask :math:`m` and the unitary transform :math:`F`,

    .. math::
        A u = m\, F u, \qquad A^* y = F^* (m\, y), \qquad \|A\| = 1,

    and on complex spaces :math:`A A^*` is the multiplication by :math:`m`. On
    real spaces, where the transforms at a frequency and its negative have the
    same modulus, :math:`\|A\| = \sqrt{1 / 2}` if never both are sampled.
    For images :math:`u` with coil sensitivities :math:`c_j`, the acquisition
    of magnetic resonance imaging is ``SubsampledFourierTransform(S.range,
    mask) * S`` with the `SensitivityEncoding` ``S`` (Pruessmann et al. 1999).

    Examples
    --------
    >>> import odl
    >>> transform = SubsampledFourierTransform(odl.cn(4), [0, 1, 1, 0])
    >>> transform([0, 0, 1, 0])
    cn(4).element([ 0.0+0.j,  0.5+0.j,  0.5+0.j,  0.0+0.j])
    >>> transform.sampling_fraction
    0.5
    """

    def __init__(
        self,
        space: Space,
        mask: Samples,
        axes: Axes | None = None,
    ) -> None:
        self._transform = UnitaryFourierTransform(space, axes)
        self._mask = _boolean(mask, grid_shape(space))
        super().__init__(space, self._transform.range, linear=True)

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes of the transform, not negative."""
        return self._transform.axes

    @property
    def mask(self) -> np.ndarray:
        """Boolean numpy array of the shape of one image, read-only."""
        return np.broadcast_to(self._mask, grid_shape(self.domain))

    @property
    def sampling_fraction(self) -> float:
        """The fraction of frequencies that are sampled."""
        return float(self._mask.mean())

    @property
    def transform(self) -> UnitaryFourierTransform:
        """The `UnitaryFourierTransform` without the mask."""
        return self._transform

    @functools.cached_property
    def _weights(self):
        space = first_part(self.range)
        if space.impl == 'numpy':
            return scaled_weights(
                self._mask, space.shape, self.axes, np.dtype(space.dtype)
            )
        return torch.tensor(self._mask, device=space.device)

    def _call(self, x):
        return transform_element(
            x, self.range, self.axes, weights=self._weights
        )

    def norm(self, estimate: bool = False, **kwargs: Any) -> float:
        """Return the norm of the operator, which is known exactly.

        Parameters
        ----------
        estimate, **kwargs :
            Not used: nothing has to be estimated.

        Returns
        -------
        norm : float
            1, or on real spaces the square root of 1/2 if no frequency is
            sampled together with its negative.
        """
        if is_complex(self.domain) or _has_pair(self._mask, self.axes):
            return 1.0
        return 0.5**0.5

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint: the inverse transform of what is sampled."""
        return _SubsampledFourierTransformAdjoint(self)

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self.domain, self._mask, self.axes)


class _SubsampledFourierTransformAdjoint(CheckedOperator):
    """Adjoint of a `SubsampledFourierTransform`."""

    def __init__(self, transform):
        self._subsampled = transform
        super().__init__(transform.range, transform.domain, linear=True)

    def _call(self, y):
        return transform_element(
            y,
            self.range,
            self._subsampled.axes,
            inverse=True,
            weights=self._subsampled._weights,
        )

    @property
    def adjoint(self):
        """The transform itself."""
        return self._subsampled

    def norm(self, estimate=False, **kwargs):
        """Return the norm of the operator, that of the transform."""
        return self._subsampled.norm()

    def __reduce__(self):
        """Pickle the transform only."""
        return type(self), (self._subsampled,)


def _maps(operator, mask):
    domain, _ = layouts(operator)
    axes = batch_axes(operator)
    mask = Constant(torch.tensor(mask))
    return (
        lambda x: centred_fft_torch(x, axes, weights=mask.like(x)),
        lambda y: domain.cast(
            centred_fft_torch(y, axes, inverse=True, weights=mask.like(y))
        ),
    )


@register_batched(SubsampledFourierTransform)
def _batched(operator):
    return _maps(operator, operator.mask)


@register_per_sample(SubsampledFourierTransform)
def _per_sample(operators):
    if len({operator.axes for operator in operators}) > 1:
        return None
    masks = np.broadcast_arrays(*(operator._mask for operator in operators))
    # all parts of a product space share a mask
    return _maps(operators[0], np.stack(masks)[:, None])


@register_batched(_SubsampledFourierTransformAdjoint)
def _batched_adjoint(operator):
    # the weights of both spaces are the same: the transpose is the adjoint
    return _batched(operator.adjoint)[::-1]
