# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The door of the command ``odl-equivariant``: help and version, at once.

It lies outside of the package: to import that takes seconds, as it imports
ODL and torch.
"""

import contextlib
import os
import signal
import sys
import threading

from odl_equivariant_command.options import COMMANDS, Command, Option
from odl_equivariant_command.texts import PROGRAM, answer, nearest

__all__ = (
    'COMMANDS',
    'PROGRAM',
    'Command',
    'Option',
    'answer',
    'main',
    'nearest',
)

# What the command needs beyond what the package does.
_NEEDED = ('lightning', 'jsonargparse', 'torchmetrics', 'tensorboard', 'tqdm')


def main(arguments=None):
    """Answer at once where that is possible, or run the command.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. Default: those of the process.

    Returns
    -------
    status : int
        See `odl_equivariant.training.cli.main`; 1 if a package is missing,
        and 2 if there is no such command. During the imports, Ctrl-C and
        SIGTERM end the process with 130 and 143.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = answer(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # of a pager that has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    if status is not None:
        return status
    try:
        with _ended_by_signals():
            from odl_equivariant._packages import require_packages

            require_packages(_NEEDED, f'the command {PROGRAM}')
            from odl_equivariant.training.cli import main as run
    except ImportError as error:
        message = str(error)
        if 'pip install' not in message and error.name:
            # of what the package cannot be imported without
            message += f': pip install {error.name.partition(".")[0]}'
        print(f'{PROGRAM}: error: {message}', file=sys.stderr)
        return 1
    return run(arguments)


@contextlib.contextmanager
def _ended_by_signals():
    """End by a signal, with its status and a message, and at once.

    Nothing has been written yet, and an exception amid an import can end up
    as any other.
    """
    texts = {
        signal.SIGINT: 'interrupted',
        signal.SIGTERM: 'stopped by SIGTERM; the run can go on',
    }
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {
            number: signal.getsignal(number)
            for number in texts
            if signal.getsignal(number) not in (signal.SIG_IGN, None)
        }

    def end(number, frame):
        text = f'{PROGRAM}: error: {texts[number]}\n'
        os.write(sys.__stderr__.fileno(), text.encode())
        os._exit(128 + number)

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
