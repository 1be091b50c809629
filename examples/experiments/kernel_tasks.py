# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the comparison of bases of kernels trains: networks, pairs, images."""

import dataclasses
import functools

import numpy as np
import torch

from odl_equivariant import data
from odl_equivariant.elements import as_tensor
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)

__all__ = ('TASKS', 'Arm', 'parts')


@dataclasses.dataclass(frozen=True)
class Arm:
    """Kernels and width of a network."""

    kernels: str
    channels: int

    def block(self, group, **arguments):
        """Return a new block."""
        if self.kernels == 'ordinary':
            return OrdinaryProximal(
                channels=self.channels, skip=True, **arguments
            )
        return EquivariantProximal(
            channels=self.channels,
            group=group,
            skip=True,
            basis=self.kernels,
            **arguments,
        )


class Denoising:
    """Patches with white Gaussian noise of one level."""

    def __init__(self, settings):
        self.settings = settings

    def block(self, arm):
        """Return a new denoiser."""
        return arm.block(self.settings['group'], memory=0, gradient=False)

    network = block

    def pairs(self, images, rng):
        """Return patches with noise, and without."""
        truth = torch.stack(
            [
                _patch(images, self.settings['size'], rng)
                for _ in range(self.settings['batch'])
            ]
        )[:, None]
        return self._noisy(truth, rng), truth

    def whole(self, image, rng):
        """Return an image with noise, and without, to score with."""
        truth = image[None, None]
        return self._noisy(truth, rng), truth

    def _noisy(self, truth, rng):
        noise = rng.standard_normal(truth.shape, dtype=np.float32)
        return truth + self.settings['noise'] * torch.from_numpy(noise)


class Tomography:
    """Patches in a disc, from few views and photons."""

    def __init__(self, settings):
        self.settings = settings
        self.acquisition = data.SparseViewCT(
            2 * (settings['size'],), n_views=settings['n_views']
        )
        along = np.linspace(-1, 1, 2 * settings['size'])
        disc = np.hypot(along[:, None], along) < 1
        self.disc = torch.from_numpy(disc.astype(np.float32))

    def block(self, arm):
        """Return a new block."""
        return arm.block(self.settings['group'])

    def network(self, arm):
        """Return a new unrolled network."""
        return LearnedProximalGradient(
            self.acquisition.operator,
            functools.partial(self.block, arm),
            self.settings['n_iterations'],
            initial='fbp',
        )

    def pairs(self, images, rng):
        """Return data of patches, and what is looked for."""
        made = [
            self._pair(_patch(images, 2 * self.settings['size'], rng), rng)
            for _ in range(self.settings['batch'])
        ]
        return tuple(map(torch.cat, zip(*made, strict=True)))

    def whole(self, image, rng):
        """Return data of the middle of an image, to score with."""
        size = 2 * self.settings['size']
        i, j = ((n - size) // 2 for n in image.shape)
        return self._pair(image[i : i + size, j : j + size], rng)

    def _pair(self, patch, rng):
        fine = (self.settings['peak'] * patch * self.disc).numpy()
        return (
            as_tensor(self.acquisition.simulate(fine, rng)),
            as_tensor(self.acquisition.ground_truth(fine)),
        )


TASKS = {'denoising': Denoising, 'ct': Tomography}


def _patch(images, size, rng):
    image = images[rng.integers(len(images))]
    i, j = (rng.integers(n - size + 1) for n in image.shape)
    return image[i : i + size, j : j + size]


def parts(folder, quick):
    """Return images to train with, to choose with and to test with."""
    if folder is None:
        number = 20 if quick else 400
        slices = data.Phantoms(number, (180, 180), draw=data.ellipse_phantom)
    else:
        slices = data.NumpySlices(folder, progress=False)
    images = [torch.from_numpy(np.float32(image)) for image in slices]
    highest = max(float(image.max()) for image in images)
    images = [image / highest for image in images]
    apart = {'validation': images[0::10], 'test': images[5::10]}
    rest = [image for i, image in enumerate(images) if i % 5]
    return {'train': rest, **apart}
