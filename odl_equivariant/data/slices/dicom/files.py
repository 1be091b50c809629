# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Reads DICOM files, and checks that they contain an image."""

import math

from odl_equivariant._packages import import_package
from odl_equivariant._warnings import quiet
from odl_equivariant.data.slices.index import NoImage

__all__ = (
    'PURPOSE',
    'check_image',
    'image_types',
    'nested',
    'number_of_frames',
    'open_dataset',
    'read_dataset',
    'text',
)

PURPOSE = 'reading DICOM files'
NO_DICOM = 'it is no DICOM file'
# Bits of a pixel, if the header does not state them.
PIXELS = {'PixelData': None, 'FloatPixelData': 32, 'DoubleFloatPixelData': 64}
# A file without a preamble begins with the first group of elements, of the
# file or of the image, in either order of bytes.
FIRST_GROUPS = (b'\x02\x00', b'\x08\x00', b'\x00\x08')


def read_dataset(path, pixels=True):
    """Return the content of a DICOM file as a `pydicom.Dataset`.

    Parameters
    ----------
    path : path-like
        File. The preamble and the transfer syntax may be missing, as in
        files of old scanners and of some archives.
    pixels : bool, optional
        Whether to read the pixels too.

    Raises
    ------
    NoImage
        If it is not a DICOM file, or its encoding is not known.
    """
    return open_dataset(path, pixels)[0]


def open_dataset(path, pixels=True):
    """Return a dataset, see `read_dataset`, and whether the file is complete.

    Without preamble or transfer syntax, a file is not complete: pydicom needs
    the dataset to find its pixels.
    """
    pydicom = import_package('pydicom', PURPOSE)
    complete = True
    with quiet():
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=not pixels)
        except pydicom.errors.InvalidDicomError as error:
            complete = False
            with open(path, 'rb') as file:
                if file.read(2) not in FIRST_GROUPS:
                    raise NoImage(NO_DICOM) from error
            dataset = pydicom.dcmread(
                path, stop_before_pixels=not pixels, force=True
            )
            if not any(
                name in dataset for name in ('SOPClassUID', 'Modality', 'Rows')
            ):
                raise NoImage(NO_DICOM) from error
        if not dataset.file_meta.get('TransferSyntaxUID'):
            complete = False
            _assume_syntax(dataset, pydicom)
    return dataset, complete


def _assume_syntax(dataset, pydicom):
    """Assume a transfer syntax for a file that does not state one.

    It is the syntax in which its elements are written. `check_image` checks
    that the length of the pixel data agrees.
    """
    if 'PixelData' in dataset and dataset['PixelData'].is_undefined_length:
        raise NoImage(
            'it has no TransferSyntaxUID, and its pixels are compressed, so '
            'that nothing says how to decode them'
        )
    implicit, little_endian = dataset.original_encoding
    uid = pydicom.uid
    if not little_endian:
        syntax = uid.ExplicitVRBigEndian
    elif implicit:
        syntax = uid.ImplicitVRLittleEndian
    else:
        syntax = uid.ExplicitVRLittleEndian
    dataset.file_meta.TransferSyntaxUID = syntax


def text(dataset, keyword):
    """Return an attribute as a string without spaces around it.

    It is empty if there is none. Warnings of pydicom about its value are
    silenced: files of scanners often break the rules for texts.
    """
    with quiet():
        value = dataset.get(keyword)
        return '' if value is None else str(value).strip()


def image_types(dataset):
    """Return the values of ImageType in capitals, a list of str.

    It is empty if the file has none. The first two are ``'ORIGINAL'`` or
    ``'DERIVED'``, and ``'PRIMARY'`` or ``'SECONDARY'``.
    """
    with quiet():
        values = dataset.get('ImageType') or ()
    if isinstance(values, str):
        values = [values]
    return [str(value).strip().upper() for value in values]


def number_of_frames(dataset):
    """Return how many images (frames) the file has, 1 if it does not say."""
    with quiet():
        return int(dataset.get('NumberOfFrames') or 1)


def own_groups(dataset, frame):
    """Return the functional groups of one frame as a list, or no item."""
    groups = dataset.get('PerFrameFunctionalGroupsSequence') or []
    return list(groups[frame : frame + 1])


def nested(dataset, frame, sequence):
    """Return the item of a sequence for one frame of an enhanced file.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    frame : int
        Number of the image in the file.
    sequence : str
        Keyword of the sequence; its first item counts.

    Returns
    -------
    item : pydicom.Dataset or None
        ``None`` if there is none.
    """
    groups = [
        *own_groups(dataset, frame),
        *(dataset.get('SharedFunctionalGroupsSequence') or [])[:1],
    ]
    for group in groups:
        if group.get(sequence):
            return group.get(sequence)[0]
    return None


def check_image(dataset):
    """Raise `NoImage` unless the file holds images in shades of grey.

    Localisers, which serve to plan a scan, are refused too, since they lie
    across the slices. The file must hold exactly the pixels that its header
    states.
    """
    kind = text(dataset, 'PhotometricInterpretation')
    if not kind or 'Rows' not in dataset or 'Columns' not in dataset:
        what = text(dataset, 'Modality') or 'unknown modality'
        raise NoImage(f'it holds no image ({what})')
    samples = dataset.get('SamplesPerPixel') or 1
    if samples != 1 or kind not in ('MONOCHROME1', 'MONOCHROME2'):
        raise NoImage(f'it is no image in shades of grey, but {kind}')
    if 'LOCALIZER' in image_types(dataset):
        raise NoImage('it is a localiser (ImageType has LOCALIZER), no slice')
    name = next((name for name in PIXELS if name in dataset), None)
    if name is None:
        raise NoImage('it has no pixel data')
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_frames(dataset)
    else:
        _check_length(dataset, name)


def _check_length(dataset, name):
    """Compare the pixels of a file with its header."""
    frames = number_of_frames(dataset)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    bits = PIXELS[name] or int(dataset.BitsAllocated)
    expected = math.ceil(frames * rows * columns * bits / 8)
    data = dataset[name].value or b''
    surplus = data[expected:]
    # Zeros fill a file to an even length, or to whole blocks. More of them
    # than a row are pixels.
    filling = len(surplus) <= max(1, columns * bits // 8) and not any(surplus)
    if len(data) < expected or not filling:
        raise NoImage(
            f'its pixel data have {len(data)} bytes, and its header says '
            f'{expected}: {frames} x {rows} x {columns} pixels of {bits} bits'
        )


def _check_frames(dataset):
    """Compare the number of frames with that of compressed frames."""
    from pydicom.encaps import parse_basic_offsets

    frames = number_of_frames(dataset)
    there = len(parse_basic_offsets(dataset.PixelData))
    if there and there != frames:
        raise NoImage(
            f'it has {there} compressed frames, and its header says {frames}'
        )
