# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Rows of numbers in files of comma-separated values."""

import csv
import io
import pathlib
import statistics

from odl_equivariant._files import write_atomically

__all__ = (
    'REAL',
    'SETS',
    'VALIDATION',
    'mean_and_spread',
    'read_rows',
    'set_name',
    'verdict',
    'write_rows',
)

# The sets of images that are shown, and those that choose rates and weights.
SETS = 'test', 'slices'
VALIDATION = 'validation', 'validation slices'
# The sets of real slices, for validation and for tests.
REAL = VALIDATION[1], SETS[1]
_NAMES = {
    'small': {'test': 'phantom', 'slices': 'real slice'},
    'paper': {'test': 'test image', 'slices': 'other slice'},
}


def set_name(images, scale, n_images=2):
    """Return words for the images of a set, at a scale."""
    return _NAMES[scale][images] + ('s' if n_images > 1 else '')


def write_rows(path, rows):
    """Write dicts as one table, atomically.

    Parameters
    ----------
    path : path-like
        File to write.
    rows : list of dict
        Rows. Their keys are the columns, in the order of first occurrence.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(pathlib.Path(path), text.getvalue().encode())


def read_rows(path):
    """Return the rows of a table, with numbers converted.

    Names of commits stay as they are: some look like numbers.
    """
    with open(path, newline='', encoding='utf-8') as file:
        return [
            {
                key: value if key == 'commit' else _number(value)
                for key, value in row.items()
            }
            for row in csv.DictReader(file)
        ]


def _number(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def mean_and_spread(values):
    """Return the mean and the standard deviation of a sample."""
    values = list(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), spread


def verdict(flags):
    """Return in words whether all, some or none of the flags are true."""
    if not any(flags):
        return 'Does not hold'
    return 'Holds' if all(flags) else 'Holds in part'
