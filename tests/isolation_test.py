# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the rules that `conftest.py` sets for all tests."""

import os
import socket
import types

import numpy as np
import pytest
import torch


def test_offline():
    """A connection is refused before it is made."""
    with pytest.raises(RuntimeError, match='offline'):
        socket.create_connection(('127.0.0.1', 9))
    with socket.socket() as unconnected:
        with pytest.raises(RuntimeError, match='offline'):
            unconnected.connect(('127.0.0.1', 9))


def test_own_folder(tmp_path):
    """A test that writes a relative path writes into `tmp_path`."""
    assert os.path.samefile(os.getcwd(), tmp_path)


@pytest.mark.parametrize('repetition', range(2))
def test_fixed_seeds(repetition):
    """The global generators start from the same state."""
    drawn = (np.random.rand(), torch.rand(()).item())  # noqa: NPY002
    assert drawn == pytest.approx((0.5488135039273248, 0.49625658988952637))


def test_backend(backend):
    """The shared fixture names the back-ends of ODL."""
    assert backend in ('numpy', 'pytorch')


@pytest.mark.cuda
def test_cuda_marker():
    """What is marked `cuda` runs only where there is a GPU."""
    assert torch.cuda.is_available()


class Item:
    """What pytest collects, as far as the rules look at it."""

    def __init__(self, nodeid):
        self.nodeid = nodeid


@pytest.mark.parametrize(
    'n_cases, kept',
    [(1, 'a[0] b c[0]'), (2, 'a[0] a[4] b c[0] c[1]'), (9, None)],
)
def test_cases(n_cases, kept, pytestconfig):
    """A quick run has some cases of each test, and all tests."""
    plugins = pytestconfig.pluginmanager.get_plugins()
    (rules,) = (p for p in plugins if hasattr(p, '_keep_some_cases'))
    names = [*(f'a[{i}]' for i in range(5)), 'b', 'c[0]', 'c[1]']
    items = [Item(name) for name in names]
    hook = types.SimpleNamespace(pytest_deselected=lambda items: None)
    rules._keep_some_cases(n_cases, types.SimpleNamespace(hook=hook), items)
    left = [item.nodeid for item in items]
    assert left == (names if kept is None else kept.split())
