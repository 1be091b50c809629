# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Fourier transforms: the ways to apply them, and rows of tables."""

import sys

import numpy as np
import odl
import torch
from _timing import side_by_side
from ways.peers import deepinv_if_there

from odl_equivariant.data import CartesianMRI, simulated_coil_maps
from odl_equivariant.operators import (
    CartesianMask,
    NonUniformFourierTransform,
    OperatorLayer,
    SubsampledFourierTransform,
    UnitaryFourierTransform,
)
from odl_equivariant.operators.batching.per_sample import per_sample_operator

__all__ = (
    'FOURIER',
    'coil_rows',
    'non_uniform_rows',
    'numpy_rows',
)


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
    deepinv = deepinv_if_there()
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
