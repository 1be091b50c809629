# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How asserts are made of the functions that measure errors."""

import inspect
import textwrap
from collections.abc import Callable, Iterable

import odl

from odl_equivariant.diagnostics import _tolerances
from odl_equivariant.diagnostics._spaces import check_operator, name

__all__ = ('check_all', 'make_assertion')

_DOCSTRING = """Raise an `AssertionError` if {law}.

Parameters
----------
{parameters}
{before} :
    See `{measure}`.
tol : float, optional
    Largest relative error that passes. Default: from
    `{tolerances}`.{after}

Returns
-------
error : float
    The {largest}relative error, if {it_passes}.

Raises
------
AssertionError
    If {an_error}.
TypeError, ValueError
    See `{measure}`.

Examples
--------
>>> import odl
>>> from odl_equivariant.actions import group_actions
>>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
{example}
"""


# --- Checks --- #


def _as_list(actions):
    if isinstance(actions, odl.Operator) or not isinstance(actions, Iterable):
        return [actions]
    actions = list(actions)
    if not actions:
        raise ValueError('expected at least one action, got none')
    return actions


def _lists_of_actions(arguments, parameters):
    """Take the lists of actions out of the arguments."""
    first, *others = (arguments.pop(f'{key}s') for key in parameters)
    lists = [_as_list(first)]
    for other in others:
        other = [None] * len(lists[0]) if other is None else _as_list(other)
        if len(other) != len(lists[0]):
            raise ValueError(
                'expected one action on the range for each of the '
                f'{len(lists[0])} on the domain, got {len(other)}'
            )
        lists.append(other)
    return zip(*lists, strict=True)


def _check(error, tol, failure):
    """Return an error within its tolerance, or raise an error."""
    __tracebackhide__ = True
    if not error <= tol:
        raise AssertionError(
            f'{failure} the relative error {error:.3g}, above the tolerance '
            f'{tol:.3g}'
        )
    return error


def check_all(errors, tol, failure):
    """Return the largest error, or name all errors that fail.

    Parameters
    ----------
    errors : list of tuple
        Group elements, each with its relative error. An error that is not a
        number fails.
    tol : float
        Largest error that is accepted.
    failure : str
        What the message says first.

    Raises
    ------
    AssertionError
        If an error is above the tolerance.
    """
    __tracebackhide__ = True
    failures = [
        f'{element}: {error:.3g}'
        for element, error in errors
        if not error <= tol
    ]
    if failures:
        raise AssertionError(
            f'{failure}, its relative errors are above the tolerance '
            f'{tol:.3g} under {"; ".join(failures)}'
        )
    return max(error for _, error in errors)


# --- Factory --- #


def make_assertion(
    module: str,
    title: str,
    measure: Callable[..., float],
    failure: str,
    *,
    law: str,
    parameters: str,
    example: str,
    tol_before: str | None = None,
    tolerances: str = 'TOLERANCES',
) -> Callable[..., float]:
    """Make an assert of a function that measures a relative error.

    Parameters
    ----------
    module, title :
        Names of the module and of the assert.
    measure :
        Function that measures an operator. The assert has its parameters, and
        the tolerance. If it has an ``action``, the assert has ``actions`` and
        names all that fail.
    failure :
        Beginning of the message, with a pair of braces for the operator.
    law, parameters, example :
        What the docstring says of this assert alone.
    tol_before :
        Parameter that follows the tolerance. Default: none.
    tolerances :
        Name of the tolerances by dtype.
    """
    table = getattr(_tolerances, tolerances)
    own = inspect.signature(measure, eval_str=True).parameters
    over = [key for key in own if key.endswith('action')]
    operand = 'operator' if 'operator' in own else next(iter(own))
    signature = [
        p.replace(name=f'{key}s' if key in over else key)
        for key, p in own.items()
    ]
    keys = [p.name for p in signature]
    place = keys.index(tol_before) if tol_before else len(keys)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    tol = inspect.Parameter('tol', kind, default=None, annotation=float | None)
    signature.insert(place, tol)
    signature = inspect.Signature(signature, return_annotation=float)

    def assertion(*args, **kwargs):
        __tracebackhide__ = True
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f'{title}() {error}') from None
        given.apply_defaults()
        arguments = given.arguments
        tol, op = arguments.pop('tol'), arguments[operand]
        check_operator(op)
        if over:
            check, errors = check_all, []
            for actions in _lists_of_actions(arguments, over):
                acting = dict(zip(over, actions, strict=True))
                errors.append((actions[0], measure(**arguments, **acting)))
        else:
            check, errors = _check, measure(**arguments)
        tol = _tolerances.tolerance(op, tol, table)
        return check(errors, tol, failure.format(name(op)))

    assertion.__module__ = module
    assertion.__name__ = assertion.__qualname__ = title
    setattr(assertion, '__signature__', signature)  # noqa: B010
    types = {p.name: p.annotation for p in signature.parameters.values()}
    assertion.__annotations__ = {**types, 'return': float}
    parameters = textwrap.dedent(parameters).strip()
    before = [key for key in keys[:place] if f'{key} : ' not in parameters]
    after = f'\n{", ".join(keys[place:])} :\n    See `{measure.__name__}`.'
    assertion.__doc__ = _DOCSTRING.format(
        law=law,
        parameters=parameters,
        before=', '.join(before),
        measure=measure.__name__,
        tolerances=tolerances,
        after=after if keys[place:] else '',
        largest='largest ' if over else '',
        it_passes='all pass' if over else 'it passes',
        an_error=(
            'an error is above the tolerance or not finite; the message\n'
            '    lists all elements that fail'
            if over
            else 'the error is above the tolerance or not finite'
        ),
        example=textwrap.dedent(example).strip(),
    )
    return assertion
