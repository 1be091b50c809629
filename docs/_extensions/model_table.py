# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of the shipped models, from the cards in their files."""

from table_directives import add_table

from odl_equivariant import models

__all__ = ('setup', 'table')

_COLUMNS = (
    'modality',
    'image unit',
    'values of images',
    'views',
    'cell size',
    'photons per reading',
    'noise level',
    'trained on',
)


def table():
    """Return the lines of a table in Markdown, one row for each model."""
    lines = [
        f'| model | {" | ".join(_COLUMNS)} |',
        '|---' * (len(_COLUMNS) + 1) + '|',
    ]
    for name in models.available():
        rows = models.describe(name).rows()
        cells = [rows.get(column, '') for column in _COLUMNS]
        lines.append(f'| `{name}` | {" | ".join(cells)} |')
    return lines


def setup(app):
    """Let Sphinx know the directive ``model-table``."""
    return add_table(app, 'model-table', table)
