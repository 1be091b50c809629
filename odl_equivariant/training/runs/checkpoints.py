# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Checkpoints of a training run: whole or not at all, and without pickle."""

import hashlib
import json
import logging
import os
import pathlib
import re
import tempfile

import safetensors
import safetensors.torch
import torch
from lightning.fabric.plugins import CheckpointIO

from odl_equivariant._files import write_atomically
from odl_equivariant.training.runs.tree import pack, unpack

__all__ = (
    'CheckpointFiles',
    'checkpoint_path',
    'checkpoints',
    'end_of_run',
    'last_whole',
    'set_aside',
)

_NAME = re.compile(r'step-(\d+)\.ckpt')
_log = logging.getLogger(__name__)


class CheckpointFiles(CheckpointIO):
    """Checkpoints of Lightning as safetensors files.

    A file is written to a temporary name, brought to the disk and renamed,
    so that under its own name it is whole, whenever the process dies. It
    holds tensors, and the rest of the state as JSON, with a checksum of both.
    """

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        """Write a checkpoint.

        Parameters
        ----------
        checkpoint : dict
            State of the trainer and all of its parts.
        path : path-like
            File to write; an existing one is replaced at the end.
        storage_options : optional
            Not supported.

        Raises
        ------
        TypeError
            If there is something in the state that is no data.
        OSError
            If the file cannot be written; then there is no trace of it.
        """
        if storage_options is not None:
            raise TypeError(
                f'storage options are not supported, got {storage_options!r}'
            )
        tree, tensors = pack(checkpoint)
        tree = json.dumps(tree)
        metadata = {'state': tree, 'checksum': _checksum(tree, tensors)}
        content = safetensors.torch.save(tensors, metadata)
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)

    def load_checkpoint(self, path, map_location=None, weights_only=None):
        """Read a checkpoint.

        Parameters
        ----------
        path : path-like
            File that `save_checkpoint` wrote.
        map_location, weights_only : optional
            Not used: tensors come to the CPU, and there is no code in a file.

        Returns
        -------
        checkpoint : dict
            State of the trainer and all of its parts.

        Raises
        ------
        ValueError
            If the file is torn, or no checkpoint.
        FileNotFoundError
            If there is no such file.
        """
        path = pathlib.Path(path)
        if not path.exists():
            leads = ': the link leads nowhere' if path.is_symlink() else ''
            raise FileNotFoundError(f'there is no checkpoint {path}{leads}')
        if not path.is_file():
            kind = 'a folder' if path.is_dir() else 'no file'
            raise ValueError(f'{path} is {kind}, and no checkpoint')
        try:
            with safetensors.safe_open(path, 'pt') as file:
                metadata = file.metadata() or {}
                tensors = {
                    name: file.get_tensor(name).clone() for name in file.keys()
                }
            tree, checksum = metadata['state'], metadata['checksum']
            if _checksum(tree, tensors) != checksum:
                raise ValueError('its checksum is wrong')
            return unpack(json.loads(tree), tensors)
        except PermissionError:
            raise  # which says nothing against the file
        except (
            AttributeError,
            KeyError,
            OSError,
            TypeError,
            ValueError,
            safetensors.SafetensorError,
        ) as error:
            raise ValueError(
                f'{path} is torn, or no checkpoint of this package: {error}'
            ) from error

    def remove_checkpoint(self, path):
        """Delete a checkpoint, if it is there."""
        pathlib.Path(path).unlink(missing_ok=True)


def _checksum(tree, tensors):
    checksum = hashlib.blake2b(tree.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].reshape(-1).view(torch.uint8)
        checksum.update(tensor.numpy().data)
    return checksum.hexdigest()


def checkpoint_path(folder, step):
    """Return the path of the checkpoint after a number of steps."""
    return pathlib.Path(folder) / f'step-{step:09d}.ckpt'


def checkpoints(folder):
    """Return the paths of a folder's checkpoints, the newest first.

    Whatever has the name of one is returned. If the folder itself is a file,
    or a link that leads nowhere, a NotADirectoryError is raised.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        if os.path.lexists(folder):
            raise NotADirectoryError(
                f'{folder} should be the folder of the checkpoints, but is '
                'none: move it away'
            )
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def end_of_run(path):
    """Return what another run can start from.

    Parameters
    ----------
    path : path-like
        Checkpoint of a `ReconstructionTask`.

    Returns
    -------
    architecture : dict
        That of the network.
    weights : dict
        State of the task.
    moments : dict
        State of Adam for each parameter, by its number.

    Raises
    ------
    ValueError
        If the file is torn, or no checkpoint of a task.
    FileNotFoundError
        If there is no such file.
    """
    state = CheckpointFiles().load_checkpoint(path)
    try:
        (optimizer,) = state['optimizer_states']
        return state['architecture'], state['state_dict'], optimizer['state']
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} is no whole checkpoint of a task: {error!r}'
        ) from error


def set_aside(path):
    """Take what is no checkpoint out of the place of one.

    A torn file or a link is deleted, anything else is moved to a folder of
    its own beside it, as somebody may have put it there.
    """
    if path.is_file() or path.is_symlink():
        path.unlink()
        return
    aside = tempfile.mkdtemp(prefix=f'{path.name}.damaged-', dir=path.parent)
    path.rename(pathlib.Path(aside) / path.name)
    _log.warning('%s is now in %s', path, aside)


def last_whole(folder, check=None):
    """Return the newest checkpoint that is whole.

    Others are passed over, which is said by a warning in the log: torn ones,
    folders and links that lead nowhere, and those in which something is
    missing.

    Parameters
    ----------
    folder : path-like
        Folder of the checkpoints of one run.
    check : callable, optional
        Called with the path and the content of a checkpoint, it raises a
        ValueError if something is missing in it.

    Returns
    -------
    path : pathlib.Path or None
        The checkpoint, or ``None`` if there is none at all.

    Raises
    ------
    ValueError
        If there are checkpoints, and none of them is whole.
    NotADirectoryError
        If the folder is none.
    PermissionError
        If a checkpoint must not be read.
    """
    found = checkpoints(folder)
    reasons = []
    for path in found:
        try:
            state = CheckpointFiles().load_checkpoint(path)
            if check is not None:
                check(path, state)
        except (FileNotFoundError, ValueError) as error:
            reasons.append(str(error))
            _log.warning('%s: the checkpoint before it is taken', error)
            continue
        return path
    if reasons:
        raise ValueError(
            'no checkpoint can be read; to start anew, take another folder: '
            + '; '.join(reasons)
        )
    return None
