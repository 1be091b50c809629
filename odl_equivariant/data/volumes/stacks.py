# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Volumes that consist of slices, such as series of DICOM."""

from __future__ import annotations

from typing import Any

import numpy as np

from odl_equivariant._types import VolumeShape, VoxelSpacing
from odl_equivariant.data.slices.base import Slices
from odl_equivariant.data.slices.geometry import in_line, stacked
from odl_equivariant.data.volumes.base import Volumes
from odl_equivariant.data.volumes.geometry import VolumeGeometry, body_axes

__all__ = ('StackedSlices',)


class StackedSlices(Volumes):
    """Volumes that are made of slices, with the axes of the body.

    The slices of a volume are put in order by their positions. Then its axes
    are permuted and reversed, so that they point approximately to the
    patient's right, front and head, as in `NiftiVolumes`.

    Parameters
    ----------
    slices : Slices
        Slices that state where they lie, such as `DicomSlices`, whose
        ``volumes`` are the series. Units, scales and choices of series are
        theirs.
    shape : tuple of 3 ints, optional
        Shape to which volumes are cut or filled, see `Volumes`.
    spacing : float or tuple of 3 floats, optional
        Size of the voxels, in millimetres, to which volumes are resampled,
        also across the slices, see `Volumes`.

    Attributes
    ----------
    names : list of str
        The ``volumes`` of the slices.
    groups : list of str
        Group of the slices of each volume.

    Raises
    ------
    TypeError
        If ``slices`` are no `Slices`.
    ValueError
        If slices are missing, or do not make up a volume; if volumes have
        voxels of different sizes, and no ``spacing`` is given.

    Examples
    --------
    >>> import os, tempfile
    >>> import nibabel
    >>> from odl_equivariant.data import NiftiSlices
    >>> volume = nibabel.Nifti1Image(np.ones((4, 5, 6), 'float32'), np.eye(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nibabel.save(volume, os.path.join(folder, 'it.nii.gz'))
    ...     StackedSlices(NiftiSlices(folder, axis=0))[0].shape
    (4, 5, 6)
    """

    def __init__(
        self,
        slices: Slices,
        shape: VolumeShape | None = None,
        spacing: VoxelSpacing | None = None,
    ) -> None:
        if not isinstance(slices, Slices) or isinstance(slices, Volumes):
            raise TypeError(
                'expected `Slices` with their places, such as `DicomSlices`, '
                f'got {slices!r}'
            )
        names = list(dict.fromkeys(slices.volumes))
        groups = [slices.groups[slices.volumes.index(name)] for name in names]
        super().__init__(names, groups, shape, spacing)
        self.slices = slices
        # an error now, and not in the middle of a training
        self._layouts = [_Layout(slices, name) for name in names]
        self._check_spacings()

    @property
    def index(self) -> Any:
        """Index of the files of the slices, if they have one."""
        return getattr(self.slices, 'index', None)

    def _geometry(self, place):
        return self._layouts[place].geometry

    def _image(self, place, epoch):
        layout = self._layouts[place]
        array = np.stack([self.slices[i] for i in layout.members], axis=-1)
        return layout.oriented(array)


class _Layout:
    """The slices of a volume in order, and how its axes lie in the body."""

    def __init__(self, slices, name):
        members = [i for i, v in enumerate(slices.volumes) if v == name]
        geometries = [slices.geometry(i) for i in members]
        if None in geometries:
            i = members[geometries.index(None)]
            raise ValueError(
                f'{slices.names[i]} cannot be a part of a volume: '
                f'{slices._no_geometry(slices._places[i])}'
            )
        order = in_line(geometries)
        self.members = [members[k] for k in order]
        try:
            stack = stacked(
                [
                    (slices.names[members[k]], np.empty((0, 0)), geometries[k])
                    for k in order
                ]
            )
        except ValueError as error:
            raise ValueError(
                f'the series {name} is no volume: {error}. Choose series, '
                'for example by `series` of `DicomSlices`, or by `subset`'
            ) from error
        self._axes, self._signs = body_axes(stack.directions)
        given = VolumeGeometry(
            (*geometries[0].shape, len(members)),
            stack.spacing,
            stack.position,
            stack.directions,
        )
        start = [0.0, 0.0, 0.0]
        for k, sign in zip(self._axes, self._signs, strict=True):
            start[k] = 0 if sign > 0 else given.shape[k] - 1
        corner = given.on(given.shape, start, (1, 1, 1)).position
        self.geometry = VolumeGeometry(
            tuple(given.shape[k] for k in self._axes),
            tuple(given.spacing[k] for k in self._axes),
            corner,
            tuple(
                tuple((s * np.array(given.directions[k])).tolist())
                for k, s in zip(self._axes, self._signs, strict=True)
            ),
        )

    def oriented(self, array):
        """Return an array of the slices with the axes of the body."""
        array = array.transpose(self._axes)
        return array[tuple(slice(None, None, s) for s in self._signs)]
