# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Networks that are trained at the same time, in processes of their own."""

import concurrent.futures
import functools
import math
import multiprocessing
import time
import traceback
import warnings

import torch

from examples.experiments.without_truth.study import OutOfTime, Study

__all__ = ('quiet', 'train_all')

# of the time that is left, since not all processes end at the same time
_USED = 0.8


def quiet():
    """Hide warnings of what the table of the experiment tells."""
    warnings.filterwarnings('ignore', '.*equivariant under the group')
    warnings.filterwarnings('ignore', '.*of k-space unseen')
    warnings.filterwarnings('ignore', '.*is applied to one sample')
    warnings.filterwarnings('ignore', '.*Sparse CSR tensor support is in beta')


def train_all(studies, processes):
    """Search for all rates, then train all networks, the first seeds first.

    Results are in the folder of the studies, where each study finds them.

    Parameters
    ----------
    studies : list of tuple
        Arguments of each `Study`.
    processes : int
        How many networks are trained at the same time.

    Returns
    -------
    n_steps : int
        Number of steps of each network: that of the settings, or what is left
        of the time allows for.
    """
    made = [(arguments, Study(*arguments)) for arguments in studies]
    searches = [
        (arguments, arm, None, None)
        for key in ('arms', 'variants')
        for arguments, study in made
        for arm in getattr(study, key)
    ]
    first = made[0][1]
    with concurrent.futures.ProcessPoolExecutor(
        processes, multiprocessing.get_context('spawn'), _start
    ) as executor:
        costs = _told(executor.map(_work, searches))
        seeds = dict.fromkeys(
            seed for _, study in made for seed in study.settings['seeds']
        )
        trainings, total = [], 0.0
        for seed in seeds:
            for unit, cost in zip(searches, costs, strict=True):
                arguments, arm, *_ = unit
                study = made[studies.index(arguments)][1]
                if cost and seed in study.seeds(arm):
                    trainings.append((arguments, arm, seed))
                    total += cost
        n_steps = first.settings['n_steps']
        left = first.until - time.time()
        if total and math.isfinite(left):
            fitting = int(_USED * left * processes / total)
            n_steps = max(1, min(n_steps, fitting))
        units = [(*unit, n_steps) for unit in trainings]
        print(f'{len(units)} networks, {n_steps} steps each', flush=True)
        _told(executor.map(_work, units))
    return n_steps


def _told(results):
    """Print errors, and return the other results."""
    found = []
    for result in results:
        if isinstance(result, str):
            print(result, flush=True)
            result = None
        found.append(result)
    return found


def _start():
    quiet()
    torch.set_num_threads(1)


# one process has all networks of a study in turn
_study = functools.lru_cache(maxsize=None)(
    lambda key: Study(*_arguments.pop(key))
)
_arguments = {}


def _work(unit):
    """Search or train; return the seconds of a step, or an error."""
    arguments, arm, seed, n_steps = unit
    key = tuple(map(str, arguments[1:5]))
    _arguments[key] = arguments
    study = _study(key)
    try:
        if seed is None:
            rate = study.best_rate(arm)
            return study.searched(arm, rate)['seconds']
        study.settings['n_steps'] = n_steps
        study.row(arm, seed)
    except (OutOfTime, ValueError):
        # of what is refused, the study makes a row
        return None
    except Exception:
        # the others go on
        return f'{key}, {arm}: {traceback.format_exc()}'
    return None
