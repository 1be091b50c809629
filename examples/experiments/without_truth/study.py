# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""All networks of a problem: their search, training and scores."""

import contextlib
import hashlib
import io
import json
import math
import pathlib
import time
import zlib

import numpy as np
import torch

from examples.experiments.images import acquisition_of, parts
from examples.experiments.kernel_bases import (
    load_checkpoint,
    rate_at,
    save_checkpoint,
)
from examples.experiments.without_truth.arms import (
    Arm,
    Measured,
    exact_pair,
    loss_of,
    network_of,
    problem_settings,
    reconstruct,
)
from examples.experiments.without_truth.slices import slices_of
from odl_equivariant._files import write_atomically
from odl_equivariant.training import scores

__all__ = ('SEARCH_SEED', 'OutOfTime', 'Study')

SEARCH_SEED = 1000
CHECKPOINT_EVERY = 50
COST_ROUNDS = 20
LARGEST_GRADIENT = 1.0
# whose steps are timed
COSTED = (
    Arm('splitting', 'ordinary'),
    Arm('equivariant splitting', 'by design'),
    Arm('equivariant splitting', 'ordinary'),
    Arm('equivariant splitting', 'averaging'),
    Arm('equivariant imaging', 'by design'),
    Arm('supervised', 'by design'),
)


class OutOfTime(Exception):
    """The time for the experiment is over."""


class Study:
    """All networks of a problem, with noise or without, in one folder."""

    def __init__(
        self,
        settings,
        scale,
        name,
        noise,
        folder,
        device='cpu',
        until=math.inf,
    ):
        self.name, self.noise = name, noise
        self.device, self.until = torch.device(device), until
        self.settings = problem_settings(settings, scale, name, noise)
        self.arms = [
            Arm(loss, network)
            for loss, networks in settings['arms'].items()
            for network in networks
        ]
        self.variants = [
            Arm(f'equivariant splitting, {change}', 'by design')
            for change in self.settings['changes'][noise]
            if Arm('equivariant splitting', 'by design') in self.arms
        ]
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.acquisition = acquisition_of(self.settings)
        self.images = parts(self.settings, {})
        self.slices = slices_of(self.settings)
        self.n_clipped = 0
        self._pairs = {}
        left_out = ('rates', 'n_steps', 'search_steps', 'seeds', 'changes')
        left_out += ('widen',)
        shared = {k: v for k, v in self.settings.items() if k not in left_out}
        # a file is what it holds, wherever it lies
        shared['slices'] = {
            name: zlib.crc32(np.ascontiguousarray(image))
            for name, image in self.slices.items()
        }
        text = json.dumps(shared, sort_keys=True).encode()
        self._digest = hashlib.blake2b(text, digest_size=6).hexdigest()

    def run(self):
        """Train and score what has not been, and yield a row for each."""
        for arm in [*self.arms, *self.variants]:
            for seed in self.seeds(arm):
                try:
                    row = self.row(arm, seed)
                except OutOfTime:
                    continue
                yield row
                if 'refused' in row:
                    break

    def search(self):
        """Search for all rates, and yield a row for the best of each arm.

        Its score is that of the images to choose with.
        """
        for arm in [*self.arms, *self.variants]:
            try:
                rate = self.best_rate(arm)
            except (OutOfTime, ValueError):
                continue
            found = self.searched(arm, rate)
            found = {'rate': rate, 'test': found['validation'], **found}
            yield self._row(arm, SEARCH_SEED, found)

    def costs(self):
        """Return what a step of each network costs, by the ordinary split.

        Steps of all networks are made in turn, so that a machine with other
        work is as busy for each of them.

        Returns
        -------
        costs : dict of float
            For each loss and network, the median over rounds of the time of a
            step of the processor, over that of a step of splitting with an
            ordinary network; of the device, if this is another one.
        """
        key = f'{self.name}-{self.noise}-costs-{self._digest}'
        path = self.folder / f'{key}.json'
        if path.exists():
            return json.loads(path.read_text(encoding='utf-8'))
        made = {}
        for arm in COSTED:
            steps = self._steps(arm, COST_ROUNDS + 1)
            # what a loss cannot learn, it refuses; the first step makes more
            with contextlib.suppress(ValueError):
                next(steps)
                made[arm] = steps
        seconds = np.array(list(zip(*made.values(), strict=True)))
        ratios = np.median(seconds / seconds[:, :1], axis=0)
        found = {
            f'{arm.loss}, {arm.network}': float(ratio)
            for arm, ratio in zip(made, ratios, strict=True)
        }
        write_atomically(path, json.dumps(found).encode())
        return found

    def seeds(self, arm):
        """Return the seeds of an arm: of a variant, the first one."""
        seeds = self.settings['seeds']
        return seeds[:1] if arm in self.variants else seeds

    def row(self, arm, seed):
        """Return the row of a network, and train it where need be."""
        try:
            rate = self.best_rate(arm)
        except ValueError as error:
            # what a loss cannot learn, it refuses
            return self._row(arm, None, {'refused': str(error)})
        found = self.trained(arm, rate, seed, self.settings['n_steps'])
        return self._row(arm, seed, {'rate': rate, **found})

    def _row(self, arm, seed, found):
        row = {'problem': self.name, 'noise': self.noise, 'seed': seed}
        return {**row, 'loss': arm.loss, 'network': arm.network, **found}

    def best_rate(self, arm):
        """Return the best rate on the images to choose with.

        The search goes on while the best one is the first or the last, unless
        the scale says not to ``widen`` it.
        """
        rates = sorted(self.settings['rates'])
        narrow = len(rates) == 1 or not self.settings.get('widen', True)
        while True:
            found = [self.searched(arm, rate)['validation'] for rate in rates]
            best = rates[int(np.argmax(found))]
            if narrow or best not in (rates[0], rates[-1]):
                return best
            if not 1e-6 < best < 1:
                return best
            ratio = rates[1] / rates[0]
            more = best / ratio if best == rates[0] else best * ratio
            rates = sorted([*rates, more])

    def searched(self, arm, rate):
        """Return the scores of a short training."""
        return self.trained(
            arm, rate, SEARCH_SEED, self.settings['search_steps']
        )

    def trained(self, arm, rate, seed, steps):
        """Return the scores of a network, and train it where need be."""
        words = [self.name, self.noise, arm.loss, arm.network]
        name = '-'.join(words).replace(' ', '_')
        name += f'-{rate:.1e}-{seed}-{steps}-{self._digest}'
        path = self.folder / f'{name}.json'
        if path.exists():
            return json.loads(path.read_text(encoding='utf-8'))
        if time.time() > self.until:
            raise OutOfTime
        checkpoint = self.folder / f'{name}.safetensors'
        network, cost = self._train(arm, rate, seed, steps, checkpoint)
        found = {'steps': steps}
        sets = ['validation'] + ['test', 'slices'] * (seed != SEARCH_SEED)
        found |= {one: self._score(arm, network, one) for one in sets}
        found |= self._also(arm, network)
        if seed == self.settings['seeds'][0]:
            self._write_pictures(arm, network, name)
        found['seconds'] = cost
        write_atomically(path, json.dumps(found).encode())
        checkpoint.unlink(missing_ok=True)
        print(name, found, flush=True)
        return found

    def _loss(self, arm):
        return loss_of(arm, self.settings, self.noise)

    def _also(self, arm, network):
        """Return what else is kept of a trained network."""
        return {}

    def _images(self, arm, network, known):
        """Return what a trained network makes of measured images."""
        return reconstruct(arm, network, known, self.settings)

    def _train(self, arm, rate, seed, steps, checkpoint):
        """Return a network, and the time of a step in seconds.

        It is that of the processor, or of the device if this is another one.
        """
        made = self._steps(arm, steps, rate, seed, checkpoint)
        seconds = []
        while True:
            try:
                seconds.append(next(made))
            except StopIteration as stopped:
                network = stopped.value
                break
        return network.eval(), float(np.median(seconds)) if seconds else None

    def _steps(self, arm, steps, rate=1e-3, seed=0, checkpoint=None):
        """Train, yield the time of each step, and return the network."""
        torch.manual_seed(seed)
        network = network_of(arm, self.settings).to(self.device)
        clock = time.process_time
        if self.device.type != 'cpu':
            clock = time.perf_counter
        loss = self._loss(arm)
        loss.check(self.acquisition, network)
        optimizer = torch.optim.Adam(network.parameters(), rate)
        start = 0
        if checkpoint is not None and checkpoint.exists():
            start = load_checkpoint(checkpoint, network, optimizer)
        for step in range(start, steps):
            if time.time() > self.until:
                raise OutOfTime
            begin = clock()
            optimizer.zero_grad()
            loss(self._problem(network, seed, step)).mean().backward()
            weights = network.parameters()
            norm = torch.nn.utils.clip_grad_norm_(weights, LARGEST_GRADIENT)
            self.n_clipped += bool(norm > LARGEST_GRADIENT)
            for group in optimizer.param_groups:
                warm_up = self.settings['warm_up']
                group['lr'] = rate * rate_at(step, steps, warm_up)
            optimizer.step()
            if self.device.type != 'cpu':
                torch.cuda.synchronize(self.device)
            yield clock() - begin
            if checkpoint is not None and (step + 1) % CHECKPOINT_EVERY == 0:
                save_checkpoint(checkpoint, network, optimizer, step + 1)
        return network

    def _problem(self, network, seed, step):
        """Return the problem of a step, the same for all arms."""
        known = self._training(seed)
        n, size = len(known.data), self.settings['batch']
        per_round = n // size
        # each image once in a round
        order = np.random.default_rng([seed, step // per_round]).permutation(n)
        first = step % per_round * size
        batch = known.of(order[first : first + size])
        generator = torch.Generator().manual_seed(10**6 * seed + step)
        return batch.problem(network, self.acquisition, generator)

    def _training(self, seed):
        """Return the measured training images.

        An image has one measurement, as where nobody measures it again.
        """
        if seed not in self._pairs:
            images = self.images['train']
            self._pairs = {
                seed: self._measured(
                    [(images[i], [seed, i]) for i in range(len(images))]
                )
            }
        return self._pairs[seed]

    def _measured(self, images):
        """Return measured images, each of which has a seed of its noise."""
        pairs = [
            self._pair(self.acquisition, np.array(image), seed)
            for image, seed in images
        ]
        return Measured.of_pairs(pairs, self.acquisition, self.device)

    @property
    def _pair(self):
        if self.settings['exact']:
            return exact_pair
        return lambda acquisition, *arguments: acquisition.pair(*arguments)

    def _test(self, name):
        """Return the measured images to score with."""
        images = self.slices
        if name != 'slices':
            images = {str(i): one for i, one in enumerate(self.images[name])}
        return self._measured(
            [
                (image, zlib.crc32(f'{name} {key}'.encode()))
                for key, image in images.items()
            ]
        )

    def _score(self, arm, network, name):
        """Return the mean PSNR in dB, -inf where training diverged."""
        known = self._test(name)
        result = self._images(arm, network, known)
        if not bool(torch.isfinite(result).all()):
            return -math.inf
        return float(scores(result, known.truth)['psnr'].mean())

    def _write_pictures(self, arm, network, name):
        """Write reconstructions of the first test image and the slices."""
        found = {}
        for kind in ('test', 'slices'):
            known = self._test(kind).of([0])
            result = self._images(arm, network, known)
            for key, image in (('truth', known.truth), ('result', result)):
                values = image[0].cpu().numpy().astype(np.float16)
                found[f'{kind} {key}'] = values
        file = io.BytesIO()
        np.savez_compressed(file, **found)
        write_atomically(self.folder / f'{name}.npz', file.getvalue())
