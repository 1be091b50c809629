# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Weights that a training starts from."""

import copy
import logging
import pathlib

from odl_equivariant import models
from odl_equivariant.data import Denoising
from odl_equivariant.elements import tensor_dtype
from odl_equivariant.models.architectures import UNROLLED
from odl_equivariant.nn import LearnedHalfQuadraticSplitting
from odl_equivariant.training.configuration.networks import (
    SPLITTING,
    check_no_own_arguments,
    checked_denoiser,
    made_splitting,
)

__all__ = (
    'check_architecture',
    'check_no_replaced_values',
    'load_weights',
    'loaded_network',
)

_log = logging.getLogger(__name__)


def _operator(acquisition):
    """Return the operator of an acquisition, None for a denoiser's."""
    if isinstance(acquisition, Denoising):
        return None
    return acquisition.forward_operator()


def _of_denoiser(path):
    """Return whether a file holds a block, and no unrolled method."""
    return models.describe(path).network not in UNROLLED


def loaded_network(
    acquisition,
    pretrained,
    shared,
    initial,
    method,
    n_iterations,
    own,
    checkpointing,
):
    """Return a network of the architecture that a file has.

    Parameters
    ----------
    acquisition : Acquisition
        What the network inverts.
    pretrained : path-like or None
        File or name of a shipped model.
    shared, initial, n_iterations, own
        As for `made_network`, where the file holds a denoiser.
    method : str
        Unrolled method, which for a file of a denoiser makes the network.
    checkpointing : bool
        As for `ReconstructionTask`.

    Raises
    ------
    ValueError
        If there is no file, or it is damaged or does not fit the method.
    """
    if pretrained is None or method == 'primal_dual':
        raise ValueError(
            'the network has no blocks: set `model.proximal`, for example to '
            '`odl_equivariant.nn.EquivariantProximal`'
            + (
                ', beside `model.dual`'
                if method == 'primal_dual'
                else ', or `model.pretrained` to a file or a shipped model'
            )
        )
    if pathlib.Path(pretrained).suffix == '.ckpt':
        raise ValueError(
            f'the checkpoint {pretrained} needs `model.proximal`, as in the '
            'configuration of its run: set it, or give `best.safetensors` or '
            '`final.safetensors` of that run'
        )
    if isinstance(acquisition, Denoising):
        return checked_denoiser(models.load(pretrained), acquisition.space)
    if not _of_denoiser(pretrained):
        check_no_own_arguments(
            own,
            f'the network in {pretrained} has its own: remove',
        )
        network = models.load(pretrained, acquisition.forward_operator())
        if method == SPLITTING and not isinstance(
            network, LearnedHalfQuadraticSplitting
        ):
            raise ValueError(
                f'`model.method: {SPLITTING}` does not fit the '
                f'{models.describe(pretrained).network} in {pretrained}: '
                'remove the method, or give a file of that method or of a '
                'denoiser'
            )
        network.checkpointing = checkpointing
        return network.train()
    if method != SPLITTING:
        raise ValueError(
            f'{pretrained} holds no unrolled method, but a '
            f'{models.describe(pretrained).network}: set `model.method: '
            f'{SPLITTING}`, which denoisers are the blocks of, or give '
            'another file'
        )
    denoiser = models.load(pretrained)
    operator = acquisition.forward_operator()
    network = made_splitting(
        operator,
        lambda: copy.deepcopy(denoiser),
        shared,
        n_iterations,
        initial,
        own,
        checkpointing,
    )
    return network.to(tensor_dtype(operator.domain)).train()


def check_no_replaced_values(own, path):
    """Raise an error, or say, that those in a file replace given values.

    The stages of a training go on from checkpoints with one configuration.
    Values in it are those of the start, and a line in the log says so.

    Parameters
    ----------
    own : dict
        Arguments of splitting alone, None where not given. Those of the
        architecture are compared with the file, and not replaced.
    path : path-like
        What the weights are loaded from.

    Raises
    ------
    ValueError
        If the file holds a whole network, and steps or levels are given.
    """
    names = ('relative_steps', 'relative_levels')
    given = {name: own[name] for name in names if own[name] is not None}
    if pathlib.Path(path).suffix == '.ckpt':
        for name in given:
            _log.info('`model.%s` is that of the checkpoint %s', name, path)
    elif given and not _of_denoiser(path):
        check_no_own_arguments(
            given, f'the network in {path} has its own: remove'
        )


def load_weights(network, path, acquisition, chosen=()):
    """Load the weights in a file into a network.

    Parameters
    ----------
    network : torch.nn.Module
        Network, of the architecture in the file. If it is a
        `LearnedHalfQuadraticSplitting`, the file may also hold a denoiser,
        whose weights all of its denoisers then get.
    path : path-like
        File of `odl_equivariant.models.save`, or name of a shipped model.
    acquisition : Acquisition
        What the network inverts.
    chosen : collection of str, optional
        See `check_architecture`.

    Raises
    ------
    ValueError
        If the file is damaged, or of another architecture.
    """
    splits = isinstance(network, LearnedHalfQuadraticSplitting)
    if splits and _of_denoiser(path):
        denoiser = models.load(path)
        for block in network.blocks:
            check_architecture(
                block.architecture,
                denoiser.architecture,
                f'the denoiser in {path}',
            )
            block.load_state_dict(denoiser.state_dict())
        return
    loaded = models.load(path, _operator(acquisition))
    check_architecture(
        network.architecture,
        loaded.architecture,
        f'the network in {path}',
        chosen,
    )
    network.load_state_dict(loaded.state_dict())


def check_architecture(ours, theirs, what, chosen=()):
    """Raise a ValueError unless two architectures are equal.

    Parameters
    ----------
    ours, theirs : dict
        That of the configuration, and that of a file.
    what : str
        What the file holds, for the message.
    chosen : collection of str, optional
        Numbers that no weight depends on, and that may differ since the
        configuration gives them.
    """
    if chosen and 'arguments' in ours and 'arguments' in theirs:
        own = {name: ours['arguments'].get(name) for name in chosen}
        theirs = {**theirs, 'arguments': {**theirs['arguments'], **own}}
    if ours != theirs:
        raise ValueError(
            f'{what} is of another architecture than the configuration: '
            f'{_first_difference(theirs, ours)}'
        )


def _first_difference(theirs, ours, place='it'):
    """Describe the first difference of two architectures."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *ours]:
            if theirs.get(key) != ours.get(key):
                return _first_difference(
                    theirs.get(key), ours.get(key), str(key)
                )
    if isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            return f'it has {len(theirs)} {place}, not {len(ours)}'
        for one, other in zip(theirs, ours, strict=True):
            if one != other:
                return _first_difference(one, other, place)
    return f'{place} is {theirs!r}, not {ours!r}'
