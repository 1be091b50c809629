# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The Walsh-Hadamard transform of images."""

from __future__ import annotations

import math

import torch

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Operator, Space
from odl_equivariant.elements import describe_space, first_part, tensor_dtype
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import register_batched

__all__ = ('HadamardTransform', 'hadamard')


class HadamardTransform(CheckedOperator):
    r"""The orthonormal Walsh-Hadamard transform along all axes.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Real or complex space of images, backed by numpy or pytorch, or a
        product of equal ones. Each side is a power of two, and all weights
        of the inner product are equal.

    Raises
    ------
    ValueError
        If a side is no power of two, or the weights differ.
    TypeError
        If ``space`` is no space of float32, float64, complex64 or
        complex128.

    Notes
    -----
    Along an axis of :math:`n = 2^m` cells it is the matrix

    .. math::
        H_{ij} = n^{-1/2}\, (-1)^{\langle i, j \rangle}

    with the number :math:`\langle i, j \rangle` of binary digits that are 1
    both in :math:`i` and in :math:`j`: the order of Sylvester. It is
    symmetric and its own inverse, and is computed by :math:`m` passes of sums
    and differences.

    Examples
    --------
    >>> import odl
    >>> transform = HadamardTransform(odl.rn(4))
    >>> transform([1, 0, 0, 3])
    rn(4).element([ 2., -1., -1.,  2.])
    >>> transform(transform([1, 0, 0, 3]))
    rn(4).element([ 1.,  0.,  0.,  3.])
    """

    def __init__(self, space: Space) -> None:
        tensor_dtype(space)
        weights = inner_product_weights(space)
        shape = tuple(first_part(space).shape)
        if any(n & (n - 1) for n in shape):
            raise ValueError(
                'the Hadamard transform needs sides that are powers of two, '
                f'got the shape {shape}: the nearest is '
                f'{tuple(_nearest_power(n) for n in shape)}'
            )
        if not bool((weights == weights.flatten()[0]).all()):
            raise ValueError(
                'the Hadamard transform needs equal weights of the inner '
                f'product, got different ones in {describe_space(space)}'
            )
        super().__init__(space, space, linear=True)

    def _call(self, x):
        layout, _ = layouts(self)
        return layout.element(_maps(self)[0](layout.tensor(x)[None])[0])

    @property
    def adjoint(self) -> Operator:
        """The transform itself."""
        return self

    @property
    def inverse(self) -> Operator:
        """The transform itself."""
        return self

    def norm(self, estimate: bool = False, **kwargs: object) -> float:
        """Return 1: the transform is unitary.

        Parameters
        ----------
        estimate, **kwargs :
            Not used: nothing has to be estimated.
        """
        return 1.0


def _nearest_power(n):
    below = 1 << (n.bit_length() - 1)
    return below if n - below <= 2 * below - n else 2 * below


def hadamard(x: torch.Tensor, n_axes: int) -> torch.Tensor:
    """Return the orthonormal transform along the last axes.

    Parameters
    ----------
    x : torch.Tensor
        Tensor whose last ``n_axes`` sides are powers of two.
    n_axes : int
        Number of axes.

    Returns
    -------
    transformed : torch.Tensor
        New tensor of the same shape.

    Examples
    --------
    >>> hadamard(torch.tensor([3.0, 1.0, 0.0, 0.0]), 1)
    tensor([2., 1., 2., 1.])
    """
    shape = x.shape
    scale = math.prod(shape[x.ndim - n_axes :]) ** -0.5
    # A pass for each binary digit, whatever its axis.
    flat = x.reshape(*shape[: x.ndim - n_axes], -1)
    size, half = flat.shape[-1], 1
    while half < size:
        pairs = flat.reshape(*flat.shape[:-1], size // (2 * half), 2, half)
        first, second = pairs[..., 0, :], pairs[..., 1, :]
        flat = torch.stack([first + second, first - second], -2)
        flat = flat.reshape(*x.shape[: x.ndim - n_axes], size)
        half *= 2
    return (scale * flat).reshape(shape)


@register_batched(HadamardTransform)
def _maps(operator):
    n_axes = len(layouts(operator)[0].shape) - 1

    def apply(x):
        return hadamard(x, n_axes) if x.numel() else torch.zeros_like(x)

    return apply, apply
