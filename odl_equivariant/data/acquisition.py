# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""All simulated acquisitions, for those who look for one of them."""

from odl_equivariant.data._acquisition import Acquisition
from odl_equivariant.data.magnetic_resonance import CartesianMRI
from odl_equivariant.data.tomography import SparseViewCT

__all__ = ('Acquisition', 'CartesianMRI', 'SparseViewCT')
