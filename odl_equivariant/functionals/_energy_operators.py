# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Derivatives of a learned regulariser, as operators of ODL."""

from __future__ import annotations

import torch
from torch import nn

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.network import NetworkOperator

__all__ = ('Derivative', 'Gradient', 'GradientModule')


class GradientModule(nn.Module):
    """The gradient of an energy as a module of the elements of a space.

    Parameters
    ----------
    energy : ScaledEnergy
        Energy of images.
    layout : ImageLayout
        The images that an element consists of.
    weight : float
        Factor.
    translation : element or None
        What to subtract from elements.
    """

    def __init__(self, energy, layout, weight, translation):
        super().__init__()
        self.energy, self.layout, self.weight = energy, layout, weight
        self.translation = translation

    def shift_like(self, x):
        """Return the translation as a tensor beside another one."""
        return as_tensor(self.translation, device=x.device)

    def translated(self, x):
        """Return elements less the translation."""
        return x if self.translation is None else x - self.shift_like(x)

    def forward(self, x):
        """Return the gradients at a batch of elements."""
        x = self.translated(x)
        gradient = self.energy.gradient(self.layout.images(x))
        return self.weight * self.layout.elements(gradient, x)

    def hessian_product(self, x, direction):
        """Return the derivative of the gradient at translated elements."""
        return self.weight * self.layout.hessian_product(
            x, direction, self.energy.gradient, self.energy.hessian_product
        )


class Gradient(NetworkOperator):
    """Gradient of a learned regulariser.

    Parameters
    ----------
    functional : LearnedRegularizer
        The regulariser.
    module : GradientModule
        What the operator applies.
    """

    def __init__(self, functional, module):
        self._functional = functional
        super().__init__(module, functional.domain)

    def point(self, x, what):
        """Return a translated element as a tensor, after all checks."""
        return self.module.translated(self._input(x, what))

    def _call(self, x):
        if self._functional._check_values.is_open():
            self._functional._images(x, 'the input')
        return super()._call(x)

    def derivative(self, x):
        """Return the Hessian at a point, its own adjoint."""
        return Hessian(self, self._element(x))

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'{self._functional!r}.gradient'

    __str__ = __repr__


class Hessian(CheckedOperator):
    """Hessian of a learned regulariser at a point.

    Parameters
    ----------
    gradient : Gradient
        Gradient, of which it is the derivative.
    x : element
        The point.
    """

    def __init__(self, gradient, x):
        self._gradient = gradient
        self._point = gradient.point(x, 'the point of linearisation')
        super().__init__(gradient.domain, gradient.range, linear=True)

    def _call(self, h):
        direction = self._gradient._input(h, 'the direction')
        module = self._gradient.module
        with torch.no_grad():
            product = module.hessian_product(self._point, direction)
        self._gradient._check_finite(product, 'the Hessian')
        return as_element(product, self.range, copy=True)

    @property
    def adjoint(self):
        """The Hessian itself."""
        return self

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'{self._gradient!r}.derivative(...)'

    __str__ = __repr__


class Derivative(CheckedOperator):
    """Real part of the inner product with a gradient.

    Parameters
    ----------
    gradient : element
        The gradient at the point of linearisation.
    """

    def __init__(self, gradient):
        self.vector = gradient
        space = gradient.space
        super().__init__(space, space.field, linear=True)

    def _call(self, h):
        weights = inner_product_weights(self.domain)
        products = as_tensor(h).double() * as_tensor(self.vector).double()
        return float((weights.to(products) * products).sum())

    @property
    def adjoint(self):
        """Multiplication of a number, its real part, by the gradient."""
        return _Multiple(self)


class _Multiple(CheckedOperator):
    """Adjoint of `Derivative`."""

    def __init__(self, derivative):
        self._derivative = derivative
        super().__init__(derivative.range, derivative.domain, linear=True)

    def _element(self, x):
        return self.domain.element(x)

    def _call(self, number):
        return float(complex(number).real) * self._derivative.vector

    @property
    def adjoint(self):
        """The derivative itself."""
        return self._derivative
