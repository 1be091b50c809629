# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The methods that are compared; each maps data and a setting to an image."""

import dataclasses
import math
import pathlib
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import odl
import torch
from torch import nn

from comparison.fits import proximable_fit
from comparison.search import Parameter
from comparison.variations import minimise_variation
from odl_equivariant import models
from odl_equivariant.functionals import (
    ConvergenceWarning,
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
    LearnedRegularizer,
)
from odl_equivariant.nn import GradientStepEnergy
from odl_equivariant.solvers import (
    accelerated_proximal_gradient,
    half_quadratic_splitting,
)

__all__ = ('NAMES', 'Method', 'Reconstruction', 'methods')

NAMES = {
    'baseline': 'FBP or zero-filled',
    'tv': 'total variation',
    'tgv': 'total generalised variation',
    'ridge_convex_ordinary': 'ridge, convex, ordinary',
    'ridge_convex_c4': 'ridge, convex, C4',
    'ridge_weakly_convex_ordinary': 'ridge, weakly convex, ordinary',
    'ridge_weakly_convex_c4': 'ridge, weakly convex, C4',
    'gradient_step_ordinary': 'gradient step, ordinary',
    'gradient_step_c4': 'gradient step, C4',
    'plug_and_play_ordinary': 'plug-and-play, ordinary',
    'plug_and_play_c4': 'plug-and-play, C4',
    'unrolled_ordinary': 'unrolled, ordinary',
    'unrolled_c4': 'unrolled, C4',
    'unrolled_splitting_ordinary': 'unrolled splitting, ordinary',
    'unrolled_splitting_c4': 'unrolled splitting, C4',
    'primal_dual_ordinary': 'learned primal-dual, ordinary',
    'primal_dual_c4': 'learned primal-dual, C4',
}
# The models of what maps data to an image at once.
_NETWORKS = {
    'unrolled': {'ct': 'sparse_view_ct', 'mri': 'cartesian_mri'},
    'unrolled_splitting': {'ct': 'splitting_ct', 'mri': 'splitting_mri'},
    'primal_dual': {'ct': 'primal_dual_ct'},
}
# The weight that is about the best for total variation on head CT, in pixels
# times the weight by Bayes' rule.
_VARIATION = 17.0
# The same of energies, times the weight by Bayes' rule. In tomography, that is
# of rays through the middle of a head, with more noise than others.
_ENERGY = {'ct': 0.7, 'mri': 1.0}
# Relative residual at which the minimisation of an energy ends. What is not
# convex, and not seen by the data, has minimisers that are worse than images
# on the way to them.
_CONVEX_RESIDUAL, _RESIDUAL = 2e-3, 8e-3
# The same where the data are fitted by proximals, of the regulariser alone.
_NETWORK_RESIDUAL = 4e-2
# The noise level at which plugging in begins.
_FIRST_LEVEL = 0.1


class Reconstruction(NamedTuple):
    """An image, and whether the iterations ended before their number."""

    image: Any
    converged: bool = True


@dataclasses.dataclass
class Method:
    """A way to reconstruct.

    Parameters
    ----------
    run : callable
        Maps a `Problem` and a setting to a `Reconstruction`.
    parameters_of : callable, optional
        Maps a `Problem` to a list of `Parameter`. Default: there are none.
    """

    run: Callable
    parameters_of: Callable | None = None

    @property
    def has_parameters(self):
        """Whether anything is to be chosen."""
        return self.parameters_of is not None

    def parameters(self, problem):
        """Return what is to be chosen for a problem."""
        return self.parameters_of(problem) if self.has_parameters else []


def methods(names, modality, iterations, weights=None):
    """Return the methods by their names, and why others are left out.

    Parameters
    ----------
    names : sequence of str
        Keys of `NAMES`.
    modality : {'ct', 'mri'}
        What is measured.
    iterations : dict
        Numbers of iterations of ``'variations'``, ``'energies'`` and
        ``'plug_and_play'``.
    weights : path, optional
        Folder with files of weights, which come before the shipped ones.

    Returns
    -------
    found : dict of Method
        What can be done.
    missing : dict of str
        Reasons why the others cannot.
    """
    found, missing = {}, {}
    for name in names:
        try:
            found[name] = _method(name, modality, iterations, weights)
        except FileNotFoundError as error:
            missing[name] = str(error)
    return found, missing


def _method(name, modality, iterations, weights):
    if name == 'baseline':
        return _baseline(modality)
    if name in ('tv', 'tgv'):
        run = _total_variation if name == 'tv' else _generalised_variation
        return _variation(run, name == 'tgv', iterations['variations'])
    method, _, kind = name.rpartition('_')
    if method in _NETWORKS:
        model = _NETWORKS[method].get(modality)
        if model is None:
            raise FileNotFoundError(f'it is not trained for {modality}')
        return _network(_source(f'{model}_{kind}', weights))
    if method == 'plug_and_play':
        module = models.load(_source(f'multiscale_denoiser_{kind}', weights))
        return _plug_and_play(module, iterations['plug_and_play'])
    energy = _energy_of(name, weights)
    return _energy(getattr(energy, 'energy', energy), iterations['energies'])


def _energy_of(name, weights):
    """Return the energy with its weights.

    Any denoiser defines a gradient step. So the one for plugging in takes the
    place of one that was trained for it.
    """
    try:
        return models.load(_source(name, weights))
    except FileNotFoundError:
        if not name.startswith('gradient_step'):
            raise
    kind = name.rpartition('_')[2]
    denoiser = models.load(_source(f'multiscale_denoiser_{kind}', weights))
    return GradientStepEnergy(denoiser)


def _source(model, weights):
    """Return the path of a file of weights, or the name of a shipped one."""
    if weights is not None:
        path = pathlib.Path(weights) / f'{model}.safetensors'
        if path.is_file():
            return path
    if model in models.available():
        return model
    raise FileNotFoundError(
        f'the weights {model!r} are not shipped'
        + (f', and not in {weights}' if weights else '')
        + '; train them by examples/train_models.py, and pass the folder as '
        '--weights'
    )


# --- Without training --- #


def _baseline(modality):
    def run(problem, setting):
        acquisition = problem.acquisition
        if not setting:
            return Reconstruction(acquisition.baseline(problem.data))
        image = acquisition.fbp(problem.data, 'Hann', setting['cutoff'])
        return Reconstruction(problem.constrained(image))

    if modality == 'mri':
        return Method(run)
    cutoff = Parameter('cutoff', 0.45, 1.5, most=1.0)
    return Method(run, lambda problem: [cutoff])


def _variation(run, has_lengths, n_iterations):
    def parameters(problem):
        pixel = float(min(problem.space.cell_sides))
        weight = _VARIATION * pixel * problem.noise_weight
        found = [Parameter('weight', weight)]
        if has_lengths:
            found.append(Parameter('pixels', 2.0))
        return found

    return Method(
        lambda problem, setting: run(problem, n_iterations, **setting),
        parameters,
    )


def _total_variation(problem, n_iterations, weight):
    """Minimise the data fit with total variation."""
    variation = InvariantTotalVariation(problem.space)
    x = problem.start()
    converged = minimise_variation(
        x,
        problem,
        problem.acquisition.operator,
        _constraint(problem),
        weight * variation.norm_functional,
        variation.operator,
        n_iterations,
    )
    return Reconstruction(x, converged)


def _generalised_variation(problem, n_iterations, weight, pixels):
    """Minimise the data fit with total generalised variation."""
    pixel = float(min(problem.space.cell_sides))
    variation = InvariantTotalGeneralizedVariation(
        problem.space, (1.0, pixels * pixel)
    )
    lifted = variation.lifted_space
    x = lifted.zero()
    x[0].assign(problem.start())
    converged = minimise_variation(
        x,
        problem,
        problem.acquisition.operator * odl.ComponentProjection(lifted, 0),
        odl.functionals.SeparableSum(
            _constraint(problem), odl.functionals.ZeroFunctional(lifted[1])
        ),
        weight * variation.norm_functional,
        variation.operator,
        n_iterations,
        balance=2.0,
    )
    return Reconstruction(x[0], converged)


def _constraint(problem):
    if problem.modality == 'mri':
        return odl.functionals.ZeroFunctional(problem.space)
    return odl.functionals.IndicatorNonnegativity(problem.space)


# --- Learned energies, in an accelerated proximal gradient method --- #


def _energy(energy, n_iterations):
    def run(problem, setting):
        options = {}
        if energy.noise_level:
            options['sigma'] = setting['sigma']
        if not problem.space.is_real and energy.in_channels == 1:
            options['complex_values'] = 'parts'
        regulariser = LearnedRegularizer(problem.space, energy, **options)
        regulariser = setting['weight'] * regulariser
        is_bounded = math.isfinite(regulariser.grad_lipschitz)
        if is_bounded:
            # a bound that is known saves the values of a line search
            terms = _constraint(problem), problem.data_fit() + regulariser
            residual = _CONVEX_RESIDUAL
            if regulariser.weak_convexity:
                residual = _RESIDUAL
        else:
            # gradients of networks take long, so that there are to be few
            terms = proximable_fit(problem), regulariser
            residual = _NETWORK_RESIDUAL
        x = problem.start()
        with warnings.catch_warnings():
            # the table says so
            warnings.simplefilter('ignore', ConvergenceWarning)
            result = accelerated_proximal_gradient(
                x,
                *terms,
                maxiter=n_iterations,
                tol=residual,
                line_search=not is_bounded,
                objective=False,
            )
        return Reconstruction(x, result.converged)

    def parameters(problem):
        level = 0.05
        weight = _ENERGY[problem.modality] * problem.noise_weight
        if energy.noise_level:
            weight /= level**2
        found = [Parameter('weight', weight)]
        if energy.noise_level:
            found.append(Parameter('sigma', level, most=0.2))
        return found

    return Method(run, parameters)


# --- Denoisers, plugged in --- #


class _Constrained(nn.Module):
    """A denoiser of real images, without negative values in its results.

    It takes real and imaginary part of a complex image as two images.
    """

    def __init__(self, denoiser, is_real):
        super().__init__()
        self.denoiser, self.is_real = denoiser, is_real

    def forward(self, x, sigma):
        if self.is_real:
            return self.denoiser(x, sigma=sigma).clamp_min(0)
        parts = x.flatten(0, 1)[:, None]
        return self.denoiser(parts, sigma=sigma).reshape(x.shape)


def _plug_and_play(denoiser, n_iterations):
    def run(problem, setting):
        x = problem.start()
        half_quadratic_splitting(
            x,
            _Constrained(denoiser, problem.space.is_real),
            problem.data_fit(tol=1e-3, warm_start=True),
            max(_FIRST_LEVEL, setting['sigma']),
            setting['sigma'],
            n_iterations,
            setting['weight'],
        )
        return Reconstruction(x)

    def parameters(problem):
        weight = Parameter('weight', 0.5 * problem.noise_weight)
        if problem.modality == 'mri':
            # with the least one, what was measured stays as it is
            weight = Parameter(
                'weight',
                0.05 * problem.noise_weight,
                factor=4.0,
                least=0.003 * problem.noise_weight,
            )
        return [weight, Parameter('sigma', 0.015)]

    return Method(run, parameters)


def _network(source):
    def run(problem, setting):
        network = models.load(source, problem.acquisition.operator)
        with torch.no_grad():
            image = network.as_operator()(problem.data)
        return Reconstruction(problem.constrained(image))

    return Method(run)
