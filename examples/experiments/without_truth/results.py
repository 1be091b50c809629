# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The file of all scores, of which each part is written by its script."""

import json
import pathlib

from odl_equivariant._files import write_atomically

__all__ = ('read_results', 'write_results')


def read_results(path):
    """Return what a file of results holds, nothing if there is none."""
    path = pathlib.Path(path)
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding='utf-8'))


def write_results(path, parts):
    """Write parts of a file of results, and keep its other parts."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(read_results(path) | parts, indent=1) + '\n'
    write_atomically(path, text.encode())
