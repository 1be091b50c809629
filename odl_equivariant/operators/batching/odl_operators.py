# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of ODL's own operators."""

import numpy as np
import odl
import torch
from odl.core.operator import default_ops, tensor_ops
from odl.core.operator import operator as odl_operator
from odl.functionals import functional as odl_functional
from scipy import sparse

from odl_equivariant._checked_operator import CheckedComposition
from odl_equivariant._warnings import quiet
from odl_equivariant.operators.batching.autograd import LinearMap
from odl_equivariant.operators.batching.exporting import check_not_exported
from odl_equivariant.operators.batching.functionals import vector_maps
from odl_equivariant.operators.batching.layout import Constant, Layout, layouts
from odl_equivariant.operators.batching.registry import (
    batched_map,
    register_batched,
)
from odl_equivariant.operators.batching.structures import chain, total

__all__ = ()


def _conj(x):
    return x.conj().resolve_conj() if x.is_complex() else x


def _torch_scalar(scalar, layout):
    """Return a scalar that does not make a real tensor complex."""
    return complex(scalar) if layout.is_complex else float(scalar)


# --- Multiplications --- #


def _scaling_maps(scalar, layout):
    """Return the multiplication by a number in a space."""
    scalar = _torch_scalar(scalar, layout)
    conjugate = np.conj(scalar).item()
    return lambda x: x * scalar, lambda y: y * conjugate


@register_batched(default_ops.ScalingOperator, default_ops.IdentityOperator)
def _scaling(operator):
    return _scaling_maps(operator.scalar, Layout(operator.domain))


@register_batched(default_ops.ZeroOperator)
def _zero(operator):
    domain, range = layouts(operator)
    return range.zeros, domain.zeros


@register_batched(default_ops.ConstantOperator)
def _constant(operator):
    domain, range = layouts(operator)
    if operator.is_linear:
        return range.zeros, domain.zeros
    vector = Constant(range.tensor(operator.constant).clone())
    zero = LinearMap(range.zeros, domain.zeros)
    return chain(zero, lambda y: y + vector.like(y))


def _multiplication(vector, domain, range):
    """Return the pointwise multiplication by an element of a space."""
    factor = Constant(Layout(vector.space).tensor(vector).clone())

    def apply(x):
        return range.cast(x * factor.like(x))

    def transpose(y):
        return domain.cast(y * _conj(factor.like(y)))

    return apply, transpose


@register_batched(default_ops.MultiplyOperator)
def _multiply(operator):
    domain, range = layouts(operator)
    factor = operator.multiplicand
    if not hasattr(factor, 'space'):
        factor = complex(factor)
        if not factor.imag:
            factor = factor.real
        return (
            lambda x: range.cast(x * factor),
            lambda y: domain.cast(y * factor.conjugate()),
        )
    if domain.is_field:
        apply, transpose = vector_maps(factor)
        return (
            lambda x: range.cast(apply(x)),
            lambda y: domain.cast(transpose(y)),
        )
    # a factor of another shape is spread as ODL's spaces see fit
    if not Layout(factor.space).shape == domain.shape == range.shape:
        return None
    return _multiplication(factor, domain, range)


@register_batched(odl_operator.OperatorLeftVectorMult)
def _left_vector(operator):
    # the range may be a field, and the vector a number
    range = Layout(operator.range)
    if range.is_field:
        multiply = _scaling_maps(operator.vector, range)
    else:
        multiply = _multiplication(operator.vector, range, range)
    return chain(batched_map(operator.operator), LinearMap(*multiply))


@register_batched(
    odl_operator.OperatorRightVectorMult,
    odl_functional.FunctionalRightVectorMult,
)
def _right_vector(operator):
    domain = Layout(operator.domain)
    multiply = _multiplication(operator.vector, domain, domain)
    return chain(LinearMap(*multiply), batched_map(operator.operator))


@register_batched(
    odl_operator.OperatorLeftScalarMult,
    odl_functional.FunctionalLeftScalarMult,
)
def _left_scalar(operator):
    multiply = _scaling_maps(operator.scalar, Layout(operator.range))
    return chain(batched_map(operator.operator), LinearMap(*multiply))


@register_batched(
    odl_operator.OperatorRightScalarMult,
    odl_functional.FunctionalRightScalarMult,
)
def _right_scalar(operator):
    multiply = _scaling_maps(operator.scalar, Layout(operator.domain))
    return chain(LinearMap(*multiply), batched_map(operator.operator))


@register_batched(odl.MatrixOperator)
def _matrix(operator):
    domain, range = layouts(operator)
    matrix = operator.matrix
    if operator.is_sparse:
        return _sparse_matrix(matrix, domain, range)
    if isinstance(matrix, np.ndarray):
        matrix = torch.from_numpy(np.array(matrix))
    dtype = torch.promote_types(domain.dtype, range.dtype)
    matrix = Constant(matrix.detach().to(dtype))
    # counted from the end, where a batch has no more axes than an element
    axis = operator.axis
    axis -= len(operator.domain.shape) if axis >= 0 else 0

    def apply(x):
        x = x.to(dtype).movedim(axis, -1) @ matrix.like(x).mT
        return range.cast(x.movedim(-1, axis).contiguous())

    def transpose(y):
        y = y.to(dtype).movedim(axis, -1) @ _conj(matrix.like(y))
        return domain.cast(y.movedim(-1, axis).contiguous())

    return apply, transpose


def sparse_constant(matrix, dtype):
    """Return a sparse matrix of SciPy as one of torch, on each device."""
    csr = matrix.tocsr()
    with quiet('Sparse CSR tensor support is in beta'):
        tensor = torch.sparse_csr_tensor(
            torch.from_numpy(csr.indptr.astype('int64')),
            torch.from_numpy(csr.indices.astype('int64')),
            torch.from_numpy(csr.data.copy()).to(dtype),
            size=csr.shape,
            check_invariants=False,
        )
    return Constant(tensor)


def _sparse_matrix(matrix, domain, range):
    if not sparse.issparse(matrix):
        matrix = matrix.detach().cpu().to_sparse_coo().coalesce()
        matrix = sparse.coo_matrix(
            (matrix.values(), matrix.indices()), shape=tuple(matrix.shape)
        )
    dtype = torch.promote_types(domain.dtype, range.dtype)
    forward = sparse_constant(matrix, dtype)
    backward = sparse_constant(matrix.conj().T, dtype)

    def multiply(x, matrix, layout):
        check_not_exported('the `MatrixOperator`', 'its matrix is sparse')
        columns = x.to(dtype)[:, 0].T.contiguous()
        return layout.cast((matrix.like(x) @ columns).T.contiguous()[:, None])

    return (
        lambda x: multiply(x, forward, range),
        lambda y: multiply(y, backward, domain),
    )


# --- Real and imaginary parts --- #


@register_batched(default_ops.RealPart)
def _real_part(operator):
    domain, range = layouts(operator)
    return lambda x: range.cast(x).clone(), lambda y: y.to(domain.dtype)


@register_batched(default_ops.ImagPart)
def _imaginary_part(operator):
    domain, range = layouts(operator)
    if not domain.is_complex:
        return range.zeros, domain.zeros
    return (
        lambda x: x.imag.clone(),
        lambda y: torch.complex(torch.zeros_like(y), y),
    )


@register_batched(default_ops.ComplexEmbedding)
def _embedding(operator):
    domain, range = layouts(operator)
    scalar = complex(operator.scalar)
    return (
        lambda x: x.to(range.dtype) * scalar,
        lambda y: domain.cast(y * scalar.conjugate()),
    )


# --- Places of values --- #


def _sampling_maps(operator, factor, space):
    index = Constant(torch.tensor(operator._indices_flat.tolist()))
    layout = Layout(space)

    def sample(x):
        return x.flatten(2).index_select(2, index.like(x)) * factor

    def insert(y):
        # adds up what was sampled twice
        result = layout.zeros(y).flatten(2)
        result.index_add_(2, index.like(y), y * factor)
        return result.unflatten(2, layout.shape[1:])

    return sample, insert


@register_batched(odl.SamplingOperator)
def _sampling(operator):
    volume = getattr(operator.domain, 'cell_volume', 1.0)
    factor = float(volume) if operator.variant == 'integrate' else 1.0
    return _sampling_maps(operator, factor, operator.domain)


@register_batched(tensor_ops.WeightedSumSamplingOperator)
def _weighted_sum(operator):
    volume = getattr(operator.range, 'cell_volume', 1.0)
    factor = 1 / float(volume) if operator.variant == 'dirac' else 1.0
    sample, insert = _sampling_maps(operator, factor, operator.range)
    return insert, sample


@register_batched(odl.FlatteningOperator)
def _flattening(operator):
    domain, _ = layouts(operator)
    return (
        lambda x: x.flatten(2).clone(),
        lambda y: y.unflatten(2, domain.shape[1:]).clone(),
    )


# --- Compositions and sums --- #


@register_batched(
    CheckedComposition,
    odl_operator.OperatorComp,
    odl_functional.FunctionalComp,
)
def _composition(operator):
    return chain(batched_map(operator.right), batched_map(operator.left))


@register_batched(odl_operator.OperatorSum, odl_functional.FunctionalSum)
def _sum(operator):
    return total(batched_map(operator.left), batched_map(operator.right))


@register_batched(odl_operator.OperatorVectorSum)
def _shift(operator):
    _, range = layouts(operator)
    vector = Constant(range.tensor(operator.vector).clone())
    return chain(batched_map(operator.operator), lambda y: y + vector.like(y))
