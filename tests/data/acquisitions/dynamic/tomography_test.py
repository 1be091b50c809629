# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of dynamic tomography."""

import pickle

import numpy as np
import pytest
import torch

from odl_equivariant.data import DynamicCT, SparseViewCT, moving_phantom
from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_tensor
from odl_equivariant.operators import OperatorLayer, operator_norm

each_kind = pytest.mark.parametrize(
    'options',
    [
        {'shape': (12, 12), 'n_frames': 4, 'n_views': 5},
        {'shape': (11, 13), 'n_frames': 3, 'n_views': 4, 'order': 'golden'},
        {
            'shape': (12, 12),
            'n_frames': 3,
            'n_views': 6,
            'backend': 'pytorch',
            'dtype': 'float64',
        },
        {
            'shape': (10, 10),
            'n_frames': 2,
            'n_views': 4,
            'order': 'golden',
            'backend': 'pytorch',
        },
        {'shape': (10, 10), 'n_frames': 3, 'n_views': 4, 'order': 'repeated'},
    ],
)


def film_of(acquisition, factor=1):
    """Return a film for an acquisition, on its grid or a finer one."""
    n, m, n_frames = acquisition.shape
    return moving_phantom((factor * n, factor * m), n_frames, 'breathing', 0)


def array_of(element):
    """Return the numbers of an element."""
    return as_tensor(element)[0, 0].numpy()


@each_kind
def test_each_frame_has_its_ray_transform(options):
    """Data are the line integrals of each frame at its own angles."""
    acquisition = DynamicCT(**options)
    film = acquisition.ground_truth(film_of(acquisition))
    data = array_of(acquisition.operator(film))
    for t, frame in enumerate(acquisition.frames):
        image = frame.ground_truth(film_of(acquisition)[..., t])
        np.testing.assert_allclose(
            data[..., t], array_of(frame.operator(image)), atol=1e-6
        )


@each_kind
def test_adjoint(options):
    """The adjoint is exact, in the weighted inner products."""
    tol = 1e-12 if options.get('dtype') == 'float64' else 1e-5
    assert adjoint_error(DynamicCT(**options).operator) < tol


@each_kind
def test_batch_is_film_by_film(options):
    """In torch, a batch of films has the data of each film."""
    operator = DynamicCT(**options).operator
    films = torch.randn(2, 1, *operator.domain.shape).to(
        as_tensor(operator.domain.zero())
    )
    result = OperatorLayer(operator)(films)
    for film, data in zip(films, result, strict=True):
        element = operator.domain.element(
            film[0].numpy() if operator.domain.impl == 'numpy' else film[0]
        )
        torch.testing.assert_close(data, as_tensor(operator(element))[0])


def test_interleaved_views_are_uniform_together():
    """All views of all frames are different, and equally far apart."""
    for n_frames in (4, 7):
        acquisition = DynamicCT((12, 12), n_frames, 5)
        angles = np.sort(acquisition.angles.ravel())
        np.testing.assert_allclose(
            angles,
            (np.arange(5 * n_frames) + 0.5) * np.pi / 5 / n_frames,
            atol=1e-12,
        )


def test_golden_views_follow_each_other():
    """Each view is by the golden angle after the one before."""
    angles = DynamicCT((12, 12), 3, 4, 'golden').angles
    golden = np.deg2rad(111.246117975)
    expected = np.sort((np.arange(12) * golden % np.pi).reshape(3, 4), 1)
    np.testing.assert_allclose(angles, expected, atol=1e-8)


def test_a_symmetric_frame_commutes_with_quarter_turns():
    """A still film seen from an even number of views keeps its norm."""
    acquisition = DynamicCT((12, 12), 2, 4, 'repeated')
    single = acquisition.frames[0].operator
    assert operator_norm(acquisition.operator) == pytest.approx(
        operator_norm(single), rel=1e-2
    )


@each_kind
def test_simulation_is_that_of_each_frame(options):
    """Counts are drawn frame by frame, from a grid twice as fine."""
    acquisition = DynamicCT(**options)
    film = film_of(acquisition, 2)
    rng = np.random.default_rng(3)
    data = array_of(acquisition.simulate(film, 3))
    for t, frame in enumerate(acquisition.frames):
        expected = array_of(frame.simulate(film[..., t], rng))
        np.testing.assert_allclose(data[..., t], expected, atol=1e-6)
    pair = acquisition.pair(film, 3)
    assert pair['truth'].shape == (1, *acquisition.shape)
    np.testing.assert_allclose(pair['data'][0].numpy(), data)


def test_one_frame_is_sparse_view_tomography():
    """A film of one frame has the data of `SparseViewCT`."""
    film = moving_phantom((24, 24), 1, rng=0)
    dynamic = DynamicCT((12, 12), 1, 6).simulate(film, 0)
    still = SparseViewCT((12, 12), 6).simulate(film[..., 0], 0)
    np.testing.assert_allclose(
        array_of(dynamic)[..., 0], array_of(still), atol=1e-6
    )


def test_sliding_window_of_a_still_film_sees_all_views():
    """Without motion, interleaved frames give one image of all views."""
    acquisition = DynamicCT((24, 24), 4, 8, n_photons=None, periodic=True)
    still = moving_phantom((24, 24), 1, 'breathing', 0).repeat(4, -1)
    data = acquisition.simulate(still)
    full = SparseViewCT((24, 24), 32, n_photons=None)
    expected = array_of(full.fbp(full.simulate(still[..., 0])))
    window = array_of(acquisition.sliding_window(data, 2))
    single = array_of(acquisition.fbp(data))
    # the weights of views at the ends of a half turn differ a little
    gap = np.linalg.norm(window[..., 0] - expected)
    assert gap < 0.3 * np.linalg.norm(single[..., 0] - expected)
    np.testing.assert_allclose(window[..., 0], window[..., 2], atol=1e-5)


@each_kind
def test_settings(options):
    """Settings and pickles make the same acquisition."""
    acquisition = DynamicCT(**options)
    other = pickle.loads(pickle.dumps(acquisition))
    assert other.fingerprint() == acquisition.fingerprint()
    film = film_of(acquisition)
    np.testing.assert_array_equal(
        array_of(other.simulate(film, 0)),
        array_of(acquisition.simulate(film, 0)),
    )
    assert acquisition.with_shape((14, 14)).shape[:2] == (14, 14)


@pytest.mark.parametrize(
    'film, match',
    [
        (np.ones((12, 12, 3)), 'n_frames=3'),
        (np.ones((24, 24, 5)), 'n_frames=5'),
        (np.ones((12, 12)), 'number of frames'),
        (1j * np.ones((12, 12, 4)), 'complex'),
        (np.full((12, 12, 4), np.inf), 'infinite'),
    ],
)
def test_films_that_do_not_fit(film, match):
    """A film of other frames is refused, with the numbers."""
    with pytest.raises(ValueError, match=match):
        DynamicCT((12, 12), 4, 4).simulate(film)


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        ({'order': 'random'}, ValueError, 'order'),
        ({'n_views': 0}, ValueError, 'n_views'),
        ({'n_frames': 1.5}, TypeError, 'n_frames'),
        ({'frame_time': -1}, ValueError, 'frame_time'),
        ({'periodic': 'no'}, TypeError, 'periodic'),
    ],
)
def test_wrong_arguments(arguments, error, match):
    """Arguments out of their range are refused."""
    with pytest.raises(error, match=match):
        DynamicCT(**{'shape': (12, 12), 'n_frames': 2, **arguments})


@pytest.mark.parametrize('order', ['interleaved', 'golden', 'repeated'])
def test_negated_films_are_named_once(order):
    """All frames together give one warning."""
    acquisition = DynamicCT((16, 16), 4, 6, order=order)
    data = acquisition.simulate(film_of(acquisition), rng=0)
    with pytest.warns(UserWarning, match='This is said once') as record:
        acquisition.sliding_window(-data, 1)
        acquisition.fbp(-data)
    assert len(record) == 1
