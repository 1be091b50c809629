# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of methods for films, from what was measured.

``examples/volumes/dynamic_mri.py`` writes ``docs/results/dynamic_mri.json`` by
its option ``--json``.
"""

import json
import pathlib

from table_directives import add_table

__all__ = ('setup', 'table')

STORED = pathlib.Path(__file__).parents[1] / 'results' / 'dynamic_mri.json'


def table(stored=STORED):
    """Return the lines of the table, the worst method first.

    Parameters
    ----------
    stored : pathlib.Path, optional
        File of the measurements.
    """
    own = json.loads(stored.read_text('utf-8'))
    n, m, n_frames = own['shape']
    errors = own['equivariance_error']
    lines = [
        f'After {own["steps"]} steps of training, on films of {n} x {m} x '
        f'{n_frames} cells, the mean of {own["n_test"]} films that were not '
        'trained on:',
        '',
        '| method | PSNR | error if turned and reversed |',
        '|---|---|---|',
    ]
    for name in sorted(own['psnr'], key=own['psnr'].get):
        error = f'{errors[name]:.0e}' if name in errors else ''
        lines.append(f'| {name} | {own["psnr"][name]:.2f} dB | {error} |')
    return lines


def setup(app):
    """Let Sphinx know the directive ``film-table``."""
    return add_table(app, 'film-table', table)
