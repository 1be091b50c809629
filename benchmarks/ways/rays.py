# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Ray transforms: the ways to apply them, and rows of tables."""

import functools
import warnings

import numpy as np
import odl
import torch
from _timing import side_by_side
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from ways.peers import deepinv_if_there

from odl_equivariant.data import MeasuredCT
from odl_equivariant.operators import OperatorLayer, SlicewiseOperator

__all__ = (
    'N_VIEWS',
    'RAYS',
    'measured_rows',
    'ray_transform',
    'solver_rows',
    'stack_rows',
)

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


def our_rays(x):
    """Return our layer on the matrix."""
    return OperatorLayer(ray_transform(x.shape[-1], 'astra_matrix'))


def odl_rays(x):
    """Return ODL's torch module on ASTRA's projector."""
    from odl.contrib.torch import OperatorModule

    return OperatorModule(ray_transform(x.shape[-1], 'astra_cpu'))


def deepinv_rays(x):
    """Return deepinv's tomography, or nothing where it is not installed."""
    deepinv = deepinv_if_there()
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
