# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The figures of the comparison, and its page of results.

    python -m examples.experiments.null_space.report RESULTS DOCS

makes them from what `comparison` wrote to the folder RESULTS.
"""

import json
import pathlib
import statistics
import sys

import matplotlib.pyplot as plt
import numpy as np
import yaml

from examples.experiments.null_space.counterexample import (
    N_ITERATIONS,
    TOLERANCE,
    counterexample,
    statements,
)
from examples.experiments.null_space.verdicts import gains, table, verdicts
from odl_equivariant._files import write_atomically

__all__ = ('draw_gains', 'draw_turned', 'main', 'page')

NAME = 'null_space'
_SHOWN = (
    'denoising 0.1',
    'blur',
    'inpainting 50 %',
    'inpainting 70 %',
    'inpainting 90 %',
    'sensing 25 %',
    'ct 50 views',
    'ct 10 views',
)
_KINDS = {
    'layers': 'Layers have one direction, like those of the ground.',
    'phantoms': 'Phantoms are of upright heads and bodies.',
    'photographs': 'Photographs are of nature.',
}
_CONDITIONS = {'upright': 'tab:blue', 'quarter turns': 'tab:red'}


def _pictures(folder, kind, problem, network):
    name = f'{kind}-{problem}-{network}'
    name = name.replace(' ', '_').replace('%', 'percent')
    path = folder / f'{name}.npy'
    return np.load(path).astype(np.float32) if path.exists() else None


def _psnr(image, truth):
    return -10 * np.log10(np.mean((image - truth) ** 2))


def draw_turned(folder, kind):
    """Return a figure of turned images, by networks that saw upright ones.

    Parameters
    ----------
    folder : pathlib.Path
        Where the comparison wrote its pictures.
    kind : str
        Kind of images.

    Returns
    -------
    figure : matplotlib.figure.Figure or None
        A row for each problem; ``None`` if there is no picture.
    """
    rows = []
    for problem in _SHOWN:
        pair = [
            _pictures(folder, kind, problem, network)
            for network in ('ordinary', 'equivariant')
        ]
        if all(one is not None for one in pair):
            rows.append((problem, *pair))
    if not rows:
        return None
    titles = ('turned image', 'data', 'ordinary', 'equivariant')
    figure, axes = plt.subplots(
        len(rows), 4, figsize=(7, 1.85 * len(rows)), squeeze=False
    )
    for line, (problem, ordinary, equivariant) in zip(axes, rows, strict=True):
        # the second picture is the turned one
        truth, shown, first = ordinary[1]
        second = equivariant[1, 2]
        for axis, title, image in zip(
            line, titles, (truth, shown, first, second), strict=True
        ):
            axis.imshow(image.T, cmap='gray', vmin=0, vmax=1, origin='lower')
            axis.set_xticks([])
            axis.set_yticks([])
            if problem == rows[0][0]:
                axis.set_title(title, fontsize=9)
            if title in titles[2:]:
                axis.set_xlabel(f'{_psnr(image, truth):.1f} dB', fontsize=8)
        line[0].set_ylabel(problem, fontsize=8)
    figure.tight_layout(pad=0.4)
    return figure


def draw_gains(rows):
    """Return a figure of the gains, problem by problem.

    Parameters
    ----------
    rows : list of dict
        One for each network.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Axes for each kind of images. Problems that differ in the size of the
        null space, or in the noise, are joined by lines.
    """
    kinds = list(dict.fromkeys(row['images'] for row in rows))
    figure, axes = plt.subplots(
        len(kinds), 1, figsize=(8, 3.6 * len(kinds)), squeeze=False
    )
    for axis, kind in zip(axes[:, 0], kinds, strict=True):
        for name, colour in _CONDITIONS.items():
            found = {
                problem: values
                for (one, problem), values in gains(rows, name).items()
                if one == kind
            }
            _draw_seeds(axis, list(found.values()), colour)
            for places in _families(found):
                means = [
                    statistics.fmean(list(found.values())[place])
                    for place in places
                ]
                axis.plot(places, means, 'o-', color=colour, lw=1)
            axis.plot([], [], 'o-', color=colour, label=name)
        axis.set_xticks(range(len(found)), found, fontsize=8)
        axis.tick_params('x', rotation=45)
        for label in axis.get_xticklabels():
            label.set(ha='right', rotation_mode='anchor')
        for i, places in enumerate(_families(found)):
            if i % 2:
                axis.axvspan(
                    places[0] - 0.5, places[-1] + 0.5, color='0.94', zorder=-1
                )
        axis.axhline(0, color='black', lw=0.5)
        axis.set_xlim(-0.5, len(found) - 0.5)
        axis.set_title(kind, fontsize=9)
        axis.set_ylabel('equivariant above ordinary, dB', fontsize=8)
        axis.grid(axis='y', color='0.85', lw=0.5)
        axis.set_axisbelow(True)
    axes[0, 0].margins(y=0.15)
    axes[0, 0].legend(fontsize=8, ncols=2, loc='upper left')
    figure.tight_layout()
    return figure


def _draw_seeds(axis, values, colour):
    """Draw the seeds of each problem as dots."""
    for place, seeds in enumerate(values):
        axis.plot(len(seeds) * [place], seeds, '.', color=colour, ms=3)


def _families(names):
    """Return the places of the problems of each kind, which follow another."""
    found = {}
    for place, name in enumerate(names):
        found.setdefault(name.split()[0], []).append(place)
    return list(found.values())


def _not_run(rows):
    """Return what of `comparison.yaml` has no results, as lines."""
    text = (
        pathlib.Path(__file__)
        .with_name('comparison.yaml')
        .read_text(encoding='utf-8')
    )
    settings = yaml.safe_load(text)
    found = gains(rows, 'upright')
    names = []
    for kind, problems in settings['images'].items():
        if not any(one == kind for one, _ in found):
            names.append(kind)
            continue
        chosen = settings['problems'] if problems == 'all' else problems
        names += [
            f'{problem} of {kind}'
            for problem in chosen
            if (kind, problem) not in found
        ]
    return [f'Not run: {", ".join(names)}.', ''] if names else []


def _cost(rows):
    """Return the time of a step over that of the ordinary network."""
    times = {
        network: {
            (row['images'], row['problem'], row['seed']): row['seconds']
            for row in rows
            if row['network'] == network
        }
        for network in ('equivariant', 'ordinary')
    }
    return statistics.median(
        seconds / times['ordinary'][key]
        for key, seconds in times['equivariant'].items()
        if key in times['ordinary']
    )


def _numbers(values):
    return ' to '.join(map(str, sorted({min(values), max(values)})))


def page(result, figures, errors):
    """Return the page of results as Markdown.

    Parameters
    ----------
    result : dict
        What the comparison wrote.
    figures : dict of str to str
        Captions by the paths of the figures.
    errors : dict of dict of float
        What `counterexample` returned.
    """
    rows = result['rows']
    steps = {row['steps'] for row in rows}
    seeds = {len(values) for values in gains(rows, 'upright').values()}
    kinds = dict.fromkeys(row['images'] for row in rows)
    noise = '0.01'
    if any(row['problem'].startswith('ct ') for row in rows):
        noise += '; tomography 0.003, of line integrals up to about 0.5'
    rates = ', '.join(f'{k} {v:g}' for k, v in result['rates'].items())
    lines = [
        '# Results by the size of the null space',
        '',
        'Made by `python -m examples.experiments.null_space.report` from what '
        '`python -m examples.experiments.null_space.comparison --scale '
        f'{result["scale"]}` wrote, kept in `docs/results/{NAME}.json`. No '
        'measured number on this page was typed.',
        '',
        'Where does the gain of equivariance come from, the null space or '
        'the noise? Unrolled networks of 4 iterations are trained with '
        'upright images of 64 x 64 cells: once with blocks that are '
        'equivariant under quarter turns (C4) by design, and once with '
        'ordinary ones. Problems without a null space are denoising and blur. '
        f'Those with one have almost no noise ({noise}). Both networks have '
        'the same width, images, noise and number of steps, and the rate of a '
        f'search ({rates}). There are {_numbers(seeds)} seeds of each '
        f'problem, and {_numbers(steps)} steps: a short training. A step '
        f'with equivariant blocks took {_cost(rows):.2f} times as long as one '
        'with ordinary blocks, the median of all pairs: networks were trained '
        'on more than one machine.',
        '',
        ' '.join(_KINDS[kind] for kind in kinds) + ' All images are scored '
        'turned by 90, 180 and 270 degrees, by 30, 45 and 60 degrees, at '
        'other scales, and with image and noise multiplied by a factor.',
        '',
        *_not_run(rows),
        '## Statements',
        '',
        '| statement | measured | verdict |',
        '|---|---|---|',
    ]
    lines += [f'| {" | ".join(verdict)} |' for verdict in verdicts(rows)]
    lines += [
        '',
        'The statements on the quality of the images were added after the '
        'first results had been seen; all others, before. Noise and a null '
        'space both limit how good images get.',
        '',
        '## Gains',
        '',
        'By how many dB the equivariant network is above the ordinary one: '
        'mean and standard deviation over the seeds, of one seed its number.',
        '',
        table(rows),
        '',
    ]
    for path, caption in figures.items():
        lines += [f'![{caption}]({path})', '', f'*{caption}*', '']
    lines += [
        'A smaller comparison is run with the documentation: '
        '{doc}`gallery/null_spaces/upright_and_turned`.',
        '',
        '## The counterexample',
        '',
        'Inpainting and sensing have operators that do not follow turns: '
        'only the law for data and operator is exact there, see '
        '{doc}`how-to/degradations`. This is so for any method, be it '
        'equivariant by design or the minimiser of an invariant functional, '
        'see {doc}`gallery/tv_inpainting_is_not`. Errors are relative to the '
        'norm of the image, for a phantom of a head of 32 x 32 cells, after '
        f'{N_ITERATIONS} iterations of the proximal gradient method; the '
        f'proximal is computed to a tolerance of {TOLERANCE:g}.',
        '',
        '| statement | measured | verdict |',
        '|---|---|---|',
    ]
    lines += [f'| {" | ".join(said)} |' for said in statements(errors)]
    lines += ['']
    return '\n'.join(lines)


def main(arguments=None):
    """Write the page, its figures and its data."""
    results, docs = map(pathlib.Path, arguments or sys.argv[1:3])
    text = (results / 'comparison.json').read_text(encoding='utf-8')
    result = json.loads(text)
    images = docs / 'images' / NAME
    images.mkdir(parents=True, exist_ok=True)
    (docs / 'results').mkdir(exist_ok=True)
    figures = {}

    def save(figure, name, caption):
        if figure is not None:
            figure.savefig(images / f'{name}.png', dpi=80)
            plt.close(figure)
            figures[f'images/{NAME}/{name}.png'] = caption

    save(
        draw_gains(result['rows']),
        'gains',
        'Gains in dB, the mean of the seeds, and each seed as a dot',
    )
    for kind in dict.fromkeys(row['images'] for row in result['rows']):
        save(
            draw_turned(results, kind),
            f'turned_{kind}',
            f'Trained upright, tested turned: {kind}, of the first seed',
        )
    write_atomically(docs / 'results' / f'{NAME}.json', text.encode())
    write_atomically(
        docs / f'results_{NAME}.md',
        page(result, figures, counterexample()).encode(),
    )


if __name__ == '__main__':
    main()
