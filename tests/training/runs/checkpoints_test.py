# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of checkpoints: whole, without pickle, and the one before if torn."""

import enum
import errno
import io
import logging
import os

import numpy as np
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.training import CheckpointFiles
from odl_equivariant.training.runs.checkpoints import (
    checkpoint_path,
    checkpoints,
    last_whole,
)
from odl_equivariant.training.runs.tree import pack, unpack

dtype = simple_fixture(
    'dtype',
    [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool],
)


def state():
    """Return a state with all that may be in one."""
    return {
        'weights': {'w': torch.randn(3, 4), 'scalar': torch.tensor(2.5)},
        'optimizer': {'state': {0: {'step': torch.tensor(7.0)}, 1: {}}},
        'betas': (0.9, 0.999),
        'nested': [(1, [True, None]), {'%tensor': 'a name'}],
        'array': np.arange(3, dtype='uint32'),
        'number': np.float64(0.5),
        'empty': torch.zeros(0, 2),
        'infinite': float('inf'),
    }


def assert_same(one, other):
    """Compare two states, and the types in them."""
    if isinstance(one, np.generic):
        one = one.item()
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    else:
        assert one == other


def test_state_is_the_same(tmp_path):
    """What is loaded is what was saved, to the last bit and type."""
    path = tmp_path / 'a' / 'x.ckpt'
    saved = state()
    CheckpointFiles().save_checkpoint(saved, path)
    assert_same(saved, CheckpointFiles().load_checkpoint(path))
    assert os.listdir(path.parent) == ['x.ckpt']


def test_tensors_of_any_kind(tmp_path, dtype):
    """Tensors may be views, share memory, and have any order of axes."""
    base = (3 * torch.randn(2, 3, 4, 5)).to(dtype)
    saved = {
        'base': base,
        'view': base[:, 1],
        'last': base.to(memory_format=torch.channels_last),
    }
    path = tmp_path / 'x.ckpt'
    CheckpointFiles().save_checkpoint(saved, path)
    assert_same(saved, CheckpointFiles().load_checkpoint(path))


def test_pack_refuses_what_is_no_data():
    """An object that only pickle could hold is named with its place."""
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\] is a function"):
        pack({'a': [1, pack]})
    with pytest.raises(TypeError, match='array of dtype object'):
        pack([np.array([None])])
    with pytest.raises(TypeError, match='has the key 1.5'):
        pack({1.5: 0})


def test_unpack_inverts_pack():
    """Packing and unpacking needs no file."""
    saved = state()
    assert_same(saved, unpack(*pack(saved)))


@pytest.mark.parametrize('share', [0.0, 0.01, 0.5, 0.999])
def test_torn_file_is_recognised(tmp_path, share):
    """A file that ends early is an error that says so."""
    path = tmp_path / 'x.ckpt'
    CheckpointFiles().save_checkpoint(state(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match='x.ckpt is damaged, or not a'):
        CheckpointFiles().load_checkpoint(path)


def test_changed_byte_is_recognised(tmp_path):
    """So is a file of the right length with a wrong byte, anywhere."""
    path = tmp_path / 'x.ckpt'
    CheckpointFiles().save_checkpoint({'w': torch.randn(50)}, path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    # the first 8 bytes, and the padding of the header, mean nothing
    places = rng.integers(8, len(content), 40)
    for place in places:
        if content[place] == ord(' '):
            continue
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match='is damaged'):
            CheckpointFiles().load_checkpoint(path)


def test_no_such_file(tmp_path):
    """A checkpoint that is not there is another error."""
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        CheckpointFiles().load_checkpoint(tmp_path / 'x.ckpt')


def write_run(folder, steps):
    """Write the checkpoints of a run."""
    for step in steps:
        CheckpointFiles().save_checkpoint(
            {'step': step, 'w': torch.ones(9)}, checkpoint_path(folder, step)
        )


def test_checkpoints_are_sorted_by_step(tmp_path):
    """The newest is first, and other files are none."""
    write_run(tmp_path, [9, 1000, 20])
    (tmp_path / 'step-000000030.ckpt.tmp').write_text('')
    names = [path.name[5:14] for path in checkpoints(tmp_path)]
    assert names == ['000001000', '000000020', '000000009']
    assert checkpoints(tmp_path / 'nowhere') == []


def test_torn_checkpoint_is_passed_over(tmp_path, caplog):
    """The one before is taken, and that is said."""
    write_run(tmp_path, [10, 20])
    torn = checkpoint_path(tmp_path, 20)
    torn.write_bytes(torn.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        assert last_whole(tmp_path) == checkpoint_path(tmp_path, 10)
    assert 'step-000000020.ckpt is damaged' in caplog.text
    assert 'the checkpoint before it is used' in caplog.text


def test_all_checkpoints_torn(tmp_path):
    """Without a whole one, a run is not begun anew in silence."""
    assert last_whole(tmp_path) is None
    write_run(tmp_path, [10, 20])
    for path in checkpoints(tmp_path):
        path.write_bytes(b'')
    with pytest.raises(ValueError, match='no checkpoint can be read'):
        last_whole(tmp_path)


@pytest.mark.parametrize('call', ['write', 'fsync'])
def test_full_disk_leaves_what_was_there(tmp_path, monkeypatch, call):
    """A file that cannot be written leaves the one of before, and no trace."""
    write_run(tmp_path, [10])
    path = checkpoint_path(tmp_path, 10)
    before = path.read_bytes()

    def fail(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    if call == 'fsync':
        monkeypatch.setattr(os, 'fsync', fail)
    else:

        class Full(io.FileIO):
            write = staticmethod(fail)

        monkeypatch.setattr('builtins.open', Full)
    with pytest.raises(OSError, match='No space left'):
        write_run(tmp_path, [10])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_states_of_earlier_versions_are_read():
    """The text of a checkpoint means what it always meant."""
    text = (
        '{"a": {"%tuple": [1, {"%tensor": "0"}]}, "b": {"%items": '
        '[[0, {"%array": "1"}], ["%tensor", {"c": [true, null, Infinity]}]]}}'
    )
    tensors = {'0': torch.ones(2), '1': torch.tensor([1, 2])}
    expected = {
        'a': (1, torch.ones(2)),
        'b': {
            0: np.array([1, 2]),
            '%tensor': {'c': [True, None, float('inf')]},
        },
    }
    assert_same(expected, unpack(text, tensors))


def test_values_of_enumerations_are_plain():
    """Of a value of a derived class only the value is kept."""
    kinds = (('Text', str, 'a'), ('Whole', int, 3), ('Real', float, 0.1))
    for name, kind, value in kinds:
        member = enum.Enum(name, {'x': value}, type=kind).x
        assert_same([value], unpack(*pack([member])))
