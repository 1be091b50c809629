# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the tests of the theory measure, as one table.

`pytest tests/theory --theory-table docs/theory_table.md` writes for each
statement the largest error seen in all of its cases beside the tolerance, or
the smallest one where the statement is that a law fails.
"""

import inspect

import numpy as np
import odl
import pytest
import torch

from odl_equivariant._files import write_atomically

_COLUMNS = ('statement', 'law', 'error', 'asked', 'cases')
_MEASURED = []


def statement(name):
    """Return the sentence that the name of a test is."""
    return name.removeprefix('test_').replace('_', ' ').capitalize()


class Law:
    """A statement that is about to be measured."""

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

        ``case`` says what it is about, where that is not the first line of
        the test's docstring.
        """
        __tracebackhide__ = True
        assert error <= tolerance
        self._record(error, '<=', tolerance, case)

    def fails(self, error, least, case=None):
        """Assert that an error is at least so large."""
        __tracebackhide__ = True
        assert error >= least
        self._record(error, '>=', least, case)


@pytest.fixture
def law(request):
    """Return what takes down the error of a statement."""
    return Law(request)


def pytest_addoption(parser):
    """Add the option that names the table."""
    parser.addoption(
        '--theory-table',
        metavar='PATH',
        help='write what the tests of the theory measure as a table',
    )


def pytest_sessionfinish(session, exitstatus):
    """Write the table, if one is asked for and all tests have passed."""
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
        'Written by `make theory-table`, which runs `tests/theory`: for each '
        'statement the largest relative error in all of its cases (actions, '
        'back-ends, data types, ...) and the tolerance; where the statement '
        'is that something fails, the smallest error and the least that is '
        f'asked for. NumPy {np.__version__}, torch {torch.__version__}, ODL '
        f'{odl.__version__}, on a CPU.',
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
