# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""A lock for state that all threads of a process share."""

import os
import threading
import weakref

__all__ = ('Lock',)

_LOCKS = weakref.WeakSet()


class Lock:
    """A re-entrant lock that is free again in a forked process.

    An ordinary lock that another thread holds would stay locked in a forked
    process for ever.
    """

    def __init__(self):
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self):
        self._lock.acquire()
        return self

    def __exit__(self, *error):
        self._lock.release()


def _after_fork_in_child():
    for lock in list(_LOCKS):
        # the thread that forked goes on, and releases what it holds
        if not lock._lock._is_owned():
            lock._lock = threading.RLock()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_after_fork_in_child)
