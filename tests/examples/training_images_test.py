# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the script that makes images to train with."""

import importlib.util
import pathlib

import numpy as np
import pytest

from odl_equivariant.data import ImageSlices

pytest.importorskip('PIL.Image')
EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def script():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location(
        'training_images', EXAMPLES / 'training_images.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_arrays_become_pictures(script, tmp_path):
    """Rows are those of the pictures, and the last ones are held back."""
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 8), 'uint8')
    np.savez(tmp_path / 'some.npz', images=images)
    output = tmp_path / 'natural'
    arguments = [str(output), '--arrays', str(tmp_path / 'some.npz')]
    assert script.main([*arguments, '--hold-back', '2']) == 0
    used = ImageSlices(output)
    held_back = ImageSlices(tmp_path / 'natural_held_back')
    assert (len(used), len(held_back)) == (3, 2)
    for i, image in enumerate([*used, *held_back]):
        assert np.allclose(image, images[i][::-1].T / 255, atol=2e-5)


def test_slices_of_volumes_become_pictures(script, tmp_path):
    """Slices along all axes are taken, unless too little is bright."""
    nibabel = pytest.importorskip('nibabel')
    volume = np.zeros((12, 14, 16), 'float32')
    volume[2:10, 2:12, 2:14] = 5
    volume[4, 5, 6] = 10
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / 'a.nii.gz')
    output = tmp_path / 'mr'
    assert (
        script.main([str(output), '--volumes', str(tmp_path / 'a.nii.gz')])
        == 0
    )
    pictures = ImageSlices(output)
    assert len(pictures) == 8 + 10 + 12
    assert max(image.max() for image in pictures) == 1
    assert {image.shape for image in pictures} == {
        (14, 16),
        (12, 16),
        (12, 14),
    }


def test_more_held_back_than_there_is(script, tmp_path, capsys):
    """Nothing is written, and the numbers are named."""
    np.savez(tmp_path / 'some.npz', images=np.ones((2, 4, 4), 'uint8'))
    arguments = ['out', '--arrays', str(tmp_path / 'some.npz')]
    with pytest.raises(SystemExit):
        script.main([*arguments, '--hold-back', '2'])
    assert 'the 2 pictures, got 2' in capsys.readouterr().err
