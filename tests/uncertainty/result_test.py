# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of what samples say."""

import numpy as np
import odl
import pytest

from odl_equivariant.elements import as_tensor
from odl_equivariant.uncertainty import Uncertainty, ensemble


def scaled(space, factors):
    """Return the uncertainty of multiples of an image."""
    identity = odl.IdentityOperator(space)
    members = [float(factor) * identity for factor in factors]
    return ensemble(members, identity)(space.one())


@pytest.fixture(params=['float32', 'float64', 'complex64', 'complex128'])
def space(request, backend):
    """Return a space on a grid that is not square."""
    return odl.uniform_discr(
        [0, 0], [2, 1], (4, 5), dtype=request.param, impl=backend
    )


def test_radius_is_an_order_statistic(space):
    """The region contains at least the share of the samples."""
    result = scaled(space, [0, 1, 2, 7])
    norms = np.sort(result.norms)
    assert result.radius(0.5) == norms[1]
    assert result.radius(0.51) == norms[2]
    assert result.radius(0.99) == norms[3]


def test_contains_is_at_most_the_radius(space):
    """Images within the radius of the estimate are contained."""
    result = scaled(space, [0, 1, 2, 7])
    size = float(space.one().norm())
    edge = result.radius(0.9) / size
    inside = result.estimate + 0.99 * edge * space.one()
    outside = result.estimate - 1.01 * edge * space.one()
    assert result.contains(inside, 0.9)
    assert not result.contains(outside, 0.9)


def test_quantiles_are_those_of_numpy(space):
    """Quantiles are taken in each pixel, over the samples."""
    result = scaled(space, [0, 1, 2, 7])
    for level, element in zip(
        [0, 0.3, 1], result.quantiles([0, 0.3, 1]), strict=True
    ):
        assert element in space
        real = as_tensor(element)[0, 0]
        assert np.allclose(real, np.quantile([0, 1, 2, 7], level))


def test_quantiles_of_many_pixels(monkeypatch):
    """Pixels that are sorted in parts give the same quantiles."""
    space = odl.rn((5, 7))
    result = scaled(space, [0, 1, 5])
    whole = result.quantiles([0.2, 0.5])
    monkeypatch.setattr('odl_equivariant.uncertainty.result._AT_ONCE', 12)
    assert result.quantiles([0.2, 0.5]) == whole


def test_interval_reverses_the_quantiles(space):
    """The interval is that of the errors, and so corrects the bias."""
    result = scaled(space, [0, 1, 2, 7])
    low, high = (as_tensor(end)[0, 0] for end in result.interval(0.5))
    lower, upper = np.quantile([0, 1, 2, 7], [0.25, 0.75])
    assert np.allclose(low, 2 * 2.5 - upper)
    assert np.allclose(high, 2 * 2.5 - lower)


def test_covered_is_a_share_of_pixels():
    """Pixels out of their intervals count."""
    space = odl.rn((2, 2))
    result = scaled(space, [0, 1, 2, 3])
    image = result.estimate.copy()
    image[0, 0] = 100
    assert result.covered(image, 0.9) == 0.75


def test_result_is_frozen():
    """Neither attributes nor norms can be changed."""
    result = scaled(odl.rn((2, 2)), [0, 1])
    assert isinstance(result, Uncertainty)
    with pytest.raises(AttributeError):
        result.mean = None
    with pytest.raises(ValueError, match='read-only'):
        result.norms[0] = 0


@pytest.mark.parametrize('level', [0, 1, 90, -0.1, np.nan])
def test_levels_are_between_0_and_1(level):
    """Percents are no levels."""
    result = scaled(odl.rn((2, 2)), [0, 1])
    with pytest.raises(ValueError, match='level'):
        result.radius(level)


def test_product_spaces():
    """A vector field has a standard deviation for each part."""
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4)) ** 2
    result = scaled(space, [0, 2])
    assert result.standard_deviation in space
    norm = float(space.one().norm())
    assert np.allclose(result.norms, norm)
    assert np.allclose(result.standard_deviation[1].asarray(), np.sqrt(2))


def test_ensemble_has_at_least_two():
    """One reconstruction has no deviation."""
    identity = odl.IdentityOperator(odl.rn((2, 2)))
    with pytest.raises(ValueError, match='at least 2'):
        ensemble([identity], identity)


def test_ensemble_memory_limit():
    """The bound on memory holds for ensembles, too."""
    identity = odl.IdentityOperator(odl.rn((2, 2)))
    with pytest.raises(ValueError, match='memory_limit'):
        ensemble([identity] * 3, identity, memory_limit=64)
