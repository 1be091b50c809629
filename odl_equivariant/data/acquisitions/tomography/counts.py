# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""From the readings of a detector to line integrals."""

from __future__ import annotations

import numpy as np

from odl_equivariant._types import Samples
from odl_equivariant._warnings import warn_user
from odl_equivariant.data._checks import as_real_array

__all__ = ('check_fields', 'counts_to_line_integrals')

# A reading that is so much above the white field is not noise of its own.
_ABOVE = 0.05
# ... nor are so many standard deviations, if these are known.
_DEVIATIONS = 6.0
# What a reading without rays counts for: so much of the smallest one that
# there is, and at least so much of the white field.
_PART, _LEAST = 0.5, 1e-6
# Bits of detectors, and how many readings at their largest number are no
# chance.
_BITS, _CHANCE = (8, 10, 12, 14, 16), 10


def counts_to_line_integrals(
    counts: Samples,
    shape: tuple[int, ...],
    dark: Samples | None,
    white: Samples | None,
) -> np.ndarray:
    r"""Return the exponents of Beer's law of readings.

    Parameters
    ----------
    counts : array-like
        Readings.
    shape : tuple of int
        Their shape, ``(views, elements)`` or, in 3D, with one more axis.
    dark, white : array-like or None
        Readings without rays (default 0) and without an object: a number,
        an array of the shape of the detector, or a stack of such, of which
        the mean is taken.

    Returns
    -------
    exponents : numpy.ndarray
        Values in double precision,
        :math:`-\log((N - D) / (W - D))`.

    Raises
    ------
    ValueError
        If there is no white field, a shape does not fit, values are not
        finite, or most readings are not above the dark field or are far
        above the white field.

    Warns
    -----
    UserWarning
        If readings are not above the dark field: they count as half of the
        smallest one that is. If readings are clearly above the white field:
        their line integrals are negative, and stay so. If the white field is
        not above the dark field in some elements: their line integrals are
        interpolated from their neighbours. If many readings of the scan or
        of the white field are the largest number of 8, 10, 12, 14 or 16 bits,
        as where a detector is saturated.
    """
    if white is None:
        raise ValueError(
            'counts need a white field, the readings without an object: pass '
            '`white`, or `n_photons` to the acquisition. If these are line '
            'integrals already, take them as they are'
        )
    counts = _finite('counts', counts)
    _check_saturated('counts', counts)
    if np.ndim(white):
        _check_saturated('white', as_real_array(white))
    if counts.shape != shape:
        turned = counts.ndim == 2 and counts.T.shape == shape
        raise ValueError(
            f'`counts` must have shape {shape} (views, detector elements), '
            f'got {counts.shape}' + ('; transpose them' if turned else '')
        )
    dark, _ = _field('dark', 0.0 if dark is None else dark, shape)
    white, spread = _field('white', white, shape)
    full = np.broadcast_to(_above_dark(white, dark), shape)
    net = counts - dark
    dead = full <= 0
    with np.errstate(divide='ignore', invalid='ignore'):
        transmission = np.where(dead, 1.0, net / full)
    exponents = _logarithms(transmission, dead)
    _check_above(transmission, dead, spread / np.mean(full[~dead]))
    if dead.any():
        _fill(exponents, dead)
    return exponents


def check_fields(
    dark: Samples | None, white: Samples | None, shape: tuple[int, ...]
) -> None:
    """Raise an error if fields do not fit a detector, or each other.

    Parameters
    ----------
    dark, white, shape
        As for `counts_to_line_integrals`; a field may be missing.

    Raises
    ------
    ValueError
        If a shape does not fit, values are not finite, or the white field is
        nowhere above the dark field.
    """
    fields = [
        None if field is None else _field(name, field, shape)[0]
        for name, field in (('dark', dark), ('white', white))
    ]
    if fields[0] is not None and fields[1] is not None:
        _above_dark(fields[1], fields[0])


def _above_dark(white, dark):
    """Return the white field without the dark field, somewhere positive."""
    full = np.asarray(white - dark)
    if not (full > 0).any():
        raise ValueError(
            'the white field is nowhere above the dark field: white is '
            f'{np.mean(white):g} in the mean, dark {np.mean(dark):g}. Are the '
            'two swapped?'
        )
    return full


def _check_saturated(name, readings):
    """Give a word if readings stay at the largest number of a detector."""
    if not readings.size:
        return
    largest = readings.max()
    if largest not in [2**bits - 1 for bits in _BITS]:
        return
    n_largest = np.count_nonzero(readings == largest)
    # noise that goes up to the largest number by chance becomes rare there
    n_below = np.count_nonzero(
        (readings < largest) & (readings >= largest - 1)
    )
    if n_largest > _CHANCE and n_largest > n_below:
        warn_user(
            f'{n_largest} of {readings.size} readings of `{name}` are '
            f'{largest:.0f}, the largest number of '
            f'{int(largest).bit_length()} bits: if the detector is saturated '
            'there, line integrals are wrong, and the edges of the object too '
            'thin; take a shorter exposure',
            UserWarning,
        )


def _logarithms(transmission, dead):
    """Return exponents, with a word about readings that have none."""
    lost = (transmission <= 0) & ~dead
    measured = transmission[~lost & ~dead]
    share = lost.sum() / max(1, (~dead).sum())
    if share > 0.5:
        raise ValueError(
            f'{100 * share:.0f} % of the readings are not above the dark '
            'field: are dark and white field swapped, or are these line '
            'integrals, and not counts?'
        )
    floor = max(_PART * float(measured.min()), _LEAST)
    if lost.any():
        warn_user(
            f'{int(lost.sum())} of {lost.size} readings are not above the '
            f'dark field, as if no ray came: they count as {floor:.2g}'
            f' of the white field, a line integral of {-np.log(floor):.3g}',
            UserWarning,
        )
    return -np.log(np.where(lost, floor, np.maximum(transmission, floor)))


def _check_above(transmission, dead, spread):
    """Give a word about readings that are clearly above the white field."""
    limit = 1 + max(_ABOVE, _DEVIATIONS * spread)
    above = (transmission > limit) & ~dead
    if not above.any():
        return
    share = above.sum() / above.size
    found = (
        f'{int(above.sum())} of {above.size} readings are above the white '
        f'field, up to {float(transmission[above].max()):.3g} times'
    )
    if share > 0.5:
        raise ValueError(
            f'{found}: are dark and white field swapped, does the white '
            'field belong to another exposure, or are these line integrals, '
            'and not counts?'
        )
    warn_user(
        f'{found}: their line integrals are negative. Noise in air is less '
        'than that; did the source change between the white field and the '
        'scan?',
        UserWarning,
    )


def _fill(exponents, dead):
    """Interpolate the readings of dead elements along the detector."""
    rows = np.moveaxis(exponents, 1, -1)
    gone = np.moveaxis(np.broadcast_to(dead, exponents.shape), 1, -1)
    places = np.arange(rows.shape[-1])
    elements = np.unique(np.argwhere(gone)[:, -1])
    for index in np.ndindex(rows.shape[:-1]):
        bad = gone[index]
        if bad.any() and not bad.all():
            row = rows[index]
            row[bad] = np.interp(places[bad], places[~bad], row[~bad])
    named = ', '.join(map(str, elements[:8]))
    warn_user(
        f'the white field is not above the dark field in {len(elements)} of '
        f'{rows.shape[-1]} detector elements ({named}'
        + (', ...' if len(elements) > 8 else '')
        + '): their line integrals are interpolated from their neighbours',
        UserWarning,
    )


def _finite(name, values):
    array = as_real_array(values).astype(float)
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(
            f'`{name}` has {int(bad.sum())} of {bad.size} values that are '
            'infinite or not a number'
        )
    return array


def _field(name, values, shape):
    """Return a field that broadcasts to readings, and its mean spread."""
    array = _finite(name, values)
    detector = shape[1:]
    if array.ndim == 0 or array.shape == detector:
        return array, 0.0
    if array.ndim == len(shape) and array.shape[1:] == detector:
        spread = array.std(axis=0).mean() if len(array) > 2 else 0.0
        return array.mean(axis=0), float(spread)
    raise ValueError(
        f'`{name}` must be a number, an array of the shape {detector} of the '
        f'detector, or a stack of such, got the shape {array.shape}'
    )
