# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The processes that share the files of a reconstruction."""

import signal

import torch

__all__ = ('ONE_PROCESS', 'Processes', 'in_all_processes')


class Processes:
    """All processes of a run, and which one this is.

    Parameters
    ----------
    rank, n : int
        Number of this process, and number of all.
    wait : callable
        Waits until all processes have called it.
    """

    def __init__(self, rank, n, wait):
        self.rank, self.n, self.wait = rank, n, wait

    @property
    def is_first(self):
        """Whether this process writes for all."""
        return self.rank == 0

    def share(self, items):
        """Return the items of this process, as a list."""
        return list(items)[self.rank :: self.n]


ONE_PROCESS = Processes(0, 1, lambda: None)


def in_all_processes(trainer, function, *args, **kwargs):
    """Call a function in all processes of a trainer, and add up its results.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        Its strategy starts the processes, as for a training.
    function : callable
        Called with the arguments, and with ``processes``.
    *args, **kwargs :
        Its arguments.

    Returns
    -------
    total : int
        Sum of the results of all processes.

    Raises
    ------
    ValueError
        If the strategy starts its processes by copies of this one.
    """
    from lightning.pytorch.strategies.launchers import (
        _MultiProcessingLauncher,
    )

    strategy = trainer.strategy
    if trainer.world_size == 1:
        return function(*args, **kwargs)
    if isinstance(strategy.launcher, _MultiProcessingLauncher):
        raise ValueError(
            'the processes of a reconstruction start the command anew, and '
            f'`trainer.strategy` {strategy.strategy_name!r} copies a process: '
            'take `trainer.strategy` ddp'
        )

    def call():
        strategy.setup_environment()
        try:
            return shared()
        except BaseException:
            # the others would wait for this process
            kill = getattr(strategy.launcher, 'kill', None)
            if kill is not None:
                kill(signal.SIGTERM)
            raise

    def shared():
        processes = Processes(
            trainer.global_rank, trainer.world_size, strategy.barrier
        )
        total = torch.tensor(function(*args, **kwargs, processes=processes))
        total = strategy.reduce(
            total.to(strategy.root_device), reduce_op='sum'
        )
        strategy.barrier()
        return int(total)

    if strategy.launcher is None:
        return call()
    return strategy.launcher.launch(call, trainer=trainer)
