# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Raw data of magnetic resonance imaging, in the format of fastMRI."""

from __future__ import annotations

import re

import numpy as np
import scipy.fft

from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._packages import import_package
from odl_equivariant._types import ImageShape, PathLike
from odl_equivariant.data._checks import grid, position
from odl_equivariant.data.slices.folders import FolderSlices
from odl_equivariant.data.slices.grids import crop_center
from odl_equivariant.data.slices.hdf5 import own_dataset
from odl_equivariant.data.slices.index import FolderIndex, NoImage
from odl_equivariant.data.slices.padding import (
    has_all_columns,
    measured_columns,
)

__all__ = ('FastMRIKspace',)

SUFFIXES = ('.h5', '.hdf5')
# Fewer low frequencies do not show the position of a coil.
FEWEST_LINES = 4


class FastMRIKspace(FolderSlices):
    r"""Measured k-space of fastMRI, and images reconstructed from it.

    Each HDF5 file is a volume with a dataset ``kspace`` of complex numbers,
    of shape (slices, ny, nx) from a single coil, or (slices, coils, ny, nx).
    The dataset must lie in the file itself: links to other files are not
    followed. ``s[i]`` is the complex image combined from the coils; k-space
    that was not measured counts as zero.

    Scanners fill k-space with columns of zeros on both sides. The attributes
    ``padding_left`` and ``padding_right``, or the ISMRMRD header, give their
    numbers. Columns are indexed along axis 0, the axis of phase encoding:
    sample them with ``CartesianMRI(axis=0)``.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file.
    acquisition : str, optional
        Only volumes whose attribute ``acquisition`` matches this regular
        expression. The case of letters is ignored.
    crop : tuple of 2 ints, optional
        Shape to which images are cropped around the middle. K-space and coil
        maps are not cropped.
    calibration : int, optional
        Number of low frequencies along each axis for estimating the coil
        maps. If fewer are fully sampled, fewer are used.
    scale : float, optional
        Factor for k-space and images: raw values are often as small as 1e-5.
    shape : tuple of 2 ints, optional
        Shape to which images are resampled after cropping, see `Slices`.
    cache, progress : optional
        See `DicomSlices`.

    Attributes
    ----------
    names : list of str
        Path of each file relative to ``folder``, ``#`` and the number of the
        slice, from 0.
    groups : list of str
        The attribute ``patient_id`` of the volume, or its file.
    acquisitions : list of str
        For each slice, the attribute ``acquisition`` of its volume.
    measured_columns : list of tuple
        For each slice, the first measured column and the column after the
        last measured one.
    fully_sampled : list of bool
        For each slice, whether all measured columns were sampled, according
        to the dataset ``mask``.
    index : object
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or, on access, if a file has vanished.
    ValueError
        If there is no volume of this kind, or, on access, a file is damaged,
        the low frequencies are missing, or an image is smaller than ``crop``.
    ImportError
        If h5py is not installed.

    Notes
    -----
    Rows of fastMRI run upwards: ``kspace[..., j, i]`` of a file belongs to
    index ``[i, j]`` here. Let :math:`F` be the centred unitary transform,
    with the zero frequency at index ``n // 2``, :math:`y_k` the data of coil
    :math:`k`, and :math:`w` a separable window. Maps and image are

    .. math::
        c_k = \frac{F^{-1} (w y_k)}
        {\sqrt{\sum_l |F^{-1} (w y_l)|^2}}, \qquad
        u = \sum_k \overline{c_k}\, F^{-1} y_k,

    so that :math:`\sum_k |c_k|^2 = 1`. Along each axis, for frequency
    :math:`|m| \le L / 2` and ``calibration`` :math:`L`,

    .. math::
        w(m) = \frac{1}{2} + \frac{1}{2} \cos \frac{2 \pi m}{L + 1},

    a Hann window, and 0 elsewhere. The maps contain the smooth part of the
    phase of the image (McKenzie et al., Magnetic Resonance in Medicine 47
    (2002), 529-538). A single coil has the map 1, and its image keeps its
    phase.

    Data: Zbontar et al., arXiv:1811.08839.

    Examples
    --------
    >>> import os, tempfile
    >>> import h5py
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(os.path.join(folder, 'volume.h5'), 'w') as file:
    ...         file['kspace'] = rng.normal(size=(2, 4, 40, 30)) + 0j
    ...     slices = FastMRIKspace(folder, crop=(20, 20))
    ...     slices.kspace(1).shape, slices[1].shape, slices[1].dtype
    ((4, 30, 40), (20, 20), dtype('complex64'))
    """

    def __init__(
        self,
        folder: PathLike,
        acquisition: str | None = None,
        crop: ImageShape | None = None,
        calibration: int = 24,
        scale: float = 1.0,
        shape: ImageShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
    ) -> None:
        import_package('h5py', 'reading HDF5 files')
        self.crop = grid(crop, 'crop')
        self.calibration = whole_number(
            'calibration', calibration, FEWEST_LINES
        )
        self.scale = positive_number('scale', scale)
        shape = grid(shape)
        pattern = re.compile(acquisition or '', re.I)
        index = FolderIndex(
            folder,
            'kspace',
            _describe,
            suffixes=SUFFIXES,
            cache=cache,
            progress=progress,
        )
        items = [
            item
            for item in index.entries
            if pattern.search(item[1]['acquisition'])
        ]
        if not items:
            there = {entry['acquisition'] for _, entry in index.entries}
            raise ValueError(
                f'no volume in {index.root} has an acquisition like '
                f'{acquisition!r}; there are {sorted(there)}'
            )
        super().__init__(
            index,
            items,
            [f'{name}#{entry["slice"]}' for name, entry in items],
            [entry['patient'] or name for name, entry in items],
            shape,
        )

    @property
    def acquisitions(self) -> list[str]:
        """The acquisition of each slice, a list of str."""
        return [self._items[i][1]['acquisition'] for i in self._places]

    @property
    def measured_columns(self) -> list[tuple[int, int]]:
        """The measured columns of each slice, a list of (first, stop)."""
        return [tuple(self._items[i][1]['columns']) for i in self._places]

    @property
    def fully_sampled(self) -> list[bool]:
        """Whether each slice has all measured columns, a list of bool."""
        return [self._items[i][1]['full'] for i in self._places]

    def kspace(self, index: int) -> np.ndarray:
        """Return the measured k-space of a slice.

        Parameters
        ----------
        index : int
            Which slice.

        Returns
        -------
        kspace : numpy.ndarray
            complex64, of shape (coils, nx, ny), and zero where it was not
            measured. The zero frequency is at ``[:, nx // 2, ny // 2]``.
        """
        place = self._places[position(index, len(self), 'slices')]
        return self._from_file(place, self._measured)

    def coil_maps(self, index: int) -> np.ndarray:
        """Return the sensitivities of the coils, estimated from a slice.

        Parameters
        ----------
        index : int
            Which slice.

        Returns
        -------
        coil_maps : numpy.ndarray
            complex64, of shape (coils, nx, ny). The squares of their
            absolute values add up to 1, or to 0 where there is no signal. If
            the whole slice is zero, all maps are equal constants.
        """
        place = self._places[position(index, len(self), 'slices')]
        return self._from_file(
            place, lambda *where: self._maps(self._measured(*where))
        )

    def _measured(self, path, name, entry):
        import h5py

        with h5py.File(path, 'r') as file:
            kspace = own_dataset(file, 'kspace')
            if kspace is None:
                raise NoImage('it has no dataset `kspace`')
            stored = kspace[entry['slice']]
        if list(stored.shape) != entry['shape']:
            raise ValueError(
                f'its slices have the shape {stored.shape}, and had the shape '
                f'{tuple(entry["shape"])} when it was indexed'
            )
        if stored.ndim == 2:
            stored = stored[None]
        kspace = stored.swapaxes(1, 2).astype(np.complex64)
        return np.ascontiguousarray(kspace * np.float32(self.scale))

    def _maps(self, kspace):
        if len(kspace) == 1:
            return np.ones_like(kspace)
        if not kspace.any():
            # Not zeros, which would mean that there are no coils.
            return np.full_like(kspace, len(kspace) ** -0.5)
        low = to_image(kspace * _window(kspace, self.calibration))
        size = np.sqrt((np.abs(low) ** 2).sum(axis=0))
        return np.divide(low, size, out=np.zeros_like(low), where=size > 0)

    def _read(self, path, name, entry):
        kspace = self._measured(path, name, entry)
        image = (self._maps(kspace).conj() * to_image(kspace)).sum(axis=0)
        return image if self.crop is None else crop_center(image, self.crop)


def to_image(kspace):
    """Return the inverse of the centred unitary transform, axes 1 and 2."""
    shifted = scipy.fft.ifftshift(kspace, axes=(1, 2))
    image = scipy.fft.ifft2(shifted, axes=(1, 2), norm='ortho')
    return scipy.fft.fftshift(image, axes=(1, 2))


def _window(kspace, width):
    """Return a Hann window on the fully sampled centre of k-space."""
    sampled = (kspace != 0).any(axis=0)
    lines = []
    for axis in (0, 1):
        there = sampled.any(axis=1 - axis)
        center = len(there) // 2
        # number of complete lines on either side of the centre
        gaps = np.flatnonzero(~there)
        reach = np.abs(gaps - center).min(initial=len(there)) - 1
        reach = min(reach, center)
        n = min(width, 2 * int(reach) + 1)
        if n < FEWEST_LINES:
            raise ValueError(
                f'the centre of k-space has only {max(n, 0)} fully sampled '
                f'lines along axis {axis}, and coil maps need '
                f'{FEWEST_LINES}'
            )
        frequency = np.arange(len(there)) - center
        hann = 0.5 + 0.5 * np.cos(2 * np.pi * frequency / (n + 1))
        lines.append(np.where(2 * np.abs(frequency) <= n, hann, 0))
    return np.outer(*lines).astype(np.float32)


def _describe(path):
    """Return the index entries of the slices of a volume."""
    import h5py

    with h5py.File(path, 'r') as file:
        kspace = own_dataset(file, 'kspace')
        if kspace is None:
            raise NoImage('it has no dataset `kspace`')
        if kspace.dtype.kind != 'c' or kspace.ndim not in (3, 4):
            raise NoImage(
                'its `kspace` must be complex, of 3 or 4 dimensions, got '
                f'{kspace.dtype} of shape {kspace.shape}'
            )
        if 0 in kspace.shape:
            raise NoImage(f'its `kspace` has the shape {kspace.shape}')
        # Blocks are missing in a truncated file, the last ones first.
        columns = measured_columns(file, kspace[-1])
        attributes = {
            key: _text(file.attrs.get(key))
            for key in ('patient_id', 'acquisition')
        }
        return [
            {
                'slice': i,
                'shape': [int(n) for n in kspace.shape[1:]],
                'patient': attributes['patient_id'],
                'acquisition': attributes['acquisition'],
                'columns': columns,
                'full': has_all_columns(file, columns),
            }
            for i in range(len(kspace))
        ]


def _text(value):
    if value is None:
        return ''
    return value.decode() if isinstance(value, bytes) else str(value)
