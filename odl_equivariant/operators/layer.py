# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""ODL operators as torch modules."""

import odl
import torch
from torch import nn

from odl_equivariant.elements import (
    as_element,
    as_tensor,
    grid_shape,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators._astra_matrix import AstraMatrixImpl

__all__ = ('OperatorLayer',)


class _Loop:
    """Apply an operator to one element of a batch after the other."""

    def __init__(self, operator):
        self.operator = operator

    def __call__(self, x):
        domain, range = self.operator.domain, self.operator.range
        result = torch.empty(
            (len(x), n_channels(range), *grid_shape(range)),
            dtype=tensor_dtype(range),
            device=x.device,
        )
        for n, sample in enumerate(x):
            # a copy, as an operator may write into its argument
            element = as_element(sample, domain, copy=True)
            result[n] = as_tensor(self.operator(element))[0]
        return result


class _Weighted:
    """Multiply by weights, apply a map, multiply by other weights."""

    def __init__(self, function, before, after):
        self.function = function
        if before.numel() == after.numel() == 1:
            before, after = None, before * after
        self.before, self.after = before, after

    def __call__(self, x):
        if self.before is not None:
            x = x * self.before.to(x)
        return self.function(x) * self.after.to(x)


def _weights(space):
    weights = inner_product_weights(space)
    # equal channels with a constant weight: a single number
    if (weights == weights.flatten()[0]).all():
        return weights.flatten()[0]
    return weights


def _ray_transform_pair(operator):
    """Return the matrix of a ray transform and its transpose, or ``None``."""
    if not isinstance(operator, odl.applications.tomo.RayTransform):
        return None
    implementation = operator.get_impl(operator.use_cache)
    if not isinstance(implementation, AstraMatrixImpl):
        return None
    return implementation.forward, implementation.transpose


def _transpose_pair(operator):
    """Return an operator and its transpose as maps of batches.

    The transpose is that of the tensors' Euclidean inner product,
    ``A^T = w_X A^* w_Y^{-1}``. Where the operator itself has no map of
    batches, its adjoint may have one.
    """
    pair = _ray_transform_pair(operator)
    if pair is not None:
        return pair
    w_domain, w_range = _weights(operator.domain), _weights(operator.range)
    adjoint = operator.adjoint
    pair = _ray_transform_pair(adjoint)
    if pair is not None:
        apply, transpose = pair
        return (
            _Weighted(transpose, w_domain, 1 / w_range),
            _Weighted(apply, 1 / w_range, w_domain),
        )
    return _Loop(operator), _Weighted(_Loop(adjoint), 1 / w_range, w_domain)


class _LinearFunction(torch.autograd.Function):
    """A linear map, the derivatives of which are linear maps again."""

    @staticmethod
    def forward(x, apply, transpose):
        return apply(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.apply_batch, ctx.transpose_batch = inputs

    @staticmethod
    def backward(ctx, gradient):
        result = _LinearFunction.apply(
            gradient, ctx.transpose_batch, ctx.apply_batch
        )
        return result, None, None

    @staticmethod
    def vmap(info, in_dims, x, apply, transpose):
        x = x.movedim(in_dims[0], 0)
        result = _LinearFunction.apply(x.flatten(0, 1), apply, transpose)
        return result.unflatten(0, x.shape[:2]), 0

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _LinearFunction.apply(
            tangent, ctx.apply_batch, ctx.transpose_batch
        )


class OperatorLayer(nn.Module):
    r"""A linear ODL operator as a torch module.

    Parameters
    ----------
    operator : `odl.Operator`
        Linear operator with an adjoint, between spaces that
        `odl_equivariant.elements` can lay out as tensors.

    Raises
    ------
    TypeError
        If ``operator`` is not an ODL operator or not linear.

    Notes
    -----
    The module maps ``(N, C, *domain.shape)`` to ``(N, C', *range.shape)``,
    real tensors in the layout of `odl_equivariant.elements`. Autograd is
    handed the transpose

    .. math::
        A^T = w_X\, A^*\, w_Y^{-1},

    with :math:`w_X` and :math:`w_Y` the weights of the inner products, so that
    gradients are those of the tensors' Euclidean inner product, of any order.
    A ray transform with ``impl='astra_matrix'`` is applied to the whole batch
    at once, any other operator to one sample after the other.

    Examples
    --------
    >>> import numpy as np
    >>> matrix = np.array([[1, 0, 1], [0, 1, 1]], dtype='float32')
    >>> layer = OperatorLayer(odl.MatrixOperator(matrix))
    >>> layer(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[4., 5.]]])
    """

    def __init__(self, operator):
        super().__init__()
        if not isinstance(operator, odl.Operator):
            raise TypeError(
                f'expected an `odl.Operator`, got {type(operator).__name__}'
            )
        if not operator.is_linear:
            raise TypeError(f'expected a linear operator, got {operator!r}')
        if not isinstance(operator.range, odl.core.set.LinearSpace):
            raise TypeError(
                'expected an operator between spaces, got the functional '
                f'{operator!r}'
            )
        self.operator = operator
        self._dtype = tensor_dtype(operator.domain)
        self._shape = (
            n_channels(operator.domain),
            *grid_shape(operator.domain),
        )
        self._apply_batch, self._transpose_batch = _transpose_pair(operator)

    def __deepcopy__(self, memo):
        """Return a new layer of the same operator.

        Operators do not change, and ODL's spaces cannot be copied.
        """
        return type(self)(self.operator).train(self.training)

    @property
    def adjoint(self):
        """Layer of the operator's adjoint, in the weighted inner products."""
        return OperatorLayer(self.operator.adjoint)

    def forward(self, x):
        """Apply the operator to a batch.

        Parameters
        ----------
        x : torch.Tensor
            Tensor of shape ``(N, C, *domain.shape)`` of the precision of the
            operator's spaces.

        Returns
        -------
        result : torch.Tensor
            Tensor of shape ``(N, C', *range.shape)``.

        Raises
        ------
        ValueError
            If the shape of ``x`` does not fit the domain.
        TypeError
            If ``x`` is not a tensor of the right dtype.
        """
        if not isinstance(x, torch.Tensor):
            raise TypeError(
                f'expected a `torch.Tensor`, got {type(x).__name__}'
            )
        if x.ndim == 0 or tuple(x.shape[1:]) != self._shape:
            raise ValueError(
                f'expected a tensor of shape (N, {str(self._shape)[1:]} for '
                f'an operator on {self.operator.domain!r}, got '
                f'{tuple(x.shape)}'
            )
        if x.dtype != self._dtype:
            raise TypeError(
                f'expected a tensor of dtype {self._dtype} for an operator '
                f'on {self.operator.domain!r}, got {x.dtype}'
            )
        return _LinearFunction.apply(
            x, self._apply_batch, self._transpose_batch
        )
