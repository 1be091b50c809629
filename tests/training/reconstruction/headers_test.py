# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What lies beside data is compared with the configuration."""

import json

import numpy as np
import pytest

from odl_equivariant.data import CartesianMRI, SparseViewCT
from odl_equivariant.training.reconstruction.files import Measurements
from odl_equivariant.training.reconstruction.headers import (
    check_header,
    header_path,
)

CT = SparseViewCT((24, 24), n_views=8)


def written(path, acquisition):
    """Write a header and return its path."""
    path.write_text(json.dumps({'acquisition': acquisition, 'other': 1}))
    return path


def test_header_of_this_geometry(tmp_path):
    """What says the same passes, as a text or as arguments."""
    own = {
        key: value
        for key, value in CT.settings().items()
        if key not in ('impl', 'backend')
    }
    for header in (own, CT.fingerprint(), {'side': 0.36}, {'impl': 'other'}):
        assert check_header(written(tmp_path / 'y.json', header), CT)


@pytest.mark.parametrize(
    'header, message',
    [
        ({'n_views': 16}, '`n_views` 16, but the configuration has 8'),
        ({'side': 0.5}, r'`side` 0\.5.*init_args\.side'),
        ({'side': '0.36'}, '`side`'),
        ({'shape': [24, 25]}, '`shape`'),
        ({'shape': [24]}, '`shape`'),
        ({'n_detectors': None}, '`n_detectors` None'),
        ({'views': 8}, 'has no `views`; it has shape, n_views'),
        ('SparseViewCT 0123', 'are of SparseViewCT 0123'),
        ([8], 'not arguments of the acquisition'),
        (None, 'not arguments of the acquisition'),
    ],
)
def test_header_of_another_geometry(tmp_path, header, message):
    """The error names the file, the argument and both values."""
    path = written(tmp_path / 'y.json', header)
    with pytest.raises(ValueError, match=message) as raised:
        check_header(path, CT)
    assert str(path) in str(raised.value)


def test_arrays_are_compared(tmp_path):
    """A mask is one of the arguments."""
    mask = np.ones((8, 8), bool)
    mask[:, 0] = False
    mri = CartesianMRI((8, 8), mask=mask)
    same, other = mask.tolist(), np.eye(8, dtype=bool).tolist()
    assert check_header(written(tmp_path / 'a.json', {'mask': same}), mri)
    for value in (other, None, 1, [[1]], [same]):
        with pytest.raises(ValueError, match='`mask`'):
            check_header(written(tmp_path / 'a.json', {'mask': value}), mri)


def test_other_files(tmp_path):
    """A JSON file of another purpose is left alone; a damaged one is not."""
    path = tmp_path / 'y.json'
    path.write_text('{"patient": 3}')
    assert not check_header(path, CT)
    path.rename(tmp_path / 'acquisition.json')
    with pytest.raises(ValueError, match='has no key "acquisition"'):
        check_header(tmp_path / 'acquisition.json', CT)
    for content in (b'{', b'\xff', b'[]'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='y.json'):
            check_header(path, CT)


def test_own_header_comes_first(tmp_path):
    """That of a file goes before that of its folder."""
    data = tmp_path / 'y.npy'
    assert header_path(data) is None
    (tmp_path / 'acquisition.json').touch()
    assert header_path(data).name == 'acquisition.json'
    (tmp_path / 'y.json').touch()
    assert header_path(data).name == 'y.json'


def test_silence_is_said(tmp_path, caplog):
    """Where nothing says how data were taken, one line says so."""
    caplog.set_level('INFO')
    for name in ('a', 'b'):
        np.save(tmp_path / f'{name}.npy', np.ones((8, 34), 'float32'))
    measurements = Measurements(tmp_path, CT.operator.range)
    measurements.check(CT)
    assert 'nothing beside 2 files' in caplog.text
    caplog.clear()
    written(tmp_path / 'acquisition.json', {'n_views': 8})
    measurements.check(CT)
    assert not caplog.text
    written(tmp_path / 'b.json', {'side': 1})
    with pytest.raises(ValueError, match='b.json'):
        measurements.check(CT)


def test_command_compares(run, tmp_path):
    """Data of another field of view are refused before any result."""
    assert run('train', '--trainer.max_steps', '1')[0] == 0
    np.save(tmp_path / 'y.npy', np.ones((8, 34), 'float32'))
    written(tmp_path / 'y.json', {'n_views': 8, 'side': 0.2})
    options = ['--weights', 'run/final.safetensors', '--output', 'images']
    status, _, error = run('reconstruct', '--input', 'y.npy', *options)
    assert status == 1
    assert '`side` 0.2, but the configuration has 0.36' in error
    assert not (tmp_path / 'images').exists()
    written(tmp_path / 'y.json', {'n_views': 8, 'side': 0.36})
    assert run('reconstruct', '--input', 'y.npy', *options)[0] == 0
