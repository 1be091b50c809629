# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The code that the README shows."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / 'README.md'


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
