# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The base class of all simulated acquisitions."""

from __future__ import annotations

import abc
import functools
import hashlib
from typing import Any, ClassVar

import numpy as np
import odl
import torch

from odl_equivariant._checks import boolean, one_of
from odl_equivariant._types import (
    Element,
    ElementLike,
    Image,
    ImageShape,
    Operator,
    Random,
)
from odl_equivariant.diagnostics.symmetries import Symmetries
from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals.data_fits.least_squares import LeastSquares

__all__ = (
    'HOW_TO_COMPUTE',
    'Acquisition',
    'as_pair',
    'check_names',
    'has_own_simulation',
    'short_mask',
)

# What a mask that is given makes needless.
_OF_DRAWN_MASKS = frozenset(
    ('acceleration', 'center_fraction', 'partial_fourier', 'pattern', 'seed')
)

# Settings that say how to compute, and not what is measured.
HOW_TO_COMPUTE = ('backend', 'dtype', 'impl')


class Acquisition(abc.ABC):
    """A measurement process that simulates data from images.

    Training uses only the following attributes and methods.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the reconstructions.
    operator : odl.Operator
        Linear forward operator from ``space`` to the data.
    image_shape : tuple of int
        Preferred shape of the images for `pair`.
    baseline_name : str
        Name of `baseline` in figures and tables.
    added_settings : dict
        Arguments that earlier versions did not have, with the values that
        mean what was before. With these values they count neither in
        `fingerprint` nor in the texts by which runs and stored pairs are
        recognised.

    Notes
    -----
    Subclasses keep their settings in ``_settings``, by the name of the
    argument: an acquisition is pickled by its settings.
    """

    space: odl.DiscretizedSpace
    operator: Operator
    baseline_name: str | None = None
    added_settings: ClassVar[dict[str, Any]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the reconstruction."""
        return tuple(self.space.shape)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Preferred shape of the images for `pair`."""
        return self.shape

    @functools.cached_property
    def symmetries(self) -> Symmetries:
        """Moves of images that ``operator`` is equivariant under.

        They are found when they are asked for, and kept.
        """
        return Symmetries(self.operator)

    def forward_operator(self, mask: Any = None) -> Operator:
        """Return the forward operator, with a mask if there are masks.

        Parameters
        ----------
        mask : optional
            Where data are sampled. Default: the mask of ``operator``.

        Returns
        -------
        operator : odl.Operator
            Linear operator from ``space`` to ``operator.range``.
        """
        if mask is not None:
            raise ValueError(
                f'{type(self).__name__} has no masks, got a `mask` of type '
                f'{type(mask).__name__}'
            )
        return self.operator

    @abc.abstractmethod
    def simulate(self, image: Image, rng: Random = None) -> Element:
        """Return noisy data of an image, as an element of the range."""

    def add_noise(self, data: ElementLike, rng: Random = None) -> Element:
        """Return data without noise with the noise of a measurement.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Data as ``operator`` computes them. They are not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Noisy data.

        Raises
        ------
        NotImplementedError
            If the acquisition does not say what its noise is.
        """
        raise NotImplementedError(
            f'{type(self).__name__} simulates, and does not say what its '
            'noise is: define `add_noise(data, rng)`'
        )

    @abc.abstractmethod
    def ground_truth(self, image: Image) -> Element:
        """Return the ground truth to which reconstructions are compared."""

    @abc.abstractmethod
    def baseline(self, data: ElementLike) -> Element:
        """Return the simplest reconstruction from the data."""

    def data_fit(
        self, data: ElementLike, weighted: bool = False, **options: Any
    ) -> odl.functionals.Functional:
        """Return the functional that says how well an image fits the data.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Data as `simulate` returns them. A copy is kept.
        weighted : bool, optional
            Whether readings count by what their noise leaves of them. Here
            the noise is the same everywhere, so both are the same.
        **options
            ``tol``, ``maxiter`` and ``warm_start`` of the functional.

        Returns
        -------
        fit : odl.functionals.Functional
            `LeastSquares` on ``space``, with gradient and proximal.
        """
        boolean('weighted', weighted)
        return LeastSquares(self.operator, data, **options)

    def with_shape(self, shape: ImageShape) -> Acquisition:
        """Return the same acquisition for images on another grid.

        Parameters
        ----------
        shape : tuple of 2 ints
            Shape of the reconstruction.

        Returns
        -------
        acquisition : Acquisition
            Acquisition with the same other settings. So the longer side of
            the image keeps its length, and a detector its elements.

        Raises
        ------
        ValueError
            If a setting, such as coil maps, does not fit the shape.

        Notes
        -----
        A class for which another grid is more than another ``shape``
        overrides this, by its constructor or by ``super()``; `with_settings`
        asks it then.
        """
        return self._changed({'shape': shape})

    def with_settings(self, **changes: Any) -> Acquisition:
        """Return an acquisition that differs in some settings.

        Parameters
        ----------
        **changes
            Arguments of the class in place of those of this acquisition, see
            `settings`. A ``shape`` is that of `with_shape`, whether or not
            the class has such an argument.

        Returns
        -------
        acquisition : Acquisition
            Acquisition of the same class.

        Raises
        ------
        TypeError
            If the class has no such setting.
        ValueError
            If a setting does not fit the others, or would have no effect.
        """
        own_way = type(self).with_shape is not Acquisition.with_shape
        if own_way and 'shape' in changes:
            return self.with_shape(changes.pop('shape'))._changed(changes)
        return self._changed(changes)

    def _changed(self, changes):
        settings = self.settings()
        unknown = [name for name in changes if name not in settings]
        if unknown:
            raise TypeError(
                f'{type(self).__name__} has no setting '
                f'{", ".join(map(repr, unknown))}; it has '
                f'{", ".join(settings)}'
            )
        idle = [
            name
            for name in self._without_effect & changes.keys()
            if changes[name] != settings[name]
        ]
        if idle and 'mask' not in changes:
            raise ValueError(
                f'{", ".join(sorted(idle))} would change nothing, since the '
                'mask is given: change `mask`, or make the acquisition '
                'without one'
            )
        return type(self)(**{**settings, **changes})

    @property
    def _without_effect(self):
        """Names of settings that say how a mask is drawn, if one is given."""
        given = getattr(self, '_mask_is_given', False)
        return _OF_DRAWN_MASKS if given else frozenset()

    def pair(
        self, image: Image, rng: Random = None
    ) -> dict[str, torch.Tensor]:
        """Return data and ground truth of an image, as tensors.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as for `simulate`, preferably of shape ``image_shape``.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the random numbers.

        Returns
        -------
        pair : dict of torch.Tensor
            ``'data'``, an element of ``operator.range``, and ``'truth'``, an
            element of ``space``, both as tensors of shape ``(C, *shape)`` in
            the layout of `odl_equivariant.elements`, without a batch axis.
            If each image has its own mask, also ``'mask'``: booleans that
            broadcast to the shape of the image, with length 1 along each
            axis on which the mask does not depend. If each image has its own
            coil maps, also ``'coil_maps'``: complex, of shape ``(n_coils,
            *shape)``. If the network is told a
            noise level, also ``'sigma'``, a tensor of shape ``()``.
        """
        return as_pair(self.simulate(image, rng), self.ground_truth(image))

    @abc.abstractmethod
    def _settings(self):
        """Return the arguments that make this acquisition, in order."""

    def _decisive(self):
        """Return the settings without those that mean what was before."""
        return {
            name: value
            for name, value in self._settings().items()
            if name not in self.added_settings
            or not _is_equal(value, self.added_settings[name])
        }

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make this acquisition, by their names.

        Returns
        -------
        settings : dict
            All arguments, including defaults.
        """
        return dict(self._settings())

    def fingerprint(self) -> str:
        """Return a short text that differs between acquisitions.

        Returns
        -------
        fingerprint : str
            Equal for equal settings, including arrays.
        """
        digest = hashlib.blake2b(digest_size=8)
        for value in self._decisive().values():
            if isinstance(value, np.ndarray):
                digest.update(np.ascontiguousarray(value).tobytes())
            digest.update(_short(value).encode())
        return f'{type(self).__name__} {digest.hexdigest()}'

    def __repr__(self):
        """Return ``repr(self)``."""
        settings = (f'{k}={_short(v)}' for k, v in self._decisive().items())
        return f'{type(self).__name__}({", ".join(settings)})'

    def __reduce__(self):
        """Pickle the settings: not all of ODL's operators can be pickled."""
        return type(self), tuple(self._settings().values())


def _is_equal(one, other):
    return type(one) is type(other) and one == other


def _short(value):
    if isinstance(value, np.ndarray):
        return f'<{value.dtype} array of shape {value.shape}>'
    return repr(value)


def as_pair(data, truth, mask=None):
    """Return elements, and maybe a mask, as `Acquisition.pair` returns them.

    Parameters
    ----------
    data, truth : element of a space
        They are copied.
    mask : array-like of bool, optional
        Mask, which is shortened by `short_mask`.

    Returns
    -------
    pair : dict of torch.Tensor
        ``'data'``, ``'truth'`` and, if there is a mask, ``'mask'``.
    """
    pair = {
        'data': as_tensor(data, copy=True)[0],
        'truth': as_tensor(truth, copy=True)[0],
    }
    if mask is not None:
        pair['mask'] = torch.from_numpy(short_mask(np.array(mask)))
    return pair


def has_own_simulation(acquisition, base):
    """Return whether a subclass overrides how a class simulates.

    Its pairs are then made by its own methods, as of any `Acquisition`.
    """
    return any(
        getattr(getattr(acquisition, name), '__func__', None)
        is not getattr(base, name)
        for name in ('simulate', 'ground_truth')
    )


def short_mask(mask):
    """Return a mask with length 1 along each axis it does not depend on."""
    for axis in range(mask.ndim):
        first = mask.take([0], axis)
        if (mask == first).all():
            mask = first
    return mask.copy()


def check_names(dtype, backend):
    """Raise a ValueError for an unknown precision or array back-end.

    Parameters
    ----------
    dtype : {'float32', 'float64'}
        Precision.
    backend : {'numpy', 'pytorch'}
        Arrays of the spaces.
    """
    one_of('dtype', dtype, ('float32', 'float64'))
    one_of('backend', backend, ('numpy', 'pytorch'))
