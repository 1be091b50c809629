# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests that the benchmark of volumes runs."""

import os
import pathlib
import subprocess
import sys

import pytest

import odl_equivariant

ROOT = pathlib.Path(odl_equivariant.__file__).parents[1]


@pytest.mark.slow
def test_benchmark_of_volumes(tmp_path):
    """Both tables have a row for each network, and memory becomes less."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, ROOT / 'benchmarks' / 'volumes.py']
    command += ['--size', '12', '--output', 'report.md']
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    report = (tmp_path / 'report.md').read_text('utf-8')
    rows = [line for line in report.splitlines() if ', width ' in line]
    assert len(rows) == 4
    for row in rows[:2]:
        assert 0 < float(row.split('|')[4]) < 1
    assert os.listdir(tmp_path) == ['report.md']
