# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of symmetries in the documentation."""

import pathlib
import sys

import pytest

pytest.importorskip('sphinx')
EXTENSIONS = pathlib.Path(__file__).parents[2] / 'docs' / '_extensions'


def test_the_table_has_the_symmetries_of_each_measurement(monkeypatch):
    """A row for each, as `acquisition.symmetries` says it."""
    monkeypatch.setattr(sys, 'path', [str(EXTENSIONS), *sys.path])
    import symmetry_table

    lines = symmetry_table.table()
    assert len(lines) == 2 + len(symmetry_table.acquisitions())
    assert '| denoising | O(2), all shifts |' in lines
    assert '| inpainting, random cells | C1 |' in lines
    assert '| tomography, 25 parallel views | D50 |' in lines
