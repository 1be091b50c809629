# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The weights for evaluation and reconstruction."""

import logging
import pathlib

from odl_equivariant.models.shipped import weights_path
from odl_equivariant.training.runs.files import (
    BEST,
    CONFIGURATION,
    FINAL,
)
from odl_equivariant.training.runs.identity import changed_acquisition

__all__ = ('chosen_weights', 'say_weights')

_log = logging.getLogger(__name__)


def chosen_weights(folder, name):
    """Return the path of weights, and a description of them.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the run.
    name : str or None
        File or shipped model; ``None`` for the best weights of the run.

    Raises
    ------
    FileNotFoundError
        If no weights are named, and the run has none.
    """
    if name is not None:
        path = weights_path(name)
        is_file = path == pathlib.Path(name)
        return path, '' if is_file else 'a shipped model'
    for path, what in (
        (folder / BEST, 'the best of the run'),
        (folder / FINAL, 'the last of the run, which has no best'),
    ):
        if path.is_file():
            return path, what
    raise FileNotFoundError(
        f'there are no weights {folder / BEST}: train first, or name '
        'a file by `weights`'
    )


def say_weights(path, what, configuration):
    """Print which weights are used, and warn if the acquisition differs.

    Parameters
    ----------
    path : pathlib.Path
        File of the weights.
    what : str
        Description of them, possibly empty.
    configuration : str or None
        Configuration of the command, to be compared with that of the run
        that wrote the weights. ``None`` without a command.
    """
    print(f'weights: {path}{f" ({what})" if what else ""}')
    if configuration is None:
        return
    # the weights may be those of another run
    changes = changed_acquisition(
        pathlib.Path(path).with_name(CONFIGURATION), configuration
    )
    if changes:
        _log.warning(
            'the acquisition is not that of the run in %s: %s',
            pathlib.Path(path).parent,
            ', '.join(changes),
        )
