# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of ODL's functionals, and of operators made of numbers.

The derivatives of norms are torch's own, of any order. ODL's are wrong on
complex spaces: ODL returns ``<h, grad>`` instead of its real part.
"""

import odl
import torch
from odl.core.operator import default_ops
from odl.core.operator import operator as odl_operator
from odl.functionals import functional as odl_functional

from odl_equivariant.operators.batching.autograd import LinearMap
from odl_equivariant.operators.batching.layout import (
    Constant,
    Layout,
    Weights,
    layouts,
)
from odl_equivariant.operators.batching.registry import (
    batched_map,
    register_batched,
)
from odl_equivariant.operators.batching.structures import (
    Structure,
    chain,
    product,
)

__all__ = ('vector_maps',)


def _sum(x):
    return x.flatten(1).sum(1, keepdim=True)


def _squares(x):
    return (x * x.conj()).real if x.is_complex() else x.square()


def _root(squares):
    # the gradient at 0 is 0, as that of ODL's norms, and not infinite
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)


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


class _QuadraticForm(Structure):
    """``<x, A x + b> + c``; ODL's gradient is that of the real part."""

    def __init__(self, functional, domain, range):
        operator, vector = functional.operator, functional.vector
        maps = [] if operator is None else [batched_map(operator)]
        super().__init__(*maps)
        self._vector = None
        if vector is not None:
            self._vector = Constant(domain.tensor(vector).clone())
        self._weights, self._range = Weights(domain), range
        constant = complex(functional.constant)
        self._constant = constant if range.is_complex else constant.real

    def forward(self, x):
        image = sum(function(x) for function in self.maps)
        vector = 0 if self._vector is None else self._vector.like(x)
        # <b, x> alone has the vector in front, in ODL
        pair = (x, image + vector) if self.maps else (vector, x)
        product = pair[0] * pair[1].conj()
        value = _sum(self._weights.times(product)) + self._constant
        return value.to(self._range.dtype)


@register_batched(odl.functionals.QuadraticForm)
def _quadratic_form(functional):
    operator = functional.operator
    if operator is not None and operator.range != functional.domain:
        return None
    return _QuadraticForm(functional, *layouts(functional))


@register_batched(odl.functionals.L2Norm)
def _norm(functional):
    domain, range = layouts(functional)
    weights = Weights(domain)
    return lambda x: _root(_sum(weights.times(_squares(x)))).to(range.dtype)


@register_batched(odl.functionals.L1Norm)
def _sum_norm(functional):
    domain, range = layouts(functional)
    weights = Weights(domain)
    return lambda x: _sum(weights.times(x.abs())).to(range.dtype)


def _is_field_of_numbers(space):
    """Return whether there is one number for each part and place."""
    return not any(isinstance(part, odl.ProductSpace) for part in space)


@register_batched(odl.PointwiseNorm)
def _pointwise_norm(operator):
    known = operator.exponent in (1.0, 2.0) and not operator.is_weighted
    if not known or not _is_field_of_numbers(operator.domain):
        return None
    if operator.exponent == 1.0:
        return lambda x: x.abs().sum(1, keepdim=True)
    return lambda x: _root(_squares(x).sum(1, keepdim=True))


@register_batched(odl.functionals.GroupL1Norm)
def _group_norm(functional):
    domain, range = layouts(functional)
    norm = _pointwise_norm(functional.pointwise_norm)
    if norm is None:
        return None
    weights = Weights(Layout(functional.domain[0]))
    return lambda x: _sum(weights.times(norm(x))).to(range.dtype)


@register_batched(odl.functionals.Huber)
def _huber(functional):
    domain, range = layouts(functional)
    space, gamma = functional.domain, functional.gamma
    if isinstance(space, odl.ProductSpace):
        if not _is_field_of_numbers(space):
            return None
        space = space[0]
    weights = Weights(Layout(space))

    def huber(x):
        squares = _squares(x).sum(1, keepdim=True)
        values = norm = _root(squares)
        if gamma > 0:
            values = torch.where(
                norm < gamma, squares / (2 * gamma), norm - gamma / 2
            )
        return _sum(weights.times(values)).to(range.dtype)

    return huber


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
