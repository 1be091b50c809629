# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How many truths lie within the regions that are said to hold 90 % of them.

    python -m examples.experiments.without_truth.coverage --views 50

reconstructs phantoms by shipped networks, resamples by the bootstrap, with
transforms and without, and by an ensemble of small networks that are trained
here, and counts the truths in their regions and intervals, before and after
calibration on other phantoms. What is done is not done again: the same command
goes on with a run that was stopped.
"""

import argparse
import dataclasses
import json
import pathlib

import numpy as np
import torch

from examples.experiments.without_truth.covered import (
    section,
    statements,
    summary,
    table,
)
from examples.experiments.without_truth.results import write_results
from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.actions import group_actions
from odl_equivariant.data import Phantoms, SparseViewCT
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    for_inference,
)
from odl_equivariant.uncertainty import (
    bootstrap,
    calibrate,
    default_actions,
    ensemble,
)
from odl_equivariant.uncertainty.result import distance

SETTINGS = {
    # with the pixels that the shipped networks were trained for
    'size': 48,
    'side': 0.135,
    'n_detectors': 136,
    'level': 0.9,
    # so many that chance alone moves one coverage by 3 points
    'n_calibration': 200,
    'n_test': 200,
    'n_samples': 8,
    'n_members': 4,
    'n_steps': 150,
    'channels': 16,
    'rate': 3e-3,
}
# What `--quick` changes: all code runs, and the figures mean nothing.
QUICK = {
    'size': 16,
    'n_detectors': 46,
    'n_calibration': 10,
    'n_test': 3,
    'n_samples': 2,
    'n_members': 2,
    'n_steps': 1,
    'channels': 4,
}
# networks, and the transforms of their bootstraps
BOOTSTRAPS = (
    ('c4', 'outside of the group'),
    ('c4', 'none'),
    ('c4', 'quarter turns'),
    ('ordinary', 'outside of the group'),
    ('ordinary', 'none'),
)
KINDS = ('bootstrap', 'ensemble')
# of phantoms, with the seed added: none is used twice
_CALIBRATION_AND_TEST, _TRAINING = 710, 72


@dataclasses.dataclass
class Images:
    """Data and truths of phantoms."""

    data: list
    truths: list

    def __len__(self):
        return len(self.data)


def images(acquisition, number, seed):
    """Return pairs of phantoms, each with noise of its own."""
    slices = Phantoms(number, acquisition.image_shape, seed)
    pairs = [acquisition.pair(slices[i], [seed, i]) for i in range(number)]
    return Images(
        [as_element(p['data'], acquisition.operator.range) for p in pairs],
        [as_element(p['truth'], acquisition.space) for p in pairs],
    )


def members(acquisition, settings):
    """Yield networks that differ by their seeds alone, each trained."""
    training = images(acquisition, settings['n_steps'], _TRAINING)
    for seed in range(settings['n_members']):
        torch.manual_seed(seed)
        network = LearnedProximalGradient(
            acquisition.operator,
            lambda: EquivariantProximal(
                channels=settings['channels'], skip=True
            ),
            n_iterations=4,
            initial='fbp',
        )
        optimizer = torch.optim.Adam(network.parameters(), settings['rate'])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, settings['n_steps']
        )
        order = np.random.default_rng(seed).permutation(len(training))
        for i in order:
            y, x = as_tensor(training.data[i]), as_tensor(training.truths[i])
            loss = (network(y) - x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        yield network.eval()


def method_of(name, acquisition, settings):
    """Return what maps data to an uncertainty."""
    kind, *choice = name
    if kind == 'ensemble':
        return ensemble(members(acquisition, settings), acquisition.operator)
    network, transforms = choice
    group = {'c4': 'C4', 'ordinary': 'C1'}[network]
    actions = {
        'outside of the group': default_actions(acquisition.space, group),
        'quarter turns': group_actions(acquisition.space, 'C4'),
        'none': [],
    }[transforms]
    network = models.load(f'sparse_view_ct_{network}', acquisition)
    return bootstrap(
        for_inference(network),
        acquisition.operator,
        acquisition,
        actions,
        settings['n_samples'],
    )


def measure(method, found, settings):
    """Return the errors of all images, and what is said about them."""
    level, n = settings['level'], settings['n_calibration']
    # each image is resampled once, for both numbers
    known = {}

    def result(y):
        if id(y) not in known:
            known[id(y)] = method(y)
        return known[id(y)]

    pairs = list(zip(found.data, found.truths, strict=True))
    calibration = calibrate(result, pairs[:n], level)
    row = {'error': [], 'estimate': [], 'radius': [], 'pixels': []}
    for y, x in pairs:
        one = result(y)
        row['error'].append(distance(x, one.estimate))
        row['estimate'].append(one.mean_squared_error**0.5)
        row['radius'].append(one.radius(level))
        row['pixels'].append(one.covered(x, level))
    row['calibrated pixels'] = [
        calibration.covered(result(y), x) for y, x in pairs[n:]
    ]
    row['radius factor'] = calibration.radius_factor
    row['width factor'] = calibration.width_factor
    return row


def run(settings, n_views, folder, seed=0, kinds=KINDS):
    """Measure what has not been measured, and return all summaries."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    acquisition = SparseViewCT(
        (settings['size'],) * 2,
        n_views,
        settings['n_detectors'],
        settings['side'],
    )
    number = settings['n_calibration'] + settings['n_test']
    found, rows = None, {}
    names = [('bootstrap', *choice) for choice in BOOTSTRAPS]
    names.append(('ensemble',))
    for name in names:
        if name[0] not in kinds:
            continue
        stem = '_'.join((*name, str(n_views), str(seed))).replace(' ', '_')
        path = folder / f'{stem}.json'
        stored = {'settings': settings, 'n_views': n_views, 'seed': seed}
        if path.exists():
            known = json.loads(path.read_text(encoding='utf-8'))
            row = known.pop('row')
            if known != stored:
                raise ValueError(
                    f'{path} is of other settings; take another folder'
                )
        else:
            found = found or images(
                acquisition, number, _CALIBRATION_AND_TEST + seed
            )
            method = method_of(name, acquisition, settings)
            row = measure(method, found, settings)
            write_atomically(path, json.dumps(stored | {'row': row}).encode())
        rows[name] = summary(row, settings)
        shown = {k: v for k, v in rows[name].items() if k != 'scores'}
        print(', '.join(name), shown, flush=True)
    return rows


def main(arguments=None):
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.without_truth.coverage',
        description='Count the truths in regions of the bootstrap.',
    )
    parser.add_argument('--views', type=int, default=50)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--methods', nargs='+', choices=KINDS, default=KINDS)
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/coverage'
    )
    parser.add_argument(
        '--quick', action='store_true', help='a trial, in seconds'
    )
    parser.add_argument(
        '--results',
        type=pathlib.Path,
        help='JSON file of results, to which a part of the page is written',
    )
    options = parser.parse_args(arguments)
    settings = SETTINGS | (QUICK if options.quick else {})
    found = []
    for seed in options.seeds:
        found.append(
            run(
                settings,
                options.views,
                options.output,
                seed,
                options.methods,
            )
        )
        if options.results:
            lines = section(found, settings, options.views)
            write_results(options.results, {'coverage': {'lines': lines}})
    print(table(found))
    for sentence, figures, holds in statements(found, settings):
        print(f'- {sentence}: {figures}. {holds}.')
    return found


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
