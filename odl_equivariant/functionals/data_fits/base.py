# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Smooth functionals of the image of a linear operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import odl
import torch

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import boolean, positive_number, whole_number
from odl_equivariant._types import Element, ElementLike, Operator, Space
from odl_equivariant._warnings import ConvergenceWarning, warn_user
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    describe_space,
    element_from_array,
    grid_shape,
    is_complex,
    merge_complex,
    n_parts,
    split_complex,
    tensor_device,
    tensor_dtype,
)
from odl_equivariant.functionals.data_fits.newton import Problem, minimise
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.layer import OperatorLayer

__all__ = ('SmoothFit', 'checked_data', 'checked_weights')

_DEFAULT_TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-8}
_LEAST_SYMBOL = 0.01


class SmoothFit(CheckedOperator, odl.functionals.Functional):
    r"""Functional :math:`F(A u)` with a sum of smooth convex functions F.

    Subclasses have the methods ``_value(t)``, the value at ``t = A u`` as a
    float, ``_slopes(t)``, the gradient of F in the inner product of the
    range, and ``_curvatures(t)``, the diagonal of its Hessian, as a tensor or
    a number; ``_of(operator)``, the same functional with another operator;
    the property ``grad_lipschitz``; and the attribute ``_affine``, whether
    slopes are affine.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator :math:`A`.
    tol : float or None
        Largest relative error of a proximal.
    maxiter : int
        Largest number of iterations of a proximal.
    warm_start : bool
        Whether a proximal starts from the one before.
    """

    has_value = True
    has_proximal = True

    def __init__(
        self,
        operator: Operator,
        tol: float | None,
        maxiter: int,
        warm_start: bool,
    ) -> None:
        if not isinstance(operator, odl.Operator):
            raise TypeError(
                f'expected an `odl.Operator`, got {type(operator).__name__}'
            )
        if not operator.is_linear:
            raise TypeError(f'expected a linear operator, got {operator!r}')
        self.operator = operator
        space, range = operator.domain, operator.range
        dtype, device = tensor_dtype(space), tensor_device(space)
        if tol is None:
            tol = _DEFAULT_TOLERANCES[dtype]
        self.tol = positive_number('tol', tol)
        self.maxiter = whole_number('maxiter', maxiter, 1)
        self.warm_start = boolean('warm_start', warm_start)
        self._state = self._kept_symbol = None
        self._forward = OperatorLayer(operator).to(device)
        self._adjoint = self._forward.adjoint
        self._volumes = inner_product_weights(space).to(device)
        self._range_volumes = inner_product_weights(range).to(device)
        super().__init__(space, linear=False)

    @property
    def data_functional(self) -> odl.functionals.Functional:
        """Functional on the data, which after ``operator`` is this one.

        Its proximal takes no application of ``operator``, as
        `odl.solvers.pdhg` and its like need it.
        """
        return self._of(odl.IdentityOperator(self.operator.range))

    def _inner(self, x, y):
        return float((self._volumes * x * y).sum())

    def _image(self, u):
        with torch.no_grad():
            return self._forward(u)

    def _gradient(self, u):
        """Return the gradient at a tensor."""
        slopes = self._slopes(self._image(u))
        with torch.no_grad():
            return self._adjoint(slopes)

    def _hessian(self, u):
        """Return the Hessian at a tensor, as a map of batches of tensors."""
        curvatures = self._curvatures(self._image(u))

        def apply(direction):
            with torch.no_grad():
                return self._adjoint(curvatures * self._forward(direction))

        return apply

    def _symbol(self, u):
        """Return the symbol of the Hessian, which may be the same always."""
        if self._kept_symbol is not None:
            return self._kept_symbol
        symbol = _circulant_symbol(self._hessian(u), self.domain)
        if self._affine:
            self._kept_symbol = symbol
        return symbol

    def _nearly_inverse(self, u, sigma):
        r"""Return about :math:`(I + \sigma f''(u))^{-1}`."""
        if isinstance(self.operator, odl.IdentityOperator):
            diagonal = 1 + sigma * self._curvatures(u)
            return lambda x: x / diagonal
        return _circulant_inverse(self._symbol(u), sigma)

    def _call(self, x):
        return self._value(self._image(as_tensor(x)))

    @property
    def gradient(self) -> Operator:
        r"""Gradient in the inner product of the space, :math:`A^* F'(A u)`.

        Its ``derivative(x)`` is the Hessian, which is self-adjoint.
        """
        return _Gradient(self)

    @property
    def proximal(self) -> Callable[[float], Operator]:
        """Factory of the proximal operators.

        Returns
        -------
        factory : callable
            Maps ``sigma``, a positive number, to an `odl.Operator` on the
            domain. Raises ValueError for any other ``sigma``, or TypeError
            for what is no number.
        """
        return self._proximal

    def _proximal(self, sigma=1.0):
        return _Proximal(self, positive_number('sigma', sigma))


class _Gradient(CheckedOperator):
    """Gradient of a `SmoothFit`."""

    def __init__(self, fit):
        self.fit = fit
        super().__init__(fit.domain, fit.domain, linear=False)

    def _call(self, x):
        return as_element(self.fit._gradient(as_tensor(x)), self.range)

    def derivative(self, x):
        """Return the Hessian at ``x``, a self-adjoint linear operator."""
        return _Hessian(self.fit, as_tensor(self.domain.element(x)))


class _Hessian(CheckedOperator):
    """Hessian of a `SmoothFit` at a point."""

    def __init__(self, fit, point):
        self._apply = fit._hessian(point)
        super().__init__(fit.domain, fit.domain, linear=True)

    def _call(self, x):
        return as_element(self._apply(as_tensor(x)), self.range)

    @property
    def adjoint(self):
        """The Hessian itself."""
        return self


class _Proximal(CheckedOperator):
    """Proximal of a `SmoothFit`, by Newton's method."""

    def __init__(self, fit, sigma):
        self.functional, self.sigma = fit, sigma
        #: What the last call has reached: error bound and iterations.
        self.error_bound = self.n_iter = None
        super().__init__(fit.domain, fit.domain, linear=False)

    def _call(self, x):
        fit, sigma = self.functional, self.sigma
        point = as_tensor(x)
        if not torch.isfinite(point).all():
            raise ValueError('the proximal of a data fit needs finite values')

        def gradient(u):
            return u - point + sigma * fit._gradient(u)

        def hessian(u):
            apply = fit._hessian(u)
            return lambda d: d + sigma * apply(d)

        def nearly_inverse(u):
            return fit._nearly_inverse(u, sigma)

        start = point
        if fit.warm_start and fit._state is not None:
            start = fit._state
        problem = Problem(
            gradient,
            hessian,
            fit._inner,
            nearly_inverse,
            fit._affine,
        )
        u, bound, n_iter = minimise(
            problem, start, problem.norm(point), fit.tol, fit.maxiter
        )
        self.error_bound, self.n_iter = bound, n_iter
        if fit.warm_start:
            fit._state = u
        if not bound <= fit.tol:
            warn_user(
                f'the proximal of {fit} has an error of up to {bound:.2g} '
                f'after {n_iter} iterations, above the tolerance '
                f'{fit.tol:.2g}; raise `maxiter` or `tol`, or take a smaller '
                f'parameter than {sigma:.3g}',
                ConvergenceWarning,
            )
        return as_element(u, self.range)


def _circulant_symbol(apply, space):
    """Return the eigenvalues of a circulant operator close to another one.

    It has the response to the point in the middle. Where the other one has
    no such approximation, the result is ``None``.
    """
    if n_parts(space) > 1 or not _has_equal_cells(space):
        return None
    shape = grid_shape(space)
    axes, middle = tuple(range(-len(shape), 0)), [n // 2 for n in shape]
    point = torch.zeros(
        (1, 2 if is_complex(space) else 1, *shape),
        dtype=tensor_dtype(space),
        device=tensor_device(space),
    )
    point[(0, 0, *middle)] = 1
    response = _merged(apply(point)).roll([-n for n in middle], axes)
    symbol = torch.fft.fftn(response, dim=axes).real
    # What one point does not see, others may.
    return symbol.clamp_min(_LEAST_SYMBOL * float(symbol.max()))


def _circulant_inverse(symbol, sigma):
    """Return the inverse of the identity and ``sigma`` times an operator."""
    if symbol is None:
        return lambda x: x

    divisors = 1 + sigma * symbol
    # those of a real operator are even
    half = divisors[..., : divisors.shape[-1] // 2 + 1]

    def inverse(x):
        axes = tuple(range(2 - x.ndim, 0))
        if x.shape[1] != 2:
            y = torch.fft.rfftn(x, dim=axes) / half
            return torch.fft.irfftn(y, s=x.shape[2:], dim=axes)
        y = torch.fft.fftn(merge_complex(x), dim=axes) / divisors
        return split_complex(torch.fft.ifftn(y, dim=axes))

    return inverse


def _merged(x):
    return merge_complex(x) if x.shape[1] == 2 else x


def _has_equal_cells(space):
    weights = inner_product_weights(space)
    return bool((weights == weights.flatten()[0]).all())


def checked_data(name: str, data: ElementLike, range: Space) -> Element:
    """Return data as an element that shares no memory with them."""
    if data in range:
        element = as_element(as_tensor(data), range, copy=True)
    else:
        array = _array(name, data)
        shape = _shape_of_parts(range)
        if array.shape != shape:
            raise ValueError(
                f'`{name}` must have shape {shape}, as an element of '
                f'{describe_space(range)}, got {array.shape}'
            )
        if np.iscomplexobj(array) and not is_complex(range):
            raise ValueError(
                f'`{name}` must be real, as an element of '
                f'{describe_space(range)}, got an array of dtype '
                f'{array.dtype}'
            )
        element = element_from_array(array, range)
    if not bool(torch.isfinite(as_tensor(element)).all()):
        raise ValueError(
            f'`{name}` has values that are infinite or not a number'
        )
    return element


def checked_weights(
    weights: float | ElementLike, range: Space
) -> float | torch.Tensor:
    """Return weights as a float, or as a tensor that multiplies data."""
    if np.ndim(weights) == 0 and not hasattr(weights, 'space'):
        return positive_number('weights', weights)
    array = _array('weights', weights)
    if np.iscomplexobj(array):
        if array.imag.any():
            raise ValueError('`weights` must be real')
        array = array.real
    shape = _shape_of_parts(range)
    try:
        array = np.broadcast_to(array.astype(np.float64), shape)
    except ValueError:
        raise ValueError(
            f'`weights` must be a number or have shape {shape}, as the data, '
            f'got {array.shape}'
        ) from None
    if not np.isfinite(array).all() or array.min() < 0 or not array.any():
        raise ValueError(
            '`weights` must be finite, not negative, and not all zero, got '
            f'values from {array.min():.3g} to {array.max():.3g}'
        )
    tensor = torch.tensor(array, dtype=tensor_dtype(range))
    tensor = tensor.reshape(1, n_parts(range), *grid_shape(range))
    if is_complex(range):
        tensor = tensor.repeat_interleave(2, 1)
    return tensor.to(tensor_device(range))


def _shape_of_parts(range):
    """Return the shape of arrays that hold the elements of a space."""
    shape = tuple(grid_shape(range))
    if isinstance(range, odl.ProductSpace):
        return (n_parts(range), *shape)
    return shape


def _array(name, values):
    if hasattr(values, 'space'):
        tensor = as_tensor(values)
        if is_complex(values.space):
            tensor = merge_complex(tensor)
        is_product = isinstance(values.space, odl.ProductSpace)
        return tensor[0 if is_product else (0, 0)].cpu().numpy()
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().resolve_conj().resolve_neg().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in 'fiubc':
        raise TypeError(
            f'`{name}` must be numbers, got an array of dtype {array.dtype}'
        )
    return array
