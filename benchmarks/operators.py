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
import functools
import os
import pathlib
import platform
import subprocess
import sys
import warnings

import numpy as np
import odl
import torch
from _timing import published, side_by_side, table
from odl.applications.tomo import RayTransform, parallel_beam_geometry

from odl_equivariant.data import (
    CartesianMRI,
    MeasuredCT,
    simulated_coil_maps,
)
from odl_equivariant.operators import (
    CartesianMask,
    NonUniformFourierTransform,
    OperatorLayer,
    SlicewiseOperator,
    SubsampledFourierTransform,
    UnitaryFourierTransform,
)
from odl_equivariant.operators.batching.per_sample import per_sample_operator

N_VIEWS = 50
# a fan beam with a flat detector, lengths in millimetres
FAN = {
    'kind': 'fan',
    'source_radius': 410.66,
    'detector_radius': 143.08,
    'n_detectors': 560,
    'detector_width': 0.2,
    'angles': {'first': 0, 'step': 2, 'n': 181},
    'angle_unit': 'degrees',
}


def detectors(size):
    """Return as many detectors as the diagonal has pixels, and an odd one."""
    return int(np.ceil(size * np.sqrt(2))) | 1


def ray_transform(size, impl):
    """Return ODL's ray transform with one of its back-ends."""
    space = odl.uniform_discr(
        [-0.5, -0.5], [0.5, 0.5], (size, size), dtype='float32'
    )
    geometry = parallel_beam_geometry(space, N_VIEWS, detectors(size))
    return RayTransform(space, geometry, impl=impl)


def with_gradient(function, x):
    """Return a call of forward and backward of ``function`` at ``x``."""
    x = x.clone().requires_grad_()
    weights = torch.randn_like(function(x))

    def call():
        return torch.autograd.grad(function(x), x, weights)

    return call


# --- Ray transforms --- #


def our_rays(x):
    """Return our layer on the matrix."""
    return OperatorLayer(ray_transform(x.shape[-1], 'astra_matrix'))


def odl_rays(x):
    """Return ODL's torch module on ASTRA's projector."""
    from odl.contrib.torch import OperatorModule

    return OperatorModule(ray_transform(x.shape[-1], 'astra_cpu'))


def deepinv_rays(x):
    """Return deepinv's tomography, or nothing where it is not installed."""
    deepinv = _deepinv()
    angles = torch.linspace(0, 180, N_VIEWS + 1)[:-1]
    return deepinv and deepinv.physics.Tomography(
        angles, x.shape[-1], normalize=False
    )


def torch_rays(x):
    """Return a projector that turns the image and sums along an axis."""
    size, padded = x.shape[-1], detectors(x.shape[-1])
    margin = padded - size
    padding = (margin // 2, margin - margin // 2) * 2
    angles = np.pi * np.arange(N_VIEWS) / N_VIEWS
    rotation = np.stack(
        [
            np.stack([np.cos(angles), -np.sin(angles), 0 * angles], 1),
            np.stack([np.sin(angles), np.cos(angles), 0 * angles], 1),
        ],
        1,
    )
    grids = torch.nn.functional.affine_grid(
        torch.from_numpy(rotation.astype('float32')),
        (N_VIEWS, 1, padded, padded),
        align_corners=False,
    )

    def project(x):
        x = torch.nn.functional.pad(x, padding)
        views = [
            torch.nn.functional.grid_sample(
                x,
                grid.expand(len(x), -1, -1, -1),
                align_corners=False,
            ).sum(-2)
            for grid in grids
        ]
        return torch.stack(views, -2)

    return project


RAYS = {
    'ours': our_rays,
    'ODL module': odl_rays,
    'deepinv': deepinv_rays,
    'torch by hand': torch_rays,
}

# --- Subsampled Fourier transforms --- #


def fourier_parts(size):
    """Return a space of complex images and a mask."""
    space = odl.uniform_discr(
        [-0.5, -0.5], [0.5, 0.5], (size, size), dtype='complex64'
    )
    return space, CartesianMask((size, size), acceleration=4)


def our_fourier(x):
    """Return our layer."""
    space, mask = fourier_parts(x.shape[-1])
    return OperatorLayer(
        SubsampledFourierTransform(space, mask), layout='complex'
    )


def torch_fourier(x):
    """Return what one would write with torch alone."""
    _, mask = fourier_parts(x.shape[-1])
    mask = torch.from_numpy(mask.array.astype('float32'))
    fft = torch.fft

    def transform(x):
        x = fft.ifftshift(x, (-2, -1))
        return mask * fft.fftshift(fft.fft2(x, norm='ortho'), (-2, -1))

    return transform


def deepinv_fourier(x):
    """Return deepinv's MRI, on real and imaginary parts as channels."""
    deepinv = _deepinv()
    if deepinv is None:
        return None
    _, mask = fourier_parts(x.shape[-1])
    physics = deepinv.physics.MRI(
        torch.from_numpy(mask.array.astype('float32')),
        img_size=(2, *x.shape[-2:]),
    )
    return physics


def odl_fourier(x):
    """Return ODL's torch module on ODL's transform and a multiplication."""
    from odl.contrib.torch import OperatorModule

    space, mask = fourier_parts(x.shape[-1])
    transform = odl.trafos.DiscreteFourierTransform(space)
    values = np.fft.ifftshift(mask.array).astype('complex64')
    return OperatorModule(
        odl.MultiplyOperator(transform.range.element(values)) * transform
    )


FOURIER = {
    'ours': our_fourier,
    'torch by hand': torch_fourier,
    'deepinv': deepinv_fourier,
    'ODL module': odl_fourier,
}


@functools.cache
def _deepinv():
    try:
        import deepinv
    except ImportError:
        return None
    return deepinv


# --- Coils --- #


def coil_gradients(size, batch, n_coils=8):
    """Return our gradient of the data fit, and the one written by hand."""
    acquisition = CartesianMRI((size, size), n_coils=n_coils)
    maps = [
        simulated_coil_maps((size, size), n_coils, i) for i in range(batch)
    ]
    masks = [acquisition.draw_mask(i) for i in range(batch)]
    operator = per_sample_operator(
        [
            acquisition.forward_operator(mask, own)
            for mask, own in zip(masks, maps, strict=True)
        ]
    )
    layer = OperatorLayer(operator)
    adjoint = layer.adjoint
    u = torch.randn(batch, 2, size, size)
    y = torch.randn(batch, 2 * n_coils, size, size)

    maps = torch.tensor(np.stack(maps))
    conjugates = maps.conj().resolve_conj()
    lines = np.stack([mask.array[:1] for mask in masks])
    mask = torch.tensor(lines.astype('float32'))[:, None]
    fft, axes = torch.fft, (-2, -1)

    @torch.no_grad()
    def by_hand():
        images = maps * torch.complex(u[:, 0], u[:, 1])[:, None]
        images = fft.fft2(fft.ifftshift(images, axes), norm='ortho')
        residual = mask * fft.fftshift(images, axes)
        residual = residual - torch.complex(y[:, ::2], y[:, 1::2])
        images = fft.ifftshift(mask * residual, axes)
        images = fft.fftshift(fft.ifft2(images, norm='ortho'), axes)
        image = (conjugates * images).sum(1)
        return torch.stack([image.real, image.imag], 1)

    @torch.no_grad()
    def ours():
        return adjoint(layer(u) - y)

    torch.testing.assert_close(ours(), by_hand())
    return {'ours': ours, 'torch by hand': by_hand}


def coil_rows(sizes, batches):
    """Return the rows of a table of gradients with several coils."""
    rows = []
    for size in sizes:
        for batch in batches:
            results = side_by_side(coil_gradients(size, batch))
            rows.append(
                [
                    size,
                    batch,
                    f'{1e3 * results["ours"][0]:.2f} ms',
                    f'{results["torch by hand"][1]:.2f}',
                ]
            )
    return rows


# --- The tables --- #


def prepared(ways, x, channels_for=()):
    """Return calls of forward and backward for the ways that are there."""
    calls = {}
    for name, make in ways.items():
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            function = make(x)
            if function is None:
                continue
            argument = x
            if name in channels_for:
                argument = torch.view_as_real(x[:, 0]).movedim(-1, 1)
                argument = argument.contiguous()
            try:
                calls[name] = with_gradient(function, argument)
                calls[name]()
            except (RuntimeError, TypeError, ValueError) as error:
                print(f'{name} cannot: {error}'.splitlines()[0])
                calls.pop(name, None)
    return calls


def layer_rows(ways, sizes, batches, dtype, channels_for=()):
    """Return the rows of a table of forward and backward."""
    rows = []
    for size in sizes:
        for batch in batches:
            x = torch.randn(batch, 1, size, size, dtype=dtype)
            results = side_by_side(prepared(ways, x, channels_for))
            rows.append(
                [
                    size,
                    batch,
                    f'{1e3 * results["ours"][0]:.2f} ms',
                    *(
                        f'{results[name][1]:.2f}' if name in results else '-'
                        for name in list(ways)[1:]
                    ),
                ]
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def solver_rows(sizes):
    """Return the rows of a table of iterations in an ODL solver."""
    rows = []
    for size in sizes:
        calls = {}
        for impl in ('astra_matrix', 'astra_cpu'):
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                operator = ray_transform(size, impl)
                operator.get_impl()
            data, x = operator.range.one(), operator.domain.zero()
            calls[impl] = functools.partial(
                odl.solvers.landweber, operator, x, data, 4, omega=1e-3
            )
        results = side_by_side(calls)
        rows.append(
            [
                size,
                f'{1e3 * results["astra_matrix"][0] / 4:.2f} ms',
                f'{results["astra_cpu"][1]:.2f}',
            ]
        )
    return rows


def measured_rows(size):
    """Return the row of a pair of projections in the fan of a scanner."""
    calls = {}
    geometry = {
        **FAN,
        'n_detectors': FAN['n_detectors'] * size // 512,
        'detector_width': FAN['detector_width'] * 512 / size,
    }
    space = {'shape': (size, size), 'cell': 0.15 * 512 / size}
    for impl in ('astra_matrix', 'astra_cpu'):
        scanner = MeasuredCT(geometry, space, 'mm')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            operator = RayTransform(scanner.space, scanner.geometry, impl=impl)
            operator.get_impl()
        x = scanner.space.one()
        adjoint, out = operator.adjoint, operator.range.zero()
        back = scanner.space.zero()

        def pair(operator=operator, adjoint=adjoint, x=x, y=out, z=back):
            operator(x, out=y)
            adjoint(y, out=z)

        calls[impl] = pair
    results = side_by_side(calls, budget=20)
    return [
        [
            f'181 x {geometry["n_detectors"]}',
            size,
            f'{1e3 * results["astra_matrix"][0]:.1f} ms',
            f'{results["astra_cpu"][1]:.2f}',
        ]
    ]


def stack_rows(sizes, n_slices=64):
    """Return the rows of a table of ray transforms of volumes."""
    rows = []
    for size in sizes:
        stack = SlicewiseOperator(
            ray_transform(size, 'astra_matrix'), n_slices, 1 / size
        )
        single = ray_transform(size, 'astra_cpu')
        volume = odl.phantom.white_noise(stack.domain)
        data = stack(volume)
        slices, views = (
            [space.element(x.data[..., i]) for i in range(n_slices)]
            for space, x in ((single.domain, volume), (single.range, data))
        )
        for name, ours, theirs in (
            (
                'forward',
                functools.partial(stack, volume),
                lambda slices=slices, single=single: list(map(single, slices)),
            ),
            (
                'adjoint',
                functools.partial(stack.adjoint, data),
                lambda views=views, single=single: list(
                    map(single.adjoint, views)
                ),
            ),
        ):
            results = side_by_side(
                {'ours': ours, 'astra_cpu': theirs}, rounds=5
            )
            rows.append(
                [
                    f'{size} x {size} x {n_slices}',
                    name,
                    f'{1e3 * results["ours"][0]:.0f} ms',
                    f'{results["astra_cpu"][1]:.1f}',
                ]
            )
    return rows


def numpy_rows(sizes):
    """Return the rows of a table of Fourier transforms of one image."""
    rows = []
    for size in sizes:
        for dtype in ('complex64', 'complex128'):
            space = odl.uniform_discr(
                [0, 0], [1, 1], (size, size), dtype=dtype
            )
            operator = UnitaryFourierTransform(space)
            x = odl.phantom.white_noise(space)
            array = x.data
            results = side_by_side(
                {
                    'ours': lambda op=operator, x=x: op(x),
                    'centred': lambda a=array: np.fft.fftshift(
                        np.fft.fft2(np.fft.ifftshift(a), norm='ortho')
                    ),
                    'bare': lambda a=array: np.fft.fft2(a, norm='ortho'),
                },
                rounds=50,
            )
            rows.append(
                [
                    size,
                    dtype,
                    f'{1e3 * results["ours"][0]:.2f} ms',
                    f'{results["centred"][1]:.2f}',
                    f'{results["bare"][1]:.2f}',
                ]
            )
    return rows


def non_uniform_rows(size, n_samples, batches):
    """Return the rows of a table of non-uniform transforms."""
    try:
        import finufft
    except ImportError:
        return []
    rng = np.random.default_rng(0)
    points = rng.uniform(-np.pi, np.pi, (n_samples, 2))
    space = odl.uniform_discr(
        [0, 0], [size, size], (size, size), dtype='complex64'
    )
    transform = NonUniformFourierTransform(space, points)
    layer = OperatorLayer(transform, layout='complex')
    scale = np.float32(1 / size)
    rows = []
    for batch in batches:
        x = torch.randn(batch, 1, size, size, dtype=torch.complex64)
        array = x[:, 0].numpy() if batch > 1 else x[0, 0].numpy()
        plan = finufft.Plan(
            2,
            (size, size),
            batch,
            transform.tol,
            -1,
            'complex64',
            nthreads=torch.get_num_threads(),
        )
        plan.setpts(*points.T.astype('float32').copy())
        samples = plan.execute(array)
        argument = x.clone().requires_grad_()
        weights = torch.from_numpy(samples).reshape(batch, 1, n_samples)

        def by_hand(plan=plan, array=array, samples=samples):
            y = scale * plan.execute(array)
            return y, scale * plan.execute_adjoint(samples)

        results = side_by_side(
            {
                'ours': lambda x=argument, w=weights: torch.autograd.grad(
                    layer(x), x, w
                ),
                'by hand': by_hand,
            },
            budget=20.0,
        )
        rows.append(
            [
                size,
                n_samples,
                batch,
                f'{1e3 * results["ours"][0]:.2f} ms',
                f'{results["by hand"][1]:.2f}',
            ]
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def overhead_rows():
    """Return the rows of a table of what a layer itself costs."""
    layer = OperatorLayer(odl.IdentityOperator(odl.rn(3, dtype='float32')))
    x = torch.ones(1, 1, 3)
    repeats = range(200)

    def calls(function, x):
        def call():
            for _ in repeats:
                function(x)

        return call

    rows = []
    for name, argument in (
        ('without gradient', x),
        ('with gradient', x.clone().requires_grad_()),
    ):
        results = side_by_side(
            {
                'layer': calls(layer, argument),
                'torch': calls(lambda x: x * 1.0, argument),
            }
        )
        seconds = [s / len(repeats) for s, _ in results.values()]
        rows.append([name, *(f'{1e6 * s:.1f} µs' for s in seconds)])
    return rows


def peak_memory(kind, name, size, batch):
    """Return the MiB that a way takes beyond the loaded packages."""
    result = subprocess.run(
        [
            *_interpreter(),
            '--memory',
            f'{kind},{name},{size},{batch}',
        ],
        capture_output=True,
        text=True,
    )
    return result.stdout.strip().splitlines()[-1] if result.stdout else '-'


def _interpreter():
    return [sys.executable, os.path.abspath(__file__)]


def resident(entry):
    """Return an entry of Linux's record of this process, in MiB."""
    status = pathlib.Path('/proc/self/status').read_text()
    (line,) = (li for li in status.splitlines() if li.startswith(entry))
    return int(line.split()[1]) / 1024


def print_memory(kind, name, size, batch):
    """Print the growth of the highest memory use by one way."""
    ways, dtype = {
        'rays': (RAYS, torch.float32),
        'fourier': (FOURIER, torch.complex64),
    }[kind]
    if name == 'deepinv':
        _deepinv()
    before = resident('VmRSS')
    # from here on the highest use is counted anew
    pathlib.Path('/proc/self/clear_refs').write_text('5')
    x = torch.randn(int(batch), 1, int(size), int(size), dtype=dtype)
    channels_for = ('deepinv',) if kind == 'fourier' else ()
    calls = prepared({name: ways[name]}, x, channels_for)
    for call in calls.values():
        call()
        print(f'{resident("VmHWM") - before:.0f} MiB')


def memory_rows(size, batch):
    """Return the rows of a table of the memory that each way takes."""
    rows = []
    for kind, ways in (('rays', RAYS), ('fourier', FOURIER)):
        rows.extend(
            [kind, name, peak_memory(kind, name, size, batch)] for name in ways
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
