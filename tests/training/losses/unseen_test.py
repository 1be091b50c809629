# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What a group of moves leaves unseen, and who is told."""

import warnings

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import group_actions
from odl_equivariant.data import (
    CartesianMRI,
    DynamicMRI,
    SparseViewCT,
    VolumeMRI,
)
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.operators import Masking
from odl_equivariant.training.losses import (
    EquivariantSplitting,
    MeasurementSplitting,
    unseen_share,
)
from odl_equivariant.training.losses.parts.lines import always_measured


def turned(mask):
    """Return what a mask of k-space measures in four poses, by counting."""
    n = len(mask)
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing='ij')
    seen = np.zeros_like(mask)
    for _ in range(4):
        seen |= mask[i, j]
        # about the zero frequency, and frequencies repeat after n
        i, j = (2 * (n // 2) - j) % n, i
    return seen


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('n', [11, 12])
def test_shares_of_a_mask_are_counts(n, dtype, backend):
    """Of frequencies that no pose measures: with exact turns."""
    acquisition = CartesianMRI(
        (n, n), acceleration=3, dtype=dtype, backend=backend
    )
    mask = np.broadcast_to(acquisition.mask, (n, n))
    turns = group_actions(acquisition.space, 'C4')[1:]
    for poses, seen in (([], mask), (turns, turned(mask))):
        share = unseen_share(acquisition.operator, poses)
        assert share == pytest.approx(1 - seen.mean(), abs=1e-5)
    assert turned(mask).mean() > 1.3 * mask.mean()


def test_shares_of_a_real_operator():
    """Half of an image, and with its mirror image all."""
    space = odl.uniform_discr([-1, -1], [1, 1], (9, 8))
    half = np.zeros((9, 8), bool)
    half[:, :4] = True
    operator = Masking(space, half)
    assert unseen_share(operator) == pytest.approx(0.5, abs=0.2)
    mirror = group_actions(space, 'D1', method='linear')[1:]
    left = np.zeros((9, 8), bool)
    left[:5] = True
    assert unseen_share(Masking(space, left), mirror) < 1e-6
    assert unseen_share(odl.IdentityOperator(space)) < 1e-6


def test_coils_see_more_than_a_mask():
    """Where their sensitivities tell folded pixels apart, all of it."""
    phases = np.outer(np.arange(12), np.arange(12))[:, None] / 12
    maps = np.broadcast_to(np.exp(2j * np.pi * phases), (12, 12, 12))
    plain = CartesianMRI((12, 12), acceleration=4)
    coils = CartesianMRI((12, 12), acceleration=4, coil_maps=maps)
    assert unseen_share(plain.operator) == pytest.approx(0.75, abs=1e-5)
    assert unseen_share(coils.operator) < 1e-6


def test_finer_turns_see_more():
    """Up to nearly all of k-space."""
    acquisition = CartesianMRI((16, 16), acceleration=4)
    shares = [
        unseen_share(
            acquisition.operator,
            group_actions(acquisition.space, group, method='fourier')[1:],
        )
        for group in ('C4', 'C8', 'C16')
    ]
    assert shares[0] > 2 * shares[1] > 4 * shares[2]
    assert shares[2] < 0.05


def checked(acquisition, group='C4', actions=None):
    """Check a loss with a network of a group."""
    network = LearnedProximalGradient(
        acquisition.operator,
        lambda: EquivariantProximal(
            channels=24,
            group=group,
            in_channels=2 if acquisition.space.is_complex else 1,
        ),
        1,
    )
    EquivariantSplitting(actions=actions).check(acquisition, network)


@pytest.mark.parametrize('group', ['C4', 'D4', 'SO2'])
def test_splitting_says_what_its_group_leaves_unseen(group):
    """Of one mask for all scans: with the share of its k-space."""
    acquisition = CartesianMRI((16, 16), acceleration=4)
    if group == 'SO2':
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            checked(acquisition, group)
        return
    with pytest.warns(UserWarning, match=r'\d\d % of k-space unseen.*`C16`'):
        checked(acquisition, group)


def test_no_finer_turns_are_named_than_were_taken():
    """The middle of k-space is measured in no turn, however fine."""
    mask = np.zeros((32, 32), dtype=bool)
    mask[:, :5] = True
    acquisition = CartesianMRI((32, 32), mask=mask)
    with pytest.warns(UserWarning, match='% of k-space unseen') as warned:
        checked(acquisition, actions='C16')
    assert 'finer turns' not in str(warned[0].message)


@pytest.mark.parametrize(
    'acquisition, actions',
    [
        (CartesianMRI((16, 16), random_masks=True), None),
        (CartesianMRI((16, 16), n_coils=2), None),
        (CartesianMRI((16, 16), acceleration=4), 'C16'),
        (CartesianMRI((32, 32), acceleration=4), 'C16'),
        (SparseViewCT((16, 16), n_views=9), None),
    ],
    ids=[
        'masks that differ',
        'own maps',
        'finer turns',
        'more steps',
        'views',
    ],
)
def test_nothing_is_said_where_all_is_seen(acquisition, actions):
    """Or where the acquisition cannot know."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        checked(acquisition, actions=actions)


def test_what_has_no_frequencies_or_another_grid():
    """Is refused, by what it is."""
    with pytest.raises(TypeError, match='which have frequencies'):
        unseen_share(odl.IdentityOperator(odl.rn(3)))
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    other = odl.uniform_discr([-1, -1], [1, 1], (5, 5))
    with pytest.raises(ValueError, match='acts on'):
        unseen_share(odl.IdentityOperator(space), group_actions(other, 'C4'))
    with pytest.raises(TypeError, match="must be operators.*got 'C4'"):
        unseen_share(odl.IdentityOperator(space), 'C4')
    with pytest.raises(ValueError, match='n_iterations'):
        unseen_share(odl.IdentityOperator(space), n_iterations=0)
    nonlinear = odl.PowerOperator(space, 2)
    with pytest.raises((TypeError, ValueError), match='linear'):
        unseen_share(nonlinear)


def test_kept_are_what_masks_of_films_share():
    """Their masks are arrays."""
    acquisition = DynamicMRI((12, 12), n_frames=3, random_masks=True)
    MeasurementSplitting(keep=None).parts.check(acquisition)
    masks = [np.asarray(acquisition.draw_mask(i)) for i in range(64)]
    expected = torch.from_numpy(np.all(masks, axis=0))
    assert torch.equal(always_measured(acquisition), expected)


@pytest.mark.parametrize(
    'acquisition',
    [
        CartesianMRI((16, 16), pattern='poisson_disc', random_masks=True),
        VolumeMRI((8, 8, 8), random_masks=True),
    ],
    ids=['plane', 'volume'],
)
def test_keeping_what_no_draws_tell(acquisition):
    """Masks of Poisson discs have no samples that all of them measure."""
    with pytest.raises(ValueError, match='`keep: null`.*poisson_disc'):
        MeasurementSplitting(keep=None).parts.check(acquisition)
