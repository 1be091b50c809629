# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The comparison without ground truth as a page of the documentation."""

import io
import itertools
import pathlib

import numpy as np

from examples.experiments.tables import mean_and_spread
from examples.experiments.without_truth.results import read_results
from examples.experiments.without_truth.verdicts import verdicts
from odl_equivariant._files import write_atomically

__all__ = ('table', 'write_page')

# pictures beside each other
_COLUMNS = 6


def table(rows):
    """Return the scores as a table in Markdown."""
    lines = [
        '| problem | noise | loss | network | phantoms, dB | slices, dB | '
        'rate |',
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
            known = [row[kind] for row in group if kind in row]
            if len(known) == 1:
                shown.append(f'{known[0]:.2f}')
            elif known:
                mean, spread = mean_and_spread(known)
                shown.append(f'{mean:.2f} ± {spread:.2f}')
            else:
                shown.append('')
        rate = f'{group[0]["rate"]:.1e}' if 'rate' in group[0] else ''
        lines.append(f'| {cells} | {" | ".join(shown)} | {rate} |')
    return '\n'.join(lines)


def _costs(costs):
    """Return the costs of steps as a table in Markdown."""
    arms = list(
        dict.fromkeys(arm for known in costs.values() for arm in known)
    )
    lines = [
        f'| problem | {" | ".join(arms)} |',
        '|---' * (1 + len(arms)) + '|',
    ]
    for name, known in costs.items():
        cells = [f'{known[arm]:.2f}' if arm in known else '' for arm in arms]
        words = name.replace('/', ', ') + ' noise'
        lines.append(f'| {words} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def _slices(slices):
    """Say which real slices are scored."""
    by_names = {}
    for problem, names in slices.items():
        by_names.setdefault(tuple(names), []).append(problem)
    return '; '.join(
        f'for {", ".join(problems)}: '
        + (', '.join(f'`{name}`' for name in names) or 'none')
        for names, problems in by_names.items()
    )


def write_page(results, folder, path):
    """Write results as one page of Markdown.

    Parameters
    ----------
    results : path-like
        File of the results, see `write_results`.
    folder : path-like
        Folder of the trainings, with reconstructions for pictures.
    path : path-like
        Page to write. Its pictures go into ``images`` beside it, and stay if
        the folder has none. The text of ``_<stem>_notes.md``, if there is such
        a file, is included.
    """
    folder, path = pathlib.Path(folder), pathlib.Path(path)
    result = read_results(results)
    rows, budget = result['rows'], result['budget']
    seeds = {row['seed'] for row in rows if row['seed'] is not None}
    side = ' x '.join(map(str, budget['shape']))
    lines = [
        '# Without ground truth',
        '',
        'Made by `python -m examples.experiments.without_truth.comparison '
        f'{result["command"]}`. Each network of a problem has '
        f'{budget["network"]["channels"]} channels and '
        f'{budget["network"]["n_iterations"]} iterations, and was '
        f'trained in {budget["n_steps"]} steps of '
        f'{_counted(budget["batch"], "image")} of {side} pixels, of '
        f'{budget["n_train"]} phantoms, each measured once, at the best of '
        f'{_counted(len(budget["rates"]), "learning rate")}'
        f'{" or more" * budget.get("widen", True)}, which trainings of '
        f'{budget["search_steps"]} steps had found. '
        f'Scores are means over {budget["n_test"]} other phantoms and over '
        'real slices, which nothing was learned from, then mean and standard '
        f'deviation over the seeds, {_counted(len(seeds), "seed")} in all.',
        '',
        f'Real slices are, {_slices(result.get("slices", {}))}.',
        '',
        '## What was to be shown',
        '',
        'A figure for each seed.',
        '',
        '| statement | phantoms | verdict | slices | verdict |',
        '|---|---|---|---|---|',
    ]
    costs = result.get('costs', {})
    lines += [f'| {" | ".join(row)} |' for row in verdicts(rows, costs)]
    notes = path.with_name(f'_{path.stem}_notes.md')
    if notes.is_file():
        lines += ['', notes.read_text(encoding='utf-8').strip()]
    if costs:
        lines += [
            '',
            '## What a step costs',
            '',
            'Median time of the processor, over that of a step of splitting '
            'with an ordinary network; steps of all were made in turn.',
            '',
            _costs(costs),
        ]
    lines += ['', '## Scores', '', table(rows), '']
    for name in dict.fromkeys((row['problem'], row['noise']) for row in rows):
        picture = path.parent / 'images' / f'{path.stem}_{"_".join(name)}.png'
        content = _picture(folder, rows, name)
        if content is not None:
            picture.parent.mkdir(exist_ok=True)
            write_atomically(picture, content)
        if picture.exists():
            words = f'{name[0]}, {name[1]} noise: a phantom and a real slice'
            lines += [f'![{words}](images/{picture.name})', '']
    for command, other in result.get('others', {}).items():
        if not other['rows']:
            continue
        steps, images = (
            other['budget'][key] for key in ('n_steps', 'n_train')
        )
        lines += [
            f'## With {steps} steps and {images} phantoms',
            '',
            f'Made with `{command}`. All else is as above.',
            '',
            table(other['rows']),
            '',
        ]
    for part in ('given', 'gap', 'coverage', 'own_scan'):
        if part in result:
            lines += [*result[part]['lines'], '']
    write_atomically(path, ('\n'.join(lines).rstrip() + '\n').encode())


def _counted(n, noun):
    return f'{n} {noun}' + 's' * (n != 1)


def _picture(folder, rows, name):
    """Return reconstructions by each loss, or None if none were kept."""
    from matplotlib.figure import Figure

    found = {}
    for row in rows:
        words = [*name, row['loss'], row['network']]
        stem = '-'.join(words).replace(' ', '_')
        files = sorted(folder.glob(f'{stem}-*-{row["seed"]}-*.npz'))
        if (row['problem'], row['noise']) == name and files:
            with np.load(files[0]) as arrays:
                images = {key: _shown(arrays[key]) for key in arrays}
            truths = {k: images[f'{k} truth'] for k in ('test', 'slices')}
            found.setdefault('ground truth', truths)
            title = f'{row["loss"]},\n{row["network"]}'
            found[title] = {k: images[f'{k} result'] for k in truths}
    if not found:
        return None
    # in as few rows as a page has room for
    columns = min(len(found), _COLUMNS)
    n_rows = 2 * -(-len(found) // columns)
    figure = Figure((1.7 * columns, 2.0 * n_rows), layout='compressed')
    axes = figure.subplots(n_rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for place, (title, images) in enumerate(found.items()):
        row, column = divmod(place, columns)
        axes[2 * row, column].set_title(title, fontsize=6)
        for i, (kind, image) in enumerate(images.items()):
            high = found['ground truth'][kind].max()
            ax = axes[2 * row + i, column]
            ax.imshow(image, cmap='gray', vmin=0, vmax=high)
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=110)
    return content.getvalue()


def _shown(image):
    """Return the magnitude of an image of one channel or two."""
    image = image.astype(np.float32)
    return image[0] if len(image) == 1 else np.hypot(*image)
