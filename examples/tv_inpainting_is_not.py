# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""
An invariant functional, and a reconstruction that is not equivariant
=====================================================================

Some columns of an image are lost: the data are :math:`y = M u` with a mask
:math:`M`. Inpainting by total variation computes

.. math::
    \Phi(y; M) = \arg\min_u \tfrac12 \|M u - y\|^2 + \lambda J(u) .

The functional :math:`J` is invariant. Nevertheless

.. math::
    \Phi(g \cdot y; M) \neq g \cdot \Phi(y; M) ,

since the data fit is not invariant: turned data have lost rows, and :math:`M`
treats their zeros as measurements. But as a map of the data *and* of the
forward operator, the reconstruction is equivariant, for any operator and any
invariant :math:`J`. With :math:`T_g u = g \cdot u`,

.. math::
    \Phi(y; M T_g) = g^{-1} \cdot \Phi(y; M), \qquad
    \Phi(g \cdot y; T_g M T_g^{-1}) = g \cdot \Phi(y; M) .

This is why the learned proximal of an unrolled method should be equivariant,
although the reconstruction as a map of the data is not.
"""

import matplotlib.pyplot as plt
import numpy as np
import odl

from odl_equivariant.actions import Rotation
from odl_equivariant.data import ellipse_phantom
from odl_equivariant.diagnostics import (
    equivariance_error,
    invariance_error,
    reconstruction_equivariance_error,
)
from odl_equivariant.functionals import InvariantTotalVariation

# --- Set up the image, the mask and the data --- #

space = odl.uniform_discr([-1, -1], [1, 1], (64, 64))
truth = ellipse_phantom(space, rng=5, kind='head')
known = np.ones(space.shape)
known[np.random.default_rng(0).choice(64, 20, replace=False)] = 0
mask = odl.MultiplyOperator(space.element(known), space, space)
y = mask(truth + 0.01 * odl.phantom.white_noise(space, seed=1))
turn = Rotation(space, np.pi / 2)

# --- Set up the method, as a map of the operator and of the data --- #

J = InvariantTotalVariation(space)
weight = 3e-4
n_iterations = 100


def inpaint(operator, data):
    """Return an approximate minimiser, by primal-dual iterations."""
    u = operator.domain.zero()
    fit = 0.5 * odl.functionals.L2NormSquared(operator.range)
    # The longest steps for a mask, whose norm is 1.
    tau = 1.0
    sigma = 0.5 / J.operator.norm_bound**2
    odl.solvers.forward_backward_pd(
        u,
        odl.functionals.ZeroFunctional(operator.domain),
        [weight * J.norm_functional],
        [J.operator],
        fit.translated(data) * operator,
        tau,
        [sigma],
        n_iterations,
    )
    return u


class Inpainting(odl.Operator):
    """The method as a map of the data alone, for one operator."""

    def __init__(self, operator):
        super().__init__(operator.range, operator.domain)
        self.operator = operator

    def _call(self, data):
        return inpaint(self.operator, data)


# %%
# The functional is invariant, the method is not
# ----------------------------------------------
# Each iteration, started from zero, turns with the mask and the data. So the
# last law holds up to rounding, even before the iterations have converged.

# --- Measure the three laws --- #

errors = {
    'J(g.u) = J(u)': invariance_error(J, turn, truth),
    'M(g.u) = g.M(u)': equivariance_error(mask, turn, x=truth),
    'Phi(g.y; M) = g.Phi(y; M)': equivariance_error(
        Inpainting(mask), turn, x=y
    ),
    'Phi(y; M T_g) = g^-1.Phi(y; M)': reconstruction_equivariance_error(
        inpaint, mask, turn, y
    ),
}
print(f'{"law":34}{"relative error":>14}')
for law, error in errors.items():
    print(f'{law:34}{error:14.1e}')

# %%
# The same, seen
# --------------
# We inpaint the turned data twice, and turn the results back. With the old
# mask, lost pixels stay black, and some measured pixels are thrown away and
# inpainted. With the turned mask, the result is the same as upright.

# --- Show the reconstructions --- #

turned_mask = turn @ mask @ turn.inverse
upright = inpaint(mask, y)
turned = {
    'the old mask': inpaint(mask, turn(y)),
    'the turned mask': inpaint(turned_mask, turn(y)),
}
images = {
    'ground truth': truth,
    'data $y$': y,
    '$\\Phi(y; M)$': upright,
    'data $g \\cdot y$': turn(y),
    '$g^{-1} \\cdot \\Phi(g \\cdot y; M)$': turn.inverse(
        turned['the old mask']
    ),
    '$g^{-1} \\cdot \\Phi(g \\cdot y; T_g M T_g^{-1})$': turn.inverse(
        turned['the turned mask']
    ),
}
figure, axes = plt.subplots(2, 3, figsize=(9, 6.3), layout='constrained')
for ax, (title, image) in zip(axes.flat, images.items(), strict=True):
    shown = ax.imshow(
        image.asarray().T, cmap='gray', origin='lower', vmin=0, vmax=0.6
    )
    ax.set(title=title, xticks=[], yticks=[])
figure.colorbar(shown, ax=axes, label='attenuation', shrink=0.6)
plt.show()
