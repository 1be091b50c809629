# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the real sample slices."""

import os

import numpy as np
import pytest

from odl_equivariant.data import sample_ct_slice, sample_mr_slice

pydicom = pytest.importorskip('pydicom')


def _stored(name):
    folder = os.path.join(os.path.dirname(pydicom.__file__), 'data')
    return pydicom.dcmread(os.path.join(folder, 'test_files', name))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_ct_has_its_physical_extent(dtype):
    """The CT slice is centred, 0.431 mm a pixel."""
    image = sample_ct_slice(dtype=dtype)
    space = image.space
    assert image.shape == (512, 512)
    assert np.allclose(space.cell_sides, 0.431e-3)
    assert np.allclose(space.min_pt, -np.asarray(space.max_pt))
    assert image.data.dtype == dtype


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_mr_has_its_physical_extent(dtype):
    """The MR slice is centred, wider than high."""
    image = sample_mr_slice(dtype=dtype)
    space = image.space
    assert image.shape == (484, 300)
    assert np.allclose(space.max_pt, [0.175, 0.10847107])
    assert np.allclose(space.min_pt, -np.asarray(space.max_pt))
    assert image.data.dtype == dtype


def test_axes_point_right_and_up():
    """Axis 0 runs along the rows of the picture, axis 1 up its columns."""
    stored = _stored('examples_overlay.dcm').pixel_array
    data = sample_mr_slice().data
    assert data[0, 0] == stored[-1, 0]
    assert np.array_equal(data, stored.T[:, ::-1])
    stored = _stored('J2K_pixelrep_mismatch.dcm').pixel_array
    inside = stored > -1000
    data = sample_ct_slice().data
    assert np.array_equal(
        data[inside.T[:, ::-1]], stored.T[:, ::-1][inside.T[:, ::-1]]
    )


def test_head_lies_on_its_rest():
    """The headrest is in the lower corners of the field of view."""
    hounsfield = sample_ct_slice().data
    for corner in (hounsfield[60:110], hounsfield[-110:-60]):
        lower, upper = corner[:, 20:90], corner[:, -90:-20]
        assert np.mean(lower > -990) > 0.05
        assert np.mean(upper > -990) < 0.01


def test_padding_is_air():
    """Outside of the field of view, the CT slice is air in every unit."""
    assert sample_ct_slice().data[0, 0] == -1000
    assert sample_ct_slice().data.min() > -1100
    assert sample_ct_slice('1/m').data[0, 0] == pytest.approx(0.02, rel=1e-4)
    assert sample_ct_slice('relative').data[0, 0] < 1e-3


def test_units_of_ct_agree():
    """Attenuation follows from Hounsfield units, fractions from it."""
    hounsfield = sample_ct_slice('HU', 'float64').data
    attenuation = sample_ct_slice('1/m', 'float64').data
    relative = sample_ct_slice('relative', 'float64').data
    expected = np.maximum(20 + 0.01998 * hounsfield, 0)
    assert np.allclose(attenuation, expected)
    assert np.allclose(relative, expected / 81.35858)
    assert relative.min() >= 0 and relative.max() <= 1
    brain = relative[250:262, 140:160]
    assert 0.245 < brain.mean() < 0.265


def test_every_call_gives_fresh_memory():
    """Writing into one slice does not change the next."""
    first = sample_mr_slice()
    before = first.data.copy()
    first.data[...] = 0
    assert np.array_equal(sample_mr_slice().data, before)


def test_unknown_unit_is_refused():
    """The error of an unknown unit lists the known ones."""
    with pytest.raises(ValueError, match="'HU', '1/m', 'relative'"):
        sample_ct_slice('mSv')


def test_missing_decoder_is_named(monkeypatch):
    """Without a decoder, the error says what to install."""
    from pydicom.pixels.decoders import JPEG2000LosslessDecoder

    monkeypatch.setattr(JPEG2000LosslessDecoder, '_available', {})
    with pytest.raises(ImportError, match=r'pylibjpeg\[all\]'):
        sample_ct_slice()


def test_missing_file_is_named(monkeypatch):
    """A pydicom without its test files is named with its version."""
    monkeypatch.setattr(os.path, 'isfile', lambda path: False)
    with pytest.raises(ImportError, match=pydicom.__version__):
        sample_ct_slice()
