# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What ordinary and equivariant networks cost."""

import functools
import math

import torch

from benchmarks._timing import side_by_side
from examples.experiments.images import acquisition_of
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
)

__all__ = ('measure_cost',)


def measure_cost(settings, experiment, commit):
    """Return parameters, times and memory of each arm.

    Parameters
    ----------
    settings : dict
        Settings of the task.
    experiment : Experiment
        Its arms and the number of rounds. Ratios refer to the first arm. The
        arm ``'averaged'`` reconstructs four times.
    commit : str
        Commit of the code, which each row names.

    Returns
    -------
    rows : list of dict
        One for each arm. Times are medians. Ratios are medians over the
        rounds, as each round measures all arms. The memory is what a training
        step keeps for the gradient.
    """
    acquisition = acquisition_of(settings)
    space = acquisition.space
    networks = {
        arm: _network(arm, settings, acquisition) for arm in experiment.arms
    }
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(1, *_data_shape(acquisition), generator=generator)
    fast = {arm: for_inference(n) for arm, n in networks.items()}
    training = {
        arm: functools.partial(_step, network, data)
        for arm, network in networks.items()
    }
    inference = {
        arm: functools.partial(
            _reconstruct, network, data, 4 if arm == 'averaged' else 1
        )
        for arm, network in fast.items()
    }
    rows = {
        arm: {
            'arm': arm,
            'shape': 'x'.join(map(str, space.shape)),
            'parameters': sum(p.numel() for p in network.parameters()),
            'saved_megabytes': _saved(network, data) / 2**20,
        }
        for arm, network in networks.items()
    }
    for name, alternatives in (
        ('training', training),
        ('inference', inference),
    ):
        times = side_by_side(alternatives, math.inf, experiment.rounds)
        for arm, (seconds, ratio) in times.items():
            rows[arm] |= {f'{name}_seconds': seconds, f'{name}_ratio': ratio}
    return [{**row, 'commit': commit} for row in rows.values()]


def _network(arm, settings, acquisition):
    arguments = dict(settings['network'])
    make = functools.partial(
        OrdinaryProximal
        if arm in ('ordinary', 'averaged')
        else functools.partial(EquivariantProximal, group=arm),
        in_channels=2 if acquisition.space.is_complex else 1,
        channels=arguments.pop('channels'),
        skip=arguments.pop('skip'),
    )
    torch.manual_seed(0)
    network = LearnedProximalGradient(acquisition.operator, make, **arguments)
    return network.to(memory_format=torch.channels_last)


def _data_shape(acquisition):
    channels = 2 if acquisition.space.is_complex else 1
    return channels, *acquisition.operator.range.shape


def _step(network, data):
    network.zero_grad()
    network(data).square().mean().backward()


@torch.no_grad()
def _reconstruct(network, data, n_turns):
    for _ in range(n_turns):
        network(data)


def _saved(network, data):
    """Return the bytes that a forward pass keeps, each tensor once."""
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = network(data)
    del result
    return sum(sizes.values())
