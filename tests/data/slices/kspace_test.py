# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of measured k-space."""

import pickle

import numpy as np
import odl
import pytest

from odl_equivariant.data import FastMRIKspace, ellipse_phantom
from odl_equivariant.operators import UnitaryFourierTransform

h5py = pytest.importorskip('h5py')

NX, NY, N_COILS = 40, 48, 5


def _coils(shape=(NX, NY), n=N_COILS):
    """Return smooth complex maps, the squares of which sum to one."""
    x, y = (np.linspace(-1, 1, m) for m in shape)
    angles = 2 * np.pi * np.arange(n) / n
    maps = np.stack(
        [
            np.exp(
                -((x[:, None] - np.cos(a)) ** 2 + (y - np.sin(a)) ** 2) / 4
                + 1j * (a + 0.5 * x[:, None] * np.cos(a) + 0.3 * y)
            )
            for a in angles
        ]
    )
    return maps / np.sqrt((abs(maps) ** 2).sum(axis=0))


def _transform(image):
    space = odl.uniform_discr([0, 0], [1, 1], image.shape, dtype='complex128')
    return np.asarray(UnitaryFourierTransform(space)(image).data)


def _inverse(kspace):
    space = odl.uniform_discr([0, 0], [1, 1], kspace.shape, dtype='complex128')
    transform = UnitaryFourierTransform(space)
    return np.asarray(transform.inverse(transform.range.element(kspace)).data)


def _write(path, kspace, **attributes):
    """Write k-space of shape (..., nx, ny) in the format of fastMRI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, 'w') as file:
        file['kspace'] = kspace.swapaxes(-1, -2).astype('complex64')
        for name, value in attributes.items():
            file.attrs[name] = value


def _phantom(seed=0, shape=(NX, NY)):
    return ellipse_phantom(shape, seed).astype('float64')


@pytest.fixture
def measured():
    """Return phantoms, and their k-space in several coils."""
    phantoms = np.stack([_phantom(i) for i in range(3)])
    images = phantoms[:, None] * _coils()
    kspace = [[_transform(c) for c in coils] for coils in images]
    return phantoms, np.array(kspace)


def test_kspace_is_in_our_orientation(tmp_path, measured):
    """Rows of the file run along y, and become axis 2."""
    _write(tmp_path / 'a.h5', measured[1])
    slices = FastMRIKspace(tmp_path)
    assert slices.names == ['a.h5#0', 'a.h5#1', 'a.h5#2']
    for i in range(3):
        kspace = slices.kspace(i)
        assert kspace.dtype == 'complex64'
        assert kspace.shape == (N_COILS, NX, NY)
        assert np.allclose(kspace, measured[1][i], atol=1e-5)


def test_zero_frequency_is_in_the_middle(tmp_path):
    """A constant image has one frequency, at index ``n // 2``."""
    _write(tmp_path / 'a.h5', _transform(np.ones((7, 10)))[None])
    kspace = FastMRIKspace(tmp_path).kspace(0)
    assert np.flatnonzero(abs(kspace[0]) > 1e-3) == [3 * 10 + 5]


def test_image_is_the_combination_of_coils(tmp_path, measured):
    """The image is the sum of conj(c_k) F^-1 y_k over the coils."""
    _write(tmp_path / 'a.h5', measured[1])
    slices = FastMRIKspace(tmp_path)
    maps = slices.coil_maps(1)
    coils = np.array([_inverse(k) for k in slices.kspace(1)])
    combined = (maps.conj() * coils).sum(axis=0)
    assert slices[1].dtype == 'complex64'
    assert np.allclose(slices[1], combined, atol=1e-5)


def test_maps_have_unit_length(tmp_path, measured):
    """The squares of the maps sum to one."""
    _write(tmp_path / 'a.h5', measured[1])
    maps = FastMRIKspace(tmp_path).coil_maps(0)
    assert maps.shape == (N_COILS, NX, NY)
    assert np.allclose((abs(maps) ** 2).sum(axis=0), 1, atol=1e-5)


def test_magnitude_is_that_of_the_phantom(tmp_path, measured):
    """The magnitude of the combined image is the phantom, to 1 percent."""
    phantoms, kspace = measured
    _write(tmp_path / 'a.h5', kspace)
    slices = FastMRIKspace(tmp_path)
    for i in range(3):
        error = np.linalg.norm(abs(slices[i]) - phantoms[i])
        assert error < 0.01 * np.linalg.norm(phantoms[i])


def test_maps_are_those_of_the_coils(tmp_path, measured):
    """The maps are the true ones up to one phase for each pixel."""
    phantoms, kspace = measured
    _write(tmp_path / 'a.h5', kspace)
    maps = FastMRIKspace(tmp_path).coil_maps(0)
    alike = abs((maps.conj() * _coils()).sum(axis=0))
    assert alike[phantoms[0] > 0.1].min() > 0.97


def test_single_coil_is_the_inverse_transform(tmp_path):
    """Without a coil axis the image keeps its phase, and the map is 1."""
    x, y = np.linspace(-1, 1, NX), np.linspace(-1, 1, NY)
    image = _phantom() * np.exp(1j * (x[:, None] + y**2))
    _write(tmp_path / 'a.h5', _transform(image)[None])
    slices = FastMRIKspace(tmp_path)
    assert slices.kspace(0).shape == (1, NX, NY)
    assert np.array_equal(slices.coil_maps(0), np.ones((1, NX, NY)))
    assert np.allclose(slices[0], image, atol=1e-5)


def test_crop_is_around_the_middle(tmp_path, measured):
    """Cropping applies to images, but not to k-space and maps."""
    _write(tmp_path / 'a.h5', measured[1])
    whole = FastMRIKspace(tmp_path)
    slices = FastMRIKspace(tmp_path, crop=(30, 32))
    assert np.array_equal(slices[0], whole[0][5:35, 8:40])
    assert slices.kspace(0).shape == slices.coil_maps(0).shape
    assert slices.kspace(0).shape == (N_COILS, NX, NY)
    with pytest.raises(ValueError, match=r'a\.h5.*\(40, 48\).*\(50, 32\)'):
        FastMRIKspace(tmp_path, crop=(50, 32))[0]


def test_scale_multiplies_everything(tmp_path, measured):
    """A factor applies to k-space and images, and not to the maps."""
    _write(tmp_path / 'a.h5', measured[1])
    plain = FastMRIKspace(tmp_path)
    scaled = FastMRIKspace(tmp_path, scale=4.0)
    assert np.array_equal(scaled.kspace(0), 4 * plain.kspace(0))
    assert np.allclose(scaled[0], 4 * plain[0], atol=1e-5)
    assert np.allclose(scaled.coil_maps(0), plain.coil_maps(0), atol=1e-5)


def test_maps_need_the_centre_only(tmp_path, measured):
    """Maps do not change when frequencies far out are not measured."""
    kspace = measured[1].copy()
    _write(tmp_path / 'full' / 'a.h5', kspace)
    kspace[..., : NY // 2 - 12] = 0
    kspace[..., NY // 2 + 13 :: 2] = 0
    _write(tmp_path / 'part' / 'a.h5', kspace)
    full, part = (
        FastMRIKspace(tmp_path / f, calibration=20).coil_maps(0)
        for f in ('full', 'part')
    )
    assert np.array_equal(full, part)


def test_maps_of_few_lines(tmp_path, measured):
    """If fewer lines are sampled than asked for, all of them are used."""
    kspace = measured[1].copy()
    kspace[..., : NY // 2 - 5] = 0
    kspace[..., NY // 2 + 6 :] = 0
    _write(tmp_path / 'a.h5', kspace)
    maps = FastMRIKspace(tmp_path).coil_maps(0)
    alike = abs((maps.conj() * _coils()).sum(axis=0))
    assert alike[measured[0][0] > 0.1].min() > 0.95
    kspace[..., NY // 2 + 1] = 0
    _write(tmp_path / 'b.h5', kspace)
    slices = FastMRIKspace(tmp_path / 'b.h5')
    assert slices.kspace(0).shape == (N_COILS, NX, NY)
    with pytest.raises(ValueError, match='only 1 fully sampled'):
        slices.coil_maps(0)


def test_attributes_name_groups_and_acquisitions(tmp_path, measured):
    """Volumes of a patient are one group; otherwise each file is one."""
    kspace = measured[1][:1]
    _write(tmp_path / 'a.h5', kspace, patient_id='p', acquisition='AXT1')
    _write(
        tmp_path / 'b.h5',
        kspace,
        patient_id=np.bytes_(b'p'),
        acquisition=np.bytes_(b'AXT2'),
    )
    _write(tmp_path / 'sub' / 'c.hdf5', kspace)
    slices = FastMRIKspace(tmp_path)
    assert slices.groups == ['p', 'p', 'sub/c.hdf5']
    assert slices.acquisitions == ['AXT1', 'AXT2', '']
    assert FastMRIKspace(tmp_path, acquisition='t2').names == ['b.h5#0']
    with pytest.raises(ValueError, match="'AXT1', 'AXT2'"):
        FastMRIKspace(tmp_path, acquisition='FLAIR')


def test_subset_keeps_kspace(tmp_path, measured):
    """A subset, sent to a worker, has k-space, maps and acquisitions."""
    _write(tmp_path / 'a.h5', measured[1], acquisition='AXT1')
    whole = FastMRIKspace(tmp_path)
    part = pickle.loads(pickle.dumps(whole.subset([2])))
    assert np.array_equal(part.kspace(0), whole.kspace(2))
    assert np.array_equal(part.coil_maps(0), whole.coil_maps(2))
    assert np.array_equal(part[0], whole[2])
    assert part.acquisitions == ['AXT1']
    for read in (part.kspace, part.coil_maps):
        for index in (-1, 1):
            with pytest.raises(IndexError, match='there are 1 slices'):
                read(index)


def test_what_is_no_kspace_is_skipped(tmp_path, measured):
    """Files without k-space are skipped, and the reason is given."""
    _write(tmp_path / 'good.h5', measured[1])
    whole = (tmp_path / 'good.h5').read_bytes()
    (tmp_path / 'short.h5').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'text.h5').write_text('text', 'utf-8')
    (tmp_path / 'notes.txt').write_text('text', 'utf-8')
    for name, array in (
        ('real.h5', np.ones((2, 3, 4))),
        ('flat.h5', np.ones((3, 4), 'complex64')),
        ('none.h5', np.ones((0, 3, 4), 'complex64')),
    ):
        with h5py.File(tmp_path / name, 'w') as file:
            file['kspace'] = array
    with h5py.File(tmp_path / 'other.h5', 'w') as file:
        file['image'] = np.ones(3)
    slices = FastMRIKspace(tmp_path)
    assert len(slices) == 3
    assert [name for name, _ in slices.index.skipped] == [
        'flat.h5',
        'none.h5',
        'other.h5',
        'real.h5',
        'short.h5',
        'text.h5',
    ]


def test_changed_file_is_named(tmp_path, measured):
    """If a file has changed since it was indexed, the error names it."""
    _write(tmp_path / 'a.h5', measured[1])
    slices = FastMRIKspace(tmp_path)
    _write(tmp_path / 'a.h5', measured[1][:, :, :20])
    with pytest.raises(ValueError, match=r'a\.h5.*shape'):
        slices.kspace(0)


@pytest.mark.parametrize(
    'options',
    [{'calibration': 3}, {'calibration': 0}, {'crop': 5}, {'scale': 0}],
)
def test_wrong_options_are_refused(tmp_path, options):
    """The error of a wrong option names it."""
    error = TypeError if 'crop' in options else ValueError
    with pytest.raises(error, match=f'`{next(iter(options))}` must'):
        FastMRIKspace(tmp_path, **options)


def _padded(kspace, left, right):
    kspace = kspace.copy()
    kspace[..., :left, :] = 0
    kspace[..., right:, :] = 0
    return kspace


def _header(size, center, maximum):
    """Return an ISMRMRD header with the columns of a volume."""
    return (
        '<?xml version="1.0"?><ismrmrdHeader '
        'xmlns="http://www.ismrm.org/ISMRMRD"><encoding><encodedSpace>'
        f'<matrixSize><x>96</x><y>{size}</y><z>1</z></matrixSize>'
        '</encodedSpace><encodingLimits><kspace_encoding_step_1>'
        f'<minimum>0</minimum><maximum>{maximum}</maximum>'
        f'<center>{center}</center></kspace_encoding_step_1>'
        '</encodingLimits></encoding></ismrmrdHeader>'
    )


def test_columns_that_were_measured(tmp_path, measured):
    """The attributes, the header or zeros at both ends tell the columns."""
    kspace = _padded(measured[1], 6, 33)
    last = kspace.copy()
    last[-1] = 0
    _write(tmp_path / 'a.h5', kspace, padding_left=6, padding_right=33)
    _write(tmp_path / 'b.h5', kspace)
    for name, array, header in (
        # of the 40 columns 27, the zero frequency at number 14 of them
        ('c.h5', last, _header(NX, 14, 26)),
        ('d.h5', kspace, _header(NX + 8, 14, 26)),
        ('e.h5', kspace, '<no header'),
    ):
        _write(tmp_path / name, array)
        with h5py.File(tmp_path / name, 'a') as file:
            file['ismrmrd_header'] = header
    # nothing is known of a volume of zeros
    _write(tmp_path / 'f.h5', 0 * kspace)
    # columns with data were measured
    _write(tmp_path / 'g.h5', kspace, padding_left=8, padding_right=33)
    slices = FastMRIKspace(tmp_path)
    found = dict(zip(slices.names, slices.measured_columns, strict=True))
    assert [found[f'{name}.h5#1'] for name in 'abcdefg'] == [
        *[(6, 33)] * 5,
        (0, NX),
        (6, 33),
    ]
    assert slices.subset([0]).measured_columns == [(6, 33)]


@pytest.mark.parametrize(
    'ends', [(-1, 30), (30, 30), (0, NX + 1), ('a', 30), ([1, 2], 30)]
)
def test_padding_that_is_no_part_of_kspace(tmp_path, measured, ends):
    """Attributes that are no range of columns are an error."""
    _write(tmp_path / 'good.h5', measured[1])
    _write(
        tmp_path / 'bad.h5',
        measured[1],
        padding_left=ends[0],
        padding_right=ends[1],
    )
    [(name, reason)] = FastMRIKspace(tmp_path).index.skipped
    assert name == 'bad.h5' and 'padding_left' in reason


def test_volumes_that_lack_columns(tmp_path, measured):
    """``fully_sampled`` is what the mask of the volume says."""
    for name, mask in (
        ('a', np.ones(NX)),
        ('b', np.arange(NX) % 2),
        ('c', (np.arange(NX) >= 6) & (np.arange(NX) < 33)),
    ):
        kspace = _padded(measured[1], 6, 33)
        _write(tmp_path / f'{name}.h5', kspace[:1])
        with h5py.File(tmp_path / f'{name}.h5', 'a') as file:
            file['mask'] = mask.astype('float32')
    slices = FastMRIKspace(tmp_path)
    assert slices.fully_sampled == [True, False, True]


def test_headers_in_other_files_are_not_read(tmp_path, measured):
    """A link out of the folder is not followed for the header."""
    kspace = _padded(measured[1], 6, 33)
    kspace[-1] = 0
    with h5py.File(tmp_path / 'secret', 'w') as file:
        file['ismrmrd_header'] = _header(NX, 14, 26)
    _write(tmp_path / 'a.h5', kspace)
    with h5py.File(tmp_path / 'a.h5', 'a') as file:
        file['ismrmrd_header'] = h5py.ExternalLink(
            str(tmp_path / 'secret'), '/ismrmrd_header'
        )
    assert FastMRIKspace(tmp_path).measured_columns[0] == (0, NX)
