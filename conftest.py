# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Rules for all tests: offline, seeded, each in a folder of its own."""

import gc
import os
import random
import socket

import numpy as np
import pytest
import torch

os.environ['MPLBACKEND'] = 'Agg'
# What is computed in bfloat16 is tested on any processor.
os.environ['ODL_EQUIVARIANT_ALLOW_EMULATION'] = '1'


def _refuse(*args, **kwargs):
    """Raise the error of a test that reaches for the network."""
    raise RuntimeError('the tests run offline, but a connection was opened')


def pytest_addoption(parser):
    """Add the option of the quick run."""
    parser.addoption(
        '--cases',
        type=int,
        metavar='N',
        help='run at most N cases of each parametrised test, spread evenly '
        'over all, the first and the last among them',
    )


def pytest_configure(config):
    """Cut off the network."""
    socket.socket.connect = _local_only(socket.socket.connect)
    socket.socket.connect_ex = _local_only(socket.socket.connect_ex)
    socket.getaddrinfo = _refuse


def _local_only(connect):
    """Return a ``connect`` for sockets that stay on the machine."""

    def connect_locally(self, address):
        if self.family != getattr(socket, 'AF_UNIX', None):
            _refuse()
        return connect(self, address)

    return connect_locally


def pytest_collection_modifyitems(config, items):
    """Thin out the cases, and skip what needs a GPU where there is none."""
    n_cases = config.getoption('--cases')
    if n_cases is not None:
        _keep_some_cases(n_cases, config, items)
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason='needs a GPU that torch can use')
    for item in items:
        if item.get_closest_marker('cuda'):
            item.add_marker(skip)


def pytest_collection_finish():
    """Let `gc.collect`, which some tests call, skip what is there by now.

    These are mainly the objects of ODL, of torch and of thousands of tests.
    """
    gc.freeze()


def _keep_some_cases(n_cases, config, items):
    """Deselect all but some cases of each parametrised test.

    The others are most of the suite: the same law for each space, precision
    and back-end.
    """
    if n_cases < 1:
        raise pytest.UsageError(f'--cases must be at least 1, got {n_cases}')
    cases = {}
    for item in items:
        cases.setdefault(item.nodeid.partition('[')[0], []).append(item)
    kept = set()
    for group in cases.values():
        n = min(n_cases, len(group))
        step = (len(group) - 1) / max(n - 1, 1)
        kept.update(group[round(i * step)] for i in range(n))
    deselected = [item for item in items if item not in kept]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item in kept]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Run each test in a folder that goes away."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _fixed_seeds():
    """Start each test from the same random state."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (odl and escnn draw from it)
    torch.manual_seed(0)
