# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Directives that write tables from what the package says of itself."""

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

__all__ = ('add_table',)


def add_table(app, name, table):
    """Let Sphinx know a directive without arguments that writes a table.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        Application.
    name : str
        Name of the directive.
    table : callable
        Function that returns the lines of the table, in Markdown.

    Returns
    -------
    metadata : dict
        What the function ``setup`` of an extension returns.
    """

    class Table(SphinxDirective):
        def run(self):
            node = nodes.container()
            text = StringList(table(), source=name)
            self.state.nested_parse(text, self.content_offset, node)
            return node.children

    app.add_directive(name, Table)
    return {'parallel_read_safe': True}
