# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Proximals of total variations beside those of other libraries.

A noisy phantom is denoised in single precision. Each library has its own
discretisation of the gradient, so that each result is compared with its own
reference solution, and gets as many iterations as it needs to be within 1e-3
of the norm of the noisy image. The reference has so many iterations that half
of them are within a tenth of this. Ours knows a bound of its own
error: it is timed up to this distance, as the others, and up to this bound.
Times are medians of alternating rounds in one run:

    python benchmarks/variations.py
    python benchmarks/variations.py --output docs/benchmarks_variations.md

Beside `InvariantTotalVariation` are scikit-image's `denoise_tv_chambolle` and
pyproximal's `TV`. Libraries that are not installed are left out. None of them
has the total generalised variation of second order; one call of it is timed.
"""

import argparse
import datetime
import functools
import importlib
import sys
import time

import numpy as np
import odl
import torch
from _timing import machine, published, side_by_side, table

from odl_equivariant.data import ellipse_phantom
from odl_equivariant.functionals import (
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
)

TOLERANCE = 1e-3
LEVELS = (0.05, 0.2)
FIRST = 250
# `--processor-time` changes it
CLOCK = time.perf_counter


def noisy_image(size):
    """Return a phantom with noise, as an array."""
    generator = np.random.default_rng(0)
    space = odl.uniform_discr([0, 0], [size, size], (size, size))
    image = np.asarray(ellipse_phantom(space, 0).data)
    noise = 0.1 * generator.standard_normal(image.shape)
    return (image / image.max() + noise).astype('float32')


def ours(image, level, variation, tol=TOLERANCE):
    """Return a call of our proximal, which guarantees its distance."""
    space = odl.uniform_discr(
        [0, 0], image.shape, image.shape, dtype='float32'
    )
    x = space.element(image.copy())
    proximal = variation(space, tol=tol).proximal(level)
    return (lambda: proximal(x)), tol, '-'


def ours_as_near(image, level):
    """Return a call with the loosest bound that it needs, and its distance."""
    variation = InvariantTotalVariation
    exact = ours(image, level, variation, TOLERANCE / 30)[0]().asarray()
    found = ours(image, level, variation)
    for factor in (2, 3, 4, 6, 8, 12, 16):
        call, tol, _ = ours(image, level, variation, factor * TOLERANCE)
        gap = distance(call().asarray(), exact, image)
        if gap > TOLERANCE:
            break
        found = call, gap, '-'
    return found


def distance(one, other, image):
    """Return the distance of two results, relative to the image."""
    one, other = (np.asarray(x).reshape(image.shape) for x in (one, other))
    return float(np.linalg.norm(one - other) / np.linalg.norm(image))


def scikit_image(image, level):
    """Return scikit-image's result after some iterations."""
    restoration = importlib.import_module('skimage.restoration')
    return lambda n: restoration.denoise_tv_chambolle(
        image, weight=level, eps=0.0, max_num_iter=n
    )


def py_proximal(image, level):
    """Return pyproximal's result after some iterations."""
    library = importlib.import_module('pyproximal')

    def apply(n):
        functional = library.TV(image.shape, 1.0, niter=n, rtol=0.0)
        return functional.prox(image.ravel(), level)

    return apply


def reference(apply, image):
    """Return a result that twice as many iterations hardly change."""
    n, exact = FIRST, apply(FIRST)
    while True:
        n *= 2
        before, exact = exact, apply(n)
        if distance(before, exact, image) <= TOLERANCE / 10:
            return exact


def as_near(apply, image):
    """Return a call with as many iterations as it needs, and its distance."""
    exact = reference(apply, image)
    n = 4
    while True:
        gap = distance(apply(n), exact, image)
        if gap <= TOLERANCE:
            return functools.partial(apply, n), gap, n
        n = int(1.25 * n) + 1


def rows_of(size, level):
    """Return the rows of one image and one parameter."""
    image = noisy_image(size)
    found = {
        'ours': ours_as_near(image, level),
        'ours, with a bound': ours(image, level, InvariantTotalVariation),
    }
    for name, library in (
        ('scikit-image', scikit_image),
        ('pyproximal', py_proximal),
    ):
        try:
            apply = library(image, level)
        except ImportError:
            continue
        found[name] = as_near(apply, image)
    calls = {name: call for name, (call, *_) in found.items()}
    times = side_by_side(calls, clock=CLOCK)
    # nobody else has it, and a call takes seconds
    second = ours(image, level, InvariantTotalGeneralizedVariation)
    found['ours, second order'] = second
    start = CLOCK()
    second[0]()
    seconds = CLOCK() - start
    times['ours, second order'] = seconds, seconds / times['ours'][0]
    return [
        (
            size,
            level,
            name,
            f'{1e3 * times[name][0]:.1f} ms',
            f'{times[name][1]:.2f}',
            f'{gap:.1e}',
            n,
        )
        for name, (_, gap, n) in found.items()
    ]


def main():
    """Run the benchmark."""
    global CLOCK
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--output', help='file for the tables, in Markdown')
    parser.add_argument('--sizes', type=int, nargs='+', default=[256, 512])
    parser.add_argument(
        '--processor-time',
        action='store_true',
        help='the time of one thread, on a machine that is busy',
    )
    options = parser.parse_args()
    if options.processor_time:
        torch.set_num_threads(1)
        CLOCK = time.process_time
    header = (
        'pixels',
        'parameter',
        'library',
        'time',
        'times as long',
        'distance',
        'iterations',
    )
    rows = [
        row
        for size in options.sizes
        for level in LEVELS
        for row in rows_of(size, level)
    ]
    published(
        '# Benchmark of total variations\n\nMade by '
        f'`{" ".join(["python", *sys.argv])}` on '
        f'{datetime.date.today():%Y-%m-%d}, {machine()}.',
        {f'Proximals within {TOLERANCE:.0e}': table(header, rows)},
        options.output,
    )


if __name__ == '__main__':
    main()
