# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The licences of what is required."""

import importlib
import pathlib
import re
import sys
from email.message import Message

import pytest

pytest.importorskip('sphinx')
ROOT = pathlib.Path(__file__).parents[2]
# Of the whole table: what others may have to know who hand the package on.
# docutils is under the GPL in one file of its tools only.
NOT_PERMISSIVE = {
    'astra-toolbox': 'GPL',
    'docutils': 'GPL',
    'nvidia': 'NVIDIA',
    'cuda': 'NVIDIA',
}


@pytest.fixture
def licences(monkeypatch):
    """Return the extension that makes the table."""
    folder = ROOT / 'docs' / '_extensions'
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    return importlib.import_module('licence_table')


def test_each_requirement_says_its_licence(licences):
    """No row of the table is empty."""
    found = licences.requirements()
    assert {'odl', 'torch', 'astra-toolbox', 'escnn'} <= found.keys()
    for name, (distribution, users) in found.items():
        assert licences.licence_of(distribution.metadata), name
        assert users


def test_only_known_requirements_are_not_permissive(licences):
    """Another package under the GPL, or with terms of its own, is noticed."""
    for name, (distribution, _) in licences.requirements().items():
        licence = licences.licence_of(distribution.metadata)
        if re.search(r'GPL|General Public|Proprietary|AGPL', licence):
            assert any(name.startswith(known) for known in NOT_PERMISSIVE), (
                f'{name} is under {licence}: say so on docs/licences.md'
            )


@pytest.mark.parametrize(
    'header, expected',
    [
        ({'License-Expression': 'MIT'}, 'MIT'),
        ({'License': 'GPLv3'}, 'GPLv3'),
        (
            {
                'License': 'Copyright (c) me\nmany lines',
                'Classifier': 'License :: OSI Approved :: BSD License',
            },
            'BSD License',
        ),
        ({'Summary': 'CUDA Toolkit meta-package'}, 'a list of other packages'),
        ({}, ''),
    ],
)
def test_a_licence_is_found_where_metadata_have_it(licences, header, expected):
    """An expression, a short text or a classifier; never a whole licence."""
    message = Message()
    for key, value in header.items():
        message[key] = value
    assert licences.licence_of(message) == expected
