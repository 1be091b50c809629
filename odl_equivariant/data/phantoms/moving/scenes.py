# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Scenes of ellipses that move with a period, known at every time."""

from math import cos, pi, sin
from typing import NamedTuple

import numpy as np

__all__ = ('SCENES', 'Ellipse', 'draw')


class Ellipse(NamedTuple):
    """An ellipse in a field of view of side 2, whose value is added.

    Parameters
    ----------
    value : float
        What is added inside of it.
    x, y : float
        Its middle.
    a, b : float
        Its semi-axes.
    angle : float
        Angle of the first one, in radians.
    """

    value: float
    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0


def draw(ellipses, shape):
    """Return the sum of ellipses as an image.

    A pixel on an edge has the part of the value that is inside of the edge,
    so that small motions change the image a little.

    Parameters
    ----------
    ellipses : iterable of Ellipse
        What to draw.
    shape : tuple of 2 ints
        Shape of the image; its shorter side is 2.

    Returns
    -------
    image : numpy.ndarray
        float64 array.
    """
    side = min(shape)
    x, y = (((2 * np.arange(n) - n + 1) / side) for n in shape)
    image = np.zeros(shape)
    for value, mx, my, a, b, angle in ellipses:
        dx, dy = x[:, None] - mx, y[None, :] - my
        c, s = cos(angle), sin(angle)
        u, v = (c * dx + s * dy) / a, (c * dy - s * dx) / b
        slope = 2 * np.hypot(u / a, v / b)
        # to first order, the distance to the edge
        distance = (1 - u**2 - v**2) / np.maximum(slope, 1e-9)
        image += value * np.clip(0.5 + distance * side / 2, 0, 1)
    return image


def _spots(rng, n, reach, size):
    """Return small ellipses within a disk around the middle."""
    spots = []
    for _ in range(n):
        radius, at = reach * rng.uniform() ** 0.5, rng.uniform(0, 2 * pi)
        a, b = size * rng.uniform(0.4, 1.6, 2)
        value = rng.uniform(0.1, 0.3) * rng.choice([-1, 1])
        place = radius * cos(at), radius * sin(at)
        spots.append(Ellipse(value, *place, a, b, rng.uniform(0, pi)))
    return spots


def _turned(ellipse, angle):
    value, x, y, a, b, own = ellipse
    c, s = cos(angle), sin(angle)
    return Ellipse(value, c * x - s * y, s * x + c * y, a, b, own + angle)


def rotating(rng):
    """Return a scene that turns once in a period, counter-clockwise."""
    parts = [
        Ellipse(0.5, 0, 0, 0.85, rng.uniform(0.65, 0.85), rng.uniform(0, pi)),
        Ellipse(0.2, rng.uniform(0.2, 0.3), 0, 0.25, 0.15, 0.3),
        *_spots(rng, 8, 0.5, 0.1),
    ]
    return lambda t: [_turned(part, 2 * pi * t) for part in parts]


def breathing(rng):
    """Return a chest that widens, and organs that it pushes aside."""
    width, depth = rng.uniform(0.78, 0.9), rng.uniform(0.55, 0.65)
    amount = rng.uniform(0.08, 0.16)
    lungs = [
        Ellipse(-0.35, side * 0.42 * width, 0.05, 0.28, 0.36, side * 0.15)
        for side in (-1, 1)
    ]
    liver = Ellipse(0.15, -0.2, -0.35 * depth, 0.3, 0.16, 0.2)
    spine = Ellipse(0.3, 0, -0.75 * depth, 0.08, 0.08)
    spots = _spots(rng, 8, 0.45, 0.06)

    def at(t):
        air = amount * sin(pi * t) ** 2
        chest = Ellipse(0.5, 0, air * depth, width, depth * (1 + air))
        # lungs grow most, and what lies below them goes down
        grown = [
            lung._replace(y=lung.y + air, a=lung.a, b=lung.b * (1 + 2 * air))
            for lung in lungs
        ]
        moved = [spot._replace(y=spot.y + air * spot.y) for spot in spots]
        lower = liver._replace(y=liver.y - 0.5 * air)
        return [chest, *grown, lower, spine, *moved]

    return at


def beating(rng):
    """Return a heart whose wall keeps its area while its chamber shrinks."""
    body = Ellipse(0.35, 0, 0, 0.9, rng.uniform(0.7, 0.85))
    x, y = rng.uniform(-0.15, 0.15, 2)
    chamber, wall = rng.uniform(0.2, 0.28), rng.uniform(0.09, 0.13)
    strength = rng.uniform(0.3, 0.45)
    aspect, angle = rng.uniform(0.8, 1.0), rng.uniform(0, pi)
    outer = chamber + wall
    spots = [
        spot
        for spot in _spots(rng, 14, 0.7, 0.07)
        if np.hypot(spot.x - x, spot.y - y) > outer + 0.15
    ]

    def at(t):
        # it contracts in a third of the period, and fills in the rest
        systole = t / 0.35 if t < 0.35 else (1 - t) / 0.65
        inner = chamber * (1 - strength * sin(pi / 2 * systole) ** 2)
        grown = (inner**2 + outer**2 - chamber**2) ** 0.5
        twist = angle + 0.3 * strength * systole
        place = (x, y)
        return [
            body,
            *spots,
            Ellipse(0.15, *place, grown, aspect * grown, twist),
            Ellipse(0.4, *place, inner, aspect * inner, twist),
        ]

    return at


#: A function of a source of random numbers for each kind of motion. It returns
#: one from the time, in periods from 0 to 1, to a list of ellipses.
SCENES = {
    'rotating': rotating,
    'breathing': breathing,
    'beating': beating,
}
