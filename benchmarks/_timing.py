# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Times of alternatives side by side, as medians and ratios in one run."""

import pathlib
import platform
import statistics
import time

import torch

from odl_equivariant._files import write_atomically
from odl_equivariant.nn.inference import has_bfloat16

__all__ = ('machine', 'published', 'side_by_side', 'table')


def machine():
    """Return the kind of processor and what it can, in words."""
    name = platform.machine()
    try:
        lines = pathlib.Path('/proc/cpuinfo').read_text('utf-8').splitlines()
        fields = dict(line.split(':', 1) for line in lines if ':' in line)
        name = ' '.join(
            {k.strip(): v for k, v in fields.items()}['model name'].split()
        )
    except (KeyError, OSError):
        pass  # not Linux
    arithmetic = 'with' if has_bfloat16(torch.device('cpu')) else 'without'
    return (
        f'{torch.get_num_threads()} threads of {name} used as '
        f'{torch.backends.cpu.get_cpu_capability()}, {arithmetic} arithmetic '
        f'in bfloat16, torch {torch.__version__}'
    )


def side_by_side(alternatives, budget=2.0, rounds=15, clock=time.perf_counter):
    """Time alternatives in turn, so that a busy machine is unfair to none.

    Parameters
    ----------
    alternatives : dict
        Names and callables without arguments; the first is the reference.
    budget : float, optional
        Seconds that all rounds may take; at least 3 rounds are made.
    rounds : int, optional
        Largest number of rounds.
    clock : callable, optional
        What is timed, such as `time.process_time` for one thread on a busy
        machine. Default: the time that passes.

    Returns
    -------
    results : dict
        For each name the median time in seconds, and the median over the
        rounds of its ratio to the reference.
    """
    for function in alternatives.values():
        function()
    times = {name: [] for name in alternatives}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= 3 and time.perf_counter() - start > budget:
            break
        for name, function in alternatives.items():
            before = clock()
            function()
            times[name].append(clock() - before)
    reference = next(iter(times.values()))
    return {
        name: (
            statistics.median(own),
            statistics.median(
                a / b for a, b in zip(own, reference, strict=True)
            ),
        )
        for name, own in times.items()
    }


def table(header, rows):
    """Return a table in Markdown."""
    lines = [header, ['---'] * len(header), *rows]
    rows = [' | '.join(map(str, line)) for line in lines]
    return '\n'.join(f'| {row} |' for row in rows)


def published(heading, sections, output=None):
    """Print a report, and write it to a file that is whole.

    Parameters
    ----------
    heading : str
        What stands before the sections.
    sections : dict
        Text of each section by its title.
    output : path-like, optional
        File to write.
    """
    parts = [f'## {title}\n\n{text}' for title, text in sections.items()]
    report = '\n\n'.join([heading, *parts]) + '\n'
    print(report)
    if output:
        write_atomically(output, report.encode())
