# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Symmetries of forward operators."""

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import Reflection, Rotation, Translation
from odl_equivariant.data import (
    CartesianMRI,
    CompressedSensing,
    Deblurring,
    Denoising,
    Inpainting,
    SparseViewCT,
    SuperResolution,
    gaussian_kernel,
)
from odl_equivariant.diagnostics import (
    Symmetries,
    commutation_error,
    report,
)
from odl_equivariant.diagnostics.symmetries import smooth_images

CENTRE = np.pad(np.zeros((16, 16), bool), 8, constant_values=True)
SIDE = np.arange(32)[:, None] < 20 + np.zeros(32)
KNOWN = {
    'no blur': (Deblurring((32, 32), [[1.0]]), 'O(2)', (1, 1)),
    'noise': (Denoising((32, 32)), 'O(2)', (1, 1)),
    'blur': (Deblurring((32, 32), 1.5, 'periodic'), 'D4', (1, 1)),
    'long blur': (
        Deblurring((32, 32), gaussian_kernel(3, 1), 'periodic'),
        'D2',
        (1, 1),
    ),
    'oblique blur': (
        Deblurring((32, 32), gaussian_kernel(3, 1, 0.4), 'periodic'),
        'C2',
        (1, 1),
    ),
    'random mask': (Inpainting((32, 32)), 'C1', (None, None)),
    'central block': (Inpainting(mask=CENTRE, shape=(32, 32)), 'D4', None),
    'one side': (Inpainting(mask=SIDE, shape=(32, 32)), 'C1', (None, 1)),
    'half the cells': (SuperResolution((32, 32)), 'D4', (2, 2)),
    'not square': (SuperResolution((32, 24)), 'D2', (2, 2)),
    'a third, odd': (SuperResolution((33, 33), factor=3), 'D4', (3, 3)),
    'Hadamard': (CompressedSensing((32, 32)), 'C1', (None, None)),
    'even views': (SparseViewCT((32, 32), n_views=16), 'D32', None),
    'odd views': (SparseViewCT((32, 32), n_views=25), 'D50', None),
    'complex lines': (CartesianMRI((32, 32)), 'D1', (1, 1)),
    'all of k-space': (
        CartesianMRI((32, 32), acceleration=1),
        'O(2)',
        (1, 1),
    ),
}


@pytest.mark.parametrize('name', KNOWN)
def test_acquisitions_know_their_symmetries(name):
    """The largest group, and the least shifts, of an operator."""
    acquisition, group, shifts = KNOWN[name]
    assert acquisition.symmetries.group == group
    if shifts is not None:
        assert acquisition.symmetries.shifts == shifts


def test_symmetries_of_a_fan_are_those_of_its_views():
    """A full circle of fans turns into itself by the angle of two views."""
    space = odl.uniform_discr([-1, -1], [1, 1], (32, 32), dtype='float32')
    geometry = odl.applications.tomo.FanBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, 12),
        odl.uniform_partition(-3, 3, 48),
        src_radius=4,
        det_radius=4,
    )
    rays = odl.applications.tomo.RayTransform(
        space, geometry, impl='astra_matrix'
    )
    symmetries = Symmetries(rays)
    assert 'C12' in symmetries
    assert 'C4' in symmetries
    assert 'C8' not in symmetries


def test_a_symmetry_is_measured_once(monkeypatch):
    """What was asked for is kept, also for an equal action."""
    from odl_equivariant.diagnostics import symmetries as module

    calls = []
    measure = module.commutation_error
    monkeypatch.setattr(
        module,
        'commutation_error',
        lambda *args: calls.append(args) or measure(*args),
    )
    inpainting = Inpainting((8, 8))
    assert inpainting.symmetries is inpainting.symmetries
    for _ in range(2):
        turn = Rotation(inpainting.space, np.pi / 2)
        assert turn not in inpainting.symmetries
    assert len(calls) == 1


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex128'])
@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_commutation_on_each_kind_of_space(dtype, backend):
    """A symmetric mask commutes exactly, and half of the plane does not."""
    for mask, size in ((CENTRE, 0), (SIDE, 0.1)):
        inpainting = Inpainting(
            (32, 32), mask=mask, dtype=dtype, backend=backend
        )
        turn = Rotation(inpainting.space, np.pi / 2)
        error = commutation_error(inpainting.operator, turn)
        assert error == 0 if size == 0 else error > size


def test_groups_that_show_the_null_space():
    """Those that are no symmetries, in words."""
    words = ' '.join(SuperResolution((32, 32)).symmetries.missing())
    assert '`C8`' in words
    assert '`C4`' not in words
    assert 'shifts' not in words
    blur = Deblurring((32, 32), [[1.0]])
    assert blur.symmetries.missing() == []


def test_report_of_an_operator_between_spaces(capsys):
    """Without actions on the data, the normal operator is measured."""
    operator = SuperResolution((8, 8)).operator
    values = report(operator, [Rotation(operator.domain, np.pi / 2)])
    assert values['normal operator, rotation by 90 degrees'] < 1e-6


def test_what_is_no_symmetry_is_refused():
    """Other types, actions of other spaces, names that are none."""
    symmetries = Inpainting((8, 8)).symmetries
    with pytest.raises(TypeError, match=r'odl\.Operator'):
        Symmetries('C4')
    with pytest.raises(ValueError, match='not linear'):
        Symmetries(odl.functionals.L2NormSquared(symmetries.operator.domain))
    volumes = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4))
    with pytest.raises(ValueError, match='one or two variables'):
        Symmetries(odl.IdentityOperator(volumes)).group  # noqa: B018
    product = odl.IdentityOperator(volumes**2)
    with pytest.raises(TypeError, match='product'):
        Symmetries(product)
    with pytest.raises(TypeError, match='product'):
        commutation_error(product, Rotation(product.domain, np.pi, axis=0))
    with pytest.raises(ValueError, match="group 'CN' or 'DN'"):
        'SO(3)' in symmetries  # noqa: B015
    other = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    with pytest.raises(ValueError, match='expected an action on the domain'):
        Reflection(other, axis=0) in symmetries  # noqa: B015
    with pytest.raises(TypeError, match='expected an action'):
        4 in symmetries  # noqa: B015
    with pytest.raises(ValueError, match='positive'):
        Symmetries(symmetries.operator, tolerance=0)


def test_symmetries_of_other_dimensions():
    """Of lines there are mirrors, and volumes have single actions."""
    line = Symmetries(odl.IdentityOperator(odl.uniform_discr(-1, 1, 8)))
    assert str(line) == 'D1, all shifts'
    space = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4))
    volumes = Symmetries(odl.IdentityOperator(space))
    assert str(volumes) == 'volumes, all shifts'
    assert Rotation(space, np.pi / 2, axis=1) in volumes
    # a whole period is no shift
    assert Inpainting((8, 8)).symmetries.shifts == (None, None)


def test_shifts_along_one_axis():
    """An action that is no rotation is a symmetry, or not."""
    inpainting = Inpainting((32, 32), mask=SIDE)
    h = float(inpainting.space.cell_sides[0])
    assert Translation(inpainting.space, [0, 3 * h]) in inpainting.symmetries
    assert Translation(inpainting.space, [h, 0]) not in inpainting.symmetries


def test_images_do_not_depend_on_the_default_device():
    """Smooth images are on the processor, the same for each call."""
    space = odl.uniform_discr([-1, -1], [1, 1], (9, 12))
    expected = smooth_images(space)
    with torch.device('meta'):
        found = smooth_images(space)
    assert torch.equal(found, expected)
