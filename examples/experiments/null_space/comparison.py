# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Equivariant and ordinary networks, by the size of the null space.

    python -m examples.experiments.null_space.comparison --scale small

trains unrolled networks that are equivariant by design, and ordinary ones, to
remove noise and blur, to fill in what is missing, and to reconstruct from
compressed measurements and from few views, all from upright images. These are
layers, and with `--phantoms` and `--images FOLDER` also ellipses and the
pictures of a folder. They are scored on upright
and turned images, at other scales and other intensities. Problems without a
null space show what equivariance gains in noise, and those with almost no
noise what it gains in the null space. `--seconds` bounds the time: the number
of steps is then what the time allows, the same for all networks. Results are
written after each network; the same command goes on with a run that was
stopped. `--keep FILE` adds to the rows of an earlier run, with its rates.
What is compared is in `comparison.yaml`.
"""

import argparse
import itertools
import json
import multiprocessing
import pathlib
import time

import torch
import yaml

from examples.experiments.null_space.images import pictures
from examples.experiments.null_space.study import (
    NETWORKS,
    SEARCH_SEED,
    Study,
)
from examples.experiments.null_space.verdicts import table, verdicts
from odl_equivariant._files import write_atomically

__all__ = ('main', 'together')

SETTINGS = pathlib.Path(__file__).with_suffix('.yaml')
# of the steps, for each network of the search
SEARCH_PART = 3
# of the time, what is left to finish and to write
SPARE = 0.1

_STUDIES = {}


def _start(arguments):
    """Prepare a process for `_run`."""
    torch.set_num_threads(1)
    _STUDIES['arguments'] = arguments


def _study(kind):
    if kind not in _STUDIES:
        settings, folder, photographs, device = _STUDIES['arguments']
        _STUDIES[kind] = Study(settings, kind, folder, photographs, device)
    return _STUDIES[kind]


def _run(task):
    """Train a network, unless there is no time for it."""
    kind, problem, network, rate, seed, steps, latest = task
    if latest is not None and time.time() > latest:
        return task, None
    return task, _study(kind).trained(problem, network, rate, seed, steps)


def _timed(task):
    """Return the time of a step of a network, after the first steps."""
    kind, problem, network, steps = task
    study = _study(kind)
    study._train(problem, network, 1e-3, SEARCH_SEED, 3)
    return study._train(problem, network, 1e-3, SEARCH_SEED, steps)[1]


def _steps(pool, settings, n_runs, jobs, end):
    """Return how many steps of each network there is time for."""
    if end is None:
        return settings['n_steps']
    kind, problem = (
        settings['search']['images'],
        settings['search']['problems'],
    )
    tasks = [(kind, problem[0], NETWORKS[0], 12)] * jobs
    seconds = max(pool.map(_timed, tasks, 1))
    n_search = len(settings['rates']) * len(NETWORKS) * len(problem)
    left = (end - time.time()) * jobs * (1 - SPARE)
    steps = left / seconds / (n_runs + n_search / SEARCH_PART)
    steps = min(settings['n_steps'], max(1, int(steps)))
    print(f'{seconds:.4f} s a step, {n_runs} networks: {steps} steps each')
    return steps


def _rates(pool, settings, steps):
    """Return the best rate of each network."""
    search, rates = settings['search'], settings['rates']
    steps = max(1, steps // SEARCH_PART)
    tasks = [
        (search['images'], problem, network, rate, SEARCH_SEED, steps, None)
        for problem, network, rate in itertools.product(
            search['problems'], NETWORKS, rates
        )
    ]
    found = {(network, rate): 0.0 for network in NETWORKS for rate in rates}
    for task, result in pool.imap_unordered(_run, tasks):
        found[task[2], task[3]] += result['validation']
    return {
        network: max(rates, key=lambda rate: found[network, rate])
        for network in NETWORKS
    }


def _tasks(settings, rates, steps, latest):
    """Return all networks: whole seeds first, so that few are useful."""
    return [
        (kind, problem, network, rates[network], seed, steps, latest)
        for seed in settings['seeds']
        for kind, chosen in settings['images'].items()
        for problem in (settings['problems'] if chosen == 'all' else chosen)
        for network in NETWORKS
    ]


def together(earlier, rows, settings):
    """Return new rows and those of an earlier run that are not among them.

    Parameters
    ----------
    earlier, rows : list of dict
        A row is that of images, problem, network and seed.
    settings : dict
        Those of `comparison.yaml`.

    Returns
    -------
    rows : list of dict
        In the order of the settings whatever was run first: statements on
        what grows with the null space take problems one after another.

    Raises
    ------
    ValueError
        If an earlier row is of images, a problem or a network that the
        settings no longer have.
    """
    names = ('images', 'problem', 'network', 'seed')

    def key(row):
        return tuple(row[name] for name in names)

    kinds, problems = list(settings['images']), list(settings['problems'])

    known = {'images': kinds, 'problem': problems, 'network': NETWORKS}
    for row in earlier:
        for name, values in known.items():
            if row[name] not in values:
                raise ValueError(
                    f'the results that are kept have rows of the {name} '
                    f'{row[name]!r}, and the settings have '
                    f'{", ".join(map(repr, values))}: remove these rows from '
                    'the file, or name it in the settings again'
                )

    def place(row):
        return (
            kinds.index(row['images']),
            problems.index(row['problem']),
            row['seed'],
            NETWORKS.index(row['network']),
        )

    new = {key(row) for row in rows}
    left = [row for row in earlier if key(row) not in new]
    return sorted(left + rows, key=place)


def _parser(settings):
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.null_space.comparison',
        description='Compare networks by the size of the null space.',
    )
    parser.add_argument('--scale', choices=settings['scales'], default='small')
    parser.add_argument(
        '--problems', nargs='+', choices=settings['problems'], metavar='NAME'
    )
    parser.add_argument(
        '--seeds', type=int, nargs='+', help='default: those of the scale'
    )
    parser.add_argument(
        '--phantoms', action='store_true', help='ellipses, too'
    )
    parser.add_argument(
        '--images',
        type=pathlib.Path,
        metavar='FOLDER',
        help='the pictures of a folder, too',
    )
    parser.add_argument(
        '--keep',
        type=pathlib.Path,
        metavar='FILE',
        help='results of an earlier run, to be kept where none are new; the '
        'number of steps and the rates are those of that run',
    )
    parser.add_argument('--seconds', type=float, help='time that there is')
    parser.add_argument('--jobs', type=int, default=1, help='processes')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/null_space'
    )
    return parser


def main(arguments=None):
    """Run what the arguments ask for, and return the rows."""
    with open(SETTINGS, encoding='utf-8') as file:
        settings = yaml.safe_load(file)
    options = _parser(settings).parse_args(arguments)
    end = None if options.seconds is None else time.time() + options.seconds
    settings |= settings.pop('scales')[options.scale]
    order = {name: list(settings[name]) for name in ('images', 'problems')}
    if options.problems:
        # in the order of their null spaces, which the statements need
        settings['problems'] = {
            name: problem
            for name, problem in settings['problems'].items()
            if name in options.problems
        }
    if options.seeds:
        settings['seeds'] = options.seeds
    photographs = None
    if not options.phantoms:
        del settings['images']['phantoms']
    if options.images is None:
        del settings['images']['photographs']
    else:
        numbers = {
            part: settings[f'n_{part}']
            for part in ('train', 'validation', 'test')
        }
        photographs = pictures(options.images, numbers)
    kept, earlier = None, []
    if options.keep is not None:
        kept = json.loads(options.keep.read_text(encoding='utf-8'))
        if kept['scale'] != options.scale:
            raise ValueError(
                f'{options.keep} has results of the scale {kept["scale"]}, '
                f'and this run has {options.scale}'
            )
        # an error now, not after the first training
        earlier = together(kept['rows'], [], order)
        settings['n_steps'] = max(row['steps'] for row in earlier)
    for kind, chosen in settings['images'].items():
        if chosen != 'all':
            settings['images'][kind] = [
                name for name in chosen if name in settings['problems']
            ]
    every = (settings, options.output, photographs, options.device)
    context = multiprocessing.get_context('spawn')
    with context.Pool(options.jobs, _start, (every,)) as pool:
        n_runs = len(_tasks(settings, dict.fromkeys(NETWORKS), 0, None))
        steps = settings['n_steps']
        if kept is None:
            steps = _steps(pool, settings, n_runs, options.jobs, end)
        rates = kept['rates'] if kept else _rates(pool, settings, steps)
        latest = None
        if end is not None:
            latest = end - SPARE * options.seconds
        rows = []
        tasks = _tasks(settings, rates, steps, latest)
        for task, found in pool.imap(_run, tasks):
            if found is None:
                continue
            names = ('images', 'problem', 'network', 'rate', 'seed')
            rows.append({**dict(zip(names, task, strict=False)), **found})
            every_row = together(earlier, rows, order)
            result = {
                'scale': options.scale,
                'rates': rates,
                'rows': every_row,
            }
            path = options.output / 'comparison.json'
            write_atomically(path, json.dumps(result, indent=1).encode())
    rows = together(earlier, rows, order)
    print(table(rows))
    for sentence, figures, verdict in verdicts(rows):
        print(f'- {sentence}: {figures}. {verdict}.')
    return rows


if __name__ == '__main__':
    main()
