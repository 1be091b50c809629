# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the table of all that can be measured."""

import io

import odl
import pytest
from odl.functionals import L1Norm

from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import report


def square():
    """Return a space on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], (6, 6))


def test_the_table_says_what_is_returned(capsys):
    """Each value has a line, under the name of the operator."""
    space = square()
    values = report(
        odl.Laplacian(space, pad_mode='symmetric'), group_actions(space, 'C4')
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('Laplacian: uniform_discr')
    assert len(lines) == 1 + len(values)
    for line, (key, value) in zip(lines[1:], values.items(), strict=True):
        assert line.split() == [*key.split(), f'{value:.3g}']


def test_a_linear_operator_is_measured_as_such():
    """Laws that hold have the errors of rounding, others do not."""
    space = square()
    values = report(
        odl.Laplacian(space, pad_mode='symmetric'),
        group_actions(space, 'C4'),
        file=io.StringIO(),
    )
    assert values['linearity'] < 1e-13
    assert values['adjoint'] < 1e-13
    assert values['isometry'] > 0.1
    assert values['firm non-expansiveness'] > 0.1
    assert values['equivariance, rotation by 90 degrees'] < 1e-13


def test_a_functional_is_measured_as_such():
    """Invariance takes the place of equivariance."""
    space = square()
    values = report(
        L1Norm(space), group_actions(space, 'C2'), file=io.StringIO()
    )
    assert values['linearity'] > 0.1
    assert values['invariance, rotation by 180 degrees'] < 1e-13
    assert 'isometry' not in values


def test_what_an_operator_lacks_is_left_out():
    """A proximal has no derivative, and needs none."""
    prox = L1Norm(square()).proximal(0.1)
    values = report(prox, file=io.StringIO())
    assert 'derivative' not in values
    assert values['firm non-expansiveness'] < 1e-13
    assert values['Lipschitz constant, at least'] <= 1 + 1e-12


def test_another_space_takes_other_actions():
    """The group acts on the range as well."""
    gradient = odl.Gradient(square(), method='central', pad_mode='symmetric')
    actions = group_actions(gradient.domain, 'C2')
    range_actions = group_actions(gradient.range, 'C2')
    values = report(gradient, actions, range_actions, file=io.StringIO())
    # a half turn changes the sign of a gradient, which these do not
    assert values['equivariance, rotation by 180 degrees'] > 1
    with pytest.raises(ValueError, match='each of the 2'):
        report(gradient, actions, range_actions[:1], file=io.StringIO())
