# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of the symmetries of forward operators, as they are found."""

import numpy as np
from table_directives import add_table

from odl_equivariant import data

__all__ = ('acquisitions', 'setup', 'table')

_SHAPE = (32, 32)


def acquisitions():
    """Return acquisitions by what they are called in the table."""
    blur = data.Deblurring
    block = np.pad(np.zeros((16, 16), bool), 8, constant_values=True)
    return {
        'denoising': data.Denoising(_SHAPE),
        'Gaussian blur, periodic': blur(_SHAPE, 1.5, 'periodic'),
        'Gaussian blur, reflected at the boundary': blur(_SHAPE, 1.5),
        'blur that is longer along an axis, periodic': blur(
            _SHAPE, data.gaussian_kernel(3, 1), 'periodic'
        ),
        'blur that is longer in another direction, periodic': blur(
            _SHAPE, data.gaussian_kernel(3, 1, 0.4), 'periodic'
        ),
        'super-resolution by 2': data.SuperResolution(_SHAPE),
        'super-resolution by 2, images not square': data.SuperResolution(
            (32, 24)
        ),
        'inpainting, random cells': data.Inpainting(_SHAPE),
        'inpainting, a block in the centre': data.Inpainting(
            _SHAPE, mask=block
        ),
        'inpainting, stripes': data.Inpainting(_SHAPE, pattern='stripes'),
        'random Hadamard measurements': data.CompressedSensing(_SHAPE),
        'random Fourier measurements without signs': data.CompressedSensing(
            _SHAPE, ensemble='fourier', scrambled=False, dtype='complex64'
        ),
        'random Gaussian measurements': data.CompressedSensing(
            _SHAPE, ensemble='gaussian'
        ),
        'tomography, 16 parallel views': data.SparseViewCT(_SHAPE, n_views=16),
        'tomography, 25 parallel views': data.SparseViewCT(_SHAPE, n_views=25),
        'magnetic resonance, random lines': data.CartesianMRI(_SHAPE),
        'magnetic resonance, all lines': data.CartesianMRI(
            _SHAPE, acceleration=1
        ),
    }


def table():
    """Return the lines of a table in Markdown, one row for each operator."""
    lines = ['| measurement | symmetries of the operator |', '|---|---|']
    for name, acquisition in acquisitions().items():
        lines.append(f'| {name} | {acquisition.symmetries} |')
    return lines


def setup(app):
    """Let Sphinx know the directive ``symmetry-table``."""
    return add_table(app, 'symmetry-table', table)
