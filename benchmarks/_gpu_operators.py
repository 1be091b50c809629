# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Rays and Fourier transforms on a GPU, forward and backward."""

import functools

import numpy as np
import odl
import torch
from _device import with_gradient
from odl.applications.tomo import (
    FanBeamGeometry,
    RayTransform,
    parallel_beam_geometry,
)

from odl_equivariant.operators import (
    CartesianMask,
    OperatorLayer,
    SensitivityEncoding,
    SubsampledFourierTransform,
)

__all__ = ('fourier', 'forget_rays', 'ray_transform', 'rays')

N_VIEWS, N_COILS = 50, 8


@functools.cache
def ray_transform(kind, size, impl):
    """Return a ray transform of 50 views."""
    space = odl.uniform_discr(
        [-0.5, -0.5], [0.5, 0.5], (size, size), dtype='float32'
    )
    n_detectors = int(np.ceil(size * np.sqrt(2))) | 1
    if kind == 'parallel':
        geometry = parallel_beam_geometry(space, N_VIEWS, n_detectors)
    else:
        geometry = FanBeamGeometry(
            odl.uniform_partition(0, 2 * np.pi, N_VIEWS),
            odl.uniform_partition(-1, 1, n_detectors),
            src_radius=2,
            det_radius=1,
        )
    return RayTransform(space, geometry, impl=impl)


def forget_rays(bench):
    """Free the ray transforms, whose matrices stay on the device."""
    ray_transform.cache_clear()
    bench.release()


def rays(bench):
    """Measure ray transforms, forward and backward."""
    from odl.contrib.torch import OperatorModule

    def layer(kind, x, impl):
        operator = ray_transform(kind, x.shape[-1], impl)
        return with_gradient(OperatorLayer(operator).to(bench.device), x)

    def odl_module(kind, x):
        operator = ray_transform(kind, x.shape[-1], bench.rays)
        return with_gradient(OperatorModule(operator), x)

    def deepinv_rays(kind, x):
        try:
            import deepinv
        except (ImportError, RuntimeError):
            return None
        if kind == 'fan':
            return None
        angles = torch.linspace(0, 180, N_VIEWS + 1)[:-1]
        return with_gradient(
            deepinv.physics.Tomography(
                angles.to(bench.device),
                x.shape[-1],
                device=bench.device,
                normalize=False,
            ),
            x,
        )

    for batch in reversed(bench.batches):
        for size in reversed(bench.sizes):
            for kind in ('parallel', 'fan'):
                x = torch.randn(batch, 1, size, size, device=bench.device)
                makers = {
                    'ASTRA': lambda k=kind, x=x: layer(k, x, bench.rays),
                    'matrix': lambda k=kind, x=x: layer(k, x, 'astra_matrix'),
                    'ODL module': lambda k=kind, x=x: odl_module(k, x),
                    'deepinv': lambda k=kind, x=x: deepinv_rays(k, x),
                }
                forget_rays(bench)
                bench.compare(f'{kind}, {size}, batch {batch}', makers)


def fourier(bench):
    """Measure subsampled Fourier transforms, with one coil and with eight."""
    fft, axes = torch.fft, (-2, -1)
    forget_rays(bench)

    def centred(x):
        x = fft.fft2(fft.ifftshift(x, axes), norm='ortho')
        return fft.fftshift(x, axes)

    for size in bench.sizes:
        space = odl.uniform_discr(
            [-0.5, -0.5], [0.5, 0.5], (size, size), dtype='complex64'
        )
        own = CartesianMask((size, size), acceleration=4)
        mask = torch.from_numpy(own.array.astype('float32')).to(bench.device)
        maps = torch.randn(N_COILS, size, size, dtype=torch.complex64)
        on_device = maps.to(bench.device)

        def single(x, space=space, own=own):
            operator = SubsampledFourierTransform(space, own)
            layer = OperatorLayer(operator, layout='complex')
            return with_gradient(layer.to(bench.device), x)

        def coils(x, space=space, maps=maps):
            operator = SensitivityEncoding(space, maps.numpy())
            layer = OperatorLayer(operator, layout='complex')
            return with_gradient(layer.to(bench.device), x)

        for batch in bench.batches:
            shape = (batch, 1, size, size)
            x = torch.randn(shape, dtype=torch.complex64, device=bench.device)
            bench.release()
            bench.compare(
                f'subsampled, {size}, batch {batch}',
                {
                    'ours': lambda x=x, f=single: f(x),
                    'torch by hand': lambda x=x, m=mask: with_gradient(
                        lambda x: m * centred(x), x
                    ),
                },
            )
            bench.release()
            bench.compare(
                f'{N_COILS} coils, {size}, batch {batch}',
                {
                    'ours': lambda x=x, f=coils: f(x),
                    'torch by hand': lambda x=x, c=on_device: with_gradient(
                        lambda x: centred(c * x), x
                    ),
                },
            )
