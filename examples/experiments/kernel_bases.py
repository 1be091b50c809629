# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which basis of kernels is best: smooth, complete, mixed, Fourier or none.

    python -m examples.experiments.kernel_bases --task denoising \
        --images FOLDER --output results/kernel_bases

trains denoisers, or unrolled networks for tomography, with escnn's smooth
kernels, with all kernels that are equivariant on the grid, with both (the
others started at zero), with turned Fourier series and with ordinary ones: of
the same width, and with about as many parameters. All see the same patches and
noise in the same order, and have their rates from the same search, with a seed
of its own. Results are written after each network, and the same command goes
on with a run that was stopped, from its last checkpoint.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import pathlib

import numpy as np
import safetensors.torch
import torch

from examples.experiments.kernel_tasks import TASKS, Arm, parts
from examples.experiments.tables import mean_and_spread
from odl_equivariant._files import write_atomically

SEARCH_SEED = 1000
KERNELS = ('escnn', 'grid', 'mixed', 'fourier', 'ordinary')
CHECKPOINT_EVERY = 200
SETTINGS = {
    'denoising': {
        'group': 'C4',
        'channels': 48,
        'size': 24,
        'batch': 8,
        'noise': 0.1,
        'peak': 1.0,
        'rates': [1e-3, 10**-2.5, 1e-2],
        'steps': [1200, 3600],
        'search_steps': 300,
        'warm_up': 50,
        'seeds': [1, 2, 3],
        'n_scored': 20,
    },
    'ct': {
        'group': 'C4',
        'channels': 24,
        'size': 64,
        'batch': 1,
        'n_iterations': 4,
        'n_views': 24,
        # of white, relative to that of the densest bone: that of water
        'peak': 0.25,
        'rates': [1e-3, 10**-2.5, 1e-2],
        'steps': [300],
        'search_steps': 300,
        'warm_up': 30,
        'seeds': [1, 2, 3],
        'n_scored': 20,
    },
}
# What `--quick` changes: all code runs, and the figures mean nothing.
QUICK = {
    'channels': 8,
    'size': 16,
    'n_iterations': 2,
    'rates': [1e-3],
    'steps': [3, 4],
    'search_steps': 2,
    'warm_up': 1,
    'seeds': [1, 2],
    'n_scored': 2,
}


def arms_of(task):
    """Return the arms of equal width, and of about equally many parameters."""
    settings = task.settings
    same_width = [Arm(kernels, settings['channels']) for kernels in KERNELS]

    def size(arm):
        # made without numbers, and so without calibration
        with torch.device('meta'):
            return n_parameters(task.block(arm))

    aim = size(same_width[0])
    same_number = [same_width[0]]
    for kernels in KERNELS[1:]:
        order = 1 if kernels == 'ordinary' else int(settings['group'][1:])
        widths = range(order, settings['channels'] + 1, order)
        same_number.append(
            min(
                (Arm(kernels, width) for width in widths),
                key=lambda arm: abs(size(arm) - aim),
            )
        )
    return {'same width': same_width, 'same number': same_number}


def n_parameters(network):
    """Return the number of trained numbers."""
    return sum(p.numel() for p in network.parameters())


def rate_at(step, steps, warm_up):
    """Return the share of the rate at a step: a rise, then a cosine."""
    rise = min(1, (step + 1) / warm_up)
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def save_checkpoint(path, network, optimizer, step):
    """Write weights, the state of Adam and the step, whole or not at all."""
    tensors = {'step': torch.tensor(step)}
    for name, parameter in network.named_parameters():
        tensors[name] = parameter.detach()
        for key, value in optimizer.state[parameter].items():
            tensors[f'adam.{key}.{name}'] = value
    tensors = {k: v.contiguous() for k, v in tensors.items()}
    write_atomically(path, safetensors.torch.save(tensors))


def load_checkpoint(path, network, optimizer):
    """Restore a run and return the number of steps it has made."""
    tensors = safetensors.torch.load_file(path)
    for name, parameter in network.named_parameters():
        with torch.no_grad():
            parameter.copy_(tensors[name])
        optimizer.state[parameter] = {
            # the step stays where Adam has it
            key: tensors[f'adam.{key}.{name}'].to(
                'cpu' if key == 'step' else parameter.device
            )
            for key in ('step', 'exp_avg', 'exp_avg_sq')
        }
    return int(tensors['step'])


def _digest(settings, images):
    """Return a short name of what all networks share."""
    digest = hashlib.blake2b(digest_size=6)
    left_out = ('rates', 'steps', 'search_steps', 'seeds')
    shared = {k: v for k, v in settings.items() if k not in left_out}
    digest.update(json.dumps(shared, sort_keys=True).encode())
    for part in images.values():
        for image in part:
            digest.update(image.numpy())
    return digest.hexdigest()


class Study:
    """All networks of a task, in one folder."""

    def __init__(self, name, settings, images, folder):
        self.name, self.task = name, TASKS[name](settings)
        self.settings, self.images = settings, images
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._digest = _digest(settings, images)

    def run(self):
        """Train and score what has not been, and return all results."""
        comparisons, rates = arms_of(self.task), {}
        for arms in comparisons.values():
            for arm in arms:
                rates[arm] = self.best_rate(arm)
            for steps in self.settings['steps']:
                for seed in self.settings['seeds']:
                    for arm in arms:
                        self.trained(arm, rates[arm], seed, steps)
                        results = self.results(comparisons, rates)
        return results

    def best_rate(self, arm):
        """Return the best rate on the images to choose with.

        The search goes on while the best one is the first or the last.
        """
        rates = sorted(self.settings['rates'])
        while True:
            scores = [
                self.trained(
                    arm, rate, SEARCH_SEED, self.settings['search_steps']
                )['validation']
                for rate in rates
            ]
            best = rates[int(np.argmax(scores))]
            if len(rates) == 1 or best not in (rates[0], rates[-1]):
                return best
            ratio = rates[1] / rates[0]
            more = best / ratio if best == rates[0] else best * ratio
            rates = sorted([*rates, more])

    def trained(self, arm, rate, seed, steps, only_known=False):
        """Return the scores of a network, and train it where need be."""
        name = f'{self.name}-{arm.kernels}-{arm.channels}'
        name += f'-{rate:.1e}-{seed}-{steps}-{self._digest}'
        path = self.folder / f'{name}.json'
        if path.exists():
            return json.loads(path.read_text(encoding='utf-8'))
        if only_known:
            return None
        checkpoint = self.folder / f'{name}.safetensors'
        network = self._train(arm, rate, seed, steps, checkpoint)
        parts = ['validation'] + ['test'] * (seed != SEARCH_SEED)
        found = {part: self._score(network, part) for part in parts}
        found['parameters'] = n_parameters(network)
        write_atomically(path, json.dumps(found).encode())
        checkpoint.unlink(missing_ok=True)
        print(name, found, flush=True)
        return found

    def _train(self, arm, rate, seed, steps, checkpoint):
        torch.manual_seed(seed)
        network = self.task.network(arm)
        optimizer = torch.optim.Adam(network.parameters(), rate)
        start = 0
        if checkpoint.exists():
            start = load_checkpoint(checkpoint, network, optimizer)
        for step in range(start, steps):
            # of the seed and the step alone, and so the same for all arms
            rng = np.random.default_rng([seed, step])
            given, truth = self.task.pairs(self.images['train'], rng)
            loss = (network(given) - truth).square().mean()
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group['lr'] = rate * rate_at(
                    step, steps, self.settings['warm_up']
                )
            optimizer.step()
            if (step + 1) % CHECKPOINT_EVERY == 0:
                save_checkpoint(checkpoint, network, optimizer, step + 1)
        return network.eval()

    @torch.no_grad()
    def _score(self, network, part):
        """Return the mean PSNR in dB, -inf where training diverged."""
        scores = []
        images = self.images[part][: self.settings['n_scored']]
        for i, image in enumerate(images):
            rng = np.random.default_rng([len(part), i])
            given, truth = self.task.whole(image, rng)
            error = float((network(given) - truth).square().mean())
            if not math.isfinite(error):
                return -math.inf
            peak = self.settings['peak']
            scores.append(10 * math.log10(peak**2 / error))
        return float(np.mean(scores))

    def results(self, comparisons, rates):
        """Return the scores so far, and write them."""
        rows = []
        for steps in self.settings['steps']:
            for comparison, arms in comparisons.items():
                for arm in arms:
                    found = [
                        self.trained(arm, rates[arm], seed, steps, True)
                        for seed in self.settings['seeds']
                        if arm in rates
                    ]
                    found = [one for one in found if one is not None]
                    if found:
                        row = {'steps': steps, 'compared': comparison}
                        row |= dataclasses.asdict(arm)
                        row['parameters'] = found[0]['parameters']
                        row['rate'] = rates[arm]
                        row['psnr'] = [one['test'] for one in found]
                        rows.append(row)
        result = {'task': self.name, 'settings': self.settings, 'rows': rows}
        path = self.folder / f'{self.name}.json'
        write_atomically(path, json.dumps(result, indent=1).encode())
        return result


def table(result):
    """Return the results as a table in Markdown."""
    lines = [
        '| steps | compared | kernels | channels | parameters | rate | PSNR |',
        '|---|---|---|---|---|---|---|',
    ]
    for row in result['rows']:
        mean, spread = mean_and_spread(row['psnr'])
        lines.append(
            f'| {row["steps"]} | {row["compared"]} | {row["kernels"]} | '
            f'{row["channels"]} | {row["parameters"]} | {row["rate"]:.1e} | '
            f'{mean:.2f} ± {spread:.2f} ({len(row["psnr"])}) |'
        )
    return '\n'.join(lines)


def main(arguments=None):
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.kernel_bases',
        description='Compare bases of kernels.',
    )
    parser.add_argument('--task', choices=TASKS, default='denoising')
    parser.add_argument(
        '--images',
        type=pathlib.Path,
        help='folder of .npy files of images; by default phantoms',
    )
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/kernel_bases'
    )
    parser.add_argument(
        '--steps',
        type=int,
        nargs='+',
        help='numbers of training steps; by default a few and many',
    )
    parser.add_argument(
        '--quick', action='store_true', help='a trial, in seconds'
    )
    options = parser.parse_args(arguments)
    settings = SETTINGS[options.task] | (QUICK if options.quick else {})
    if options.steps:
        settings['steps'] = options.steps
    images = parts(options.images, options.quick)
    study = Study(options.task, settings, images, options.output)
    print(table(study.run()))


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
