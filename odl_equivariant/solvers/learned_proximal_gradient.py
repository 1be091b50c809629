# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The learned proximal gradient method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import odl

from odl_equivariant._types import Element
from odl_equivariant.elements import describe_space

__all__ = ('learned_proximal_gradient',)


def learned_proximal_gradient(
    x: Element,
    proximals: Sequence[Callable[..., Any]],
    data_gradient: Callable[[Element], Element],
    memory: Element | None = None,
    callback: Callable[[Element], object] | None = None,
) -> None:
    r"""Minimise a data fit by gradient steps and learned proximals.

    Parameters
    ----------
    x : element of a space X
        Starting point; overwritten by each iterate, as in `odl.solvers`.
    proximals : sequence
        One for each iteration. Either a callable that maps ``(x, gradient,
        memory)`` to ``(x, memory)``, or ``(x, gradient)`` to ``x``, such as
        those of `LearnedProximalGradient.proximals`; or an `odl.Operator` on
        X, which is applied to ``x - gradient``.
    data_gradient : callable
        Maps ``x`` to the gradient of the data fit D in X, such as
        ``A.adjoint * (A - odl.ConstantOperator(y, A.domain))``. The solver
        hands it on as it is. The proximals of `LearnedProximalGradient`
        multiply it by their steps. For operators, ``data_gradient`` must
        contain the step.
    memory : element of a space S, optional
        Memory at the start; overwritten. Default: zero, kept internally.
    callback : callable, optional
        Called with ``x`` after each iteration.

    Raises
    ------
    TypeError
        If ``x`` is not an element of a space, or ``proximals`` or
        ``data_gradient`` are not callable.
    ValueError
        If there is no proximal, or it does not return what it must.

    Notes
    -----
    Algorithm 2 of [C+2021]_,

    .. math::
        (u, s) \leftarrow \mathrm{prox}_k(u, \tau_k \nabla D(u), s),
        \quad k = 1, \dots, K,

    where the callable k is the map :math:`(u, g, s) \mapsto \mathrm{prox}_k(u,
    \tau_k g, s)`.

    For `odl.Operator`\ s it is :math:`u \leftarrow \mathrm{prox}_k(u - \nabla
    D(u))`, the proximal gradient method with a proximal for each iteration.

    References
    ----------
    .. [C+2021] Celledoni E, Ehrhardt M J, Etmann C, Owren B, Schönlieb C-B
       and Sherry F. *Equivariant neural networks for inverse problems*.
       Inverse Problems 37 (2021) 085006.

    Examples
    --------
    >>> space = odl.rn(2)
    >>> x = space.zero()
    >>> f = odl.functionals.L1Norm(space)
    >>> gradient = odl.functionals.L2NormSquared(space).translated([2, 0.1])
    >>> learned_proximal_gradient(
    ...     x, [f.proximal(0.5)] * 50, 0.5 * gradient.gradient
    ... )
    >>> x
    rn(2).element([ 1.5,  0. ])
    """
    if not hasattr(x, 'space'):
        raise TypeError(
            f'`x` must be an element of an ODL space, got {type(x).__name__}'
        )
    proximals = list(proximals)
    if not proximals:
        raise ValueError('`proximals` must have at least one entry')
    for proximal in (*proximals, data_gradient):
        if not callable(proximal):
            raise TypeError(
                '`proximals` and `data_gradient` must be callable, got '
                f'{type(proximal).__name__}'
            )
    state = memory
    for proximal in proximals:
        gradient = data_gradient(x)
        if isinstance(proximal, odl.Operator):
            result = proximal(x - gradient)
        elif state is None:
            result = proximal(x, gradient)
        else:
            result = proximal(x, gradient, state)
        if isinstance(result, tuple):
            result, state = result
        elif memory is not None and not isinstance(proximal, odl.Operator):
            raise ValueError(
                '`memory` was given, but a proximal returns no new one; leave '
                '`memory` out, or return `(x, memory)`'
            )
        x.assign(_element(result, x.space))
        if memory is not None:
            state = _element(state, memory.space)
            memory.assign(state)
        if callback is not None:
            callback(x)


def _element(result, space):
    if result not in space:
        raise ValueError(
            'a proximal must return an element of '
            f'{describe_space(space)}, got {result!r}'
        )
    return result
