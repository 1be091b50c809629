# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of images in arrays of NumPy."""

import pickle

import numpy as np
import pytest

from odl_equivariant.data import NumpySlices


@pytest.mark.parametrize('dtype', ['int16', 'float64', 'complex128', 'bool'])
def test_arrays_are_taken_as_they_are(tmp_path, dtype):
    """Axes of arrays stay, three dimensions are several images."""
    stack = (10 * np.random.default_rng(0).normal(size=(2, 3, 4))).astype(
        dtype
    )
    (tmp_path / 'sub').mkdir()
    np.save(tmp_path / 'sub' / 'stack.npy', stack)
    np.save(tmp_path / 'one.npy', stack[0].T)
    slices = NumpySlices(tmp_path)
    assert slices.names == ['one.npy', 'sub/stack.npy#0', 'sub/stack.npy#1']
    assert slices.groups == ['one.npy', 'sub/stack.npy', 'sub/stack.npy']
    for image, expected in zip(slices, [stack[0].T, *stack], strict=True):
        assert image.dtype == (
            'complex64' if dtype == 'complex128' else 'float32'
        )
        assert np.allclose(image, expected, rtol=1e-6)


def test_other_arrays_are_skipped(tmp_path):
    """Objects are not unpickled; other shapes and damage are named."""
    np.save(tmp_path / 'good.npy', np.ones((2, 3)))
    np.save(tmp_path / 'object.npy', np.array([[{}]]), allow_pickle=True)
    np.save(tmp_path / 'line.npy', np.ones(3))
    np.save(tmp_path / 'empty.npy', np.ones((0, 3)))
    np.save(tmp_path / 'words.npy', np.array([['a', 'b']]))
    whole = (tmp_path / 'good.npy').read_bytes()
    (tmp_path / 'short.npy').write_bytes(whole[:-8])
    (tmp_path / 'pickle.npy').write_bytes(pickle.dumps([1]))
    slices = NumpySlices(tmp_path)
    assert slices.names == ['good.npy']
    assert len(slices.index.skipped) == 6


def test_changed_array_is_named(tmp_path):
    """If a file has changed, the error names it."""
    np.save(tmp_path / 'a.npy', np.ones((3, 2, 2)))
    slices = NumpySlices(tmp_path)
    np.save(tmp_path / 'a.npy', np.ones((2, 2)))
    with pytest.raises(ValueError, match=r'a\.npy.*\(2, 2\)'):
        slices[0]


def test_no_arrays_are_an_error(tmp_path):
    """A folder without arrays is an error that names the endings."""
    (tmp_path / 'a.txt').write_text('x', 'utf-8')
    with pytest.raises(ValueError, match=r'0 files \(\.npy\)'):
        NumpySlices(tmp_path)


@pytest.mark.parametrize('colours', [1, 3, 4])
def test_images_in_colour_are_no_stack(tmp_path, colours):
    """An array whose last axis is colour is skipped."""
    np.save(tmp_path / 'a.npy', np.ones((16, 16, colours)))
    np.save(tmp_path / 'b.npy', np.ones((colours, 16, 16)))
    slices = NumpySlices(tmp_path)
    assert len(slices) == colours and slices[0].shape == (16, 16)
    [(name, reason)] = slices.index.skipped
    assert name == 'a.npy' and 'colour' in reason
