# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""A lock that lets one process at a time write to a folder."""

import contextlib
import datetime
import errno
import json
import os
import pathlib
import socket
import stat
import tempfile
import weakref

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ('FolderLock',)

# What file systems without locks answer.
_NO_LOCKS = {
    getattr(errno, name, None)
    for name in ('ENOLCK', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL')
}
_BEYOND = 2**30  # where no text is, as Windows lets nobody read what is locked
_open_files = weakref.WeakSet()


class FolderLock:
    """Keep a folder for one writer, until it is done or dead.

    Use it in a ``with`` statement. The operating system locks a file in the
    folder. A killed process therefore leaves no lock behind, only the file,
    which the next process takes over.

    Parameters
    ----------
    folder : path-like
        Folder, which is made if it is missing.
    doing : str
        Name of the work in the folder, for messages, such as ``'training'``.
    advice : str
        What to do instead of waiting.
    name : str, optional
        Name of the file.

    Raises
    ------
    BlockingIOError
        On entry, if another process, or another thread of this one, has the
        lock. The message says which process, on which machine, since when.
        A lock that a process on another machine left also counts, since
        this machine cannot tell whether that process is still alive. The
        message then says which file to delete if it is not.
    NotADirectoryError
        On entry, if there is a file where the folder should be.
    OSError
        On entry, if the file cannot be written, or there is something else
        in its place; with its name.

    Notes
    -----
    If the file system has no locks, the existence of the file is the lock. A
    file left on the same machine is taken over if its process no longer
    exists.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FolderLock(folder, 'training', 'wait'):
    ...         try:
    ...             with FolderLock(folder, 'training', 'wait'):
    ...                 pass
    ...         except BlockingIOError as error:
    ...             print('been training in it since' in str(error))
    ...     print(os.listdir(folder))
    True
    []
    """

    def __init__(self, folder, doing, advice, name='.lock'):
        self.path = pathlib.Path(folder) / name
        self.doing = doing
        self.advice = advice
        self._file = None

    def __enter__(self):
        self._check_place()
        opened = None
        try:
            while opened is None:
                if _has_locks(self.path.parent):
                    opened = self._locked()
                else:
                    opened = self._created()
        except BlockingIOError:
            raise
        except OSError as error:
            if error.filename is not None:
                raise
            raise OSError(
                error.errno,
                f'{error.strerror or error}: could not be written',
                str(self.path),
            ) from error
        try:
            self._file = opened
            _open_files.add(opened)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *args):
        # On Windows, a file that is open cannot be removed; elsewhere one
        # that is not could be another's by then.
        file, self._file = self._file, None
        if file.closed:
            return  # a forked process, see below
        is_ours = self._is_still(file)
        if is_ours and fcntl is not None:
            self.path.unlink(missing_ok=True)
        file.close()
        _open_files.discard(file)
        if is_ours and fcntl is None:
            with contextlib.suppress(PermissionError):  # another has it
                self.path.unlink(missing_ok=True)

    def _check_place(self):
        """Make the folder, and see that nothing stands in the way."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            wrong = next(
                path
                for path in (folder, *folder.parents)
                if os.path.lexists(path)
            )
            raise NotADirectoryError(
                f'{wrong} is no folder, where one should be: move it away, '
                'or take another folder'
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(self.path.lstat().st_mode):
                raise OSError(
                    f'{self.path} is a folder or a link, where the file that '
                    f'locks {folder} should be: move it away'
                )

    def _locked(self):
        """Return the file with a lock on it, or ``None`` to try again."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0)
        file = os.fdopen(os.open(self.path, flags, 0o666), 'r+b')
        is_ours = False
        try:
            if not _lock(file):
                raise BlockingIOError(self._in_use(_read(file)))
            if not self._is_still(file):
                # its owner has removed it since it was opened
                file.close()
                return None
            before = _read(file)
            if before and not _is_here(before):
                raise BlockingIOError(self._left(before))
            is_ours = True
            self._write(file)
        except BaseException:
            # an interruption, too, leaves no file behind
            if is_ours and fcntl is not None:
                self.path.unlink(missing_ok=True)
            file.close()
            raise
        return file

    def _created(self):
        """Return a new file, or ``None`` if a dead process had it."""
        try:
            file = open(self.path, 'x+b')
        except FileExistsError:
            try:
                with open(self.path, 'rb') as file:
                    before = _read(file)
            except FileNotFoundError:
                return None
            if not _is_here(before):
                raise BlockingIOError(self._left(before)) from None
            if _is_alive(before.get('pid')):
                raise BlockingIOError(self._in_use(before)) from None
            self.path.unlink(missing_ok=True)
            return None
        try:
            self._write(file)
        except BaseException:
            self.path.unlink(missing_ok=True)
            file.close()
            raise
        return file

    def _write(self, file):
        now = datetime.datetime.now().astimezone()
        content = {
            'doing': self.doing,
            'pid': os.getpid(),
            'host': socket.gethostname(),
            'boot': _boot(),
            'since': now.isoformat(' ', 'seconds'),
        }
        file.seek(0)
        file.truncate()
        file.write(json.dumps(content).encode())
        file.flush()

    def _is_still(self, file):
        """Return whether the name still refers to this open file."""
        try:
            named = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(file.fileno()), named)

    def _in_use(self, owner):
        return (
            f'the folder {self.path.parent} is in use by {_who(owner)}: '
            f'{self.advice}'
        )

    def _left(self, owner):
        return (
            f'the folder {self.path.parent} was left by, or is in use by, '
            f'{_who(owner)}. Whether that is alive cannot be seen from '
            f'{socket.gethostname()}: if it is not, delete {self.path}; '
            f'otherwise {self.advice}'
        )


def _who(owner):
    if not owner:
        return 'another process'
    pid, host, doing, since = (
        owner.get(key, 'unknown') for key in ('pid', 'host', 'doing', 'since')
    )
    own = pid == os.getpid() and _is_here(owner)
    return (
        f'{"this very " if own else ""}process {pid} on {host}, which has '
        f'been {doing} in it since {since}'
    )


def _lock(file):
    """Lock a file, or return False if another has the lock."""
    try:
        if fcntl is not None:
            # Unlike those of `lockf`, these tell threads of one process apart.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            file.seek(_BEYOND)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _has_locks(folder):
    """Return whether the file system of a folder has locks."""
    with tempfile.TemporaryFile(dir=folder, prefix='.lock-') as file:
        try:
            return _lock(file)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise


def _read(file):
    """Return what an owner wrote, or nothing."""
    try:
        file.seek(0)
        content = json.loads(file.read(10_000))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _boot():
    """Return an identifier of the current boot, if the system has one.

    Containers have different host names, but share this identifier.
    """
    try:
        path = pathlib.Path('/proc/sys/kernel/random/boot_id')
        return path.read_text('ascii').strip()
    except (OSError, ValueError):
        return None


def _is_here(owner):
    """Return whether an owner is, or was, a process of this machine."""
    same_boot = owner.get('boot') is not None and owner['boot'] == _boot()
    return same_boot or owner.get('host') == socket.gethostname()


def _is_alive(pid):
    if not isinstance(pid, int) or pid < 1:
        return True
    if os.name == 'nt':
        return True  # to ask would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _leave_to_parent():
    """Close the files in a forked process, so that it keeps no locks."""
    for file in list(_open_files):
        file.close()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_leave_to_parent)
