# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The results as a page of the documentation, made from the tables."""

import pathlib

from examples.experiments.conditions import CONDITIONS
from examples.experiments.page.comparisons import compared
from examples.experiments.page.duration import duration
from examples.experiments.page.figures import (
    figure_names,
    others_of,
    summarised,
)
from examples.experiments.page.statements import checked
from examples.experiments.records import DURATION, RATES
from examples.experiments.tables import SETS, read_rows, set_name
from odl_equivariant._files import write_atomically

__all__ = ('make_report',)


def make_report(experiments, output, path, arguments):
    """Write tables, figures and statements as one page of Markdown.

    Parameters
    ----------
    experiments : list of Experiment
        Experiments whose tables are in the folder. Those without a table are
        named as such.
    output : path-like
        Folder of tables and figures.
    path : path-like
        Page to write. Its figures go into ``images/experiments`` beside it,
        and its tables into a folder with the name of the page. The text of
        ``_<stem>_notes.md``, if there is such a file, is included.
    arguments : list of str
        Arguments of the command that made the tables.
    """
    output, path = pathlib.Path(output), pathlib.Path(path)
    (scale,) = {experiment.scale for experiment in experiments}
    tables = {}
    for experiment in experiments:
        table = output / f'{experiment.name}.csv'
        if table.is_file():
            tables[experiment.name] = read_rows(table)
    rates = output / RATES
    searched = read_rows(rates) if rates.is_file() else []
    commits = sorted(
        {
            row['commit']
            for rows in (*tables.values(), searched)
            for row in rows
            if row.get('commit')
        }
    )
    command = ' '.join(['python -m examples.experiments', *arguments])
    lines = [
        '# Results',
        '',
        f'Made by `{command} --report {path.as_posix()}`, from the tables '
        'that this command writes (kept in '
        f'`{(path.parent / path.stem).as_posix()}`); the networks, '
        'scores and searched rates are of the '
        f'{"commit" if len(commits) == 1 else "commits"} '
        f'{", ".join(f"`{c}`" for c in commits)}. Scores are means over the '
        'test images, then mean and standard deviation over the seeds: of '
        'the weights, of the order of the data and of their noise. No '
        'measured number on this page was typed. The command needs the extras '
        '`training`, `plots` and `data`, and takes slices of the MNI152 '
        'template from nilearn where that is installed.',
        '',
    ]
    clock = output / DURATION
    calls = read_rows(clock) if clock.is_file() else []
    for words in (
        duration(tables, searched, calls),
        *(_without_real(tables) if scale == 'small' else ()),
    ):
        lines += [words, ''] if words else []
    lines += [
        '## What the paper states',
        '',
        '| statement | measured | agrees |',
        '|---|---|---|',
    ]
    lines += [f'| {" | ".join(row)} |' for row in checked(tables, scale)]
    if further := compared(tables, scale):
        header = ['statement', 'measured', 'holds']
        lines += ['', '## Further comparisons', '', *_table(header, further)]
    notes = path.with_name(f'_{path.stem}_notes.md')
    if notes.is_file():
        lines += ['', notes.read_text(encoding='utf-8').strip()]
    images = path.parent / 'images' / 'experiments'
    copies = path.parent / path.stem
    for folder in (images, copies):
        folder.mkdir(parents=True, exist_ok=True)
    for table in sorted(output.glob('*.csv')):
        write_atomically(copies / table.name, table.read_bytes())
    done = [
        experiment
        for experiment in experiments
        if not experiment.task or experiment.name in tables
    ]
    if len(done) < len(experiments):
        missing = [e.title for e in experiments if e not in done]
        lines += ['', f'Without results yet: {"; ".join(missing)}.']
    for experiment in done:
        lines += ['', f'## {experiment.title}', '']
        for name in figure_names(experiment, output):
            content = (output / f'{name}.png').read_bytes()
            write_atomically(images / f'{name}.png', content)
            words = described(name, experiment)
            lines += [f'![{words}](images/experiments/{name}.png)', '']
        rows = tables.get(experiment.name)
        if rows and experiment.cost_of:
            lines += _cost_table(rows)
        elif rows:
            lines += _score_tables(experiment, rows)
    if searched:
        lines += ['', '## Learning rates', '', at_ends(searched), '']
        lines += _rate_table(searched)
    write_atomically(path, ('\n'.join(lines).rstrip() + '\n').encode())


def _without_real(tables):
    """Yield words for each task that has no real slices in its tests."""
    found = {}
    for row in (row for rows in tables.values() for row in rows):
        if row.get('condition'):
            task = row['run'].partition('-')[0]
            found.setdefault(task, set()).add(row['images'])
    for task, sets in found.items():
        if SETS[1] not in sets:
            yield (
                f'The tests of {task.upper()} have no real slices: the '
                'command was given no file of them.'
            )


def described(name, experiment):
    """Return what a figure shows, for those who do not see it.

    Parameters
    ----------
    name : str
        Name of the file, which ends in what it shows.
    experiment : Experiment
        The experiment.
    """
    if name.startswith('pictures'):
        modality = name.rpartition('_')[2].upper()
        return f'{modality}: a slice, its reconstructions and their errors'
    images = set_name(name.rpartition('_')[2], experiment.scale)
    return f'{experiment.title}: scores on {images}'


def _table(header, rows):
    lines = [header, ['---'] * len(header), *rows]
    return [f'| {" | ".join(map(str, line))} |' for line in lines]


def _score_tables(experiment, rows):
    lines = []
    for images in SETS:
        what = set_name(images, experiment.scale)
        own = [row for row in rows if row['images'] == images]
        if not own:
            continue
        found = {row['condition'] for row in own}
        shown = [condition for condition in CONDITIONS if condition in found]
        trained = [row for row in own if row['seed'] != '']
        keys = ['arm']
        if experiment.vary != 'arm':
            keys = [experiment.vary, 'arm']
        means = summarised(trained, (*keys, 'condition'))
        names = dict.fromkeys(key[:-1] for key in means)
        body = [
            [*name, *(_cell(means[*name, c]) for c in shown)] for name in names
        ]
        for other in others_of([row for row in own if row['seed'] == '']):
            by_condition = {
                row['condition']: row for row in own if row['arm'] == other
            }
            body.append(
                [
                    *[''] * (len(keys) - 1),
                    other,
                    *(
                        f'{row["psnr"]:.2f} / {row["ssim"]:.3f}'
                        for row in map(by_condition.get, shown)
                    ),
                ]
            )
        n_images = own[0]['n_images']
        noun = 'image' if n_images == 1 else 'images'
        lines += [
            f'{what.capitalize()} ({n_images} {noun}), PSNR in dB / SSIM:',
            '',
            *_table([*keys, *shown], body),
            '',
        ]
    return lines


def _cell(values):
    (psnr, psnr_spread), (ssim, ssim_spread) = values['psnr'], values['ssim']
    return f'{psnr:.2f} ± {psnr_spread:.2f} / {ssim:.3f} ± {ssim_spread:.3f}'


def _cost_table(rows):
    return _table(
        [
            'network',
            'parameters',
            'training step',
            'ratio',
            'reconstruction',
            'ratio',
            'kept for the gradient',
        ],
        [
            [
                row['arm'],
                row['parameters'],
                f'{1e3 * row["training_seconds"]:.1f} ms',
                f'{row["training_ratio"]:.3f}',
                f'{1e3 * row["inference_seconds"]:.1f} ms',
                f'{row["inference_ratio"]:.3f}',
                f'{row["saved_megabytes"]:.1f} MiB',
            ]
            for row in rows
        ],
    )


def at_ends(rows):
    """Return in words which searches chose the lowest or highest rate.

    Parameters
    ----------
    rows : list of dict
        Rows of the learning rates. Beyond such a rate there may be a better
        one.
    """
    searches = {}
    for row in rows:
        key = (
            f'{row["task"].upper()}, {row["arm"]}, {row["size"]} images, '
            f'{row["steps"]} steps, {row["width"]} channels'
        )
        searches.setdefault(key, []).append(row)
    found = []
    for name, own in searches.items():
        rates = [row['rate'] for row in own]
        (chosen,) = [row['rate'] for row in own if row['chosen']]
        if len(rates) > 1 and chosen in (min(rates), max(rates)):
            end = 'lowest' if chosen == min(rates) else 'highest'
            found.append(f'{name} (the {end})')
    words = f'Of {len(searches)} searches, {len(found)} chose a rate at an end'
    return f'{words}: {"; ".join(found)}.' if found else f'{words}.'


def _rate_table(rows):
    shown = {
        'both': 'PSNR of validation',
        'validation': 'of its images',
        'validation slices': 'of its slices',
        'test': 'of the test images',
        'slices': 'of the test slices',
    }
    columns = ['task', 'steps', 'size', 'width', 'arm', 'rate']
    return _table(
        [
            *('images' if name == 'size' else name for name in columns),
            *shown.values(),
            'chosen',
        ],
        [
            [
                *(row[name] for name in columns),
                *(
                    f'{row[f"{images}_psnr"]:.2f} dB'
                    if row.get(f'{images}_psnr', '') != ''
                    else ''
                    for images in shown
                ),
                'yes' if row['chosen'] else '',
            ]
            for row in rows
        ],
    )
