# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the example on volumes, on a smaller scale."""

import numpy as np
import pytest


@pytest.mark.slow
@pytest.mark.parametrize('is_given', [False, True])
def test_turned_scans_give_turned_volumes(run_example, tmp_path, is_given):
    """The equivariant network commutes with turns, and writes its volume."""
    nibabel = pytest.importorskip('nibabel')
    arguments = ['--output', str(tmp_path / 'it.nii.gz'), '--size', '12']
    if is_given:
        array = np.random.default_rng(0).random((9, 20, 12), np.float32)
        image = nibabel.Nifti1Image(array, np.diag([2.0, 1, 1, 1]))
        nibabel.save(image, tmp_path / 'head.nii')
        arguments += ['--volume', str(tmp_path / 'head.nii')]
    (tmp_path / 'volumes').mkdir()
    names = run_example(
        'volumes/volume_mri.py',
        tmp_path,
        [('    main()\n', f'    scores, errors = main({arguments})\n')],
    )
    assert names['errors']['O'] < 1e-5
    assert names['errors']['ordinary'] > 1e-3
    assert names['scores']['O'] > 0
    assert nibabel.load(tmp_path / 'it.nii.gz').shape == (12, 12, 12)
    assert (tmp_path / 'it.png').is_file()
