# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Factors of compositions, and which of them are isometric."""

from functools import reduce

import numpy as np
import odl
from odl.core.operator import operator as odl_operator

from odl_equivariant.actions.action import Action
from odl_equivariant.elements import is_complex
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import AdjointOperator
from odl_equivariant.operators.fourier.subsampled import (
    SubsampledFourierTransform,
)
from odl_equivariant.operators.fourier.unitary import (
    UnitaryFourierTransform,
    UnitaryFourierTransformInverse,
)

__all__ = (
    'composed',
    'factorised',
    'gain',
    'is_isometric_action',
    'moduli',
    'split',
)

# Of moduli that are meant to be equal, such as those of phases.
_ROUNDING = 1e-12


def factorised(operator):
    """Return a linear operator as a number and factors, the last first.

    Parameters
    ----------
    operator : `odl.Operator`
        Linear operator.

    Returns
    -------
    scalar : float or complex
        Product of the numbers in the composition.
    factors : list of `odl.Operator`
        Operators whose composition, times the number, is ``operator``.
    """
    if isinstance(operator, odl.OperatorComp):
        scalar, factors = factorised(operator.left)
        other, right = factorised(operator.right)
        return scalar * other, factors + right
    if isinstance(
        operator, (odl.OperatorLeftScalarMult, odl.OperatorRightScalarMult)
    ):
        scalar, factors = factorised(operator.operator)
        return scalar * operator.scalar, factors
    if isinstance(operator, odl.OperatorLeftVectorMult):
        scalar, factors = factorised(operator.operator)
        return scalar, [_multiplication(operator), *factors]
    if isinstance(operator, odl.OperatorRightVectorMult):
        scalar, factors = factorised(operator.operator)
        return scalar, [*factors, _multiplication(operator)]
    if isinstance(operator, odl.ScalingOperator):
        return operator.scalar, []
    if isinstance(operator, AdjointOperator):
        scalar, factors = factorised(operator.operator)
        if _is_one(factors, operator.operator):
            return scalar, [operator]
        adjoints = [_adjoint(factor) for factor in reversed(factors)]
        return scalar.conjugate(), adjoints
    return 1.0, [operator]


def _is_one(factors, operator):
    return len(factors) == 1 and factors[0] is operator


def _multiplication(operator):
    return odl.MultiplyOperator(operator.vector)


def _adjoint(factor):
    if isinstance(factor, (Action, AdjointOperator)):
        return factor.adjoint
    return AdjointOperator(factor)


def composed(factors):
    """Return the composition of at least one factor."""
    return reduce(odl_operator.OperatorComp, factors)


def split(factors, keeps_left, keeps_right):
    """Return the factors at the left, in the middle and at the right.

    The left factors are those before the first that does not fulfil
    ``keeps_left``. The right factors are found in the same way.
    """
    first, last = 0, len(factors)
    while first < last and keeps_left(factors[first]):
        first += 1
    while first < last and keeps_right(factors[last - 1]):
        last -= 1
    return factors[:first], factors[first:last], factors[last:]


def is_isometric_action(operator):
    """Return whether an operator is a linear action that keeps lengths."""
    return (
        isinstance(operator, Action)
        and operator.is_linear
        and operator.is_isometry
    )


def gain(operator, adjoint=False):
    """Return the factor by which an operator changes all lengths.

    Parameters
    ----------
    operator : `odl.Operator`
        Linear operator.
    adjoint : bool, optional
        Whether to return that of the adjoint instead, which is another one
        unless the operator is a multiple of a unitary one.

    Returns
    -------
    gain : float or None
        ``None`` if the lengths are not known to be changed by one factor.
    """
    if isinstance(operator, AdjointOperator):
        return gain(operator.operator, not adjoint)
    scalar, factors = factorised(operator)
    if not _is_one(factors, operator):
        gains = [gain(factor, adjoint) for factor in factors]
        return None if None in gains else float(abs(scalar) * np.prod(gains))
    if is_isometric_action(operator):
        return 1.0
    if isinstance(operator, odl.DiagonalOperator):
        return _diagonal_gain(operator, adjoint)
    if type(operator) is odl.MultiplyOperator:
        return _multiplication_gain(operator)
    if type(operator) is UnitaryFourierTransformInverse:
        return gain(operator.inverse, not adjoint)
    is_transform = type(operator) is UnitaryFourierTransform or (
        type(operator) is SubsampledFourierTransform and operator.mask.all()
    )
    # on a real space, the adjoint is the real part and forgets the other
    onto = is_transform and (not adjoint or is_complex(operator.domain))
    return 1.0 if onto else None


def _multiplication_gain(operator):
    values = moduli(operator)
    if values is None or not _is_endomorphism(operator):
        return None
    least, most = float(values.min()), float(values.max())
    return most if most - least <= _ROUNDING * most else None


def _is_endomorphism(operator):
    try:
        return operator.domain == operator.range
    except AttributeError:
        # see `moduli`
        return False


def _diagonal_gain(operator, adjoint):
    gains = {gain(block, adjoint) for block in operator.operators}
    euclidean = operator.domain.exponent == operator.range.exponent == 2.0
    return gains.pop() if euclidean and len(gains) == 1 else None


def moduli(operator):
    """Return the pointwise factors by which lengths are multiplied.

    Parameters
    ----------
    operator : `odl.MultiplyOperator`
        Multiplication by an element.

    Returns
    -------
    moduli : torch.Tensor or None
        Moduli in the weights of both spaces; ``None`` if they are not known.
    """
    spaces = operator.domain, operator.range
    if any(isinstance(space, odl.Field) for space in spaces):
        return None
    try:
        domain, range = layouts(operator)
        values = range.tensor(range.space.element(operator.multiplicand))
        ratio = [layout.weights() for layout in (range, domain)]
    except (NotImplementedError, TypeError, ValueError):
        return None
    except AttributeError:
        # ODL cannot compare a constant weight with an array of weights
        return None
    values = values.abs().double()
    if ratio[0] is ratio[1] or _is_endomorphism(operator):
        return values
    return values * (ratio[0] / ratio[1]) ** 0.5
