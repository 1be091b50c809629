# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The base class of the equivariant and the ordinary proximal."""

from typing import Any

import odl
import torch
from torch import nn

from odl_equivariant._checks import (
    boolean,
    one_of,
    real_number,
    whole_number,
)
from odl_equivariant._types import Space
from odl_equivariant.elements import describe_space, first_part, n_channels
from odl_equivariant.nn._convolution import in_fast_order
from odl_equivariant.nn.blocks.calibration import calibrate
from odl_equivariant.nn.blocks.execution import InPieces
from odl_equivariant.nn.blocks.inputs import (
    check_grid,
    check_input,
    checked_sigma,
)
from odl_equivariant.nn.blocks.network import (
    Kernel,
    Nonlinearities,
)
from odl_equivariant.nn.blocks.values import (
    SortPooling,
    check_values,
    with_unit_sums,
)
from odl_equivariant.nn.steerable.activations import MODULUS, make_activation
from odl_equivariant.nn.steerable.expansion import expanded_together
from odl_equivariant.nn.steerable.space import dimension_of, group_in_space

__all__ = ('Proximal',)

_PADDING_MODES = ('replicate', 'zeros', 'reflect', 'circular')


class Proximal(InPieces, nn.Module):
    """Base class of learned proximals: all but the convolutions."""

    in_channels: int
    channels: int
    memory: int
    gradient: bool
    noise_level: bool
    homogeneous: bool = False
    shift_equivariant: bool = False

    #: Number of axes of an image.
    dimension: int = 2

    # Least and greatest value of the training images, where known.
    value_range: tuple[float, float] | None = None

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        for name, least in (
            ('in_channels', 1),
            ('channels', 1),
            ('memory', 0),
            ('n_residual_blocks', 0),
            ('n_scales', 1),
            ('n_blocks', 1),
            ('n_layers', 1),
            ('kernel_size', 1),
        ):
            if name in arguments:
                arguments[name] = whole_number(name, arguments[name], least)
        for name in ('gradient', 'noise_level', 'skip', 'homogeneous'):
            if name in arguments:
                arguments[name] = boolean(name, arguments[name])
        if 'negative_slope' in arguments:
            arguments['negative_slope'] = real_number(
                'negative_slope', arguments['negative_slope']
            )
        if arguments['kernel_size'] % 2 == 0:
            raise ValueError(
                '`kernel_size` must be odd, for the output to lie on the '
                f'grid of the input, got {arguments["kernel_size"]}'
            )
        if 'padding_mode' in arguments:
            one_of('padding_mode', arguments['padding_mode'], _PADDING_MODES)
        self._arguments = dict(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)

    def _set_values(self, homogeneous, shift_equivariant):
        """Set which changes of values the block commutes with."""
        for name, value in (
            ('homogeneous', homogeneous),
            ('shift_equivariant', shift_equivariant),
        ):
            self._set(name, boolean(name, value), False)

    def _set(self, name, value, default):
        """Set an argument that `architecture` lists only if it is needed."""
        setattr(self, name, value)
        self._arguments.pop(name, None)
        if value != default:
            self._arguments[name] = value

    def _set_group(self, group, axis):
        """Set the group, its axis in space, and the number of axes."""
        self._acting_group = group_in_space(group, axis)
        self._set('axis', None if axis is None else int(axis), None)
        self.dimension = dimension_of(self._acting_group)
        self.group = self._acting_group
        if self.axis is not None:
            self.group = self.group[:-1]

    def _field_size(self):
        """Return the number of channels that a group permutes."""
        return 1

    def _n_inputs(self):
        """Return the number of channels of all inputs together."""
        return (
            self.in_channels * (2 if self.gradient else 1)
            + self.memory
            + (1 if self.noise_level and self._has_noise_channel else 0)
        )

    def _build(self):
        description = self.described_nonlinearity()
        check_values(self, description, self._field_size())
        n_inputs = self._n_inputs()
        self.lift = self._lifting(n_inputs, 1.0)
        self.residual = nn.ModuleList(
            self._hidden(i, 0.0) for i in range(self.n_residual_blocks)
        )
        self.project = self._projecting(self.in_channels + self.memory, 1.0)
        self.activations = None
        n_activations = 1 + self.n_residual_blocks
        if self.shift_equivariant:
            self.activations = nn.ModuleList(
                SortPooling() for _ in range(n_activations)
            )
        elif description is not None:
            self.activations = nn.ModuleList(
                make_activation(
                    description,
                    self.channels,
                    self.negative_slope,
                    self.noise_level,
                )
                for _ in range(n_activations)
            )
        self._follow_order()
        # With `skip`: a step that starts as gradient descent plus little.
        calibrate(self, n_inputs, 0.1 if self.skip else 1.0)

    def _follow_order(self):
        # Its strides follow `.to(memory_format=torch.channels_last)`, or
        # `channels_last_3d`, even if no weight has that many axes.
        order = torch.zeros(1, 2, *self.dimension * (2,), device='cpu')
        self.register_buffer('_order', order, persistent=False)

    def described_nonlinearity(self) -> dict[str, Any] | None:
        """Return the description of the non-linearity, None for LeakyReLU."""
        return None

    @property
    def _in_units_of_noise(self):
        """Whether inputs are divided by the noise level, given one.

        Division makes it the unit of the thresholds.
        """
        return not self._has_noise_channel

    @property
    def _has_noise_channel(self):
        """Whether the noise level, given one, is a channel of the input.

        It is no complex number, so it cannot be one of complex fields.
        """
        description = self.described_nonlinearity()
        return description is None or description['name'] != MODULUS

    @property
    def architecture(self) -> dict[str, Any]:
        """Name and arguments of the class, from which it can be rebuilt."""
        return {'class': type(self).__name__, 'arguments': self._arguments}

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return ', '.join(f'{k}={v!r}' for k, v in self._arguments.items())

    def check_space(self, space: Space) -> None:
        """Raise a ValueError unless images of a space fit the network.

        `NetworkOperator`, `LearnedProximal` and `LearnedProximalGradient`
        call it before any work.

        Parameters
        ----------
        space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
            Space of the images.
        """
        self._check_grid(space)
        if n_channels(space) != self.in_channels:
            raise ValueError(
                f'the space {describe_space(space)} has '
                f'{n_channels(space)} channel(s) (two '
                'if complex), the proximal was made with in_channels='
                f'{self.in_channels}; make it with in_channels='
                f'{n_channels(space)}'
            )
        self._check_values(space)
        space = first_part(space)
        if isinstance(space, odl.DiscretizedSpace):
            if not space.is_uniform:
                raise ValueError(
                    'convolutions need a uniform grid, got the space '
                    f'{describe_space(space)}'
                )
            self._check_cells(space)

    def _check_grid(self, space):
        check_grid(self, space, self._advice_of_dimension)

    def _advice_of_dimension(self, found):
        """Return what to change for images with another number of axes."""
        return ''

    def _check_values(self, space):
        """Accept any channels: nothing turns them."""

    def _check_cells(self, space):
        """Accept any uniform grid: ordinary kernels may be anisotropic."""

    def forward(
        self,
        x: torch.Tensor,
        gradient: torch.Tensor | None = None,
        memory: torch.Tensor | None = None,
        sigma: float | torch.Tensor | None = None,
        kernels: list[Kernel] | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Apply the learned proximal.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, in_channels, n, m)``, or volumes of shape
            ``(N, in_channels, n, m, l)``.
        gradient : torch.Tensor, optional
            Scaled gradients of the data fit, of the shape of ``x``; needed if
            the module has ``gradient=True``.
        memory : torch.Tensor, optional
            Memory, ``memory`` channels on the same grid. Default: zero.
        sigma : float or torch.Tensor, optional
            Noise level, one number or one for each image; needed if the
            module has ``noise_level=True``.
        kernels : list of tuple of torch.Tensor, optional
            What `kernels` returned. Pass them if you apply the proximal
            several times with the same weights. Default: computed from the
            weights.

        Returns
        -------
        x : torch.Tensor
            New images, of the shape of ``x``.
        memory : torch.Tensor
            New memory; only returned if the module has a memory.

        Raises
        ------
        TypeError
            If an input that the module needs is missing, or not a tensor of
            the precision of the weights.
        ValueError
            If a shape does not fit, an image is smaller than the kernel, the
            module does not take an input that is given, or ``sigma`` is not
            positive and finite. Also if the weights or `torch.autocast` ask
            for a lowered precision that the device would only emulate. The
            environment variable ``ODL_EQUIVARIANT_ALLOW_EMULATION=1`` allows
            the emulation.
        """
        dtype = self.lift.weight.dtype
        n_axes = self.dimension
        check_input('x', x, self.in_channels, dtype, None, n_axes)
        zero = None
        if self.shift_equivariant:
            # changes rounding errors only, which were those of the shift;
            # its derivative is zero by the same law
            zero = x.detach().mean(tuple(range(1, x.ndim)), keepdim=True)
            x = x - zero
        for name, value, taken in (
            ('gradient', gradient, self.gradient),
            ('memory', memory, self.memory),
        ):
            if value is not None and not taken:
                raise ValueError(
                    f'`{name}` was given to a proximal that was made without '
                    f'a {name}, and would be lost'
                )
        inputs = [x]
        if self.gradient:
            check_input(
                'gradient', gradient, self.in_channels, dtype, x, n_axes
            )
            inputs.append(gradient)
        if self.memory:
            if memory is None:
                memory = x.new_zeros(x.shape[0], self.memory, *x.shape[2:])
            check_input('memory', memory, self.memory, dtype, x, n_axes)
            inputs.append(memory)
        if self.noise_level:
            sigma = checked_sigma(sigma, x)
            if self._has_noise_channel:
                shape = (x.shape[0], 1, *x.shape[2:])
                inputs.append(sigma.expand(shape))
        in_units = self.noise_level and self._in_units_of_noise
        inputs = torch.cat(inputs, 1)
        if in_units:
            inputs = inputs / sigma
        inputs = in_fast_order(
            inputs, self.channels, self._order.stride(1) == 1
        )
        result = self._network(
            inputs, self.kernels() if kernels is None else kernels
        )
        if in_units:
            result = result * sigma
        new_x = result[:, : self.in_channels]
        if self.skip:
            new_x = new_x + (x - gradient if self.gradient else x)
        if zero is not None:
            new_x = new_x + zero
        if self.memory:
            return new_x, result[:, self.in_channels :]
        return new_x

    def kernels(self) -> list[Kernel]:
        """Return the kernels of the convolutions, for `forward`.

        Returns
        -------
        kernels : list of tuple of torch.Tensor
            Kernel and bias of each convolution, in their order. Gradients
            flow through them to the weights. They are out of date once the
            weights change.
        """
        layers = self.convolutions()
        with expanded_together(layers):
            kernels = [layer.kernel() for layer in layers]
        if self.shift_equivariant:
            kernels = with_unit_sums(kernels, self.in_channels, self.skip)
        return kernels

    def convolutions(self) -> list[nn.Module]:
        """Return the convolutions, in the order of their use."""
        return [self.lift, *self.residual, self.project]

    @property
    def least_side(self) -> int:
        """Side of the smallest images that need no further padding."""
        return self.kernel_size

    def precomputed(self) -> dict[str, Any]:
        """Return the arguments of `forward` that depend on weights alone."""
        return {'kernels': self.kernels()} if self._is_plain else {}

    @property
    def _is_plain(self):
        # a derived class, or a user, may have put another `forward` in place
        return getattr(self.forward, '__func__', None) is Proximal.forward

    def nonlinearities(self) -> Nonlinearities:
        """Return the slope, or what follows each convolution but the last."""
        if self.activations is not None:
            return tuple(self.activations)
        return self.negative_slope
