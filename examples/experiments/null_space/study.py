# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""All networks of one kind of images: their training and scores."""

import functools
import hashlib
import json
import pathlib
import time
import zlib

import numpy as np
import torch

from examples.experiments.kernel_bases import rate_at
from examples.experiments.null_space.images import sources
from odl_equivariant import data
from odl_equivariant._files import write_atomically
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.operators import (
    OperatorLayer,
    filtered_backprojection,
)

__all__ = ('NETWORKS', 'SEARCH_SEED', 'Study')

NETWORKS = ('equivariant', 'ordinary')
SEARCH_SEED = 1000


class Study:
    """All networks of one kind of images in one folder.

    Parameters
    ----------
    settings : dict
        Those of `comparison.yaml`, of one scale.
    kind : str
        Kind of images.
    folder : path-like
        Where results are written.
    photographs : dict, optional
        See `sources`.
    device : str, optional
        Device of the networks.
    """

    def __init__(self, settings, kind, folder, photographs=None, device='cpu'):
        self.settings, self.kind, self.device = settings, kind, device
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = {
            part: settings[f'n_{part}']
            for part in ('train', 'validation', 'test')
        }
        self.sources = sources(kind, numbers, settings['side'], photographs)
        self.images = {
            part: self.sources[part].batch().to(device)
            for part in ('train', 'validation')
        }
        left_out = ('rates', 'n_steps', 'seeds', 'images', 'problems')
        shared = {k: v for k, v in settings.items() if k not in left_out}
        text = json.dumps(shared, sort_keys=True).encode()
        if kind == 'photographs':
            # those of another folder are others
            text += b''.join(
                zlib.crc32(np.ascontiguousarray(image)).to_bytes(4, 'big')
                for images in photographs.values()
                for image in images
            )
        self._digest = hashlib.blake2b(text, digest_size=6).hexdigest()

    @functools.cached_property
    def conditions(self):
        """Test images of all conditions, as lists of tensors."""
        source = self.sources['test']
        found = {'upright': [source.batch()]}
        for name, change in self.settings['conditions'].items():
            scale = change.get('scale', 1)
            factor = change.get('intensity', 1)
            found[name] = [
                factor * source.batch(angle, scale)
                for angle in change.get('angles', [0])
            ]
        return {
            name: [one.to(self.device) for one in batches]
            for name, batches in found.items()
        }

    @functools.cache  # noqa: B019
    def acquisition(self, problem):
        """Return the acquisition of a problem."""
        arguments = dict(self.settings['problems'][problem])
        side = self.settings['side']
        kind = getattr(data, arguments.pop('class'))
        if kind is data.SparseViewCT:
            # the noise is added here, and is that of no photons
            del arguments['sigma'], arguments['initial']
            arguments['n_photons'] = None
        return kind(shape=(side, side), **arguments)

    def _initial(self, problem):
        return self.settings['problems'][problem].get('initial', 'adjoint')

    @functools.cache  # noqa: B019
    def _layer(self, problem):
        operator = self.acquisition(problem).operator
        return OperatorLayer(operator).to(self.device)

    def measured(self, problem, images, generator, factor=1.0):
        """Return noisy data of a batch."""
        exact = self._layer(problem)(images)
        noise = torch.randn(exact.shape, generator=generator).to(exact)
        mask = getattr(self.acquisition(problem), 'mask', None)
        if mask is not None:
            noise = noise * torch.as_tensor(mask.copy()).to(noise)
        sigma = self.settings['problems'][problem]['sigma']
        return exact + factor * sigma * noise

    def network(self, problem, kind):
        """Return a network with new weights."""
        arguments = {
            'channels': self.settings['network']['channels'],
            'skip': True,
        }
        block = functools.partial(OrdinaryProximal, **arguments)
        if kind == 'equivariant':
            block = functools.partial(
                EquivariantProximal, group=self.settings['group'], **arguments
            )
        network = LearnedProximalGradient(
            self.acquisition(problem).operator,
            block,
            self.settings['network']['n_iterations'],
            self._initial(problem),
        )
        return network.to(self.device)

    def trained(self, problem, kind, rate, seed, steps):
        """Return the scores of a network, and train it where need be."""
        words = [self.kind, problem, kind]
        name = '-'.join(words).replace(' ', '_').replace('%', 'percent')
        name += f'-{rate:.1e}-{seed}-{steps}-{self._digest}'
        path = self.folder / f'{name}.json'
        if path.exists():
            return json.loads(path.read_text(encoding='utf-8'))
        network, seconds = self._train(problem, kind, rate, seed, steps)
        found = {'seconds': seconds, 'steps': steps}
        if seed == SEARCH_SEED:
            found['validation'] = self._score(
                network, problem, 'validation', [self.images['validation']]
            )
        else:
            for condition, batches in self.conditions.items():
                change = self.settings['conditions'].get(condition, {})
                found[condition] = self._score(
                    network,
                    problem,
                    condition,
                    batches,
                    change.get('intensity', 1),
                )
            if seed == self.settings['seeds'][0]:
                self._draw(network, problem, kind)
        write_atomically(path, json.dumps(found).encode())
        return found

    def _train(self, problem, kind, rate, seed, steps):
        """Return a network, and the time of a step."""
        torch.manual_seed(seed)
        network = self.network(problem, kind)
        optimizer = torch.optim.Adam(network.parameters(), rate)
        images, batch = self.images['train'], self.settings['batch']
        begin = time.perf_counter()
        for step in range(steps):
            generator = torch.Generator().manual_seed(10**6 * seed + step)
            chosen = torch.randint(len(images), (batch,), generator=generator)
            truth = images[chosen.to(images.device)]
            y = self.measured(problem, truth, generator)
            optimizer.zero_grad()
            (network(y) - truth).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            for group in optimizer.param_groups:
                warm_up = self.settings['warm_up']
                group['lr'] = rate * rate_at(step, steps, warm_up)
            optimizer.step()
        # a GPU is behind the processor
        float(network.relative_steps.detach().sum())
        return network.eval(), (time.perf_counter() - begin) / steps

    @torch.no_grad()
    def _score(self, network, problem, name, batches, factor=1.0):
        """Return the mean PSNR in dB; the peak is that of the images."""
        found = []
        for i, truth in enumerate(batches):
            seed = zlib.crc32(f'{problem} {name} {i}'.encode())
            generator = torch.Generator().manual_seed(seed)
            y = self.measured(problem, truth, generator, factor)
            result = network(y)
            error = (result - truth).square().mean((1, 2, 3))
            found.append(10 * torch.log10(factor**2 / error))
        return float(torch.cat(found).mean())

    def _shown(self, problem):
        """Return the layer that makes an image of data, to look at."""
        if self._initial(problem) != 'fbp':
            return self._layer(problem).adjoint
        operator = self.acquisition(problem).operator
        return OperatorLayer(filtered_backprojection(operator)).to(self.device)

    @torch.no_grad()
    def _draw(self, network, problem, kind):
        """Write what the network makes of an image, upright and turned."""
        arrays = []
        for name, which in (('upright', 0), ('quarter turns', 0)):
            truth = self.conditions[name][which][:1]
            generator = torch.Generator().manual_seed(0)
            y = self.measured(problem, truth, generator)
            shown = self._shown(problem)(y)
            arrays.append(torch.cat([truth, shown, network(y)])[:, 0])
        name = f'{self.kind}-{problem}-{kind}'
        name = name.replace(' ', '_').replace('%', 'percent')
        array = torch.stack(arrays).cpu().numpy().astype(np.float16)
        np.save(self.folder / f'{name}.npy', array)

    def problems(self):
        """Return the problems of these images."""
        chosen = self.settings['images'][self.kind]
        return list(self.settings['problems']) if chosen == 'all' else chosen
