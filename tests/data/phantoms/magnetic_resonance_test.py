# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the phantoms of magnetic resonance imaging."""

import numpy as np
import odl
import pytest

from odl_equivariant.data import ellipse_phantom, mr_phantom
from odl_equivariant.data.phantoms import bodies, heads
from odl_equivariant.data.phantoms.ellipses import KINDS
from odl_equivariant.data.phantoms.magnetic_resonance import _intensities

each_kind = pytest.mark.parametrize('kind', KINDS)


@pytest.mark.parametrize('shape', [(64, 64), (96, 40), (31, 57), (8, 8)])
@each_kind
def test_magnitude_is_between_0_and_1(shape, kind):
    """Phantoms are finite, of the given shape, with the maximum 1."""
    for seed in range(10):
        phantom = mr_phantom(shape, seed, kind)
        assert phantom.shape == shape
        assert phantom.dtype == np.float32
        assert phantom.min() >= 0
        assert phantom.max() == 1


@each_kind
def test_seed_decides(kind):
    """A seed draws the same phantom, another seed another."""
    first = mr_phantom((48, 48), 3, kind)
    again = mr_phantom((48, 48), np.random.default_rng(3), kind)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, mr_phantom((48, 48), 4, kind))


@each_kind
def test_air_around_the_body_is_zero(kind):
    """The corners are exactly zero, below too: there is no table."""
    for seed in range(20):
        phantom = mr_phantom((96, 96), seed, kind)
        for corner in (phantom[:3, :3], phantom[-3:, :3], phantom[-3:, -3:]):
            assert corner.max() == 0
        assert 0.1 < np.mean(phantom > 0) < 0.95


@each_kind
def test_there_is_no_table(kind, monkeypatch):
    """No table or headrest is drawn."""

    def refuse(*args):
        raise AssertionError('a table is drawn')

    monkeypatch.setattr(bodies, 'paint_support', refuse)
    monkeypatch.setattr(heads, 'paint_support', refuse)
    mr_phantom((32, 32), 0, kind)
    with pytest.raises(AssertionError, match='a table'):
        ellipse_phantom((32, 32), 0, kind)


def test_fat_is_brighter_than_soft_tissue_or_suppressed():
    """Below the skin, some trunks are bright and others dark."""
    ratios = []
    for seed in range(60):
        phantom = mr_phantom((96, 96), seed, 'body')
        # the first pixels of the body from its side, and all that is inside
        i, j = np.argwhere(phantom[:, 40:56] > 0.02).T
        inside = phantom[:, 40:56][i, j]
        rim = [phantom[i[j == k].min() + 3, 40 + k] for k in np.unique(j)]
        ratios.append(np.median(rim) / np.median(inside))
    assert np.mean(np.array(ratios) < 0.8) > 0.15
    assert np.mean(np.array(ratios) > 1.25) > 0.15


def test_cortical_bone_is_dark():
    """Pixels that are densest in tomography are dark."""
    dense, soft = [], []
    attenuation = np.array([0.0, 0.26, 0.6], np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = _intensities(attenuation, rng, 0.3, 0.5)
        assert values[0] == 0
        soft.append(values[1])
        dense.append(values[2])
    assert max(dense) < 0.4 * np.mean(soft)


def test_same_seed_at_another_resolution():
    """A seed draws the same phantom on a coarser grid, but for its scale."""
    for seed in range(5):
        fine = mr_phantom((256, 192), seed)
        coarse = mr_phantom((128, 96), seed)
        mean = fine.reshape(128, 2, 96, 2).mean(axis=(1, 3))
        assert np.corrcoef(mean.ravel(), coarse.ravel())[0, 1] > 0.97


def test_edges_do_not_ring():
    """There is no overshoot in the air outside of the body."""
    for seed in range(5):
        phantom = mr_phantom((128, 128), seed, 'body')
        column = phantom[:, 64]
        (inside,) = np.nonzero(column)
        rise = column[inside[0] : inside[0] + 4]
        assert (np.diff(rise[:2]) > 0).all()
        assert not column[: inside[0]].any()


def test_contrast_differs_from_phantom_to_phantom():
    """The median of the body lies anywhere from dark to bright."""
    medians = []
    for seed in range(40):
        phantom = mr_phantom((64, 64), seed)
        medians.append(np.median(phantom[phantom > 0]))
    assert min(medians) < 0.2
    assert max(medians) > 0.5


def test_phase_is_smooth_and_leaves_the_magnitude_alone():
    """A phantom with a phase has the magnitude of the one without."""
    for seed in range(5):
        real = mr_phantom((96, 96), seed)
        image = mr_phantom((96, 96), seed, phase=True)
        assert image.dtype == np.complex64
        assert np.allclose(abs(image), real, atol=1e-6)
        product = image[1:] * image[:-1].conj()
        steps = np.angle(product[abs(product) > 1e-3])
        assert 0 < abs(steps).max() < 0.5


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'complex64', 'complex128'])
@pytest.mark.parametrize('phase', [False, True])
def test_element_of_a_space(backend, dtype, phase):
    """For a space, the phantom is the same as an element of it."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (31, 44), dtype=dtype, impl=backend
    )
    if phase and space.is_real:
        with pytest.raises(ValueError, match='must be a complex space'):
            mr_phantom(space, 3, phase=phase)
        return
    element = mr_phantom(space, 3, phase=phase)
    assert element in space
    assert np.array_equal(
        np.asarray(element.data), mr_phantom((31, 44), 3, phase=phase)
    )


@pytest.mark.parametrize('shape', [(16,), (16, 16, 16), (7, 16), (16, 0)])
def test_other_shapes_are_refused(shape):
    """A shape that no phantom fits into is named."""
    with pytest.raises(ValueError, match='shape'):
        mr_phantom(shape)


def test_unknown_kind_is_refused():
    """The error of an unknown kind lists the known ones."""
    with pytest.raises(ValueError, match="'head', 'body', 'abstract'"):
        mr_phantom((16, 16), kind='foot')
