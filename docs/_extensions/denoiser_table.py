# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of denoisers on photographs, from what was measured.

``examples/score_denoisers.py`` writes ``docs/results/denoisers.json`` by its
option ``--json``, with ``--bm3d``, ``--variation``, ``--one-sided-variation``
and ``--as-hard-as``.
"""

import json
import pathlib
import re
import statistics

from table_directives import add_table

__all__ = ('setup', 'table')

STORED = pathlib.Path(__file__).parents[1] / 'results' / 'denoisers.json'
# On the 68 photographs: of BM3D from Zhang et al. 2017, of total variation and
# convex ridges from Goujon et al. 2023, of weakly convex ones from their 2024.
PUBLISHED = {
    'bm3d': 28.57,
    'one-sided variation': 27.48,
    'ridge_convex': 28.10,
    'ridge_weakly_convex': 28.68,
}
_VARIATION = re.compile(r'((?:total|one-sided) variation) ([\d.e-]+)')


def table(stored=STORED):
    """Return the lines of the table, the worst denoiser first.

    Parameters
    ----------
    stored : pathlib.Path, optional
        File of the measurements.
    """
    scores = json.loads(stored.read_text('utf-8'))
    means = {
        name: statistics.fmean(own['psnr']) for name, own in scores.items()
    }
    # of each kind of total variation, the best weight
    best = {}
    for name in means:
        kind = _kind(name)
        best[kind] = max(best.get(kind, name), name, key=means.get)
    n = len(next(iter(scores.values()))['psnr'])
    lines = [
        f'| denoiser | the {n} held back | fitted to the 68 | published for '
        'the 68 |',
        '|---|---|---|---|',
    ]
    for name in sorted(best.values(), key=means.get):
        mean, error = scores[name]['expected']
        fitted = f'{mean:.2f} ± {error:.2f}' if error > 0.005 else ''
        cells = [_shown(name), f'{means[name]:.2f}', fitted, _published(name)]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def _kind(name):
    """Return the name without the weight of a total variation."""
    variation = _VARIATION.fullmatch(name)
    return variation[1] if variation else name


def _shown(name):
    variation = _VARIATION.fullmatch(name)
    if variation:
        return f'{variation[1]}, weight {variation[2]}'
    return 'BM3D' if name == 'bm3d' else f'`{name}`'


def _published(name):
    return next(
        (f'{v:.2f}' for k, v in PUBLISHED.items() if name.startswith(k)), ''
    )


def setup(app):
    """Let Sphinx know the directive ``denoiser-table``."""
    return add_table(app, 'denoiser-table', table)
