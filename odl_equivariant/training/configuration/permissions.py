# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The names that a configuration may use, so that it runs no other code."""

import contextlib
import os
import sys

import jsonargparse
import torch

from odl_equivariant import data, nn

__all__ = ('IMPORTS', 'nameable', 'restricted', 'taken_from')

IMPORTS = 'ODL_EQUIVARIANT_IMPORT'
_OPTION = '--import'
# These loggers send nothing to other machines.
_LOGGERS = ('CSVLogger', 'TensorBoardLogger')


def nameable():
    """Return all names that any configuration may use.

    Returns
    -------
    paths : list of str
        Dotted names of blocks of networks, acquisitions, sets of images and
        pairs, augmentations, phantoms, losses and actions of this package, and
        of callbacks and local loggers of Lightning. Each has its public name,
        and that of the module that defines it.
    """
    from lightning.pytorch import callbacks, loggers
    from torch.utils.data import Dataset

    from odl_equivariant import actions
    from odl_equivariant.training import losses
    from odl_equivariant.training.display import ImagePanels

    kinds = (data.Acquisition, data.Augmentation, data.Slices, Dataset)
    found = {'odl_equivariant.training.ImagePanels': ImagePanels}
    for module, choose in (
        (nn, _is_block),
        (data, lambda item: _is_a(item, kinds)),
        (actions, lambda item: _is_a(item, actions.Action)),
        (losses, lambda item: _is_a(item, (losses.Loss, losses.Noise))),
        (callbacks, lambda item: _is_a(item, callbacks.Callback)),
    ):
        for name in module.__all__:
            if choose(getattr(module, name)):
                found[f'{module.__name__}.{name}'] = getattr(module, name)
    for name in ('ellipse_phantom', 'mr_phantom', 'mr_strip'):
        found[f'{data.__name__}.{name}'] = getattr(data, name)
    for name in _LOGGERS:
        found[f'{loggers.__name__}.{name}'] = getattr(loggers, name)
    own = (f'{item.__module__}.{item.__qualname__}' for item in found.values())
    return sorted({*found, *own})


def _is_block(item):
    # not the whole network, which consists of blocks
    return _is_a(item, torch.nn.Module) and not _is_a(item, nn.UnrolledMethod)


def _is_a(item, kinds):
    return isinstance(item, type) and issubclass(item, kinds)


def taken_from(arguments):
    """Separate the option ``--import`` from the other arguments.

    Parameters
    ----------
    arguments : list of str
        Arguments of the command, possibly with ``--import MODULE``.

    Returns
    -------
    rest : list of str
        The other arguments.
    modules : list of str
        The modules, those of the variable ``ODL_EQUIVARIANT_IMPORT`` first.

    Raises
    ------
    ValueError
        If the option is not followed by the name of a module.

    Examples
    --------
    >>> taken_from(['train', '--import', 'mine', '--config', 'a.yaml'])
    (['train', '--config', 'a.yaml'], ['mine'])
    """
    names = os.environ.get(IMPORTS, '').replace(',', ' ').split()
    rest, given = [], iter(arguments)
    for argument in given:
        if argument == _OPTION:
            names.append(next(given, ''))
        elif argument.startswith(f'{_OPTION}='):
            names.append(argument.partition('=')[2])
        else:
            rest.append(argument)
    for name in names:
        if not all(part.isidentifier() for part in name.split('.')):
            raise ValueError(
                f'`{_OPTION}` takes the name of a module, such as '
                f'`my_package.blocks`, got {name!r}'
            )
    return rest, names


@contextlib.contextmanager
def restricted(modules=()):
    """Let configurations use the names of `nameable`, and no others.

    Parameters
    ----------
    modules : sequence of str, optional
        Modules whose names are allowed, too.

    Notes
    -----
    jsonargparse checks a name before it imports it, whether the name comes
    from a file, a file within a file, an option or the environment. It also
    checks the module that defines the object, so that ``mine.os.system`` is
    checked as ``os.system``. The list belongs to the process; the previous
    one is restored at the end. Only local files are read.
    """
    from jsonargparse import _common, _optionals

    # If a later version has other names, nothing more is allowed.
    settings = getattr(_common, 'parsing_settings', {})
    before = dict(settings)
    remote = getattr(_optionals, '_config_read_mode', '')
    path = list(sys.path)
    jsonargparse.set_parsing_settings(
        import_path_denylist=['*'],
        import_path_allowlist=[*nameable(), *modules],
        instantiate_subclass_spec_in_any=True,
        config_read_mode_urls_enabled=False,
        config_read_mode_fsspec_enabled=False,
    )
    if modules:
        # at the end, so that no file in the folder hides a package
        sys.path.append(os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = path
        settings.clear()
        settings.update(before)
        jsonargparse.set_parsing_settings(
            config_read_mode_urls_enabled='u' in remote,
            config_read_mode_fsspec_enabled='s' in remote,
        )
