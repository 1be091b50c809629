# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Scores as tables and files."""

import csv
import io
import statistics

from odl_equivariant._files import write_atomically

__all__ = ('save_scores', 'score_table')

_COLUMNS = ('index', 'image', 'method', 'psnr', 'ssim')


def save_scores(rows, path):
    """Write the scores of each image as comma-separated values."""
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def score_table(rows):
    """Return the means over images as a table.

    Parameters
    ----------
    rows : list of dict
        ``'method'``, ``'psnr'`` in decibel and ``'ssim'`` of each image.

    Returns
    -------
    table : str
        One line a method, in the order in which they occur: mean and
        standard deviation over the images.

    Examples
    --------
    >>> rows = [{'method': 'FBP', 'psnr': 20.0, 'ssim': 0.5}]
    >>> rows += [{'method': 'FBP', 'psnr': 22.0, 'ssim': 0.7}]
    >>> print(score_table(rows))
    method    images      PSNR (dB)             SSIM
    FBP            2  21.00 +- 1.41  0.6000 +- 0.1414
    """
    lines = [
        f'{"method":<12}{"images":>4}{"PSNR (dB)":>15}{"SSIM":>17}'
    ]
    for method in dict.fromkeys(row['method'] for row in rows):
        own = [row for row in rows if row['method'] == method]
        psnr, ssim = (
            [row[key] for row in own] for key in ('psnr', 'ssim')
        )
        lines.append(
            f'{method:<12}{len(own):>4}'
            f'  {statistics.mean(psnr):5.2f} +- {_deviation(psnr):4.2f}'
            f'  {statistics.mean(ssim):6.4f} +- {_deviation(ssim):6.4f}'
        )
    return '\n'.join(lines)


def _deviation(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0
