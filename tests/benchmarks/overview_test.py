# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the table of all benchmarks, one column for each processor."""

import importlib
import pathlib
import sys

import pytest

import odl_equivariant

FOLDER = pathlib.Path(odl_equivariant.__file__).parents[1] / 'benchmarks'


@pytest.fixture
def overview(monkeypatch):
    """Return the module of the script."""
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module('overview')
    for name in ('overview', '_timing'):
        sys.modules.pop(name, None)


def rows(page):
    """Return the lines of the tables of a page."""
    return [line for line in page.splitlines() if line.startswith('|')]


def test_columns_of_other_processors_stay(overview):
    """A page keeps other sections, and figures of other processors."""
    one = {'rays': {'time': '1 ms', 'deepinv': '2.00'}}
    other = {'rays': {'time': '3 ms'}, 'proximal': {'time': '9 ms'}}
    first = overview.merged('# Title\n\nText.\n\n', one, 'old')
    first += '\n## Another\n\n| a |\n| --- |\n'
    both = overview.merged(first, other, 'new')
    assert both.startswith('# Title\n\nText.\n\n## Overview, by processor\n')
    assert both.endswith('\n## Another\n\n| a |\n| --- |\n')
    assert rows(both)[:5] == [
        '| work | beside | old | new |',
        '| --- | --- | --- | --- |',
        '| rays | time | 1 ms | 3 ms |',
        '| rays | deepinv | 2.00 | - |',
        '| proximal | time | - | 9 ms |',
    ]
    assert overview.merged(both, other, 'new') == both


def test_no_time_left_is_said(overview, capsys):
    """What does not fit into the time is named, and left out."""
    assert overview.measured(16, 4, -1.0) == {}
    said = capsys.readouterr().out
    assert said.count('no time left for') == 7


def test_machine_is_named(overview):
    """The heading says processor, capability and arithmetic."""
    import torch

    text = overview.machine()
    assert f'used as {torch.backends.cpu.get_cpu_capability()}' in text
    assert 'arithmetic in bfloat16' in text
