# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images, phantoms, and acquisitions, simulated or of a scanner."""

from odl_equivariant.data.acquisitions.base import Acquisition
from odl_equivariant.data.acquisitions.degradations.compressed_sensing import (
    CompressedSensing,
)
from odl_equivariant.data.acquisitions.degradations.deblurring import (
    Deblurring,
    gaussian_kernel,
)
from odl_equivariant.data.acquisitions.degradations.inpainting import (
    Inpainting,
)
from odl_equivariant.data.acquisitions.degradations.super_resolution import (
    SuperResolution,
)
from odl_equivariant.data.acquisitions.denoising import Denoising
from odl_equivariant.data.acquisitions.dynamic.magnetic_resonance import (
    DynamicMRI,
)
from odl_equivariant.data.acquisitions.dynamic.tomography import DynamicCT
from odl_equivariant.data.acquisitions.magnetic_resonance.cartesian import (
    CartesianMRI,
)
from odl_equivariant.data.acquisitions.magnetic_resonance.coil_maps import (
    simulated_coil_maps,
)
from odl_equivariant.data.acquisitions.tomography.geometries import ct_geometry
from odl_equivariant.data.acquisitions.tomography.measured import MeasuredCT
from odl_equivariant.data.acquisitions.tomography.sparse_view import (
    SparseViewCT,
)
from odl_equivariant.data.acquisitions.volumes.denoising import VolumeDenoising
from odl_equivariant.data.acquisitions.volumes.magnetic_resonance import (
    VolumeMRI,
)
from odl_equivariant.data.acquisitions.volumes.slicewise_tomography import (
    SlicewiseCT,
)
from odl_equivariant.data.kspace.calibration import estimate_coil_maps
from odl_equivariant.data.kspace.channels import (
    coil_compression_matrix,
    prewhitening_matrix,
)
from odl_equivariant.data.kspace.reading import read_kspace
from odl_equivariant.data.kspace.scan import KspaceScan
from odl_equivariant.data.pairs.measured import MeasuredPairs
from odl_equivariant.data.pairs.shapes import PairsOfShapes, PairsOfVariants
from odl_equivariant.data.pairs.simulated import SimulatedPairs
from odl_equivariant.data.pairs.store import PairStore
from odl_equivariant.data.pairs.without_truth import MeasuredData, ScanFiles
from odl_equivariant.data.phantoms.ellipses import ellipse_phantom
from odl_equivariant.data.phantoms.magnetic_resonance import mr_phantom
from odl_equivariant.data.phantoms.moving.films import (
    MovingPhantoms,
    moving_phantom,
)
from odl_equivariant.data.phantoms.random_slices import Phantoms
from odl_equivariant.data.phantoms.strips import mr_strip
from odl_equivariant.data.results.origin import provenance
from odl_equivariant.data.results.writing import write_result
from odl_equivariant.data.scans.reading import read_scan
from odl_equivariant.data.scans.scan import TomographyScan
from odl_equivariant.data.slices.arrays import NumpySlices
from odl_equivariant.data.slices.augmentation import Augmentation, Augmented
from odl_equivariant.data.slices.base import Slices, split
from odl_equivariant.data.slices.dicom.slices import DicomSlices
from odl_equivariant.data.slices.geometry import SliceGeometry, Volume
from odl_equivariant.data.slices.kspace import FastMRIKspace
from odl_equivariant.data.slices.mixture import Mixture
from odl_equivariant.data.slices.nifti.slices import NiftiSlices
from odl_equivariant.data.slices.pictures import ImageSlices
from odl_equivariant.data.slices.reference import FastMRISlices, LIDCSlices
from odl_equivariant.data.slices.samples import (
    sample_ct_slice,
    sample_mr_slice,
)
from odl_equivariant.data.units import convert_attenuation, convert_length
from odl_equivariant.data.volumes.base import Volumes
from odl_equivariant.data.volumes.files import NiftiVolumes, NumpyVolumes
from odl_equivariant.data.volumes.geometry import VolumeGeometry
from odl_equivariant.data.volumes.patches import VolumePatches
from odl_equivariant.data.volumes.phantoms import (
    PhantomVolumes,
    ellipsoid_phantom,
)
from odl_equivariant.data.volumes.stacks import StackedSlices

__all__ = (
    'Acquisition',
    'Augmentation',
    'Augmented',
    'CartesianMRI',
    'CompressedSensing',
    'Deblurring',
    'Denoising',
    'DicomSlices',
    'DynamicCT',
    'DynamicMRI',
    'FastMRIKspace',
    'FastMRISlices',
    'ImageSlices',
    'Inpainting',
    'KspaceScan',
    'LIDCSlices',
    'MeasuredCT',
    'MeasuredData',
    'MeasuredPairs',
    'Mixture',
    'MovingPhantoms',
    'NiftiSlices',
    'NiftiVolumes',
    'NumpySlices',
    'NumpyVolumes',
    'PairStore',
    'PairsOfShapes',
    'PairsOfVariants',
    'PhantomVolumes',
    'Phantoms',
    'ScanFiles',
    'SimulatedPairs',
    'SliceGeometry',
    'Slices',
    'SlicewiseCT',
    'SparseViewCT',
    'StackedSlices',
    'SuperResolution',
    'TomographyScan',
    'Volume',
    'VolumeGeometry',
    'VolumeDenoising',
    'VolumeMRI',
    'VolumePatches',
    'Volumes',
    'coil_compression_matrix',
    'convert_attenuation',
    'convert_length',
    'ct_geometry',
    'ellipse_phantom',
    'ellipsoid_phantom',
    'estimate_coil_maps',
    'gaussian_kernel',
    'moving_phantom',
    'mr_phantom',
    'mr_strip',
    'prewhitening_matrix',
    'provenance',
    'read_kspace',
    'read_scan',
    'sample_ct_slice',
    'sample_mr_slice',
    'simulated_coil_maps',
    'split',
    'write_result',
)
