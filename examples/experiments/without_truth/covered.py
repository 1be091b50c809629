# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What errors and their estimates say about coverage, as part of a page."""

import numpy as np

from examples.experiments.tables import mean_and_spread, verdict

__all__ = ('section', 'statements', 'summary', 'table')

# how far coverage may be from its level
MOST_AWAY = 0.05
# whose transforms are compared, of the network of this group
KINDS = ('outside of the group', 'quarter turns', 'none')


def summary(row, settings):
    """Return the coverages of a method.

    Parameters
    ----------
    row : dict
        Of all images: errors, their estimates and what is in the regions,
        those to calibrate with first.
    settings : dict
        Settings of the run.

    Returns
    -------
    coverages : dict of float
        Coverages are shares, from 0 to 1.
    """
    error, size, radius = (
        np.array(row[key]) for key in ('error', 'estimate', 'radius')
    )
    n = settings['n_calibration']
    test = slice(n, None)
    scores = error / size
    return {
        # of all images, for `by_other_draws`
        'scores': scores.tolist(),
        'error over its estimate': float(np.sqrt(np.mean(scores**2))),
        'correlation': float(np.corrcoef(error, size)[0, 1]),
        'region': float(np.mean(error[test] <= radius[test])),
        'pixels': float(np.mean(row['pixels'][test])),
        'calibrated region': float(
            np.mean(scores[test] <= row['radius factor'])
        ),
        'calibrated pixels': float(np.mean(row['calibrated pixels'])),
        'radius factor': row['radius factor'],
    }


def by_other_draws(found, level):
    """Return the coverage of regions that all other draws calibrate.

    Parameters
    ----------
    found : list of dict
        For each draw, at least two, the summaries of all methods.
    level : float
        Level of the regions.

    Returns
    -------
    coverages : numpy.ndarray
        Array of draws and methods. All images of a draw are counted.
    """
    scores = np.array(
        [[row['scores'] for row in rows.values()] for rows in found]
    )
    coverages = np.empty(scores.shape[:2])
    for i, j in np.ndindex(coverages.shape):
        others = np.sort(np.delete(scores, i, axis=0)[:, j].ravel())
        rank = int(np.ceil(round((len(others) + 1) * level, 9)))
        coverages[i, j] = np.mean(scores[i, j] <= others[rank - 1])
    return coverages


def table(found):
    """Return the coverages as a table in Markdown, in percent.

    Parameters
    ----------
    found : list of dict
        For each draw, the summaries of all methods.
    """
    lines = [
        '| method | region | pixels | calibrated region | calibrated pixels | '
        'error over its estimate | correlation |',
        '|---|---|---|---|---|---|---|',
    ]
    columns = [
        ('region', 100, 1),
        ('pixels', 100, 1),
        ('calibrated region', 100, 1),
        ('calibrated pixels', 100, 1),
        ('error over its estimate', 1, 2),
        ('correlation', 1, 2),
    ]
    for name in found[0]:
        cells = []
        for key, unit, digits in columns:
            values = [unit * rows[name][key] for rows in found]
            mean, _ = mean_and_spread(values)
            cells.append(f'{mean:.{digits}f}')
            if len(found) > 1:
                each = ', '.join(f'{value:.{digits}f}' for value in values)
                cells[-1] += f' ({each})'
        lines.append(f'| {", ".join(name)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def statements(found, settings):
    """Return what the figures of all draws say.

    Parameters
    ----------
    found : list of dict
        For each draw, the summaries of all methods.
    settings : dict
        Settings of the run.

    Returns
    -------
    statements : list of tuple of str
        A sentence, its figures, and whether it holds, in part or not.
    """
    n, n_test = settings['n_calibration'], settings['n_test']
    level, many = settings['level'], len(found) > 1
    near = ' is within 5 points of its level on {} others, for each method'
    once = f'Calibrated on {n} phantoms, coverage of {{}}' + near.format(
        n_test
    )
    away = _away(found, 'calibrated region', level)
    chance = _chance(level, n, n_test)
    result = []
    if many:
        others = (len(found) - 1) * (n + n_test)
        result += [
            (
                f'Calibrated on the {others} phantoms of the other draws, '
                'coverage of regions' + near.format(n + n_test) + ' and draw',
                *_judged(
                    by_other_draws(found, level) - level,
                    _chance(level, others, n + n_test),
                ),
            ),
            (
                f'{once.format("regions")}: mean over the draws',
                *_judged(away.mean(0), chance / len(found) ** 0.5),
            ),
        ]
    result += [
        (
            once.format('regions') + ' and draw' * many,
            *_judged(away, chance),
        ),
        (
            once.format('pixels') + ' and draw' * many,
            *_judged(_away(found, 'calibrated pixels', level)),
        ),
    ]
    return result + _of_transforms(found)


def _chance(level, n, n_test):
    """Return the standard deviation of a coverage of regions, by chance.

    The share below the factor of a calibration is a beta variable, and that
    share of so many images is counted.
    """
    return np.sqrt(level * (1 - level) * (1 / (n + 2) + 1 / n_test))


def _judged(away, chance=None):
    """Return figures of all methods and draws, and what they say."""
    figures = _points(away.T.ravel())
    if chance is not None:
        figures += f', of which chance makes {100 * chance:.1f}'
    return figures, verdict((abs(away) <= MOST_AWAY).ravel())


def _away(found, key, level):
    """Return coverages less their level, an array of draws and methods."""
    return np.array(
        [[row[key] - level for row in rows.values()] for rows in found]
    )


def _points(values):
    # zero is not negative
    shown = (round(100 * float(value), 1) + 0.0 for value in values)
    return ', '.join(f'{value:+.1f}' for value in shown) + ' points'


def _of_transforms(found):
    """Return what transforms bring, by the error over its estimate."""
    outside, inside, none = (
        [
            rows['bootstrap', 'c4', kind]['error over its estimate']
            for rows in found
        ]
        for kind in KINDS
    )
    nearer = [
        abs(np.log(one)) < abs(np.log(other))
        for one, other in zip(outside, none, strict=True)
    ]
    same = [
        abs(np.log(one / other)) <= np.log(1.02)
        for one, other in zip(inside, none, strict=True)
    ]
    figures = 'error over its estimate {} with, {} without'
    return [
        (
            'Transforms outside of the group bring the estimated error '
            'nearer to the error',
            figures.format(_joined(outside), _joined(none)),
            verdict(nearer),
        ),
        (
            'Transforms of the group bring nothing (a ratio of at most 1.02)',
            figures.format(_joined(inside), _joined(none)),
            verdict(same),
        ),
    ]


def _joined(values):
    return ', '.join(f'{value:.2f}' for value in values)


def section(found, settings, n_views):
    """Return the coverages as lines of a page in Markdown.

    Parameters
    ----------
    found, settings
        As `statements` takes them.
    n_views : int
        Number of views.
    """
    level = f'{100 * settings["level"]:g} %'
    ensemble = ''
    if ('ensemble',) in found[0]:
        ensemble = (
            f', or {settings["n_members"]} small networks that were trained '
            'from different seeds'
        )
    return [
        '## How often a region holds the truth',
        '',
        'Made by `python -m examples.experiments.without_truth.coverage '
        f'--views {n_views}`: regions and intervals of {level}, of '
        f'{settings["n_test"]} phantoms of {settings["size"]} x '
        f'{settings["size"]} pixels, {n_views} views and photon noise, from '
        f'{settings["n_samples"]} samples of shipped networks{ensemble}; '
        f'calibrated on {settings["n_calibration"]} other phantoms. '
        + (
            f'Means over {len(found)} draws of all phantoms, and each of them.'
            if len(found) > 1
            else 'Of 1 draw of the phantoms.'
        )
        + ' Statements have the methods in the order of the table, and of '
        'each all draws. Chance is one standard deviation.',
        '',
        '| statement | measured | verdict |',
        '|---|---|---|',
        *(f'| {" | ".join(row)} |' for row in statements(found, settings)),
        '',
        'In percent:',
        '',
        *table(found).splitlines(),
    ]
