# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of the shipped models, from the cards in their files."""

from model_pages import uses_of
from table_directives import add_table

from odl_equivariant import models

__all__ = ('setup', 'table')

# What of the card bounds the use of a model, with words around it.
_BOUNDS = {
    'views': '{} views',
    'cell size': 'cells of {}',
    'acceleration': 'acceleration {}',
    'noise level': 'noise of {}',
}


def table():
    """Return the lines of a table in Markdown, one row for each model."""
    lines = [
        '| model | for | group | weights | trained for | trained on |',
        '|---|---|---|---|---|---|',
    ]
    for name in models.available():
        description = models.describe(name)
        rows = description.rows()
        bounds = ', '.join(
            words.format(rows[key])
            for key, words in _BOUNDS.items()
            if key in rows
        )
        link = f'[{name.replace("_", " ")}](/models/generated/{name}.md)'
        lines.append(
            f'| {link} | {uses_of(name)} | {description.group or "none"} '
            f'| {description.n_weights:,} | {bounds} | {rows["trained on"]} |'
        )
    return lines


def setup(app):
    """Let Sphinx know the directive ``model-table``."""
    return add_table(app, 'model-table', table)
