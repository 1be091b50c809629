# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The licences of all that is required, from the metadata of packages."""

import configparser
import importlib.metadata
import pathlib
import re

from docutils import nodes
from docutils.statemachine import StringList
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sphinx.util.docutils import SphinxDirective

__all__ = ('licence_of', 'requirements', 'setup', 'table')

_SETTINGS = pathlib.Path(__file__).parents[2] / 'setup.cfg'
# Installed apart from its requirements, see `setup.cfg`.
_APART = 'escnn'
_LONGEST = 40


def licence_of(metadata):
    """Return what the metadata of a package say of its licence, or ``''``.

    An expression comes first, then a short text, then classifiers: a long
    text is the licence itself. The list of libraries that CUDA is for pip has
    none: each of them names its own.
    """
    expression = metadata.get('License-Expression')
    if expression:
        return expression
    lines = (metadata.get('License') or '').strip().splitlines()
    if len(lines) == 1 and re.search(r'[A-Z]{2}|Apache', lines[0]):
        if len(lines[0]) <= _LONGEST and 'Copyright' not in lines[0]:
            return lines[0].strip()
    classifiers = [
        line.rpartition(' :: ')[2]
        for line in metadata.get_all('Classifier', [])
        if line.startswith('License ::')
    ]
    if not classifiers and 'meta-package' in metadata.get('Summary', ''):
        return 'a list of other packages'
    return ', '.join(c for c in classifiers if c != 'OSI Approved')


def requirements():
    """Return what is required: distributions, by name, and who needs them.

    Returns
    -------
    found : dict
        For each canonical name the distribution, and ``'package'`` or the
        extras that need it, in a set. Packages that are not installed are
        left out.
    """
    settings = configparser.ConfigParser()
    settings.read(_SETTINGS, encoding='utf-8')
    needs = {
        'package': settings['options']['install_requires'] + f'\n{_APART}'
    }
    needs |= dict(settings['options.extras_require'])
    found = {}
    for user, text in needs.items():
        if user == 'all':
            continue
        for line in text.splitlines():
            line = line.strip()
            if line and not line.startswith(('#', 'odl-equivariant')):
                _walk(Requirement(line), user, found)
    return found


def _walk(requirement, user, found):
    """Add a package and all that it requires."""
    name = canonicalize_name(requirement.name)
    users = found.get(name, (None, set()))[1]
    if user in users:
        return
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return
    found[name] = distribution, users | {user}
    if name == _APART:
        return
    for line in distribution.requires or []:
        other = Requirement(line)
        extras = ['', *requirement.extras]
        if other.marker is None or any(
            other.marker.evaluate({'extra': extra}) for extra in extras
        ):
            _walk(other, user, found)


def table():
    """Return the lines of a table in Markdown, one row for each package."""
    lines = ['| package | version | licence | for |', '|---|---|---|---|']
    for name, (distribution, users) in sorted(requirements().items()):
        metadata = distribution.metadata
        version = distribution.version.partition('+')[0]
        shown = 'package' if 'package' in users else ', '.join(sorted(users))
        lines.append(
            f'| {name} | {version} | {licence_of(metadata)} | {shown} |'
        )
    return lines


class _LicenceTable(SphinxDirective):
    """The directive ``licence-table``."""

    def run(self):
        """Return the table."""
        node = nodes.container()
        text = StringList(table(), source='licence-table')
        self.state.nested_parse(text, self.content_offset, node)
        return node.children


def setup(app):
    """Let Sphinx know the directive."""
    app.add_directive('licence-table', _LicenceTable)
    return {'parallel_read_safe': True}
