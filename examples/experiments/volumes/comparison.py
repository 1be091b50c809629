# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Networks for volumes that were trained on few of them.

    python -m examples.experiments.volumes.comparison \
        --heads T1.nii.gz ch2.nii.gz GM.nii.gz WM.nii.gz ch2bet.nii.gz \
        --brain inia19-t1-brain.nii.gz --json docs/results/few_volumes.json

trains networks for magnetic resonance imaging on boxes of the first head, of
the first two, and of all five: networks that commute with the 24 rotations of
the cube, ordinary ones of the same width, and ordinary ones of about as few
weights. As the shipped ones, these are half-quadratic splitting with a
denoiser that is trained, and with the steps and levels of `volume_mri_o`. All
denoisers are trained for as many steps, on the same boxes with the same noise,
at the best of as many rates. They are scored on volumes that no network has
seen: the brain of a macaque, upright and lying, and phantoms. Total variation,
at the weight that is best for the truth, is measured beside them.

The heads are templates of nilearn and of Debian's ``mricron-data``. Without
them, networks are trained on phantoms. What is trained or scored is kept in
the folder ``--output``, and the same command goes on with what is missing. It
takes a quarter of an hour on one core. What is compared is in
`comparison.yaml`.
"""

import argparse
import hashlib
import json
import pathlib
import zlib

import numpy as np
import torch
import yaml

from examples.comparison.volumes import (
    VolumeProblem,
    brain,
    phantoms,
    psnr,
    total_variation,
    turns,
)
from examples.experiments.kernel_bases import rate_at
from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.actions import group_actions
from odl_equivariant.data import VolumeMRI, ellipsoid_phantom
from odl_equivariant.diagnostics import reconstruction_equivariance_error
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedHalfQuadraticSplitting,
    OrdinaryProximal,
)

__all__ = ('Study', 'main')

SETTINGS = pathlib.Path(__file__).with_suffix('.yaml')
SEARCH_SEED = 1000
LARGEST_GRADIENT = 1.0
# the noise of a step, and the boxes to choose a rate with
_NOISE, _CHOICE = 0x6E6F6973, 0x63686F69


class Study:
    """All networks that the settings name, in one folder.

    Parameters
    ----------
    settings : dict
        Those of `comparison.yaml`, of one scale.
    heads : list of numpy.ndarray
        Volumes to train on, with values from 0 to 1.
    folder : path-like
        Where networks and scores are kept.
    file : path-like, optional
        NIfTI file of a brain to score on. Default: phantoms only.
    """

    def __init__(self, settings, heads, folder, file=None):
        most = max(settings['n_volumes'])
        if len(heads) < most:
            raise ValueError(
                f'networks are trained on up to {most} volumes, got '
                f'{len(heads)}: give more heads, or none for phantoms'
            )
        self.settings, self.heads = settings, heads
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tests = self._tests(file)
        left_out = ('rates', 'n_steps', 'seeds', 'n_volumes', 'arms')
        shared = {k: v for k, v in settings.items() if k not in left_out}
        text = json.dumps(shared, sort_keys=True).encode()
        for volume in [*heads, *self.tests.get('brain', [])]:
            # a file is what it holds, wherever it lies
            own = zlib.crc32(np.ascontiguousarray(volume))
            text += own.to_bytes(4, 'big')
        self._digest = hashlib.blake2b(text, digest_size=6).hexdigest()

    def _tests(self, file):
        """Return the volumes to score on, in lists by what they show."""
        side = self.settings['test_side']
        found = {'phantoms': phantoms(self.settings['n_phantoms'], side)}
        if file is None:
            return found
        upright = brain(file, side)
        space = VolumeMRI(upright.shape).space.real_space
        lying = [turn(space.element(upright)) for turn in turns(space)]
        lying = [element.asarray() for element in lying]
        # each scan has other masks and another noise
        n_scans = self.settings['n_scans']
        return {
            'brain': n_scans * [upright],
            'brain, lying': n_scans * lying,
            **found,
        }

    # --- Networks --- #

    def denoiser(self, arm):
        """Return the denoiser of an arm with new weights."""
        options = {**self.settings['denoiser'], **self.settings['arms'][arm]}
        if 'group' in options:
            return EquivariantProximal(**options)
        return OrdinaryProximal(dimension=3, **options)

    def method(self, denoiser, operator):
        """Return the reconstruction with a denoiser, as an operator."""
        network = LearnedHalfQuadraticSplitting(
            operator, denoiser, **self.settings['splitting']
        )
        return network.eval().as_operator()

    def _box(self, n_volumes, *seed):
        """Return a random box of the first volumes."""
        rng = np.random.default_rng(seed)
        volume = self.heads[rng.integers(n_volumes)]
        side = self.settings['box']
        corner = [rng.integers(n - side + 1) for n in volume.shape]
        return volume[tuple(slice(k, k + side) for k in corner)]

    def _path(self, arm, n_volumes, rate, seed, n_steps, suffix):
        name = f'{arm}-{n_volumes}-{rate:.1e}-{seed}-{n_steps}'
        return self.folder / f'{name}-{self._digest}{suffix}'

    def trained(self, arm, n_volumes, rate, seed, n_steps):
        """Return a denoiser, trained unless it is in a file."""
        path = self._path(arm, n_volumes, rate, seed, n_steps, '.safetensors')
        if path.exists():
            return models.load(path)
        torch.manual_seed(seed)
        denoiser = self.denoiser(arm)
        optimizer = torch.optim.Adam(denoiser.parameters(), rate)
        for step in range(n_steps):
            # the same boxes and noise for all arms
            truth = torch.tensor(self._box(n_volumes, seed, step))[None, None]
            rng = np.random.default_rng([seed, step, _NOISE])
            level = torch.tensor([rng.uniform(*self.settings['levels'])])
            level = level.to(truth.dtype)
            noise = torch.tensor(rng.standard_normal(truth.shape, np.float32))
            share = rate_at(step, n_steps, self.settings['warm_up'])
            optimizer.param_groups[0]['lr'] = rate * share
            optimizer.zero_grad()
            gap = denoiser(truth + level * noise, sigma=level) - truth
            (gap / level).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(
                denoiser.parameters(), LARGEST_GRADIENT
            )
            optimizer.step()
        models.save(denoiser, path)
        return denoiser

    # --- Scores --- #

    def choice(self, arm, rate):
        """Return the score at a rate, on other boxes of the training."""
        search = self.settings['search']
        denoiser = self.trained(
            arm, search['n_volumes'], rate, SEARCH_SEED, search['n_steps']
        )
        found = []
        for i in range(search['n_boxes']):
            box = self._box(search['n_volumes'], i, _CHOICE)
            found.append(self._score(denoiser, self._problem(box, i)))
        return float(np.mean(found))

    def _problem(self, volume, seed):
        settings = self.settings
        return VolumeProblem(
            volume, settings['acceleration'], settings['sigma'], seed
        )

    def _score(self, denoiser, problem):
        found = self.method(denoiser, problem.operator)(problem.data)
        return psnr(found, problem.truth)

    def problems(self):
        """Yield what a volume shows, and its data, for all test volumes."""
        for label, volumes in self.tests.items():
            for seed, volume in enumerate(volumes):
                yield label, self._problem(volume, seed)

    def row(self, arm, n_volumes, rate, seed):
        """Return the scores of a network, kept in a file."""
        n_steps = self.settings['n_steps']
        path = self._path(arm, n_volumes, rate, seed, n_steps, '.json')
        if path.exists():
            return json.loads(path.read_text('utf-8'))
        denoiser = self.trained(arm, n_volumes, rate, seed, n_steps)
        row = {'arm': arm, 'n_volumes': n_volumes, 'seed': seed, 'rate': rate}
        row |= self._means(lambda problem: self._score(denoiser, problem))
        if seed == self.settings['seeds'][0]:
            row['missed'] = self._missed(denoiser)
        write_atomically(path, json.dumps(row).encode())
        return row

    def _means(self, score):
        """Return the mean of a score for what the test volumes show."""
        found = {}
        for label, problem in self.problems():
            found.setdefault(label, []).append(score(problem))
        return {label: float(np.mean(own)) for label, own in found.items()}

    def _missed(self, denoiser):
        """Return the largest error of all turns of a scan."""
        side = self.settings['turned']
        problem = self._problem(phantoms(1, side)[0], 0)
        A, y = problem.operator, problem.data
        return max(
            reconstruction_equivariance_error(
                lambda A, y: self.method(denoiser, A)(y), A, turn, y
            )
            for turn in group_actions(A.domain, self.settings['group'])
        )

    def variation(self):
        """Return the scores of total variation, kept in a file."""
        path = self.folder / f'variation-{self._digest}.json'
        if not path.exists():
            found = self._means(lambda problem: total_variation(problem)[0])
            write_atomically(path, json.dumps(found).encode())
        return json.loads(path.read_text('utf-8'))


def _n_weights(module):
    return sum(weight.numel() for weight in module.parameters())


def results(study):
    """Yield the rates, weights and rows of a study, after each seed."""
    settings = study.settings
    tried = {
        arm: {rate: study.choice(arm, rate) for rate in settings['rates']}
        for arm in settings['arms']
    }
    result = {
        'n_steps': settings['n_steps'],
        'n_weights': {
            arm: _n_weights(study.denoiser(arm)) for arm in settings['arms']
        },
        'tried': tried,
        'total_variation': study.variation(),
        'rows': [],
    }
    rates = {arm: max(own, key=own.get) for arm, own in tried.items()}
    for seed in settings['seeds']:
        for n_volumes in settings['n_volumes']:
            for arm in settings['arms']:
                row = study.row(arm, n_volumes, rates[arm], seed)
                print(json.dumps(row), flush=True)
                result['rows'].append(row)
        yield result


def main(arguments=None):
    """Train and score what the arguments ask for, and return the result."""
    settings = yaml.safe_load(SETTINGS.read_text('utf-8'))
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.volumes.comparison',
        description='Compare networks that were trained on few volumes.',
    )
    parser.add_argument(
        '--heads', nargs='+', default=[], metavar='NIFTI', help='in order'
    )
    parser.add_argument('--brain', metavar='NIFTI', help='to score on')
    parser.add_argument('--scale', choices=settings['scales'], default='small')
    parser.add_argument('--json', type=pathlib.Path, help='file of the result')
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/few_volumes'
    )
    options = parser.parse_args(arguments)
    settings = {**settings['common'], **settings['scales'][options.scale]}
    side = settings['side']
    try:
        heads = [brain(file, side) for file in options.heads] or [
            ellipsoid_phantom(3 * (side,), rng=2021 + i)
            for i in range(max(settings['n_volumes']))
        ]
        study = Study(settings, heads, options.output, options.brain)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    for result in results(study):
        if options.json is not None:
            text = json.dumps(result, indent=1) + '\n'
            write_atomically(options.json, text.encode())
    return result


if __name__ == '__main__':
    main()
