# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the index of a folder."""

import json
import logging
import os
import pickle
import random
import sys

import numpy as np
import pytest

from odl_equivariant._files import unsealed, write_sealed
from odl_equivariant.data import NumpySlices
from odl_equivariant.data.slices import index
from odl_equivariant.data.slices.index import FolderIndex, NoImage


class _Describe:
    """Counts its calls, and refuses files that begin with ``!``."""

    def __init__(self):
        self.calls = []

    def __call__(self, path):
        self.calls.append(path.name)
        text = path.read_text('utf-8')
        if text.startswith('!'):
            raise NoImage(text)
        if text.startswith('?'):
            raise {'?i': ImportError, '?v': ValueError}[text[:2]](text)
        return [{'text': text, 'n': n} for n in range(len(text))]


@pytest.fixture
def describe():
    return _Describe()


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / 'tree'
    for name, text in (
        ('b.txt', 'x'),
        ('sub/a.txt', 'yz'),
        ('sub/deep/c.txt', 'w'),
        ('broken.txt', '!no'),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, 'utf-8')
    return root


def test_entries_are_in_the_order_of_names(tree, describe):
    """Entries are sorted by the names of their files."""
    index = FolderIndex(tree, 'test', describe)
    assert [name for name, _ in index.entries] == [
        'b.txt',
        'sub/a.txt',
        'sub/a.txt',
        'sub/deep/c.txt',
    ]
    assert index.n_files == 4
    assert index.entries[2][1] == {'text': 'yz', 'n': 1}
    assert index.path('sub/a.txt').read_text('utf-8') == 'yz'


def test_skipped_files_are_named_and_counted(tree, describe, caplog):
    """Skipped files are listed, and one line gives their number."""
    (tree / 'worse.txt').write_text('?v', 'utf-8')
    with caplog.at_level(logging.INFO):
        index = FolderIndex(tree, 'test', describe)
    assert index.skipped == [
        ('broken.txt', '!no'),
        ('worse.txt', 'ValueError: ?v'),
    ]
    assert 'broken.txt was skipped: !no' in caplog.text
    lines = [r.getMessage() for r in caplog.records if r.levelname != 'INFO']
    assert len(lines) == 1 and '2 of the 5 files' in lines[0]


def test_index_is_used_again(tree, describe):
    """The second time, no file is described, and the result is the same."""
    first = FolderIndex(tree, 'test', describe)
    describe.calls.clear()
    again = FolderIndex(tree, 'test', describe)
    assert describe.calls == []
    assert again.entries == first.entries
    assert again.skipped == first.skipped


@pytest.mark.parametrize('change', ['size', 'time', 'new', 'gone'])
def test_changed_files_are_looked_at_again(tree, describe, change):
    """A file with another size or time is described again."""
    FolderIndex(tree, 'test', describe)
    describe.calls.clear()
    if change == 'size':
        (tree / 'b.txt').write_text('xxx', 'utf-8')
    elif change == 'time':
        os.utime(tree / 'b.txt', ns=(1, 1))
    elif change == 'new':
        (tree / 'd.txt').write_text('new', 'utf-8')
    else:
        (tree / 'b.txt').unlink()
    index = FolderIndex(tree, 'test', describe)
    expected = {'size': ['b.txt'], 'time': ['b.txt'], 'new': ['d.txt']}
    assert describe.calls == expected.get(change, [])
    n_entries = {'size': 6, 'time': 4, 'new': 7, 'gone': 3}[change]
    assert len(index.entries) == n_entries
    assert index.entries == FolderIndex(tree, 'test', _Describe()).entries


def test_options_have_an_index_of_their_own(tree, describe):
    """Other options do not share an index."""
    FolderIndex(tree, 'test', describe, {'a': 1})
    describe.calls.clear()
    FolderIndex(tree, 'test', describe, {'a': 2})
    assert len(describe.calls) == 4
    describe.calls.clear()
    FolderIndex(tree, 'test', describe, {'a': 1})
    FolderIndex(tree, 'test', describe, {'a': 2})
    assert describe.calls == []


@pytest.mark.parametrize(
    'content', ['', '{', '[]', '{"files": 3}', '{"format": "x"}', '\x00']
)
def test_damaged_index_is_made_anew(tree, describe, content):
    """A damaged index is replaced."""
    first = FolderIndex(tree, 'test', describe)
    (stored,) = tree.glob('.odl_equivariant_test_*')
    stored.write_text(content, 'utf-8')
    assert FolderIndex(tree, 'test', describe).entries == first.entries
    assert json.loads(stored.read_text('utf-8'))['files']


def test_cache_folder_of_choice(tree, describe, tmp_path):
    """With ``cache``, nothing is written beside the images."""
    before = sorted(tree.rglob('*'))
    cache = tmp_path / 'new' / 'cache'
    FolderIndex(tree, 'test', describe, cache=cache)
    assert sorted(tree.rglob('*')) == before
    assert len(list(cache.iterdir())) == 1
    describe.calls.clear()
    FolderIndex(tree, 'test', describe, cache=cache)
    assert describe.calls == []


def test_users_cache_where_the_folder_is_read_only(
    tree, describe, tmp_path, monkeypatch
):
    """If the folder is read-only, the user's cache has the index."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('ODL_EQUIVARIANT_CACHE', raising=False)
    write = index.write_sealed

    def refuse(path, content):
        if path.parent == tree:
            raise PermissionError('read-only')
        write(path, content)

    monkeypatch.setattr(index, 'write_sealed', refuse)
    FolderIndex(tree, 'test', describe)
    assert list((tmp_path / 'home' / 'odl_equivariant').iterdir())
    describe.calls.clear()
    FolderIndex(tree, 'test', describe)
    assert describe.calls == []


def test_work_done_is_kept_when_broken_off(tree):
    """After an interruption, only the remaining files are described."""
    describe = _Describe()

    def interrupted(path):
        if path.name == 'c.txt':
            raise KeyboardInterrupt
        return describe(path)

    with pytest.raises(KeyboardInterrupt):
        FolderIndex(tree, 'test', interrupted)
    describe.calls.clear()
    FolderIndex(tree, 'test', describe)
    assert describe.calls == ['c.txt']


def test_missing_packages_are_not_remembered(tree, describe):
    """A file that failed for want of a package is tried again."""
    (tree / 'd.txt').write_text('?i', 'utf-8')
    index = FolderIndex(tree, 'test', describe)
    assert ('d.txt', 'ImportError: ?i') in index.skipped
    describe.calls.clear()
    FolderIndex(tree, 'test', describe)
    assert describe.calls == ['d.txt']


def test_hidden_files_suffixes_and_links(tree, describe):
    """Hidden files and other endings are ignored; circles of links end."""
    (tree / '.hidden').mkdir()
    (tree / '.hidden' / 'h.txt').write_text('x', 'utf-8')
    (tree / '.h.txt').write_text('x', 'utf-8')
    (tree / 'e.other').write_text('x', 'utf-8')
    (tree / 'sub' / 'circle').symlink_to(tree)
    (tree / 'nowhere.txt').symlink_to(tree / 'nothing')
    if hasattr(os, 'mkfifo'):
        os.mkfifo(tree / 'pipe.txt')
    index = FolderIndex(tree, 'test', describe, suffixes=('.txt',))
    assert index.n_files == 4


def test_single_file(tree, describe):
    """A file alone is a folder with this file."""
    index = FolderIndex(tree / 'sub' / 'a.txt', 'test', describe)
    assert [name for name, _ in index.entries] == ['a.txt', 'a.txt']
    assert describe.calls == ['a.txt']


def test_missing_folder_is_an_error(tree, describe):
    """A folder that is not there is named."""
    with pytest.raises(FileNotFoundError, match='no folder .*elsewhere'):
        FolderIndex(tree / 'elsewhere', 'test', describe)


def test_folder_without_use_is_an_error(tmp_path, describe):
    """If no file can be used, the error says how many, and why."""
    for i in range(8):
        (tmp_path / f'{i}.txt').write_text('!empty', 'utf-8')
    with pytest.raises(ValueError, match='8 files') as error:
        FolderIndex(tmp_path, 'test', describe)
    assert '0.txt: !empty' in str(error.value)
    assert 'and 3 more' in str(error.value)


def test_progress_has_a_total(tree, describe, monkeypatch, capsys):
    """On a terminal, a bar shows the progress."""
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    FolderIndex(tree, 'test', describe)
    assert '4/4' in capsys.readouterr().err
    FolderIndex(tree, 'other', describe, progress=False)
    assert capsys.readouterr().err == ''


def test_no_bar_without_a_terminal(tree, describe, capsys):
    """Without a terminal there is no bar."""
    FolderIndex(tree, 'test', describe)
    assert '%|' not in capsys.readouterr().err


def test_write_is_atomic(tmp_path, monkeypatch):
    """If writing fails, the earlier file is unchanged, without another."""
    path = tmp_path / 'x.json'
    index.write_sealed(path, {'n': 1})

    def full(handle):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='full'):
        index.write_sealed(path, {'n': 2})
    assert json.loads(path.read_text('utf-8'))['n'] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_pickled_index_is_small(tree, describe):
    """A pickled index has no entries."""
    index = FolderIndex(tree, 'test', describe)
    again = pickle.loads(pickle.dumps(index))
    assert again.entries == []
    assert again.path('b.txt') == index.path('b.txt')
    assert again.skipped == index.skipped


def test_entries_survive_json_exactly(tmp_path):
    """Floats in a stored index are unchanged."""
    (tmp_path / 'x').write_text('x', 'utf-8')
    value = float(np.random.default_rng(0).normal())

    def describe(path):
        return [{'value': value}]

    for _ in range(2):
        index = FolderIndex(tmp_path, 'test', describe)
        assert index.entries[0][1]['value'] == value


# --- What is stored is not trusted --- #


def _stored(folder):
    (path,) = folder.glob('.odl_equivariant_*')
    return path


@pytest.mark.parametrize('entry', [{}, {'n': 50}, {'n': '5'}, {'n': -5}])
@pytest.mark.parametrize('sealed', [False, True])
def test_entries_that_cannot_be_are_made_anew(tmp_path, entry, sealed):
    """Invalid entries in a stored index are replaced."""
    np.save(tmp_path / 'a.npy', np.ones((5, 8, 8)))
    assert len(NumpySlices(tmp_path)) == 5
    path = _stored(tmp_path)
    content = unsealed(path.read_text('utf-8'))
    content['files']['a.npy'][2] = [entry]
    if sealed:
        write_sealed(path, content)
    else:
        path.write_text(json.dumps(content), 'utf-8')
    n = 50 if sealed and entry == {'n': 50} else 5
    slices = NumpySlices(tmp_path)
    assert len(slices) == n
    if n == 50:
        # even so, no image is made up
        with pytest.raises(ValueError, match='a.npy, which has changed'):
            slices[5]


def test_flipped_bits_of_an_index_change_nothing(tree, describe):
    """If any bit of a stored index flips, the entries are the same."""
    first = FolderIndex(tree, 'test', describe)
    path = _stored(tree)
    content = path.read_bytes()
    generator = random.Random(0)
    for place in (generator.randrange(8 * len(content)) for _ in range(200)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        index = FolderIndex(tree, 'test', describe)
        assert index.entries == first.entries
        assert index.skipped == first.skipped


def test_names_in_an_index_are_not_opened(tree, describe):
    """Names of other folders in a stored index are ignored."""
    FolderIndex(tree, 'test', describe)
    path = _stored(tree)
    content = unsealed(path.read_text('utf-8'))
    for name in ('../x.txt', '/etc/passwd'):
        content['files'][name] = content['files']['b.txt']
    write_sealed(path, content)
    index = FolderIndex(tree, 'test', describe)
    assert {name for name, _ in index.entries} == {
        'b.txt',
        'sub/a.txt',
        'sub/deep/c.txt',
    }
