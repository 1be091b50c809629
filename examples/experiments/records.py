# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What is known of runs, from their folders, as rows of tables."""

import math
import pathlib

from examples.experiments import runs
from examples.experiments.tables import (
    SETS,
    VALIDATION,
    mean_and_spread,
    read_rows,
    write_rows,
)

__all__ = ('DURATION', 'RATES', 'Records')

RATES, DURATION = 'learning_rates.csv', 'duration.csv'
# A search is one of these.
_SEARCH = ('task', 'steps', 'size', 'width', 'arm')


class Records:
    """Scores of runs as rows of tables.

    Parameters
    ----------
    output : path-like
        Folder with the folder ``runs``, and for the tables of rates and of
        durations.
    """

    def __init__(self, output):
        self.output = pathlib.Path(output)

    def folder(self, key):
        """Return the folder of a run by its name."""
        return self.output / 'runs' / key

    def rows(self, run, arm):
        """Return one row for each set of images and condition."""
        folder = self.folder(run.key)
        summary = runs.finished(folder)
        return _summed(
            [
                row
                for row in runs.scores_of(folder)
                if bool(row.get('averaged')) == (arm == 'averaged')
            ],
            {
                'arm': arm,
                'size': run.size,
                'width': run.settings['network']['channels'],
                'smoothing': run.smoothing,
                'seed': run.seed,
                'rate': run.rate,
                'steps': summary['steps'],
                'parameters': summary['parameters'],
                'run': run.key,
                'commit': summary['commit'],
                'seconds': summary.get('seconds', ''),
            },
        )

    def baselines(self, key):
        """Return the rows of the methods that need no training."""
        folder = self.folder(key)
        summary = runs.finished(folder)
        scores = runs.scores_of(folder)
        rows = []
        for arm in dict.fromkeys(row['arm'] for row in scores):
            rows += _summed(
                [row for row in scores if row['arm'] == arm],
                {'arm': arm, 'run': key, 'commit': summary['commit']},
            )
        return rows

    def best(self, candidates):
        """Return the rate of the run with the best validation."""
        return max(candidates, key=self._validation).rate

    def _validation(self, run):
        """Return the score of validation, below all for a diverged run."""
        value = runs.finished(self.folder(run.key))['validation']
        return _or_worst(value)

    def _rate_row(self, arm, run):
        """Return the row of a rate, but for whether it is chosen."""
        folder = self.folder(run.key)
        summary = runs.finished(folder)
        means = {
            row['images']: row['psnr']
            for row in _summed(runs.scores_of(folder), {})
            if row['condition'] == 'upright'
        }
        return {
            'task': run.task,
            'steps': summary['steps'],
            'size': run.size,
            'width': run.settings['network']['channels'],
            'arm': arm,
            'rate': run.rate,
            'both_psnr': summary['validation'],
            # those of tests are no part of the choice
            **{
                f'{images}_psnr': means[images]
                for images in (*VALIDATION, *SETS)
                if images in means
            },
            'run': run.key,
            'commit': summary['commit'],
            'seconds': summary['seconds'],
        }

    def write_duration(self, jobs, seconds, commit):
        """Add how long a call took to those of earlier calls.

        Parameters
        ----------
        jobs : int
            How many networks were trained at once.
        seconds : float
            Time by the clock.
        commit : str
            Commit of the code.
        """
        path = self.output / DURATION
        rows = read_rows(path) if path.is_file() else []
        rows.append({'jobs': jobs, 'seconds': seconds, 'commit': commit})
        write_rows(path, rows)

    def write_rates(self, searches):
        """Write all learning rates, beside those of other experiments.

        Parameters
        ----------
        searches : list of tuple
            Pairs of an arm and its runs.
        """
        rows = []
        for arm, candidates in searches:
            best = self.best(candidates)
            for run in candidates:
                chosen = {'chosen': int(run.rate == best)}
                rows.append({**self._rate_row(arm, run), **chosen})
        if not rows:
            return
        path = self.output / RATES
        if path.is_file():
            found = {_search(row) for row in rows}
            rows += [r for r in read_rows(path) if _search(r) not in found]
        rows.sort(key=lambda row: (*_search(row), row['rate']))
        write_rows(path, rows)


def _search(row):
    """Return which search a row belongs to."""
    return tuple(row[name] for name in _SEARCH)


def _or_worst(score):
    """Return a score, which is below all others for a diverged run."""
    return -math.inf if math.isnan(score) else score


def _summed(rows, columns):
    """Return the mean over the images of each set, with further columns."""
    groups = {}
    for row in rows:
        key = row['images'], row['condition']
        groups.setdefault(key, []).append(row)
    result = []
    for (images, condition), members in groups.items():
        values = {}
        for name in ('psnr', 'ssim'):
            mean, spread = mean_and_spread(row[name] for row in members)
            values |= {name: mean, f'{name}_spread': spread}
        result.append(
            {
                **columns,
                'images': images,
                'condition': condition,
                'n_images': len(members),
                **values,
            }
        )
    return result
