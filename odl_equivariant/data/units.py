# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Units of length and of attenuation, by their names."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from odl_equivariant._checks import one_of, positive_number, real_number
from odl_equivariant._types import Image
from odl_equivariant.elements import as_tensor

__all__ = (
    'AIR_ATTENUATION',
    'ATTENUATION_UNITS',
    'AttenuationUnit',
    'LENGTH_UNITS',
    'LengthUnit',
    'MU_MAX',
    'WATER_ATTENUATION',
    'attenuation_unit',
    'convert_attenuation',
    'convert_length',
    'metres',
)

# Linear attenuation at the energy of the reference experiments, 1 / metre.
WATER_ATTENUATION = 20.0
AIR_ATTENUATION = 0.02
# The attenuation that an image value of 1 stands for in `SparseViewCT`.
MU_MAX = 81.35858

_METRES = {'m': 1.0, 'cm': 1e-2, 'mm': 1e-3, 'um': 1e-6}
# A cell of the image has the length that the caller knows.
LENGTH_UNITS = (*_METRES, 'cell')
ATTENUATION_UNITS = (*(f'1/{name}' for name in LENGTH_UNITS), 'relative', 'HU')

LengthUnit: TypeAlias = Literal['m', 'cm', 'mm', 'um', 'cell']
AttenuationUnit: TypeAlias = Literal[
    '1/m', '1/cm', '1/mm', '1/um', '1/cell', 'relative', 'HU'
]


def metres(unit: LengthUnit, cell: float | None = None) -> float:
    """Return how many metres a unit of length is.

    Parameters
    ----------
    unit : {'m', 'cm', 'mm', 'um', 'cell'}
        Name of the unit.
    cell : float, optional
        Side of a cell of the image in metres; the unit ``'cell'`` needs it.

    Returns
    -------
    length : float
        One unit in metres.

    Raises
    ------
    ValueError
        If the unit is unknown, or ``'cell'`` and nothing says how long a
        cell is.

    Examples
    --------
    >>> metres('mm'), metres('cell', 0.0005)
    (0.001, 0.0005)
    """
    one_of('unit', unit, LENGTH_UNITS)
    if unit != 'cell':
        return _METRES[unit]
    if cell is None:
        raise ValueError(
            'lengths in cells have no other unit: pass `cell`, the side of a '
            'cell of the image in metres'
        )
    return positive_number('cell', cell)


def convert_length(
    value: Any, unit: LengthUnit, to: LengthUnit, cell: float | None = None
) -> Any:
    """Return lengths in another unit.

    Parameters
    ----------
    value : float or array
        Lengths.
    unit, to : {'m', 'cm', 'mm', 'um', 'cell'}
        Names of the units, before and after.
    cell : float, optional
        Side of a cell of the image in metres, for the unit ``'cell'``.

    Returns
    -------
    value : float or array
        The same lengths in the other unit.

    Examples
    --------
    >>> convert_length(0.25, 'm', 'mm')
    250.0
    """
    one_of('unit', unit, LENGTH_UNITS)
    one_of('to', to, LENGTH_UNITS)
    if unit == to:
        return value
    return value * (metres(unit, cell) / metres(to, cell))


def attenuation_unit(length_unit: LengthUnit) -> Any:
    """Return the unit of linear attenuation that belongs to one of length.

    Examples
    --------
    >>> attenuation_unit('mm')
    '1/mm'
    """
    return f'1/{one_of("length_unit", length_unit, LENGTH_UNITS)}'


def convert_attenuation(
    image: Image,
    unit: AttenuationUnit,
    to: AttenuationUnit,
    *,
    cell: float | None = None,
    water: float = WATER_ATTENUATION,
    air: float = AIR_ATTENUATION,
    mu_max: float = MU_MAX,
) -> np.ndarray | torch.Tensor:
    r"""Return attenuation in another unit.

    Parameters
    ----------
    image : array-like, torch.Tensor or element of a DiscretizedSpace
        Values of attenuation. They are not changed.
    unit, to : str
        Units before and after: ``'1/m'``, ``'1/cm'``, ``'1/mm'``,
        ``'1/um'``, ``'1/cell'`` for linear attenuation, ``'relative'`` for
        fractions of ``mu_max``, ``'HU'`` for Hounsfield units.
    cell : float, optional
        Side of a cell of the image in metres, for the unit ``'1/cell'``.
    water, air : float, optional
        Attenuation of water and air in 1 / metre, for Hounsfield units. It
        depends on the energy of the rays.
    mu_max : float, optional
        Attenuation in 1 / metre that the relative value 1 stands for.

    Returns
    -------
    image : numpy.ndarray or torch.Tensor
        The values in the other unit: a tensor for a tensor, else an array.
        Values are not clipped, so that there and back is the identity.

    Raises
    ------
    ValueError
        If a unit is unknown, or ``'1/cell'`` and ``cell`` is missing.
    TypeError
        If the image does not consist of real numbers.

    Notes
    -----
    Hounsfield units :math:`h` and attenuation :math:`\mu` are related by

    .. math::
        \mu = \mu_{\mathrm{water}} + \frac{h}{1000}
        (\mu_{\mathrm{water}} - \mu_{\mathrm{air}}).

    Examples
    --------
    >>> convert_attenuation([0.0, 20.0], '1/m', '1/mm').tolist()
    [0.0, 0.02]
    >>> convert_attenuation([-1000.0, 0.0], 'HU', '1/m').round(6).tolist()
    [0.02, 20.0]
    """
    one_of('unit', unit, ATTENUATION_UNITS)
    one_of('to', to, ATTENUATION_UNITS)
    water, air = real_number('water', water), real_number('air', air)
    if not water > air:
        raise ValueError(
            f'`water` must attenuate more than `air`, got {water:g} and '
            f'{air:g}'
        )
    mu_max = positive_number('mu_max', mu_max)
    values = _values(image)
    if unit == to:
        return values

    def line(name):
        """Return the attenuation of 0 in 1 / metre, and that of a step."""
        if name == 'HU':
            return water, (water - air) / 1000
        if name == 'relative':
            return 0.0, mu_max
        return 0.0, 1 / metres(name.removeprefix('1/'), cell)

    (zero, step), (other_zero, other_step) = line(unit), line(to)
    return values * (step / other_step) + (zero - other_zero) / other_step


def _values(image):
    """Return the values of an image as a new floating-point array."""
    if isinstance(image, torch.Tensor):
        if image.is_complex() or image.dtype == torch.bool:
            raise TypeError(
                f'attenuation is real, got a tensor of dtype {image.dtype}'
            )
        return image.clone() if image.is_floating_point() else image.double()
    if hasattr(image, 'space'):
        if not image.space.is_real:
            raise TypeError(
                'attenuation is real, got an element of dtype '
                f'{image.space.dtype_identifier!r}'
            )
        return as_tensor(image)[0, 0].cpu().numpy().copy()
    array = np.array(image)
    if array.dtype.kind not in 'fiu':
        raise TypeError(
            f'attenuation is real, got an array of dtype {array.dtype}'
        )
    return array if array.dtype.kind == 'f' else array.astype(float)
