# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""An index of the files in a folder, stored as JSON."""

import hashlib
import json
import logging
import os
import pathlib
import stat
import time

from odl_equivariant._files import unsealed, write_sealed

__all__ = ('FolderIndex', 'NoImage')

_LOG = logging.getLogger(__name__)
_FORMAT = 'odl_equivariant index'
_VERSION = 4
_CACHE_VARIABLE = 'ODL_EQUIVARIANT_CACHE'
_SECONDS_BETWEEN_SAVES = 60.0
_LONGEST_REASON = 200
_SHOWN = 5


class NoImage(Exception):
    """A file cannot be used as an image.

    The message says why, in words that follow "it": `FolderIndex` keeps it as
    the reason in ``skipped``, and goes on with the next file.
    """


class FolderIndex:
    """The entries of all files in a folder, and in the folders below it.

    Files and folders whose names begin with a dot are ignored. The index is
    stored as JSON and used again. A file whose size or modification time has
    changed is described again. After an interruption, the finished entries
    are kept. An index with a wrong checksum or an invalid entry is made anew.
    Only files in the folder are opened, whatever names the index contains.

    Parameters
    ----------
    folder : path-like
        Folder, or a single file.
    kind : str
        Kind of the entries. It is part of the name of the stored index.
    describe : callable
        Maps the path of a file to a list of dicts that can be stored as
        JSON, or raises an error.
    options : dict, optional
        Everything else on which the entries depend, besides the files. It
        can be stored as JSON.
    suffixes : tuple of str, optional
        File names must have one of these endings. Default: all files.
    cache : path-like, optional
        Folder of the stored index, created if necessary. Default: the folder
        itself if it is writable; otherwise the folder in the environment
        variable ``ODL_EQUIVARIANT_CACHE``, or the user's cache folder.
    progress : bool, optional
        Whether to show a progress bar, if there is a terminal.
    is_entry : callable, optional
        Maps a stored dict to whether it is a valid entry. Default: any dict
        is valid.

    Attributes
    ----------
    root : pathlib.Path
        The folder.
    entries : list of (str, dict)
        For each entry, the name of its file relative to ``root``, with ``/``
        between folders, and a dict from ``describe``.
    skipped : list of (str, str)
        Name of each file that cannot be used, and the reason.
    n_files : int
        Number of files, including skipped ones.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If no file can be used.
    """

    def __init__(
        self,
        folder,
        kind,
        describe,
        options=None,
        suffixes=(),
        cache=None,
        progress=True,
        is_entry=None,
    ):
        path = pathlib.Path(folder).expanduser().absolute()
        if not path.exists():
            raise FileNotFoundError(
                f'there is no folder {path}, so no files were looked at'
            )
        self.root = path if path.is_dir() else path.parent
        files = _listed(path, suffixes)
        self.n_files = len(files)
        only = '' if path.is_dir() else path.name
        key = {'kind': kind, 'options': options or {}, 'only': only}
        places = _places(self.root, key, cache)
        stored = _load(places, key, is_entry)
        found = {
            name: stored[name]
            for name, signature in files.items()
            if name in stored and stored[name][:2] == signature
        }
        missing = [name for name in files if name not in found]
        passing = {}
        if missing:
            self._look(
                missing, files, found, passing, describe, progress, places, key
            )
        elif found.keys() != stored.keys():
            _save(places, key, found)
        self.entries, self.skipped = [], []
        for name in files:
            _, _, entries, reason = found.get(name) or passing[name]
            if reason is not None:
                self.skipped.append((name, reason))
            self.entries += [(name, entry) for entry in entries]
        if missing and self.skipped:
            _LOG.warning(
                '%d of the %d files in %s were skipped, see `index.skipped`',
                len(self.skipped),
                self.n_files,
                self.root,
            )
        if not self.entries:
            endings = ' or '.join(suffixes) or 'any name'
            raise ValueError(
                f'no image could be used in {path}: {self.n_files} files '
                f'({endings}) were looked at{self._first_reasons()}'
            )

    def _first_reasons(self):
        shown = [
            f'\n  {name}: {reason}' for name, reason in self.skipped[:_SHOWN]
        ]
        more = len(self.skipped) - len(shown)
        if more > 0:
            shown.append(f'\n  and {more} more')
        return ''.join([': ' if shown else '', *shown])

    def _look(
        self, names, files, found, passing, describe, progress, places, key
    ):
        """Describe files, and save the index from time to time."""
        saved = time.monotonic()
        try:
            for name in _with_progress(names, self.root, progress):
                entries, reason, lasting = _described(
                    describe, self.root / name
                )
                if reason is not None:
                    _LOG.info('%s was skipped: %s', name, reason)
                kept = found if lasting else passing
                kept[name] = [*files[name], entries, reason]
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    _save(places, key, found)
                    saved = time.monotonic()
        finally:
            _save(places, key, found)

    def path(self, name):
        """Return the path of a file."""
        return self.root / name

    def __getstate__(self):
        # Workers that load data have the entries in their slices.
        return {**self.__dict__, 'entries': []}


def _listed(path, suffixes):
    """Return the size and the modification time of all files, by name."""
    if path.is_file():
        paths = [(path.name, path)]
    else:
        paths = []
        seen = {os.path.realpath(path)}
        for folder, folders, names in os.walk(path, followlinks=True):
            folders[:] = [
                name
                for name in folders
                if not name.startswith('.')
                and _is_new(os.path.join(folder, name), seen)
            ]
            paths += [
                (file.relative_to(path).as_posix(), file)
                for file in (pathlib.Path(folder, name) for name in names)
                if not file.name.startswith('.')
            ]
    files = {}
    for name, file in sorted(paths):
        if suffixes and not name.lower().endswith(suffixes):
            continue
        try:
            status = file.stat()
        except OSError:
            # a broken link, or a file that has just been removed
            continue
        if stat.S_ISREG(status.st_mode):
            files[name] = [status.st_size, status.st_mtime_ns]
    return files


def _is_new(folder, seen):
    """Return whether a folder is new: links may form circles."""
    real = os.path.realpath(folder)
    if real in seen:
        return False
    seen.add(real)
    return True


def _described(describe, path):
    """Return entries, the reason if there are none, and if it is final."""
    try:
        return describe(path), None, True
    except NoImage as error:
        return [], str(error)[:_LONGEST_REASON], True
    except Exception as error:
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        # these may pass without a change of the file
        lasting = not isinstance(error, (ImportError, PermissionError))
        return [], reason[:_LONGEST_REASON], lasting


def _with_progress(names, root, progress):
    """Return the names, with a progress bar on a terminal."""
    try:
        import tqdm
    except ImportError:
        return names
    return tqdm.tqdm(
        names,
        desc=f'Indexing {root.name}',
        unit='file',
        # None disables the bar if there is no terminal
        disable=None if progress else True,
    )


def _places(root, key, cache):
    """Return the paths where the index may be stored, the best one first."""

    def name(*parts):
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        return f'.odl_equivariant_{key["kind"]}_{digest.hexdigest()[:12]}.json'

    apart = name(key, str(root))
    if cache is not None:
        cache = pathlib.Path(cache).expanduser().absolute()
        cache.mkdir(parents=True, exist_ok=True)
        return [cache / apart]
    own = os.environ.get(_CACHE_VARIABLE)
    if not own:
        caches = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
        own = os.path.join(caches, 'odl_equivariant')
    # The index in the folder moves along with it.
    return [root / name(key), pathlib.Path(own).expanduser() / apart]


def _load(places, key, is_entry):
    """Return the stored record of each file, or nothing."""
    for path in places:
        try:
            content = unsealed(path.read_text('utf-8'))
            if (
                content['format'] == _FORMAT
                and content['version'] == _VERSION
                and content['key'] == json.loads(json.dumps(key))
            ):
                files = content['files']
                for record in files.values():
                    _check_record(record, is_entry)
                return files
            _LOG.info('%s is another kind of index, and not used', path)
        except FileNotFoundError:
            continue
        except (
            AttributeError,
            KeyError,
            OSError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            _LOG.info('%s is damaged, and not used: %s', path, error)
    return {}


def _check_record(record, is_entry):
    """Raise a ValueError unless this is the record of a file."""
    size, time_of_change, entries, reason = record
    if not (
        isinstance(size, int)
        and isinstance(time_of_change, int)
        and isinstance(entries, list)
        and all(isinstance(entry, dict) for entry in entries)
        and (reason is None or isinstance(reason, str))
    ):
        raise ValueError(f'{str(record):.80} is no record of a file')
    for entry in entries if is_entry is not None else ():
        if not is_entry(entry):
            raise ValueError(f'{str(entry):.80} is no entry')


def _save(places, key, files):
    """Save the index in the first place that is writable."""
    content = {
        'format': _FORMAT,
        'version': _VERSION,
        'key': key,
        'files': files,
    }
    for number, path in enumerate(places):
        try:
            if number:
                path.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(path, content)
        except OSError as error:
            _LOG.info('the index cannot be stored as %s: %s', path, error)
        else:
            return
