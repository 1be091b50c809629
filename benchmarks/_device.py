# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Ways to do the same on one device: times, memory, failures, JSON."""

import contextlib
import datetime
import gc
import json
import platform
import signal
import statistics
import sys
import time
import traceback
import warnings

import torch
from _timing import table

from odl_equivariant._files import write_atomically

__all__ = ('Bench', 'report', 'with_gradient')


class OutOfTimeError(Exception):
    """The time for a section is over."""


class Bench:
    """What all sections share: device, sizes, clock and results.

    Parameters
    ----------
    device : str
        Device of torch.
    quick : bool
        Whether sizes are tiny, for a look at the script itself.
    budget : float
        Seconds for all sections.
    output : path-like, optional
        File of the results.
    """

    def __init__(self, device, quick, budget, output=None):
        self.device = torch.device(device)
        self.on_cuda = self.device.type == 'cuda'
        self.quick, self.output = quick, output
        self.rays = 'astra_cuda' if self.on_cuda else 'astra_cpu'
        self.sizes = (16, 24) if quick else (256, 512)
        self.batches = (1, 2) if quick else (1, 4, 16)
        self.shape = (32, 8, 2) if quick else (512, 96, 8)
        self.rounds, self.per_case = (2, 0.05) if quick else (15, 1.0)
        self.end = time.monotonic() + budget
        self.rows, self.section, self.late = [], None, None

    # --- Clock --- #

    def synchronise(self):
        """Wait for the device."""
        if self.on_cuda:
            torch.cuda.synchronize(self.device)

    def time(self, function):
        """Return the seconds of a call."""
        self.synchronise()
        if not self.on_cuda:
            start = time.perf_counter()
            function()
            return time.perf_counter() - start
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    def highest(self, function):
        """Return the MiB that a call takes, with what is there before."""
        if not self.on_cuda:
            function()
            return None
        self.synchronise()
        torch.cuda.reset_peak_memory_stats(self.device)
        function()
        self.synchronise()
        return torch.cuda.max_memory_allocated(self.device) / 2**20

    # --- Results --- #

    def add(self, case, way, **values):
        """Add a row of the results."""
        row = {'section': self.section, 'case': case, 'way': way, **values}
        self.rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)

    def fail(self, case, way, error):
        """Add the row of a way that fails, or has no time left."""
        if isinstance(error, OutOfTimeError):
            self.add(case, way, left_out='no time left')
            return
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = ''.join(f' ({e.name}, line {e.lineno})' for e in last)
        message = str(error).splitlines()[:1] or ['']
        message = f'{type(error).__name__}: {message[0]}{where}'
        self.add(case, way, error=message[:500])

    def compare(self, case, makers, alone=False):
        """Measure ways that do the same, side by side.

        Parameters
        ----------
        case : str
            Name of the case.
        makers : dict
            For each way a function that returns the call to measure, or
            nothing if the way is not there. The first is the reference.
        alone : bool, optional
            Whether each way is measured by itself: large networks need not
            be in memory together.
        """
        calls, memory, times = {}, {}, {}
        for way, make in makers.items():
            try:
                self.check_time()
                with warnings.catch_warnings():
                    warnings.simplefilter('ignore')
                    call = make()
                    if call is None:
                        continue
                    call()
                    memory[way] = self.highest(call)
                calls[way] = call
                if alone:
                    times[way] = [
                        self.time(call) for _ in range(min(self.rounds, 5))
                    ]
                    del calls[way], call
                    self.release()
            except Exception as error:  # noqa: BLE001  (each way is guarded)
                self.fail(case, way, error)
                self.release()
        if not alone:
            times = self._in_turn(case, calls)
        self._report(case, list(makers)[0], times, memory)

    def _in_turn(self, case, calls):
        times, start = {way: [] for way in calls}, time.monotonic()
        for done in range(self.rounds):
            if done >= 2 and time.monotonic() - start > self.per_case:
                break
            for way in list(calls):
                try:
                    times[way].append(self.time(calls[way]))
                except Exception as error:  # noqa: BLE001
                    self.fail(case, way, error)
                    del calls[way], times[way]
        return times

    def _report(self, case, reference, times, memory):
        medians = {w: statistics.median(t) for w, t in times.items() if t}
        base = medians.get(reference)
        for way, seconds in medians.items():
            ratio = None if base is None else seconds / base
            self.add(case, way, ms=1e3 * seconds, ratio=ratio, mib=memory[way])

    def release(self):
        """Give memory back that a way has left."""
        gc.collect()
        if self.on_cuda:
            torch.cuda.empty_cache()

    def check_time(self):
        """Raise an error if the time for the section is over."""
        if time.monotonic() >= self.late:
            raise OutOfTimeError

    def run(self, name, function, share):
        """Run one section, guarded, and write what is there."""
        left = self.end - time.monotonic()
        self.section, seconds = name, max(left * share, 0.0)
        self.late = time.monotonic() + seconds
        try:
            with alarm(1.3 * seconds + 1):
                self.check_time()
                function(self)
        except Exception as error:  # noqa: BLE001
            self.fail('-', '-', error)
        self.release()
        self.write()

    def content(self):
        """Return the results so far."""
        return {'machine': self.machine(), 'rows': self.rows}

    def write(self):
        """Write the results so far, as JSON."""
        if self.output:
            text = json.dumps(self.content(), indent=1) + '\n'
            write_atomically(self.output, text.encode())

    def machine(self):
        """Return what the results depend on."""
        found = {
            'date': f'{datetime.date.today():%Y-%m-%d}',
            'device': str(self.device),
            'processor': platform.machine(),
            'capability': torch.backends.cpu.get_cpu_capability(),
            'threads': torch.get_num_threads(),
            'torch': torch.__version__,
            'quick': self.quick,
        }
        if self.on_cuda:
            properties = torch.cuda.get_device_properties(self.device)
            found['gpu'] = properties.name
            found['gpu memory'] = round(properties.total_memory / 2**30)
            found['cuda'] = torch.version.cuda
        return found


def report(content):
    """Return results, as in a file of JSON, as text in Markdown."""
    rows, machine = content['rows'], content['machine']
    where = ', '.join(f'{key} {value}' for key, value in machine.items())
    parts = [f'Measured with: {where}.']
    for name in dict.fromkeys(row['section'] for row in rows):
        lines = [
            [row['case'], row['way'], *_cells(row)]
            for row in rows
            if row['section'] == name
        ]
        header = ['case', 'way', 'time', 'times as long', 'memory']
        parts.append(f'## {name}\n\n{table(header, lines)}')
    return '\n\n'.join(parts)


def _cells(row):
    if 'ms' not in row:
        return [row.get('error', row.get('left_out', '-')), '-', '-']
    ratio, mib = row['ratio'], row['mib']
    return [
        f'{row["ms"]:.2f} ms',
        '-' if ratio is None else f'{ratio:.2f}',
        '-' if mib is None else f'{mib:.0f} MiB',
    ]


@contextlib.contextmanager
def alarm(seconds):
    """Raise an error where a section does not look at the clock in time."""
    if not hasattr(signal, 'setitimer'):
        yield
        return

    def ring(*_):
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def with_gradient(function, x):
    """Return a call of forward and backward of ``function`` at ``x``."""
    x = x.clone().requires_grad_()
    with torch.no_grad():
        weights = torch.randn_like(function(x.detach()))

    def call():
        return torch.autograd.grad(function(x), x, weights)

    return call
