# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of pairs that lie in a folder."""

import errno
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from odl_equivariant._files import unsealed, write_sealed
from odl_equivariant.data import (
    CartesianMRI,
    PairStore,
    SimulatedPairs,
    SparseViewCT,
)
from odl_equivariant.data.pairs import writer


class _Pairs:
    """Pairs with tensors of several dtypes, which may fail at one index."""

    def __init__(self, n=6, seed=0, fail_at=None, error=RuntimeError):
        self.n, self.seed, self.fail_at = n, seed, fail_at
        self.error = error
        self.calls = []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.calls.append(i)
        if i == self.fail_at:
            raise self.error('broken off')
        rng = np.random.default_rng([self.seed, i])
        return {
            'data': torch.tensor(rng.normal(size=(2, 3, 4)).astype('float32')),
            'truth': torch.tensor(rng.normal(size=(1, 5, 5))),
            'mask': torch.tensor(rng.integers(2, size=(3, 4)) > 0),
            'name': f'pair {i}',
            'index': 10 + i,
        }


def _equal(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == second[key].dtype
            assert torch.equal(value, second[key])
        else:
            assert value == second[key]
    return True


def _holds(store, pairs):
    assert len(store) == len(pairs)
    return all(_equal(store[i], pairs[i]) for i in range(len(pairs)))


def test_store_holds_the_pairs(tmp_path):
    """Stored pairs are read unchanged, with names and dtypes."""
    pairs = _Pairs()
    store = PairStore.write(pairs, tmp_path / 'new' / 'store')
    assert _holds(store, pairs)
    assert _holds(PairStore(tmp_path / 'new' / 'store'), pairs)


def test_each_pair_is_made_once(tmp_path):
    """A new store asks for each of its pairs once, in their order."""
    pairs = _Pairs()
    PairStore.write(pairs, tmp_path)
    assert pairs.calls == list(range(6))


def test_epochs_are_alike(tmp_path):
    """An epoch in the key changes nothing."""
    store = PairStore.write(_Pairs(), tmp_path)
    assert _equal(store[2, 5], store[2])


def test_items_may_be_changed(tmp_path):
    """Writing into an item changes neither the store nor the next item."""
    store = PairStore.write(_Pairs(), tmp_path)
    store[1]['data'][...] = 0
    assert _holds(store, _Pairs())


def test_files_are_plain_arrays(tmp_path):
    """Each tensor is one .npy file for all pairs, without pickle."""
    PairStore.write(_Pairs(), tmp_path)
    files = {path.name: path for path in tmp_path.rglob('*.npy')}
    assert set(files) == {'data.npy', 'truth.npy', 'mask.npy'}
    data = np.load(files['data.npy'], allow_pickle=False)
    assert data.shape == (6, 2, 3, 4)
    assert np.array_equal(data[4], _Pairs()[4]['data'])


def test_numbers_without_dimensions(tmp_path):
    """Arrays and tensors of any number of dimensions can be stored."""
    pairs = [
        {
            'data': torch.tensor(2.5),
            'truth': np.arange(3),
            'index': np.int64(7),
        }
    ] * 2
    store = PairStore.write(pairs, tmp_path)
    assert store[1]['index'] == 7
    assert store[1]['data'] == 2.5
    assert store[1]['truth'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_half_a_store_is_refused(tmp_path, error):
    """The error says how many of how many pairs there are."""
    with pytest.raises(error):
        PairStore.write(_Pairs(fail_at=4, error=error), tmp_path)
    with pytest.raises(ValueError, match='has 4 of 6 pairs'):
        PairStore(tmp_path)


def test_writing_goes_on_where_it_broke_off(tmp_path):
    """The second call makes only the pairs that are missing."""
    with pytest.raises(RuntimeError):
        PairStore.write(_Pairs(fail_at=4), tmp_path)
    pairs = _Pairs()
    store = PairStore.write(pairs, tmp_path)
    # the first one and the last one are made again, to compare them
    assert sorted(pairs.calls) == [0, 3, 4, 5]
    assert _holds(store, _Pairs())
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        'pairs.json'
    ]
    assert len(list(tmp_path.iterdir())) == 2


def test_other_pairs_start_anew(tmp_path):
    """Pairs of an earlier, different call are not used."""
    for other in (_Pairs(seed=1, fail_at=4), _Pairs(7, fail_at=4)):
        with pytest.raises(RuntimeError):
            PairStore.write(other, tmp_path)
        assert _holds(PairStore.write(_Pairs(), tmp_path), _Pairs())
        shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_killed_process_can_be_resumed(tmp_path, monkeypatch):
    """After a kill, marked pairs are kept, and writing goes on."""
    script = textwrap.dedent(
        f"""
        import os, signal
        import torch
        from odl_equivariant.data import PairStore
        from odl_equivariant.data.pairs import writer

        writer._SECONDS_BETWEEN_MARKS = -1.0

        class Pairs:
            def __len__(self):
                return 6

            def __getitem__(self, i):
                if i == 4:
                    os.kill(os.getpid(), signal.SIGKILL)
                return {{'data': torch.full((3,), float(i)), 'index': i}}

        PairStore.write(Pairs(), {str(tmp_path)!r})
        """
    )
    result = subprocess.run([sys.executable, '-c', script])
    assert result.returncode == -signal.SIGKILL
    with pytest.raises(ValueError, match='has 4 of 6 pairs'):
        PairStore(tmp_path)
    pairs = [
        {'data': torch.full((3,), float(i)), 'index': i} for i in range(6)
    ]
    assert _holds(PairStore.write(pairs, tmp_path), pairs)


def test_earlier_store_stays_until_the_new_one_is_whole(tmp_path):
    """A store is replaced at once, when the new one is complete."""
    old = PairStore.write(_Pairs(), tmp_path)
    with pytest.raises(RuntimeError):
        PairStore.write(_Pairs(8, seed=1, fail_at=5), tmp_path)
    assert _holds(PairStore(tmp_path), _Pairs())
    assert _holds(old, _Pairs())
    new = PairStore.write(_Pairs(8, seed=1), tmp_path)
    assert _holds(new, _Pairs(8, seed=1))
    assert len(list(tmp_path.iterdir())) == 2


def test_small_disk_is_refused_before_the_work(tmp_path, monkeypatch):
    """After one pair, an error says that the space will not suffice."""
    PairStore.write(_Pairs(), tmp_path)
    usage = namedtuple('usage', 'total used free')(100, 0, 100)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    pairs = _Pairs(8, seed=1)
    with pytest.raises(OSError, match='8 pairs take .* GB free') as error:
        PairStore.write(pairs, tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert pairs.calls == [0]
    assert _holds(PairStore(tmp_path), _Pairs())


def test_remains_are_removed_before_a_new_start(tmp_path, monkeypatch):
    """A new start that fails does not look like the earlier store."""
    with pytest.raises(RuntimeError):
        PairStore.write(_Pairs(fail_at=4), tmp_path)
    usage = namedtuple('usage', 'total used free')(100, 0, 100)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match='GB free'):
        PairStore.write(_Pairs(8), tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match='no store'):
        PairStore(tmp_path)


def test_full_disk_leaves_the_earlier_store(tmp_path):
    """If writing fails half-way, the earlier store is unchanged."""
    resource = pytest.importorskip('resource')
    PairStore.write(_Pairs(), tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # a limit for the size of files stands for a disk that is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            PairStore.write(_Pairs(2000, seed=1), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno == errno.EFBIG
    assert _holds(PairStore(tmp_path), _Pairs())
    assert _holds(
        PairStore.write(_Pairs(20, seed=1), tmp_path), _Pairs(20, seed=1)
    )


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('data', torch.zeros(2, 3, 5), r'pair 3.*\(2, 3, 5\)'),
        ('truth', torch.zeros(1, 5, 5), 'pair 3.*float32'),
        ('extra', torch.zeros(1), 'pair 3.*extra'),
    ],
)
def test_mixed_pairs_are_refused(tmp_path, key, value, words):
    """The error names the two pairs that differ, and how."""

    class Mixed(_Pairs):
        def __getitem__(self, i):
            pair = super().__getitem__(i)
            return {**pair, key: value} if i == 3 else pair

    with pytest.raises(ValueError, match=words) as error:
        PairStore.write(Mixed(), tmp_path)
    assert 'pair 0 has data of shape (2, 3, 4)' in str(error.value)


@pytest.mark.parametrize(
    ('pair', 'error'),
    [
        ([torch.zeros(1)], TypeError),
        ({'data': [1, 2]}, TypeError),
        ({'data': np.array(['a'])}, TypeError),
        ({'data': torch.zeros(1, dtype=torch.bfloat16)}, TypeError),
        ({'data': torch.zeros(1), 'x': True}, TypeError),
        ({'data': torch.zeros(1), 'x': 0.5}, TypeError),
        ({'../data': torch.zeros(1)}, ValueError),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path, pair, error):
    """Only tensors, arrays, str and int can be stored."""
    with pytest.raises(error, match='pair|file'):
        PairStore.write([pair], tmp_path)


def test_no_pairs_are_refused(tmp_path):
    """An empty set is an error."""
    with pytest.raises(ValueError, match='no pairs'):
        PairStore.write([], tmp_path)


def test_missing_store_is_named(tmp_path):
    """A folder without a store is named."""
    for folder in (tmp_path, tmp_path / 'elsewhere'):
        with pytest.raises(FileNotFoundError, match=str(folder)):
            PairStore(folder)


@pytest.mark.parametrize('damage', ['short', 'gone', 'other', 'json', 'list'])
def test_damaged_store_is_refused(tmp_path, damage):
    """A store with a part missing is refused when it is opened."""
    PairStore.write(_Pairs(), tmp_path)
    (path,) = tmp_path.rglob('truth.npy')
    if damage == 'short':
        path.write_bytes(path.read_bytes()[:-4])
    elif damage == 'gone':
        path.unlink()
    elif damage == 'other':
        np.save(path, np.zeros((6, 1, 5, 4)))
    else:
        text = '{' if damage == 'json' else json.dumps([1])
        (tmp_path / 'pairs.json').write_text(text, 'utf-8')
    with pytest.raises(ValueError, match='damaged|no list'):
        PairStore(tmp_path)


def test_nothing_is_unpickled(tmp_path):
    """A file with an array of objects is refused."""
    PairStore.write(_Pairs(), tmp_path)
    (path,) = tmp_path.rglob('truth.npy')
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match='damaged'):
        PairStore(tmp_path)


def test_pickled_store_has_no_arrays(tmp_path):
    """A worker is sent the path and the names, no data."""

    class Large(_Pairs):
        def __getitem__(self, i):
            return {'data': torch.zeros(100_000), 'index': i}

    store = PairStore.write(Large(3), tmp_path)
    pickled = pickle.dumps(store)
    assert len(pickled) < 5000
    assert torch.equal(pickle.loads(pickled)[1]['data'], torch.zeros(100_000))


@pytest.mark.parametrize(
    'context', ['fork', pytest.param('spawn', marks=pytest.mark.slow)]
)
def test_workers_read_the_store(tmp_path, context):
    """Processes that load pairs read what this one does."""
    store = PairStore.write(_Pairs(), tmp_path)
    loader = DataLoader(
        store,
        batch_size=None,
        sampler=[(i, 1) for i in (5, 0, 3)],
        num_workers=1 if context == 'spawn' else 2,
        multiprocessing_context=context,
    )
    for index, pair in zip((5, 0, 3), loader, strict=True):
        assert _equal(pair, store[index])


@pytest.mark.parametrize('key', [-1, 6, (6, 1), (-1, 1)])
def test_index_out_of_range_is_refused(tmp_path, key):
    """The error of a wrong index names how many there are."""
    store = PairStore.write(_Pairs(), tmp_path)
    with pytest.raises(IndexError, match='there are 6 pairs'):
        store[key]


def test_data_are_on_disk_before_they_are_counted(tmp_path, monkeypatch):
    """Every file is synchronised before the mark that counts its pairs."""
    events = []
    fsync, write = os.fsync, writer.write_sealed
    monkeypatch.setattr(
        os, 'fsync', lambda handle: (events.append('sync'), fsync(handle))
    )

    def mark(path, content):
        events.append(('mark', path.name, content['done']))
        write(path, content)

    monkeypatch.setattr(writer, 'write_sealed', mark)
    monkeypatch.setattr(writer, '_SECONDS_BETWEEN_MARKS', -1.0)
    PairStore.write(_Pairs(2), tmp_path)
    marks = [i for i, event in enumerate(events) if event != 'sync']
    assert [events[i][1:] for i in marks] == [
        ('partial.json', 0),
        ('partial.json', 1),
        ('partial.json', 2),
        ('partial.json', 2),
        ('pairs.json', 2),
    ]
    for i in marks[:-1]:
        assert events[max(i - 3, 0) : i] == ['sync'] * 3


def test_progress_has_a_total(tmp_path, monkeypatch, capsys):
    """On a terminal a bar shows how many of the pairs are written."""
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    PairStore.write(_Pairs(), tmp_path)
    assert '6/6' in capsys.readouterr().err
    PairStore.write(_Pairs(), tmp_path, progress=False)
    assert capsys.readouterr().err == ''


# --- What is in the files is not trusted --- #


def _change_list(path, **changes):
    """Change a list of pairs, and correct its checksum."""
    content = unsealed(path.read_text('utf-8'))
    write_sealed(path, {**content, **changes})


@pytest.fixture
def outside(tmp_path):
    """Return a folder with arrays like those of a store, all of them 42."""
    folder = tmp_path / 'outside'
    store = PairStore.write(_Pairs(), folder)
    for path in list(folder.rglob('*.npy')):
        array = np.load(path)
        np.save(folder / path.name, np.full_like(array, 42))
        path.unlink()
    shutil.rmtree(folder / store._content['part'])
    (folder / 'pairs.json').unlink()
    return folder


def _is_untouched(outside):
    return all(
        np.array_equal(array, np.full_like(array, 42))
        for array in map(np.load, outside.glob('*.npy'))
    )


def _lead_out(way, folder, name, outside):
    """Make links from a store to the arrays outside of it."""
    path = folder / name
    part = folder / unsealed(path.read_text('utf-8'))['part']
    if way == 'relative':
        _change_list(path, part='../outside')
    elif way == 'absolute':
        _change_list(path, part=str(outside))
    elif way == 'folder':
        shutil.rmtree(part)
        part.symlink_to(outside)
    else:
        for array in outside.glob('*.npy'):
            (part / array.name).unlink()
            (part / array.name).symlink_to(array)


way = pytest.mark.parametrize(
    'way', ['relative', 'absolute', 'folder', 'file']
)


def test_circles_of_links_are_refused(tmp_path):
    """A link to itself is an error that names it."""
    store = PairStore.write(_Pairs(), tmp_path)
    part = tmp_path / store._content['part']
    shutil.rmtree(part)
    part.symlink_to(part)
    pickled = pickle.dumps(store)
    for use in (PairStore, lambda folder: pickle.loads(pickled)[0]):
        with pytest.raises(ValueError, match=f'(?s){part.name}.*circle'):
            use(tmp_path)


@way
def test_nothing_is_read_from_outside(tmp_path, outside, way):
    """Names and links cannot lead out of the folder of a store."""
    folder = tmp_path / 'store'
    store = PairStore.write(_Pairs(), folder)
    pickled = pickle.dumps(store)
    _lead_out(way, folder, 'pairs.json', outside)
    with pytest.raises(ValueError, match='not the name of|link out of its'):
        PairStore(folder)
    if way in ('folder', 'file'):
        with pytest.raises(ValueError, match='link out of its'):
            pickle.loads(pickled)[0]


@way
def test_nothing_is_written_outside(tmp_path, outside, way):
    """Going on with a store writes into its folder, or is refused."""
    folder = tmp_path / 'store'
    with pytest.raises(RuntimeError):
        PairStore.write(_Pairs(fail_at=4), folder)
    _lead_out(way, folder, 'partial.json', outside)
    with pytest.raises(ValueError, match='not the name of|link out of its'):
        PairStore.write(_Pairs(), folder)
    assert _is_untouched(outside)


def test_store_may_be_a_link(tmp_path):
    """The folder itself, or one above it, may lie elsewhere."""
    PairStore.write(_Pairs(), tmp_path / 'disk' / 'store')
    (tmp_path / 'link').symlink_to(tmp_path / 'disk')
    assert _holds(PairStore(tmp_path / 'link' / 'store'), _Pairs())
    pairs = _Pairs(7, seed=1)
    assert _holds(PairStore.write(pairs, tmp_path / 'link' / 'store'), pairs)


_FIELD = {'data': ['<f4', [2, 3, 4]]}


@pytest.mark.parametrize('name', ['pairs.json', 'partial.json'])
@pytest.mark.parametrize(
    'changes',
    [
        {'labels': []},
        {'labels': None},
        {'labels': {}},
        {'labels': 6 * [3]},
        {'labels': 6 * [{'name': None}]},
        {'labels': 6 * [{'data': 'x'}]},
        {'part': 5},
        {'part': '..'},
        {'part': 'part-abc/../..'},
        {'part': 'part-\x00'},
        {'n': 5},
        {'n': 0, 'done': 0, 'labels': []},
        {'n': 1e3},
        {'n': None},
        {'done': 5},
        {'done': -1},
        {'fields': None},
        {'fields': []},
        {'fields': {'../data': ['<f4', [2]]}},
        {'fields': {'data': 3}},
        {'fields': {'data': ['<f4', 3]}},
        {'fields': {'data': ['<f4', [-1]]}},
        {'fields': {'data': ['O', [2]]}},
        {'fields': {'data': ['<f3', [2]]}},
        {'fields': {'data': [None, [2]]}},
        {'fields': _FIELD, 'checksums': {}},
        {'fields': _FIELD, 'checksums': {'data': [1]}},
        {'fields': _FIELD, 'checksums': {'data': 6 * ['1']}},
        {'checksums': None},
        {'version': 3},
        {'version': '2'},
        {'format': 'other'},
    ],
)
def test_lists_that_cannot_be_are_refused(tmp_path, name, changes):
    """A list that no writer makes is an error that names the file."""
    PairStore.write(_Pairs(), tmp_path)
    if name == 'partial.json':
        (tmp_path / 'pairs.json').rename(tmp_path / name)
        if changes == {'done': 5}:
            changes = {'done': 7}
    _change_list(tmp_path / name, **changes)
    for use in (PairStore, lambda folder: PairStore.write(_Pairs(), folder)):
        with pytest.raises(ValueError, match=name):
            use(tmp_path)


def test_half_a_store_is_no_whole_one(tmp_path):
    """A list of some of the pairs is not accepted for a whole store."""
    with pytest.raises(RuntimeError):
        PairStore.write(_Pairs(fail_at=4), tmp_path)
    (tmp_path / 'partial.json').rename(tmp_path / 'pairs.json')
    with pytest.raises(ValueError, match='damaged: 4 of 6 are done'):
        PairStore(tmp_path)


@pytest.mark.parametrize(
    'text', ['', '{', '[]', '3', 50_000 * '[', '{"format": 1' + 5000 * '0']
)
def test_lists_that_are_no_lists_are_refused(tmp_path, text):
    """The error says what to do."""
    PairStore.write(_Pairs(), tmp_path)
    (tmp_path / 'pairs.json').write_text(text, 'utf-8')
    with pytest.raises(ValueError, match='pairs.json is'):
        PairStore(tmp_path)


def test_flipped_bits_of_arrays_are_noticed(tmp_path):
    """The error names the pair and the array, when the pair is read."""
    pairs = _Pairs()
    PairStore.write(pairs, tmp_path)
    paths = sorted(tmp_path.rglob('*.npy'))
    generator = random.Random(0)
    n_noticed = 0
    for _ in range(200):
        path = generator.choice(paths)
        content = path.read_bytes()
        place = generator.randrange(8 * len(content))
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            store = PairStore(tmp_path)
            for i in range(6):
                assert _equal(store[i], pairs[i])
        except ValueError as error:
            n_noticed += 1
            if place // 8 >= 128:
                words = f'pair . .pair .*checksum of .{path.stem}. is wrong'
                assert re.search(words, str(error))
        path.write_bytes(content)
    assert n_noticed > 180
    assert _holds(PairStore(tmp_path), pairs)


def test_flipped_bits_of_the_list_are_noticed(tmp_path):
    """No bit of the list changes a pair without an error."""
    pairs = _Pairs()
    PairStore.write(pairs, tmp_path)
    path = tmp_path / 'pairs.json'
    content = path.read_bytes()
    generator = random.Random(0)
    n_noticed = 0
    for place in (generator.randrange(8 * len(content)) for _ in range(200)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            store = PairStore(tmp_path)
        except ValueError:
            n_noticed += 1
            continue
        assert _holds(store, pairs)
    assert n_noticed == 200


def test_writing_goes_on_beside_flipped_bits(tmp_path):
    """Damaged files of an earlier call are noticed or not used."""
    pairs = _Pairs()
    with pytest.raises(RuntimeError):
        PairStore.write(_Pairs(fail_at=4), tmp_path / 'first')
    generator = random.Random(0)
    outcomes = []
    for i in range(60):
        folder = tmp_path / str(i)
        shutil.copytree(tmp_path / 'first', folder)
        path = generator.choice(sorted(folder.rglob('*.*')))
        damaged = bytearray(path.read_bytes())
        # in the header of an array as often as in its numbers
        end = len(damaged) if i % 2 or path.suffix == '.json' else 128
        place = generator.randrange(8 * end)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            store = PairStore.write(pairs, folder)
            outcomes.append(all(_equal(store[i], pairs[i]) for i in range(6)))
        except ValueError as error:
            assert 'damaged' in str(error) or 'no list' in str(error)
    assert all(outcomes) and len(outcomes) > 20


def test_checksums_go_on_where_writing_broke_off(tmp_path):
    """A store written in parts equals one written at once."""
    with pytest.raises(RuntimeError):
        PairStore.write(_Pairs(fail_at=4), tmp_path / 'parts')
    parts = PairStore.write(_Pairs(), tmp_path / 'parts')
    whole = PairStore.write(_Pairs(), tmp_path / 'whole')
    assert parts._content['checksums'] == whole._content['checksums']


def test_pairs_are_checked_once(tmp_path, monkeypatch):
    """All workers together check a pair once, at its first reading."""
    store = PairStore.write(_Pairs(), tmp_path)
    store[1]
    monkeypatch.setattr(PairStore, '_check', lambda *arguments: 1 / 0)
    assert _equal(store[1], _Pairs()[1])
    with pytest.raises(ZeroDivisionError):
        store[2]
    monkeypatch.undo()
    loader = DataLoader(
        store,
        batch_size=None,
        num_workers=1,
        multiprocessing_context='fork',
    )
    assert len(list(loader)) == 6
    monkeypatch.setattr(PairStore, '_check', lambda *arguments: 1 / 0)
    assert _equal(store[2], _Pairs()[2])


def test_damaged_pair_stays_damaged(tmp_path):
    """A damaged pair is refused each time, and the others are read."""
    store = PairStore.write(_Pairs(), tmp_path)
    (path,) = tmp_path.rglob('mask.npy')
    content = bytearray(path.read_bytes())
    # the last number of the last pair but one
    content[-13] ^= 1
    path.write_bytes(content)
    store = PairStore(tmp_path)
    for _ in range(3):
        with pytest.raises(ValueError, match="pair 4 .*of 'mask' is wrong"):
            store[4]
        assert _equal(store[5], _Pairs()[5])


def test_store_of_an_earlier_version(tmp_path):
    """A store without checksums is read as before, and replaced by one."""
    PairStore.write(_Pairs(), tmp_path)
    path = tmp_path / 'pairs.json'
    content = unsealed(path.read_text('utf-8'))
    del content['checksums']
    path.write_text(json.dumps({**content, 'version': 1}), 'utf-8')
    assert _holds(PairStore(tmp_path), _Pairs())
    path.rename(tmp_path / 'partial.json')
    assert _holds(PairStore.write(_Pairs(), tmp_path), _Pairs())
    assert 'checksums' in path.read_text('utf-8')


def test_one_writer_in_a_folder(tmp_path):
    """A second writer is refused, and what the first writes stays its own."""
    messages = []

    class Pairs:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index == 1:
                with pytest.raises(BlockingIOError, match='pairs') as error:
                    PairStore.write(others, tmp_path)
                messages.append(str(error.value))
            return {'data': torch.full((2,), float(index)), 'index': index}

    others = [{'data': torch.full((2,), 9.0), 'index': i} for i in range(3)]
    store = PairStore.write(Pairs(), tmp_path)
    assert f'process {os.getpid()}' in messages[0]
    assert [float(pair['data'][0]) for pair in store] == [0, 1, 2]
    assert not (tmp_path / '.lock').exists()
    assert float(PairStore.write(others, tmp_path)[0]['data'][0]) == 9


# --- The acquisition that made the pairs --- #


def _simulated(make, **settings):
    return SimulatedPairs(
        [np.full((16, 16), 0.1)] * 2, make((16, 16), **settings)
    )


_CT, _MRI = SparseViewCT, CartesianMRI
_MAPS = np.ones((1, 16, 16)) / 2


@pytest.mark.parametrize(
    'make, key, value, other',
    [
        (_CT, 'n_views', 8, 9),
        (_CT, 'side', 0.3, 0.4),
        (_CT, 'n_photons', 10_000, 1000),
        (_MRI, 'mask', None, np.arange(16)[:, None] % 2 == 0),
        (_MRI, 'coil_maps', _MAPS, 1j * _MAPS),
    ],
)
def test_store_of_another_acquisition_is_refused(
    tmp_path, make, key, value, other
):
    """The error names the setting that differs and what to do about it."""
    pairs = _simulated(make, **{key: value})
    acquisition = make((16, 16), **{key: other})
    PairStore.write(pairs, tmp_path, progress=False)
    with pytest.raises(ValueError, match=f'made with `{key}`') as error:
        PairStore(tmp_path, acquisition)
    assert str(tmp_path) in str(error.value)
    assert f'`data.acquisition.init_args.{key}`' in str(error.value)


def test_store_of_another_class_is_refused(tmp_path):
    """Pairs of tomography are not those of magnetic resonance."""
    PairStore.write(_simulated(_CT), tmp_path, progress=False)
    with pytest.raises(ValueError, match='but are used with CartesianMRI'):
        PairStore(tmp_path, _MRI((16, 16)))


@pytest.mark.parametrize(
    'how',
    [{}, {'backend': 'pytorch'}, {'dtype': 'float64'}, {'impl': 'astra_cpu'}],
)
def test_store_of_the_same_acquisition(tmp_path, how):
    """The back-end, the precision and the implementation may differ."""
    settings = {'n_views': 8, 'side': np.float64(0.25)}
    PairStore.write(_simulated(_CT, **settings), tmp_path, progress=False)
    acquisition = _CT((16, 16), n_views=8, side=0.25, **how)
    store = PairStore(tmp_path, acquisition)
    assert len(pickle.loads(pickle.dumps(store))) == 2
    copy = PairStore.write(Subset(store, [1]), tmp_path / 'a', progress=False)
    assert copy.origin == store.origin


def test_store_without_an_origin(tmp_path):
    """Stores of earlier versions fit any acquisition, as they always did."""
    PairStore.write(_simulated(_CT), tmp_path, progress=False)
    content = unsealed((tmp_path / 'pairs.json').read_text('utf-8'))
    del content['acquisition']
    write_sealed(tmp_path / 'pairs.json', content)
    assert PairStore(tmp_path, _CT((16, 16), n_views=3)).origin is None


def test_write_of_another_acquisition_starts_anew(tmp_path):
    """Pairs of two acquisitions are not mixed, even if their first agrees."""
    pairs = _simulated(_CT, n_photons=None, mu_max=80.0)
    others = _simulated(_CT, n_photons=None, mu_max=81.0)
    assert torch.equal(pairs[0]['data'], others[0]['data'])
    first = pairs[0]
    with pytest.raises(RuntimeError):
        PairStore.write(_Failing(pairs), tmp_path, progress=False)
    partial = unsealed((tmp_path / 'partial.json').read_text('utf-8'))
    assert partial['done'] == 1
    store = PairStore.write(others, tmp_path, progress=False)
    assert store.origin['settings']['mu_max'] == 81.0
    assert store._content['part'] != partial['part']
    assert _equal(store[0], first)


class _Failing:
    """Pairs of which only the first can be made."""

    def __init__(self, pairs):
        self.pairs, self.acquisition = pairs, pairs.acquisition

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        if index:
            raise RuntimeError('broken off')
        return self.pairs[index]
