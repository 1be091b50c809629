# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""
Learned from upright images, whatever is measured
=================================================

Inverse problems :math:`y = A u + \varepsilon` differ in what the data do not
show: nothing is hidden by noise alone, details by a blur or a coarse grid,
cells by a mask, and something random by compressed sensing and by few views.
For each problem two unrolled networks of the same width are trained with
upright layers, like those of the ground. One has blocks that commute with
quarter turns by design (C4), the other has ordinary ones. Then the layers are
turned by 90 degrees.

The networks are small and see few steps, so that this takes a minute or two.
The page :doc:`/results_null_space` has larger ones, with several seeds.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from odl_equivariant.data import (
    CompressedSensing,
    Deblurring,
    Inpainting,
    SparseViewCT,
    SuperResolution,
)
from odl_equivariant.elements import as_element
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)

N_STEPS = 150
BATCH = 8
RATE = 1e-2
SHAPE = (32, 32)
SHOWN = 3

# --- Set up the problems --- #

PROBLEMS = {
    'noise': Deblurring(SHAPE, kernel=[[1.0]], sigma=0.1),
    'blur': Deblurring(SHAPE, kernel=1.0, sigma=0.01),
    'coarse grid': SuperResolution(SHAPE, factor=2, sigma=0.01),
    'missing cells': Inpainting(SHAPE, missing=0.5, sigma=0.01),
    'sensing': CompressedSensing(SHAPE, ratio=0.25, sigma=0.01),
    # values per metre, so that rays lose less than half of their photons
    'few views': SparseViewCT(
        SHAPE, n_views=20, side=1.0, mu_max=1.0, n_photons=1e5
    ),
}


def layers(seed, n):
    """Return n x n values of horizontal layers, in a disc."""
    rng = np.random.default_rng(seed)
    boundaries = np.sort(rng.uniform(-0.8, 0.8, 8))
    values = rng.uniform(0, 1, 9)
    at = (2 * np.arange(n) + 1) / n - 1
    x, y = np.meshgrid(at, at, indexing='ij')
    slope, bend = rng.normal(0, 0.05, 2)
    image = values[np.searchsorted(boundaries, y + slope * x + bend * x**2)]
    return image * (x**2 + y**2 < 0.7)


def batch(problem, seeds, turns=0):
    """Return data and ground truth of layers, after quarter turns."""
    pairs = [
        problem.pair(np.rot90(layers(seed, problem.image_shape[0]), turns), i)
        for i, seed in enumerate(seeds)
    ]
    return [
        torch.stack([pair[name] for pair in pairs])
        for name in ('data', 'truth')
    ]


# --- Set up the networks and their training --- #

NETWORKS = {
    'ordinary': lambda: OrdinaryProximal(channels=12, skip=True),
    'C4': lambda: EquivariantProximal(channels=12, group='C4', skip=True),
}


def train(problem, block, data, truth):
    """Return an unrolled network that was trained with data and truth."""
    torch.manual_seed(0)
    initial = 'fbp' if isinstance(problem, SparseViewCT) else 'adjoint'
    network = LearnedProximalGradient(problem.operator, block, 3, initial)
    order = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, N_STEPS)
    for _ in range(N_STEPS):
        chosen = torch.randperm(len(truth), generator=order)[:BATCH]
        loss = (network(data[chosen]) - truth[chosen]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.eval()


def psnr(images, truth):
    """Return the mean peak signal-to-noise ratio, for a maximum of 1."""
    errors = (images - truth).square().mean((1, 2, 3))
    return float((-10 * errors.log10()).mean())


# --- Train on upright images, test on upright and turned ones --- #

scores, pictures = {}, {}
for name, problem in PROBLEMS.items():
    training = batch(problem, range(128))
    tests = {
        'upright': batch(problem, range(200, 216)),
        'turned': batch(problem, range(200, 216), turns=1),
    }
    y, truth = tests['turned']
    element = as_element(y[SHOWN : SHOWN + 1], problem.operator.range)
    pictures[name] = {
        'turned image': truth[SHOWN, 0].numpy(),
        'data': problem.baseline(element).asarray(),
    }
    for kind, block in NETWORKS.items():
        network = train(problem, block, *training)
        with torch.no_grad():
            images = {pose: network(y) for pose, (y, _) in tests.items()}
        for pose, (_, truth) in tests.items():
            scores[name, kind, pose] = psnr(images[pose], truth)
        pictures[name][kind] = images['turned'][SHOWN, 0].numpy()

# %%
# What came out
# -------------
# The PSNR in dB is the mean over 16 images. Turned, the ordinary network loses
# in each problem: it has learned the direction of the layers, be it to remove
# noise or to fill in what is missing. The equivariant one loses nothing, but
# for other noise, where the operator follows quarter turns, :math:`A T = S A`:
# with noise, a blur, a coarse grid and an even number of views. A mask and
# random measurements stay where they are. There the law :math:`\Phi(y; A T) =
# T^{-1} \Phi(y; A)` holds for data and operator together, and on other data
# of the same operator a little is lost or gained.

# --- Report --- #

symmetric = {
    name: 'C4' in problem.symmetries for name, problem in PROBLEMS.items()
}
print(f'{"":15}{"ordinary":>18}{"C4":>18}    operator')
print(f'{"":15}' + 2 * f'{"upright":>9}{"turned":>9}' + '    follows')
for name in PROBLEMS:
    line = ''.join(
        f'{scores[name, kind, pose]:9.2f}'
        for kind in NETWORKS
        for pose in ('upright', 'turned')
    )
    print(f'{name:15}{line}    {"yes" if symmetric[name] else "no"}')

# %%
# The same, seen
# --------------
# A test image, turned, and what its data show in the simplest way, by the
# adjoint operator or filtered backprojection. The numbers are the means over
# all test images.

# --- Show the results --- #

figure, axes = plt.subplots(4, len(PROBLEMS), figsize=(9, 6.6))
for column, (name, row) in zip(axes.T, pictures.items(), strict=True):
    column[0].set_title(name, fontsize=10)
    for ax, (title, image) in zip(column, row.items(), strict=True):
        ax.imshow(image.T, cmap='gray', origin='lower', vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        if ax in axes[:, 0]:
            ax.set_ylabel(title, fontsize=10)
        if title in NETWORKS:
            score = scores[name, title, 'turned']
            ax.set_xlabel(f'{score:.1f} dB', fontsize=9)
figure.tight_layout(pad=0.5)
plt.show()
