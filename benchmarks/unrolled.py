# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Learned proximal gradient at the paper's scale, beside what one would take.

A network of 8 iterations and 96 channels for tomography from 50 views at
512 x 512 pixels, one image at a time: a plain CNN in float32 on
`odl.contrib.torch.OperatorModule` over 'astra_cpu' beside ours, equivariant
and ordinary. Times are medians of alternating rounds in one run, memory is the
highest use of a process of its own (on Linux):

    python benchmarks/unrolled.py
    python benchmarks/unrolled.py --output docs/benchmarks_unrolled.md

In float32, at another size, and as on a processor without AVX-512:

    export ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
    python benchmarks/unrolled.py --float32 --shape 256 96 8 --batch 4

- a training step: forward, backward and Adam;
- a reconstruction, by the network as it is exported for inference;
- a training step of magnetic resonance imaging as of
  `examples/configs/mri_small.yaml`, with a batch of 8 and a mask for each
  sample, applied at once and sample by sample (`--only-masks` for this alone);
- the PSNR of a real slice by the shipped network, by precision.
"""

import argparse
import contextlib
import datetime
import platform
import time
import warnings

import odl
import torch
from _memory import count_anew, printed_by, resident
from _plain_network import MEMORY, PlainNetwork
from _timing import published, side_by_side, table
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from ways.masks import MASKED_SHAPE, ways_with_masks

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    inference,
)

N_VIEWS = 50
# `--batch`, `--float32` and `--processor-time` change these
BATCH = 1
ONLY_FLOAT32 = False
CLOCK = time.perf_counter
BASELINE = 'plain CNN on OperatorModule'


def has_bfloat16():
    """Return whether to compute in bfloat16, which the processor must do."""
    return not ONLY_FLOAT32 and inference.has_bfloat16(torch.device('cpu'))


def ray_transform(size, impl):
    """Return the ray transform of the paper's experiment."""
    half = 0.18
    space = odl.uniform_discr(
        [-half, -half], [half, half], (size, size), dtype='float32'
    )
    geometry = parallel_beam_geometry(
        space, N_VIEWS, -(-size * 1415 // 1000) | 1
    )
    operator = RayTransform(space, geometry, impl=impl)
    with warnings.catch_warnings():
        # ODL advises a GPU
        warnings.simplefilter('ignore', RuntimeWarning)
        operator.get_impl(impl)
    return operator


def plain_network(size, channels, n_iterations):
    """Return what one would write with torch and ODL's own module."""
    return PlainNetwork(
        ray_transform(size, 'astra_cpu'), channels, n_iterations
    )


def our_network(block, size, channels, n_iterations, **kwargs):
    """Return our network, equivariant or ordinary."""
    return LearnedProximalGradient(
        ray_transform(size, 'astra_matrix'),
        lambda: block(channels=channels, memory=MEMORY),
        n_iterations,
        **kwargs,
    )


def training_step(network, precision='float32'):
    """Return a call that makes one step of Adam."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    lowered = precision == 'bfloat16'
    y, truth = None, None

    def step():
        nonlocal y, truth
        if y is None:
            y, truth = inputs(network)
        context = (
            torch.autocast('cpu', torch.bfloat16)
            if lowered
            else contextlib.nullcontext()
        )
        with context:
            result = network(y)
        loss = 0.5 * (result - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def inputs(network):
    """Return data and ground truth for a network."""
    shape = getattr(network, 'shape', None)
    if shape is None:
        shape = network.forward_operator.domain.shape
    size = shape[0]
    truth = torch.rand(BATCH, 1, size, size)
    shape = ray_transform(size, 'astra_cpu').range.shape
    return torch.rand(BATCH, 1, *shape), truth


def reconstruction(network):
    """Return a call that reconstructs one image."""
    y, _ = inputs(network)

    def call():
        with torch.inference_mode():
            return network(y)

    return call


def ways_to_train(size, channels, n_iterations):
    """Return the makers of training steps, the baseline first."""
    arguments = (size, channels, n_iterations)
    lowered = 'bfloat16' if has_bfloat16() else 'float32'

    def ours(block, precision, **kwargs):
        network = our_network(block, *arguments, **kwargs)
        return training_step(network, precision)

    return {
        BASELINE: lambda: training_step(plain_network(*arguments)),
        f'C4, {lowered}': lambda: ours(EquivariantProximal, lowered),
        f'ordinary, {lowered}': lambda: ours(OrdinaryProximal, lowered),
        'C4, float32, checkpointing': lambda: ours(
            EquivariantProximal, 'float32', checkpointing=True
        ),
        f'C4, {lowered}, checkpointing': lambda: ours(
            EquivariantProximal, lowered, checkpointing=True
        ),
    }


def ways_to_reconstruct(size, channels, n_iterations):
    """Return the makers of reconstructions, the baseline first."""
    arguments = (size, channels, n_iterations)

    def ours(block, precision):
        network = our_network(block, *arguments)
        return reconstruction(for_inference(network, precision))

    ways = {
        BASELINE: lambda: reconstruction(plain_network(*arguments)),
        'C4, float32': lambda: ours(EquivariantProximal, 'float32'),
        'ordinary, float32': lambda: ours(OrdinaryProximal, 'float32'),
    }
    if has_bfloat16():
        ways['C4, bfloat16'] = lambda: ours(EquivariantProximal, 'bfloat16')
        ways['ordinary, bfloat16'] = lambda: ours(OrdinaryProximal, 'bfloat16')
    return ways


WAYS = {
    'train': ways_to_train,
    'reconstruct': ways_to_reconstruct,
    'masks': ways_with_masks,
}


def print_memory(kind, name, *arguments):
    """Print the growth of the highest memory use by one way."""
    before = resident('VmRSS')
    call = WAYS[kind](*arguments)[name]()
    count_anew()
    call()
    call()
    print(f'{resident("VmHWM") - before:.0f}')


def peak_memory(kind, name, arguments):
    """Return the memory of a way in a process of its own, in MiB."""
    options = ['--memory', kind, name, '--shape', *arguments]
    options += ['--batch', BATCH, *(['--float32'] if ONLY_FLOAT32 else [])]
    line = printed_by(__file__, *options)
    return None if line is None else float(line)


def measured(kind, arguments, budget, with_memory):
    """Return the rows of a table of times and memory."""
    ways = WAYS[kind](*arguments)
    memory = {
        name: peak_memory(kind, name, arguments) if with_memory else None
        for name in ways
    }
    calls = {name: make() for name, make in ways.items()}
    times = side_by_side(calls, budget, clock=CLOCK)
    reference = memory[next(iter(ways))]
    rows = []
    for name, (seconds, ratio) in times.items():
        own = memory[name]
        share = f'{own / reference:.2f}' if own and reference else '-'
        rows.append(
            [
                name,
                f'{seconds:.2f} s',
                f'{1 / ratio:.2f}',
                '-' if own is None else f'{own:.0f} MiB',
                share,
            ]
        )
    return rows


def compared(arguments, budget):
    """Return the rows that compare equivariant with ordinary, in pairs."""
    rows = []
    for kind, title in (
        ('train', 'training step'),
        ('reconstruct', 'reconstruction'),
    ):
        ways = WAYS[kind](*arguments)
        for name in ways:
            other = name.replace('C4', 'ordinary')
            if name == other or other not in ways:
                continue
            pair = {key: ways[key]() for key in (other, name)}
            times = side_by_side(pair, budget, clock=CLOCK)
            _, ratio = times[name]
            rows.append([title, name.partition(', ')[2], f'{ratio:.3f}'])
    return rows


def psnr_by_precision():
    """Return the PSNR of the real slice by the shipped network."""
    from odl_equivariant import models
    from odl_equivariant.data import SparseViewCT, sample_ct_slice
    from odl_equivariant.elements import as_tensor

    ct = SparseViewCT((256, 256), n_views=50)
    image = sample_ct_slice('relative').asarray()
    y = as_tensor(ct.simulate(image, rng=0))
    truth = as_tensor(ct.ground_truth(image))
    rows = []
    for precision in ('float32', *(['bfloat16'] if has_bfloat16() else [])):
        network = models.load('sparse_view_ct_c4', ct.operator)
        with torch.inference_mode():
            result = for_inference(network, precision)(y)
        error = (result - truth).square().mean()
        psnr = 10 * torch.log10(truth.max() ** 2 / error)
        rows.append([precision, f'{float(psnr):.3f} dB'])
    return rows


def main():
    """Measure and print all tables."""
    global BATCH, ONLY_FLOAT32, CLOCK
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--shape', type=int, nargs=3, default=[512, 96, 8],
        metavar=('PIXELS', 'CHANNELS', 'ITERATIONS'),
    )  # fmt: skip
    parser.add_argument('--batch', type=int, default=1, help='images at once')
    parser.add_argument(
        '--float32', action='store_true', help='compute in float32 only'
    )
    parser.add_argument(
        '--processor-time',
        action='store_true',
        help='the time of one thread, on a machine that is busy',
    )
    parser.add_argument('--budget', type=float, default=240, help='seconds')
    parser.add_argument(
        '--no-memory', action='store_true', help='measure times only'
    )
    parser.add_argument(
        '--only-comparison',
        action='store_true',
        help='compare equivariant with ordinary, and nothing else',
    )
    parser.add_argument(
        '--only-masks',
        action='store_true',
        help='measure the step with masks, and nothing else',
    )
    parser.add_argument('--output', help='file to write the tables to')
    parser.add_argument('--memory', nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    BATCH, ONLY_FLOAT32 = arguments.batch, arguments.float32
    torch.manual_seed(0)
    if arguments.processor_time:
        torch.set_num_threads(1)
        CLOCK = time.process_time
    if arguments.memory:
        print_memory(*arguments.memory, *arguments.shape)
        return
    size, channels, n_iterations = arguments.shape
    header = ['', 'time', 'times faster', 'memory', "of the plain CNN's"]
    with_memory = not arguments.no_memory

    def masks():
        settings = (MASKED_SHAPE, arguments.budget, with_memory)
        return table(
            [*header[:-1], 'of the first'], measured('masks', *settings)
        )

    if arguments.only_masks:
        print(masks())
        return
    comparison = table(
        ['', 'precision', 'ratio'],
        compared(arguments.shape, arguments.budget),
    )
    if arguments.only_comparison:
        print(comparison)
        return
    settings = (arguments.shape, arguments.budget, with_memory)
    sections = {
        'A training step': table(header, measured('train', *settings)),
        'A reconstruction': table(header, measured('reconstruct', *settings)),
        'Equivariant against ordinary, times as long': comparison,
        'A training step with a mask for each of 8 samples': masks(),
        'PSNR of the real slice by the shipped C4 network': table(
            ['precision', 'PSNR'], psnr_by_precision()
        ),
    }
    heading = (
        '# Benchmark of the unrolled networks\n\n'
        f'Made by `python benchmarks/unrolled.py` on '
        f'{datetime.date.today():%Y-%m-%d}, {torch.get_num_threads()} threads '
        f'of a {platform.machine()} processor used as '
        f'{torch.backends.cpu.get_cpu_capability()}, '
        f'{"with" if has_bfloat16() else "without"} arithmetic in bfloat16, '
        f'torch {torch.__version__}: {size} x {size} pixels, {N_VIEWS} views, '
        f'{channels} channels, {n_iterations} iterations, batch {BATCH}. '
        'Times are medians over alternating rounds.'
    )
    published(heading, sections, arguments.output)


if __name__ == '__main__':
    main()
