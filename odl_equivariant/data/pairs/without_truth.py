# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files of measured data, and training samples made of them."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from odl_equivariant._array_files import read_array
from odl_equivariant._checks import boolean, real_number, whole_number
from odl_equivariant._types import PathLike
from odl_equivariant.data.kspace.reading import read_kspace
from odl_equivariant.data.scans.reading import read_scan
from odl_equivariant.data.slices.base import Slices, index_and_epoch
from odl_equivariant.elements import as_tensor, element_from_array

__all__ = ('MeasuredData', 'ScanFiles')

_ENDINGS = ('.npy', '.mat', '.h5', '.hdf5', '.hdf', '.mrd', '.xtekct')
_ENDINGS += ('.tif', '.tiff')
_SHARE = 0.999
_KEPT = 0.04
_MOST_IN_MEMORY = 64


class ScanFiles(Slices):
    """Files of measured data, each a scan without ground truth.

    It has no images: `ReconstructionData` makes samples of its scans, for
    losses without ground truth.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file. Files are those
        of `read_scan` for tomography, or arrays ``.npy`` of line integrals
        of the shape of the data; and those of `read_kspace` for magnetic
        resonance.
    hold_out : float, optional
        Fraction of the measurements of each scan that the training does not
        use, and that the validation predicts. Give the training and the
        validation the same one if both have the same files, or one scan.
    counts : bool, optional
        Whether arrays of tomography are readings of the detector, not line
        integrals: the acquisition then knows the white field.
    options : dict, optional
        Further arguments of `read_scan` or `read_kspace`, such as
        ``coil_axis``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    ValueError
        If the fraction is not between 0 and 1.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, 'a.npy'), np.zeros((9, 8)))
    ...     files = ScanFiles(folder)
    >>> files.names
    ['a.npy']
    """

    def __init__(
        self,
        folder: PathLike,
        hold_out: float = 0.1,
        counts: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.folder = pathlib.Path(folder).expanduser()
        self.hold_out = real_number('hold_out', hold_out, 0, 1)
        if self.hold_out == 1:
            raise ValueError('`hold_out` must be below 1, got 1')
        self.counts = boolean('counts', counts)
        self.options = dict(options or {})
        if self.folder.is_file():
            paths, root = [self.folder], self.folder.parent
        elif self.folder.is_dir():
            root = self.folder
            paths = sorted(
                path
                for path in root.rglob('*')
                if path.suffix.lower() in _ENDINGS and path.is_file()
            )
        else:
            raise FileNotFoundError(f'there is no folder or file {folder}')
        if not paths:
            raise FileNotFoundError(
                f'there is no file of measured data in {folder}: expected '
                f'the endings {", ".join(_ENDINGS)}'
            )
        self._paths = paths
        names = [path.relative_to(root).as_posix() for path in paths]
        super().__init__(names, names)

    def path(self, index: int) -> pathlib.Path:
        """Return the file of a scan."""
        return self._paths[self._places[index]]

    def _image(self, place, epoch):
        raise TypeError(
            f'{self._paths[place]} holds measured data and no image: give it '
            'as `data.train` with a loss that needs no ground truth'
        )


class MeasuredData(Dataset):
    r"""Samples of measured data without ground truth.

    Parameters
    ----------
    files : ScanFiles
        Files of the scans.
    acquisition : Acquisition
        Geometry of tomography, or `CartesianMRI` with ``n_coils``. Its mask
        and its noise are not used: scans have their own.
    seed : int, optional
        Seed of what is held out.

    Raises
    ------
    ValueError
        On access, with the name of the file, if a scan cannot be read or has
        another shape or number of coils than the acquisition.

    Notes
    -----
    A sample has ``data``; for magnetic resonance the ``mask`` of what was
    measured and ``coil_maps``, estimated by `estimate_coil_maps`; the number
    ``scale`` by which data were divided; ``noise_level``, NaN if no file says
    it; and, if measurements are held out, ``held_out``. Data of tomography
    are divided by the 0.999-quantile of their filtered back-projection, and
    k-space by the largest magnitude of the zero-filled image, so that images
    have values like those of the training of the shipped networks.
    """

    has_truth = False

    def __init__(
        self, files: ScanFiles, acquisition: Any, seed: int = 0
    ) -> None:
        self.slices = files
        self.acquisition = acquisition
        self.seed = whole_number('seed', seed, 0)
        self._known: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, _ = index_and_epoch(key, len(self), 'scans')
        if index not in self._known:
            path = self.slices.path(index)
            if hasattr(self.acquisition, 'mask'):
                sample = self._kspace(path)
            else:
                sample = self._sinogram(path)
            sample |= {'name': self.slices.names[index], 'index': index}
            if len(self._known) < _MOST_IN_MEMORY:
                self._known[index] = sample
            return dict(sample)
        return dict(self._known[index])

    def _sample(self, array, scale, noise_level=None):
        space = self.acquisition.operator.range
        data = as_tensor(element_from_array(array, space), copy=True)[0]
        sample = {'data': data, 'scale': torch.tensor(scale).to(data.dtype)}
        if noise_level is not None:
            sample['noise_level'] = torch.tensor(noise_level).to(data.dtype)
        return sample

    def _sinogram(self, path):
        acquisition = self.acquisition
        shape = tuple(acquisition.operator.range.shape)
        array = None
        if path.suffix.lower() == '.npy' and not self.slices.options:
            array = read_array(
                path, 'is no array of numbers, or it ends early'
            )
            if array.shape != shape or array.dtype.kind not in 'fiu':
                raise ValueError(
                    f'{path} has {array.dtype} of shape {array.shape}, and '
                    f'the geometry of the acquisition has {shape[0]} views '
                    f'and {shape[1]} detector elements of real numbers: '
                    'correct `data.acquisition`, or remove the file'
                )
            if self.slices.counts:
                array = acquisition.line_integrals(array).asarray()
        else:
            scan = read_scan(path, **self.slices.options).row()
            array = np.asarray(scan.data(acquisition).asarray())
        if not np.isfinite(array).all():
            raise ValueError(
                f'{path} has values that are infinite or not a number'
            )
        image = as_tensor(acquisition.fbp(array.astype('float32')))
        scale = float(torch.quantile(image.flatten(), _SHARE))
        if not scale > 0:
            raise ValueError(
                f'the filtered back-projection of {path} is not positive: '
                "are the data line integrals, with the sign of Beer's law? "
                'For readings of the detector, set `counts: true`'
            )
        sample = self._sample(array / scale, scale)
        held_out = self._held_out(np.ones(shape[0], dtype=bool), path)
        if held_out is not None:
            sample['held_out'] = torch.from_numpy(held_out[:, None])
        return sample

    def _kspace(self, path):
        acquisition = self.acquisition
        scan = read_kspace(path, **self.slices.options)
        maps = acquisition.coil_maps
        n_coils = 1 if maps is None else len(maps)
        if scan.shape != acquisition.shape or scan.n_coils != n_coils:
            raise ValueError(
                f'{path} has {scan.n_coils} coils and the shape {scan.shape}, '
                f'and the acquisition has {n_coils} and {acquisition.shape}: '
                f'set `shape: {list(scan.shape)}` and `n_coils: '
                f'{scan.n_coils}` of `data.acquisition`'
            )
        if maps is not None and not acquisition.own_coil_maps:
            raise ValueError(
                'each scan has coil maps of its own: give the acquisition '
                f'`n_coils: {n_coils}` in place of `coil_maps`'
            )
        scan = scan.with_coil_maps().normalised()
        mask = np.broadcast_to(scan.mask, scan.shape).copy()
        array = scan.kspace if maps is not None else scan.kspace[0]
        level = float('nan') if scan.sigma is None else float(scan.sigma)
        sample = self._sample(array, float(scan.scale), level)
        sample['mask'] = torch.from_numpy(mask)
        if maps is not None:
            own = acquisition.forward_operator(coil_maps=scan.coil_maps)
            sample['coil_maps'] = torch.tensor(
                scan.coil_maps, dtype=_complex(own.domain)
            )
        held_out = self._held_out_samples(mask, path)
        if held_out is not None:
            sample['held_out'] = torch.from_numpy(held_out)
        return sample

    def _held_out_samples(self, mask, path):
        """Return held-out samples of k-space: lines, if it has lines."""
        places = np.meshgrid(
            *((np.arange(n) - n // 2) / (n / 2) for n in mask.shape),
            indexing='ij',
        )
        for axis in (1, 0):
            lines = mask.any(axis=1 - axis)
            if (mask == np.expand_dims(lines, 1 - axis)).all():
                at = (np.arange(len(lines)) - len(lines) // 2) * 2 / len(lines)
                chosen = self._held_out(lines & (np.abs(at) > _KEPT), path)
                if chosen is None:
                    return None
                return mask & np.expand_dims(chosen, 1 - axis)
        outer = mask & (np.hypot(*places) > _KEPT)
        return self._held_out(outer, path)

    def _held_out(self, candidates, path):
        """Return a random part of the measurements, the same each time."""
        if not self.slices.hold_out:
            return None
        places = np.flatnonzero(candidates)
        number = round(self.slices.hold_out * len(places))
        if not 0 < number < len(places):
            raise ValueError(
                f'`hold_out: {self.slices.hold_out:g}` of the {len(places)} '
                f'measurements of {path} that can be held out are {number}: '
                'at least one must be held out and one left. Give another '
                '`hold_out`, or 0'
            )
        rng = np.random.default_rng(self.seed)
        chosen = np.zeros(candidates.shape, dtype=bool)
        chosen.flat[rng.permutation(places)[:number]] = True
        return chosen


def _complex(space):
    double = str(space.dtype_identifier) == 'complex128'
    return torch.complex128 if double else torch.complex64
