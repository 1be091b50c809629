# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Augmented data guarantee no equivariance."""

import numpy as np
import pytest
import torch
from torch import nn

from odl_equivariant.nn import EquivariantProximal


def orbit(x):
    """Return all quarter turns of a batch."""
    return torch.cat([torch.rot90(x, k, (2, 3)) for k in range(4)])


def images(n, seed, size=8):
    """Return smooth images without noise, and noisy ones."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randn(n, 1, size, size, generator=generator).double()
    clean = torch.cumsum(torch.cumsum(clean, 2), 3) / size
    noise = torch.randn(n, 1, size, size, generator=generator).double()
    return clean, clean + 0.5 * noise


def error_of(function, x):
    """Return by how much a function fails to commute with a quarter turn."""
    with torch.no_grad():
        image = function(x)
        gap = function(torch.rot90(x, 1, (2, 3))) - torch.rot90(
            image, 1, (2, 3)
        )
        return float(gap.norm() / image.norm())


def best_kernel(noisy, clean):
    """Return the 3 x 3 kernel with the least square error."""
    columns = nn.functional.unfold(noisy, 3).movedim(1, 2).flatten(0, 1)
    target = clean[..., 1:-1, 1:-1].flatten()
    kernel = torch.linalg.lstsq(columns, target[:, None]).solution
    return kernel.reshape(1, 1, 3, 3)


def convolution(kernel):
    """Return the convolution with a kernel."""
    return lambda x: nn.functional.conv2d(x, kernel)


def at_random_angles(x, y, seed):
    """Return pairs, each turned by a random multiple of 90 degrees."""
    turns = np.random.default_rng(seed).integers(4, size=len(x))
    return tuple(
        torch.stack(
            [
                torch.rot90(each, int(k), (1, 2))
                for each, k in zip(batch, turns, strict=True)
            ]
        )
        for batch in (x, y)
    )


def test_random_turns_leave_an_error_that_falls_slowly(law):
    """With random turns, the best kernel is invariant in the limit only."""
    errors = []
    for n in (20, 2000):
        clean, noisy = images(n, seed=1)
        clean, noisy = at_random_angles(clean, noisy, seed=2)
        function = convolution(best_kernel(noisy, clean))
        errors.append(error_of(function, images(5, seed=3)[1]))
    law.fails(errors[0], 1e-2, 'With 20 randomly turned pairs.')
    law.fails(errors[1], 1e-4, 'With 2000 randomly turned pairs.')
    assert errors[1] < 0.5 * errors[0]


def test_all_turns_make_the_best_kernel_invariant(law):
    """The best kernel for all turns of all data is invariant."""
    clean, noisy = (orbit(x) for x in images(20, seed=1))
    function = convolution(best_kernel(noisy, clean))
    law.holds(error_of(function, images(5, seed=3)[1]), 1e-12)


def trained(module, steps=60):
    """Return a network trained on all turns of all data."""
    clean, noisy = (orbit(x) for x in images(10, seed=1))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (module(noisy) - clean).square().mean()
        loss.backward()
        optimizer.step()
    return module, float(loss.detach() / (noisy - clean).square().mean())


def ordinary():
    """Return a small network of ordinary convolutions."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 1, 3, padding=1),
    ).double()


@pytest.mark.parametrize('where', ['training data', 'other data'])
def test_a_network_trained_on_all_turns_is_not_equivariant(law, where):
    """Even all turns of all data do not make a network equivariant."""
    module, loss = trained(ordinary())
    assert loss < 0.8
    x = images(10, seed=1 if where == 'training data' else 7)[1]
    law.fails(error_of(module, x), 1e-2)


def test_an_equivariant_network_is_so_before_and_after_training(law):
    """An equivariant network stays so at every step."""
    torch.manual_seed(0)
    module = EquivariantProximal(
        in_channels=1, channels=8, memory=0, gradient=False
    ).double()
    x = images(10, seed=7)[1]
    law.holds(error_of(module, x), 1e-12)
    module, _ = trained(module, steps=10)
    law.holds(error_of(module, x), 1e-12)


def test_what_fits_all_turned_data_may_fail_elsewhere(law):
    """Equivariance on the data does not imply it on other images."""
    clean, _ = images(10, seed=1)
    x = orbit(clean)

    def memory(y):
        # the identity on all turned data, something else far from them
        distance = torch.cdist(y.flatten(1), x.flatten(1)).min(1).values
        near = (distance < 1e-6)[:, None, None, None]
        return torch.where(near, y, torch.cumsum(y, 2))

    law.holds(error_of(memory, x), 0, 'On the data.')
    error = error_of(memory, images(5, seed=7)[0])
    law.fails(error, 0.1, 'Far from the data.')
