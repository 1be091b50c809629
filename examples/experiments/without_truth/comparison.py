# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Networks that learn with ground truth, and without.

    python -m examples.experiments.without_truth.comparison --scale small

trains networks that are equivariant by design, averaged over the group, and
ordinary ones: supervised, by splitting with symmetry and without, by
equivariant imaging and by measurement consistency, in tomography and MRI, with
noise and without. All have the same budget, the same images in the same order
and the same search for rates. Results are written after each network, and the
same command goes on with a run that was stopped, from its last checkpoint.
What is compared is in `comparison.yaml`.

    python -m examples.experiments.without_truth.comparison \
        --scale processor --slices ct=FOLDER \
        --results docs/results/without_truth.json \
        --report docs/results_without_truth.md

also scores real slices from a folder of files `.npy`, in the unit of the
images of the acquisition, and writes the page. No image of a patient is
learned from.
"""

import argparse
import contextlib
import math
import pathlib
import time
import warnings

import torch
import yaml

from examples.experiments.without_truth.page import table, write_page
from examples.experiments.without_truth.parallel import quiet, train_all
from examples.experiments.without_truth.results import (
    read_results,
    write_results,
)
from examples.experiments.without_truth.study import OutOfTime, Study
from examples.experiments.without_truth.verdicts import verdicts

__all__ = ('Study', 'main')

SETTINGS = pathlib.Path(__file__).with_suffix('.yaml')


def main(arguments=None):
    """Run what the arguments ask for, and return the rows."""
    with open(SETTINGS, encoding='utf-8') as file:
        settings = yaml.safe_load(file)
    options = _options(settings, arguments)
    until = time.time() + options.seconds
    scale = settings['scales'][options.scale]
    known = scale.pop('arms', settings['arms'])
    tasks = options.tasks or scale.pop('tasks', _tasks(settings))
    settings['arms'] = {}
    for name in options.losses or known:
        loss, _, network = name.partition(': ')
        settings['arms'][loss] = [
            one
            for one in known.get(loss, ['by design'])
            if one in options.networks and network in ('', one)
        ]
    if not options.variants:
        for problem in settings['problems'].values():
            problem['variants'] = {'with': [], 'without': []}
    if options.seeds:
        scale['seeds'] = options.seeds
    if options.steps:
        scale['n_steps'] = options.steps
    if options.images:
        scale['n_train'] = options.images
    for problem in settings['problems'].values():
        kind = 'mri' if 'MRI' in problem['acquisition']['class'] else 'ct'
        problem['slices'] += options.slices.get(kind, [])
    studies = [
        (
            settings,
            options.scale,
            *task.split('/'),
            options.output,
            options.device,
            until,
        )
        for task in tasks
    ]
    if options.processes > 1 and not options.search:
        # seen by all studies
        scale['n_steps'] = train_all(studies, options.processes)
    path = options.results or options.output / 'comparison.json'
    rows, costs, slices = [], {}, {}
    for study in studies:
        with warnings.catch_warnings():
            quiet()
            made = Study(*study)
            rows += made.search() if options.search else made.run()
            with contextlib.suppress(OutOfTime):
                costs['/'.join(study[2:4])] = made.costs()
            slices[made.name] = sorted(made.slices)
        budget = dict(scale)
        if options.search:
            budget['n_steps'] = budget['search_steps']
            budget['n_test'] = budget['n_validation']
        command = f'--scale {options.scale}' + ' --search' * options.search
        found = {
            'command': command,
            'budget': budget,
            'slices': slices,
            'costs': costs,
            'rows': rows,
        }
        if options.steps or options.images:
            # beside those of the budget of the scale
            known = read_results(path).get('others', {})
            other = {'budget': budget, 'rows': rows}
            found = {'others': known | {_changed(options): other}}
        write_results(path, found)
    if options.report:
        write_page(path, options.output, options.report)
    print(table(rows))
    for found in verdicts(rows, costs):
        print('-', '; '.join(found))
    return rows


def _changed(options):
    """Return in words by what a budget differs from that of its scale."""
    words = f'--scale {options.scale}'
    for name in ('steps', 'images'):
        value = getattr(options, name)
        words += f' --{name} {value}' if value else ''
    return words


def _tasks(settings):
    return [
        f'{name}/{noise}'
        for name in settings['problems']
        for noise in ('with', 'without')
    ]


def _folder(text):
    kind, is_named, folder = text.partition('=')
    if kind not in ('ct', 'mri') or not is_named:
        raise argparse.ArgumentTypeError(
            f'expected ct=FOLDER or mri=FOLDER, got {text!r}'
        )
    files = sorted(pathlib.Path(folder).glob('*.npy'))
    if not files:
        raise argparse.ArgumentTypeError(f'no file .npy in {folder}')
    return kind, [str(file) for file in files]


def _options(settings, arguments):
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.without_truth.comparison',
        description='Compare learning with ground truth and without.',
    )
    parser.add_argument('--scale', choices=settings['scales'], default='small')
    parser.add_argument(
        '--tasks',
        nargs='+',
        choices=_tasks(settings),
        metavar='TASK',
        help='problems with noise or without, in order; default: those of '
        f'the scale, or {", ".join(_tasks(settings))}',
    )
    parser.add_argument(
        '--losses',
        nargs='+',
        help='also variants, such as "equivariant splitting, of 80 %%", and '
        'of some networks only, such as "supervised: by design"',
    )
    parser.add_argument(
        '--networks',
        nargs='+',
        choices=('by design', 'averaging', 'ordinary'),
        default=['by design', 'averaging', 'ordinary'],
    )
    parser.add_argument(
        '--variants',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='whether variants of splitting are trained for the first seed',
    )
    parser.add_argument(
        '--search',
        action='store_true',
        help='compare the short trainings of the search for rates alone',
    )
    parser.add_argument(
        '--steps',
        type=int,
        help='steps of each network, in a table of their own',
    )
    parser.add_argument(
        '--images', type=int, help='phantoms to train with, as `--steps`'
    )
    parser.add_argument('--seeds', type=int, nargs='+')
    parser.add_argument(
        '--slices',
        nargs='+',
        type=_folder,
        default=[],
        metavar='KIND=FOLDER',
        help='files .npy of real slices, scored only: ct=FOLDER, mri=FOLDER',
    )
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--processes', type=int, default=1, help='networks at the same time'
    )
    parser.add_argument(
        '--seconds', type=float, default=math.inf, help='when to stop'
    )
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/without_truth'
    )
    parser.add_argument(
        '--results', type=pathlib.Path, help='JSON file of all scores'
    )
    parser.add_argument(
        '--report', type=pathlib.Path, help='page of Markdown to write'
    )
    options = parser.parse_args(arguments)
    options.slices = dict(options.slices)
    return options


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
