# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Memory and time of networks for volumes, with and without checkpointing.

A network of 4 iterations for complex volumes of 64 x 64 x 64 cells, of which a
quarter of k-space is given. What is counted are the arrays of torch that are
alive at once: what a process takes beside them depends on how its allocator
returns memory. Times are those of the processor, on one thread, in turn with
those of the ordinary network of the same width:

    python benchmarks/volumes.py --output docs/benchmarks_volumes.md
    python benchmarks/volumes.py --size 32
"""

import argparse
import datetime
import time
import weakref

import odl
import torch
from _timing import machine, published, side_by_side, table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.operators import (
    PoissonDiscMask,
    SubsampledFourierTransform,
)

NETWORKS = {
    'O, width 24': {'group': 'O', 'channels': 24},
    'D4h, width 16': {'group': 'D4h', 'channels': 16, 'axis': 2},
}
# Goals: of memory, of a reconstruction and of a step of training.
MEMORY, RECONSTRUCTION, STEP = 0.35, 1.05, 1.15


class Living(TorchDispatchMode):
    """Count the bytes of the arrays that are alive, and the most at once."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self._known = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Call a function of torch, and count what it returns."""
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        self.most = max(self.most, self.now)
        return result

    def _count(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key, size):
        self._known.discard(key)
        self.now -= size


def network_of(size, arguments, checkpointing=False):
    """Return a network for volumes of a size, ordinary if without group."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, [size] * 3, dtype='complex64')
    mask = PoissonDiscMask((size, size), 4, 0.15)
    common = {'memory': 4, 'skip': True}

    def block():
        if 'group' in arguments:
            return EquivariantProximal(2, **common, **arguments)
        return OrdinaryProximal(2, dimension=3, **common, **arguments)

    torch.manual_seed(0)
    return LearnedProximalGradient(
        SubsampledFourierTransform(space, mask.array[None]),
        block,
        n_iterations=4,
        checkpointing=checkpointing,
    )


def step_of(size, arguments, checkpointing=False):
    """Return a function that makes a step of training."""
    network = network_of(size, arguments, checkpointing)
    y, truth = torch.randn(2, 1, 2, size, size, size)

    def step():
        (network(y) - truth).square().mean().backward()

    return step


def reconstruction_of(size, arguments):
    """Return a function that reconstructs a volume."""
    network = network_of(size, arguments)
    y = torch.randn(1, 2, size, size, size)
    return torch.no_grad()(lambda: network(y))


def most_alive(step):
    """Return the most bytes at once of a step, after a first one."""
    step()
    with Living() as living:
        step()
    return living.most


def memory(size):
    """Return the table of memory, and of what checkpointing costs."""
    rows = []
    for name, settings in NETWORKS.items():
        steps = {
            checkpointing: step_of(size, settings, checkpointing)
            for checkpointing in (False, True)
        }
        most, less = map(most_alive, steps.values())
        times = side_by_side(steps, clock=time.process_time)
        rows.append(
            [
                name,
                f'{most / 2**20:.0f} MiB',
                f'{less / 2**20:.0f} MiB',
                f'{less / most:.2f}',
                f'{times[True][1]:.2f}',
            ]
        )
    header = ['', 'memory', 'with checkpointing', 'ratio', 'ratio of times']
    return table(header, rows)


def times(size):
    """Return the table of times beside those of the ordinary network."""
    rows = []
    for name, settings in NETWORKS.items():
        both = {'ordinary': {'channels': settings['channels']}, name: settings}
        ratios = [
            side_by_side(
                {key: make(size, own) for key, own in both.items()},
                clock=time.process_time,
            )[name][1]
            for make in (reconstruction_of, step_of)
        ]
        rows.append([name, *(f'{ratio:.2f}' for ratio in ratios)])
    return table(['', 'a reconstruction', 'a step of training'], rows)


def main(arguments=None):
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, default=64)
    parser.add_argument('--output', help='file to write the tables to')
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = options.size
    heading = (
        '# Benchmark of volumes\n\nMade by `python benchmarks/volumes.py` on '
        f'{datetime.date.today()}, {machine()}.\n\nNetworks of 4 iterations '
        f'for complex volumes of {size} x {size} x {size} cells.'
    )
    sections = {
        'Memory of a step of training': memory(size)
        + '\n\nWhat is counted are the arrays of torch that are alive at '
        f'once. The goal was a ratio of {MEMORY:g}.',
        'Times beside the ordinary network of the same width': times(size)
        + f'\n\nThe goals were {RECONSTRUCTION:g} and {STEP:g}.',
    }
    published(heading, sections, options.output)


if __name__ == '__main__':
    main()
