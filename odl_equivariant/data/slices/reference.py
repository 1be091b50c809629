# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The images of the reference experiments: chest CT and brain MRI."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from odl_equivariant._checks import boolean, whole_number
from odl_equivariant._types import ImageShape, PathLike, Spacing
from odl_equivariant.data.slices.dicom.slices import DicomSlices

__all__ = ('FastMRISlices', 'LIDCSlices')

# In most scanners, stored values are at least 0, and air is 24.
CT_OFFSET = 1024.0
CT_RANGE = 4096.0
# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x64697468


def _statistics(image):
    steps = [
        np.diff(image, axis=axis, append=np.take(image, [-1], axis))
        for axis in (0, 1)
    ]
    return {
        'tv': float(np.hypot(*steps).mean()),
        'l1': float(np.abs(image).mean()),
        'max': float(image.max()),
    }


class _SelectedSlices(DicomSlices):
    """DICOM slices that are scaled and selected by their statistics."""

    # name of each rule, and a function that maps statistics to a bool
    _rules: ClassVar[dict[str, Callable[[dict[str, Any]], bool]]] = {}
    _statistic_names: tuple[str, ...] = ()

    @property
    def statistics(self) -> list[dict[str, Any]]:
        """The statistics of each slice, a list of dicts."""
        return [
            {key: self._items[i][1][key] for key in self._statistic_names}
            for i in self._places
        ]

    def _selected(self, items, index):
        if not self._select:
            return items
        failed = dict.fromkeys(self._rules, 0)
        chosen = []
        for item in items:
            wrong = [n for n, rule in self._rules.items() if not rule(item[1])]
            for name in wrong:
                failed[name] += 1
            if not wrong:
                chosen.append(item)
        if not chosen:
            counts = ', '.join(
                f'{count} fail {name}' for name, count in failed.items()
            )
            raise ValueError(
                f'none of the {len(items)} images in {index.root} passes the '
                f'selection rules: {counts}; take all with `select=False`'
            )
        return chosen


class LIDCSlices(_SelectedSlices):
    r"""Chest CT of the LIDC-IDRI collection, as in the reference.

    This is `DicomSlices` with scaled values and a selection of slices. Values
    are attenuation relative to the attenuation at 3072 HU, about [0, 1], as
    `SparseViewCT` expects. Selected slices have no metal, little noise, and a
    circular field of view.

    Parameters
    ----------
    folder : path-like
        Folder of the collection, or of a part of it.
    select : bool, optional
        Whether to select the slices that pass the rules below.
    seed : int or None, optional
        Seed of the dither, which depends on the seed and the name of the
        slice. ``None`` for no dither.
    size, group_by, shape, cache, progress, spacing : optional
        See `DicomSlices`.

    Attributes
    ----------
    statistics : list of dict
        For each slice, :math:`\mathrm{TV}` as ``'tv'``,
        :math:`\|u\|_1` as ``'l1'``, the maximum as ``'max'``, and
        ``'circle'``: whether the field of view is circular.

    Raises
    ------
    FileNotFoundError, ValueError, ImportError
        As `DicomSlices`. Also a ValueError if no slice passes, with the
        number of slices that fail each rule.

    Notes
    -----
    Hounsfield units become

    .. math::
        u = \frac{\max(\mathrm{HU} + 1024, 0) + d}{4096},

    with dither :math:`d` uniform on [0, 1), so that values are not whole
    numbers. The rules are, without dither,

    .. math::
        \mathrm{TV}(u) < 0.15\, \|u\|_1, \quad 0.25 < \max u < 0.75, \quad
        \mathrm{TV}(u) < 0.01,

    with the differences :math:`D_0, D_1` to the next row below and to the
    next column, which are zero at the end of an axis, and :math:`N` pixels,

    .. math::
        \mathrm{TV}(u) = \frac{1}{N} \sum
        \sqrt{(D_0 u)^2 + (D_1 u)^2}, \qquad
        \|u\|_1 = \frac{1}{N} \sum |u|.

    Outside of a circular field of view, scanners write padding, or a constant
    far below air, such as -3024 HU. The field counts as circular if all four
    corners have the same value, below -1024 HU. (The reference looks for such
    values in the whole image, before the rescaling. This gives the same,
    since scanners that write them have the intercept -1024.)

    Settings: Celledoni et al., *Equivariant neural networks for inverse
    problems*, Inverse Problems 37 (2021), 085006, and the code published with
    it. Data: Armato et al., Medical Physics 38 (2011), 915-931.

    Examples
    --------
    A head that passes the rules:

    >>> import shutil, tempfile
    >>> from pydicom.data import get_testdata_file
    >>> head = get_testdata_file('J2K_pixelrep_mismatch.dcm')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = shutil.copy(head, folder)
    ...     slices = LIDCSlices(folder)
    ...     len(slices), slices.statistics[0]['circle'], slices[0].shape
    (1, True, (512, 512))
    """

    _kind = 'lidc'
    _statistic_names = ('tv', 'l1', 'max', 'circle')
    # Attenuation 0, and outside of a circular field of view.
    _background = -2 * CT_OFFSET
    _rules = {
        'TV < 0.15 L1': lambda s: s['tv'] < 0.15 * s['l1'],
        '0.25 < max < 0.75': lambda s: 0.25 < s['max'] < 0.75,
        'TV < 0.01': lambda s: s['tv'] < 0.01,
        'the circular field of view': lambda s: s['circle'],
    }

    def __init__(
        self,
        folder: PathLike,
        select: bool = True,
        seed: int | None = 0,
        size: ImageShape | None = None,
        group_by: Literal['patient', 'study', 'series', 'folder'] = 'patient',
        shape: ImageShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        spacing: Spacing | None = None,
    ) -> None:
        self._select = boolean('select', select)
        self.seed = None if seed is None else whole_number('seed', seed, 0)
        super().__init__(
            folder,
            'CT',
            None,
            size,
            group_by,
            shape,
            cache,
            progress,
            spacing=spacing,
        )

    @staticmethod
    def _measure(pixels):
        return {
            **_statistics(_attenuation(pixels)),
            'circle': _has_circle(pixels),
        }

    def _read(self, path, name, entry):
        image = _attenuation(super()._read(path, name, entry))
        if self.seed is not None:
            # By name, so that it does not depend on other files.
            key = zlib.crc32(name.encode())
            rng = np.random.default_rng([self.seed, key, _PURPOSE])
            image += rng.random(image.shape) / CT_RANGE
        return image

    def _fill(self, place, image):
        # the attenuation of air
        return 0.0


def _attenuation(hounsfield):
    return np.maximum(hounsfield + CT_OFFSET, 0) / CT_RANGE


def _has_circle(hounsfield):
    corners = hounsfield[[0, 0, -1, -1], [0, -1, 0, -1]]
    return bool((corners == corners[0]).all() and corners[0] < -CT_OFFSET)


class FastMRISlices(_SelectedSlices):
    r"""Brain MRI of the fastMRI DICOM collection, as in the reference.

    This is `DicomSlices` with a selection of slices, each divided by its
    maximum. Selected slices show a large part of the head, with little noise.

    Parameters
    ----------
    folder : path-like
        Folder of the collection, or of a part of it.
    select : bool, optional
        Whether to select the slices that pass the rules below.
    series : str, optional
        Regular expression for the series description. The reference uses
        only T1-weighted images, ``series='T1'``.
    size : tuple of 2 ints, optional
        Only images with these numbers of columns and rows, which are
        (320, 320) in the reference.
    group_by, shape, cache, progress, spacing : optional
        See `DicomSlices`.

    Attributes
    ----------
    statistics : list of dict
        For each slice, :math:`\mathrm{TV}` as ``'tv'``,
        :math:`\|u\|_1` as ``'l1'``, and the maximum in the scanner's units
        as ``'scale'``.

    Raises
    ------
    FileNotFoundError, ValueError, ImportError
        As `DicomSlices`. Also a ValueError if no slice passes, with the
        number of slices that fail each rule.

    Notes
    -----
    The rules are :math:`\|u\|_1 > 0.13` and :math:`\mathrm{TV}(u) < 0.15\,
    \|u\|_1`, where :math:`\mathrm{TV}` and :math:`\|\cdot\|_1` are means over
    the pixels, see `LIDCSlices`. Negative values become 0.

    Settings: Celledoni et al., Inverse Problems 37 (2021), 085006, and the
    code published with it. Data: Zbontar et al., arXiv:1811.08839.

    Examples
    --------
    >>> import shutil, tempfile
    >>> from pydicom.data import get_testdata_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = shutil.copy(get_testdata_file('MR_small.dcm'), folder)
    ...     image = FastMRISlices(folder, select=False)[0]
    ...     image.shape, float(image.max())
    ((64, 64), 1.0)
    """

    _kind = 'fastmri'
    _statistic_names = ('tv', 'l1', 'scale')
    _rules = {
        'L1 > 0.13': lambda s: s['l1'] > 0.13,
        'TV < 0.15 L1': lambda s: s['tv'] < 0.15 * s['l1'],
    }

    def __init__(
        self,
        folder: PathLike,
        select: bool = True,
        series: str | None = None,
        size: ImageShape | None = None,
        group_by: Literal['patient', 'study', 'series', 'folder'] = 'patient',
        shape: ImageShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        spacing: Spacing | None = None,
    ) -> None:
        self._select = boolean('select', select)
        super().__init__(
            folder,
            'MR',
            series,
            size,
            group_by,
            shape,
            cache,
            progress,
            spacing=spacing,
        )

    @staticmethod
    def _measure(pixels):
        return {
            **_statistics(_relative(pixels)),
            'scale': float(pixels.max()),
        }

    def _read(self, path, name, entry):
        return _relative(super()._read(path, name, entry))

    def _fill(self, place, image):
        return 0.0


def _relative(magnitude):
    magnitude = np.maximum(magnitude, 0)
    largest = magnitude.max()
    return magnitude / largest if largest > 0 else magnitude
