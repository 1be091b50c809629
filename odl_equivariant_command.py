# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The door of the command ``odl-equivariant``: help and version, at once.

It lies outside of the package: to import that takes seconds, as it imports
ODL and torch.
"""

import contextlib
import difflib
import os
import pathlib
import re
import signal
import sys
import textwrap
import threading

__all__ = ('COMMANDS', 'Command', 'Option', 'answer', 'main', 'nearest')

PROGRAM = 'odl-equivariant'
# What the command needs beyond what the package does.
_NEEDED = ('lightning', 'jsonargparse', 'torchmetrics', 'tensorboard', 'tqdm')
_WIDTH = 79


class Option:
    """One line of the help.

    Parameters
    ----------
    name : str
        The option, without its dashes.
    value : str or tuple of str
        What it takes: a word for it, or all choices.
    text : str
        What it does.
    default : optional
        Its default, as the parser has it.
    """

    def __init__(self, name, value, text, default=None):
        self.name = name
        self.choices = value if isinstance(value, tuple) else ()
        self.value = f'{{{",".join(value)}}}' if self.choices else value
        self.text = text
        self.default = default

    def __str__(self):
        default = self.default
        if isinstance(default, bool):
            default = str(default).lower()
        text = self.text if default is None else f'{self.text} [{default}]'
        lines = textwrap.wrap(text, _WIDTH - 6)
        return '\n      '.join([f'  --{self.name} {self.value}', *lines])


class Command:
    """What the help says of one command.

    Parameters
    ----------
    summary : str
        What it does, in a line.
    text : str
        More about it.
    examples : tuple of str
        Lines that run.
    options : tuple of Option
        Those that matter.
    """

    def __init__(self, summary, text, examples, options):
        self.summary = summary
        self.text = text
        self.examples = examples
        self.options = options


_CONFIG = Option(
    'config',
    'FILE',
    'Configuration in YAML; a later one overrides an earlier one, and '
    'options override all. examples/configs/ has some.',
)
_FOLDER = Option(
    'trainer.default_root_dir', 'FOLDER', 'Folder of the run.', 'run'
)
_ACCELERATOR = Option(
    'trainer.accelerator', ('auto', 'cpu', 'gpu'), 'Where to compute.', 'auto'
)
_WEIGHTS = Option(
    'weights',
    'FILE',
    'File of weights, or the name of a shipped model. Without it: the best '
    'ones of the run.',
)
_WORKERS = Option(
    'data.workers', 'N', 'Number of processes that prepare data.', 0
)

COMMANDS = {
    'train': Command(
        'Train a network, or go on with a run that was interrupted.',
        'All that a run leaves is in its folder: weights, checkpoints, scores '
        'and the configuration. The same line goes on where it was stopped.',
        (
            'train --config examples/configs/ct_small.yaml',
            'train --config examples/configs/ct_small.yaml '
            '--trainer.max_steps 2000',
        ),
        (
            _CONFIG,
            _FOLDER,
            Option(
                'trainer.max_steps', 'N', 'Number of steps of the run.', 1000
            ),
            Option(
                'trainer.precision',
                ('auto', '32-true', 'bf16-mixed'),
                'Precision of the convolutions; auto takes bfloat16 where the '
                'processor has it.',
                '32-true',
            ),
            Option(
                'trainer.averaging',
                'DECAY',
                'Decay, such as 0.999, of moving averages of the weights, '
                'which are then validated and saved.',
            ),
            _ACCELERATOR,
            Option(
                'model.proximal',
                'CLASS',
                'Block of the network: odl_equivariant.nn.EquivariantProximal '
                'or OrdinaryProximal, with its --model.proximal.init_args.',
            ),
            Option(
                'model.n_iterations',
                'N',
                'Number of iterations of the network.',
                8,
            ),
            Option(
                'model.initial',
                ('zero', 'adjoint', 'fbp'),
                'Where the network starts.',
                'zero',
            ),
            Option(
                'model.loss',
                ('squared', 'relative', 'absolute', 'noise', 'charbonnier'),
                'What is made small; noise is for denoisers.',
                'squared',
            ),
            Option(
                'model.learning_rate', 'RATE', 'Largest step of Adam.', 1e-4
            ),
            Option(
                'model.schedule',
                ('constant', 'cosine'),
                'How the step goes on.',
                'constant',
            ),
            Option(
                'data.batch_size',
                'N',
                'Samples of one process in one step.',
                1,
            ),
            _WORKERS,
        ),
    ),
    'evaluate': Command(
        'Score a trained network beside the baseline on the test images.',
        'Prints PSNR and SSIM, and which weights were scored; those of each '
        'image are in scores.csv in the folder of the run.',
        ('evaluate --config examples/configs/ct_small.yaml',),
        (
            _CONFIG,
            _WEIGHTS,
            _FOLDER,
            _ACCELERATOR,
            Option(
                'data.test',
                'CLASS',
                'Set of test images, such as odl_equivariant.data.'
                'NumpySlices, with its --data.test.init_args.',
            ),
            _WORKERS,
        ),
    ),
    'reconstruct': Command(
        'Reconstruct measured data, file by file, or the test images.',
        'Without a configuration: FILE --model NAME --output IMAGE, with a '
        'shipped model or a file of weights. It takes scans (.mat, .h5, '
        '.xtekct, TIFF, .npy with a header) or k-space, and maybe --geometry '
        'FILE.yaml, --axis auto, --cell-size 0.2mm, --shape 512x512, --unit '
        '1/mm or HU, --strength and --maxiter of a prior, --slice, '
        '--coil-maps FILE.npy, or --kernel and --threshold, of k-space, '
        '--format nii.gz, '
        '--pictures true. With a configuration, it goes on where it was '
        'stopped, and never mixes results of different weights or data in '
        'one folder.',
        (
            'reconstruct my_scan.mat --model splitting_ct_c4 '
            '--output image.nii.gz',
            'reconstruct --config examples/configs/ct_small.yaml '
            '--input measured --output images',
        ),
        (
            _CONFIG,
            Option('output', 'FOLDER', 'Folder for the images.'),
            Option(
                'input',
                'FILE',
                'File .npy, or folder of such files, with the data of one '
                'image or of several along a first axis. Without it: the data '
                'of the test images.',
            ),
            _WEIGHTS,
            _FOLDER,
            _ACCELERATOR,
            Option('data.batch_size', 'N', 'So many images at once.', 1),
            Option(
                'inference_precision',
                ('float32', 'bfloat16', 'auto'),
                'Precision of the convolutions.',
                'float32',
            ),
            Option(
                'tile',
                'N',
                'Side of the tiles that bound the memory, or auto.',
            ),
            Option(
                'compile',
                ('true', 'false'),
                'Whether to compile the network, which pays on a GPU.',
                False,
            ),
            Option(
                'pictures',
                ('true', 'false'),
                'Whether to write a picture of each image, as PNG.',
                True,
            ),
        ),
    ),
}


def main(arguments=None):
    """Answer at once where that is possible, or run the command.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. Default: those of the process.

    Returns
    -------
    status : int
        See `odl_equivariant.training.cli.main`; 1 if a package is missing,
        and 2 if there is no such command. During the imports, Ctrl-C and
        SIGTERM end the process with 130 and 143.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = answer(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # of a pager that has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    if status is not None:
        return status
    try:
        with _ended_by_signals():
            from odl_equivariant._packages import require_packages

            require_packages(_NEEDED, f'the command {PROGRAM}')
            from odl_equivariant.training.cli import main as run
    except ImportError as error:
        message = str(error)
        if 'pip install' not in message and error.name:
            # of what the package cannot be imported without
            message += f': pip install {error.name.partition(".")[0]}'
        print(f'{PROGRAM}: error: {message}', file=sys.stderr)
        return 1
    return run(arguments)


@contextlib.contextmanager
def _ended_by_signals():
    """End by a signal, with its status and a message, and at once.

    Nothing has been written yet, and an exception amid an import can end up
    as any other.
    """
    texts = {
        signal.SIGINT: 'interrupted',
        signal.SIGTERM: 'stopped by SIGTERM; the run can go on',
    }
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {
            number: signal.getsignal(number)
            for number in texts
            if signal.getsignal(number) not in (signal.SIG_IGN, None)
        }

    def end(number, frame):
        text = f'{PROGRAM}: error: {texts[number]}\n'
        os.write(sys.__stderr__.fileno(), text.encode())
        os._exit(128 + number)

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    return textwrap.fill(text, _WIDTH)


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
    source = pathlib.Path(__file__).parent / 'odl_equivariant/__init__.py'
    own = re.search(r"^__version__ = '(.+)'$", source.read_text('utf-8'), re.M)
    lines = [f'odl_equivariant {own[1]}']
    for name in ('odl', 'torch', 'lightning'):
        try:
            lines.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            lines.append(f'{name} is not installed')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
