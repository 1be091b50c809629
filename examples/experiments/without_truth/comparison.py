# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Networks that learn with ground truth, and without.

    python -m examples.experiments.without_truth.comparison --scale small

trains networks that are equivariant by design, averaged over the group, and
ordinary ones: supervised, by splitting with symmetry and without, by
equivariant imaging and by measurement consistency, in tomography and MRI, with
noise and without. All have the same budget, the same images in the same order
and the same search for rates. Results are written after each network, and the
same command goes on with a run that was stopped, from its last checkpoint.
What is compared is in `comparison.yaml`.
"""

import argparse
import hashlib
import itertools
import json
import math
import pathlib
import time
import warnings
import zlib

import numpy as np
import torch
import yaml

from examples.experiments.images import acquisition_of, parts, real_slices
from examples.experiments.kernel_bases import (
    load_checkpoint,
    rate_at,
    save_checkpoint,
)
from examples.experiments.tables import mean_and_spread
from examples.experiments.without_truth.arms import (
    Arm,
    loss_of,
    network_of,
    problem_settings,
    reconstruct,
)
from examples.experiments.without_truth.verdicts import verdicts
from odl_equivariant._files import write_atomically
from odl_equivariant.training import scores
from odl_equivariant.training.losses import Problem

__all__ = ('Study', 'main')

SETTINGS = pathlib.Path(__file__).with_suffix('.yaml')
SEARCH_SEED = 1000
CHECKPOINT_EVERY = 50


class Study:
    """All networks of a problem, with noise or without, in one folder."""

    def __init__(self, settings, scale, name, noise, folder):
        self.name, self.noise = name, noise
        self.settings = problem_settings(settings, scale, name, noise)
        self.arms = [
            Arm(loss, network)
            for loss, networks in settings['arms'].items()
            for network in networks
        ]
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.acquisition = acquisition_of(self.settings)
        self.images = parts(self.settings, {})
        self.slices = real_slices(self.settings)
        left_out = ('rates', 'n_steps', 'search_steps', 'seeds')
        shared = {k: v for k, v in self.settings.items() if k not in left_out}
        text = json.dumps(shared, sort_keys=True).encode()
        self._digest = hashlib.blake2b(text, digest_size=6).hexdigest()

    def run(self):
        """Train and score what has not been, and yield a row for each."""
        for arm in self.arms:
            try:
                rate = self.best_rate(arm)
            except ValueError as error:
                # what a loss cannot learn, it refuses
                yield self._row(arm, None, {'refused': str(error)})
                continue
            for seed in self.settings['seeds']:
                steps = self.settings['n_steps']
                found = self.trained(arm, rate, seed, steps)
                yield self._row(arm, seed, {'rate': rate, **found})

    def _row(self, arm, seed, found):
        row = {'problem': self.name, 'noise': self.noise, 'seed': seed}
        return {**row, 'loss': arm.loss, 'network': arm.network, **found}

    def best_rate(self, arm):
        """Return the best rate on the images to choose with.

        The search goes on while the best one is the first or the last.
        """
        rates = sorted(self.settings['rates'])
        steps = self.settings['search_steps']
        while True:
            found = [
                self.trained(arm, rate, SEARCH_SEED, steps)['validation']
                for rate in rates
            ]
            best = rates[int(np.argmax(found))]
            if len(rates) == 1 or best not in (rates[0], rates[-1]):
                return best
            if not 1e-6 < best < 1:
                return best
            ratio = rates[1] / rates[0]
            more = best / ratio if best == rates[0] else best * ratio
            rates = sorted([*rates, more])

    def trained(self, arm, rate, seed, steps):
        """Return the scores of a network, and train it where need be."""
        words = [self.name, self.noise, arm.loss, arm.network]
        name = '-'.join(words).replace(' ', '_')
        name += f'-{rate:.1e}-{seed}-{steps}-{self._digest}'
        path = self.folder / f'{name}.json'
        if path.exists():
            return json.loads(path.read_text(encoding='utf-8'))
        checkpoint = self.folder / f'{name}.safetensors'
        network, cost = self._train(arm, rate, seed, steps, checkpoint)
        sets = ['validation'] + ['test', 'slices'] * (seed != SEARCH_SEED)
        found = {one: self._score(arm, network, one) for one in sets}
        found['seconds'] = cost
        write_atomically(path, json.dumps(found).encode())
        checkpoint.unlink(missing_ok=True)
        print(name, found, flush=True)
        return found

    def _train(self, arm, rate, seed, steps, checkpoint):
        """Return a network, and the processor time of a step."""
        torch.manual_seed(seed)
        network = network_of(arm, self.settings)
        loss = loss_of(arm, self.settings, self.noise)
        loss.check(self.acquisition, network)
        optimizer = torch.optim.Adam(network.parameters(), rate)
        start, seconds = 0, []
        if checkpoint.exists():
            start = load_checkpoint(checkpoint, network, optimizer)
        for step in range(start, steps):
            begin = time.process_time()
            optimizer.zero_grad()
            loss(self._problem(network, seed, step)).mean().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            for group in optimizer.param_groups:
                warm_up = self.settings['warm_up']
                group['lr'] = rate * rate_at(step, steps, warm_up)
            optimizer.step()
            seconds.append(time.process_time() - begin)
            if (step + 1) % CHECKPOINT_EVERY == 0:
                save_checkpoint(checkpoint, network, optimizer, step + 1)
        return network.eval(), float(np.median(seconds)) if seconds else None

    def _problem(self, network, seed, step):
        """Return the problem of a step, the same for all arms."""
        images = self.images['train']
        n = len(images)
        # each image once in a round
        order = np.random.default_rng([seed, step // n]).permutation(n)
        chosen = int(order[step % n])
        # an image has one measurement, as where nobody measures it again
        pair = self.acquisition.pair(images[chosen], [seed, chosen])
        generator = torch.Generator().manual_seed(10**6 * seed + step)
        return Problem(
            network,
            pair['data'][None],
            self.acquisition,
            truth=pair['truth'][None],
            generator=generator,
        )

    def _score(self, arm, network, name):
        """Return the mean PSNR in dB, -inf where training diverged."""
        images = self.slices
        if name != 'slices':
            images = {str(i): one for i, one in enumerate(self.images[name])}
        found = []
        for key, image in images.items():
            seed = zlib.crc32(f'{name} {key}'.encode())
            pair = self.acquisition.pair(np.array(image), seed)
            result = reconstruct(
                arm, network, pair['data'][None], self.settings
            )
            if not bool(torch.isfinite(result).all()):
                return -math.inf
            found.append(float(scores(result, pair['truth'][None])['psnr'][0]))
        return float(np.mean(found)) if found else None


def table(rows):
    """Return the scores as a table in Markdown."""
    lines = [
        '| problem | noise | loss | network | phantoms, dB | slices, dB | '
        'seconds a step |',
        '|---|---|---|---|---|---|---|',
    ]

    def key(row):
        return [row[k] for k in ('problem', 'noise', 'loss', 'network')]

    for name, group in itertools.groupby(rows, key):
        group = list(group)
        cells = ' | '.join(name)
        if 'refused' in group[0]:
            lines.append(f'| {cells} | refused | | |')
            continue
        shown = []
        for kind in ('test', 'slices'):
            mean, spread = mean_and_spread([row[kind] for row in group])
            shown.append(f'{mean:.2f} ± {spread:.2f}')
        seconds = [row['seconds'] for row in group if row['seconds']]
        cost = f'{np.median(seconds):.3f}' if seconds else ''
        lines.append(f'| {cells} | {" | ".join(shown)} | {cost} |')
    return '\n'.join(lines)


def main(arguments=None):
    """Run what the arguments ask for, and return the rows."""
    with open(SETTINGS, encoding='utf-8') as file:
        settings = yaml.safe_load(file)
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.without_truth.comparison',
        description='Compare learning with ground truth and without.',
    )
    parser.add_argument('--scale', choices=settings['scales'], default='small')
    parser.add_argument(
        '--problems',
        nargs='+',
        choices=settings['problems'],
        default=list(settings['problems']),
    )
    parser.add_argument(
        '--noise',
        nargs='+',
        choices=('with', 'without'),
        default=['with', 'without'],
    )
    parser.add_argument(
        '--losses',
        nargs='+',
        choices=settings['arms'],
        default=list(settings['arms']),
    )
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/without_truth'
    )
    options = parser.parse_args(arguments)
    settings['arms'] = {k: settings['arms'][k] for k in options.losses}
    rows = []
    for name, noise in itertools.product(options.problems, options.noise):
        study = Study(settings, options.scale, name, noise, options.output)
        with warnings.catch_warnings():
            # known, and told by the table
            warnings.filterwarnings('ignore', '.*equivariant under the group')
            warnings.filterwarnings('ignore', '.*is applied to one sample')
            rows += study.run()
        result = {'scale': options.scale, 'rows': rows}
        path = options.output / 'comparison.json'
        write_atomically(path, json.dumps(result, indent=1).encode())
    print(table(rows))
    for sentence, figures, verdict in verdicts(rows):
        print(f'- {sentence}: {figures}. {verdict}.')
    return rows


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
