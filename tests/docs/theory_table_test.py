# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table in the docs has what the tests of the theory state."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / 'docs' / 'theory_table.md'
# tests with the fixture `law` state something
TESTS = {
    function.name: ast.get_docstring(module).splitlines()[0]
    for path in sorted((ROOT / 'tests' / 'theory').glob('*_test.py'))
    for module in [ast.parse(path.read_text())]
    for function in module.body
    if isinstance(function, ast.FunctionDef)
    and 'law' in [argument.arg for argument in function.args.args]
}


def statements(table):
    """Return the statements in a table, each with its heading."""
    found, title = {}, None
    for line in table.splitlines():
        if line.startswith('## '):
            title = line[3:]
        elif re.match(r'\| (?!statement)', line):
            found[line.split('|')[1].strip()] = title
    return found


def test_the_table_has_all_statements_and_no_others():
    """`make theory-table` makes it anew after a test was added."""
    expected = {
        name.removeprefix('test_').replace('_', ' ').capitalize(): title
        for name, title in TESTS.items()
    }
    found = statements(TABLE.read_text(encoding='utf-8'))
    assert set(found) == set(expected)
    for words, title in found.items():
        assert title == expected[words].rstrip('.')


def test_errors_in_the_table_are_within_what_is_asked():
    """It was written by tests that had passed."""
    rows = re.findall(
        r'\| (\S+) \| ([≤≥=]) (\S+) \| \d+ \|$',
        TABLE.read_text(encoding='utf-8'),
        re.MULTILINE,
    )
    assert len(rows) >= len(TESTS)
    for error, sign, bound in rows:
        gap = float(bound) - float(error)
        assert gap >= 0 if sign in '≤=' else gap <= 0
