# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Modules that work on images in any unit."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from odl_equivariant._checks import one_of, positive_number, real_number
from odl_equivariant.nn.blocks.contract import (
    parameters_of,
    precomputed_of,
)
from odl_equivariant.nn.blocks.inputs import has_values

__all__ = ('Normalised',)

Statistic: TypeAlias = (
    Literal['std', 'rms', 'max'] | Callable[[torch.Tensor], torch.Tensor]
)
Shift: TypeAlias = Literal['mean', 'min']

# Images that fill a range evenly have 0.29 of its width; others mostly less.
_PART_OF_WIDTH = 0.25

# Contrast below so many units of rounding is none.
_ROUNDING = 8


class Normalised(nn.Module):
    r"""A module, applied to images in the unit of their own statistics.

    Parameters
    ----------
    module : torch.nn.Module
        Module of images of shape ``(N, C, *shape)`` and, where its
        ``forward`` has them, ``gradient``, ``memory`` and ``sigma``, such as
        `EquivariantProximal` or a network of your own. Without a shift it may
        also be an unrolled method, such as a `LearnedProximalGradient`,
        whose data are divided.
    statistic : {'std', 'rms', 'max'} or callable, optional
        What images are divided by: their standard deviation over pixels and
        channels, the root of their mean square, or their largest magnitude,
        which is over channels the Euclidean norm. A function maps a tensor of
        images to a tensor ``(N,)`` of positive numbers, with
        :math:`q(a u) = a\, q(u)`.
    shift : {'mean', 'min', None}, optional
        What is subtracted from images before: the mean or the least value of
        each channel, or nothing.
    target : float, optional
        Value of the statistic that the module is given. Default: what fits
        the attribute ``value_range`` (low, high) of the module, if it has
        one: the width high - low for ``'max'`` after the shift ``'min'``, the
        largest magnitude for ``'max'`` otherwise, and a quarter of the width
        for the others. Without a range, 1.
    center : float, optional
        Value of the mean or minimum that the module is given. Default: the
        middle of the ``value_range`` for the shift ``'mean'``, its lower end
        for ``'min'``; 0 without a shift or a range.

    Raises
    ------
    TypeError
        If ``module`` is no module, or an argument is of another type.
    ValueError
        If ``statistic`` or ``shift`` is unknown, ``target`` is not positive
        or ``center`` not finite. When it is applied: if a statistic is
        negative or not finite, has another shape than ``(N,)``, or is zero
        for images that are not; if ``sigma`` is not positive; or if, with a
        shift, the module returns images of another shape.

    Notes
    -----
    With the shift :math:`m(u)`, the statistic :math:`q(u) = Q(u - m(u))`,
    the target t, the center c and the factor :math:`\lambda = t / q(u)`, the
    module :math:`\Phi` becomes

    .. math::
        \Psi(u, v, s; \sigma) = \left(
            \frac{x - c}{\lambda} + m(u),\; \frac{s'}{\lambda} \right), \quad
        (x, s') = \Phi(\lambda (u - m(u)) + c,\; \lambda v,\; \lambda s;\;
        \lambda \sigma).

    Since :math:`q(a u + b) = a\, q(u)` and :math:`m(a u + b) = a\, m(u) + b`,

    .. math::
        \Psi(a u + b, a v, a s; a \sigma) = a\, \Psi(u, v, s; \sigma) + (b, 0)
        \quad \text{for } a > 0,

    with a number b for each channel; without a shift for b = 0. If
    :math:`\Phi` is equivariant under a group, so is :math:`\Psi`, because
    turns and reflections of the grid do not change the statistics. They move
    pixels only. Vectors turn too, as does the mean, but not ``'min'``.

    With a gradient v, statistics are those of :math:`u - v`, an ordinary
    gradient step. So an iteration may start from zero.

    *Constant images.* If :math:`u - v` is constant (for the shift None:
    zero), there is no unit. The result is then :math:`u` with zero memory,
    the limit of :math:`\Psi(a u + b, a v, a s; a \sigma)` for
    :math:`a \to 0`, and what a denoiser should do. It is an error if another
    input has contrast that the statistic does not see: a constant image has
    the standard deviation zero, but without a shift it is not zero itself.

    All pixels have a part in the statistics. So the result depends on the
    whole image, and not on a neighbourhood of each pixel; patches of an image
    are not normalised as the image is.

    Examples
    --------
    >>> from odl_equivariant.nn import EquivariantProximal
    >>> denoiser = EquivariantProximal(
    ...     channels=8, memory=0, gradient=False, noise_level=True
    ... )
    >>> denoiser = Normalised(denoiser)
    >>> u = torch.rand(1, 1, 16, 16)
    >>> v, w = denoiser(u, sigma=0.1), denoiser(100 * u - 7, sigma=10.0)
    >>> torch.allclose(w, 100 * v - 7, rtol=1e-4, atol=1e-3)
    True
    """

    def __init__(
        self,
        module: nn.Module,
        statistic: Statistic = 'std',
        shift: Shift | None = 'mean',
        target: float | None = None,
        center: float | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(
                '`module` must be a `torch.nn.Module`, got '
                f'{type(module).__name__}'
            )
        if not callable(statistic):
            one_of('statistic', statistic, _STATISTICS)
        one_of('shift', shift, _SHIFTS, optional=True)
        if shift is None and center:
            raise ValueError(
                '`center` is the mean or minimum after a shift: pass '
                f"shift='mean' or 'min', or no center, got {center}"
            )
        usual = _fitting(module, statistic, shift)
        self.target = positive_number(
            'target', usual[0] if target is None else target
        )
        self.center = real_number(
            'center', usual[1] if center is None else center
        )
        self.statistic, self.shift = statistic, shift
        # as `LearnedProximal` asks
        self.homogeneous, self.shift_equivariant = True, shift is not None
        self.module = module
        self._takes_sigma = 'sigma' in parameters_of(module)

    def __getattr__(self, name: str) -> Any:
        """Return what `Block` and operators ask the module for."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in _OF_MODULE and 'module' in self._modules:
                return getattr(self._modules['module'], name)
            raise

    def precomputed(self) -> Mapping[str, Any]:
        """Return the arguments of `forward` that depend on weights alone."""
        return precomputed_of(self.module)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return (
            f'statistic={self.statistic!r}, shift={self.shift!r}, '
            f'target={self.target:g}, center={self.center:g}'
        )

    def forward(
        self,
        x: torch.Tensor,
        gradient: torch.Tensor | None = None,
        memory: torch.Tensor | None = None,
        sigma: float | torch.Tensor | None = None,
        **precomputed: Any,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Apply the module to normalised inputs.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, *shape)``.
        gradient, memory : torch.Tensor, optional
            Scaled gradient and memory, if the module takes them.
        sigma : float or torch.Tensor, optional
            Noise level in the unit of ``x``, one number or one for each
            image. It is left out if the module does not take it.
        **precomputed
            What `precomputed` returned.

        Returns
        -------
        x : torch.Tensor
            New images, in the unit of ``x``.
        memory : torch.Tensor
            New memory; only returned if the module has one.
        """
        if not isinstance(x, torch.Tensor) or x.ndim < 3:
            shape = getattr(x, 'shape', None)
            raise TypeError(
                'expected images as a `torch.Tensor` of shape (N, C, ...), '
                f'got {type(x).__name__}'
                f'{"" if shape is None else f" of shape {tuple(shape)}"}'
            )
        step = x if gradient is None else x - gradient
        shift = _SHIFTS[self.shift](step)
        size = self._size(step - shift)
        # a mean of equal numbers is that number up to rounding only
        rounding = _ROUNDING * torch.finfo(x.dtype).eps * _extent(step)
        blank = size <= rounding
        factor = self.target / torch.where(blank, 1, size)
        shifted = x - shift
        inputs = {'gradient': gradient, 'memory': memory}
        inputs = {k: v for k, v in inputs.items() if v is not None}
        _check_blank(blank, rounding, {'x': shifted, **inputs}, self)
        inputs = {k: factor * v for k, v in inputs.items()}
        if sigma is not None and self._takes_sigma:
            sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
            if sigma.ndim > 1 or sigma.numel() not in (1, len(x)):
                raise ValueError(
                    '`sigma` must be a number or a tensor of shape '
                    f'({len(x)},), got shape {tuple(sigma.shape)}'
                )
            if has_values(sigma) and not (sigma > 0).all():
                raise ValueError(
                    f'`sigma` must be positive, got {sigma.min().item()}'
                )
            inputs['sigma'] = sigma.reshape(-1) * factor.reshape(-1)
        result = self.module(
            factor * shifted + self.center, **inputs, **precomputed
        )
        pair = isinstance(result, tuple)
        new_x = result[0] if pair else result
        kept = x
        if new_x.shape != x.shape:
            if self.shift is not None:
                raise ValueError(
                    f'the module must return images of the shape '
                    f'{tuple(x.shape)} of those it is given, to which the '
                    f'shift={self.shift!r} is added, got '
                    f'{tuple(new_x.shape)}: take shift=None'
                )
            # such as a reconstruction from data, which are zero then
            kept = 0
        new_x = (new_x - self.center) / factor + shift
        new_x = torch.where(blank, kept, new_x)
        if not pair:
            return new_x
        return new_x, torch.where(blank, 0, result[1] / factor)

    def _size(self, x):
        """Return the statistic, of shape (N, 1, ..., 1)."""
        if callable(self.statistic):
            size = self.statistic(x)
            if not isinstance(size, torch.Tensor) or size.shape != x.shape[:1]:
                given = getattr(size, 'shape', None)
                raise ValueError(
                    'the statistic must be a tensor of shape '
                    f'{tuple(x.shape[:1])}, one number for each image, got '
                    f'{type(size).__name__}'
                    f'{"" if given is None else f" of shape {tuple(given)}"}'
                )
        else:
            size = _STATISTICS[self.statistic](x)
        if has_values(size):
            wrong = size[~((size >= 0) & size.isfinite())]
            if wrong.numel():
                raise ValueError(
                    f'the statistic {self.statistic!r} must be positive and '
                    f'finite, got {wrong[0].item()}: are there values in the '
                    'images that are infinite or not a number?'
                )
        return size.reshape(-1, *(1 for _ in x.shape[1:]))


def _check_blank(blank, rounding, inputs, module):
    """Raise a ValueError if a statistic is zero, and an input is not."""
    if not (has_values(blank) and blank.any()):
        return
    for name, value in inputs.items():
        sizes = _extent(value)
        wrong = sizes[blank & (sizes > rounding)]
        if wrong.numel():
            raise ValueError(
                f'the statistic {module.statistic!r} of an image is zero, '
                f'but `{name}` is not (up to {wrong[0].item():.4g} after the '
                f'shift={module.shift!r}), so that it has no unit: take '
                "shift='mean' for constant images, or statistic='rms'"
            )


def _fitting(module, statistic, shift):
    """Return target and center for a module, by its range of values."""
    ends = getattr(module, 'value_range', None)
    if not isinstance(ends, tuple | list) or len(ends) != 2:
        return 1.0, 0.0
    low, high = map(float, ends)
    center = {None: 0.0, 'mean': (low + high) / 2, 'min': low}[shift]
    target = _PART_OF_WIDTH * (high - low)
    if callable(statistic):
        target = 1.0
    elif statistic == 'max':
        parts = {None: max(-low, high), 'mean': (high - low) / 2}
        target = parts.get(shift, high - low)
    return target, center


def _extent(x):
    """Return the largest magnitude of each image, (N, 1, ..., 1)."""
    axes = tuple(range(1, x.ndim))
    return x.detach().abs().amax(axes, keepdim=True)


def _largest(x):
    """Return the largest Euclidean norm over the channels of a pixel."""
    return torch.linalg.vector_norm(x, dim=1).flatten(1).amax(1)


def _root_mean_square(x):
    # powers of very large and small values overflow
    unit = _extent(x)
    unit = torch.where(unit == 0, 1, unit)
    values = (x / unit).flatten(1)
    norm = torch.linalg.vector_norm(values, dim=1)
    return unit.flatten() * norm / math.sqrt(values.shape[1])


def _deviation(x):
    return _root_mean_square(x - _mean(x))


def _mean(x):
    axes = tuple(range(2, x.ndim))
    return x.mean(axes, keepdim=True)


def _least(x):
    axes = tuple(range(2, x.ndim))
    return x.amin(axes, keepdim=True)


def _zero(x):
    return x.new_zeros(())


_STATISTICS = {
    'std': _deviation,
    'rms': _root_mean_square,
    'max': _largest,
}
_SHIFTS = {None: _zero, 'mean': _mean, 'min': _least}
# What spaces and networks ask of a module.
_OF_MODULE = (
    'in_channels',
    'out_channels',
    'gradient',
    'memory',
    'noise_level',
    'value_range',
    'check_space',
)
