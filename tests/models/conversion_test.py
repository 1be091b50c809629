# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of networks on data in another unit than that of their training."""

import copy
import pickle
import warnings

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch.fx.experimental.proxy_tensor import make_fx

from odl_equivariant import models
from odl_equivariant.data import (
    CartesianMRI,
    MeasuredCT,
    SparseViewCT,
    convert_attenuation,
    ellipse_phantom,
)
from odl_equivariant.elements import as_tensor
from odl_equivariant.models import ConvertedNetwork
from odl_equivariant.models.conversion import operator_and_unit
from odl_equivariant.nn import (
    LearnedHalfQuadraticSplitting,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    OrdinaryProximal,
)

N, SIDE, MU = 48, 0.36, 81.35858
CELL = SIDE / N
# How long a metre is in each unit.
METRE = {'m': 1.0, 'cm': 1e2, 'mm': 1e3, 'um': 1e6, 'cell': 1 / CELL}

length_unit = simple_fixture('length_unit', METRE)
backend = simple_fixture('backend', ['numpy', 'pytorch'])


def scanner(unit, backend='numpy', shape=(N, N), views=30, **options):
    """Return the same scanner, with lengths in some unit."""
    metre = METRE[unit]
    cell = [SIDE / n * metre for n in shape]
    if shape[0] == shape[1]:
        cell = cell[0]
    geometry = {
        'kind': 'parallel',
        'n_detectors': 68,
        'detector_width': SIDE * np.sqrt(2) / 68 * metre,
        'angles': {'first': np.pi / 60, 'step': np.pi / views, 'n': views},
    }
    return MeasuredCT(
        geometry,
        {'shape': shape, 'cell': cell},
        length_unit=unit,
        backend=backend,
        **options,
    )


@pytest.fixture(scope='module')
def simulated():
    """Return the simulated scanner, and exponents of Beer's law."""
    ct = SparseViewCT((N, N), n_views=30, n_detectors=68)
    data = ct.simulate(ellipse_phantom((2 * N, 2 * N), rng=3), rng=4)
    return ct, MU * as_tensor(data)[0, 0].numpy()


@pytest.fixture(scope='module')
def expected(simulated):
    """Return the result in the unit of the training, in 1 / metre."""
    ct, exponents = simulated
    network = models.load('sparse_view_ct_c4', ct.operator)
    with torch.no_grad():
        return MU * network(torch.tensor(exponents / MU)[None, None])[0, 0]


def error(image, expected):
    """Return the relative error of an image."""
    image = image if torch.is_tensor(image) else as_tensor(image)[0, 0]
    return float((image - expected).norm() / expected.norm())


def test_same_scan_in_each_unit(length_unit, backend, simulated, expected):
    """In metres, ..., and in cells, the network gives the same image."""
    _, exponents = simulated
    acquisition = scanner(length_unit, backend)
    network = models.load(
        'sparse_view_ct_c4', acquisition, cell=CELL, unit='1/m'
    )
    image = network.as_operator()(
        acquisition.operator.range.element(exponents)
    )
    assert error(image, expected) < 1e-4


def test_result_is_in_the_unit_of_the_acquisition(
    length_unit, simulated, expected
):
    """Without a unit, results are in the unit of the acquisition."""
    _, exponents = simulated
    acquisition = scanner(length_unit)
    network = models.load('sparse_view_ct_c4', acquisition, cell=CELL)
    image = network.as_operator()(exponents)
    assert error(image, expected / METRE[length_unit]) < 1e-4


def test_operator_with_its_unit(length_unit, simulated, expected):
    """For an operator alone, the unit says in what it computes."""
    _, exponents = simulated
    operator = scanner(length_unit).operator
    network = models.load(
        'sparse_view_ct_c4', operator, unit=f'1/{length_unit}', cell=CELL
    )
    image = network.as_operator(precision='float32')(exponents)
    assert error(image, expected / METRE[length_unit]) < 1e-4


def test_baseline_is_the_same_in_each_unit(length_unit, simulated):
    """In metres, ..., and in cells, FBP gives the same image."""
    ct, exponents = simulated
    acquisition = scanner(length_unit)
    image = acquisition.fbp(exponents, 'Hann', 0.45)
    own = MU * as_tensor(ct.fbp(exponents / MU, 'Hann', 0.45))[0, 0]
    assert error(image, own / METRE[length_unit]) < 1e-4


def test_hounsfield_units(simulated, expected):
    """An acquisition gives the result in Hounsfield units."""
    _, exponents = simulated
    acquisition = scanner('mm')
    network = models.load('sparse_view_ct_c4', acquisition, unit='HU')
    image = as_tensor(network.as_operator()(exponents))[0, 0]
    hounsfield = convert_attenuation(expected, '1/m', 'HU')
    assert error(image, hounsfield) < 1e-4
    with pytest.raises(ValueError, match='not in Hounsfield units.*give the'):
        models.load('sparse_view_ct_c4', acquisition.operator, unit='HU')


def test_other_relative_unit(simulated, expected):
    """Attenuation relative to another `mu_max` is converted."""
    _, exponents = simulated
    ct = SparseViewCT((N, N), n_views=30, n_detectors=68, mu_max=50.0)
    network = models.load('sparse_view_ct_c4', ct)
    image = network.as_operator()(exponents / 50)
    assert error(50 * as_tensor(image)[0, 0], expected) < 1e-4


def test_number_as_unit(simulated, expected):
    """A number says which value corresponds to 1 in the training."""
    _, exponents = simulated
    operator = scanner('mm').operator
    network = models.load('sparse_view_ct_c4', operator, unit=MU / 1e3)
    image = network.as_operator()(exponents)
    assert error(image, expected / 1e3) < 1e-4


def test_unit_of_the_training():
    """In the unit of the training, the network itself is returned."""
    ct = SparseViewCT((16, 16), n_views=8)
    for arguments in ({}, {'unit': 'relative'}):
        for operator in (ct, ct.operator):
            network = models.load('sparse_view_ct_c4', operator, **arguments)
            assert type(network) is LearnedProximalGradient


def test_lengths_in_cells_need_the_cell():
    """Nothing guesses how long a cell is."""
    with pytest.raises(ValueError, match='pass `cell`'):
        models.load('sparse_view_ct_c4', scanner('cell'))


def test_networks_need_square_cells():
    """For rectangular cells, a network says what it needs."""
    acquisition = scanner('mm', shape=(48, 40))
    for name in ('sparse_view_ct_c4', 'sparse_view_ct_ordinary'):
        with pytest.raises(ValueError, match='square cells.*7.5 x 9'):
            models.load(name, acquisition)


def test_far_from_the_training(simulated):
    """One warning has both ranges, where units are mistaken."""
    _, exponents = simulated
    acquisition = scanner('mm')
    network = models.load(
        'sparse_view_ct_c4', acquisition.operator, unit='1/m'
    )
    with pytest.warns(UserWarning, match='values from .*0 to 81.36'):
        network.as_operator()(exponents)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        network.as_operator()(exponents)


def saved_network(path, card, **options):
    """Save an untrained network and return the path."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8), dtype='float32')
    network = LearnedProximalGradient(
        odl.IdentityOperator(space),
        lambda: OrdinaryProximal(channels=4, **options),
        n_iterations=2,
    )
    models.save(network, path, (0, 1), card)
    return path


@pytest.mark.parametrize('scale', [1.0, 0.02, 20.0])
@pytest.mark.parametrize(
    'name', ['sparse_view_ct_c4', 'primal_dual_ct_c4', 'splitting_ct_c4']
)
def test_operator_without_unit(name, scale):
    """Values far from those of the training are named once, if they matter."""
    operator = SparseViewCT((32, 32), n_views=30, n_photons=None).operator
    image = operator.domain.element(scale * ellipse_phantom((32, 32), rng=3))
    y = operator(image)
    network = models.load(name, operator)
    matters = scale != 1 and name != 'splitting_ct_c4'
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter('always', UserWarning)
            for _ in range(2):
                again.as_operator()(y)
        assert len(record) == matters
        assert all('pass as `unit`' in str(one.message) for one in record)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        network.train()(as_tensor(y))


@pytest.mark.parametrize('name', ['sparse_view_ct_c4', 'cartesian_mri_c4'])
def test_what_has_no_unit_gives_no_warning(name):
    """No image, nothing, and a transform of functions are no other unit."""
    if name == 'sparse_view_ct_c4':
        acquisition = SparseViewCT((32, 32), n_views=26)
    else:
        acquisition = CartesianMRI((32, 32))
    operator = acquisition.operator
    network = models.load(name, operator)
    image = operator.domain.element(ellipse_phantom((32, 32), rng=3))
    y = as_tensor(operator(image))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('error')
        assert network(y[:0]).shape[0] == 0
        network(0 * y)
        ours = torch.vmap(lambda a: network(a[None])[0])(torch.cat([y, y]))
        if name == 'cartesian_mri_c4':
            # ray transforms are no graph
            make_fx(network)(y)
        assert error(ours[0], network(y)[0]) < 1e-5
    # what comes later is seen
    for moved in (network, models.load(name, operator)):
        with pytest.warns(UserWarning, match='pass as `unit`'):
            moved.with_operator(operator)(y=200 * y)


@pytest.mark.parametrize('views', [8, 20, 50])
def test_noise_is_no_other_unit(views):
    """A low dose moves the filtered back-projection, and not the result."""
    ct = SparseViewCT((64, 64), n_views=views, n_photons=300)
    network = models.load('sparse_view_ct_c4', ct.operator)
    for seed in range(3):
        y = ct.simulate(ellipse_phantom((64, 64), rng=seed), rng=seed)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            network.as_operator()(y)


def test_homogeneous_networks_need_no_unit(tmp_path, simulated):
    """Of homogeneous blocks, the unit cancels exactly."""
    _, exponents = simulated
    card = models.model_card(SparseViewCT((16, 16), n_views=8))
    path = saved_network(tmp_path / 'a.safetensors', card, homogeneous=True)
    acquisition = scanner('mm')
    images = []
    for unit in ('1/mm', '1/m', 2.0**-20):
        network = models.load(path, acquisition.operator, unit=unit)
        images.append(as_tensor(network.as_operator()(exponents))[0, 0])
    assert error(images[0], images[2]) < 1e-5
    assert error(images[1], images[2]) < 1e-5


@pytest.mark.parametrize('homogeneous', [True, False])
def test_units_of_half_quadratic_splitting(tmp_path, simulated, homogeneous):
    """Reconstructions of one scan in several units are one image."""
    _, exponents = simulated
    acquisition = SparseViewCT((16, 16), n_views=8)
    network = LearnedHalfQuadraticSplitting(
        acquisition.operator,
        lambda: MultiscaleDenoiser(None, 1, 4, 1, 1, homogeneous=homogeneous),
        n_iterations=2,
    )
    network.value_range = (0.0, 1.0)
    card = models.model_card(acquisition)
    path = tmp_path / 'a.safetensors'
    models.save(network, path, card=card)
    images = []
    for length in ('mm', 'm'):
        loaded = models.load(path, scanner(length))
        assert isinstance(loaded, ConvertedNetwork)
        assert loaded.homogeneous == homogeneous
        with warnings.catch_warnings():
            # random weights have no image in the range of the training
            warnings.simplefilter('ignore')
            image = as_tensor(loaded.as_operator()(exponents))[0, 0]
        images.append(METRE[length] * image)
    assert error(*images) < 1e-4
    description = models.describe(path)
    assert description.network == 'LearnedHalfQuadraticSplitting'
    assert description.block == 'MultiscaleDenoiser'
    assert description.n_iterations == 2 and description.card == card


def test_unknown_unit_of_the_training(tmp_path):
    """Without a card, only a number converts; with another one, as well."""
    path = saved_network(tmp_path / 'a.safetensors', None)
    operator = scanner('mm').operator
    with pytest.raises(ValueError, match='a.safetensors has no model card'):
        models.load(path, operator, unit='1/mm')
    assert models.load(path, operator, unit=0.08).scale == 0.08
    card = models.model_card(CartesianMRI((16, 16)))
    saved_network(path, card)
    with pytest.raises(ValueError, match="'largest magnitude'"):
        models.load(path, operator, unit='1/mm')
    with pytest.raises(ValueError, match='one of 1/m, .* or a number'):
        models.load(path, operator, unit='1/inch')
    with pytest.raises(ValueError, match='takes images, and no `unit`'):
        models.load('denoiser_c4', unit='1/mm')


def test_other_operator_in_the_same_unit(simulated):
    """`with_operator` keeps the unit."""
    _, exponents = simulated
    acquisition = scanner('mm')
    network = models.load('sparse_view_ct_c4', scanner('mm', views=20))
    moved = network.with_operator(acquisition.operator)
    assert isinstance(moved, ConvertedNetwork)
    own = models.load('sparse_view_ct_c4', acquisition)
    y = torch.tensor(exponents)[None, None]
    with torch.no_grad():
        assert torch.equal(moved(y), own(y))


def test_the_cell_of_a_scanner_is_in_metres():
    """The unit of an acquisition has the side of a cell in metres."""
    geometry = {'kind': 'parallel', 'n_detectors': 8, 'detector_width': 1.0}
    geometry['angles'] = [0.0, 1.0, 2.0]
    for unit, side in (('mm', 0.002), ('cm', 0.02), ('cell', None)):
        side_of_cell = 1.0 if unit == 'cell' else 2.0
        space = {'shape': (4, 4), 'cell': side_of_cell}
        _, own = operator_and_unit(MeasuredCT(geometry, space, unit))
        assert own.get('cell') == pytest.approx(side)


def loads(name, operator):
    """Return the warnings of loading a model, as texts."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter('always', UserWarning)
        models.load(name, operator, 'adjoint')
    assert all(one.filename == __file__ for one in record)
    return [str(one.message) for one in record]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'n_views': 26}, []),
        ({'angles': np.linspace(0, np.pi, 26)}, []),
        ({'angles': np.linspace(1, 1 + np.pi, 26, False)}, []),
        ({'n_views': 26, 'geometry': 'fan'}, ['fan beams', '360 degrees']),
        (
            {'angles': np.linspace(0, 2 * np.pi, 26, False)},
            ['views over 180 degrees', 'views over 360 degrees'],
        ),
        (
            {'angles': np.linspace(0, np.pi / 2, 26, False)},
            ['views over 90 degrees'],
        ),
    ],
    ids=['trained', 'closed', 'shifted', 'fan', 'full turn', 'quarter'],
)
def test_other_geometries_than_those_of_the_training(options, words):
    """Loading warns once of beams and ranges that the card does not have."""
    operator = SparseViewCT((32, 32), **options).operator
    texts = loads('primal_dual_ct_ordinary', operator)
    assert len(texts) == bool(words)
    for word in words:
        assert word in texts[0]


def test_geometries_of_the_training_give_no_warning():
    """A card with two kinds of beams has both, and other operators none."""
    for geometry in ('parallel', 'fan'):
        operator = SparseViewCT((32, 32), 26, geometry=geometry).operator
        assert not loads('splitting_ct_c4', operator)
    space = SparseViewCT((32, 32), 26).space
    assert not loads('splitting_ct_c4', odl.IdentityOperator(space))
