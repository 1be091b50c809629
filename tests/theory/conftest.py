# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Writes a table of the errors that the tests of the theory measure.

The command is `pytest tests/theory --theory-table docs/theory_table.md`. For
each statement, the table has the largest error over all cases, and the
tolerance. If the statement says that a law fails, the table has the smallest
error, and a lower bound.
"""

import inspect

import numpy as np
import odl
import pytest
import torch

from odl_equivariant._files import write_atomically

_COLUMNS = ('statement', 'law', 'error', 'bound', 'cases')
_MEASURED = []


def statement(name):
    """Return the name of a test as a sentence."""
    return name.removeprefix('test_').replace('_', ' ').capitalize()


class Law:
    """A statement, whose error a test measures."""

    def __init__(self, request):
        self._test = request.function

    def _record(self, error, sign, bound, case):
        module = inspect.getmodule(self._test)
        _MEASURED.append(
            {
                'title': inspect.getdoc(module).splitlines()[0],
                'statement': statement(self._test.__name__),
                'law': case or inspect.getdoc(self._test).splitlines()[0],
                'error': float(error),
                'sign': sign,
                'bound': float(bound),
            }
        )

    def holds(self, error, tolerance=1e-10, case=None):
        """Assert that an error is within a tolerance.

        ``case`` describes the error. Default: the first line of the test's
        docstring.
        """
        __tracebackhide__ = True
        assert error <= tolerance
        self._record(error, '<=', tolerance, case)

    def fails(self, error, least, case=None):
        """Assert that an error is at least ``least``."""
        __tracebackhide__ = True
        assert error >= least
        self._record(error, '>=', least, case)


@pytest.fixture
def law(request):
    """Return an object that asserts and records the errors of a test."""
    return Law(request)


def pytest_addoption(parser):
    """Add the option that names the table."""
    parser.addoption(
        '--theory-table',
        metavar='PATH',
        help='write a table of the errors that the tests measure',
    )


def pytest_sessionfinish(session, exitstatus):
    """Write the table if it is asked for and all tests have passed."""
    path = session.config.getoption('--theory-table', None)
    if path is None:
        return
    if exitstatus:
        print(f'\n{path} is not written, as not all tests have passed')
        return
    write_atomically(session.startpath / path, _table().encode())


def _rows():
    """Return the titles, each with one row for each statement and bound."""
    titles = {}
    for entry in _MEASURED:
        rows = titles.setdefault(entry['title'], {})
        key = tuple(entry[k] for k in ('statement', 'law', 'sign', 'bound'))
        rows.setdefault(key, []).append(entry)
    return titles


def _table():
    lines = [
        '# The theory, measured',
        '',
        '`make theory-table` runs the tests in `tests/theory` and writes this '
        'table. For each statement, it has the largest relative error over '
        'all cases (actions, back-ends, data types, ...), and the tolerance '
        '(≤). If the statement says that a law fails, it has the smallest '
        f'error, and a lower bound (≥). NumPy {np.__version__}, torch '
        f'{torch.__version__}, ODL {odl.__version__}, on a CPU.',
    ]
    for title, rows in _rows().items():
        lines += ['', f'## {title.rstrip(".")}', '']
        lines.append(f'| {" | ".join(_COLUMNS)} |')
        lines.append('|---' * len(_COLUMNS) + '|')
        for (words, what, sign, bound), entries in rows.items():
            errors = [entry['error'] for entry in entries]
            extreme = max(errors) if sign == '<=' else min(errors)
            symbol = {'<=': '≤', '>=': '≥'}[sign]
            cells = (
                words,
                what.replace('|', '\\|'),
                f'{extreme:.1e}' if extreme else '0',
                f'{symbol} {bound:.0e}' if bound else '= 0',
                str(len(entries)),
            )
            lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'
