# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The statements of the paper, each checked against the tables."""

from examples.experiments.page.figures import summarised
from examples.experiments.tables import SETS, VALIDATION, set_name

__all__ = ('checked', 'judged')

_SMALL = 50
_ARMS = 'ordinary', 'C4'


def checked(tables, scale):
    """Return the statements, and whether the tables agree.

    Parameters
    ----------
    tables : dict
        Rows of the experiments by their names; statements about a table that
        is missing are left out.
    scale : str
        ``'small'`` or ``'paper'``, by which sets of images have their names.

    Returns
    -------
    rows : list of tuple
        For each statement its words, the measured figures, and ``'yes'``,
        ``'no'`` or ``'in part'``.
    """
    rows = []
    for name, task, when in (
        ('ct_training_size', 'ct', ''),
        ('ct_longer', 'ct', ', four times as many steps'),
        ('mri_training_size', 'mri', ''),
        ('mri_longer', 'mri', ', four times as many steps'),
    ):
        table = tables.get(name)
        if table is None:
            continue
        for images in SETS:
            own = [
                row
                for row in table
                if row['images'] == images and row['seed'] != ''
            ]
            if not own:
                continue
            n_images = own[0]['n_images']
            noun = set_name(images, scale, n_images)
            where = f'{task.upper()}, {n_images} {noun}{when}'
            rows += [
                _better(own, where, 'upright'),
                _better(own, where, 'random angles'),
                _exact(own, where),
                _falls(own, where),
            ]
            if len({row['size'] for row in own}) > 1:
                rows.append(_gap(own, where))
            if task == 'mri':
                rows.append(_smooth(own, where))
    for task in ('ct', 'mri'):
        names = f'{task}_training_size', f'{task}_longer'
        if set(names) <= tables.keys():
            rows += _chosen_steps([tables[name] for name in names], scale)
    if 'cost' in tables:
        rows.append(_cost(tables['cost']))
    return rows


def _gains(rows, condition):
    """Return the gain of C4 in decibel, by size and seed."""
    found = {
        (r['arm'], r['size'], r['seed']): r['psnr']
        for r in rows
        if r['condition'] == condition
    }
    gains = {}
    for (arm, size, seed), value in found.items():
        if arm == 'C4':
            gains.setdefault(size, []).append(
                value - found['ordinary', size, seed]
            )
    return dict(sorted(gains.items()))


def judged(flags):
    """Return in words whether all, some or none of the flags are true."""
    flags = list(flags)
    return 'yes' if all(flags) else 'in part' if any(flags) else 'no'


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


def _better(rows, where, condition):
    gains = {
        size: values
        for size, values in _gains(rows, condition).items()
        if size <= _SMALL
    }
    measured = ', '.join(
        f'{size}: {_mean(values):+.2f} dB '
        f'({sum(v > 0 for v in values)} of {len(values)} seeds)'
        for size, values in gains.items()
    )
    return (
        f'{where}, {condition}: C4 is above ordinary for up to {_SMALL} '
        'training images',
        measured,
        judged(_mean(values) > 0 for values in gains.values()),
    )


def _chosen_steps(short_and_long, scale):
    """Return the same statement, where each arm has its own steps.

    They are those of the table with the better validation of the arm.
    """
    found = {}
    for table in short_and_long:
        for row in table:
            if row['seed'] == '' or row['condition'] != 'upright':
                continue
            key = row['size'], row['arm']
            own = found.setdefault(key, {}).setdefault(row['steps'], {})
            own.setdefault(row['images'], {})[row['seed']] = row['psnr']
    (task,) = {row['run'].partition('-')[0] for row in short_and_long[0]}
    statements = []
    for images in SETS:
        gains, words = [], []
        for size in sorted({size for size, _ in found}):
            budgets = [found.get((size, arm), {}) for arm in _ARMS]
            # one table has more sizes than the other
            if size > _SMALL or min(map(len, budgets)) < 2:
                continue
            steps = [
                max(own, key=lambda n: _validation(own[n])) for own in budgets
            ]
            ordinary, c4 = (
                own[n].get(images, {})
                for own, n in zip(budgets, steps, strict=True)
            )
            if not c4:
                continue
            # longer runs may have more seeds
            seeds = c4.keys() & ordinary.keys()
            values = [c4[seed] - ordinary[seed] for seed in sorted(seeds)]
            gains.append(_mean(values))
            words.append(
                f'{size}: {_mean(values):+.2f} dB '
                f'({sum(v > 0 for v in values)} of {len(values)} seeds), '
                f'{steps[0]} steps of ordinary, {steps[1]} of C4'
            )
        if gains:
            statements.append(
                (
                    f'{task.upper()}, {set_name(images, scale)}, each network '
                    'with the number of steps that is better on validation '
                    'images: C4 is above ordinary',
                    '; '.join(words),
                    judged(gain > 0 for gain in gains),
                )
            )
    return statements


def _validation(scores):
    """Return the mean of the sets of validation, with equal weight."""
    return _mean(
        _mean(scores[images].values())
        for images in VALIDATION
        if images in scores
    )


def _changes(rows, arm):
    """Return by how much exact quarter turns change the score."""
    found = {
        (r['size'], r['seed'], r['condition']): r['psnr']
        for r in rows
        if r['arm'] == arm
    }
    return [
        found[size, seed, 'quarter turns'] - value
        for (size, seed, condition), value in found.items()
        if condition == 'upright'
    ]


def _exact(rows, where):
    largest = max(map(abs, _changes(rows, 'C4')))
    return (
        f'{where}: exact quarter turns do not move the score of C4 (0.01 dB)',
        f'at most {largest:.1e} dB',
        judged([largest < 0.01]),
    )


def _falls(rows, where):
    changes = _changes(rows, 'ordinary')
    return (
        f'{where}: exact quarter turns lower the score of the ordinary '
        'network',
        f'{_mean(changes):+.2f} dB on average, lower in '
        f'{sum(c < 0 for c in changes)} of {len(changes)} runs',
        judged([_mean(changes) < 0]),
    )


def _gap(rows, where):
    gains = {
        size: _mean(values) for size, values in _gains(rows, 'upright').items()
    }
    sizes = list(gains)
    half = len(sizes) // 2
    few = _mean([gains[size] for size in sizes[:half]])
    many = _mean([gains[size] for size in sizes[-half:]])
    return (
        f'{where}, upright: the gain is larger for smaller training sets',
        f'{few:+.2f} dB for {_range(sizes[:half])} images, '
        f'{many:+.2f} dB for {_range(sizes[-half:])}',
        judged([few > many]),
    )


def _range(sizes):
    return ' to '.join(str(size) for size in sorted({sizes[0], sizes[-1]}))


def _smooth(rows, where):
    means = summarised(rows, ('arm', 'condition'))
    flags, words = [], []
    for arm in ('ordinary', 'C4'):
        score = {
            condition: means[arm, condition]['psnr'][0]
            for condition in (
                'upright',
                'quarter turns',
                'random angles',
                'turned and back',
            )
        }
        upright = score.pop('upright')
        gains = {name: value - upright for name, value in score.items()}
        words.append(
            f'{arm}: '
            + ', '.join(f'{name} {gain:+.2f}' for name, gain in gains.items())
        )
        flags += [
            gains['random angles'] > 0,
            gains['turned and back'] > 0,
            # Exact turns smooth nothing, and must gain less.
            gains['quarter turns'] < 0.5 * gains['turned and back'],
        ]
    return (
        f'{where}: turned images score higher because interpolation smooths '
        'them, as turning there and back does, and exact turns do not',
        '; '.join(words) + ' dB against upright',
        judged(flags),
    )


def _cost(rows):
    row, *_ = [r for r in rows if r['arm'] == 'C4']
    return (
        'The equivariant network reconstructs at the cost of the ordinary one '
        '(a ratio of at most 1.02)',
        f'{row["inference_ratio"]:.3f}; a training step '
        f'{row["training_ratio"]:.3f}',
        judged([row['inference_ratio'] <= 1.02]),
    )
