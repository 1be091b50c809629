# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which runs are needed, in which order, and their tables."""

import concurrent.futures
import hashlib
import json
import pathlib
import subprocess
import sys
import time

from tqdm import tqdm

from examples.experiments import runs
from examples.experiments.cost import measure_cost
from examples.experiments.images import readable, real_slices
from examples.experiments.pictures import make_pictures
from examples.experiments.records import Records
from examples.experiments.settings import (
    baselines_key,
    rehearsed,
    rehearsed_task,
    tasks,
)
from examples.experiments.tables import write_rows
from examples.experiments.workers import pool_of
from odl_equivariant._files import write_atomically

__all__ = ('Study',)

_HERE = pathlib.Path(__file__).parent
# Digests of the files that real slices were read from.
_SOURCES = 'sources.json'


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
        Folders and files of images by their names, or ``None``. Real slices
        that need a file which is not given are left out.
    side : int, optional
        Rows and columns of the images of a rehearsal, see `rehearsed_task`.

    Raises
    ------
    ValueError
        If a folder of images is needed and not given, or a file is no image.
    FileNotFoundError
        If it does not exist.
    """

    def __init__(
        self,
        experiments,
        scale,
        output,
        settings,
        folders,
        side=None,
    ):
        self.experiments = experiments
        self.scale = scale
        self.output = pathlib.Path(output)
        self.records = Records(output)
        self.tasks = tasks(scale, settings)
        if side is not None:
            self.experiments = [rehearsed(e) for e in experiments]
            self.tasks = {
                name: rehearsed_task(task, side)
                for name, task in self.tasks.items()
            }
        self.folders = folders
        self.commit = _commit()
        for name in ('heads', 'brain'):
            if folders.get(name) is not None and not folders[name].is_file():
                raise FileNotFoundError(
                    f'--{name}: there is no file {folders[name]}'
                )
        missing = {}
        for name in self._used_tasks():
            self.tasks[name], own = readable(self.tasks[name], folders)
            missing |= own
            # a file that is no image is named before hours of training
            for part in self.tasks[name]['slices'].values():
                real_slices(part, self.tasks[name], folders)
        for name, advice in missing.items():
            print(
                f'the real slices are without those of {name} ({advice})',
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

    def _baselines(self, name):
        return baselines_key(name, self.tasks[name])

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
        self._check_sources()
        begin = time.monotonic()
        searches = self._searches()
        search_runs = {
            run.key: (run, False)
            for _, candidates in searches
            for run in candidates
        }
        baselines = {
            e.task for e in self.experiments if e.task and e.baselines
        }
        bar = tqdm(unit='run', desc='learning rates', dynamic_ncols=True)
        with bar, pool_of(jobs) as pool:
            bar.total = len(search_runs) + len(baselines)
            self._work(pool, bar, search_runs, baselines)
            self.records.write_rates(searches)
            needed = {}
            for experiment in self.experiments:
                for arm, run in self._runs(experiment):
                    # an average is of a network that another arm has, too
                    _, is_averaged = needed.get(run.key, (run, False))
                    is_averaged = is_averaged or arm == 'averaged'
                    needed[run.key] = run, is_averaged
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
        self.records.write_duration(
            jobs, time.monotonic() - begin, self.commit
        )

    def _check_sources(self):
        """Raise an error if scores are those of slices of another file.

        Scores are found by the names of slices, and those of another head
        have the same ones. What was scored before there was such a record is
        taken for that of the first file.
        """
        path, known = self.output / _SOURCES, {}
        if path.is_file():
            try:
                known = json.loads(path.read_text(encoding='utf-8'))
            except ValueError as error:
                raise ValueError(
                    f'{path} is damaged: give another folder by --output, or '
                    'move it away if the files of slices are the former ones'
                ) from error
        used = {
            slices
            for name in self._used_tasks()
            for part in self.tasks[name]['slices'].values()
            for slices in part
        }
        for name in sorted(used & {'heads', 'brain'}):
            with self.folders[name].open('rb') as file:
                found = hashlib.file_digest(file, 'sha256').hexdigest()
            if known.setdefault(name, found) != found:
                raise ValueError(
                    f'{self.output} was begun with slices of another file '
                    f'than --{name} {self.folders[name]}: give the former '
                    'file, or another folder by --output'
                )
        write_atomically(path, json.dumps(known, indent=1).encode())

    def _names(self, experiment):
        """Return the tasks that an experiment trains networks for."""
        if experiment.task:
            return [experiment.task]
        return list(experiment.picture_of or ())

    def _searches(self):
        """Return all searches of a rate once: the arm, and its runs."""
        found = {
            tuple(run.key for run in candidates): (arm, candidates)
            for experiment in self.experiments
            for name in self._names(experiment)
            for arms in experiment.searches(self.tasks[name], name).values()
            for arm, candidates in arms.items()
        }
        return list(found.values())

    def _rates(self, experiment, name):
        """Return the best rates of a task, by size and width, and arm."""
        return {
            cell: {
                arm: self.records.best(found) for arm, found in arms.items()
            }
            for cell, arms in experiment.searches(
                self.tasks[name], name
            ).items()
        }

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
                self.records.folder(key),
                self.folders,
                self.commit,
                is_averaged,
            )
            for key, (run, is_averaged) in needed.items()
        ]
        futures += [
            pool.submit(
                runs.make_baselines,
                self.tasks[name],
                self.records.folder(self._baselines(name)),
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

    def _write_table(self, experiment):
        """Write one row for each run, set of images and condition."""
        rows = []
        for arm, run in self._runs(experiment):
            rows += self.records.rows(run, arm)
        if experiment.baselines:
            rows += self.records.baselines(self._baselines(experiment.task))
        write_rows(self.output / f'{experiment.name}.csv', rows)

    def _make_pictures(self, experiment):
        for name in experiment.picture_of:
            found = {
                arm: self.records.folder(run.key)
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
