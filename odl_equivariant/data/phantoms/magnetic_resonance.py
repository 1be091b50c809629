# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random phantoms that resemble T1-weighted magnetic resonance images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
import odl
import scipy.ndimage

from odl_equivariant._checks import one_of
from odl_equivariant._types import Element, PhantomKind, Random
from odl_equivariant.data._checks import shape_and_space
from odl_equivariant.data._fields import random_texture, smooth_phase
from odl_equivariant.data.phantoms.canvas import Canvas
from odl_equivariant.data.phantoms.ellipses import KINDS, PAINTERS
from odl_equivariant.data.phantoms.tissues import softness
from odl_equivariant.elements import element_from_array

__all__ = ('mr_phantom',)

# Attenuation from and up to which the painters draw each tissue.
LUNG = (0.02, 0.1)
FAT = (0.2, 0.235)
SOFT = (0.243, 0.25, 0.256, 0.262, 0.268, 0.285)
MARROW = (0.31, 0.42)
CORTICAL = (0.48, 1.0)


@overload
def mr_phantom(
    shape_or_space: Sequence[int],
    rng: Random = None,
    kind: PhantomKind | None = None,
    phase: bool = False,
) -> np.ndarray: ...


@overload
def mr_phantom(
    shape_or_space: odl.DiscretizedSpace,
    rng: Random = None,
    kind: PhantomKind | None = None,
    phase: bool = False,
) -> Element: ...


def mr_phantom(
    shape_or_space: Sequence[int] | odl.DiscretizedSpace,
    rng: Random = None,
    kind: PhantomKind | None = None,
    phase: bool = False,
) -> np.ndarray | Element:
    """Return a random phantom that resembles a T1-weighted MR image.

    Bodies are drawn as in `ellipse_phantom`, without a table. Each tissue has
    a random intensity: air is 0, cortical bone and lungs are dark, and soft
    tissues differ by a random amount. Fat and marrow are brighter than soft
    tissue, or darker if fat is suppressed. Brains have folds of grey and white
    matter with fluid between them. Trunks have mottled regions as in the
    mesentery. Both have enhanced organs and small vessels, bright or void. The
    image is multiplied by a smooth bias field. Edges do not ring.

    Parameters
    ----------
    shape_or_space : tuple of 2 ints, or odl.DiscretizedSpace
        Shape of the phantom, or a real or complex two-dimensional space for
        it. The field of view is the largest central square.
    rng : int, numpy.random.Generator or None, optional
        Seed or source of randomness. The same seed gives about the same
        phantom at every resolution, except for the scale of its values.
    kind : {'head', 'body', 'abstract'}, optional
        Family of the phantom. Default: a random one, ``'body'`` with
        probability 0.5, ``'head'`` with probability 0.35.
    phase : bool, optional
        If ``True``, the phantom is complex, with a random smooth phase.
        Otherwise, its imaginary part in a complex space is 0.

    Returns
    -------
    phantom : numpy.ndarray or element of the space
        Array of the given shape, float32, or complex64 if it has a phase; or
        an element of the given space. The largest magnitude is 1.

    Raises
    ------
    TypeError
        If the first argument is neither a shape nor a space.
    ValueError
        If the shape is not two sizes of at least 8, the space is not
        two-dimensional, a phantom with a phase is to lie in a real space, or
        the kind is unknown.

    Examples
    --------
    >>> phantom = mr_phantom((96, 64), rng=1)
    >>> phantom.shape, phantom.dtype, float(phantom.max())
    ((96, 64), dtype('float32'), 1.0)
    >>> mr_phantom((96, 64), rng=1, phase=True).dtype
    dtype('complex64')

    A phantom in a complex ODL space:

    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (64, 64), dtype=complex)
    >>> mr_phantom(space, rng=1) in space
    True
    """
    shape, space = shape_and_space(shape_or_space, real=False)
    one_of('kind', kind, KINDS, optional=True)
    if phase and space is not None and space.is_real:
        raise ValueError(
            'a phantom with a phase is complex: `space` must be a complex '
            f'space, got dtype {space.dtype_identifier!r}'
        )
    rng = np.random.default_rng(rng)
    drawn = rng.choice(KINDS, p=[0.35, 0.5, 0.15])
    kind = str(drawn) if kind is None else kind

    canvas = Canvas(shape)
    inside = PAINTERS[kind](canvas, rng, support=False)
    outside = canvas.image == 0
    soft = rng.uniform(0.15, 0.4)
    suppressed = rng.uniform() < 0.5
    fat = soft * (rng.uniform(0.2, 0.8) if suppressed else rng.uniform(1.2, 2))
    canvas.image = _intensities(canvas.image, rng, soft, fat)
    if kind == 'head':
        _paint_folds(canvas, rng, soft, inside)
    elif rng.uniform() < 0.7:
        _paint_mottles(canvas, rng, soft, fat, inside & ~outside)
    _paint_organs(canvas, rng, soft, inside, rng.integers(0, 5))
    _paint_vessels(canvas, rng, soft, inside, rng.integers(0, 40))
    grain = random_texture(shape, rng, 3, rng.uniform(60, 150), 1.0)
    canvas.image *= np.maximum(1 + rng.uniform(0, 0.1) * grain, 0)
    bias = random_texture(shape, rng, 0.5, 1.5, 1.0)
    canvas.image *= np.exp(rng.uniform(0, 0.35) * bias)
    canvas.blur(int(rng.integers(0, 4)))
    image = np.maximum(canvas.image, 0)
    image /= max(float(image.max()), 1e-6)
    if phase:
        image = image * smooth_phase(shape, rng)
    if space is None:
        return image
    return element_from_array(image, space)


def _intensities(attenuation, rng, soft, fat):
    """Return the image with the intensity of each tissue."""
    spread = rng.uniform(0.05, 0.35)
    marrow = fat * rng.uniform(0.5, 1) + soft * rng.uniform(0, 0.3)
    values = [
        (0.0, 0.0),
        *((x, soft * rng.uniform(0.05, 0.3)) for x in LUNG),
        *((x, fat * rng.uniform(0.85, 1.15)) for x in FAT),
        *((x, soft * np.exp(spread * rng.standard_normal())) for x in SOFT),
        *((x, marrow * rng.uniform(0.8, 1.2)) for x in MARROW),
        *((x, soft * rng.uniform(0, 0.3)) for x in CORTICAL),
    ]
    return np.interp(attenuation, *zip(*values, strict=True)).astype(
        np.float32
    )


def _paint_folds(canvas, rng, soft, where):
    """Draw grey and white matter and the fluid between the folds."""
    if not where.any() or rng.uniform() < 0.25:
        return
    depth = scipy.ndimage.distance_transform_edt(where) * canvas.step
    low = rng.uniform(3, 9)
    # The furrows are where a random field is 0: long and winding lines.
    field = np.abs(
        random_texture(canvas.shape, rng, low, low * rng.uniform(1.3, 2))
    )
    # None of them reaches the middle, which is white.
    field += np.float32(rng.uniform(1, 6)) * np.maximum(
        depth - rng.uniform(0.1, 0.35), 0
    ).astype(np.float32)
    fluid = soft * rng.uniform(0.1, 0.6)
    grey, white = soft * rng.uniform(1, 1.7), soft * rng.uniform(1.4, 2.3)
    furrow, sheet = rng.uniform(0, 0.25), rng.uniform(0.3, 0.7)
    sharp = rng.uniform(0.03, 0.2)
    folds = np.interp(
        field,
        [furrow, furrow + sharp, sheet, sheet + sharp],
        [fluid, grey, grey, white],
    ).astype(np.float32)
    share = np.float32(rng.uniform(0.5, 1))
    canvas.image[where] += share * (folds - canvas.image)[where]


def _paint_mottles(canvas, rng, soft, fat, where):
    """Draw regions in which fat and bowel or vessels alternate."""
    for _ in range(rng.integers(1, 4)):
        region = where & canvas.mask(
            tuple(rng.uniform(-0.5, 0.5, 2)),
            tuple(rng.uniform(0.1, 0.6, 2)),
            rng.uniform(0, np.pi),
        )
        low = rng.uniform(4, 25)
        field = random_texture(
            canvas.shape, rng, low, low * rng.uniform(1.5, 4), 0.5
        )
        edge = rng.uniform(-0.5, 0.8)
        mottles = np.interp(
            field[region],
            [edge, edge + rng.uniform(0.1, 1.5), edge + 2.5],
            [fat, soft * rng.uniform(0.7, 1.5), soft * rng.uniform(0.7, 2)],
        )
        canvas.image[region] = mottles


def _paint_organs(canvas, rng, soft, where, count):
    """Draw organs that a contrast agent enhances, such as kidneys."""
    for _ in range(count):
        center = rng.uniform(-0.6, 0.6, 2)
        size = rng.uniform(0.05, 0.3)
        axes = (size, size * rng.uniform(0.4, 1))
        turn = rng.uniform(0, np.pi)
        value = soft * rng.uniform(1.2, 3.5)
        edge = softness(rng, 0.5, 0.3)
        texture = random_texture(canvas.shape, rng, 3, rng.uniform(20, 80), 1)
        texture = (value * rng.uniform(0, 0.15), texture)
        canvas.fill(
            center, axes, value, turn, soft=edge, where=where, texture=texture
        )
        if rng.uniform() < 0.6:
            # Cortex and medulla, or a cyst.
            share = rng.uniform(0.3, 0.8)
            canvas.fill(
                center + size * rng.uniform(-0.1, 0.1, 2),
                (axes[0] * share, axes[1] * share),
                value * rng.uniform(0.3, 1.1),
                turn,
                soft=softness(rng, 0.7, 0.6),
                where=where,
                texture=texture,
            )


def _paint_vessels(canvas, rng, soft, where, count):
    """Draw vessels, bright or void, across and along the slice."""
    for _ in range(count):
        start = rng.uniform(-0.7, 0.7, 2)
        size = rng.uniform(0.004, 0.03) * rng.uniform(0.4, 1)
        bright = rng.uniform() < 0.7
        value = soft * (rng.uniform(1.2, 4) if bright else rng.uniform(0, 0.5))
        if rng.uniform() < 0.5:
            canvas.fill(
                start,
                (size * rng.uniform(1, 2), size),
                value,
                rng.uniform(0, np.pi),
                soft=softness(rng, largest=0.8),
                where=where,
            )
            continue
        bearing = rng.uniform(0, 2 * np.pi)
        for _ in range(rng.integers(1, 7)):
            # A chain of straight parts, which the canvas bends.
            bearing += rng.normal(0, 0.4)
            reach = rng.uniform(0.03, 0.12)
            stop = start + reach * np.array([np.cos(bearing), np.sin(bearing)])
            canvas.line(start, stop, value, size, where=where)
            start = stop
