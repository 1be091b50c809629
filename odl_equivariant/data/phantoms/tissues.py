# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Materials and parts of phantoms, for all families."""

import numpy as np

from odl_equivariant.data._fields import random_texture

__all__ = (
    'Textures',
    'inside_ellipse',
    'on_ellipse',
    'paint_air',
    'paint_air_cells',
    'paint_bone',
    'paint_details',
    'paint_support',
    'scaled',
    'softness',
)


class Textures:
    """The random fields that give materials their texture.

    Parameters
    ----------
    shape : tuple of 2 ints
        Shape of the fields.
    rng : numpy.random.Generator
        Source of randomness.
    """

    def __init__(self, shape, rng):
        # Slow clouds with finer grain, as in brain, muscle and fat.
        self.tissue = random_texture(
            shape,
            rng,
            rng.uniform(1, 6),
            rng.uniform(60, 150),
            rng.uniform(0.7, 1.6),
        )
        # A narrow band: the struts of cancellous bone and air cells.
        coarse = rng.uniform(10, 35)
        self.struts = random_texture(
            shape, rng, coarse, coarse * rng.uniform(1.5, 3.5)
        )


def inside_ellipse(rng, center, axes, angle, reach=0.9):
    """Return a random point inside an ellipse, uniformly distributed.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    center, axes : tuple of 2 floats
        Centre and semi-axes, in the coordinates of a `Canvas`.
    angle : float
        Angle of the first axis with the x axis, in radians.
    reach : float, optional
        Factor of the semi-axes; below 1, points keep off the edge.
    """
    radius = reach * np.sqrt(rng.uniform())
    bearing = rng.uniform(0, 2 * np.pi)
    u = axes[0] * radius * np.cos(bearing)
    v = axes[1] * radius * np.sin(bearing)
    cos, sin = np.cos(angle), np.sin(angle)
    return (center[0] + cos * u - sin * v, center[1] + sin * u + cos * v)


def on_ellipse(center, axes, angle, bearing):
    """Return the point of an ellipse at a bearing.

    Parameters
    ----------
    center, axes, angle
        The ellipse, see `inside_ellipse`.
    bearing : float
        Parameter of the point in radians, 0 at the end of the first axis.
    """
    u, v = axes[0] * np.cos(bearing), axes[1] * np.sin(bearing)
    cos, sin = np.cos(angle), np.sin(angle)
    return (center[0] + cos * u - sin * v, center[1] + sin * u + cos * v)


def scaled(axes, factor):
    """Return the semi-axes of a shape, both multiplied by one factor."""
    return (axes[0] * factor, axes[1] * factor)


def softness(rng, probability=0.5, largest=0.5):
    """Return a random width over which an edge fades; 0 is a sharp edge."""
    if rng.uniform() < probability:
        return rng.uniform(0.1, 1) * largest
    return 0.0


def paint_support(canvas, rng, body_bottom):
    """Draw a table, a headrest or nothing below the body, at random.

    Parameters
    ----------
    canvas : Canvas
        Where to draw; it is changed.
    rng : numpy.random.Generator
        Source of randomness.
    body_bottom : float
        Lowest y coordinate of the body.
    """
    draw = rng.uniform()
    if draw < 0.45:
        return
    if draw < 0.75:
        # An arc that holds the body, around a centre above it.
        radius = rng.uniform(0.6, 1.4)
        bottom = max(body_bottom - rng.uniform(-0.02, 0.06), -0.98)
        center = (rng.normal(0, 0.05), bottom + radius)
        half = rng.uniform(0.4, 1.1)
        middle = -np.pi / 2 + rng.normal(0, 0.05)
        sector = (middle - half, middle + half)
        canvas.ring(
            center,
            (radius, radius),
            rng.uniform(0.01, 0.15),
            rng.uniform(0.02, 0.09),
            sector=sector,
        )
        if rng.uniform() < 0.5:
            canvas.ring(
                center,
                (radius, radius),
                rng.uniform(0.1, 0.3),
                rng.uniform(0.006, 0.015),
                sector=sector,
            )
    else:
        # A flat table of foam between two skins.
        height = max(body_bottom - rng.uniform(0.0, 0.08), -0.95)
        thick = rng.uniform(0.03, 0.1)
        half = rng.uniform(0.4, 1.2)
        canvas.fill(
            (0, height - thick / 2),
            (half, thick / 2),
            rng.uniform(0.01, 0.06),
            power=8.0,
        )
        skin = rng.uniform(0.1, 0.35)
        for level in (height, height - thick):
            canvas.line(
                (-half, level), (half, level), skin, rng.uniform(0.006, 0.015)
            )


def paint_details(canvas, rng, center, axes, angle, where, contrast, count):
    """Draw organs of low contrast, lines and spots inside a region."""
    for _ in range(count):
        size = min(axes) * rng.uniform(0.05, 0.5) * rng.uniform(0.4, 1)
        place = inside_ellipse(rng, center, axes, angle)
        shape = (size, size * rng.uniform(0.3, 1))
        turn = rng.uniform(0, np.pi)
        step = rng.choice([-1, 1]) * contrast * rng.uniform(0.2, 1)
        canvas.fill(
            place,
            shape,
            step,
            turn,
            power=rng.choice([2.0, 2.0, 4]),
            soft=softness(rng),
            where=where,
            add=True,
        )
        if rng.uniform() < 0.3:
            # An organ in the organ, of opposite contrast.
            canvas.fill(
                place,
                scaled(shape, rng.uniform(0.3, 0.7)),
                -1.5 * step,
                turn,
                soft=softness(rng),
                where=where,
                add=True,
            )
    for _ in range(rng.integers(0, 4)):
        start = inside_ellipse(rng, center, axes, angle)
        stop = inside_ellipse(rng, start, scaled(axes, 0.5), angle)
        canvas.line(
            start,
            stop,
            rng.choice([0.24, 0.25, 0.275, 0.29]),
            rng.uniform(0.004, 0.02),
            where=where,
        )
    for _ in range(rng.integers(0, 5)):
        place = inside_ellipse(rng, center, axes, angle)
        size = rng.uniform(0.004, 0.025)
        canvas.fill(
            place,
            (size, size * rng.uniform(0.4, 1)),
            rng.uniform(0.28, 0.75),
            rng.uniform(0, np.pi),
            soft=softness(rng, largest=1.0),
            where=where,
        )


def paint_bone(
    canvas, rng, center, axes, textures, angle=0.0, power=2.0, where=None
):
    """Draw a bone with a dense rim and a marrow of struts.

    Parameters
    ----------
    canvas : Canvas
        Where to draw; it is changed.
    rng : numpy.random.Generator
        Source of the densities.
    center, axes, angle, power
        Outline of the bone, a superellipse.
    textures : Textures
        Texture of the marrow.
    where : numpy.ndarray of bool, optional
        Pixels that may be drawn. Default: all.
    """
    dense = rng.uniform(0.38, 0.65)
    canvas.fill(
        center,
        axes,
        dense,
        angle,
        power,
        soft=softness(rng, 0.4, 0.3),
        where=where,
        texture=(rng.uniform(0, 0.04), textures.tissue),
    )
    rim = min(rng.uniform(0.01, 0.03) / min(axes), 0.6)
    if rng.uniform() < 0.75:
        # Marrow between struts, or marrow and denser bone in clouds.
        texture = textures.struts if rng.uniform() < 0.5 else textures.tissue
        canvas.fill(
            center,
            scaled(axes, 1 - rim),
            rng.uniform(0.28, 0.42),
            angle,
            power,
            soft=softness(rng, 0.5, 0.4),
            where=where,
            texture=(rng.uniform(0.005, 0.05), texture),
        )


def paint_air(canvas, rng, center, axes, angle=0.0, power=2.0, where=None):
    """Draw an air cavity, sometimes with a lining and a fluid level."""
    if rng.uniform() < 0.4:
        canvas.fill(
            center,
            scaled(axes, rng.uniform(1.05, 1.3)),
            rng.uniform(0.24, 0.27),
            angle,
            power,
            where=where,
        )
    canvas.fill(
        center,
        axes,
        rng.choice([0.0, 0.0, 0.01, 0.03]),
        angle,
        power,
        soft=softness(rng, 0.3, 0.3),
        where=where,
    )
    if rng.uniform() < 0.3:
        # Fluid gathers at the bottom.
        cavity = canvas.mask(center, axes, angle, power)
        level = axes[1] * rng.uniform(0.1, 0.9)
        canvas.fill(
            (center[0], center[1] - axes[1] - level / 2),
            (2 * max(axes), level),
            rng.uniform(0.245, 0.26),
            power=8.0,
            where=cavity,
        )


def paint_air_cells(
    canvas, rng, center, axes, textures, angle=0.0, where=None
):
    """Draw bone with many air cells, as behind the ear.

    Parameters
    ----------
    canvas, rng, center, axes, textures, angle, where
        As for `paint_bone`.
    """
    region = canvas.mask(center, axes, angle)
    if where is not None:
        region &= where
    field = textures.struts
    canvas.image[region] = (
        rng.uniform(0.3, 0.45) + np.float32(0.06) * field[region]
    )
    wall = rng.uniform(-0.3, 0.6)
    # Partial filling at the walls, where cells are smaller than a pixel.
    keep = np.clip((wall - field[region]) * np.float32(3), 0, 1)
    canvas.image[region] *= keep
