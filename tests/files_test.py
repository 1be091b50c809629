# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of atomic writes and of checksums."""

import hashlib
import os

import numpy as np
import pytest
import torch

from odl_equivariant._files import (
    checksum,
    digest,
    write_atomically,
    write_files,
)

TENSORS = {
    'b': torch.arange(6, dtype=torch.float32).reshape(2, 3),
    'a': torch.tensor(True),
    'c': torch.arange(4).to(torch.bfloat16)[::2],
    'd': torch.empty(0, 3),
}


def test_checksums_of_files_of_earlier_versions():
    """They are written in the files of users, and never change."""
    assert checksum('{"ä": 1}', TENSORS) == CHECKSUM
    checkpoint = digest(['{"ä": 1}', *(TENSORS[n] for n in sorted(TENSORS))])
    assert checkpoint == CHECKPOINT
    arrays = [np.arange(3, dtype='float32'), np.arange(4, dtype='int32')]
    assert digest(arrays, hashlib.sha256()) == MATRIX


CHECKSUM = '874a53bfc2d613d5fba880fecc9252d9'
CHECKPOINT = '17def32cde5efbcf89639c71db58f30a'
MATRIX = 'ca1737ce26bef9534e1fc1e9269f4b0f5c7bb16bb5202bd9bfb441aa23e2c92d'


@pytest.mark.parametrize(
    'values', [np.arange(12.0).reshape(3, 4), np.empty((0, 2)), np.array(1.5)]
)
def test_digest_is_of_the_bytes_in_order(values):
    """Whether of an array, of a tensor or of a view of one."""
    expected = digest([values.tobytes()])
    assert digest([values]) == digest([torch.from_numpy(values)]) == expected
    if values.ndim == 2:
        turned = np.asfortranarray(values)
        assert digest([turned]) == expected
        assert digest([torch.from_numpy(turned.T).T]) == expected
        assert digest([values.T]) != expected or not values.size


def test_buffers_are_written_one_after_the_other(tmp_path):
    """A file is the parts that it is written from, without copies of them."""
    array = np.arange(3, dtype='int32')
    parts = (part for part in (b'begin', array.view('uint8'), bytearray(b'x')))
    write_atomically(tmp_path / 'file', parts)
    expected = b'begin' + array.tobytes() + b'x'
    assert (tmp_path / 'file').read_bytes() == expected
    assert os.listdir(tmp_path) == ['file']


def test_nothing_is_left_where_the_parts_end_early(tmp_path):
    """Of several files none is replaced, whatever goes wrong in between."""
    write_files({tmp_path / 'a': b'old', tmp_path / 'b': [b'old']})

    def broken():
        yield b'new'
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_files({tmp_path / 'a': b'new', tmp_path / 'b': broken()})
    assert sorted(os.listdir(tmp_path)) == ['a', 'b']
    assert {p.read_bytes() for p in tmp_path.iterdir()} == {b'old'}
