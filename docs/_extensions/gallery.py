# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How the examples are run for the gallery, and where their figures are."""

import os
import pathlib
import re
import shutil
import weakref

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

__all__ = ('arguments', 'figures', 'order')

# outside of the sources, which stay as they are
_FOLDER = pathlib.Path(__file__).parents[2] / 'build' / 'docs' / 'figures'
# the option of a command line, its own or that of another example
_OUTPUT = re.compile(r"'--output'|\boutput_of\(")
# the heading of an example, which says what its figure shows
_TITLE = re.compile(r'"""\n?(.+)\n=+\n')
_FIRST = ('quickstart.py', 'mri_reconstruction.py')
_LAST = ('train_models.py',)

_shown = weakref.WeakSet()


def arguments(gallery_conf, script_vars):
    """Return the command line of an example: where its figure goes."""
    path = pathlib.Path(script_vars['src_file'])
    if not _OUTPUT.search(path.read_text('utf-8')):
        return []
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # relative, as it is printed
    target = os.path.relpath(_FOLDER / f'{path.stem}.png', path.parent)
    return ['--output', target]


def figures(block, block_vars, gallery_conf):
    """Take the figures of a block that pyplot does not know, each once.

    These are the file that an example has written, and the figures of
    `odl_equivariant.plotting` that it holds in a variable.
    """
    source = pathlib.Path(block_vars['src_file'])
    stem = source.stem
    targets = block_vars['image_path_iterator']
    taken = []
    for path in _FOLDER.glob(f'{stem}.png'):
        taken.append(next(targets))
        shutil.move(path, taken[-1])
    for value in list(block_vars['example_globals'].values()):
        if (
            isinstance(value, Figure)
            and getattr(value, 'number', None) is None
            and value not in _shown
        ):
            taken.append(next(targets))
            value.savefig(taken[-1], dpi=100)
            _shown.add(value)
    title = _TITLE.search(source.read_text('utf-8'))
    return figure_rst(taken, gallery_conf['src_dir'], title.group(1))


def order(filename):
    """Return the sorting key of an example: what to read first is first."""
    if filename in _FIRST:
        return (0, _FIRST.index(filename), filename)
    return (1 + (filename in _LAST), 0, filename)
