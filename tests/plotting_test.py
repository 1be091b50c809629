# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Figures: what they refuse, and that they are written whole."""

import numpy as np
import odl
import pytest

from odl_equivariant import plotting
from odl_equivariant.uncertainty import ensemble


def test_compare_shows_each_image_upright():
    """Axis 0 lies to the right and axis 1 upwards; close-ups go below."""
    image = np.arange(12.0).reshape(3, 4)
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype='complex64')
    figure = plotting.compare(
        [{'a': image, 'b': space.element(-1j * image)}],
        close_up=(slice(0, 2), slice(1, 3)),
    )
    shown = [ax.images[0] for ax in figure.axes]
    assert len(shown) == 4
    np.testing.assert_allclose(shown[0].get_array(), image.T)
    np.testing.assert_allclose(shown[1].get_array(), image.T)
    np.testing.assert_allclose(shown[2].get_array(), image[:2, 1:3].T)
    assert all(image.origin == 'lower' for image in shown)


@pytest.mark.parametrize(
    'rows', [[], [{}], [{'a': np.zeros((2, 2))}, {}], [{'a': np.zeros(3)}]]
)
def test_compare_refuses_what_it_cannot_show(rows):
    """No image, rows of different length, or an image without two axes."""
    with pytest.raises(ValueError, match='expected images|same, positive'):
        plotting.compare(rows)


def test_failed_figure_leaves_the_old_one(tmp_path):
    """A figure that cannot be written does not touch the file."""
    path = tmp_path / 'figure.png'
    figure = plotting.compare([{'a': np.eye(3)}])
    plotting.save_figure(figure, path)
    before = path.read_bytes()
    assert before.startswith(b'\x89PNG')
    with pytest.raises(ValueError):
        plotting.save_figure(figure, path, format='unknown')
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['figure.png']


def uncertain(shape=(3, 4), dtype='complex64'):
    """Return samples around 1, half of which are at -1."""
    identity = odl.IdentityOperator(
        odl.uniform_discr([0, 0], [1, 1], shape, dtype=dtype)
    )
    return ensemble([identity, -1.0 * identity], identity)(
        identity.domain.one()
    )


@pytest.mark.parametrize('dtype', ['float32', 'complex64'])
def test_compare_errors_shows_what_is_said_and_what_is(dtype):
    """A row has estimate, mean, deviation, estimated error and error."""
    result = uncertain(dtype=dtype)
    truth = 0.5 * result.estimate.space.one()
    figure = plotting.compare_errors({'a': result, 'b': result}, truth)
    shown = [ax.images[0] for ax in figure.axes[:10]]
    found = [float(np.mean(image.get_array())) for image in shown[:5]]
    np.testing.assert_allclose(found, [0, 0, 2**0.5, 1, 0.5], rtol=1e-5)
    assert all(image.get_array().shape == (4, 3) for image in shown)
    # all errors on one scale
    assert len({image.get_clim() for image in shown[2:5]}) == 1
    titles = [ax.get_title() for ax in figure.axes[:5]]
    assert titles[0] == 'estimate' and titles[-1] == 'error'


def test_compare_errors_without_truth():
    """Without a truth there is no error to show, and no row is refused."""
    figure = plotting.compare_errors({'a': uncertain()})
    assert [ax.get_title() for ax in figure.axes[:4]][-1] == 'estimated error'
    with pytest.raises(ValueError, match='at least one'):
        plotting.compare_errors({})
