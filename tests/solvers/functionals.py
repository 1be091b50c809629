# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Functionals of which the tests know everything."""

import math

import numpy as np
import odl
import torch

from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.inner_products import inner_product_weights

__all__ = ('Quadratic', 'Smooth', 'Wiggly', 'spaces')


def spaces(backend='numpy'):
    """Return spaces by their names."""
    arguments = {'min_pt': [0, 0], 'max_pt': [1, 2], 'shape': (3, 2)}

    def grid(dtype):
        return odl.uniform_discr(**arguments, dtype=dtype, impl=backend)

    return {
        'rn': odl.rn(6, impl=backend),
        'float32': grid('float32'),
        'float64': grid('float64'),
        'complex64': grid('complex64'),
        'complex128': grid('complex128'),
        'product': grid('float64') ** 2,
    }


class _Gradient(odl.Operator):
    """The gradient of a `Smooth`."""

    def __init__(self, functional):
        self.functional = functional
        super().__init__(functional.domain, functional.domain)

    def _call(self, x):
        return as_element(self.functional.slopes(as_tensor(x)), self.range)


class Smooth(odl.functionals.Functional):
    """A functional of the tensor of an element, times the space's weight."""

    def __init__(self, space):
        super().__init__(space)
        self.cell = float(inner_product_weights(space).flatten()[0])
        self.shape = as_tensor(space.zero()).shape
        self.dtype = as_tensor(space.zero()).dtype
        self.n_values = self.n_gradients = 0

    def density(self, u):
        """Return the functional of a tensor."""
        raise NotImplementedError

    def slopes(self, u):
        """Return the gradient at a tensor."""
        self.n_gradients += 1
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            (slopes,) = torch.autograd.grad(self.density(u), u)
        return slopes

    def _call(self, x):
        self.n_values += 1
        return self.cell * float(self.density(as_tensor(x)))

    @property
    def gradient(self):
        """Gradient in the inner product of the space."""
        return _Gradient(self)


class Quadratic(Smooth):
    """Half the squared distance to a solution, in another metric."""

    def __init__(self, space, rng, eigenvalues=(0.1, 10.0), known=False):
        super().__init__(space)
        n = math.prod(self.shape)
        basis, _ = np.linalg.qr(rng.normal(size=(n, n)))
        self.eigenvalues = np.geomspace(*eigenvalues, n)
        matrix = (basis * self.eigenvalues) @ basis.T
        self.matrix = torch.tensor(matrix, dtype=self.dtype)
        self.solution = torch.tensor(rng.normal(size=n), dtype=self.dtype)
        if known:
            self.grad_lipschitz = float(self.eigenvalues[-1])

    @property
    def minimiser(self):
        """The solution as an element."""
        return as_element(self.solution.reshape(self.shape), self.domain)

    def density(self, u):
        """Return half the squared distance to the solution."""
        error = u.flatten() - self.solution
        return 0.5 * error @ self.matrix @ error

    @property
    def proximal(self):
        """Exact proximal."""
        functional = self

        class Proximal(odl.Operator):
            def __init__(self, sigma):
                self.sigma = sigma
                super().__init__(functional.domain, functional.domain)

            def _call(self, x):
                matrix, solution = functional.matrix, functional.solution
                total = torch.eye(len(matrix)).to(matrix)
                total = total + self.sigma * matrix
                shifted = as_tensor(x).flatten()
                shifted = shifted + self.sigma * matrix @ solution
                u = torch.linalg.solve(total, shifted)
                return as_element(u.reshape(functional.shape), self.range)

        return Proximal


class Wiggly(Smooth):
    """A smooth functional with minima and maxima, bounded below."""

    def __init__(self, space, amplitude=2.0):
        super().__init__(space)
        self.amplitude = amplitude

    def density(self, u):
        """Return a parabola with waves."""
        return (0.5 * u**2 + self.amplitude * (3 * u).cos()).sum()
