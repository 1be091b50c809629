# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The files of a training run, beside its checkpoints."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Sequence

import torch
from lightning.pytorch.loggers import Logger

from odl_equivariant import models
from odl_equivariant._files import check_no_folder, write_atomically
from odl_equivariant.training.runs.checkpoints import checkpoints

__all__ = ('BEST', 'CONFIGURATION', 'FINAL', 'RunFiles', 'remove_leftovers')

BEST, FINAL = 'best.safetensors', 'final.safetensors'
CONFIGURATION = 'config.yaml'
_FINISHED = 'finished.json'
_FILES = (BEST, FINAL, _FINISHED, CONFIGURATION)
# Temporary names of `write_files` begin like this.
_OURS = ('.best-', '.final-', '.finished-', '.config-', '.step-')
_OTHERS = ('.scores-', '.skipped-')
_LONG = 3600  # seconds, enough to write these small files


class RunFiles:
    """Weights and notes in the folder of a run.

    Parameters
    ----------
    folder : path-like
        Folder of the run.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = pathlib.Path(folder)

    def found(self) -> list[str]:
        """Return the names of the files of a run in the folder."""
        names = [
            name for name in _FILES if os.path.lexists(self.folder / name)
        ]
        steps = checkpoints(self.folder / 'checkpoints')
        return [f'checkpoints/{path.name}' for path in steps] + names

    def weights(self) -> list[str]:
        """Return the names of the files of weights in the folder."""
        return [name for name in self.found() if name in (BEST, FINAL)]

    def check_empty(self) -> None:
        """Raise an error if the folder holds anything of a run.

        Raises
        ------
        ValueError
            If it does. The message names the files.
        """
        found = self.found()
        if found:
            has_checkpoints = bool(checkpoints(self.folder / 'checkpoints'))
            resume = ', or set `trainer.resume` to true'
            raise ValueError(
                f'the folder {self.folder} holds a run, {", ".join(found)}: '
                'take another `trainer.default_root_dir`, or move these files '
                f'away{resume if has_checkpoints else ""}'
            )

    def check_no_weights(self) -> None:
        """Raise an error if a new run would overwrite weights.

        Raises
        ------
        ValueError
            If there are weights. The message names the files.
        """
        weights = self.weights()
        if weights:
            raise ValueError(
                f'the folder {self.folder} holds {", ".join(weights)}, but no '
                'checkpoint from which the run could resume. A new run would '
                'overwrite these weights: take another '
                '`trainer.default_root_dir`, or move the files away. To start '
                'from these weights, name one of the files as '
                '`model.pretrained`'
            )

    def check_places(self, loggers: Sequence[Logger] = ()) -> None:
        """Raise an error if the run cannot write one of its files.

        Parameters
        ----------
        loggers : sequence of Logger, optional
            Loggers of the run, of which some write to a folder.

        Raises
        ------
        IsADirectoryError
            If a folder has the name of a file.
        NotADirectoryError
            If a file has the name of the folder of a logger.
        ValueError
            If the configuration is a link that leads nowhere.
        """
        for name in _FILES:
            check_no_folder(self.folder / name)
        for logger in loggers:
            place = getattr(logger, 'root_dir', None)
            if place and os.path.lexists(place) and not os.path.isdir(place):
                raise NotADirectoryError(
                    f'{place} must be a folder, for logs: move the file away'
                )
        path = self.folder / CONFIGURATION
        if path.is_symlink() and not path.exists():
            raise ValueError(
                f'{path} is a link to {os.readlink(path)}, where there is no '
                'file: correct the link, or delete it if the run in that '
                'folder is yours'
            )

    def begin(self) -> None:
        """Make the folder, and record that the run is not finished."""
        # loggers make it too, but there may be none
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _FINISHED).unlink(missing_ok=True)

    def finish(
        self, network: torch.nn.Module, step: int, max_steps: int
    ) -> None:
        """Write the final weights, and record that the run is finished.

        Parameters
        ----------
        network : torch.nn.Module
            Network with the weights of the last step.
        step, max_steps : int
            The last step, and the requested one. A run can stop early.
        """
        models.save(network, self.folder / FINAL)
        content = json.dumps({'step': step, 'max_steps': max_steps})
        write_atomically(self.folder / _FINISHED, content.encode())

    def finished_at(self, max_steps: int) -> int | None:
        """Return the last step of a finished run, or ``None``."""
        try:
            state = json.loads((self.folder / _FINISHED).read_text('utf-8'))
            asked, step = int(state['max_steps']), int(state['step'])
        except (
            KeyError,
            OSError,
            OverflowError,
            RecursionError,
            TypeError,
            ValueError,
        ):
            return None
        there = (self.folder / FINAL).is_file()
        return step if there and asked == max_steps else None

    def clean(self) -> None:
        """Remove half-written files of a killed training."""
        for folder in (self.folder, self.folder / 'checkpoints'):
            remove_leftovers(folder, _OURS)


def remove_leftovers(folder: pathlib.Path, ours: tuple[str, ...]) -> None:
    """Remove half-written files of killed processes.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of a run.
    ours : tuple of str
        Beginnings of the temporary names that no other process uses now.
        Another command may be writing to other temporary files: they are
        removed if they are older than an hour.
    """
    now = time.time()
    for path in folder.glob('.*.tmp'):
        if not path.name.startswith((*ours, *_OTHERS)):
            continue
        with contextlib.suppress(FileNotFoundError):
            if path.name.startswith(ours) or (
                now - path.lstat().st_mtime > _LONG
            ):
                path.unlink()
