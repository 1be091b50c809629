# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""One table of the speed of the package, beside its peers, in ten minutes.

Each row has our time, the highest memory, and how many times longer each peer
takes, as a median over alternating rounds in one run:

    python benchmarks/overview.py
    python benchmarks/overview.py --output docs/benchmarks.md

A page that is there keeps its other parts, and the figures of other kinds of
processors: the table on it has one column for each. Peers that are not
installed are left out. The other scripts of this folder have more cases.
"""

import argparse
import datetime
import functools
import pathlib
import platform
import time

import torch
from _timing import machine, side_by_side, table

from odl_equivariant._files import write_atomically

TITLE = '## Overview, by processor'
PEERS = (
    'ODL module',
    'plain CNN on ODL module',
    'deepinv',
    'torch by hand',
    'scikit-image',
    'pyproximal',
)


def layers(kind, size, batch):
    """Return the ways of a layer, and the memory that ours takes."""
    import operators

    ways, dtype, channels_for = {
        'rays': (operators.RAYS, torch.float32, ()),
        'fourier': (operators.FOURIER, torch.complex64, ('deepinv',)),
    }[kind]
    x = torch.randn(batch, 1, size, size, dtype=dtype)
    calls = operators.prepared(ways, x, channels_for)
    memory = '-'
    if platform.system() == 'Linux':
        memory = operators.peak_memory(kind, 'ours', size, batch)
    return calls, memory


def variation(size):
    """Return the proximals of total variations within the same distance."""
    import variations

    image = variations.noisy_image(size)
    calls = {'ours': variations.ours_as_near(image, 0.1)[0]}
    for name, library in (
        ('scikit-image', variations.scikit_image),
        ('pyproximal', variations.py_proximal),
    ):
        try:
            apply = library(image, 0.1)
        except ImportError:
            continue
        calls[name] = variations.as_near(apply, image)[0]
    return calls, '-'


def networks(kind, size, channels):
    """Return a training step or a reconstruction, C4 beside a plain CNN."""
    import unrolled

    ours = unrolled.our_network(
        unrolled.EquivariantProximal, size, channels, 4
    )
    plain = unrolled.plain_network(size, channels, 4)
    if kind == 'training step':
        calls = [unrolled.training_step(network) for network in (ours, plain)]
    else:
        y, _ = unrolled.inputs(ours)
        quick = unrolled.for_inference(ours)
        calls = [functools.partial(applied, n, y) for n in (quick, plain)]
    names = ('ours', 'plain CNN on ODL module')
    return dict(zip(names, calls, strict=True)), '-'


def applied(network, y):
    """Return a reconstruction."""
    with torch.no_grad():
        return network(y)


def works(size, channels):
    """Return what is measured: names, and functions that prepare it."""
    return {
        **{
            f'{name}, {size}, batch {batch}': functools.partial(
                layers, kind, size, batch
            )
            for kind, name in (
                ('rays', 'rays, forward and backward'),
                ('fourier', 'Fourier samples, forward and backward'),
            )
            for batch in (1, 8)
        },
        f'proximal of total variation, {size}': functools.partial(
            variation, size
        ),
        **{
            f'{kind}, {size}, {channels} channels, 4 iterations, float32': (
                functools.partial(networks, kind, size, channels)
            )
            for kind in ('training step', 'reconstruction')
        },
    }


def measured(size, channels, budget):
    """Return time, memory and ratios of each work."""
    found, begin = {}, time.perf_counter()
    for name, prepare in works(size, channels).items():
        if time.perf_counter() - begin > budget:
            print(f'no time left for: {name}')
            continue
        calls, memory = prepare()
        results = side_by_side(calls)
        found[name] = {
            'time': f'{1e3 * results.pop("ours")[0]:.2f} ms',
            'memory (MiB)': memory.removesuffix(' MiB'),
            **{
                peer: f'{ratio:.2f}'
                for peer, (_, ratio) in results.items()
                if ratio is not None
            },
        }
    return found


def printed(found):
    """Return the table of one run."""
    names = ['time', 'memory (MiB)', *PEERS]
    used = [n for n in names if any(n in row for row in found.values())]
    rows = [
        [work, *(row.get(name, '-') for name in used)]
        for work, row in found.items()
    ]
    return table(['work', *used], rows)


def merged(page, found, column):
    """Return a page with the figures of this processor in their column."""
    before, _, rest = page.partition(f'{TITLE}\n')
    section, mark, after = rest.partition('\n## ')
    head, *lines = [
        [cell.strip() for cell in line.strip('| ').split(' | ')]
        for line in section.splitlines()
        if line.startswith('|') and '---' not in line
    ] or [['work', 'beside']]
    columns = {
        name: {tuple(line[:2]): line[i] for line in lines}
        for i, name in enumerate(head[2:], 2)
    }
    columns[column] = {
        (work, beside): value
        for work, row in found.items()
        for beside, value in row.items()
    }
    keys = dict.fromkeys(key for own in columns.values() for key in own)
    order = list(dict.fromkeys(work for work, _ in keys))
    rows = [
        [*key, *(own.get(key, '-') for own in columns.values())]
        for key in sorted(keys, key=lambda key: order.index(key[0]))
    ]
    text = table(['work', 'beside', *columns], rows)
    note = (
        'By `python benchmarks/overview.py`. Times and memory are ours, and '
        'the other rows say how many times longer it takes otherwise.'
    )
    if not before.strip():
        before = '# Benchmarks\n\n'
    return f'{before}{TITLE}\n\n{note}\n\n{text}\n{mark}{after}'


def main():
    """Measure, print the table, and write it to a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--output', help='page to write, in Markdown')
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--channels', type=int, default=32)
    parser.add_argument('--budget', type=float, default=400, help='seconds')
    options = parser.parse_args()
    torch.manual_seed(0)
    print(f'{machine()}\n')
    found = measured(options.size, options.channels, options.budget)
    print(printed(found))
    if options.output:
        path = pathlib.Path(options.output)
        page = path.read_text('utf-8') if path.exists() else ''
        column = f'{machine()}, {datetime.date.today():%Y-%m-%d}'
        write_atomically(path, merged(page, found, column).encode())


if __name__ == '__main__':
    main()
