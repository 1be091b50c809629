# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a solver returns: how far it came, iteration by iteration."""

from __future__ import annotations

from dataclasses import dataclass, field

from odl_equivariant._warnings import warn_user
from odl_equivariant.functionals import ConvergenceWarning

__all__ = ('SolverResult',)


@dataclass
class SolverResult:
    """What a solver has reached.

    The solution itself is in the ``x`` that the solver was given.

    Attributes
    ----------
    objective : list of float
        Value of the objective at the start and after each iteration, so one
        more than iterations. Empty if the objective has no value, or was not
        asked for.
    residuals : list of float
        Residual of each iteration, in the norm of the space; the solver says
        what it is a residual of.
    steps : list of float
        Step, the parameter of the proximal, of each iteration.
    n_iter : int
        Number of iterations.
    converged : bool
        Whether the residual has reached the tolerance, or rounding. False if
        no tolerance was asked for.
    n_restarts : int
        How often the momentum was set to zero.
    convex : bool
        False if a functional is declared to be only weakly convex, or the
        line search met negative curvature.

    Examples
    --------
    >>> SolverResult(residuals=[1.0, 0.1], n_iter=2).converged
    False
    """

    objective: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    n_iter: int = 0
    converged: bool = False
    n_restarts: int = 0
    convex: bool = True

    def __repr__(self) -> str:
        """Return ``repr(self)``."""
        last = f', residual={self.residuals[-1]:.3g}' if self.residuals else ''
        value = (
            f', objective={self.objective[-1]:.6g}' if self.objective else ''
        )
        return (
            f'SolverResult(n_iter={self.n_iter}, converged={self.converged}'
            f'{last}{value})'
        )


def warn_if_short(result, name, relative, tol, advice):
    """Warn if a tolerance was asked for and not reached.

    Parameters
    ----------
    result : SolverResult
        What was reached.
    name : str
        Name of the solver.
    relative : float
        Relative residual reached.
    tol : float or None
        What was asked for.
    advice : str
        What to do.
    """
    if tol is None or result.converged or not result.n_iter:
        return
    warn_user(
        f'`{name}` has reached a relative residual of {relative:.2g} after '
        f'{result.n_iter} iterations, above the tolerance {tol:.2g}; {advice}',
        ConvergenceWarning,
    )
