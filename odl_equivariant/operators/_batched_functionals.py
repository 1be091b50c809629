# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of ODL's functionals, and of operators made of numbers.

The derivatives of norms are torch's own, of any order. ODL's are wrong on
complex spaces: they are ``<h, grad>``, of which the real part is meant.
"""

import odl
import torch
from odl.core.operator import default_ops
from odl.core.operator import operator as odl_operator
from odl.functionals import functional as odl_functional

from odl_equivariant.operators._autograd import LinearMap
from odl_equivariant.operators._layout import (
    Constant,
    Layout,
    Weights,
    layouts,
)
from odl_equivariant.operators._structures import chain, product
from odl_equivariant.operators.batched import batched_map, register_batched

__all__ = ('vector_maps',)


def _sum(x):
    return x.flatten(1).sum(1, keepdim=True)


def _squares(x):
    return x.real.square() + x.imag.square() if x.is_complex() else x.square()


def vector_maps(vector):
    """Return the multiplication of numbers by an element, and its transpose.

    Parameters
    ----------
    vector : element of `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        The element.

    Returns
    -------
    apply, transpose : callable
        Maps of batches of numbers and of elements in the complex layout.
    """
    layout = Layout(vector.space)
    factor = Constant(layout.tensor(vector).clone())

    def apply(x):
        return x.reshape(-1, *(1 for _ in layout.shape)) * factor.like(x)

    def transpose(y):
        return _sum(y * factor.like(y).conj())

    return apply, transpose


@register_batched(default_ops.InnerProductOperator)
def _inner_product(operator):
    weights = Weights(Layout(operator.domain))
    multiply, inner = vector_maps(operator.vector)
    return (
        lambda x: inner(weights.times(x)),
        lambda y: weights.times(multiply(y)),
    )


@register_batched(odl_operator.FunctionalLeftVectorMult)
def _functional_left_vector(operator):
    multiply = LinearMap(*vector_maps(operator.vector))
    return chain(batched_map(operator.functional), multiply)


@register_batched(
    odl.functionals.ConstantFunctional, odl.functionals.ZeroFunctional
)
def _constant(functional):
    domain, range = layouts(functional)
    if functional.is_linear:
        return range.zeros, domain.zeros
    scalar = range.tensor(functional.constant).item()
    zero = LinearMap(range.zeros, domain.zeros)
    return chain(zero, lambda y: y + scalar)


@register_batched(odl.functionals.L2NormSquared)
def _squared_norm(functional):
    domain, range = layouts(functional)
    weights = Weights(domain)
    return lambda x: _sum(weights.times(_squares(x))).to(range.dtype)


@register_batched(odl.functionals.L2Norm)
def _norm(functional):
    domain, range = layouts(functional)
    weights = Weights(domain)

    def norm(x):
        square = _sum(weights.times(_squares(x)))
        # the gradient at 0 is 0, as ODL's, and not infinite
        positive = square > 0
        root = torch.where(positive, square, 1).sqrt()
        return torch.where(positive, root, 0).to(range.dtype)

    return norm


@register_batched(odl.functionals.L1Norm)
def _sum_norm(functional):
    domain, range = layouts(functional)
    weights = Weights(domain)
    return lambda x: _sum(weights.times(x.abs())).to(range.dtype)


@register_batched(odl_functional.FunctionalTranslation)
def _translation(functional):
    domain, _ = layouts(functional)
    vector = Constant(domain.tensor(functional.translation).clone())
    return chain(
        lambda x: x - vector.like(x), batched_map(functional.functional)
    )


@register_batched(odl_functional.FunctionalScalarSum)
def _scalar_sum(functional):
    _, range = layouts(functional)
    scalar = complex(functional.scalar)
    scalar = scalar if range.is_complex else scalar.real
    return chain(batched_map(functional.left), lambda y: y + scalar)


@register_batched(
    odl_operator.OperatorPointwiseProduct, odl_functional.FunctionalProduct
)
def _product(operator):
    return product(batched_map(operator.left), batched_map(operator.right))
