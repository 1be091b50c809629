# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What is known of runs, from their folders or from tables that are kept."""

import math
import pathlib

from examples.experiments import runs
from examples.experiments.tables import (
    SETS,
    mean_and_spread,
    read_rows,
    write_rows,
)

__all__ = ('Records',)

RATES = 'learning_rates.csv'
# A search is one of these.
_SEARCH = ('task', 'steps', 'size', 'channels', 'basis', 'arm')


class Records:
    """Scores of runs as rows of tables.

    What is in the folder of a run comes first.

    Parameters
    ----------
    output : path-like
        Folder with the folder ``runs``, and for the table of rates.
    keep : path-like, optional
        Folder of tables of earlier runs.
    """

    def __init__(self, output, keep=None):
        self.output = pathlib.Path(output)
        self._tables, self._rows, self._rates = {}, {}, {}
        paths = []
        if keep is not None:
            paths = sorted(pathlib.Path(keep).glob('*.csv'))
        for path in paths:
            rows = read_rows(path)
            if path.name == RATES:
                self._rates = _by_rate(rows, path)
                continue
            self._tables[path.stem] = rows
            found = {}
            for row in rows:
                if 'run' in row:
                    found.setdefault((row['run'], row['arm']), []).append(row)
            self._rows |= found

    def folder(self, key):
        """Return the folder of a run by its name."""
        return self.output / 'runs' / key

    def table(self, name):
        """Return the rows of a table that is kept, or ``None``."""
        return self._tables.get(name)

    def has_rows(self, key, arm):
        """Return whether the tables that are kept have scores of a run."""
        return (key, arm) in self._rows

    def has_baselines(self, key):
        """Return whether they have scores of methods without training."""
        return any(key == known for known, _ in self._rows)

    def has_rate(self, arm, run):
        """Return whether they have the score of a rate of a search."""
        return self._kept_rate(arm, run) is not None

    def _kept_rate(self, arm, run):
        row = self._rates.get((*_search(_columns(arm, run)), run.rate))
        # earlier tables do not name the run
        if row is None or row.get('run', '') not in ('', run.key):
            return None
        return row

    def rows(self, run, arm):
        """Return one row for each set of images and condition."""
        folder = self.folder(run.key)
        summary = runs.finished(folder)
        if summary is None:
            return self._rows[run.key, arm]
        return _summed(
            [
                row
                for row in runs.scores_of(folder)
                if bool(row.get('averaged')) == (arm == 'averaged')
            ],
            {
                'arm': arm,
                'size': run.size,
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
        if summary is None:
            found = [r for (known, _), r in self._rows.items() if known == key]
            return [row for rows in found for row in rows]
        scores = runs.scores_of(folder)
        rows = []
        for arm in dict.fromkeys(row['arm'] for row in scores):
            rows += _summed(
                [row for row in scores if row['arm'] == arm],
                {'arm': arm, 'run': key, 'commit': summary['commit']},
            )
        return rows

    def best(self, arm, candidates):
        """Return the rate of the run with the best validation."""
        return max(
            candidates,
            key=lambda run: _or_worst(
                self._rate_row(arm, run)['validation_psnr']
            ),
        ).rate

    def _rate_row(self, arm, run):
        """Return the row of a rate, but for whether it is chosen."""
        folder = self.folder(run.key)
        summary = runs.finished(folder)
        if summary is None:
            return self._kept_rate(arm, run)
        scored = [r for r in runs.scores_of(folder) if not r.get('averaged')]
        upright = {
            row['images']: row['psnr']
            for row in _summed(scored, {})
            if row['condition'] == 'upright'
        }
        return {
            **_columns(arm, run),
            'rate': run.rate,
            'validation_psnr': summary['validation'],
            # no part of the choice
            **{f'{s}_psnr': upright[s] for s in SETS if s in upright},
            'run': run.key,
            'commit': summary['commit'],
            'seconds': summary.get('seconds', ''),
        }

    def write_rates(self, searches):
        """Write all learning rates, beside those of other experiments.

        Parameters
        ----------
        searches : list of tuple
            Pairs of a kind of arms and its runs.
        """
        rows = []
        for arm, candidates in searches:
            best = self.best(arm, candidates)
            for run in candidates:
                chosen = {'chosen': int(run.rate == best)}
                rows.append({**self._rate_row(arm, run), **chosen})
        if not rows:
            return
        path = self.output / RATES
        earlier = read_rows(path) if path.is_file() else []
        for others in (earlier, self._rates.values()):
            found = {_search(row) for row in rows}
            rows += [row for row in others if _search(row) not in found]
        rows.sort(key=lambda row: (*_search(row), row['rate']))
        write_rows(path, rows)


def _columns(arm, run):
    network = run.settings['network']
    return {
        'task': run.task,
        'steps': run.settings['training']['max_steps'],
        'size': run.size,
        'channels': network['channels'],
        'basis': network.get('basis', ''),
        'arm': arm,
    }


def _by_rate(rows, path):
    try:
        return {(*_search(row), row['rate']): row for row in rows}
    except KeyError as error:
        raise ValueError(
            f'{path} is no table of learning rates of this version: it has no '
            f'column {error}'
        ) from error


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
