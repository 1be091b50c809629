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

import numpy as np
import pytest

README = pathlib.Path(__file__).parents[1] / 'README.md'


@pytest.mark.slow
def test_code_of_the_readme_runs_and_reconstructs():
    """The blocks run one after the other; the first two improve on FBP."""
    blocks = blocks_of(README)
    assert len(blocks) == 3
    names, errors = {}, []
    exec(compile(blocks.pop(), README.name, 'exec'), names)
    assert names['layer'](names['x']).shape == names['y'].shape
    for block in blocks:
        exec(compile(block, README.name, 'exec'), names)
        ct = names['ct']
        phantom = names['ellipse_phantom']((512, 512), rng=0)
        truth = ct.ground_truth(phantom).asarray()
        errors.append(np.linalg.norm(names['x'].asarray() - truth))
    fbp = np.linalg.norm(ct.fbp(names['y']).asarray() - truth)
    assert max(errors) < 0.7 * fbp


def blocks_of(path):
    """Return the blocks of Python of a page."""
    return re.findall(r'```python\n(.*?)```', path.read_text('utf-8'), re.S)
