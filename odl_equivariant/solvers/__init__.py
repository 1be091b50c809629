# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Iterative methods with learned parts."""

from odl_equivariant.solvers._result import SolverResult
from odl_equivariant.solvers.accelerated_proximal_gradient import (
    accelerated_proximal_gradient,
)
from odl_equivariant.solvers.half_quadratic_splitting import (
    half_quadratic_splitting,
)
from odl_equivariant.solvers.learned_proximal_gradient import (
    learned_proximal_gradient,
)
from odl_equivariant.solvers.low_rank_plus_sparse import low_rank_plus_sparse

__all__ = (
    'SolverResult',
    'accelerated_proximal_gradient',
    'half_quadratic_splitting',
    'learned_proximal_gradient',
    'low_rank_plus_sparse',
)
