# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Learned proximals: one equivariant by design, one ordinary."""

from odl_equivariant.nn._groups import (
    checked_group,
    group_order,
    nearest_channels,
)
from odl_equivariant.nn._proximal import Proximal
from odl_equivariant.nn._steerable import (
    PaddedConvolution,
    SteerableConvolution,
)

__all__ = ('EquivariantProximal', 'OrdinaryProximal')

# Computing such a basis takes half a minute or a gigabyte.
_LARGEST_ORDER = 64
_LARGEST_BASIS = 3e7


class EquivariantProximal(Proximal):
    r"""Learned proximal that is equivariant under roto-translations.

    Parameters
    ----------
    in_channels : int, optional
        Channels of an image: 1 if real, 2 if complex.
    channels : int, optional
        Width of the network; the order of the group divides it.
    group : str, optional
        ``'C<N>'``, the rotations by multiples of :math:`2 \pi / N`, or
        ``'D<N>'``, the same with reflections.
    memory : int, optional
        Number of memory channels; 0 for none.
    gradient : bool, optional
        Whether the gradient of the data fit is an input of its own, as in
        the learned proximal gradient method. ``False`` for a denoiser.
    noise_level : bool, optional
        Whether the noise level ``sigma`` is one more input channel.
    n_residual_blocks : int, optional
        Number of residual blocks, each of which starts as the identity.
    skip : bool, optional
        Whether the network adds to ``x - gradient`` (to ``x`` without a
        gradient) instead of replacing it.
    kernel_size : int, optional
        Odd side of the kernels in cells.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How an image goes on past its boundary.
    negative_slope : float, optional
        Slope of the LeakyReLU for negative values.

    Raises
    ------
    ValueError
        If the group is not known or does not divide ``channels``, or an
        argument is out of its range.

    Notes
    -----
    The network is a convolution, a LeakyReLU, residual blocks
    :math:`x + \mathrm{LeakyReLU}(k * x)` and a convolution, all of them
    steerable: the hidden channels are regular fields, the image and the
    memory trivial ones. Hence

    .. math::
        \Phi(g \cdot u, g \cdot v, g \cdot s) = g \cdot \Phi(u, v, s)

    for every rotation and reflection of the group that maps the grid to
    itself, up to rounding; between such angles up to the discretisation.
    With the default arguments it is the block of [C+2021]_.

    References
    ----------
    .. [C+2021] Celledoni E, Ehrhardt M J, Etmann C, Owren B, Schönlieb C-B
       and Sherry F. *Equivariant neural networks for inverse problems*.
       Inverse Problems 37 (2021) 085006.

    Examples
    --------
    >>> import torch
    >>> block = EquivariantProximal(channels=8, memory=2)
    >>> u = torch.zeros(1, 1, 16, 16)
    >>> u, s = block(u, gradient=u)
    >>> u.shape, s.shape
    (torch.Size([1, 1, 16, 16]), torch.Size([1, 2, 16, 16]))
    """

    def __init__(
        self,
        in_channels=1,
        channels=96,
        group='C4',
        memory=5,
        gradient=True,
        noise_level=False,
        n_residual_blocks=1,
        skip=False,
        kernel_size=3,
        padding_mode='replicate',
        negative_slope=0.01,
    ):
        arguments = {k: v for k, v in locals().items() if k not in _HIDDEN}
        super().__init__(arguments)
        order = group_order(checked_group(group))
        channels, size = self.channels, self.kernel_size
        if order > _LARGEST_ORDER or order**3 * size**4 > _LARGEST_BASIS:
            raise ValueError(
                f'the basis of kernels of side {size} for the group {group} '
                'would take minutes or gigabytes to compute: take a smaller '
                f'group or kernel, of order <= {_LARGEST_ORDER} and with '
                f'order^3 * kernel_size^4 <= {_LARGEST_BASIS:.0e}'
            )
        if channels % order:
            nearest = ' or '.join(map(str, nearest_channels(channels, order)))
            raise ValueError(
                f'the order {order} of the group {group} must divide '
                f'`channels`, got {channels}; the nearest are {nearest}'
            )
        self._build()

    def _convolution(self, n_fields, place, gain):
        n_hidden = self.channels // group_order(self.group)
        in_fields, out_fields, source, target = {
            'lift': (n_fields, n_hidden, 'trivial', 'regular'),
            'hidden': (n_hidden, n_hidden, 'regular', 'regular'),
            'project': (n_hidden, n_fields, 'regular', 'trivial'),
        }[place]
        return SteerableConvolution(
            in_fields,
            out_fields,
            source,
            target,
            self.group,
            self.kernel_size,
            self.padding_mode,
            gain,
        )

    def _check_cells(self, space):
        if not space.partition.has_isotropic_cells:
            raise ValueError(
                'an equivariant network needs square cells, as a turned '
                'image lies on another grid otherwise; got the cell sides '
                f'{space.cell_sides} of {space!r}'
            )


class OrdinaryProximal(Proximal):
    """Learned proximal with ordinary convolutions, to compare with.

    The same network as `EquivariantProximal`, of the same width, with the
    same initial variance, but with no constraint on its kernels and hence no
    equivariance but under translations.

    Parameters
    ----------
    in_channels, channels, memory, gradient, noise_level, n_residual_blocks, \
skip, kernel_size, padding_mode, negative_slope
        As for `EquivariantProximal`; ``channels`` may be any number.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> denoiser = OrdinaryProximal(
    ...     channels=8, memory=0, gradient=False, noise_level=True
    ... )
    >>> denoiser(torch.zeros(1, 1, 16, 16), sigma=0.1).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        in_channels=1,
        channels=96,
        memory=5,
        gradient=True,
        noise_level=False,
        n_residual_blocks=1,
        skip=False,
        kernel_size=3,
        padding_mode='replicate',
        negative_slope=0.01,
    ):
        arguments = {k: v for k, v in locals().items() if k not in _HIDDEN}
        super().__init__(arguments)
        self._build()

    def _convolution(self, n_outer, place, gain):
        in_channels, out_channels = {
            'lift': (n_outer, self.channels),
            'hidden': (self.channels, self.channels),
            'project': (self.channels, n_outer),
        }[place]
        return PaddedConvolution(
            in_channels,
            out_channels,
            self.kernel_size,
            self.padding_mode,
            gain,
        )


_HIDDEN = ('self', '__class__')
