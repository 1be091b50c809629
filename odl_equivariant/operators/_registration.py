# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Registration of our ray-transform back-end with ODL."""

from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_equivariant.operators._astra_matrix import AstraMatrixImpl

__all__ = ('register',)


def register():
    """Make ``impl='astra_matrix'`` known to `odl.applications.tomo`.

    ODL takes the last back-end of its registry by default. A GPU is always
    faster than the matrix, so ``'astra_cuda'`` stays last where it exists.
    """
    RAY_TRAFO_IMPLS['astra_matrix'] = AstraMatrixImpl
    if 'astra_cuda' in RAY_TRAFO_IMPLS:
        RAY_TRAFO_IMPLS.move_to_end('astra_cuda')
