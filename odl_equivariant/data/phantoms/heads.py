# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Phantoms of heads."""

import numpy as np

from odl_equivariant.data.phantoms.tissues import (
    Textures,
    inside_ellipse,
    on_ellipse,
    paint_air,
    paint_air_cells,
    paint_bone,
    paint_details,
    paint_support,
    scaled,
    softness,
)

__all__ = ('paint_head',)


def paint_head(canvas, rng, support=True):
    """Draw a head: scalp, skull with its base and sinuses, brain.

    Returns a mask of the brain. Without ``support`` there is no headrest.
    """
    textures = Textures(canvas.shape, rng)
    center = tuple(rng.normal(0, 0.04, 2))
    height = rng.uniform(0.65, 0.97)
    axes = (height / rng.uniform(1.0, 1.4), height)
    if rng.uniform() < 0.15:
        axes = axes[::-1]
    angle = rng.normal(0, 0.1)
    power = rng.choice([2.0, 2.0, 2.4, 3.0])

    if support:
        paint_support(canvas, rng, center[1] - axes[1])
    canvas.warp(rng, rng.uniform(0, 0.12))
    _paint_ears(canvas, rng, center, axes, angle)
    skin = rng.uniform(0.24, 0.275)
    canvas.fill(center, axes, skin, angle, power)
    body = canvas.mask(center, axes, angle, power)

    # Fat and muscle between skin and skull, thicker on one side.
    depth = rng.uniform(0.03, 0.2)
    canvas.fill(
        center,
        scaled(axes, 1 - rng.uniform(0.01, 0.035)),
        rng.uniform(0.205, 0.235),
        angle,
        power,
        texture=(rng.uniform(0, 0.01), textures.tissue),
    )
    for _ in range(rng.integers(0, 12)):
        place = on_ellipse(
            center,
            scaled(axes, 1 - depth / 2),
            angle,
            rng.uniform(0, 2 * np.pi),
        )
        size = rng.uniform(0.05, 0.35)
        canvas.fill(
            place,
            (size, rng.uniform(0.03, 0.15)),
            rng.uniform(0.245, 0.268),
            rng.uniform(0, np.pi),
            soft=softness(rng, 0.3),
            where=body,
            texture=(rng.uniform(0, 0.006), textures.tissue),
        )

    skull_axes = scaled(axes, 1 - depth)
    shift = rng.uniform(-0.6, 0.6, 2) * depth * min(axes)
    skull = (center[0] + 0.3 * shift[0], center[1] + shift[1])
    power = rng.choice([2.0, 2.0, 2.5])
    thickness = rng.uniform(0.03, 0.16)
    paint_bone(canvas, rng, skull, skull_axes, textures, angle, power, body)
    inner = canvas.mask(skull, scaled(skull_axes, 0.97), angle, power)

    # One brain cavity, or several fossae with the skull's base between.
    bottom = scaled(skull_axes, 1 - thickness)
    if rng.uniform() < 0.45:
        cavities = [(skull, bottom, angle)]
    else:
        cavities = _fossae(rng, skull, bottom, angle)
    brain_value = rng.uniform(0.253, 0.268)
    rim = 1 + rng.uniform(0.02, 0.06)
    dense = rng.uniform(0.4, 0.65)
    edge = softness(rng, 0.5, 0.03)
    for place, size, turn in cavities:
        canvas.fill(
            place, scaled(size, rim), dense, turn, soft=edge, where=inner
        )
    brain = np.zeros(canvas.shape, dtype=bool)
    for place, size, turn in cavities:
        brain |= canvas.mask(place, size, turn)
        canvas.fill(
            place,
            size,
            brain_value,
            turn,
            soft=edge,
            where=inner,
            texture=(rng.uniform(0.0005, 0.005), textures.tissue),
        )
    brain &= inner

    _paint_brain(canvas, rng, skull, bottom, angle, textures, brain)
    _paint_skull_base(
        canvas,
        rng,
        skull,
        skull_axes,
        angle,
        textures,
        inner,
        few=len(cavities) == 1,
    )
    return brain


def _fossae(rng, center, axes, angle):
    """Return a few overlapping or separate cavities inside the skull."""
    cavities = []
    a, b = axes
    if rng.uniform() < 0.7:
        # Back, two at the sides, and sometimes front.
        size = (a * rng.uniform(0.5, 0.8), b * rng.uniform(0.35, 0.55))
        cavities.append(((center[0], center[1] - b + size[1]), size, angle))
        side = (a * rng.uniform(0.25, 0.4), b * rng.uniform(0.2, 0.4))
        height = center[1] + b * rng.uniform(-0.1, 0.35)
        reach = (a - side[0]) * rng.uniform(0.75, 0.97)
        tilt = rng.uniform(-0.5, 0.5)
        for sign in (-1, 1):
            jitter = rng.normal(0, 0.02, 2)
            cavities.append(
                (
                    (center[0] + sign * reach + jitter[0], height + jitter[1]),
                    side,
                    angle + sign * tilt,
                )
            )
        if rng.uniform() < 0.6:
            front = (a * rng.uniform(0.15, 0.45), b * rng.uniform(0.2, 0.4))
            cavities.append(
                (
                    (
                        center[0] + rng.normal(0, 0.03),
                        center[1] + (b - front[1]) * 0.9,
                    ),
                    front,
                    angle,
                )
            )
    else:
        for _ in range(rng.integers(2, 6)):
            size = (a * rng.uniform(0.25, 0.7), b * rng.uniform(0.25, 0.7))
            place = inside_ellipse(
                rng, center, (a - size[0], b - size[1]), angle
            )
            cavities.append((place, size, angle + rng.normal(0, 0.4)))
    return cavities


def _paint_ears(canvas, rng, center, axes, angle):
    if rng.uniform() < 0.4:
        return
    bearing = rng.uniform(-0.6, 0.3)
    for turn in (bearing, np.pi - bearing):
        place = on_ellipse(center, axes, angle, turn + rng.normal(0, 0.05))
        for _ in range(rng.integers(1, 4)):
            offset = rng.normal(0, 0.04, 2)
            size = rng.uniform(0.02, 0.1)
            canvas.fill(
                (place[0] + offset[0], place[1] + offset[1]),
                (size * rng.uniform(0.3, 0.8), size),
                rng.uniform(0.15, 0.27),
                rng.normal(0, 0.5),
            )


def _paint_brain(canvas, rng, center, axes, angle, textures, where):
    """Draw the falx, ventricles and structures of low contrast."""
    a, b = axes
    if rng.uniform() < 0.5:
        canvas.line(
            (center[0], center[1] - b),
            (center[0], center[1] + b),
            rng.choice([0.248, 0.272, 0.28, 0.3]),
            rng.uniform(0.004, 0.02),
            where=where,
        )
    if rng.uniform() < 0.6:
        reach, height = a * rng.uniform(0.05, 0.3), b * rng.uniform(-0.4, 0.4)
        size = (a * rng.uniform(0.03, 0.12), b * rng.uniform(0.08, 0.35))
        tilt = rng.uniform(-0.6, 0.6)
        fluid = rng.uniform(0.243, 0.252)
        for sign in (-1, 1):
            canvas.fill(
                (center[0] + sign * reach, center[1] + height),
                size,
                fluid,
                angle + sign * tilt,
                soft=softness(rng, 0.4),
                where=where,
            )
    paint_details(
        canvas,
        rng,
        center,
        axes,
        angle,
        where,
        rng.uniform(0.002, 0.015),
        int(rng.integers(3, 18)),
    )


def _paint_skull_base(canvas, rng, center, axes, angle, textures, where, few):
    """Draw ridges, air cells, sinuses and teeth-like bright spots."""
    a, b = axes
    if rng.uniform() < (0.3 if few else 0.8):
        # Ridges that run from the sides to the middle, with air cells.
        height = b * rng.uniform(-0.5, 0.2)
        tilt = rng.uniform(0.1, 0.9)
        size = (a * rng.uniform(0.2, 0.4), b * rng.uniform(0.04, 0.13))
        cells = rng.uniform() < 0.7
        for sign in (-1, 1):
            place = (
                center[0] + sign * a * rng.uniform(0.55, 0.75),
                center[1] + height + rng.normal(0, 0.02),
            )
            paint_bone(
                canvas,
                rng,
                place,
                size,
                textures,
                angle - sign * tilt,
                where=where,
            )
            if cells:
                spot = (
                    place[0] + sign * size[0] * rng.uniform(0.2, 0.7),
                    place[1] - size[0] * rng.uniform(0, 0.5),
                )
                paint_air_cells(
                    canvas,
                    rng,
                    spot,
                    (
                        size[0] * rng.uniform(0.3, 0.7),
                        size[0] * rng.uniform(0.3, 0.9),
                    ),
                    textures,
                    rng.normal(0, 0.4),
                    where,
                )
    for _ in range(rng.integers(0, 4 if few else 9)):
        # Thin plates of bone.
        start = inside_ellipse(rng, center, axes, angle)
        stop = inside_ellipse(rng, start, scaled(axes, 0.3), angle)
        canvas.line(
            start,
            stop,
            rng.uniform(0.3, 0.6),
            rng.uniform(0.006, 0.03),
            where=where,
        )
    if rng.uniform() < (0.35 if few else 0.75):
        # Sinuses lie in front, which is up.
        for _ in range(rng.integers(1, 7)):
            place = (
                center[0] + a * rng.uniform(-0.6, 0.6),
                center[1] + b * rng.uniform(0.3, 0.9),
            )
            size = (a * rng.uniform(0.04, 0.25), b * rng.uniform(0.04, 0.2))
            turn = rng.normal(0, 0.5)
            power = rng.choice([2.0, 3.0])
            paint_bone(
                canvas,
                rng,
                place,
                scaled(size, rng.uniform(1.1, 1.5)),
                textures,
                turn,
                power,
                where,
            )
            paint_air(canvas, rng, place, size, turn, power, where)
    for _ in range(rng.integers(0, 5)):
        size = rng.uniform(0.006, 0.04)
        canvas.fill(
            inside_ellipse(rng, center, axes, angle),
            (size, size * rng.uniform(0.3, 1)),
            rng.uniform(0.45, 0.85),
            rng.uniform(0, np.pi),
            soft=softness(rng, largest=1.0),
            where=where,
        )
