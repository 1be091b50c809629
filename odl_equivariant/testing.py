# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pytest fixtures for the tests of operators in other projects.

To use them, put this line into the ``conftest.py`` of a project:

    pytest_plugins = ['odl_equivariant.testing']

The fixtures then run a test in each kind of space that an operator should work
in. The asserts of `odl_equivariant.diagnostics` then state the laws.
"""

from __future__ import annotations

import odl
import pytest

from odl_equivariant.actions import GeometricAction, group_actions

__all__ = (
    'image_backend',
    'image_dtype',
    'image_size',
    'image_space',
    'image_actions',
)


@pytest.fixture(params=['numpy', 'pytorch'])
def image_backend(request: pytest.FixtureRequest) -> str:
    """Back-end of the arrays: 'numpy', then 'pytorch'."""
    return request.param


@pytest.fixture(params=['float32', 'float64', 'complex64', 'complex128'])
def image_dtype(request: pytest.FixtureRequest) -> str:
    """Name of the data type, real and complex, single and double."""
    return request.param


@pytest.fixture(params=[6, 7])
def image_size(request: pytest.FixtureRequest) -> int:
    """Number of cells along a side: an even one, then an odd one."""
    return request.param


@pytest.fixture
def image_space(
    image_size: int, image_dtype: str, image_backend: str
) -> odl.DiscretizedSpace:
    """Space on a square grid of side 2, with cells that are not of area 1."""
    return odl.uniform_discr(
        [-1, -1],
        [1, 1],
        (image_size, image_size),
        dtype=image_dtype,
        impl=image_backend,
    )


@pytest.fixture
def image_actions(image_space: odl.DiscretizedSpace) -> list[GeometricAction]:
    """The eight symmetries of the square, acting on `image_space`."""
    return group_actions(image_space, 'D4')
