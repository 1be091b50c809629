# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Bridges between ODL operators and torch modules, and forward models."""

from odl_equivariant.operators.filtered_backprojection import (
    filtered_backprojection,
)
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.operators.network import NetworkOperator

__all__ = ('NetworkOperator', 'OperatorLayer', 'filtered_backprojection')
