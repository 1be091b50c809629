# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A flag: operators are being probed with random elements."""

import contextvars
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ('is_probing', 'probing')

_Arguments = ParamSpec('_Arguments')
_Result = TypeVar('_Result')

_IS_PROBING = contextvars.ContextVar('is_probing', default=False)


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
