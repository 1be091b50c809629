# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests that the benchmark of the unrolled networks runs."""

import os
import pathlib
import subprocess
import sys

import pytest

import odl_equivariant

SCRIPT = (
    pathlib.Path(odl_equivariant.__file__)
    .parents[1]
    .joinpath('benchmarks', 'unrolled.py')
)


@pytest.mark.slow
def test_benchmark_of_unrolled_networks(tmp_path):
    """Each table has its rows, with times and memory of every way."""
    environment = {**os.environ, 'PYTHONPATH': str(SCRIPT.parents[1])}
    command = [sys.executable, SCRIPT, '--shape', '32', '8', '2']
    command += ['--budget', '0.1', '--output', 'report.md', '--no-memory']
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    report = (tmp_path / 'report.md').read_text('utf-8')
    assert report.count('\n## ') == 5
    assert report.count('| plain CNN on OperatorModule |') == 2
    assert report.count(' dB |') >= 1
    assert os.listdir(tmp_path) == ['report.md']
