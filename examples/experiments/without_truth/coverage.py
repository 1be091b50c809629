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

from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.actions import group_actions
from odl_equivariant.data import Phantoms, SparseViewCT
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.uncertainty import bootstrap, calibrate, ensemble
from odl_equivariant.uncertainty.result import distance

SETTINGS = {
    # with the pixels that the shipped networks were trained for
    'size': 48,
    'side': 0.135,
    'n_detectors': 136,
    'level': 0.9,
    'n_calibration': 60,
    'n_test': 100,
    'n_samples': 8,
    'n_members': 4,
    'n_steps': 150,
    'channels': 16,
    'rate': 3e-3,
    # of the errors of many divisions into calibration and test
    'n_divisions': 1000,
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
    'n_divisions': 3,
}
# networks, and the transforms of their bootstraps
BOOTSTRAPS = (
    ('c4', 'outside of the group'),
    ('c4', 'none'),
    ('c4', 'quarter turns'),
    ('ordinary', 'outside of the group'),
    ('ordinary', 'none'),
)
# of phantoms: none is used twice
_CALIBRATION_AND_TEST, _TRAINING = 71, 72


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
    actions = {
        'outside of the group': None,
        'quarter turns': group_actions(acquisition.space, 'C4'),
        'none': [],
    }[transforms]
    return bootstrap(
        models.load(f'sparse_view_ct_{network}', acquisition).eval(),
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


def summary(row, settings):
    """Return the coverages of a method."""
    error, size, radius = (
        np.array(row[key]) for key in ('error', 'estimate', 'radius')
    )
    n = settings['n_calibration']
    test = slice(n, None)
    scores = error / size
    rng = np.random.default_rng(0)
    rank = int(np.ceil(round((n + 1) * settings['level'], 9)))
    divided = []
    for _ in range(settings['n_divisions']):
        mixed = rng.permutation(scores)
        factor = np.sort(mixed[:n])[rank - 1]
        divided.append(np.mean(mixed[test] <= factor))
    return {
        'error over its estimate': float(np.sqrt(np.mean(scores**2))),
        'correlation': float(np.corrcoef(error, size)[0, 1]),
        'region': float(np.mean(error[test] <= radius[test])),
        'pixels': float(np.mean(row['pixels'][test])),
        'calibrated region': float(
            np.mean(scores[test] <= row['radius factor'])
        ),
        'calibrated region, divisions': float(np.mean(divided)),
        'calibrated pixels': float(np.mean(row['calibrated pixels'])),
        'radius factor': row['radius factor'],
    }


def run(settings, n_views, folder):
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
    for name in [*names[:2], ('ensemble',), *names[2:]]:
        stem = '_'.join((*name, str(n_views))).replace(' ', '_')
        path = folder / f'{stem}.json'
        stored = {'settings': settings, 'n_views': n_views}
        if path.exists():
            known = json.loads(path.read_text(encoding='utf-8'))
            row = known.pop('row')
            if known != stored:
                raise ValueError(
                    f'{path} is of other settings; take another folder'
                )
        else:
            found = found or images(acquisition, number, _CALIBRATION_AND_TEST)
            method = method_of(name, acquisition, settings)
            row = measure(method, found, settings)
            write_atomically(path, json.dumps(stored | {'row': row}).encode())
        rows[name] = summary(row, settings)
        print(', '.join(name), rows[name], flush=True)
    return rows


def table(rows):
    """Return the coverages as a table in Markdown, in percent."""
    lines = [
        '| method | region | pixels | calibrated region | over divisions | '
        'calibrated pixels | error over its estimate | correlation |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for name, row in rows.items():
        percent = [
            f'{100 * row[key]:.1f}'
            for key in (
                'region',
                'pixels',
                'calibrated region',
                'calibrated region, divisions',
                'calibrated pixels',
            )
        ]
        lines.append(
            f'| {", ".join(name)} | {" | ".join(percent)} | '
            f'{row["error over its estimate"]:.2f} | '
            f'{row["correlation"]:.2f} |'
        )
    return '\n'.join(lines)


def statements(rows, settings):
    """Return what the figures say: a sentence, the figures, and whether."""
    level = settings['level']
    calibrated = [
        row[key]
        for row in rows.values()
        for key in ('calibrated region', 'calibrated pixels')
    ]
    gap = max(abs(value - level) for value in calibrated)
    outside, inside, none = (
        rows['bootstrap', 'c4', kind]
        for kind in ('outside of the group', 'quarter turns', 'none')
    )
    return [
        (
            'After calibration, coverage is within 5 points of its level',
            f'at most {100 * gap:.1f} points away',
            gap <= 0.05,
        ),
        (
            'Transforms outside of the group bring the estimated error '
            'nearer to the error',
            f'error over its estimate {outside["error over its estimate"]:.2f}'
            f' with, {none["error over its estimate"]:.2f} without',
            abs(np.log(outside['error over its estimate']))
            < abs(np.log(none['error over its estimate'])),
        ),
        (
            'Transforms of the group bring nothing (a ratio of at most 1.02)',
            f'error over its estimate {inside["error over its estimate"]:.2f}'
            f' with, {none["error over its estimate"]:.2f} without',
            abs(
                np.log(
                    inside['error over its estimate']
                    / none['error over its estimate']
                )
            )
            <= np.log(1.02),
        ),
    ]


def main(arguments=None):
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.without_truth.coverage',
        description='Count the truths in regions of the bootstrap.',
    )
    parser.add_argument('--views', type=int, default=50)
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/coverage'
    )
    parser.add_argument(
        '--quick', action='store_true', help='a trial, in seconds'
    )
    options = parser.parse_args(arguments)
    settings = SETTINGS | (QUICK if options.quick else {})
    rows = run(settings, options.views, options.output)
    print(table(rows))
    for sentence, figures, holds in statements(rows, settings):
        print(f'- {sentence}: {figures}. {"Holds" if holds else "Does not"}.')


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
