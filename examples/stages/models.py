# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The models that are shipped, and the files of the stages of each."""

import pathlib

import torch
import yaml

from odl_equivariant import models
from odl_equivariant.data import (
    CartesianMRI,
    Denoising,
    SparseViewCT,
    VolumeDenoising,
    VolumeMRI,
)

__all__ = ('CONFIGS', 'MODELS', 'Model')

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / 'configs' / 'shipped'
ACQUISITIONS = {
    f'odl_equivariant.data.{kind.__name__}': kind
    for kind in (
        CartesianMRI,
        Denoising,
        SparseViewCT,
        VolumeDenoising,
        VolumeMRI,
    )
}
PHANTOMS = 'random phantoms'
HEADS = 'magnetic resonance imaging of two heads, phantoms'
PHOTOGRAPHS_AND_SLICES = 'photographs, slices of magnetic resonance imaging'
REAL_IMAGES = 'photographs, slices of magnetic resonance imaging, phantoms'


class Model:
    """How a shipped model is trained.

    Parameters
    ----------
    name : str
        Name of the model, and of its YAML file.
    stages : sequence of str
        Names of the YAML files of its stages. Without any, its own file has
        all settings.
    value_range : tuple of 2 floats
        Least and greatest value of its training images, or of their real and
        imaginary parts.
    acquisition : callable, optional
        Makes an acquisition of its kind, to load its weights with.
    trained_on : str
        What its images show, in words.
    n_shared : int, optional
        Over how many of the first stages the learning rate falls together.
        If there is a stage after them, it has a schedule of its own, and the
        mean of the weights at its start and at its end is saved. Default:
        each stage has a schedule of its own.
    first_share : float, optional
        Share of the time, where it is limited, of the first of two stages.
    """

    def __init__(
        self,
        name,
        stages,
        value_range,
        acquisition=None,
        trained_on=PHANTOMS,
        n_shared=0,
        first_share=0.5,
    ):
        self.first_share = first_share
        self.n_shared = n_shared
        self.trained_on = trained_on
        self.name = name
        self.value_range = value_range
        self.acquisition = acquisition
        self.stages = [
            [CONFIGS / f'{part}.yaml' for part in (name, *stage)]
            for stage in ([[stage] for stage in stages] or [[]])
        ]

    def lengths(self, n_steps=None):
        """Return the number of steps of each stage.

        Parameters
        ----------
        n_steps : int, optional
            Number of steps of all stages. Default: as in their files.
        """
        lengths = [
            yaml.safe_load(files[-1].read_text('utf-8'))['trainer'][
                'max_steps'
            ]
            for files in self.stages
        ]
        if n_steps is None:
            return lengths
        share, left, first = n_steps / sum(lengths), n_steps, []
        for i, length in enumerate(lengths[:-1], 1):
            # one is left for each stage after it
            most = left - (len(lengths) - i)
            first.append(max(1, min(round(share * length), most)))
            left -= first[-1]
        return [*first, max(1, left)]

    def times(self, seconds=None):
        """Return the time limit of each stage in seconds, or None.

        Parameters
        ----------
        seconds : int, optional
            Time of all stages. Default: no limit.
        """
        if seconds is None:
            return [None] * len(self.stages)
        if len(self.stages) == 1:
            return [seconds]
        if self.n_shared or len(self.stages) != 2:
            raise ValueError(
                f'{self.name} is trained in {len(self.stages)} stages, whose '
                'shares of a time are not known: give --steps in place of '
                '--seconds'
            )
        first = max(1, round(self.first_share * seconds))
        return [first, max(1, seconds - first)]

    def card(self):
        """Return the model card, from the YAML files of all stages."""
        acquisitions, shapes = [], []
        for files in self.stages:
            data = {}
            for file in files:
                content = yaml.safe_load(file.read_text('utf-8'))
                data |= content.get('data', {})
            # there need not be the same data in a later stage
            if 'acquisition' not in data:
                continue
            entry = data['acquisition']
            kind = ACQUISITIONS[entry['class_path']]
            acquisition = kind(**entry['init_args'])
            variants = [
                acquisition.with_settings(**variant)
                for variant in data.get('variants', [{}])
            ]
            acquisitions += variants
            shapes += data.get('shapes', [own.shape for own in variants])
        shapes = list(dict.fromkeys(map(tuple, shapes)))
        return models.model_card(acquisitions, shapes, self.trained_on)

    def save(self, weights, path, before=None):
        """Save the weights of a run as those that are shipped.

        Parameters
        ----------
        weights, path : pathlib.Path
            Weights at the end of the last stage, and the file to write.
        before : pathlib.Path, optional
            Weights at its start, of which the mean with those at its end is
            saved.
        """
        operator = self.acquisition and self.acquisition().operator
        network = models.load(weights, operator)
        if before is not None:
            average(network, models.load(before, operator))
        # of a denoiser that minimises an energy, the energy is shipped
        network = getattr(network, 'energy', network)
        models.save(network, path, self.value_range, self.card())


def average(network, other):
    """Set the weights of a network to their mean with those of another."""
    with torch.no_grad():
        for weight, also in zip(
            network.parameters(), other.parameters(), strict=True
        ):
            weight.lerp_(also, 0.5)


# --- Which models there are, and which files each has --- #


def _ct():
    return SparseViewCT((16, 16), n_views=8)


def _mri():
    return CartesianMRI((16, 16))


def _volume_mri():
    return VolumeMRI((8, 8, 8))


CT_STAGES = [f'sparse_view_ct_stage_{i}' for i in (1, 2, 3)]
MRI_STAGES = [f'cartesian_mri_stage_{i}' for i in (1, 2, 3, 4)]
MULTISCALE_STAGES = [f'multiscale_denoiser_stage_{i}' for i in (1, 2)]
CONVEX_STAGES = [f'ridge_convex_stage_{i}' for i in (1, 2)]
WEAKLY_CONVEX_STAGES = [f'ridge_weakly_convex_stage_{i}' for i in (1, 2)]
MODELS = {
    model.name: model
    for kind in ('c4', 'ordinary')
    for model in (
        Model(
            f'sparse_view_ct_{kind}',
            CT_STAGES,
            (0, 1),
            _ct,
            trained_on=REAL_IMAGES,
            n_shared=2,
        ),
        # The magnitude of the images is at most 1.
        Model(
            f'cartesian_mri_{kind}',
            MRI_STAGES,
            (-1, 1),
            _mri,
            trained_on=REAL_IMAGES,
            n_shared=3,
        ),
        Model(f'denoiser_{kind}', [], (0, 1)),
        Model(
            f'multiscale_denoiser_{kind}',
            MULTISCALE_STAGES,
            (0, 1),
            trained_on=REAL_IMAGES,
        ),
        Model(
            f'ridge_convex_{kind}',
            CONVEX_STAGES,
            (0, 1),
            trained_on=REAL_IMAGES,
            first_share=0.4,
        ),
        Model(
            f'ridge_weakly_convex_{kind}',
            WEAKLY_CONVEX_STAGES,
            (0, 1),
            trained_on=PHOTOGRAPHS_AND_SLICES,
            first_share=0.3,
        ),
        Model(f'gradient_step_{kind}', [], (0, 1), trained_on=REAL_IMAGES),
        Model(
            f'primal_dual_ct_{kind}',
            [f'primal_dual_ct_stage_{i}' for i in (1, 2)],
            (0, 1),
            _ct,
            trained_on=REAL_IMAGES,
            n_shared=2,
        ),
        Model(
            f'splitting_ct_{kind}',
            [f'splitting_ct_stage_{i}' for i in (1, 2, 3, 4)],
            (0, 1),
            _ct,
            trained_on=REAL_IMAGES,
        ),
        Model(
            f'splitting_mri_{kind}',
            [f'splitting_mri_stage_{i}' for i in (1, 2)],
            (-1, 1),
            _mri,
            trained_on=REAL_IMAGES,
        ),
    )
}
MODELS |= {
    model.name: model
    for kind in ('o', 'ordinary')
    for model in (
        Model(f'volume_denoiser_{kind}', [], (0, 1), trained_on=HEADS),
        Model(
            f'volume_mri_{kind}',
            [],
            (-1, 1),
            _volume_mri,
            trained_on=HEADS,
        ),
    )
}
