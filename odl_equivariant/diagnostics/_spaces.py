# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random elements, norms and checks for any ODL space or field."""

from math import inf, isfinite

import numpy as np
import odl
from odl.core.space.base_tensors import TensorSpace
from odl.core.space.weightings.weighting import (
    ArrayWeighting,
    ConstWeighting,
)

from odl_equivariant.elements import describe_space

__all__ = (
    'name',
    'check_operator',
    'check_action',
    'dtypes',
    'random_element',
    'point',
    'inner',
    'norm',
    'difference',
    'ratio',
)


def name(op):
    """Return the class and the spaces of an operator as one line.

    Parameters
    ----------
    op : `odl.Operator`
        Operator.

    Returns
    -------
    text : str
        For messages.
    """
    return (
        f'{type(op).__name__}: {describe_space(op.domain)} -> '
        f'{describe_space(op.range)}'
    )


def check_operator(op):
    """Raise a `TypeError` if ``op`` is not an `odl.Operator`.

    Parameters
    ----------
    op : object
        What should be an operator.

    Raises
    ------
    TypeError
        If it is none; the message says how to wrap a torch module.
    """
    if not isinstance(op, odl.Operator):
        raise TypeError(
            f'expected an `odl.Operator`, got {type(op).__name__}; wrap a '
            'torch module as `odl_equivariant.operators.NetworkOperator('
            'module, domain)`'
        )


def check_action(action, space, what):
    """Raise an error if ``action`` does not act on ``space``.

    Parameters
    ----------
    action : object
        What should be an operator from the space to itself.
    space : odl space
        Space on which it should act.
    what : str
        What the space is, in words, for the message.

    Raises
    ------
    TypeError
        If the action is no operator.
    ValueError
        If it acts on another space.
    """
    if not isinstance(action, odl.Operator):
        raise TypeError(
            'expected an action that is an `odl.Operator`, got '
            f'{type(action).__name__}'
        )
    if action.domain != space or action.range != space:
        raise ValueError(
            f'expected an action on {what}, {describe_space(space)}, got '
            f'{action} as {name(action)}'
        )


def dtypes(*spaces):
    """Return the names of the dtypes in (products of) spaces and fields.

    Parameters
    ----------
    *spaces : odl spaces or fields
        Fields have no dtype.

    Returns
    -------
    names : set of str
        Such as ``{'float32'}``.
    """
    names = set()
    for space in spaces:
        if isinstance(space, odl.ProductSpace):
            names |= dtypes(*space)
        elif isinstance(space, TensorSpace):
            names.add(str(space.dtype_identifier))
    return names


def random_element(space, rng):
    """Return white noise, the same numbers on every back-end.

    Parameters
    ----------
    space : `odl.ProductSpace`, `odl.Field` or tensor space
        Space of the result, real or complex.
    rng : `numpy.random.Generator`
        Source of the standard normal numbers.

    Returns
    -------
    element : ``space`` element
        Independent numbers, in real and imaginary part too.

    Raises
    ------
    ValueError
        If there is no white noise in such a space.
    """
    if isinstance(space, odl.ProductSpace):
        return space.element([random_element(part, rng) for part in space])
    if isinstance(space, odl.RealNumbers):
        return float(rng.standard_normal())
    if isinstance(space, odl.ComplexNumbers):
        return complex(rng.standard_normal(), rng.standard_normal())
    if not isinstance(space, TensorSpace) or not np.issubdtype(
        str(space.dtype_identifier), np.inexact
    ):
        raise ValueError(
            'expected a space of real or complex arrays, got '
            f'{describe_space(space)}'
        )
    values = rng.standard_normal(space.shape)
    if space.is_complex:
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values.astype(str(space.dtype_identifier)))


def point(space, x, rng):
    """Return ``x`` as an element of ``space``, or noise if it is `None`.

    Parameters
    ----------
    space : odl space or field
        Space of the result.
    x : element, array-like or None
        What becomes an element.
    rng : `numpy.random.Generator`
        Source of the noise, see `random_element`.

    Returns
    -------
    element : ``space`` element
        ``x`` itself if it is one.

    Raises
    ------
    ValueError
        If ``x`` is none, or there is no white noise in such a space.
    """
    if x is None:
        return random_element(space, rng)
    if x in space:
        return x
    try:
        return space.element(x)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'expected `x` to be an element of {describe_space(space)}, got '
            f'{type(x).__name__}'
        ) from error


def _numpy_twin(space):
    """Return the space with the same inner product on numpy arrays.

    ODL's inner products of torch tensors format the tensors as text many
    times over, which takes a hundred times as long as the inner product.
    """
    if isinstance(space, odl.ProductSpace):
        parts = [_numpy_twin(part) for part in space]
        return odl.ProductSpace(*parts, weighting=space.weighting)
    return space.to_device('cpu').to_impl('numpy')


def _numpy_data(x):
    if isinstance(x.space, odl.ProductSpace):
        return [_numpy_data(part) for part in x]
    return x.data.detach().cpu().resolve_conj().resolve_neg().numpy()


def _on_numpy(space, *elements):
    if not _is_torch(space):
        return (space, *elements)
    twin = _numpy_twin(space)
    return (twin, *(twin.element(_numpy_data(x)) for x in elements))


def _is_torch(space):
    """Return whether all parts are pytorch spaces with ordinary weights."""
    if not isinstance(space.weighting, (ConstWeighting, ArrayWeighting)):
        return False
    if isinstance(space, odl.ProductSpace):
        return len(space) > 0 and all(_is_torch(part) for part in space)
    return isinstance(space, TensorSpace) and space.impl == 'pytorch'


def inner(space, x, y):
    """Return the inner product, linear in ``x``, also for numbers.

    Parameters
    ----------
    space : odl space or field
        Space with an inner product.
    x, y : ``space`` elements
        Both factors.

    Returns
    -------
    product : complex
        Infinite or not a number where it overflows.
    """
    if isinstance(space, odl.Field):
        return complex(x * np.conj(y))
    space, x, y = _on_numpy(space, x, y)
    with np.errstate(over='ignore', invalid='ignore'):
        return complex(space.inner(x, y))


def norm(space, x):
    """Return the norm as a Python float, also for numbers.

    Parameters
    ----------
    space : odl space or field
        Space with a norm.
    x : ``space`` element
        Element.

    Returns
    -------
    norm : float
        Infinite or not a number where it overflows.
    """
    if isinstance(space, odl.Field):
        return float(abs(x))
    space, x = _on_numpy(space, x)
    with np.errstate(over='ignore', invalid='ignore'):
        return float(space.norm(x))


def difference(x, y):
    """Return ``x - y``; what is not finite is seen in the norm.

    Parameters
    ----------
    x, y : elements of one space, or numbers
        What to compare.

    Returns
    -------
    difference : element or number
        Without a warning of NumPy.
    """
    with np.errstate(over='ignore', invalid='ignore'):
        return x - y


def ratio(error, scale):
    """Return ``|error| / |scale|``, with 0 / 0 = 0 and NaN as infinity.

    Parameters
    ----------
    error, scale : float or complex
        Error, and what it is relative to.

    Returns
    -------
    ratio : float
        Not negative.
    """
    error, scale = abs(error), abs(scale)
    if not isfinite(error) or not isfinite(scale):
        return inf
    if error == 0:
        return 0.0
    return float(error / scale) if scale > 0 else inf
