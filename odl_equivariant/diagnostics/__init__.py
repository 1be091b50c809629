# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measures of how far an operator is from the laws it should obey.

The functions ending in ``_error`` return a relative error as a Python float:
0 if a law holds to the last bit, infinity if a value is not finite. The
functions starting with ``assert_`` compare it with a tolerance and raise an
`AssertionError` that names the operator, the group element, the error and
the tolerance. Random inputs are white noise from a seed, the same on every
back-end.
"""

from odl_equivariant.diagnostics._tolerances import (
    DERIVATIVE_TOLERANCES,
    TOLERANCES,
)
from odl_equivariant.diagnostics.assertions import (
    assert_adjoint,
    assert_derivative,
    assert_equivariant,
    assert_equivariant_at_angles,
    assert_firmly_nonexpansive,
    assert_invariant,
    assert_isometry,
    assert_linear,
    assert_lipschitz,
    assert_reconstruction_equivariant,
    assert_unitary,
)
from odl_equivariant.diagnostics.curves import equivariance_curve
from odl_equivariant.diagnostics.errors import (
    adjoint_error,
    derivative_error,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics.maps import (
    isometry_error,
    linearity_error,
    reconstruction_equivariance_error,
    unitarity_error,
)
from odl_equivariant.diagnostics.reports import report
from odl_equivariant.diagnostics.stability import (
    firm_nonexpansiveness_error,
    lipschitz_estimate,
)
from odl_equivariant.diagnostics.symmetries import (
    Symmetries,
    commutation_error,
)

__all__ = (
    'TOLERANCES',
    'DERIVATIVE_TOLERANCES',
    'adjoint_error',
    'derivative_error',
    'equivariance_error',
    'invariance_error',
    'linearity_error',
    'isometry_error',
    'unitarity_error',
    'firm_nonexpansiveness_error',
    'lipschitz_estimate',
    'reconstruction_equivariance_error',
    'commutation_error',
    'Symmetries',
    'equivariance_curve',
    'report',
    'assert_adjoint',
    'assert_derivative',
    'assert_equivariant',
    'assert_invariant',
    'assert_linear',
    'assert_isometry',
    'assert_unitary',
    'assert_firmly_nonexpansive',
    'assert_lipschitz',
    'assert_reconstruction_equivariant',
    'assert_equivariant_at_angles',
)
