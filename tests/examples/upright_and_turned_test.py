# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the example says about learning from upright images."""

import ast
import pathlib
import re

import pytest

EXAMPLE = 'null_spaces/upright_and_turned.py'


@pytest.fixture(scope='module')
def example(run_example, tmp_path_factory):
    """Run the example with less training."""
    folder = tmp_path_factory.mktemp('example')
    (folder / EXAMPLE).parent.mkdir()
    return run_example(EXAMPLE, folder, [('N_STEPS = 150', 'N_STEPS = 40')])


def test_which_operators_follow_turns(example):
    """Masks and random measurements do not; an even number of views does."""
    assert example['symmetric'] == {
        'noise': True,
        'blur': True,
        'coarse grid': True,
        'missing cells': False,
        'sensing': False,
        'few views': True,
    }


def test_where_they_follow_equivariant_networks_lose_nothing(example):
    """But for other noise, turned and upright have the same score."""
    scores = example['scores']
    for name, follows in example['symmetric'].items():
        if follows:
            gap = scores[name, 'C4', 'upright'] - scores[name, 'C4', 'turned']
            assert abs(gap) < 0.25, name


def test_ordinary_networks_lose_more(example):
    """In each problem, the turn costs them more than the equivariant ones."""
    scores = example['scores']
    for name in example['PROBLEMS']:
        lost = {
            kind: scores[name, kind, 'upright'] - scores[name, kind, 'turned']
            for kind in example['NETWORKS']
        }
        assert lost['ordinary'] > lost['C4'], name


def test_the_figure_has_each_problem(example):
    """A column for each, with the four pictures that are compared."""
    assert list(example['pictures']) == list(example['PROBLEMS'])
    for row in example['pictures'].values():
        assert list(row) == ['turned image', 'data', 'ordinary', 'C4']
    titles = [ax.get_title() for ax in example['figure'].axes[:6]]
    assert titles == list(example['PROBLEMS'])


def test_the_documentation_runs_it():
    """The gallery runs the example, and none of the volumes."""
    root = pathlib.Path(__file__).parents[2]
    examples = root / 'examples'
    assert (examples / EXAMPLE).with_name('GALLERY_HEADER.rst').is_file()
    text = (root / 'docs' / 'conf.py').read_text('utf-8')
    code = re.search(r"'filename_pattern': (\(.*?\)),\n", text, re.S)[1]
    pattern = ast.literal_eval(code)
    assert re.search(pattern, (examples / EXAMPLE).as_posix())
    for name in ('volumes/volume_mri.py', 'train_models.py'):
        assert not re.search(pattern, (examples / name).as_posix())
