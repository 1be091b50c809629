# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The command ``odl-equivariant``: train, evaluate and reconstruct."""

import itertools
import logging
import os
import re
import signal
import sys
import warnings

import torch
from lightning.pytorch import __version__ as lightning_version
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from odl_equivariant.training._signals import termination_raised
from odl_equivariant.training.configuration.parser import (
    ConfigurationFile,
    Parser,
)
from odl_equivariant.training.configuration.permissions import (
    restricted,
    taken_from,
)
from odl_equivariant.training.configuration.yaml_files import (
    ConfigurationError,
)
from odl_equivariant.training.data import ReconstructionData
from odl_equivariant.training.measured.arguments import is_direct
from odl_equivariant.training.measured.command import reconstruct
from odl_equivariant.training.task import ReconstructionTask
from odl_equivariant.training.trainer import Trainer
from odl_equivariant_command import COMMANDS, answer

__all__ = ('CommandLine', 'main')

_TRACEBACK = 'ODL_EQUIVARIANT_TRACEBACK'
# Errors of our own functions, and of classes in a configuration.
_ERRORS = (ArithmeticError, ImportError, OSError, TypeError, ValueError)
_ONE_ACQUISITION = (
    'the key "model.acquisition" has no effect: network and data have one '
    'acquisition, `data.acquisition`. Put it there'
)
_SKIPPED = {'model', 'datamodule'}


class CommandLine(LightningCLI):
    """Lightning's command line with our three commands."""

    def __init__(self, *args, **kwargs):
        arguments = kwargs.pop('args', None)
        if arguments is None:
            arguments = sys.argv[1:]
        arguments, modules = taken_from(arguments)
        arguments = _configurations_first(arguments)
        Parser.arguments, Parser.files = arguments, []
        with restricted(modules):
            super().__init__(
                *args, parser_class=Parser, args=arguments, **kwargs
            )

    def init_parser(self, **kwargs):
        """Return a parser for one command, or for all of them."""
        header = f'lightning.pytorch=={lightning_version}'
        parser = self.parser_class(dump_header=[header], **kwargs)
        parser.add_argument(
            '-c',
            '--config',
            action=ConfigurationFile,
            help='Path of a configuration in YAML or JSON.',
        )
        return parser

    def parse_arguments(self, parser, args):
        """Parse the arguments, and check more than their types."""
        for argument in args:
            if '\0' in argument:
                parser.error(f'{argument!r} holds a NUL character')
            if argument.startswith('--model.acquisition'):
                parser.error(_ONE_ACQUISITION)
        try:
            self.config = parser.parse_args(
                ['--help' if a == '--help-all' else a for a in args]
            )
        except ConfigurationError as error:
            parser.error(error)
        settings = self.config[self.config['subcommand']]
        # The parser drops the target of a link without a word.
        if settings['model'].get('acquisition') is not None:
            parser.error(_ONE_ACQUISITION)
        for key, seed in settings.items():
            name = key.rpartition('.')[2]
            if name not in ('seed', 'seed_everything'):
                continue
            too_large = name == 'seed_everything' and seed >= 2**32
            if isinstance(seed, int) and (seed < 0 or too_large):
                parser.error(
                    f'the key "{key}" must be a whole number from 0 to '
                    f'{2**32 - 1}, got {seed}'
                )

    @staticmethod
    def subcommands():
        """Return the commands, and the arguments that are not options."""
        return dict.fromkeys(('train', 'evaluate', 'reconstruct'), _SKIPPED)

    def add_arguments_to_parser(self, parser):
        """Give network and data the same acquisition."""
        parser.link_arguments(
            'data.acquisition', 'model.acquisition', apply_on='instantiate'
        )

    def after_instantiate_classes(self):
        """Let the data write the table of skipped files to the folder."""
        if self.trainer.is_global_zero:
            self.datamodule.folder = self.trainer.folder

    def before_train(self):
        """Give the trainer the configuration, to write it to the folder."""
        self._tell_configuration('train')

    def before_evaluate(self):
        """Give the trainer the configuration, to compare it with the run."""
        self._tell_configuration('evaluate')

    def before_reconstruct(self):
        """Give the trainer the configuration, to compare it with the run."""
        self._tell_configuration('reconstruct')

    def _tell_configuration(self, command):
        self.trainer.configuration = self._parser(command).dump(
            self.config[command], skip_unset=False
        )


def _configurations_first(arguments):
    """Put configurations before the options, which override them.

    In the parser, a later argument overrides an earlier one.
    """
    place = 1 + next(
        (i for i, a in enumerate(arguments) if a in COMMANDS), len(arguments)
    )
    first, rest, given = [], [], iter(arguments[place:])
    for argument in given:
        if argument in ('-c', '--config'):
            first += [argument, *itertools.islice(given, 1)]
        elif argument.startswith('--config='):
            first.append(argument)
        else:
            rest.append(argument)
    return [*arguments[:place], *first, *rest]


def _said(message, status):
    print(f'odl-equivariant: error: {message}', file=sys.stderr)
    return status


def _message(error):
    """Return an error in one line."""
    text = str(error) or type(error).__name__
    if text.startswith('Caught ') and 'Original Traceback' in text:
        # of a worker process: the message follows its traceback
        text = re.split(r'\n(?:\w+\.)*\w+(?:Error|Exception): ', text)[-1]
    if 'Connection closed by peer' in text or 'Connection reset by' in text:
        text = 'another process of this run has failed'
    text = ' '.join([text, *getattr(error, '__notes__', ())])
    if not isinstance(error, _ERRORS):
        name = type(error).__name__
        text = f'{name}: {text} ({_TRACEBACK}=1 shows where)'
    return ' '.join(text.split())


def _stopped(signals):
    """Print which signal ended the command, and return the status."""
    if signal.SIGTERM in signals:
        return _said('stopped by SIGTERM; the same command resumes', 143)
    return _said('interrupted', 130)


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. Default: those of the process.

    Returns
    -------
    status : int
        0, or 1 after an error, whose message is printed; 130 after Ctrl-C;
        143 after SIGTERM. An error in the configuration ends the process with
        status 2.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    status = answer(arguments)
    if status is not None:
        return status
    logging.basicConfig(format='%(message)s', level=logging.INFO)
    for name in ('lightning.pytorch', 'lightning.fabric'):
        logging.getLogger(name).setLevel(logging.ERROR)
    with termination_raised() as received, warnings.catch_warnings():
        # advice for other tasks than this
        warnings.filterwarnings('ignore', module='lightning')
        try:
            if is_direct(arguments):
                return reconstruct(arguments)
            CommandLine(
                ReconstructionTask,
                ReconstructionData,
                save_config_callback=None,
                trainer_class=Trainer,
                seed_everything_default=0,
                load_from_checkpoint_support=False,
                auto_configure_optimizers=False,
                parser_kwargs={'prog': 'odl-equivariant'},
                args=arguments,
            )
        except SIGTERMException:
            return _stopped({signal.SIGTERM})
        except KeyboardInterrupt:
            return _stopped({signal.SIGINT})
        except Exception as error:
            if received:
                return _stopped(received)
            if os.environ.get(_TRACEBACK):
                raise
            return _said(_message(error), 1)
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
    return 0


if __name__ == '__main__':
    sys.exit(main())
