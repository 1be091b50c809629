# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A module with kernels that are stretched by whole factors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from odl_equivariant._checks import whole_number

__all__ = ('AtScales',)


class AtScales(nn.Module):
    r"""Mean of a module over scales of what an image shows.

    At the scale :math:`s`, all kernels of the module are stretched by
    :math:`s`, with zeros in between. The weights are those of the module.

    Parameters
    ----------
    module : torch.nn.Module
        Module that maps tensors of shape ``(N, C, *shape)`` to tensors with
        the same spatial shape, such as `EquivariantProximal` without memory.
    scales : sequence of int, optional
        Positive whole numbers, all different.

    Attributes
    ----------
    module : torch.nn.Module
        The module.
    scales : tuple of int
        The scales.

    Raises
    ------
    TypeError
        If the module is none, or a scale no whole number.
    ValueError
        If there is no scale, a scale is not positive, or two are equal.

    Notes
    -----
    The cells :math:`s k + r` of an image, for each :math:`r`, are an image
    of their own, and the module :math:`\Phi` is applied to each of these
    :math:`s^d` images. Together this is :math:`\Phi_s`. If :math:`U_s` makes
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

    Denoisers that were trained at one scale score, in dB, as the mean of
    three seeds (``python -m examples.experiments.null_space.scales``; the
    noise is white at each scale):

    ====================== ========= ======= ========= =======
    denoiser               scale 0.5 scale 1 scale 1.4 scale 2
    ====================== ========= ======= ========= =======
    as trained             30.52     27.55   26.30     26.41
    mean of scales 1 and 2 30.09     27.02   26.39     27.11
    ====================== ========= ======= ========= =======

    The mean costs half a dB at the scale of the training, and at smaller
    ones. Relative to that scale, it loses nothing at the scale 2, where the
    module alone loses 1.1 dB.

    Stretched kernels are those of the "a trous" method, and of scale-steerable
    networks for whole factors (Sosnovik, Szmaja and Smeulders,
    *Scale-equivariant steerable networks*, ICLR 2020). An evaluation costs as
    much as one of the module for each scale. Equivariance of the module under
    turns and reflections is kept.

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
    """

    def __init__(
        self, module: nn.Module, scales: Sequence[int] = (1, 2)
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(
                f'`module` must be a torch module, got {type(module).__name__}'
            )
        if not isinstance(scales, Sequence):
            raise TypeError(
                '`scales` must be a sequence of whole numbers, got '
                f'{scales!r:.80}'
            )
        found = tuple(whole_number('scales', scale, 1) for scale in scales)
        if not found or len(set(found)) < len(found):
            raise ValueError(
                '`scales` must be different whole numbers, at least one, got '
                f'{list(scales)}'
            )
        self.module = module
        self.scales = found

    def forward(
        self,
        u: torch.Tensor,
        *images: torch.Tensor,
        sigma: Any = None,
    ) -> torch.Tensor:
        """Return the mean over the scales.

        Parameters
        ----------
        u : torch.Tensor
            Images of shape ``(N, C, *shape)``.
        *images : torch.Tensor
            Further images that the module takes, such as gradients.
        sigma : float or torch.Tensor, optional
            Noise level, or one of each sample, if the module takes it.

        Returns
        -------
        v : torch.Tensor
            Images of shape ``(N, C', *shape)``.

        Raises
        ------
        ValueError
            If the sides of an image are no multiples of a scale.
        TypeError
            If the module returns something else than a tensor.
        """
        results = [
            self._at(scale, (u, *images), sigma) for scale in self.scales
        ]
        return sum(results[1:], results[0]) / len(results)

    def _at(self, scale, images, sigma):
        shape = images[0].shape[2:]
        if any(n % scale for n in shape):
            raise ValueError(
                f'images of the shape {tuple(shape)} have no whole number of '
                f'cells at the scale {scale}: pad them to multiples of it'
            )
        options = {}
        if sigma is not None:
            # one number holds for all samples, whatever its shape
            if isinstance(sigma, torch.Tensor) and sigma.numel() > 1:
                sigma = sigma.repeat_interleave(scale ** len(shape))
            options['sigma'] = sigma
        parts = [_split(image, scale) for image in images]
        result = self.module(*parts, **options)
        if not isinstance(result, torch.Tensor):
            raise TypeError(
                f'{type(self.module).__name__} returns a '
                f'{type(result).__name__}, and must return one tensor: make '
                'it with `memory=0`'
            )
        return _joined(result, scale)

    def extra_repr(self) -> str:
        """Return the scales, for ``repr``."""
        return f'scales={self.scales}'


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
