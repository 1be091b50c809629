# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Warnings: at the line of the user, silenced, and none while probing."""

import contextlib
import contextvars
import functools
import sys
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from odl_equivariant._locks import Lock

__all__ = (
    'ConvergenceWarning',
    'is_probing',
    'probing',
    'quiet',
    'strict',
    'warn_user',
)

# Between the user's line and the one that knows.
_BETWEEN = {'contextlib', 'functools', 'lightning', 'odl', 'torch'}
_BETWEEN.add(__name__.partition('.')[0])

_FILTERS = Lock()

_Arguments = ParamSpec('_Arguments')
_Result = TypeVar('_Result')

_IS_PROBING = contextvars.ContextVar('is_probing', default=False)


class ConvergenceWarning(RuntimeWarning):
    """An inner solver has not reached its tolerance.

    What it computes, such as a proximal, is less accurate than it was asked
    to be. The message says how many iterations it made, and what is left.
    """


def warn_user(message, category):
    """Give a warning that points to the line of the user's code.

    Parameters
    ----------
    message : str
        What to say.
    category : type
        Class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_between(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_between(frame):
    name = frame.f_globals.get('__name__') or ''
    return name.partition('.')[0] in _BETWEEN


@contextlib.contextmanager
def quiet(*messages, category=Warning):
    """Context that silences some warnings of other packages.

    All threads share the filters. Two threads that change them at once would
    each restore the filters of the other, for ever. So threads take turns.

    Parameters
    ----------
    *messages : str
        Regular expressions for the beginnings of the warnings. Default: all.
    category : type, optional
        Their class.
    """
    with _filtered('ignore', messages, category):
        yield


@contextlib.contextmanager
def strict(*messages, category=Warning):
    """Context in which some warnings of other packages are errors.

    Parameters
    ----------
    *messages, category
        See `quiet`.
    """
    with _filtered('error', messages, category):
        yield


@contextlib.contextmanager
def _filtered(action, messages, category):
    with _FILTERS, warnings.catch_warnings():
        for message in messages or ('',):
            warnings.filterwarnings(action, message, category)
        yield


def is_probing():
    """Return whether operators are applied to elements drawn at random."""
    return _IS_PROBING.get()


def probing(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Decorate a function that probes operators with random elements.

    While it runs, nothing warns that these elements are not images.
    """

    @functools.wraps(function)
    def probe(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        token = _IS_PROBING.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            _IS_PROBING.reset(token)

    return probe
