# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the fixtures for the tests of other projects."""

import subprocess
import sys
import textwrap

import pytest


@pytest.mark.slow
def test_fixtures_in_another_project(tmp_path):
    """A project that names the module gets all kinds of spaces."""
    (tmp_path / 'conftest.py').write_text(
        "pytest_plugins = ['odl_equivariant.testing']\n"
    )
    (tmp_path / 'laplacian_test.py').write_text(
        textwrap.dedent("""
        import odl

        from odl_equivariant.diagnostics import assert_equivariant

        def test_right(image_space, image_actions):
            op = odl.Laplacian(image_space, pad_mode='symmetric')
            assert_equivariant(op, image_actions)

        def test_wrong(image_space, image_actions):
            op = odl.PartialDerivative(image_space, 0, pad_mode='symmetric')
            assert_equivariant(op, image_actions)
        """)
    )
    result = subprocess.run(
        [
            *(sys.executable, '-m', 'pytest', '-q', '--tb=no'),
            *('-p', 'no:odl_plugins', '-p', 'no:cacheprovider'),
            *('laplacian_test.py', '-k', 'float64 or complex64'),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert '8 failed, 8 passed' in result.stdout, result.stdout[-2000:]
    assert 'AssertionError: P' in result.stdout
