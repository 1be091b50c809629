# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Energies of images as functions of the elements of a space, on tensors."""

from __future__ import annotations

import torch
from torch import nn

from odl_equivariant._checks import positive_number, real_number
from odl_equivariant.elements import (
    describe_space,
    first_part,
    grid_shape,
    is_complex,
    merge_complex,
    n_channels,
    n_parts,
    split_complex,
)

__all__ = ('COMPLEX_VALUES', 'ImageLayout', 'ScaledEnergy', 'check_energy')

COMPLEX_VALUES = ('magnitude', 'parts')
_METHODS = (
    'gradient',
    'hessian_product',
    'gradient_lipschitz',
    'weak_convexity',
)


def check_energy(energy):
    """Raise a TypeError if a module is no energy.

    The class `odl_equivariant.nn.Energy` cannot be asked for, as it lies
    beside this package: what counts is what an energy can do.
    """
    if not isinstance(energy, nn.Module):
        raise TypeError(
            '`energy` must be an `odl_equivariant.nn.Energy`, got '
            f'{type(energy).__name__}'
        )
    missing = [
        name for name in _METHODS if not callable(getattr(energy, name, None))
    ]
    if missing:
        raise TypeError(
            '`energy` must be an `odl_equivariant.nn.Energy`, got '
            f'{type(energy).__name__} without {", ".join(missing)}; a '
            'denoiser goes into `LearnedProximal`'
        )


class ImageLayout:
    """Which images of an energy an element of a space consists of.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the elements.
    in_channels : int
        Channels of an image.
    complex_values : {'magnitude', 'parts'} or None
        What of complex values an image consists of; None for both parts as
        two channels.

    Raises
    ------
    ValueError
        If the elements do not consist of such images.

    Notes
    -----
    Elements are tensors of shape ``(N, C, *shape)`` as in `elements`, images
    ``(N * n_images, in_channels, *shape)``.
    """

    def __init__(self, space, in_channels, complex_values):
        self.complex_values = complex_values
        self.shape = grid_shape(space)
        self.in_channels = in_channels
        parts, channels = n_parts(space), n_channels(space)
        is_of_complex = is_complex(space)
        if complex_values is not None and not is_of_complex:
            raise ValueError(
                f'complex_values={complex_values!r} is for complex spaces, '
                f'got {describe_space(space)}'
            )
        one = 2 if is_of_complex and complex_values is None else 1
        if in_channels not in (one, one * parts):
            fitting = ' or '.join(map(str, sorted({one, one * parts})))
            raise ValueError(self._misfit(space, fitting, is_of_complex))
        self.is_of_parts = complex_values == 'parts'
        copies = 2 if self.is_of_parts else 1
        self.n_images = copies * one * parts // in_channels
        self.n_channels = channels

    def _misfit(self, space, fitting, is_of_complex):
        choices = ''
        if is_of_complex and self.complex_values is None:
            choices = (
                "; for an energy of real images, pass complex_values='parts', "
                "or complex_values='magnitude'"
            )
        return (
            'an energy of elements of '
            f'{describe_space(space)} needs in_channels={fitting}'
            f', got in_channels={self.in_channels}{choices}'
        )

    def image_space(self, space):
        """Return the space of an image."""
        is_joint = self.n_images == (2 if self.is_of_parts else 1)
        image = space if is_joint else first_part(space)
        return image if self.complex_values is None else image.real_space

    def images(self, x):
        """Return the images that elements consist of."""
        if self.complex_values == 'magnitude':
            x = merge_complex(x).abs()
        elif self.is_of_parts:
            x = x.unflatten(1, (-1, 2)).transpose(1, 2)
        return x.reshape(-1, self.in_channels, *self.shape)

    def elements(self, images, x, unit=0.0):
        """Return elements of the size of images, in the direction of x.

        Parameters
        ----------
        images : torch.Tensor
            Images.
        x : torch.Tensor
            Elements. Only their phases matter, and only for magnitudes.
        unit : float, optional
            Phase of zero.
        """
        batch = len(x)
        if self.complex_values == 'magnitude':
            size = images.reshape(batch, -1, *self.shape)
            return split_complex(size * self._phases(x, unit))
        if self.is_of_parts:
            pairs = images.reshape(batch, 2, -1, *self.shape)
            return pairs.transpose(1, 2).flatten(1, 2)
        return images.reshape(batch, -1, *self.shape)

    @staticmethod
    def _phases(x, unit=0.0):
        values = merge_complex(x)
        return torch.where(values == 0, unit, values.sgn())

    def hessian_product(self, x, direction, gradient, product):
        """Return the second derivative at elements in a direction.

        Parameters
        ----------
        x, direction : torch.Tensor
            Elements.
        gradient, product : callable
            Gradient, and product with the Hessian, as maps of images.
        """
        images = self.images(x)
        if self.complex_values != 'magnitude':
            moved = product(images, self.images(direction))
            return self.elements(moved, x)
        phases, turn = self._phases(x), merge_complex(direction)
        radial = (phases.conj() * turn).real
        moved = product(images, radial.reshape(images.shape))
        slopes = gradient(images).reshape(radial.shape)
        sizes = images.reshape(radial.shape)
        slopes = torch.where(sizes > 0, slopes, 0)
        slopes = slopes / torch.where(sizes > 0, sizes, 1)
        moved = moved.reshape(radial.shape) * phases
        return split_complex(moved + slopes * (turn - radial * phases))


class ScaledEnergy(nn.Module):
    r"""An energy at a fixed noise level, of images in another unit.

    With :math:`c` for ``scale``, :math:`J_c(u; \sigma) = c^2 J(u / c;
    \sigma / c)`, for which denoising in the other unit is the same.

    Parameters
    ----------
    energy : Energy
        Energy of images in the unit of its training.
    sigma : float or None
        Noise level in the other unit.
    scale : float
        Value in the other unit that corresponds to 1.

    Raises
    ------
    TypeError, ValueError
        If the noise level is missing, not wanted, or not positive.
    """

    def __init__(self, energy, sigma, scale):
        super().__init__()
        self.energy, self.scale, self.sigma = energy, scale, None
        name = type(energy).__name__
        if getattr(energy, 'noise_level', False):
            if sigma is None:
                raise ValueError(
                    f'{name} needs a noise level: pass `sigma`, in the unit '
                    'of the images'
                )
            self.sigma = positive_number('sigma', sigma)
            positive_number('sigma / scale', self.sigma / scale)
        elif sigma is not None:
            raise ValueError(
                f'{name} has no noise level, got sigma={sigma!r:.40}; leave '
                'it out, and multiply the functional instead'
            )
        self.level = None if sigma is None else self.sigma / scale

    def forward(self, images):
        """Return one number for each image."""
        return self.scale**2 * self.energy(images / self.scale, self.level)

    def gradient(self, images):
        """Return the gradient with respect to the values of the cells."""
        gradient = self.energy.gradient(images / self.scale, self.level)
        if gradient.shape != images.shape or gradient.dtype != images.dtype:
            raise ValueError(
                f'`{type(self.energy).__name__}.gradient` must return a '
                f'tensor like its images, {images.dtype} of shape '
                f'{tuple(images.shape)}, got {gradient.dtype} of shape '
                f'{tuple(gradient.shape)}'
            )
        return self.scale * gradient

    def hessian_product(self, images, direction):
        """Return the derivative of the gradient in a direction."""
        return self.energy.hessian_product(
            images / self.scale, direction, self.level
        )

    def gradient_lipschitz(self):
        """Return a Lipschitz constant of the gradient, or infinity."""
        return self._bound('gradient_lipschitz')

    def weak_convexity(self):
        """Return the modulus of weak convexity, or infinity."""
        return self._bound('weak_convexity')

    def _bound(self, method):
        with torch.no_grad():
            bound = getattr(self.energy, method)(self.level)
        name = f'`{type(self.energy).__name__}.{method}(sigma)`'
        return real_number(name, bound, least=0, infinite=True)

    def check(self, images):
        """Raise an error if the energy is not one number for each image."""
        name = type(self.energy).__name__
        with torch.no_grad():
            try:
                values = self(images)
            except RuntimeError as error:
                if type(error) is not RuntimeError:
                    raise
                raise ValueError(
                    f'{name} fails for images of shape {tuple(images.shape)}: '
                    f'{error}'
                ) from error
        if not isinstance(values, torch.Tensor):
            raise TypeError(
                f'{name} must return a `torch.Tensor`, got '
                f'{type(values).__name__}'
            )
        if tuple(values.shape) != (len(images),):
            raise ValueError(
                f'{name} must return one number for each image, of shape '
                f'{(len(images),)} for images of shape {tuple(images.shape)}, '
                f'got the shape {tuple(values.shape)}'
            )
        if values.dtype != images.dtype:
            raise TypeError(
                f'{name} must return {images.dtype} for images of this '
                f'precision, got {values.dtype}'
            )
