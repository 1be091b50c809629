# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pixels of DICOM files, as they are meant to be seen."""

import contextlib
import warnings

import numpy as np

from odl_equivariant._packages import how_to_install
from odl_equivariant.data._checks import optional_package
from odl_equivariant.data._index import NoImage

__all__ = (
    'check_image',
    'number_of_frames',
    'oriented',
    'read_dataset',
    'read_frame',
    'text',
)

_PURPOSE = 'reading DICOM files'


@contextlib.contextmanager
def _quiet():
    """Keep pydicom's remarks on files that break the standard silent."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def read_dataset(path, pixels=True):
    """Return what a DICOM file holds, as a `pydicom.Dataset`.

    Parameters
    ----------
    path : path-like
        File.
    pixels : bool, optional
        Whether to read the pixels too.

    Raises
    ------
    NoImage
        If it is no DICOM file.
    """
    pydicom = optional_package('pydicom', _PURPOSE)
    with _quiet():
        try:
            return pydicom.dcmread(path, stop_before_pixels=not pixels)
        except pydicom.errors.InvalidDicomError as error:
            raise NoImage('it is no DICOM file') from error


def text(dataset, keyword):
    """Return an attribute as a string, empty if there is none."""
    with _quiet():
        return str(dataset.get(keyword) or '').strip()


def number_of_frames(dataset):
    """Return how many images the file has."""
    with _quiet():
        return int(dataset.get('NumberOfFrames') or 1)


def check_image(dataset):
    """Raise `NoImage` unless the pixels are shades of grey."""
    kind = text(dataset, 'PhotometricInterpretation')
    if not kind or 'Rows' not in dataset or 'Columns' not in dataset:
        what = text(dataset, 'Modality') or 'unknown modality'
        raise NoImage(f'it holds no image ({what})')
    samples = dataset.get('SamplesPerPixel') or 1
    if samples != 1 or kind not in ('MONOCHROME1', 'MONOCHROME2'):
        raise NoImage(f'it is no image in shades of grey, but {kind}')


def oriented(pixels):
    """Return rows from top to bottom as an array with x right and y up."""
    return np.ascontiguousarray(pixels[::-1].T)


def read_frame(dataset, frame=0, path=None):
    """Return an image in the units of its modality, such as HU.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    frame : int, optional
        Which image of the file.
    path : path-like, optional
        Where the pixels are read from, if they are not in ``dataset``.

    Returns
    -------
    pixels : numpy.ndarray
        float64, of shape (rows, columns), the top row first. Where the least
        value is shown as white (MONOCHROME1), values are mirrored in the
        middle of the range of what can be stored, so that more is brighter.

    Raises
    ------
    ImportError
        If no decoder for the compression of the file is installed.
    """
    pixel_tools = optional_package('pydicom.pixels', _PURPOSE)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not pixel_tools.get_decoder(syntax).is_available:
        raise ImportError(
            f'no decoder for {syntax.name} is installed: '
            f'{how_to_install("pylibjpeg")}'
        )
    with _quiet():
        source = dataset if path is None else path
        stored = pixel_tools.pixel_array(source, index=frame)
        pixels = _rescaled(stored, dataset, frame)
        if text(dataset, 'PhotometricInterpretation') == 'MONOCHROME1':
            ends = _rescaled(_stored_range(dataset), dataset, frame)
            pixels = ends.sum() - pixels
    return pixels


def _rescaled(stored, dataset, frame):
    """Return values that the scanner stored in the units they stand for."""
    if dataset.get('ModalityLUTSequence'):
        from pydicom.pixels import apply_modality_lut

        return apply_modality_lut(stored, dataset).astype(np.float64)
    source = _rescaling(dataset, frame)
    pixels = stored.astype(np.float64)
    slope = source.get('RescaleSlope', dataset.get('DoseGridScaling'))
    if slope is not None:
        pixels *= float(slope)
    intercept = source.get('RescaleIntercept')
    if intercept is not None:
        pixels += float(intercept)
    return pixels


def _rescaling(dataset, frame):
    """Return where slope and intercept are: enhanced files nest them."""
    if 'RescaleSlope' in dataset:
        return dataset
    groups = [
        *(dataset.get('PerFrameFunctionalGroupsSequence') or [])[
            frame : frame + 1
        ],
        *(dataset.get('SharedFunctionalGroupsSequence') or [])[:1],
    ]
    for group in groups:
        if group.get('PixelValueTransformationSequence'):
            return group.PixelValueTransformationSequence[0]
    return dataset


def _stored_range(dataset):
    """Return the least and the greatest value that can be stored."""
    bits = int(dataset.BitsStored)
    if dataset.PixelRepresentation:
        return np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1])
    return np.array([0, 2**bits - 1])
