# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Weights of inner products where the boundary cuts the cells."""

import numpy as np
import odl
import pytest
from odl.core.util.testutils import noise_element

from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_tensor
from odl_equivariant.inner_products import inner_product_weights

ON_BOUNDARY = [True, [(True, False), False], [False, True]]


@pytest.mark.parametrize('nodes_on_bdry', ON_BOUNDARY)
@pytest.mark.parametrize('power', [None, 2])
def test_half_cells_at_the_boundary(backend, nodes_on_bdry, power):
    """The weighted sum is ODL's inner product, half cells included."""
    space = odl.uniform_discr(
        [0, 0],
        [1, 2],
        (4, 5),
        nodes_on_bdry=nodes_on_bdry,
        impl=backend,
        dtype='complex128',
    )
    space = space if power is None else space**power
    x, y = noise_element(space), noise_element(space)
    weights = inner_product_weights(space)
    value = float((weights * as_tensor(x)[0] * as_tensor(y)[0]).sum())
    assert value == pytest.approx(np.real(complex(x.inner(y))), rel=1e-12)


def test_ray_transform_adjoint_with_half_cells():
    """The matrix back-end's adjoint is right for nodes on the boundary."""
    space = odl.uniform_discr([-1, -1], [1, 1], (16, 16), nodes_on_bdry=True)
    geometry = odl.applications.tomo.parallel_beam_geometry(
        space, num_angles=6, det_shape=23
    )
    operator = odl.applications.tomo.RayTransform(
        space, geometry, impl='astra_matrix'
    )
    assert adjoint_error(operator) < 1e-12
