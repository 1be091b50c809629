# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What the acquisitions of films share: checks, and means of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import odl

from odl_equivariant._types import Element, Image
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.acquisitions.base import Acquisition
from odl_equivariant.elements import element_from_array

__all__ = ('FilmAcquisition', 'filled_from_neighbours', 'moving_mean')


class FilmAcquisition(Acquisition):
    """Base class of acquisitions of films, with time along the last axis."""

    space: odl.DiscretizedSpace
    n_frames: int
    #: Whether scores are means over frames, along the last axis.
    has_frames = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the reconstruction: of a frame, and number of frames."""
        return tuple(self.space.shape)

    def ground_truth(self, image: Image) -> Element:
        """Return a film as an element of ``space``.

        Parameters
        ----------
        image : array-like or element of a space
            Film as in ``simulate``.

        Returns
        -------
        film : element of ``space``
            Film with which reconstructions are compared.

        Raises
        ------
        ValueError
            If the film has another shape, or values that are infinite or not
            a number.
        """
        array = self._film(image, self.shape)
        return element_from_array(array, self.space)

    def _film(self, film: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return a film as a finite array of a shape."""
        array = as_array(film)
        if array.shape != shape:
            if array.ndim == 3 and array.shape[:2] == shape[:2]:
                expected = (
                    f'{shape[2]} frames along its last axis, got '
                    f'{array.shape[2]}; make the acquisition with n_frames='
                    f'{array.shape[2]}'
                )
            else:
                expected = (
                    f'the shape {shape}, a frame and the number of frames, '
                    f'got {array.shape}'
                )
            raise ValueError(f'the film must have {expected}')
        if not np.isfinite(array).all():
            raise ValueError(
                'the film has values that are infinite or not a number'
            )
        if np.iscomplexobj(array) and self.space.is_real:
            raise ValueError('expected a real film, got a complex one')
        return array


def _neighbours(n_frames, frame, distance, periodic):
    """Return the frames at a distance from one, without repetition."""
    frames = {frame - distance, frame + distance}
    if periodic:
        frames = {k % n_frames for k in frames}
    return sorted(k for k in frames if 0 <= k < n_frames)


def filled_from_neighbours(
    data: np.ndarray, mask: np.ndarray, window: int, periodic: bool
) -> np.ndarray:
    """Return k-space in which each frame has the nearest samples in time.

    Parameters
    ----------
    data : numpy.ndarray
        k-space, with frames along the last axis.
    mask : numpy.ndarray of bool
        Where it is sampled; broadcasts to the shape.
    window : int
        Samples are taken from frames at most so far away.
    periodic : bool
        Whether the first frame comes after the last.

    Returns
    -------
    filled : numpy.ndarray
        A copy: samples stay, and others are the mean of the nearest ones
        before and after, zero where there are none.
    """
    mask = np.broadcast_to(mask, data.shape)
    filled, known = data * mask, mask.copy()
    n_frames = data.shape[-1]
    for distance in range(1, window + 1):
        # by what was sampled, not by what is filled in
        found = np.zeros_like(filled)
        count = np.zeros(data.shape)
        for k in range(n_frames):
            for other in _neighbours(n_frames, k, distance, periodic):
                found[..., k] += (data * mask)[..., other]
                count[..., k] += mask[..., other]
        new = ~known & (count > 0)
        filled[new] = found[new] / count[new].astype(found.real.dtype)
        known |= new
    return filled


def moving_mean(film: np.ndarray, window: int, periodic: bool) -> np.ndarray:
    """Return the mean of each frame and its neighbours in a window."""
    n_frames = film.shape[-1]
    result = np.empty_like(film)
    for k in range(n_frames):
        frames = {k}
        for distance in range(1, window + 1):
            frames.update(_neighbours(n_frames, k, distance, periodic))
        result[..., k] = film[..., sorted(frames)].mean(-1)
    return result
