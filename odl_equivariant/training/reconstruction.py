# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Reconstruct what was measured: files, folders and volumes of data."""

import hashlib
import io
import json
import pathlib

import numpy as np
import torch

from odl_equivariant._files import write_atomically
from odl_equivariant.elements import (
    grid_shape,
    is_complex,
    merge_complex,
    n_channels,
    n_parts,
    split_complex,
    tensor_dtype,
)

__all__ = (
    'Measurements',
    'SimulatedMeasurements',
    'checksum',
    'reconstruct_files',
)

_MANIFEST = 'reconstruction.json'


class Measurements:
    """Measured data in files, checked against the range of an operator.

    Parameters
    ----------
    source : path-like
        A file of numpy's format, ``.npy``, or a folder of such files. A file
        holds the data of one image, or of several along a first axis.
    space : odl space
        Range of the forward operator: a real array has its shape, a complex
        one too, and with several coils these are the axis before.
        Beside ``a.npy`` may lie ``a.mask.npy``, the mask of its data.

    Attributes
    ----------
    files : dict
        For each file the number of images, or ``None`` for a single one
        without an axis of its own.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or no file in it.
    ValueError
        If the data in a file do not fit; with the file and both shapes.
    """

    def __init__(self, source, space):
        source = pathlib.Path(source)
        if not source.exists():
            raise FileNotFoundError(f'there is no file or folder {source}')
        paths = sorted(source.glob('*.npy')) if source.is_dir() else [source]
        paths = [path for path in paths if not path.match('*.mask.npy')]
        if not paths:
            raise FileNotFoundError(
                f'there is no .npy file in {source}; measured data are '
                'expected in the format of `numpy.save`'
            )
        self.space = space
        n = n_parts(space)
        self.shape = (*((n,) if n > 1 else ()), *grid_shape(space))
        self.files = {path: self._n_images(path) for path in paths}

    def _n_images(self, path):
        try:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f'{path} cannot be read: {error}') from error
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

    def mask(self, path):
        """Return the mask of the data in a file, or ``None``."""
        path = path.with_name(f'{path.stem}.mask.npy')
        return np.load(path, allow_pickle=False) if path.is_file() else None

    def batch(self, path, first, last):
        """Return the data of images of a file as a batch.

        Returns
        -------
        data : torch.Tensor
            Shape ``(last - first, C, *range.shape)``.

        Raises
        ------
        ValueError
            If they are not finite.
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
    """The data of pairs, in the place of files.

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

    def __len__(self):
        """Return the number of images."""
        return len(self._pairs)

    def _pair(self, path):
        return self._pairs[self._numbers[path]]

    def mask(self, path):
        """Return the mask of a pair, or ``None``."""
        mask = self._pair(path).get('mask')
        return None if mask is None else np.asarray(mask)

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
):
    """Reconstruct all files, and go on where an earlier call was stopped.

    Parameters
    ----------
    module : callable
        Maps a batch of data and the operator they come from to a batch of
        images.
    acquisition : Acquisition
        Has the operator, or one for each mask.
    measurements : Measurements or SimulatedMeasurements
        What to reconstruct.
    output : path-like
        Folder of the results: for each file one of the same name with the
        images, and a picture of each image.
    settings : dict
        What the results depend on, to be written beside them.
    batch_size : int, optional
        So many images at once.
    pictures : bool, optional
        Whether to write pictures, as PNG.
    progress : bool, optional
        Whether to show a progress bar.

    Returns
    -------
    n_images : int
        Number of images that were made in this call.

    Raises
    ------
    ValueError
        If the folder holds results of other settings, or the mask of a file
        is missing or does not fit.
    """
    from tqdm import tqdm

    operators = {
        path: _operator(acquisition, measurements.mask(path), path)
        for path in measurements.files
    }
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    _check_manifest(output / _MANIFEST, settings)
    n_made = 0
    with tqdm(
        total=len(measurements),
        desc='reconstruction',
        unit='image',
        disable=not progress,
    ) as bar:
        for path, n_images in measurements.files.items():
            volume = _Volume(
                output / path.name, n_images, acquisition.space
            )
            bar.update(volume.done)
            while volume.done < volume.n:
                first = volume.done
                last = min(first + batch_size, volume.n)
                y = measurements.batch(path, first, last)
                with torch.inference_mode():
                    images = module(y, operators[path])
                volume.append(images.cpu(), pictures)
                bar.update(last - first)
                n_made += last - first
    return n_made


def _operator(acquisition, mask, path):
    """Return the forward operator of the data in a file."""
    if mask is None:
        if getattr(acquisition, 'random_masks', False):
            raise ValueError(
                'each image of this acquisition has a mask of its own: put '
                f'that of {path.name} beside it, as {path.stem}.mask.npy'
            )
        return acquisition.operator
    try:
        return acquisition.forward_operator(mask)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'the mask {path.stem}.mask.npy does not fit: {error}'
        ) from error


def _check_manifest(path, settings):
    content = json.dumps(settings, indent=1, sort_keys=True)
    if path.is_file():
        before = json.loads(path.read_text('utf-8'))
        if before != json.loads(content):
            changed = sorted(
                key
                for key in before.keys() | settings.keys()
                if before.get(key) != settings.get(key)
            )
            raise ValueError(
                f'the folder {path.parent} holds results of another '
                f'{" and ".join(changed)}: take another folder'
            )
    write_atomically(path, content.encode())


class _Volume:
    """The images of one file: written one by one, renamed at the end."""

    def __init__(self, path, n_images, space):
        self.path = path
        self.n = n_images or 1
        self._single = n_images is None
        self._n_channels = n_channels(space)
        self._complex = is_complex(space)
        self._shape = tuple(grid_shape(space))
        double = tensor_dtype(space) == torch.float64
        self._dtype = np.dtype(
            [['float32', 'float64'], ['complex64', 'complex128']][
                self._complex
            ][double]
        )
        self._partial = path.with_name(f'.{path.stem}.partial.npy')
        self._count = path.with_name(f'.{path.stem}.count')
        self.done = self._number_done()

    def _number_done(self):
        if self.path.is_file():
            return self.n
        try:
            array = np.load(self._partial, mmap_mode='r', allow_pickle=False)
            done = int(self._count.read_text('utf-8'))
        except (OSError, ValueError, EOFError):
            return 0
        fits = array.shape == (self.n, *self._shape)
        return done if fits and array.dtype == self._dtype else 0

    def append(self, images, pictures):
        """Write a batch of images after those that are done."""
        images = merge_complex(images) if self._complex else images
        images = images[:, 0].numpy()
        last = self.done + len(images)
        array = np.lib.format.open_memmap(
            self._partial,
            'r+' if self.done else 'w+',
            dtype=self._dtype,
            shape=(self.n, *self._shape),
        )
        array[self.done : last] = images
        array.flush()
        if pictures:
            for i, image in enumerate(images, self.done):
                _write_picture(image, self._picture_path(i))
        if last < self.n:
            write_atomically(self._count, str(last).encode())
        else:
            self._finish(array)
        self.done = last

    def _picture_path(self, i):
        number = '' if self._single else f'-{i:0{len(str(self.n - 1))}d}'
        return self.path.with_name(f'{self.path.stem}{number}.png')

    def _finish(self, array):
        if self._single:
            single = np.array(array[0])
            with open(self._partial, 'wb') as file:
                np.save(file, single)
        self._partial.replace(self.path)
        self._count.unlink(missing_ok=True)


def _write_picture(image, path):
    """Write the magnitude, from 0 to its maximum, as shades of grey."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "pictures need pillow: pip install 'odl-equivariant[data]', or "
            'pass `pictures: false`'
        ) from error
    grey = np.abs(image).astype('float64') if np.iscomplexobj(image) else image
    grey = np.clip(grey, 0, None) / max(float(grey.max()), 1e-30)
    # axis 0 is x, to the right, and axis 1 is y, upwards
    rows = np.rint(255 * grey.T[::-1]).astype('uint8')
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rows)).save(content, 'PNG')
    write_atomically(path, content.getvalue())


def checksum(path):
    """Return a short checksum of a file."""
    content = pathlib.Path(path).read_bytes()
    return hashlib.blake2b(content, digest_size=8).hexdigest()
