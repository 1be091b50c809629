# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Volumes to train with are cut, scaled, and none of them is lost."""

import numpy as np
import pytest

from examples import training_volumes

nibabel = pytest.importorskip('nibabel')


def _write(path, volume):
    path.parent.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(volume.astype('float32'), 2 * np.eye(4))
    nibabel.save(image, path)
    return str(path)


def _head(side=20):
    volume = np.zeros((side,) * 3)
    volume[5:12, 6:13, 7:14] = 500
    return volume


def test_values_go_from_zero_to_one(tmp_path):
    """A file for each head, with values from 0 to 1 and boxes to take."""
    file = _write(tmp_path / 'head.nii.gz', _head())
    arguments = ['--heads', file, '--spacing', '2', '--phantoms', '0']
    assert training_volumes.main([str(tmp_path / 'out'), *arguments]) == 0
    (written,) = (tmp_path / 'out').iterdir()
    volume = np.load(written)
    assert written.name == 'head-2mm.npy'
    assert min(volume.shape) >= training_volumes.LEAST
    assert volume.min() == 0 and volume.max() == 1
    assert np.count_nonzero(volume > 0.5) == 7**3


def test_heads_of_one_name_are_refused(tmp_path, capsys):
    """One of two files with the same name would be overwritten."""
    files = [
        _write(tmp_path / subject / 'T1.nii.gz', _head()) for subject in 'ab'
    ]
    with pytest.raises(SystemExit):
        training_volumes.main([str(tmp_path / 'out'), '--heads', *files])
    assert 'names T1, T1' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_an_empty_volume_is_no_head():
    """A volume of zeros has no value to divide by."""
    with pytest.raises(ValueError, match='a head has positive values'):
        training_volumes.prepared(np.zeros((8, 8, 8)))
