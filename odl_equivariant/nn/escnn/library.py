# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The one place through which escnn is imported.

Importing this module imports escnn, which takes a second or more: modules
that are imported with `odl_equivariant` import it where they use it. Around
that import it sees to four things.

- escnn takes one function of ``lie_learn``, a package which is hard to
  install beside NumPy 2. Where it is missing, or does not work, the function
  in `odl_equivariant.nn.escnn.wigner` is used instead.
- escnn keeps the coefficients that it computes as pickles in its own
  installation folder. Here they stay in memory.
- escnn hands ``numpy.matrix`` to SciPy, which refuses it once ODL has
  switched SciPy to the array API. `odl_equivariant.nn.escnn.numerics` has
  what is used instead.
- escnn warns that ``py3nj``, which it can do without, is missing.

An escnn that the user has imported before is used as it is.
"""

import contextlib
import importlib
import io
import sys
import types
import warnings

import numpy as np

from odl_equivariant.nn.escnn.numerics import (
    Memory,
    build_sylvester_constraint,
    null,
)
from odl_equivariant.nn.escnn.wigner import wigner_D_matrix

__all__ = ('enn', 'group', 'gspaces')

_INSTALL = 'pip install --no-deps escnn==1.0.11'

_WIGNER_MODULES = (
    'lie_learn',
    'lie_learn.representations',
    'lie_learn.representations.SO3',
    'lie_learn.representations.SO3.wigner_d',
)


def _import_escnn():
    """Import escnn and return its modules ``nn``, ``group``, ``gspaces``.

    Returns
    -------
    modules : tuple of module
        ``escnn.nn``, ``escnn.group`` and ``escnn.gspaces``.

    Raises
    ------
    ImportError
        If escnn is not installed, or if it fails to import; the message
        says which, and what to install.
    """
    names = ('escnn.nn', 'escnn.group', 'escnn.gspaces')
    if not all(name in sys.modules for name in names):
        _forget_failed_import()
    with contextlib.ExitStack() as stack:
        if 'escnn.group' not in sys.modules:
            stack.enter_context(_without_known_warnings())
            stack.enter_context(_wigner_supplied())
            stack.enter_context(_cache_in_memory())
        try:
            modules = tuple(importlib.import_module(name) for name in names)
        except ImportError as error:
            raise ImportError(_explain(error), name=error.name) from error
    _replace_numerics()
    return modules


def _explain(error):
    """Return what is missing, and the command that installs it."""
    if isinstance(error, ModuleNotFoundError) and error.name == 'escnn':
        return (
            'the equivariant networks of `odl_equivariant` need escnn, which '
            f'is not installed. Install it with\n\n    {_INSTALL}\n'
        )
    message = f'escnn is installed, but importing it failed: {error}.'
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition('.')[0]
        if package == 'escnn':
            return f'{message} Reinstall it with\n\n    {_INSTALL}\n'
        return f'{message} Install it with\n\n    pip install {package}\n'
    return message


def _forget_failed_import():
    """Remove what a failed ``import escnn`` left behind.

    escnn hides the errors of its sub-packages: without ``lie_learn``, a
    plain ``import escnn`` succeeds and leaves half of its modules.
    """
    if 'escnn.group' not in sys.modules:
        for name in [name for name in sys.modules if name[:6] == 'escnn.']:
            del sys.modules[name]


@contextlib.contextmanager
def _without_known_warnings():
    """Silence the warnings that importing escnn is known to give."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='`py3nj` package not found')
        # An unescaped backslash: one category before Python 3.12, the other
        # from there on.
        for category in (DeprecationWarning, SyntaxWarning):
            warnings.filterwarnings(
                'ignore', message='.*invalid escape', category=category
            )
        yield


@contextlib.contextmanager
def _wigner_supplied():
    """Put a working ``wigner_D_matrix`` where escnn imports it from."""
    before = set(sys.modules)
    if _lie_learn_works():
        yield
        return

    # What the failed attempt has left would come before the stand-ins.
    for name in set(sys.modules) - before:
        if name.partition('.')[0] == 'lie_learn':
            del sys.modules[name]
    hidden = {
        name: sys.modules[name]
        for name in _WIGNER_MODULES
        if name in sys.modules
    }
    for name in _WIGNER_MODULES:
        module = types.ModuleType(name)
        module.__path__ = []
        sys.modules[name] = module
    sys.modules[_WIGNER_MODULES[-1]].wigner_D_matrix = wigner_D_matrix
    try:
        yield
    finally:
        for name in _WIGNER_MODULES:
            del sys.modules[name]
        sys.modules.update(hidden)


def _lie_learn_works():
    """Whether ``lie_learn`` is there and computes what it should."""
    angles = (0.3, 1.1, -0.7)
    try:
        # A build for NumPy 1 writes a page to the standard error.
        with (
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')
            module = importlib.import_module(_WIGNER_MODULES[-1])
            return all(
                np.allclose(
                    module.wigner_D_matrix(degree, *angles, field='real'),
                    wigner_D_matrix(degree, *angles),
                )
                for degree in (1, 2, 3)
            )
    except Exception:
        # Extensions built for another NumPy fail in every way there is.
        return False


@contextlib.contextmanager
def _cache_in_memory():
    """Have escnn keep its coefficients in memory and not in files."""
    try:
        joblib = importlib.import_module('joblib')
    except ImportError:
        # escnn then fails for the same reason, and that error is explained.
        yield
        return
    memory = joblib.Memory
    joblib.Memory = Memory
    try:
        yield
    finally:
        joblib.Memory = memory


def _replace_numerics():
    """Put `odl_equivariant.nn.escnn.numerics` in place of escnn's own."""
    for name in ('escnn.group._numerical', 'escnn.group._clebsh_gordan'):
        module = importlib.import_module(name)
        for function in (null, build_sylvester_constraint):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)


enn, group, gspaces = _import_escnn()
