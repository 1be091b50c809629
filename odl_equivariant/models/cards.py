# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Model cards: what the images and data of a training were."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from odl.applications import tomo

from odl_equivariant._checks import one_of, positive_number, real_number
from odl_equivariant.data import (
    Acquisition,
    CartesianMRI,
    Denoising,
    MeasuredCT,
    SparseViewCT,
)
from odl_equivariant.data.units import (
    ATTENUATION_UNITS,
    AttenuationUnit,
    convert_attenuation,
    metres,
)

__all__ = ('ModelCard', 'card_from_header', 'model_card')

Modality: TypeAlias = Literal['tomography', 'magnetic resonance', 'images']
Interval: TypeAlias = tuple[float, float]

_MODALITIES = ('tomography', 'magnetic resonance', 'images')
# Images whose values are relative to those of the same image or volume.
RELATIVE_TO_LARGEST = 'largest magnitude'
_FREE = 'any'
_IMAGE_UNITS = (*ATTENUATION_UNITS, RELATIVE_TO_LARGEST, _FREE)
_INTERVALS = (
    'views',
    'angular_range',
    'detectors',
    'cell',
    'photons',
    'noise',
    'acceleration',
)
_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What a network was trained on.

    Each interval consists of the least and the greatest value over all
    acquisitions of the training; ``None`` stands for what does not apply or
    is unknown.

    Parameters
    ----------
    modality : {'tomography', 'magnetic resonance', 'images'}
        What was measured; ``'images'`` for denoisers.
    image_unit : str
        Unit of the images: one of attenuation, see
        `odl_equivariant.data.convert_attenuation`, or ``'largest
        magnitude'`` if 1 is about the largest magnitude of an image or a
        volume, or ``'any'``.
    mu_max : float, optional
        Attenuation in 1 / metre that 1 stands for, with ``'relative'``.
    geometry : str, optional
        Beams and views, or how k-space was sampled, in words.
    views : tuple of 2 floats, optional
        Numbers of views.
    angular_range : tuple of 2 floats, optional
        Angle that all views cover, in degrees.
    detectors : tuple of 2 floats, optional
        Numbers of elements of the detector.
    shapes : tuple of tuples of int
        Shapes of the images.
    cell : tuple of 2 floats, optional
        Side of a square cell of the images, in metres.
    photons : tuple of 2 floats, optional
        Numbers of photons per reading, without an object.
    noise : tuple of 2 floats, optional
        Standard deviation of the noise, in the unit of the images.
    acceleration : tuple of 2 floats, optional
        How many times fewer samples of k-space were taken.
    trained_on : str
        What the images showed, in words.

    Raises
    ------
    ValueError
        If a value is unknown or no interval.
    TypeError
        If a value has another type.

    Examples
    --------
    >>> from odl_equivariant.models import describe
    >>> card = describe('sparse_view_ct_c4').card
    >>> card.image_unit, card.mu_max
    ('relative', 81.35858)
    >>> card.line('1/mm')
    (0.08135858, 0.0)
    """

    modality: Modality
    image_unit: str
    mu_max: float | None = None
    geometry: str | None = None
    views: Interval | None = None
    angular_range: Interval | None = None
    detectors: Interval | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    cell: Interval | None = None
    photons: Interval | None = None
    noise: Interval | None = None
    acceleration: Interval | None = None
    trained_on: str = ''

    def __post_init__(self) -> None:
        one_of('modality', self.modality, _MODALITIES)
        one_of('image_unit', self.image_unit, _IMAGE_UNITS)
        if (self.mu_max is None) == (self.image_unit == 'relative'):
            raise ValueError(
                "the image unit 'relative', and no other, has a `mu_max`, got "
                f'{self.image_unit!r} with mu_max={self.mu_max}'
            )
        if self.mu_max is not None:
            positive_number('mu_max', self.mu_max)
        for name in _INTERVALS:
            ends = getattr(self, name)
            if ends is not None:
                object.__setattr__(self, name, _checked_interval(name, ends))
        shapes = self.shapes
        if not isinstance(shapes, list | tuple) or not all(
            isinstance(shape, list | tuple)
            and all(type(n) is int and n > 0 for n in shape)
            for shape in shapes
        ):
            raise TypeError(f'`shapes` must be shapes, got {shapes!r:.80}')
        object.__setattr__(self, 'shapes', tuple(map(tuple, shapes)))
        for name in ('geometry', 'trained_on'):
            text = getattr(self, name)
            if not isinstance(text, str | None):
                raise TypeError(f'`{name}` must be a text, got {text!r:.80}')

    @property
    def has_attenuation(self) -> bool:
        """Whether images contain attenuation, in a unit that is known."""
        return self.image_unit in ATTENUATION_UNITS

    def line(
        self,
        unit: AttenuationUnit | float,
        cell: float | None = None,
        mu_max: float | None = None,
    ) -> tuple[float, float]:
        """Return how to convert images of the training to another unit.

        Parameters
        ----------
        unit : str or float
            Unit of attenuation, see `odl_equivariant.data.\
convert_attenuation`; or the value that 1 in the training corresponds to.
        cell : float, optional
            Side of a cell in metres, for the unit ``'1/cell'``.
        mu_max : float, optional
            Attenuation in 1 / metre that 1 stands for, if the other unit is
            ``'relative'``. Default: as in the training.

        Returns
        -------
        scale, zero : float
            Values in the other unit are ``scale * value + zero``.

        Raises
        ------
        ValueError
            If the unit is unknown, or one of attenuation while the images of
            the training have none; if the length of a cell is missing.
        """
        if not isinstance(unit, str):
            return positive_number('unit', unit), 0.0
        if not self.has_attenuation:
            raise ValueError(
                f'the network was trained on images in the unit '
                f'{self.image_unit!r}, not on attenuation: `unit` must be the '
                'value of your images that corresponds to 1 in the training, '
                f'got {unit!r}'
            )
        own = {} if self.mu_max is None else {'mu_max': self.mu_max}
        other = own if mu_max is None else {'mu_max': mu_max}
        if self.image_unit == '1/cell' and unit != '1/cell':
            cell = cell or (self.cell and self.cell[0])
        values = np.array([0.0, 1.0])
        trained: Any = self.image_unit
        values = convert_attenuation(values, trained, '1/m', cell=cell, **own)
        values = convert_attenuation(values, '1/m', unit, cell=cell, **other)
        zero, one = (float(value) for value in values)
        return float(f'{one - zero:.15g}'), zero

    def header(self) -> dict[str, Any]:
        """Return the card as JSON can hold it, without what is unknown."""
        values = dataclasses.asdict(self)
        return {key: value for key, value in values.items() if value}

    def rows(self) -> dict[str, str]:
        """Return what is known, in words, by what it is."""
        unit = self.image_unit
        if self.mu_max is not None:
            unit = f'attenuation / mu_max, mu_max = {self.mu_max:g} / m'
        elif unit in ATTENUATION_UNITS:
            unit = f'attenuation in {unit}'
        elif unit == RELATIVE_TO_LARGEST:
            unit = 'relative to the largest magnitude'
        rows = {'modality': self.modality, 'image unit': unit}
        shapes = ', '.join(
            ' x '.join(map(str, shape)) for shape in self.shapes
        )
        texts = {
            'geometry': self.geometry,
            'views': _text(self.views),
            'angular range': _text(self.angular_range, ' degrees'),
            'detector elements': _text(self.detectors),
            'images of': shapes,
            'cell size': _text(self.cell, ' mm', 1e3),
            'photons per reading': _text(self.photons),
            'noise level': _text(self.noise),
            'acceleration': _text(self.acceleration),
            'trained on': self.trained_on,
        }
        return rows | {key: text for key, text in texts.items() if text}


def _checked_interval(name, ends):
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise TypeError(
            f'`{name}` must be the least and the greatest value, got '
            f'{ends!r:.80}'
        )
    low, high = (real_number(name, end) for end in ends)
    if not low <= high:
        raise ValueError(f'`{name}` must increase, got {ends!r}')
    return low, high


def _text(ends, unit='', factor=1.0):
    """Return an interval in words."""
    if ends is None:
        return ''
    low, high = (f'{factor * end:.6g}' for end in ends)
    return f'{low}{unit}' if low == high else f'{low} to {high}{unit}'


def card_from_header(values: Any) -> ModelCard | None:
    """Return the card in the header of a file, or ``None``.

    Raises
    ------
    TypeError, ValueError
        If it is none. Keys of later versions are ignored.
    """
    if values is None:
        return None
    if not isinstance(values, dict):
        raise TypeError(f'the model card is no mapping, got {values!r:.80}')
    names = {field.name for field in dataclasses.fields(ModelCard)}
    known = {key: value for key, value in values.items() if key in names}
    missing = {'modality', 'image_unit'} - known.keys()
    if missing:
        raise ValueError(f'the model card lacks {", ".join(sorted(missing))}')
    return ModelCard(**known)


def model_card(
    acquisitions: Acquisition | Sequence[Acquisition],
    shapes: Sequence[Sequence[int]] = (),
    trained_on: str = '',
) -> ModelCard:
    """Return the card of a network that is trained on some acquisitions.

    Parameters
    ----------
    acquisitions : Acquisition or sequence of them
        The acquisitions of all stages of a training, of one class.
    shapes : sequence of tuples of int, optional
        Shapes of the images. Default: those of the acquisitions.
    trained_on : str, optional
        What the images show, in words.

    Returns
    -------
    card : ModelCard
        Card for `odl_equivariant.models.save`.

    Raises
    ------
    ValueError
        If there is no acquisition, or units differ.

    Examples
    --------
    >>> from odl_equivariant.data import SparseViewCT
    >>> card = model_card(SparseViewCT((32, 32), n_views=12))
    >>> card.views, card.image_unit
    ((12.0, 12.0), 'relative')
    """
    if isinstance(acquisitions, Acquisition):
        acquisitions = [acquisitions]
    if not acquisitions:
        raise ValueError('a model card needs an acquisition, got none')
    parts = [_values(acquisition) for acquisition in acquisitions]
    first = parts[0]
    values: dict[str, Any] = {}
    for name in ('modality', 'image_unit', 'mu_max', 'geometry'):
        found = {part.get(name) for part in parts}
        if len(found) > 1 and name != 'geometry':
            raise ValueError(
                'the acquisitions of one network must have one unit, got the '
                f'{name} {", ".join(map(str, found))}'
            )
        values[name] = first.get(name)
    geometries = dict.fromkeys(part.get('geometry') for part in parts)
    values['geometry'] = ', '.join(filter(None, geometries)) or None
    for name in _INTERVALS:
        ends = [part[name] for part in parts if part.get(name) is not None]
        if ends:
            lows, highs = zip(*(_ends(end) for end in ends), strict=True)
            values[name] = _rounded(min(lows)), _rounded(max(highs))
    if not shapes:
        shapes = list(dict.fromkeys(a.shape for a in acquisitions))
    sizes = tuple(tuple(int(n) for n in shape) for shape in shapes)
    return ModelCard(**values, shapes=sizes, trained_on=trained_on)


def _ends(value):
    return value if isinstance(value, tuple) else (value, value)


def _rounded(number):
    return float(f'{float(number):.{_DIGITS}g}')


def _values(acquisition):
    """Return what is known of one acquisition."""
    if isinstance(acquisition, SparseViewCT | MeasuredCT):
        return _tomography(acquisition)
    if isinstance(acquisition, CartesianMRI):
        return {
            'modality': 'magnetic resonance',
            'image_unit': RELATIVE_TO_LARGEST,
            'geometry': f'{acquisition.pattern} lines of a Cartesian grid',
            'noise': acquisition.sigma,
            'acceleration': acquisition.acceleration,
        }
    if isinstance(acquisition, Denoising):
        sigma = acquisition.sigma
        return {
            'modality': 'images',
            'image_unit': RELATIVE_TO_LARGEST,
            'noise': tuple(sigma) if np.ndim(sigma) else sigma,
        }
    # of a class that the user has written
    return {
        'modality': 'images',
        'image_unit': _FREE,
        'geometry': type(acquisition).__name__,
    }


def _tomography(acquisition):
    measured = isinstance(acquisition, MeasuredCT)
    unit = acquisition.length_unit if measured else 'm'
    geometry = acquisition.geometry
    cell = None
    sides = acquisition.space.cell_sides
    if unit != 'cell' and np.allclose(sides, sides[0], rtol=1e-6):
        cell = float(sides[0]) * metres(unit)
    photons = acquisition.n_photons
    if photons is not None and np.ndim(photons):
        photons = (float(np.min(photons)), float(np.max(photons)))
    return {
        'modality': 'tomography',
        'image_unit': acquisition.image_unit if measured else 'relative',
        'mu_max': None if measured else acquisition.mu_max,
        'geometry': beams_of(geometry),
        'views': len(np.ravel(geometry.angles)),
        'angular_range': range_of(geometry),
        'detectors': geometry.det_partition.shape[0],
        'cell': cell,
        'photons': photons,
    }


def beams_of(geometry: tomo.Geometry) -> str:
    """Return the kind of the rays of a geometry, in words.

    Examples
    --------
    >>> from odl_equivariant.data import SparseViewCT
    >>> beams_of(SparseViewCT((16, 16), n_views=4).geometry)
    'parallel beams'
    """
    if isinstance(geometry, tomo.geometry.ParallelBeamGeometry):
        return 'parallel beams'
    if geometry.ndim == 3:
        return 'cone beams'
    return 'fan beams'


def range_of(geometry: tomo.Geometry) -> float:
    """Return the angle that all views of a geometry cover, in degrees.

    Examples
    --------
    >>> from odl_equivariant.data import SparseViewCT
    >>> round(range_of(SparseViewCT((16, 16), n_views=4).geometry))
    180
    """
    angles = np.ravel(geometry.angles)
    step = np.ptp(angles) / max(1, len(angles) - 1)
    return math.degrees(np.ptp(angles) + step)
