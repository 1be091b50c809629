# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Measured data in files, and those of pairs in their place."""

import hashlib
import logging
import pathlib

import numpy as np
import torch

from odl_equivariant._array_files import read_array
from odl_equivariant.elements import (
    grid_shape,
    is_complex,
    n_parts,
    split_complex,
    tensor_dtype,
)
from odl_equivariant.training.reconstruction.headers import (
    check_header,
    header_path,
)

__all__ = (
    'Measurements',
    'SimulatedMeasurements',
    'checksum',
    'masked_operator',
)

_log = logging.getLogger(__name__)


class Measurements:
    """Measured data in files, checked against the range of an operator.

    Parameters
    ----------
    source : path-like
        File ``.npy``, or folder of such files. A file holds the data of one
        image, or of several along its first axis.
    space : odl space
        Range of the forward operator. The data of an image have its shape,
        with the coils as first axis if there are several.

    Attributes
    ----------
    files : dict
        Number of images of each file, or ``None`` for a single image without
        an additional axis.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or the folder is empty.
    ValueError
        If the data in a file do not fit. The message names the file and both
        shapes.

    Notes
    -----
    ``a.mask.npy`` is the mask of the data in ``a.npy``. ``a.json``, or
    ``acquisition.json`` for all files of a folder, says how the data were
    measured, see `check_header`.
    """

    def __init__(self, source, space):
        source = pathlib.Path(source)
        if not source.exists():
            raise FileNotFoundError(f'there is no file or folder {source}')
        paths = sorted(source.glob('*.npy')) if source.is_dir() else [source]
        paths = [
            path
            for path in paths
            if not path.match('*.mask.npy') and path.name[0] != '.'
        ]
        self.folder = source if source.is_dir() else source.parent
        if not paths:
            raise FileNotFoundError(
                f'there is no .npy file in {source}; measured data are '
                'expected in the format of `numpy.save`'
            )
        self.space = space
        n = n_parts(space)
        self.shape = (*((n,) if n > 1 else ()), *grid_shape(space))
        self.files = {path: self._n_images(path) for path in paths}
        self._silent = set()

    def _n_images(self, path):
        array = read_array(path, mapped=True)
        kinds = 'fc' if is_complex(self.space) else 'f'
        if array.dtype.kind not in kinds:
            raise ValueError(
                f'the data in {path} are of dtype {array.dtype}, but the '
                f'operator has {"complex" if "c" in kinds else "real"} data'
            )
        if array.shape == self.shape:
            return None
        if array.shape[1:] == self.shape and len(array):
            return len(array)
        raise ValueError(
            f'the data in {path} have the shape {array.shape}, but the '
            f'geometry of the configuration has {self.shape}, possibly with '
            'one more axis in front for several images'
        )

    def __len__(self):
        """Return the number of images."""
        return sum(n or 1 for n in self.files.values())

    @staticmethod
    def _mask_path(path):
        return path.with_name(f'{path.stem}.mask.npy')

    def mask(self, path):
        """Return the mask of the data in a file, or ``None``."""
        path = self._mask_path(path)
        if not path.is_file():
            return None
        return read_array(path)

    def check(self, acquisition):
        """Compare the files beside the data with an acquisition.

        Raises
        ------
        ValueError
            If a header says that the data were measured otherwise, or a mask
            is missing or does not fit.
        """
        found = {path: header_path(path) for path in self.files}
        says_so = {
            header: check_header(header, acquisition)
            for header in sorted({*found.values()} - {None})
        }
        silent = [path for path in found if not says_so.get(found[path])]
        self._silent = set(silent)
        if silent:
            _log.info(
                'nothing beside %s says how the data were measured: the '
                'geometry of the configuration is used. An '
                '`acquisition.json` there would be compared with it',
                silent[0] if len(silent) == 1 else f'{len(silent)} files',
            )
        for path in self.files:
            masked_operator(acquisition, self.mask(path), path)

    def is_silent(self, path):
        """Return whether nothing says how a file was measured."""
        return path in self._silent

    def source(self, path):
        """Return a checksum of the data in a file and of their mask."""
        paths = (path, self._mask_path(path))
        return ' '.join(_checksum_of_file(p) for p in paths if p.is_file())

    def batch(self, path, first, last):
        """Return the data of images of a file as a batch.

        Returns
        -------
        data : torch.Tensor
            Shape ``(last - first, C, *range.shape)``.

        Raises
        ------
        ValueError
            If the data are not finite.
        """
        array = read_array(path, mapped=True)
        array = array[None] if self.files[path] is None else array
        array = np.array(array[first:last])
        if not np.isfinite(array).all():
            raise ValueError(
                f'the data in {path} have values that are infinite or not a '
                'number'
            )
        dtype = tensor_dtype(self.space)
        # in the order of bytes of this machine, whatever that of the file is
        kind = 'complex' if is_complex(self.space) else 'float'
        size = 64 if dtype == torch.float64 else 32
        size *= 1 + is_complex(self.space)
        tensor = torch.from_numpy(array.astype(f'{kind}{size}'))
        if len(self.shape) == len(grid_shape(self.space)):
            tensor = tensor[:, None]
        if not is_complex(self.space):
            return tensor
        return split_complex(tensor).contiguous()


class SimulatedMeasurements:
    """The data of pairs, in place of files.

    Parameters
    ----------
    pairs : Dataset
        Pairs, see `SimulatedPairs`.
    """

    def __init__(self, pairs):
        self._pairs = pairs
        width = len(str(len(pairs) - 1))
        self._numbers = {
            pathlib.Path(f'test-{i:0{width}d}.npy'): i
            for i in range(len(pairs))
        }
        self.files = dict.fromkeys(self._numbers)
        self.folder = None
        self._last = (None, None)

    def __len__(self):
        """Return the number of images."""
        return len(self._pairs)

    def _pair(self, path):
        """Return a pair. The last one is kept, to be simulated only once."""
        if self._last[0] != path:
            self._last = (path, self._pairs[self._numbers[path]])
        return self._last[1]

    def mask(self, path):
        """Return the mask of a pair, or ``None``."""
        mask = self._pair(path).get('mask')
        return None if mask is None else np.asarray(mask)

    def check(self, acquisition):
        """Check the mask of the first pair: the pairs are alike."""
        for path in list(self.files)[:1]:
            masked_operator(acquisition, self.mask(path), path)

    def is_silent(self, path):
        """Return ``False``: the acquisition has made the pairs."""
        return False

    def source(self, path):
        """Return a checksum of the data of a pair and of their mask."""
        pair = self._pair(path)
        parts = (pair[key] for key in ('data', 'mask') if key in pair)
        return ' '.join(checksum(np.asarray(p).tobytes()) for p in parts)

    def batch(self, path, first, last):
        """Return the data of a pair as a batch of one."""
        return self._pair(path)['data'][None]


def masked_operator(acquisition, mask, path):
    """Return the forward operator of the data in a file.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition of the data.
    mask : numpy.ndarray or None
        Mask beside the file, if there is one.
    path : pathlib.Path
        File of the data, for messages.

    Raises
    ------
    ValueError
        If the mask does not fit, or is missing where each image has its own.
    """
    if mask is None:
        if getattr(acquisition, 'random_masks', False):
            raise ValueError(
                'each image of this acquisition has its own mask: put the '
                f'mask of {path.name} beside it, as {path.stem}.mask.npy'
            )
        return acquisition.operator
    try:
        return acquisition.forward_operator(mask)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'the mask {path.stem}.mask.npy does not fit: {error}'
        ) from error


def checksum(content):
    """Return a short checksum of bytes, 16 hexadecimal digits of BLAKE2b."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _checksum_of_file(path):
    with open(path, 'rb') as file:
        digest = hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=8)
        )
    return digest.hexdigest()
