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

from odl_equivariant.data.acquisitions.sinograms.kinds import (
    are_counts,
    are_negated,
    are_transposed,
    is_log10,
    swapping_views,
)
from odl_equivariant.data.acquisitions.sinograms.moments import (
    FEWEST,
    chebyshev,
    intervals,
    mass_radius,
    means_of_moments,
    smooth_functions,
    whitened_residual,
)
from odl_equivariant.data.acquisitions.sinograms.rotation_axis import minimum

__all__ = (
    'IMPOSSIBLE',
    'Inconsistency',
    'Lines',
    'find_inconsistency',
    'find_wrong_kind',
    'misfits',
    'shift_by_moments',
)

# Error probability of the test of one order, and the part of the mass from
# which an error counts: scattered and polychromatic rays, sources that drift
# and shadows of neighbouring elements give up to 0.26 % in measured scans.
_PROBABILITY, _LEAST_ERROR = 1e-7, 3e-3
# What such errors usually are.
_USUAL_ERROR = 1.5e-3
# Elements that are enough for moments.
_MOST_ELEMENTS = 128
# Sums over a shadow of so many elements have this error, times their number
# to the power of -3/2, as its edge is like a root.
_SAMPLING = 0.3
# Causes for which no image is right, whatever the geometry.
IMPOSSIBLE = ('sign', 'counts', 'transposed')
# What is tried as an explanation: factors of the angles, and shifts.
_FACTORS, _DEGREES = (0.5, 2.0), (math.pi / 180, 180 / math.pi)
_N_TRIED = 25
# Views that are looked at to tell what data are.
_MOST_VIEWS = 200


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
        ``'angles'``, ``'order'`` or ``'detector'``; ``'readings'`` if only
        the sums of the views are wrong; ``None`` if nothing explains them.
        Or what data are instead of line integrals, which shows without the
        geometry: ``'sign'``, ``'counts'``, ``'transposed'``, ``'zigzag'`` or
        ``'logarithm'``. Then there are no errors.
    value : float or None
        What belongs to the cause: the shift of the detector, in units of
        length, the factor of the angles, or the share of the steps between
        views that reverse the detector.
    """

    errors: tuple[float, ...] = ()
    significant: tuple[bool, ...] = ()
    cause: str | None = None
    value: float | None = None

    def __bool__(self) -> bool:
        """Return whether the data cannot belong to the geometry."""
        return any(self.significant) or self.cause is not None

    def __str__(self) -> str:
        """Say what is wrong, and what to do."""
        if not self:
            return 'the data can belong to their geometry'
        if self.cause in _KINDS:
            return _KINDS[self.cause].format(100 * (self.value or 0))
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
            'detector': '. A reversed detector explains it: reverse the '
            'elements, `data[:, ::-1]`, or the sign of the detector offset',
            'readings': ': the sums of the views differ. Does the source '
            'drift, or is a part of the object not seen in some views',
        }
        return found + hints.get(
            self.cause or '',
            ': check angles, axis of rotation, order of the views, and '
            'whether the data are line integrals',
        )


_KINDS = {
    'sign': 'the sums of the views are negative, and no attenuation has such '
    'line integrals: are these logarithms without the minus sign? Pass '
    '`-data`',
    'counts': 'both ends of the views are equally bright, the object is '
    'darker, and logarithms of the data are those of an object: these are '
    'readings of a detector, and not line integrals. Pass the result of '
    '`line_integrals(data, dark, white)`, or name them counts',
    'transposed': 'some views see no object, and others do, but the columns '
    'of the data have equal sums: the axes are swapped. Pass `data.T`, of '
    'shape (views, detector elements), or `data.swapaxes(0, 1)` of slices',
    'zigzag': 'in {:.0f} % of the steps from one view to the next, the '
    'detector is reversed, as in a scan to and fro: reverse these views, such '
    'as `data[1::2] = data[1::2, ::-1]`',
    'logarithm': 'the noise grows with the data like that of logarithms to '
    'the base of ten, as that of photons does not for natural ones: if they '
    'are, multiply data by log(10) = 2.303, else attenuation is too small by '
    'that',
}


def find_wrong_kind(data, angles=None):
    """Return what data are if they are no line integrals of attenuation.

    Parameters
    ----------
    data : numpy.ndarray
        Data of shape ``(n_views, n_elements)``.
    angles : numpy.ndarray, optional
        Angles of the views, in radians, see `swapping_views`.

    Returns
    -------
    inconsistency : Inconsistency
        It has no errors. Its cause is ``None`` if the data can be line
        integrals; see the module `kinds` for what is tested.
    """
    # enough to tell, and quick
    few = data[:: max(1, len(data) // _MOST_VIEWS)]
    if are_negated(few):
        return Inconsistency(cause='sign')
    if are_counts(few):
        return Inconsistency(cause='counts')
    if are_transposed(data):
        return Inconsistency(cause='transposed')
    share = swapping_views(data, angles)
    if share:
        return Inconsistency(cause='zigzag', value=share)
    if is_log10(few):
        return Inconsistency(cause='logarithm')
    return Inconsistency()


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
    radius = mass_radius(s, mass)
    weights = np.abs(np.gradient(s))
    polynomials = chebyshev(s / radius)
    if turns is None:
        angles, half = lines.angles, 0.0
        moments = (weights * polynomials) @ data.T
        square = np.square(weights * polynomials).sum(axis=1)
        roots = [math.sqrt(q) for q in square]
    else:
        found = intervals(lines.angles, turns)
        if found is None:
            return []
        angles, half = found
        moments, covariances = means_of_moments(
            lines.angles, turns, data, weights * polynomials, angles, half
        )
        roots = [np.linalg.cholesky(c) for c in covariances]
    if len(angles) < FEWEST:
        return []
    size = math.sqrt(np.mean(moments[0] ** 2))
    result = []
    for order, (moment, root) in enumerate(zip(moments, roots, strict=True)):
        allowed, smooth = smooth_functions(order, angles, half)
        part = whitened_residual(moment, root, allowed, smooth)
        if part is None or size == 0:
            return []
        residual, basis, freedom = part
        error = basis @ (basis.T @ residual)
        error = root * error if np.ndim(root) == 0 else root @ error
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
    if values['detector_offset']:
        flipped = dataclasses.replace(
            lines,
            distances=lines.distances[::-1],
            turns=None if lines.turns is None else lines.turns[::-1],
        )
        candidates.append((worst(flipped), 'detector', None))
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
