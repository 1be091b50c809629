# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Sets of images in the files of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from odl_equivariant._types import ImageShape
from odl_equivariant.data.slices.base import Slices
from odl_equivariant.data.slices.index import FolderIndex

__all__ = ('FolderSlices',)


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
    shape : tuple of 2 ints, optional
        See `Slices`.

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
    ) -> None:
        super().__init__(names, groups, shape)
        self.index = index
        self._items = list(items)

    def subset(self, indices: Iterable[int]) -> Self:
        """Return some of the images, in the given order, see `Slices`."""
        part = super().subset(indices)
        part._items = [self._items[i] for i in part._places]
        part._places = range(len(part._items))
        return part

    def _image(self, place, epoch):
        return self._from_file(place, self._read)

    def _from_file(self, place, read):
        """Call a reader, and name the file in its errors."""
        name, entry = self._items[place]
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
