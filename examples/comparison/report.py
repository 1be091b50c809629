# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The scores as tables."""

import json
import pathlib

import numpy as np

from comparison.methods import NAMES

__all__ = ('doubts', 'merged', 'page', 'table')


def merged(paths):
    """Return the scores of several files; the last of a method counts.

    Raises
    ------
    ValueError
        If a file does not hold the scores of images by methods.
    """
    results = {}
    for path in map(pathlib.Path, paths):
        try:
            found = json.loads(path.read_text(encoding='utf-8'))
            for image, scores in found.items():
                for name in scores:
                    float(scores[name]['psnr']), NAMES[name]
                results.setdefault(image, {}).update(scores)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path} must hold what --json has written, '
                '{image: {method: {psnr, ...}}} with methods of '
                f'{", ".join(NAMES)} ({error!r})'
            ) from error
    return results


def _names(results):
    """Return the methods that all images have, then the others."""
    return [
        name
        for name in NAMES
        if any(name in scores for scores in results.values())
    ]


def _mean(results, name, key):
    return float(
        np.mean([s[name][key] for s in results.values() if name in s])
    )


def table(results):
    """Return the means over the images as text."""
    rows = [
        f'{"":30}{"upright":^30}{"turned by 90 degrees":^34}',
        f'{"means":30}{"images":>7}{"PSNR":>7}'
        f'{"SSIM":>7}{"seconds":>9}{"PSNR":>11}{"SSIM":>7}'
        f'{"equivariance error":>20}',
    ]
    for name in _names(results):
        mean = {
            key: _mean(results, name, key)
            for key in (
                'psnr',
                'ssim',
                'seconds',
                'turned_psnr',
                'turned_ssim',
                'equivariance_error',
            )
        }
        n_images = sum(name in scores for scores in results.values())
        rows.append(
            f'{NAMES[name]:30}{n_images:7}{mean["psnr"]:7.2f}'
            f'{mean["ssim"]:7.3f}'
            f'{mean["seconds"]:9.2f}{mean["turned_psnr"]:11.2f}'
            f'{mean["turned_ssim"]:7.3f}{mean["equivariance_error"]:20.1e}'
        )
    return '\n'.join(rows)


def doubts(results):
    """Return sentences on scores that more work might raise."""
    found = []
    for image, scores in results.items():
        for name, entry in scores.items():
            start = f'{image}, {NAMES[name]}: '
            for parameter in entry.get('at_end', ()):
                found.append(
                    f'{start}the best {parameter}, '
                    f'{entry["setting"][parameter]:.3g}, is at an end of the '
                    'range that was tried; raise --evaluations'
                )
            if not entry.get('converged', True):
                found.append(f'{start}the iterations have not converged')
    return found


def page(results):
    """Return a page in Markdown: images side by side, upright and turned."""
    names, images = _names(results), list(results)
    header = ['', *images, 'mean', 'turned', 'SSIM', 'equivariance error']
    lines = [header, ['---', *['---:'] * (len(header) - 1)]]
    for name in names:
        cells = [
            f'{results[image][name]["psnr"]:.2f}'
            if name in results[image]
            else ''
            for image in images
        ]
        is_whole = all(cells)
        means = [
            _mean(results, name, key)
            for key in ('psnr', 'turned_psnr', 'ssim', 'equivariance_error')
        ]
        formats = ('.2f', '.2f', '.3f', '.0e')
        lines.append(
            [
                NAMES[name],
                *cells,
                *(
                    format(mean, code) if is_whole else ''
                    for mean, code in zip(means, formats, strict=True)
                ),
            ]
        )
    rows = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    notes = ''.join(f'- {doubt}.\n' for doubt in doubts(results))
    return rows + '\n' + (f'\n{notes}' if notes else '')
