# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests that the benchmark of the regularisers runs."""

import os
import pathlib
import subprocess
import sys

import pytest

import odl_equivariant

SCRIPT = (
    pathlib.Path(odl_equivariant.__file__)
    .parents[1]
    .joinpath('benchmarks', 'regularisers.py')
)


@pytest.mark.slow
def test_benchmark_of_regularisers(tmp_path):
    """Each table has its rows, and only deepinv may be missing."""
    environment = {**os.environ, 'PYTHONPATH': str(SCRIPT.parents[1])}
    command = [sys.executable, SCRIPT, '--size', '16', '--iterations', '2']
    command += ['--budget', '0.1', '--output', 'report.md']
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    report = (tmp_path / 'report.md').read_text('utf-8')
    assert report.count('\n## ') == 4
    assert report.count(' ms |') >= 5
    assert 'deepinv' in report
    assert os.listdir(tmp_path) == ['report.md']
