# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of arguments that are a number, a bool, a choice or a shape.

A wrong type is a `TypeError`, a wrong value a `ValueError`, and a bool is not
a number. Numbers of NumPy, and arrays and tensors without axes, are numbers.

The first parameter of each function is the name of the argument, which may
have dots. If it is anything else, such as a few words, the messages begin
with it as it is.
"""

import math
import operator

import numpy as np

__all__ = (
    'array_shape',
    'boolean',
    'one_of',
    'positive_number',
    'real_number',
    'whole_number',
)


def whole_number(name, value, least=None, most=None):
    """Return a whole number as an int.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : int
        What was given.
    least, most : int, optional
        Bounds, which are allowed.

    Returns
    -------
    number : int
        The number.

    Raises
    ------
    TypeError
        If it is no whole number; a float is none.
    ValueError
        If it is out of bounds.

    Examples
    --------
    >>> whole_number('n', np.int64(3), least=1)
    3
    >>> whole_number('n', 0, least=1)
    Traceback (most recent call last):
        ...
    ValueError: `n` must be a positive whole number, got 0
    """
    if least == 1 and most is None:
        expected = 'a positive whole number'
    else:
        expected = f'a whole number{_bounds(least, most)}'
    try:
        number = _index(value)
    except TypeError:
        raise TypeError(_message(name, expected, value)) from None
    if (least is not None and number < least) or (
        most is not None and number > most
    ):
        raise ValueError(_message(name, expected, value))
    return number


def real_number(name, value, least=None, most=None, infinite=False):
    """Return a real number as a float.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : float
        What was given.
    least, most : float, optional
        Bounds, which are allowed.
    infinite : bool, optional
        Whether infinity is allowed.

    Returns
    -------
    number : float
        The number.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is out of bounds, infinite, or NaN.

    Examples
    --------
    >>> real_number('sigma', 1, least=0)
    1.0
    >>> real_number('sigma', '1')
    Traceback (most recent call last):
        ...
    TypeError: `sigma` must be a finite number, got '1'
    """
    finite = '' if infinite or most is not None else 'finite '
    expected = f'a {finite}number{_bounds(least, most)}'
    low = -math.inf if least is None else least
    high = math.inf if most is None else most
    number = _float(name, value, expected)
    # NaN is not within any bounds
    if not low <= number <= high or (math.isinf(number) and not infinite):
        raise ValueError(_message(name, expected, value))
    return number


def positive_number(name, value, most=None, infinite=False):
    """Return a number above 0 as a float; see `real_number`.

    Examples
    --------
    >>> positive_number('side', 0.25)
    0.25
    >>> positive_number('side', 0)
    Traceback (most recent call last):
        ...
    ValueError: `side` must be a finite positive number, got 0
    """
    finite = '' if infinite or most is not None else 'finite '
    expected = f'a {finite}positive number{_bounds(None, most)}'
    number = _float(name, value, expected)
    high = math.inf if most is None else most
    if not 0 < number <= high or (math.isinf(number) and not infinite):
        raise ValueError(_message(name, expected, value))
    return number


def boolean(name, value):
    """Return a bool, which numbers are not.

    Examples
    --------
    >>> boolean('flip', np.True_)
    True
    >>> boolean('flip', 1)
    Traceback (most recent call last):
        ...
    TypeError: `flip` must be True or False, got 1
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(_message(name, 'True or False', value))
    return bool(value)


def one_of(name, value, choices, optional=False):
    """Return one of some strings.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : str
        What was given.
    choices : iterable of str
        All that is allowed.
    optional : bool, optional
        Whether ``None`` is allowed, too.

    Returns
    -------
    value : str or None
        What was given.

    Raises
    ------
    TypeError
        If it is no string.
    ValueError
        If it is another string.

    Examples
    --------
    >>> one_of('axis', 'z', ['x', 'y'], optional=True)
    Traceback (most recent call last):
        ...
    ValueError: `axis` must be one of 'x', 'y' or None, got 'z'
    """
    if value is None and optional:
        return None
    choices = list(choices)
    expected = f'one of {", ".join(map(repr, choices))}'
    expected += ' or None' if optional else ''
    if not isinstance(value, str):
        raise TypeError(_message(name, expected, value))
    if value not in choices:
        raise ValueError(_message(name, expected, value))
    return value


def array_shape(name, value, ndim=None, least=1):
    """Return a shape as a tuple of ints.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : iterable of int
        What was given.
    ndim : int, optional
        Number of axes. Default: any but 0.
    least : int or None, optional
        Least length of an axis; ``None`` also allows negative numbers.

    Returns
    -------
    shape : tuple of int
        The shape.

    Raises
    ------
    TypeError
        If it does not consist of whole numbers.
    ValueError
        If a length is too small, or the number of axes is another one.

    Examples
    --------
    >>> array_shape('shape', [4, 5], ndim=2)
    (4, 5)
    >>> array_shape('shape', [4, 0], ndim=2)
    Traceback (most recent call last):
        ...
    ValueError: `shape` must be 2 whole numbers of at least 1, got [4, 0]
    """
    many = 'a sequence of' if ndim is None else ndim
    expected = f'{many} whole numbers{_bounds(least, None)}'
    try:
        lengths = tuple(map(_index, value))
    except TypeError:
        raise TypeError(_message(name, expected, value)) from None
    if not lengths or len(lengths) != (ndim or len(lengths)):
        raise ValueError(_message(name, expected, value))
    if least is not None and min(lengths) < least:
        raise ValueError(_message(name, expected, value))
    return lengths


def _index(value):
    if _is_bool(value):
        raise TypeError
    return operator.index(value)


def _float(name, value, expected):
    """Return what is a real number as a float, infinite if it overflows."""
    has_axes = getattr(value, 'ndim', 0) != 0
    is_complex = 'complex' in str(getattr(value, 'dtype', ''))
    try:
        # floats can be made of all of these, but for the first
        if has_axes or is_complex or _is_bool(value) or _is_text(value):
            raise TypeError
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise TypeError(_message(name, expected, value)) from None


def _is_bool(value):
    of_bools = 'bool' in str(getattr(value, 'dtype', ''))
    return isinstance(value, bool) or of_bools


def _is_text(value):
    return isinstance(value, str | bytes | bytearray)


def _bounds(least, most):
    if least is not None and most is not None:
        return f' from {least} to {most}'
    if most is not None:
        return f' of at most {most}'
    return '' if least is None else f' of at least {least}'


def _message(name, expected, value):
    is_name = name.replace('.', '').isidentifier()
    name = f'`{name}`' if is_name else name
    shape = getattr(value, 'shape', ())
    if isinstance(shape, tuple) and shape:
        given = f'an array of shape {tuple(shape)}'
    else:
        given = f'{value!r:.100}'
    return f'{name} must be {expected}, got {given}'
