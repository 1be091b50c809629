# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Filtered back-projection for any views, on any array back-end."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import odl
from odl.applications.tomo import (
    ConeBeamGeometry,
    FanBeamGeometry,
    Parallel2dGeometry,
    RayTransform,
)
from odl.applications.tomo.backends.astra_cpu import AstraCpuImpl
from odl.applications.tomo.backends.skimage_radon import SkImageImpl

from odl_equivariant._checked_operator import CheckedComposition
from odl_equivariant._degrees import are_round, ask_for_degrees
from odl_equivariant._types import FilterType, Operator
from odl_equivariant._warnings import warn_user
from odl_equivariant.actions._rays import detector_offset
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.ray.astra_matrix import AstraMatrixImpl
from odl_equivariant.operators.ray.cone.feldkamp import ConeRays, Feldkamp
from odl_equivariant.operators.ray.fan_backprojection import (
    FanBackProjection,
    Resampling,
)
from odl_equivariant.operators.ray.fan_rays import FanRays
from odl_equivariant.operators.ray.geometry import full_cells
from odl_equivariant.operators.ray.ramp_filter import RampFilter
from odl_equivariant.operators.ray.view_weights import (
    Scan,
    measured_share,
    ray_weights,
)

__all__ = ('LimitedAngleWarning', 'filtered_backprojection')

# So many views or detector elements more or less do not matter.
_FEW = 2
# Views of fewer directions show profiles, not an image. Directions that differ
# by less, in radians, are one.
_FEWEST_DIRECTIONS, _SAME_DIRECTION = 3, 1e-3


class LimitedAngleWarning(UserWarning):
    """The views leave out lines that a reconstruction needs."""


def _radii(space, centre):
    """Return the radii of the circles inside and around a field of view."""
    low, high = full_cells(space.partition)
    inside = max(0.0, float(min((centre - low).min(), (high - centre).min())))
    corner = np.maximum(np.abs(low - centre), np.abs(high - centre))
    return inside, float(np.linalg.norm(corner))


def _check_angles(scan, edges, margin, inside, is_fan=False):
    """Warn if lines through the middle of the image are not measured."""
    n = _n_directions(scan.angles)
    if n < _FEWEST_DIRECTIONS:
        warn_user(
            f'the views have {"one direction" if n == 1 else "two directions"}'
            f', and an image needs {_FEWEST_DIRECTIONS} at least: filtered '
            'back-projection smears their profiles along the rays',
            LimitedAngleWarning,
        )
        return
    reach = max(0.0, min(inside, max(map(abs, edges)) - margin))
    if measured_share(scan, edges, reach, is_fan, slack=_FEW) > 0.995:
        return
    share = measured_share(scan, edges, reach, is_fan)
    needed = 180 + 2 * math.degrees(reach) if is_fan else 180
    why = ''
    if min(-edges[0], edges[1]) < reach - margin:
        # half a turn later, the other side of the detector sees them
        needed = 360
        why = ', since the axis is projected beside the middle of the detector'
    warn_user(
        f'the views cover {math.degrees(scan.length):.0f} degrees, where '
        f'{needed:.0f} are needed{why}, and {100 * share:.0f} % of the lines '
        'through the middle of the image are measured: filtered '
        'back-projection leaves out the others, so that values are off and '
        'edges are missing',
        LimitedAngleWarning,
    )


def _n_directions(angles):
    """Return the number of different directions, or `_FEWEST_DIRECTIONS`."""
    angles = np.sort(np.mod(angles, math.pi))
    # what is near 0 and near pi is one direction
    start = np.argmax(np.diff(angles, prepend=angles[-1] - math.pi))
    angles = np.mod(np.roll(angles, -start) - angles[start], math.pi)
    n = 1
    # neighbours of many views are near each other, others are not
    while n < _FEWEST_DIRECTIONS and angles[-1] > _SAME_DIRECTION:
        angles = angles[angles > _SAME_DIRECTION]
        angles, n = angles - angles[0], n + 1
    return n


def _collapsed(weights):
    """Return equal weights as one number, or as one for each view."""
    if np.ptp(weights) <= 1e-9 * np.abs(weights).max():
        return float(weights.mean())
    if (np.ptp(weights, axis=1) <= 1e-9 * np.abs(weights).max()).all():
        return weights.mean(axis=1, keepdims=True)
    return weights


def _parallel(ray_transform, filter_type, frequency_scaling):
    geometry, space = ray_transform.geometry, ray_transform.domain
    data_space = ray_transform.range
    detector = geometry.det_partition
    step = float(detector.cell_sides[0])
    centre = np.asarray(geometry.translation, dtype=float)
    offset = detector_offset(geometry)
    edges = tuple(offset + float(end[0]) for end in full_cells(detector))
    implementation = ray_transform._impl_type
    if issubclass(implementation, (AstraCpuImpl, SkImageImpl)) and (
        abs(edges[0] + edges[1]) > 1e-3 * step or np.any(centre)
    ):
        raise ValueError(
            f'the back-end {ray_transform.impl!r} takes the detector for '
            'centred, got one from '
            f'{edges[0]:g} to {edges[1]:g} beside the centre of rotation '
            f"{centre.tolist()}; take impl='astra_matrix'"
        )
    inside, around = _radii(space, centre)
    scan = Scan.of_partition(geometry.motion_partition, math.pi)
    _check_angles(scan, edges, _FEW * step, inside)
    nodes = np.asarray(detector.coord_vectors[0], dtype=float)
    weights = ray_weights(scan, edges, (offset + nodes)[None, :])

    reach = min(max(map(abs, edges)), around)
    before = _elements((edges[0] + reach) / step)
    after = _elements((reach - edges[1]) / step)
    if before or after:
        ray_transform = _with_more_elements(ray_transform, before, after)
    area, before_adjoint, after_adjoint = _transpose_weights(
        ray_transform, implementation
    )
    weights = weights * (step / area)
    if np.size(before_adjoint) == 1:
        weights = weights * before_adjoint
        before_adjoint = None
    ramp = RampFilter(
        data_space,
        filter_type,
        frequency_scaling,
        _collapsed(weights),
        step,
        range=ray_transform.range,
        before=before,
        after=before_adjoint,
    )
    operator = ray_transform.adjoint * ramp
    if after_adjoint is None:
        return operator
    layout, _ = layouts(ray_transform)
    factor = layout.element(after_adjoint.to(layout.dtype)[None])
    return odl.MultiplyOperator(factor, space, space) * operator


def _elements(number):
    """Return how many elements a detector lacks on one side."""
    return 0 if number <= _FEW else math.ceil(number)


def _with_more_elements(ray_transform, before, after):
    """Return the ray transform with a longer detector."""
    geometry = ray_transform.geometry
    low, high = (float(end[0]) for end in full_cells(geometry.det_partition))
    size = geometry.det_partition.shape[0]
    step = (high - low) / size
    detector = odl.uniform_partition(
        low - before * step, high + after * step, before + size + after
    )
    longer = Parallel2dGeometry(
        geometry.motion_partition,
        detector,
        geometry.det_pos_init,
        det_axis_init=geometry.det_axis_init,
        translation=geometry.translation,
    )
    return RayTransform(
        ray_transform.domain,
        longer,
        impl=ray_transform._impl_type,
        use_cache=ray_transform.use_cache,
    )


def _transpose_weights(ray_transform, implementation):
    """Return what makes the adjoint the transpose of the matrix.

    The adjoint contains the weights of the spaces, which are not the measures
    of cells: ODL treats cells of volume 1 as unweighted, gives all views the
    same weight, and halves the cells at a boundary that contains nodes.

    Returns
    -------
    area : float
        Area of a pixel.
    before : float or numpy.ndarray
        Factor of the data.
    after : torch.Tensor or None
        Factor of the image, where it is not everywhere the same.
    """
    space, data_space = ray_transform.domain, ray_transform.range
    partition = space.partition
    if not issubclass(implementation, AstraMatrixImpl):
        area = float(np.prod(partition.extent / partition.shape))
        volume = float(space.weighting.const)
        return area, volume / float(data_space.weighting.const), None
    area = float(np.prod(partition.cell_sides))
    before = 1 / inner_product_weights(data_space)[0].numpy()
    after = inner_product_weights(space)[0]
    if after.numel() > 1:
        return area, before, after
    return area, before * float(after), None


def _fan(ray_transform, filter_type, frequency_scaling):
    geometry, space = ray_transform.geometry, ray_transform.domain
    data_space = ray_transform.range
    rays = FanRays.of_geometry(geometry)
    radius = float(rays.radii.mean())
    circles = _radii(space, np.asarray(geometry.translation, dtype=float))
    if rays.radii.min() <= circles[0]:
        raise ValueError(
            'filtered back-projection needs sources outside of the image, '
            f'got one at the distance {rays.radii.min():g} from the centre '
            f'of rotation, from where the image reaches {circles[0]:g} or '
            'more to all sides; are all lengths of the geometry and of the '
            'space in the same unit?'
        )
    inside, around = (math.asin(min(1.0, r / radius)) for r in circles)
    scan = Scan.of_partition(geometry.motion_partition, 2 * math.pi)
    margin = _FEW * (rays.edges[1] - rays.edges[0]) / data_space.shape[1]
    _check_angles(scan, rays.edges, margin, inside, True)
    weights = ray_weights(scan, rays.edges, rays.fan_angles, rays.fan_angles)
    weights = weights * np.cos(rays.fan_angles)
    # the distances in the back-projection are in mean radii
    weights = weights * (rays.radii / radius)[:, None]
    is_flat = rays.distances is not None
    if not is_flat:
        weights = weights / radius * (rays.step.mean() / rays.step)[:, None]
    reach = min(max(map(abs, rays.edges)), around)
    before, after = map(_elements, rays.missing(reach))
    size = before + data_space.shape[1] + after
    filtered = odl.tensor_space(
        (data_space.shape[0], size),
        dtype=data_space.dtype_identifier,
        impl=data_space.impl,
        device=data_space.device,
    )
    ramp = RampFilter(
        data_space,
        filter_type,
        frequency_scaling,
        weights,
        float(rays.step.mean()),
        is_angle=not is_flat,
        range=filtered,
        before=before,
    )
    rays = dataclasses.replace(rays, first=rays.first - before * rays.step)
    operator = FanBackProjection(filtered, space, rays) * ramp
    if rays.places is None:
        return operator
    return operator * Resampling(data_space, rays.places)


def _cone(ray_transform, filter_type, frequency_scaling):
    geometry, space = ray_transform.geometry, ray_transform.domain
    data_space = ray_transform.range
    rays = ConeRays.of_geometry(geometry)
    centre = np.asarray(geometry.translation, dtype=float)
    low, high = full_cells(space.partition)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))) - centre[
        :, None, None, None
    ]  # fmt: skip
    axis = np.asarray(geometry.axis, dtype=float)
    corners = corners.reshape(3, -1).T
    around = np.linalg.norm(
        corners - np.outer(corners @ axis, axis), axis=1
    ).max()
    if rays.radius <= around:
        raise ValueError(
            'the reconstruction of Feldkamp needs sources outside of the '
            f'volume, got some at the distance {rays.radius:g} from the axis, '
            f'to which the volume reaches {around:g}; are all lengths of the '
            'geometry and of the space in the same unit?'
        )
    scan = Scan.of_partition(geometry.motion_partition, 2 * math.pi)
    margin = _FEW * (rays.edges[1] - rays.edges[0]) / data_space.shape[1]
    inside = math.asin(around / math.sqrt(2) / rays.radius)
    _check_angles(scan, rays.edges, margin, inside, True)
    weights = ray_weights(scan, rays.edges, rays.fan_angles, rays.fan_angles)
    weights = weights[..., None] * rays.cosines()
    row = odl.uniform_discr_frompartition(
        odl.uniform_partition([0, 0], [1, 1], data_space.shape[:2]),
        dtype=data_space.dtype_identifier,
        impl=data_space.impl,
        device=data_space.device,
    )
    ramp = RampFilter(row, filter_type, frequency_scaling, step=rays.step[0])
    return Feldkamp(data_space, space, rays, ramp, weights, centre)


def filtered_backprojection(
    ray_transform: RayTransform,
    filter_type: FilterType = 'Hann',
    frequency_scaling: float = 1.0,
) -> Operator:
    r"""Return the filtered back-projection of a ray transform.

    Its scale comes from the geometry alone: the unit of the image is the unit
    of the data divided by the unit of length, whatever the weights of the
    spaces. Each view is weighted by the angle that it covers. Each line counts
    once, however often it is measured.

    Parameters
    ----------
    ray_transform : odl.applications.tomo.RayTransform
        Two-dimensional, with parallel beams or a fan beam on a flat or a
        curved detector, elements of equal size, and views at any angles. Or
        with a cone beam on a flat detector, whose sources move on a circle.
    filter_type : {'Ram-Lak', 'Shepp-Logan', 'Cosine', 'Hamming', 'Hann'}
        Window on the ramp, from sharp to smooth.
    frequency_scaling : float, optional
        Cutoff of the window, as a share of the detector's highest
        frequency, in (0, 1].

    Returns
    -------
    operator : odl.Operator
        Linear operator from ``ray_transform.range`` to
        ``ray_transform.domain``, with its adjoint.

    Raises
    ------
    ValueError
        If the geometry is of another kind, the elements of the detector are
        not of equal size, sources of a fan lie inside of the image, the
        window is unknown, or the cutoff is out of range. Also if a detector
        of parallel beams is not centred and the back-end assumes that it is
        (``'astra_cpu'``, ``'skimage'``).

    Warns
    -----
    LimitedAngleWarning
        If some lines through the middle of the image are not measured from
        either side, or all views have one or two directions.
    UserWarning
        If the views span more than 20 full turns, and their span is a
        number with one decimal place or their step a whole number: angles
        are in radians, and these may be degrees.

    Notes
    -----
    With the kernel :math:`h` of the band-limited ramp, detector width
    :math:`d`, and the weight :math:`w` of a ray, parallel beams give

    .. math::
        u(x) = \sum_i (h * w_i y_i)(\langle x, e_i \rangle), \quad
        h(0) = \frac{1}{4 d}, \quad
        h(nd) = -\frac{1}{(\pi n)^2 d} \text{ for odd } n,
        \text{ else } 0,

    where the sum is the transpose of the ray transform's matrix, times
    :math:`d` over the area of a pixel. Fan beams at the distance :math:`R`
    from the centre of rotation, with the angle :math:`\gamma` to the ray
    through it, give

    .. math::
        u(x) = \sum_i \frac{R D}{\langle x - s_i, n_i \rangle^2}
        (h * w_i \cos(\gamma) y_i)(x)

    on a flat detector at the distance :math:`D` from the source, with the
    unit normal :math:`n_i`, and on a curved one with equal angles
    :math:`\alpha`

    .. math::
        u(x) = \sum_i \frac{R}{|x - s_i|^2}
        (g * w_i \cos(\gamma) y_i)(x), \quad
        g(n \alpha) = \Big(\frac{n \alpha}{\sin n \alpha}\Big)^2
        h(n \alpha),

    and in 3D, with the cosine of the angle to the middle plane as another
    factor, the reconstruction of Feldkamp, Davis and Kress, *Practical
    cone-beam algorithm* (J. Opt. Soc. Am. A 1, 1984, 612-619). Data are
    interpolated linearly at the projection of each pixel (Kak and Slaney,
    *Principles of Computerized Tomographic Imaging*, 1988, sections 3.3 and
    3.4). If the detector is curved about another point than the source, the
    data are interpolated to equal angles first.

    The weight of a ray is the width of its view's cell, which ends half-way
    to the next view, times its share of the line. The shares of all rays along
    a line add up to one. On closed circles they are equal. If the scan ends
    within the second half turn, they fall smoothly to zero, like Parker's
    weights (*Medical Physics* 9, 1982, 254-257). They also fall to zero at the
    end of a detector that is shifted to one side and sees the other half of
    the object half a turn later.

    **Limits.** Views are missing if they cover less than :math:`\pi` for
    parallel beams, less than :math:`\pi` plus the angle of the fan for fan
    beams, or leave a gap. Then the measured lines keep their weights and do
    not replace the missing lines: the mean of the image is too small in
    proportion, and edges along the missing lines are lost. If the detector is
    too short for the object on both sides, values are too large towards its
    ends. There is no warning, since nothing is known outside of the detector.
    Few views leave streaks, without a warning either, if they have three
    directions or more.
    Pixels outside of the circle that all views see are not correct either.
    Sources must move on circles about the centre of rotation; several
    circles, as for a flying focal spot, are allowed.

    Examples
    --------
    A disc of value 1 in units of pixels, over a full turn:

    >>> import numpy as np
    >>> from odl.applications import tomo
    >>> space = odl.uniform_discr(
    ...     [-32, -32], [32, 32], (64, 64), dtype='float32')
    >>> geometry = tomo.FanBeamGeometry(
    ...     odl.uniform_partition(0, 2 * np.pi, 90),
    ...     odl.uniform_partition(-80, 80, 120), src_radius=120, det_radius=80)
    >>> ray_transform = tomo.RayTransform(
    ...     space, geometry, impl='astra_matrix')
    >>> disc = space.element(lambda x: 1.0 * (x[0]**2 + x[1]**2 < 400))
    >>> image = filtered_backprojection(ray_transform)(ray_transform(disc))
    >>> round(float(image.data[24:40, 24:40].mean()), 2)
    1.0
    """
    geometry = getattr(ray_transform, 'geometry', None)
    if not isinstance(ray_transform, RayTransform) or not isinstance(
        geometry, (Parallel2dGeometry, FanBeamGeometry, ConeBeamGeometry)
    ):
        raise ValueError(
            'filtered back-projection needs a ray transform with parallel '
            'beams or a fan beam in 2D, or with a cone beam, got '
            f'{type(ray_transform).__name__} with the geometry '
            f'{type(geometry).__name__}'
        )
    if not geometry.det_partition.is_uniform:
        raise ValueError(
            'filtered back-projection needs detector elements of equal size, '
            f'got the partition {geometry.det_partition!r}'
        )
    if are_round(geometry.angles):
        ask_for_degrees(geometry.angles, geometry)
    make = _parallel
    if isinstance(geometry, ConeBeamGeometry):
        make = _cone
    elif isinstance(geometry, FanBeamGeometry):
        make = _fan
    operator = make(ray_transform, filter_type, frequency_scaling)
    if isinstance(operator, odl.OperatorComp):
        return CheckedComposition(operator.left, operator.right)
    return operator
