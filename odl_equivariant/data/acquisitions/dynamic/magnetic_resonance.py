# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Simulated magnetic resonance imaging of motion, with a mask per frame."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import odl
import torch

from odl_equivariant._checks import (
    array_shape,
    boolean,
    one_of,
    positive_number,
    real_number,
    whole_number,
)
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    Image,
    ImageShape,
    Operator,
    Precision,
    Random,
    Samples,
)
from odl_equivariant.data.acquisitions.base import (
    as_pair,
    check_names,
    short_mask,
)
from odl_equivariant.data.acquisitions.dynamic.films import (
    FilmAcquisition,
    filled_from_neighbours,
)
from odl_equivariant.data.acquisitions.magnetic_resonance.coils import samples
from odl_equivariant.data.acquisitions.ranges import ScaleCheck, check_noise
from odl_equivariant.elements import element_from_array
from odl_equivariant.functionals.data_fits.least_squares import LeastSquares
from odl_equivariant.operators.fourier.coils import (
    SensitivityEncoding,
    checked_coil_maps,
)
from odl_equivariant.operators.fourier.masks import CartesianMask
from odl_equivariant.operators.fourier.subsampled import (
    SubsampledFourierTransform,
)

__all__ = ('DynamicMRI', 'FilmPattern')

FilmPattern = Literal[
    'random', 'equispaced', 'variable_density', 'interleaved'
]
_PATTERNS = ('random', 'equispaced', 'variable_density', 'interleaved')


class DynamicMRI(FilmAcquisition):
    r"""Cartesian magnetic resonance imaging of motion.

    Each frame of a film is measured on lines of its own. Films are complex
    arrays of shape ``(*shape, n_frames)``, of a largest magnitude of about 1.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of a frame and of its k-space.
    n_frames : int, optional
        Number of frames.
    acceleration : float, optional
        Number of all lines over the number of those of a frame.
    center_fraction : float, optional
        Fraction of all lines that lie around the zero frequency and are
        measured in all frames.
    pattern : str, optional
        How the other lines of a frame are chosen: ``'random'``,
        ``'equispaced'`` or ``'variable_density'``, see `CartesianMask`, anew
        for each frame; or ``'interleaved'``: every R-th line, shifted by one
        from frame to frame, with R the whole ``acceleration``, so that R
        frames together measure all lines.
    axis : int, optional
        Axis of phase encoding, 0 or 1.
    sigma : float, optional
        Standard deviation of the noise, in the real and in the imaginary
        part of each sample, see `CartesianMRI`.
    coil_maps : array-like, optional
        Sensitivities of the coils, of shape ``(n_coils, *shape)``, the same
        for all frames. Default: one coil of uniform sensitivity.
    side : float, optional
        Length of a frame's longer side, in metres.
    frame_time : float, optional
        Time from one frame to the next, in seconds.
    dtype : {'float32', 'float64'}, optional
        Precision of the real and imaginary parts.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL spaces.
    mask : array-like, optional
        Samples to measure: booleans of shape ``(*shape, n_frames)``, with
        length 1 along axes on which they do not depend. Default: drawn from
        ``seed``.
    random_masks : bool, optional
        Whether `pair` draws masks for each film.
    seed : int, optional
        Seed of the masks of ``operator``.
    periodic : bool, optional
        Whether the first frame comes after the last, as in a film of one
        heartbeat; for `view_sharing`.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Complex space of films, in metres and seconds.
    operator : odl.Operator
        `SubsampledFourierTransform` of the axes of a frame, after the
        `SensitivityEncoding` if there are coil maps.
    mask : numpy.ndarray
        Booleans, true where ``operator`` samples, with length 1 along each
        axis on which the mask does not depend.

    Raises
    ------
    ValueError
        If a size or a length is not positive, a name is unknown, the mask or
        the coil maps do not fit the frames, or both a mask and random masks
        are asked for.
    TypeError
        If a number is expected and something else is given.

    Notes
    -----
    With the mask :math:`m_t` of the frame at the time t, the sensitivities
    :math:`c_j` and the unitary transform :math:`F` of a frame,

    .. math::
        y_j(\cdot, t) = m_t\, \big(F (c_j\, u(\cdot, t)) +
        \varepsilon_j(\cdot, t)\big) .

    Turns of all frames, shifts and the reversal of time map a scan to one
    with other masks, see `odl_equivariant.actions.space_time_actions`.

    Examples
    --------
    >>> from odl_equivariant.data import DynamicMRI, moving_phantom
    >>> acquisition = DynamicMRI((32, 24), n_frames=6, acceleration=4)
    >>> acquisition.mask.shape, int(acquisition.mask.sum())
    ((1, 24, 6), 36)
    >>> film = moving_phantom((32, 24), 6, 'beating', rng=0)
    >>> data = acquisition.simulate(film, rng=0)
    >>> acquisition.view_sharing(data) in acquisition.space
    True
    """

    baseline_name = 'zero-filled'

    def __init__(
        self,
        shape: ImageShape = (128, 128),
        n_frames: int = 16,
        acceleration: int | float = 6,
        center_fraction: float = 0.06,
        pattern: FilmPattern = 'variable_density',
        axis: int = -1,
        sigma: float = 0.02,
        coil_maps: Samples | None = None,
        side: float = 0.3,
        frame_time: float = 0.05,
        dtype: Precision = 'float32',
        backend: Backend = 'numpy',
        mask: Samples | None = None,
        random_masks: bool = False,
        seed: int = 0,
        periodic: bool = False,
    ) -> None:
        self._frame = array_shape('shape', shape, 2)
        self.n_frames = whole_number('n_frames', n_frames, 1)
        check_names(dtype, backend)
        self.random_masks = boolean('random_masks', random_masks)
        if mask is not None and self.random_masks:
            raise ValueError(
                '`mask` fixes the samples, and `random_masks` draws masks '
                'for each film: pass one of the two'
            )
        self._dtype = dtype
        self.acceleration = real_number('acceleration', acceleration, 1)
        self.center_fraction = real_number(
            'center_fraction', center_fraction, 0, 1
        )
        self.pattern = one_of('pattern', pattern, _PATTERNS) or pattern
        self.axis = whole_number('axis', axis, -2, 1)
        self.sigma = real_number('sigma', sigma, least=0)
        self.side = positive_number('side', side)
        self.frame_time = positive_number('frame_time', frame_time)
        self.seed = whole_number('seed', seed, 0)
        self.periodic = boolean('periodic', periodic)
        half = [self.side / max(self._frame) * n / 2 for n in self._frame]
        self.space = odl.uniform_discr(
            [-half[0], -half[1], 0],
            [*half, self.n_frames * self.frame_time],
            (*self._frame, self.n_frames),
            dtype='complex64' if dtype == 'float32' else 'complex128',
            impl=backend,
        )
        self._scale_check = ScaleCheck()
        self._coils = None
        if coil_maps is not None:
            maps = checked_coil_maps(
                coil_maps, self._frame, str(self.space.dtype_identifier)
            )
            self.coil_maps = maps
            maps = np.repeat(maps[..., None], self.n_frames, -1)
            self._coils = SensitivityEncoding(self.space, maps)
        else:
            self.coil_maps = None
        # drawn even if a mask is given, as this checks the settings
        drawn = self._drawn(self.seed)
        self._mask_is_given = mask is not None
        self.operator = self.forward_operator(drawn if mask is None else mask)
        self.mask = short_mask(np.array(self._transform(self.operator).mask))
        self.mask.flags.writeable = False

    def _drawn(self, seed):
        """Return a mask, of length 1 along the axis of readout."""
        across = 1 - self.axis % 2
        shape = self._frame
        rng = np.random.default_rng([seed, 0x6D61736B])
        frames = []
        for k in range(self.n_frames):
            if self.pattern == 'interleaved':
                frame = self._interleaved(k)
            else:
                frame = CartesianMask(
                    shape,
                    self.acceleration,
                    self.center_fraction,
                    self.pattern,
                    self.axis,
                    int(rng.integers(2**31)),
                ).array
            frames.append(frame.take([0], across))
        return np.stack(frames, -1)

    def _interleaved(self, frame):
        n, step = self._frame[self.axis], round(self.acceleration)
        lines = np.zeros(n, dtype=bool)
        lines[frame % step :: step] = True
        n_center = round(n * self.center_fraction)
        start = n // 2 - n_center // 2
        lines[start : start + n_center] = True
        return np.broadcast_to(
            lines[None] if self.axis % 2 else lines[:, None], self._frame
        )

    def draw_mask(self, rng: Random = None) -> np.ndarray:
        """Draw masks of all frames with the settings of the acquisition.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None, optional
            Seed or source of randomness. Interleaved masks start with a
            random frame.

        Returns
        -------
        mask : numpy.ndarray of bool
            Of the shape of a film, with length 1 along the axis of readout.
        """
        rng = np.random.default_rng(rng)
        mask = self._drawn(int(rng.integers(2**31)))
        if self.pattern == 'interleaved':
            # the lines of the next frames, not of the same ones
            first = int(rng.integers(round(self.acceleration)))
            across = 1 - self.axis % 2
            frames = range(first, first + self.n_frames)
            frames = [self._interleaved(k).take([0], across) for k in frames]
            mask = np.stack(frames, -1)
        return mask

    def _checked_mask(self, mask):
        if isinstance(mask, torch.Tensor):
            mask = mask.detach().cpu().numpy()
        array = np.asarray(mask)
        if array.ndim == 3 and array.shape[2] not in (1, self.n_frames):
            raise ValueError(
                f'the film has {self.n_frames} frames, and the mask '
                f'{array.shape[2]}, of shape {array.shape}; give one mask '
                'for each frame along its last axis'
            )
        if array.ndim == 2:
            raise ValueError(
                f'`mask` has the shape {array.shape}, without an axis of '
                f'frames; the same mask for all {self.n_frames} frames is '
                '`mask[..., None]`'
            )
        return array

    def forward_operator(self, mask: Samples | None = None) -> Operator:
        """Return the forward operator with given masks.

        Parameters
        ----------
        mask : array-like, optional
            Booleans, or zeros and ones, of the shape of a film or of length
            1 along some axes. Default: the mask of the acquisition.

        Returns
        -------
        operator : odl.Operator
            Linear operator from ``space`` to the k-space of all frames.

        Raises
        ------
        ValueError
            If the mask does not fit the frames, or samples nothing.
        """
        if mask is None:
            return self.operator
        mask = self._checked_mask(mask)
        space = self.space if self._coils is None else self._coils.range
        transform = SubsampledFourierTransform(space, mask, axes=(0, 1))
        return transform if self._coils is None else transform * self._coils

    @staticmethod
    def _transform(operator):
        if isinstance(operator, SubsampledFourierTransform):
            return operator
        return operator.left

    def simulate(
        self, image: Image, rng: Random = None, mask: Samples | None = None
    ) -> Element:
        """Return noisy samples of a film.

        Parameters
        ----------
        image : array-like or element of a space
            Real or complex film of the shape of ``space``. It is not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.
        mask : array-like, optional
            Samples to measure. Default: the mask of the acquisition.

        Returns
        -------
        data : element of ``operator.range``
            k-space of all frames, with zeros where it is not sampled.

        Raises
        ------
        ValueError
            If the film or the mask do not fit, or the film is only noise, see
            `CartesianMRI.simulate`.
        """
        film = self._film(image, self.shape)
        check_noise(self._scale_check, film, self.sigma)
        operator = self.forward_operator(mask)
        data = operator(element_from_array(film, self.space))
        return self._noisy(data, rng, operator)

    def _noisy(self, data, rng, operator):
        if not self.sigma:
            return data
        array = samples(data)
        noise = np.random.default_rng(rng).standard_normal((2, *array.shape))
        noise = self.sigma * (noise[0] + 1j * noise[1])
        array = array + self._transform(operator).mask * noise
        return self._data(array)

    def _data(self, array):
        """Return an array of k-space as data."""
        space = self.operator.range
        if self._coils is None:
            return element_from_array(array[0], space)
        return space.element(
            [
                element_from_array(one, part)
                for one, part in zip(array, space, strict=True)
            ]
        )

    def add_noise(
        self,
        data: ElementLike,
        rng: Random = None,
        mask: Samples | None = None,
    ) -> Element:
        """Return k-space with noise where it is sampled.

        Parameters
        ----------
        data : element of ``operator.range``
            k-space without noise.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.
        mask : array-like, optional
            Samples that were measured. Default: the mask of the acquisition.

        Returns
        -------
        data : element of ``operator.range``
            Noisy data.
        """
        data = self.operator.range.element(data)
        return self._noisy(data, rng, self.forward_operator(mask))

    def data_fit(
        self,
        data: ElementLike,
        weighted: bool = False,
        mask: Samples | None = None,
        **options: Any,
    ) -> LeastSquares:
        """Return the least-squares fit to the samples of all frames.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            k-space. What is not sampled does not count.
        weighted : bool, optional
            Without effect: the noise is the same in all samples.
        mask : array-like, optional
            Where data are sampled. Default: the mask of the acquisition.
        **options
            ``tol``, ``maxiter`` and ``warm_start`` of `LeastSquares`.

        Returns
        -------
        fit : LeastSquares
            Half of the squared distance of the samples.
        """
        boolean('weighted', weighted)
        operator = self.forward_operator(mask)
        array = samples(self.operator.range.element(data))
        sampled = self._transform(operator).mask * array
        return LeastSquares(operator, self._data(sampled), **options)

    def zero_filled(self, data: ElementLike) -> Element:
        r"""Return the film of k-space with zeros for the missing samples.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            k-space with any masks, zero where it is not sampled.

        Returns
        -------
        film : element of ``space``
            :math:`F^* y`, which is :math:`A^* y`; for several coils, divided
            by the sum of the squares of their sensitivities.
        """
        return self._combined(self.operator.range.element(data))

    def _combined(self, data):
        transform = self._transform(self.operator).transform
        film = transform.inverse(data)
        if self._coils is None:
            return film
        film = self._coils.adjoint(film)
        squares = (np.abs(self.coil_maps) ** 2).sum(0)[..., None]
        array = samples(film)[0]
        array = np.divide(
            array, squares, out=np.zeros_like(array), where=squares > 0
        )
        return element_from_array(array, self.space)

    def view_sharing(
        self,
        data: ElementLike,
        mask: Samples | None = None,
        window: int | None = None,
    ) -> Element:
        """Return the film in which frames share their samples: sliding window.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            k-space of all frames.
        mask : array-like, optional
            Where it is sampled. Default: the mask of the acquisition.
        window : int, optional
            Samples are taken from frames at most so far away. Default: any.

        Returns
        -------
        film : element of ``space``
            Each sample that a frame lacks is the mean of those that are
            nearest in time, before and after; of those that no frame in the
            window has, zero.
        """
        mask = self._transform(self.forward_operator(mask)).mask
        if window is None:
            window = self.n_frames - 1
        window = whole_number('window', window, 0)
        array = samples(self.operator.range.element(data))
        filled = filled_from_neighbours(array, mask, window, self.periodic)
        return self._combined(self._data(filled))

    def baseline(self, data: ElementLike) -> Element:
        """Return the zero-filled film, see `zero_filled`."""
        return self.zero_filled(data)

    def pair(
        self, image: Image, rng: Random = None
    ) -> dict[str, torch.Tensor]:
        """Return the data and ground truth of a film, and random masks.

        Parameters
        ----------
        image : array-like or element of a space
            Film as in `simulate`.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise and of the masks, if these are random.

        Returns
        -------
        pair : dict of torch.Tensor
            See `Acquisition.pair`. It contains ``'mask'`` if masks are
            random.
        """
        rng = np.random.default_rng(rng)
        mask = self.draw_mask(rng) if self.random_masks else None
        data = self.simulate(image, rng, mask)
        pair = as_pair(data, self.ground_truth(image))
        if mask is not None:
            # of one shape for all films, so that they can be stacked
            pair['mask'] = torch.from_numpy(mask.copy())
        return pair

    def _settings(self):
        return {
            'shape': self._frame,
            'n_frames': self.n_frames,
            'acceleration': self.acceleration,
            'center_fraction': self.center_fraction,
            'pattern': self.pattern,
            'axis': self.axis,
            'sigma': self.sigma,
            'coil_maps': self.coil_maps,
            'side': self.side,
            'frame_time': self.frame_time,
            'dtype': self._dtype,
            'backend': self.space.impl,
            'mask': self.mask if self._mask_is_given else None,
            'random_masks': self.random_masks,
            'seed': self.seed,
            'periodic': self.periodic,
        }
