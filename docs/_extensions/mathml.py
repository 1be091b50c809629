# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Formulas as MathML, which browsers draw without a script or a network."""

import itertools
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

__all__ = ('setup',)

_logger = logging.getLogger(__name__)


def _in_terms_of_docutils(tex):
    r"""Return a formula without what docutils does not know.

    It knows delimiters of a given size by their side only, no ``\dots``,
    takes all digits after a fraction as one number, and puts an exponent
    after a norm on its second bar alone.
    """
    tex = tex.replace(r'\dots', r'\ldots')
    tex = re.sub(r'\\([td]?frac)\s*(\d)(\d)', r'\\\1{\2}{\3}', tex)
    tex = re.sub(r'\\([bB]igg?)\s*(?=[(\[]|\\\{)', r'\\\1l ', tex)
    tex = re.sub(r'\\([bB]igg?)\s*(?=[)\]]|\\\})', r'\\\1r ', tex)
    tex = tex.replace(r'\lVert', r'\left\|').replace(r'\rVert', r'\right\|')
    if r'\left\|' not in tex and tex.count(r'\|') % 2 == 0:
        sides = itertools.cycle([r'\left\|', r'\right\|'])
        tex = re.sub(r'\\\|', lambda _: next(sides), tex)
    return tex


def _mathml(node, as_block):
    tex = _in_terms_of_docutils(node.astext())
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
