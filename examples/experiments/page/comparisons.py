# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Comparisons that are not in the paper, as statements on the tables."""

import statistics

from examples.experiments.page.statements import judged
from examples.experiments.tables import SETS, set_name

__all__ = ('compared',)

_TURNED = 'random angles'
_GRID = 'C2', 'C4', 'D4'
_GROUPS = 'C2', 'C3', 'C4', 'C6', 'C8', 'C12', 'D4'
_FOURIER = 'C4', 'C8'
# Tables, pairs of arms of which the first is to be above the second, and the
# statement.
_PAIRS = (
    (
        'ct_augmentation',
        [('C4', 'quarter turns'), ('C4', 'any angle'), ('C4', 'averaged')],
        'C4 is above augmentation and averages',
    ),
    (
        'ct_group_order',
        [(group, 'ordinary') for group in _GROUPS],
        'each group is above ordinary',
    ),
    (
        'ct_group_order',
        [(f'{group} grid', 'ordinary') for group in _GRID],
        'with all kernels of the grid, each group is above ordinary',
    ),
    (
        'ct_group_order',
        [(f'{group} grid', group) for group in _GRID],
        "all kernels of the grid are above escnn's smooth ones",
    ),
    (
        'ct_angles',
        [('C4', 'ordinary'), ('C8', 'ordinary'), ('SO2', 'ordinary')],
        'each group is above ordinary',
    ),
    ('ct_angles', [('C8', 'C4')], 'eighths of a turn are above quarters'),
    (
        'ct_angles',
        [('SO2', 'C4'), ('SO2', 'C8')],
        'all rotations are above finitely many',
    ),
    (
        'ct_angles',
        [(f'{group} fourier', 'ordinary') for group in _FOURIER],
        'with kernels of Fourier series, each group is above ordinary',
    ),
    (
        'ct_angles',
        [(f'{group} fourier', group) for group in _FOURIER],
        "kernels of Fourier series are above escnn's smooth ones",
    ),
    (
        'ct_angles',
        [('C8 fourier', 'C4 fourier')],
        'with kernels of Fourier series, eighths of a turn are above quarters',
    ),
)
# Groups that contain the quarter turns, by their tables.
_EXACT = {
    'ct_angles': ('C4', 'C8', 'SO2', 'C4 fourier', 'C8 fourier'),
    'ct_group_order': ('C4', 'C8', 'C12', 'D4', 'C4 grid', 'D4 grid'),
}


def compared(tables, scale):
    """Return further statements as `checked` does, and if they hold."""
    rows = []
    for name, pairs, words in _PAIRS:
        for where, scores in _sets(tables.get(name), scale):
            gains = {
                f'{arm} over {other}': _gains(scores, arm, other)
                for arm, other in pairs
            }
            rows.append(_said(f'{where}, {_TURNED}: {words}', gains))
    for name, groups in _EXACT.items():
        for where, scores in _sets(tables.get(name), scale):
            rows.append(_unmoved(where, scores, groups))
    for name in ('ct_width', 'mri_width'):
        rows += _wide(tables.get(name), scale)
    for name in ('ct_training_size', 'mri_training_size'):
        rows += _above_variation(tables.get(name), scale)
    return rows


def _sets(table, scale):
    """Yield words for each set of images, and scores by arm and seed."""
    for images in SETS if table is not None else ():
        own = [row for row in table if row['images'] == images]
        if not own:
            continue
        scores = {
            (row['arm'], row['seed'], row['condition']): row['psnr']
            for row in own
        }
        yield _where(own, scale), scores


def _where(rows, scale):
    """Return words for the images of rows of one set."""
    task = rows[0]['run'].partition('-')[0].upper()
    return f'{task}, {set_name(rows[0]["images"], scale, rows[0]["n_images"])}'


def _gains(scores, arm, other, condition=_TURNED):
    """Return by how much an arm is above another one, for each seed."""
    return [
        value - scores[other, seed, condition]
        for (own, seed, turned), value in scores.items()
        if (own, turned) == (arm, condition)
    ]


def _wide(table, scale):
    """Return whether C4 is above ordinary at each width."""
    statements = []
    for images in SETS if table is not None else ():
        own = [row for row in table if row['images'] == images]
        for condition in ('upright', _TURNED) if own else ():
            gains = {}
            for width in sorted({row['width'] for row in own}):
                scores = {
                    (row['arm'], row['seed'], row['condition']): row['psnr']
                    for row in own
                    if row['width'] == width
                }
                gains[f'{width} channels'] = _gains(
                    scores, 'C4', 'ordinary', condition
                )
            where = f'{_where(own, scale)}, {condition}'
            statements.append(
                _said(f'{where}: C4 is above ordinary at each width', gains)
            )
    return statements


def _above_variation(table, scale):
    """Return whether each arm is above total variation at each size."""
    statements = []
    for images in SETS if table is not None else ():
        own = [
            row
            for row in table
            if (row['images'], row['condition']) == (images, 'upright')
        ]
        variation = [row['psnr'] for row in own if row['arm'] == 'TV']
        for arm in ('ordinary', 'C4') if variation else ():
            gains = {}
            for row in own:
                if row['arm'] == arm:
                    gain = row['psnr'] - variation[0]
                    gains.setdefault(row['size'], []).append(gain)
            words = f'upright: {arm} is above TV for each number of images'
            gains = dict(sorted(gains.items()))
            statements.append(_said(f'{_where(own, scale)}, {words}', gains))
    return statements


def _said(statement, gains):
    measured = ', '.join(
        f'{label}: {statistics.fmean(values):+.2f} dB '
        f'({sum(v > 0 for v in values)} of {len(values)} seeds)'
        for label, values in gains.items()
    )
    flags = [statistics.fmean(values) > 0 for values in gains.values()]
    return statement, measured, judged(flags)


def _unmoved(where, scores, groups):
    largest = max(
        abs(scores[arm, seed, 'quarter turns'] - value)
        for (arm, seed, condition), value in scores.items()
        if arm in groups and condition == 'upright'
    )
    return (
        f'{where}: exact quarter turns do not move the scores of '
        f'{", ".join(groups)} (0.01 dB)',
        f'at most {largest:.1e} dB',
        judged([largest < 0.01]),
    )
