# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Figures of the experiments, made from their tables alone."""

import pathlib

import numpy as np

from examples.experiments.conditions import CONDITIONS
from examples.experiments.tables import (
    SETS,
    mean_and_spread,
    read_rows,
    set_name,
)
from odl_equivariant import plotting

__all__ = ('figure_names', 'make_figures')

_COLORS = {'ordinary': 'tab:orange', 'C4': 'tab:blue', 'TV': 'tab:gray'}
_LABELS = {'psnr': 'PSNR in dB', 'ssim': 'SSIM'}
_AXES = {
    'size': 'training images',
    'width': 'channels',
    'smoothing': 'smoothing in pixels',
}


def figure_names(experiment, output):
    """Return the names of an experiment's figures, without extension."""
    if experiment.picture_of:
        return [f'{experiment.name}_{task}' for task in experiment.picture_of]
    if experiment.cost_of:
        return []
    rows = read_rows(pathlib.Path(output) / f'{experiment.name}.csv')
    found = dict.fromkeys(row['images'] for row in rows)
    return [
        f'{experiment.name}_{images}' for images in SETS if images in found
    ]


def make_figures(experiments, output):
    """Write the figures of all experiments as PNG and PDF.

    Parameters
    ----------
    experiments : list of Experiment
        Experiments whose tables are in the folder.
    output : path-like
        Folder of the tables and of the figures.

    Raises
    ------
    FileNotFoundError
        If a table is missing.
    """
    output = pathlib.Path(output)
    for experiment in experiments:
        if experiment.cost_of:
            continue
        source = output / f'{experiment.name}.csv'
        if experiment.task and not source.is_file():
            raise FileNotFoundError(
                f'there is no table {source}: run without --only-figures first'
            )
        for name in figure_names(experiment, output):
            if experiment.picture_of:
                figure = _pictures(output / f'{name}.npz', experiment.arms)
            else:
                rows = read_rows(output / f'{experiment.name}.csv')
                images = name.rpartition('_')[2]
                rows = [row for row in rows if row['images'] == images]
                draw = _bars if experiment.vary == 'arm' else _curves
                what = set_name(images, experiment.scale)
                figure = draw(experiment, rows, what)
            for ending in ('png', 'pdf'):
                plotting.save_figure(
                    figure, output / f'{name}.{ending}', dpi=130
                )


def summarised(rows, keys):
    """Return mean and spread over seeds of each score, by some columns."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in keys), []).append(row)
    return {
        key: {
            score: mean_and_spread(row[score] for row in members)
            for score in _LABELS
        }
        for key, members in groups.items()
    }


def _figure(n_columns, width=2.9):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * n_columns, 5.2), layout='constrained')
    return figure, figure.subplots(2, n_columns, sharey='row', squeeze=False)


def _curves(experiment, rows, what):
    """Draw scores over a number, one column for each condition."""
    trained = [row for row in rows if row['seed'] != '']
    others = [row for row in rows if row['seed'] == '']
    means = summarised(trained, ('arm', 'condition', experiment.vary))
    shown = [c for c in CONDITIONS if any(r['condition'] == c for r in rows)]
    figure, axes = _figure(len(shown))
    for column, condition in enumerate(shown):
        for row, score in enumerate(_LABELS):
            ax = axes[row, column]
            for arm in experiment.arms:
                points = sorted(
                    (x, *values[score])
                    for (a, c, x), values in means.items()
                    if (a, c) == (arm, condition)
                )
                x, mean, spread = map(np.array, zip(*points, strict=True))
                ax.errorbar(
                    x,
                    mean,
                    spread,
                    marker='o',
                    markersize=3,
                    capsize=2,
                    color=_COLORS.get(arm),
                    label=arm,
                )
            lines = zip(('--', ':'), others_of(others), strict=False)
            for line, other in lines:
                (value,) = [
                    r[score]
                    for r in others
                    if (r['arm'], r['condition']) == (other, condition)
                ]
                ax.axhline(
                    value, linestyle=line, color='tab:gray', label=other
                )
            if experiment.vary in ('size', 'width'):
                ax.set_xscale('log')
                sizes = sorted({x for *_, x in means})
                ax.set_xticks(sizes, sizes)
                ax.minorticks_off()
            if row == 0:
                ax.set_title(condition, fontsize=10)
            else:
                ax.set_xlabel(_AXES[experiment.vary])
            ax.grid(alpha=0.3)
        axes[0, 0].set_ylabel(_LABELS['psnr'])
        axes[1, 0].set_ylabel(_LABELS['ssim'])
    axes[0, 0].legend(fontsize=8)
    figure.suptitle(f'{experiment.title}: {what}', fontsize=11)
    return figure


def others_of(rows):
    """Return the names of the methods that need no training."""
    return list(dict.fromkeys(row['arm'] for row in rows))


def _bars(experiment, rows, what):
    """Draw scores of many arms, one column for each condition."""
    means = summarised(rows, ('arm', 'condition'))
    shown = [c for c in CONDITIONS if any(r['condition'] == c for r in rows)]
    figure, axes = _figure(len(shown))
    places = np.arange(len(experiment.arms))
    for column, condition in enumerate(shown):
        for row, score in enumerate(_LABELS):
            ax = axes[row, column]
            values = [means[arm, condition][score] for arm in experiment.arms]
            ax.errorbar(
                places,
                [mean for mean, _ in values],
                [spread for _, spread in values],
                fmt='o',
                capsize=3,
            )
            ax.set_xticks(
                places, experiment.arms, rotation=60, fontsize=8, ha='right'
            )
            ax.grid(alpha=0.3)
            if row == 0:
                ax.set_title(condition, fontsize=10)
                ax.tick_params(labelbottom=False)
    axes[0, 0].set_ylabel(_LABELS['psnr'])
    axes[1, 0].set_ylabel(_LABELS['ssim'])
    figure.suptitle(f'{experiment.title}: {what}', fontsize=11)
    return figure


def _pictures(path, arms):
    """Draw reconstructions, close-ups and error maps of one slice."""
    from matplotlib.figure import Figure

    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    conditions = list(dict.fromkeys(n.split('/')[0] for n in arrays))
    columns = ('ground truth', *arms)
    figure = Figure(
        figsize=(2.3 * len(columns), 6.3 * len(conditions)),
        layout='constrained',
    )
    axes = figure.subplots(3 * len(conditions), len(columns))
    for block, condition in enumerate(conditions):
        truth = arrays[f'{condition}/ground truth']
        window = (0.0, float(np.quantile(truth, 0.995)))
        close_up = _busiest(truth)
        for j, name in enumerate(columns):
            image = arrays[f'{condition}/{name}']
            title = name
            if name in arms:
                value = float(arrays[f'{condition}/{name}/psnr'][0])
                title = f'{name}, {value:.2f} dB'
            for k, (part, kind) in enumerate(
                (
                    (image, 'gray'),
                    (image[close_up], 'gray'),
                    (np.abs(image - truth), 'magma'),
                )
            ):
                ax = axes[3 * block + k, j]
                limits = window if k < 2 else (0.0, 0.2 * window[1])
                ax.imshow(
                    part.T,
                    cmap=kind,
                    origin='lower',
                    vmin=limits[0],
                    vmax=limits[1],
                )
                ax.set(xticks=[], yticks=[])
            axes[3 * block, j].set_title(title, fontsize=9)
        for k, label in enumerate((condition, 'close-up', 'error, x 5')):
            axes[3 * block + k, 0].set_ylabel(label)
    return figure


def _busiest(image):
    """Return the window, a third of each side, that has the most edges."""
    n, m = (side // 3 for side in image.shape)
    edges = np.hypot(*np.gradient(image))
    sums = edges.cumsum(0).cumsum(1)
    inside = sums[n:, m:] - sums[:-n, m:] - sums[n:, :-m] + sums[:-n, :-m]
    i, j = np.unravel_index(inside.argmax(), inside.shape)
    return slice(i + 1, i + 1 + n), slice(j + 1, j + 1 + m)
