# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of dynamic magnetic resonance imaging."""

import pickle

import numpy as np
import pytest
import torch

from odl_equivariant.actions import space_time_actions
from odl_equivariant.data import DynamicMRI, moving_phantom
from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_tensor
from odl_equivariant.operators import OperatorLayer

each_kind = pytest.mark.parametrize(
    'options',
    [
        {'shape': (12, 15), 'n_frames': 4},
        {'shape': (16, 12), 'n_frames': 5, 'backend': 'pytorch', 'axis': 0},
        {'shape': (12, 12), 'n_frames': 3, 'dtype': 'float64', 'n_coils': 2},
        {'shape': (9, 12), 'n_frames': 3, 'backend': 'pytorch', 'n_coils': 3},
    ],
)


def made(shape, n_frames, n_coils=None, **options):
    """Return an acquisition, maybe with random coil maps."""
    if n_coils is not None:
        rng = np.random.default_rng(0)
        maps = rng.normal(size=(2, n_coils, *shape))
        options['coil_maps'] = maps[0] + 1j * maps[1]
    options = {'acceleration': 3, 'center_fraction': 0.1, **options}
    return DynamicMRI(shape, n_frames, **options)


def film_of(acquisition, seed=0):
    """Return a film for an acquisition."""
    *shape, n_frames = acquisition.shape
    return moving_phantom(shape, n_frames, 'beating', seed, phase=True)


def array_of(element):
    """Return the complex numbers of an element, coils first."""
    tensor = as_tensor(element)[0].unflatten(0, (-1, 2)).movedim(1, -1)
    return torch.view_as_complex(tensor.contiguous()).numpy()


def transform_of(frame):
    """Return the centred unitary Fourier transform of an image."""
    shifted = np.fft.ifftshift(frame)
    return np.fft.fftshift(np.fft.fft2(shifted, norm='ortho'))


@each_kind
def test_each_frame_is_measured_with_its_mask(options):
    """Data are the masked Fourier transforms of the frames of all coils."""
    acquisition = made(sigma=0, **options)
    film = film_of(acquisition)
    data = array_of(acquisition.simulate(film))
    mask = np.broadcast_to(acquisition.mask, acquisition.shape)
    maps = acquisition.coil_maps
    for t in range(acquisition.n_frames):
        frame = film[..., t] if maps is None else maps * film[..., t]
        for j, image in enumerate(np.atleast_3d(frame.T).T):
            expected = mask[..., t] * transform_of(image)
            np.testing.assert_allclose(data[j, ..., t], expected, atol=2e-5)


@each_kind
def test_adjoint(options):
    """The adjoint is that of the weighted inner products."""
    acquisition = made(**options)
    tol = 1e-12 if options.get('dtype') == 'float64' else 1e-5
    assert adjoint_error(acquisition.operator) < tol


@each_kind
def test_batch_is_film_by_film(options):
    """In torch, a batch of films has the data of each film."""
    acquisition = made(sigma=0, **options)
    films = [film_of(acquisition, seed) for seed in (1, 2)]
    truths = [as_tensor(acquisition.ground_truth(film)) for film in films]
    layer = OperatorLayer(acquisition.operator)
    expected = torch.cat(
        [as_tensor(acquisition.simulate(film)) for film in films]
    )
    torch.testing.assert_close(layer(torch.cat(truths)), expected)


@pytest.mark.parametrize(
    'pattern', ['random', 'equispaced', 'variable_density', 'interleaved']
)
def test_masks_of_frames_differ(pattern):
    """Each frame has other lines, at the acceleration that was asked for."""
    acquisition = DynamicMRI((20, 24), 6, 4, 0.08, pattern)
    lines = acquisition.mask[0]
    assert len({column.tobytes() for column in lines.T}) >= 4
    assert lines[11:13].all()
    assert np.abs(lines.sum(0) - 6).max() <= 2


def test_interleaved_frames_measure_all_lines():
    """As many frames in a row as the acceleration have all lines."""
    mask = DynamicMRI((8, 21), 9, 4, 0.0, 'interleaved').mask[0]
    for first in range(6):
        assert mask[:, first : first + 4].sum(1).tolist() == [1] * 21


@each_kind
def test_zero_filled_full_data_is_the_film(options):
    """Where all is sampled without noise, the film comes back."""
    acquisition = made(sigma=0, mask=np.ones((1, 1, 1)), **options)
    film = film_of(acquisition)
    result = acquisition.zero_filled(acquisition.simulate(film))
    np.testing.assert_allclose(array_of(result)[0], film, atol=1e-5)


@pytest.mark.parametrize('periodic', [False, True])
def test_view_sharing_of_a_still_film_is_exact(periodic):
    """If nothing moves, all frames together have all lines."""
    acquisition = DynamicMRI(
        (16, 16), 8, 4, 0.0, 'interleaved', sigma=0, periodic=periodic
    )
    still = moving_phantom((16, 16), 1, rng=0).repeat(8, -1)
    data = acquisition.simulate(still)
    shared = array_of(acquisition.view_sharing(data))[0]
    np.testing.assert_allclose(shared, still, atol=1e-5)
    zero = array_of(acquisition.view_sharing(data, window=0))[0]
    filled = array_of(acquisition.zero_filled(data))[0]
    np.testing.assert_allclose(zero, filled, atol=1e-6)


def test_view_sharing_takes_the_nearest_samples():
    """A missing sample is the mean of the nearest before and after."""
    mask = np.ones((1, 8, 5), bool)
    mask[0, 3, 1:4] = False
    acquisition = DynamicMRI((8, 8), 5, 2, 0.1, sigma=0, mask=mask)
    film = film_of(acquisition)
    data = array_of(acquisition.simulate(film))[0]
    shared = array_of(acquisition.view_sharing(acquisition.simulate(film)))[0]
    line = np.stack(
        [transform_of(f)[:, 3] for f in np.moveaxis(shared, -1, 0)]
    )
    first, last = data[:, 3, 0], data[:, 3, 4]
    np.testing.assert_allclose(line[1], first, atol=1e-5)
    np.testing.assert_allclose(line[2], (first + last) / 2, atol=1e-5)
    np.testing.assert_allclose(line[3], last, atol=1e-5)


@each_kind
def test_noise_is_where_samples_are(options):
    """Noise has the standard deviation sigma in both parts, if sampled."""
    acquisition = made(**{**options, 'shape': (24, 30)}, sigma=0.1)
    film = film_of(acquisition)
    clean = acquisition.operator(acquisition.ground_truth(film))
    noise = array_of(acquisition.simulate(film, 0)) - array_of(clean)
    mask = np.broadcast_to(acquisition.mask, noise.shape)
    assert not noise[~mask].any()
    assert noise[mask].real.std() == pytest.approx(0.1, rel=0.1)
    assert noise[mask].imag.std() == pytest.approx(0.1, rel=0.1)


def test_pair_with_random_masks():
    """Masks differ from film to film, and describe the data."""
    acquisition = DynamicMRI((12, 16), 4, 3, random_masks=True, sigma=0)
    film = film_of(acquisition)
    pairs = [acquisition.pair(film, seed) for seed in (0, 1)]
    assert pairs[0]['mask'].shape == (1, 16, 4)
    assert (pairs[0]['mask'] != pairs[1]['mask']).any()
    for pair in pairs:
        operator = acquisition.forward_operator(pair['mask'])
        expected = OperatorLayer(operator)(pair['truth'][None])[0]
        torch.testing.assert_close(pair['data'], expected)


def test_interleaved_random_masks_start_anywhere():
    """Random masks of the interleaved pattern are shifted."""
    acquisition = DynamicMRI((8, 12), 4, 4, 0, 'interleaved')
    masks = {acquisition.draw_mask(seed).tobytes() for seed in range(12)}
    assert len(masks) == 4


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_data_fit(backend):
    """The fit is zero at the film, and its gradient is A* (A u - y)."""
    acquisition = made((12, 12), 3, backend=backend, sigma=0)
    truth = acquisition.ground_truth(film_of(acquisition))
    data = acquisition.operator(truth)
    fit = acquisition.data_fit(data)
    assert float(fit(truth)) < 1e-10
    expected = acquisition.operator.adjoint(0 * data - data)
    gap = fit.gradient(0 * truth) - expected
    assert float(gap.norm()) < 1e-5 * float(expected.norm())


def test_turned_masks_are_those_of_a_turned_scan():
    """The data of a reversed film are those with reversed masks."""
    acquisition = made((12, 12), 5, sigma=0)
    reversal = space_time_actions(acquisition.space, 'C1', None)[1]
    film = acquisition.ground_truth(film_of(acquisition))
    mirrored = acquisition.forward_operator(acquisition.mask[..., ::-1])
    one = array_of(acquisition.operator(reversal(film)))
    np.testing.assert_allclose(
        one, array_of(mirrored(film))[..., ::-1], atol=1e-5
    )


@each_kind
def test_settings(options):
    """Settings and pickles make the same acquisition."""
    acquisition = made(**options)
    film = film_of(acquisition)
    for other in (
        DynamicMRI(**acquisition.settings()),
        pickle.loads(pickle.dumps(acquisition)),
    ):
        assert other.fingerprint() == acquisition.fingerprint()
        np.testing.assert_array_equal(
            array_of(other.simulate(film, 0)),
            array_of(acquisition.simulate(film, 0)),
        )
    if acquisition.coil_maps is None:
        assert acquisition.with_shape((20, 14)).shape[:2] == (20, 14)


@pytest.mark.parametrize(
    'mask, match',
    [
        (np.ones((1, 12, 4)), 'film has 5 frames, and the mask 4'),
        (np.ones((12, 12)), r'mask\[..., None\]'),
        (np.ones((1, 11, 5)), 'shape'),
        (np.zeros((1, 12, 5)), 'samples nothing'),
        (np.full((1, 12, 5), 0.5), 'zeros and ones'),
    ],
)
def test_masks_that_do_not_fit(mask, match):
    """A mask that differs from the frames is refused, with the numbers."""
    with pytest.raises(ValueError, match=match):
        DynamicMRI((12, 12), 5, mask=mask)
    acquisition = DynamicMRI((12, 12), 5)
    with pytest.raises(ValueError, match=match):
        acquisition.forward_operator(mask)
    data = acquisition.operator.range.one()
    with pytest.raises(ValueError, match=match):
        acquisition.view_sharing(data, mask)


@pytest.mark.parametrize(
    'film, match',
    [
        (np.ones((12, 12, 4)), 'n_frames=4'),
        (np.ones((12, 12)), 'a frame and the number of frames'),
        (np.ones((12, 13, 5)), 'a frame and the number of frames'),
        (np.full((12, 12, 5), np.nan), 'not a number'),
    ],
)
def test_films_that_do_not_fit(film, match):
    """A film of other frames is refused."""
    with pytest.raises(ValueError, match=match):
        DynamicMRI((12, 12), 5).simulate(film)


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        ({'pattern': 'spiral'}, ValueError, 'pattern'),
        ({'n_frames': 0}, ValueError, 'n_frames'),
        ({'n_frames': 2.5}, TypeError, 'n_frames'),
        ({'axis': 2}, ValueError, 'axis'),
        ({'frame_time': 0}, ValueError, 'frame_time'),
        ({'coil_maps': np.ones((2, 5, 5))}, ValueError, 'coil_maps'),
        ({'mask': 1, 'random_masks': True}, ValueError, 'one of the two'),
        ({'sigma': -1}, ValueError, 'sigma'),
    ],
)
def test_wrong_arguments(arguments, error, match):
    """Arguments out of their range are refused."""
    with pytest.raises(error, match=match):
        DynamicMRI(**{'shape': (12, 12), **arguments})
