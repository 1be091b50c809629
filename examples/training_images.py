# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Images to train priors with
===========================

The denoisers and energies of this package are trained on photographs, mixed
with slices of magnetic resonance imaging and phantoms. This script brings
arrays and volumes into the form that their configurations read, 16-bit PNG
files in folders::

    python examples/training_images.py images/natural --arrays natural.npz
    python examples/training_images.py images/mr --volumes T1.nii.gz

An array ``images`` in a ``.npz`` file, of the shape (images, rows, columns),
becomes one picture each. With ``--hold-back N``, the last N go to the folder
``OUTPUT_held_back``, for tests. Of a NIfTI volume, each slice along each of
the three axes becomes a picture, if at least a quarter of its cells are above
a tenth of the maximum.

Whose are the images?

* The photographs are the 400 training images of 180 x 180 pixels by which
  denoisers are commonly compared. They stem from the Berkeley segmentation
  data, which may be used for non-commercial research and education. Any
  folder of photographs will do instead.
* The MNI152 T1 template comes with the package `nilearn
  <https://nilearn.github.io>`_, in ``nilearn/datasets/data``. It may be used,
  changed and distributed freely, with its notice.
* The single-subject T1 template ``ch2.nii.gz`` comes with Debian's package
  ``mricron-data``, in ``/usr/share/mricron/templates``, under the BSD licence.

Only weights are shipped, and none of these images.
"""

import argparse
import pathlib
import sys

import numpy as np

from odl_equivariant.data import NiftiSlices

# Where a slice of a head is too small to learn from.
LEAST_BRIGHT, BRIGHT = 0.25, 0.1


def save_picture(image, path):
    """Save values from 0 to 1, axis 0 to the right, as 16-bit PNG."""
    from PIL import Image

    rows = np.rint(65535 * np.clip(image, 0, 1)).astype('uint16').T[::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(rows)).save(path, format='PNG')


def pictures_of_array(file):
    """Return a name and an image for each picture in a ``.npz`` file."""
    images = np.load(file, allow_pickle=False)['images']
    white = np.iinfo(images.dtype).max if images.dtype.kind == 'u' else 1
    for i, rows in enumerate(images):
        yield f'{pathlib.Path(file).stem}-{i:03d}', rows[::-1].T / white


def pictures_of_volume(file):
    """Return a name and an image for each good slice of a NIfTI file."""
    stem = pathlib.Path(file).name.partition('.')[0]
    for axis in range(3):
        slices = NiftiSlices(file, axis, progress=False)
        images = [slices[i] for i in range(len(slices))]
        most = max(image.max() for image in images)
        for i, image in enumerate(images):
            if (image > BRIGHT * most).mean() >= LEAST_BRIGHT:
                yield f'{stem}-{axis}-{i:03d}', image / most


def main(arguments=None):
    """Write the pictures that the command line asks for.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. Default: those of the process.

    Returns
    -------
    status : int
        0.
    """
    parser = argparse.ArgumentParser(
        description='Write pictures that priors can be trained with.'
    )
    parser.add_argument('output', type=pathlib.Path, help='folder to write to')
    parser.add_argument('--arrays', nargs='+', default=[], metavar='NPZ')
    parser.add_argument('--volumes', nargs='+', default=[], metavar='NIFTI')
    parser.add_argument('--hold-back', type=int, default=0, metavar='N')
    options = parser.parse_args(arguments)
    pictures = [p for file in options.arrays for p in pictures_of_array(file)]
    pictures += [
        p for file in options.volumes for p in pictures_of_volume(file)
    ]
    if not 0 <= options.hold_back < len(pictures):
        parser.error(
            f'--hold-back must be from 0 to less than the {len(pictures)} '
            f'pictures, got {options.hold_back}'
        )
    n_used = len(pictures) - options.hold_back
    held_back = options.output.with_name(f'{options.output.name}_held_back')
    for i, (name, image) in enumerate(pictures):
        folder = options.output if i < n_used else held_back
        save_picture(image, folder / f'{name}.png')
    print(f'{n_used} pictures are in {options.output}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
