# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Processes that train networks, with one thread each."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import threading

import torch

__all__ = ('pool_of',)


def pool_of(jobs):
    """Return an executor of so many processes; for one, it calls here.

    The processes end together with this one.
    """
    if jobs == 1:
        return _Here()
    return concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context('spawn'), initializer=_start_worker
    )


class _Here(concurrent.futures.Executor):
    """Stands in for a pool: calls at once, here, with one thread."""

    def __enter__(self):
        self._threads = torch.get_num_threads()
        _one_thread()
        return self

    def __exit__(self, *error):
        torch.set_num_threads(self._threads)

    def submit(self, function, *arguments):
        future = concurrent.futures.Future()
        future.set_result(function(*arguments))
        return future


def _one_thread():
    torch.set_num_threads(1)


def _start_worker():
    """Compute with one thread, and end together with the parent process."""
    _one_thread()
    parent = multiprocessing.parent_process()

    def wait():
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
