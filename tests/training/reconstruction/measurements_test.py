# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of files of measured data."""

import numpy as np
import pytest
import torch

from odl_equivariant.data import CartesianMRI, SparseViewCT
from odl_equivariant.training.reconstruction.measurements import Measurements

CT = SparseViewCT((24, 24), n_views=8)
MRI = CartesianMRI((12, 10))


@pytest.mark.parametrize('dtype', ['<f4', '>f4', '<f8', '>f8', '<f2', 'g'])
def test_real_numbers_of_any_layout(tmp_path, dtype):
    """Any order of bytes and precision gives the same batch."""
    shape = (3, *CT.operator.range.shape)
    data = np.random.default_rng(0).integers(100, size=shape)
    np.save(tmp_path / 'y.npy', data.astype(dtype))
    read = Measurements(tmp_path, CT.operator.range)
    batch = read.batch(tmp_path / 'y.npy', 1, 3)
    assert batch.dtype == torch.float32 and batch.is_contiguous()
    assert np.array_equal(batch[:, 0], data[1:])


@pytest.mark.parametrize('dtype', ['<c8', '>c8', '<c16', '>c16', 'G', '>f4'])
def test_complex_numbers_of_any_layout(tmp_path, dtype):
    """The same for k-space, of which real numbers are a part."""
    parts = np.random.default_rng(0).integers(100, size=(2, 12, 10))
    data = parts[0] + 1j * parts[1] * (dtype != '>f4')
    data = data if dtype != '>f4' else data.real
    np.save(tmp_path / 'y.npy', data.astype(dtype))
    read = Measurements(tmp_path, MRI.operator.range)
    batch = read.batch(tmp_path / 'y.npy', 0, 1)
    assert batch.dtype == torch.float32 and batch.is_contiguous()
    assert np.array_equal(torch.complex(*batch[0]).numpy(), data)


@pytest.mark.parametrize('content', [b'', b'\x93NUMPY short', b'no array'])
def test_damaged_mask_is_named(tmp_path, content):
    """The error names the file of the mask, and says what is wrong."""
    shape = MRI.operator.range.shape
    np.save(tmp_path / 'y.npy', np.ones(shape, 'complex64'))
    (tmp_path / 'y.mask.npy').write_bytes(content)
    read = Measurements(tmp_path, MRI.operator.range)
    with pytest.raises(ValueError, match=r'y\.mask\.npy cannot be read'):
        read.check(MRI)
