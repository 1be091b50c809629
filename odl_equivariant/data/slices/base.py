# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Sets of two-dimensional images, and how to split them."""

from __future__ import annotations

import collections.abc
import copy
import dataclasses
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np

from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._types import ImageShape, Spacing
from odl_equivariant.data._checks import grid, position
from odl_equivariant.data.slices.geometry import (
    SliceGeometry,
    Volume,
    in_line,
    stacked,
)
from odl_equivariant.data.slices.grids import float_dtype, grid_change

__all__ = ('Slices', 'split')

_NUMBERS = {2: 'two', 3: 'three'}


class Slices:
    """A sequence of images, each with a name and a group.

    ``s[i]`` is image ``i``, a numpy array of dtype float32 or complex64:
    axis 0 is x, to the viewer's right, axis 1 is y, upwards. If images are
    random, as in `Augmented`, ``s[i, epoch]`` is the image of that epoch, and
    ``s[i]`` is ``s[i, 0]``. Other sets ignore the epoch.

    Derive from this class to add a source of images: call ``__init__`` and
    define ``_image(i, epoch)``.

    Parameters
    ----------
    names : sequence of str
        Name of each image.
    groups : sequence of str
        Where each image comes from, such as a patient. `split` keeps groups
        together.
    shape : tuple of 2 ints, optional
        Shape to which all images are resampled. First, the largest central
        part with the proportions of this shape is cut out. If its sides are
        the same multiple of the new sides, pixels are averaged. Otherwise
        the part is interpolated linearly, without aliasing. If the sizes of
        pixels are known and they are not square, the new ones are: the
        proportions are those of lengths, not of numbers of pixels. Default:
        images keep their shape.
    spacing : float or tuple of 2 floats, optional
        Size of the pixels, in millimetres, to which all images are
        resampled: of squares, or along each axis. The centre of an image
        stays its centre. Each new pixel is the mean, over its area, of what
        linear interpolation gives: no detail is aliased, and the sum of an
        image, times the area of a pixel, is kept. With ``shape``, images are
        cut or filled to this shape, and are not scaled. Only for images
        whose pixels have a known size.
    volumes : sequence of str, optional
        Name of the volume to which each image belongs. Default: its group.

    Attributes
    ----------
    names : list of str
        Name of each image.
    groups : list of str
        Group of each image.
    volumes : list of str
        Volume of each image.
    shape : tuple of 2 ints or None
        Shape of all images, if one is given.
    spacing : tuple of 2 floats or None
        Size of the pixels of all images, in millimetres, if one is given.

    Raises
    ------
    IndexError
        If an index is negative, or not below the number of images.
    ValueError
        On access, if an image does not have two dimensions, or has values
        that are infinite or not a number.

    Examples
    --------
    >>> class Squares(Slices):
    ...     def _image(self, i, epoch):
    ...         return np.full((4, 4), i**2)
    >>> slices = Squares(['one', 'two', 'three'], ['a', 'a', 'b'])
    >>> len(slices), slices[2].dtype, float(slices[2][0, 0])
    (3, dtype('float32'), 4.0)
    >>> slices.subset([2, 0]).names
    ['three', 'one']
    """

    _n_axes = 2

    def __init__(
        self,
        names: Sequence[str],
        groups: Sequence[str],
        shape: ImageShape | None = None,
        spacing: Spacing | None = None,
        volumes: Sequence[str] | None = None,
    ) -> None:
        self.names = [str(name) for name in names]
        self.groups = [str(group) for group in groups]
        volumes = self.groups if volumes is None else volumes
        self.volumes = [str(volume) for volume in volumes]
        if len(self.names) != len(self.groups):
            raise ValueError(
                'each image has a name and a group, got '
                f'{len(self.names)} names and {len(self.groups)} groups'
            )
        if len(self.names) != len(self.volumes):
            raise ValueError(
                'each image has a name and a volume, got '
                f'{len(self.names)} names and {len(self.volumes)} volumes'
            )
        self.shape = grid(shape, n_axes=self._n_axes)
        self.spacing = checked_spacing(spacing, n_axes=self._n_axes)
        self._places: Sequence[int] = range(len(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: int | tuple[int, int]) -> np.ndarray:
        index, epoch = index_and_epoch(key, len(self), 'slices')
        image = np.asarray(self._image(self._places[index], epoch))
        if image.ndim != self._n_axes:
            raise ValueError(
                f'{self.names[index]} must have {_NUMBERS[self._n_axes]} '
                f'dimensions, and has the shape {image.shape}'
            )
        with np.errstate(over='ignore'):
            image = image.astype(float_dtype(image.dtype), copy=False)
        if not np.isfinite(image).all():
            raise ValueError(
                f'{self.names[index]} has {(~np.isfinite(image)).sum()} '
                'values that are infinite, not a number, or too large for '
                'float32: replace them, or leave the image out by `subset`'
            )
        if self.shape is not None or self.spacing is not None:
            change = self._change(index, image.shape)
            image = change(image, self._fill(self._places[index], image))
        return np.ascontiguousarray(image)

    def geometry(self, index: int) -> SliceGeometry | None:
        """Return where the pixels of an image lie in the body.

        Parameters
        ----------
        index : int
            Which image.

        Returns
        -------
        geometry : SliceGeometry or None
            Spacing, position and directions of ``s[index]``, as it is after
            resampling. ``None`` if the size of its pixels is not known.

        Raises
        ------
        IndexError
            If the index is out of range.
        """
        index = position(index, len(self), 'slices')
        own = self._geometry(self._places[index])
        if own is None or (self.shape is None and self.spacing is None):
            return own
        change = self._change(index, own.shape)
        return own.on(change.shape, change.start, change.step)

    def volume(self, name: str | None = None) -> Volume:
        """Return the slices of a volume as one array.

        Slices are resampled one by one, as ``s[i]``. Their distance stays as
        it is. They are sorted by position if they are not in line.

        Parameters
        ----------
        name : str, optional
            One of ``volumes``. Default: the only one.

        Returns
        -------
        volume : Volume
            Values, spacing, position and directions.

        Raises
        ------
        ValueError
            If there is no such volume, or its slices do not make up a volume:
            they differ in shape, spacing or direction, some are missing, or
            nothing says where they lie.
        """
        known = list(dict.fromkeys(self.volumes))
        if name is None and len(known) == 1:
            name = known[0]
        if name not in known:
            more = f', and {len(known) - 5} more' if len(known) > 5 else ''
            raise ValueError(
                f'there is no volume {name!r}: give one of '
                f'{", ".join(map(repr, known[:5]))}{more}'
            )
        members = []
        for i, volume in enumerate(self.volumes):
            if volume == name:
                geometry = self.geometry(i)
                if geometry is None:
                    raise ValueError(
                        f'{self.names[i]} cannot be a part of a volume: '
                        f'{self._no_geometry(self._places[i])}'
                    )
                members.append((self.names[i], geometry, i))
        order = in_line([geometry for _, geometry, _ in members])
        members = [members[k] for k in order]
        # checked before the values are read
        layout = stacked(
            [(name, np.empty((0, 0)), at) for name, at, _ in members]
        )
        return dataclasses.replace(
            layout, values=np.stack([self[i] for *_, i in members], axis=-1)
        )

    def _change(self, index, shape):
        """Return how an image of some shape gets to the grid of the set."""
        place = self._places[index]
        own = self._geometry(place)
        if own is None and self.spacing is not None:
            raise ValueError(
                f'{self.names[index]} cannot be resampled to `spacing`: '
                f'{self._no_geometry(place)}'
            )
        try:
            return grid_change(
                shape, own and own.spacing, self.shape, self.spacing
            )
        except ValueError as error:
            raise ValueError(f'{self.names[index]}: {error}') from error

    def _geometry(self, place):
        """Return the geometry of what `_image` returns, if it is known."""

    def _no_geometry(self, place):
        """Return the reason why a geometry is not known."""
        return f'{type(self).__name__} knows no size of its pixels'

    def _fill(self, place, image):
        """Return the value of what lies beside an image."""
        return 0 if np.iscomplexobj(image) else image.min()

    def _image(self, place, epoch):
        """Return the image at a place of the whole set."""
        raise NotImplementedError(
            f'{type(self).__name__} must define `_image(place, epoch)`'
        )

    def subset(self, indices: Iterable[int]) -> Self:
        """Return some of the images, in the given order.

        Parameters
        ----------
        indices : sequence of int
            Which images.

        Returns
        -------
        subset : Slices
            Set of the same class.

        Raises
        ------
        IndexError
            If an index is out of range.
        """
        chosen = [position(i, len(self), 'slices') for i in indices]
        part = copy.copy(self)
        part.names = [self.names[i] for i in chosen]
        part.groups = [self.groups[i] for i in chosen]
        part.volumes = [self.volumes[i] for i in chosen]
        part._places = [self._places[i] for i in chosen]
        return part

    def with_shape(self, shape: ImageShape) -> Slices:
        """Return the same images on another grid.

        Parameters
        ----------
        shape : tuple of 2 ints
            Grid that every image is brought to.

        Returns
        -------
        slices : Slices
            Set of the same class.

        Raises
        ------
        ValueError
            If the shape is not two positive sizes.
        """
        other = copy.copy(self)
        other.shape = grid(shape, n_axes=self._n_axes)
        return other

    def __repr__(self):
        """Return a short description."""
        return (
            f'<{type(self).__name__}: {len(self)} slices in '
            f'{len(set(self.groups))} groups>'
        )


def checked_spacing(spacing, name='spacing', n_axes=2):
    """Return the sides of cells as numbers of millimetres, or None."""
    if spacing is None:
        return None
    if isinstance(spacing, str) or np.shape(spacing) not in ((), (n_axes,)):
        cell, more = 'voxel', ''
        if n_axes == 2:
            cell = 'pixel'
            more = (
                '; slices are not resampled across: their distance stays as '
                'it is'
            )
        raise ValueError(
            f'`{name}` must be the side of a {cell} in millimetres, or its '
            f'{_NUMBERS[n_axes]} sides, got {spacing!r}{more}'
        )
    sides = n_axes * (spacing,) if np.shape(spacing) == () else spacing
    return tuple(positive_number(name, side) for side in sides)


def index_and_epoch(key, length, what):
    """Check and return an index and an epoch, by default the epoch 0."""
    epoch = 0
    if isinstance(key, tuple):
        if len(key) != 2:
            raise TypeError(
                f'expected an index of {what}, or (index, epoch), got {key!r}'
            )
        key, epoch = key
    return position(key, length, what), whole_number('epoch', epoch, 0)


def split(
    slices: Slices, parts: Mapping[str, float], seed: int = 0
) -> dict[str, Slices]:
    """Split a set at random, without splitting a group.

    Parameters
    ----------
    slices : Slices
        Set to split.
    parts : dict
        Name and size of each part. Sizes are either fractions, as floats
        with a sum of at most 1, or numbers of slices, as ints. Fractions are
        met as closely as whole groups allow, and each part has at least one
        group. For a number, whole groups are added until the number is
        reached, and surplus slices are left out.
    seed : int, optional
        Seed of the order of groups, and of the slices in each part.

    Returns
    -------
    parts : dict
        A subset for each name. Its slices are in random order, so that the
        first slices come from many groups.

    Raises
    ------
    ValueError
        If there are too few slices or groups, or a size is not positive.
    TypeError
        If the sizes are neither all ints nor all floats, or ``slices`` is not
        a `Slices`.

    Examples
    --------
    >>> from odl_equivariant.data import Phantoms
    >>> parts = split(Phantoms(20, (16, 16)), {'train': 0.8, 'test': 0.2})
    >>> len(parts['train']), len(parts['test'])
    (16, 4)
    >>> parts = split(Phantoms(20, (16, 16)), {'train': 5, 'test': 2})
    >>> len(parts['train']), len(parts['test'])
    (5, 2)
    """
    if not isinstance(slices, Slices):
        raise TypeError(f'expected `Slices`, got {str(slices):.80}')
    if not isinstance(parts, collections.abc.Mapping):
        raise TypeError(
            "`parts` must be a dict of sizes, like {'train': 0.9, "
            f"'test': 0.1}}, got {parts!r}"
        )
    sizes = dict(parts)
    if not sizes:
        raise ValueError('`parts` must name at least one part, got none')
    whole = {isinstance(size, numbers.Integral) for size in sizes.values()}
    if len(whole) > 1 or not all(
        isinstance(size, numbers.Real) and not isinstance(size, bool)
        for size in sizes.values()
    ):
        raise TypeError(
            'the sizes of `parts` must be fractions, as floats, or numbers '
            f'of slices, as ints, got {sizes}'
        )
    if not all(size > 0 for size in sizes.values()):
        raise ValueError(f'the sizes of `parts` must be positive, got {sizes}')
    members = {}
    for index, group in enumerate(slices.groups):
        members.setdefault(group, []).append(index)
    rng = np.random.default_rng(whole_number('seed', seed, 0))
    # sorted, so that the order of the files does not matter
    names = sorted(members)
    groups = [members[names[i]] for i in rng.permutation(len(names))]
    divide = _by_number if whole == {True} else _by_fraction
    chosen = divide(groups, sizes)
    return {
        name: slices.subset(rng.permutation(chosen[name])[: _cut(sizes[name])])
        for name in sizes
    }


def _cut(size):
    return int(size) if isinstance(size, numbers.Integral) else None


def _by_fraction(groups, fractions):
    """Return the indices in each part, with sizes close to fractions."""
    if sum(fractions.values()) > 1 + 1e-9:
        raise ValueError(
            'the fractions must have a sum of at most 1, got '
            f'{sum(fractions.values()):g} in {fractions}'
        )
    if len(groups) < len(fractions):
        raise ValueError(
            f'{len(groups)} groups cannot be split into {len(fractions)} '
            f'parts: each of {list(fractions)} needs at least one'
        )
    total = sum(map(len, groups))
    missing = {name: part * total for name, part in fractions.items()}
    rest = total - sum(missing.values())
    chosen = {name: [] for name in fractions}
    # First one group for each part, then each group where most is missing.
    for number, group in enumerate(groups):
        if number < len(fractions):
            name = list(fractions)[number]
        else:
            name = max(missing, key=missing.get)
            if rest > max(missing[name], 0.5):
                rest -= len(group)
                continue
        chosen[name] += group
        missing[name] -= len(group)
    return chosen


def _by_number(groups, numbers):
    """Return the indices in each part, at least as many as asked for."""
    chosen, left = {}, iter(groups)
    for name, number in numbers.items():
        chosen[name] = []
        while len(chosen[name]) < number:
            group = next(left, None)
            if group is None:
                raise ValueError(
                    f'{sum(numbers.values())} slices are asked for in '
                    f'{numbers}, but the {sum(map(len, groups))} slices in '
                    f'{len(groups)} groups leave only {len(chosen[name])} '
                    f'for {name!r}, as no group is split: ask for fewer'
                )
            chosen[name] += group
    return chosen
