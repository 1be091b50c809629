# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Moduli of weak convexity of functionals that ODL's arithmetic makes."""

from __future__ import annotations

import math

from odl.functionals import SeparableSum
from odl.functionals.functional import (
    FunctionalComp,
    FunctionalLeftScalarMult,
    FunctionalQuadraticPerturb,
    FunctionalRightScalarMult,
    FunctionalScalarSum,
    FunctionalSum,
    FunctionalTranslation,
)

__all__ = ('weak_convexity',)


def weak_convexity(functional):
    r"""Return the modulus of weak convexity of a functional.

    Parameters
    ----------
    functional : odl.functionals.Functional
        Has the attribute ``weak_convexity``, or is made by ODL's arithmetic
        of functionals that have it.

    Returns
    -------
    modulus : float
        A number :math:`\rho \geq 0` with which :math:`f + \tfrac{\rho}{2}
        \|\cdot\|^2` is convex. 0 for functionals that declare nothing, which
        are taken to be convex, as ODL takes them; ``inf`` if none is known.

    Examples
    --------
    >>> import odl
    >>> norm = odl.functionals.L1Norm(odl.rn(2))
    >>> norm.weak_convexity = 1.0
    >>> weak_convexity(2 * norm.translated([1, 1]) + norm)
    3.0
    """
    own = getattr(functional, 'weak_convexity', None)
    if own is not None:
        return float(own)
    if isinstance(functional, FunctionalLeftScalarMult):
        return _multiple(functional.functional, float(functional.scalar))
    if isinstance(functional, FunctionalRightScalarMult):
        return _times(
            float(functional.scalar) ** 2,
            weak_convexity(functional.functional),
        )
    if isinstance(functional, FunctionalScalarSum):
        return weak_convexity(functional.left)
    if isinstance(functional, FunctionalSum):
        left, right = functional.left, functional.right
        return weak_convexity(left) + weak_convexity(right)
    if isinstance(functional, FunctionalTranslation):
        return weak_convexity(functional.functional)
    if isinstance(functional, FunctionalQuadraticPerturb):
        modulus = weak_convexity(functional.functional)
        return max(0.0, modulus - 2 * float(functional.quadratic_coeff))
    if isinstance(functional, SeparableSum):
        return max(map(weak_convexity, functional.functionals))
    if isinstance(functional, FunctionalComp):
        return _times(math.inf, weak_convexity(functional.left))
    return 0.0


def _times(factor, modulus):
    return 0.0 if modulus == 0 else factor * modulus


def _multiple(functional, scalar):
    if scalar >= 0:
        return _times(scalar, weak_convexity(functional))
    # minus a functional with an L-Lipschitz gradient is L-weakly convex
    bound = -scalar * functional.grad_lipschitz
    return bound if math.isfinite(bound) else math.inf
