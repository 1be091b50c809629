# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of the blocks of films."""

import numpy as np
import odl
import pytest
import torch

from odl_equivariant import models
from odl_equivariant.actions import space_time_actions, time_shift
from odl_equivariant.diagnostics import (
    assert_reconstruction_equivariant,
    equivariance_error,
    reconstruction_equivariance_error,
)
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    LearnedProximalGradient,
    SpaceTimeProximal,
    to_convolutional,
)
from odl_equivariant.operators import NetworkOperator, UnitaryFourierTransform

TOLERANCES = {'float32': 1e-5, 'float64': 1e-12}
each_case = pytest.mark.parametrize(
    'dtype, is_complex, shape, group',
    [
        ('float32', False, (8, 8, 5), 'C4'),
        ('float64', False, (7, 7, 4), 'D4'),
        ('float32', True, (7, 7, 4), 'C4'),
        ('float64', True, (8, 8, 5), 'C4'),
    ],
)


def moved(block, seed=0):
    """Return a block whose weights are not those of the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in block.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.1 * noise.to(parameter))
    return block


def denoiser(group='C4', in_channels=1, **options):
    """Return a denoiser of films with random weights."""
    options = {'channels': 8, 'memory': 0, 'gradient': False, **options}
    return moved(SpaceTimeProximal(group, in_channels, **options))


def film_space(shape, dtype, is_complex=False, impl='numpy'):
    """Return a space of films with square cells in each frame."""
    if is_complex:
        dtype = {'float32': 'complex64', 'float64': 'complex128'}[dtype]
    ends = [1, shape[1] / shape[0], 0.3 * shape[2]]
    return odl.uniform_discr([0] * 3, ends, shape, dtype=dtype, impl=impl)


@each_case
def test_equivariant_in_space_and_time(dtype, is_complex, shape, group):
    """Turns of all frames and the reversal of time commute with it."""
    block = denoiser(group, 1 + is_complex).to(getattr(torch, dtype))
    space = film_space(shape, dtype, is_complex)
    operator = NetworkOperator(block, space)
    for action in space_time_actions(space, group, None)[1::2]:
        assert equivariance_error(operator, action) < TOLERANCES[dtype]


@each_case
def test_periodic_shifts_commute(dtype, is_complex, shape, group):
    """With circular padding in time, shifts commute, and reversed ones."""
    block = denoiser(group, 1 + is_complex, time_padding_mode='circular')
    space = film_space(shape, dtype, is_complex)
    operator = NetworkOperator(block.to(getattr(torch, dtype)), space)
    for action in space_time_actions(space, group)[3::11]:
        assert equivariance_error(operator, action) < TOLERANCES[dtype]


def test_shifts_commute_away_from_the_ends():
    """Without it they do for frames that no end reaches."""
    block = denoiser(n_residual_blocks=1).double()
    u = torch.randn(1, 1, 6, 6, 12, dtype=torch.double)
    later = torch.cat([u[..., 1:], u[..., :1]], -1)
    gap = block(later)[..., 3:8] - block(u)[..., 4:9]
    assert gap.abs().max() < 1e-12
    assert (block(later)[..., :1] - block(u)[..., 1:2]).abs().max() > 1e-3


@pytest.mark.parametrize('reversal', [True, False])
def test_only_symmetric_kernels_commute_with_reversal(reversal):
    """Without `reversal` the network knows the direction of time."""
    block = denoiser(reversal=reversal, time_kernel_size=5).double()
    u = torch.randn(1, 1, 6, 6, 5, dtype=torch.double)
    gap = (block(u.flip(4)) - block(u).flip(4)).abs().max()
    assert bool(gap < 1e-12) is reversal


def test_ordinary_twin_is_not_equivariant():
    """The ordinary network of the same width misses turns, not reversal."""
    space = film_space((8, 8, 5), 'float64')
    operator = NetworkOperator(denoiser(None).double(), space)
    actions = space_time_actions(space, 'C4', None)
    assert equivariance_error(operator, actions[1]) > 1e-2
    assert equivariance_error(operator, actions[4]) < 1e-12


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_any_axis_is_time(axis):
    """The network does the same with time along any axis."""
    u = torch.randn(2, 1, 7, 6, 5)
    last = denoiser()
    other = denoiser(time_axis=axis)
    other.load_state_dict(last.state_dict())
    result = other(u.movedim(4, 2 + axis))
    torch.testing.assert_close(result.movedim(2 + axis, 4), last(u))


def test_films_of_a_batch_are_apart():
    """A batch gives what its films give one by one."""
    u = torch.randn(3, 1, 6, 5, 4)
    block = denoiser()
    expected = torch.cat([block(film[None]) for film in u])
    torch.testing.assert_close(block(u), expected)


def test_one_frame_of_kernels_takes_each_frame_alone():
    """With `time_kernel_size=1`, films of one frame give the same."""
    block = denoiser(time_kernel_size=1)
    u = torch.randn(1, 1, 6, 6, 3)
    frames = [block(u[..., k : k + 1]) for k in range(3)]
    torch.testing.assert_close(block(u), torch.cat(frames, -1))


def test_it_starts_frame_by_frame():
    """At the start a frame of the result depends on that frame alone."""
    block = SpaceTimeProximal(channels=8, memory=0, gradient=False)
    u = torch.randn(1, 1, 6, 6, 5)
    other = u.clone()
    other[..., 2] = 0
    change = (block(other) - block(u)).abs().amax((0, 1, 2, 3))
    assert change[2] > 0.1 and change[[0, 1, 3, 4]].max() < 1e-6


def test_same_width_and_variance_as_the_twin():
    """Equivariant and ordinary networks have outputs of the same size."""
    # smooth, as images are
    u = torch.randn(2, 4, 8, 8)
    u = torch.nn.functional.interpolate(u, (32, 32), mode='bilinear')
    u = u.movedim(1, -1)[:, None]
    sizes = []
    for group in ('C4', None):
        torch.manual_seed(0)
        block = SpaceTimeProximal(group, 1, 16, 0, False, skip=False)
        sizes.append(float(block(u).detach().std()))
        assert block.channels == 16
    assert sizes[0] == pytest.approx(sizes[1], rel=0.3)


@pytest.mark.parametrize('group', ['C4', None])
@pytest.mark.parametrize(
    'mode', [('replicate', 'zeros'), ('reflect', 'replicate')]
)
def test_gradients(group, mode):
    """Gradients by film and weights are those of finite differences."""
    block = denoiser(
        group,
        channels=4,
        n_residual_blocks=1,
        padding_mode=mode[0],
        time_padding_mode=mode[1],
    ).double()
    u = torch.randn(1, 1, 4, 3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(block, u)
    weight = block.temporal[0].weight.detach().clone().requires_grad_()

    def of_weight(weight):
        values = {'temporal.0.weight': weight}
        return torch.func.functional_call(block, values, (u.detach(),))

    assert torch.autograd.gradcheck(of_weight, weight)


def test_homogeneous():
    """Without biases, the network has no unit."""
    block = denoiser(homogeneous=True, noise_level=True).double()
    u = torch.randn(1, 1, 6, 6, 4, dtype=torch.double)
    gap = block(3 * u, sigma=0.3) - 3 * block(u, sigma=0.1)
    assert gap.abs().max() < 1e-12


@pytest.mark.parametrize('group', ['C4', None])
@pytest.mark.parametrize('reversal', [True, False])
def test_saved_and_loaded(tmp_path, group, reversal):
    """A file holds the network to the last bit."""
    block = denoiser(group, reversal=reversal, noise_level=True)
    models.save(block, tmp_path / 'it.safetensors')
    loaded = models.load(tmp_path / 'it.safetensors')
    assert loaded.architecture == block.architecture
    u = torch.randn(1, 1, 6, 6, 4)
    assert torch.equal(loaded(u, sigma=0.1), block(u, sigma=0.1))


@pytest.mark.parametrize('reversal', [True, False])
def test_plain_copy(reversal):
    """The copy with plain convolutions computes the same."""
    block = denoiser('D4', reversal=reversal)
    plain = to_convolutional(block)
    assert plain.group is None
    u = torch.randn(1, 1, 6, 6, 4)
    torch.testing.assert_close(plain(u), block(u), atol=1e-5, rtol=0)


def unrolled(space, group, **options):
    """Return an unrolled network of films, of the Fourier transform."""
    return LearnedProximalGradient(
        UnitaryFourierTransform(space, axes=(0, 1)),
        lambda: moved(SpaceTimeProximal(group, 2, 8, memory=2, **options)),
        n_iterations=2,
        checkpointing=True,
    )


def test_unrolled_network_is_equivariant():
    """A reconstruction of a turned, reversed scan is the turned film."""
    space = film_space((6, 6, 5), 'float64', True)
    for group, least, most in (('C4', 0, 1e-12), (None, 1e-2, 10)):
        network = unrolled(space, group).double()

        def method(operator, y, network=network):
            return network.with_operator(operator).as_operator()(y)

        A = network.forward_operator
        action = space_time_actions(space, 'C4', None)[5]
        error = reconstruction_equivariance_error(method, A, action)
        assert least <= error < most
        reversal = space_time_actions(space, 'C4', None)[4]
        assert_reconstruction_equivariant(method, A, reversal, tol=1e-12)


def test_unrolled_network_is_trained_and_saved(tmp_path):
    """It has gradients for all weights, and a file of its own."""
    space = film_space((6, 6, 5), 'float32', True)
    network = unrolled(space, 'C4')
    y = torch.randn(2, 2, 6, 6, 5)
    network(y).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())
    models.save(network, tmp_path / 'it.safetensors')
    loaded = models.load(tmp_path / 'it.safetensors', network.forward_operator)
    torch.testing.assert_close(loaded(y), network(y))


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_proximal_in_a_solver(impl):
    """It takes the place of a proximal in one of ODL's solvers."""
    space = film_space((6, 6, 5), 'float32', False, impl)
    f = LearnedProximal(space, denoiser())
    fit = odl.functionals.L2NormSquared(space)
    x = space.one()
    with torch.no_grad():
        odl.solvers.proximal_gradient(x, f, fit, gamma=0.1, niter=2)
    assert np.isfinite(np.asarray(x.data)).all()


@pytest.mark.parametrize(
    'space, match',
    [
        (odl.uniform_discr([0, 0], [1, 1], (6, 6)), 'films'),
        (odl.uniform_discr([0] * 3, [1, 1, 1], (6, 6, 2)), '2 frame'),
        (odl.uniform_discr([0] * 3, [1, 1, 1], (6, 2, 6)), 'smaller than'),
        (odl.uniform_discr([0] * 3, [1, 2, 1], (6, 6, 6)), 'square cells'),
        (
            odl.uniform_discr(
                [0] * 3, [1, 1, 1], (6, 6, 6), dtype='complex64'
            ),
            'in_channels',
        ),
    ],
)
def test_spaces_that_do_not_fit(space, match):
    """A space of the wrong kind is refused before any work."""
    with pytest.raises(ValueError, match=match):
        denoiser().check_space(space)


def test_frames_of_any_length_and_rectangles():
    """Time may have any unit, and C2 takes oblong cells."""
    space = odl.uniform_discr([0] * 3, [1, 1, 1e3], (6, 6, 4))
    denoiser().check_space(space)
    space = odl.uniform_discr([0] * 3, [1, 3, 1e3], (6, 6, 4))
    denoiser('C2').check_space(space)


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        ({'group': 'SO2'}, ValueError, 'infinite'),
        ({'channels': 6}, ValueError, 'channels'),
        ({'time_kernel_size': 2}, ValueError, 'odd'),
        ({'time_kernel_size': 1.5}, TypeError, 'time_kernel_size'),
        ({'time_padding_mode': 'mirror'}, ValueError, 'time_padding_mode'),
        ({'time_axis': 3}, ValueError, 'time_axis'),
        ({'reversal': 'yes'}, TypeError, 'reversal'),
        ({'group': None, 'basis': 'grid'}, ValueError, 'no basis'),
    ],
)
def test_wrong_arguments(arguments, error, match):
    """An argument out of its range is refused."""
    with pytest.raises(error, match=match):
        SpaceTimeProximal(**arguments)


def test_too_few_frames():
    """A tensor of too few frames is refused, with the numbers."""
    with pytest.raises(ValueError, match='2 frame.*time_kernel_size=3'):
        denoiser()(torch.zeros(1, 1, 6, 6, 2))


def test_a_lossy_shift_does_not_commute():
    """A shift that loses frames is no element of the group."""
    space = film_space((6, 6, 5), 'float64')
    block = denoiser(time_padding_mode='circular').double()
    operator = NetworkOperator(block, space)
    lossy = time_shift(space, 1, fill=0)
    x = space.element(np.random.default_rng(0).normal(size=space.shape))
    gap = (operator(lossy(x)) - lossy(operator(x))).norm()
    assert float(gap) > 1e-2 * float(x.norm())
