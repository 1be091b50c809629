# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Forward operators inside torch and ODL, beside what a user would take.

For batches of 1 and 8 images of 64, 256 and 512 pixels, times are medians of
alternating rounds in one run, and the numbers after a time say how many times
longer the alternatives take:

    python benchmarks/operators.py
    python benchmarks/operators.py --output docs/benchmarks.md

- ray transform, forward and backward: `OperatorLayer` on 'astra_matrix'
  beside `odl.contrib.torch.OperatorModule` on 'astra_cpu', deepinv's
  `Tomography` and a projector written with `torch.nn.functional.grid_sample`;
- subsampled Fourier transform, forward and backward: `OperatorLayer` beside
  the same lines written with `torch.fft`, deepinv's `MRI`, and ODL's own
  transform in its torch module;
- non-uniform Fourier transform, forward and backward, 320 x 320 pixels and
  80000 samples: `OperatorLayer` beside plans of finufft called by hand;
- gradient of the data fit of 8 coils, with a mask and coil maps for each
  image, beside the same lines written with `torch.fft`;
- one iteration of `odl.solvers.landweber`, 'astra_matrix' beside 'astra_cpu';
- a projection and its adjoint in the fan beam of a scanner, the same two;
- a volume of 64 slices through one matrix, beside 'astra_cpu' slice by slice;
- the Fourier operator on numpy beside `numpy.fft`;
- what a layer itself costs;
- the memory that each way takes at its highest (on Linux).

deepinv and finufft are left out where they are not installed.
"""

import argparse
import datetime
import platform

import torch
from _memory import count_anew, printed_by, resident
from _timing import published, table
from ways.fourier import FOURIER, coil_rows, non_uniform_rows, numpy_rows
from ways.layers import layer_rows, overhead_rows, prepared
from ways.peers import deepinv_if_there
from ways.rays import (
    N_VIEWS,
    RAYS,
    measured_rows,
    solver_rows,
    stack_rows,
)

# ways and type of images for each kind of operator
KINDS = {
    'rays': (RAYS, torch.float32),
    'fourier': (FOURIER, torch.complex64),
}


def print_memory(kind, name, size, batch):
    """Print the growth of the highest memory use by one way."""
    ways, dtype = KINDS[kind]
    if name == 'deepinv':
        deepinv_if_there()
    before = resident('VmRSS')
    count_anew()
    x = torch.randn(int(batch), 1, int(size), int(size), dtype=dtype)
    channels_for = ('deepinv',) if kind == 'fourier' else ()
    calls = prepared({name: ways[name]}, x, channels_for)
    for call in calls.values():
        call()
        print(f'{resident("VmHWM") - before:.0f} MiB')


def memory_rows(size, batch):
    """Return the rows of a table of the memory that each way takes."""
    rows = []
    for kind, (ways, _) in KINDS.items():
        for name in ways:
            way = f'{kind},{name},{size},{batch}'
            rows.append(
                [kind, name, printed_by(__file__, '--memory', way) or '-']
            )
    return rows


def main():
    """Measure and print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sizes', type=int, nargs='+', default=[64, 256, 512])
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--output', help='file to write the tables to')
    parser.add_argument('--memory', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print_memory(*arguments.memory.split(','))
        return
    sizes, batches = arguments.sizes, arguments.batches
    rays, fourier = list(RAYS)[1:], list(FOURIER)[1:]
    # of a scanner, but not in a quick look at the script itself
    usual = [320] if max(sizes) >= 64 else []
    sections = {
        f'Ray transform, {N_VIEWS} views, forward and backward': table(
            ['pixels', 'batch', 'ours', *rays],
            layer_rows(RAYS, sizes, batches, torch.float32),
        ),
        'One iteration of `odl.solvers.landweber`': table(
            ['pixels', 'astra_matrix', 'astra_cpu'], solver_rows(sizes)
        ),
        'A projection and its adjoint in a fan beam, `MeasuredCT`': table(
            ['views x detectors', 'pixels', 'astra_matrix', 'astra_cpu'],
            measured_rows(512 if usual else 64),
        ),
        f'Ray transform of volumes, {N_VIEWS} views': table(
            ['cells', '', 'one matrix', 'astra_cpu, slice by slice'],
            stack_rows([size for size in sizes if size <= 256]),
        ),
        'Subsampled Fourier transform, forward and backward': table(
            ['pixels', 'batch', 'ours', *fourier],
            layer_rows(
                FOURIER,
                [*sizes, *usual],
                batches,
                torch.complex64,
                ('deepinv',),
            ),
        ),
        'Non-uniform Fourier transform, forward and backward': table(
            ['pixels', 'samples', 'batch', 'ours', 'finufft by hand'],
            non_uniform_rows(*((320, 80000) if usual else (32, 800)), batches),
        ),
        'Gradient of the data fit of 8 coils, with maps of each image': table(
            ['pixels', 'batch', 'ours', 'torch by hand'],
            coil_rows([*sizes, *usual], batches),
        ),
        '`UnitaryFourierTransform` on numpy, one image': table(
            ['pixels', 'dtype', 'ours', 'numpy.fft, centred', 'numpy.fft'],
            numpy_rows([*sizes, *usual]),
        ),
        'One call of a layer on three numbers': table(
            ['', 'OperatorLayer', 'x * 1.0'], overhead_rows()
        ),
        f'Highest memory, {max(sizes)} pixels, batch {max(batches)}': table(
            ['', '', 'beyond the packages'],
            memory_rows(max(sizes), max(batches)),
        ),
    }
    heading = (
        '# Benchmarks\n\n'
        f'Made by `python benchmarks/operators.py` on '
        f'{datetime.date.today():%Y-%m-%d}, {torch.get_num_threads()} threads '
        f'of a {platform.machine()} processor, torch {torch.__version__}. '
        'The first time is ours; the other columns say how many times longer '
        'it takes otherwise, as a median over alternating rounds.'
    )
    published(heading, sections, arguments.output)


if __name__ == '__main__':
    main()
