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
import multiprocessing
import traceback
import warnings

import torch

from examples.experiments.without_truth.study import OutOfTime, Study

__all__ = ('quiet', 'train_all')


def quiet():
    """Hide warnings of what the table of the experiment tells."""
    warnings.filterwarnings('ignore', '.*equivariant under the group')
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
    """
    made = [Study(*arguments) for arguments in studies]
    searches = [
        (arguments, arm, None)
        for arguments, study in zip(studies, made, strict=True)
        for arm in study.arms
    ]
    seeds = made[0].settings['seeds']
    trainings = [(a, arm, seed) for seed in seeds for a, arm, _ in searches]
    with concurrent.futures.ProcessPoolExecutor(
        processes, multiprocessing.get_context('spawn'), _start
    ) as executor:
        for units in (searches, trainings):
            for error in executor.map(_work, units):
                if error:
                    print(error, flush=True)


def _start():
    quiet()
    torch.set_num_threads(1)


# one process has all networks of a study in turn
_study = functools.lru_cache(maxsize=None)(
    lambda key: Study(*_arguments.pop(key))
)
_arguments = {}


def _work(unit):
    """Search or train; return what went wrong, if anything did."""
    arguments, arm, seed = unit
    key = tuple(map(str, arguments[1:5]))
    _arguments[key] = arguments
    study = _study(key)
    try:
        if seed is None:
            study.best_rate(arm)
        else:
            study.row(arm, seed)
    except (OutOfTime, ValueError):
        # of what is refused, the study makes a row
        return None
    except Exception:
        # the others go on
        return f'{key}, {arm}: {traceback.format_exc()}'
    return None
