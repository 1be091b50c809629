# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Groups that act on ODL spaces, each action an `odl.Operator`."""

from odl_equivariant.actions.action import Action
from odl_equivariant.actions.geometric import GeometricAction
from odl_equivariant.actions.grid import GridAction
from odl_equivariant.actions.groups import group_actions
from odl_equivariant.actions.induced import InducedAction, induced_action
from odl_equivariant.actions.intensity import Intensity
from odl_equivariant.actions.isometries import Reflection, Rotation
from odl_equivariant.actions.scaling.affine import Affine
from odl_equivariant.actions.scaling.dilation import Dilation
from odl_equivariant.actions.scaling.domains import DomainScaling
from odl_equivariant.actions.time.groups import (
    space_time_actions,
    time_reversal,
    time_shift,
)
from odl_equivariant.actions.translations import Translation

__all__ = (
    'Action',
    'GeometricAction',
    'GridAction',
    'Rotation',
    'Reflection',
    'Translation',
    'Dilation',
    'Affine',
    'DomainScaling',
    'Intensity',
    'group_actions',
    'space_time_actions',
    'time_reversal',
    'time_shift',
    'InducedAction',
    'induced_action',
)
