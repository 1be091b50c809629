# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""YAML of configurations: bounded in size, and without ambiguities."""

import os
import pathlib

import yaml

__all__ = (
    'ConfigurationError',
    'check_yaml',
    'lines_of',
    'parse_yaml',
    'read_yaml',
)

# Far more than a configuration needs, and read in much less than a second.
_MAX_COPIES = 10_000
_MAX_DEPTH = 100
_TAGS = {
    f'tag:yaml.org,2002:{kind}'
    for kind in ('map', 'seq', 'str', 'int', 'float', 'bool', 'null')
}
# dates are read as texts
_TAGS.add('tag:yaml.org,2002:timestamp')
_TEXT, _MERGE = 'tag:yaml.org,2002:str', 'tag:yaml.org,2002:merge'


class ConfigurationError(ValueError):
    """A configuration that cannot be read, or sets a key twice."""


def read_yaml(path):
    """Return the configuration in a file.

    Parameters
    ----------
    path : path-like
        File in YAML or JSON, UTF-8.

    Returns
    -------
    content : dict
        The nested configuration. All keys are text.

    Raises
    ------
    ConfigurationError
        If there is no such file, it is not YAML, it is not a mapping, a key
        is set twice, or values nest or repeat without end. The message names
        the file, and the line and the key if possible.
    """
    content = parse_yaml(_text(path), path)
    if not isinstance(content, dict):
        kind = 'a list' if isinstance(content, list) else 'a single value'
        is_empty = content is None or not str(content).strip()
        raise ConfigurationError(
            f'{path} holds {"nothing" if is_empty else kind}: a '
            'configuration consists of keys and their values, such as '
            '`seed_everything: 1`'
        )
    return content


def parse_yaml(text, source='the configuration'):
    """Return the content of a text in YAML, after `check_yaml`."""
    # The loader of jsonargparse reads `1e-4` as a float, unlike YAML 1.1.
    from jsonargparse import get_loader

    check_yaml(text, source)
    try:
        return get_loader('yaml')(text)
    except (ValueError, yaml.YAMLError) as error:
        # a value that contradicts its tag, or a merge of no mapping
        reason = ' '.join(str(error).split())
        raise ConfigurationError(f'{source}: {reason}') from error


def _text(path):
    if '://' in str(path):
        raise ConfigurationError(
            f'{path} is not a file: configurations are read from local files'
        )
    path = pathlib.Path(os.path.expanduser(path))
    if path.is_symlink() and not path.exists():
        raise ConfigurationError(
            f'{path} is a link to {os.readlink(path)}, which does not exist'
        )
    if path.is_dir():
        raise ConfigurationError(
            f'{path} is a folder; a configuration is a file'
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f'there is no configuration {path}'
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f'{path} cannot be read: {error}') from error
    try:
        return content.decode('utf-8')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise ConfigurationError(
            f'{path}, line {line}: byte {content[error.start]:#04x} is not '
            'UTF-8: save the configuration in UTF-8'
        ) from error


def check_yaml(text, source='the configuration'):
    """Raise an error if a text in YAML is ambiguous or too large.

    Parameters
    ----------
    text : str
        One document.
    source : path-like, optional
        Name of the text in error messages.

    Raises
    ------
    ConfigurationError
        If the text is not YAML, a key is set twice or is not text, a value
        holds a NUL character, or aliases repeat too many values.
    """
    _lines(_composed(text, source), source)


def lines_of(path):
    """Return the line of each key in a file, by the dotted name of the key.

    Parameters
    ----------
    path : path-like
        File that `read_yaml` accepts.

    Returns
    -------
    lines : dict
        Numbers of lines, counted from 1.
    """
    return _lines(_composed(_text(path), path), path)


def _composed(text, source):
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    try:
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        where = f', line {mark.line + 1}' if mark else ''
        reason = getattr(error, 'problem', None) or error
        raise ConfigurationError(
            f'{source}{where}: not YAML: {" ".join(str(reason).split())}'
        ) from error
    except RecursionError as error:
        raise ConfigurationError(f'{source} nests without end') from error


def _lines(root, source):
    """Walk a document once; return the line of each key."""
    lines, sizes, open_nodes = {}, {}, set()
    keys = []

    def fail(node, problem):
        line = node.start_mark.line + 1
        raise ConfigurationError(f'{source}, line {line}: {problem}')

    def visit(node, name):
        if id(node) in open_nodes:
            fail(node, f'{name} contains itself')
        if id(node) in sizes:  # an alias
            return sizes[id(node)]
        if len(open_nodes) >= _MAX_DEPTH:
            fail(node, f'it nests more than {_MAX_DEPTH} levels deep')
        if node.tag not in _TAGS:
            tag = node.tag.replace('tag:yaml.org,2002:', '!!')
            fail(node, f'{name} has the tag {tag}, which is not allowed')
        open_nodes.add(id(node))
        size = 1
        if isinstance(node, yaml.ScalarNode):
            if '\0' in node.value:
                fail(node, f'{name} holds a NUL character')
        elif isinstance(node, yaml.SequenceNode):
            size += sum(visit(part, name) for part in node.value)
        else:
            seen = {}
            for key, value in node.value:
                check_key(key, seen, name)
                keys.append(key)
                inner = key.value if name == 'it' else f'{name}.{key.value}'
                lines.setdefault(inner, key.start_mark.line + 1)
                size += 1 + visit(value, inner)
        open_nodes.remove(id(node))
        sizes[id(node)] = size
        return size

    def check_key(key, seen, name):
        if key.tag not in (_TEXT, _MERGE):
            fail(
                key,
                f'the key {getattr(key, "value", None)!r} in {name} is not '
                'a text: put it in quotation marks',
            )
        if '\0' in key.value:
            fail(key, f'a key of {name} holds a NUL character')
        if key.value in seen:
            where = '' if name == 'it' else f' of `{name}`'
            fail(
                key,
                f'the key `{key.value}`{where} is set twice, first in line '
                f'{seen[key.value]}',
            )
        seen[key.value] = key.start_mark.line + 1

    if root is None:
        return lines
    copies = visit(root, 'it') - len(sizes) - len(keys)
    if copies > _MAX_COPIES:
        raise ConfigurationError(
            f'{source} repeats {copies} values by its anchors (`&`) and '
            f'aliases (`*`), more than {_MAX_COPIES}: write them out'
        )
    return lines
