# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a mean over scales gains at scales that were not trained.

    python -m examples.experiments.null_space.scales --output OUT --docs docs

trains denoisers at one scale, and applies them at others: as they are, and as
means over scales of `odl_equivariant.nn.AtScales`. At each scale they are
compared with a denoiser that was trained at that scale. Results are written
after each training, so that the same command goes on with what was stopped. A
seed takes some minutes; with `--docs`, the page of results is written.
"""

import argparse
import functools
import json
import math
import pathlib
import time

import numpy as np
import torch

from examples.experiments.null_space.images import sources
from odl_equivariant._files import write_atomically
from odl_equivariant.nn import AtScales, EquivariantProximal

__all__ = ('losses', 'main', 'page', 'scores_of', 'trained', 'verdicts')

SCALES = (0.5, 0.7, 1.0, 1.4, 2.0)
SIGMA, RATE, BATCH = 0.1, 5e-3, 4
ROOT = 2**0.5
#: Which scales the means are of; the first network is as it was trained.
MEANS = {
    'as trained': None,
    'mean of 1 and 2': (1, 2),
    'mean of 1, 1.4 and 2': (1, ROOT, 2),
}
TRAINED = 'trained as the mean of 1, 1.4 and 2'
KINDS = {
    'layers': 'Layers have one direction, like those of the ground.',
    'phantoms': 'Phantoms are of ellipses.',
}


def denoiser(scales=None):
    """Return a denoiser with new weights, or one at several scales."""
    network = EquivariantProximal(
        channels=16, gradient=False, memory=0, skip=True, group='C4'
    )
    return network if scales is None else AtScales(network, scales)


def trained(images, seed, steps, scales=None):
    """Return a denoiser for the noise of one level, trained with images."""
    torch.manual_seed(seed)
    network = denoiser(scales)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    for step in range(steps):
        truth = images[torch.randint(len(images), (BATCH,))]
        for group in optimizer.param_groups:
            group['lr'] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        noisy = truth + SIGMA * torch.randn_like(truth)
        (network(noisy) - truth).square().mean().backward()
        optimizer.step()
    return network


@torch.no_grad()
def scores_of(network, batches):
    """Return the mean PSNR in dB at each scale."""
    found = []
    for truth in batches:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(truth.shape, generator=generator)
        error = (network(truth + SIGMA * noise) - truth).square()
        found.append(float(-10 * error.mean((1, 2, 3)).log10().mean()))
    return found


class _Runs:
    """The trainings of one kind of images, of which none is done twice."""

    def __init__(self, kind, options):
        self.kind, self.options = kind, options
        numbers = {'train': 60, 'validation': 1, 'test': 16}
        self._sources = sources(kind, numbers, options.side)

    @functools.cached_property
    def batches(self):
        """Test images at each scale."""
        return [self._sources['test'].batch(scale=s) for s in SCALES]

    def scores(self, seed, scale=1.0, scales=None):
        """Return the scores of what is made of one training, by name."""
        options = self.options
        size = f'{options.side}-{options.steps}'
        name = TRAINED if scales else f'scale {scale:g}'
        path = options.output / f'{self.kind}-{name}-{seed}-{size}.json'
        if path.exists():
            return json.loads(path.read_text(encoding='utf-8'))
        begin = time.process_time()
        images = self._sources['train'].batch(scale=scale)
        network = trained(images, seed, options.steps, scales)
        found = {'seconds': time.process_time() - begin}
        if scales is not None:
            found[TRAINED] = scores_of(network, self.batches)
        elif scale == 1:
            for mean, of in MEANS.items():
                module = network if of is None else AtScales(network, of)
                found[mean] = scores_of(module, self.batches)
        else:
            (at,) = [i for i, s in enumerate(SCALES) if s == scale]
            found['reference'] = scores_of(network, [self.batches[at]])
        write_atomically(path, json.dumps(found).encode())
        return found

    def rows(self):
        """Return a row for each denoiser and seed."""
        found = []
        for seed in self.options.seeds:
            one = self.scores(seed)
            seconds = one.pop('seconds')
            mean = self.scores(seed, scales=MEANS['mean of 1, 1.4 and 2'])
            longer = mean.pop('seconds')
            reference = [
                one['as trained'][i]
                if scale == 1
                else self.scores(seed, scale)['reference'][0]
                for i, scale in enumerate(SCALES)
            ]
            for name, scores in {**one, **mean}.items():
                found.append(
                    {
                        'images': self.kind,
                        'denoiser': name,
                        'seed': seed,
                        'seconds': longer if name == TRAINED else seconds,
                        'scores': scores,
                        'reference': reference,
                    }
                )
        return found


def losses(rows, kind):
    """Return how far each denoiser is below one of the scale, in dB.

    Parameters
    ----------
    rows : list of dict
        Scores of each denoiser, at each scale.
    kind : str
        Which images.

    Returns
    -------
    losses : dict
        For each denoiser an array, the mean over the seeds, by scale.
    """
    found = {}
    for row in rows:
        if row['images'] == kind:
            gap = np.subtract(row['reference'], row['scores'])
            found.setdefault(row['denoiser'], []).append(gap)
    return {name: np.mean(gaps, 0) for name, gaps in found.items()}


def verdicts(rows):
    """Return statements, with figures and whether they hold."""
    found = []
    at = SCALES.index(1.0)
    for kind in dict.fromkeys(row['images'] for row in rows):
        lost = losses(rows, kind)
        for words, since in (
            ('loses at most half of what the one as trained loses', 0),
            (
                'loses at most half of what the one as trained loses, both '
                'beyond what they lose at scale 1',
                1,
            ),
        ):
            plain = lost['as trained'] - since * lost['as trained'][at]
            for name in lost:
                if name == 'as trained':
                    continue
                gaps = lost[name] - since * lost[name][at]
                for scale, gap, most in zip(SCALES, gaps, plain, strict=True):
                    if scale == 1:
                        continue
                    holds = gap <= 0.5 * most
                    found.append(
                        (
                            f'{kind}, scale {scale:g}: "{name}" {words}',
                            f'{gap:+.2f} dB of {most:+.2f} dB',
                            'Holds' if holds else 'Does not hold',
                        )
                    )
    return found


def _table(values, digits='.2f'):
    lines = [
        '| denoiser | ' + ' | '.join(f'scale {s:g}' for s in SCALES) + ' |',
        '|' + (1 + len(SCALES)) * '---|',
    ]
    for name, row in values.items():
        cells = ' | '.join(format(value, digits) for value in row)
        lines.append(f'| {name} | {cells} |')
    return lines


def page(result):
    """Return the page of results, in Markdown."""
    rows = result['rows']
    seeds = len(dict.fromkeys(row['seed'] for row in rows))
    seconds = {
        name: np.mean(
            [r['seconds'] for r in rows if (r['denoiser'] == TRAINED) is mean]
        )
        for name, mean in (('plain', False), ('mean', True))
    }
    lines = [
        '# Results at scales that were not trained',
        '',
        'Made by `python -m examples.experiments.null_space.scales --docs '
        'docs`, from results that are kept in `docs/results/scales.json`. No '
        'measured number on this page was typed.',
        '',
        'Denoisers that are equivariant under quarter turns are trained with '
        f'images of one scale, of {result["side"]} x {result["side"]} cells, '
        f'with white noise of the level {SIGMA:g}, in {result["steps"]} '
        'steps. They are tested at scales from 0.5 to 2, where what an image '
        'shows is smaller or larger and the noise of a cell is the same: as '
        'they are, and as the means over scales of '
        '{class}`~odl_equivariant.nn.AtScales`, which need no further '
        'training. One more is trained as such a mean. All figures are means '
        f'of {seeds} seeds.',
        '',
        'The loss at a scale is how far a denoiser is below one of the same '
        'kind that was trained at that scale: how hard the images are does '
        'not count. A mean that needs no further training also loses at the '
        'scale 1, where it mixes scales that are not those of the image; the '
        'second half of the statements leaves this out. A loss remains for '
        'another reason: the noise of a cell stays white where what an image '
        'shows is scaled, so that the problem itself is not equivariant.',
        '',
        '## Cost',
        '',
        'In networks: the mean of 1 and 2 costs 2, that of 1, 1.4 and 2 costs '
        f'4. A training took {seconds["plain"]:.0f} s of one processor for '
        f'the ordinary network, and {seconds["mean"]:.0f} s for the mean of '
        'three scales.',
        '',
        '## Statements',
        '',
        '| statement | measured | verdict |',
        '|---|---|---|',
    ]
    lines += [f'| {" | ".join(one)} |' for one in verdicts(rows)]
    for kind in dict.fromkeys(row['images'] for row in rows):
        scores = {}
        for row in rows:
            if row['images'] == kind:
                scores.setdefault(row['denoiser'], []).append(row['scores'])
                scores.setdefault('trained at the scale', []).append(
                    row['reference']
                )
        lines += ['', f'## {kind.capitalize()}', '', KINDS[kind], '']
        lines += ['PSNR in dB:', '']
        lines += _table({k: np.mean(v, 0) for k, v in scores.items()})
        lines += ['', 'Loss in dB:', '']
        lines += _table(losses(rows, kind), '+.2f')
    return '\n'.join([*lines, ''])


def main(arguments=None):
    """Print a table of the losses, and return the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--side', type=int, default=48)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument(
        '--images', nargs='+', choices=KINDS, default=['phantoms', 'layers']
    )
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/scales'
    )
    parser.add_argument(
        '--docs', type=pathlib.Path, help='folder of the documentation'
    )
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind in options.images:
        rows += _Runs(kind, options).rows()
        print('\n'.join([kind, *_table(losses(rows, kind), '+.2f')]))
    for statement in verdicts(rows):
        print('- {}: {}. {}.'.format(*statement))
    if options.docs is not None:
        result = {'side': options.side, 'steps': options.steps, 'rows': rows}
        folder = options.docs / 'results'
        folder.mkdir(exist_ok=True)
        text = json.dumps(result, indent=1)
        write_atomically(folder / 'scales.json', text.encode())
        path = options.docs / 'results_scales.md'
        write_atomically(path, page(result).encode())
    return rows


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
