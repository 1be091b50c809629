# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Data fits with a proximal, for regularisers whose gradients take long."""

import math
import warnings

import odl

from odl_equivariant.functionals import ConvergenceWarning
from odl_equivariant.solvers import accelerated_proximal_gradient

__all__ = ('ConstrainedFit', 'proximable_fit')

# Relative residual and number of the inner iterations.
_RESIDUAL, _MOST = 3e-3, 200


def proximable_fit(problem):
    """Return the data fit of a problem, with its constraint and a proximal.

    Parameters
    ----------
    problem : Problem
        Data of tomography, with images that are not negative, or of magnetic
        resonance imaging.
    """
    if problem.modality == 'mri':
        return problem.data_fit(tol=1e-3, warm_start=True)
    return ConstrainedFit(problem.data_fit())


class ConstrainedFit(odl.functionals.Functional):
    r"""A smooth data fit :math:`D` on images without negative values.

    Parameters
    ----------
    fit : odl.functionals.Functional
        The data fit, with a gradient.

    Notes
    -----
    The proximal at :math:`x` with the parameter :math:`\tau` minimises
    :math:`D(u) + \tfrac{1}{2 \tau} \|u - x\|^2` over :math:`u \ge 0`. It
    starts from the last one. Its iterations apply the operator of the data,
    and no network. Where the gradient of a regulariser takes as long as ten
    of them, a step that is allowed by the regulariser alone saves the time.
    """

    def __init__(self, fit):
        super().__init__(fit.domain, linear=False)
        self.fit = fit
        self.constraint = odl.functionals.IndicatorNonnegativity(fit.domain)
        self._last = None

    def _call(self, x):
        return self.fit(x) + self.constraint(x)

    @property
    def proximal(self):
        """Factory of the proximal operators."""
        return lambda sigma: _Proximal(self, sigma)

    def minimiser(self, x, sigma):
        """Return the proximal at an image."""
        u = (x if self._last is None else self._last).copy()
        square = odl.functionals.L2NormSquared(self.domain)
        bound = self.fit.grad_lipschitz + 1 / sigma
        with warnings.catch_warnings():
            # the outer iterations tell whether they settle
            warnings.simplefilter('ignore', ConvergenceWarning)
            accelerated_proximal_gradient(
                u,
                self.constraint,
                self.fit + 1 / (2 * sigma) * square.translated(x),
                gamma=1 / bound if math.isfinite(bound) else None,
                maxiter=_MOST,
                tol=_RESIDUAL,
                line_search=not math.isfinite(bound),
                objective=False,
            )
        self._last = u.copy()
        return u


class _Proximal(odl.Operator):
    """Proximal of a `ConstrainedFit`."""

    def __init__(self, fit, sigma):
        self._fit, self._sigma = fit, sigma
        super().__init__(fit.domain, fit.domain, linear=False)

    def _call(self, x):
        return self._fit.minimiser(x, self._sigma)
