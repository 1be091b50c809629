# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The training loop beside a bare loop of torch, same network and data.

Both loops train in turn, in one process, and the first steps of each turn are
left out. The trainer writes its logs, shows its bar and checks its losses and
gradients, which the bare loop does not. Ratios are of the times that the
processor spent, as medians over the turns, and so is their spread:

    python benchmarks/training.py
    python benchmarks/training.py --output docs/benchmarks_training.md

The share of the data is what the loops wait for batches: with no workers, the
time to simulate them.
"""

import argparse
import datetime
import io
import statistics
import tempfile
import time
import warnings
from contextlib import redirect_stderr

import torch
from _timing import machine, published, table
from lightning.pytorch import Callback

from odl_equivariant.data import Phantoms, SparseViewCT
from odl_equivariant.nn import EquivariantProximal
from odl_equivariant.training import (
    ReconstructionData,
    ReconstructionTask,
    Trainer,
)

# pixels, channels, iterations, batch
CASES = ((64, 16, 4, 1), (64, 32, 4, 4), (128, 32, 4, 1))
N_VIEWS = 30
WARM_UP = 3


def parts(size, channels, n_iterations, batch, workers):
    """Return task and data."""
    acquisition = SparseViewCT((size, size), n_views=N_VIEWS)
    task = ReconstructionTask(
        acquisition,
        lambda: EquivariantProximal(channels=channels),
        n_iterations=n_iterations,
    )
    data = ReconstructionData(
        acquisition,
        train=lambda: Phantoms(64 * batch, (2 * size, 2 * size)),
        validation=lambda: Phantoms(1, (2 * size, 2 * size), seed=1),
        batch_size=batch,
        workers=workers,
    )
    return task, data


class Clock(Callback):
    """Times at the start of each step."""

    def __init__(self):
        self.times = []

    def on_train_batch_start(self, *args):
        """Read both clocks."""
        self.times.append((time.process_time(), time.perf_counter()))

    on_train_end = on_train_batch_start


def bare_loop(task, data, n_steps):
    """Train as one writes it with torch, and return the times of steps."""
    loader = torch.utils.data.DataLoader(
        data.pairs('train'),
        data.batch_size,
        shuffle=True,
        num_workers=data.workers,
    )
    network = task.network.train()
    optimizer = torch.optim.Adam(network.parameters(), task.learning_rate)
    times, waits = [], []
    batches = iter(loader)
    for _ in range(n_steps + 1):
        before = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - before)
        times.append((time.process_time(), time.perf_counter()))
        result = network(batch['data'])
        loss = 0.5 * (result - batch['truth']).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return times, waits


def trainer_loop(task, data, n_steps):
    """Train by the trainer, and return the times of steps."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            folder,
            max_steps=n_steps,
            accelerator='cpu',
            callbacks=clock,
            limit_val_batches=0,
        )
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            trainer.train(task, data)
    return clock.times


def per_step(times, clock):
    """Return the median time of a step."""
    times = [one[clock] for one in times][WARM_UP:]
    return statistics.median(
        b - a for a, b in zip(times, times[1:], strict=False)
    )


def compared(case, workers=0, rounds=5, n_steps=20):
    """Return a row of the table."""
    task, data = parts(*case, workers)
    bare, ratios, shares = [], [], []
    for _ in range(rounds):
        times, waits = bare_loop(task, data, n_steps)
        ours = trainer_loop(task, data, n_steps)
        clock = 1 if workers else 0
        bare.append(per_step(times, 1))
        ratios.append(per_step(ours, clock) / per_step(times, clock))
        shares.append(statistics.median(waits[WARM_UP:]) / bare[-1])
    size, channels, n_iterations, batch = case
    return (
        f'{size}, {channels} channels, batch {batch}',
        workers,
        f'{1e3 * statistics.median(bare):.0f} ms',
        f'{statistics.median(ratios):.2f}',
        f'{min(ratios):.2f} to {max(ratios):.2f}',
        f'{100 * statistics.median(shares):.0f} %',
    )


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--output', help='file for the tables, in Markdown')
    parser.add_argument('--quick', action='store_true', help='two short turns')
    options = parser.parse_args()
    torch.manual_seed(0)
    cases = [(16, 4, 1, 1)] if options.quick else CASES
    length = {'rounds': 2, 'n_steps': 6} if options.quick else {}
    header = (
        'pixels',
        'workers',
        'a step of the bare loop',
        'trainer',
        'least to greatest',
        'data',
    )
    rows = [
        compared(case, workers, **length)
        for case in cases
        for workers in ([0] if options.quick else [0, 1])
    ]
    published(
        '# Benchmark of the training loop\n\nMade by '
        '`python benchmarks/training.py` on '
        f'{datetime.date.today():%Y-%m-%d}, {machine()}.',
        {'A step of the trainer, times as long': table(header, rows)},
        options.output,
    )


if __name__ == '__main__':
    main()
