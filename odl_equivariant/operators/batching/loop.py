# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Applies operators without a batched map to one sample at a time."""

import odl
import torch

from odl_equivariant._warnings import warn_user
from odl_equivariant.operators.batching.autograd import NonlinearMap
from odl_equivariant.operators.batching.derivative_check import DerivativeCheck
from odl_equivariant.operators.batching.exporting import check_not_exported
from odl_equivariant.operators.batching.layout import Weights, layouts

__all__ = ('PerformanceWarning', 'linear_loop', 'nonlinear_loop')

_SAID = set()
# wrong adjoints miss by far more, and projectors on a GPU by less
_ADJOINT_TOLERANCE = 1e-2


class PerformanceWarning(UserWarning):
    """Something works, but could be much faster."""


def _say_once(name):
    if name in _SAID:
        return
    _SAID.add(name)
    advice = (
        "with impl='astra_matrix' it takes a batch at once"
        if name in ('RayTransform', 'RayBackProjection')
        else 'see `register_batched` for how to apply it to a batch at once'
    )
    warn_user(
        f'`{name}` is applied to one sample of a batch after the other; '
        f'{advice}',
        PerformanceWarning,
    )


class _Loop:
    """Map the elements of a batch, sample by sample."""

    def __init__(self, name, operator, domain, range):
        self.name, self.operator = name, operator
        self.domain, self.range = domain, range

    def __call__(self, x):
        check_not_exported(f'`{self.name}`', 'ODL computes it', traced=False)
        if len(x) > 1:
            _say_once(self.name)
        result = self.range.zeros(x)
        for n, sample in enumerate(x):
            # a new element, as an operator may write into its argument
            y = self.operator(self.domain.element(sample))
            result[n] = self.range.tensor(y)
        return result


def _check_transpose(name, apply, transpose, like, domain):
    """Warn if ``|A x|^2`` is not ``<x, A^T A x>``, once for a layer.

    Some adjoints in ODL are wrong, and would silently give wrong gradients.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (1, *domain.shape)
    x = torch.randn(shape, generator=generator, dtype=domain.dtype)
    x = x.to(like.device)
    image = apply(x)
    square = float(image.abs().square().sum())
    product = float((x.conj() * transpose(image)).sum().real)
    if not abs(product - square) <= _ADJOINT_TOLERANCE * square:
        warn_user(
            f'the adjoint of `{name}` is not that of the weighted inner '
            f'products: <A x, A x> is {square:.6g}, <x, A^* A x> {product:.6g}'
            ', so that gradients through it are wrong',
            RuntimeWarning,
        )


def linear_loop(operator):
    """Return a linear operator and its transpose as loops over a batch.

    The transpose is that of the Euclidean inner product of tensors,
    ``A^T = w_X A^* w_Y^{-1}``.

    Parameters
    ----------
    operator : `odl.Operator`
        Linear operator with an adjoint.

    Returns
    -------
    apply, transpose : callable
        Maps of batches in the complex layout.
    """
    domain, range = layouts(operator)
    w_domain, w_range = Weights(domain), Weights(range)
    name = type(operator).__name__
    adjoint = operator.adjoint
    apply = _Loop(name, operator, domain, range)
    apply_adjoint = _Loop(name, adjoint, range, domain)

    def multiply(y):
        return w_domain.times(apply_adjoint(w_range.divide(y)))

    unchecked = [name]

    def transpose(y):
        if unchecked and len(y):
            _check_transpose(unchecked.pop(), apply, multiply, y, domain)
        return multiply(y)

    return apply, transpose


def nonlinear_loop(operator, linear_maps):
    """Return an operator as a loop over a batch, with first derivatives.

    Parameters
    ----------
    operator : `odl.Operator`
        Operator; its derivative is needed for gradients only.
    linear_maps : callable
        Returns the derivative and its transpose as maps of batches.

    Returns
    -------
    nonlinear : NonlinearMap
        Map of batches in the complex layout.
    """
    domain, range = layouts(operator)
    name = type(operator).__name__
    # the values of a functional are real, also if the space is complex: ODL's
    # derivative is <h, grad> instead of its real part
    is_real = isinstance(operator, odl.functionals.Functional)

    def real(y):
        return range.cast(y.real) if is_real else y

    def maps_at(point):
        return linear_maps(operator.derivative(domain.element(point)))

    def derivative(points, directions):
        result = range.zeros(points)
        for n, point in enumerate(points):
            result[n] = maps_at(point)[0](directions[n : n + 1])[0]
        return real(result)

    def transpose(points, directions):
        result = domain.zeros(points)
        for n, (point, k) in enumerate(
            zip(points, real(directions), strict=True)
        ):
            result[n] = maps_at(point)[1](k[None])[0]
        return result

    call = _Loop(name, operator, domain, range)
    check = DerivativeCheck(operator, call, derivative, transpose)

    def checked(linear):
        def apply(points, directions):
            check(points)
            return linear(points, directions)

        return apply

    def probe(x):
        for sample in x[:1]:
            try:
                maps_at(sample)
            except NotImplementedError as error:
                raise NotImplementedError(
                    f'`{name}` has no derivative with an adjoint, so that no '
                    'gradient can pass through it: apply it under '
                    '`torch.no_grad()` or to a detached tensor, or implement '
                    'its `derivative`'
                ) from error
        check(x)

    return NonlinearMap(
        call, checked(derivative), checked(transpose), probe, f'`{name}`'
    )
