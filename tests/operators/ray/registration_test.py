# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests that importing the package changes no script that uses ODL alone."""

import subprocess
import sys

import pytest

SCRIPT = """\
import copyreg, logging, os, pickle, random, signal, sys, warnings
import numpy as np, odl, torch
from odl.applications import tomo
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS


def work():
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype='float32')
    parallel = tomo.parallel_beam_geometry(space, 4, 9)
    fan = tomo.cone_beam_geometry(space, 3, 2, num_angles=5, det_shape=9)
    found = {}
    for name, geometry in [('parallel', parallel), ('fan', fan)]:
        A = tomo.RayTransform(space, geometry)
        if name == 'parallel':
            found['pickle'] = pickle.dumps((space, geometry, A))
        found[name] = (
            A.impl,
            type(A.get_impl()),
            A(space.one()).data.tobytes(),
            type(A.adjoint).__name__,
            A.adjoint(A.range.one()).data.tobytes(),
        )
    return found


def state():
    return {
        'array printing': np.get_printoptions(),
        'excepthook': sys.excepthook,
        'default type': torch.get_default_dtype(),
        'environment': dict(os.environ),
        'log handlers': list(logging.root.handlers),
        'random numbers': (random.getstate(), str(np.random.get_state())),
        'signals': [signal.getsignal(s) for s in signal.valid_signals()],
        'threads': torch.get_num_threads(),
        'torch seed': torch.initial_seed(),
        'warnings': list(warnings.filters),
        'default back-end': next(reversed(RAY_TRAFO_IMPLS)),
    }


before, pickles = work(), set(copyreg.dispatch_table)
settings = state()
import odl_equivariant

for name, value in state().items():
    assert repr(value) == repr(settings[name]), name
assert work() == before
assert b'odl_equivariant' not in before['pickle']
new = set(copyreg.dispatch_table) - pickles
beams = {tomo.FanBeamGeometry, tomo.ConeBeamGeometry}
assert new == {tomo.RayTransform, *beams}, new
"""


@pytest.mark.slow
def test_importing_the_package_changes_no_script():
    """Results, pickles and settings of a process stay what ODL makes them.

    `copyreg` learns two classes of ODL, which ODL alone cannot always pickle.
    """
    ended = subprocess.run([sys.executable, '-c', SCRIPT], timeout=120)
    assert ended.returncode == 0
