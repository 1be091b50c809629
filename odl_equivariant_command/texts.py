# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Help, version and the answer to no such command, without any import."""

import difflib
import pathlib
import re
import sys
import textwrap

from odl_equivariant_command.options import COMMANDS, WIDTH

__all__ = ('PROGRAM', 'answer', 'nearest')

PROGRAM = 'odl-equivariant'


def answer(arguments):
    """Print what needs no package: help, version, no such command.

    Parameters
    ----------
    arguments : list of str
        Arguments of the command.

    Returns
    -------
    status : int or None
        ``None`` if the command has to run.
    """
    if not arguments:
        print(_overview(), file=sys.stderr)
        return 2
    command = next((a for a in arguments if a in COMMANDS), None)
    if '--version' in arguments:
        print(_versions())
        return 0
    if {'-h', '--help'} & {*arguments} or (
        command is None and '--help-all' in arguments
    ):
        print(_overview() if command is None else _help_of(command))
        return 0
    first = arguments[0]
    if command is None and first[:1] != '-':
        print(
            f'{PROGRAM}: error: there is no command {first!r}'
            f'{nearest(first, COMMANDS)}; there are {", ".join(COMMANDS)}',
            file=sys.stderr,
        )
        return 2
    return None


def nearest(name, known):
    """Return the question whether a known name was meant, or nothing.

    Examples
    --------
    >>> nearest('trian', ['train', 'evaluate'])
    ': did you mean `train`?'
    >>> nearest('nonsense', ['train', 'evaluate'])
    ''
    """
    close = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f': did you mean `{close[0]}`?' if close else ''


def _filled(text):
    return textwrap.fill(text, WIDTH)


def _overview():
    width = max(map(len, COMMANDS))
    commands = '\n'.join(
        f'  {name:<{width}}  {command.summary}'
        for name, command in COMMANDS.items()
    )
    example = COMMANDS['train'].examples[0]
    return f"""\
usage: {PROGRAM} COMMAND --config FILE [OPTION VALUE ...]

Equivariant networks for tomography and magnetic resonance imaging, trained,
scored and applied. A configuration says which network and which data.

commands:
{commands}

example:
  {PROGRAM} {example}
  {PROGRAM} {example.replace('train', 'evaluate', 1)}

  COMMAND --help       the options that matter
  COMMAND --help-all   all of them
  --version            the versions of this package, of ODL and of torch"""


def _help_of(name):
    command = COMMANDS[name]
    examples = '\n'.join(f'  {PROGRAM} {line}' for line in command.examples)
    options = '\n'.join(map(str, command.options))
    every = _filled(
        'Each key of a configuration is an option, and each option a key. '
        'What a configuration names is code of this package; your own is '
        'allowed by --import MODULE. All options: --help-all.'
    )
    return f"""\
usage: {PROGRAM} {name} --config FILE [OPTION VALUE ...]

{command.summary}
{_filled(command.text)}

example:
{examples}

options, with their defaults in brackets:
{options}

{every}"""


def _versions():
    """Return the versions of the package and of what it stands on."""
    import importlib.metadata

    # of the code that runs, which need not be what is installed
    root = pathlib.Path(__file__).parents[1]
    source = root / 'odl_equivariant' / '__init__.py'
    own = re.search(r"^__version__ = '(.+)'$", source.read_text('utf-8'), re.M)
    lines = [f'odl_equivariant {own[1]}']
    for name in ('odl', 'torch', 'lightning'):
        try:
            lines.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            lines.append(f'{name} is not installed')
    return '\n'.join(lines)
