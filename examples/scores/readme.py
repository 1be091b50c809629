# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Write the table of the README from the scores of `make demo`::

python examples/quickstart.py --json docs/results/quickstart.json
python examples/scores/readme.py
"""

import json
import pathlib
import re

from odl_equivariant import models
from odl_equivariant._files import write_atomically

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCORES = ROOT / 'docs' / 'results' / 'quickstart.json'
README = ROOT / 'README.md'
TABLE = re.compile(r'\| method \|.*?\n\n', re.S)

# How the README calls a method, and the model whose weights it counts.
METHODS = {
    'TV (pdhg)': ('TV, tuned on the slice', None),
    'plug and play, ordinary': (
        'plug and play, ordinary denoiser ({} weights), tuned',
        'multiscale_denoiser_ordinary',
    ),
    'plug and play, c4': (
        'plug and play, C4 denoiser ({} weights), tuned',
        'multiscale_denoiser_c4',
    ),
    'unrolled, ordinary': (
        'unrolled, ordinary ({} weights)',
        'sparse_view_ct_ordinary',
    ),
    'unrolled, c4': ('unrolled, C4 ({} weights)', 'sparse_view_ct_c4'),
    'splitting, ordinary': (
        'unrolled splitting, ordinary ({} weights)',
        'splitting_ct_ordinary',
    ),
    'splitting, c4': (
        'unrolled splitting, C4 ({} weights)',
        'splitting_ct_c4',
    ),
}


def table(scores):
    """Return the table of the README, which ends in an empty line.

    Parameters
    ----------
    scores : dict
        What ``examples/quickstart.py --json`` has written.
    """
    lines = [
        '| method | PSNR upright | turned by 90° | change of the result '
        'under the turn |',
        '|---|---|---|---|',
    ]
    columns = ('psnr', 'turned_psnr')
    best = {
        key: max(round(s[key], 2) for s in scores.values()) for key in columns
    }
    for label, (words, model) in METHODS.items():
        own = scores[label]
        if model:
            n = f'{models.describe(model).n_weights:,}'.replace(',', ' ')
            words = words.format(n)
        cells = [f'{own[key]:.2f}' for key in columns]
        cells = [
            f'**{cell}**' if float(cell) == best[key] else cell
            for key, cell in zip(columns, cells, strict=True)
        ]
        cells.append(f'{own["equivariance_error"]:.1e}')
        lines.append(f'| {words} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n\n'


def main():
    """Write the table into the README."""
    new = table(json.loads(SCORES.read_text('utf-8')))
    text = README.read_text('utf-8')
    if len(TABLE.findall(text)) != 1:
        raise ValueError(f'{README} must have one table of methods')
    write_atomically(README, TABLE.sub(lambda _: new, text).encode())


if __name__ == '__main__':
    main()
