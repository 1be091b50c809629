# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the simulated magnetic resonance imaging."""

import pickle

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.data import CartesianMRI, mr_phantom
from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.elements import as_element
from odl_equivariant.nn import LearnedProximalGradient, OrdinaryProximal
from odl_equivariant.operators import CartesianMask

SHAPE = (24, 33)


def _array(element):
    """Return an element as an array, the coils along the first axis."""
    if isinstance(element.space, odl.ProductSpace):
        return np.stack([_array(part) for part in element])
    return np.asarray(element.data)


def _image(shape=SHAPE, seed=0):
    return mr_phantom(shape, seed, phase=True)


def _maps(n_coils=3, shape=SHAPE, seed=1):
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((2, n_coils, *shape))
    return maps[0] + 1j * maps[1]


def _fourier(image):
    """Return the unitary transform, the zero frequency in the middle."""
    axes = (-2, -1)
    shifted = np.fft.ifftshift(image, axes)
    return np.fft.fftshift(np.fft.fft2(shifted, norm='ortho'), axes)


def test_defaults_are_the_settings_of_the_reference():
    """Images are complex, of 320 x 320, seen by one coil with noise 0.03."""
    acquisition = CartesianMRI()
    assert acquisition.space.shape == (320, 320)
    assert acquisition.space.is_complex
    assert acquisition.sigma == 0.03
    assert acquisition.coil_maps is None
    assert acquisition.mask.shape == (1, 320)
    assert acquisition.mask.sum() == 80
    assert np.allclose(acquisition.space.max_pt, 0.11)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('n_coils', [None, 3])
def test_data_without_noise_are_the_masked_transform(backend, dtype, n_coils):
    """Data are m F (c u), by the transform of NumPy."""
    maps = None if n_coils is None else _maps(n_coils)
    acquisition = CartesianMRI(
        SHAPE, sigma=0, coil_maps=maps, dtype=dtype, backend=backend
    )
    image = _image().astype(complex)
    data = acquisition.simulate(image)
    assert data in acquisition.operator.range
    seen = image if maps is None else maps * image
    expected = acquisition.mask * _fourier(seen)
    atol = 2e-5 if dtype == 'float32' else 1e-12
    assert np.allclose(_array(data), expected, atol=atol)


@pytest.mark.parametrize('n_coils', [None, 2])
@pytest.mark.parametrize('axis', [0, 1])
def test_noise_is_gaussian_where_sampled(n_coils, axis):
    """Real and imaginary part have the deviation sigma, elsewhere is 0."""
    shape = (96, 128)
    maps = None if n_coils is None else _maps(n_coils, shape)
    acquisition = CartesianMRI(shape, sigma=0.2, coil_maps=maps, axis=axis)
    noise = _array(acquisition.simulate(np.zeros(shape), 0))
    mask = np.broadcast_to(acquisition.mask, noise.shape)
    assert not noise[~mask].any()
    values = noise[mask]
    for part in (values.real, values.imag):
        assert abs(part.mean()) < 4 * 0.2 / np.sqrt(part.size)
        assert part.std() == pytest.approx(0.2, rel=0.05)
    correlation = np.corrcoef(values.real, values.imag)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(values.size)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_seed_decides(backend):
    """A seed gives the same data, another seed other data."""
    acquisition = CartesianMRI(SHAPE, backend=backend)
    first = _array(acquisition.simulate(_image(), 3))
    again = _array(acquisition.simulate(_image(), np.random.default_rng(3)))
    other = _array(acquisition.simulate(_image(), 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_backends_agree():
    """Both array back-ends give the same data."""
    data = [
        _array(CartesianMRI(SHAPE, backend=b).simulate(_image(), 0))
        for b in ('numpy', 'pytorch')
    ]
    assert np.allclose(*data, atol=1e-5)


def test_real_image_has_no_imaginary_part():
    """A real image is the complex one with the imaginary part 0."""
    acquisition = CartesianMRI(SHAPE)
    image = mr_phantom(SHAPE, 0)
    assert not np.iscomplexobj(image)
    truth = _array(acquisition.ground_truth(image))
    assert np.array_equal(truth.real, image)
    assert not truth.imag.any()
    data = [acquisition.simulate(u, 0) for u in (image, image + 0j)]
    assert np.array_equal(*map(_array, data))


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_image_may_be_an_array_a_tensor_or_an_element(backend):
    """An array, a tensor and an element give the same data."""
    acquisition = CartesianMRI(SHAPE, backend=backend)
    array = _image()
    images = [
        array,
        array[::-1].copy()[::-1],
        torch.from_numpy(array),
        torch.from_numpy(array.conj()).conj(),
        acquisition.ground_truth(array),
        array.tolist(),
    ]
    data = [_array(acquisition.simulate(image, 0)) for image in images]
    for other in data[1:]:
        assert np.array_equal(data[0], other)


def test_image_of_the_caller_is_left_alone():
    """The image is not changed, nor is it by writing to a result."""
    acquisition = CartesianMRI(SHAPE)
    image = _image()
    before = image.copy()
    truth = acquisition.ground_truth(image)
    truth *= 0
    pair = acquisition.pair(image, 0)
    pair['truth'].zero_()
    assert np.array_equal(image, before)


def test_zero_filled_is_the_adjoint_for_one_coil():
    """For one coil zero-filling is A^* y."""
    acquisition = CartesianMRI(SHAPE)
    data = acquisition.simulate(_image(), 0)
    expected = acquisition.operator.adjoint(data)
    assert np.allclose(
        _array(acquisition.zero_filled(data)), _array(expected), atol=1e-6
    )


@pytest.mark.parametrize('n_coils', [None, 1, 4])
def test_zero_filling_of_all_samples_is_exact(n_coils):
    """From all samples without noise, the image comes back."""
    maps = None if n_coils is None else _maps(n_coils)
    acquisition = CartesianMRI(
        SHAPE, sigma=0, coil_maps=maps, mask=np.ones((1, 1)), dtype='float64'
    )
    image = _image()
    result = acquisition.zero_filled(acquisition.simulate(image))
    assert np.allclose(_array(result), image, atol=1e-10)


def test_where_no_coil_sees_anything_is_zero():
    """Where all sensitivities are zero, the zero-filled image is zero."""
    maps = _maps()
    maps[:, :5] = 0
    acquisition = CartesianMRI(SHAPE, coil_maps=maps)
    result = _array(acquisition.zero_filled(acquisition.simulate(_image(), 0)))
    assert np.isfinite(result).all()
    assert not result[:5].any()
    assert result[5:].any()


@pytest.mark.parametrize('n_coils', [None, 3])
def test_zero_filled_takes_data_of_any_mask(n_coils):
    """Data of another mask are reconstructed without a loss."""
    maps = None if n_coils is None else _maps(n_coils)
    acquisition = CartesianMRI(SHAPE, coil_maps=maps, sigma=0)
    full = np.ones((1, 1), bool)
    data = acquisition.simulate(_image(), mask=full)
    result = acquisition.zero_filled(_array(data))
    assert np.allclose(_array(result), _image(), atol=1e-4)
    assert (_array(acquisition.baseline(data)) == _array(result)).all()


@pytest.mark.parametrize('n_coils', [None, 3])
@pytest.mark.parametrize('kind', [np.array, torch.tensor, None])
def test_forward_operator_of_a_mask(n_coils, kind):
    """The data of a mask are the values of its forward operator."""
    maps = None if n_coils is None else _maps(n_coils)
    acquisition = CartesianMRI(SHAPE, coil_maps=maps, sigma=0)
    mask = acquisition.draw_mask(7)
    if kind is not None:
        mask = kind(mask.array)
    operator = acquisition.forward_operator(mask)
    assert operator.domain == acquisition.space
    assert operator.range == acquisition.operator.range
    image = acquisition.ground_truth(_image())
    data = acquisition.simulate(image, mask=mask)
    assert np.array_equal(_array(operator(image)), _array(data))
    other = acquisition.simulate(image)
    assert not np.array_equal(_array(data), _array(other))


def test_masks_are_drawn_from_the_seed_with_the_settings():
    """`draw_mask` uses the seed and the settings of the acquisition."""
    acquisition = CartesianMRI(
        (64, 48), acceleration=3, center_fraction=0.1, axis=0
    )
    mask = acquisition.draw_mask(5)
    assert mask == acquisition.draw_mask(np.random.default_rng(5))
    assert mask != acquisition.draw_mask(6)
    assert len(mask.lines) == 21
    assert mask.axis == 0
    assert mask.array[29:35].all()


@pytest.mark.parametrize('convert', [lambda mask: mask, np.asarray])
def test_mask_may_be_given(convert):
    """The operator samples the given mask."""
    mask = convert(CartesianMask(SHAPE, 2, seed=9, axis=0))
    acquisition = CartesianMRI(SHAPE, mask=mask)
    assert acquisition.mask.shape == (24, 1)
    data = _array(acquisition.simulate(_image(), 0))
    assert np.array_equal(data != 0, np.asarray(mask))


@pytest.mark.parametrize('n_coils', [None, 3])
def test_pair_is_in_the_layout_of_the_elements(n_coils):
    """The tensors of a pair are those of `simulate` and `ground_truth`."""
    maps = None if n_coils is None else _maps(n_coils)
    acquisition = CartesianMRI(SHAPE, coil_maps=maps)
    pair = acquisition.pair(_image(), 0)
    assert pair.keys() == {'data', 'truth'}
    data = as_element(pair['data'], acquisition.operator.range)
    assert np.array_equal(
        _array(data), _array(acquisition.simulate(_image(), 0))
    )
    truth = as_element(pair['truth'], acquisition.space)
    assert np.array_equal(_array(truth), _image())


@pytest.mark.parametrize('n_coils', [None, 2])
@pytest.mark.parametrize('axis', [0, 1])
def test_pair_with_a_random_mask(n_coils, axis):
    """Data are sampled at the pair's mask, which differs by the seed."""
    maps = None if n_coils is None else _maps(n_coils)
    acquisition = CartesianMRI(
        SHAPE, coil_maps=maps, random_masks=True, axis=axis
    )
    pairs = [acquisition.pair(_image(), seed) for seed in (0, 0, 1)]
    expected = [1, 1]
    expected[axis] = SHAPE[axis]
    for pair in pairs:
        mask = pair['mask']
        assert mask.dtype == torch.bool
        assert list(mask.shape) == expected
        assert ((pair['data'] != 0) == mask).all()
    assert torch.equal(pairs[0]['data'], pairs[1]['data'])
    assert torch.equal(pairs[0]['mask'], pairs[1]['mask'])
    assert not torch.equal(pairs[0]['mask'], pairs[2]['mask'])


def test_network_of_a_pair():
    """A network with a pair's operator reconstructs the pair's data."""
    acquisition = CartesianMRI(SHAPE, random_masks=True)
    pair = acquisition.pair(_image(), 0)
    network = LearnedProximalGradient(
        acquisition.forward_operator(pair['mask']),
        lambda: OrdinaryProximal(in_channels=2, channels=4),
        n_iterations=1,
    )
    assert network(pair['data'][None]).shape[1:] == pair['truth'].shape


@pytest.mark.parametrize('maps_are_own', [True, False])
def test_measured_samples_of_several_coils(maps_are_own):
    """Data are the samples, or k-space of the combined image for one coil."""
    maps, image = _maps(), _image().astype(complex)
    kspace = _fourier(maps * image)
    acquisition = CartesianMRI(
        SHAPE,
        coil_maps=maps if maps_are_own else None,
        dtype='float64',
        random_masks=True,
    )
    pair = acquisition.from_kspace(kspace, maps, rng=0)
    data = _array(as_element(pair['data'], acquisition.operator.range))
    expected = kspace if maps_are_own else _fourier(image)
    assert np.allclose(data, pair['mask'].numpy() * expected, atol=1e-10)
    truth = _array(as_element(pair['truth'], acquisition.space))
    assert np.allclose(truth, image, atol=1e-10)


def test_measured_samples_with_an_image():
    """The data are the samples, and the ground truth is the given image."""
    acquisition = CartesianMRI(SHAPE)
    image = mr_phantom(SHAPE, 1)
    pair = acquisition.from_kspace(_fourier(_image()), image=image)
    assert pair.keys() == {'data', 'truth'}
    assert np.array_equal(pair['truth'][0].numpy(), image)
    data = _array(as_element(pair['data'], acquisition.operator.range))
    expected = acquisition.mask * _fourier(_image())
    assert np.allclose(data, expected, atol=1e-5)


@pytest.mark.parametrize(
    ('shape', 'maps', 'own', 'match'),
    [
        ((3, *SHAPE), None, None, '3 coils, and the acquisition has one'),
        ((2, *SHAPE), 3, None, '2 coils, and `coil_maps` have 3'),
        ((2, *SHAPE), None, 3, '2 coils, and the acquisition has 3'),
        ((3, *SHAPE), 3, 3, 'differ from the maps of the acq'),
        ((24, 32), None, None, 'crop the image'),
        ((0, *SHAPE), None, None, 'an axis that counts coils'),
        ((1, 1, *SHAPE), None, None, 'an axis that counts coils'),
    ],
)
def test_measured_samples_that_do_not_fit(shape, maps, own, match):
    """Coils and shapes that do not fit are named."""
    own = None if own is None else _maps(own)
    acquisition = CartesianMRI(SHAPE, coil_maps=own)
    maps = None if maps is None else _maps(maps, seed=2)
    with pytest.raises(ValueError, match=match):
        acquisition.from_kspace(np.ones(shape, complex), maps)


@pytest.mark.parametrize('value', [np.nan, np.inf, 1j * np.nan])
def test_values_that_are_none_are_refused(value):
    """Infinite values and NaN in data or images are refused."""
    acquisition = CartesianMRI(SHAPE)
    array = np.ones(SHAPE, complex)
    array[2, 3] = value
    for method in (
        acquisition.simulate,
        acquisition.ground_truth,
        acquisition.zero_filled,
        acquisition.pair,
        acquisition.from_kspace,
    ):
        with pytest.raises(ValueError, match='not a number'):
            method(array)


@pytest.mark.parametrize('shape', [(33, 24), (48, 66), (24,), (1, 24, 33)])
def test_arrays_of_another_shape_are_refused(shape):
    """The error tells the expected shape."""
    acquisition = CartesianMRI(SHAPE)
    for method in (acquisition.simulate, acquisition.zero_filled):
        with pytest.raises(ValueError, match=r'shape \(24, 33\), got'):
            method(np.zeros(shape))


@pytest.mark.parametrize('image', [np.full(SHAPE, 'a'), None, object()])
def test_what_is_no_image_is_refused(image):
    """Arrays that do not contain numbers are refused."""
    with pytest.raises(ValueError, match='real or complex image'):
        CartesianMRI(SHAPE).simulate(image)


def test_image_of_another_extent_is_refused():
    """An element that covers another field of view is refused."""
    acquisition = CartesianMRI(SHAPE, side=0.2)
    image = CartesianMRI(SHAPE, side=0.3).space.one()
    with pytest.raises(ValueError, match='pass `side=0.3`'):
        acquisition.simulate(image)


@pytest.mark.parametrize(
    ('settings', 'error', 'match'),
    [
        ({'shape': (8,)}, ValueError, '2 whole numbers'),
        ({'shape': (8, 0)}, ValueError, '`shape`.*at least 1'),
        ({'shape': (8.0, 8)}, TypeError, '2 whole numbers'),
        ({'acceleration': 0.5}, ValueError, '`acceleration`'),
        ({'center_fraction': 0.5}, ValueError, 'fully sampled'),
        ({'pattern': 'radial'}, ValueError, '`pattern`'),
        ({'axis': 2}, ValueError, '`axis`'),
        ({'seed': -1}, ValueError, '`seed`'),
        ({'sigma': -0.1}, ValueError, '`sigma`.*at least 0'),
        ({'sigma': float('nan')}, ValueError, 'finite'),
        ({'sigma': 'a'}, TypeError, 'a finite number'),
        ({'sigma': True}, TypeError, 'a finite number'),
        ({'side': 0}, ValueError, '`side`'),
        ({'dtype': 'complex64'}, ValueError, '`dtype`'),
        ({'backend': 'jax'}, ValueError, '`backend`'),
        ({'coil_maps': np.ones((2, 8, 8))}, ValueError, '`coil_maps`'),
        ({'random_masks': 'no'}, TypeError, 'True or False'),
        ({'mask': np.zeros((1, 33))}, ValueError, 'true somewhere'),
        ({'mask': np.ones((33, 1))}, ValueError, '`mask`'),
        ({'mask': np.ones((1, 33)), 'random_masks': True}, ValueError, 'two'),
    ],
)
def test_settings_that_make_no_sense(settings, error, match):
    """The error names the wrong setting."""
    with pytest.raises(error, match=match):
        CartesianMRI(**{'shape': SHAPE, **settings})


def test_mask_that_does_not_fit_is_refused():
    """A mask of another shape is refused where it is given."""
    acquisition = CartesianMRI(SHAPE)
    with pytest.raises(ValueError, match='`mask` must have the shape'):
        acquisition.simulate(_image(), mask=np.ones((1, 24)))
    with pytest.raises(ValueError, match='`mask` must have the shape'):
        acquisition.forward_operator(np.ones((1, 24)))


@pytest.mark.parametrize(
    'settings',
    [
        {'axis': 0, 'seed': 4, 'sigma': 0.1},
        {'random_masks': True, 'backend': 'pytorch', 'dtype': 'float64'},
        {'coil_maps': _maps(2), 'mask': CartesianMask(SHAPE, 2, seed=3)},
    ],
)
def test_pickling_keeps_the_settings(settings):
    """A pickled acquisition makes the same pairs."""
    acquisition = CartesianMRI(SHAPE, **settings)
    copy = pickle.loads(pickle.dumps(acquisition))
    assert copy.operator.domain == acquisition.operator.domain
    assert repr(copy) == repr(acquisition)
    before, after = (a.pair(_image(), 3) for a in (acquisition, copy))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name])


def test_repr_makes_an_equal_acquisition():
    """Evaluating ``repr`` gives an equal acquisition, without arrays."""
    acquisition = CartesianMRI(SHAPE, acceleration=3, seed=2)
    copy = eval(repr(acquisition))
    assert np.array_equal(copy.mask, acquisition.mask)
    assert repr(copy) == repr(acquisition)
    assert 'array of shape (2, 24, 33)' in repr(
        CartesianMRI(SHAPE, coil_maps=_maps(2))
    )


# --- Coil maps of each image --- #


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_forward_operator_of_coil_maps(backend, dtype):
    """Its data are m F (c u), with the mask and the maps given."""
    acquisition = CartesianMRI(SHAPE, n_coils=3, dtype=dtype, backend=backend)
    mask, maps = acquisition.draw_mask(3), _maps(3)
    operator = acquisition.forward_operator(mask, maps)
    assert operator.domain == acquisition.space
    assert operator.range == acquisition.operator.range
    image = acquisition.ground_truth(_image())
    expected = mask.array * _fourier(maps * _array(image))
    atol = 2e-5 if dtype == 'float32' else 1e-12
    assert np.allclose(_array(operator(image)), expected, atol=atol)
    assert_adjoint(operator)
    only = acquisition.forward_operator(coil_maps=maps)
    expected = acquisition.mask * _fourier(maps * _array(image))
    assert np.allclose(_array(only(image)), expected, atol=atol)


def test_pair_with_coil_maps_of_its_own():
    """Data are those of the maps of the pair, which differ by image."""
    acquisition = CartesianMRI(SHAPE, n_coils=3, sigma=0, random_masks=True)
    pair, other = (acquisition.pair(_image(), rng) for rng in (0, 1))
    maps = pair['coil_maps']
    assert maps.shape == (3, *SHAPE) and maps.dtype == torch.complex64
    assert not torch.equal(maps, other['coil_maps'])
    operator = acquisition.forward_operator(pair['mask'], maps)
    truth = as_element(pair['truth'], acquisition.space)
    data = as_element(pair['data'], operator.range)
    assert float((operator(truth) - data).norm()) < 1e-5
    # the squares of the maps add up to 1
    full = acquisition.forward_operator(np.ones(SHAPE), maps)
    image = acquisition.zero_filled(full(truth), coil_maps=maps)
    assert np.allclose(_array(image), _array(truth), atol=1e-5)


def test_measured_pair_with_coil_maps_of_its_own():
    """The pair has the maps given, and the data of all coils."""
    maps = _maps(3)
    kspace = _fourier(maps * _image())
    acquisition = CartesianMRI(SHAPE, n_coils=3)
    pair = acquisition.from_kspace(kspace, maps)
    assert np.allclose(pair['coil_maps'].numpy(), maps, atol=1e-6)
    truth = as_element(pair['truth'], acquisition.space)
    assert np.allclose(_array(truth), _image(), atol=1e-5)
    fit = acquisition.data_fit(
        as_element(pair['data'], acquisition.operator.range), coil_maps=maps
    )
    assert fit(truth) < 1e-10
    with pytest.raises(ValueError, match='pass `coil_maps`'):
        acquisition.from_kspace(kspace)


def test_coil_maps_of_each_image_are_never_guessed():
    """Without the maps of the image, nothing is computed."""
    acquisition = CartesianMRI(SHAPE, n_coils=3)
    data = acquisition.operator.range.zero()
    for call in (
        lambda: acquisition.simulate(_image()),
        lambda: acquisition.zero_filled(data),
        lambda: acquisition.data_fit(data),
    ):
        with pytest.raises(ValueError, match='pass `coil_maps`'):
            call()


def test_settings_with_coils_of_each_image():
    """A copy is equal; acquisitions without them have their old settings."""
    acquisition = CartesianMRI(SHAPE, n_coils=3, partial_fourier=0.75)
    copy = pickle.loads(pickle.dumps(acquisition))
    assert copy.fingerprint() == acquisition.fingerprint()
    assert copy.own_coil_maps and len(copy.coil_maps) == 3
    assert 'n_coils' not in CartesianMRI(SHAPE).settings()
    assert acquisition.with_shape((16, 16)).coil_maps.shape == (3, 16, 16)


@pytest.mark.parametrize(
    'call, match',
    [
        (
            lambda: CartesianMRI(SHAPE, n_coils=2, coil_maps=_maps(2)),
            'one of the two',
        ),
        (
            lambda: CartesianMRI(SHAPE).forward_operator(coil_maps=_maps(2)),
            'make it with `n_coils`',
        ),
        (
            lambda: CartesianMRI(SHAPE, n_coils=2).forward_operator(
                coil_maps=_maps(3)
            ),
            'have 3 coils, and the acquisition has 2',
        ),
        (
            lambda: CartesianMRI(SHAPE, n_coils=2).forward_operator(
                coil_maps=np.zeros((2, *SHAPE))
            ),
            'zero everywhere',
        ),
        (
            lambda: CartesianMRI(SHAPE, n_coils=2).forward_operator(
                coil_maps=_maps(2).transpose(0, 2, 1)
            ),
            r'\(n_coils, 24, 33\)',
        ),
    ],
)
def test_coil_maps_that_do_not_fit(call, match):
    """Maps of another number, shape or of nothing are an error."""
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize('pattern', ['variable_density', 'poisson_disc'])
def test_masks_of_other_patterns(pattern):
    """The acquisition takes the patterns, and meets the acceleration."""
    acquisition = CartesianMRI((32, 32), 4, pattern=pattern, random_masks=True)
    assert np.broadcast_to(acquisition.mask, (32, 32)).mean() == 0.25
    pair = acquisition.pair(_image((32, 32)), 0)
    assert acquisition.forward_operator(pair['mask']).range
    copy = pickle.loads(pickle.dumps(acquisition))
    assert np.array_equal(copy.mask, acquisition.mask)


def test_poisson_disc_and_parts_of_k_space():
    """Poisson-disc masks refer to all of k-space, and say so."""
    with pytest.raises(ValueError, match='Poisson-disc'):
        CartesianMRI(SHAPE, pattern='poisson_disc', partial_fourier=0.75)
