# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pairs that are simulated once and stored in a folder."""

import mmap
import os
import pathlib
import zlib
from typing import Any, Self

import numpy as np
import torch
from torch.utils.data import Dataset

from odl_equivariant._array_files import read_array
from odl_equivariant._folder_lock import FolderLock
from odl_equivariant.data.pairs.origin import check_origin, origin_of
from odl_equivariant.data.pairs.pair_list import (
    PARTIAL,
    WHOLE,
    array_path,
    read_list,
)
from odl_equivariant.data.pairs.writer import PairWriter, with_progress
from odl_equivariant.data.slices.base import index_and_epoch

__all__ = ('PairStore',)


class PairStore(Dataset):
    """Pairs that are read from a folder.

    All tensors with the same key are in one file, ``<key>.npy``. The file is
    mapped to memory, so that workers share it and load only what they read.

    Parameters
    ----------
    folder : path-like
        Folder to which `PairStore.write` wrote pairs.
    acquisition : Acquisition, optional
        Acquisition for which the pairs are used. If the store says that
        another one made them, this is an error.

    Attributes
    ----------
    origin : dict or None
        Fingerprint and settings of the acquisition that made the pairs.
        ``None`` if it has no fingerprint, or an earlier version wrote the
        store.

    Raises
    ------
    FileNotFoundError
        If there is no store in the folder.
    ValueError
        If the store is not complete, or damaged, or was made with another
        acquisition; also on access, if the checksum of a pair is wrong.
    IndexError
        On access, if an index is negative, or not below the number of pairs.

    Notes
    -----
    ``store[key]`` is the dict that was written. A key is an index, or
    ``(index, epoch)`` as in `SimulatedPairs`, but all epochs are the same.

    Each pair has checksums, which are compared when the pair is first read:
    once for all processes that were forked after the store was opened, and
    once in each other process. Stores of the first version have no checksums.
    No file outside of the folder is read or written, whatever the files and
    the links in it say.

    Examples
    --------
    >>> import tempfile
    >>> pairs = [
    ...     {'data': torch.ones(1, 4) * i, 'name': f'pair {i}', 'index': i}
    ...     for i in range(3)
    ... ]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = PairStore.write(pairs, folder)
    ...     len(store), store[2]
    (3, {'data': tensor([[2., 2., 2., 2.]]), 'index': 2, 'name': 'pair 2'})
    """

    def __init__(
        self, folder: str | os.PathLike[str], acquisition: Any = None
    ) -> None:
        self.folder = pathlib.Path(folder).expanduser().absolute()
        self._arrays = self._is_checked = None
        content = read_list(self.folder, WHOLE)
        if content is None:
            partial = read_list(self.folder, PARTIAL)
            if partial is not None:
                raise ValueError(
                    f'the store {self.folder} has {partial["done"]} of '
                    f'{partial["n"]} pairs: call `PairStore.write` with the '
                    'same pairs and folder to write the others'
                )
            raise FileNotFoundError(
                f'there is no store of pairs in {self.folder}: write one by '
                '`PairStore.write(pairs, folder)`'
            )
        self._content = content
        check_origin(self, acquisition)
        self._open()

    def _open(self):
        """Map the files to memory, after checking that they are whole."""
        arrays = {}
        for key, (dtype, shape) in self._content['fields'].items():
            try:
                path = array_path(self.folder, self._content['part'], key)
                array = read_array(path, mapped=True)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f'the store {self.folder} is damaged, or was replaced '
                    f'since it was opened: {key}.npy: '
                    f'{type(error).__name__}: {error}'
                ) from error
            expected = (self._content['n'], *shape)
            if array.shape != expected or array.dtype != np.dtype(dtype):
                raise ValueError(
                    f'the store {self.folder} is damaged: {path.name} has '
                    f'{array.dtype} of shape {array.shape}, instead of '
                    f'{dtype} of shape {expected}'
                )
            arrays[key] = array
        # shared with processes that are forked from this one
        self._is_checked = mmap.mmap(-1, len(self))
        self._arrays = arrays

    @property
    def origin(self) -> dict[str, Any] | None:
        """Description of the acquisition that made the pairs, or ``None``."""
        return self._content.get('acquisition')

    def __len__(self) -> int:
        return self._content['n']

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, _ = index_and_epoch(key, len(self), 'pairs')
        if self._arrays is None:
            self._open()
        # copies, which the caller may change
        arrays = {
            key: np.array(array[index], order='C')
            for key, array in self._arrays.items()
        }
        if not self._is_checked[index]:
            self._check(index, arrays)
            self._is_checked[index] = 1
        pair = {key: torch.from_numpy(a) for key, a in arrays.items()}
        pair.update(self._content['labels'][index])
        return pair

    def _check(self, index, arrays):
        """Compare the checksums of a pair, if there are any."""
        for key, expected in self._content.get('checksums', {}).items():
            if zlib.crc32(arrays[key]) != expected[index]:
                name = self._content['labels'][index].get('name', 'no name')
                raise ValueError(
                    f'pair {index} ({name}) of the store {self.folder} is '
                    f'damaged: the checksum of {key!r} is wrong; write the '
                    'pairs again'
                )

    def __getstate__(self):
        return {'folder': str(self.folder), '_content': self._content}

    def __setstate__(self, state):
        self.folder = pathlib.Path(state['folder'])
        self._content = state['_content']
        self._arrays = self._is_checked = None

    def __repr__(self):
        """Return a short description."""
        return f'<{type(self).__name__}: {len(self)} pairs in {self.folder}>'

    @classmethod
    def write(
        cls,
        pairs: Any,
        folder: str | os.PathLike[str],
        progress: bool = True,
    ) -> Self:
        """Write pairs to a folder, or resume an interrupted write.

        An existing store is replaced when the new one is complete. Until
        then it stays unchanged, also if the disk is full.

        Parameters
        ----------
        pairs : SimulatedPairs or sequence of dict
            Pairs to write. A pair has tensors or arrays, which have the same
            shapes and dtypes in all pairs, and values of type str and int.
        folder : path-like
            Folder for the pairs. It is created if it does not exist.
        progress : bool, optional
            Whether to show a progress bar, if there is a terminal.

        Returns
        -------
        store : PairStore
            The pairs in the folder.

        Raises
        ------
        ValueError
            If there are no pairs, two pairs differ in keys, shapes or dtypes,
            or the list of the pairs in the folder is damaged.
        TypeError
            If a pair has a value of another type.
        BlockingIOError
            If another process or thread is writing pairs to the folder.
        OSError
            If the disk is too small, or cannot be written.
        """
        folder = pathlib.Path(folder).expanduser().absolute()
        n = len(pairs)
        if n == 0:
            raise ValueError('there are no pairs to write')
        folder.mkdir(parents=True, exist_ok=True)
        first = pairs[0]
        lock = FolderLock(
            folder, 'writing pairs', 'wait for it, or take another folder'
        )
        with lock, PairWriter(folder, n, first, origin_of(pairs)) as writer:
            writer.resume(pairs)
            for index in with_progress(writer.done, n, progress):
                writer.append(pairs[index] if index else first)
            writer.finish()
        return cls(folder)
