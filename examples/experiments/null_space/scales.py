# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a mean over scales gains at scales that were not trained.

    python -m examples.experiments.null_space.scales

trains denoisers at one scale, and applies them at others: as they are, and as
the mean over the scales 1 and 2 of `odl_equivariant.nn.AtScales`. It takes a
minute or two.
"""

import argparse
import math

import numpy as np
import torch

from examples.experiments.null_space.images import sources
from odl_equivariant.nn import AtScales, EquivariantProximal

__all__ = ('main', 'scores_of', 'trained')

SCALES = (0.5, 1.0, 1.4, 2.0)
SIGMA, RATE, BATCH = 0.1, 5e-3, 4


def trained(images, seed, steps):
    """Return a denoiser for the noise of one level, trained with images."""
    torch.manual_seed(seed)
    network = EquivariantProximal(
        channels=16, gradient=False, memory=0, skip=True, group='C4'
    )
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    for step in range(steps):
        truth = images[torch.randint(len(images), (BATCH,))]
        for group in optimizer.param_groups:
            group['lr'] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        noisy = truth + SIGMA * torch.randn_like(truth)
        (network(noisy) - truth).square().mean().backward()
        optimizer.step()
    return network


@torch.no_grad()
def scores_of(network, batches):
    """Return the mean PSNR in dB at each scale."""
    found = []
    for truth in batches:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(truth.shape, generator=generator)
        error = (network(truth + SIGMA * noise) - truth).square()
        found.append(float(-10 * error.mean((1, 2, 3)).log10().mean()))
    return found


def main(arguments=None):
    """Print a table of the scores, and return them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--steps', type=int, default=120)
    parser.add_argument('--side', type=int, default=64)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    options = parser.parse_args(arguments)
    numbers = {'train': 60, 'validation': 1, 'test': 16}
    source = sources('layers', numbers, options.side)
    images = source['train'].batch()
    batches = [source['test'].batch(scale=scale) for scale in SCALES]
    found = {'as trained': [], 'mean of scales 1 and 2': []}
    for seed in options.seeds:
        network = trained(images, seed, options.steps)
        for name, module in zip(
            found, (network, AtScales(network, (1, 2))), strict=True
        ):
            found[name].append(scores_of(module, batches))
    print('| denoiser | ' + ' | '.join(f'scale {s:g}' for s in SCALES) + ' |')
    print('|---' * (1 + len(SCALES)) + '|')
    for name, scores in found.items():
        cells = ' | '.join(f'{mean:.2f}' for mean in np.mean(scores, 0))
        print(f'| {name} | {cells} |')
    return found


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
