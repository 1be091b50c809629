# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A table of contents of pages that scripts write, where they have."""

import pathlib

from docutils.statemachine import StringList
from sphinx.directives.other import TocTree

__all__ = ('setup',)


class WrittenPages(TocTree):
    """A ``toctree`` that leaves out the pages that are not there."""

    def run(self):
        """Return the table, or nothing if no page is there."""
        folder = pathlib.Path(self.env.doc2path(self.env.docname)).parent
        lines = [
            (name, item)
            for name, item in zip(
                self.content, self.content.items, strict=True
            )
            if (folder / f'{name}.md').is_file()
        ]
        if not lines:
            return []
        self.content = StringList(
            [name for name, _ in lines], items=[item for _, item in lines]
        )
        return super().run()


def setup(app):
    """Make the directive known."""
    app.add_directive('written-pages', WrittenPages)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
