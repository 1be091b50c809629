# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Newton's method with conjugate gradients, for strongly convex problems."""

import dataclasses
from collections.abc import Callable

import torch

__all__ = ('Problem', 'minimise')

# Bounds of the relative residual of a step that is not the last one.
_COARSEST, _FINEST_OF_LAST = 0.1, 0.3
# The same of the only step, in the norm of a result that is hardly another.
_OF_ONLY = 0.9
_SHORTEST = 2.0**-30
# The residual of the equation falls by at least this share of what it would
# fall by for an affine gradient.
_LEAST_DECREASE = 0.1
# A step that rounding alone leaves says how far the point before it was.
_SAFETY = 2.0
_LEAST_PROGRESS = 0.5


@dataclasses.dataclass(frozen=True)
class Problem:
    r"""A smooth objective that is convex by the modulus 1 at least.

    Parameters
    ----------
    gradient : callable
        Maps a point to the gradient in the inner product.
    hessian : callable
        Maps a point to a function, the Hessian there: linear, self-adjoint
        and not below the identity.
    inner : callable
        Real inner product of two points, as a float.
    precondition : callable
        Maps a point to a function that is close to the inverse of the
        Hessian: linear, self-adjoint, positive definite.
    affine : bool
        Whether the gradient is affine, so that a single step is enough.
    """

    gradient: Callable
    hessian: Callable
    inner: Callable
    precondition: Callable
    affine: bool

    def norm(self, x):
        """Return the norm of a point as a float."""
        return max(0.0, self.inner(x, x)) ** 0.5


def minimise(problem, start, least_size, tol, maxiter):
    r"""Find the minimiser of an objective.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    start : torch.Tensor
        First point.
    least_size : float
        The error is relative to the norm of the result, but at least to
        this number.
    tol : float
        Largest relative error.
    maxiter : int
        Largest number of times that a Hessian is applied.

    Returns
    -------
    u : torch.Tensor
        The minimiser.
    bound : float
        Bound of its relative error.
    n_iter : int
        How often a Hessian was applied.

    Notes
    -----
    As the objective is convex by the modulus 1, the distance to the minimiser
    is at most the norm of the gradient. Where rounding keeps the gradient
    above the tolerance, the next step bounds the distance, too: up to twice
    its length and residual.

    Steps are shortened until the norm of the gradient decreases (Eisenstat
    and Walker, *Globally convergent inexact Newton methods*, SIAM J. Optim. 4
    (1994), 393-422). No values are compared, which would need more digits.
    """
    u, n_iter, best = start, 0, float('inf')
    gradient = problem.gradient(u)
    while True:
        length = problem.norm(gradient)
        # nothing is known of the size of the result if all begins at zero
        size = max(problem.norm(u), least_size) or length
        bound = length / size if length else 0.0
        if bound <= tol or n_iter >= maxiter:
            return u, bound, n_iter
        aim = _FINEST_OF_LAST * tol * size
        if problem.affine:
            aim = _OF_ONLY * tol * size
        else:
            aim = max(aim, min(_COARSEST, bound**0.5) * length)
        step, left, used = _conjugate_gradients(
            problem, u, -gradient, aim, maxiter - n_iter
        )
        n_iter += used
        distance = _SAFETY * (problem.norm(step) + left) / size
        if distance <= tol:
            return u + step, distance, n_iter
        u, gradient, following = _shortened(problem, u, step, gradient, left)
        if following > _LEAST_PROGRESS * length and distance > best / 2:
            # rounding is all that is left
            return u, min(distance, following / size), n_iter
        best = min(best, distance)


def _shortened(problem, u, step, gradient, left):
    """Return the next point, its gradient and the norm of that."""
    length, share = problem.norm(gradient), 1.0
    while True:
        moved = u + share * step
        following = problem.gradient(moved)
        norm = problem.norm(following)
        gain = share * max(0.0, 1 - left / length)
        if problem.affine or norm <= (1 - _LEAST_DECREASE * gain) * length:
            return moved, following, norm
        share /= 2
        if share < _SHORTEST:
            return u, gradient, length


def _conjugate_gradients(problem, u, right, aim, maxiter):
    """Solve with the Hessian at ``u`` until the residual is below ``aim``.

    Returns the solution, the norm of its residual, and the number of steps.
    """
    solution, residual = torch.zeros_like(right), right
    left, direction, before = problem.norm(right), None, 0.0
    apply, precondition = problem.hessian(u), problem.precondition(u)
    for n_iter in range(maxiter):
        if left <= aim:
            return solution, left, n_iter
        preconditioned = precondition(residual)
        product = problem.inner(residual, preconditioned)
        if direction is None:
            direction = preconditioned
        else:
            direction = preconditioned + product / before * direction
        image = apply(direction)
        share = product / problem.inner(direction, image)
        solution = solution + share * direction
        residual = residual - share * image
        left, before = problem.norm(residual), product
    return solution, left, maxiter
