# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Memory and time of a training step on volumes, by checkpointing.

A network of 4 iterations for complex volumes of 64 x 64 x 64 cells, of which a
quarter of k-space is given. What is counted are the arrays of torch that are
alive at once: what a process takes beside them depends on how its allocator
returns memory. Times are those of the processor, in one run:

    python benchmarks/volumes.py
    python benchmarks/volumes.py --size 32
"""

import argparse
import time
import weakref

import odl
import torch
from _timing import table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.operators import (
    PoissonDiscMask,
    SubsampledFourierTransform,
)

NETWORKS = {
    'O, width 24': {'group': 'O', 'channels': 24},
    'D4h, width 16': {'group': 'D4h', 'channels': 16, 'axis': 2},
}


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


def network_of(size, arguments, checkpointing):
    """Return a network for volumes of a size."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, [size] * 3, dtype='complex64')
    mask = PoissonDiscMask((size, size), 4, 0.15)
    torch.manual_seed(0)
    return LearnedProximalGradient(
        SubsampledFourierTransform(space, mask.array[None]),
        lambda: EquivariantProximal(2, memory=4, skip=True, **arguments),
        n_iterations=4,
        checkpointing=checkpointing,
    )


def measured(size, arguments, checkpointing):
    """Return the most bytes at once, and seconds, of a training step."""
    network = network_of(size, arguments, checkpointing)
    y, truth = torch.randn(2, 1, 2, size, size, size)

    def step():
        (network(y) - truth).square().mean().backward()

    step()
    start = time.process_time()
    step()
    seconds = time.process_time() - start
    with Living() as living:
        step()
    return living.most, seconds


def main():
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, settings in NETWORKS.items():
        (most, seconds), (less, longer) = (
            measured(arguments.size, settings, checkpointing)
            for checkpointing in (False, True)
        )
        rows.append(
            [
                name,
                f'{most / 2**20:.0f} MiB',
                f'{less / 2**20:.0f} MiB',
                f'{less / most:.2f}',
                f'{longer / seconds:.2f}',
            ]
        )
    header = ['', 'memory', 'with checkpointing', 'ratio', 'ratio of times']
    print(table(header, rows))


if __name__ == '__main__':
    main()
