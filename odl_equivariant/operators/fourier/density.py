# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Weights of samples that are not equally dense, and gridding."""

from __future__ import annotations

import numpy as np
import odl
import torch

from odl_equivariant import _checks
from odl_equivariant._checked_operator import CheckedComposition
from odl_equivariant._types import Operator, Samples
from odl_equivariant.elements import (
    element_from_array,
    first_part,
    grid_shape,
)
from odl_equivariant.operators.fourier.coordinates import (
    cell_sides,
    quiet_range,
)
from odl_equivariant.operators.fourier.non_uniform import (
    NonUniformFourierTransform,
)

__all__ = ('gridding', 'pipe_menon_weights', 'radial_weights')

# of the radii of a spoke, in parts of the largest one
_ROUNDING = 1e-5
_KERNEL_TOL = 1e-6


def check_transform(transform):
    """Raise an error if this is no `NonUniformFourierTransform`."""
    if not isinstance(transform, NonUniformFourierTransform):
        raise TypeError(
            'expected a `NonUniformFourierTransform`, without coils, got '
            f'{transform!r}'
        )


def checked_weights(weights, transform):
    """Return weights as a float64 array of the shape of the samples."""
    if isinstance(weights, torch.Tensor):
        weights = weights.detach().cpu().numpy()
    array = np.asarray(weights)
    shape = grid_shape(transform.range)
    if array.dtype.kind not in 'fiu':
        raise TypeError(
            f'`weights` must be real numbers, got dtype {array.dtype}'
        )
    if array.shape != shape:
        raise ValueError(
            f'`weights` must have the shape {shape} of the samples, got '
            f'{array.shape}'
        )
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(
            '`weights` must be finite and not negative, got values from '
            f'{array.min()} to {array.max()}'
        )
    return array.astype(float)


def pipe_menon_weights(
    transform: NonUniformFourierTransform, n_iterations: int = 30
) -> np.ndarray:
    r"""Return weights that compensate the density of any samples.

    Parameters
    ----------
    transform : `NonUniformFourierTransform`
        Transform to the samples.
    n_iterations : int, optional
        Number of iterations.

    Returns
    -------
    weights : numpy.ndarray
        Positive float64 array of the shape of the samples. The sum over
        samples that fill a part of k-space is the number of frequencies of
        the grid in this part: on the grid itself, all weights are 1.

    Raises
    ------
    TypeError
        If ``transform`` is something else, or the number not whole.
    ValueError
        If the number is not positive.

    Notes
    -----
    The iteration of Pipe and Menon (1999),

    .. math::
        w \leftarrow \frac{w}{\kappa * w}, \qquad
        (\kappa * w)_m = \sum_l \kappa(\xi_m - \xi_l)\, w_l,

    makes the weighted density of the samples equal to 1. The kernel
    :math:`\kappa` is the Fejer kernel, the transform of the triangle that is
    the autocorrelation of the field of view: it is not negative, and what it
    compensates is the point spread function up to the distance of opposite
    ends of the image.

    Examples
    --------
    >>> space = odl.cn(4)
    >>> points = np.pi * np.array([[-1], [-0.5], [0], [0.5]])
    >>> transform = NonUniformFourierTransform(space, points)
    >>> np.round(pipe_menon_weights(transform), 6)
    array([ 1.,  1.,  1.,  1.])
    """
    check_transform(transform)
    n_iterations = _checks.whole_number('n_iterations', n_iterations, 1)
    part = first_part(transform.domain)
    points = transform.coordinates * cell_sides(part)
    grid = odl.cn(tuple(2 * n for n in part.shape), dtype='complex128')
    with quiet_range():
        doubled = NonUniformFourierTransform(grid, points, _KERNEL_TOL)
    window = np.array(2.0**part.ndim)
    for n in part.shape:
        triangle = 1 - np.abs(np.arange(2 * n) - n) / n
        window = np.multiply.outer(window, triangle)
    window = torch.from_numpy(window)
    apply, transpose = doubled.maps
    weights = torch.ones((1, 1, *points.shape[:-1]), dtype=torch.complex128)
    for _ in range(n_iterations):
        # with itself, the density of a sample is its weight at least
        density = apply(window * transpose(weights)).real
        weights = weights / density
    return weights[0, 0].real.numpy().copy()


def radial_weights(transform: NonUniformFourierTransform) -> np.ndarray:
    r"""Return the areas of k-space that the samples of spokes stand for.

    Parameters
    ----------
    transform : `NonUniformFourierTransform`
        Transform to samples on straight lines through the zero frequency, of
        shape ``(n_spokes, n_samples)``, as `radial_trajectory` makes them.

    Returns
    -------
    weights : numpy.ndarray
        Positive float64 array of the shape of the samples, normalised as
        those of `pipe_menon_weights`.

    Raises
    ------
    TypeError
        If ``transform`` is something else.
    ValueError
        If the samples do not lie on spokes, in their order.

    Notes
    -----
    A sample at the signed radius :math:`r` stands for the radii :math:`a \le
    r \le b` up to the middle between its neighbours, in the angle
    :math:`\delta` up to the middle between the neighbours of its spoke. Its
    area is :math:`\tfrac12 \delta\, (b |b| - a |a|)`, which is the ramp
    :math:`\delta\, |r| (b - a)` but at the centre. The weight is this area
    divided by that of a cell of the grid's frequencies.

    Examples
    --------
    >>> from odl_equivariant.operators import radial_trajectory
    >>> space = odl.cn((8, 8))
    >>> points = radial_trajectory(space, 12, 8)
    >>> weights = radial_weights(NonUniformFourierTransform(space, points))
    >>> round(float(weights[0, 1] / weights[0, 2]), 6)
    1.5
    """
    check_transform(transform)
    points = transform.coordinates
    if points.ndim != 3 or points.shape[-1] != 2 or points.shape[1] < 2:
        raise ValueError(
            'the samples of spokes have the shape (n_spokes, n_samples), '
            f'with at least two in a plane, got {points.shape[:-1]} with '
            f'{points.shape[-1]} frequencies each: `pipe_menon_weights` '
            'takes any samples'
        )
    spokes = points[..., 0] + 1j * points[..., 1]
    # axes in which the spokes turn, from the first to the last sample
    directions = spokes[:, -1] - spokes[:, 0]
    size = np.abs(directions)
    largest = np.abs(spokes).max()
    directions = directions / np.where(size > 0, size, 1)
    along = spokes * directions.conj()[:, None]
    radii = along.real
    if np.abs(along.imag).max() > _ROUNDING * largest or (
        np.diff(radii, axis=1).min() <= 0
    ):
        raise ValueError(
            'the samples are not those of spokes, one after the other on '
            'straight lines through the zero frequency: use '
            '`pipe_menon_weights`'
        )
    middles = (radii[:, 1:] + radii[:, :-1]) / 2
    first, last = 2 * radii[:, :1] - middles[:, :1], 2 * radii[:, -1:]
    edges = np.hstack([first, middles, last - middles[:, -1:]])
    areas = np.diff(edges * np.abs(edges), axis=1) / 2
    widths = _angular_widths(np.angle(directions) % np.pi)
    part = first_part(transform.domain)
    cell = np.prod(2 * np.pi / (cell_sides(part) * np.array(part.shape)))
    return widths[:, None] * areas / cell


def _angular_widths(angles):
    """Return the sectors of lines up to the middle between neighbours."""
    order = np.argsort(angles)
    gaps = np.diff(angles[order], append=angles[order[0]] + np.pi)
    widths = np.empty_like(angles)
    widths[order] = (gaps + np.roll(gaps, 1)) / 2
    return widths


def gridding(
    transform: NonUniformFourierTransform, weights: Samples
) -> Operator:
    r"""Return the adjoint of the weighted samples, a quick reconstruction.

    Parameters
    ----------
    transform : `NonUniformFourierTransform`
        Transform to the samples, possibly of the images of several coils.
    weights : array-like or torch.Tensor
        Real weights of the shape of the samples, from `radial_weights` or
        `pipe_menon_weights`.

    Returns
    -------
    operator : `odl.Operator`
        Linear operator :math:`y \mapsto A^* (w\, y)`.

    Raises
    ------
    ValueError
        If the weights have another shape, are negative, or not finite.
    TypeError
        If the weights are not real numbers, or ``transform`` is something
        else.

    Notes
    -----
    If the samples fill a part of k-space, :math:`A^* w A` is almost the
    projection onto the frequencies in this part. With coils, :math:`S^*` of
    a `SensitivityEncoding` follows.

    Examples
    --------
    >>> points = np.pi * np.array([[-1], [-0.5], [0], [0.5]])
    >>> transform = NonUniformFourierTransform(odl.cn(4), points)
    >>> image = gridding(transform, np.ones(4))(transform([0, 1, 2, 0]))
    >>> np.round(image.asarray().real, 6) + 0
    array([ 0.,  1.,  2.,  0.])
    """
    check_transform(transform)
    array = checked_weights(weights, transform)
    return CheckedComposition(
        transform.adjoint, _multiplication(transform.range, array)
    )


def _multiplication(space, array):
    """Return the multiplication of all parts of a space by an array."""
    if isinstance(space, odl.ProductSpace):
        one = _multiplication(space[0], array)
        return odl.DiagonalOperator(*[one] * len(space))
    return odl.MultiplyOperator(element_from_array(array, space))
