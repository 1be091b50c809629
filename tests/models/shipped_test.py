# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the weights that come with the package."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant._files import checksum, split_seal
from odl_equivariant.actions import Rotation
from odl_equivariant.data import (
    CartesianMRI,
    SparseViewCT,
    ellipse_phantom,
    mr_phantom,
)
from odl_equivariant.elements import as_tensor
from odl_equivariant.models.shipped import shipped_path
from odl_equivariant.nn import (
    EnergyDenoiser,
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    MultiscaleDenoiser,
    OrdinaryProximal,
    RidgeEnergy,
)
from odl_equivariant.nn.steerable.convolutions import _scaled_basis

DENOISERS = ('denoiser_c4', 'denoiser_ordinary')
UNROLLED = ('sparse_view_ct_c4', 'sparse_view_ct_ordinary')
MAGNETIC = ('cartesian_mri_c4', 'cartesian_mri_ordinary')
MULTISCALE = ('multiscale_denoiser_c4', 'multiscale_denoiser_ordinary')
TWINS = (DENOISERS, UNROLLED, MAGNETIC, MULTISCALE)
CONVEX = ('ridge_convex_c4', 'ridge_convex_ordinary')
WEAKLY_CONVEX = ('ridge_weakly_convex_c4', 'ridge_weakly_convex_ordinary')
RIDGES = CONVEX + WEAKLY_CONVEX
GRADIENT_STEPS = ('gradient_step_c4',)

# Of the bytes after the header, so that rewriting one leaves the weights.
TENSORS = {
    'cartesian_mri_c4': 'a9883fe779c2beb5fdd2440994d2e1b5',
    'cartesian_mri_ordinary': 'e1608468a2e8ac4c30e0fdeb9431ee74',
    'denoiser_c4': '9954b67eace08d51e20e7bcb6c899a0d',
    'denoiser_ordinary': '0f2c7fb553f4defb7855140759fd45fd',
    'gradient_step_c4': '718c31510a51ed0caeaa5b7d7e3e6ef4',
    'multiscale_denoiser_c4': 'd19ade37d37991a5d17275a56beed45a',
    'multiscale_denoiser_ordinary': 'c3a884d043f7ae52ba22f1f887233c4b',
    'ridge_convex_c4': '1b4d1b79f8a1add3a9b939bb5a5399e7',
    'ridge_convex_ordinary': 'd2804e1feda89ed7e1ab209cea820a43',
    'ridge_weakly_convex_c4': '44d06946aa482bdbcaf90c360ee42fb5',
    'ridge_weakly_convex_ordinary': '6e396aecf131433c15381bd7a17aab3e',
    'sparse_view_ct_c4': '7f6897d75e05fba9ad9d16d32fb83f22',
    'sparse_view_ct_ordinary': '0dcac9dadda4fb155f5412fdc73db607',
}

name = simple_fixture(
    'name',
    DENOISERS + UNROLLED + MAGNETIC + MULTISCALE + RIDGES + GRADIENT_STEPS,
)


@pytest.fixture(scope='module')
def acquisition():
    """Return the acquisition of the networks, on a coarser grid."""
    return SparseViewCT((64, 64), n_views=50)


@pytest.fixture(scope='module')
def phantom(acquisition):
    """Return a random phantom on the fine grid of the acquisition."""
    return ellipse_phantom(
        acquisition.fine_space.shape, np.random.default_rng(77)
    )


def load(name, acquisition):
    """Load a model, with the operator if it needs one."""
    operator = acquisition.operator if name in UNROLLED else None
    if name in MAGNETIC:
        operator = CartesianMRI((64, 64)).operator
    return models.load(name, operator)


def blocks_of(network):
    """Return the proximals of a model."""
    if isinstance(network, GradientStepEnergy):
        return [network.denoiser]
    return list(getattr(network, 'blocks', [network]))


def squared_error(image, truth):
    """Return the mean squared error of a tensor."""
    return (image - truth).square().mean().item()


def test_available(name):
    """The models that the documentation names are there."""
    assert name in models.available()
    assert models.available() == tuple(sorted(models.available()))


def test_files_are_small(name):
    """A model takes less than a megabyte, an ordinary one of scales five."""
    most = 5 if name == 'multiscale_denoiser_ordinary' else 1
    assert os.path.getsize(shipped_path(name)) < most * 2**20


def test_files_have_a_checksum(name):
    """Damage to a shipped file is noticed when it is loaded."""
    with safetensors.safe_open(shipped_path(name), 'pt') as file:
        text = file.metadata()['odl_equivariant']
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    content, expected = split_seal(text)
    assert expected == checksum(content, tensors)


def test_tensors_are_those_that_were_trained(name):
    """The tensors of the shipped files are unchanged since training."""
    content = shipped_path(name).read_bytes()
    length = int.from_bytes(content[:8], 'little')
    digest = hashlib.sha256(content[8 + length :]).hexdigest()
    assert digest.startswith(TENSORS[name])


def test_range_of_values_is_that_of_the_phantoms(name, acquisition):
    """Attenuation is in [0, 1], complex images have two parts of [-1, 1]."""
    expected = (-1, 1) if name in MAGNETIC else (0, 1)
    assert load(name, acquisition).value_range == expected


@pytest.mark.parametrize('name', [ours for ours, _ in TWINS])
def test_bases_are_those_of_escnn(name, acquisition):
    """The kernels are those that escnn gives for the same coefficients."""
    for block in blocks_of(load(name, acquisition)):
        for layer in block.convolutions():
            expected = _scaled_basis(*layer.basis_key)
            assert torch.equal(layer.exact_basis, expected)
            assert torch.equal(layer.basis, expected.float())


@pytest.mark.slow
def test_models_load_without_escnn():
    """All files have their bases, so that escnn is never imported."""
    script = """
import sys, odl
sys.modules['escnn'] = None  # importing it fails from now on
from odl_equivariant import models
from odl_equivariant.data import SparseViewCT
operators = {
    (n, dtype): odl.IdentityOperator(odl.rn((8,) * n).astype(dtype))
    for n in (2, 3)
    for dtype in ('float32', 'complex64')
}
for name in models.available():
    if any(kind in name for kind in ('denoiser', 'ridge', 'gradient')):
        models.load(name)
    elif 'primal_dual' in name:
        models.load(name, SparseViewCT((16, 16), n_views=8).operator)
    else:
        dtype = 'complex64' if 'mri' in name else 'float32'
        n = 3 if 'volume' in name else 2
        models.load(name, operators[n, dtype], 'zero')
    print(name)
"""
    result = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert tuple(result.stdout.split()) == models.available()


def test_classes(name, acquisition):
    """Networks whose names end in ``c4`` are equivariant under C4."""
    for block in blocks_of(load(name, acquisition)):
        if name in MULTISCALE + RIDGES + GRADIENT_STEPS:
            kind = RidgeEnergy if name in RIDGES else MultiscaleDenoiser
            assert type(block) is kind
            assert block.group == ('C4' if name.endswith('_c4') else None)
        elif name.endswith('_c4'):
            assert type(block) is EquivariantProximal
            assert block.group == 'C4'
        else:
            assert type(block) is OrdinaryProximal


@pytest.mark.parametrize('names', TWINS)
def test_twins_have_the_same_architecture(names, acquisition):
    """Equivariant and ordinary network have the same width and depth."""
    arguments = []
    for name in names:
        network = load(name, acquisition)
        architecture = network.architecture
        blocks = [dict(block._arguments) for block in blocks_of(network)]
        for block in blocks:
            block.pop('group', None)
        arguments.append((architecture['arguments'], blocks))
    ours, theirs = arguments
    assert ours[1] == theirs[1]
    for own in arguments:
        own[0].pop('group', None)
    assert ours[0] == theirs[0]


def test_noise_level_counts(acquisition):
    """For a higher noise level, a denoiser changes the image more."""
    x = torch.randn(1, 1, 32, 32)
    for name in DENOISERS + MULTISCALE:
        denoiser = load(name, acquisition)
        with torch.no_grad():
            changes = [
                (denoiser(0.2 + 0.02 * x, sigma=sigma) - 0.2).norm().item()
                for sigma in (0.003, 0.02)
            ]
        assert changes[1] < changes[0]


@pytest.mark.parametrize('sigma', [0.01, 0.05])
@pytest.mark.parametrize('name', DENOISERS + MULTISCALE)
def test_denoisers_denoise(name, sigma, acquisition, phantom):
    """The error is less than half of what it was."""
    truth = as_tensor(acquisition.ground_truth(phantom))
    noisy = truth + sigma * torch.randn(truth.shape)
    with torch.no_grad():
        result = load(name, acquisition)(noisy, sigma=sigma)
    before = squared_error(noisy, truth)
    assert squared_error(result, truth) < 0.5 * before


@pytest.mark.parametrize('name', RIDGES)
def test_energies_denoise(name, acquisition, phantom):
    """The error of the minimiser is less than half of what it was."""
    truth = as_tensor(acquisition.ground_truth(phantom))
    noisy = truth + 0.05 * torch.randn(truth.shape)
    denoiser = EnergyDenoiser(models.load(name)).eval()
    with torch.no_grad():
        result = denoiser(noisy, sigma=0.05)
    assert squared_error(result, truth) < 0.5 * squared_error(noisy, truth)


@pytest.mark.parametrize('name', GRADIENT_STEPS)
def test_gradient_steps_denoise_and_are_invariant(name, acquisition, phantom):
    """One step down leaves half of the error, and J(g u) = J(u)."""
    truth = as_tensor(acquisition.ground_truth(phantom))
    noisy = truth + 0.05 * torch.randn(truth.shape)
    energy = models.load(name)
    with torch.no_grad():
        result = GradientStepDenoiser(energy)(noisy, sigma=0.05)
        value = energy(noisy, sigma=0.05)
        turned = energy(noisy.rot90(1, (2, 3)), sigma=0.05)
    assert squared_error(result, truth) < 0.5 * squared_error(noisy, truth)
    torch.testing.assert_close(turned, value, rtol=1e-5, atol=0)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('name', RIDGES)
def test_energies_are_invariant(name, dtype):
    """J(g u) = J(u) for quarter turns, with filters in orbits alone."""
    energy = models.load(name).to(dtype)
    x = torch.rand(1, 1, 48, 41, dtype=dtype)
    with torch.no_grad():
        expected = energy(x, sigma=0.05)
        gap = energy(x.rot90(1, (2, 3)), sigma=0.05) - expected
    error = float((gap / expected).abs())
    assert (error < 20 * torch.finfo(dtype).eps) == name.endswith('_c4')


@pytest.mark.parametrize('name', RIDGES)
@pytest.mark.parametrize('sigma', [0.002, 0.05, 0.2])
def test_energies_have_few_weights_and_their_bounds(name, sigma):
    """They have at most 15 000 weights, and are (1-weakly) convex."""
    energy = models.load(name)
    if name.endswith('_c4'):
        assert sum(p.numel() for p in energy.parameters()) <= 15000
    modulus = energy.weak_convexity(sigma)
    assert modulus == 0 if name in CONVEX else 0 < modulus <= 1


@pytest.mark.parametrize('name', UNROLLED)
def test_unrolled_networks_reconstruct(name, acquisition, phantom):
    """The error is less than half that of filtered back-projection."""
    truth = as_tensor(acquisition.ground_truth(phantom))
    data = acquisition.simulate(phantom, np.random.default_rng(78))
    result = load(name, acquisition).as_operator()(data)
    before = squared_error(as_tensor(acquisition.fbp(data)), truth)
    assert squared_error(as_tensor(result), truth) < 0.5 * before


@pytest.mark.parametrize('name', ['sparse_view_ct_c4'])
def test_unrolled_networks_follow_a_moved_operator(name, acquisition, phantom):
    """Phi(y; A T_g) = T_g^-1 Phi(y; A) for quarter turns."""
    data = acquisition.simulate(phantom, np.random.default_rng(79))
    network = load(name, acquisition)
    upright = network.as_operator()(data)
    for k in range(1, 4):
        turn = Rotation(acquisition.space, k * np.pi / 2)
        moved = acquisition.operator @ turn
        expected = as_tensor(turn.inverse(upright))
        with torch.no_grad():
            results = [
                models.load(name, moved)(as_tensor(data)),
                network.with_operator(moved)(as_tensor(data)),
                network(as_tensor(data), forward_operator=moved),
            ]
        for result in results:
            assert (result - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize('shape', [(96, 192), (61, 256)])
@pytest.mark.parametrize('name', MAGNETIC)
def test_networks_reconstruct_from_few_lines(name, shape):
    """The squared error is less than half of the zero-filled image's."""
    acquisition = CartesianMRI(shape, seed=91)
    before, after = 0, 0
    for seed in range(4):
        phantom = mr_phantom(shape, 1000 + seed, phase=bool(seed % 2))
        truth = as_tensor(acquisition.ground_truth(phantom))
        data = acquisition.simulate(phantom, seed)
        network = models.load(name, acquisition.operator)
        start = as_tensor(acquisition.zero_filled(data))
        before += squared_error(start, truth)
        result = as_tensor(network.as_operator()(data))
        after += squared_error(result, truth)
    assert after < 0.5 * before


@pytest.mark.parametrize('name', MAGNETIC)
def test_reconstructions_turn_with_their_mask(name):
    """Of y = A T^{-1} (T u), an equivariant network returns T Phi(y; A)."""
    acquisition = CartesianMRI((64, 64))
    operator = acquisition.operator
    turn = Rotation(acquisition.space, np.pi / 2)
    data = acquisition.simulate(mr_phantom((64, 64), 5, phase=True), 6)
    expected = turn(models.load(name, operator).as_operator()(data))
    turned = models.load(name, operator * turn.inverse).as_operator()
    error = float((turned(data) - expected).norm() / expected.norm())
    assert (error < 1e-4) == name.endswith('_c4')


@pytest.mark.parametrize('name', DENOISERS)
def test_denoised_images_turn(name, acquisition, phantom):
    """An equivariant denoiser commutes with a quarter turn."""
    x = as_tensor(acquisition.ground_truth(phantom))
    x = x + 0.05 * torch.randn(x.shape)
    denoiser = load(name, acquisition)
    with torch.no_grad():
        expected = denoiser(x, sigma=0.05).rot90(1, (2, 3))
        gap = denoiser(x.rot90(1, (2, 3)), sigma=0.05) - expected
    error = gap.norm() / expected.norm()
    assert (error < 1e-5) == name.endswith('_c4')


@pytest.mark.parametrize('name', UNROLLED)
def test_reconstructions_turn(name, acquisition, phantom):
    """Data of a turned object give the turned image."""
    operator = acquisition.operator
    turn = Rotation(operator.domain, np.pi / 2)
    truth = acquisition.ground_truth(phantom)
    reconstruct = load(name, acquisition).as_operator() * operator
    expected = turn(reconstruct(truth))
    gap = reconstruct(turn(truth)) - expected
    error = float(gap.norm()) / float(expected.norm())
    assert (error < 1e-4) == name.endswith('_c4')


@pytest.mark.parametrize('unknown', ['denoiser', '', None, '../denoiser_c4'])
def test_unknown_names(unknown, name):
    """An unknown model is refused, and the known ones are listed."""
    with pytest.raises(ValueError, match=f'unknown model .*{name}.*path'):
        models.load(unknown)
