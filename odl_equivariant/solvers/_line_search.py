# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Steps of proximal gradient methods, found by a line search."""

from __future__ import annotations

import math

import numpy as np

from odl_equivariant._checks import positive_number
from odl_equivariant.elements import tensor_dtype

__all__ = ('LineSearch', 'Trial')

# Bounds on how much of a step is left after it was too long.
_LEAST, _MOST = 0.1, 0.8
_GROWTH = 1.5
_MOST_TRIALS = 60
_MOST_SHORTENED = 5
# Part of the largest step that is taken where nothing is asked for.
_OF_LARGEST = 0.99
# Relative error of a value of a functional, in units of rounding.
_ROUNDING = 32


class Trial:
    """A proximal gradient step from a point.

    Attributes
    ----------
    start, end : element
        The point, and where the step leads.
    change : element
        Their difference.
    gradient : element
        Gradient at the point.
    squared : float
        Squared norm of the change.
    step : float
        The step.
    smooth : float
        Value of the smooth functional at the end; NaN if it is not known.
    """

    __slots__ = (
        'change',
        'end',
        'gradient',
        'smooth',
        'squared',
        'start',
        'step',
    )

    def __init__(self, problem, start, gradient, step):
        self.start, self.gradient, self.step = start, gradient, step
        descended = start.space.element()
        descended.lincomb(1, start, -step, gradient)
        self.end = problem.proximal(step, descended)
        self.change = self.end - start
        self.squared = problem.inner.squared_norm(self.change)
        self.smooth = math.nan


class LineSearch:
    """Finds the steps.

    Parameters
    ----------
    problem : Composite
        What is minimised.
    x : element
        Starting point.
    gamma : float or None
        First step.
    active : bool
        Whether steps are searched for.
    """

    def __init__(self, problem, x, gamma, active):
        self._problem = problem
        self._active = active
        self._rounding = _ROUNDING * _precision(x.space)
        modulus = problem.modulus
        # no bound is known where the modulus is infinite
        self._largest = 1 / modulus if 0 < modulus < math.inf else math.inf
        if active and math.isnan(problem.smooth_value(x)):
            raise ValueError(
                'a line search needs values of `g`, which is NaN at `x` or '
                'has none; pass line_search=False and the step `gamma`, '
                'below 2 / L where L is a Lipschitz constant of `g.gradient`'
            )
        #: Whether the smooth functional was seen not to be convex.
        self.saw_negative_curvature = False
        self._is_informed = True
        self.step = self._first(x, gamma)

    def _first(self, x, gamma):
        if gamma is not None:
            gamma = positive_number('gamma', gamma)
            if gamma >= self._largest:
                raise ValueError(
                    f'`f` is weakly convex with the modulus '
                    f'{self._problem.modulus:.6g}, so that its proximal '
                    'exists for steps below '
                    f'{self._largest:.6g} only, got gamma={gamma:g}; pass a '
                    'shorter step, or a smaller multiple of `f`'
                )
            return gamma
        bound = self._problem.g.grad_lipschitz
        if not 0 < bound < math.inf:
            if not self._active:
                raise ValueError(
                    '`g.grad_lipschitz` is not known; pass the step `gamma`, '
                    'or line_search=True'
                )
            bound = self._secant_slope(x)
        return min(1 / bound, _OF_LARGEST * self._largest)

    def _secant_slope(self, x):
        """Return how much the gradient changes along itself."""
        problem = self._problem
        gradient = problem.gradient(x)
        squared = problem.inner.squared_norm(gradient)
        if not math.isfinite(squared):
            raise ValueError(
                'the gradient of `g` is not finite at the starting point `x`'
            )
        if squared == 0:
            return 1.0
        size = problem.inner.squared_norm(x)
        length = 0.01 * math.sqrt(size / squared) if size > 0 else 1.0
        for _ in range(_MOST_TRIALS):
            other = x.space.element()
            other.lincomb(1, x, -length, gradient)
            difference = problem.gradient(other) - gradient
            change = problem.inner.squared_norm(difference)
            if math.isfinite(change):
                # 0 if the gradient is constant
                return math.sqrt(change / squared) / length or 1 / length
            length *= _LEAST
        raise ValueError(
            'the gradient of `g` is not finite near the starting point `x`'
        )

    def grow(self):
        """Allow a longer step, if the last one was found to be good."""
        if self._active and self._is_informed:
            self.step = min(_GROWTH * self.step, _OF_LARGEST * self._largest)

    def search(self, start, smooth=math.nan):
        """Make a step from a point.

        Parameters
        ----------
        start : element
            The point.
        smooth : float, optional
            Value of the smooth functional there, if it is known.

        Returns
        -------
        trial : Trial
            The step, with which the smooth functional lies below its
            quadratic model.
        """
        problem = self._problem
        gradient = problem.gradient(start)
        if not self._active:
            trial = Trial(problem, start, gradient, self.step)
            _check_finite(trial)
            return trial
        if math.isnan(smooth):
            smooth = problem.smooth_value(start)
        for n_shortened in range(_MOST_TRIALS):
            trial = Trial(problem, start, gradient, self.step)
            trial.smooth = problem.smooth_value(trial.end)
            noise = self._rounding * (abs(smooth) + abs(trial.smooth))
            excess = (
                trial.smooth - smooth - problem.inner(gradient, trial.change)
            )
            bound = trial.squared / (2 * self.step)
            # of steps so short, rounding hides that a gradient is wrong
            is_lost = n_shortened > _MOST_SHORTENED and bound <= noise
            if excess <= bound + noise and not is_lost:
                self._is_informed = bound > noise
                if excess < -noise:
                    self.saw_negative_curvature = True
                return trial
            self.step *= _shrinkage(bound, excess)
        raise RuntimeError(
            f'the line search has found no step down to {self.step:.2g}: '
            '`g.gradient` is not the gradient of `g` in the inner product of '
            'its domain, or `g` is not finite near the iterate; check it with '
            '`g.derivative(x)` against finite differences'
        )


def _shrinkage(bound, excess):
    """Return by how much to shorten a step that was too long."""
    if not math.isfinite(excess) or not math.isfinite(bound):
        return _LEAST
    return min(_MOST, max(_LEAST, bound / excess))


def _check_finite(trial):
    if not math.isfinite(trial.squared):
        raise RuntimeError(
            f'the iteration with the step {trial.step:.6g} has diverged; pass '
            'a shorter `gamma`, below 2 / L where L is a Lipschitz constant '
            'of `g.gradient`, or line_search=True'
        )


def _precision(space):
    """Return the unit of rounding of a space."""
    try:
        dtype = str(tensor_dtype(space)).rpartition('.')[2]
    except TypeError:
        dtype = 'float32'
    return float(np.finfo(dtype).eps)
