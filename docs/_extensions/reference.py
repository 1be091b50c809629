# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the reference says of a class, and where its names lead."""

import inspect

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
    parameters = list(inspect.signature(obj.__init__).parameters.values())
    made = inspect.Signature(parameters[1:])
    return stringify_signature(made, show_annotation=False), returns


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


def _by_end(app, env, node, contnode):
    """Link a name to the one documented name that ends in it."""
    if node.get('refdomain') != 'py':
        return None
    domain = env.get_domain('py')
    target = node['reftarget']
    found = [
        name
        for name, entry in domain.objects.items()
        if name.startswith(_PACKAGE)
        and name.endswith(f'.{target}')
        and not entry.aliased
        # `operator` alone could be the attribute of many a class
        and ('.' in target or entry.objtype in ('class', 'function'))
    ]
    if len(found) != 1:
        return None
    return domain.resolve_xref(
        env, node['refdoc'], app.builder, 'obj', found[0], node, contnode
    )


def setup(app):
    """Connect these to Sphinx."""
    app.setup_extension('sphinx.ext.autodoc')
    app.connect('autodoc-skip-member', _skip_foreign)
    app.connect('autodoc-process-signature', _own_signature)
    # before numpydoc
    app.connect('autodoc-process-docstring', _arguments_of_init, priority=400)
    app.connect('missing-reference', _by_end)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
