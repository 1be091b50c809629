# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The highest memory that a process takes, where Linux records it."""

import pathlib
import subprocess
import sys

__all__ = ('count_anew', 'printed_by', 'resident')

_COUNT = pathlib.Path('/proc/self/clear_refs')


def resident(key):
    """Return an entry of the record of this process, in MiB.

    ``'VmRSS'`` is what it takes now, ``'VmHWM'`` the most that it took.
    """
    status = pathlib.Path('/proc/self/status').read_text('utf-8')
    line = next(x for x in status.splitlines() if x.startswith(key))
    return int(line.split()[1]) / 1024


def count_anew():
    """Let the highest use be that from here on."""
    _COUNT.write_text('5')


def printed_by(script, *arguments):
    """Return the last line that a script prints in a process of its own.

    Returns
    -------
    line : str or None
        ``None`` where memory is not recorded, or the process fails.
    """
    if not _COUNT.exists():
        return None
    result = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = result.stdout.strip().splitlines()
    return lines[-1] if lines else None
