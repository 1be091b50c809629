# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What the examples of radial and spiral MRI claim."""

import importlib
import pathlib
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'
NAMES = ('radial_mri', 'spiral_mri')


@pytest.fixture
def scores(monkeypatch, tmp_path):
    """Return a function that runs an example on a small part of the slice."""
    pytest.importorskip('finufft')
    pytest.importorskip('matplotlib')
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(name, **constants):
        module = importlib.import_module(name)
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)
        output = tmp_path / 'images.png'
        monkeypatch.setattr(sys, 'argv', [name, '--output', str(output)])
        result = module.main()
        assert output.stat().st_size > 0
        return result

    yield run
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_radial(scores):
    """Both methods with a prior are better than gridding."""
    result = scores('radial_mri', SIZE=64, N_SPOKES=25, TV_ITERATIONS=40)
    gridded = result['gridding']
    assert result['TV (pdhg)'] > gridded + 3
    assert result['plug-and-play'] > gridded + 5


@pytest.mark.slow
def test_spiral(scores):
    """Least squares are better than gridding."""
    result = scores('spiral_mri', SIZE=64)
    assert result['least squares (CG)'] > result['gridding'] + 5
