# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of networks that several threads use at once."""

import concurrent.futures
import copy
import sys
import threading
import time
import warnings

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    inference,
)
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.nn.steerable.convolutions import _kernel_basis
from odl_equivariant.nn.unrolled import layers as _layers

N_THREADS = 8
N_CALLS = 10

shared = simple_fixture('shared', [False, True])
checkpointing = simple_fixture('checkpointing', [False, True])
whole = simple_fixture('whole', [False, True])
BLOCKS = {
    'C4': lambda: EquivariantProximal(channels=8, memory=2),
    # of several convolutions each, with a non-linearity of its own
    'SO2': lambda: EquivariantProximal(
        channels=6, group='SO2', memory=2, nonlinearity='norm'
    ),
    'ordinary': lambda: OrdinaryProximal(channels=8, memory=2),
}


@pytest.fixture(params=BLOCKS)
def block(request):
    """Return what makes a block."""
    return BLOCKS[request.param]


@pytest.fixture(autouse=True)
def threads_that_take_turns():
    """Threads are interrupted often, and use one core each."""
    interval, n_threads = sys.getswitchinterval(), torch.get_num_threads()
    sys.setswitchinterval(1e-5)
    torch.set_num_threads(1)
    yield
    sys.setswitchinterval(interval)
    torch.set_num_threads(n_threads)


def network_for(block, shared=False, dtype='float32', checkpointing=False):
    """Return a network with random weights."""
    space = odl.rn((9, 8), dtype=dtype)
    network = LearnedProximalGradient(
        0.5 * odl.IdentityOperator(space),
        block() if shared else block,
        4,
        checkpointing=checkpointing,
    )
    network.to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in network.blocks.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def data(network, seed=0, n=2):
    """Return a batch of data."""
    generator = torch.Generator().manual_seed(seed)
    dtype = network.relative_steps.dtype
    return torch.randn(n, 1, 9, 8, generator=generator, dtype=dtype)


def in_threads(function):
    """Return the results of a function of 0, ..., 7, each in a thread."""
    barrier = threading.Barrier(N_THREADS)

    def together(i):
        barrier.wait()
        return function(i)

    with concurrent.futures.ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(together, range(N_THREADS)))


def evaluate(network, y, n=N_CALLS):
    """Return the last of several results, without gradients."""
    with torch.no_grad():
        for _ in range(n):
            result = network(y)
    return result


def gradients(network, y):
    """Return the gradients of all weights."""
    loss = network(y).square().sum()
    return torch.autograd.grad(loss, list(network.parameters()))


def equal(ours, theirs):
    """Return whether tensors agree bit by bit."""
    return all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_outputs_are_those_of_one_thread(block, whole, dtype, monkeypatch):
    """Outputs are the same bits, whatever other threads compute."""
    if not whole:
        monkeypatch.setattr(pieces, 'side_for_cache', lambda *args: 5)
    network = network_for(block, dtype=dtype)
    batches = [data(network, seed) for seed in range(N_THREADS)]
    expected = [evaluate(network, y, 1) for y in batches]
    found = in_threads(lambda i: evaluate(network, batches[i], 5))
    assert equal(found, expected)


def test_weights_change_after_threads(block, shared):
    """After use in threads, a network follows changes of its weights."""
    network = network_for(block, shared)
    fresh = copy.deepcopy(network)
    y = data(network)
    in_threads(lambda i: evaluate(network, y))
    with torch.no_grad():
        for both in (network, fresh):
            for parameter in both.parameters():
                parameter.mul_(1.1)
    assert torch.equal(evaluate(network, y, 1), evaluate(fresh, y, 1))
    assert equal(gradients(network, y), gradients(fresh, y))


def test_saved_after_threads(tmp_path):
    """A network is saved and loaded correctly after use in threads."""
    network = network_for(lambda: EquivariantProximal(channels=8))
    y = data(network)
    in_threads(lambda i: evaluate(network, y))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    models.save(network, tmp_path / 'network.safetensors')
    loaded = models.load(
        tmp_path / 'network.safetensors', network.forward_operator
    )
    assert torch.equal(evaluate(network, y, 1), evaluate(loaded, y, 1))


def test_gradients_while_others_evaluate(block, checkpointing):
    """Half of the threads differentiate what the others evaluate."""
    network = network_for(block, checkpointing=checkpointing)
    batches = [data(network, seed) for seed in range(N_THREADS)]
    expected = [gradients(network, y) for y in batches]

    def work(i):
        if i % 2:
            evaluate(network, batches[i])
            return True
        return all(
            equal(gradients(network, batches[i]), expected[i])
            for _ in range(5)
        )

    assert all(in_threads(work))


@pytest.mark.slow
def test_derivatives_while_others_evaluate():
    """Forward and reverse mode are right while other threads evaluate."""
    network = network_for(lambda: EquivariantProximal(channels=8))
    operator = network.as_operator()
    point = operator.domain.one()
    derivative = operator.derivative(point)
    expected = [derivative(point), derivative.adjoint(point)]

    def work(i):
        if i % 2:
            evaluate(network, data(network))
            return True
        return all(
            [derivative(point), derivative.adjoint(point)] == expected
            for _ in range(N_CALLS)
        )

    assert all(in_threads(work))


def test_operators_are_forgotten_in_order(monkeypatch):
    """Threads with different operators each get the right layers."""

    class Known:
        def __init__(self, operator, initial='zero'):
            self.apply_operator = self
            self.operator = operator

        def initial_elsewhere(self):
            return 'zero'

        def to(self, device):
            return self

    monkeypatch.setattr(_layers, '_MOST_OPERATORS', 2)
    monkeypatch.setattr(_layers, 'Layers', Known)
    own = odl.IdentityOperator(odl.rn(2))
    operators = [float(scale) * own for scale in range(1, 6)]
    cache = _layers.OperatorCache(Known(own))

    def work(i):
        return all(
            cache.layers_for(operator, 1, None).operator is operator
            for _ in range(1000)
            for operator in operators[i % 5 :] + operators[: i % 5]
        )

    assert all(in_threads(work))
    assert len(cache) == 2


def test_filters_of_warnings_stay(monkeypatch):
    """Compilation in threads leaves no filter of warnings behind."""

    def slow(x, *arguments):
        # those that begin first end first
        time.sleep(0.05)
        return pieces.layers(x, *arguments)

    monkeypatch.setattr(inference, '_compiler', lambda function: [slow])
    network = for_inference(
        network_for(lambda: OrdinaryProximal(channels=4), shared=True),
        compile=True,
    )
    y = data(network)
    before = list(warnings.filters)
    in_threads(lambda i: evaluate(network, y[: 1 + i % 2], 1))
    assert warnings.filters == before


def test_kernels_are_made_in_several_threads():
    """The default dtype and NumPy's random state are unchanged."""
    keys = [(f'C{n}', 'regular', 'trivial', 3) for n in range(1, 9)]
    state = np.random.get_state()  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    try:
        bases = in_threads(lambda i: _kernel_basis.__wrapped__(*keys[i]))
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert equal(bases, [_kernel_basis(*key) for key in keys])
    after = np.random.get_state()  # noqa: NPY002
    assert all(map(np.array_equal, after, state))
