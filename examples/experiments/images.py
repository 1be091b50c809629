# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images to train with and to test with."""

import functools
import importlib.util
import pathlib
import zlib

import numpy as np
import torch

from odl_equivariant import data
from odl_equivariant.data import Phantoms, Slices, split

__all__ = ('acquisition_of', 'parts', 'readable', 'real_slices')

_MNI152 = 'mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz'
_SEEDS = {'train': 0, 'validation': 1, 'test': 2}


def acquisition_of(settings):
    """Return the acquisition of a task."""
    arguments = dict(settings['acquisition'])
    return getattr(data, arguments.pop('class'))(**arguments)


class Kept(Slices):
    """Slices that are made once and then kept in memory."""

    def __init__(self, slices):
        super().__init__(slices.names, slices.groups)
        self._slices, self._kept = slices, {}

    def _image(self, place, epoch):
        if place not in self._kept:
            self._kept[place] = self._slices[place]
        return self._kept[place]


def parts(settings, folders):
    """Return training, validation and test images of a task.

    Parameters
    ----------
    settings : dict
        Settings of the task.
    folders : dict
        Folders of collections by their names, ``'lidc'`` and ``'fastmri'``.

    Returns
    -------
    parts : dict of Slices
        The three parts, with all training images that there are.
    """
    images = dict(settings['images'])
    kind = images.pop('kind')
    shape = acquisition_of(settings).image_shape
    numbers = {
        'train': settings['n_train'],
        'validation': settings['n_validation'],
        'test': settings['n_test'],
    }
    if kind == 'phantoms':
        draw = getattr(data, images['draw'])
        return {
            part: Kept(Phantoms(numbers[part], shape, seed, draw=draw))
            for part, seed in _SEEDS.items()
        }
    folder = folders[images.pop('folder')]
    return split(getattr(data, kind)(folder, **images), numbers, seed=2021)


def readable(settings, folders):
    """Return the settings of a task with the real slices that are there.

    Parameters
    ----------
    settings : dict
        Settings of the task.
    folders : dict
        Folders and files by their names, or ``None``.

    Returns
    -------
    settings : dict
        The same, without names of slices that cannot be read here.
    missing : dict of str
        For each of those names, what to do to have them.
    """
    names = [n for part in settings['slices'].values() for n in part]
    missing = {
        name: f'give its file by --{name}'
        for name in names
        if name in _FILES and folders.get(name) is None
    }
    if 'mni152' in names and _template() is None:
        missing['mni152'] = 'pip install nilearn'
    slices = {
        part: [name for name in own if name not in missing]
        for part, own in settings['slices'].items()
    }
    return {**settings, 'slices': slices}, missing


def real_slices(names, settings, folders=None):
    """Return real slices, unused in training, on the grid of the images.

    Parameters
    ----------
    names : list of str
        Names of what they are read from.
    settings : dict
        Settings of the task.
    folders : dict, optional
        Files by those names that need one.

    Returns
    -------
    slices : dict of numpy.ndarray
        Images by their names. Those of a package that is not installed are
        left out.

    Raises
    ------
    ValueError
        If a file that is needed is not given, or holds no such slices.
    """
    shape = acquisition_of(settings).image_shape
    found = {}
    for name in names:
        if name in _FILES:
            if folders is None or folders.get(name) is None:
                raise ValueError(
                    f'the slices {name!r} are read from a file, and none is '
                    'given'
                )
            images = _FILES[name](folders[name])
        else:
            images = _READERS[name]()
        found |= {
            f'{name}{i}': _resized(image, shape)
            for i, image in enumerate(images)
        }
    return found


def _resized(image, shape):
    """Return the middle of an image on another grid, without aliasing."""
    side = min(image.shape)
    start = [(n - side) // 2 for n in image.shape]
    square = image[start[0] : start[0] + side, start[1] : start[1] + side]
    tensor = torch.from_numpy(np.ascontiguousarray(square, np.float32))
    return torch.nn.functional.interpolate(
        tensor[None, None], size=shape, mode='bilinear', antialias=True
    )[0, 0].numpy()


def _padded(image):
    """Return an image padded with zeros to a square."""
    side = max(image.shape)
    before = [(side - n) // 2 for n in image.shape]
    after = [side - n - b for n, b in zip(image.shape, before, strict=True)]
    return np.pad(image, list(zip(before, after, strict=True)))


def _ct_slice():
    return [data.sample_ct_slice('relative').asarray()]


def _mr_slice():
    image = data.sample_mr_slice().asarray()
    return [_padded(image / image.max())]


def _template():
    """Return the file of the MNI152 template, or ``None`` without nilearn."""
    spec = importlib.util.find_spec('nilearn')
    for folder in () if spec is None else spec.submodule_search_locations:
        file = pathlib.Path(folder, 'datasets', 'data', _MNI152)
        if file.is_file():
            return file
    return None


def _mni152():
    """Return axial slices of the MNI152 template, if nilearn is installed."""
    file = _template()
    return [] if file is None else _axial(file)


@functools.cache
def _axial(file):
    """Return axial slices of a NIfTI volume of a head."""
    import nibabel

    try:
        volume = nibabel.load(file)
        values = np.asarray(volume.dataobj, dtype=np.float32)
    except (
        nibabel.filebasedimages.ImageFileError,
        EOFError,
        OSError,
        zlib.error,
    ) as error:
        raise ValueError(
            f'{file} must be a NIfTI volume of a head: {error}'
        ) from error
    if values.ndim != 3:
        raise ValueError(
            f'{file} must be a NIfTI volume of a head, with 3 axes, got the '
            f'shape {values.shape}'
        )
    if not (np.isfinite(values).all() and values.max() > 0):
        raise ValueError(
            f'{file} must be a NIfTI volume of a head: it has values that are '
            'not finite, or none above zero'
        )
    heights = np.linspace(0.35, 0.7, 5) * values.shape[2]
    if len(set(heights.astype(int))) < len(heights):
        raise ValueError(
            f'{file} must have slices of a head from the base to the top '
            f'along its last axis, got {values.shape[2]}'
        )
    values = values / values.max()
    return [_padded(values[:, :, int(height)]) for height in heights]


@functools.cache
def _head(file):
    """Return slices of a CT of a head, from the base to the top."""
    from examples.scores.heads import head_slices

    return list(head_slices(file).values())


_READERS = {
    'sample_ct_slice': _ct_slice,
    'sample_mr_slice': _mr_slice,
    'mni152': _mni152,
}
# Those of a file that the user names.
_FILES = {'heads': _head, 'brain': _axial}
