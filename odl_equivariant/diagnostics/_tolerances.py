# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tolerances for each dtype, and the check that applies them."""

from odl_equivariant.diagnostics._spaces import dtypes, name

__all__ = ('TOLERANCES', 'DERIVATIVE_TOLERANCES', 'tolerance')

#: Largest relative error that passes, for the coarsest dtype of the spaces.
TOLERANCES = {
    'float32': 1e-5,
    'complex64': 1e-5,
    'float64': 1e-10,
    'complex128': 1e-10,
}

#: The same for `assert_derivative`, which is limited by finite differences.
DERIVATIVE_TOLERANCES = {
    'float32': 1e-2,
    'complex64': 1e-2,
    'float64': 1e-6,
    'complex128': 1e-6,
}


def tolerance(op, tol, table=TOLERANCES):
    """Return ``tol``, or the default for the spaces of an operator."""
    if tol is not None:
        return float(tol)
    names = dtypes(op.domain, op.range) or {'float64'}
    unknown = sorted(names - set(table))
    if unknown:
        raise ValueError(
            f'no tolerance is known for the dtype {", ".join(unknown)} of '
            f'{name(op)}; give `tol`'
        )
    return max(table[dtype] for dtype in names)
