# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of convolutions of data that commute with moved images."""

import itertools

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import (
    FanBeamGeometry,
    Parallel2dGeometry,
    RayTransform,
)
from torch.nn import functional

from odl_equivariant.actions import group_actions, induced_action
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn.dual.symmetry import (
    GROUPS,
    PADDING_MODES,
    check_commutes,
    kernel_flips,
    pad_views,
    symmetrised,
)


def ray_transform(kind, n_views=8, detector=(-1.6, 1.6, 13), size=6):
    """Return a small ray transform: 'half', 'full' or 'fan'."""
    space = odl.uniform_discr([-1, -1], [1, 1], (size, size))
    end = np.pi if kind == 'half' else 2 * np.pi
    angles = odl.uniform_partition(0, end, n_views)
    if kind == 'fan':
        low, high, n = detector
        plane = odl.uniform_partition(2.5 * low, 2.5 * high, n)
        geometry = FanBeamGeometry(angles, plane, 3, 3)
    else:
        geometry = Parallel2dGeometry(angles, odl.uniform_partition(*detector))
    return RayTransform(space, geometry, impl='astra_matrix')


def convolved(y, kernel, padding_mode):
    """Return the convolution of data that continue past the last view."""
    margin = kernel.shape[-1] // 2
    y = pad_views(y, margin, padding_mode)
    return functional.conv2d(y, kernel, padding=(0, margin))


def gap(operator, group, kernel, padding_mode):
    """Return by how much a convolution fails to commute with a group."""
    gaps = []
    y = torch.randn(1, 1, *operator.range.shape, dtype=torch.float64)
    for action in group_actions(operator.domain, group):
        moved = induced_action(operator, action)

        def move(y, moved=moved):
            return as_tensor(moved(as_element(y, operator.range)))

        difference = convolved(move(y), kernel, padding_mode)
        difference -= move(convolved(y, kernel, padding_mode))
        gaps.append(float(difference.abs().max()))
    return max(gaps)


@pytest.mark.parametrize('side', [1, 3, 5])
@pytest.mark.parametrize('group', GROUPS[1:])
@pytest.mark.parametrize(
    ('kind', 'n_detectors'),
    [('half', 13), ('half', 12), ('full', 13), ('full', 12), ('fan', 12)],
)
def test_symmetric_kernels_commute(kind, n_detectors, group, side):
    """Convolutions with the kernels of a group commute with its actions."""
    operator = ray_transform(kind, detector=(-1.6, 1.6, n_detectors))
    padding_mode = 'twisted' if kind == 'half' else 'circular'
    check_commutes(operator, group, side, padding_mode)
    torch.manual_seed(0)
    kernel = torch.randn(1, 1, side, side, dtype=torch.float64)
    flips = kernel_flips(group, padding_mode)
    kernel = symmetrised(kernel, flips)
    assert gap(operator, group, kernel, padding_mode) <= 1e-13


@pytest.mark.parametrize(
    ('kind', 'group', 'padding_mode', 'flips'),
    [
        ('half', 'C4', 'twisted', ((),)),
        ('half', 'C2', 'twisted', ((),)),
        ('half', 'D4', 'twisted', kernel_flips('C4', 'twisted')),
        ('half', 'C4', 'zeros', kernel_flips('D4', 'twisted')),
        ('half', 'C4', 'circular', kernel_flips('D4', 'circular')),
        ('full', 'D4', 'circular', ((),)),
        ('full', 'C4', 'zeros', kernel_flips('D4', 'twisted')),
    ],
)
def test_other_kernels_and_paddings_do_not(kind, group, padding_mode, flips):
    """With fewer flips, or another padding, they do not commute."""
    torch.manual_seed(0)
    kernel = symmetrised(torch.randn(1, 1, 3, 3).double(), flips)
    assert gap(ray_transform(kind), group, kernel, padding_mode) > 0.1


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ('group', 'mode'), list(itertools.product(GROUPS, PADDING_MODES))
)
def test_symmetrised_kernels_have_the_symmetry(group, mode, dtype):
    """Flips leave them as they are, bit by bit, and so does a second mean."""
    torch.manual_seed(0)
    flips = kernel_flips(group, mode)
    kernel = symmetrised(torch.randn(3, 2, 5, 5, dtype=dtype), flips)
    for axes in flips:
        assert torch.equal(kernel.flip(axes), kernel)
    assert torch.equal(symmetrised(kernel, flips), kernel)


def test_views_half_a_turn_later_are_reversed():
    """Twisted twice, the padding is periodic over a full turn."""
    y = torch.arange(12.0).reshape(1, 1, 3, 4)
    full = torch.cat([y, y.flip(-1)], -2)
    padded = pad_views(full, 1, 'circular')
    assert torch.equal(pad_views(y, 1, 'twisted'), padded[..., :5, :])


@pytest.mark.parametrize(
    ('arguments', 'group', 'padding_mode', 'reason'),
    [
        (('half', 7), 'C4', 'twisted', 'not measured; the rotations that'),
        (('half', 8, (-1.6, 1.7, 13)), 'C4', 'twisted', 'symmetric about'),
        (('half', 8, (-1.75, 2, 15)), 'C4', 'twisted', 'takes 4 rays from'),
        (('half', 8), 'C4', 'circular', "take padding_mode='twisted'"),
        (('full', 8), 'C4', 'twisted', "take padding_mode='circular'"),
        (('fan', 8), 'C4', 'twisted', "take padding_mode='circular'"),
        (('full', 6), 'C4', 'circular', 'take kernel_size=1'),
        (('fan', 6), 'C4', 'circular', 'not measured; the rotations that'),
        (('fan', 8, (-1.6, 1.8, 13)), 'D4', 'circular', 'take kernel_size=1'),
    ],
)
def test_geometries_that_do_not_fit(arguments, group, padding_mode, reason):
    """The error says why the data do not follow the group, and what does."""
    operator = ray_transform(*arguments)
    with pytest.raises(ValueError, match=reason):
        check_commutes(operator, group, 3, padding_mode)
    check_commutes(operator, group, 1, padding_mode)
    check_commutes(operator, 'C1', 3, padding_mode)


def test_a_short_scan_of_fan_beams_does_not_fit():
    """A quarter turn would need views that are not measured."""
    full = ray_transform('fan')
    angles = odl.uniform_partition(0, 4, 8)
    geometry = FanBeamGeometry(angles, full.geometry.det_partition, 3, 3)
    operator = RayTransform(full.domain, geometry, impl='astra_matrix')
    with pytest.raises(ValueError, match='at 14.32.* is not measured'):
        check_commutes(operator, 'C4', 3, 'circular')


def test_a_detector_on_one_side_of_fan_beams_turns():
    """Rotations ask for no symmetric detector over a full turn."""
    operator = ray_transform('fan', detector=(-1.7, 1.6, 13))
    check_commutes(operator, 'C4', 3, 'circular')


def test_a_grid_that_does_not_turn():
    """Groups must be exact on the grid of the images."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 4))
    geometry = ray_transform('half').geometry
    operator = RayTransform(space, geometry, impl='astra_matrix')
    check_commutes(operator, 'D2', 3, 'twisted')
    with pytest.raises(ValueError, match="group='C1'"):
        check_commutes(operator, 'C4', 3, 'twisted')


def test_images_that_were_moved():
    """The operator may be a multiple of A T_g, and nothing else."""
    operator = ray_transform('half')
    moved = 2.0 * operator @ group_actions(operator.domain, 'D4')[5]
    check_commutes(moved, 'D4', 3, 'twisted')
    for other in (
        odl.IdentityOperator(operator.domain),
        operator.adjoint @ operator,
    ):
        with pytest.raises(ValueError, match='need the data of a ray'):
            check_commutes(other, 'D4', 3, 'twisted')
