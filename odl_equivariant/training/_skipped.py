# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Which files of a set of images were of no use, and why."""

import csv
import io
import re

from odl_equivariant._files import write_atomically

__all__ = ('by_reason', 'save_skipped')


def by_reason(skipped):
    """Return the names of skipped files by the reason.

    Parameters
    ----------
    skipped : list of (str, str)
        Name of each file, and the reason.

    Returns
    -------
    names : dict of list
        Reasons that differ in their numbers alone are one, that of the
        first file.

    Examples
    --------
    >>> by_reason([('a', '2 frames'), ('b', '3 frames'), ('c', 'no image')])
    {'2 frames': ['a', 'b'], 'no image': ['c']}
    """
    reasons, names = {}, {}
    for name, reason in skipped:
        kind = re.sub(r'\d+', '0', reason)
        names.setdefault(reasons.setdefault(kind, reason), []).append(name)
    return names


def save_skipped(parts, path):
    """Write a table of skipped files: part, file and reason.

    Parameters
    ----------
    parts : dict
        For each part of the data pairs of a file and the reason.
    path : pathlib.Path
        File to write, as comma-separated values.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator='\n')
    writer.writerow(['part', 'file', 'reason'])
    for part, skipped in parts.items():
        writer.writerows([part, *row] for row in skipped)
    write_atomically(path, content.getvalue().encode())
