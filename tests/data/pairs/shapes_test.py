# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of pairs of several shapes and acquisitions."""

import json

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo

from odl_equivariant.data import (
    Augmentation,
    CartesianMRI,
    Denoising,
    DynamicMRI,
    MeasuredCT,
    PairsOfShapes,
    PairsOfVariants,
    Phantoms,
    SimulatedPairs,
    SparseViewCT,
    VolumeMRI,
    mr_strip,
)

SHAPES = [(16, 16), (8, 24), (9, 13)]


class _SameCells(SparseViewCT):
    """A scan whose cells keep their size on other grids."""

    def with_shape(self, shape):
        side = self.settings()['side'] * max(shape) / max(self.shape)
        return super().with_shape(shape).with_settings(side=side)


def _measured():
    square = odl.uniform_discr([-0.1, -0.1], [0.1, 0.1], (16, 16))
    geometry = tomo.parallel_beam_geometry(square, num_angles=4)
    return MeasuredCT(geometry, (16, 16))


@pytest.mark.parametrize(
    'acquisition',
    [
        SparseViewCT((16, 16), n_views=4),
        CartesianMRI((16, 16), random_masks=True),
        Denoising((16, 16)),
        _measured(),
        _SameCells((16, 16), n_views=4),
    ],
    ids=lambda acquisition: type(acquisition).__name__,
)
def test_pair_is_that_of_an_acquisition_of_its_shape(acquisition):
    """It is what an acquisition of its shape alone makes of its image."""
    draw = mr_strip if isinstance(acquisition, CartesianMRI) else None
    phantoms = Phantoms(20, acquisition.image_shape, 3, draw=draw)
    pairs = PairsOfShapes(phantoms, acquisition, SHAPES, seed=5)
    assert len(pairs) == 20
    seen = set()
    for key in [(i, 1) for i in range(20)]:
        pair = pairs[key]
        shape = tuple(pair.pop('shape').tolist())
        assert json.loads(pair.pop('settings')) == {'shape': list(shape)}
        seen.add(shape)
        own = acquisition.with_shape(shape)
        assert own.shape == shape
        images = phantoms.with_shape(own.image_shape)
        expected = SimulatedPairs(images, own, seed=5)[key]
        assert pair.keys() == expected.keys()
        for name, value in expected.items():
            if torch.is_tensor(value):
                assert torch.equal(pair[name], value)
            else:
                assert pair[name] == value
    assert seen == set(SHAPES)


def test_shapes_depend_on_seed_pass_and_index():
    """Each pass draws shapes of its own, unless all are like the first."""

    def shapes(epoch, **kwargs):
        pairs = PairsOfShapes(
            Phantoms(12, (16, 16)), Denoising((16, 16)), SHAPES, **kwargs
        )
        return [tuple(pairs[i, epoch]['shape'].tolist()) for i in range(12)]

    assert shapes(1) == shapes(1) != shapes(0)
    assert shapes(0) != shapes(0, seed=1)
    assert shapes(4, fresh_noise=False) == shapes(0)


def test_wrong_arguments():
    """Without images or shapes there are no pairs."""
    phantoms, denoising = Phantoms(2, (16, 16)), Denoising((16, 16))
    with pytest.raises(TypeError, match='must be `Slices`'):
        PairsOfShapes([np.ones((16, 16))], denoising, SHAPES)
    with pytest.raises(ValueError, match='one shape or more'):
        PairsOfShapes(phantoms, denoising, [])
    with pytest.raises(ValueError, match='`shapes` must be'):
        PairsOfShapes(phantoms, denoising, [(16, 16), (16,)])
    with pytest.raises(ValueError, match='coil'):
        coils = CartesianMRI((16, 16), coil_maps=np.ones((2, 16, 16)))
        PairsOfShapes(phantoms, coils, [(8, 8)])


def test_images_are_augmented():
    """An augmentation is drawn for each pair, as it is for one shape."""
    turned = PairsOfShapes(
        Phantoms(4, (16, 16)),
        Denoising((16, 16)),
        [(16, 16)],
        augment=Augmentation(flip=True),
    )
    plain = PairsOfShapes(
        Phantoms(4, (16, 16)), Denoising((16, 16)), [(16, 16)]
    )
    assert any(
        not torch.equal(turned[i]['truth'], plain[i]['truth'])
        for i in range(4)
    )


VARIANTS = [
    {'n_views': 6},
    {'n_views': 6, 'n_photons': 50.0},
    {'shape': [12, 12], 'n_detectors': None, 'n_views': 8, 'geometry': 'fan'},
]


def test_pair_is_that_of_the_acquisition_that_its_settings_say():
    """Each setting may differ: views, photons, shape and geometry."""
    acquisition = SparseViewCT((16, 16), n_views=4)
    phantoms = Phantoms(20, acquisition.image_shape, 3)
    pairs = PairsOfVariants(phantoms, acquisition, VARIANTS, seed=5)
    seen = set()
    for i in range(20):
        pair = pairs[i, 2]
        seen.add(pair['settings'])
        own = acquisition.with_settings(**json.loads(pair['settings']))
        images = phantoms.with_shape(own.image_shape)
        expected = SimulatedPairs(images, own, seed=5)[i, 2]
        assert pair['data'].shape[1:] == own.operator.range.shape
        assert torch.equal(pair['data'], expected['data'])
        assert torch.equal(pair['truth'], expected['truth'])
    assert [json.loads(text) for text in sorted(seen)] == [
        json.loads(json.dumps(v))
        for v in sorted(VARIANTS, key=lambda v: json.dumps(v, sort_keys=True))
    ]


def test_shape_among_settings_is_that_of_the_class():
    """What a class makes of a shape, `with_settings` does, too."""
    acquisition = _SameCells((16, 16), n_views=4, side=0.4)
    changed = acquisition.with_settings(shape=(8, 8), n_views=6)
    assert changed.settings()['side'] == pytest.approx(0.2)
    assert (changed.shape, changed.settings()['n_views']) == ((8, 8), 6)
    changed = _measured().with_settings(shape=(8, 12), n_photons=1e5)
    assert (changed.shape, changed.settings()['n_photons']) == ((8, 12), 1e5)


def test_numbers_of_numpy_are_numbers():
    """They make the same pairs and texts as numbers of Python."""
    acquisition = SparseViewCT((16, 16), n_views=4)
    own = {'n_views': 6, 'n_photons': 1e4}
    variant = {'n_views': np.int64(6), 'n_photons': np.float32(1e4)}
    one, other = (
        PairsOfVariants(Phantoms(2, (32, 32)), acquisition, [settings])[0]
        for settings in (own, variant)
    )
    assert one['settings'] == other['settings']
    assert torch.equal(one['data'], other['data'])


def test_a_variant_given_twice_is_drawn_twice_as_often():
    """The number of times is the weight of a variant."""
    pairs = PairsOfVariants(
        Phantoms(300, (8, 8)),
        Denoising((8, 8)),
        [{'sigma': 0.1}, {'sigma': 0.2}, {'sigma': 0.1}],
    )
    drawn = [json.loads(pairs[i]['settings'])['sigma'] for i in range(300)]
    # five standard deviations of a binomial distribution
    assert abs(drawn.count(0.1) - 200) < 41


@pytest.mark.parametrize(
    'variants, error, message',
    [
        ([], ValueError, 'one dict of settings or more'),
        ({'n_views': 4}, ValueError, 'list of one dict'),
        (['n_views'], TypeError, 'is a dict of settings'),
        ([{'angles': np.ones(3)}], TypeError, 'numbers, texts and lists'),
        ([{'n_view': 4}], TypeError, "no setting 'n_view'; it has shape"),
        ([{'n_views': 0}], ValueError, 'n_views'),
    ],
)
def test_bad_variants(variants, error, message):
    """The message says what is wrong with the settings."""
    acquisition = SparseViewCT((16, 16), n_views=4)
    with pytest.raises(error, match=message):
        PairsOfVariants(Phantoms(2, (32, 32)), acquisition, variants)


@pytest.mark.parametrize(
    'kind, shape',
    [(CartesianMRI, (16, 16)), (VolumeMRI, (8, 8, 8)), (DynamicMRI, (8, 8))],
)
def test_settings_of_a_drawn_mask_do_not_change_a_given_one(kind, shape):
    """A variant that would change nothing is an error, not a copy."""
    more = {'n_frames': 3} if kind is DynamicMRI else {}
    drawn = kind(shape, acceleration=2, **more)
    given = drawn.with_settings(mask=drawn.mask)
    with pytest.raises(ValueError, match='acceleration would change nothing'):
        given.with_settings(acceleration=4)
    assert given.with_settings(sigma=0.5).sigma == 0.5
    assert given.with_settings(acceleration=2).fingerprint() == (
        given.fingerprint()
    )
    fewer = drawn.with_settings(acceleration=4)
    assert fewer.mask.sum() < drawn.mask.sum()
    changed = given.with_settings(acceleration=4, mask=fewer.mask)
    assert np.array_equal(changed.mask, fewer.mask)
