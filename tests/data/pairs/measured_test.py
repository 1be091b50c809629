# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of pairs of images and measured data."""

import h5py
import numpy as np
import pytest
import torch

from odl_equivariant.data import (
    CartesianMRI,
    FastMRIKspace,
    MeasuredPairs,
    NumpySlices,
    SparseViewCT,
)
from odl_equivariant.elements import as_element, merge_complex

SHAPE = (24, 20)


def volume(path, n_slices=2, n_coils=3, seed=0, columns=None):
    """Write a volume as fastMRI has it, rows upwards."""
    rng = np.random.default_rng(seed)
    size = (n_slices, n_coils, *SHAPE[::-1])
    image = np.zeros((n_slices, 1, *SHAPE[::-1]))
    image[..., 5:14, 6:19] = 1e-4
    coils = 1 + 0.1 * rng.normal(size=(n_slices, n_coils, 1, 1))
    kspace = np.fft.fftshift(
        np.fft.fft2(
            np.fft.ifftshift(image * coils, axes=(-2, -1)), norm='ortho'
        ),
        axes=(-2, -1),
    )
    with h5py.File(path, 'w') as file:
        if columns is not None:
            kspace[..., : columns[0]] = kspace[..., columns[1] :] = 0
            file.attrs['padding_left'], file.attrs['padding_right'] = columns
        file['kspace'] = kspace.astype('complex64').reshape(size)
        file.attrs['acquisition'] = 'AXT1'
        file.attrs['patient_id'] = f'patient {seed}'


@pytest.fixture
def slices(tmp_path):
    """Return the slices of a volume."""
    volume(tmp_path / 'volume.h5')
    return FastMRIKspace(tmp_path, calibration=8, progress=False)


def test_data_are_the_measured_lines(slices):
    """Data are the measured samples where the mask is true, else zero."""
    acquisition = CartesianMRI(SHAPE, acceleration=2, random_masks=True)
    pair = MeasuredPairs(slices, acquisition, seed=3)[1]
    assert pair['name'] == 'volume.h5#1' and pair['index'] == 1
    truth, data = (merge_complex(pair[key][None]) for key in ('truth', 'data'))
    zero_filled = acquisition.zero_filled(
        as_element(pair['data'], acquisition.operator.range)
    )
    assert np.abs(zero_filled.asarray()).max() == pytest.approx(1)
    spectrum = torch.fft.fftshift(
        torch.fft.fft2(torch.fft.ifftshift(truth, (2, 3)), norm='ortho'),
        (2, 3),
    )
    mask = pair['mask'].expand(SHAPE)
    assert 0.4 < mask.float().mean() < 0.6
    torch.testing.assert_close(data, spectrum * mask, rtol=1e-4, atol=1e-4)


def test_pairs_depend_on_their_key(slices):
    """Masks change from epoch to epoch, unless ``fresh_noise=False``."""
    acquisition = CartesianMRI(SHAPE, acceleration=2, random_masks=True)
    pairs = MeasuredPairs(slices, acquisition)
    assert len(pairs) == 2
    for key in ('data', 'truth', 'mask'):
        assert torch.equal(pairs[0, 4][key], pairs[0, 4][key])
    assert not torch.equal(pairs[0, 4]['mask'], pairs[0, 5]['mask'])
    same = MeasuredPairs(slices, acquisition, fresh_noise=False)
    assert torch.equal(same[0, 4]['mask'], same[0, 5]['mask'])


def test_scale_is_kept_where_it_is_asked_for(slices):
    """With ``normalise=False``, values are not scaled."""
    acquisition = CartesianMRI(SHAPE, acceleration=2)
    raw = MeasuredPairs(slices, acquisition, normalise=False)[0]
    scaled = MeasuredPairs(slices, acquisition)[0]
    factor = scaled['truth'].norm() / raw['truth'].norm()
    assert factor > 1e3
    torch.testing.assert_close(factor * raw['data'], scaled['data'])
    # the divisor is handed on
    assert 'scale' not in raw
    for key in ('data', 'truth'):
        torch.testing.assert_close(scaled['scale'] * scaled[key], raw[key])


def test_what_does_not_fit(slices, tmp_path):
    """Slices without k-space, and other acquisitions, are refused."""
    acquisition = CartesianMRI((16, 16))
    with pytest.raises(ValueError, match=r'\(16, 16\)') as caught:
        MeasuredPairs(slices, acquisition)[0]
    assert 'volume.h5#0' in caught.value.__notes__[0]
    with pytest.raises(TypeError, match='from_kspace'):
        MeasuredPairs(slices, SparseViewCT((16, 16), n_views=4))
    np.save(tmp_path / 'a.npy', np.ones(SHAPE))
    with pytest.raises(TypeError, match='measured k-space are needed'):
        MeasuredPairs(NumpySlices(tmp_path, progress=False), acquisition)
    with pytest.raises(IndexError, match='2 pairs'):
        MeasuredPairs(slices, acquisition)[2]


@pytest.mark.parametrize('random_masks', [False, True])
@pytest.mark.parametrize('n_coils', [1, 3])
def test_acceleration_is_of_the_measured_columns(
    tmp_path, random_masks, n_coils
):
    """Padded columns are neither sampled nor counted."""
    volume(tmp_path / 'a.h5', n_coils=n_coils, columns=(3, 21))
    volume(tmp_path / 'b.h5', n_coils=n_coils, columns=(1, 20))
    volume(tmp_path / 'c.h5', n_coils=n_coils)
    slices = FastMRIKspace(tmp_path, calibration=8, progress=False)
    acquisition = CartesianMRI(
        SHAPE, 3, 0.1, axis=0, random_masks=random_masks
    )
    pairs = MeasuredPairs(slices, acquisition)
    for i, (first, stop) in enumerate(
        [(3, 21), (3, 21), (1, 20), (1, 20), (0, 24), (0, 24)]
    ):
        pair = pairs[i]
        mask = pair['mask'].numpy()
        assert mask.shape == (SHAPE[0], 1)
        lines = np.flatnonzero(mask)
        assert len(lines) == round((stop - first) / 3)
        assert first <= lines[0] and lines[-1] < stop
        center = SHAPE[0] // 2 - round(0.1 * (stop - first)) // 2
        assert mask[center : center + round(0.1 * (stop - first))].all()
        data = acquisition.forward_operator(mask)(
            as_element(pair['truth'], acquisition.space)
        )
        expected = as_element(pair['data'], acquisition.operator.range)
        assert (data - expected).norm() < 1e-4 * expected.norm()


def test_padding_across_the_lines(tmp_path):
    """If lines run across the padding, all count, and they are cut."""
    volume(tmp_path / 'a.h5', columns=(3, 21))
    slices = FastMRIKspace(tmp_path, calibration=8, progress=False)
    acquisition = CartesianMRI(SHAPE, 2, axis=1, random_masks=True)
    mask = MeasuredPairs(slices, acquisition)[0]['mask'].numpy()
    assert mask.shape == SHAPE
    assert mask.any(axis=0).sum() == SHAPE[1] // 2
    assert np.array_equal(np.flatnonzero(mask.any(axis=1)), np.arange(3, 21))


def test_given_masks_are_cut(tmp_path):
    """A given mask keeps its measured samples."""
    volume(tmp_path / 'a.h5', columns=(3, 21))
    slices = FastMRIKspace(tmp_path, calibration=8, progress=False)
    given = np.arange(SHAPE[0])[:, None] % 2 == 0
    acquisition = CartesianMRI(SHAPE, mask=given)
    mask = MeasuredPairs(slices, acquisition)[0]['mask'].numpy()
    assert np.array_equal(np.flatnonzero(mask), np.arange(4, 21, 2))
    with pytest.raises(ValueError, match='no measured sample'):
        acquisition.from_kspace(np.ones(SHAPE), measured=~given)
    with pytest.raises(ValueError, match='`measured` must be booleans'):
        acquisition.from_kspace(np.ones(SHAPE), measured=np.ones(SHAPE[0]))


def test_pairs_of_padded_volumes_are_stacked(tmp_path):
    """Volumes with and without padding make one batch."""
    volume(tmp_path / 'a.h5', columns=(3, 21))
    volume(tmp_path / 'b.h5')
    slices = FastMRIKspace(tmp_path, calibration=8, progress=False)
    pairs = MeasuredPairs(slices, CartesianMRI(SHAPE, 2, axis=0))
    batch = torch.utils.data.default_collate([pairs[1], pairs[3]])
    assert batch['mask'].shape == (2, SHAPE[0], 1)


def test_undersampled_volumes_are_refused(tmp_path):
    """Volumes with missing lines have no ground truth and are refused."""
    volume(tmp_path / 'a.h5')
    with h5py.File(tmp_path / 'a.h5', 'a') as file:
        file['mask'] = np.arange(SHAPE[0]) % 2 == 0
    slices = FastMRIKspace(tmp_path, calibration=8, progress=False)
    with pytest.raises(ValueError, match=r'2 of 2 slices, such as a\.h5#0'):
        MeasuredPairs(slices, CartesianMRI(SHAPE))


@pytest.mark.parametrize('n_coils', [1, 3])
def test_blank_slices_stay_so(tmp_path, n_coils):
    """Data that are zero are not scaled."""
    volume(tmp_path / 'a.h5', n_coils=n_coils)
    with h5py.File(tmp_path / 'a.h5', 'a') as file:
        file['kspace'][0] = 0
    slices = FastMRIKspace(tmp_path, calibration=8, progress=False)
    pair = MeasuredPairs(slices, CartesianMRI(SHAPE))[0]
    assert not pair['data'].any() and not pair['truth'].any()
    assert not slices[0].any()
