# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of energies whose training remembers where minimisations ended."""

import copy
import math
import pickle

import pytest
import torch

from odl_equivariant.nn import EnergyDenoiser, RidgeEnergy
from odl_equivariant.nn.energies import _equilibrium
from odl_equivariant.nn.energies._memory import Memory, keys_of

SIGMA = torch.tensor([0.1, 0.04], dtype=torch.float64)


def make(convex=False, maxiter=9, memory=4, tolerance=1e-12):
    torch.manual_seed(0)
    energy = RidgeEnergy('C4', 5, 8, convex, first_knot=0.05).double()
    return EnergyDenoiser(
        energy,
        training_memory=memory,
        training_maxiter=maxiter,
        training_tolerance=tolerance,
    ).train()


def images(n=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 12, 13, generator=generator).double()


def gradients(denoiser, x, right):
    total = (denoiser(x, sigma=SIGMA) * right).sum()
    return torch.autograd.grad(total, list(denoiser.parameters()))


def largest_error(given, expected):
    """Return the largest relative error of some tensors."""
    return max(
        float((a - b).norm() / b.norm())
        for a, b in zip(given, expected, strict=True)
    )


@pytest.mark.parametrize('convex', [False, True])
def test_minimisations_go_on_as_if_they_had_not_stopped(convex):
    """One of 27 and one of 9 gradients are one of 35: one is made twice."""
    x = images()
    denoiser, whole = make(convex), make(convex, 35, memory=0)
    with torch.no_grad():
        denoiser(x, sigma=SIGMA)
        assert denoiser.n_iterations == 27
        short = denoiser.residual
        again = denoiser(x, sigma=SIGMA)
        assert denoiser.n_iterations == 9
        assert torch.equal(again, whole(x, sigma=SIGMA))
    assert (denoiser.residual < 0.7 * short).all()


@pytest.mark.parametrize('convex', [False, True])
def test_derivatives_become_exact(convex):
    """Few iterations for each visit end at the derivatives of many."""
    x, right = images(), images(seed=1) - 0.5
    expected = gradients(make(convex, 4000, 0), x, right)
    denoiser = make(convex, 5)
    errors = []
    for _ in range(100):
        given = gradients(denoiser, x, right)
        errors.append(largest_error(given, expected))
    assert errors[0] > 1e-3
    assert errors[-1] < 1e-6


def test_images_are_known_by_value_and_level():
    """Their place in a batch does not matter, noise and level do."""
    x, denoiser = images(3), make(memory=8)
    with torch.no_grad():
        denoiser(x[:2], sigma=SIGMA)
        # a batch of known and new images is minimised as new ones
        mixed = denoiser(x[[2, 0]], sigma=SIGMA[[1, 0]])
        assert denoiser.n_iterations == 27
        expected = make(maxiter=53, memory=0)(x[:1], sigma=SIGMA[:1])
        assert torch.allclose(mixed[1:], expected, rtol=0, atol=1e-13)
        denoiser(x[:2], sigma=SIGMA.flip(0))
        assert denoiser.n_iterations == 27
        denoiser(x[:2] + 1e-12, sigma=SIGMA)
        assert denoiser.n_iterations == 27
        denoiser(x[[1, 0]], sigma=SIGMA.flip(0))
        assert denoiser.n_iterations == 9


@pytest.mark.parametrize(
    'sigma', [0.1, torch.tensor(0.1), torch.tensor([0.1])]
)
def test_one_level_of_all_images_is_known(sigma):
    """A number, and tensors of one number, are the level of each image."""
    denoiser = make()
    with torch.no_grad():
        denoiser(images(), sigma=sigma)
        assert denoiser.n_iterations == 27
        denoiser(images().flip(0), sigma=sigma)
        assert denoiser.n_iterations == 9


def test_evaluation_neither_uses_nor_fills_it():
    """Only what was seen in training mode is known there."""
    x, new = images(), images(seed=1)
    denoiser = make()
    with torch.no_grad():
        expected = make(memory=0).eval()(x, sigma=SIGMA)
        denoiser(x, sigma=SIGMA)
        assert torch.equal(denoiser.eval()(x, sigma=SIGMA), expected)
        denoiser(new, sigma=SIGMA)
        denoiser.train()(new, sigma=SIGMA)
        assert denoiser.n_iterations == 27
        denoiser(x, sigma=SIGMA)
        assert denoiser.n_iterations == 9


def test_without_places_nothing_is_remembered():
    """Then each visit is the first one, of the usual length."""
    x, denoiser = images(), make(memory=0)
    with torch.no_grad():
        results = [denoiser(x, sigma=SIGMA) for _ in range(2)]
    assert torch.equal(*results)
    assert denoiser.n_iterations == 9


@pytest.mark.parametrize('scale', [2.0, -1.0, 2.0**-16])
def test_solutions_do_not_depend_on_former_losses(scale):
    """After a visit with another loss, derivatives are as near as ever."""
    x, right = images(), images(seed=1) - 0.5
    denoiser = make(maxiter=5)
    for _ in range(60):
        gradients(denoiser, x, right)
    expected = gradients(make(maxiter=4000, memory=0), x, right)
    given = gradients(denoiser, x, scale * right)
    assert largest_error([a / scale for a in given], expected) <= 1e-3


def test_images_that_a_loss_leaves_out_have_no_derivative():
    """Though they had one in an earlier loss."""
    x, denoiser = images().requires_grad_(), make(maxiter=5)
    denoiser(x, sigma=SIGMA).sum().backward()
    x.grad = None
    denoiser(x, sigma=SIGMA)[0].sum().backward()
    assert x.grad[0].any() and not x.grad[1].any()


def test_linear_systems_have_their_own_share_of_iterations(monkeypatch):
    """After visits without derivatives, the first one gets more."""
    x, right, denoiser = images(), images(seed=1) - 0.5, make()
    solve, given = _equilibrium.conjugate_gradient, []

    def spy(matrix, right, tolerance, maxiter, start):
        given.append(maxiter)
        return solve(matrix, right, tolerance, maxiter, start)

    monkeypatch.setattr(_equilibrium, 'conjugate_gradient', spy)
    with torch.no_grad():
        denoiser(x, sigma=SIGMA)
    for _ in range(2):
        gradients(denoiser, x, right)
    assert given == [27, 9]


@pytest.mark.parametrize(
    'arguments, shape, weight',
    [
        (('C4', 5, 8), (1, 12, 13), 0.5),
        (('C4', 5, 8, False, 2), (2, 12, 13), 1.0),
        (('C4', 5, 8, False, 2), (2, 12, 13), 0.5),
        (('O', 3, 24), (1, 6, 7, 8), 1.0),
    ],
)
def test_weights_channels_and_volumes_go_on_too(arguments, shape, weight):
    """Another weight, complex images and volumes change nothing of it."""
    energy = RidgeEnergy(*arguments).double()
    x = images(2 * 12).flatten()[: 2 * math.prod(shape)].view(2, *shape)
    denoiser, whole = (
        EnergyDenoiser(
            energy,
            weight,
            training_tolerance=1e-12,
            training_memory=n,
            training_maxiter=maxiter,
        ).train()
        for n, maxiter in ((2, 9), (0, 35))
    )
    with torch.no_grad():
        denoiser(x, sigma=SIGMA)
        result = denoiser(x, sigma=SIGMA)
        assert torch.equal(result, whole(x, sigma=SIGMA))


@pytest.mark.parametrize(
    'duplicate', [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
def test_copies_begin_anew(duplicate):
    """A copy has the settings, and no image."""
    x, denoiser = images(), make()
    with torch.no_grad():
        denoiser(x, sigma=SIGMA)
        other = duplicate(denoiser)
        other(x, sigma=SIGMA)
        assert other.n_iterations == 27
        other(x, sigma=SIGMA)
        assert other.n_iterations == 9


def test_weights_and_architecture_do_not_hold_it():
    """A file of weights is the same with and without a memory."""
    one, other = make(), make(memory=0)
    with torch.no_grad():
        one(images(), sigma=SIGMA)
    assert one.architecture == other.architecture
    assert one.state_dict().keys() == other.state_dict().keys()


def test_oldest_are_forgotten():
    """With two places, the third image takes that of the first."""
    memory, rows = Memory(2), torch.arange(3.0)[:, None]
    memory.keep(['a', 'b'], [rows[:2]])
    memory.keep(['a'], [rows[2:]])
    memory.keep(['c'], [rows[1:2]])
    assert len(memory) == 2
    assert memory.knows(['a', 'c']) and not memory.knows(['b'])
    found = memory.recalled(['c', 'b', 'a'], [torch.full((3, 1), 7.0)])
    assert found[0].flatten().tolist() == [1, 7, 2]


def test_state_restores_all_that_is_remembered():
    """Shapes, dtypes and age among them; what was known before is gone."""
    memory, other = Memory(3), Memory(3)
    for key, n in (('a', 3), ('b', 4), ('c', 3)):
        memory.keep([key], [torch.rand(1, 1, n), torch.rand(1, 1).double()])
    other.keep(['d'], [torch.zeros(1, 1, 3)])
    other.load(memory.state())
    assert not other.knows(['d']) and other.knows(['a', 'b', 'c'])
    start = [torch.zeros(1, 1, 4), torch.zeros(1, 1).double()]
    for a, b in zip(
        memory.recalled(['b'], start),
        other.recalled(['b'], start),
        strict=True,
    ):
        assert torch.equal(a, b) and a.dtype == b.dtype and a.any()
    # the oldest are forgotten first, whatever their shapes
    other.keep(['e', 'f'], [torch.zeros(2, 1, 3)])
    assert other.knows(['c', 'e', 'f']) and len(other) == 3


def test_smaller_memory_keeps_the_youngest():
    """A state of more images than places is cut."""
    memory, smaller, none = Memory(3), Memory(2), Memory(0)
    memory.keep(['a', 'b', 'c'], [torch.arange(3.0)[:, None]])
    for other in (smaller, none):
        other.load(memory.state())
    assert smaller.knows(['b', 'c']) and len(smaller) == 2
    assert len(none) == 0


def test_training_goes_on_from_its_state():
    """With the state of another denoiser, results are its results."""
    x, one, other = images(), make(), make()
    with torch.no_grad():
        one(x, sigma=SIGMA)
    gradients(one, x, images(seed=1))
    other.load_memory_state(one.memory_state())
    right = images(seed=2) - 0.5
    for a, b in zip(
        gradients(one, x, right), gradients(other, x, right), strict=True
    ):
        assert torch.equal(a, b)
    assert other.n_iterations == 9


def test_what_is_not_finite_is_not_remembered():
    """A training that has left all bounds once can come back."""
    memory = Memory(2)
    memory.keep(['a'], [torch.ones(1, 3)])
    memory.keep(['a', 'b'], [torch.tensor([[torch.nan, 1, 1], [1, 1, 1]])])
    assert not memory.knows(['a']) and memory.knows(['b'])


def test_what_is_remembered_is_not_that_of_the_caller():
    """Writing into what was kept, or into what came back, changes nothing."""
    memory, kept = Memory(1), torch.ones(1, 3)
    memory.keep(['a'], [kept])
    kept.zero_()
    found = memory.recalled(['a'], [torch.zeros(1, 3)])[0]
    found.zero_()
    again = memory.recalled(['a'], [torch.zeros(1, 3, dtype=torch.float64)])
    assert again[0].dtype == torch.float64 and (again[0] == 1).all()


@pytest.mark.parametrize(
    'dtype', [torch.bfloat16, torch.float32, torch.float64]
)
def test_names_tell_images_apart(dtype):
    """Images of other values, or of other levels, have other names."""
    x = images().to(dtype)
    one = keys_of(x, SIGMA)
    assert (
        one
        == keys_of(x.clone(), SIGMA)
        == keys_of(x.flip(0), SIGMA.flip(0))[::-1]
    )
    assert keys_of(x[:1].expand(2, -1, -1, -1), SIGMA[:1])[0] == one[0]
    others = [
        keys_of(x + 0.1, SIGMA),
        keys_of(x, SIGMA * 1.001),
        keys_of(x),
        keys_of(x.reshape(2, 1, 13, 12), SIGMA),
        keys_of(x.view(torch.int16), SIGMA),
    ]
    assert len({*one, *(key for keys in others for key in keys)}) == 12


def test_memory_is_a_number():
    """The error names the argument."""
    with pytest.raises(ValueError, match='training_memory'):
        make(memory=-1)
