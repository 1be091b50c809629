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

from examples.experiments.tables import mean_and_spread, verdict
from examples.experiments.without_truth.results import write_results
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
    divided = []
    for _ in range(settings['n_divisions']):
        mixed = rng.permutation(scores)
        divided.append(_share(mixed[:n], mixed[test], settings['level']))
    return {
        # of one image each, for `pooled`
        'scores': scores.tolist(),
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


def _share(calibration, test, level):
    """Return the share of scores below the factor of a calibration."""
    rank = int(np.ceil(round((len(calibration) + 1) * level, 9)))
    return float(np.mean(test <= np.sort(calibration)[rank - 1]))


def pooled(found, settings):
    """Return the coverage of regions with all draws as one.

    The calibration images of all draws give one factor, with which all their
    test images are counted.

    Parameters
    ----------
    found : list of dict
        For each draw, the summaries of all methods.

    Returns
    -------
    coverages : dict of float
        One for each method.
    """
    n = settings['n_calibration']
    coverages = {}
    for name in found[0]:
        scores = np.array([rows[name]['scores'] for rows in found])
        coverages[name] = _share(
            scores[:, :n].ravel(), scores[:, n:].ravel(), settings['level']
        )
    return coverages


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


def table(found):
    """Return the coverages as a table in Markdown, in percent.

    Parameters
    ----------
    found : list of dict
        For each seed, the summaries of all methods.
    """
    lines = [
        '| method | region | pixels | calibrated region | over divisions | '
        'calibrated pixels | error over its estimate | correlation |',
        '|---|---|---|---|---|---|---|---|',
    ]
    columns = [
        ('region', 100, 1),
        ('pixels', 100, 1),
        ('calibrated region', 100, 1),
        ('calibrated region, divisions', 100, 1),
        ('calibrated pixels', 100, 1),
        ('error over its estimate', 1, 2),
        ('correlation', 1, 2),
    ]
    for name in found[0]:
        cells = []
        for key, unit, digits in columns:
            values = [unit * rows[name][key] for rows in found]
            mean, spread = mean_and_spread(values)
            cells.append(f'{mean:.{digits}f}')
            if len(found) > 1:
                cells[-1] += f' ± {spread:.{digits}f}'
        lines.append(f'| {", ".join(name)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def statements(found, settings):
    """Return what the figures of all seeds say.

    Returns
    -------
    statements : list of tuple of str
        A sentence, its figures, and whether it holds, in part or not.
    """
    level = settings['level']
    away, mean_away, ratios = [], [], {kind: [] for kind in _KINDS}
    for rows in found:
        for row in rows.values():
            regions = [row['calibrated region'], row['calibrated pixels']]
            away.append(max(abs(value - level) for value in regions))
            divided = row['calibrated region, divisions']
            mean_away.append(abs(divided - level))
        for kind, values in ratios.items():
            row = rows['bootstrap', 'c4', kind]
            values.append(row['error over its estimate'])
    outside, inside, none = ratios.values()
    together = [abs(one - level) for one in pooled(found, settings).values()]
    n, n_test = settings['n_calibration'], settings['n_test']
    # of the factor, and of the count; the share below it is a beta variable
    spread = np.sqrt(level * (1 - level) * (1 / (n + 2) + 1 / n_test))
    of_all = [
        (
            f'With the {len(found)} draws as one, {len(found) * n} images to '
            f'calibrate with and {len(found) * n_test} to count, coverage of '
            'regions is within 5 points of its level, for each method',
            _joined(100 * gap for gap in together) + ' points away',
            verdict([gap <= 0.05 for gap in together]),
        ),
    ]
    return [
        *(of_all if len(found) > 1 else []),
        (
            'After one calibration, coverage is within 5 points of its level, '
            'for each method and draw',
            _joined(100 * gap for gap in away) + ' points away, with a '
            f'standard deviation of {100 * spread:.1f} by chance alone',
            verdict([gap <= 0.05 for gap in away]),
        ),
        (
            'In the mean over calibrations, coverage of regions is within 5 '
            'points of its level, for each method',
            _joined(100 * gap for gap in mean_away) + ' points away',
            verdict([gap <= 0.05 for gap in mean_away]),
        ),
        (
            'Transforms outside of the group bring the estimated error '
            'nearer to the error',
            f'error over its estimate {_joined(outside)} with, '
            f'{_joined(none)} without',
            verdict(
                [
                    abs(np.log(one)) < abs(np.log(other))
                    for one, other in zip(outside, none, strict=True)
                ]
            ),
        ),
        (
            'Transforms of the group bring nothing (a ratio of at most 1.02)',
            f'error over its estimate {_joined(inside)} with, '
            f'{_joined(none)} without',
            verdict(
                [
                    abs(np.log(one / other)) <= np.log(1.02)
                    for one, other in zip(inside, none, strict=True)
                ]
            ),
        ),
    ]


_KINDS = ('outside of the group', 'quarter turns', 'none')


def _joined(values):
    return ', '.join(f'{value:.2f}' for value in values)


def section(found, settings, n_views):
    """Return the coverages as lines of a page in Markdown."""
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
        f'calibrated on {settings["n_calibration"]} other phantoms, and on '
        f'{settings["n_divisions"]} other divisions of all. In percent, '
        + ('mean and standard deviation over ' if len(found) > 1 else 'of ')
        + f'{len(found)} draw{"s" * (len(found) != 1)} of the phantoms.',
        '',
        '| statement | measured | verdict |',
        '|---|---|---|',
        *(f'| {" | ".join(row)} |' for row in statements(found, settings)),
        '',
        *table(found).splitlines(),
    ]


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
