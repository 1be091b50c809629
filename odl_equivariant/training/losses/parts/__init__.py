# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Parts of measurements that a network is given, or is judged by."""

from odl_equivariant.training.losses.parts.drawing import (
    Parts,
    Units,
    check_splittable,
    check_unrolled,
    predicted_measurements,
)
from odl_equivariant.training.losses.parts.operators import (
    Part,
    factors_of_views,
    of_views,
    usable_views,
)

__all__ = (
    'Part',
    'Parts',
    'Units',
    'check_splittable',
    'check_unrolled',
    'factors_of_views',
    'of_views',
    'predicted_measurements',
    'usable_views',
)
