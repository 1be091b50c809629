# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Secondary captures of DICOM."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from odl_equivariant._packages import import_package

__all__ = ('LONGEST', 'dicom_content')

# Rows and columns are counted by whole numbers of 16 bits.
LONGEST = (1 << 16) - 1

_SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
_LEVELS = (1 << 16) - 1
# Lengths of texts of the types DS, LO and ST.
_NUMBER, _SHORT, _LONG = 16, 64, 1024


def dicom_content(
    image: np.ndarray,
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    unit: str,
    text: str,
    software: str,
) -> tuple[bytes, float]:
    """Return a file of DICOM, and how far its values are off at most.

    Parameters
    ----------
    image : numpy.ndarray
        Image of shape ``(n_x, n_y)``. Its picture has the rows
        ``numpy.rot90(image)``.
    spacing, origin : tuple of 2 floats
        Sides of a cell, and the middle of the first one, in millimetres.
    unit : str
        Unit of the values.
    text : str
        How the image was made; cut at 1024 characters.
    software : str
        Name and version of what made it.

    Returns
    -------
    content : bytes
        Values are whole numbers of 16 bits, with a slope and an intercept.
    error : float
        Largest error of a value.
    """
    pydicom = import_package('pydicom', 'a file of DICOM')
    uid = import_package('pydicom.uid', 'a file of DICOM')
    values = image.astype(float)
    low, high = float(values.min()), float(values.max())
    intercept = _number(low)
    # rounded up, so that the largest value is in range
    slope = _number((high - float(intercept)) / _LEVELS * (1 + 1e-9))
    if not float(slope) > 0:
        slope = '1'
    stored = np.rint((values - float(intercept)) / float(slope))
    stored = np.clip(stored, 0, _LEVELS).astype('<u2')
    restored = stored * float(slope) + float(intercept)
    error = float(np.abs(restored - values).max())
    picture = np.ascontiguousarray(np.rot90(stored))

    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = _SECONDARY_CAPTURE
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data: Any = pydicom.Dataset()
    data.file_meta = meta
    data.SpecificCharacterSet = 'ISO_IR 192'
    data.SOPClassUID = _SECONDARY_CAPTURE
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = uid.generate_uid()
    data.SeriesInstanceUID = uid.generate_uid()
    data.FrameOfReferenceUID = uid.generate_uid()
    data.ImageType = ['DERIVED', 'SECONDARY']
    data.Modality = 'OT'
    data.ConversionType = 'WSD'
    for name in (
        'PatientName',
        'PatientID',
        'PatientBirthDate',
        'PatientSex',
        'StudyDate',
        'StudyTime',
        'StudyID',
        'AccessionNumber',
        'ReferringPhysicianName',
        'PatientOrientation',
        'PositionReferenceIndicator',
    ):
        setattr(data, name, '')
    data.SeriesNumber = data.InstanceNumber = 1
    data.SoftwareVersions = software[:_SHORT]
    data.DerivationDescription = text[:_LONG]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = 'MONOCHROME2'
    data.Rows, data.Columns = picture.shape
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 0
    data.RescaleSlope, data.RescaleIntercept = slope, intercept
    data.RescaleType = 'HU' if unit == 'HU' else 'US'
    data.WindowCenter = _number((low + high) / 2)
    data.WindowWidth = _number(max(high - low, float(slope)))
    # between rows, then between columns
    data.PixelSpacing = [_number(spacing[1]), _number(spacing[0])]
    # DICOM counts x to the left and y to the back, NIfTI to the right and to
    # the front
    data.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    top = origin[1] + spacing[1] * (image.shape[1] - 1)
    data.ImagePositionPatient = [_number(-origin[0]), _number(-top), '0']
    data.PixelData = picture.tobytes()
    content = io.BytesIO()
    pydicom.dcmwrite(content, data, enforce_file_format=True)
    return content.getvalue(), error


def _number(value):
    """Return a number as a text of at most 16 characters."""
    for digits in range(16, 0, -1):
        text = f'{value:.{digits}g}'
        if len(text) <= _NUMBER:
            return text
    raise ValueError(f'{value} has no text of {_NUMBER} characters')
