# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The images and data that networks are tested with.

Images are turned before the data are simulated, and the data of the same image
have the same noise in all conditions. Under quarter turns the noise turns too,
so that an equivariant method returns exactly the turned reconstruction.
"""

import dataclasses
import zlib

import numpy as np
import odl
import torch

from odl_equivariant.actions import Rotation, induced_action
from odl_equivariant.data import Augmentation
from odl_equivariant.elements import as_element, as_tensor

__all__ = ('CONDITIONS', 'Sample', 'samples', 'turned')

CONDITIONS = ('upright', 'quarter turns', 'random angles', 'turned and back')


@dataclasses.dataclass
class Sample:
    """Data, their operator, and the truth, as tensors."""

    name: str
    data: torch.Tensor
    operator: odl.Operator
    truth: torch.Tensor


def samples(acquisition, images, condition, smoothing=0.0):
    """Return the test samples of a condition.

    Parameters
    ----------
    acquisition : Acquisition
        The acquisition that simulates data.
    images : dict of numpy.ndarray
        Images by their names.
    condition : str
        One of `CONDITIONS`.
    smoothing : float, optional
        Standard deviation, in pixels, by which images are smoothed first.

    Returns
    -------
    samples : list of Sample
        One for each image.
    """
    smooth = Augmentation(smoothing=smoothing)
    result = []
    for name, image in images.items():
        seed = zlib.crc32(name.encode())
        rng = np.random.default_rng(seed)
        angle = rng.uniform(0, 2 * np.pi)
        image = smooth(np.array(image), rng)
        if condition == 'random angles':
            image = _interpolated(image, angle)
        elif condition == 'turned and back':
            image = _interpolated(_interpolated(image, angle), -angle)
        pair = acquisition.pair(image, np.random.default_rng([seed, 1]))
        mask = pair.get('mask')
        sample = Sample(
            name,
            pair['data'][None],
            acquisition.forward_operator(
                None if mask is None else mask.numpy()
            ),
            pair['truth'][None],
        )
        if condition == 'quarter turns':
            quarters = 1 + seed % 3
            turn = Rotation(acquisition.space, quarters * np.pi / 2)
            sample = turned(sample, turn)
        result.append(sample)
    return result


def _interpolated(image, angle):
    """Return an image turned by cubic interpolation, not below zero."""
    n, m = image.shape
    dtype = 'complex128' if np.iscomplexobj(image) else 'float64'
    space = odl.uniform_discr([-n, -m], [n, m], (n, m), dtype=dtype)
    turned = Rotation(space, angle, 'cubic')(space.element(image)).asarray()
    if dtype == 'float64':
        turned = np.maximum(turned, 0)
    return turned.astype(image.dtype)


def turned(sample, turn):
    r"""Return the sample with the object and its data turned.

    The data :math:`y = A u + \varepsilon` are also those of :math:`T u` for
    the operator :math:`A T^{-1}`. In tomography, a permutation :math:`S` of
    the rays makes them data of :math:`A` itself:
    :math:`S y = A T u + S \varepsilon`.

    Parameters
    ----------
    sample : Sample
        Data and truth.
    turn : Rotation
        The turn T, exact on the grid.

    Returns
    -------
    sample : Sample
        The turned one.
    """
    operator = sample.operator
    truth = as_tensor(turn(as_element(sample.truth, operator.domain)))
    if isinstance(operator, odl.applications.tomo.RayTransform):
        moved = induced_action(operator, turn)
        y = as_element(sample.data, operator.range)
        return Sample(sample.name, as_tensor(moved(y)), operator, truth)
    return Sample(sample.name, sample.data, operator @ turn.inverse, truth)
