# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Rays, Fourier transforms and whole networks on a GPU, in six minutes.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --output gpu.json --budget 330
    python benchmarks/gpu.py --show gpu.json
    python benchmarks/gpu.py --device cpu --quick

The results are written as JSON after each section, and printed as tables.
Times are medians of alternating rounds, measured with events of the GPU. The
first row of each case is the reference of the ratios: how many times longer
the others take. Memory is the highest that torch has allocated, with what the
ways before it in the same case hold, and nothing of earlier cases. ASTRA's own
memory is not in it.

A way that fails is a row with its message, and the rest goes on. The exit
code is then 1. What no time is left for is a row too. The same lines run on a
processor, where ASTRA's projector is that for processors.

- rays: forward and backward, parallel beams and fan beams. 'ASTRA' is
  `OperatorLayer` on the back-end that works on the tensors, 'matrix' the one
  on 'astra_matrix', 'ODL module' is `odl.contrib.torch.OperatorModule`, which
  copies each image from the GPU and back. deepinv is left out where it is not
  installed;
- fourier: subsampled transforms, and eight coils, beside the same lines
  written with `torch.fft`;
- training and reconstruction: networks of 8 iterations and 96 channels at
  512 x 512 pixels, in float32 with and without TF32, and in bfloat16, with
  rays by the matrix, beside a plain CNN on ODL's module; with rays by ASTRA,
  compiled, and captured as a CUDA graph.
"""

import argparse
import json
import math
import pathlib
import sys

import torch
from _device import Bench, report
from _gpu_networks import reconstruction, training
from _gpu_operators import fourier, rays

# Each takes at most this share of the time that is left.
SECTIONS = {
    'rays': ('Rays, forward and backward', rays, 0.35),
    'fourier': ('Fourier transforms, forward and backward', fourier, 0.2),
    'training': ('Training', training, 0.6),
    'reconstruction': ('Reconstruction', reconstruction, 1.0),
}


def _check(parser, chosen):
    """End with a message if nothing can be measured or written."""
    try:
        device = torch.device(chosen.device)
    except RuntimeError:
        parser.error(f'--device: torch knows no device {chosen.device!r}')
    if device.type == 'cuda' and not torch.cuda.is_available():
        parser.error(
            'torch finds no GPU here: take `--device cpu`, or install torch '
            'with CUDA'
        )
    if not 0 <= chosen.budget < math.inf:
        parser.error(
            f'--budget must be a number of seconds, got {chosen.budget}'
        )
    folder = pathlib.Path(chosen.output).resolve().parent
    if not folder.is_dir():
        parser.error(f'--output: there is no folder {folder}')


def main(arguments=None):
    """Measure all sections, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cuda')
    parser.add_argument(
        '--quick', action='store_true', help='tiny sizes, to try the script'
    )
    parser.add_argument('--budget', type=float, default=330, help='seconds')
    parser.add_argument('--output', default='gpu.json', help='file of JSON')
    parser.add_argument(
        '--sections', nargs='+', choices=SECTIONS, default=list(SECTIONS)
    )
    parser.add_argument(
        '--show', nargs='+', type=pathlib.Path, help='files of JSON to print'
    )
    chosen = parser.parse_args(arguments)
    for path in chosen.show or ():
        try:
            print(report(json.loads(path.read_text('utf-8'))) + '\n')
        except OSError as error:
            parser.error(f'{path} cannot be read: {error.strerror}')
        except (ValueError, TypeError, KeyError) as error:
            parser.error(
                f'{path} is not a whole file of results ({error}): measure '
                'again with --output'
            )
    if chosen.show:
        return 0
    _check(parser, chosen)
    torch.manual_seed(0)
    bench = Bench(chosen.device, chosen.quick, chosen.budget, chosen.output)
    for section in chosen.sections:
        bench.run(*SECTIONS[section])
    print(f'# Benchmark on a GPU\n\n{report(bench.content())}')
    failed = [row for row in bench.rows if 'error' in row]
    for row in failed:
        print(f'{row["case"]}, {row["way"]}: {row["error"]}', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
