# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images, phantoms and simulated acquisitions."""

from odl_equivariant.data._acquisition import Acquisition
from odl_equivariant.data.augmentation import Augmentation, Augmented
from odl_equivariant.data.dicom import DicomSlices
from odl_equivariant.data.kspace import FastMRIKspace
from odl_equivariant.data.magnetic_resonance import CartesianMRI
from odl_equivariant.data.measured_pairs import MeasuredPairs
from odl_equivariant.data.mr_phantoms import mr_phantom
from odl_equivariant.data.pair_store import PairStore
from odl_equivariant.data.pairs import SimulatedPairs
from odl_equivariant.data.phantom_slices import Phantoms
from odl_equivariant.data.phantoms import ellipse_phantom
from odl_equivariant.data.reference_slices import FastMRISlices, LIDCSlices
from odl_equivariant.data.samples import sample_ct_slice, sample_mr_slice
from odl_equivariant.data.slices import Slices, split
from odl_equivariant.data.tomography import SparseViewCT
from odl_equivariant.data.volumes import NiftiSlices, NumpySlices

__all__ = (
    'Acquisition',
    'Augmentation',
    'Augmented',
    'CartesianMRI',
    'DicomSlices',
    'FastMRIKspace',
    'FastMRISlices',
    'LIDCSlices',
    'MeasuredPairs',
    'NiftiSlices',
    'NumpySlices',
    'PairStore',
    'Phantoms',
    'SimulatedPairs',
    'Slices',
    'SparseViewCT',
    'ellipse_phantom',
    'mr_phantom',
    'sample_ct_slice',
    'sample_mr_slice',
    'split',
)
