# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Simulated tomography of motion, with interleaved views."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import odl

from odl_equivariant._checks import (
    array_shape,
    boolean,
    one_of,
    positive_number,
    whole_number,
)
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    Image,
    ImageShape,
    Precision,
    Random,
)
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.acquisitions.dynamic.films import (
    FilmAcquisition,
    moving_mean,
)
from odl_equivariant.data.acquisitions.tomography.sparse_view import (
    SparseViewCT,
)
from odl_equivariant.elements import element_from_array
from odl_equivariant.operators.framewise import FramewiseOperator

__all__ = ('DynamicCT', 'ViewOrder')

ViewOrder = Literal['interleaved', 'golden', 'repeated']
_ORDERS = ('interleaved', 'golden', 'repeated')
_GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1) / 2


def _van_der_corput(n):
    """Return 0, ..., n - 1 such that neighbours are far apart."""
    bits = max(1, (n - 1).bit_length())
    order = [int(f'{k:0{bits}b}'[::-1], 2) for k in range(2**bits)]
    return [k for k in order if k < n]


class DynamicCT(FilmAcquisition):
    r"""Parallel-beam tomography of motion, with few views for each frame.

    The frames have views at other angles, so that several frames together
    have many. Films are arrays of shape ``(*shape, n_frames)`` of the linear
    attenuation relative to ``mu_max``, as for `SparseViewCT`.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of a frame.
    n_frames : int, optional
        Number of frames.
    n_views : int, optional
        Number of views of a frame.
    order : {'interleaved', 'golden', 'repeated'}, optional
        ``'interleaved'``: the views of a frame are uniform on a half turn,
        and each frame starts at another one of ``n_frames`` offsets, such
        that all views are different and uniform; neighbours in time are far
        apart. ``'golden'``: each view is by the golden angle, 111.2 degrees,
        after the one before, and ``n_views`` in a row are a frame.
        ``'repeated'``: all frames have the same views.
    n_detectors : int, optional
        Number of detector elements, see `SparseViewCT`.
    side : float, optional
        Length of a frame's longer side, in metres.
    n_photons : float or None, optional
        Mean number of photons of a ray without an object, None for no noise.
    mu_max : float, optional
        Attenuation that an image value of 1 stands for, in 1 / metre.
    frame_time : float, optional
        Time from one frame to the next, in seconds.
    dtype : {'float32', 'float64'}, optional
        Precision.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL spaces.
    periodic : bool, optional
        Whether the first frame comes after the last; for `sliding_window`.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of films, in metres and seconds.
    operator : odl_equivariant.operators.FramewiseOperator
        The ray transforms of all frames, as sparse matrices. Data have the
        shape ``(n_views, n_detectors, n_frames)``, views by increasing angle.
    frames : tuple of SparseViewCT
        The acquisition of each frame.
    angles : numpy.ndarray
        Angles of the views, in radians, of shape ``(n_frames, n_views)``.

    Raises
    ------
    ValueError
        If a size or a length is not positive, or a name is unknown.
    TypeError
        If a number is none.

    Notes
    -----
    A frame is still while its views are taken. With the ray transform
    :math:`A_t` of its views, the data are those of `SparseViewCT`, frame by
    frame. All views count alike in the inner product of the data, with
    :math:`\pi` over ``n_views``, at golden angles as well (Winkelmann et al.,
    *An optimal radial profile order based on the golden ratio for
    time-resolved MRI*, IEEE Transactions on Medical Imaging 26 (2007),
    68-76).

    Examples
    --------
    >>> from odl_equivariant.data import DynamicCT, moving_phantom
    >>> acquisition = DynamicCT((16, 16), n_frames=4, n_views=6)
    >>> acquisition.operator.range.shape
    (6, 23, 4)
    >>> film = moving_phantom((32, 32), 4, 'breathing', rng=0)
    >>> data = acquisition.simulate(film, rng=0)
    >>> acquisition.sliding_window(data, 1) in acquisition.space
    True
    """

    baseline_name = 'FBP'

    def __init__(
        self,
        shape: ImageShape = (128, 128),
        n_frames: int = 16,
        n_views: int = 12,
        order: ViewOrder = 'interleaved',
        n_detectors: int | None = None,
        side: float = 0.36,
        n_photons: float | None = 10000.0,
        mu_max: float = 81.35858,
        frame_time: float = 0.25,
        dtype: Precision = 'float32',
        backend: Backend = 'numpy',
        periodic: bool = False,
    ) -> None:
        self._frame = array_shape('shape', shape, 2)
        self.n_frames = whole_number('n_frames', n_frames, 1)
        self.n_views = whole_number('n_views', n_views, 1)
        one_of('order', order, _ORDERS)
        self.order = order
        self.frame_time = positive_number('frame_time', frame_time)
        self.periodic = boolean('periodic', periodic)
        self.angles = self._angles()
        self.angles.flags.writeable = False
        by_angles = {}
        for angles in map(tuple, self.angles.tolist()):
            if angles not in by_angles:
                by_angles[angles] = SparseViewCT(
                    self._frame,
                    self.n_views,
                    n_detectors,
                    side,
                    n_photons,
                    mu_max,
                    dtype=dtype,
                    backend=backend,
                    angles=angles,
                )
        self.frames = tuple(by_angles[tuple(a)] for a in self.angles.tolist())
        first = self.frames[0]
        for frame in by_angles.values():
            # what one frame has said is not said of the others
            frame._scale_check = first._scale_check
        detector = first.operator.range.partition.byaxis[1]
        data_space = odl.uniform_discr_frompartition(
            odl.uniform_partition(0, math.pi, self.n_views).append(detector),
            dtype=first.space.dtype,
            impl=backend,
        )
        self.operator = FramewiseOperator(
            [frame.operator for frame in self.frames],
            self.frame_time,
            data_space,
        )
        self.space = self.operator.domain

    def _angles(self):
        n, m = self.n_frames, self.n_views
        if self.order == 'golden':
            angles = np.arange(n * m) * _GOLDEN_ANGLE % math.pi
            return np.sort(angles.reshape(n, m), 1)
        step = math.pi / m
        # in the middle of cells, as those of `SparseViewCT`
        offsets = np.full(n, 0.5 * step)
        if self.order == 'interleaved':
            offsets = (np.array(_van_der_corput(n)) + 0.5) * step / n
        return offsets[:, None] + step * np.arange(m)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of films on the grid twice as fine, for `pair`."""
        return (*self.frames[0].image_shape, self.n_frames)

    def _of_frames(self, film):
        """Return a checked film on either grid."""
        fine = self.image_shape
        shape = as_array(film).shape
        return self._film(film, fine if shape[:2] == fine[:2] else self.shape)

    def simulate(self, image: Image, rng: Random = None) -> Element:
        """Return noisy data of a film, each frame from its own views.

        Parameters
        ----------
        image : array-like or element of a space
            Film, not negative, on the grid of the reconstruction or on one
            twice as fine, with ``n_frames`` frames along its last axis.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Line integrals of all frames.

        Raises
        ------
        ValueError
            If the film has another shape or number of frames, or as for
            `SparseViewCT.simulate`.
        """
        film = self._of_frames(image)
        rng = np.random.default_rng(rng)
        data = [
            as_array(frame.simulate(film[..., k], rng))
            for k, frame in enumerate(self.frames)
        ]
        return element_from_array(np.stack(data, -1), self.operator.range)

    def add_noise(self, data: ElementLike, rng: Random = None) -> Element:
        """Return line integrals of all frames with the noise of photons.

        Parameters
        ----------
        data : element of ``operator.range``
            Line integrals without noise.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Noisy data.
        """
        array = as_array(self.operator.range.element(data))
        rng = np.random.default_rng(rng)
        noisy = [
            as_array(frame.add_noise(array[..., k], rng))
            for k, frame in enumerate(self.frames)
        ]
        return element_from_array(np.stack(noisy, -1), self.operator.range)

    def ground_truth(self, image: Image) -> Element:
        """Return a film on the grid of the reconstruction, by 2 x 2 means.

        Parameters
        ----------
        image : array-like or element of a space
            Film as in `simulate`.

        Returns
        -------
        film : element of ``space``
            Film with which reconstructions are compared.
        """
        film = self._of_frames(image)
        frames = [
            as_array(self.frames[0].ground_truth(film[..., k]))
            for k in range(self.n_frames)
        ]
        return element_from_array(np.stack(frames, -1), self.space)

    def fbp(self, data: ElementLike) -> Element:
        """Return the filtered back-projection of each frame.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals of all frames.

        Returns
        -------
        film : element of ``space``
            Film, whose frames have streaks of few views.

        Warns
        -----
        UserWarning
            Once for all frames, if data are no line integrals, see
            `SparseViewCT.fbp`.
        """
        array = as_array(self.operator.range.element(data))
        frames = [
            as_array(frame.fbp(np.ascontiguousarray(array[..., k])))
            for k, frame in enumerate(self.frames)
        ]
        return element_from_array(np.stack(frames, -1), self.space)

    def sliding_window(self, data: ElementLike, window: int = 2) -> Element:
        """Return back-projections of the views of neighbouring frames.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals of all frames.
        window : int, optional
            How many frames before, and as many after each frame count.

        Returns
        -------
        film : element of ``space``
            The mean of `fbp` over the window: with interleaved views, it has
            fewer streaks, and motion is blurred.
        """
        window = whole_number('window', window, 0)
        film = moving_mean(as_array(self.fbp(data)), window, self.periodic)
        return element_from_array(film, self.space)

    def baseline(self, data: ElementLike) -> Element:
        """Return the filtered back-projection of each frame, see `fbp`."""
        return self.fbp(data)

    def _settings(self):
        first = self.frames[0]
        return {
            'shape': self._frame,
            'n_frames': self.n_frames,
            'n_views': self.n_views,
            'order': self.order,
            'n_detectors': first.n_detectors,
            'side': first.side,
            'n_photons': first.n_photons,
            'mu_max': first.mu_max,
            'frame_time': self.frame_time,
            'dtype': str(first.space.dtype_identifier),
            'backend': first.space.impl,
            'periodic': self.periodic,
        }
