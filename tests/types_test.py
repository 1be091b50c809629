# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests that what is public has types, and says so to type checkers."""

import ast
import configparser
import functools
import importlib.resources
import inspect
import pathlib
import sys
import typing

import pytest

import odl_equivariant

ROOT = pathlib.Path(__file__).parents[1]
# What has no types yet.
EXCEPTIONS = ()
# Methods that users call by other means than their names.
CALLED = ('__call__', '__getitem__', '__init__', '__iter__', '__len__')


def functions_of(item):
    """Yield the functions of this package that make up a public name."""
    if not inspect.isclass(item):
        if callable(item):
            yield inspect.unwrap(item)
        return
    for cls in item.__mro__:
        for name, member in vars(cls).items():
            if name.startswith('_') and name not in CALLED:
                continue
            if isinstance(member, property):
                member = member.fget
            elif isinstance(member, functools.cached_property):
                member = member.func
            elif isinstance(member, classmethod | staticmethod):
                member = member.__func__
            if inspect.isfunction(member):
                yield inspect.unwrap(member)


def public_functions(package):
    """Return all functions and methods that are public, by their names."""
    found = {}
    module = getattr(odl_equivariant, package)
    for name in module.__all__:
        for function in functions_of(getattr(module, name)):
            where = f'{function.__module__}.{function.__qualname__}'
            # a named tuple has made methods of its own
            made = function.__code__.co_filename.startswith('<')
            ours = where.startswith('odl_equivariant.')
            if ours and not made and not where.startswith(EXCEPTIONS):
                found[where] = function
    return found


each_package = pytest.mark.parametrize('package', odl_equivariant.__all__)


def is_whole(function):
    """Return whether every parameter, and what is returned, has a type."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if '.' in function.__qualname__:
        parameters = parameters[1:]
    return signature.return_annotation is not signature.empty and all(
        p.annotation is not p.empty for p in parameters
    )


@each_package
def test_signatures_are_whole(package):
    """Every parameter of a public name, and what is returned, has a type."""
    functions = public_functions(package)
    assert [name for name in functions if not is_whole(functions[name])] == []


@functools.cache
def only_for_checkers(module):
    """Return what a module imports for type checkers alone."""
    names = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == (
            'TYPE_CHECKING'
        ):
            body = ast.Module(node.body, type_ignores=[])
            exec(compile(body, module.__file__, 'exec'), names)
    return names


@each_package
def test_types_exist(package):
    """Every type that a public signature names can be found."""
    for function in public_functions(package).values():
        names = only_for_checkers(sys.modules[function.__module__])
        assert 'return' in typing.get_type_hints(function, localns=names)


def test_marker_is_distributed():
    """The package has the file by which type checkers know that it has types.

    Both its lists of files name it.
    """
    package = importlib.resources.files(odl_equivariant)
    assert (package / 'py.typed').is_file()
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'setup.cfg', 'utf-8')
    data = settings['options.package_data']['odl_equivariant']
    assert 'py.typed' in data.split()
    assert 'py.typed' in (ROOT / 'MANIFEST.in').read_text('utf-8').split()
