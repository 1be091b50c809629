# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Networks, the losses they learn by, and their scores."""

import dataclasses
import functools

import torch

from examples.experiments.images import acquisition_of
from odl_equivariant.actions import group_actions
from odl_equivariant.elements import as_tensor
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.training import losses
from odl_equivariant.training.losses.problem import applied

__all__ = (
    'Arm',
    'Measured',
    'exact_pair',
    'loss_of',
    'network_of',
    'problem_settings',
    'reconstruct',
)


@dataclasses.dataclass(frozen=True)
class Arm:
    """A loss and a network."""

    loss: str
    network: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """Images and their data, maybe with a mask of its own for each."""

    data: torch.Tensor
    truth: torch.Tensor
    measured: torch.Tensor | None = None
    operators: list | None = None

    @classmethod
    def of_pairs(cls, pairs, acquisition, device):
        """Return the pairs of an acquisition, on a device."""
        stacked = {
            key: torch.stack([pair[key] for pair in pairs]).to(device)
            for key in pairs[0]
        }
        if 'mask' not in stacked:
            return cls(stacked['data'], stacked['truth'])
        operators = [
            acquisition.forward_operator(mask=pair['mask'].numpy())
            for pair in pairs
        ]
        measured = stacked['mask'].bool()[:, None]
        return cls(stacked['data'], stacked['truth'], measured, operators)

    def of(self, places):
        """Return some of the images."""
        places = [int(i) for i in places]
        if self.operators is None:
            return Measured(self.data[places], self.truth[places])
        return Measured(
            self.data[places],
            self.truth[places],
            self.measured[places],
            [self.operators[i] for i in places],
        )

    def problem(self, network, acquisition, generator=None):
        """Return what a loss is given of these images."""
        return losses.Problem(
            network,
            self.data,
            acquisition,
            self.operators,
            self.measured,
            self.truth,
            own=self.own,
            generator=generator,
        )

    @property
    def own(self):
        """The mask of each image, as `Problem` takes it."""
        if self.operators is None:
            return []
        return [{'mask': one[0].cpu().numpy()} for one in self.measured]


def problem_settings(settings, scale, name, noise):
    """Return the settings of a problem, as `examples.experiments` has them."""
    problem, scaled = settings['problems'][name], settings['scales'][scale]
    return {
        **{
            key: value
            for key, value in scaled.items()
            if key not in ('shape', 'arms', 'tasks')
        },
        'acquisition': {
            **problem['acquisition'],
            **problem['noise'][noise],
            'shape': scaled['shape'],
        },
        'initial': problem['initial'],
        'images': problem['images'],
        'slices': problem['slices'],
        'group': settings['group'],
        'imaging_group': settings['imaging_group'],
        'exact': problem.get('exact', False),
        'splitting': problem['splitting'],
        'variants': settings['variants'],
        'changes': problem['variants'],
    }


def exact_pair(acquisition, image, seed):
    """Return data and truth of an image, without an error of the model.

    The data are those of the operator that networks and losses are told. Those
    of `Acquisition.pair` are simulated on a finer grid.
    """
    truth = acquisition.ground_truth(image)
    data = acquisition.add_noise(acquisition.operator(truth), seed)
    return {'data': as_tensor(data)[0], 'truth': as_tensor(truth)[0]}


def network_of(arm, settings):
    """Return the network of an arm, with new weights."""
    acquisition = acquisition_of(settings)
    arguments = {
        'in_channels': 2 if acquisition.space.is_complex else 1,
        'channels': settings['network']['channels'],
        'skip': True,
    }
    block = functools.partial(OrdinaryProximal, **arguments)
    if arm.network == 'by design':
        block = functools.partial(
            EquivariantProximal, group=settings['group'], **arguments
        )
    return LearnedProximalGradient(
        acquisition.operator,
        block,
        settings['network']['n_iterations'],
        settings['initial'],
    )


def loss_of(arm, settings, noise):
    """Return the loss of an arm.

    Averaging splits for all elements of the group in each step. The other
    losses have one form for all networks.
    """
    if arm.loss == 'supervised':
        return losses.Supervised()
    if arm.loss == 'measurement consistency':
        return losses.MeasurementConsistency()
    if arm.loss == 'equivariant imaging':
        kind = losses.EquivariantImaging
        if noise == 'with':
            kind = losses.RobustEquivariantImaging
        return kind(settings['imaging_group'])
    options = splitting_of(arm, settings, noise)
    if arm.loss == 'splitting':
        return losses.MeasurementSplitting(**options)
    if arm.network == 'by design':
        return losses.EquivariantSplitting(**options)
    if arm.network == 'ordinary':
        options['actions'] = settings['group']
        return losses.EquivariantSplitting(**options)
    space = acquisition_of(settings).space
    turns = group_actions(space, settings['group'])[1:]
    terms = [
        losses.EquivariantSplitting(actions=[turn], **options)
        for turn in turns
    ]
    terms.append(losses.MeasurementSplitting(**options))
    return losses.SumOfLosses(terms, len(terms) * [1 / len(terms)])


def splitting_of(arm, settings, noise):
    """Return the options of a loss that splits."""
    options = dict(settings['splitting'][noise])
    # a variant names what it changes
    _, *changes = arm.loss.split(', ')
    for change in changes:
        options |= settings['variants'][change]
    if options.pop('corrected', False):
        options['noise'] = losses.GaussianNoise()
    return options


@torch.no_grad()
def reconstruct(arm, network, known, settings):
    r"""Return the images of data, for averaging the mean over the group.

    The mean is that of :math:`T \Phi(y; A T)`, which is equivariant together
    with the operator.
    """
    if arm.network != 'averaging':
        return network(known.data, known.operators)
    operator = network.forward_operator
    turns = group_actions(operator.domain, settings['group'])
    own = known.operators or len(known.data) * [operator]
    images = [
        applied(turn, network(known.data, [one @ turn for one in own]))
        for turn in turns
    ]
    return torch.stack(images).mean(0)
