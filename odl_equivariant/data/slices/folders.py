# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Sets of images in the files of a folder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

from odl_equivariant._types import ImageShape, Spacing
from odl_equivariant._warnings import warn_user
from odl_equivariant.data.slices.base import Slices
from odl_equivariant.data.slices.index import FolderIndex
from odl_equivariant.data.slices.values import Values

__all__ = ('FolderSlices', 'SlicesOfGivenPixels')

_NO_PIXEL_SIZE = (
    'its format does not state the size of pixels; pass `pixel_size`, in '
    'millimetres'
)


class FolderSlices(Slices):
    """Images in the files of a folder, which are read on access.

    Subclasses define ``_read(path, name, entry)``, which returns the image of
    an index entry.

    Parameters
    ----------
    index : FolderIndex
        Index of the files.
    items : list of (str, dict)
        Index entries of the images, in order.
    names, groups : sequence of str
        Name and group of each image.
    shape, spacing, volumes : optional
        See `Slices`.
    values : Values, optional
        How values are converted. Default: they stay as they are read.

    Attributes
    ----------
    index : FolderIndex
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.
    """

    def __init__(
        self,
        index: FolderIndex,
        items: Iterable[tuple[str, dict[str, Any]]],
        names: Sequence[str],
        groups: Sequence[str],
        shape: ImageShape | None,
        spacing: Spacing | None = None,
        volumes: Sequence[str] | None = None,
        values: Values | None = None,
    ) -> None:
        super().__init__(names, groups, shape, spacing, volumes)
        self.index = index
        self._items = list(items)
        self._values = Values(None, None) if values is None else values
        self._factors: dict[str, float] = {}
        self._members: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        if self._values.needs_volume:
            for item, volume in zip(self._items, self.volumes, strict=True):
                self._members.setdefault(volume, []).append(item)
        self._check_pixels()

    def _check_pixels(self):
        """Compare the pixels of all images with what is asked for."""
        if self.shape is not None and self.spacing is None:
            return
        faults, oblong = [], []
        for i, (name, entry) in enumerate(self._items):
            pixel = self._pixel(entry)
            if pixel is None:
                faults.append(f'{name}: {self._fault(entry)}')
            elif not math.isclose(*pixel, rel_tol=1e-4):
                oblong.append((i, pixel))
        if self.spacing is not None and faults:
            raise ValueError(
                f'{len(faults)} of {len(self._items)} images in '
                f'{self.index.root} cannot be resampled to `spacing`, since '
                f'the size of their pixels is not known, first {faults[0]}; '
                'leave out `spacing`, or these files'
            )
        if self.spacing is None and oblong:
            i, (a, b) = oblong[0]
            warn_user(
                f'{len(oblong)} of {len(self)} images have pixels that are '
                f'not square, first {self.names[i]} with {a:g} x {b:g} mm: '
                'pass `spacing`, the side of a pixel in millimetres, or '
                '`shape`, to have square ones',
                UserWarning,
            )

    def subset(self, indices: Iterable[int]) -> Self:
        """Return some of the images, in the given order, see `Slices`."""
        part = super().subset(indices)
        part._items = [self._items[i] for i in part._places]
        part._places = range(len(part._items))
        return part

    def _image(self, place, epoch):
        image = self._converted(self._items[place])
        scale = self._values.scale
        if scale is None:
            return image
        return image * (
            self._factor(place) if isinstance(scale, str) else scale
        )

    def _converted(self, item):
        """Return an image in the unit that was asked for."""
        image = self._from_item(item, self._read)
        try:
            return self._values.in_unit(image)
        except ValueError as error:
            raise ValueError(f'{self.index.path(item[0])}: {error}') from error

    def _factor(self, place):
        """Return the factor of the volume of an image."""
        volume = self.volumes[place]
        if volume not in self._factors:
            images = self._all_of(self._members[volume])
            try:
                self._factors[volume] = self._values.factor(images)
            except ValueError as error:
                raise ValueError(f'the volume {volume} {error}') from error
        return self._factors[volume]

    def _all_of(self, items):
        """Yield all images of a volume."""
        return map(self._converted, items)

    def _geometry(self, place):
        entry = self._items[place][1]
        return None if self._fault(entry) else self._located(entry)

    def _no_geometry(self, place):
        name, entry = self._items[place]
        return f'{self.index.path(name)}: {self._fault(entry)}'

    def _pixel(self, entry):
        """Return the sides of the pixels of an image, if they are known."""
        return None

    def _fault(self, entry):
        """Return why the sides of the pixels are not known, if so."""
        return 'its format does not state the size of pixels'

    def _located(self, entry):
        """Return the geometry of an image whose pixels are known."""
        raise NotImplementedError

    def _fill(self, place, image):
        air = self._values.air
        return super()._fill(place, image) if air is None else air

    def _from_file(self, place, read):
        """Call a reader, and name the file in its errors."""
        return self._from_item(self._items[place], read)

    def _from_item(self, item, read):
        name, entry = item
        path = self.index.path(name)
        if not path.is_file():
            raise FileNotFoundError(
                f'the file {path} is gone since it was indexed: restore it, '
                f'or make the {type(self).__name__} anew'
            )
        try:
            return read(path, name, entry)
        except ImportError:
            raise
        except Exception as error:
            raise ValueError(
                f'cannot read {path}, which has changed since it was indexed '
                f'or is damaged: {type(error).__name__}: {error}'
            ) from error

    def _read(self, path, name, entry):
        raise NotImplementedError(
            f'{type(self).__name__} must define `_read(path, name, entry)`'
        )


class SlicesOfGivenPixels(FolderSlices):
    """Images in files whose format does not state the size of pixels.

    Subclasses have it as ``pixel_size``, in millimetres, or ``None``.
    """

    pixel_size: tuple[float, ...] | None

    def _pixel(self, entry):
        return self.pixel_size

    def _fault(self, entry):
        return None if self.pixel_size else _NO_PIXEL_SIZE
