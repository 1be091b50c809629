# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measured k-space in files of fastMRI."""

from odl_equivariant.data.kspace.header import Header, chosen
from odl_equivariant.data.kspace.scan import KspaceScan
from odl_equivariant.data.slices.kspace import FastMRIKspace

__all__ = ('fastmri_scan',)


def fastmri_scan(path, slice):
    """Return the scan of a slice in a file of fastMRI, see `read_kspace`."""
    import h5py

    slices = FastMRIKspace(path, progress=False)
    slice = chosen('slice', slice, range(len(slices)), path)
    kspace = slices.kspace(slice)
    # whole columns: a sample of zero in the middle of one was measured
    columns = kspace.any(axis=(0, 2))
    known = {}
    with h5py.File(path, 'r') as file:
        attributes = {
            key: str(file.attrs[key])
            for key in ('acquisition', 'patient_id')
            if key in file.attrs
        }
        if 'ismrmrd_header' in file:
            header = Header(file['ismrmrd_header'][()], path)
            # columns, the phase, are along axis 0
            known = {
                'image_shape': header.image_shape(kspace.shape[1:], 'yx'),
                'field_of_view': header.field_of_view('yx'),
            }
    if not columns.any():
        raise ValueError(f'slice {slice} of {path} is zero everywhere')
    return KspaceScan(
        kspace,
        columns[:, None],
        source=f'{path}#{slice}',
        attributes=attributes,
        **known,
    )
