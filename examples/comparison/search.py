# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Parameters that are chosen by a number of evaluations."""

import math

__all__ = ('Parameter', 'search')

# Steps end where another value changes nothing that can be seen.
_SMALLEST_STEP = 0.02
# How many evaluations may be added to see both sides of the best value.
_MOST_EXTRA = 2


class Parameter:
    """A positive parameter, which is varied on a logarithmic scale.

    Parameters
    ----------
    name : str
        Its name in the results.
    start : float
        First value.
    factor : float, optional
        First factor by which the value is changed.
    most, least : float, optional
        Largest and smallest value that have a meaning.
    """

    def __init__(self, name, start, factor=2.0, most=math.inf, least=0.0):
        self.name, self.start = name, start
        self.most, self.least = most, least
        self.step = math.log(factor)

    def moved(self, value, step):
        """Return another value, a step away on the logarithmic scale."""
        return max(min(value * math.exp(step), self.most), self.least)


def search(score, parameters, n_evaluations):
    """Choose parameters with the highest score, by a coordinate search.

    The parameters take turns. Each is moved to the side that is better. Where
    a step to both sides is worse, the step is halved. If the best value of a
    parameter is the least or the greatest one that was tried, after all
    evaluations, the range is extended by at most as many further ones.

    Parameters
    ----------
    score : callable
        Maps a dict of values to a number, which is to be large.
    parameters : sequence of Parameter
        What is chosen. If there are none, the score is evaluated once.
    n_evaluations : int
        Number of evaluations.

    Returns
    -------
    setting : dict
        The best values by their names.
    report : dict
        ``'evaluations'``, their number, and ``'at_end'``, the names of the
        parameters whose best value is at an end of the range that was tried.
    """
    known = {}

    def evaluate(values):
        # values that differ by rounding are the same
        values = tuple(float(f'{value:.4g}') for value in values)
        if values not in known:
            setting = {
                p.name: v for p, v in zip(parameters, values, strict=True)
            }
            known[values] = score(setting)
        return values, known[values]

    best, highest = evaluate([p.start for p in parameters])
    steps = [p.step for p in parameters]
    signs = [1] * len(parameters)
    most = n_evaluations * _MOST_EXTRA
    turn = 0
    while parameters and max(steps) > _SMALLEST_STEP:
        if len(known) >= n_evaluations:
            outside = [
                i
                for i, p in enumerate(parameters)
                if not _inside(known, best, i, p)
            ]
            if not outside or len(known) >= most:
                break
            turn = outside[0]
        i = turn % len(parameters)
        improved = False
        for sign in (signs[i], -signs[i]):
            values = list(best)
            values[i] = parameters[i].moved(best[i], sign * steps[i])
            if math.isclose(values[i], best[i], rel_tol=1e-3):
                continue
            moved, found = evaluate(values)
            if found > highest:
                best, highest, signs[i] = moved, found, sign
                improved = True
                break
            if len(known) >= n_evaluations and _inside(
                known, best, i, parameters[i]
            ):
                break
        if not improved:
            steps[i] /= 2
        turn += 1
    setting = {p.name: v for p, v in zip(parameters, best, strict=True)}
    at_end = [
        p.name
        for i, p in enumerate(parameters)
        if not _inside(known, best, i, p)
    ]
    return setting, {'evaluations': len(known), 'at_end': at_end}


def _inside(known, best, i, parameter):
    """Return whether smaller and larger values of a parameter are worse."""
    tried = [values[i] for values in known]
    # values are rounded
    is_most = best[i] >= parameter.most * (1 - 1e-3)
    is_least = best[i] <= parameter.least * (1 + 1e-3)
    return (is_least or min(tried) < best[i]) and (
        is_most or best[i] < max(tried)
    )
