# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Benchmarks say why a package that is installed is left out."""

import os
import pathlib
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / 'benchmarks'


@pytest.mark.parametrize(
    ('content', 'left_out', 'reason'),
    [
        ('', False, ''),
        ('raise RuntimeError("no operator")', True, 'no operator'),
        ('import not_there_at_all', True, 'not_there_at_all'),
    ],
)
def test_package_that_cannot_be_imported(tmp_path, content, left_out, reason):
    """The reason is given once."""
    (tmp_path / 'deepinv.py').write_text(content)
    code = (
        'from ways.peers import deepinv_if_there as there; there();'
        'print(there() is None)'
    )
    path = os.pathsep.join([str(tmp_path), str(BENCHMARKS)])
    result = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True, text=True, check=True,
        env={**os.environ, 'PYTHONPATH': path},
    )  # fmt: skip
    assert result.stdout.split() == [str(left_out)]
    assert result.stderr.count('deepinv is left out') == left_out
    assert reason in result.stderr
