# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Registration of our ray-transform back-ends with ODL."""

from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_equivariant.operators._astra_matrix import (
    AstraMatrixImpl,
    AstraMatrixLinearImpl,
    AstraMatrixLineImpl,
    AstraMatrixStripImpl,
)
from odl_equivariant.operators._ray_pickles import register_pickles

__all__ = ('register',)


def register():
    """Make ``impl='astra_matrix'`` known to `odl.applications.tomo`.

    ODL takes the last back-end of its registry by default: the matrix of the
    usual model before its variants. A GPU is always faster than the matrix,
    so ``'astra_cuda'`` stays last where it exists.

    Ray transforms are made fit for `pickle` as well.
    """
    RAY_TRAFO_IMPLS['astra_matrix_line'] = AstraMatrixLineImpl
    RAY_TRAFO_IMPLS['astra_matrix_strip'] = AstraMatrixStripImpl
    RAY_TRAFO_IMPLS['astra_matrix_linear'] = AstraMatrixLinearImpl
    RAY_TRAFO_IMPLS['astra_matrix'] = AstraMatrixImpl
    if 'astra_cuda' in RAY_TRAFO_IMPLS:
        RAY_TRAFO_IMPLS.move_to_end('astra_cuda')
    register_pickles()
