# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The path of a run: how its convolutions are computed, on any processor.

What is fast differs among processors: the side of pieces, the way of
gradients, the precision. A run chooses once and stores its choice, so that it
takes the same path wherever it resumes.
"""

import contextlib
import logging
from typing import Any

import torch
from lightning.pytorch.plugins import MixedPrecision, Precision

from odl_equivariant.nn._precision import Path, following, has_bfloat16
from odl_equivariant.nn.blocks.pieces import path_taken

__all__ = ('fast_precision', 'is_path', 'path_followed', 'path_from')

_LOWERED, _FULL = 'bf16-mixed', '32-true'
_KINDS = {
    'precision': str,
    'cache': int,
    'products': bool,
    'threads': int,
    'capability': str,
}
_log = logging.getLogger(__name__)


def fast_precision(accelerator: Any = None) -> str:
    """Return the precision that is fastest on this machine.

    Parameters
    ----------
    accelerator : optional
        As for Lightning: ``'cpu'`` takes no GPU.

    Returns
    -------
    precision : str
        ``'bf16-mixed'`` where there is arithmetic for it, otherwise
        ``'32-true'``.
    """
    use_cuda = torch.cuda.is_available() and accelerator != 'cpu'
    device = torch.device('cuda' if use_cuda else 'cpu')
    return _LOWERED if has_bfloat16(device) else _FULL


def is_path(value: Any) -> bool:
    """Return whether a value is what a checkpoint holds of a path."""
    return isinstance(value, dict) and all(
        type(value.get(name)) is kind and (kind is not int or value[name] > 0)
        for name, kind in _KINDS.items()
    )


def path_followed(
    path: dict[str, Any],
) -> contextlib.AbstractContextManager[None]:
    """Return the context in which convolutions take the path of a run."""
    return following(Path(path['cache'], path['products']))


def path_from(before: dict[str, Any] | None, trainer: Any) -> dict[str, Any]:
    """Return the path of a run, and let the trainer take its precision.

    Parameters
    ----------
    before : dict or None
        The path in the checkpoint from which the run resumes. None for a new
        run, or one of an older version: the path is the fast one here.
    trainer : Trainer
        Trainer. If its precision is ``'auto'``, it takes that of the run,
        where the device has arithmetic for it.

    Returns
    -------
    path : dict
        The path from now on, and the machine, as JSON holds them. Notices
        say what differs from before, and why.
    """
    if before is not None and trainer.asked_precision == 'auto':
        _take_precision(trainer, before['precision'])
    path = path_taken()
    here = {
        'precision': str(trainer.precision),
        'cache': path.cache,
        'products': path.products,
        'threads': torch.get_num_threads(),
        'capability': torch.backends.cpu.get_cpu_capability(),
    }
    if before is None:
        return here
    if trainer.strategy.root_device.type == 'cpu':
        _say_machine(before, here)
    return {**here, 'cache': before['cache'], 'products': before['products']}


def _take_precision(trainer, wanted):
    """Let a trainer go on in the precision of a run, or say why not."""
    device, own = trainer.strategy.root_device, str(trainer.precision)
    if wanted == own:
        return
    plugin: Precision | None = None
    if wanted == _FULL:
        plugin = Precision()
    elif wanted == _LOWERED and has_bfloat16(device):
        plugin = MixedPrecision(_LOWERED, device.type)
    if plugin is None:
        _log.warning(
            'the run began in %s, for which this machine has no arithmetic: '
            'it goes on in %s, and its weights are others than on a machine '
            'that has it',
            wanted,
            own,
        )
        return
    trainer.strategy.precision_plugin = plugin
    _log.info(
        'the run began in %s and goes on in it; a new run would take %s',
        wanted,
        own,
    )


def _say_machine(before, here):
    """Say that the machine differs, where that may change the last bits."""
    if all(before[name] == here[name] for name in ('threads', 'capability')):
        return
    threads = before['threads']
    advice = (
        ''
        if threads == here['threads']
        else f'; OMP_NUM_THREADS={threads} keeps the number of threads'
    )
    _log.warning(
        'the checkpoint was computed with %s, and the run goes on with %s. It '
        'takes the same path, but its weights can differ from those of an '
        'uninterrupted run by rounding%s',
        *(
            f'threads={path["threads"]} on a processor used as '
            f'{path["capability"]}'
            for path in (before, here)
        ),
        advice,
    )
