# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the reference says of a class, and where its names lead."""

import inspect
import pathlib

from docutils import nodes
from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature

__all__ = ('setup',)

_PACKAGE = 'odl_equivariant.'


def _skip_foreign(app, what, name, obj, skip, options):
    """Leave out what a class has from another package."""
    obj = getattr(obj, 'fget', obj)
    module = getattr(obj, '__module__', None) or _PACKAGE
    return None if module.startswith(_PACKAGE) else True


def _own_signature(app, what, name, obj, options, signature, returns):
    """Show how a class is made: ODL's `__new__` takes anything."""
    if what != 'class' or '__init__' not in _names_until_foreign(obj):
        return None
    own = signature_of(obj.__init__)
    made = inspect.Signature(list(own.parameters.values())[1:])
    return stringify_signature(made, unqualified_typehints=True), returns


def _names_until_foreign(cls):
    """Return what a class has from this package."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith(_PACKAGE)
        for name in vars(base)
    }


def _arguments_of_init(app, what, name, obj, options, lines):
    """Move the arguments that ``__init__`` describes below the summary."""
    if what != 'class' or 'Parameters' in lines:
        return
    text = inspect.cleandoc(obj.__init__.__doc__ or '').splitlines()
    own = '__init__' in _names_until_foreign(obj)
    if not own or 'Parameters' not in text:
        return
    headings = [i for i, line in enumerate(lines) if set(line) == {'-'}]
    place = headings[0] - 1 if headings else len(lines)
    lines[place:place] = [*text[text.index('Parameters') :], '']


def _public_name(domain, target):
    """Return the one documented name that ends in this one, or ``None``."""
    found = [
        name
        for name, entry in domain.objects.items()
        if name.startswith(_PACKAGE)
        and f'.{name}'.endswith(f'.{target}')
        and not entry.aliased
        # `operator` alone could be the attribute of many a class
        and ('.' in target or entry.objtype in ('class', 'function'))
    ]
    return found[0] if len(found) == 1 else None


def _by_end(app, env, node, contnode):
    """Link a name in a docstring to the name that ends in it."""
    if node.get('refdomain') != 'py':
        return None
    domain = env.get_domain('py')
    target = node['reftarget']
    # The types of a signature come with the modules that define them, and no
    # code of the page names them.
    of_signature = not isinstance(contnode, nodes.Element)
    if of_signature and target.startswith(_PACKAGE):
        target = target.rpartition('.')[2]
    name = _public_name(domain, target)
    if name is None:
        return contnode if of_signature else None
    return domain.resolve_xref(
        env, node['refdoc'], app.builder, 'obj', name, node, contnode
    )


def _link_code(app, doctree, docname):
    """Link public names that a page of markdown has as code."""
    if pathlib.Path(app.env.doc2path(docname)).suffix != '.md':
        return
    domain = app.env.get_domain('py')
    for node in list(doctree.findall(nodes.literal)):
        name = _public_name(domain, node.astext().removesuffix('()'))
        if name is None or isinstance(node.parent, nodes.reference):
            continue
        link = domain.resolve_xref(
            app.env, docname, app.builder, 'obj', name, node, node.deepcopy()
        )
        node.replace_self(link)


def setup(app):
    """Connect these to Sphinx."""
    app.setup_extension('sphinx.ext.autodoc')
    app.connect('autodoc-skip-member', _skip_foreign)
    app.connect('autodoc-process-signature', _own_signature)
    # before numpydoc
    app.connect('autodoc-process-docstring', _arguments_of_init, priority=400)
    app.connect('missing-reference', _by_end)
    app.connect('doctree-resolved', _link_code)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
