# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Figures of pages, made by the code of the page when it is built."""

import contextlib
import hashlib
import os
import pathlib
import re
import tempfile

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

__all__ = ('blocks', 'run', 'setup')

# beside the sources, which stay as they are
_FOLDER = pathlib.Path(__file__).parents[2] / 'build' / 'docs' / 'figures'
_BLOCK = re.compile(
    r'^```(python|\{code-figure\}[^\n]*)\n(.*?)^```', re.S | re.M
)


def blocks(text):
    """Return the blocks of Python of a page, and which of them are figures.

    Parameters
    ----------
    text : str
        Content of the page.

    Returns
    -------
    blocks : list of (bool, str)
        Whether a block makes a figure, which is not shown as code, and its
        code.
    """
    return [(kind != 'python', code) for kind, code in _BLOCK.findall(text)]


def run(text, name):
    """Yield the variable ``figure`` after each block that makes one.

    Parameters
    ----------
    text : str
        Content of the page.
    name : str
        What tracebacks call the code.

    Yields
    ------
    figure : matplotlib.figure.Figure
        In the order of the page.
    """
    names = {'__name__': name}
    for is_figure, code in blocks(text):
        exec(compile(code, name, 'exec'), names)
        if is_figure:
            yield names.pop('figure')


class _CodeFigure(SphinxDirective):
    """The directive ``code-figure``, whose argument is the caption."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self):
        """Return the figure that the code of the page makes."""
        number = self.env.temp_data.get('code_figures', 0)
        self.env.temp_data['code_figures'] = number + 1
        path = self._paths()[number]
        place = pathlib.Path(self.env.doc2path(self.env.docname)).parent
        caption = self.arguments[0]
        image = nodes.image(uri=os.path.relpath(path, place), alt=caption)
        text, messages = self.parse_inline(caption)
        figure = nodes.figure('', image, nodes.caption(caption, '', *text))
        return [figure, *messages]

    def _paths(self):
        """Return the files of all figures of the page, made once."""
        paths = self.env.temp_data.get('code_figure_paths')
        if paths is None:
            source = pathlib.Path(self.env.doc2path(self.env.docname))
            text = source.read_text('utf-8')
            key = hashlib.sha256(text.encode()).hexdigest()[:12]
            _FOLDER.mkdir(parents=True, exist_ok=True)
            paths = []
            with (
                tempfile.TemporaryDirectory() as folder,
                contextlib.chdir(folder),
            ):
                for i, figure in enumerate(run(text, source.name)):
                    paths.append(_FOLDER / f'{source.stem}-{key}-{i}.png')
                    figure.savefig(paths[-1], dpi=100)
            self.env.temp_data['code_figure_paths'] = paths
        return paths


def setup(app):
    """Let Sphinx know the directive."""
    app.add_directive('code-figure', _CodeFigure)
    return {'parallel_read_safe': True}
