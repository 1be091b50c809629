# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests that the benchmark of the operators runs and writes its tables."""

import os
import pathlib
import subprocess
import sys

import pytest

import odl_equivariant

SCRIPT = (
    pathlib.Path(odl_equivariant.__file__)
    .parents[1]
    .joinpath('benchmarks', 'operators.py')
)


@pytest.mark.slow
def test_benchmark_of_operators(tmp_path):
    """Each table has its rows, and only deepinv may be missing."""
    environment = {**os.environ, 'PYTHONPATH': str(SCRIPT.parents[1])}
    result = subprocess.run(
        [
            sys.executable,
            SCRIPT,
            '--sizes',
            '16',
            '--batches',
            '2',
            '--output',
            'report.md',
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    report = (tmp_path / 'report.md').read_text('utf-8')
    assert report.count('\n## ') == 10
    rows = [line for line in report.splitlines() if line.startswith('| 16 |')]
    assert len(rows) == 6
    for row in rows:
        cells = [cell.strip() for cell in row.strip('| ').split(' | ')]
        assert cells.count('-') <= 1, row
    assert os.listdir(tmp_path) == ['report.md']
