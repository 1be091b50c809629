# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Reads HDF5 datasets, without following links to other files."""

from odl_equivariant.data.slices.index import NoImage

__all__ = ('own_dataset',)

# Soft links may form circles.
_MOST_LINKS = 32


def own_dataset(file, name):
    """Return a dataset of an HDF5 file; refuse links to other files.

    Parameters
    ----------
    file : h5py.File
        Open file.
    name : str
        Path of the dataset in the file.

    Returns
    -------
    dataset : h5py.Dataset or None
        The dataset, or ``None`` if there is none of this name.

    Raises
    ------
    NoImage
        If a link leads to another file, or if the numbers lie in other files
        (external storage, virtual datasets). These files are not opened.
    """
    import h5py

    missing = _parts(name)
    place, n_links = file, 0
    while missing:
        if not isinstance(place, h5py.Group):
            return None
        part = missing.pop(0)
        # does not follow the link
        link = place.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise NoImage(
                f'its `{name}` is a link to the file {link.filename!r}, and '
                'links to other files are not followed: copy the data'
            )
        if isinstance(link, h5py.SoftLink):
            n_links += 1
            if n_links > _MOST_LINKS:
                raise NoImage(f'its `{name}` is a circle of links')
            if link.path.startswith('/'):
                place = file
            missing[:0] = _parts(link.path)
            continue
        if not isinstance(link, h5py.HardLink):
            return None
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        return None
    if place.is_virtual or place.external:
        kind = 'a virtual dataset' if place.is_virtual else 'external storage'
        raise NoImage(
            f'its `{name}` is {kind}: its numbers lie in other files, which '
            'are not read; copy them into the file'
        )
    return place


def _parts(path):
    return [part for part in path.split('/') if part not in ('', '.')]
