# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images with their data, upright and turned by 90 degrees."""

import dataclasses
import math
from typing import Any

import numpy as np

from odl_equivariant.data import (
    CartesianMRI,
    SparseViewCT,
    sample_ct_slice,
    sample_mr_slice,
)
from odl_equivariant.elements import as_tensor, element_from_array
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators import UnitaryFourierTransform
from odl_equivariant.training.scores.metrics import scores

__all__ = ('Problem', 'problem_of', 'sample', 'turned')


@dataclasses.dataclass
class Problem:
    """Data of an image whose truth is known.

    Parameters
    ----------
    modality : {'ct', 'mri'}
        What is measured.
    acquisition : SparseViewCT or CartesianMRI
        How.
    data, truth : element
        What was measured of which image.
    fit : dict
        Options of ``acquisition.data_fit``.
    """

    modality: str
    acquisition: Any
    data: Any
    truth: Any
    fit: dict

    @property
    def space(self):
        """Space of the images."""
        return self.acquisition.space

    def data_fit(self, **options):
        """Return the data fit."""
        return self.acquisition.data_fit(self.data, **self.fit, **options)

    def constrained(self, image):
        """Return an image without negative values, if they have no meaning."""
        if self.modality == 'mri':
            return image
        array = np.maximum(image.asarray(), 0)
        return element_from_array(array, self.space)

    def start(self):
        """Return the image from which iterations start."""
        return self.constrained(self.acquisition.baseline(self.data))

    @property
    def noise_weight(self):
        """The weight of a prior by Bayes' rule.

        See `half_quadratic_splitting`: the variance of the data times the
        weight of their space, over the weight of the space of images.
        """
        operator = self.acquisition.operator
        weights = [
            float(inner_product_weights(space).flatten()[0])
            for space in (operator.range, operator.domain)
        ]
        if self.modality == 'mri':
            variance = max(self.acquisition.sigma, 1e-3) ** 2
        else:
            mu = self.acquisition.mu_max
            photons = self.acquisition.n_photons or 1e6
            # that of a ray with a typical exponent
            variance = math.exp(4) / photons / mu**2
        return variance * weights[0] / weights[1]

    def scores(self, image):
        """Return PSNR and SSIM of an image, as floats."""
        found = scores(as_tensor(image), as_tensor(self.truth))
        return {name: float(value[0]) for name, value in found.items()}


def problem_of(modality, image, arguments, seed):
    """Return the problem to reconstruct an image from simulated data.

    Parameters
    ----------
    modality : {'ct', 'mri'}
        What is measured.
    image : numpy.ndarray
        Image in the unit of the acquisition.
    arguments : argparse.Namespace
        ``shape``, ``views``, ``photons``, ``acceleration``, ``sigma`` and
        ``fit``.
    seed : int
        Seed of the noise.
    """
    shape = tuple(arguments.shape or image.shape)
    if modality == 'ct':
        acquisition = SparseViewCT(
            shape, arguments.views, n_photons=arguments.photons
        )
        fit = {
            'least-squares': {},
            'weighted': {'weighted': True},
            'poisson': {'noise': 'poisson'},
        }[arguments.fit]
    else:
        acquisition = CartesianMRI(
            shape, arguments.acceleration, sigma=arguments.sigma
        )
        fit = {}
    return Problem(
        modality,
        acquisition,
        acquisition.simulate(image, seed),
        acquisition.ground_truth(image),
        fit,
    )


def turned(problem):
    """Return the problem of the turned image, with the same noise turned."""
    n, m = problem.acquisition.shape
    truth = np.rot90(problem.truth.asarray())
    if problem.modality == 'ct':
        acquisition = problem.acquisition.with_shape((m, n))
        data = _turned_views(problem)
    else:
        # a frequency goes to minus itself modulo the number of samples
        lines = (2 * (m // 2) - np.arange(m)) % m
        mask = np.broadcast_to(problem.acquisition.mask, (n, m))[:, lines].T
        settings = problem.acquisition.settings()
        acquisition = CartesianMRI(
            **{**settings, 'shape': (m, n), 'axis': -1, 'mask': mask}
        )
        image = UnitaryFourierTransform(problem.space).inverse(problem.data)
        image = element_from_array(
            np.rot90(image.asarray()), acquisition.space
        )
        data = UnitaryFourierTransform(acquisition.space)(image)
        # rounding leaves little where nothing was sampled
        data = mask * data.asarray()
    operator = acquisition.operator
    return Problem(
        problem.modality,
        acquisition,
        element_from_array(data, operator.range),
        element_from_array(truth, acquisition.space),
        problem.fit,
    )


def _turned_views(problem):
    """Return the data of the turned image.

    Turning the image moves each view on by a quarter turn; a view that
    passes 180 degrees comes back from the other side, with its detector
    reversed.
    """
    views = problem.data.asarray()
    half = len(views) // 2
    return np.concatenate([views[half:, ::-1], views[:half]])


def sample(modality):
    """Return the sample slice of a modality, and the shape to reconstruct."""
    if modality == 'ct':
        image = sample_ct_slice('relative').asarray()
        return image, tuple(n // 2 for n in image.shape)
    image = sample_mr_slice().asarray()
    return image / image.max(), image.shape
