# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the moduli of weak convexity of sums, multiples and the like."""

import math

import odl
import pytest
from odl.functionals import L1Norm, L2NormSquared, SeparableSum
from odl.functionals.functional import FunctionalQuadraticPerturb

from odl_equivariant.solvers._moduli import weak_convexity

SPACE = odl.rn(2)


def weak(modulus=2.0):
    """Return a functional with a modulus."""
    functional = L1Norm(SPACE)
    functional.weak_convexity = modulus
    return functional


@pytest.mark.parametrize(
    'functional, modulus',
    [
        (L1Norm(SPACE), 0),
        (weak(), 2),
        (weak(math.inf), math.inf),
        (3 * weak(), 6),
        (3 * L1Norm(SPACE), 0),
        (weak() * 3.0, 18),
        (weak().translated(SPACE.one()), 2),
        (weak() + 5, 2),
        (weak() + weak(1.0), 3),
        (FunctionalQuadraticPerturb(weak(), 0.75), 0.5),
        (FunctionalQuadraticPerturb(weak(), 3), 0),
        (FunctionalQuadraticPerturb(L1Norm(SPACE), -1), 2),
        (SeparableSum(weak(), weak(3.0)), 3),
        (weak() @ odl.IdentityOperator(SPACE), math.inf),
        (L1Norm(SPACE) @ odl.IdentityOperator(SPACE), 0),
        (-1 * L2NormSquared(SPACE), 2),
        (-1 * L1Norm(SPACE), math.inf),
    ],
)
def test_modulus_follows_the_arithmetic(functional, modulus):
    """Sums add moduli, multiples multiply, and minus takes the gradient's."""
    assert weak_convexity(functional) == pytest.approx(modulus)
