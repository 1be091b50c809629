# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Values of data in a configuration arrive as they were written."""

import json

import pytest
import yaml

from odl_equivariant.training import ReconstructionData
from odl_equivariant.training.configuration.parser import Parser
from odl_equivariant.training.configuration.permissions import restricted

CT = {
    'class_path': 'odl_equivariant.data.SparseViewCT',
    'init_args': {'shape': [8, 8], 'n_views': 4},
}
PHANTOMS = {
    'class_path': 'odl_equivariant.data.Phantoms',
    'init_args': {'n': 3, 'shape': [16, 16]},
}


def saved(data):
    """Return the settings of data as a run would save them."""
    parser = Parser(prog='test')
    parser.add_lightning_class_args(ReconstructionData, 'data')
    with restricted():
        settings = parser.parse_string(yaml.safe_dump({'data': data}))
        text = parser.dump(settings, skip_unset=False)
        parser.instantiate(settings)
    return yaml.safe_load(text)['data']


def assert_kept(given, kept):
    """Assert that each given value is in what was kept, as the same text."""
    for key, value in given.items():
        if isinstance(value, dict):
            assert_kept(value, kept[key])
        else:
            assert json.dumps(kept[key]) == json.dumps(value), key


@pytest.mark.parametrize(
    'name, values',
    [
        ('SparseViewCT', {'shape': [8, 8], 'n_views': 4, 'n_detectors': 12}),
        ('SparseViewCT', {'shape': [8, 8], 'n_photons': 10000.0}),
        ('SparseViewCT', {'shape': [8, 8], 'n_photons': None, 'side': 0.3}),
        ('SparseViewCT', {'shape': [8, 8], 'impl': 'astra_cpu'}),
        ('SparseViewCT', {'shape': [8, 6], 'backend': 'pytorch'}),
        ('SparseViewCT', {'shape': [8, 8], 'dtype': 'float64'}),
        ('SparseViewCT', {'shape': [8, 8], 'geometry': 'fan', 'n_views': 5}),
        ('SparseViewCT', {'shape': [8, 8], 'angles': [0.0, 0.5, 1.25]}),
        (
            'MeasuredCT',
            {
                'geometry': {
                    'kind': 'fan',
                    'source_radius': 40.0,
                    'detector_radius': 14.0,
                    'n_detectors': 9,
                    'detector_width': 2.0,
                    'angles': {'first': 0, 'step': 30, 'n': 12},
                    'angle_unit': 'degrees',
                },
                'space': {'shape': [8, 8], 'cell': 1.5},
                'length_unit': 'mm',
            },
        ),
        ('CartesianMRI', {'shape': [16, 16], 'acceleration': 4}),
        ('CartesianMRI', {'shape': [16, 16], 'acceleration': 2.5, 'axis': 0}),
        ('CartesianMRI', {'shape': [16, 16], 'pattern': 'equispaced'}),
        ('CartesianMRI', {'shape': [16, 16], 'random_masks': True}),
        ('CartesianMRI', {'shape': [2, 4], 'mask': [[1, 0, 1, 1]]}),
        ('CartesianMRI', {'shape': [2, 2], 'mask': [[True, False]]}),
        ('CartesianMRI', {'shape': [1, 2], 'coil_maps': [[[1.0, 0.5]]]}),
    ],
)
def test_acquisition_is_kept(name, values):
    """Settings of an acquisition are those that a run had before."""
    acquisition = {
        'class_path': f'odl_equivariant.data.{name}',
        'init_args': values,
    }
    given = {'acquisition': acquisition, 'train': PHANTOMS}
    assert_kept(given, saved(given))


@pytest.mark.parametrize(
    'name, values',
    [
        ('Phantoms', {'n': 2, 'shape': [16, 16], 'kind': 'head', 'seed': 1}),
        (
            'Phantoms',
            {
                'n': 2,
                'shape': [16, 16],
                'draw': 'odl_equivariant.data.mr_phantom',
            },
        ),
        ('Augmented', {'slices': PHANTOMS, 'rotation': 'any', 'flip': True}),
        ('Augmented', {'slices': PHANTOMS, 'smoothing': 0.5}),
        ('DicomSlices', {'folder': 'a', 'modality': 'CT', 'series': 'b|c'}),
        ('LIDCSlices', {'folder': 'data/LIDC-IDRI', 'size': [512, 512]}),
        ('LIDCSlices', {'folder': 'a', 'select': False, 'seed': None}),
        ('FastMRISlices', {'folder': 'a', 'series': 'T1', 'size': [320, 320]}),
        ('FastMRIKspace', {'folder': 'a', 'crop': [320, 320], 'scale': 1e5}),
        ('FastMRIKspace', {'folder': 'a', 'calibration': 16}),
        ('NiftiSlices', {'folder': 'a', 'axis': 1, 'shape': [8, 8]}),
        ('NiftiSlices', {'folder': 'a', 'convention': 'neurological'}),
        ('NumpySlices', {'folder': 'a', 'cache': 'b', 'progress': False}),
        ('PairStore', {'folder': 'a'}),
    ],
)
def test_set_is_kept(name, values):
    """Settings of a set of images are those that a run had before."""
    train = {
        'class_path': f'odl_equivariant.data.{name}',
        'init_args': values,
    }
    given = {'acquisition': CT, 'train': train}
    assert_kept(given, saved(given))


@pytest.mark.parametrize('rotation', ['none', 'quarter', 'any'])
def test_augmentation_is_kept(rotation):
    """Settings of an augmentation are those that a run had before."""
    augmentation = {
        'class_path': 'odl_equivariant.data.Augmentation',
        'init_args': {'smoothing': 0.5, 'rotation': rotation, 'flip': True},
    }
    given = {
        'acquisition': CT,
        'train': PHANTOMS,
        'augmentation': augmentation,
    }
    assert_kept(given, saved(given))
