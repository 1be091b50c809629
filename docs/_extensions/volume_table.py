# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of networks trained on few volumes, from what was measured.

``python -m examples.experiments.volumes.comparison`` writes
``docs/results/few_volumes.json`` by its option ``--json``.
"""

import json
import pathlib
import statistics

from table_directives import add_table

__all__ = ('setup', 'table')

STORED = pathlib.Path(__file__).parents[1] / 'results' / 'few_volumes.json'


def table(stored=STORED):
    """Return the lines of the table, one for each training and test.

    Parameters
    ----------
    stored : pathlib.Path, optional
        File of the measurements.
    """
    own = json.loads(stored.read_text('utf-8'))
    arms, variation = list(own['n_weights']), own['total_variation']
    rows = own['rows']
    seeds = len({row['seed'] for row in rows})
    weights = [
        f'{arm}: ' + f'{n:,}'.replace(',', ' ')
        for arm, n in own['n_weights'].items()
    ]
    missed = {
        arm: max(row.get('missed', 0) for row in rows if row['arm'] == arm)
        for arm in arms
    }
    errors = [f'{arm}: {error:.0e}' for arm, error in missed.items()]
    lines = [
        f'PSNR in dB after {own["n_steps"]} steps, mean and standard '
        f'deviation of {seeds} seeds:',
        '',
        f'| trained on | scored on | {" | ".join(arms)} | total variation |',
        f'|{"---|" * (3 + len(arms))}',
    ]
    for n_volumes in dict.fromkeys(row['n_volumes'] for row in rows):
        for label, of_variation in variation.items():
            cells = [
                f'{n_volumes} volume{"s" if n_volumes > 1 else ""}',
                label,
            ]
            for arm in arms:
                scores = [
                    row[label]
                    for row in rows
                    if (row['arm'], row['n_volumes']) == (arm, n_volumes)
                ]
                spread = statistics.stdev(scores) if len(scores) > 1 else 0
                cells.append(f'{statistics.fmean(scores):.2f} ± {spread:.2f}')
            lines.append(f'| {" | ".join(cells)} | {of_variation:.2f} |')
    return [
        *lines,
        '',
        f'Numbers of weights: {"; ".join(weights)}. Largest error over all '
        f'rotations of a scan: {"; ".join(errors)}.',
    ]


def setup(app):
    """Let Sphinx know the directive ``few-volumes-table``."""
    return add_table(app, 'few-volumes-table', table)
