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

import odl
import torch
from _timing import published, side_by_side, table
from ways.peers import deepinv_if_there
from ways.regularised import (
    SIGMA,
    TOLERANCE,
    Problem,
    accelerated,
    accelerated_fixed,
    plain,
    plugged,
    split,
    varied,
    varied_primal_dual,
)
from ways.regularised_by_deepinv import (
    denoised,
    descent_with_variation,
    distance,
    gradient_descent,
    split_as_exactly,
    split_by_deepinv,
    theirs,
)


def ways(problem, exact):
    """Return the calls of each table, the reference first.

    ``exact`` is the image of half-quadratic splitting.
    """
    deepinv = deepinv_if_there()
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
    deepinv = deepinv_if_there()
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
