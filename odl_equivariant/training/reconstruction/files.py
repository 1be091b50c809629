# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Reconstruction of files, folders and volumes of measured data."""

import hashlib
import json
import logging
import os
import pathlib

import numpy as np
import odl
import torch

from odl_equivariant._files import reason_of_numpy, write_atomically
from odl_equivariant._folder_lock import FolderLock
from odl_equivariant.elements import (
    as_element,
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
from odl_equivariant.training.reconstruction.image_files import ImageFile
from odl_equivariant.training.reconstruction.residuals import (
    is_unexplained,
    residual_and_noise,
)

__all__ = (
    'Measurements',
    'SimulatedMeasurements',
    'checksum',
    'reconstruct_files',
)

_MANIFEST = 'reconstruction.json'
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
        try:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(
                f'{path} cannot be read: {reason_of_numpy(path, error)}'
            ) from error
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
        return np.load(path, allow_pickle=False) if path.is_file() else None

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
            _operator(acquisition, self.mask(path), path)

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
        array = np.load(path, mmap_mode='r', allow_pickle=False)
        array = array[None] if self.files[path] is None else array
        array = np.array(array[first:last])
        if not np.isfinite(array).all():
            raise ValueError(
                f'the data in {path} have values that are infinite or not a '
                'number'
            )
        tensor = torch.from_numpy(array)
        if len(self.shape) == len(grid_shape(self.space)):
            tensor = tensor[:, None]
        dtype = tensor_dtype(self.space)
        if not is_complex(self.space):
            return tensor.to(dtype)
        kind = torch.complex64 if dtype == torch.float32 else torch.complex128
        return split_complex(tensor.to(kind)).to(dtype).contiguous()


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
            _operator(acquisition, self.mask(path), path)

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


def reconstruct_files(
    module,
    acquisition,
    measurements,
    output,
    settings,
    batch_size=1,
    pictures=True,
    progress=True,
    device='cpu',
):
    """Reconstruct all files, or resume an interrupted call.

    Parameters
    ----------
    module : callable
        Maps a batch of data and their forward operator to a batch of images.
    acquisition : Acquisition
        Acquisition of the data, with their forward operators.
    measurements : Measurements or SimulatedMeasurements
        Data to reconstruct.
    output : path-like
        Folder of the results. The images have the name of their file of data.
    settings : dict
        Settings on which the results depend. They are written to the folder.
    batch_size : int, optional
        Number of images in one batch.
    pictures : bool, optional
        Whether to write a picture of each image, as PNG.
    progress : bool, optional
        Whether to show a progress bar.
    device : torch.device, optional
        Device of the module.

    Returns
    -------
    n_images : int
        Number of images that this call reconstructed.

    Raises
    ------
    ValueError
        If the folder holds results of other settings or other data, it is the
        folder of the data, a mask is missing or does not fit, or a header
        says that the data were measured otherwise.
    BlockingIOError
        If another reconstruction is writing to the folder.
    OSError
        If a file cannot be written.
    """
    from tqdm import tqdm

    measurements.check(acquisition)
    output = pathlib.Path(output)
    folder = measurements.folder
    if folder is not None and output.resolve() == folder.resolve():
        raise ValueError(
            f'{output} is the folder of the data, and images have the names '
            'of their data: take another folder for the output'
        )
    lock = FolderLock(
        output,
        'reconstructing',
        'wait for it, or take another folder for the output',
    )
    n_made = 0
    with (
        lock,
        tqdm(
            total=len(measurements),
            desc='reconstruction',
            unit='image',
            disable=not progress,
        ) as bar,
    ):
        manifest = _Manifest(output / _MANIFEST, settings)
        _clean(output, measurements.files)
        for path, n_images in measurements.files.items():
            source = measurements.source(path)
            target = output / path.name
            is_done = manifest.check(target, source)
            volume = ImageFile(target, n_images, acquisition.space, source)
            if is_done:
                bar.update(volume.n)
                continue
            bar.update(volume.done)
            operator = _operator(acquisition, measurements.mask(path), path)
            while volume.done < volume.n:
                first = volume.done
                last = min(first + batch_size, volume.n)
                y = measurements.batch(path, first, last).to(device)
                with torch.inference_mode():
                    images = module(y, operator)
                if first == 0 and measurements.is_silent(path):
                    _compare(operator, images[:1], y[:1], path)
                volume.append(images.cpu(), pictures)
                bar.update(last - first)
                n_made += last - first
            manifest.record(target, source)
            volume.finish()
    return n_made


def _compare(operator, image, y, path):
    """Warn if an image does not explain data whose geometry is unsaid."""
    if not isinstance(operator, odl.applications.tomo.RayTransform):
        return
    image = as_element(image.cpu()[0], operator.domain)
    y = as_element(y.cpu()[0], operator.range)
    residual, noise = residual_and_noise(operator, image, y)
    if is_unexplained(residual, noise):
        _log.warning(
            '%s: the image leaves %.1f %% of the data unexplained, and noise '
            'is about %.1f %%; nothing beside the data says how they were '
            'measured, and their geometry or unit may be another than that of '
            'the configuration',
            path,
            100 * residual,
            100 * noise,
        )


def _clean(folder, paths):
    """Remove half-written files of a killed process."""
    ours = (_MANIFEST, *(path.name for path in paths))
    ours = tuple(f'.{pathlib.Path(name).stem}-' for name in ours)
    # the temporary names of `ImageFile` begin with two dots
    ours += tuple(f'.{name}' for name in ours)
    for path in folder.glob('.*.tmp'):
        if path.name.startswith(ours):
            path.unlink(missing_ok=True)


def _operator(acquisition, mask, path):
    """Return the forward operator of the data in a file."""
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


class _Manifest:
    """A file with the settings and the data of the images in a folder."""

    def __init__(self, path, settings):
        self._path = path
        self._content = {'settings': settings, 'files': {}}
        if os.path.lexists(path):
            try:
                self._content = json.loads(path.read_text('utf-8'))
            except (OSError, RecursionError, ValueError) as error:
                raise ValueError(
                    f'{path} is damaged, take another folder: {error}'
                ) from error
            before = self._part('settings')
            self._part('files')
            changed = sorted(
                key
                for key in before.keys() | settings.keys()
                if before.get(key) != settings.get(key)
            )
            if changed:
                raise ValueError(
                    f'the folder {path.parent} holds results of another '
                    f'{" and ".join(changed)}: take another folder'
                )
        self._write()

    def _part(self, name):
        content = self._content
        part = content.get(name) if isinstance(content, dict) else None
        if not isinstance(part, dict):
            raise ValueError(
                f'{self._path} is damaged, take another folder: it has no '
                f'{name}'
            )
        return part

    def _write(self):
        content = json.dumps(self._content, indent=1, sort_keys=True)
        write_atomically(self._path, content.encode())

    def check(self, target, source):
        """Return whether images exist, after checking their data."""
        if not target.is_file():
            return False
        if self._content['files'].get(target.name) != source:
            raise ValueError(
                f'{target} was made from other data, or by another program: '
                'take another folder, or delete the file'
            )
        return True

    def record(self, target, source):
        """Record the data of images, just before the images get their name."""
        self._content['files'][target.name] = source
        self._write()


def checksum(content):
    """Return a short checksum of bytes."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _checksum_of_file(path):
    with open(path, 'rb') as file:
        digest = hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=8)
        )
    return digest.hexdigest()
