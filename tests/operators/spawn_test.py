# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of layers in the processes that load data."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from torch import nn
from torch.utils.data import DataLoader

from odl_equivariant.elements import grid_shape, n_channels
from odl_equivariant.nn import LearnedProximalGradient, OrdinaryProximal
from odl_equivariant.operators import (
    CartesianMask,
    NetworkOperator,
    OperatorLayer,
    SensitivityEncoding,
    SubsampledFourierTransform,
)


def _images(dtype='float32'):
    return odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype=dtype)


def _ray_transform():
    space = _images()
    geometry = parallel_beam_geometry(space, 4, 7)
    return RayTransform(space, geometry, impl='astra_matrix')


def _layers():
    """Return layers that have been used, their adjoints included."""
    rays = _ray_transform()
    network = NetworkOperator(nn.Conv2d(1, 1, 3, padding=1), rays.domain)
    space = _images('complex64')
    coils = SensitivityEncoding(space, torch.ones(2, 6, 6) * (1 + 2j))
    fourier = SubsampledFourierTransform(
        coils.range, CartesianMask((6, 6), 2, 0.3)
    )
    layers = [
        OperatorLayer(operator)
        for operator in (
            rays,
            rays.adjoint,
            rays.adjoint * rays + odl.IdentityOperator(rays.domain),
            rays * network,
            odl.Gradient(rays.domain),
            fourier * coils,
        )
    ]
    layers.append(
        LearnedProximalGradient(
            rays, lambda: OrdinaryProximal(channels=4), n_iterations=2
        )
    )
    return layers


def _sample(layer):
    if isinstance(layer, LearnedProximalGradient):
        space = layer.forward_operator.range
    else:
        space = layer.operator.domain
    return torch.randn(2, n_channels(space), *grid_shape(space))


@pytest.mark.slow
def test_layers_in_a_spawned_process():
    """A process that starts from nothing computes what this one does."""
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for layer in _layers():
            layer = layer.requires_grad_(False)
            x = _sample(layer)
            result = pool.submit(layer, x).result()
            torch.testing.assert_close(result, layer(x))


@pytest.mark.slow
def test_layer_in_a_data_loader():
    """Workers under spawn, of which each sample goes through a layer."""
    rays = _ray_transform()
    rays.adjoint(rays(rays.domain.one()))
    layer = OperatorLayer(rays)
    samples = [_sample(layer) for _ in range(3)]
    loader = DataLoader(
        samples,
        batch_size=None,
        collate_fn=layer,
        num_workers=1,
        multiprocessing_context='spawn',
    )
    for sample, result in zip(samples, loader, strict=True):
        torch.testing.assert_close(result, layer(sample))
