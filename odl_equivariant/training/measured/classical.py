# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What reconstructs without weights: back-projections, total variation."""

from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import InvariantTotalVariation
from odl_equivariant.solvers import accelerated_proximal_gradient
from odl_equivariant.training.measured.methods import Method, noise_of_readings

__all__ = ('CLASSICAL', 'Classical')

#: What may be named in place of a model.
CLASSICAL = ('fbp', 'fdk', 'tv')
# Mean of the gradient in a cell, relative to the largest values.
_CHANGE = 0.02
_N_ITERATIONS = 60


class Classical(Method):
    r"""Filtered back-projection, or a minimiser with total variation.

    Parameters
    ----------
    name : {'fbp', 'fdk', 'tv'}
        The first two are the filtered back-projection, which for cone beams
        is that of Feldkamp, Davis and Kress. ``'tv'`` minimises

        .. math::
            \tfrac12 \|A u - y\|^2 + s\, \sigma^2 \frac{w_Y}{w_X}
            \frac{h}{b}\, TV(u)

        for the noise :math:`\sigma` of the data, cells of the side h and 2 %
        of the largest values as b, the mean change from cell to cell.
    unit : str or None
        Unit of the images.
    cell : tuple or None
        Side of a cell, where the scan has lengths in cells.
    strength : float
        The factor s.
    maxiter : int or None
        Number of iterations with total variation. Default: 60.

    Raises
    ------
    ValueError
        If a strength, a unit or a number of iterations is given that the
        method has not.
    """

    modality = 'tomography'
    is_unrolled = False
    prior = None

    def __init__(self, name, unit=None, cell=None, strength=1.0, maxiter=None):
        if name != 'tv' and strength != 1:
            raise ValueError(
                f'--strength {strength:g}: {name} has no weight of a prior: '
                'leave it out, or take --model tv'
            )
        if name != 'tv' and maxiter is not None:
            raise ValueError(
                f'--maxiter {maxiter}: {name} has no iterations: leave it '
                'out, or take --model tv'
            )
        if unit == 'auto' or isinstance(unit, float):
            raise ValueError(
                f'--unit {unit}: {name} takes images in any unit, and needs '
                'no value that is 1: leave it out, or name a unit'
            )
        self.name, self.unit, self.cell = name, unit, cell
        self.strength, self.maxiter = strength, maxiter

    def _scale(self, acquisition, start):
        """Return the value that is taken for the largest, or ``None``."""
        return None if self.name != 'tv' else self._largest(start)

    def _element(self, acquisition, y, start, scale):
        x = start()
        if self.name != 'tv':
            return x
        space = acquisition.space
        change = _CHANGE * scale
        noise = noise_of_readings(as_tensor(y)[0, 0].cpu().numpy())
        weight = self.strength * noise**2 / change
        weight *= y.space.cell_volume / space.cell_volume
        weight *= float(min(space.cell_sides))
        variation = InvariantTotalVariation(space, warm_start=True)
        fit = acquisition.data_fit(y)
        accelerated_proximal_gradient(
            x,
            weight * variation,
            fit,
            0.99 / fit.grad_lipschitz,
            self.maxiter or _N_ITERATIONS,
            line_search=False,
            objective=False,
        )
        return x
