# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of magnetic resonance imaging and of tomography of volumes."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from odl_equivariant.data import (
    CartesianMRI,
    SlicewiseCT,
    SparseViewCT,
    VolumeMRI,
    ellipsoid_phantom,
    simulated_coil_maps,
)
from odl_equivariant.data.acquisitions.magnetic_resonance import coil_maps
from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.operators import OperatorLayer

BACKENDS = [
    ('numpy', 'float32'), ('numpy', 'float64'),
    ('pytorch', 'float32'), ('pytorch', 'float64'),
]  # fmt: skip
SHAPE = (6, 9, 8)
MAPS = np.random.default_rng(0).normal(size=(2, 2, *SHAPE))
MAPS = MAPS[0] + 1j * MAPS[1]


@pytest.fixture
def volume():
    """Return a phantom."""
    return ellipsoid_phantom(SHAPE, rng=0)


def numbers(element):
    """Return an element as an array."""
    return np.asarray(as_tensor(element)[0, 0].cpu())


@pytest.mark.parametrize('maps', [None, MAPS], ids=['one coil', 'coils'])
@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize(('backend', 'dtype'), BACKENDS)
def test_mri_adjoint(backend, dtype, axis, maps):
    """The adjoint of the operator is exact, and samples follow the mask."""
    acquisition = VolumeMRI(
        SHAPE, 3, axis=axis, dtype=dtype, backend=backend, coil_maps=maps
    )
    assert acquisition.mask.shape[axis] == 1
    assert acquisition.mask.mean() == pytest.approx(1 / 3, rel=0.05)
    error = adjoint_error(acquisition.operator)
    assert error < (1e-5 if dtype == 'float32' else 1e-12)


def test_mri_full_is_the_fourier_transform(volume):
    """With all samples and no noise, the zero-filled volume is the truth."""
    acquisition = VolumeMRI(SHAPE, 1, sigma=0)
    data = acquisition.simulate(volume)
    expected = np.fft.fftshift(
        np.fft.fftn(np.fft.ifftshift(volume), norm='ortho')
    )
    assert np.allclose(np.asarray(data.data), expected, atol=1e-5)
    assert np.allclose(acquisition.baseline(data).data, volume, atol=1e-5)


@pytest.mark.parametrize('maps', [None, MAPS], ids=['one coil', 'coils'])
def test_mri_pair_is_data_of_its_mask(volume, maps):
    """Without noise, the data of a pair are those of its truth and mask."""
    acquisition = VolumeMRI(
        SHAPE, 3, random_masks=True, sigma=0, coil_maps=maps
    )
    pair = acquisition.pair(volume, rng=1)
    A = acquisition.forward_operator(pair['mask'].numpy())
    data = A(as_element(pair['truth'], A.domain))
    assert torch.allclose(as_tensor(data)[0], pair['data'], atol=1e-5)
    other = acquisition.pair(volume, rng=2)
    assert not torch.equal(other['mask'], pair['mask'])
    assert torch.equal(acquisition.pair(volume, 1)['data'], pair['data'])


def test_mri_noise_has_its_deviation(volume):
    """Noise is white, where it is sampled, and zero elsewhere."""
    acquisition = VolumeMRI((16, 16, 16), 2, sigma=0.1)
    data = numbers(acquisition.simulate(np.zeros((16, 16, 16)), rng=0))
    mask = np.broadcast_to(acquisition.mask, data.shape)
    assert (data[~mask] == 0).all()
    assert data[mask].std() == pytest.approx(0.1, rel=0.05)


def test_mri_measured_kspace(volume):
    """Measured k-space gives the pair of its image, as in the plane."""
    acquisition = VolumeMRI(SHAPE, 3, random_masks=True, sigma=0)
    kspace = np.fft.fftshift(
        np.fft.fftn(np.fft.ifftshift(volume), norm='ortho')
    )
    pair = acquisition.from_kspace(kspace, rng=0)
    assert np.allclose(pair['truth'][0], volume, atol=1e-5)
    measured = np.ones((1, 9, 1), bool)
    measured[:, 0] = False
    kspace[:, 0] = 0
    part = acquisition.from_kspace(kspace, rng=0, measured=measured)
    assert not part['mask'][:, 0].any()
    assert part['mask'].sum() >= pair['mask'].sum() - 8


def test_mri_batched_layer_is_the_operator(volume):
    """A batch of volumes is mapped as one by one, with its gradient."""
    A = VolumeMRI(SHAPE, 3, dtype='float64').operator
    x = torch.randn(2, 2, *SHAPE, dtype=torch.float64)
    layer = OperatorLayer(A)
    for one, y in zip(x, layer(x), strict=True):
        expected = as_tensor(A(as_element(one, A.domain)))[0]
        assert torch.allclose(y, expected, atol=1e-12)
    assert torch.autograd.gradcheck(layer, x[:1, :, :2].new_zeros(
        1, 2, *SHAPE).requires_grad_(), fast_mode=True)  # fmt: skip


@pytest.mark.parametrize(
    'acquisition',
    [
        VolumeMRI(SHAPE, 3, random_masks=True, voxel=(1e-3, 2e-3, 3e-3)),
        SlicewiseCT((8, 8, 5), 6, thickness=0.02, n_photons=None),
        SlicewiseCT((8, 8, 5), geometry='fan', angles=[0.1, 2.1, 4.1]),
    ],
    ids=['mri', 'ct', 'fan'],
)
def test_settings_make_the_acquisition(acquisition):
    """A copy by pickle, or by another shape, has the same settings."""
    again = pickle.loads(pickle.dumps(acquisition))
    assert again.fingerprint() == acquisition.fingerprint()
    assert again.operator.range == acquisition.operator.range
    assert again.space == acquisition.space
    other = acquisition.with_shape((8, 8, 8))
    assert other.space.shape == (8, 8, 8)
    assert np.allclose(
        other.space.cell_sides[2], acquisition.space.cell_sides[2]
    )


def test_mri_of_cells_and_extent(volume):
    """Elements of another extent, and images of another shape, are refused."""
    acquisition = VolumeMRI(SHAPE, voxel=(1e-3, 2e-3, 3e-3))
    assert np.allclose(acquisition.space.cell_sides, (1e-3, 2e-3, 3e-3))
    other = VolumeMRI(SHAPE).space
    with pytest.raises(ValueError, match='has the extent'):
        acquisition.simulate(other.one())
    with pytest.raises(ValueError, match='must have shape'):
        acquisition.simulate(volume[:-1])
    with pytest.raises(ValueError, match='an element of a 3D'):
        acquisition.simulate(CartesianMRI((8, 8)).space.one())
    with pytest.raises(ValueError, match='3 whole numbers'):
        VolumeMRI((8, 8))


@pytest.mark.parametrize(('backend', 'dtype'), BACKENDS)
def test_ct_is_tomography_of_each_slice(backend, dtype):
    """Data, filtered back-projections and truth are those of the slices."""
    ct = SparseViewCT(
        (10, 10), 9, n_photons=None, dtype=dtype, backend=backend
    )
    stack = SlicewiseCT(
        (10, 10, 4), 9, n_photons=None, dtype=dtype, backend=backend
    )
    volume = ellipsoid_phantom((20, 20, 4), 0)
    data = stack.simulate(volume)
    for k in range(4):
        own = ct.simulate(volume[..., k])
        tol = {'rtol': 1e-4, 'atol': 1e-6}
        assert np.allclose(numbers(data)[..., k], numbers(own), **tol)
        for name in ('fbp', 'ground_truth'):
            x, y = (data, own) if name == 'fbp' else (volume, volume[..., k])
            assert np.allclose(
                numbers(getattr(stack, name)(x))[..., k],
                numbers(getattr(ct, name)(y)),
                rtol=1e-3,
                atol=1e-4,
            )
    error = adjoint_error(stack.operator)
    assert error < (1e-5 if dtype == 'float32' else 1e-12)


def test_ct_noise_and_weights_are_those_of_photons():
    """Noise has the variance of counts, and the weighted fit knows it."""
    stack = SlicewiseCT((8, 8, 30), 12, n_photons=1e4)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        data = stack.simulate(np.zeros((8, 8, 30)), rng=0)
    deviation = stack.mu_max * numbers(data).std()
    assert deviation == pytest.approx(0.01, rel=0.05)
    fit = stack.data_fit(data, weighted=True)
    assert fit(stack.fbp(data)) < fit(stack.space.one())


def test_ct_of_wrong_volumes():
    """Negative attenuation, and other shapes, are refused."""
    stack = SlicewiseCT((8, 8, 5), 6)
    with pytest.raises(ValueError, match='cannot be negative'):
        stack.simulate(-np.ones((8, 8, 5)))
    with pytest.raises(ValueError, match='must have shape'):
        stack.simulate(np.ones((16, 16, 10)))
    with pytest.raises(ValueError, match='`thickness`'):
        SlicewiseCT((8, 8, 5), thickness=0)


def test_networks_start_at_the_stack_of_backprojections():
    """``initial='fbp'`` is that of each slice, also after a turn."""
    stack = SlicewiseCT((8, 8, 5), 8)
    network = LearnedProximalGradient(
        stack.operator,
        lambda: EquivariantProximal(1, 16, 'D4h', memory=2, axis=2),
        n_iterations=1,
        initial='fbp',
    )
    data = stack.simulate(ellipsoid_phantom((8, 8, 5), 0), 0)
    start = network._layers.initial(as_tensor(data))
    expected = numbers(stack.fbp(data, frequency_scaling=0.7))
    assert np.allclose(start[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    'shape, acceleration, match',
    [
        # a block of one line, and of several
        ((8, 9, 8), 73, 'less than one of the 72'),
        ((8, 9, 8), 1e12, 'less than one'),
        ((4, 32, 31), 200, 'fully sampled block has 9 of 992'),
    ],
)
def test_too_few_lines_are_refused(shape, acceleration, match):
    """An acceleration leaves the lines around the zero frequency."""
    with pytest.raises(ValueError, match=match):
        VolumeMRI(shape, acceleration, center_fraction=0.12)
    assert VolumeMRI((8, 9, 8), 72, center_fraction=0.12).mask.sum() == 1


# --- Coils of each volume --- #


def test_maps_of_volumes_add_up_to_one():
    """Coils around a volume have squares whose sum is 1, and differ."""
    for n_coils in (1, 2, 7):
        maps = simulated_coil_maps(SHAPE, n_coils, rng=0)
        assert maps.shape == (n_coils, *SHAPE) and maps.dtype == np.complex64
        assert np.allclose((np.abs(maps) ** 2).sum(0), 1, atol=1e-5)
        # along each axis one coil is nearer to one end than another
        means = np.abs(maps).reshape(n_coils, -1)
        assert n_coils == 1 or np.ptp(means, axis=0).max() > 0.1
    with pytest.raises(ValueError, match='images or of volumes'):
        simulated_coil_maps((4,), 2)


@pytest.mark.parametrize('n_coils', [4, 6, 8, 12, 16, 20, 32, 64])
def test_coils_of_volumes_are_even(n_coils):
    """No two coils are much nearer than n of them on a sphere can be."""
    directions = np.stack(coil_maps._directions(n_coils, 3, 0.3), 1)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1)
    apart = np.linalg.norm(directions[:, None] - directions, axis=2)
    np.fill_diagonal(apart, 2)
    assert apart.min() > 0.8 * np.sqrt(4 * np.pi / n_coils)


def test_each_volume_has_maps_of_its_own(volume):
    """Without noise, data of a pair are those of its own maps and mask."""
    acquisition = VolumeMRI(SHAPE, 3, random_masks=True, sigma=0, n_coils=3)
    one, other = (acquisition.pair(volume, rng=rng) for rng in (0, 1))
    assert not torch.equal(one['coil_maps'], other['coil_maps'])
    assert one['coil_maps'].shape == (3, *SHAPE)
    operator = acquisition.forward_operator(
        one['mask'].numpy(), one['coil_maps'].numpy()
    )
    truth = as_element(one['truth'][None], acquisition.space)
    expected = as_tensor(operator(truth))[0]
    assert torch.allclose(one['data'], expected, atol=1e-5)


def test_measured_volumes_bring_their_maps(volume):
    """`from_kspace` takes the maps of a volume, and needs them."""
    acquisition = VolumeMRI(SHAPE, 1, sigma=0, n_coils=2)
    maps = simulated_coil_maps(SHAPE, 2, rng=0)
    kspace = np.fft.fftshift(
        np.fft.fftn(
            np.fft.ifftshift(maps * volume, axes=(1, 2, 3)),
            axes=(1, 2, 3),
            norm='ortho',
        ),
        axes=(1, 2, 3),
    )
    pair = acquisition.from_kspace(kspace, maps)
    assert np.allclose(pair['truth'][0], volume, atol=1e-5)
    with pytest.raises(ValueError, match='pass `coil_maps`'):
        acquisition.from_kspace(kspace)


def test_number_of_coils_is_kept():
    """Copies have as many coils, and other fingerprints stay."""
    acquisition = VolumeMRI(SHAPE, 3, n_coils=2)
    assert acquisition.settings()['n_coils'] == 2
    again = VolumeMRI(**acquisition.settings())
    assert again.fingerprint() == acquisition.fingerprint()
    assert 'n_coils' not in VolumeMRI(SHAPE, 3).settings()
    with pytest.raises(ValueError, match='pass one of the two'):
        VolumeMRI(SHAPE, 3, n_coils=2, coil_maps=MAPS)
    with pytest.raises(ValueError, match='n_coils'):
        VolumeMRI(SHAPE, 3, n_coils=0)


def test_unrolled_networks_take_the_maps_of_each_volume(volume):
    """A batch of volumes, each with maps and mask, is as one by one."""
    acquisition = VolumeMRI(SHAPE, 3, random_masks=True, n_coils=2)
    network = LearnedProximalGradient(
        acquisition.operator,
        lambda: EquivariantProximal(2, 4, 'C4', 0, axis=0),
        1,
    )
    pairs = [acquisition.pair(volume, rng=i) for i in range(2)]
    operators = [
        acquisition.forward_operator(p['mask'].numpy(), p['coil_maps'].numpy())
        for p in pairs
    ]
    data = torch.stack([p['data'] for p in pairs])
    with torch.no_grad():
        together = network(data, operators)
        for i, operator in enumerate(operators):
            alone = network.with_operator(operator)(data[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize('geometry', ['parallel', 'fan'])
@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda y, mu: -y, 'Pass `-data`'),
        (lambda y, mu: np.exp(-mu * y), 'readings of a detector'),
        (lambda y, mu: mu * y, 'Divide them by'),
        (lambda y, mu: y.swapaxes(0, 1), r'data.swapaxes\(0, 1\)'),
    ],
    ids=['negated', 'readings', 'exponents', 'transposed'],
)
def test_slices_that_are_no_line_integrals_are_named_once(
    change, words, geometry
):
    """Filtered back-projection of volumes checks data as that of images."""
    x = np.linspace(-1, 1, 64)
    disc = 0.25 * ((x[:, None] - 0.3) ** 2 + x**2 < 0.3)
    ct = SlicewiseCT((32, 32, 3), 46, 46, geometry=geometry)
    y = ct.simulate(np.stack(3 * [disc], -1), rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ct.fbp(y)
    y = ct.operator.range.element(change(y.asarray(), ct.mu_max))
    with pytest.warns(UserWarning, match=words) as record:
        for _ in range(2):
            ct.fbp(y)
    assert len(record) == 1
