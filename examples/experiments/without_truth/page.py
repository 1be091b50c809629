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
import json
import pathlib

import numpy as np

from examples.experiments.tables import mean_and_spread
from examples.experiments.without_truth.verdicts import verdicts
from odl_equivariant._files import write_atomically

__all__ = ('table', 'write_page')


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
            known = [row[kind] for row in group if kind in row]
            if len(known) == 1:
                shown.append(f'{known[0]:.2f}')
            elif known:
                mean, spread = mean_and_spread(known)
                shown.append(f'{mean:.2f} ± {spread:.2f}')
            else:
                shown.append('')
        seconds = [row['seconds'] for row in group if row['seconds']]
        cost = f'{np.median(seconds):.3f}' if seconds else ''
        lines.append(f'| {cells} | {" | ".join(shown)} | {cost} |')
    return '\n'.join(lines)


def write_page(folder, path):
    """Write the results in a folder as one page of Markdown.

    Parameters
    ----------
    folder : path-like
        Folder of the results, with ``comparison.json``.
    path : path-like
        Page to write. Its pictures go into ``images`` beside it. The text of
        ``_<stem>_notes.md``, if there is such a file, is included.
    """
    folder, path = pathlib.Path(folder), pathlib.Path(path)
    result = json.loads((folder / 'comparison.json').read_text('utf-8'))
    rows, budget = result['rows'], result['budget']
    lines = [
        '# Without ground truth',
        '',
        'Made by `python -m examples.experiments.without_truth.comparison '
        f'{result["command"]}`. Each network '
        f'of a problem was trained in {budget["n_steps"]} steps of '
        f'{_counted(budget["batch"], "image")} of {budget["n_train"]} '
        'phantoms, at the best of '
        f'{_counted(len(budget["rates"]), "learning rate")} or more. '
        f'Scores are means over {budget["n_test"]} other phantoms, then mean '
        'and standard deviation over the seeds, '
        f'{_counted(len({row["seed"] for row in rows}), "seed")} in all.',
        '',
        '## What was to be shown',
        '',
        '| statement | measured | verdict |',
        '|---|---|---|',
    ]
    lines += [f'| {" | ".join(row)} |' for row in verdicts(rows)]
    notes = path.with_name(f'_{path.stem}_notes.md')
    if notes.is_file():
        lines += ['', notes.read_text(encoding='utf-8').strip()]
    lines += ['', '## Scores', '', table(rows), '']
    for name in dict.fromkeys((row['problem'], row['noise']) for row in rows):
        content = _picture(folder, rows, name)
        if content is None:
            continue
        stem = f'{path.stem}_{"_".join(name)}.png'
        (path.parent / 'images').mkdir(exist_ok=True)
        write_atomically(path.parent / 'images' / stem, content)
        words = f'{name[0]}, {name[1]} noise: a phantom and a real slice'
        lines += [f'![{words}](images/{stem})', '']
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
    figure = Figure((1.7 * len(found), 4.0), layout='compressed')
    axes = figure.subplots(2, len(found), squeeze=False)
    for column, (title, images) in zip(axes.T, found.items(), strict=True):
        column[0].set_title(title, fontsize=6)
        for ax, (kind, image) in zip(column, images.items(), strict=True):
            high = found['ground truth'][kind].max()
            ax.imshow(image, cmap='gray', vmin=0, vmax=high)
            ax.set_axis_off()
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=110)
    return content.getvalue()


def _shown(image):
    """Return the magnitude of an image of one channel or two."""
    image = image.astype(np.float32)
    return image[0] if len(image) == 1 else np.hypot(*image)
