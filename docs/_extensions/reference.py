# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which members the reference lists, and where its names lead."""

__all__ = ('setup',)

_PACKAGE = 'odl_equivariant.'


def _skip_foreign(app, what, name, obj, skip, options):
    """Leave out what a class has from another package."""
    obj = getattr(obj, 'fget', obj)
    module = getattr(obj, '__module__', None) or _PACKAGE
    return None if module.startswith(_PACKAGE) else True


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
    """Connect both to Sphinx."""
    app.setup_extension('sphinx.ext.autodoc')
    app.connect('autodoc-skip-member', _skip_foreign)
    app.connect('missing-reference', _by_end)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
