# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Initial scales of weights that do not depend on the architecture."""

from typing import Any

import torch

from odl_equivariant.nn.blocks.network import WholeImage, activated
from odl_equivariant.nn.blocks.scales import multiscale_network

__all__ = ('calibrate', 'calibrate_all')

# A network with gates is not homogeneous, so one scaling is not enough.
_N_SCALINGS = 8


def _weights(convolution):
    """Return the weights of a convolution, without its bias."""
    return [
        parameter
        for name, parameter in convolution.named_parameters()
        if name.endswith('weight')
    ]


def _scale(convolution, factor):
    for weight in _weights(convolution):
        weight.mul_(factor)


def _random_images(channels, size, n_images=16, dimension=2):
    """Return images of unit mean square with a spectrum like 1 / |f|.

    They leave torch's global random state alone, which is for the weights.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(
        (n_images, channels, *dimension * (size,)),
        generator=generator,
        device='cpu',
    )
    f = torch.fft.fftfreq(size, device='cpu')
    frequency = f
    for _ in range(dimension - 1):
        frequency = torch.hypot(frequency[..., None], f)
    frequency = frequency.clamp_min(1 / size)
    axes = tuple(range(2, 2 + dimension))
    # for any number of axes, in spite of their name
    spectrum = torch.fft.fft2(noise, dim=axes) / frequency
    images = torch.fft.ifft2(spectrum, dim=axes).real
    return images / images.square().mean(axes, keepdim=True).sqrt()


def _images_for(block, n_inputs, least):
    """Return random inputs of a block, of a least side."""
    dimension = block.lift.kernel()[0].ndim - 2
    if dimension == 2:
        images = _random_images(n_inputs, max(32, least))
    else:
        # volumes with as many cells together
        images = _random_images(n_inputs, max(16, least), 4, dimension)
    return images.to(block.lift.weight)


@torch.no_grad()
def calibrate(proximal: Any, n_inputs: int, output_scale: float) -> None:
    """Scale the weights to the same mean squares in every architecture.

    Formulas for white noise give wrong variances for images, whose
    neighbouring pixels are correlated. So the scales are measured on random
    images.

    Parameters
    ----------
    proximal : Proximal
        Module with fresh weights.
    n_inputs : int
        Number of its input channels.
    output_scale : float
        Root mean square of the output.
    """
    lift, project = proximal.lift, proximal.project
    if lift.weight.is_meta:
        return
    images = _images_for(proximal, n_inputs, proximal.kernel_size)
    nonlinearities = proximal.nonlinearities()

    def lifted():
        return activated(lift(images), 0, nonlinearities)

    x = lifted()
    for _ in range(0 if proximal.activations is None else _N_SCALINGS):
        _scale(lift, 1 / x.square().mean().sqrt())
        x = lifted()
    scale = x.square().mean().sqrt()
    for weight in _weights(lift):
        weight.div_(scale)
    x = project(x / scale)
    _scale(project, output_scale / x.square().mean().sqrt())


class _Normalising(WholeImage):
    """An image whose convolutions are divided by their root mean square."""

    def __init__(self, padding_mode):
        super().__init__(padding_mode)
        self.factors = []

    def convolve(self, x, kernel):
        """Return the convolution, of unit mean square unless it is zero."""
        x = super().convolve(x, kernel)
        size = x.square().mean().sqrt()
        # what starts at zero stays there
        factor = 1 / size if size > 0 else torch.ones_like(size)
        self.factors.append(factor)
        return factor * x


@torch.no_grad()
def calibrate_all(network: Any, n_inputs: int, output_scale: float) -> None:
    """Scale all convolutions of a block of several scales.

    Each has outputs of unit mean square on random images then, in every
    architecture, but for those that start at zero and for the last one.

    Parameters
    ----------
    network : Multiscale
        Module with fresh weights.
    n_inputs : int
        Number of its input channels.
    output_scale : float
        Root mean square of the output.
    """
    if network.lift.weight.is_meta:
        return
    images = _images_for(network, n_inputs, network.least_side)
    extent = _Normalising(network.padding_mode)
    multiscale_network(
        images,
        network.kernels(),
        network.nonlinearities(),
        network.n_scales,
        extent,
    )
    extent.factors[-1] *= output_scale
    for layer, factor in zip(
        network.convolutions(), extent.factors, strict=True
    ):
        _scale(layer, factor)
