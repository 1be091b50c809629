# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""
How a vector field is turned
============================

A rotation :math:`R` acts on a vector field :math:`v` of the plane by

.. math::
    (g \cdot v)(x) = R \, v(R^{-1} x) :

the arrows move to other places, and each of them turns. If the two components
are only moved, like two images, the arrows keep their directions. Only the
first action makes the gradient equivariant,

.. math::
    \nabla (g \cdot u) = g \cdot \nabla u ,

It also restricts the non-linearities of networks for vector fields: they must
not act on the components one by one.
"""

import matplotlib.pyplot as plt
import numpy as np
import odl

from odl_equivariant.actions import Rotation, group_actions
from odl_equivariant.diagnostics import equivariance_error
from odl_equivariant.functionals import OneSidedGradients

# --- Set up the space and the two actions --- #

space = odl.uniform_discr([-1, -1], [1, 1], (64, 64))
fields = space**2
u = space.element(
    lambda x: np.exp(-12 * (x[0] - 0.4) ** 2 - 4 * (x[1] + 0.1) ** 2)
)
turn = Rotation(space, np.pi / 2)
turn_field = Rotation(fields, np.pi / 2, representation='standard')
move_field = Rotation(fields, np.pi / 2)

# %%
# Gradients of images are vector fields
# -------------------------------------
# The mean over the four one-sided stencils treats both sides of a point
# alike. Forward differences do not, and the error of their gradient is about
# the cell side.


class MeanGradient(odl.Operator):
    """Mean of the gradients by the four one-sided stencils."""

    def __init__(self, space):
        super().__init__(space, space**2, linear=True)
        self.stencils = OneSidedGradients(space)

    def _call(self, u):
        return sum(self.stencils(u), self.range.zero())


# --- Compare the gradient of the turned image with the turned gradient --- #

gradients = {
    'invariant gradient': MeanGradient(space),
    'forward differences': odl.Gradient(space, pad_mode='symmetric'),
}
gradient_errors = {
    (name, action_name): equivariance_error(gradient, turn, action, x=u)
    for name, gradient in gradients.items()
    for action_name, action in (('turned', turn_field), ('moved', move_field))
}
print('|grad(g.u) - g.grad(u)| / |grad(u)|')
print(f'{"":22}{"arrows turned":>14}{"only moved":>14}')
for name in gradients:
    print(
        f'{name:22}{gradient_errors[name, "turned"]:14.1e}'
        f'{gradient_errors[name, "moved"]:14.1e}'
    )

# %%
# Non-linearities
# ---------------
# A rectifier of the components keeps the parts that point to the right or
# upwards: these depend on the axes. A rectifier of the length,
#
# .. math::
#     v(x) \mapsto \frac{\max(|v(x)| - b, 0)}{|v(x)|} \, v(x) ,
#
# commutes with turns, as :math:`|R v| = |v|`. It is the proximal of
# :math:`b \int |v(x)| \, dx`, an invariant functional.


class PointwiseRectifier(odl.Operator):
    """Positive parts of the components."""

    def __init__(self, fields):
        super().__init__(fields, fields)

    def _call(self, v):
        return self.range.element(np.maximum(v.asarray(), 0))


# --- Compare the two rectifiers --- #

v = gradients['invariant gradient'](u)
bias = 0.5
rectifiers = {
    'of the components': PointwiseRectifier(fields),
    'of the length': odl.functionals.GroupL1Norm(fields).proximal(bias),
}
rotations = group_actions(fields, 'C4', representation='standard')[1:]
rectifier_errors = {
    name: max(equivariance_error(op, g, x=v) for g in rotations)
    for name, op in rectifiers.items()
}
print('\n|rho(g.v) - g.rho(v)| / |rho(v)|, largest over the quarter turns')
for name, error in rectifier_errors.items():
    print(f'rectifier {name:22}{error:10.1e}')

# %%
# The two actions, seen
# ----------------------
# The gradient points uphill, before and after the turn. The field that was
# only moved does not.

# --- Show the fields --- #


def draw(ax, title, image, field):
    """Draw an image, and arrows at every fifth point."""
    x, y = (axis[2::5] for axis in space.grid.coord_vectors)
    arrows = field.asarray()[:, 2::5, 2::5].transpose(0, 2, 1)
    ax.imshow(
        image.asarray().T,
        origin='lower',
        extent=(-1, 1, -1, 1),
        cmap='Blues',
        vmax=1.5,
    )
    ax.quiver(x, y, *arrows, scale=30, width=0.006)
    ax.set(title=title, xticks=[-1, 0, 1], yticks=[-1, 0, 1], aspect='equal')


figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout='constrained')
draw(axes[0], '$u$ and $v = \\nabla u$', u, v)
draw(axes[1], '$g \\cdot u$ and $R\\,v(R^{-1}x)$', turn(u), turn_field(v))
draw(axes[2], '$g \\cdot u$ and $v(R^{-1}x)$', turn(u), move_field(v))
plt.show()
