# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures that the tests share."""

import numpy as np
import pytest
import torch
from odl.core.util.testutils import simple_fixture

_FEW = 8

backend = simple_fixture('backend', ['numpy', 'pytorch'])


@pytest.fixture(scope='session', autouse=True)
def short_texts_of_tensors():
    """Large tensors are written by their shape.

    ODL makes the text of a tensor in each inner product on a space of torch,
    for a message that it does not show. That takes 30 times as long as all
    the rest.
    """
    whole = torch.Tensor.__repr__

    def text(tensor, **options):
        if tensor.numel() <= _FEW:
            return whole(tensor, **options)
        return f'tensor of shape {tuple(tensor.shape)}, {tensor.dtype}'

    torch.Tensor.__repr__ = text
    yield
    torch.Tensor.__repr__ = whole


@pytest.fixture
def rng():
    """Return a random generator in a fixed state."""
    return np.random.default_rng(20210801)


@pytest.fixture
def write_dicom():
    """Return a function that writes a DICOM file, and what it stored."""
    pydicom = pytest.importorskip('pydicom')
    from pydicom.uid import (
        CTImageStorage,
        ExplicitVRLittleEndian,
        MRImageStorage,
        RLELossless,
        generate_uid,
    )

    def write(path, pixels, compress=False, **attributes):
        """Write integer pixels: rows, columns, and frames before them."""
        pixels = np.ascontiguousarray(pixels)
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.Modality = attributes.get('Modality', 'CT')
        storage = (
            MRImageStorage if dataset.Modality == 'MR' else (CTImageStorage)
        )
        dataset.SOPClassUID = storage
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
        dataset.PatientID = 'somebody'
        dataset.StudyInstanceUID = '1.2.3'
        dataset.SeriesInstanceUID = '1.2.3.4'
        dataset.InstanceNumber = 1
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        if pixels.ndim == 3:
            dataset.NumberOfFrames = len(pixels)
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = 'MONOCHROME2'
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == 'i')
        dataset.PixelData = pixels.tobytes()
        dataset['PixelData'].VR = 'OW'
        for name, value in attributes.items():
            setattr(dataset, name, value)
        if compress:
            dataset.compress(RLELossless, generate_instance_uid=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)

    return write
