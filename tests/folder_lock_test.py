# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of locks: one owner, who is named, and none that is dead."""

import errno
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

from odl_equivariant import _folder_lock
from odl_equivariant._folder_lock import FolderLock

# Without the package, of which the import takes seconds. The child that is
# forked stays when its parent is killed.
HOLDER = """
import os, runpy, sys, time
FolderLock = runpy.run_path(sys.argv[1])['FolderLock']
with FolderLock('folder', 'training', 'wait'):
    if not os.fork():
        # which has closed by now what it inherited
        print(os.getpid(), flush=True)
    time.sleep(300)
"""


@pytest.fixture(params=['locks', 'no locks'])
def file_system(request, monkeypatch):
    """Let the file system support locks, or not."""
    if request.param == 'no locks':
        monkeypatch.setattr(_folder_lock, '_has_locks', lambda folder: False)
    return request.param


def lock():
    """Return a lock of a folder, which need not exist."""
    return FolderLock('folder', 'training', 'wait')


def test_second_is_told_by_whom(file_system):
    """The message names process, machine, time and purpose of the owner."""
    with lock():
        with pytest.raises(BlockingIOError) as refused, lock():
            pass
    message = str(refused.value)
    assert f'process {os.getpid()} on {socket.gethostname()}' in message
    assert 'been training in it since 20' in message
    assert message.endswith(': wait')


def test_lock_is_free_again(file_system):
    """After the end, also by an error, the lock is free and its file gone."""
    for _ in range(2):
        with pytest.raises(KeyError), lock():
            raise KeyError
    assert os.listdir('folder') == []


def test_threads_exclude_each_other(file_system):
    """If several threads want the lock, one gets it."""
    outcomes, start = [], threading.Barrier(8)
    end = threading.Barrier(8)

    def want():
        start.wait()
        try:
            with lock():
                outcomes.append(True)
                end.wait()
        except BlockingIOError:
            outcomes.append(False)
            end.wait()

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == 7 * [False] + [True]


def test_lock_of_a_killed_process_is_taken_over(file_system):
    """If the owner was killed, its lock is free, despite its children."""
    holder = subprocess.Popen(
        [sys.executable, '-c', HOLDER, _folder_lock.__file__],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        child = int(holder.stdout.readline())
        with pytest.raises(BlockingIOError, match=f'process {holder.pid} on'):
            lock().__enter__()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    try:
        assert os.listdir('folder') == ['.lock']
        with lock():
            owner = json.loads((lock().path).read_text('utf-8'))
            assert owner['pid'] == os.getpid()
    finally:
        os.kill(child, signal.SIGKILL)


def test_lock_of_another_machine(file_system, tmp_path):
    """The lock of another machine is kept; the error says how to delete it."""
    (tmp_path / 'folder').mkdir()
    owner = {'pid': 1, 'host': 'elsewhere', 'boot': 'x', 'since': 'May'}
    lock().path.write_text(json.dumps(owner), 'utf-8')
    with pytest.raises(
        BlockingIOError, match='process 1 on elsewhere.*delete folder/.lock'
    ):
        lock().__enter__()
    lock().path.unlink()
    with lock():
        pass


def test_container_on_the_same_machine():
    """A container has its own name, but its locks end with its processes."""
    os.mkdir('folder')
    owner = {'pid': 1, 'host': 'a container', 'boot': _folder_lock._boot()}
    lock().path.write_text(json.dumps(owner), 'utf-8')
    if owner['boot'] is None:
        pytest.skip('this system does not tell its starts apart')
    with lock():
        owner = json.loads(lock().path.read_text('utf-8'))
        assert owner['pid'] == os.getpid()


@pytest.mark.parametrize('content', ['', '[]', '{', '\x00\xff', '{"pid": 3}'])
def test_file_that_says_nothing(content):
    """An empty file is not a lock if the system supports locks."""
    os.mkdir('folder')
    lock().path.write_text(content, 'utf-8')
    if content != '{"pid": 3}':
        with lock():
            pass
    else:
        with pytest.raises(BlockingIOError, match='delete'):
            lock().__enter__()


def test_link_is_not_followed(tmp_path):
    """If the lock is a link, its target is not changed."""
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'mine').write_text('mine', 'utf-8')
    lock().path.symlink_to(tmp_path / 'mine')
    with pytest.raises(OSError, match='.lock'):
        lock().__enter__()
    assert (tmp_path / 'mine').read_text('utf-8') == 'mine'


@pytest.mark.parametrize('what', ['folder', 'circle', 'dangling', 'link'])
def test_what_is_no_lock_is_named(file_system, tmp_path, what):
    """A folder or a link in place of the lock is an error, and stays."""
    path = lock().path
    path.parent.mkdir()
    if what == 'folder':
        path.mkdir()
    else:
        target = {'circle': path.name, 'link': '.', 'dangling': 'nowhere'}
        path.symlink_to(target[what])
    with pytest.raises(OSError, match='lock is a folder or a link.*move it'):
        lock().__enter__()
    assert os.path.lexists(path)


@pytest.mark.parametrize('what', ['file', 'parent', 'dangling'])
def test_what_is_no_folder_is_named(what):
    """The message names the part of the path that is no folder."""
    path = pathlib.Path('folder')
    if what == 'dangling':
        path.symlink_to('nowhere')
    else:
        path.write_text('mine', 'utf-8')
    inner = path / 'inner' if what == 'parent' else path
    with pytest.raises(NotADirectoryError, match='^folder is no folder.*move'):
        FolderLock(inner, 'training', 'wait').__enter__()


def test_full_disk_names_the_lock(file_system, monkeypatch):
    """If the disk is full, the error names the lock."""

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FolderLock, '_write', fail)
    with pytest.raises(OSError, match='No space.*not be written') as error:
        lock().__enter__()
    assert error.value.filename == str(lock().path)


def test_interruption_leaves_no_file(file_system, monkeypatch):
    """An interruption while the owner is written down removes the file."""

    def interrupt(self, file):
        raise KeyboardInterrupt

    monkeypatch.setattr(FolderLock, '_write', interrupt)
    with pytest.raises(KeyboardInterrupt):
        lock().__enter__()
    assert os.listdir('folder') == []
