# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Checkpoints of a training run: written atomically, without pickle."""

import logging
import os
import pathlib
import re
import tempfile
from collections.abc import Callable
from typing import Any

import safetensors
import safetensors.torch
from lightning.fabric.plugins import CheckpointIO

from odl_equivariant._files import digest, write_atomically
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

    A file is written under a temporary name, flushed to the disk and then
    renamed. So a file with its final name is complete, even if the process
    was killed. It holds the tensors of the state, the rest of the state as
    JSON, and a checksum of both.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any = None,
    ) -> None:
        """Write a checkpoint.

        Parameters
        ----------
        checkpoint : dict
            State of the trainer and all of its parts.
        path : path-like
            File to write. An existing file is replaced at the end.
        storage_options : optional
            Not supported.

        Raises
        ------
        TypeError
            If the state contains something other than data.
        OSError
            If the file cannot be written. Nothing of it remains.
        """
        if storage_options is not None:
            raise TypeError(
                f'storage options are not supported, got {storage_options!r}'
            )
        tree, tensors = pack(checkpoint)
        metadata = {'state': tree, 'checksum': _checksum(tree, tensors)}
        content = safetensors.torch.save(tensors, metadata)
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Parameters
        ----------
        path : path-like
            File that `save_checkpoint` wrote.
        map_location, weights_only : optional
            Not used: tensors are loaded to the CPU, and a file holds no code.

        Returns
        -------
        checkpoint : dict
            State of the trainer and all of its parts.

        Raises
        ------
        ValueError
            If the file is damaged, or not a checkpoint.
        FileNotFoundError
            If there is no such file.
        """
        path = pathlib.Path(path)
        if not path.exists():
            leads = ': the link leads nowhere' if path.is_symlink() else ''
            raise FileNotFoundError(f'there is no checkpoint {path}{leads}')
        if not path.is_file():
            kind = 'a folder' if path.is_dir() else 'not a file'
            raise ValueError(f'{path} is {kind}, so not a checkpoint')
        try:
            with safetensors.safe_open(path, 'pt') as file:
                metadata = file.metadata() or {}
                tensors = {
                    name: file.get_tensor(name).clone() for name in file.keys()
                }
            tree, checksum = metadata['state'], metadata['checksum']
            if _checksum(tree, tensors) != checksum:
                raise ValueError('its checksum is wrong')
            return unpack(tree, tensors)
        except PermissionError:
            raise  # the file may be whole
        except (
            AttributeError,
            KeyError,
            OSError,
            RecursionError,
            TypeError,
            ValueError,
            safetensors.SafetensorError,
        ) as error:
            raise ValueError(
                f'{path} is damaged, or not a checkpoint of this package: '
                f'{error}'
            ) from error

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint, if it exists."""
        pathlib.Path(path).unlink(missing_ok=True)


def _checksum(tree, tensors):
    return digest([tree, *(tensors[name] for name in sorted(tensors))])


def checkpoint_path(folder: str | os.PathLike[str], step: int) -> pathlib.Path:
    """Return the path of the checkpoint after a number of steps."""
    return pathlib.Path(folder) / f'step-{step:09d}.ckpt'


def checkpoints(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Return the paths of a folder's checkpoints, the newest first.

    Everything with the name of a checkpoint is returned. If the folder itself
    is a file, or a link that leads nowhere, a NotADirectoryError is raised.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        if os.path.lexists(folder):
            raise NotADirectoryError(
                f'{folder} must be the folder of the checkpoints, but is not '
                'a folder: move it away'
            )
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def end_of_run(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, Any], dict[int, Any]]:
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
        If the file is damaged, or no checkpoint of a task.
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


def set_aside(path: pathlib.Path) -> None:
    """Remove something that has the name of a checkpoint, but is not one.

    A damaged file or a link is deleted. Anything else is moved to a new
    folder beside it, since somebody may have put it there.
    """
    if path.is_file() or path.is_symlink():
        path.unlink()
        return
    aside = tempfile.mkdtemp(prefix=f'{path.name}.damaged-', dir=path.parent)
    path.rename(pathlib.Path(aside) / path.name)
    _log.warning('%s was moved to %s', path, aside)


def last_whole(
    folder: str | os.PathLike[str],
    check: Callable[[pathlib.Path, Any], None] | None = None,
) -> pathlib.Path | None:
    """Return the newest whole checkpoint.

    Others are passed over, with a warning in the log: damaged or incomplete
    files, folders, and links that lead nowhere.

    Parameters
    ----------
    folder : path-like
        Folder of the checkpoints of one run.
    check : callable, optional
        Called with the path and the content of a checkpoint, it raises a
        ValueError if the content is incomplete.

    Returns
    -------
    path : pathlib.Path or None
        The checkpoint, or ``None`` if there are no checkpoints.

    Raises
    ------
    ValueError
        If there are checkpoints, but none of them is whole.
    NotADirectoryError
        If the folder is not a folder.
    PermissionError
        If a checkpoint may not be read.
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
            _log.warning('%s: the checkpoint before it is used', error)
            continue
        return path
    if reasons:
        raise ValueError(
            'no checkpoint can be read; to start a new run, take another '
            'folder: ' + '; '.join(reasons)
        )
    return None
