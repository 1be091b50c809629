# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The problem of minimising a proximable and a smooth functional."""

from __future__ import annotations

import math

import odl
import torch
from odl.core.set.space import LinearSpaceTypeError

from odl_equivariant.elements import as_tensor, describe_space
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.solvers._moduli import weak_convexity

__all__ = (
    'Composite',
    'RealInnerProduct',
    'check_start',
    'factory_of',
    'value_of',
)


class RealInnerProduct:
    """The real part of the inner product of a space.

    That of ODL takes 60 ms for 512 x 512 pixels of a pytorch space, and this
    one 0.1 ms.

    Parameters
    ----------
    space : odl space
        Any space with an inner product.
    """

    def __init__(self, space):
        try:
            weights = inner_product_weights(space)
            as_tensor(space.zero())
        except (TypeError, ValueError, NotImplementedError, AttributeError):
            # no tensor layout, or no weighted sum
            weights = None
        self._weights = weights

    def __call__(self, x, y):
        """Return the real part of the inner product of two elements."""
        if self._weights is None:
            return float(complex(x.inner(y)).real)
        x, y = as_tensor(x)[0], as_tensor(y)[0]
        if self._weights.numel() == self._weights.shape[0]:
            weights = self._weights.flatten().tolist()
            return sum(
                weight * float(torch.dot(a.flatten(), b.flatten()))
                for weight, a, b in zip(weights, x, y, strict=True)
            )
        self._weights = self._weights.to(x)
        return float((self._weights * x * y).sum())

    def squared_norm(self, x):
        """Return the squared norm of an element."""
        return self(x, x)


def value_of(functional, x):
    """Return the value of a functional, or None if it has none."""
    try:
        return float(complex(functional(x)).real)
    except (NotImplementedError, LinearSpaceTypeError):
        # the second by the L1 norm of ODL on complex spaces
        return None


def check_start(x, functionals):
    """Check the starting point, and what the names stand for.

    Parameters
    ----------
    x : object
        Starting point.
    functionals : dict
        Functionals by the names of the arguments.

    Raises
    ------
    TypeError
        If they are no functionals, or ``x`` is not in their domain.
    """
    if not hasattr(x, 'space'):
        raise TypeError(
            'the starting point `x` must be an element of an ODL space, got '
            f'{type(x).__name__}; make one with `space.element(...)`'
        )
    for name, functional in functionals.items():
        if not isinstance(functional, odl.functionals.Functional):
            raise TypeError(
                f'`{name}` must be a functional of ODL on '
                f'{describe_space(x.space)}, got '
                f'{type(functional).__name__}'
            )
        if x not in functional.domain:
            raise TypeError(
                f'`x` must be in the domain of `{name}`, '
                f'{describe_space(functional.domain)}, got an element of '
                f'{describe_space(x.space)}'
            )


class Composite:
    """The sum of a functional with a proximal and one with a gradient.

    Parameters
    ----------
    x : element
        Starting point.
    f, g : odl.functionals.Functional
        With ``f.proximal`` and ``g.gradient``.
    """

    def __init__(self, x, f, g):
        check_start(x, {'f': f, 'g': g})
        self.f, self.g = f, g
        self.inner = RealInnerProduct(x.space)
        self._factory = factory_of(
            f,
            'f',
            'if it has a gradient, add it to `g` and pass '
            '`odl.functionals.ZeroFunctional(x.space)` as `f`',
        )
        self._gradient = _attribute(
            g,
            'gradient',
            '`g` has no gradient; if it has a proximal, pass it as `f`, and '
            'if both have a proximal only, use `odl.solvers.pdhg`',
        )
        self.modulus = weak_convexity(f)
        #: Whether nothing is declared to be not convex.
        self.convex = self.modulus == 0 and weak_convexity(g) == 0
        self._step = self._proximal = None

    def gradient(self, x):
        """Return the gradient of the smooth functional."""
        return self._gradient(x)

    def proximal(self, step, x):
        """Return the proximal of ``step * f`` at an element."""
        if step != self._step:
            self._step, self._proximal = step, self._factory(step)
        return self._proximal(x)

    def smooth_value(self, x):
        """Return the value of the smooth functional, NaN if it has none."""
        value = value_of(self.g, x)
        return math.nan if value is None else value

    def value(self, x, smooth=math.nan):
        """Return the objective, or NaN if it has none.

        ``smooth`` is the value of the smooth functional, where it is known.
        """
        value = value_of(self.f, x)
        if value is None:
            return math.nan
        smooth = self.smooth_value(x) if math.isnan(smooth) else smooth
        return value + smooth


def factory_of(functional, name, advice):
    """Return the factory of the proximals of a functional.

    Parameters
    ----------
    functional : odl.functionals.Functional
        Functional.
    name, advice : str
        Name of the argument, and what to do if there is no proximal.

    Raises
    ------
    TypeError
        If there is no proximal.
    """
    return _attribute(
        functional, 'proximal', f'`{name}` has no proximal; {advice}'
    )


def _attribute(functional, name, message):
    try:
        return getattr(functional, name)
    except NotImplementedError as error:
        raise TypeError(f'{message} ({error})') from error
