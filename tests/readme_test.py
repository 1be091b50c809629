# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The code that the README shows."""

import importlib.util
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / 'README.md'


@pytest.mark.slow
def test_code_of_the_readme_runs_and_reconstructs():
    """Both reconstructions improve on FBP."""
    text = README.read_text('utf-8')
    (block,) = re.findall(r'```python\n(.*?)```', text, re.S)
    names = {}
    exec(compile(block, README.name, 'exec'), names)
    ct = names['ct']
    phantom = names['ellipse_phantom']((512, 512), rng=0)
    truth = ct.ground_truth(phantom)
    fbp = (ct.fbp(names['y']) - truth).norm()
    for name in ('x', 'z'):
        assert (names[name] - truth).norm() < 0.7 * fbp


def test_table_of_the_readme_is_that_of_the_scores():
    """`make scores` writes the table; no score is typed."""
    path = ROOT / 'examples' / 'scores' / 'readme.py'
    spec = importlib.util.spec_from_file_location('readme', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scores = json.loads(module.SCORES.read_text('utf-8'))
    assert module.table(scores) in README.read_text('utf-8')
