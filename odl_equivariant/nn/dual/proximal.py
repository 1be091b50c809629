# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Learned maps of data that commute with what moves the images."""

import math
from collections.abc import Mapping
from typing import Any

import odl
import torch
from torch import nn
from torch.nn import functional

from odl_equivariant._checks import (
    boolean,
    one_of,
    real_number,
    whole_number,
)
from odl_equivariant._types import Space
from odl_equivariant.elements import describe_space, grid_shape, n_channels
from odl_equivariant.nn._convolution import normal
from odl_equivariant.nn._precision import check_arithmetic
from odl_equivariant.nn.blocks.calibration import calibrate
from odl_equivariant.nn.blocks.network import Kernel, residual_network
from odl_equivariant.nn.dual.symmetry import (
    GROUPS,
    PADDING_MODES,
    check_commutes,
    kernel_flips,
    pad_views,
    symmetrised,
)

__all__ = ('DualProximal',)


class DualProximal(nn.Module):
    r"""Data-side block of `LearnedPrimalDual`.

    Parameters
    ----------
    in_channels : int, optional
        Channels of the data: 1 if real, 2 if complex, and those of all parts
        for a product space, such as the coils of a scanner.
    channels : int, optional
        Width of the network.
    group : {'C4', 'C1', 'C2', 'D1', 'D2', 'D4'}, optional
        Rotations, or rotations and reflections, of the images, with whose
        action on the data the block commutes; ``'C1'`` for ordinary kernels.
    memory : int, optional
        Number of channels of the dual variable besides those of the data.
    n_residual_blocks : int, optional
        Number of residual blocks between first and last convolution.
    skip : bool, optional
        Whether the first channels, of the dual variable proper, start at the
        step :math:`(h + A u - y) / 2` of the primal-dual hybrid gradient
        method, rather than at :math:`h`.
    kernel_size : int, optional
        Odd side of the kernels, in views and detector elements. With 1, each
        ray is treated alike, and the block fits all data: those of Fourier
        transforms, and with any number of axes.
    padding_mode : {'twisted', 'circular', 'zeros'}, optional
        How the data continue past the first and the last view: for parallel
        beams over half a turn by views with the detector reversed, for a full
        turn by the same views, or not at all. Past the ends of the detector,
        they are zero.
    negative_slope : float, optional
        Slope of the LeakyReLU for negative values.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the padding fits no group.
    TypeError
        If a number or a bool is none.

    Notes
    -----
    The block maps dual variables :math:`h`, evaluations :math:`A u` and
    data :math:`y` to :math:`h + \Gamma(h, A u, y)`, with a residual network
    :math:`\Gamma` as in `OrdinaryProximal`. A rotation of the images by
    :math:`\alpha` moves the views, :math:`(S y)(\varphi, s) =
    y(\varphi - \alpha, s)`, where :math:`y(\varphi - \pi, s) =
    y(\varphi, -s)` for parallel beams. A convolution of the data, continued
    in this way, commutes with :math:`S` for all kernels with
    :math:`k(\varphi, -s) = k(\varphi, s)`; with reflections of the images if
    also :math:`k(-\varphi, s) = k(\varphi, s)`. Over a full turn, rotations
    ask nothing of the kernel, and reflections
    :math:`k(-\varphi, -s) = k(\varphi, s)`. The weights are ordinary ones,
    and the kernels their means over these flips.

    Examples
    --------
    >>> block = DualProximal(channels=8, memory=2)
    >>> h, y = torch.zeros(1, 3, 6, 11), torch.zeros(1, 1, 6, 11)
    >>> block(h, y, y).shape
    torch.Size([1, 3, 6, 11])
    """

    # the non-linearity is a LeakyReLU of this slope
    activations = None

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 32,
        group: str = 'C4',
        memory: int = 4,
        n_residual_blocks: int = 1,
        skip: bool = False,
        kernel_size: int = 3,
        padding_mode: str = 'twisted',
        negative_slope: int | float = 0.01,
    ) -> None:
        super().__init__()
        self.in_channels = whole_number('in_channels', in_channels, 1)
        self.channels = whole_number('channels', channels, 1)
        self.group = one_of('group', group, GROUPS)
        self.memory = whole_number('memory', memory, 0)
        self.n_residual_blocks = whole_number(
            'n_residual_blocks', n_residual_blocks, 0
        )
        self.skip = boolean('skip', skip)
        self.kernel_size = whole_number('kernel_size', kernel_size, 1)
        self.padding_mode = one_of('padding_mode', padding_mode, PADDING_MODES)
        self.negative_slope = real_number('negative_slope', negative_slope)
        if self.kernel_size % 2 == 0:
            raise ValueError(
                '`kernel_size` must be odd, for the output to lie on the '
                f'grid of the data, got {kernel_size}'
            )
        if padding_mode == 'zeros' and group != 'C1' and kernel_size > 1:
            raise ValueError(
                "with padding_mode='zeros' a convolution commutes with no "
                "shift of the views: take 'twisted' (parallel beams over half "
                "a turn) or 'circular' (a full turn) for "
                f"group={group!r}, or group='C1'"
            )
        self.compute_in(None)
        n_dual = self.in_channels + self.memory
        n_inputs = n_dual + 2 * self.in_channels
        self.lift = self._convolution(n_inputs, self.channels, 1.0)
        self.residual = nn.ModuleList(
            self._convolution(self.channels, self.channels, 0.0)
            for _ in range(self.n_residual_blocks)
        )
        self.project = self._convolution(self.channels, n_dual, 1.0)
        # a change of h that starts small
        calibrate(self, n_inputs, 0.1)

    def _convolution(self, in_channels, out_channels, gain):
        return _DataConvolution(
            in_channels,
            out_channels,
            self.group,
            self.kernel_size,
            self.padding_mode,
            gain,
        )

    @property
    def architecture(self) -> dict[str, Any]:
        """Name and arguments of the class, from which it can be rebuilt."""
        arguments = {name: getattr(self, name) for name in _ARGUMENTS}
        return {'class': type(self).__name__, 'arguments': arguments}

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return ', '.join(f'{k}={getattr(self, k)!r}' for k in _ARGUMENTS)

    def nonlinearities(self) -> float:
        """Return the slope of the LeakyReLU."""
        return self.negative_slope

    def check_space(self, space: Space) -> None:
        """Raise a TypeError: the block is none of images.

        `LearnedPrimalDual` and others call it for image-side blocks.

        Parameters
        ----------
        space : odl space
            Space of the images.
        """
        raise TypeError(
            f'{type(self).__name__} is a data-side block, and needs '
            'evaluations of an operator: give it as `dual` of '
            '`LearnedPrimalDual`, and for images take an '
            '`EquivariantProximal` or an `OrdinaryProximal`'
        )

    @property
    def least_side(self) -> int:
        """Least number of views and of detector elements."""
        return self.kernel_size

    def check_operator(self, operator: odl.Operator) -> None:
        """Raise a ValueError unless the block fits the data of an operator.

        `LearnedPrimalDual` calls it before any work.

        Parameters
        ----------
        operator : `odl.Operator`
            Forward operator. With a group and kernels of more than one ray it
            must be a ray transform, whose data follow the group of the
            images as the padding supposes.
        """
        space = operator.range
        if n_channels(space) != self.in_channels:
            raise ValueError(
                f'the data space {describe_space(space)} has '
                f'{n_channels(space)} channel(s) '
                '(two if complex), the dual block was made with in_channels='
                f'{self.in_channels}; make it with in_channels='
                f'{n_channels(space)}'
            )
        shape = grid_shape(space)
        if self.kernel_size == 1:
            return
        if len(shape) != 2:
            raise ValueError(
                f'kernels of side {self.kernel_size} need data with 2 axes, '
                'views and detector elements, got the data space '
                f'{describe_space(space)} '
                f'with {len(shape)}; take kernel_size=1'
            )
        self._check_shape(shape)
        check_commutes(
            operator, self.group, self.kernel_size, self.padding_mode
        )

    def _check_shape(self, shape):
        if min(shape) < self.kernel_size:
            raise ValueError(
                f'the data of shape {tuple(shape)} are smaller than the '
                f'kernels of side {self.kernel_size}; take a smaller '
                'kernel_size'
            )

    def compute_in(self, dtype: torch.dtype | None) -> None:
        """Set the precision of the convolutions, None for the weights'."""
        self._dtype = dtype

    def kernels(self) -> list[Kernel]:
        """Return kernel and bias of each convolution, for `forward`."""
        layers = (self.lift, *self.residual, self.project)
        return [layer.kernel() for layer in layers]

    def precomputed(self) -> Mapping[str, Any]:
        """Return the arguments of `forward` that depend on weights alone."""
        if getattr(self.forward, '__func__', None) is DualProximal.forward:
            return {'kernels': self.kernels()}
        return {}

    def forward(
        self,
        h: torch.Tensor,
        evaluation: torch.Tensor,
        data: torch.Tensor,
        kernels: list[Kernel] | None = None,
    ) -> torch.Tensor:
        """Apply the block.

        Parameters
        ----------
        h : torch.Tensor
            Dual variables of shape ``(N, in_channels + memory, n, m)``.
        evaluation : torch.Tensor
            Forward operator at the images, ``(N, in_channels, n, m)``.
        data : torch.Tensor
            Measured data, of the shape of ``evaluation``.
        kernels : list of tuple of torch.Tensor, optional
            What `kernels` returned. Default: computed from the weights.

        Returns
        -------
        h : torch.Tensor
            New dual variables, of the shape of ``h``.

        Raises
        ------
        TypeError
            If an input is no tensor of the precision of the weights.
        ValueError
            If a shape does not fit, or kernels do not fit on the data.
        """
        n_dual = self.in_channels + self.memory
        for name, x, n in (
            ('h', h, n_dual),
            ('evaluation', evaluation, self.in_channels),
            ('data', data, self.in_channels),
        ):
            self._check_input(name, x, n, h)
        inputs = torch.cat([h, evaluation, data], 1)
        shape = inputs.shape[2:]
        if self.kernel_size == 1 and len(shape) != 2:
            inputs = inputs.flatten(2)[..., None]
        else:
            self._check_shape(shape)
        kernels = self.kernels() if kernels is None else kernels
        change = self._network(inputs, kernels).reshape(
            h.shape[0], n_dual, *shape
        )
        if not self.skip:
            return h + change
        own = (h[:, : self.in_channels] + evaluation - data) / 2
        return torch.cat([own, h[:, self.in_channels :]], 1) + change

    def _check_input(self, name, x, channels, like):
        if not isinstance(x, torch.Tensor):
            raise TypeError(
                f'`{name}` must be a `torch.Tensor`, got {type(x).__name__}'
            )
        expected = (like.shape[0], channels, *like.shape[2:])
        if x.ndim < 3 or x.shape != expected:
            raise ValueError(
                f'`{name}` must have the shape (N, {channels}, n, m), on the '
                f'grid of `h`, got {tuple(x.shape)}'
            )
        dtype = self.lift.weight.dtype
        if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
            raise TypeError(
                f'the weights are in {dtype}, and so must `{name}` be, got '
                f'{x.dtype}; convert one of them, as in `module.double()`'
            )

    def _network(self, x, kernels):
        own = x.dtype
        dtype = own if self._dtype is None else self._dtype
        if not (torch.jit.is_tracing() or torch.compiler.is_compiling()):
            check_arithmetic(dtype, x.device)
        if dtype != own:
            x = x.to(dtype)
            kernels = [(k.to(dtype), bias.to(dtype)) for k, bias in kernels]
        extent = _Views(self.padding_mode)
        return residual_network(x, kernels, self.negative_slope, extent).to(
            own
        )


class _Views:
    """All data, with views that continue past the first and the last."""

    def __init__(self, padding_mode):
        self.padding_mode = padding_mode
        # the convolution itself can do so
        self._with_zeros = padding_mode == 'zeros'

    def pad(self, x, kernel):
        """Return the data with more views."""
        if self._with_zeros:
            return x
        return pad_views(x, _margin(kernel), self.padding_mode)

    def convolve(self, x, kernel):
        """Return a convolution of padded data; the detector ends in zeros."""
        margin = _margin(kernel)
        padding = (margin if self._with_zeros else 0, margin)
        return functional.conv2d(x, *kernel, padding=padding)

    def inner(self, x, kernel):
        """Return padded data without the added views."""
        margin = 0 if self._with_zeros else _margin(kernel)
        return x[..., margin : x.shape[-2] - margin, :]


def _margin(kernel):
    return kernel[0].shape[-1] // 2


class _DataConvolution(nn.Module):
    """A convolution of data with kernels that flips leave as they are."""

    def __init__(
        self, in_channels, out_channels, group, kernel_size, padding_mode, gain
    ):
        super().__init__()
        self.padding_mode = padding_mode
        self._flips = kernel_flips(group, padding_mode)
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        std = gain / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(normal(shape, std))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def kernel(self):
        """Return the symmetric kernel, and the bias."""
        return symmetrised(self.weight, self._flips), self.bias

    def forward(self, x):
        """Map ``(N, in_channels, n, m)`` to ``(N, out_channels, n, m)``."""
        extent, kernel = _Views(self.padding_mode), self.kernel()
        return extent.convolve(extent.pad(x, kernel), kernel)


_ARGUMENTS = (
    'in_channels',
    'channels',
    'group',
    'memory',
    'n_residual_blocks',
    'skip',
    'kernel_size',
    'padding_mode',
    'negative_slope',
)
