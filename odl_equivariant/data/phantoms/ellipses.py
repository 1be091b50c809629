# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random phantoms that resemble slices of computed tomography."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import odl

from odl_equivariant._checks import one_of
from odl_equivariant._types import Element, PhantomKind, Random
from odl_equivariant.data._checks import shape_and_space
from odl_equivariant.data.phantoms.bodies import paint_abstract, paint_body
from odl_equivariant.data.phantoms.canvas import Canvas
from odl_equivariant.data.phantoms.heads import paint_head
from odl_equivariant.elements import element_from_array

__all__ = ('ellipse_phantom',)

PAINTERS = {
    'head': paint_head,
    'body': paint_body,
    'abstract': paint_abstract,
}
KINDS = tuple(PAINTERS)


def ellipse_phantom(
    shape_or_space: Sequence[int] | odl.DiscretizedSpace,
    rng: Random = None,
    kind: PhantomKind | None = None,
) -> np.ndarray | Element:
    """Return a random phantom made of ellipses, for learned tomography.

    Values are linear attenuation relative to a maximum of 81.35858 per metre
    (the scale that `SparseViewCT` takes): air is exactly 0, fat about 0.22,
    soft tissue 0.24 to 0.28, bone 0.3 to 0.8. A body of nested, smoothly
    bent ellipses and superellipses is surrounded by air. It contains organs of
    high and low contrast, sharp and soft edges, cavities, thin lines, small
    bright spots and textures. A table or a headrest may lie below it. Bodies
    are upright up to a few degrees.

    Parameters
    ----------
    shape_or_space : tuple of 2 ints, or odl.DiscretizedSpace
        Shape of the phantom, or a real two-dimensional space for it. The
        field of view is the largest central square.
    rng : int, numpy.random.Generator or None, optional
        Seed or source of randomness. The same seed gives about the same
        phantom at every resolution.
    kind : {'head', 'body', 'abstract'}, optional
        Family of the phantom. Default: a random one, ``'head'`` with
        probability 1/2, each of the others with probability 1/4.

    Returns
    -------
    phantom : numpy.ndarray or element of the space
        float32 array of the given shape, or an element of the given space,
        with values in [0, 1].

    Raises
    ------
    TypeError
        If the first argument is neither a shape nor a space.
    ValueError
        If the shape is not two sizes of at least 8, the space is not real
        and two-dimensional, or the kind is unknown.

    Notes
    -----
    Edges are as sharp as the grid. `SparseViewCT.simulate` expects a grid
    twice as fine as that of the reconstruction. Then edges are smooth in the
    image on the coarser grid.

    Examples
    --------
    >>> phantom = ellipse_phantom((96, 64), rng=1)
    >>> phantom.shape, phantom.dtype
    ((96, 64), dtype('float32'))
    >>> float(phantom[0, 0]), float(phantom.max()) > 0.25
    (0.0, True)

    A phantom in an ODL space:

    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (64, 64))
    >>> ellipse_phantom(space, rng=1) in space
    True
    """
    shape, space = shape_and_space(shape_or_space)
    one_of('kind', kind, KINDS, optional=True)
    rng = np.random.default_rng(rng)
    drawn = rng.choice(KINDS, p=[0.5, 0.25, 0.25])
    kind = str(drawn) if kind is None else kind

    canvas = Canvas(shape)
    PAINTERS[kind](canvas, rng)
    # The point spread of a scanner, and phantoms without one.
    canvas.blur(int(rng.integers(0, 4)))
    image = np.clip(canvas.image, 0, 1)
    if space is None:
        return image
    return element_from_array(image, space)
