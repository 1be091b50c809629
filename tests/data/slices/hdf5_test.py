# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the datasets of HDF5 files: no other file is read."""

import numpy as np
import pytest

from odl_equivariant.data import FastMRIKspace
from odl_equivariant.data.slices.hdf5 import own_dataset
from odl_equivariant.data.slices.index import NoImage

h5py = pytest.importorskip('h5py')

KSPACE = np.random.default_rng(0).normal(size=(2, 4, 20, 16)).astype('c8')


def _external_link(file, other):
    file['kspace'] = h5py.ExternalLink(other, '/kspace')


def _by_a_soft_link(file, other):
    file['there'] = h5py.ExternalLink(other, '/')
    file['kspace'] = h5py.SoftLink('/there/kspace')


def _external_storage(file, other):
    file.create_dataset(
        'kspace',
        KSPACE.shape,
        'c8',
        external=[(other, 0, h5py.h5f.UNLIMITED)],
    )


def _virtual(file, other):
    layout = h5py.VirtualLayout(KSPACE.shape, 'c8')
    layout[:] = h5py.VirtualSource(other, 'kspace', KSPACE.shape)
    file.create_virtual_dataset('kspace', layout)


@pytest.fixture
def other(tmp_path):
    """Return the path of a file with k-space, elsewhere."""
    folder = tmp_path / 'elsewhere'
    folder.mkdir()
    with h5py.File(folder / 'secret.bin', 'w') as file:
        file['kspace'] = KSPACE
    return str(folder / 'secret.bin')


@pytest.mark.parametrize(
    'make, words',
    [
        (_external_link, 'a link to the file .*secret.bin'),
        (_by_a_soft_link, 'a link to the file .*secret.bin'),
        (_external_storage, 'external storage'),
        (_virtual, 'virtual dataset'),
    ],
)
def test_other_files_are_not_read(tmp_path, other, make, words):
    """A volume whose numbers lie in another file is refused."""
    folder = tmp_path / 'volumes'
    folder.mkdir()
    with h5py.File(folder / 'a.h5', 'w') as file:
        make(file, other)
    with pytest.raises(ValueError, match=words):
        FastMRIKspace(folder)
    # nor after it was indexed
    (folder / 'a.h5').unlink()
    with h5py.File(folder / 'a.h5', 'w') as file:
        file['kspace'] = KSPACE
    slices = FastMRIKspace(folder)
    assert slices.kspace(0).shape == (4, 16, 20)
    with h5py.File(folder / 'a.h5', 'w') as file:
        make(file, other)
    with pytest.raises(ValueError, match=words):
        slices.kspace(0)


def test_links_in_the_file_are_followed(tmp_path):
    """Soft links within the file are followed."""
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['group/data'] = KSPACE
        file['group/inner'] = h5py.SoftLink('data')
        file['kspace'] = h5py.SoftLink('/group/inner')
    with h5py.File(tmp_path / 'a.h5', 'r') as file:
        assert np.array_equal(own_dataset(file, 'kspace'), KSPACE)
        assert np.array_equal(own_dataset(file, '/group/data'), KSPACE)
    assert FastMRIKspace(tmp_path)[0].shape == (16, 20)


@pytest.mark.parametrize(
    'name', ['missing', 'group', 'group/data/more', 'dangling', 'group/no/a']
)
def test_there_is_no_dataset(tmp_path, name):
    """If there is no dataset of the name, the result is None."""
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['group/data'] = KSPACE
        file['dangling'] = h5py.SoftLink('/nothing')
        assert own_dataset(file, name) is None


def test_circles_of_links_end(tmp_path):
    """Links that lead to each other are refused."""
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['a'] = h5py.SoftLink('/b')
        file['b'] = h5py.SoftLink('/a')
        with pytest.raises(NoImage, match='circle'):
            own_dataset(file, 'a')
