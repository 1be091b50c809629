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
import re
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


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--device', 'banana'], 'no device .banana.'),
        (['--budget', 'nan'], 'number of seconds'),
        (['--budget', '-3'], 'number of seconds'),
        (['--output', 'missing/gpu.json'], 'no folder'),
        (['--show', 'missing.json'], 'missing.json cannot be read'),
        (['--show', 'cut.json'], 'cut.json is not a whole file'),
        (['--show', 'other.json'], 'other.json is not a whole file'),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, options, words):
    """Options that are wrong, and files that are damaged, are named."""
    (tmp_path / 'cut.json').write_text('{"machine"', 'utf-8')
    (tmp_path / 'other.json').write_text('[1, 2]', 'utf-8')
    environment = {**os.environ, 'PYTHONPATH': str(SCRIPT.parents[1])}
    result = subprocess.run(
        [sys.executable, SCRIPT, '--quick', '--device', 'cpu', *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert result.returncode == 2
    assert re.search(words, result.stderr.splitlines()[-1]), result.stderr
