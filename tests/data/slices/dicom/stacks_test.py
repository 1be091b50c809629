# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of DICOM files with several frames."""

import numpy as np
import pytest

from odl_equivariant.data import DicomSlices

pydicom = pytest.importorskip('pydicom')

# positions of the frames in the file, in millimetres
HEIGHTS = (4.0, -2.0, 1.0, -5.0)


def sequence(**values):
    """Return a sequence of one item."""
    item = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return [item]


def group(height, slope=1.0, spacing=(1.0, 1.0), indices=None, **more):
    """Return the functional groups of one frame."""
    found = pydicom.Dataset()
    found.PlanePositionSequence = sequence(
        ImagePositionPatient=[0.0, 0.0, height]
    )
    found.PlaneOrientationSequence = sequence(
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0]
    )
    found.PixelMeasuresSequence = sequence(PixelSpacing=list(spacing))
    found.PixelValueTransformationSequence = sequence(
        RescaleSlope=slope, RescaleIntercept=-1024.0, RescaleType='HU'
    )
    if indices is not None:
        more['DimensionIndexValues'] = indices
    if more:
        found.FrameContentSequence = sequence(**more)
    return found


def frames(n=4, seed=0):
    """Return stored values."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2000, (n, 6, 8)).astype('int16')


@pytest.mark.parametrize('compress', [False, True])
def test_frames_have_their_own_place_size_and_rescaling(
    tmp_path, write_dicom, compress
):
    """Frames are sorted by position, with the spacing and slope of each."""
    stored = frames()
    write_dicom(
        tmp_path / 'enhanced.dcm',
        stored,
        compress,
        PerFrameFunctionalGroupsSequence=[
            group(height, 1.0 + i, (0.5, 2.0))
            for i, height in enumerate(HEIGHTS)
        ],
    )
    slices = DicomSlices(tmp_path, unit='HU', progress=False, spacing=0.5)
    order = np.argsort(HEIGHTS)
    if slices.geometry(0).position[2] > slices.geometry(3).position[2]:
        order = order[::-1]
    with pytest.warns(UserWarning, match='not square'):
        raw = DicomSlices(tmp_path, progress=False)
    for i, frame in enumerate(order):
        assert slices.geometry(i).position[2] == HEIGHTS[frame]
        expected = (1 + frame) * stored[frame].astype(float) - 1024
        assert np.allclose(raw[i], expected[::-1].T)
        # rows are 0.5 mm apart, and columns 2 mm
        assert slices[i].shape == (32, 6)
    volume = slices.volume()
    assert volume.values.shape == (32, 6, 4)
    assert volume.spacing == pytest.approx((0.5, 0.5, 3.0))


def test_groups_count_for_more_than_the_file(tmp_path, write_dicom):
    """What a frame says of itself overrules what the file says of all."""
    stored = frames(2)
    write_dicom(
        tmp_path / 'both.dcm',
        stored,
        PixelSpacing=[9.0, 9.0],
        ImagePositionPatient=[7.0, 7.0, 7.0],
        ImageOrientationPatient=[0, 1, 0, 0, 0, 1],
        RescaleSlope=50.0,
        RescaleIntercept=0.0,
        PerFrameFunctionalGroupsSequence=[
            group(z, 2.0, (1.5, 1.5)) for z in (0.0, 3.0)
        ],
    )
    slices = DicomSlices(tmp_path, progress=False)
    assert np.allclose(slices[0], 2.0 * stored[0][::-1].T - 1024)
    assert slices.geometry(1).spacing == (1.5, 1.5)
    assert slices.geometry(1).position[2] == 3.0
    assert slices.volume().spacing == (1.5, 1.5, 3.0)


def pointers(*keywords):
    """Return a sequence of dimensions."""
    return [
        sequence(DimensionIndexPointer=pydicom.datadict.tag_for_keyword(k))[0]
        for k in keywords
    ]


@pytest.mark.parametrize('by', ['dimensions', 'time', 'nothing'])
def test_several_volumes_of_a_file_are_told_apart(tmp_path, write_dicom, by):
    """Echoes or times are volumes of their own, or the error says why not."""
    stored = frames(6)
    groups = []
    for i in range(6):
        # echoes alternate
        z, echo = float(i // 2), 1 + i % 2
        more = {'TemporalPositionIndex': echo} if by == 'time' else {}
        indices = [1 + i // 2, echo] if by == 'dimensions' else None
        groups.append(group(z, indices=indices, **more))
    more = {}
    if by == 'dimensions':
        more['DimensionIndexSequence'] = pointers(
            'InStackPositionNumber', 'EffectiveEchoTime'
        )
    write_dicom(
        tmp_path / 'a' / 'echoes.dcm',
        stored,
        Modality='MR',
        PerFrameFunctionalGroupsSequence=groups,
        **more,
    )
    slices = DicomSlices(tmp_path, progress=False)
    if by == 'nothing':
        assert set(slices.volumes) == {'a'}
        with pytest.raises(ValueError, match='several volumes'):
            slices.volume()
        return
    keyword = {
        'dimensions': 'EffectiveEchoTime',
        'time': 'TemporalPositionIndex',
    }
    expected = [f'a#{keyword[by]}={echo}' for echo in (1, 1, 1, 2, 2, 2)]
    assert slices.volumes == expected
    for i in range(6):
        echo, z = divmod(i, 3)
        image = stored[2 * z + echo].astype(float)[::-1].T - 1024
        assert np.allclose(slices[i], image)
    second = slices.volume(expected[-1])
    assert second.values.shape == (8, 6, 3)
    assert second.spacing == (1.0, 1.0, 1.0)


def test_stacks_of_other_directions(tmp_path, write_dicom):
    """Stacks that cross each other are volumes of their own."""
    groups = [group(z, StackID='1') for z in (0.0, 1.0)]
    for z in (0.0, 1.0):
        other = group(z, StackID='2')
        item = other.PlaneOrientationSequence[0]
        item.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
        other.PlanePositionSequence[0].ImagePositionPatient = [z, 0, 0]
        groups.append(other)
    write_dicom(
        tmp_path / 'stacks.dcm',
        frames(4),
        PerFrameFunctionalGroupsSequence=groups,
    )
    slices = DicomSlices(tmp_path, progress=False)
    assert sorted(set(slices.volumes)) == ['.#StackID=1', '.#StackID=2']
    for name in set(slices.volumes):
        assert slices.volume(name).values.shape == (8, 6, 2)


def test_groups_of_another_number_of_frames(tmp_path, write_dicom):
    """A file whose frames are not all described is skipped, with a reason."""
    write_dicom(tmp_path / 'whole.dcm', frames(1)[0])
    write_dicom(
        tmp_path / 'part.dcm',
        frames(4),
        PerFrameFunctionalGroupsSequence=[group(z) for z in (0.0, 1.0)],
    )
    slices = DicomSlices(tmp_path, progress=False)
    assert len(slices) == 1
    ((name, reason),) = slices.index.skipped
    assert name == 'part.dcm' and 'for 2 frames' in reason


def test_types_of_frames(tmp_path, write_dicom):
    """Frames are chosen by their own types if a file mixes them."""
    groups = [group(z) for z in (0.0, 1.0, 2.0)]
    for i, kind in enumerate(('AXIAL', 'AXIAL', 'LOCAL')):
        groups[i].CTImageFrameTypeSequence = sequence(
            FrameType=['ORIGINAL', 'PRIMARY', kind, 'NONE']
        )
    write_dicom(
        tmp_path / 'mixed.dcm',
        frames(3),
        ImageType=['ORIGINAL', 'PRIMARY', 'MIXED', 'NONE'],
        PerFrameFunctionalGroupsSequence=groups,
    )
    slices = DicomSlices(
        tmp_path, progress=False, image_type='axial', spacing=1
    )
    assert slices.names == ['mixed.dcm#0', 'mixed.dcm#1']


@pytest.mark.parametrize('first', [0.0, 10.0])
def test_doses_lie_along_their_normal(tmp_path, write_dicom, first):
    """Offsets of frames are distances from the first, or heights."""
    write_dicom(
        tmp_path / 'dose.dcm',
        frames(3),
        Modality='RTDOSE',
        PixelSpacing=[1.0, 1.0],
        ImagePositionPatient=[0.0, 0.0, 10.0],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        GridFrameOffsetVector=[first, first + 2.5, first + 5.0],
    )
    slices = DicomSlices(tmp_path, progress=False)
    heights = [slices.geometry(i).position[2] for i in range(3)]
    assert heights == [10.0, 12.5, 15.0]
    assert slices.volume().spacing == (1.0, 1.0, 2.5)
