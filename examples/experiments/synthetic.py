# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Stand-ins for the collections of the paper, in their own file formats.

    python -m examples.experiments.synthetic data --patients 20

writes phantoms as `data/LIDC-IDRI` (DICOM series of chest CT, with scout views
and notes of radiologists between them), `data/fastmri_brain_dicom` (DICOM
series of several contrasts) and `data/fastmri_brain` (HDF5 files of k-space
with an ISMRMRD header). Whoever waits for the real collections can try all
experiments on them.
"""

import argparse
import pathlib

import h5py
import numpy as np
import pydicom
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from odl_equivariant.data import (
    ellipse_phantom,
    mr_phantom,
    simulated_coil_maps,
)

__all__ = ('write_brain_dicom', 'write_brain_kspace', 'write_lidc')

CT_SIDE, MR_SIDE = 512, 320
# What a scanner of LIDC-IDRI writes outside of its field of view.
OUTSIDE = -2000
SERIES = 'AX T1 POST', 'AX T2', 'AX FLAIR'
# Rows of k-space, twice oversampled, and columns, the outermost not measured.
KSPACE = 640, 320
MEASURED = 20, 300
_XML = 'http://www.ismrm.org/ISMRMRD'
HEADER = f"""<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="{_XML}">
  <encoding>
    <encodedSpace>
      <matrixSize><x>{KSPACE[0]}</x><y>{KSPACE[1]}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>440</x><y>220</y><z>5</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>{MR_SIDE}</x><y>{MR_SIDE}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>220</x><y>220</y><z>5</z></fieldOfView_mm>
    </reconSpace>
    <encodingLimits>
      <kspace_encoding_step_1>
        <minimum>0</minimum>
        <maximum>{MEASURED[1] - MEASURED[0] - 1}</maximum>
        <center>{KSPACE[1] // 2 - MEASURED[0]}</center>
      </kspace_encoding_step_1>
    </encodingLimits>
    <trajectory>cartesian</trajectory>
  </encoding>
</ismrmrdHeader>
"""


def _write_dicom(path, pixels, storage, **attributes):
    """Write one image of rows from top to bottom."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = storage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    dataset.ImageType = ['ORIGINAL', 'PRIMARY', 'AXIAL']
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = 'MONOCHROME2'
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(pixels.dtype.kind == 'i')
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def _as_rows(image):
    """Return an image with x right and y up as rows from top to bottom."""
    return image.T[::-1]


def _uid(*words):
    return generate_uid(entropy_srcs=[*map(str, words)])


def write_lidc(folder, n_patients, n_slices=2):
    """Write chest CT as LIDC-IDRI has it.

    Parameters
    ----------
    folder : path-like
        Folder to write into.
    n_patients, n_slices : int
        Number of patients, and of slices of each.
    """
    side = CT_SIDE
    x = (np.arange(side) + 0.5) * 2 / side - 1
    field = np.hypot(x[:, None], x) < 1
    for patient in range(n_patients):
        name = f'LIDC-IDRI-{patient + 1:04d}'
        study = pathlib.Path(folder, name, '01-01-2000-NA-NA-30178')
        series = study / '3000566.000000-NA-03192'
        common = {
            'PatientID': name,
            'StudyInstanceUID': _uid(name),
            'SeriesInstanceUID': _uid(name, 'chest'),
        }
        for i in range(n_slices):
            rng = np.random.default_rng([patient, i])
            image = np.clip(ellipse_phantom((side, side), rng), 0, 0.74)
            stored = np.where(field, np.rint(4096 * _as_rows(image)), OUTSIDE)
            _write_dicom(
                series / f'1-{i + 1:03d}.dcm',
                stored.astype('int16'),
                CTImageStorage,
                Modality='CT',
                InstanceNumber=i + 1,
                PixelSpacing=[360 / side, 360 / side],
                SliceThickness=2.5,
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                ImagePositionPatient=[-180, -180, -2.5 * i],
                RescaleIntercept=-1024,
                RescaleSlope=1,
                PixelPaddingValue=OUTSIDE,
                **common,
            )
        # neither is a slice, and both are in the collection
        (series / '069.xml').write_text('<LidcReadMessage/>', 'utf-8')
        _write_dicom(
            study / '3000923.000000-NA-62357' / '1-001.dcm',
            np.full((64, 48), 2000, 'uint16'),
            DigitalXRayImageStorageForPresentation,
            Modality='DX',
            **{**common, 'SeriesInstanceUID': _uid(name, 'scout')},
        )


def write_brain_dicom(folder, n_patients, n_slices=2):
    """Write brains as the DICOM files of fastMRI.

    Parameters
    ----------
    folder : path-like
        Folder to write into.
    n_patients, n_slices : int
        Number of patients, and of slices of each, for each contrast.
    """
    side = MR_SIDE
    for patient in range(n_patients):
        name = f'{patient:010d}'
        for number, series in enumerate(SERIES):
            for i in range(n_slices):
                rng = np.random.default_rng([patient, i])
                image = mr_phantom((side, side), rng)
                stored = 900 * image / image.max()
                if number:
                    stored = 900 * (stored > 0) - stored
                _write_dicom(
                    pathlib.Path(folder, name, f'{number}_{i:03d}.dcm'),
                    np.clip(_as_rows(stored), 0, None).astype('uint16'),
                    MRImageStorage,
                    Modality='MR',
                    PatientID=name,
                    SeriesDescription=series,
                    StudyInstanceUID=_uid(name),
                    SeriesInstanceUID=_uid(name, series),
                    InstanceNumber=i + 1,
                    PixelSpacing=[220 / side, 220 / side],
                    ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                    ImagePositionPatient=[-110, -110, 5 * i],
                )


def write_brain_kspace(folder, n_patients, n_slices=2, n_coils=4):
    """Write measured k-space as the HDF5 files of fastMRI.

    Parameters
    ----------
    folder : path-like
        Folder to write into.
    n_patients, n_slices : int
        Number of volumes, one for each patient, and of their slices.
    n_coils : int, optional
        Number of coils.
    """
    rows, columns = KSPACE
    margin = (rows - MR_SIDE) // 2
    for patient in range(n_patients):
        contrast = ('AXT1', 'AXT2')[patient % 2]
        images = np.zeros((n_slices, rows, columns), 'complex64')
        for i in range(n_slices):
            rng = np.random.default_rng([patient, i])
            phantom = mr_phantom((columns, MR_SIDE), rng)
            images[i, margin : margin + MR_SIDE] = phantom.T
        maps = simulated_coil_maps((rows, columns), n_coils, rng=patient)
        coils = np.fft.ifftshift(maps * images[:, None], (2, 3))
        kspace = np.fft.fftshift(np.fft.fft2(coils, norm='ortho'), (2, 3))
        rng = np.random.default_rng(patient)
        noise = 0.005 * rng.standard_normal((2, *kspace.shape))
        kspace = 1e-4 * (kspace + noise[0] + 1j * noise[1])
        kspace[..., : MEASURED[0]] = kspace[..., MEASURED[1] :] = 0
        found = np.fft.ifft2(np.fft.ifftshift(kspace, (2, 3)), norm='ortho')
        found = np.fft.fftshift(found, (2, 3))[:, :, margin : margin + MR_SIDE]
        squares = np.sqrt((np.abs(found) ** 2).sum(axis=1)).astype('float32')
        name = f'file_brain_{contrast}_200_{6002000 + patient}'
        path = pathlib.Path(folder, 'multicoil_train', f'{name}.h5')
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, 'w') as file:
            file['ismrmrd_header'] = HEADER.encode()
            file['kspace'] = kspace.astype('complex64')
            file['reconstruction_rss'] = squares
            file.attrs['acquisition'] = contrast
            file.attrs['patient_id'] = f'{patient:064x}'
            file.attrs['max'] = squares.max()
            file.attrs['norm'] = np.linalg.norm(squares)


def main(arguments=None):
    """Write all three collections."""
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.synthetic',
        description='Write phantoms as the collections of the paper.',
    )
    parser.add_argument('folder', type=pathlib.Path)
    parser.add_argument('--patients', type=int, default=20)
    options = parser.parse_args(arguments)
    if options.patients < 1:
        parser.error(f'--patients must be at least 1, got {options.patients}')
    n = options.patients
    write_lidc(options.folder / 'LIDC-IDRI', n)
    # half of them pass the rules of the paper
    write_brain_dicom(options.folder / 'fastmri_brain_dicom', n, 4)
    # a file of k-space is as large as a hundred of images
    write_brain_kspace(options.folder / 'fastmri_brain', min(n, 6))


if __name__ == '__main__':
    main()
