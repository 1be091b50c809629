# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Iterations with learned regularisers, beside those of deepinv.

Tomography from 50 views, in single precision. Both sides have the same
operator, the same modules with the same weights, the same steps and the same
start, so that they compute the same images. Times are medians of alternating
rounds in one run, divided by the number of iterations; with one thread those
of the processor, whatever else the machine does:

    python benchmarks/regularisers.py
    python benchmarks/regularisers.py --output docs/benchmarks_regularisers.md

- proximal gradients with total variation: `odl.solvers.proximal_gradient` and
  `accelerated_proximal_gradient` with an `InvariantTotalVariation`, whose
  inner iterations end at a guaranteed error of 1e-3, beside deepinv's `PGD`
  with its `TVPrior`, with 20 inner iterations as by default, and with as many
  as its own criterion asks for. `odl.solvers.pdhg` has no inner iterations,
  but needs more outer ones. deepinv sums forward differences only, so that
  its images differ by that;
- gradient steps on data fit and ridge energy: `accelerated_proximal_gradient`
  with a fixed step, and with its line search, beside deepinv's `GD`;
- proximal gradients with the multiscale denoiser: `odl.solvers.
  proximal_gradient` with a `LearnedProximal`, beside deepinv's `PGD`;
- half-quadratic splitting with the same denoiser: `half_quadratic_splitting`
  with the proximal of `LeastSquares`, beside deepinv's `HQS`, which solves by
  conjugate gradients: with the same tolerance, which bounds a residual there
  and the error here, and with the largest one that leads to as small an
  error, or to the smallest that single precision allows.

The last column is the distance of the images to those of the first row of a
table; in the splitting, to those with ten times as exact proximals. deepinv
has no ridge energy and its networks for plugging in are not shipped with it,
so both sides have ours: what differs is the loop, and how the operator is
applied. deepinv is left out where it is not installed.
"""

import argparse
import datetime
import platform
import time

import numpy as np
import odl
import torch
from _timing import published, side_by_side, table

from odl_equivariant.data import SparseViewCT, ellipse_phantom
from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import (
    InvariantTotalVariation,
    LearnedProximal,
    LearnedRegularizer,
    LeastSquares,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.nn import MultiscaleDenoiser, RidgeEnergy
from odl_equivariant.operators import OperatorLayer, operator_norm
from odl_equivariant.solvers import (
    accelerated_proximal_gradient,
    half_quadratic_splitting,
)

SIGMA = 0.05
# of the energy, relative to the data fit
WEIGHT = 0.1
# of total variation, in pixels
VARIATION = 6e-4
# of the prior in the splitting
PENALTY = 1e-4
TOLERANCE = 1e-4
# How often a tolerance of deepinv is lowered, by the factor 10.
MOST = 6


def _deepinv():
    # torchvision, which it needs, may not fit the torch that is installed
    try:
        import deepinv
    except (ImportError, RuntimeError):
        return None
    return deepinv


class Problem:
    """Data, and what both sides make of them.

    Parameters
    ----------
    size : int
        Pixels along a side.
    n_iterations : int
        Iterations of a call.
    """

    def __init__(self, size, n_iterations):
        self.n_iterations = n_iterations
        ct = SparseViewCT((size, size), n_views=50)
        y = ct.simulate(ellipse_phantom((2 * size, 2 * size), rng=0), rng=0)
        self.space, self.start = ct.space, ct.fbp(y)
        self.fit = LeastSquares(ct.operator, y, tol=TOLERANCE)
        self.data = as_tensor(y)
        layer = OperatorLayer(ct.operator)
        self.forward, self.adjoint = layer, layer.adjoint
        # The adjoint is that of the spaces. Solvers that know no weights of
        # spaces take this multiple of operator and data, whose adjoint is the
        # transpose.
        weights = [
            float(inner_product_weights(space).flatten()[0])
            for space in (ct.operator.range, ct.operator.domain)
        ]
        self.unit = (weights[0] / weights[1]) ** 0.5
        self.energy = RidgeEnergy('C4').eval()
        self.denoiser = MultiscaleDenoiser().eval()
        regulariser = LearnedRegularizer(
            self.space, self.energy, SIGMA, weight=WEIGHT
        )
        self.smooth = self.fit + regulariser
        self.step = 1 / self.smooth.grad_lipschitz
        self.levels = np.geomspace(0.2, 0.01, n_iterations)

    def physics(self, deepinv, **options):
        """Return the operator as deepinv takes it."""
        return deepinv.physics.LinearPhysics(
            A=lambda x, **kwargs: self.unit * self.forward(x),
            A_adjoint=lambda y, **kwargs: self.adjoint(y) / self.unit,
            **{'tol': TOLERANCE, **options},
        )


# --- Ours --- #


def accelerated(problem, **options):
    """Return a call of the accelerated method."""

    def call():
        x = problem.start.copy()
        accelerated_proximal_gradient(
            x,
            odl.functionals.ZeroFunctional(problem.space),
            problem.smooth,
            problem.step,
            problem.n_iterations,
            objective=False,
            **options,
        )
        return as_tensor(x)

    return call


def plain(problem):
    """Return a call of ODL's proximal gradients, without momentum."""
    nothing = odl.functionals.ZeroFunctional(problem.space)

    def call():
        x = problem.start.copy()
        odl.solvers.proximal_gradient(
            x, nothing, problem.smooth, problem.step, problem.n_iterations
        )
        return as_tensor(x)

    return call


def varied(problem, solver):
    """Return a call of a solver with total variation."""
    weight = VARIATION * float(min(problem.space.cell_sides))
    step = 1 / problem.fit.grad_lipschitz

    def call():
        x = problem.start.copy()
        f = weight * InvariantTotalVariation(problem.space, warm_start=True)
        solver(x, f, problem.fit, step, problem.n_iterations)
        return as_tensor(x)

    return call


def varied_primal_dual(problem):
    """Return a call of the primal-dual method with total variation."""
    weight = VARIATION * float(min(problem.space.cell_sides))
    variation = InvariantTotalVariation(problem.space)
    size = operator_norm(problem.fit.operator)
    scaling = size / variation.operator.norm_bound
    both = odl.BroadcastOperator(
        problem.fit.operator, scaling * variation.operator
    )
    g = odl.functionals.SeparableSum(
        problem.fit.data_functional,
        (weight / scaling) * variation.norm_functional,
    )
    nothing = odl.functionals.ZeroFunctional(problem.space)
    step = 0.99 / (2**0.5 * size)

    def call():
        x = problem.start.copy()
        odl.solvers.pdhg(
            x,
            nothing,
            g,
            both,
            problem.n_iterations,
            tau=10 * step,
            sigma=step / 10,
        )
        return as_tensor(x)

    return call


def accelerated_fixed(x, f, g, step, n_iterations):
    """Minimise by accelerated proximal gradients with a fixed step."""
    accelerated_proximal_gradient(
        x, f, g, step, n_iterations, line_search=False, objective=False
    )


def plugged(problem):
    """Return a call of ODL's proximal gradients with a denoiser."""
    f = LearnedProximal(problem.space, problem.denoiser)
    step = 1 / problem.fit.grad_lipschitz

    def call():
        x = problem.start.copy()
        odl.solvers.proximal_gradient(
            x, SIGMA / step * f, problem.fit, step, problem.n_iterations
        )
        return as_tensor(x)

    return call


def split(problem, tolerance=TOLERANCE):
    """Return a call of half-quadratic splitting."""
    fit = LeastSquares(problem.fit.operator, problem.fit.data, tol=tolerance)

    def call():
        x = problem.start.copy()
        half_quadratic_splitting(
            x,
            problem.denoiser,
            fit,
            problem.levels[0],
            problem.levels[-1],
            problem.n_iterations,
            PENALTY,
        )
        return as_tensor(x)

    return call


# --- deepinv's --- #


def theirs(problem, deepinv, solver, prior, linear=(), **options):
    """Return a call of one of deepinv's solvers.

    ``linear`` has options of the solver of linear systems.
    """
    model = solver(
        data_fidelity=deepinv.optim.L2(),
        prior=prior,
        max_iter=problem.n_iterations,
        **options,
    )
    physics = problem.physics(deepinv, **dict(linear))
    start = as_tensor(problem.start)

    def call():
        with torch.no_grad():
            data = problem.unit * problem.data
            return model(data, physics, init=start.clone())

    return call


def gradient_descent(problem, deepinv):
    """Return a call of deepinv's gradient descent on the same energy."""

    class Ridge(deepinv.optim.Prior):
        def grad(self, x, sigma, *args, **kwargs):
            return problem.energy.gradient(x, SIGMA)

    return theirs(
        problem,
        deepinv,
        deepinv.optim.GD,
        Ridge(),
        stepsize=problem.step,
        lambda_reg=WEIGHT,
        g_param=SIGMA,
    )


def descent_with_variation(problem, deepinv, n_inner):
    """Return a call of deepinv's proximal gradients with its variation."""

    def call():
        # its dual variables outlive a call
        prior = deepinv.optim.TVPrior(n_it_max=n_inner)
        return theirs(
            problem,
            deepinv,
            deepinv.optim.PGD,
            prior,
            stepsize=1 / problem.fit.grad_lipschitz,
            lambda_reg=VARIATION,
        )()

    return call


def denoised(problem, deepinv):
    """Return deepinv's prior with the denoiser."""
    return deepinv.optim.PnP(lambda x, sigma: problem.denoiser(x, sigma=sigma))


def split_by_deepinv(problem, deepinv, **linear):
    """Return a call of deepinv's half-quadratic splitting."""
    return theirs(
        problem,
        deepinv,
        deepinv.optim.HQS,
        denoised(problem, deepinv),
        linear,
        stepsize=[float(s**2 / PENALTY) for s in problem.levels],
        g_param=[float(s) for s in problem.levels],
    )


def split_as_exactly(problem, deepinv, exact):
    """Return the same with a tolerance that is small enough, if one is."""
    most = distance(split(problem)(), exact)
    best, least = None, float('inf')
    for i in range(MOST):
        tolerance = TOLERANCE / 10**i
        call = split_by_deepinv(problem, deepinv, tol=tolerance, max_iter=1000)
        error = distance(call(), exact)
        # nothing is left but rounding
        if error > 0.9 * least:
            break
        best, least = call, error
        if error <= most:
            break
    return best


def distance(image, reference):
    """Return the distance of two images, relative to the second."""
    return float((image - reference).norm() / reference.norm())


def ways(problem, exact):
    """Return the calls of each table, the reference first.

    ``exact`` is the image of half-quadratic splitting.
    """
    deepinv = _deepinv()
    found = {
        'Total variation': {
            'proximal_gradient of ODL': varied(
                problem, odl.solvers.proximal_gradient
            ),
            'accelerated, fixed step': varied(problem, accelerated_fixed),
            'pdhg of ODL': varied_primal_dual(problem),
        },
        'Ridge energy, by gradients': {
            'proximal_gradient of ODL': plain(problem),
            'accelerated, fixed step': accelerated(problem, line_search=False),
            'accelerated, line search': accelerated(problem),
        },
        'Multiscale denoiser, proximal gradients': {
            'proximal_gradient of ODL': plugged(problem),
        },
        'Multiscale denoiser, half-quadratic splitting': {
            'half_quadratic_splitting': split(problem),
        },
    }
    if deepinv is None:
        return found
    variations, gradients, proximals, splitting = found.values()
    for name, n_inner in (
        ('deepinv, PGD, 20 inner iterations', 20),
        ('deepinv, PGD, inner criterion', 1000),
    ):
        variations[name] = descent_with_variation(problem, deepinv, n_inner)
    gradients['deepinv, GD'] = gradient_descent(problem, deepinv)
    prior = denoised(problem, deepinv)
    proximals['deepinv, PGD'] = theirs(
        problem,
        deepinv,
        deepinv.optim.PGD,
        prior,
        stepsize=1 / problem.fit.grad_lipschitz,
        g_param=SIGMA,
    )
    splitting['deepinv, HQS, same tolerance'] = split_by_deepinv(
        problem, deepinv
    )
    splitting['deepinv, HQS, smaller tolerance'] = split_as_exactly(
        problem, deepinv, exact
    )
    return found


def measured(problem, calls, budget, reference=None):
    """Return the rows of a table."""
    results = {name: call() for name, call in calls.items()}
    if reference is None:
        reference = next(iter(results.values()))
    rows = []
    alone = torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    timed = side_by_side(calls, budget, clock=clock)
    for name, (seconds, ratio) in timed.items():
        error = distance(results[name], reference)
        rows.append(
            [
                name,
                f'{1e3 * seconds / problem.n_iterations:.1f} ms',
                f'{ratio:.2f}',
                f'{error:.1e}',
            ]
        )
    return rows


def main():
    """Measure and print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, default=256, help='pixels')
    parser.add_argument('--iterations', type=int, default=8)
    parser.add_argument('--budget', type=float, default=60, help='seconds')
    parser.add_argument('--output', help='file to write the tables to')
    arguments = parser.parse_args()
    torch.manual_seed(0)
    problem = Problem(arguments.size, arguments.iterations)
    header = ['', 'an iteration', 'of the first', 'distance']
    exact = split(problem, TOLERANCE / 10)()
    sections = {}
    for title, calls in ways(problem, exact).items():
        reference = exact if title.endswith('splitting') else None
        rows = measured(problem, calls, arguments.budget, reference)
        sections[title] = table(header, rows)
    deepinv = _deepinv()
    other = f'deepinv {deepinv.__version__}' if deepinv else 'no deepinv'
    heading = (
        '# Benchmark of learned regularisers\n\n'
        'Made by `python benchmarks/regularisers.py` on '
        f'{datetime.date.today():%Y-%m-%d}, {torch.get_num_threads()} threads '
        f'of a {platform.machine()} processor, torch {torch.__version__}, '
        f'{other}: {arguments.size} x {arguments.size} pixels, 50 views, '
        f'{arguments.iterations} iterations.'
    )
    published(heading, sections, arguments.output)


if __name__ == '__main__':
    main()
