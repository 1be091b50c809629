# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images of which some cells are not seen."""

from __future__ import annotations

import functools

import numpy as np
import odl
import torch
from numpy.typing import ArrayLike
from odl.core.space.base_tensors import TensorSpace

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Operator, Space, TensorMap
from odl_equivariant.elements import describe_space, grid_shape, tensor_dtype
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.per_sample import register_per_sample
from odl_equivariant.operators.batching.registry import register_batched

__all__ = ('Masking',)


class Masking(CheckedOperator):
    r"""The cells of an image that are seen, and zero elsewhere.

    Parameters
    ----------
    space : `DiscretizedSpace` or `TensorSpace`
        Real or complex space of images, backed by numpy or pytorch.
    mask : array-like or torch.Tensor
        Booleans, or zeros and ones, of the shape of the image: true where it
        is seen. They are copied.

    Raises
    ------
    ValueError
        If the mask has another shape, other values, or is zero everywhere.
    TypeError
        If ``space`` is something else.

    Notes
    -----
    It is an orthogonal projection, for all weights of the inner product.
    Operators of the samples of a batch, each with its own mask, are applied
    at once.

    Examples
    --------
    >>> Masking(odl.rn(3), [1, 0, 1])([4, 5, 6])
    rn(3).element([ 4.,  0.,  6.])
    """

    def __init__(self, space: Space, mask: ArrayLike | torch.Tensor) -> None:
        if not isinstance(space, odl.DiscretizedSpace | TensorSpace):
            raise TypeError(
                'expected a `DiscretizedSpace` or a `TensorSpace`, got '
                f'{describe_space(space)}'
            )
        tensor_dtype(space)
        self._mask = checked_mask(mask, grid_shape(space))
        super().__init__(space, space, linear=True)

    @property
    def mask(self) -> np.ndarray:
        """Booleans of the shape of the image, read-only."""
        return self._mask

    @functools.cached_property
    def maps(self) -> tuple[TensorMap, TensorMap]:
        """The operator and its transpose as maps of batches."""
        return _maps_of_masks(self, self._mask)

    def _call(self, x):
        layout, _ = layouts(self)
        return layout.element(self.maps[0](layout.tensor(x)[None])[0])

    @property
    def adjoint(self) -> Operator:
        """The operator itself."""
        return self

    def norm(self, estimate: bool = False, **kwargs: object) -> float:
        """Return 1, the norm of a projection.

        Parameters
        ----------
        estimate, **kwargs :
            Not used: nothing has to be estimated.
        """
        return 1.0

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self.domain, self._mask)


def checked_mask(mask, shape):
    """Return a mask as a new, read-only array of booleans of a shape."""
    if isinstance(mask, torch.Tensor):
        mask = mask.detach().cpu().numpy()
    array = np.asarray(mask)
    if array.shape != tuple(shape):
        raise ValueError(
            f'`mask` must have the shape {tuple(shape)} of the images, got '
            f'{array.shape}'
        )
    if array.dtype.kind not in 'biuf' or not np.isin(array, (0, 1)).all():
        found = 'other values'
        if array.dtype.kind in 'iuf':
            found = f'values from {array.min():g} to {array.max():g}'
        raise ValueError(
            '`mask` must consist of booleans, or of zeros and ones, got '
            f'dtype {array.dtype} with {found}; compare them, as in '
            '`mask > 0`'
        )
    array = array.astype(bool)
    if not array.any():
        raise ValueError(
            f'`mask` is zero everywhere: none of the {array.size} cells of '
            'the image would be seen'
        )
    array.flags.writeable = False
    return array


def _maps_of_masks(operator, masks):
    layout, _ = layouts(operator)
    seen = Constant(torch.tensor(masks).to(layout.real_dtype))

    def apply(x):
        return x * seen.like(x)

    return apply, apply


@register_batched(Masking)
def _batched(operator):
    return operator.maps


@register_per_sample(Masking)
def _per_sample(operators):
    masks = np.stack([operator.mask for operator in operators])
    return _maps_of_masks(operators[0], masks[:, None])
