# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files of images, written image by image, which can be resumed."""

import io
import json
import os

import numpy as np
import torch

from odl_equivariant._array_files import ArrayLayout
from odl_equivariant._files import write_atomically
from odl_equivariant._packages import import_package
from odl_equivariant.elements import (
    grid_shape,
    is_complex,
    merge_complex,
    tensor_dtype,
)

__all__ = ('ImageFile', 'write_picture')


class ImageFile:
    """A file of images, which gets its name when it is complete.

    Until then, a hidden file beside it holds the images. A second hidden file
    records how many images are on the disk.

    Parameters
    ----------
    path : pathlib.Path
        File to write, ``.npy``.
    n_images : int or None
        Number of images along the first axis, or ``None`` for a single image
        without this axis.
    space : odl space
        Space of the images.
    source : str
        Checksum of the data from which the images are reconstructed.

    Attributes
    ----------
    n, done : int
        Number of images, and number of images that are on the disk.
    """

    def __init__(self, path, n_images, space, source):
        self.path = path
        self.n = n_images or 1
        self._single = n_images is None
        self._complex = is_complex(space)
        shape = tuple(grid_shape(space))
        double = tensor_dtype(space) == torch.float64
        names = [['float32', 'float64'], ['complex64', 'complex128']]
        self._dtype = np.dtype(names[self._complex][double])
        self._layout = ArrayLayout(
            shape if self._single else (self.n, *shape),
            self._dtype,
            len(shape),
        )
        self._partial = path.with_name(f'.{path.stem}.partial')
        self._count = path.with_name(f'.{path.stem}.count')
        self._source = source
        self.done = self._number_done()

    def _number_done(self):
        try:
            state = json.loads(self._count.read_text('utf-8'))
            done = int(state['done'])
            size = self._partial.stat().st_size
            with open(self._partial, 'rb') as file:
                fits = self._layout.begins(file)
        except (KeyError, OSError, TypeError, ValueError):
            return 0
        whole = size >= self._layout.position(done)
        fits = fits and state.get('source') == self._source
        return done if whole and fits and 0 <= done <= self.n else 0

    def append(self, images, pictures):
        """Write the next images.

        Parameters
        ----------
        images : torch.Tensor
            Images in the layout of `elements`.
        pictures : bool
            Whether to write a picture of each image as well, or of the slice
            in the middle of a volume.
        """
        images = merge_complex(images) if self._complex else images
        images = np.ascontiguousarray(images[:, 0].numpy(), self._dtype)
        if not self.done:
            # before the new file, to which it does not belong
            self._count.unlink(missing_ok=True)
        try:
            with open(self._partial, 'r+b' if self.done else 'wb') as file:
                if not self.done:
                    file.write(self._layout.header)
                file.seek(self._layout.position(self.done))
                file.write(images.tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(
                error.errno,
                f'{error.strerror or error}: could not be written; the same '
                'command resumes',
                str(self.path),
            ) from error
        if pictures:
            for i, image in enumerate(images, self.done):
                if image.ndim == 3:
                    image = image[..., image.shape[-1] // 2]
                write_picture(image, self._picture_path(i))
        self.done += len(images)
        state = {'done': self.done, 'source': self._source}
        write_atomically(self._count, json.dumps(state).encode())

    def _picture_path(self, i):
        number = '' if self._single else f'-{i:0{len(str(self.n - 1))}d}'
        return self.path.with_name(f'{self.path.stem}{number}.png')

    def finish(self):
        """Give the file its name."""
        self._count.unlink(missing_ok=True)
        self._partial.replace(self.path)


def write_picture(image, path):
    """Write the magnitude of an image in grey, from 0 to its maximum.

    Parameters
    ----------
    image : numpy.ndarray
        Real or complex image; axis 0 is x, to the right, axis 1 is y, upwards.
    path : pathlib.Path
        File to write, as PNG.
    """
    image_module = import_package('PIL.Image', 'a picture, `pictures: true`,')
    grey = np.abs(image) if np.iscomplexobj(image) else image
    grey = np.clip(grey.astype('float64'), 0, None)
    grey /= max(float(grey.max()), 1e-30)
    rows = np.rint(255 * grey.T[::-1]).astype('uint8')
    content = io.BytesIO()
    image_module.fromarray(np.ascontiguousarray(rows)).save(content, 'PNG')
    write_atomically(path, content.getvalue())
