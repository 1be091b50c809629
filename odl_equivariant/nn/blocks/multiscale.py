# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Networks of several scales: a denoiser, and a block for unrolled methods."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from odl_equivariant._checks import one_of
from odl_equivariant.nn._convolution import (
    PaddedConvolution,
    channels_last,
    check_image_size,
)
from odl_equivariant.nn._precision import check_arithmetic, in_full_precision
from odl_equivariant.nn.blocks import pieces, scales
from odl_equivariant.nn.blocks.base import Proximal
from odl_equivariant.nn.blocks.calibration import calibrate_all
from odl_equivariant.nn.blocks.inputs import (
    advice_of_dimension,
    check_cells,
    checked_symmetry,
)
from odl_equivariant.nn.blocks.network import (
    SMOOTH,
    Nonlinearities,
    is_exported,
    is_transformed,
)
from odl_equivariant.nn.steerable import layout
from odl_equivariant.nn.steerable.groups import INFINITE
from odl_equivariant.nn.steerable.orbits import (
    checked_kind,
    steerable_convolution,
)
from odl_equivariant.nn.steerable.space import n_elements

__all__ = ('Multiscale', 'MultiscaleDenoiser', 'MultiscaleProximal')

_LEAKY, _SLOPE = 'leaky_relu', 0.01


class Multiscale(Proximal):
    """Base class of the blocks of several scales."""

    memory = 0
    gradient = False

    # How `for_inference` makes it compute: the dtype, the largest side of
    # pieces or 'auto', and what replaces `scales.on_whole_image`.
    _dtype: torch.dtype | None = None
    _tile: int | str | None = None
    _run: Callable[..., torch.Tensor] = staticmethod(scales.on_whole_image)

    def __init__(self, arguments: dict[str, Any]) -> None:
        group = arguments.pop('group')
        basis = arguments.pop('basis')
        activation = arguments.pop('activation', _LEAKY)
        axis = arguments.pop('axis')
        dimension = arguments.pop('dimension')
        super().__init__(arguments)
        _, dimension = checked_symmetry(group, axis, dimension)
        if group is None:
            self.group = self._acting_group = self.axis = None
            self._set('dimension', dimension, 2)
        else:
            self._set_group(group, axis)
        if self.group in INFINITE:
            raise ValueError(
                f'the infinite group {self.group} has no regular fields, '
                "which all scales consist of: take a finite one, such as 'C4' "
                "or 'D4', or None for ordinary convolutions"
            )
        # first, as files list it so
        self._arguments = {'group': self.group, **self._arguments}
        if self.group is not None:
            layout.check_channels(
                self._acting_group, self.channels, None, self.kernel_size
            )
            basis = checked_kind(basis, self._acting_group)
        elif basis not in (None, 'escnn'):
            raise ValueError(
                f'ordinary kernels have no basis: basis={basis!r} needs a '
                'group'
            )
        self._set('basis', basis or 'escnn', 'escnn')
        one_of('activation', activation, (_LEAKY, *SMOOTH))
        self._set('activation', activation, _LEAKY)
        self._check_activation()
        self._build()

    def _check_activation(self):
        if self.activation == _LEAKY:
            return
        if self.homogeneous and not self.noise_level:
            raise ValueError(
                f'activation={self.activation!r} has a unit, which is the '
                'noise level in a homogeneous network: take noise_level=True, '
                f'homogeneous=False or activation={_LEAKY!r}'
            )
        if self.negative_slope != _SLOPE:
            raise ValueError(
                f'`negative_slope` is that of activation={_LEAKY!r}: '
                f'activation={self.activation!r} takes none, got '
                f'{self.negative_slope}'
            )

    @property
    def _in_units_of_noise(self):
        """Whether the noise level is the unit of the activations."""
        return self.activation != _LEAKY and self.homogeneous

    def nonlinearities(self) -> Nonlinearities:
        """Return the slope of the LeakyReLU, or the map in its place."""
        if self.activation == _LEAKY:
            return self.negative_slope
        return (SMOOTH[self.activation],)

    def _build(self):
        n_inputs = self._n_inputs()
        widths = [self.channels * 2**i for i in range(self.n_scales)]
        self.lift = self._convolution(n_inputs, widths[0], 1.0, 'lift')
        self.hidden = nn.ModuleList(self._hidden(widths))
        self.project = self._convolution(
            widths[0], self.in_channels + self.memory, 1.0, 'project'
        )
        self.activations = None
        self._follow_order()
        # With `skip`: a step that starts as gradient descent plus little.
        calibrate_all(self, n_inputs, 0.1 if self.skip else 1.0)

    def _hidden(self, widths):
        """Yield the convolutions in between, in the order of their use."""
        for _ in range(self.n_blocks):
            yield self._convolution(widths[0], widths[0], 1.0)
            yield self._convolution(widths[0], widths[0], 0.0)
        if widths[1:]:
            yield self._convolution(*widths[:2], 1.0)
            yield from self._hidden(widths[1:])
            yield self._convolution(widths[1], widths[0], 1.0)
            for _ in range(self.n_blocks):
                yield self._convolution(widths[0], widths[0], 1.0)
                yield self._convolution(widths[0], widths[0], 0.0)

    def _convolution(self, n_in, n_out, gain, place=None):
        kind = self.kernel_size, self.padding_mode, gain
        bias = not self.homogeneous
        if self.group is None:
            return PaddedConvolution(
                n_in, n_out, *kind, bias=bias, dimension=self.dimension
            )
        order = n_elements(self._acting_group)
        source, target = 'regular', 'regular'
        if place == 'lift':
            source, n_out = 'trivial', n_out // order
        elif place == 'project':
            target, n_in = 'trivial', n_in // order
        else:
            n_in, n_out = n_in // order, n_out // order
        return steerable_convolution(
            n_in,
            n_out,
            source,
            target,
            self._acting_group,
            *kind,
            bias=bias,
            basis=self.basis,
        )

    def convolutions(self) -> list[nn.Module]:
        """Return the convolutions, in the order of their use."""
        return [self.lift, *self.hidden, self.project]

    @classmethod
    def n_weights(cls, arguments: dict[str, Any]) -> int:
        """Return how many tensors of weights the arguments ask for."""
        n = scales.n_convolutions(arguments['n_scales'], arguments['n_blocks'])
        return n if arguments['homogeneous'] else 2 * n

    def compute(
        self,
        dtype: torch.dtype | None,
        tile: int | str | None,
        run: Callable[..., torch.Tensor],
    ) -> None:
        """Set how to compute from now on, as `for_inference` does.

        Parameters
        ----------
        dtype : torch.dtype or None
            Precision of the convolutions, None for that of the weights.
        tile : int, 'auto' or None
            Largest side of the pieces, None for the whole image.
        run : callable
            ``scales.on_whole_image`` or a function in its place.

        Raises
        ------
        ValueError
            If a periodic network is to compute in pieces.
        """
        if tile is not None and self.padding_mode == 'circular':
            raise ValueError(
                f'a {type(self).__name__} with padding_mode="circular" '
                'computes whole images only, as the cells of its coarser '
                'grids do not match past the boundary: take tile=None, or '
                'another padding_mode'
            )
        self._dtype, self._tile, self._run = dtype, tile, run

    @property
    def least_side(self) -> int:
        """Side of the smallest images that have all scales."""
        return scales.least_side(self.n_scales, self.kernel_size)

    def _check_cells(self, space):
        if self.group is not None:
            check_cells(space, self.group, self.axis)

    def _advice_of_dimension(self, found):
        return advice_of_dimension(self.group, found)

    def _network(self, x, kernels):
        own = self._compute_dtype(x.device.type)
        dtype = own if self._dtype is None else self._dtype
        exported = is_exported()
        if not exported:
            check_arithmetic(dtype, x.device)
        check_image_size(x, self.kernel_size)
        order = torch.contiguous_format
        if x.device.type == 'cpu' and not (exported or is_transformed()):
            order = channels_last(self.dimension)
        kernels = [
            (weight.to(dtype, memory_format=order), bias.to(dtype))
            for weight, bias in kernels
        ]
        run = functools.partial(
            scales.on_whole_image if exported else self._run,
            kernels=kernels,
            padding_mode=self.padding_mode,
            nonlinearities=self.nonlinearities(),
            n_scales=self.n_scales,
        )
        y = x.to(dtype)
        if order != torch.contiguous_format:
            y = y.to(memory_format=order)
        side = None if exported else self._side(x, dtype)
        with in_full_precision(x.device):
            y = self._applied(y, run, side)
        return y.to(x.dtype)

    def _applied(self, x, run, side):
        """Apply the network to images of any size."""
        shape, least = x.shape[2:], self.least_side
        # as far on both sides, so that this commutes with turns
        margins = [max(0, (least - n + 1) // 2) for n in shape]
        if any(margins):
            sides = [
                side for margin in reversed(margins) for side in (margin,) * 2
            ]
            inside = [
                slice(k, k + n) for n, k in zip(shape, margins, strict=True)
            ]
            x = functional.pad(x, sides, 'replicate')
            return self._in_pieces(x, run, side)[:, :, *inside]
        return self._in_pieces(x, run, side)

    def _in_pieces(self, x, run, side):
        """Apply the network to images that have all scales."""
        if side is None or side >= max(x.shape[2:]):
            return run(x)
        return scales.evaluate(
            x, run, self.n_scales, self.n_blocks, self.kernel_size, side
        )

    def _side(self, x, dtype):
        """Return the side of pieces, None for the whole image."""
        if self._tile != 'auto':
            return self._tile
        # of the many arrays of all scales, those of the finest prevail
        width = 4 * self.channels
        return pieces.side_for_memory(width, dtype, x.device, self.dimension)


class MultiscaleDenoiser(Multiscale):
    r"""Denoiser of several scales, equivariant or ordinary.

    A U-shaped residual network in the manner of DRUNet [Z+2022]_, with
    regular fields of a group at each scale, for images of any size.

    Parameters
    ----------
    group : str or None, optional
        Finite group, such as ``'C4'`` or ``'D4'``, of the space for volumes,
        such as ``'O'``, see `EquivariantProximal`, or None for the ordinary
        network of the same width, initial variance and cost.
    in_channels : int, optional
        Channels of an image: 1 if real, 2 if complex.
    channels : int, optional
        Width at the finest scale, a multiple of the order of the group. Each
        coarser scale has twice the width of the one before.
    n_scales : int, optional
        Number of grids. Each has half as many cells along each axis as the
        one before.
    n_blocks : int, optional
        Number of residual blocks, of two convolutions each, at each scale on
        the way to the coarsest grid, and as many on the way back. Each one
        starts as the identity.
    noise_level : bool, optional
        Whether the noise level ``sigma`` is an additional input channel.
    homogeneous : bool, optional
        Whether there are no biases, so that the result does not depend on the
        unit of the image, see the notes. Otherwise there is an invariant bias
        after each convolution.
    skip : bool, optional
        Whether the output is added to ``x``.
    kernel_size : int, optional
        Odd side of the kernels in cells.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How each convolution continues its input past the boundary.
    negative_slope : float, optional
        Slope of the LeakyReLU for negative values.
    basis : {'escnn', 'grid', 'mixed', 'fourier'}, optional
        Which equivariant kernels there are, see `EquivariantProximal`.
        Default: ``'escnn'`` in the plane; in space there is ``'grid'`` alone.
    activation : {'leaky_relu', 'elu', 'softplus'}, optional
        Non-linearity in the residual blocks. ``'elu'``, and ``'softplus'``
        minus its value at zero, are differentiable with a Lipschitz
        derivative, as `GradientStepEnergy` needs for a gradient without
        jumps. They have a unit: if ``homogeneous``, the noise level, see the
        notes.
    axis : {0, 1, 2}, optional
        For volumes, the axis of a group about one, see `EquivariantProximal`.
    dimension : {2, 3}, optional
        Number of axes of an image, 3 for volumes. Default: that of the
        group, and 2 without one.

    Raises
    ------
    ValueError
        If the group is unknown or infinite, its order does not divide
        ``channels``, or another argument is out of its range. Also for an
        activation with a unit in a homogeneous network without a noise level.
    TypeError
        If a number or a bool is none.

    Notes
    -----
    The group acts on the values of all grids: for each of its elements that
    maps the grid of the image to itself, :math:`\Phi(g \cdot u; \sigma) =
    g \cdot \Phi(u; \sigma)` up to rounding. A grid of any size, even or odd,
    is halved and doubled by symmetric means and interpolation, and needs no
    padding. So are volumes, along each of their axes, for a group of the
    space. Images too small for the coarsest grid are continued by their last
    cells, equally on both sides.

    Shifts commute with the network if they are by multiples of
    :math:`2^{S-1}` cells, with S for ``n_scales``, the sides are such
    multiples, and the padding is circular; with other padding, away from the
    boundary only.

    With ``homogeneous=True``, and for every :math:`a > 0`,

    .. math::
        \Phi(a u; a \sigma) = a\, \Phi(u; \sigma) .

    A smooth activation :math:`\phi` is not homogeneous. So then all inputs,
    image and noise level, are divided by :math:`\sigma`, and the output is
    multiplied by it. With the network :math:`\Psi`, :math:`\Phi(u; \sigma) =
    \sigma \Psi(u / \sigma, 1)`, which has the same law.

    References
    ----------
    .. [Z+2022] Zhang K, Li Y, Zuo W, Zhang L, Van Gool L and Timofte R.
       *Plug-and-play image restoration with deep denoiser prior*. IEEE
       Transactions on Pattern Analysis and Machine Intelligence 44 (2022)
       6360-6376.

    Examples
    --------
    >>> denoiser = MultiscaleDenoiser('C4', channels=8)
    >>> u = torch.randn(1, 1, 17, 20)
    >>> v = denoiser(u, sigma=0.1)
    >>> v.shape
    torch.Size([1, 1, 17, 20])
    >>> turned = denoiser(u.rot90(1, (2, 3)), sigma=0.1)
    >>> torch.allclose(turned, v.rot90(1, (2, 3)), atol=1e-5)
    True
    >>> torch.allclose(denoiser(8 * u, sigma=0.8), 8 * v, atol=1e-4)
    True

    A denoiser of volumes, for the 24 rotations of the cube:

    >>> denoiser = MultiscaleDenoiser('O', channels=24, n_scales=2, n_blocks=1)
    >>> u = torch.randn(1, 1, 6, 7, 5)
    >>> v = denoiser(u, sigma=0.1)
    >>> turned = denoiser(u.transpose(2, 4).flip(4), sigma=0.1)
    >>> torch.allclose(turned, v.transpose(2, 4).flip(4), atol=1e-5)
    True
    """

    def __init__(
        self,
        group: str | None = 'C4',
        in_channels: int = 1,
        channels: int = 32,
        n_scales: int = 3,
        n_blocks: int = 2,
        noise_level: bool = True,
        homogeneous: bool = True,
        skip: bool = True,
        kernel_size: int = 3,
        padding_mode: str = 'replicate',
        negative_slope: int | float = _SLOPE,
        basis: str | None = None,
        activation: str = _LEAKY,
        axis: int | None = None,
        dimension: int | None = None,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in _HIDDEN}
        super().__init__(arguments)


class MultiscaleProximal(Multiscale):
    r"""Block of several scales for the learned proximal gradient method.

    The network of `MultiscaleDenoiser`, with the scaled gradient of the data
    fit and a memory as further inputs, and a new memory as further output: a
    `Block` for `LearnedProximalGradient`.

    Parameters
    ----------
    group, in_channels, channels, n_scales, n_blocks
        As for `MultiscaleDenoiser`.
    memory : int, optional
        Number of memory channels; 0 for none.
    gradient : bool, optional
        Whether the gradient of the data fit is a separate input.
    noise_level, homogeneous
        As for `MultiscaleDenoiser`.
    skip : bool, optional
        Whether the output is added to ``x - gradient``, or to ``x`` without a
        gradient.
    kernel_size, padding_mode, negative_slope, basis, axis, dimension
        As for `MultiscaleDenoiser`.

    Raises
    ------
    ValueError
        If the group is unknown or infinite, its order does not divide
        ``channels``, or another argument is out of its range or does not fit
        the group.
    TypeError
        If a number or a bool is none.

    Notes
    -----
    Image, gradient and memory are trivial fields, hence :math:`\Phi(g \cdot
    u, g \cdot v, g \cdot s) = g \cdot \Phi(u, v, s)`, see
    `MultiscaleDenoiser`. With ``homogeneous=True``, :math:`\Phi(a u, a v, a
    s) = a\, \Phi(u, v, s)` for all :math:`a > 0`, so that the unrolled method
    of a linear operator maps :math:`a y` to :math:`a` times its result.

    Examples
    --------
    >>> block = MultiscaleProximal('D4', channels=8, memory=2)
    >>> u = torch.zeros(1, 1, 15, 16)
    >>> u, s = block(u, gradient=u)
    >>> u.shape, s.shape
    (torch.Size([1, 1, 15, 16]), torch.Size([1, 2, 15, 16]))
    """

    def __init__(
        self,
        group: str | None = 'C4',
        in_channels: int = 1,
        channels: int = 16,
        n_scales: int = 3,
        n_blocks: int = 1,
        memory: int = 5,
        gradient: bool = True,
        noise_level: bool = False,
        homogeneous: bool = True,
        skip: bool = True,
        kernel_size: int = 3,
        padding_mode: str = 'replicate',
        negative_slope: int | float = _SLOPE,
        basis: str | None = None,
        axis: int | None = None,
        dimension: int | None = None,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in _HIDDEN}
        super().__init__(arguments)


_HIDDEN = ('self', '__class__')
