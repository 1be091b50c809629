# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""One slice by several networks, kept as arrays."""

import io

import numpy as np
import torch

from examples.experiments.conditions import samples
from examples.experiments.images import acquisition_of
from examples.experiments.runs import test_sets
from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.training import scores
from odl_equivariant.training.scores.metrics import magnitude

__all__ = ('make_pictures',)

CONDITIONS = ('upright', 'random angles')


@torch.no_grad()
def make_pictures(settings, folders_of_runs, path, folders):
    """Reconstruct one slice by each network, and keep the images.

    Parameters
    ----------
    settings : dict
        Settings of the task.
    folders_of_runs : dict
        Folders of trained networks by the names of their arms.
    path : path-like
        File of numpy arrays to write: for each condition the truth and the
        reconstruction of each arm, and their scores.
    folders : dict
        Folders of collections of images by their names.
    """
    acquisition = acquisition_of(settings)
    sets = test_sets(settings, folders)
    shown = list(sets.get('slices', sets['test']).items())
    name, image = shown[len(shown) // 2]
    arrays = {}
    for condition in CONDITIONS:
        (sample,) = samples(acquisition, {name: image}, condition)
        arrays[f'{condition}/ground truth'] = _array(sample.truth)
        for arm, folder in folders_of_runs.items():
            network = models.load(
                folder / 'final.safetensors', acquisition.operator
            )
            result = network(sample.data, sample.operator)
            values = scores(result, sample.truth)
            arrays[f'{condition}/{arm}'] = _array(result)
            arrays[f'{condition}/{arm}/psnr'] = values['psnr'].numpy()
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, content.getvalue())


def _array(image):
    return magnitude(image)[0, 0].numpy()
