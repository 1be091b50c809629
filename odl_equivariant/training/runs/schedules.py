# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The course of the learning rate over a run."""

import math

from lightning.pytorch.callbacks import Timer

__all__ = ('SCHEDULES', 'relative_rate', 'share_of_time')

SCHEDULES = ('constant', 'cosine')


def relative_rate(schedule, step, n_steps, warm_up=0, least_share=0.0):
    """Return the learning rate of a step, relative to the highest.

    Parameters
    ----------
    schedule : {'constant', 'cosine'}
        Course of the rate.
    step : int
        Number of the step, counted from the first run.
    n_steps : int
        Number of steps over which the cosine falls.
    warm_up : int, optional
        Number of steps in which the rate rises linearly.
    least_share : float, optional
        Share of the schedule that has passed at least.

    Returns
    -------
    rate : float
        Number from 0 to 1.
    """
    rate = min(1, (step + 1) / (warm_up + 1))
    if schedule == 'cosine':
        share = max(step / n_steps, least_share)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1, share)))
    return rate


def share_of_time(trainer):
    """Return the share of `trainer.max_time` that has passed."""
    for callback in trainer.callbacks:
        if isinstance(callback, Timer):
            passed, left = callback.time_elapsed(), callback.time_remaining()
            if left is not None and passed > 0:
                return passed / (passed + left)
    return 0.0
