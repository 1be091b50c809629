# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measure what moving averages of the weights and a robust loss are worth.

A network for tomography is trained in short runs from the shipped denoiser
``multiscale_denoiser_c4``, as in the first stage of ``splitting_ct_c4``: with
both losses, with a rate that falls and with one that does not, and with the
same seeds. Each run is scored twice, with its last weights and with their
averages, which do not change its steps::

    python examples/scores/training_choices.py --images images

writes ``docs/results/training_choices.json``, and the table of
``docs/training.md`` from it. ``images`` has the folders that
``training_images.py`` makes. What has been trained is not trained again, and
``--docs`` writes the table of what is there.
"""

import argparse
import contextlib
import json
import pathlib
import sys
from types import SimpleNamespace

import numpy as np
import torch
import yaml
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from comparison.problems import problem_of, sample

from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.data import ImageSlices
from odl_equivariant.elements import as_tensor
from odl_equivariant.training import cli
from odl_equivariant.training.runs.checkpoints import end_of_run, last_whole

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'examples' / 'configs' / 'shipped'
TARGET = ROOT / 'docs' / 'results' / 'training_choices.json'
PAGE = ROOT / 'docs' / 'training.md'
MARKS = (
    '<!-- made by examples/scores/training_choices.py -->',
    '<!-- end of what it made -->',
)
LOSSES = ('relative', 'charbonnier')
SCHEDULES = ('cosine', 'constant')
WEIGHTS = ('last', 'averaged')
SEEDS = (1, 2, 3)
SIDE, N_PHOTOGRAPHS = 64, 10
FINE = (2 * SIDE, 2 * SIDE)  # grid of the objects
VIEWS, PHOTONS = (13, 25), 3e3
# Brighter photographs fill all rays and leave no photons; the training, which
# changes the brightness, has some like these.
BRIGHTNESS = 0.15


def main(argv=None):
    """Train and score all choices, and write the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--images', type=pathlib.Path, default='images')
    parser.add_argument('--output', type=pathlib.Path, default='results')
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--seeds', type=int, nargs='+', default=SEEDS)
    parser.add_argument(
        '--schedules', choices=SCHEDULES, nargs='+', default=SCHEDULES
    )
    parser.add_argument('--json', type=pathlib.Path, default=TARGET)
    parser.add_argument('--docs', type=pathlib.Path, default=PAGE)
    options = parser.parse_args(argv)
    report = {'steps': options.steps, 'runs': []}
    if options.json.is_file():
        found = json.loads(options.json.read_text('utf-8'))
        if found['steps'] == options.steps:
            report = found
    done = {key_of(run) for run in report['runs']}
    for schedule in options.schedules:
        for seed in options.seeds:
            for loss in LOSSES:
                if (loss, schedule, seed) in done:
                    continue
                run = {'loss': loss, 'schedule': schedule, 'seed': seed}
                run['scores'] = trained(run, options)
                report['runs'].append(run)
                text = json.dumps(report, indent=1) + '\n'
                write_atomically(options.json, text.encode())
                print(run, flush=True)
    write_page(report, options.docs)


def key_of(run):
    """Return loss, schedule and seed of a run."""
    return run['loss'], run['schedule'], run['seed']


def trained(run, options):
    """Train a network, or resume it, and return its scores."""
    loss, schedule, seed = key_of(run)
    folder = options.output.resolve() / f'{loss}-{schedule}-{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    own = {
        'seed_everything': seed,
        'trainer': {
            'default_root_dir': str(folder / 'run'),
            'max_steps': options.steps,
            'val_check_interval': options.steps,
            'averaging': 0.999,
            'enable_progress_bar': False,
        },
        'model': {'loss': loss, 'schedule': schedule},
        'data': {
            'seed': seed,
            # one grid and dose, to compare more quickly
            'variants': [
                {'shape': [SIDE] * 2, 'n_views': views, 'n_photons': PHOTONS}
                | {'n_detectors': None}
                for views in VIEWS
            ],
        },
    }
    file = folder / 'own.yaml'
    write_atomically(file, yaml.safe_dump(own).encode())
    arguments = ['train']
    for path in ('splitting_ct_c4', 'splitting_ct_stage_1'):
        arguments += ['--config', str(CONFIGS / f'{path}.yaml')]
    # the configurations name their images beside the caller
    with contextlib.chdir(options.images.resolve().parent):
        status = cli.main([*arguments, '--config', str(file)])
    if status:
        raise SystemExit(status)
    return {
        weights: scored(folder / 'run', weights == 'last', options.images)
        for weights in WEIGHTS
    }


def network_of(folder, is_last, operator):
    """Return the network of a run, with its averages or its last weights."""
    network = models.load(folder / 'final.safetensors', operator)
    if is_last:
        _, weights, _ = end_of_run(last_whole(folder / 'checkpoints'))
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[f'network.{name}'])
    return network.eval()


@torch.no_grad()
def scored(folder, is_last, images):
    """Return the mean PSNR of each kind of images."""
    found = {'photographs': photographs(images), 'head': [head()]}
    settings = SimpleNamespace(
        shape=(SIDE, SIDE),
        views=VIEWS[-1],
        photons=PHOTONS,
        fit='least-squares',
    )
    scores = {}
    for kind, members in found.items():
        each = []
        for seed, image in enumerate(members):
            problem = problem_of('ct', image, settings, seed)
            network = network_of(folder, is_last, problem.acquisition.operator)
            result = network(as_tensor(problem.data))
            image = problem.space.element(result[0, 0].numpy())
            each.append(problem.scores(image)['psnr'])
        scores[kind] = float(np.mean(each))
    return scores


def photographs(images):
    """Return photographs that no network was trained on."""
    folder = images / 'natural_held_back'
    slices = ImageSlices(folder, FINE, scale=BRIGHTNESS, progress=False)
    return [slices[i] for i in range(min(N_PHOTOGRAPHS, len(slices)))]


def head():
    """Return the slice of a head that comes with the package."""
    image = torch.from_numpy(sample('ct')[0])[None, None]
    return functional.interpolate(
        image, FINE, mode='bilinear', antialias=True
    )[0, 0].numpy()


# --- The table --- #


def write_page(report, path):
    """Replace what lies between the marks of a page by the table."""
    text = path.read_text('utf-8')
    before, _, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not end:
        raise ValueError(f'{path} has no lines {MARKS[0]!r} and {MARKS[1]!r}')
    lines = '\n'.join(table(report))
    text = f'{before}{MARKS[0]}\n\n{lines}\n\n{MARKS[1]}{after}'
    write_atomically(path, text.encode())


def table(report):
    """Return the lines of the table, and what follows from it."""
    seeds = sorted({run['seed'] for run in report['runs']})
    schedules = dict.fromkeys(run['schedule'] for run in report['runs'])
    kinds = ('photographs', 'head')
    lines = [
        f'| rate | loss | weights | {" | ".join(kinds)} |',
        '|---|---|---|---|---|',
    ]
    base = 'relative', 'last'
    sentences = []
    for schedule in schedules:
        score = {
            (loss, weights, kind): np.array(
                [
                    run['scores'][weights][kind]
                    for seed in seeds
                    for run in report['runs']
                    if key_of(run) == (loss, schedule, seed)
                ]
            )
            for loss in LOSSES
            for weights in WEIGHTS
            for kind in kinds
        }
        for loss in LOSSES:
            for weights in WEIGHTS:
                cells = []
                for kind in kinds:
                    values = score[loss, weights, kind]
                    gain = values - score[*base, kind]
                    cells.append(
                        f'{values.mean():.2f}'
                        if (loss, weights) == base
                        else f'{values.mean():.2f} ({gain.mean():+.2f}, '
                        f'{gain.min():+.2f} to {gain.max():+.2f})'
                    )
                lines.append(
                    f'| {schedule} | `{loss}` | {weights} | '
                    f'{" | ".join(cells)} |'
                )
        for name, choice in (
            ('Averages', ('relative', 'averaged')),
            ('`charbonnier`', ('charbonnier', 'last')),
        ):
            words = []
            for kind in kinds:
                gain = score[*choice, kind] - score[*base, kind]
                words.append(f'{verdict(gain)} on {kind}')
            sentences.append(f'{name}, {schedule} rate: {", ".join(words)}.')
    head = (
        f'Mean PSNR in dB of {len(seeds)} seeds after {report["steps"]} '
        f'steps on {SIDE} x {SIDE} cells; in brackets the mean, least and '
        'greatest change of a seed against the last weights with the loss '
        '`relative`:'
    )
    return [head, '', *lines, '', *[f'- {s}' for s in sentences]]


def verdict(gains):
    """Return in words what changes of all seeds say."""
    if (gains > 0).all():
        return f'better in all seeds ({gains.mean():+.2f} dB)'
    if (gains < 0).all():
        return f'worse in all seeds ({gains.mean():+.2f} dB)'
    return f'no sign that all seeds share ({gains.mean():+.2f} dB)'


if __name__ == '__main__':
    main()
