# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Formulas as MathML, which browsers draw without a script or a network."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

__all__ = ('setup',)

# docutils knows delimiters of a given size by their side only
_OPENING = re.compile(r'\\([bB]ig+)\s*(?=[(\[]|\\\{|\\l)')
_CLOSING = re.compile(r'\\([bB]ig+)\s*(?=[)\]|]|\\\}|\\[r|])')

_logger = logging.getLogger(__name__)


def _mathml(node, as_block):
    tex = _OPENING.sub(r'\\\1l ', node.astext())
    tex = _CLOSING.sub(r'\\\1r ', tex).replace(r'\dots', r'\ldots')
    try:
        return tex2mathml(tex, as_block=as_block)
    except MathError as error:
        _logger.warning('%s in the formula %r', error, tex, location=node)
        return ''


def _inline(translator, node):
    translator.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _display(translator, node):
    formula = _mathml(node, as_block=True)
    translator.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def setup(app):
    """Make this the renderer of formulas."""
    app.add_html_math_renderer('mathml', (_inline, None), (_display, None))
    app.config.html_math_renderer = 'mathml'
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
