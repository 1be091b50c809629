# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files of k-space, written by the tests in the formats of scanners."""

import warnings

import h5py
import numpy as np
import pytest

from odl_equivariant.data import (
    KspaceScan,
    mr_phantom,
    read_kspace,
    simulated_coil_maps,
)

NOISE, REVERSE, NAVIGATOR = 1 << 18, 1 << 21, 1 << 22
COUNTERS = (
    'kspace_encode_step_1',
    'kspace_encode_step_2',
    'average',
    'slice',
    'contrast',
    'phase',
    'repetition',
    'set',
    'segment',
)
IDX = np.dtype([*((name, '<u2') for name in COUNTERS), ('user', '<u2', (8,))])
# the fields of the standard, up to physiology and position
HEAD = np.dtype(
    [
        ('version', '<u2'),
        ('flags', '<u8'),
        ('number_of_samples', '<u2'),
        ('active_channels', '<u2'),
        ('discard_pre', '<u2'),
        ('discard_post', '<u2'),
        ('center_sample', '<u2'),
        ('sample_time_us', '<f4'),
        ('idx', IDX),
    ]
)
XML = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <acquisitionSystemInformation>
  <relativeReceiverNoiseBandwidth>0.5</relativeReceiverNoiseBandwidth>
 </acquisitionSystemInformation>
 <encoding>
  <encodedSpace>
   <matrixSize><x>{nx}</x><y>{ny}</y><z>{nz}</z></matrixSize>
   <fieldOfView_mm><x>400</x><y>200</y><z>5</z></fieldOfView_mm>
  </encodedSpace>
  <reconSpace>
   <matrixSize><x>{half}</x><y>{ny}</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>200</x><y>200</y><z>5</z></fieldOfView_mm>
  </reconSpace>
  <encodingLimits>
   <kspace_encoding_step_1>
    <minimum>0</minimum><maximum>9</maximum><center>{center}</center>
   </kspace_encoding_step_1>
  </encodingLimits>
  <trajectory>{trajectory}</trajectory>
 </encoding>
</ismrmrdHeader>"""
NX, NY = 16, 10


def numbers(shape, seed=0):
    """Return complex numbers with much energy in the middle."""
    parts = np.random.default_rng(seed).standard_normal((2, *shape))
    kspace = parts[0] + 1j * parts[1]
    kspace[..., shape[-2] // 2, shape[-1] // 2] = 50
    return kspace.astype('complex64')


def line(step, samples, center=NX // 2, flags=0, time=5.0, **counters):
    """Return the head and the numbers of a readout."""
    head = np.zeros((), HEAD)
    head['flags'], head['sample_time_us'] = flags, time
    head['active_channels'], head['number_of_samples'] = samples.shape
    head['center_sample'] = center
    head['idx']['kspace_encode_step_1'] = step
    for name, value in counters.items():
        head['idx'][name] = value
    return head, np.ascontiguousarray(samples).view('float32').ravel()


def discarding(readout, left, right):
    """Return a readout of which some samples are to be left out."""
    head, data = readout
    head['discard_pre'], head['discard_post'] = left, right
    return head, data


def write_ismrmrd(path, lines, center=NY // 2, trajectory='cartesian', nz=1):
    """Write readouts as the standard has them."""
    row = np.dtype(
        [('head', HEAD), ('data', h5py.vlen_dtype(np.dtype('float32')))]
    )
    rows = np.empty(len(lines), row)
    for i, (head, data) in enumerate(lines):
        rows[i]['head'], rows[i]['data'] = head, data
    xml = XML.format(
        nx=NX, ny=NY, nz=nz, half=NX // 2, center=center, trajectory=trajectory
    )
    with h5py.File(path, 'w') as file:
        group = file.create_group('dataset')
        group.create_dataset('data', data=rows, dtype=row)
        group.create_dataset('xml', data=[xml], dtype=h5py.string_dtype())
    return path


def all_lines(kspace, **options):
    """Return a readout for each column of k-space."""
    return [
        line(j, kspace[:, :, j], **options) for j in range(kspace.shape[2])
    ]


# --- NumPy --- #


def test_array_of_numpy(tmp_path):
    """A file of NumPy has coils first, and zeros where nothing is."""
    kspace = numbers((3, 12, 10))
    kspace[:, 2:5] = 0
    np.save(tmp_path / 'a.npy', kspace.astype('complex128'))
    scan = read_kspace(tmp_path / 'a.npy')
    assert np.array_equal(scan.kspace, kspace)
    assert scan.kspace.dtype == 'complex64'
    assert scan.mask.shape == (12, 1)
    assert scan.mask.sum() == 9 and scan.acceleration == pytest.approx(12 / 9)
    assert scan.source == str(tmp_path / 'a.npy')


def test_other_orders_of_an_array(tmp_path):
    """Coils may be last if it is said, and frequencies start at zero."""
    kspace = numbers((3, 12, 10))
    path = tmp_path / 'a.npy'
    np.save(path, kspace.transpose(1, 2, 0))
    assert np.array_equal(read_kspace(path, coil_axis=-1).kspace, kspace)
    np.save(path, np.fft.ifftshift(kspace, (1, 2)))
    assert np.array_equal(read_kspace(path, centred=False).kspace, kspace)
    np.save(path, kspace[0])
    assert np.array_equal(read_kspace(path).kspace, kspace[:1])


@pytest.mark.parametrize(
    'array, kind, match',
    [
        (numbers((12, 10, 3)), ValueError, 'coil_axis'),
        (np.fft.ifftshift(numbers((3, 32, 32))), ValueError, 'centred=False'),
        (np.ones((3, 12, 10)), TypeError, 'complex'),
        (np.zeros((3, 12, 10)) + 0j, ValueError, 'zero everywhere'),
        (numbers((3, 12, 10)) * np.nan, ValueError, '360 values'),
        (numbers((2, 3, 12, 10)), ValueError, 'save one slice'),
        (numbers((0, 12, 10)), ValueError, r'\(0, 12, 10\)'),
    ],
)
@pytest.mark.filterwarnings('ignore:invalid value')
def test_array_that_is_no_k_space(tmp_path, array, kind, match):
    """The error names the file and what is wrong with it."""
    np.save(tmp_path / 'mine.npy', array)
    with pytest.raises(kind, match=match) as caught:
        read_kspace(tmp_path / 'mine.npy')
    assert 'mine.npy' in str(caught.value)


def test_files_of_other_kinds(tmp_path):
    """What is no file, no HDF5 or ends early is an error with its name."""
    with pytest.raises(FileNotFoundError, match='none.npy'):
        read_kspace(tmp_path / 'none.npy')
    (tmp_path / 'a.dat').write_bytes(b'1')
    with pytest.raises(ValueError, match='no file of k-space'):
        read_kspace(tmp_path / 'a.dat')
    (tmp_path / 'a.h5').write_bytes(b'1')
    with pytest.raises(ValueError, match='a.h5 is no HDF5 file'):
        read_kspace(tmp_path / 'a.h5')
    np.save(tmp_path / 'a.npy', numbers((3, 12, 10)))
    content = (tmp_path / 'a.npy').read_bytes()
    (tmp_path / 'a.npy').write_bytes(content[:-100])
    with pytest.raises(ValueError, match='a.npy .* ends early'):
        read_kspace(tmp_path / 'a.npy')
    np.save(tmp_path / 'b.npy', np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r'b.npy is no array of numbers'):
        read_kspace(tmp_path / 'b.npy')
    with h5py.File(tmp_path / 'b.h5', 'w') as file:
        file['exchange'] = 1
    with pytest.raises(ValueError, match=r"it has \['exchange'\]"):
        read_kspace(tmp_path / 'b.h5')


# --- fastMRI --- #


def test_padded_file_of_fastmri(tmp_path):
    """Columns of zeros are no measured columns; phase is along axis 0."""
    stored = numbers((2, 3, 12, 10))
    stored[..., :2] = stored[..., 7:] = 0
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['kspace'] = stored
        file.attrs['padding_left'] = 2
        file.attrs['padding_right'] = 7
        file.attrs['acquisition'] = 'T2'
        file['ismrmrd_header'] = XML.format(
            nx=12, ny=10, nz=1, half=6, center=3, trajectory='cartesian'
        )
    with pytest.raises(ValueError, match='slices 0 to 1: pass `slice`'):
        read_kspace(tmp_path / 'a.h5')
    scan = read_kspace(tmp_path / 'a.h5', 1)
    assert np.array_equal(scan.kspace, stored[1].swapaxes(1, 2))
    assert scan.mask.shape == (10, 1) and scan.acceleration == 2
    assert scan.image_shape == (10, 6)
    assert scan.field_of_view == (0.2, 0.4)
    assert scan.attributes == {'acquisition': 'T2'}
    with pytest.raises(ValueError, match='slice=2'):
        read_kspace(tmp_path / 'a.h5', 2)


# --- ISMRMRD --- #


def test_file_of_ismrmrd(tmp_path):
    """Each line comes to its step, with noise and the field of view."""
    kspace = numbers((3, NX, NY))
    noise = numbers((3, 1, 64), 1)[:, 0]
    lines = [
        line(0, noise, flags=NOISE, time=10.0),
        *all_lines(kspace)[::2],
        line(3, kspace[:, :, 4], flags=NAVIGATOR),
    ]
    scan = read_kspace(write_ismrmrd(tmp_path / 'a.mrd', lines))
    assert np.array_equal(scan.kspace[:, :, ::2], kspace[:, :, ::2])
    assert not scan.kspace[:, :, 1::2].any() and scan.acceleration == 2
    # twice the dwell time, and half of the bandwidth
    np.testing.assert_allclose(scan.noise, 2 * noise, rtol=1e-6)
    assert scan.image_shape == (NX // 2, NY)
    assert scan.field_of_view == (0.4, 0.2)


def test_partial_echoes_and_lines(tmp_path):
    """Centres say where lines and samples belong; averages are averaged."""
    kspace = numbers((2, NX, NY))
    lines = [
        line(j - 2, kspace[:, 3:, j] + sign, center=NX // 2 - 3, average=n)
        for j in range(2, NY)
        for n, sign in enumerate((1, -1))
    ]
    path = write_ismrmrd(tmp_path / 'a.h5', lines, center=NY // 2 - 2)
    scan = read_kspace(path)
    expected = kspace.copy()
    expected[:, :3] = expected[:, :, :2] = 0
    np.testing.assert_allclose(scan.kspace, expected, atol=1e-5)
    assert scan.attributes['n_averages'] == 2
    assert scan.mask.shape == (NX, NY) and scan.mask.sum() == 13 * 8


def test_one_of_several_images(tmp_path):
    """Slices and contrasts are chosen by name, and must be."""
    parts = {
        (i, j): numbers((2, NX, NY), 2 * i + j)
        for i in range(2)
        for j in range(2)
    }
    lines = [
        own
        for (i, j), kspace in parts.items()
        for own in all_lines(kspace, slice=i, contrast=j)
    ]
    path = write_ismrmrd(tmp_path / 'a.h5', lines)
    scan = read_kspace(path, 1, contrast=0)
    assert np.array_equal(scan.kspace, parts[1, 0])
    with pytest.raises(ValueError, match='pass `slice`'):
        read_kspace(path)
    with pytest.raises(ValueError, match='pass `contrast`'):
        read_kspace(path, 0)
    with pytest.raises(ValueError, match='contrast=2'):
        read_kspace(path, 0, contrast=2)
    with pytest.raises(TypeError, match='echo'):
        read_kspace(path, 0, contrast=0, echo=0)


@pytest.mark.parametrize(
    'change, match',
    [
        ({'trajectory': 'radial'}, "'radial'.* non-uniform"),
        ({'nz': 4}, '4 encoded partitions'),
        ({'center': 0}, 'lie outside of the 10'),
    ],
)
def test_other_encodings(tmp_path, change, match):
    """What is not two-dimensional and Cartesian is an error."""
    lines = all_lines(numbers((2, NX, NY)))
    path = write_ismrmrd(tmp_path / 'a.h5', lines, **change)
    with pytest.raises(ValueError, match=match) as caught:
        read_kspace(path)
    assert 'a.h5' in str(caught.value)


@pytest.mark.parametrize(
    'options, match',
    [
        ({'flags': REVERSE}, 'in reverse'),
        ({'flags': NAVIGATOR}, 'no lines of an image'),
        ({'center': 0}, 'outside of the 16'),
    ],
)
def test_lines_that_cannot_be_placed(tmp_path, options, match):
    """Readouts that would come to a wrong place are an error."""
    lines = all_lines(numbers((2, NX, NY)), **options)
    with pytest.raises(ValueError, match=match):
        read_kspace(write_ismrmrd(tmp_path / 'a.h5', lines))


def test_readout_that_is_not_complete(tmp_path):
    """A readout with other numbers than its head says is an error."""
    head, data = line(0, numbers((2, NX, 1))[:, :, 0])
    path = write_ismrmrd(tmp_path / 'a.h5', [(head, data[:-2])])
    with pytest.raises(ValueError, match='readout 0 .* has 62 numbers'):
        read_kspace(path)


def test_file_that_ismrmrd_wrote(tmp_path):
    """The package of the standard writes what is read here."""
    ismrmrd = pytest.importorskip('ismrmrd')
    kspace = numbers((3, NX, NY))
    dataset = ismrmrd.Dataset(str(tmp_path / 'a.h5'), 'dataset', True)
    xml = XML.format(
        nx=NX, ny=NY, nz=1, half=8, center=5, trajectory='cartesian'
    )
    dataset.write_xml_header(xml.encode())
    for j in range(NY):
        acquisition = ismrmrd.Acquisition.from_array(kspace[:, :, j])
        acquisition.idx.kspace_encode_step_1 = j
        acquisition.center_sample = NX // 2
        dataset.append_acquisition(acquisition)
    dataset.close()
    assert np.array_equal(read_kspace(tmp_path / 'a.h5').kspace, kspace)


def test_scan_of_a_file_is_that_of_its_numbers(tmp_path):
    """From each format comes the same image."""
    shape = (NX, NY)
    maps = simulated_coil_maps(shape, 3, 0)
    images = np.fft.ifftshift(maps * mr_phantom(shape), (1, 2))
    kspace = np.fft.fftshift(np.fft.fft2(images, norm='ortho'), (1, 2))
    kspace = kspace.astype('complex64')
    np.save(tmp_path / 'a.npy', kspace)
    with h5py.File(tmp_path / 'b.h5', 'w') as file:
        file['kspace'] = kspace.swapaxes(1, 2)[None]
    write_ismrmrd(tmp_path / 'c.h5', all_lines(kspace))
    expected = KspaceScan(kspace).zero_filled()
    for name in ('a.npy', 'b.h5', 'c.h5'):
        image = read_kspace(tmp_path / name).zero_filled()
        np.testing.assert_allclose(image, expected, atol=1e-5)


def test_discarded_samples_were_not_measured(tmp_path):
    """They are no part of the mask, of an average, or of the noise."""
    kspace = numbers((2, NX, NY))
    first = all_lines(kspace)
    second = [discarding(item, 3, 2) for item in all_lines(kspace, average=1)]
    noise = discarding(
        line(0, numbers((2, 40), 3), flags=NOISE, time=5.0), 4, 5
    )
    path = write_ismrmrd(tmp_path / 'two.h5', [noise, *first, *second])
    scan = read_kspace(path)
    np.testing.assert_allclose(scan.kspace, kspace, rtol=1e-6)
    assert scan.noise.shape == (2, 31)
    path = write_ismrmrd(tmp_path / 'one.h5', second)
    scan = read_kspace(path)
    mask = np.zeros((NX, NY), bool)
    mask[3:-2] = True
    assert np.array_equal(np.broadcast_to(scan.mask, (NX, NY)), mask)
    np.testing.assert_allclose(scan.kspace, mask * kspace, rtol=1e-6)


@pytest.mark.parametrize('shape', [(32, 32), (48, 33)])
def test_images_are_no_kspace(tmp_path, shape):
    """An image in place of k-space gives a word, and k-space none."""
    coils = simulated_coil_maps(shape, 3, rng=0) * mr_phantom(shape, 0)
    np.save(tmp_path / 'image.npy', coils)
    with pytest.warns(UserWarning, match='image.npy looks like an image'):
        read_kspace(tmp_path / 'image.npy')
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(coils, (1, 2))), (1, 2)
    )
    noise = np.random.default_rng(0).standard_normal((2, *kspace.shape))
    for mask in (1, np.arange(shape[1]) % 3 == 1):
        for deviation in (0.0, 0.5, 1e6):
            scan = mask * (kspace + deviation * (noise[0] + 1j * noise[1]))
            np.save(tmp_path / 'scan.npy', scan)
            with warnings.catch_warnings():
                warnings.simplefilter('error')
                read_kspace(tmp_path / 'scan.npy')
