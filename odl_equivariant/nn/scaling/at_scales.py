# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A module at several scales, with kernels that are stretched."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from odl_equivariant._checks import real_number
from odl_equivariant._types import Space
from odl_equivariant.elements import grid_shape
from odl_equivariant.nn.blocks.contract import precomputed_of
from odl_equivariant.nn.scaling.zooming import zoomed_in, zoomed_out

__all__ = ('AtScales',)


class AtScales(nn.Module):
    r"""Mean of a module over scales of what an image shows.

    At the scale :math:`s`, all kernels of the module are stretched by
    :math:`s`. The weights are those of the module.

    Parameters
    ----------
    module : torch.nn.Module or callable
        Module that maps tensors of shape ``(N, C, *shape)`` to tensors with
        the same spatial shape, such as `EquivariantProximal`; it may have a
        memory. Or a function that makes it, as a configuration does for each
        iteration.
    scales : sequence of float, optional
        Numbers that are at least 1, all different.

    Attributes
    ----------
    module : torch.nn.Module
        The module.
    scales : tuple of int or float
        The scales, as ints where they are whole.

    Raises
    ------
    TypeError
        If the module is none, or a scale no number.
    ValueError
        If there is no scale, a scale is less than 1, or two are equal; or if
        the module is for films, whose time would be stretched too.

    Notes
    -----
    *Whole scales.* The cells :math:`s k + r` of an image, for each
    :math:`r`, are an image of their own, and the module :math:`\Phi` is
    applied to each of these :math:`s^d` images. Together this is
    :math:`\Phi_s`: its kernels have zeros in between. If :math:`U_s` makes
    :math:`s^d` cells of each cell, then

    .. math::
        \Phi_s(U_s u) = U_s\, \Phi(u), \qquad
        \Phi_{s t}(U_s u) = U_s\, \Phi_t(u),

    to the last bit but for the order of sums, also at the boundary. So the
    mean over the scales :math:`(s t_1, \dots, s t_m)` for :math:`U_s u` is
    :math:`U_s` of the mean over :math:`(t_1, \dots, t_m)` for :math:`u`. As
    values stay the same, so does the noise level: this is the theorem on
    proximals under scaling with :math:`c = d`. The whole group of scales is
    infinite; a mean over some of them is equivariant but for those at the
    ends.

    *Other scales.* With :math:`q = \lceil s \rceil`, an image is first
    interpolated to a grid that is finer by :math:`q / s`, where
    :math:`\Phi_q` acts, and the result is brought back,

    .. math::
        \Phi_s = Z^*\, \Phi_q\, Z, \qquad Z^* Z = \mathrm{id}.

    The interpolation :math:`Z` is that of cosines, which is limited in its
    band: it adds no details, loses none, and white noise keeps its level.
    The finer grid has a whole multiple of :math:`q` cells along each axis,
    so that the scale is :math:`s` up to the rounding of its cells. Grids
    that a whole scale does not divide are interpolated in the same way.
    Equivariance is then approximate. For blocks with random weights in all
    layers, the mean of five, and a Gaussian with a standard deviation of 1 /
    10 of the side, the error
    :math:`\|\Phi_s(Z_s u) - Z_s \Phi(u)\| / \|\Phi(u)\|` of the scale
    64 / 45, about the square root of 2, falls with the grid:

    ================ ======== ======== ========
    cells of u       45       90       180
    ================ ======== ======== ========
    as it is, s = 1  1.1e-1   4.8e-2   1.8e-2
    s = 64 / 45      1.6e-3   2.4e-4   3.5e-5
    ================ ======== ======== ========

    Stretched kernels are those of the "a trous" method, and of scale-steerable
    networks for whole factors (Sosnovik, Szmaja and Smeulders,
    *Scale-equivariant steerable networks*, ICLR 2020). Equivariance of the
    module under turns and reflections is kept, and so is its homogeneity.

    *Cost.* An evaluation costs as much as :math:`(q / s)^d` ones of the
    module for each scale: in the plane 1 for whole scales, 2 for the square
    root of 2. The scales 1, 2 ** 0.5 and 2 together cost 4.

    What means gain for denoisers that were trained at one scale is
    measured on the page of results at scales that were not trained.

    Examples
    --------
    >>> from odl_equivariant.nn import OrdinaryProximal
    >>> module = OrdinaryProximal(channels=4, gradient=False, memory=0)
    >>> u = torch.rand(1, 1, 8, 8)
    >>> larger = u.repeat_interleave(2, 2).repeat_interleave(2, 3)
    >>> with torch.no_grad():
    ...     v = AtScales(module, [2])(larger)
    ...     torch.allclose(v[..., ::2, ::2], module(u), atol=1e-5)
    True
    >>> AtScales(module, [1, 2**0.5, 2])(u).shape
    torch.Size([1, 1, 8, 8])
    """

    def __init__(
        self,
        module: Callable[[], nn.Module] | nn.Module,
        scales: Sequence[float] = (1, 2),
    ) -> None:
        super().__init__()
        if callable(module) and not isinstance(module, nn.Module):
            module = module()
        if not isinstance(module, nn.Module):
            raise TypeError(
                '`module` must be a torch module, or a function that makes '
                f'one, got {type(module).__name__}'
            )
        if not isinstance(scales, Sequence) or isinstance(scales, str):
            raise TypeError(
                f'`scales` must be a sequence of numbers, got {scales!r:.80}'
            )
        found = tuple(_checked_scale(scale) for scale in scales)
        if not found or len(set(found)) < len(found):
            raise ValueError(
                '`scales` must be different numbers, at least one, got '
                f'{list(scales)}'
            )
        if getattr(module, 'time_axis', None) is not None:
            raise ValueError(
                f'{type(module).__name__} is for films, and what they show '
                'has scales in space, but not in time: take it without '
                '`AtScales`'
            )
        self.module = module
        self.scales = found

    def __getattr__(self, name: str) -> Any:
        """Return what `Block` and operators ask the module for."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in _OF_MODULE and 'module' in self._modules:
                return getattr(self._modules['module'], name)
            raise

    @property
    def architecture(self) -> dict[str, Any] | None:
        """Scales and architecture of the module, None if it has none."""
        inner = getattr(self.module, 'architecture', None)
        if inner is None:
            return None
        return {
            'class': type(self).__name__,
            'arguments': {'scales': list(self.scales)},
            'module': inner,
        }

    def precomputed(self) -> Mapping[str, Any]:
        """Return the arguments of `forward` that depend on weights alone."""
        return precomputed_of(self.module)

    def check_space(self, space: Space) -> None:
        """Raise a ValueError unless images of a space fit the module.

        Parameters
        ----------
        space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
            Space of the images.
        """
        check = getattr(self.module, 'check_space', None)
        if check is not None:
            check(space)
        self._check_sides(grid_shape(space))

    @property
    def least_side(self) -> int:
        """Side of the smallest images that need no further padding."""
        return math.ceil(max(self.scales) * self._least)

    @property
    def _least(self):
        return getattr(self.module, 'least_side', 1)

    def _check_sides(self, shape):
        if not shape:
            raise ValueError(
                '`x` must have the shape (N, C, *shape), with a batch, '
                'channels and at least one axis of cells'
            )
        least = self._least
        for scale in self.scales:
            whole = math.ceil(scale)
            cells = [cells_at(n, scale) // whole for n in shape]
            if min(cells) < least:
                raise ValueError(
                    f'images of the shape {tuple(shape)} have '
                    f'{tuple(cells)} cells at the scale {scale:g}, and the '
                    f'module needs {least} along each axis: take larger '
                    'images or smaller scales'
                )

    def forward(
        self,
        x: torch.Tensor,
        *images: torch.Tensor | None,
        sigma: Any = None,
        **precomputed: Any,
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return the mean over the scales.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, *shape)``.
        *images : torch.Tensor or None
            Further images that the module takes, such as gradients and
            memory.
        sigma : float or torch.Tensor, optional
            Noise level, or one of each sample, if the module takes it.
        **precomputed
            What `precomputed` returned.

        Returns
        -------
        v : torch.Tensor or tuple of torch.Tensor
            Images of shape ``(N, C', *shape)``; several, such as a new
            memory, if the module returns several.

        Raises
        ------
        ValueError
            If the images are too small for the module at a scale.
        TypeError
            If the module returns something else than tensors.
        """
        if not precomputed:
            # once for all scales
            precomputed = dict(self.precomputed())
        self._check_sides(x.shape[2:])
        results = [
            self._at(scale, (x, *images), sigma, precomputed)
            for scale in self.scales
        ]
        means = tuple(
            sum(found[1:], found[0]) / len(found)
            for found in zip(*results, strict=True)
        )
        return means if len(means) > 1 else means[0]

    def _at(self, scale, images, sigma, options):
        shape = images[0].shape[2:]
        whole = math.ceil(scale)
        finer = tuple(cells_at(n, scale) for n in shape)
        options = dict(options)
        if sigma is not None:
            # one number holds for all samples, whatever its shape
            if isinstance(sigma, torch.Tensor) and sigma.numel() > 1:
                sigma = sigma.repeat_interleave(whole ** len(shape))
            options['sigma'] = sigma
        parts = [
            None if image is None else _split(zoomed_in(image, finer), whole)
            for image in images
        ]
        result = self.module(*parts, **options)
        results = result if isinstance(result, tuple | list) else (result,)
        for one in results:
            if not isinstance(one, torch.Tensor):
                raise TypeError(
                    f'{type(self.module).__name__} returns a '
                    f'{type(one).__name__}, and must return tensors'
                )
        return [zoomed_out(_joined(one, whole), shape) for one in results]

    def extra_repr(self) -> str:
        """Return the scales, for ``repr``."""
        return f'scales={self.scales}'


def _checked_scale(scale):
    scale = real_number('each of `scales`', scale)
    if scale < 1:
        raise ValueError(
            'each of `scales` must be at least 1, as kernels cannot be '
            f'finer than the grid, got {scale:g}'
        )
    return int(scale) if scale == int(scale) else scale


def cells_at(n: int, scale: float) -> int:
    """Return the number of cells of an axis of n, as a scale needs them.

    It is at least n, and a whole multiple of the scale, rounded up.
    """
    whole = math.ceil(scale)
    return whole * max(-(-n // whole), round(n / scale))


def _split(x, scale):
    """Return the images of every ``scale``-th cell as samples."""
    n, channels, *shape = x.shape
    d = len(shape)
    sides = itertools.chain(*((m // scale, scale) for m in shape))
    x = x.reshape(n, channels, *sides)
    offsets = [3 + 2 * axis for axis in range(d)]
    cells = [2 + 2 * axis for axis in range(d)]
    x = x.permute(0, *offsets, 1, *cells)
    return x.reshape(-1, channels, *(m // scale for m in shape))


def _joined(x, scale):
    """Undo `_split`."""
    _, channels, *shape = x.shape
    d = len(shape)
    x = x.reshape(-1, *(d * (scale,)), channels, *shape)
    order = [0, d + 1]
    for axis in range(d):
        order += [d + 2 + axis, 1 + axis]
    x = x.permute(order)
    return x.reshape(x.shape[0], channels, *(m * scale for m in shape))


# What spaces, networks and copies ask of a module.
_OF_MODULE = (
    'in_channels',
    'out_channels',
    'channels',
    'dimension',
    'kernel_size',
    'lift',
    'gradient',
    'memory',
    'noise_level',
    'homogeneous',
    'shift_equivariant',
    'value_range',
)
