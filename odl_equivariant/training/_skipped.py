# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tables of skipped files, and of the reasons."""

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
        Reasons that differ only in numbers count as one. The reason of the
        first file is used.

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
    """Write a table with the part, the file and the reason.

    Parameters
    ----------
    parts : dict
        List of pairs of a file and the reason, for each part of the data.
    path : pathlib.Path
        File to write, as comma-separated values.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator='\n')
    writer.writerow(['part', 'file', 'reason'])
    for part, skipped in parts.items():
        writer.writerows([part, *row] for row in skipped)
    write_atomically(path, content.getvalue().encode())
