# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which runs are needed, in which order, and their tables."""

import concurrent.futures
import importlib.util
import math
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import subprocess
import sys
import threading

import torch
from tqdm import tqdm

from examples.experiments import runs
from examples.experiments.cost import measure_cost
from examples.experiments.pictures import make_pictures
from examples.experiments.settings import (
    baselines_key,
    rehearsed,
    rehearsed_task,
    tasks,
)
from examples.experiments.tables import (
    SETS,
    mean_and_spread,
    read_rows,
    write_rows,
)

__all__ = ('Study',)

_HERE = pathlib.Path(__file__).parent


class Study:
    """Experiments at one scale, in one folder.

    Parameters
    ----------
    experiments : list of Experiment
        Experiments to run.
    scale : str
        ``'small'`` or ``'paper'``.
    output : path-like
        Folder of runs, tables and figures.
    settings : path-like
        Folder of the YAML files.
    folders : dict
        Folders of collections of images by their names, or ``None``.
    side : int, optional
        Rows and columns of the images of a rehearsal, see `rehearsed_task`.

    Raises
    ------
    ValueError
        If a folder of images is needed and not given.
    FileNotFoundError
        If it does not exist.
    """

    def __init__(
        self, experiments, scale, output, settings, folders, side=None
    ):
        self.experiments = experiments
        self.scale = scale
        self.output = pathlib.Path(output)
        self.tasks = tasks(scale, settings)
        if side is not None:
            self.experiments = [rehearsed(e) for e in experiments]
            self.tasks = {
                name: rehearsed_task(task, side)
                for name, task in self.tasks.items()
            }
        self.folders = folders
        self.commit = _commit()
        if self._misses_nilearn():
            print(
                'nilearn is not installed: the real slices are without those '
                'of the MNI152 template (pip install nilearn)',
                file=sys.stderr,
            )
        for name in self._used_tasks():
            needed = self.tasks[name]['images'].get('folder')
            if needed is None:
                continue
            if folders.get(needed) is None:
                raise ValueError(
                    f'the experiments on {name} need the collection of '
                    f'images: give its folder by --{needed} FOLDER'
                )
            if not folders[needed].is_dir():
                raise FileNotFoundError(
                    f'--{needed}: there is no folder {folders[needed]}'
                )

    def _used_tasks(self):
        used = []
        for experiment in self.experiments:
            used += [experiment.task, experiment.cost_of]
            used += experiment.picture_of or {}
        return [name for name in self.tasks if name in used]

    def _misses_nilearn(self):
        wanted = any(
            'mni152' in self.tasks[name]['slices']
            for name in self._used_tasks()
        )
        return wanted and importlib.util.find_spec('nilearn') is None

    def _folder(self, key):
        return self.output / 'runs' / key

    def _baselines_folder(self, name):
        return self._folder(baselines_key(name, self.tasks[name]))

    def run(self, jobs):
        """Do all runs that are not finished, and write the tables.

        Parameters
        ----------
        jobs : int
            How many networks to train at once.
        """
        if jobs < 1:
            raise ValueError(f'--jobs must be at least 1, got {jobs}')
        self.output.mkdir(parents=True, exist_ok=True)
        searches = self._searches()
        search_runs = {
            run.key: run
            for _, candidates in searches.values()
            for run in candidates
        }
        baselines = {
            e.task for e in self.experiments if e.task and e.baselines
        }
        bar = tqdm(unit='run', desc='learning rates', dynamic_ncols=True)
        with bar, _pool(jobs) as pool:
            bar.total = len(search_runs) + len(baselines)
            self._work(pool, bar, search_runs, baselines)
            self._write_searches(searches)
            needed = {}
            for experiment in self.experiments:
                for _, run in self._runs(experiment):
                    needed[run.key] = run
            bar.total += len(needed)
            bar.set_description('networks')
            self._work(pool, bar, needed)
            bar.set_description('tables')
        for experiment in self.experiments:
            if experiment.task:
                self._write_table(experiment)
            elif experiment.picture_of:
                self._make_pictures(experiment)
            elif experiment.cost_of:
                rows = measure_cost(
                    self.tasks[experiment.cost_of], experiment, self.commit
                )
                write_rows(self.output / f'{experiment.name}.csv', rows)

    def _names(self, experiment):
        """Return the tasks that an experiment trains networks for."""
        if experiment.task:
            return [experiment.task]
        return list(experiment.picture_of or ())

    def _searches(self):
        """Return all searches of a rate once, by the keys of their runs."""
        return {
            tuple(run.key for run in candidates): (arm, candidates)
            for experiment in self.experiments
            for name in self._names(experiment)
            for arms in experiment.searches(self.tasks[name], name).values()
            for arm, candidates in arms.items()
        }

    def _rates(self, experiment, name):
        """Return the best rates of a task, by size and kind of arms."""
        return {
            size: {arm: self._best(found) for arm, found in arms.items()}
            for size, arms in experiment.searches(
                self.tasks[name], name
            ).items()
        }

    def _best(self, candidates):
        """Return the rate of the run with the best validation."""
        return max(
            candidates,
            key=lambda run: _or_worst(runs.finished(self._folder(run.key))),
        ).rate

    def _runs(self, experiment):
        """Return pairs of an arm and a run, for all tasks of an experiment."""
        return [
            pair
            for name in self._names(experiment)
            for pair in experiment.runs(
                self.tasks[name], self._rates(experiment, name), name
            )
        ]

    def _work(self, pool, bar, needed, baselines=()):
        futures = [
            pool.submit(
                runs.make_run,
                run,
                self._folder(key),
                self.folders,
                self.commit,
            )
            for key, run in needed.items()
        ]
        futures += [
            pool.submit(
                runs.make_baselines,
                self.tasks[name],
                self._baselines_folder(name),
                self.folders,
                self.commit,
            )
            for name in baselines
        ]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                bar.update()
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def _write_searches(self, searches):
        """Write all learning rates, beside those of other experiments."""
        rows = []
        for arm, candidates in searches.values():
            best = self._best(candidates)
            for run in candidates:
                folder = self._folder(run.key)
                summary = runs.finished(folder)
                upright = {
                    row['images']: row
                    for row in _summed(
                        [
                            row
                            for row in runs.scores_of(folder)
                            if not row.get('averaged')
                        ],
                        {},
                    )
                    if row['condition'] == 'upright'
                }
                network = run.settings['network']
                rows.append(
                    {
                        'task': run.task,
                        'steps': summary['steps'],
                        'size': run.size,
                        'channels': network['channels'],
                        'basis': network.get('basis', ''),
                        'arm': arm,
                        'rate': run.rate,
                        'validation_psnr': summary['validation'],
                        # no part of the choice
                        **{
                            f'{images}_psnr': upright[images]['psnr']
                            for images in SETS
                            if images in upright
                        },
                        'chosen': int(run.rate == best),
                        'commit': summary['commit'],
                    }
                )
        if not rows:
            return
        path = self.output / 'learning_rates.csv'
        keys = 'task', 'steps', 'size', 'channels', 'basis', 'arm'
        found = {tuple(row[k] for k in keys) for row in rows}
        others = read_rows(path) if path.is_file() else []
        rows += [r for r in others if tuple(r[k] for k in keys) not in found]
        rows.sort(key=lambda row: (*(row[k] for k in keys), row['rate']))
        write_rows(path, rows)

    def _write_table(self, experiment):
        """Write one row for each run, set of images and condition."""
        rows = []
        for arm, run in self._runs(experiment):
            folder = self._folder(run.key)
            summary = runs.finished(folder)
            rows += _summed(
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
                },
            )
        if experiment.baselines:
            folder = self._baselines_folder(experiment.task)
            summary = runs.finished(folder)
            scores = runs.scores_of(folder)
            for arm in dict.fromkeys(row['arm'] for row in scores):
                rows += _summed(
                    [row for row in scores if row['arm'] == arm],
                    {
                        'arm': arm,
                        'run': folder.name,
                        'commit': summary['commit'],
                    },
                )
        write_rows(self.output / f'{experiment.name}.csv', rows)

    def _make_pictures(self, experiment):
        for name in experiment.picture_of:
            found = {
                arm: self._folder(run.key)
                for arm, run in experiment.runs(
                    self.tasks[name], self._rates(experiment, name), name
                )
            }
            make_pictures(
                self.tasks[name],
                found,
                self.output / f'{experiment.name}_{name}.npz',
                self.folders,
            )


class _Here(concurrent.futures.Executor):
    """Stands in for a pool: calls at once, here, with one thread."""

    def __enter__(self):
        self._threads = torch.get_num_threads()
        _one_thread()
        return self

    def __exit__(self, *error):
        torch.set_num_threads(self._threads)

    def submit(self, function, *arguments):
        future = concurrent.futures.Future()
        future.set_result(function(*arguments))
        return future


def _pool(jobs):
    if jobs == 1:
        return _Here()
    return concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context('spawn'), initializer=_start_worker
    )


def _or_worst(summary):
    """Return a score, which is below all others for a diverged run."""
    score = summary['validation']
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


def _one_thread():
    torch.set_num_threads(1)


def _start_worker():
    """Compute with one thread, and end together with the parent process."""
    _one_thread()
    parent = multiprocessing.parent_process()

    def wait():
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _commit():
    """Return the commit of the code, with a plus if files have changed."""
    try:
        commit, changes = (
            subprocess.run(
                ['git', *words],
                cwd=_HERE,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for words in (
                ['rev-parse', '--short', 'HEAD'],
                ['status', '--porcelain', '--untracked-files=no'],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return commit + ('+' if changes else '')
