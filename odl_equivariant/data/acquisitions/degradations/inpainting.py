# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Inpainting: images with cells that are not seen."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from odl_equivariant._checks import boolean, one_of, real_number, whole_number
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    Image,
    ImageShape,
    Operator,
    Random,
    Samples,
)
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.acquisitions.base import as_pair
from odl_equivariant.data.acquisitions.degradations.base import (
    Degradation,
    Dtype,
    centred_space,
)
from odl_equivariant.operators.degradations.masking import (
    Masking,
    checked_mask,
)

__all__ = ('Inpainting',)

Pattern = Literal['random', 'block', 'stripes']
_PATTERNS = ('random', 'block', 'stripes')
_STRIPE = 4
# Settings that say how masks are drawn, and their defaults.
_OF_DRAWN_MASKS = {'missing': 0.5, 'pattern': 'random', 'seed': 0}


class Inpainting(Degradation):
    r"""Images of which a part is missing.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the images.
    missing : float, optional
        Fraction of the cells that are missing, at least 0 and less than 1.
    pattern : {'random', 'block', 'stripes'}, optional
        What is missing: single cells, a rectangle of the shape of the image
        at a random place, or stripes of 4 cells along axis 1.
    seed : int, optional
        Seed of the mask of ``operator``.
    random_masks : bool, optional
        Whether `pair` draws a mask for each image.
    mask : array-like, optional
        Booleans of the shape of the images, true where they are seen, in
        place of a drawn mask.
    sigma : float, optional
        Standard deviation of the noise of the cells that are seen; 0 for none.
    side : float, optional
        Length of the longer side of the images.
    dtype : {'float32', 'float64', 'complex64', 'complex128'}, optional
        Precision of the images, and whether they are complex.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL space.

    Attributes
    ----------
    mask : numpy.ndarray of bool
        Where images are seen by ``operator``, a
        `odl_equivariant.operators.Masking`.

    Raises
    ------
    ValueError
        If the mask has another shape or is zero everywhere, a number is out
        of range, or a mask is given beside random masks or beside settings
        that say how one is drawn; or if the
        fraction that is missing is rounded to none or to all of the cells.
    TypeError
        If a number is none.

    Notes
    -----
    The data are :math:`y = m\, (u + \sigma \varepsilon)` with the mask
    :math:`m`. The null space are the images that vanish where :math:`m = 1`.
    For a fixed mask, a reconstruction can be equivariant only together with
    the operator, :math:`\Phi(y; A T) = T^{-1} \Phi(y; A)`.

    Examples
    --------
    >>> inpainting = Inpainting((32, 32), missing=0.75, random_masks=True)
    >>> float(inpainting.mask.mean())
    0.25
    >>> pair = inpainting.pair(np.ones((32, 32)), rng=0)
    >>> {name: tuple(tensor.shape) for name, tensor in pair.items()}
    {'data': (1, 32, 32), 'truth': (1, 32, 32), 'mask': (32, 32)}
    """

    baseline_name = 'masked'

    def __init__(
        self,
        shape: ImageShape = (64, 64),
        missing: float = 0.5,
        pattern: Pattern = 'random',
        seed: int = 0,
        random_masks: bool = False,
        mask: Samples | None = None,
        sigma: float = 0.0,
        side: float = 1.0,
        dtype: Dtype = 'float32',
        backend: Backend = 'numpy',
    ) -> None:
        space = centred_space(shape, side, dtype, backend)
        self.missing = real_number('missing', missing, 0, 1)
        self.pattern = one_of('pattern', pattern, _PATTERNS)
        self.seed = whole_number('seed', seed, 0)
        self.random_masks = boolean('random_masks', random_masks)
        if mask is not None:
            self._check_not_drawn()
        if mask is not None and random_masks:
            raise ValueError(
                '`mask` fixes what is seen, and `random_masks` draws a mask '
                'for each image: pass one of the two'
            )
        self._given = None
        if mask is not None:
            self._given = checked_mask(mask, space.shape)
        self._image_shape = tuple(space.shape)
        drawn = self._given
        if drawn is None:
            drawn = self.draw_mask(seed)
            self._check_drawn(drawn)
        super().__init__(Masking(space, drawn), sigma, side)

    def _check_not_drawn(self):
        """Raise an error if settings say how a given mask is drawn."""
        idle = [
            f'`{name}={getattr(self, name)!r}`'
            for name, default in _OF_DRAWN_MASKS.items()
            if getattr(self, name) != default
        ]
        if idle:
            raise ValueError(
                f'{" and ".join(idle)} would change nothing beside `mask`, '
                'which fixes what is seen: pass one or the other'
            )

    def _changed(self, changes):
        if changes.get('mask') is not None:
            changes = {**_OF_DRAWN_MASKS, **changes}
        return super()._changed(changes)

    def _check_drawn(self, mask):
        """Raise an error if cells are rounded to all or to none."""
        n_missing = np.count_nonzero(~mask)
        asked = (
            f'missing={self.missing!r} of images of the shape {mask.shape} '
            f'with the pattern {self.pattern!r}'
        )
        if n_missing == mask.size:
            raise ValueError(
                f'{asked} leaves none of the {mask.size} cells: take less'
            )
        if self.missing and not n_missing:
            parts = {
                'random': 'cells',
                'block': 'cells',
                'stripes': f'stripes of {_STRIPE} cells',
            }
            raise ValueError(
                f'{asked} is rounded to no missing {parts[self.pattern]}: '
                'take more, or larger images; or 0, if none is to be missing'
            )

    @property
    def _without_effect(self):
        given = self._given is not None
        return frozenset(_OF_DRAWN_MASKS if given else ())

    @property
    def mask(self) -> np.ndarray:
        """Booleans of the shape of the images, true where they are seen."""
        return self.operator.mask

    def draw_mask(self, rng: Random = None) -> np.ndarray:
        """Draw a mask.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None, optional
            Seed or source of randomness.

        Returns
        -------
        mask : numpy.ndarray of bool
            Array of the shape of the images, true where they are seen.
        """
        rng = np.random.default_rng(rng)
        n, m = self._image_shape
        mask = np.ones((n, m), dtype=bool)
        if self.pattern == 'random':
            n_missing = round(self.missing * n * m)
            mask.flat[rng.permutation(n * m)[:n_missing]] = False
        elif self.pattern == 'block':
            sides = [round(k * self.missing**0.5) for k in (n, m)]
            corner = [
                int(rng.integers(k - s + 1))
                for k, s in zip((n, m), sides, strict=True)
            ]
            mask[
                tuple(
                    slice(i, i + s) for i, s in zip(corner, sides, strict=True)
                )
            ] = False
        else:
            n_stripes = -(-n // _STRIPE)
            n_missing = min(round(self.missing * n_stripes), n_stripes - 1)
            for stripe in rng.permutation(n_stripes)[:n_missing]:
                mask[stripe * _STRIPE : (stripe + 1) * _STRIPE] = False
        return mask

    def forward_operator(self, mask: Any = None) -> Operator:
        """Return the operator with a mask.

        Parameters
        ----------
        mask : array-like, optional
            Booleans of the shape of the images, or with length 1 along an
            axis. Default: that of ``operator``.

        Returns
        -------
        operator : Masking
            Operator on ``space``.

        Raises
        ------
        ValueError
            If the mask has another shape, or is zero everywhere.
        """
        if mask is None:
            return self.operator
        mask = np.asarray(mask)
        if mask.ndim == len(self.shape) and all(
            m in (1, n) for m, n in zip(mask.shape, self.shape, strict=True)
        ):
            mask = np.broadcast_to(mask, self.shape)
        return Masking(self.space, mask)

    def simulate(
        self, image: Image, rng: Random = None, mask: Any = None
    ) -> Element:
        """Return the seen cells of an image, with noise, and zero elsewhere.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image of the shape of ``space``. It is not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.
        mask : array-like, optional
            Where the image is seen. Default: the mask of ``operator``.

        Returns
        -------
        data : element of ``space``
            The data.
        """
        operator = self.forward_operator(mask)
        data = operator(self._compared(image))
        return self._noisy(data, rng, operator.mask)

    def add_noise(
        self, data: ElementLike, rng: Random = None, mask: Any = None
    ) -> Element:
        """Return data with noise in the cells that are seen.

        Parameters
        ----------
        data : element of ``space`` or array-like
            Data without noise, with zeros where the image is not seen. They
            are not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.
        mask : array-like, optional
            Where the image is seen. Default: the mask of ``operator``.

        Returns
        -------
        data : element of ``space``
            Noisy data.

        Raises
        ------
        ValueError
            If the data do not fit, are not finite, or are not zero where the
            image is not seen.
        """
        data = self._checked(data)
        operator = self.forward_operator(mask)
        hidden = np.count_nonzero(as_array(data)[~operator.mask])
        if hidden:
            raise ValueError(
                f'`data` are not zero in {hidden} cells that the mask leaves '
                'out; pass the `mask` with which they were measured'
            )
        return self._noisy(data, rng, operator.mask)

    def pair(
        self, image: Image, rng: Random = None
    ) -> dict[str, torch.Tensor]:
        """Return data and ground truth of an image, and a random mask.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise and of the mask, if masks are random.

        Returns
        -------
        pair : dict of torch.Tensor
            See `Acquisition.pair`; with ``'mask'`` if masks are random.
        """
        if not self.random_masks:
            return super().pair(image, rng)
        rng = np.random.default_rng(rng)
        mask = self.draw_mask(rng)
        data = self.simulate(image, rng, mask)
        # all of it, so that the masks of a batch can be stacked
        return {
            **as_pair(data, self.ground_truth(image)),
            'mask': torch.from_numpy(mask),
        }

    def _own_settings(self):
        return {
            'missing': self.missing,
            'pattern': self.pattern,
            'seed': self.seed,
            'random_masks': self.random_masks,
            'mask': self._given,
        }
