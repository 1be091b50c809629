# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Momentum of accelerated methods, and when to drop it."""

from __future__ import annotations

import math

__all__ = ('RESTARTS', 'Momentum')

RESTARTS = ('gradient', 'function', 'monotone')
# Part of the decrease that is proven for a step without momentum, which a
# step with momentum must reach where the objective is not convex.
_OF_DECREASE = 0.01
# Steps without momentum after which a longer one is tried.
_PATIENCE = 10


class Momentum:
    """Decides on trial steps, and extrapolates from them.

    Parameters
    ----------
    problem : Composite
        What is minimised.
    restart : {'gradient', 'function', 'monotone', None}
        When to restart.
    x : element
        Starting point.
    value : float
        Objective there; NaN if it has none.
    """

    def __init__(self, problem, restart, x, value):
        self._problem = problem
        self._restart = restart
        self._t = 1.0
        self._n_plain = 0
        #: Current iterate, its value, and the value of its smooth part.
        self.iterate, self.value = x.copy(), value
        self.smooth = math.nan
        #: Where the next step starts, and whether that is the iterate.
        self.point, self.is_plain = self.iterate, True
        self.n_restarts = 0

    def take(self, trial, value, convex):
        """Accept a trial step or not, and choose the next point.

        Parameters
        ----------
        trial : Trial
            Step from ``point``.
        value : float
            Objective at its end; NaN if it has none.
        convex : bool
            Whether the objective may be convex.

        Returns
        -------
        grows : bool
            Whether it is a good moment to try a longer step.
        """
        previous = self.iterate
        if not convex and math.isnan(value):
            # the theory of descent needs values for any other step
            self._set(trial, value)
            return self._stay()
        if convex and self._restart == 'monotone':
            self._take_better(trial, value)
            return False
        if not self._accepts(trial, value, convex):
            self._restart_now()
            return True
        moved = trial.end - previous
        turns = self._restart == 'gradient' and (
            self._problem.inner(trial.change, moved) < 0
        )
        self._set(trial, value)
        if turns:
            self._restart_now()
            return True
        t, self._t = self._t, _next(self._t)
        self._extrapolate((t - 1) / self._t, moved)
        return False

    def _accepts(self, trial, value, convex):
        if self.is_plain:
            return True
        if not convex:
            moved = self._problem.inner.squared_norm(trial.end - self.iterate)
            modulus = self._problem.modulus
            gain = 1 / trial.step
            gain -= modulus if math.isfinite(modulus) else 0
            return value <= self.value - _OF_DECREASE * gain / 2 * moved
        return self._restart != 'function' or value <= self.value

    def _set(self, trial, value):
        self.iterate, self.value = trial.end, value
        self.smooth = trial.smooth

    def _extrapolate(self, factor, moved):
        if factor == 0:
            self.point, self.is_plain = self.iterate, True
            return
        point = self.iterate.space.element()
        point.lincomb(1, self.iterate, factor, moved)
        self.point, self.is_plain = point, False

    def _restart_now(self):
        self.n_restarts += 1
        self._t = 1.0
        self.point, self.is_plain = self.iterate, True

    def _stay(self):
        self._t = 1.0
        self.point, self.is_plain = self.iterate, True
        self._n_plain += 1
        return self._n_plain % _PATIENCE == 0

    def _take_better(self, trial, value):
        """Make a step of the monotone variant, which keeps the momentum."""
        previous = self.iterate
        if self.is_plain or value <= self.value:
            moved = trial.end - previous
            self._set(trial, value)
            t, self._t = self._t, _next(self._t)
            self._extrapolate((t - 1) / self._t, moved)
        else:
            t, self._t = self._t, _next(self._t)
            self._extrapolate(t / self._t, trial.end - previous)


def _next(t):
    return (1 + math.sqrt(1 + 4 * t**2)) / 2
