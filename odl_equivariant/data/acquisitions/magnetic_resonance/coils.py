# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The receive coils of a scanner, and their k-space."""

import functools

import numpy as np
import torch

from odl_equivariant._checked_operator import CheckedComposition
from odl_equivariant._checks import whole_number
from odl_equivariant.data._checks import as_array
from odl_equivariant.elements import (
    as_tensor,
    element_from_array,
    merge_complex,
)
from odl_equivariant.operators.fourier.coils import SensitivityEncoding
from odl_equivariant.operators.fourier.subsampled import (
    SubsampledFourierTransform,
)
from odl_equivariant.operators.fourier.unitary import UnitaryFourierTransform

__all__ = ('Coils', 'samples', 'start_of_maps')


class Coils:
    """Coils with sensitivities, or one coil of uniform sensitivity.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Complex space of the image.
    maps : array-like, optional
        Sensitivities, of shape ``(n_coils, *space.shape)``.
    """

    def __init__(self, space, maps=None):
        self.space = space
        self._encoding = None
        self.transform = UnitaryFourierTransform(space)
        if maps is not None:
            self._encoding = SensitivityEncoding(space, maps)
            self.transform = UnitaryFourierTransform(self._encoding.range)

    @functools.cached_property
    def _combination(self):
        """Least-squares combination, ``None`` for one coil."""
        return None if self._encoding is None else _combination(self._encoding)

    @property
    def maps(self):
        """Complex array of the sensitivities, or ``None``."""
        return None if self._encoding is None else self._encoding.coil_maps

    def with_maps(self, maps):
        """Return as many coils with other sensitivities."""
        if self.maps is None:
            raise ValueError(
                'the acquisition has one coil of uniform sensitivity, got '
                '`coil_maps`: make it with `n_coils`, the number of coils'
            )
        coils = Coils(self.space, maps)
        if len(coils.maps) != len(self.maps):
            raise ValueError(
                f'`coil_maps` have {len(coils.maps)} coils, and the '
                f'acquisition has {len(self.maps)}'
            )
        return coils

    def sampled(self, mask):
        """Return the Fourier transform of the coils' images on a mask."""
        return SubsampledFourierTransform(self.transform.domain, mask)

    def encoded(self, sampled):
        """Return the operator that maps an image to its samples."""
        if self._encoding is None:
            return sampled
        return CheckedComposition(sampled, self._encoding)

    def combined(self, data):
        """Return the image of k-space, combined over the coils."""
        images = self.transform.inverse(data)
        if self._combination is None:
            return images
        return self._combination(images)

    def data(self, array):
        """Return an array, whose first axis counts coils, as an element."""
        if self._encoding is None:
            array = array[0]
        return element_from_array(array, self.transform.range)

    def checked_data(self, data):
        """Return k-space as an element of the range of the transform.

        Raises
        ------
        ValueError
            If its shape is another one, or a value is not finite.
        """
        if data not in self.transform.range:
            array = as_array(data)
            shape = self.space.shape if self.maps is None else self.maps.shape
            if array.shape != shape:
                raise ValueError(
                    f'`data` must have shape {shape}, got {array.shape}'
                )
            data = element_from_array(array, self.transform.range)
        if not bool(torch.isfinite(as_tensor(data)).all()):
            raise ValueError(
                '`data` has values that are infinite or not a number'
            )
        return data

    def measured(self, kspace, maps=None):
        """Return measured k-space as these coils would measure it.

        The first axis of the result counts coils. If this is one coil of
        uniform sensitivity, ``maps`` are the sensitivities of the scanner's
        coils: the result is the k-space of their combined image.
        """
        kspace = as_array(kspace)
        shape = tuple(self.space.shape)
        kspace = kspace[None] if kspace.ndim == len(shape) else kspace
        if (
            kspace.ndim != 1 + len(shape)
            or kspace.shape[1:] != shape
            or not len(kspace)
        ):
            raise ValueError(
                f'`kspace` must have the shape {shape}, after an axis that '
                f'counts coils if there are several, got {kspace.shape}; for '
                'another field of view, crop the image, not k-space'
            )
        if not np.isfinite(kspace).all():
            raise ValueError(
                '`kspace` has values that are infinite or not a number'
            )
        if self._encoding is not None:
            self._check_own(kspace, maps)
            return kspace
        if maps is None:
            if len(kspace) > 1:
                raise ValueError(
                    f'`kspace` has {len(kspace)} coils, and the acquisition '
                    'has one: pass the `coil_maps` to combine them'
                )
            return kspace
        others = Coils(self.space, maps)
        if len(others.maps) != len(kspace):
            raise ValueError(
                f'`kspace` has {len(kspace)} coils, and `coil_maps` have '
                f'{len(others.maps)}'
            )
        image = others.combined(others.data(kspace))
        return samples(self.transform(image))

    def _check_own(self, kspace, maps):
        if len(kspace) != len(self.maps):
            raise ValueError(
                f'`kspace` has {len(kspace)} coils, and the acquisition has '
                f'{len(self.maps)}'
            )
        if maps is None:
            return
        maps = as_array(maps)
        if maps.shape != self.maps.shape or not np.allclose(
            maps, self.maps, rtol=1e-4, atol=1e-6
        ):
            raise ValueError(
                '`coil_maps` differ from the maps of the acquisition; make an '
                'acquisition with these maps, or leave `coil_maps` out'
            )


def start_of_maps(n_coils, coil_maps, shape):
    """Return the maps of an acquisition, each image of which may have its own.

    Parameters
    ----------
    n_coils : int or None
        Number of coils, if each image has maps of its own.
    coil_maps : array-like or None
        Maps that are the same for all images.
    shape : tuple of int
        Shape of the images.

    Returns
    -------
    maps : array-like or None
        Those that are given, or uniform ones.

    Raises
    ------
    ValueError
        If both are given, or the number is not positive.
    """
    if n_coils is None:
        return coil_maps
    n_coils = whole_number('n_coils', n_coils, 1)
    if coil_maps is not None:
        raise ValueError(
            '`coil_maps` are the same for all images, and with `n_coils` each '
            'image has maps of its own: pass one of the two'
        )
    return np.full((n_coils, *shape), n_coils**-0.5)


def _combination(encoding):
    """Return the least-squares combination of the images of the coils."""
    maps = encoding.coil_maps.astype('complex128')
    squares = (np.abs(maps) ** 2).sum(0)
    maps = np.divide(maps, squares, out=np.zeros_like(maps), where=squares > 0)
    return SensitivityEncoding(encoding.domain, maps).adjoint


def samples(data):
    """Return k-space as a complex array, whose first axis counts coils."""
    return merge_complex(as_tensor(data))[0].cpu().numpy()
