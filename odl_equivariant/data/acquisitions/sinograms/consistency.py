# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Whether line integrals can belong to their geometry, whatever the object.

The moments of the views of an object :math:`u`,

.. math::
    m_k(\theta) = \int p(\theta, s) P_k(s) \,\mathrm{d}s
    = \int u(x)\, P_k(x \cdot \theta) \,\mathrm{d}x,

are trigonometric polynomials of degree :math:`k`, with the parity of
:math:`k`, if :math:`P_k` is a polynomial of this degree and parity (Helgason
and Ludwig; see Natterer, *The Mathematics of Computerized Tomography*, Wiley
1986, theorem II.4.2). This holds on each interval of angles, so that a limited
range is no exception. Rays of a fan are sorted by their angle and distance
first: the moments are then means over short intervals of angles that all
elements of the detector see,

.. math::
    \int m_k(\theta) w(\theta) \,\mathrm{d}\theta = \iint g(\beta, \gamma)\,
    P_k(s(\gamma))\, w(\beta + \gamma)\, |s'(\gamma)|
    \,\mathrm{d}\gamma \,\mathrm{d}\beta,

which need no interpolation.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from odl_equivariant.data.acquisitions.sinograms.rotation_axis import minimum

__all__ = (
    'Inconsistency',
    'Lines',
    'find_inconsistency',
    'misfits',
    'shift_by_moments',
)

# Orders of the moments.
N_ORDERS = 5
# Error probability of the test of one order, and the part of the mass from
# which an error counts: scattered and polychromatic rays, sources that drift
# and shadows of neighbouring elements give up to 0.26 % in measured scans.
_PROBABILITY, _LEAST_ERROR = 1e-7, 3e-3
# What such errors usually are.
_USUAL_ERROR = 1.5e-3
# Elements and intervals of angles that are enough for moments.
_MOST_ELEMENTS, _MOST_INTERVALS, _FEWEST = 128, 40, 8
# Half the width of an interval, in steps of the views.
_HALF_WIDTH = 1.5
# So much of the mass is outside of the circle on which moments are scaled.
_OUTSIDE = 1e-3
# Sums over a shadow of so many elements have this error, times their number
# to the power of -3/2, as its edge is like a root.
_SAMPLING = 0.3
# What is tried as an explanation: factors of the angles, and shifts.
_FACTORS, _DEGREES = (0.5, 2.0), (math.pi / 180, 180 / math.pi)
_N_TRIED = 25


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines of a scan in the plane, sorted by views.

    Attributes
    ----------
    angles : numpy.ndarray
        Increasing angles of the views, in radians, of shape ``(n_views,)``.
    distances : numpy.ndarray
        Signed distances of the lines from the axis, of shape
        ``(n_elements,)``.
    turns : numpy.ndarray or None
        What is added to the angle of the view, for each element; ``None``
        for parallel beams.
    """

    angles: np.ndarray
    distances: np.ndarray
    turns: np.ndarray | None = None

    @classmethod
    def of_description(cls, values, shift=0.0):
        """Return the lines of a description in 2D, or ``None``.

        Parameters
        ----------
        values : dict
            Description in its normal form, see `normalised_description`.
        shift : float, optional
            Shift of the detector, in addition to its offset.
        """
        if values['kind'] not in ('parallel', 'fan'):
            return None
        angles = values['angles']
        if isinstance(angles, dict):
            angles = angles['first'] + angles['step'] * np.arange(angles['n'])
        n, width = values['n_detectors'], values['detector_width']
        u = (np.arange(n) - (n - 1) / 2) * width + shift
        u += values['detector_offset']
        angles = np.asarray(angles, dtype=float)
        if values['kind'] == 'parallel':
            return cls(angles, u)
        source = values['source_radius']
        length = source + values['detector_radius']
        curvature = values.get('curvature_radius')
        if curvature is None:
            fan = np.arctan2(u, length)
        else:
            # the centre of the detector's circle lies on the central ray
            x, y = curvature * np.sin(u / curvature), np.cos(u / curvature)
            fan = np.arctan2(x, length + curvature * (y - 1))
        return cls(angles, source * np.sin(fan), -fan)

    def scaled(self, factor):
        """Return the lines for other angles of the views."""
        return dataclasses.replace(self, angles=factor * self.angles)


@dataclasses.dataclass(frozen=True)
class Inconsistency:
    """How far data are from those of any object in their geometry.

    Attributes
    ----------
    errors : tuple of float
        For the moments of order 0, 1, ... their smooth part that no object
        has, relative to the sum of a view; empty if there are too few views.
    significant : tuple of bool
        Whether the error is more than noise and than what real scans have.
    cause : str or None
        Which change of the geometry explains the errors: ``'axis'``,
        ``'angles'`` or ``'order'``; ``'readings'`` if only the sums of the
        views are wrong; ``None`` if nothing explains them.
    value : float or None
        What belongs to the cause: the shift of the detector, in units of
        length, or the factor of the angles.
    """

    errors: tuple[float, ...] = ()
    significant: tuple[bool, ...] = ()
    cause: str | None = None
    value: float | None = None

    def __bool__(self) -> bool:
        """Return whether the data cannot belong to the geometry."""
        return any(self.significant)

    def __str__(self) -> str:
        """Say what is wrong, and what to do."""
        if not self:
            return 'the data can belong to their geometry'
        worst = max(range(len(self.errors)), key=self.errors.__getitem__)
        found = (
            f'the moments of order {worst} of the views have an error of '
            f'{100 * self.errors[worst]:.2g} % that is not noise and that no '
            'object has in this geometry'
        )
        hints = {
            'axis': f'. A detector that is shifted by {self.value or 0:.4g} '
            'explains it: look for the axis of rotation by `find_axis`',
            'angles': f'. Angles that are {self.value or 0:.4g} times as '
            'large explain it: check their range and unit',
            'order': '. Views in the reversed order explain it: check the '
            'sense of rotation, or reverse the elements, `data[:, ::-1]`',
            'readings': ': the sums of the views differ. Does the source '
            'drift, or is a part of the object not seen in some views',
        }
        return found + hints.get(
            self.cause or '',
            ': check angles, axis of rotation, order of the views, and '
            'whether the data are line integrals',
        )


def misfits(lines, data):
    """Return how far moments are from those of an object, order by order.

    Parameters
    ----------
    lines : Lines
        Lines of the data.
    data : numpy.ndarray
        Line integrals, of shape ``(n_views, n_elements)``.

    Returns
    -------
    orders : list of tuple
        For each order: the residual as a vector of white noise where the
        data have some; an orthonormal basis of smooth residuals; the root
        mean square of the smooth part, relative to the moment of order 0;
        and the number of degrees of freedom. Empty for too few views.
    """
    data, s, turns = _binned(lines, np.asarray(data, dtype=float))
    mass = np.abs(data).sum(axis=0)
    if not mass.any():
        return []
    radius = _radius(s, mass)
    weights = np.abs(np.gradient(s))
    polynomials = _chebyshev(s / radius)
    if turns is None:
        angles, half = lines.angles, 0.0
        moments = (weights * polynomials) @ data.T
        square = np.square(weights * polynomials).sum(axis=1)
        roots = [math.sqrt(q) * np.eye(len(angles)) for q in square]
    else:
        found = _intervals(lines.angles, turns)
        if found is None:
            return []
        angles, half = found
        moments, covariances = _means(
            lines.angles, turns, data, weights * polynomials, angles, half
        )
        roots = [np.linalg.cholesky(c) for c in covariances]
    if len(angles) < _FEWEST:
        return []
    size = math.sqrt(np.mean(moments[0] ** 2))
    result = []
    for order, (moment, root) in enumerate(zip(moments, roots, strict=True)):
        allowed, smooth = _functions(order, angles, half)
        part = _residual(moment, root, allowed, smooth)
        if part is None or size == 0:
            return []
        residual, basis, freedom = part
        error = root @ (basis @ (basis.T @ residual))
        result.append(
            (residual, basis, math.sqrt(np.mean(error**2)) / size, freedom)
        )
    return result


def find_inconsistency(values, data):
    """Return how far data are from those of any object.

    Parameters
    ----------
    values : dict
        Description of the geometry in its normal form.
    data : numpy.ndarray
        Line integrals, of shape ``(n_views, n_elements)``; the detector sees
        the whole object.

    Returns
    -------
    inconsistency : Inconsistency
        It is false where the geometry is not in 2D or there are fewer than
        eight views.
    """
    lines = Lines.of_description(values)
    if lines is None:
        return Inconsistency()
    errors, significant = _tested(lines, data)
    if not any(significant):
        return Inconsistency(errors, significant)
    cause, value = _explanation(values, lines, data, errors)
    if cause is None and not any(significant[1:]):
        cause = 'readings'
    return Inconsistency(errors, significant, cause, value)


def _tested(lines, data):
    """Return the errors of all orders, and which of them count."""
    from scipy import special

    largest = np.maximum(np.abs(data).max(axis=1), 1e-300)
    shadow = max(1.0, float(np.median(np.abs(data).sum(axis=1) / largest)))
    least_error = _LEAST_ERROR + _SAMPLING * shadow**-1.5
    errors, significant = [], []
    for residual, basis, error, freedom in misfits(lines, data):
        smooth = basis.T @ residual
        n = basis.shape[1]
        rest = max(residual @ residual - smooth @ smooth, 1e-300)
        # the F-distribution of the ratio of both mean squares
        share = rest / (rest + smooth @ smooth)
        probability = special.betainc(freedom / 2, n / 2, share)
        errors.append(error)
        significant.append(
            bool(probability < _PROBABILITY and error > least_error)
        )
    return tuple(errors), tuple(significant)


def _explanation(values, lines, data, errors):
    """Return which other geometry could have these data, and by how much."""

    def worst(lines):
        found, significant = _tested(lines, data)
        return math.inf if not found or any(significant) else max(found)

    factors = list(_DEGREES)
    factor = _best(lambda f: _total(lines.scaled(f), data)[0], *_FACTORS)
    factors += [] if factor is None else [factor]
    candidates = [(worst(lines.scaled(f)), 'angles', f) for f in factors]
    if lines.turns is not None:
        turned = dataclasses.replace(lines, turns=-lines.turns)
        candidates.append((worst(turned), 'order', None))
    if 'curvature_radius' not in values:
        reach = values['n_detectors'] * values['detector_width'] / 8
        shift = _best_shift(values, data, reach)
        if shift is not None:
            shifted = Lines.of_description(values, shift)
            candidates.append((worst(shifted), 'axis', shift))
    after, cause, value = min(candidates, key=lambda found: found[0])
    return (cause, value) if after < max(errors) else (None, None)


def _total(lines, data):
    """Return the sum of squares of all residuals, and its freedom."""
    orders = misfits(lines, data)
    if not orders:
        return math.inf, 1
    squares = sum(float(order[0] @ order[0]) for order in orders)
    freedom = sum(order[3] + order[1].shape[1] for order in orders)
    # a longer range of angles has more intervals
    return squares / freedom, freedom


def _best(function, low, high, tolerance=1e-3):
    """Return where a function is least, or ``None`` if it is infinite."""
    places = np.linspace(low, high, _N_TRIED)
    values = [function(place) for place in places]
    if not np.isfinite(values).any():
        return None
    best, step = places[int(np.argmin(values))], places[1] - places[0]
    return float(
        minimum(
            function, max(best - step, low), min(best + step, high), tolerance
        )
    )


def _best_shift(values, data, reach):
    """Return the shift of the detector with the least residuals."""
    return _best(
        lambda s: _total(Lines.of_description(values, s), data)[0],
        -reach,
        reach,
        0.02 * values['detector_width'],
    )


def shift_by_moments(values, data, reach):
    """Return the shift of the detector for which moments fit best.

    Parameters
    ----------
    values : dict
        Description of a geometry with a flat detector, in its normal form.
    data : numpy.ndarray
        Line integrals, of shape ``(n_views, n_elements)``; the detector sees
        the whole object.
    reach : float
        How far to search to both sides.

    Returns
    -------
    shift, uncertainty : float or None
        Shift in the unit of the description, and its standard deviation from
        the noise of the moments and from the errors of real scans; ``None``
        for too few views.
    """
    shift = _best_shift(values, data, reach)
    if shift is None:
        return None
    step = values['detector_width']
    before, least, after = (
        math.prod(_total(Lines.of_description(values, shift + s), data))
        for s in (-step, 0.0, step)
    )
    freedom = _total(Lines.of_description(values, shift), data)[1]
    curvature = max(before + after - 2 * least, 1e-300) / step**2
    noise = math.sqrt(2 * least / freedom / curvature)
    # order 1 is the one that tells most
    before, after = (
        misfits(Lines.of_description(values, shift + s), data)[1]
        for s in (0.0, step)
    )
    change = np.sqrt(max(after[2] ** 2 - before[2] ** 2, 1e-300)) / step
    return shift, math.hypot(noise, _USUAL_ERROR / change)


def _binned(lines, data):
    """Return data, distances and turns of fewer elements."""
    factor = max(1, data.shape[1] // _MOST_ELEMENTS)
    kept = data.shape[1] // factor * factor

    def means(values):
        return (
            values[..., :kept]
            .reshape(*values.shape[:-1], -1, factor)
            .mean(axis=-1)
        )

    rest = data[:, kept:]
    binned = means(data)
    if rest.size:
        # nothing is left out: the last element stands for those at the end
        binned[:, -1] += rest.sum(axis=1) / factor
    turns = None if lines.turns is None else means(lines.turns)
    return binned, means(lines.distances), turns


def _radius(s, mass):
    """Return the radius of a circle that all lines with an object meet."""
    order = np.argsort(-np.abs(s))
    outside = np.cumsum(mass[order]) / mass.sum()
    return abs(s[order[np.searchsorted(outside, _OUTSIDE)]]) or 1.0


def _chebyshev(x):
    """Return the polynomials of the second kind, order by order."""
    found = [np.ones_like(x), 2 * x]
    while len(found) < N_ORDERS:
        found.append(2 * x * found[-1] - found[-2])
    return np.stack(found)


def _intervals(angles, turns):
    """Return the middles of intervals, and half of their width."""
    step = float(np.median(np.diff(angles))) if len(angles) > 1 else math.inf
    low = angles[0] - step / 2 + turns.max()
    high = angles[-1] + step / 2 + turns.min()
    if not high - low > step:
        return None
    n = (high - low) / (_HALF_WIDTH * step) - 1
    n = min(int(n), _MOST_INTERVALS)
    if n < _FEWEST:
        return None
    half = (high - low) / (n + 1)
    return low + half * np.arange(1, n + 1), half


def _means(angles, turns, data, weights, middles, half):
    """Return means of the moments, and their covariances for unit noise."""
    widths = np.gradient(angles)
    moments = np.zeros((N_ORDERS, len(middles)))
    covariances = np.zeros((N_ORDERS, len(middles), len(middles)))
    before = None
    for i, middle in enumerate(middles):
        first, last = np.searchsorted(
            angles, [middle - half - turns.max(), middle + half - turns.min()]
        )
        places = (angles[first:last, None] + turns - middle) / half
        bump = _bump(places) / half * widths[first:last, None]
        moments[:, i] = weights @ (bump * data[first:last]).sum(axis=0)
        square = (bump**2).sum(axis=0)
        covariances[:, i, i] = weights**2 @ square
        if before is not None:
            start, former = before
            common = former[first - start :]
            product = (common * bump[: len(common)]).sum(axis=0)
            value = weights**2 @ product
            covariances[:, i, i - 1] = covariances[:, i - 1, i] = value
        before = first, bump
    return moments, covariances


def _bump(x):
    return np.where(np.abs(x) < 1, 0.5 + 0.5 * np.cos(math.pi * x), 0.0)


def _functions(order, angles, half):
    """Return trigonometric polynomials, and other smooth functions."""
    low, length = angles[0], angles[-1] - angles[0]
    n_smooth = math.ceil(length / math.pi * (order + 2)) + 3
    n_smooth = min(n_smooth, len(angles) // 3)
    frequencies = np.arange(order % 2, order + 1, 2)
    allowed = np.concatenate(
        [
            np.cos(np.outer(angles, frequencies)),
            np.sin(np.outer(angles, frequencies[frequencies > 0])),
        ],
        axis=1,
    )
    allowed *= _damping(
        half * np.concatenate([frequencies, frequencies[frequencies > 0]])
    )
    own = math.pi / length * np.arange(n_smooth)
    return allowed, np.cos(np.outer(angles - low, own)) * _damping(half * own)


def _damping(x):
    """Return the means of waves over an interval, relative to its middle."""
    # the Fourier transform of `_bump`, whose zeros at pi are no zeros
    near = np.abs(np.abs(x) - math.pi) < 1e-3
    x = np.where(near, 0.0, x)
    values = np.sinc(x / math.pi) / (1 - (x / math.pi) ** 2)
    return np.where(near, 0.5, values)


def _residual(moment, root, allowed, smooth):
    """Return the whitened residual, its smooth part's basis and freedom."""
    columns = np.linalg.solve(root, np.column_stack([moment, allowed, smooth]))
    y, allowed, smooth = np.split(columns, [1, 1 + allowed.shape[1]], axis=1)
    known = np.linalg.qr(allowed)[0]
    size = np.linalg.norm(smooth, 2)
    y, smooth = (v - known @ (known.T @ v) for v in (y, smooth))
    basis, values, _ = np.linalg.svd(smooth, full_matrices=False)
    basis = basis[:, values > 1e-3 * size]
    freedom = len(y) - known.shape[1] - basis.shape[1]
    if freedom < _FEWEST // 2 or not basis.shape[1]:
        return None
    return y[:, 0], basis, freedom
