# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the simulated tomography."""

import math
import pickle
import warnings

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.data import SparseViewCT, ellipse_phantom


def _acquisition(shape=(24, 24), **options):
    options.setdefault('n_views', 8)
    options.setdefault('impl', 'astra_cpu')
    return SparseViewCT(shape, **options)


def _array(element):
    return np.asarray(element.data)


def test_defaults_are_the_settings_of_the_reference():
    """The default geometry is that of the experiments, on a 256 grid."""
    acquisition = SparseViewCT(impl='astra_cpu')
    assert acquisition.space.shape == (256, 256)
    assert acquisition.operator.range.shape == (50, 363)
    assert acquisition.n_photons == 10000
    assert acquisition.mu_max == 81.35858
    motion = acquisition.geometry.motion_partition
    assert motion.min_pt[0] == 0
    assert motion.max_pt[0] == pytest.approx(math.pi)
    assert motion.is_uniform
    detector = acquisition.geometry.det_partition
    assert detector.max_pt[0] == pytest.approx(math.sqrt(2) * 0.18)


@pytest.mark.parametrize('shape', [(24, 24), (17, 32), (31, 20)])
@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_grids_share_the_field_of_view(shape, backend):
    """Both grids cover one centred field, with square pixels."""
    acquisition = _acquisition(shape, side=0.3, backend=backend)
    space, fine = acquisition.space, acquisition.fine_space
    assert np.allclose(space.min_pt, -np.asarray(space.max_pt))
    assert np.allclose(space.max_pt, fine.max_pt)
    assert np.allclose(space.cell_sides, 0.3 / max(shape))
    assert fine.shape == tuple(2 * n for n in shape)
    assert acquisition.fine_operator.range == acquisition.operator.range
    assert space.impl == fine.impl == backend


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_data_are_chord_lengths_in_metres(backend):
    """Without noise, a disc projects to its value times its chords."""
    acquisition = _acquisition(
        (64, 64), side=0.2, n_photons=None, backend=backend
    )
    x, y = acquisition.fine_space.grid.coord_vectors
    disc = 0.3 * (np.hypot(x[:, None], y[None, :]) < 0.06)
    data = _array(acquisition.simulate(disc))
    (s,) = acquisition.geometry.det_partition.coord_vectors
    chords = 2 * np.sqrt(np.maximum(0.06**2 - s**2, 0))
    assert np.allclose(data, 0.3 * chords, atol=0.3 * 0.004)
    assert data.max() == pytest.approx(0.3 * 0.12, rel=0.02)


@pytest.mark.parametrize('n_photons', [None, float('inf')])
def test_without_photon_noise_data_are_the_projection(n_photons):
    """Without noise, data are the projection on the fine grid."""
    acquisition = _acquisition(n_photons=n_photons)
    phantom = ellipse_phantom(acquisition.fine_space, 0)
    data = acquisition.simulate(phantom, rng=1)
    expected = acquisition.fine_operator(phantom)
    assert np.allclose(_array(data), _array(expected), rtol=1e-6)


@pytest.mark.parametrize('n_photons', [50.0, 5000.0])
def test_counts_have_the_mean_and_variance_of_poisson(n_photons):
    """Counts behind a slab have the variance of their mean."""
    slab = np.full((96, 96), 0.1)
    options = {'n_views': 80, 'side': 0.1}
    clean = _acquisition((48, 48), n_photons=None, **options)
    noisy = _acquisition((48, 48), n_photons=n_photons, **options)
    scale = -noisy.mu_max
    mean = n_photons * np.exp(scale * _array(clean.simulate(slab)))
    data = _array(noisy.simulate(slab, rng=0)).astype(float)
    z = (n_photons * np.exp(scale * data) - mean) / np.sqrt(mean)
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert z.std() == pytest.approx(1, abs=0.05)


def test_rays_without_photons_stay_finite():
    """A count of zero stands for a transmission of 1e-8."""
    acquisition = _acquisition(n_photons=10.0)
    with pytest.warns(UserWarning, match='100 % of these rays'):
        data = _array(acquisition.simulate(np.full((48, 48), 10.0), rng=0))
    assert data.max() == pytest.approx(
        -math.log(1e-8) / acquisition.mu_max, rel=1e-5
    )


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_seed_decides(backend):
    """A seed gives the same data, another seed other data."""
    acquisition = _acquisition(backend=backend)
    phantom = ellipse_phantom((48, 48), 0)
    first = _array(acquisition.simulate(phantom, rng=3))
    again = _array(acquisition.simulate(phantom, np.random.default_rng(3)))
    other = _array(acquisition.simulate(phantom, rng=4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_backends_agree():
    """Both array back-ends give the same data."""
    phantom = ellipse_phantom((48, 48), 0)
    data = [
        _array(_acquisition(backend=b).simulate(phantom, rng=0))
        for b in ('numpy', 'pytorch')
    ]
    assert np.allclose(*data, rtol=1e-5, atol=1e-7)


def test_image_on_the_coarse_grid_is_refined_by_repetition():
    """Pixels of an image on the reconstruction grid are repeated."""
    acquisition = _acquisition((20, 24))
    coarse = ellipse_phantom((20, 24), 0)
    fine = np.kron(coarse, np.ones((2, 2)))
    assert np.array_equal(
        _array(acquisition.simulate(coarse, rng=0)),
        _array(acquisition.simulate(fine, rng=0)),
    )
    assert np.array_equal(_array(acquisition.ground_truth(coarse)), coarse)


def test_ground_truth_is_the_mean_of_each_pixel():
    """A pixel of the ground truth is the mean of its four fine ones."""
    acquisition = _acquisition((20, 24))
    fine = ellipse_phantom((40, 48), 0)
    truth = acquisition.ground_truth(fine)
    assert truth in acquisition.space
    expected = (
        fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]
    ) / 4
    assert np.allclose(_array(truth), expected, atol=1e-6)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_image_may_be_an_array_a_tensor_or_an_element(backend, dtype):
    """An array, a tensor and an element give the same data."""
    acquisition = _acquisition(backend=backend)
    array = ellipse_phantom((48, 48), 0)
    space = acquisition.fine_space.astype(dtype)
    images = [
        array.astype(dtype),
        array[::-1].copy()[::-1],
        torch.from_numpy(array),
        ellipse_phantom(space, 0),
        array.tolist(),
    ]
    data = [_array(acquisition.simulate(image, rng=0)) for image in images]
    for other in data[1:]:
        assert np.array_equal(data[0], other)


@pytest.mark.parametrize('shape', [(24, 24), (48, 48)])
def test_image_of_the_caller_is_left_alone(shape):
    """The image is not changed, nor is it by writing to a result."""
    acquisition = _acquisition(n_photons=None)
    image = ellipse_phantom(shape, 0)
    before = image.copy()
    image.setflags(write=False)
    acquisition.simulate(image)
    truth = acquisition.ground_truth(image)
    assert not np.shares_memory(_array(truth), image)
    assert np.array_equal(image, before)


def test_fbp_leaves_the_data_alone():
    """Neither an array nor an element of data is changed."""
    acquisition = _acquisition()
    data = acquisition.simulate(ellipse_phantom((48, 48), 0), rng=0)
    before = _array(data).copy()
    from_element = acquisition.fbp(data)
    from_array = acquisition.fbp(before.copy())
    assert np.array_equal(_array(data), before)
    assert np.array_equal(_array(from_element), _array(from_array))


def test_even_number_of_views_is_symmetric():
    """With even views, A* A commutes with a turn by 90 degrees."""
    operator = _acquisition((32, 32), n_views=10).operator
    image = ellipse_phantom((32, 32), 0)

    def normal(array):
        return _array(operator.adjoint(operator(array.copy())))

    turned, result = normal(np.rot90(image)), np.rot90(normal(image))
    error = np.linalg.norm(turned - result) / np.linalg.norm(result)
    assert error < 2e-5


def test_fbp_of_a_phantom_resembles_it():
    """The reconstruction is far closer to the truth than nothing."""
    acquisition = SparseViewCT((96, 96), impl='astra_cpu', side=0.2)
    phantom = ellipse_phantom((192, 192), 0)
    truth = _array(acquisition.ground_truth(phantom))
    image = _array(acquisition.fbp(acquisition.simulate(phantom, rng=0)))
    error = np.linalg.norm(image - truth) / np.linalg.norm(truth)
    assert error < 0.25


def test_large_grid_raises_no_warning():
    """ODL's advice to use a GPU is not shown."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter('always')
        acquisition = SparseViewCT((256, 256), n_views=2, impl='astra_cpu')
        acquisition.simulate(np.zeros((512, 512)), rng=0)
    assert [str(warning.message) for warning in given] == []


def test_double_precision():
    """With 'astra_matrix', all is done in double precision."""
    single = _acquisition(impl='astra_matrix')
    double = _acquisition(impl='astra_matrix', dtype='float64')
    phantom = ellipse_phantom((48, 48), 0)
    data = double.simulate(phantom, rng=0)
    assert _array(data).dtype == np.float64
    assert _array(double.fbp(data)).dtype == np.float64
    assert np.allclose(
        _array(double.fbp(data)),
        _array(single.fbp(_array(data).astype('float32'))),
        atol=1e-5,
    )


def test_default_backend_of_the_ray_transform_is_the_matrix():
    """Without `impl`, the ray transform is the sparse matrix."""
    assert SparseViewCT((16, 16)).impl == 'astra_matrix'


def test_pickle_keeps_the_settings():
    """A copy for another process gives the same data."""
    acquisition = _acquisition((20, 24), n_photons=300, side=0.2)
    acquisition.fbp(np.zeros(acquisition.operator.range.shape))
    clone = pickle.loads(pickle.dumps(acquisition))
    assert repr(clone) == repr(acquisition)
    phantom = ellipse_phantom((40, 48), 0)
    assert np.array_equal(
        _array(acquisition.simulate(phantom, rng=0)),
        _array(clone.simulate(phantom, rng=0)),
    )


@pytest.mark.parametrize('method', ['simulate', 'ground_truth'])
@pytest.mark.parametrize('shape', [(24, 48), (25, 25), (48,), (1, 48, 48)])
def test_wrong_shape_names_both_right_ones(method, shape):
    """The error of a wrong shape names the fine and the coarse shape."""
    acquisition = _acquisition()
    with pytest.raises(ValueError, match=r'\(48, 48\).*\(24, 24\).*got'):
        getattr(acquisition, method)(np.zeros(shape))


@pytest.mark.parametrize('method', ['simulate', 'ground_truth'])
@pytest.mark.parametrize(
    'value, reason',
    [
        (float('nan'), 'not a number'),
        (float('inf'), 'infinite'),
        (-1e-3, 'negative'),
    ],
)
def test_impossible_values_are_refused(method, value, reason):
    """One value that is negative or not finite is an error."""
    image = np.zeros((48, 48))
    image[3, 4] = value
    with pytest.raises(ValueError, match=reason):
        getattr(_acquisition(), method)(image)


def test_complex_images_are_refused():
    """An attenuation is real."""
    acquisition = _acquisition()
    with pytest.raises(ValueError, match='real image'):
        acquisition.simulate(np.zeros((48, 48), dtype=complex))
    with pytest.raises(ValueError, match='real image'):
        acquisition.simulate(acquisition.fine_space.complex_space.zero())


def test_element_of_another_extent_is_refused():
    """An element of another size in metres is not silently rescaled."""
    space = odl.uniform_discr([-0.1, -0.1], [0.1, 0.1], (48, 48))
    with pytest.raises(ValueError, match='side=0.2'):
        _acquisition().simulate(space.zero())


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_fbp_refuses_data_that_are_not_finite(value):
    """Data that are infinite or not a number are refused."""
    acquisition = _acquisition()
    data = np.zeros(acquisition.operator.range.shape)
    data[1, 2] = value
    with pytest.raises(ValueError, match='`data` has values'):
        acquisition.fbp(data)


def test_fbp_refuses_data_of_another_shape():
    """The error names the shape of the data."""
    with pytest.raises(ValueError, match=r'\(8, 34\).*got \(34, 8\)'):
        _acquisition().fbp(np.zeros((34, 8)))


@pytest.mark.parametrize(
    'name, value',
    [
        ('shape', (0, 16)),
        ('shape', (16,)),
        ('n_views', 0),
        ('n_detectors', -3),
        ('side', 0.0),
        ('side', float('inf')),
        ('n_photons', 0),
        ('n_photons', float('nan')),
        ('mu_max', -1.0),
        ('impl', 'magic'),
        ('dtype', 'float16'),
        ('backend', 'cupy'),
    ],
)
def test_impossible_settings_are_refused(name, value):
    """A setting that is not positive or known is named."""
    with pytest.raises(ValueError, match=f'`{name}`'):
        SparseViewCT(**{name: value})


@pytest.mark.parametrize(
    'name, value',
    [
        ('n_views', 5.5),
        ('side', '0.3'),
        ('shape', (16.0, 16.0)),
        ('shape', 16),
    ],
)
def test_settings_of_another_type_are_refused(name, value):
    """A setting of another type is named."""
    with pytest.raises(TypeError, match=f'`{name}`'):
        SparseViewCT(**{name: value})


def test_double_precision_without_the_matrix_is_refused():
    """ODL's own back-end is limited to single precision, and says so."""
    with pytest.raises(ValueError, match='limited to float32'):
        _acquisition(dtype='float64')


# --- Data of another kind --- #


WRONG = {
    'negated': (lambda y, ct: -y, 'Pass `-data`'),
    'transposed': (lambda y, ct: y.T, 'the axes are swapped'),
    'counts': (lambda y, ct: 1e4 * np.exp(-ct.mu_max * y), 'readings of a'),
    'exponents': (lambda y, ct: ct.mu_max * y, 'Divide them by'),
}


@pytest.fixture(scope='module', params=['parallel', 'fan'])
def square(request):
    """Return an acquisition with square data, and data of a disc."""
    ct = SparseViewCT((64, 64), 91, 91, geometry=request.param)
    x = np.linspace(-1, 1, 128)
    disc = 0.25 * ((x[:, None] - 0.3) ** 2 + x**2 < 0.3)
    return ct, ct.simulate(disc, rng=0).asarray()


@pytest.mark.parametrize('method', ['fbp', 'baseline'])
@pytest.mark.parametrize('kind', WRONG)
def test_other_data_than_line_integrals_are_named_once(square, kind, method):
    """Data of which no image is right give a warning with the remedy."""
    ct, y = square
    ct = pickle.loads(pickle.dumps(ct))
    change, words = WRONG[kind]
    with pytest.warns(UserWarning, match=words) as record:
        getattr(ct, method)(change(y, ct))
        getattr(ct, method)(change(y, ct))
    assert len(record) == 1 and record[0].filename == __file__


def test_residuals_have_a_way_without_warning(square):
    """The warning about negative data names what residuals may take."""
    ct, y = square
    ct = pickle.loads(pickle.dumps(ct))
    residual = ct.operator(ct.space.zero()) - ct.operator.range.element(y)
    with pytest.warns(UserWarning, match=r'`acquisition\.fbp_operator`'):
        expected = ct.fbp(residual)
    other = pickle.loads(pickle.dumps(ct))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        image = other.fbp_operator(residual)
    np.testing.assert_array_equal(image.asarray(), expected.asarray())
    with pytest.warns(UserWarning, match='readings of a') as record:
        other.fbp(1e4 * np.exp(-ct.mu_max * y))
    assert 'residual' not in str(record[0].message)


@pytest.mark.parametrize('n_photons', [100, 1e4, None])
@pytest.mark.parametrize('shape', [(32, 32), (48, 96), (33, 20)])
@pytest.mark.parametrize('geometry', ['parallel', 'fan'])
def test_line_integrals_give_no_warning(geometry, shape, n_photons):
    """Simulated data are what they have to be, with little light as well."""
    ct = SparseViewCT(shape, 46, n_photons=n_photons, geometry=geometry)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for seed in range(3):
            image = ellipse_phantom(ct.image_shape, rng=seed)
            ct.fbp(ct.simulate(image, rng=seed))
        ct.fbp(ct.operator.range.zero())
        few = SparseViewCT(shape, 8, n_photons=n_photons, geometry=geometry)
        image = ellipse_phantom(few.image_shape, rng=3)
        assert few.inconsistency(few.simulate(image, rng=3)).cause is None
