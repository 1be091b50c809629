# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Blocks for films: convolutions of each frame, then in time."""

import functools
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from odl_equivariant._checks import boolean, one_of, whole_number
from odl_equivariant._time import checked_time_axis, spatial_axes
from odl_equivariant._types import Space
from odl_equivariant.elements import describe_space, grid_shape
from odl_equivariant.nn._convolution import PaddedConvolution, convolve
from odl_equivariant.nn._precision import check_arithmetic
from odl_equivariant.nn.blocks.base import Proximal
from odl_equivariant.nn.blocks.calibration import calibrate
from odl_equivariant.nn.blocks.network import (
    Kernel,
    is_exported,
    is_transformed,
)
from odl_equivariant.nn.steerable import layout
from odl_equivariant.nn.steerable.convolutions import SteerableConvolution
from odl_equivariant.nn.steerable.grid import checked_basis
from odl_equivariant.nn.steerable.groups import (
    INFINITE,
    checked_group,
    group_order,
)

__all__ = ('SpaceTimeProximal', 'TemporalConvolution')

_PADDING_MODES = ('replicate', 'zeros', 'reflect', 'circular')
# Their elements map the cells of every rectangular grid to cells.
_OF_RECTANGLES = ('C1', 'C2', 'D1', 'D2')


class TemporalConvolution(nn.Module):
    r"""A convolution in time that mixes fields, but not their channels.

    Parameters
    ----------
    n_fields : int
        Number of fields.
    size : int
        Number of channels of a field.
    kernel_size : int
        Odd number of frames.
    reversal : bool
        Whether the kernel is the same forward and backward in time.

    Notes
    -----
    With :math:`n` the number of frames of the kernel :math:`k`, fields
    :math:`f, f'` and channels :math:`c` of a field,

    .. math::
        v_{fc}(x, t) = \sum_{f'} \sum_{s} k_{ff'}(s)\, u_{f'c}(x, t + s) .

    The group moves x and mixes c, so it commutes with this map, whatever k
    is. It starts as the identity.
    """

    def __init__(
        self, n_fields: int, size: int, kernel_size: int, reversal: bool
    ) -> None:
        super().__init__()
        self.size, self.reversal = size, reversal
        middle = kernel_size // 2
        n_taps = middle + 1 if reversal else kernel_size
        weight = torch.zeros(n_fields, n_fields, n_taps)
        if not weight.is_meta:
            weight[:, :, middle] = torch.eye(n_fields)
        self.weight = nn.Parameter(weight)

    def kernel(self) -> Kernel:
        """Return the kernel (C, C, frames, 1) and a bias of zeros."""
        weight = self.weight
        if self.reversal:
            weight = torch.cat([weight, weight[..., :-1].flip(-1)], -1)
        eye = torch.eye(self.size, dtype=weight.dtype, device=weight.device)
        kernel = weight[:, None, :, None] * eye[:, None, :, None]
        kernel = kernel.flatten(0, 1).flatten(1, 2)[..., None]
        return kernel, kernel.new_zeros(len(kernel))


class SpaceTimeProximal(Proximal):
    r"""Learned proximal of films, equivariant in space and in time.

    Each convolution is one of all frames, followed by one in time: "(2+1)D"
    [T+2018b]_. A turn of all frames, a shift and a reversal of time of the
    film turns, shifts and reverses the result.

    Parameters
    ----------
    group : str or None, optional
        Finite group of the plane that turns the frames, such as ``'C4'`` or
        ``'D4'``, see `EquivariantProximal`, or None for the ordinary
        network of the same width, initial variance and cost.
    in_channels : int, optional
        Channels of a frame: 1 if real, 2 if complex.
    channels : int, optional
        Width of the network, a multiple of the order of the group.
    memory : int, optional
        Number of memory channels; 0 for none.
    gradient : bool, optional
        Whether the gradient of the data fit is a separate input. ``False``
        for a denoiser.
    noise_level : bool, optional
        Whether the noise level ``sigma`` is an additional input channel.
    n_residual_blocks : int, optional
        Number of residual blocks. Each one starts as the identity.
    skip : bool, optional
        Whether the output is added to ``x - gradient``, or to ``x`` without a
        gradient.
    kernel_size : int, optional
        Odd side of the kernels of frames, in cells.
    time_kernel_size : int, optional
        Odd number of frames of the kernels in time; 1 for a network that
        takes each frame alone.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How a frame continues past its boundary.
    time_padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How a film continues before its first and after its last frame. With
        ``'circular'``, for a film of a period, shifts are exact.
    reversal : bool, optional
        Whether kernels are the same forward and backward in time, so that the
        network commutes with the reversal of time.
    time_axis : int, optional
        Axis of time of a film.
    negative_slope : float, optional
        Slope of the LeakyReLU for negative values.
    homogeneous : bool, optional
        Whether there are no biases, so that ``a`` times the film gives ``a``
        times the result for all positive ``a``.
    basis : {'escnn', 'grid', 'mixed', 'fourier'}, optional
        Which equivariant kernels of frames there are, see
        `EquivariantProximal`.

    Raises
    ------
    ValueError
        If the group is unknown or infinite, its order does not divide
        ``channels``, or another argument is out of its range.
    TypeError
        If a number or a bool is none.

    Notes
    -----
    With :math:`k_i` the steerable kernels of frames, :math:`\tau_i` those in
    time (``TemporalConvolution`` mixes the fields at other times, and not the
    channels of a field) and the LeakyReLU :math:`\phi`,

    .. math::
        x_0 = \phi(\tau_0 * k_0 * x), \quad
        x_i = x_{i-1} + \phi(\tau_i * k_i * x_{i-1}), \quad
        y = k_{B+1} * x_B .

    Hence :math:`\Phi(g \cdot u) = g \cdot \Phi(u)` for all elements of
    `odl_equivariant.actions.space_time_actions` without shifts. Shifts in
    time are exact with ``time_padding_mode='circular'``, and away from the
    first and the last frames otherwise. At the start the network takes each
    frame alone.

    A network with all kernels of space and time, which cost more, is
    `EquivariantProximal` with ``group='C4h'`` and ``axis`` the axis of time:
    its reflection is the reversal.

    References
    ----------
    .. [T+2018b] Tran D, Wang H, Torresani L, Ray J, LeCun Y and Paluri M.
       *A closer look at spatiotemporal convolutions for action recognition*.
       IEEE Conference on Computer Vision and Pattern Recognition (2018)
       6450-6459.

    Examples
    --------
    >>> denoiser = SpaceTimeProximal(channels=8, gradient=False, memory=0)
    >>> u = torch.randn(1, 1, 7, 7, 5)
    >>> v = denoiser(u)
    >>> torch.allclose(denoiser(u.flip(4)), v.flip(4), atol=1e-5)
    True
    >>> turned = denoiser(u.rot90(1, (2, 3)))
    >>> torch.allclose(turned, v.rot90(1, (2, 3)), atol=1e-5)
    True
    """

    dimension = 3

    def __init__(
        self,
        group: str | None = 'C4',
        in_channels: int = 1,
        channels: int = 32,
        memory: int = 5,
        gradient: bool = True,
        noise_level: bool = False,
        n_residual_blocks: int = 2,
        skip: bool = True,
        kernel_size: int = 3,
        time_kernel_size: int = 3,
        padding_mode: str = 'replicate',
        time_padding_mode: str = 'replicate',
        reversal: bool = True,
        time_axis: int = -1,
        negative_slope: int | float = 0.01,
        homogeneous: bool = False,
        basis: str = 'escnn',
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in _HIDDEN}
        group, basis = arguments.pop('group'), arguments.pop('basis')
        arguments['time_axis'] = checked_time_axis(time_axis)
        arguments['reversal'] = boolean('reversal', reversal)
        size = whole_number('time_kernel_size', time_kernel_size, 1)
        if size % 2 == 0:
            raise ValueError(
                '`time_kernel_size` must be odd, for the output to have the '
                f'frames of the input, got {size}'
            )
        arguments['time_kernel_size'] = size
        one_of('time_padding_mode', time_padding_mode, _PADDING_MODES)
        super().__init__(arguments)
        self._set_group(group, basis)
        self._build()

    def _set_group(self, group, basis):
        self.group = None if group is None else checked_group(group)
        if self.group in INFINITE:
            raise ValueError(
                f'the infinite group {self.group} has no regular fields: take '
                "a finite one, such as 'C4' or 'D4', or None for ordinary "
                'convolutions'
            )
        # first, as files list it so
        self._arguments = {'group': self.group, **self._arguments}
        if self.group is not None:
            layout.check_channels(
                self.group, self.channels, None, self.kernel_size
            )
            basis = checked_basis(basis, self.group)
        elif basis != 'escnn':
            raise ValueError(
                f'ordinary kernels have no basis: basis={basis!r} needs a '
                'group'
            )
        self._set('basis', basis, 'escnn')

    def _field_size(self):
        return 1 if self.group is None else group_order(self.group)

    def _build(self):
        n_inputs = self._n_inputs()
        n_outputs = self.in_channels + self.memory
        fields = self.channels // self._field_size()
        self.lift = self._convolution(n_inputs, fields, 'lift', 1.0)
        self.residual = nn.ModuleList(
            self._convolution(fields, fields, 'residual', 0.0)
            for _ in range(self.n_residual_blocks)
        )
        self.project = self._convolution(fields, n_outputs, 'project', 1.0)
        self.temporal = nn.ModuleList(
            TemporalConvolution(
                fields,
                self._field_size(),
                self.time_kernel_size,
                self.reversal,
            )
            for _ in range(1 + self.n_residual_blocks)
        )
        self.activations = None
        self._follow_order()
        calibrate(self, n_inputs, 0.1 if self.skip else 1.0)

    def _convolution(self, n_in, n_out, place, gain):
        kind = self.kernel_size, self.padding_mode, gain
        bias = not self.homogeneous
        if self.group is None:
            return PaddedConvolution(n_in, n_out, *kind, bias=bias)
        return SteerableConvolution(
            n_in,
            n_out,
            'trivial' if place == 'lift' else 'regular',
            'trivial' if place == 'project' else 'regular',
            self.group,
            *kind,
            bias=bias,
            basis=self.basis,
        )

    @classmethod
    def n_weights(cls, arguments: dict[str, Any]) -> int:
        """Return how many tensors of weights the arguments ask for."""
        n = arguments['n_residual_blocks']
        return (1 if arguments['homogeneous'] else 2) * (2 + n) + 1 + n

    def convolutions(self) -> list[nn.Module]:
        """Return the convolutions, of frames and in time in turn."""
        layers = [self.lift, self.temporal[0]]
        for pair in zip(self.residual, self.temporal[1:], strict=True):
            layers += pair
        return [*layers, self.project]

    def _check_grid(self, space: Space) -> None:
        shape = grid_shape(space)
        if len(shape) != 3:
            raise ValueError(
                'SpaceTimeProximal works on films, with two axes of space and '
                'one of time, got the space '
                f'{describe_space(space)} with {len(shape)}; for '
                'images take `EquivariantProximal`'
            )
        frame = [shape[axis] for axis in spatial_axes(self.time_axis)]
        if min(frame) < self.kernel_size:
            raise ValueError(
                f'the frames of shape {tuple(frame)} are smaller than the '
                f'kernels of side {self.kernel_size}; is time axis '
                f'{self.time_axis} of {shape}?'
            )
        self._check_frames(shape[self.time_axis])

    def _check_frames(self, n_frames):
        if n_frames < self.time_kernel_size:
            raise ValueError(
                f'the film has {n_frames} frame(s) along axis '
                f'{self.time_axis}, fewer than time_kernel_size='
                f'{self.time_kernel_size}; take more frames or a smaller '
                '`time_kernel_size`'
            )

    def _check_cells(self, space):
        if self.group is None or self.group in _OF_RECTANGLES:
            return
        axes = list(spatial_axes(self.time_axis))
        sides = np.asarray(space.cell_sides)[axes]
        if not np.isclose(*sides, rtol=1e-5, atol=0):
            raise ValueError(
                'an equivariant network needs square cells in each frame, as '
                'a turned frame lies on another grid otherwise; got the sides '
                f'{sides.tolist()} along the axes {axes} of '
                f'{describe_space(space)}, with '
                f'time along axis {self.time_axis}'
            )

    def _network(self, x, kernels):
        if not is_exported():
            check_arithmetic(self._compute_dtype(x.device.type), x.device)
        axis = 2 + self.time_axis
        self._check_frames(x.shape[axis])
        n_frames = x.shape[axis]
        frames = x.movedim(axis, 1).flatten(0, 1)
        if x.device.type == 'cpu' and not (is_exported() or is_transformed()):
            frames = frames.contiguous(memory_format=torch.channels_last)
        slope = self.negative_slope
        in_time = functools.partial(self._in_time, n_frames=n_frames)
        *layers, last = kernels
        for i in range(0, len(layers), 2):
            y = convolve(frames, *layers[i], self.padding_mode)
            y = in_time(y, *layers[i + 1])
            y = functional.leaky_relu(y, slope)
            frames = y if i == 0 else frames + y
        y = convolve(frames, *last, self.padding_mode)
        return y.unflatten(0, (len(x), n_frames)).movedim(1, axis)

    def _in_time(self, frames, kernel, bias, n_frames):
        """Convolve films, of frames (N T, C, n, m), in time."""
        sides = frames.shape[2:]
        # with channels last in memory, all of these are views
        x = frames.unflatten(0, (-1, n_frames)).transpose(1, 2).flatten(3)
        margin = kernel.shape[2] // 2
        mode = self.time_padding_mode
        if margin:
            mode = 'constant' if mode == 'zeros' else mode
            x = functional.pad(x, (0, 0, margin, margin), mode=mode)
        x = functional.conv2d(x, kernel, bias)
        return x.unflatten(3, sides).transpose(1, 2).flatten(0, 1)


_HIDDEN = ('self', '__class__')
