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

__all__ = ('Scores', 'listed', 'save_scores', 'score_table')

_COLUMNS = ('index', 'image', 'method', 'psnr', 'ssim', 'blank')
_N_NAMED = 10


class Scores(Callback):
    """Collect the scores of the test pairs, for `score_table`.

    Attributes
    ----------
    rows : list of dict
        One row for each image and method.
    """

    def __init__(self):
        self.rows = []

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
                self.rows.append(row)


def save_scores(rows, path):
    """Write the scores of each image as comma-separated values.

    Parameters
    ----------
    rows : list of dict
        See `score_table`. The last column, ``blank``, is 1 for an image
        without scores, whose ground truth is constant, and 0 otherwise.
    path : path-like
        File to write.
    """
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, _COLUMNS)
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
        names, ``'image'``, are below the table.

    Returns
    -------
    table : str
        One line for each method, in their order: mean and standard deviation
        over the images. One more line if some images are blank.

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
    return '\n'.join(lines)


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
