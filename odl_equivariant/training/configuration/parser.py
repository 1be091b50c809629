# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The parser of the command, with short error messages."""

import inspect
import os
import pathlib
import re
import sys

from jsonargparse import ActionConfigFile, set_loader
from lightning.pytorch.cli import LightningArgumentParser

from odl_equivariant.training.configuration.yaml_files import (
    ConfigurationError,
    lines_of,
    parse_yaml,
    read_yaml,
)
from odl_equivariant_command import COMMANDS, PROGRAM, nearest

__all__ = ('ConfigurationFile', 'Parser')

_MODE = 'odl_equivariant'
_SECTIONS = ('trainer', 'model', 'data')
_DENIED = re.compile(r"Importing '([\w.]+)' is not allowed, .*? to allow it\.")
_KEY = re.compile(r'[Kk]ey "([\w.]+)"')
_CLASS = re.compile(r"class_path '([\w.]+)'")
_LOOP = re.compile(r'Config file loop detected: (.+) -> \1$')
_UNKNOWN = re.compile(
    r"Option '([\w.-]+)' is not accepted|does not accept option '([\w.-]+)'|"
    r'unrecognized arguments: (?:--)?([\w.-]+)'
)
_INNER_KEY = re.compile(r'Parser key "([\w.]+)":')
_GOT = re.compile(
    r'(?:Got|Given) value: (.+?)(?:\. Got value: Namespace.*)?$', re.M
)
_EXPECTED = re.compile(r'Expected an? (.+?)(?:\. Got value: .*)?$', re.M)


# jsonargparse reads a value that cannot be loaded as a text, if it may be one
set_loader(_MODE, parse_yaml, (ConfigurationError,))


def _check_sections(path):
    content = read_yaml(path)
    for name in _SECTIONS:
        # or the name of a file with the keys
        if not isinstance(content.get(name, {}), dict | str):
            raise ConfigurationError(
                f'{path}, line {lines_of(path)[name]}: `{name}` must consist '
                f'of keys and their values, got {content[name]!r}'
            )


class ConfigurationFile(ActionConfigFile):
    """The option ``--config``."""

    @staticmethod
    def apply_config(parser, cfg, dest, value):
        """Read a file, or settings in braces."""
        value = str(value)
        path = pathlib.Path(os.path.expanduser(value))
        if path.is_fifo() or value == '-':
            pass  # it can be read only once, and is checked later
        elif not value.lstrip().startswith('{'):
            _check_sections(value)
            Parser.files.append(value)
        ActionConfigFile.apply_config(parser, cfg, dest, value)


class Parser(LightningArgumentParser):
    """A parser that reads checked YAML, and whose errors are short.

    The process has one command. All parsers know its arguments, and the files
    that it read, in their order.
    """

    arguments, files = (), []

    def __init__(self, *args, **kwargs):
        kwargs.setdefault('parser_mode', _MODE)
        kwargs.setdefault('allow_abbrev', False)
        kwargs.setdefault('description', 'Train, evaluate and reconstruct.')
        super().__init__(*args, **kwargs)

    def error(self, message, ex=None):
        """Print the error and its place, and end with status 2."""
        if not self.exit_on_error:  # another alternative may fit
            super().error(message, ex)
        message = str(message)
        denied = _DENIED.search(message)
        if not denied:
            message = _innermost(message)
        key = _KEY.search(message)
        if denied:
            message = f'{key[0]}: ' if key else ''
            message += _explain(denied[1])
        message = ' '.join(
            part.strip().removeprefix('- ')
            for part in message.splitlines()
            if part.strip() and 'Expected a path but' not in part
        )
        # jsonargparse reads a file again after an error in it
        message = _LOOP.sub(
            r'the content of \1 does not fit, or may not be named', message
        )
        unknown = _UNKNOWN.search(message)
        if unknown:
            parser = getattr(ex, 'subcommand_parser', None) or self
            name = next(filter(None, unknown.groups()))
            message += nearest(name, parser.names(message))
            place = f'{key[1]}.init_args.{name}' if key else name
        else:
            place = key[1] if key else ''
        command = [a for a in self.arguments if a in COMMANDS][:1]
        sys.stderr.write(
            f'{PROGRAM}: error: {message}{self._place(place)}\n'
            f'`{" ".join([PROGRAM, *command])} --help` shows the options\n'
        )
        self.exit(2)

    def names(self, message):
        """Return the names that are possible in place of a wrong one."""
        named = _CLASS.search(message)
        if named:  # it was imported, since its parameters are known
            module, _, name = named[1].rpartition('.')
            item = getattr(sys.modules.get(module), name, None)
            return inspect.signature(item).parameters if item else ()
        return [
            option.lstrip('-')
            for action in self._actions
            for option in action.option_strings
        ]

    @classmethod
    def _place(cls, key):
        """Return the file and the line of a key, in brackets."""
        while key:
            if any(a.startswith(f'--{key}') for a in cls.arguments):
                return ''
            for path in reversed(cls.files):
                line = lines_of(path).get(key)
                if line is not None:
                    return f' ({path}, line {line})'
            key = key.rpartition('.')[0]
        return ''


def _innermost(message):
    """Return what a value of a named class should be, without the ways."""
    keys = list(_INNER_KEY.finditer(message))
    got = _GOT.search(message, keys[-1].end()) if keys[1:] else None
    if not got:
        return message
    kinds = _EXPECTED.findall(message[keys[-1].end() : got.end()])
    if not kinds:
        return message
    name = '.init_args.'.join(key[1] for key in keys)
    return (
        f'key "{name}": expected {" or ".join(map(_in_words, kinds))}, '
        f'got {got[1]}'
    )


def _in_words(kind):
    """Return what jsonargparse calls a type, in the words of YAML."""
    kind = re.sub(r"^<class '(?:\w+\.)*(\w+)'>$", r'\1', kind)
    kind = re.sub(r'^typing\.Literal\[(.*)\]$', r'one of \1', kind)
    return kind.replace('NoneType', 'null').replace('tuple', 'list')


def _explain(name):
    module = name.rpartition('.')[0] or name
    return (
        f'`{name}` may not be named. A configuration names blocks, '
        'acquisitions, sets of images, losses, actions, callbacks and local '
        'loggers of odl_equivariant and Lightning. Code that you trust is '
        'allowed on '
        f'the command line: `--import {module}`'
    )
