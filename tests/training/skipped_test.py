# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files that were left out are listed."""

import csv

import numpy as np
import pytest


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Write three images, and two files that are none."""
    monkeypatch.setenv('ODL_EQUIVARIANT_CACHE', str(tmp_path / 'cache'))
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        image = 0.3 * rng.random((48, 48), 'float32')
        np.save(folder / f'{i}.npy', image)
    (folder / 'bad.npy').write_bytes(b'no array')
    np.save(folder / 'text.npy', np.array(['a']))
    return folder


@pytest.mark.parametrize('split', [False, True])
def test_skipped_files_are_listed(run, tmp_path, images, caplog, split):
    """Each has a line in the folder of the run, and each reason in the log."""
    reader = 'odl_equivariant.data.NumpySlices'
    options = ['--data.test', reader]
    options += ['--data.test.init_args.folder', 'images']
    if split:
        parts = ['train', 'validation', 'test']
        options = [f'--data.{part}=null' for part in parts]
        options += ['--data.images', reader]
        options += ['--data.images.init_args.folder', 'images']
        options += ['--data.sizes', '{train: 1, validation: 1, test: 1}']
    options += ['--trainer.max_steps=1', '--trainer.val_check_interval=1']
    assert run('train', *options)[0] == 0
    for _ in range(2):  # also when the index is known
        caplog.clear()
        assert run('evaluate', *options)[0] == 0
        with open(tmp_path / 'run/skipped.csv', newline='') as file:
            found = {row['file']: row for row in csv.DictReader(file)}
        assert found.keys() == {'bad.npy', 'text.npy'}
        part = 'images' if split else 'test'
        for name, row in found.items():
            assert row['part'] == part and row['reason']
            assert f'`data.{part}`: {name}' in caplog.text
            assert row['reason'] in caplog.text
        assert 'run/skipped.csv' in caplog.text


def test_nothing_is_listed_where_nothing_is_skipped(run, tmp_path):
    """There is no empty table."""
    assert run('train', '--trainer.max_steps', '1')[0] == 0
    assert not (tmp_path / 'run/skipped.csv').exists()
