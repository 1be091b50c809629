# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The writer of a store, which can be interrupted at any time."""

import contextlib
import errno
import json
import numbers
import os
import shutil
import time
import uuid
import zlib

import numpy as np
import torch

from odl_equivariant._array_files import ArrayLayout
from odl_equivariant._files import write_sealed
from odl_equivariant.data.pairs.pair_list import (
    FORMAT,
    KINDS,
    PARTIAL,
    VERSION,
    WHOLE,
    array_path,
    read_list,
)

__all__ = ('PairWriter', 'with_progress')

_SECONDS_BETWEEN_MARKS = 5.0


class PairWriter:
    """The files of a store of pairs that is being written.

    Use it in a ``with`` statement. After an error or an interruption, the
    pairs that were written are kept, and writing resumes behind them.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the store.
    n : int
        Number of pairs.
    first : dict of torch.Tensor
        The first pair, whose shapes and dtypes all others have.
    origin : optional
        What the pairs were made from, for the header of the store.
    """

    def __init__(self, folder, n, first, origin=None):
        self._folder = folder
        self._n = n
        self._first = first
        self._origin = origin
        self._fields, self._keys = _layout(first)
        self._layouts = {
            key: ArrayLayout((n, *shape), dtype, len(shape))
            for key, (dtype, shape) in self._fields.items()
        }
        self._files = {}
        self._labels = []
        self._checksums = {key: [] for key in self._fields}
        self._part = None
        self._marked = time.monotonic()

    @property
    def done(self):
        """Number of pairs that were written."""
        return len(self._labels)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        # The pairs that were written are useful even if others failed.
        if kind is not None and self._files:
            with contextlib.suppress(OSError):
                self._mark()
        for file in self._files.values():
            # pairs that could not be flushed were not counted
            with contextlib.suppress(OSError):
                file.close()

    def resume(self, pairs):
        """Open the files where an earlier call was interrupted."""
        partial = read_list(self._folder, PARTIAL)
        if partial is not None and self._fits(partial):
            self._open(partial['part'], 'r+b')
            self._labels = partial['labels']
            self._checksums = partial['checksums']
            # Two pairs are compared, to see whether the pairs are the same.
            begin = all(
                layout.begins(self._files[key])
                for key, layout in self._layouts.items()
            )
            if begin and all(
                self._is_stored(i, pairs[i] if i else self._first)
                for i in {0, self.done - 1}
                if self.done
            ):
                for key in self._files:
                    self._seek(key, self.done)
                return
            for file in self._files.values():
                file.close()
        self._files, self._labels = {}, []
        self._checksums = {key: [] for key in self._fields}
        self._start()

    def _fits(self, partial):
        return (
            partial['n'] == self._n
            and partial.get('acquisition') in (None, self._origin)
            and partial['fields'] == json.loads(json.dumps(self._fields))
            # false for a store of the first version
            and partial.get('checksums', {}).keys() == self._fields.keys()
            and all(
                array_path(self._folder, partial['part'], key).is_file()
                for key in self._fields
            )
        )

    def _start(self):
        """Create new files."""
        whole = read_list(self._folder, WHOLE)
        (self._folder / PARTIAL).unlink(missing_ok=True)
        _clean(self._folder, whole and whole['part'])
        needed = self._n * sum(
            layout.item_bytes for layout in self._layouts.values()
        )
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f'{self._n} pairs take {needed / 1e9:.3g} GB, and there are '
                f'{free / 1e9:.3g} GB free in {self._folder}: make room, or '
                'choose another folder',
            )
        part = f'part-{uuid.uuid4().hex[:12]}'
        (self._folder / part).mkdir()
        self._open(part, 'w+b')
        for key, file in self._files.items():
            file.write(self._layouts[key].header)
        self._mark()

    def _open(self, part, mode):
        self._part = part
        for key in self._fields:
            path = array_path(self._folder, part, key)
            self._files[key] = open(path, mode)  # noqa: SIM115

    def _seek(self, key, index):
        """Move to the first byte of a pair."""
        self._files[key].seek(self._layouts[key].position(index))

    def _is_stored(self, index, pair):
        arrays, labels = self._checked(index, pair)
        if labels != self._labels[index]:
            return False
        for key, array in arrays.items():
            self._seek(key, index)
            stored = self._files[key].read(self._layouts[key].item_bytes)
            if stored != array.tobytes():
                return False
        return True

    def _checked(self, index, pair):
        """Return arrays and labels of a pair, after comparing its layout."""
        fields, keys = _layout(pair)
        if fields != self._fields or keys != self._keys:
            raise ValueError(
                'the pairs of a store must be alike, but pair 0 has '
                f'{_in_words(self._fields, self._keys)}, and pair {index} '
                f'({pair.get("name", "no name")}) has '
                f'{_in_words(fields, keys)}: bring all images to one `shape`'
            )
        arrays = {
            key: _array(pair[key], key).astype(dtype, copy=False)
            for key, (dtype, _) in fields.items()
        }
        # JSON does not take integers of numpy
        labels = {
            key: value if isinstance(value, str) else int(value)
            for key, value in ((key, pair[key]) for key in keys)
        }
        return arrays, labels

    def append(self, pair):
        """Write the next pair."""
        arrays, labels = self._checked(self.done, pair)
        for key, array in arrays.items():
            content = array.tobytes()
            self._files[key].write(content)
            self._checksums[key].append(zlib.crc32(content))
        self._labels.append(labels)
        if time.monotonic() - self._marked > _SECONDS_BETWEEN_MARKS:
            self._mark()

    def _mark(self):
        """Bring the pairs to the disk, then record their number."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._list(PARTIAL)
        self._marked = time.monotonic()

    def _list(self, name):
        """Write the list of the pairs."""
        content = {
            'format': FORMAT,
            'version': VERSION,
            'n': self._n,
            'done': self.done,
            'part': self._part,
            'fields': self._fields,
            'labels': self._labels,
            'checksums': self._checksums,
            'acquisition': self._origin,
        }
        write_sealed(self._folder / name, content)

    def finish(self):
        """Replace an earlier store by the new one."""
        self._mark()
        self._list(WHOLE)
        (self._folder / PARTIAL).unlink(missing_ok=True)
        _clean(self._folder, self._part)


def _array(value, key):
    if isinstance(value, torch.Tensor):
        if value.dtype == torch.bfloat16:
            raise TypeError(
                f'{key!r} of a pair is of dtype bfloat16, which numpy does '
                'not have: convert it to float32'
            )
        value = value.detach().cpu().resolve_conj().resolve_neg().numpy()
    return np.ascontiguousarray(value)


def _layout(pair):
    """Return dtype and shape of each array, and the other keys."""
    if not isinstance(pair, dict):
        raise TypeError(f'a pair must be a dict, got {type(pair).__name__}')
    fields, keys = {}, []
    for key, value in pair.items():
        if isinstance(value, torch.Tensor | np.ndarray):
            if not str(key).isidentifier():
                raise ValueError(f'{key!r} cannot be the name of a file')
            array = _array(value, key)
            if array.dtype.kind not in KINDS:
                raise TypeError(
                    f'{key!r} of a pair has the dtype {array.dtype}, and '
                    'only numbers can be stored'
                )
            # Little-endian, on every machine.
            dtype = array.dtype.newbyteorder('<').str
            fields[key] = [dtype, list(value.shape)]
        elif isinstance(value, str) or (
            isinstance(value, numbers.Integral) and not isinstance(value, bool)
        ):
            keys.append(key)
        else:
            raise TypeError(
                f'{key!r} of a pair must be a tensor, an array, a str or an '
                f'int, got {type(value).__name__}'
            )
    return fields, sorted(keys)


def _in_words(fields, keys):
    words = [
        f'{key} of shape {tuple(shape)} and dtype {np.dtype(dtype)}'
        for key, (dtype, shape) in fields.items()
    ]
    return ', '.join([*words, *keys])


def _clean(folder, keep):
    """Remove the parts of replaced stores."""
    for path in folder.glob('part-*'):
        if path.name != keep and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def with_progress(start, n, progress):
    """Return the numbers up to n, with a progress bar on a terminal."""
    numbers = range(start, n)
    try:
        import tqdm
    except ImportError:
        return numbers
    return tqdm.tqdm(
        numbers,
        desc='Writing pairs',
        unit='pair',
        initial=start,
        total=n,
        disable=None if progress else True,
    )
