# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Phantoms of trunks, and of plain nested ellipses."""

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

__all__ = ('paint_abstract', 'paint_body')


def paint_body(canvas, rng, support=True):
    """Draw a trunk: fat, muscle, ribs, spine, lungs or bowels.

    Returns a mask of its cavity. Without ``support`` there is no table.
    """
    textures = Textures(canvas.shape, rng)
    center = tuple(rng.normal(0, 0.04, 2))
    width = rng.uniform(0.65, 0.95)
    axes = (width, width * rng.uniform(0.6, 0.9))
    if rng.uniform() < 0.1:
        axes = axes[::-1]
    angle = rng.normal(0, 0.07)
    power = rng.choice([2.0, 2.5, 3.0])

    if support:
        paint_support(canvas, rng, center[1] - axes[1])
    canvas.warp(rng, rng.uniform(0, 0.12))
    canvas.fill(center, axes, rng.uniform(0.24, 0.27), angle, power)
    canvas.fill(
        center,
        scaled(axes, 1 - rng.uniform(0.01, 0.03)),
        rng.uniform(0.205, 0.235),
        angle,
        power,
        texture=(rng.uniform(0, 0.01), textures.tissue),
    )
    depth = rng.uniform(0.04, 0.25)
    wall = scaled(axes, 1 - depth)
    canvas.fill(
        center,
        wall,
        rng.uniform(0.248, 0.268),
        angle,
        power,
        texture=(rng.uniform(0.001, 0.008), textures.tissue),
    )
    inner_axes = scaled(wall, rng.uniform(0.75, 0.92))
    inner = canvas.mask(center, inner_axes, angle, power)
    canvas.fill(
        center,
        inner_axes,
        rng.choice([0.215, 0.225, 0.25, 0.26]),
        angle,
        power,
        texture=(rng.uniform(0.001, 0.01), textures.tissue),
    )
    a, b = inner_axes
    if rng.uniform() < 0.5:
        _paint_lungs(canvas, rng, center, inner_axes, textures, inner)
    else:
        for _ in range(rng.integers(0, 6)):
            size = min(a, b) * rng.uniform(0.05, 0.2)
            paint_air(
                canvas,
                rng,
                inside_ellipse(
                    rng, (center[0], center[1] + b / 4), (a, 0.7 * b), angle
                ),
                (size, size * rng.uniform(0.4, 1)),
                rng.uniform(0, np.pi),
                where=inner,
            )
    for _ in range(rng.integers(2, 9)):
        size = min(a, b) * rng.uniform(0.1, 0.5)
        canvas.fill(
            inside_ellipse(rng, center, inner_axes, angle, 0.75),
            (size, size * rng.uniform(0.4, 1)),
            rng.uniform(0.244, 0.285),
            rng.uniform(0, np.pi),
            soft=softness(rng, 0.3),
            where=inner,
            texture=(rng.uniform(0, 0.006), textures.tissue),
        )
    paint_details(
        canvas,
        rng,
        center,
        inner_axes,
        angle,
        inner,
        rng.uniform(0.003, 0.03),
        int(rng.integers(3, 20)),
    )

    if rng.uniform() < 0.7:
        rib = min(a, b) * rng.uniform(0.03, 0.07)
        count = int(rng.integers(4, 18))
        for bearing in np.linspace(0, 2 * np.pi, count, endpoint=False):
            place = on_ellipse(
                center,
                scaled(inner_axes, 1.06),
                angle,
                bearing + rng.normal(0, 0.1),
            )
            paint_bone(
                canvas,
                rng,
                place,
                (rib * rng.uniform(1, 3.5), rib),
                textures,
                bearing + np.pi / 2 + rng.normal(0, 0.2),
            )
    # The spine is at the back, which is down.
    size = min(a, b) * rng.uniform(0.13, 0.25)
    spine = (
        center[0] + rng.normal(0, 0.02),
        center[1] - b * rng.uniform(0.55, 0.8),
    )
    paint_bone(
        canvas,
        rng,
        (spine[0], spine[1] - 1.6 * size),
        (0.25 * size, 0.8 * size),
        textures,
        rng.normal(0, 0.1),
    )
    for sign in (-1, 1):
        paint_bone(
            canvas,
            rng,
            (spine[0] + sign * size, spine[1] - 0.9 * size),
            (0.8 * size, 0.22 * size),
            textures,
            sign * 0.4,
        )
    paint_bone(
        canvas,
        rng,
        spine,
        (size * rng.uniform(1, 1.3), size),
        textures,
        power=rng.choice([2.0, 2.5]),
    )
    canvas.fill(
        (spine[0], spine[1] - size),
        scaled((size, size), 0.45),
        rng.uniform(0.245, 0.26),
    )
    return inner


def _paint_lungs(canvas, rng, center, axes, textures, where):
    a, b = axes
    value = rng.uniform(0.02, 0.09)
    for sign in (-1, 1):
        size = (a * rng.uniform(0.25, 0.42), b * rng.uniform(0.5, 0.85))
        place = (
            center[0] + sign * a * rng.uniform(0.45, 0.6),
            center[1] + b * rng.uniform(-0.1, 0.15),
        )
        tilt = sign * rng.uniform(0, 0.3)
        canvas.fill(
            place,
            size,
            value,
            tilt,
            2.5,
            where=where,
            texture=(rng.uniform(0.002, 0.015), textures.tissue),
        )
        lung = canvas.mask(place, size, tilt, 2.5) & where
        for _ in range(rng.integers(8, 30)):
            # Vessels, finer towards the rim.
            spot = inside_ellipse(rng, place, size, tilt, 0.95)
            vessel = rng.uniform(0.003, 0.02)
            canvas.fill(
                spot,
                (vessel, vessel * rng.uniform(1, 4)),
                rng.uniform(0.12, 0.26),
                rng.uniform(0, np.pi),
                soft=softness(rng, largest=0.8),
                where=lung,
            )


def paint_abstract(canvas, rng, support=True):
    """Draw a plain body with many ellipses of every contrast.

    Returns a mask of them. Without ``support`` there is no table.
    """
    textures = Textures(canvas.shape, rng)
    center = tuple(rng.normal(0, 0.08, 2))
    axes = tuple(rng.uniform(0.4, 0.93, 2))
    angle = rng.normal(0, 0.15)
    power = rng.choice([2.0, 2.0, 2.5, 4.0])
    if support:
        paint_support(canvas, rng, center[1] - axes[1])
    canvas.warp(rng, rng.uniform(0, 0.12))
    body = canvas.mask(center, axes, angle, power)
    shell = rng.uniform() < 0.4
    value = rng.uniform(0.35, 0.7) if shell else rng.uniform(0.2, 0.28)
    canvas.fill(
        center,
        axes,
        value,
        angle,
        power,
        soft=0.0 if shell else softness(rng, 0.3, 0.1),
    )
    inner_axes = scaled(axes, 1 - rng.uniform(0.02, 0.1))
    inner = canvas.mask(center, inner_axes, angle, power)
    canvas.fill(
        center,
        inner_axes,
        rng.uniform(0.2, 0.28),
        angle,
        power,
        soft=softness(rng, 0.3, 0.05),
        texture=(rng.uniform(0, 0.01), textures.tissue),
    )
    region = inner if shell else body
    for _ in range(rng.integers(5, 35)):
        size = min(axes) * 0.6 * rng.uniform(0.05, 1) ** 2
        place = inside_ellipse(rng, center, axes, angle)
        shape = (size, size * rng.uniform(0.2, 1))
        turn = rng.normal(0, 0.6)
        power = rng.choice([2.0, 2.0, 4.0])
        draw = rng.uniform()
        if draw < 0.5:
            canvas.fill(
                place,
                shape,
                rng.uniform(0.2, 0.3),
                turn,
                power,
                soft=softness(rng),
                where=region,
                texture=(rng.uniform(0, 0.01), textures.tissue),
            )
        elif draw < 0.65:
            paint_air(canvas, rng, place, shape, turn, power, region)
        elif draw < 0.85:
            paint_bone(
                canvas, rng, place, shape, textures, turn, power, region
            )
        elif draw < 0.92:
            paint_air_cells(canvas, rng, place, shape, textures, turn, region)
        else:
            canvas.ring(
                place,
                shape,
                rng.uniform(0.1, 0.8),
                rng.uniform(0.006, 0.03),
                turn,
                where=region,
            )
    paint_details(
        canvas,
        rng,
        center,
        axes,
        angle,
        region,
        rng.uniform(0.002, 0.05),
        int(rng.integers(5, 25)),
    )
    return region
