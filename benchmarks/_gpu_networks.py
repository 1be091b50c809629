# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Training steps and reconstructions of networks on a GPU."""

import contextlib

import torch
from _gpu_operators import forget_rays, ray_transform
from _plain_network import MEMORY, PlainNetwork

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
)

__all__ = ('reconstruction', 'training')

REFERENCE = 'plain CNN on ODL module'
PRECISIONS = ('float32', 'TF32', 'bfloat16')


@contextlib.contextmanager
def arithmetic(bench, precision):
    """Compute in float32, in float32 with TF32, or in bfloat16."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = precision == 'TF32'
    lowered = precision == 'bfloat16'
    try:
        with torch.autocast(
            bench.device.type, torch.bfloat16, enabled=lowered
        ):
            yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def network_of(bench, kind, impl):
    """Return a network, and data for it, on the device."""
    size, channels, n_iterations = bench.shape
    forget_rays(bench)
    operator = ray_transform('parallel', size, impl)
    if kind == 'plain':
        network = PlainNetwork(operator, channels, n_iterations)
    else:
        block = {'C4': EquivariantProximal, 'ordinary': OrdinaryProximal}[kind]
        network = LearnedProximalGradient(
            operator,
            lambda: block(channels=channels, memory=MEMORY),
            n_iterations,
        )
    y = torch.rand(1, 1, *operator.range.shape, device=bench.device)
    return network.to(bench.device), y


def compiled(bench, network):
    """Return a compiled network; a quick look compiles nothing."""
    backend = 'eager' if bench.quick else 'inductor'
    return torch.compile(network, backend=backend)


def training(bench):
    """Measure steps of the training."""

    def step_of(kind, impl, precision, is_compiled=False):
        network, y = network_of(bench, kind, impl)
        truth = torch.rand(1, 1, *bench.shape[:1] * 2, device=bench.device)
        optimizer = torch.optim.Adam(network.parameters(), 1e-4)
        apply = compiled(bench, network) if is_compiled else network

        def step():
            with arithmetic(bench, precision):
                result = apply(y)
            loss = 0.5 * (result.float() - truth).square().mean()
            optimizer.zero_grad()
            with arithmetic(bench, precision):
                loss.backward()
            optimizer.step()

        return step

    makers = {REFERENCE: lambda: step_of('plain', bench.rays, 'float32')}
    for precision in PRECISIONS:
        for kind in ('C4', 'ordinary'):
            makers[f'{kind}, {precision}'] = lambda k=kind, p=precision: (
                step_of(k, 'astra_matrix', p)
            )
    makers['C4, float32, rays by ASTRA'] = lambda: step_of(
        'C4', bench.rays, 'float32'
    )
    for precision in PRECISIONS[1:]:
        makers[f'{REFERENCE}, {precision}'] = lambda p=precision: step_of(
            'plain', bench.rays, p
        )
    makers['C4, bfloat16, compiled'] = lambda: step_of(
        'C4', 'astra_matrix', 'bfloat16', True
    )
    bench.compare('a training step', makers, alone=True)


def reconstruction(bench):
    """Measure reconstructions."""

    def call_of(kind, impl, precision, how=None):
        network, y = network_of(bench, kind, impl)
        if kind != 'plain':
            lowered = precision == 'bfloat16'
            network = for_inference(
                network, 'bfloat16' if lowered else 'float32'
            )
        if how == 'compiled':
            network = compiled(bench, network)

        def call():
            with torch.inference_mode(), arithmetic(bench, precision):
                return network(y)

        return captured(bench, call) if how == 'graph' else call

    makers = {REFERENCE: lambda: call_of('plain', bench.rays, 'float32')}
    for precision in PRECISIONS:
        for kind in ('C4', 'ordinary'):
            makers[f'{kind}, {precision}'] = lambda k=kind, p=precision: (
                call_of(k, 'astra_matrix', p)
            )
    makers['C4, float32, rays by ASTRA'] = lambda: call_of(
        'C4', bench.rays, 'float32'
    )
    for precision in PRECISIONS[1:]:
        makers[f'{REFERENCE}, {precision}'] = lambda p=precision: call_of(
            'plain', bench.rays, p
        )
    for how in ('graph', 'compiled'):
        makers[f'C4, bfloat16, {how}'] = lambda how=how: call_of(
            'C4', 'astra_matrix', 'bfloat16', how
        )
    bench.compare('a reconstruction', makers, alone=True)


def captured(bench, call):
    """Return a call that replays a CUDA graph; on a processor the call."""
    if not bench.on_cuda:
        return call
    stream = torch.cuda.Stream(bench.device)
    stream.wait_stream(torch.cuda.current_stream(bench.device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream(bench.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay():
        graph.replay()
        return result

    return replay
