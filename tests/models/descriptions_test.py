# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of what files of weights say of themselves."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from odl_equivariant import models
from odl_equivariant.data import Denoising, SparseViewCT
from odl_equivariant.models.shipped import shipped_path
from odl_equivariant.nn import EquivariantProximal, OrdinaryProximal


@pytest.mark.parametrize('name', models.available())
def test_shipped_models_have_cards(name):
    """Each shipped model says in which unit it was trained, and on what."""
    description = models.describe(name)
    card = description.card
    assert card is not None and card.trained_on and card.shapes
    assert description.value_range is not None
    modality = {'ct': 'tomography', 'mri': 'magnetic resonance'}
    assert card.modality == modality.get(name.split('_')[-2], 'images')
    groups = {'c4': 'C4', 'o': 'O', 'ordinary': None}
    assert description.group == groups[name.rpartition('_')[2]]
    for text in (name, card.trained_on, card.modality):
        assert text in str(description)


def test_description_of_a_network_for_tomography():
    """The table has unit, views, photons and cells."""
    table = str(models.describe('sparse_view_ct_c4'))
    for text in (
        'attenuation / mu_max, mu_max = 81.3586 / m',
        '24 to 200',
        '2000 to 100000',
        '1.40625 to 2.8125 mm',
        'parallel beams, fan beams',
    ):
        assert text in table


@pytest.fixture()
def network():
    """Return a small denoiser."""
    return OrdinaryProximal(channels=4, memory=0, gradient=False)


def test_files_without_a_card(tmp_path, network):
    """A file without a card is described as far as it goes."""
    path = tmp_path / 'a.safetensors'
    models.save(network, path)
    description = models.describe(path)
    assert description.card is None and description.name == 'a.safetensors'
    assert 'the file has no model card' in str(description)
    assert models.load(path).card is None


def test_added_cards(tmp_path, network):
    """A card is added to a file, and its tensors stay, byte by byte."""
    path = tmp_path / 'a.safetensors'
    models.save(network, path, (0, 2))
    before = path.read_bytes()
    for sigma in (0.1, 0.2):
        card = models.model_card(Denoising((16, 16), sigma=sigma))
        models.add_card(path, card)
        assert models.load(path).card == card
        assert models.load(path).value_range == (0, 2)
    after = path.read_bytes()
    bodies = [
        content[8 + int.from_bytes(content[:8], 'little') :]
        for content in (before, after)
    ]
    assert bodies[0] == bodies[1]
    models.add_card(path, card, (0, 3))
    assert models.load(path).value_range == (0, 3)
    for name, tensor in load_file(path).items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_cards_are_saved_again(tmp_path, network):
    """A loaded network keeps its card when it is saved."""
    card = models.model_card(Denoising((16, 16), sigma=0.1))
    models.save(network, tmp_path / 'a.safetensors', card=card)
    loaded = models.load(tmp_path / 'a.safetensors')
    models.save(loaded, tmp_path / 'b.safetensors')
    assert models.describe(tmp_path / 'b.safetensors').card == card
    with pytest.raises(TypeError, match='`card` must be a `ModelCard`'):
        models.save(network, tmp_path / 'c.safetensors', card={})
    with pytest.raises(TypeError, match='`card` must be a `ModelCard`'):
        models.add_card(tmp_path / 'a.safetensors', {})


def test_cards_of_unrolled_networks_are_kept(tmp_path):
    """`with_operator` keeps the card."""
    ct, other = (SparseViewCT((n, n), n_views=8) for n in (16, 24))
    network = models.load('sparse_view_ct_c4', ct.operator)
    assert network.with_operator(other.operator).card == network.card
    models.save(network, tmp_path / 'a.safetensors')
    expected = models.describe('sparse_view_ct_c4').card
    assert models.describe(tmp_path / 'a.safetensors').card == expected


def test_damaged_files(tmp_path):
    """A damaged file is neither described nor given a card."""
    content = bytearray(shipped_path('denoiser_c4').read_bytes())
    content[-1] ^= 1
    path = tmp_path / 'a.safetensors'
    path.write_bytes(content)
    card = models.describe('denoiser_c4').card
    for function in (models.describe, lambda p: models.add_card(p, card)):
        with pytest.raises(ValueError, match='a.safetensors is damaged'):
            function(path)
    assert path.read_bytes() == bytes(content)
    save_file({'w': torch.ones(2)}, path)
    with pytest.raises(ValueError, match='no architecture'):
        models.describe(path)


def test_weights_of_own_modules(tmp_path):
    """A file of `save_weights` is described, too."""
    path = tmp_path / 'a.safetensors'
    models.save_weights(torch.nn.Linear(2, 3), path)
    assert models.describe(path).n_weights == 9


def test_group_of_an_energy(tmp_path):
    """The group of a denoiser inside of an energy is found."""
    from odl_equivariant.nn import GradientStepEnergy

    energy = GradientStepEnergy(
        EquivariantProximal(
            channels=8, group='D4', memory=0, gradient=False, noise_level=True
        )
    )
    path = tmp_path / 'a.safetensors'
    models.save(energy, path)
    description = models.describe(path)
    assert description.group == 'D4'
    assert description.network == 'GradientStepEnergy'


def test_description_of_a_network_for_volumes(tmp_path):
    """The table has the axis about which a group of the space acts."""
    path = tmp_path / 'a.safetensors'
    block = EquivariantProximal(1, 4, 'C4', axis=1, memory=0, gradient=False)
    models.save(block, path)
    description = models.describe(path)
    assert (description.group, description.axis) == ('C4', 1)
    assert 'C4 about axis 1' in str(description)
    assert models.describe(models.available()[0]).axis is None
