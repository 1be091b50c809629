# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pretrained weights: list, load, save and export them."""

from odl_equivariant.models.cards import ModelCard, model_card
from odl_equivariant.models.conversion import ConvertedNetwork
from odl_equivariant.models.descriptions import (
    ModelDescription,
    add_card,
    describe,
)
from odl_equivariant.models.files import load, save
from odl_equivariant.models.onnx import export_onnx
from odl_equivariant.models.shipped import available
from odl_equivariant.models.weights import load_weights, save_weights

__all__ = (
    'available',
    'describe',
    'load',
    'save',
    'model_card',
    'add_card',
    'ModelCard',
    'ModelDescription',
    'ConvertedNetwork',
    'load_weights',
    'save_weights',
    'export_onnx',
)
