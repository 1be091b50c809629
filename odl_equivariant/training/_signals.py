# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Signals as exceptions, so that contexts can clean up."""

import contextlib
import math
import os
import signal
import threading
import time

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

__all__ = ('interrupts_raised', 'termination_raised')


@contextlib.contextmanager
def termination_raised():
    """Let SIGTERM raise a ``SIGTERMException``, as Ctrl-C does.

    The context yields the set of the signals received so far. Code in C can
    turn the exception into another one; the set then tells the cause.

    A second SIGTERM within a second is ignored, since the first is being
    handled. Forked processes end by the signal, as usual. If several
    processes train together, Lightning ends all of them at the next step.
    Nothing changes outside of the main thread, or if the signal is ignored.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    ):
        yield set()
        return
    owner = os.getpid()
    last = -math.inf
    received = set()

    def end(number, frame):
        nonlocal last
        before, last = last, time.monotonic()
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif last - before > 1 and not _trains_with_others():
            received.add(number)
            raise SIGTERMException

    def interrupt(number, frame):
        received.add(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_usual:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield received
    finally:
        if is_usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # `None` stands for a handler that Python did not install
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _trains_with_others():
    distributed = torch.distributed
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


@contextlib.contextmanager
def interrupts_raised():
    """Let Ctrl-C raise a ``KeyboardInterrupt`` in Lightning's loops.

    By themselves, they end the process with status 1, and may leave the
    signal ignored.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if is_main and before is not None:
            signal.signal(signal.SIGINT, before)
