# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The inverse problem of a batch: network, operators and data."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import odl
import torch

from odl_equivariant.actions import Action
from odl_equivariant.elements import grid_shape, n_channels
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.per_sample import per_sample_operator
from odl_equivariant.operators.batching.registry import is_registered
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.operators.operator_norm import operator_norm

__all__ = ('Problem', 'applied', 'data_gain', 'mean_square')

_GAINS: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()


class Problem:
    r"""Data of a batch, the operators they come from, and a network.

    Parameters
    ----------
    network : torch.nn.Module
        Network from data to images. An unrolled method is called as
        ``network(data, operators)``, a denoiser as ``network(data,
        sigma=sigma)``.
    data : torch.Tensor
        Data of shape ``(N, C, *range.shape)``.
    acquisition : Acquisition
        Acquisition of the data.
    operators : list of odl.Operator, optional
        Operator of each sample. Default: that of the acquisition.
    measured : torch.Tensor, optional
        Booleans that broadcast to ``data``, true where data were measured.
        Default: the mask of the acquisition, or everywhere.
    truth : torch.Tensor, optional
        Ground truth, of shape ``(N, C, *domain.shape)``.
    sigma : torch.Tensor, optional
        Noise levels that a denoiser is told, of shape ``(N,)``.
    own : list of dict, optional
        Mask and coil maps of each sample, if it has its own.
    generator : torch.Generator, optional
        Source of random numbers, on the CPU. Default: that of torch.
    scale : torch.Tensor, optional
        What measured data were divided by, of shape ``(N,)``.
    noise_level : torch.Tensor, optional
        Standard deviation of the noise of these data, of shape ``(N,)``; NaN
        where a file does not say it.
    held_out : torch.Tensor, optional
        Booleans of shape ``(N, *shape)`` that broadcast to the data, true
        for those that are held out for the validation. They do not count as
        measured, and ``operators`` must be without them.

    Raises
    ------
    ValueError
        On the reconstruction of all data, if some are held out and the
        operators cannot be without them.

    Notes
    -----
    The means of squares that losses are made of are weighted like the inner
    products of the spaces, and divided by the sum of the weights. Those of
    data are also divided by :math:`g = \|A\|^2\, |X| / |Y|`, with the
    sums :math:`|X|` and :math:`|Y|` of the weights of both spaces:

    .. math::
        \frac{\sum_i w_i r_i^2}{g \sum_i w_i}.

    So they do not depend on the grid nor on the unit of lengths, and errors
    in data count in the unit of errors in images: with all data, the mean
    for :math:`r = A e` is at most that for :math:`e`. A complex number
    counts as two real ones, each of which has the noise level
    :math:`\sigma`. Data that were
    not measured have the weight 0.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        data: torch.Tensor,
        acquisition: Any,
        operators: Sequence[odl.Operator] | None = None,
        measured: torch.Tensor | None = None,
        truth: torch.Tensor | None = None,
        sigma: torch.Tensor | None = None,
        own: Sequence[dict[str, Any]] = (),
        generator: torch.Generator | None = None,
        scale: torch.Tensor | None = None,
        noise_level: torch.Tensor | None = None,
        held_out: torch.Tensor | None = None,
    ) -> None:
        self.network = network
        self.data = data
        self.acquisition = acquisition
        self.operators = operators
        self.truth = truth
        self.sigma = sigma
        self.own = list(own)
        self.generator = generator
        self.scale = scale
        self.noise_level = noise_level
        if measured is None:
            mask = getattr(acquisition, 'mask', None)
            measured = torch.ones((), dtype=torch.bool)
            if mask is not None:
                measured = torch.as_tensor(mask.copy())[None, None]
        self.measured = measured.to(data.device)
        self.held_out = held_out
        if held_out is not None:
            self.held_out = held_out.to(data.device)[:, None]
            self.measured = self.measured & ~self.held_out
        self._result = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def operator(self) -> odl.Operator:
        """The operator of the acquisition."""
        return self.acquisition.operator

    def reconstruct(
        self,
        data: torch.Tensor | None = None,
        operators: Any = None,
    ) -> torch.Tensor:
        """Return the images that the network makes of data.

        Parameters
        ----------
        data : torch.Tensor, optional
            Data of the shape of ``data``. Default: these, whose
            reconstruction is kept and shared by all terms of a loss.
        operators : optional
            Operator, or one for each sample. Default: ``operators``.

        Returns
        -------
        images : torch.Tensor
            Images of shape ``(N, C, *domain.shape)``.
        """
        if (
            self.held_out is not None
            and operators is None
            and not hasattr(self.acquisition, 'mask')
        ):
            raise ValueError(
                'some views are held out for the validation, and only losses '
                'that split are given the others: take '
                '`EquivariantSplitting` or `MeasurementSplitting`, or '
                '`hold_out: 0` for the training, and other files for the '
                'validation'
            )
        if data is None and operators is None:
            if self._result is None:
                self._result = self._reconstructed(self.data, self.operators)
            return self._result
        return self._reconstructed(
            self.data if data is None else data,
            self.operators if operators is None else operators,
        )

    def _reconstructed(self, data, operators):
        if self.sigma is not None:
            return self.network(data, sigma=self.sigma)
        return self.network(data, operators)

    def project(
        self, images: torch.Tensor, operators: Any = None
    ) -> torch.Tensor:
        """Return the data of images, without noise.

        Parameters
        ----------
        images : torch.Tensor
            Images of shape ``(N, C, *domain.shape)``.
        operators : optional
            Operator, or one for each sample. Default: ``operators``.

        Returns
        -------
        data : torch.Tensor
            Data of the shape of ``data``.
        """
        if operators is None:
            operators = self.operators
        if operators is None:
            operators = self.operator
        return applied(operators, images)

    def mean_data(
        self, residual: torch.Tensor, where: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the mean of a product or a square over measured data.

        Parameters
        ----------
        residual : torch.Tensor
            Values of the shape of ``data``, such as squares.
        where : torch.Tensor, optional
            Data that count. Default: ``measured``.

        Returns
        -------
        means : torch.Tensor
            Tensor of shape ``(N,)``.
        """
        where = self.measured if where is None else where
        gain = data_gain(self.acquisition)
        return _mean(residual, self.operator.range, where) / gain

    def mean_images(self, values: torch.Tensor) -> torch.Tensor:
        """Return the mean of the values of images, of shape ``(N,)``."""
        return _mean(values, self.operator.domain)

    def normal(self) -> torch.Tensor:
        """Return normal random numbers of the shape of ``data``."""
        drawn = torch.randn(
            self.data.shape, generator=self.generator, dtype=self.data.dtype
        )
        return drawn.to(self.data.device)

    def signs(self) -> torch.Tensor:
        """Return random signs of the shape of ``data``."""
        drawn = torch.randint(2, self.data.shape, generator=self.generator)
        return (2 * drawn - 1).to(self.data)

    def integer(self, n: int) -> int:
        """Return a random whole number below ``n``."""
        return int(torch.randint(n, (), generator=self.generator))


def data_gain(acquisition: Any) -> float:
    r"""Return :math:`\|A\|^2\, |X| / |Y|` of an acquisition, see `Problem`.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition with a linear operator :math:`A`.

    Returns
    -------
    gain : float
        Mean square of data of images whose mean square is 1, at most.
    """
    gain = _GAINS.get(acquisition)
    if gain is None:
        operator = acquisition.operator
        gain = operator_norm(operator) ** 2 * _total(operator.domain)
        gain = _GAINS[acquisition] = gain / _total(operator.range)
    return gain


def _total(space):
    shape = (n_channels(space), *grid_shape(space))
    return float(inner_product_weights(space).expand(shape).sum())


def applied(operators: Any, images: torch.Tensor) -> torch.Tensor:
    """Apply an operator, or one for each sample, to a batch.

    Parameters
    ----------
    operators : odl.Operator, OperatorLayer or sequence of operators
        Linear operators between the same spaces. A layer is not made again.
    images : torch.Tensor
        Tensor of shape ``(N, C, *domain.shape)``.

    Returns
    -------
    result : torch.Tensor
        Tensor of shape ``(N, C', *range.shape)``.
    """
    if isinstance(operators, odl.Operator | OperatorLayer):
        layer = _layer(operators, images)
        operator = layer.operator
        if not isinstance(operator, Action) or (
            is_registered(operator) and operator.is_exact
        ):
            return layer(images)
        # actions that interpolate know one sample
        return torch.cat([layer(image[None]) for image in images])
    at_once = per_sample_operator(list(operators))
    if at_once is not None:
        return _layer(at_once, images)(images)
    return torch.cat(
        [
            _layer(operator, images)(image[None])
            for operator, image in zip(operators, images, strict=True)
        ]
    )


def _layer(operator, images):
    if not isinstance(operator, OperatorLayer):
        operator = OperatorLayer(operator)
    return operator.to(images.device)


def mean_square(values: torch.Tensor, space: odl.LinearSpace) -> torch.Tensor:
    """Return the weighted mean of the squares of elements of a space.

    Parameters
    ----------
    values : torch.Tensor
        Elements of shape ``(N, C, *shape)``.
    space : odl.LinearSpace
        Their space.

    Returns
    -------
    means : torch.Tensor
        Tensor of shape ``(N,)``.
    """
    return _mean(values.square(), space)


def _mean(values, space, where=None):
    weights = inner_product_weights(space).to(values)
    if where is not None:
        weights = weights * where.to(values)
    weights = weights.expand(values.shape)
    total = weights.flatten(1).sum(1)
    return (weights * values).flatten(1).sum(1) / total
