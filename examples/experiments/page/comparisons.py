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
# Tables, pairs of arms of which the first is to be above the second, and the
# statement.
_PAIRS = (
    (
        'ct_augmentation',
        (('C4', 'quarter turns'), ('C4', 'any angle'), ('C4', 'averaged')),
        'C4 is above augmentation and averages',
    ),
    (
        'ct_angles',
        (('C4', 'ordinary'), ('C8', 'ordinary'), ('SO2', 'ordinary')),
        'each group is above ordinary',
    ),
    ('ct_angles', (('C8', 'C4'),), 'eighths of a turn are above quarters'),
    (
        'ct_angles',
        (('SO2', 'C4'), ('SO2', 'C8')),
        'all rotations are above finitely many',
    ),
    (
        'ct_complete_basis',
        (('C2', 'ordinary'), ('C4', 'ordinary'), ('D4', 'ordinary')),
        'with all kernels of the grid, each group is above ordinary',
    ),
)
# Groups that contain the quarter turns, by their tables.
_EXACT = {'ct_angles': ('C4', 'C8', 'SO2'), 'ct_complete_basis': ('C4', 'D4')}


def compared(tables, scale):
    """Return further statements as `checked` does, and if they hold."""
    rows = []
    for name, pairs, words in _PAIRS:
        for where, scores in _sets(tables.get(name), scale):
            gains = {
                f'{arm} over {other}': _gains(scores, arm, scores, other)
                for arm, other in pairs
            }
            rows.append(_said(f'{where}, {_TURNED}: {words}', gains))
    both = [tables.get(n) for n in ('ct_complete_basis', 'ct_group_order')]
    if None not in both:
        for (where, grid), (_, smooth) in zip(
            *(_sets(table, scale) for table in both), strict=True
        ):
            gains = {
                arm: _gains(grid, arm, smooth, arm)
                for arm in ('C2', 'C4', 'D4')
            }
            words = "all kernels of the grid are above escnn's smooth ones"
            rows.append(_said(f'{where}, {_TURNED}: {words}', gains))
    for name, groups in _EXACT.items():
        for where, scores in _sets(tables.get(name), scale):
            rows.append(_unmoved(where, scores, groups))
    return rows + _repeated(tables, scale)


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
        yield f'CT, {set_name(images, scale, own[0]["n_images"])}', scores


def _gains(scores, arm, others, other):
    """Return by how much an arm is above another one, for each seed."""
    return [
        value - others[other, seed, condition]
        for (own, seed, condition), value in scores.items()
        if (own, condition) == (arm, _TURNED)
    ]


def _said(statement, gains):
    measured = ', '.join(
        f'{label}: {statistics.fmean(values):+.2f} dB '
        f'({sum(v > 0 for v in values)} of {len(values)} seeds)'
        for label, values in gains.items()
    )
    flags = [statistics.fmean(values) > 0 for values in gains.values()]
    return statement, measured, judged(flags)


def _repeated(tables, scale):
    """Return whether networks that were trained twice have the same scores.

    They have the same settings and seed, and the commits differ.
    """
    found = {}
    for row in (row for table in tables.values() for row in table):
        if row.get('condition') != 'upright' or row['images'] not in SETS:
            continue
        if row['seed'] == '':
            continue
        key = row['run'].partition('-')[0], row['images'], row['n_images']
        networks = found.setdefault(key, {})
        scores = networks.setdefault((row['run'], row['arm']), {})
        scores[row['commit']] = row['psnr']
    statements = []
    for (task, images, n_images), networks in found.items():
        gaps = [
            max(scores.values()) - min(scores.values())
            for scores in networks.values()
            if len(scores) > 1
        ]
        if gaps:
            where = f'{task.upper()}, {set_name(images, scale, n_images)}'
            statements.append(
                (
                    f'{where}, upright: networks trained again by another '
                    'commit have the same scores (0.01 dB)',
                    f'{len(gaps)} networks: {statistics.fmean(gaps):.2f} dB '
                    f'apart on the mean, at most {max(gaps):.2f} dB',
                    judged(gap < 0.01 for gap in gaps),
                )
            )
    return statements


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
