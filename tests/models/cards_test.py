# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of model cards."""

import json

import numpy as np
import odl
import pytest
from odl.applications import tomo

from odl_equivariant import models
from odl_equivariant.data import (
    CartesianMRI,
    Denoising,
    MeasuredCT,
    SparseViewCT,
)
from odl_equivariant.models.cards import beams_of, card_from_header

ACQUISITIONS = {
    'ct': SparseViewCT((16, 24), n_views=8),
    'mr': CartesianMRI((16, 16), sigma=0.1),
    'denoising': Denoising((16, 16), sigma=(0.01, 0.1)),
    'measured': MeasuredCT(
        {
            'kind': 'parallel',
            'angles': [0.0, 1.0, 2.0],
            'n_detectors': 8,
            'detector_width': 1.0,
        },
        (6, 6),
        'mm',
    ),
}


@pytest.mark.parametrize('name', ACQUISITIONS)
def test_cards_are_kept_by_json(name):
    """A card is the same after it was written as JSON."""
    card = models.model_card(ACQUISITIONS[name], trained_on='something')
    again = card_from_header(json.loads(json.dumps(card.header())))
    assert again == card


def test_card_of_tomography():
    """The card has views, detector, cells in metres and photons."""
    ct = SparseViewCT((16, 16), n_views=8, side=0.16, n_photons=500)
    other = SparseViewCT((32, 32), n_views=12, side=0.16, n_photons=700)
    card = models.model_card([ct, other])
    assert card.image_unit == 'relative' and card.mu_max == ct.mu_max
    assert card.geometry == 'parallel beams'
    assert card.views == (8, 12) and card.detectors == (23, 46)
    assert card.shapes == ((16, 16), (32, 32))
    assert card.photons == (500, 700)
    np.testing.assert_allclose(card.cell, (0.005, 0.01))
    np.testing.assert_allclose(card.angular_range, (180, 180), rtol=1e-5)


def test_card_of_a_scanner():
    """Lengths of a scanner are in metres, and images in its unit."""
    card = models.model_card(ACQUISITIONS['measured'])
    assert card.image_unit == '1/mm' and card.mu_max is None
    side = float(ACQUISITIONS['measured'].space.cell_sides[0])
    np.testing.assert_allclose(card.cell[0], side / 1000, rtol=1e-5)
    np.testing.assert_allclose(card.line('1/m'), (1000, 0))


def test_units_differ():
    """One network has one unit."""
    acquisitions = [ACQUISITIONS['ct'], SparseViewCT((16, 16), mu_max=1.0)]
    with pytest.raises(ValueError, match='one unit, got the mu_max'):
        models.model_card(acquisitions)
    with pytest.raises(ValueError, match='needs an acquisition'):
        models.model_card([])


def test_line():
    """The line converts values of the training to another unit."""
    card = models.model_card(ACQUISITIONS['ct'])
    assert card.line('relative') == (1, 0)
    assert card.line(2) == (2, 0)
    np.testing.assert_allclose(card.line('1/cell', cell=0.01), (0.8135858, 0))
    scale, zero = card.line('HU')
    np.testing.assert_allclose(scale * 20 / card.mu_max + zero, 0, atol=1e-9)
    np.testing.assert_allclose(zero, -1001.001, rtol=1e-6)


@pytest.mark.parametrize(
    'values, message',
    [
        ([], 'no mapping'),
        ({'modality': 'images'}, 'lacks image_unit'),
        ({'modality': 'sound', 'image_unit': 'any'}, '`modality`'),
        ({'modality': 'images', 'image_unit': 'inch'}, '`image_unit`'),
        ({'modality': 'images', 'image_unit': 'relative'}, '`mu_max`'),
        (
            {'modality': 'images', 'image_unit': 'any', 'views': [3, 1]},
            'must increase',
        ),
        (
            {'modality': 'images', 'image_unit': 'any', 'views': 3},
            'least and the greatest',
        ),
        (
            {'modality': 'images', 'image_unit': 'any', 'shapes': [3]},
            'must be shapes',
        ),
        (
            {'modality': 'images', 'image_unit': 'any', 'geometry': 3},
            'must be a text',
        ),
    ],
)
def test_damaged_cards(values, message):
    """What is no card is refused."""
    with pytest.raises((TypeError, ValueError), match=message):
        card_from_header(values)


def test_keys_of_later_versions():
    """Unknown keys do not keep a network from being loaded."""
    values = {'modality': 'images', 'image_unit': 'any', 'more': 1}
    assert card_from_header(values).image_unit == 'any'


def test_cards_in_cells_have_a_length():
    """Attenuation per cell becomes that per metre by the side of a cell."""
    card = models.ModelCard('tomography', '1/cell', cell=(0.002, 0.002))
    assert card.line('1/m') == (500.0, 0.0)
    assert card.line('1/m', cell=0.001) == (1000.0, 0.0)


@pytest.mark.parametrize(
    ('beams', 'words'),
    [
        (tomo.parallel_beam_geometry, 'parallel beams'),
        (lambda *a: tomo.cone_beam_geometry(*a, 4, 4), 'fan beams'),
        (lambda *a: tomo.cone_beam_geometry(*a, 4, 4), 'cone beams'),
    ],
)
def test_beams_in_words(beams, words):
    """Fans lie in a plane, and cones do not."""
    d = 3 if words == 'cone beams' else 2
    space = odl.uniform_discr(d * [-1], d * [1], d * (4,))
    assert beams_of(beams(space)) == words
