# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests that the benchmark for a GPU runs, here on a processor."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import odl_equivariant

SCRIPT = (
    pathlib.Path(odl_equivariant.__file__)
    .parents[1]
    .joinpath('benchmarks', 'gpu.py')
)


def run(tmp_path, *options):
    """Return the finished process, and the rows that it has written."""
    environment = {**os.environ, 'PYTHONPATH': str(SCRIPT.parents[1])}
    command = [sys.executable, SCRIPT, '--quick', '--output', 'gpu.json']
    result = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert os.listdir(tmp_path) == ['gpu.json'], result.stderr
    content = json.loads((tmp_path / 'gpu.json').read_text('utf-8'))
    return result, content['rows']


@pytest.mark.slow
def test_all_sections_run(tmp_path):
    """Each section has its rows, and none of them has failed."""
    result, rows = run(tmp_path, '--device', 'cpu')
    assert result.returncode == 0, result.stderr
    assert len({row['section'] for row in rows}) == 4
    assert result.stdout.count('\n## ') == 4


@pytest.mark.slow
def test_no_time_is_a_row_and_no_failure(tmp_path):
    """What no time is left for is named."""
    result, rows = run(tmp_path, '--device', 'cpu', '--budget', '0')
    assert result.returncode == 0, result.stderr
    assert all('left_out' in row for row in rows) and len(rows) >= 4


@pytest.mark.slow
def test_what_fails_is_recorded_and_the_rest_goes_on(tmp_path):
    """On a device that is not there, each section says why."""
    result, rows = run(tmp_path, '--device', 'xpu:9')
    assert result.returncode == 1
    assert len({row['section'] for row in rows if 'error' in row}) == 4
