# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pixels of DICOM files, in the units of their modality."""

import math
import re
import warnings

import numpy as np

from odl_equivariant._packages import how_to_install, import_package
from odl_equivariant._warnings import quiet
from odl_equivariant.data.slices.dicom.files import (
    PURPOSE,
    nested,
    number_of_frames,
    open_dataset,
    read_dataset,
    text,
)
from odl_equivariant.data.slices.index import NoImage
from odl_equivariant.data.slices.values import AIR_HU

__all__ = (
    'check_rescaling',
    'oriented',
    'read_frame',
    'read_image',
    'why_not_hounsfield',
)

# images are stored in float32
LARGEST = float(np.finfo('float32').max)
# pydicom's remark on run lengths that go on after the last pixel
_SURPLUS = re.compile(r'RLE segment .* (\d+) vs\. (\d+) bytes')


def oriented(pixels):
    """Return rows from top to bottom as an array with x right and y up."""
    return np.ascontiguousarray(pixels[::-1].T)


def read_image(path, frame=None, background=None):
    """Return an image of a file, see `read_frame`.

    In a file with several frames, only the requested one is read.
    """
    if frame is None:
        return read_frame(read_dataset(path), background=background)
    dataset, complete = open_dataset(path, pixels=False)
    if complete and not dataset.file_meta.TransferSyntaxUID.is_deflated:
        return read_frame(dataset, frame, path, background)
    return read_frame(read_dataset(path), frame, background=background)


def read_frame(dataset, frame=0, path=None, background=None):
    """Return an image in the units of its modality, such as HU.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    frame : int, optional
        Number of the image in the file.
    path : path-like, optional
        Where the pixels are read from, if they are not in ``dataset``.
    background : float, optional
        Value for padding pixels. Default: -1000, which is air, in Hounsfield
        units, and otherwise the least value of the other pixels.

    Returns
    -------
    pixels : numpy.ndarray
        float64, of shape (rows, columns), the top row first. If the file
        shows the least value as white (MONOCHROME1), values are mirrored in
        the middle of the range that can be stored, so that larger values are
        brighter.

    Raises
    ------
    NoImage
        If the rescaling is not valid, or values are too large for float32.
    ImportError
        If no decoder for the compression of the file is installed.
    """
    pixel_tools = import_package('pydicom.pixels', PURPOSE)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not pixel_tools.get_decoder(syntax).is_available:
        raise ImportError(
            f'no decoder for {syntax.name} is installed: '
            f'{how_to_install("pylibjpeg")}'
        )
    with quiet():
        source = dataset if path is None else path

        def stored(**options):
            with warnings.catch_warnings(record=True) as remarks:
                warnings.simplefilter('always')
                array = pixel_tools.pixel_array(source, index=frame, **options)
            _check_remarks(remarks, array)
            return array

        values = stored()
        padded = _padded(dataset, values, stored)
        pixels = _rescaled(values, dataset, frame)
        if text(dataset, 'PhotometricInterpretation') == 'MONOCHROME1':
            ends = _rescaled(_stored_range(dataset), dataset, frame)
            pixels = ends.sum() - pixels
        if padded is not None:
            if background is None:
                background = _background(dataset, frame, pixels[~padded])
            pixels[padded] = background
    # `not <=` rather than `>`, which is false for NaN
    if not max(-pixels.min(), pixels.max()) <= LARGEST:
        raise NoImage(
            'it has values that are not finite in float32, from '
            f'{pixels.min():g} to {pixels.max():g}'
        )
    return pixels


def _check_remarks(remarks, array):
    """Raise `NoImage` if more pixels were left out than fit into a row."""
    for remark in remarks:
        match = _SURPLUS.search(str(remark.message))
        if match and int(match[1]) - int(match[2]) > array.shape[-1]:
            raise NoImage(
                f'its compressed pixels are {match[1]}, and its header says '
                f'{match[2]}: {array.shape[-2]} x {array.shape[-1]}'
            )


def check_rescaling(dataset):
    """Check the slope and the intercept of all frames of a file.

    Raises
    ------
    NoImage
        If one is not finite, or all values that can be stored become equal.
    """
    for frame in range(number_of_frames(dataset)):
        _slope_and_intercept(dataset, frame)


def _rescaled(stored, dataset, frame):
    """Convert stored values to their physical unit."""
    if dataset.get('ModalityLUTSequence'):
        from pydicom.pixels import apply_modality_lut

        return apply_modality_lut(stored, dataset).astype(np.float64)
    slope, intercept = _slope_and_intercept(dataset, frame)
    pixels = stored.astype(np.float64)
    if slope is not None:
        pixels *= slope
    if intercept is not None:
        pixels += intercept
    return pixels


def _slope_and_intercept(dataset, frame):
    """Return the rescale slope and the rescale intercept."""
    source = _rescaling(dataset, frame)
    slope = 'RescaleSlope'
    if source.get(slope) is None and 'DoseGridScaling' in dataset:
        slope = 'DoseGridScaling'
    found = []
    for keyword in (slope, 'RescaleIntercept'):
        value = source.get(keyword, dataset.get(keyword))
        try:
            number = None if value is None else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if number is not None and (
            not math.isfinite(number)
            or (keyword == slope and _is_lost(number, source, dataset))
        ):
            raise NoImage(
                f'its {keyword} is {value}, so that its stored values have '
                'no meaning'
            )
        found.append(number)
    return found


def _is_lost(slope, source, dataset):
    """Return whether a slope maps all storable values to one number."""
    try:
        intercept = float(source.get('RescaleIntercept') or 0)
    except (TypeError, ValueError):
        return False
    largest = 2.0 ** int(dataset.get('BitsAllocated') or 64)
    with np.errstate(over='ignore'):
        ends = np.array([intercept, intercept + slope * largest], 'float32')
    return bool(ends[0] == ends[1] and np.isfinite(ends[0]))


def _rescaling(dataset, frame):
    """Return the dataset with slope and intercept: some files nest them."""
    item = nested(dataset, frame, 'PixelValueTransformationSequence')
    if item is None or (
        item.get('RescaleSlope') is None
        and dataset.get('RescaleSlope') is not None
    ):
        return dataset
    return item


def _stored_range(dataset):
    """Return the least and the greatest value that can be stored."""
    bits = int(dataset.BitsStored)
    if dataset.PixelRepresentation:
        return np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1])
    return np.array([0, 2**bits - 1])


def _padded(dataset, stored, read):
    """Return a mask of the padding, or None if there is no padding."""
    prefix = '' if stored.dtype.kind in 'iu' else 'Float'
    if not prefix and stored.dtype.itemsize == 8:
        prefix = 'Double'
    value = dataset.get(f'{prefix}PixelPaddingValue')
    if value is None:
        return None
    limit = dataset.get(f'{prefix}PixelPaddingRangeLimit')
    ends = [value, value if limit is None else limit]
    if not prefix:
        ends = [_as_stored(end, dataset) for end in ends]
        low, high = _stored_range(dataset)
        if min(ends) < low or max(ends) > high:
            # Padding is marked by bits that pixels do not use.
            stored = read(correct_unused_bits=False)
    padded = (min(ends) <= stored) & (stored <= max(ends))
    return padded if padded.any() else None


def _as_stored(value, dataset):
    """Return a value with the sign that pixels have: files mix them up."""
    if isinstance(value, bytes):
        order = 'little' if dataset.original_encoding[1] else 'big'
        value = int.from_bytes(value[:2], order)
    size = 2 ** int(dataset.BitsAllocated)
    value = int(value) % size
    if dataset.PixelRepresentation and value >= size // 2:
        value -= size
    return value


def _background(dataset, frame, measured):
    """Return the value for padding, given the other pixels."""
    if why_not_hounsfield(dataset, frame) is None:
        return AIR_HU
    return measured.min() if measured.size else 0.0


def why_not_hounsfield(dataset, frame):
    """Return why values are no Hounsfield units, or None if they are.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    frame : int
        Number of the image in the file.

    Returns
    -------
    reason : str or None
        It names the attribute that decides.
    """
    source = _rescaling(dataset, frame)
    if text(dataset, 'Modality') != 'CT':
        return f'its Modality is {text(dataset, "Modality") or "missing"}'
    if dataset.get('ModalityLUTSequence'):
        return 'its values are from a table (ModalityLUTSequence)'
    if source.get('RescaleIntercept') is None:
        return 'it has no RescaleIntercept'
    if text(source, 'RescaleType') not in ('', 'HU'):
        return f'its RescaleType is {text(source, "RescaleType")}'
    if text(dataset, 'PhotometricInterpretation') == 'MONOCHROME1':
        return (
            'its PhotometricInterpretation is MONOCHROME1, so that its values '
            'are mirrored'
        )
    return None
