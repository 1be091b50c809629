# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tables of scores."""

import csv
import io

import numpy as np
from lightning.pytorch import Callback

from odl_equivariant._files import write_atomically
from odl_equivariant.data import Slices

__all__ = ('Scores', 'listed', 'save_scores', 'score_table')

_SCORES = ('psnr', 'ssim')
_COLUMNS = ('index', 'image', 'method', 'psnr', 'ssim', 'blank')
# Groups of images that are known for some sets of images only.
_GROUPS = ('patient', 'volume')
_N_NAMED = 10
_MOST_GROUPS = 20


class Scores(Callback):
    """Collect the scores of the test pairs, for `score_table`.

    Attributes
    ----------
    rows : list of dict
        One row for each image and method. ``'patient'`` and ``'volume'``
        are there if the test images have groups, as `Slices` have.
    """

    def __init__(self):
        self.rows = []
        self._slices = None

    def on_test_start(self, trainer, task):
        """Find the groups of the test images."""
        datamodule = getattr(trainer, 'datamodule', None)
        if datamodule is not None:
            pairs = datamodule.pairs('test')
            slices = getattr(pairs, 'slices', None)
            self._slices = slices if isinstance(slices, Slices) else None

    def on_test_batch_end(
        self, trainer, task, outputs, batch, batch_idx, dataloader_idx=0
    ):
        """Add the scores of a batch."""
        for i, name in enumerate(batch['name']):
            for method, values in outputs.items():
                if method == 'blank':
                    continue
                row = {'index': int(batch['index'][i]), 'image': str(name)}
                row['method'] = method
                row |= {key: float(value[i]) for key, value in values.items()}
                row['blank'] = bool(outputs['blank'][i])
                if self._slices is not None:
                    row['patient'] = self._slices.groups[row['index']]
                    row['volume'] = self._slices.volumes[row['index']]
                self.rows.append(row)


def save_scores(rows, path):
    """Write the scores of each image as comma-separated values.

    Parameters
    ----------
    rows : list of dict
        See `score_table`. The column ``blank`` is 1 for an image without
        scores, whose ground truth is constant, and 0 otherwise. The columns
        ``patient`` and ``volume`` follow if they are known.
    path : path-like
        File to write.
    """
    text = io.StringIO(newline='')
    groups = [key for key in _GROUPS if any(key in row for row in rows)]
    writer = csv.DictWriter(text, [*_COLUMNS, *groups])
    writer.writeheader()
    writer.writerows(
        {**row, 'blank': int(row.get('blank', False))} for row in rows
    )
    write_atomically(path, text.getvalue().encode())


def score_table(rows):
    """Return a table of the mean scores.

    Parameters
    ----------
    rows : list of dict
        ``'method'``, ``'psnr'`` in decibel and ``'ssim'`` of each image. The
        means leave out images that are ``'blank'``; their number and their
        names, ``'image'``, are below the table. If they have a
        ``'patient'`` and a ``'volume'``, the means of each of them follow,
        unless there is only one, or each image is alone in its own.

    Returns
    -------
    table : str
        One line for each method, in their order: mean and standard deviation
        over the images. One more line if some images are blank. Then the
        same table by patient and by volume, the first twenty of them, with
        mean and standard deviation over all of their means: images of one
        patient are alike, so that their deviation says little about others.

    Examples
    --------
    >>> rows = [{'method': 'FBP', 'psnr': 20.0, 'ssim': 0.5}]
    >>> rows += [{'method': 'FBP', 'psnr': 22.0, 'ssim': 0.7}]
    >>> print(score_table(rows))
    method    images      PSNR (dB)             SSIM
    FBP            2  21.00 +- 1.41  0.6000 +- 0.1414
    """
    lines = [f'{"method":<12}{"images":>4}{"PSNR (dB)":>15}{"SSIM":>17}']
    for method in dict.fromkeys(row['method'] for row in rows):
        own = [
            row
            for row in rows
            if row['method'] == method and not row.get('blank')
        ]
        psnr, ssim = ([row[key] for row in own] for key in ('psnr', 'ssim'))
        lines.append(
            f'{method:<12}{len(own):>4}'
            f'  {_mean(psnr):5.2f} +- {_deviation(psnr):4.2f}'
            f'  {_mean(ssim):6.4f} +- {_deviation(ssim):6.4f}'
        )
    blank = {row['index']: row['image'] for row in rows if row.get('blank')}
    if blank:
        lines.append(
            f'left out, since the ground truth is constant: {len(blank)}, '
            f'{listed(blank.values())}'
        )
    known = set()
    for key in _GROUPS:
        parts = {}
        for row in rows:
            if key in row:
                parts.setdefault(row[key], set()).add(row['index'])
        division = frozenset(map(frozenset, parts.values()))
        n_images = len(set().union(*parts.values()))
        if division not in known and 1 < len(parts) < n_images:
            lines += ['', *_grouped(rows, key)]
        known.add(division)
    return '\n'.join(lines)


def _grouped(rows, key):
    """Return the lines of the table of one kind of group."""
    scored = {}
    for row in rows:
        if key in row and not row.get('blank'):
            groups = scored.setdefault(row['method'], {})
            groups.setdefault(row[key], []).append(row)
    names = list(dict.fromkeys(row[key] for row in rows if key in row))
    # the end of a long path says more
    shown = {
        name: f'...{name[-27:]}' if len(name) > 30 else name
        for name in names[:_MOST_GROUPS]
    }
    width = max(
        len(key), *map(len, shown.values()), len(f'{len(names)} {key}s')
    )
    lines = [
        f'{key:<{width}}  {"method":<12}{"images":>4}{"PSNR (dB)":>15}'
        f'{"SSIM":>17}'
    ]

    def line(name, method, n, psnr, ssim):
        return (
            f'{name:<{width}}  {method:<12}{n:>4}'
            f'  {_mean(psnr):5.2f} +- {_deviation(psnr):4.2f}'
            f'  {_mean(ssim):6.4f} +- {_deviation(ssim):6.4f}'
        )

    for name, title in shown.items():
        for method, groups in scored.items():
            own = groups.get(name, [])
            lines.append(
                line(
                    title,
                    method,
                    len(own),
                    *([row[score] for row in own] for score in _SCORES),
                )
            )
    if len(names) > len(shown):
        lines.append(f'and {len(names) - len(shown)} more {key}s')
    for method, groups in scored.items():
        lines.append(
            line(
                f'{len(groups)} {key}s',
                method,
                sum(map(len, groups.values())),
                *(
                    [
                        _mean([row[score] for row in own])
                        for own in groups.values()
                    ]
                    for score in _SCORES
                ),
            )
        )
    return lines


def listed(names):
    """Return the first ten names in one line.

    Examples
    --------
    >>> listed('abc')
    'a, b, c'
    >>> listed(range(99))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 89 more'
    """
    names = list(map(str, names))
    text = ', '.join(names[:_N_NAMED])
    more = len(names) - _N_NAMED
    return f'{text} and {more} more' if more > 0 else text


def _mean(values):
    return np.mean(values) if values else np.nan


def _deviation(values):
    if len(values) < 2:
        return 0.0
    # NaN if a score is infinite, such as that of a perfect image
    with np.errstate(invalid='ignore'):
        return np.std(values, ddof=1)
