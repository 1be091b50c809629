# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""A source distribution can be tested, documented and installed."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def named():
    """Return what the manifest includes by itself, and by whole folders."""
    words = [
        line.split()
        for line in (ROOT / 'MANIFEST.in').read_text('utf-8').splitlines()
        if line and line[0] != '#'
    ]
    files = {w for line in words if line[0] == 'include' for w in line[1:]}
    folders = {line[1] for line in words if line[0] == 'graft'}
    return files, folders


def test_all_that_tests_need_is_distributed():
    """Constraints, documentation, examples, benchmarks and tests are."""
    files, folders = named()
    assert {'constraints.txt', 'conftest.py', 'Makefile'} <= files
    assert {'docs', 'examples', 'benchmarks', 'tests'} <= folders


def test_what_is_distributed_exists():
    """The manifest names nothing that is gone."""
    files, folders = named()
    for name in files:
        assert (ROOT / name).is_file(), name
    for name in folders:
        assert (ROOT / name).is_dir(), name


@pytest.mark.parametrize('pattern', ['*.md', '*.txt', '*.cff', '*.py'])
def test_nothing_of_the_root_is_forgotten(pattern):
    """Every file at the root of the repository is in the manifest."""
    files, _ = named()
    found = {path.name for path in ROOT.glob(pattern)}
    assert found <= files
