# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How the gallery runs examples, and what its notebooks begin with."""

import ast
import importlib
import pathlib
import re
import sys

import pytest

pytest.importorskip('sphinx_gallery')
ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / 'examples').glob('*.py'))


@pytest.fixture
def gallery(monkeypatch, tmp_path):
    """Return the extension, which writes to a temporary folder."""
    folder = ROOT / 'docs' / '_extensions'
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    module = importlib.import_module('gallery')
    monkeypatch.setattr(module, '_FOLDER', tmp_path / 'figures')
    return module


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_examples_write_figures_outside_of_the_sources(path, gallery):
    """What saves a figure is told where, even by another example's option."""
    text = path.read_text('utf-8')
    arguments = gallery.arguments({}, {'src_file': str(path)})
    if 'save_figure(' in text or 'output_of(' in text:
        assert arguments[0] == '--output'
        target = (path.parent / arguments[1]).resolve()
        assert ROOT / 'examples' not in target.parents


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_each_example_has_a_heading(path, gallery):
    """It is the alternative text of the figures."""
    assert gallery._TITLE.search(path.read_text('utf-8'))


def test_notebooks_begin_without_the_options_of_a_kernel(monkeypatch):
    """The first cell drops them, which no example knows."""
    text = (ROOT / 'docs' / 'conf.py').read_text('utf-8')
    code = re.search(r"'first_notebook_cell': (\(.*?\)),\n", text, re.S)
    monkeypatch.setattr(sys, 'argv', ['kernel', '-f', 'kernel.json'])
    exec(ast.literal_eval(code.group(1)), {})
    assert sys.argv == ['kernel']
