# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Unrolled networks on data and images in another unit than the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import odl
import torch
from odl.applications import tomo
from torch import nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from odl_equivariant._checks import positive_number, real_number
from odl_equivariant._types import Initial, Operator
from odl_equivariant._warnings import warn_user
from odl_equivariant.data import Acquisition, MeasuredCT, SparseViewCT
from odl_equivariant.data.units import (
    ATTENUATION_UNITS,
    AttenuationUnit,
    metres,
)
from odl_equivariant.functionals._values import ValueCheck
from odl_equivariant.models.cards import ModelCard, beams_of, range_of
from odl_equivariant.nn import UnrolledMethod
from odl_equivariant.nn.blocks.inputs import has_values
from odl_equivariant.nn.inference import Precision, Tile, for_inference
from odl_equivariant.operators.network import NetworkOperator

__all__ = (
    'ConvertedNetwork',
    'check_square_cells',
    'check_views',
    'converted',
    'operator_and_unit',
)

# Sides of a square cell are equal up to rounding.
_SAME = 1e-4
# Ranges of angles differ from those of the training by more than this part.
_OTHER_RANGE = 0.15
_BEAMS = ('parallel beams', 'fan beams', 'cone beams')


class _RangeCheck(ValueCheck):
    """Warns, but once, of images far from those of the training."""

    def _message(self, least, most, mean, low, high):
        return (
            f'images of these data have values from {least:.4g} to '
            f'{most:.4g}, and the network was trained on images with values '
            f'from {low:.4g} to {high:.4g} in the same unit: the result may '
            'be worthless. Check the units of data and geometry; if they are '
            'right, pass as `unit` the value of your images that is to be 1 '
            'for the network'
        )


class _Watch:
    """Looks at what a network starts from, and at its result.

    As a hook of a network it checks what that is applied to. Both have to be
    far from the training: noise alone may move the one, and weights that are
    not trained the other.

    Parameters
    ----------
    network : UnrolledMethod
        Network in the unit of its training.
    module : torch.nn.Module
        Module that states the range of the images.
    """

    # networks of the same weights, for other operators, have it too
    is_handed_on = True

    def __init__(self, network, module):
        self.homogeneous = all(
            getattr(block, 'homogeneous', False) is True
            for block in network.blocks
        )
        self.check = _RangeCheck(module, 1.0, 'load')

    def __call__(self, network, arguments, options, images):
        def call(y, forward_operator=None):
            self.look(network, y, forward_operator, images)

        if not network.training:
            call(*arguments, **options)

    def look(self, network, y, forward_operator, images):
        """Compare result and start with the training."""
        if (
            self.homogeneous
            or get_proxy_mode() is not None
            or not (self.check.is_open() and has_values(y))
        ):
            return
        with torch.no_grad():
            # of nothing, biases make images in no unit
            if not y.any() or not self.check.is_far(images):
                return
            layers = network._layers
            if layers.kind == 'fbp' and forward_operator is None:
                images = layers.initial(y)
            self.check(images)


def _watched(network):
    """Return a network that warns of data in another unit."""
    network.register_forward_hook(_Watch(network, network), with_kwargs=True)
    return network


class ConvertedNetwork(nn.Module):
    r"""An unrolled network for data and images in another unit.

    `odl_equivariant.models.load` makes it, where it is given a ``unit``.

    Parameters
    ----------
    network : UnrolledMethod
        Network with the forward operator of the data.
    scale : float
        Value in the images of the operator that corresponds to the value 1 in
        the images of the training.
    factor, zero : float, optional
        Images of the operator become ``factor * u + zero``, for a unit with
        another zero, such as Hounsfield units.

    Attributes
    ----------
    network : UnrolledMethod
        The network, in the unit of its training.
    value_range : tuple of 2 floats or None
        Range of the images of the training, in the unit of the operator.

    Warns
    -----
    UserWarning
        Once, with both ranges, if the values at which the iteration starts
        are far from those of the training, see
        `odl_equivariant.functionals.LearnedProximal`.

    Notes
    -----
    The operator is linear. So if images are c times those of the training,
    data are, too, and with the network :math:`\Phi` the result is

    .. math::
        u = c\, \Phi(y / c).

    Steps are relative to :math:`\|A\|^2`, and so do not depend on the unit of
    lengths. If all blocks are homogeneous, :math:`c` cancels.
    """

    def __init__(
        self,
        network: UnrolledMethod,
        scale: float,
        factor: float = 1.0,
        zero: float = 0.0,
    ) -> None:
        super().__init__()
        self.scale = positive_number('scale', scale)
        self.factor = positive_number('factor', factor)
        self.zero = real_number('zero', zero)
        self.network = network
        self.card: ModelCard | None = network.card
        self._watch = _Watch(network, self)
        self.homogeneous = self._watch.homogeneous

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Range of the images of the training, in the operator's unit."""
        ends = self.network.value_range
        if ends is None:
            return None
        low, high = ends
        return self.scale * low, self.scale * high

    @property
    def forward_operator(self) -> odl.Operator:
        """The operator, from images to data."""
        return self.network.forward_operator

    def extra_repr(self) -> str:
        """Return the numbers, for ``repr``."""
        more = ''
        if (self.factor, self.zero) != (1, 0):
            more = f', factor={self.factor:g}, zero={self.zero:g}'
        return f'scale={self.scale:g}{more}'

    def forward(
        self,
        y: torch.Tensor,
        forward_operator: odl.Operator | Sequence[odl.Operator] | None = None,
    ) -> torch.Tensor:
        """Reconstruct a batch of data.

        Parameters
        ----------
        y : torch.Tensor
            Data of shape ``(N, C, *range.shape)``, in the unit of the
            operator.
        forward_operator : `odl.Operator` or sequence of N of them, optional
            As for the network.

        Returns
        -------
        u : torch.Tensor
            Images of shape ``(N, C, *domain.shape)``.
        """
        data = y / self.scale if isinstance(y, torch.Tensor) else y
        images = self.scale * self.network(data, forward_operator)
        self._watch.look(self.network, y, forward_operator, images)
        return self.factor * images + self.zero

    def with_operator(
        self, forward_operator: odl.Operator, initial: Initial | None = None
    ) -> ConvertedNetwork:
        """Return the network for another operator, in the same unit.

        Parameters
        ----------
        forward_operator, initial
            As for the method of the network.

        Returns
        -------
        network : ConvertedNetwork
            Network that shares the weights of this one.
        """
        network = self.network.with_operator(forward_operator, initial)
        return ConvertedNetwork(network, self.scale, self.factor, self.zero)

    def as_operator(
        self,
        precision: Precision | None = None,
        compile: bool = False,
        tile: Tile | None = None,
    ) -> NetworkOperator:
        """Return the reconstruction as an ODL operator from data to image.

        Parameters
        ----------
        precision, compile, tile
            As for `odl_equivariant.nn.for_inference`.

        Returns
        -------
        operator : NetworkOperator
            Operator from the range of the forward operator to its domain.
        """
        module = self
        if precision is not None or compile or tile is not None:
            quick: Any = for_inference(self.network, precision, compile, tile)
            quick.value_range = self.network.value_range
            module = ConvertedNetwork(
                quick, self.scale, self.factor, self.zero
            )
        operator = self.forward_operator
        return NetworkOperator(module, operator.range, operator.domain)


def operator_and_unit(
    acquisition: Operator | Acquisition | None,
) -> tuple[Operator | None, dict[str, Any] | None]:
    """Return the operator of an acquisition, and the unit of its images.

    An operator has no unit; the second result is then ``None``.
    """
    if not isinstance(acquisition, Acquisition):
        return acquisition, None
    if isinstance(acquisition, MeasuredCT):
        unit: dict[str, Any] = {'unit': acquisition.image_unit}
        sides = np.asarray(acquisition.space.cell_sides, dtype=float)
        length = acquisition.length_unit
        if length != 'cell':
            unit['cell'] = float(sides[0]) * metres(length)
        return acquisition.operator, unit
    if isinstance(acquisition, SparseViewCT):
        unit = {'unit': 'relative', 'mu_max': acquisition.mu_max}
        unit['cell'] = float(acquisition.space.cell_sides[0])
        return acquisition.operator, unit
    return acquisition.operator, None


def check_square_cells(operator: Operator, name: str) -> None:
    """Check that the cells of images are squares, as kernels take them.

    Parameters
    ----------
    operator : odl.Operator
        Forward operator, from images to data.
    name : str
        Name of the model, for the message.

    Raises
    ------
    ValueError
        If the sides of a cell differ by more than a part in ten thousand.
    """
    sides = getattr(operator.domain, 'cell_sides', None)
    # a group about an axis takes volumes whose cells are longer along it
    if sides is None or len(sides) == 3:
        return
    sides = np.asarray(sides, dtype=float)
    if sides.max() > (1 + _SAME) * sides.min():
        raise ValueError(
            f'the kernels of {name} are made for square cells, and the images '
            'have cells of '
            f'{" x ".join(f"{side:.6g}" for side in sides)}: reconstruct on '
            'square cells, such as those of the shorter side, and resample '
            'afterwards'
        )


def check_views(operator: Operator, card: ModelCard | None, name: str) -> None:
    """Warn if beams or their range are others than those of the training.

    Parameters
    ----------
    operator : odl.Operator
        Forward operator. Only ray transforms have a geometry.
    card : ModelCard or None
        What the network was trained on.
    name : str
        Name of the model, for the message.

    Warns
    -----
    UserWarning
        If the kind of the beams is not in the card, or the range of the
        angles is outside of that in the card by more than 15 %.
    """
    geometry = getattr(operator, 'geometry', None)
    if (
        card is None
        or card.modality != 'tomography'
        or not isinstance(geometry, tomo.Geometry)
    ):
        return
    found, trained = [], []
    # a card may have other words
    known = [kind for kind in _BEAMS if kind in (card.geometry or '')]
    beams = beams_of(geometry)
    if known and beams not in known:
        found.append(beams)
        trained.append(' and '.join(known))
    covered = range_of(geometry)
    low, high = card.angular_range or (covered, covered)
    if not (1 - _OTHER_RANGE) * low < covered < (1 + _OTHER_RANGE) * high:
        found.append(f'views over {covered:.4g} degrees')
        ends = f'{low:.4g}' if low == high else f'{low:.4g} to {high:.4g}'
        trained.append(f'views over {ends} degrees')
    if found:
        warn_user(
            f'{name} was trained on {", ".join(trained)}, and the operator '
            f'has {", ".join(found)}: images may be worse than filtered '
            'back-projection. Compare both, or take a model for this '
            'geometry, see `odl_equivariant.models.describe`',
            UserWarning,
        )


def converted(
    network: UnrolledMethod,
    unit: AttenuationUnit | float | None,
    cell: float | None,
    own: dict[str, Any] | None,
    name: str,
) -> UnrolledMethod | ConvertedNetwork:
    """Return a network for images in a unit.

    Parameters
    ----------
    network : UnrolledMethod
        Network with its card.
    unit : str, float or None
        Unit of the results. Default: that of the acquisition.
    cell : float or None
        Side of a cell, in metres.
    own : dict or None
        Unit of the acquisition, see `operator_and_unit`.
    name : str
        Name of the file, for messages.
    """
    if unit is None and own is None:
        return _watched(network)
    card = network.card
    if card is None and not _is_number(unit):
        if unit is None:
            return _watched(network)
        raise ValueError(
            f'{name} has no model card, so that the unit of its training is '
            'unknown: pass as `unit` the value of your images that '
            'corresponds to 1 in the training, or add a card, see '
            '`odl_equivariant.models.add_card`'
        )
    if _is_number(unit):
        scale, factor, zero = positive_number('unit', unit), 1.0, 0.0
    elif unit is None and not card.has_attenuation:
        return _watched(network)
    else:
        own = {} if own is None else dict(own)
        if cell is not None:
            own['cell'] = positive_number('cell', cell)
        computed = own.pop('unit', None)
        if computed is None and unit == 'HU':
            raise ValueError(
                'data are linear in attenuation, and not in Hounsfield '
                'units: give the acquisition, which knows its unit, in place '
                'of its operator, or reconstruct in 1/m and convert the '
                'image by `odl_equivariant.data.convert_attenuation`'
            )
        # of an operator alone, `unit` says in what it computes
        computed = unit if computed is None else computed
        scale, _ = card.line(computed, **own)
        factor, zero = 1.0, 0.0
        if unit is not None and unit != computed:
            target, zero = card.line(unit, own.get('cell'))
            factor = target / scale
    if (scale, factor, zero) == (1.0, 1.0, 0.0):
        return _watched(network)
    return ConvertedNetwork(network, scale, factor, zero).eval()


def _is_number(unit):
    if isinstance(unit, str):
        if unit not in ATTENUATION_UNITS:
            raise ValueError(
                f'`unit` must be one of {", ".join(ATTENUATION_UNITS)} or a '
                f'number, got {unit!r}'
            )
        return False
    return unit is not None
