# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What reconstructs: a network, a denoiser or an energy, in a unit."""

import functools

import numpy as np
import odl

from odl_equivariant import models
from odl_equivariant.data import MeasuredCT
from odl_equivariant.data.acquisitions.sinograms.kinds import noise_of
from odl_equivariant.elements import as_tensor, merge_complex
from odl_equivariant.functionals import LearnedRegularizer
from odl_equivariant.models.architectures import ENERGIES, UNROLLED
from odl_equivariant.solvers import (
    accelerated_proximal_gradient,
    half_quadratic_splitting,
)
from odl_equivariant.training.measured.arguments import cell_in_metres
from odl_equivariant.training.measured.volumes import Slicewise, dimension_of

__all__ = ('Method', 'noise_of_readings')

# Noise levels of a denoiser, relative to the value that is 1 for it.
_FIRST_LEVEL, _LAST_LEVEL, _N_LEVELS = 0.1, 0.005, 8
# Noise level of an energy, and the number of iterations.
_LEVEL, _N_ITERATIONS = 0.05, 100
# Of the proximals of the data fit, below the noise of any scan. With 1e-4, a
# scan of 90 degrees takes twice the time, and its image differs by 0.2 %.
_TOLERANCE = 3e-3
# Share of the pixels whose values are at most 1, if the unit is unknown.
_SHARE = 0.999
_LEAST_ELEMENTS = 3
_NO_VOLUMES = (
    '{}. --shape asks for a volume: take --model fdk or tv, a denoiser, which '
    'is applied slice by slice, or a model of volumes; or give two numbers as '
    '--shape, for the row opposite the source'
)


class Method:
    """A model, applied to scans in their own units.

    Parameters
    ----------
    name : str
        Name of a shipped model, or path of a file.
    unit : str, float or None
        Unit of the images, see `odl_equivariant.models.load`; or ``'auto'``,
        for which the largest value of the filtered back-projection is 1 for
        the model.
    cell : tuple or None
        Side of a cell, where the scan has lengths in cells.
    strength : float
        Factor of the weight of a prior.
    maxiter : int or None
        Number of iterations with a prior. Default: 8 noise levels of a
        denoiser, 100 iterations for an energy.

    Raises
    ------
    ValueError
        If there is no such model, or a strength or a number of iterations
        is given and no prior.
    """

    def __init__(self, name, unit=None, cell=None, strength=1.0, maxiter=None):
        self.name, self.unit, self.cell = name, unit, cell
        self.strength, self.maxiter = strength, maxiter
        self.description = models.describe(name)
        self.is_unrolled = self.description.network in UNROLLED
        if self.is_unrolled and strength != 1:
            raise ValueError(
                f'--strength {strength:g}: {name} is an unrolled network, and '
                'has no weight of a prior: leave it out, or take a denoiser '
                'or an energy'
            )
        if self.is_unrolled and maxiter is not None:
            raise ValueError(
                f'--maxiter {maxiter}: {name} is an unrolled network, with as '
                'many iterations as it was trained with: leave it out, or '
                'take a denoiser or an energy'
            )
        self.prior = None if self.is_unrolled else models.load(name)
        self._networks = {}

    @property
    def modality(self):
        """What the model reconstructs, or ``None`` if all that there is."""
        card = self.description.card
        if card is None or card.modality == 'images':
            return None
        return card.modality

    def _scale(self, acquisition, start):
        """Return the value that is 1 for the model, or ``None``.

        It is needed where no unit is known, and for priors. ``start()`` is
        the filtered back-projection.
        """
        if isinstance(self.unit, float):
            return self.unit
        if self.modality == 'magnetic resonance':
            return None
        card = self.description.card
        known = card is not None and card.has_attenuation
        if (
            self.unit != 'auto'
            and known
            and not self._lacks_length(acquisition)
        ):
            return None
        return self._largest(start)

    @staticmethod
    def _largest(start):
        """Return the largest value of the filtered back-projection."""
        image = as_tensor(start()).cpu().numpy()
        value = float(np.quantile(image, _SHARE))
        if not value > 0:
            raise ValueError(
                'the filtered back-projection is not positive: are the data '
                "line integrals, with the sign of Beer's law?"
            )
        return value

    def _lacks_length(self, acquisition):
        return (
            getattr(acquisition, 'length_unit', None) == 'cell'
            and self.cell is None
        )

    def __call__(self, acquisition, y):
        """Return the image of data, and the value that is 1 for the model.

        Parameters
        ----------
        acquisition : MeasuredCT or SparseViewCT
            Acquisition.
        y : element of ``acquisition.operator.range``
            Data.

        Returns
        -------
        image : numpy.ndarray
            Image.
        element : element of ``acquisition.space``
            The same in the unit of the acquisition.
        scale : float or None
            The value that is 1 for the model, where one was needed.
        """
        # for a volume it takes a while, and some methods need it twice
        start = functools.cache(lambda: acquisition.fbp(y))
        scale = self._scale(acquisition, start)
        element = self._element(acquisition, y, start, scale)
        tensor = as_tensor(element)
        if self.modality == 'magnetic resonance':
            return merge_complex(tensor)[0, 0].cpu().numpy(), element, scale
        image = tensor[0, 0].cpu().numpy()
        return self._in_unit(acquisition, image), element, scale

    def _element(self, acquisition, y, start, scale):
        if self.is_unrolled:
            return self._network(acquisition, scale)(y)
        return self._with_prior(acquisition, y, start(), scale)

    def _cell_length(self):
        return None if self.cell is None else cell_in_metres(self.cell)

    def _network(self, acquisition, scale):
        key = (id(acquisition), scale)
        if key not in self._networks:
            options = {'unit': scale}
            if getattr(acquisition, 'length_unit', None) == 'cell':
                options['cell'] = self._cell_length()
            try:
                network = models.load(self.name, acquisition, **options)
            except ValueError as error:
                if acquisition.space.ndim == 2 or self._fits(acquisition):
                    raise
                raise ValueError(_NO_VOLUMES.format(error)) from error
            # the acquisition as well, so that its id is not given to another
            self._networks = {
                key: (network.as_operator('float32'), acquisition)
            }
        return self._networks[key][0]

    def _fits(self, acquisition):
        """Return whether the network takes such images, in some unit."""
        try:
            models.load(self.name, acquisition.operator)
        except ValueError:
            return False
        return True

    def _with_prior(self, acquisition, y, x, scale):
        """Return a reconstruction from a start, which is overwritten."""
        space = acquisition.space
        fit = acquisition.data_fit(y, tol=_TOLERANCE)
        noise = noise_of_readings(as_tensor(y)[0, 0].cpu().numpy())
        weight = self.strength * noise**2
        weight *= y.space.cell_volume / space.cell_volume
        is_energy = self.description.network in ENERGIES
        if is_energy and space.ndim == 3 and dimension_of(self.prior) == 2:
            raise ValueError(
                _NO_VOLUMES.format(f'{self.name} is an energy of images')
            )
        if is_energy:
            energy = LearnedRegularizer(
                space,
                self.prior,
                _LEVEL * scale if _is_told_noise(self.prior) else None,
                scale,
            )
            accelerated_proximal_gradient(
                x,
                odl.functionals.IndicatorNonnegativity(space),
                fit + weight / (_LEVEL * scale) ** 2 * energy,
                maxiter=self.maxiter or _N_ITERATIONS,
                restart='function',
            )
            return x
        prior = self.prior
        if space.ndim == 3 and dimension_of(prior) == 2:
            prior = Slicewise(prior)
        n_levels = self.maxiter or _N_LEVELS
        half_quadratic_splitting(
            x,
            prior,
            fit,
            # of one level, it is the last one
            (_LAST_LEVEL if n_levels == 1 else _FIRST_LEVEL) * scale,
            _LAST_LEVEL * scale,
            n_levels,
            weight,
            scale=scale,
        )
        return x

    def result_unit(self, acquisition):
        """Return the unit of the results."""
        if self.modality == 'magnetic resonance':
            return 'that of the file'
        own = getattr(acquisition, 'image_unit', 'relative')
        if self.unit in (None, 'auto') or isinstance(self.unit, float):
            return own
        return self.unit

    def _in_unit(self, acquisition, image):
        unit = self.result_unit(acquisition)
        if unit == getattr(acquisition, 'image_unit', 'relative'):
            return image
        if not isinstance(acquisition, MeasuredCT):
            from odl_equivariant.data import convert_attenuation

            return convert_attenuation(
                image,
                'relative',
                unit,
                mu_max=acquisition.mu_max,
                cell=float(acquisition.space.cell_sides[0]),
            )
        length = self._cell_length()
        options = {} if length is None else {'cell': length}
        return acquisition.attenuation_in(image, unit, **options)


def _is_told_noise(energy):
    return getattr(energy, 'noise_level', False) is True


def noise_of_readings(array):
    """Return the standard deviation of white noise of readings."""
    if array.shape[-1] < _LEAST_ELEMENTS:
        return float(array.std()) or 1.0
    noise = noise_of(array.astype(float))
    # of data without noise, some of its smallest parts
    return max(noise, 1e-4 * float(np.abs(array).max()))
