# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Reconstruction of files, folders and volumes of measured data."""

import contextlib
import json
import logging
import os
import pathlib

import odl
import torch

from odl_equivariant._files import write_atomically
from odl_equivariant._folder_lock import FolderLock
from odl_equivariant.elements import as_element
from odl_equivariant.training.reconstruction.image_files import ImageFile
from odl_equivariant.training.reconstruction.measurements import (
    masked_operator,
)
from odl_equivariant.training.reconstruction.processes import ONE_PROCESS
from odl_equivariant.training.reconstruction.residuals import (
    is_unexplained,
    residual_and_noise,
)

__all__ = ('reconstruct_files',)

_MANIFEST = 'reconstruction.json'
_log = logging.getLogger(__name__)


def reconstruct_files(
    module,
    acquisition,
    measurements,
    output,
    settings,
    batch_size=1,
    pictures=True,
    progress=True,
    device='cpu',
    processes=ONE_PROCESS,
):
    """Reconstruct all files, or resume an interrupted call.

    Parameters
    ----------
    module : callable
        Maps a batch of data and their forward operator to a batch of images.
    acquisition : Acquisition
        Acquisition of the data, with their forward operators.
    measurements : Measurements or SimulatedMeasurements
        Data to reconstruct.
    output : path-like
        Folder of the results. The images have the name of their file of data.
    settings : dict
        Settings on which the results depend. They are written to the folder.
    batch_size : int, optional
        Number of images in one batch.
    pictures : bool, optional
        Whether to write a picture of each image, as PNG.
    progress : bool, optional
        Whether to show a progress bar.
    device : torch.device, optional
        Device of the module.
    processes : Processes, optional
        The processes that share the files: each file is reconstructed by one
        of them. Default: this one alone.

    Returns
    -------
    n_images : int
        Number of images that this call reconstructed, in this process.

    Raises
    ------
    ValueError
        If the folder holds results of other settings or other data, it is the
        folder of the data, a mask is missing or does not fit, or a header
        says that the data were measured otherwise.
    BlockingIOError
        If another reconstruction is writing to the folder.
    OSError
        If a file cannot be written.
    """
    from tqdm import tqdm

    measurements.check(acquisition)
    output = pathlib.Path(output)
    folder = measurements.folder
    if folder is not None and output.resolve() == folder.resolve():
        raise ValueError(
            f'{output} is the folder of the data, and images have the names '
            'of their data: take another folder for the output'
        )
    lock = contextlib.nullcontext()
    if processes.is_first:
        lock = FolderLock(
            output,
            'reconstructing',
            'wait for it, or take another folder for the output',
        )
    own = processes.share(measurements.files)
    n_made = 0
    with (
        lock,
        tqdm(
            total=sum(measurements.files[path] or 1 for path in own),
            desc='reconstruction',
            unit='image',
            disable=not progress,
        ) as bar,
    ):
        if processes.is_first:
            manifest = _Manifest(output / _MANIFEST, settings)
            _clean(output, measurements.files)
        # the folder is checked, and what a former call left is in order
        processes.wait()
        if not processes.is_first:
            manifest = _Manifest(output / _MANIFEST, settings, processes.rank)
        for path in own:
            n_images = measurements.files[path]
            source = measurements.source(path)
            target = output / path.name
            is_done = manifest.check(target, source)
            volume = ImageFile(target, n_images, acquisition.space, source)
            if is_done:
                bar.update(volume.n)
                continue
            bar.update(volume.done)
            operator = masked_operator(
                acquisition, measurements.mask(path), path
            )
            while volume.done < volume.n:
                first = volume.done
                last = min(first + batch_size, volume.n)
                y = measurements.batch(path, first, last).to(device)
                with torch.inference_mode():
                    images = module(y, operator)
                if first == 0 and measurements.is_silent(path):
                    _compare(operator, images[:1], y[:1], path)
                volume.append(images.cpu(), pictures)
                bar.update(last - first)
                n_made += last - first
            manifest.record(target, source)
            volume.finish()
        processes.wait()
        if processes.is_first:
            manifest.take_parts()
    return n_made


def _compare(operator, image, y, path):
    """Warn if an image does not explain data whose geometry is unsaid."""
    if not isinstance(operator, odl.applications.tomo.RayTransform):
        return
    image = as_element(image.cpu()[0], operator.domain)
    y = as_element(y.cpu()[0], operator.range)
    residual, noise = residual_and_noise(operator, image, y)
    if is_unexplained(residual, noise):
        _log.warning(
            '%s: the image leaves %.1f %% of the data unexplained, and noise '
            'is about %.1f %%; nothing beside the data says how they were '
            'measured, and their geometry or unit may be another than that of '
            'the configuration',
            path,
            100 * residual,
            100 * noise,
        )


def _clean(folder, paths):
    """Remove half-written files of a killed process."""
    ours = (_MANIFEST, *(path.name for path in paths))
    ours = tuple(f'.{pathlib.Path(name).stem}-' for name in ours)
    # the temporary names of `ImageFile` begin with two dots
    ours += tuple(f'.{name}' for name in ours)
    for path in folder.glob('.*.tmp'):
        if path.name.startswith(ours):
            path.unlink(missing_ok=True)


class _Manifest:
    """A file with the settings and the data of the images in a folder.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    settings : dict
        Settings on which the images depend.
    rank : int, optional
        Number of a process beside the first one. It records its images in a
        file of its own, which the first process takes in the end, or when
        the next call begins.
    """

    def __init__(self, path, settings, rank=0):
        self._path = self._own = path
        self._content = {'settings': settings, 'files': {}}
        if os.path.lexists(path):
            try:
                self._content = json.loads(path.read_text('utf-8'))
            except (OSError, RecursionError, ValueError) as error:
                raise ValueError(
                    f'{path} is damaged, take another folder: {error}'
                ) from error
            before = self._part('settings')
            self._part('files')
            changed = sorted(
                key
                for key in before.keys() | settings.keys()
                if before.get(key) != settings.get(key)
            )
            if changed:
                raise ValueError(
                    f'the folder {path.parent} holds results of another '
                    f'{" and ".join(changed)}: take another folder'
                )
        if rank:
            self._own = path.with_name(f'.{path.stem}-{rank}.part')
            self._recorded = {'settings': settings, 'files': {}}
            return
        self._recorded = self._content
        self.take_parts()

    def take_parts(self):
        """Take the records of other processes, and write them all."""
        parts = sorted(self._path.parent.glob(f'.{self._path.stem}-*.part'))
        for part in parts:
            # they are written whole, or not at all
            content = json.loads(part.read_text('utf-8'))
            if content['settings'] == self._content['settings']:
                self._content['files'].update(content['files'])
        self._write()
        for part in parts:
            part.unlink()

    def _part(self, name):
        content = self._content
        part = content.get(name) if isinstance(content, dict) else None
        if not isinstance(part, dict):
            raise ValueError(
                f'{self._path} is damaged, take another folder: it has no '
                f'{name}'
            )
        return part

    def _write(self):
        content = json.dumps(self._recorded, indent=1, sort_keys=True)
        write_atomically(self._own, content.encode())

    def check(self, target, source):
        """Return whether images exist, after checking their data."""
        if not target.is_file():
            return False
        if self._content['files'].get(target.name) != source:
            raise ValueError(
                f'{target} was made from other data, or by another program: '
                'take another folder, or delete the file'
            )
        return True

    def record(self, target, source):
        """Record the data of images, just before the images get their name."""
        self._recorded['files'][target.name] = source
        self._write()
