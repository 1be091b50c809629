# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Figures that compare reconstructions."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from odl_equivariant._files import write_atomically
from odl_equivariant._packages import import_package
from odl_equivariant._types import PathLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ('compare', 'compare_errors', 'save_figure')


def _array(image):
    array = image.asarray() if hasattr(image, 'asarray') else image
    array = np.asarray(array)
    if array.ndim != 2:
        raise ValueError(
            f'expected images with 2 axes, got the shape {array.shape}'
        )
    return np.abs(array) if np.iscomplexobj(array) else array


def compare(
    rows: Sequence[Mapping[str, Any]],
    window: tuple[float, float] | None = None,
    close_up: tuple[slice, slice]
    | Sequence[tuple[slice, slice]]
    | None = None,
    row_labels: Sequence[str] | None = None,
) -> Figure:
    """Show images side by side, each with a close-up below it.

    Parameters
    ----------
    rows : sequence of dict
        One mapping from title to image for each row of images; an image is
        an element of a 2D space or an array, complex ones are shown by
        their magnitude. Axis 0 is x, to the right, axis 1 is y, upwards.
    window : (float, float), optional
        Values shown as black and as white. Default: the range of the first
        image.
    close_up : (slice, slice) or sequence of such, optional
        Part of the image that is shown enlarged, for all rows or one each.
    row_labels : sequence of str, optional
        What stands to the left of each row.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Figure, not yet shown or saved; see `save_figure`.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If there is no image, an image is not two-dimensional, or the rows
        have different numbers of images.
    """
    Figure = _figure_class()
    rows = [
        {title: _array(image) for title, image in row.items()} for row in rows
    ]
    n_columns = {len(row) for row in rows}
    if len(n_columns) != 1 or 0 in n_columns:
        raise ValueError(
            'each row must have the same, positive number of images, got '
            f'{[len(row) for row in rows]}'
        )
    n_columns = n_columns.pop()
    if window is None:
        first = next(iter(rows[0].values()))
        window = (float(first.min()), float(first.max()))
    if close_up is None or isinstance(close_up[0], slice):
        close_up = [close_up] * len(rows)
    per_row = 1 if close_up[0] is None else 2
    figure = Figure(
        figsize=(2.3 * n_columns, 2.4 * per_row * len(rows)),
        layout='constrained',
    )
    axes = figure.subplots(per_row * len(rows), n_columns, squeeze=False)
    for i, row in enumerate(rows):
        for j, (title, image) in enumerate(row.items()):
            parts = [image] if per_row == 1 else [image, image[close_up[i]]]
            for k, part in enumerate(parts):
                ax = axes[per_row * i + k, j]
                ax.imshow(
                    part.T,
                    cmap='gray',
                    origin='lower',
                    vmin=window[0],
                    vmax=window[1],
                )
                ax.set(xticks=[], yticks=[])
            axes[per_row * i, j].set_title(title, fontsize=9)
        if row_labels is not None:
            axes[per_row * i, 0].set_ylabel(row_labels[i])
    return figure


def compare_errors(
    rows: Mapping[str, Any],
    truth: Any = None,
    window: tuple[float, float] | None = None,
) -> Figure:
    """Show estimates beside what is said about their errors, and the errors.

    Parameters
    ----------
    rows : mapping of str to `Uncertainty`
        Results of `odl_equivariant.uncertainty`, by what stands to the left
        of each row.
    truth : element or array, optional
        The truth, if it is known.
    window : (float, float), optional
        Values of the images shown as black and as white. Default: the range
        of the first estimate.

    Returns
    -------
    figure : matplotlib.figure.Figure
        For each row the estimate, the mean of the samples, their standard
        deviation, the root of the estimated squared error and, with the
        truth, the magnitude of the error. All errors share one scale, up to
        the 99.5th percentile of all but the standard deviations.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If there is no row, or an image is not two-dimensional.
    """
    Figure = _figure_class()
    if not rows:
        raise ValueError('expected at least one result, got none')
    images, errors = [], []
    for result in rows.values():
        estimate = result.estimate
        images.append(
            {'estimate': _array(estimate), 'mean': _array(result.mean)}
        )
        found = {
            'standard deviation': _array(result.standard_deviation),
            'estimated error': np.sqrt(_array(result.squared_error)),
        }
        if truth is not None:
            known = truth.asarray() if hasattr(truth, 'asarray') else truth
            found['error'] = np.abs(_array(estimate.asarray() - known))
        errors.append(found)
    if window is None:
        first = images[0]['estimate']
        window = (float(first.min()), float(first.max()))
    shown = [list(found.values())[1:] for found in errors]
    most = float(np.percentile(np.concatenate(shown, axis=None), 99.5))
    n_columns = 2 + len(errors[0])
    figure = Figure(
        figsize=(2.3 * n_columns + 0.6, 2.4 * len(rows)), layout='constrained'
    )
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    for i, label in enumerate(rows):
        panels = [(t, a, 'gray', window) for t, a in images[i].items()]
        panels += [(t, a, 'magma', (0, most)) for t, a in errors[i].items()]
        for ax, (title, array, colours, limits) in zip(
            axes[i], panels, strict=True
        ):
            drawn = ax.imshow(
                array.T,
                cmap=colours,
                origin='lower',
                vmin=limits[0],
                vmax=limits[1],
            )
            ax.set(xticks=[], yticks=[])
            if i == 0:
                ax.set_title(title, fontsize=9)
        axes[i, 0].set_ylabel(label, fontsize=9)
    figure.colorbar(drawn, ax=axes[:, 2:], shrink=0.8)
    return figure


def _figure_class():
    return import_package('matplotlib.figure', 'a figure').Figure


def save_figure(figure: Figure, path: PathLike, **kwargs: Any) -> None:
    """Write a figure to a file, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure to write.
    path : path-like
        File; its ending tells the format. An existing file is replaced once
        the new one is complete.
    **kwargs
        Passed to ``figure.savefig``.

    Raises
    ------
    ValueError
        If the format is not known.
    """
    path = pathlib.Path(path)
    kwargs.setdefault('format', path.suffix[1:] or 'png')
    content = io.BytesIO()
    figure.savefig(content, **kwargs)
    write_atomically(path, content.getvalue())
