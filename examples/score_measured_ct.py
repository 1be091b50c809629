# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""From the file of a scanner to images
====================================

A scan of the Helsinki Tomography Challenge, or one of Data Exchange, is read
with its geometry and reconstructed by filtered back-projection, by total
variation with bounds,

.. math::
    \min_{0 \le u \le \mu} \tfrac12 \|A u - y\|^2 + \lambda \|\nabla u\|_1,

by half-quadratic splitting with a learned denoiser, with a learned energy, and
by two unrolled networks, of which one takes all units. The script needs files
of the user, so that the gallery does not run it::

    python examples/score_measured_ct.py htc2022_tb_90_degrees.mat \
        --segmentation htc2022_tb_segmentation.png \
        --prior 0.1 --ridge 0.001 --network 1
    python examples/score_measured_ct.py tooth.h5 --every 4 --shape 320 \
        --tv 100 --prior 1.2 --ridge 4 --network 1.5

The phantoms of the challenge are discs of one material with holes. Its rays
are not of one energy, so that exponents grow more slowly than lengths. The
rim of the disc has no holes: there, lengths and exponents are known, and
give the curve by which all exponents become lengths. No truth is used for
it. With ``--segmentation``, images are scored as in the challenge, by
Matthews' correlation of what is above Otsu's threshold.

With ``--every``, images of some views are compared with the filtered
back-projection of the other views. It knows no prior, and its noise is that of
other readings, so that no method copies the errors of its reference.

Weights have a unit, which depends on lengths, views and cells. For the discs,
they are those of images between 0 and 1 and lengths in millimetres. For other
scans, they are multiples of those by Bayes' rule, see
``units_of_weights``.
"""

import argparse
import dataclasses
import json
import pathlib

import numpy as np
import odl
from PIL import Image
from scipy import ndimage, optimize

from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.data import (
    MeasuredCT,
    provenance,
    read_scan,
    write_result,
)
from odl_equivariant.functionals import LearnedRegularizer
from odl_equivariant.operators import operator_norm
from odl_equivariant.solvers import (
    accelerated_proximal_gradient,
    half_quadratic_splitting,
)

DENOISER = 'multiscale_denoiser_c4'
ENERGY = 'ridge_weakly_convex_c4'
NETWORK = 'sparse_view_ct_c4'
SPLITTING = 'splitting_ct_c4'
# Noise level of the energy, in parts of the largest value of the images.
LEVEL = 0.05

# Side of the field of view of the challenge's pictures, in millimetres, and
# of the smallest disc that counts as one.
SIDE = 512 * 0.1483223173330444
RIM = 6.0, 45.0
EDGE = 0.15


def lines(geometry):
    """Return normals and distances of the rays of a fan beam."""
    angles = np.asarray(geometry.angles)[:, None]
    u = geometry.det_partition.grid.coord_vectors[0][None]
    sin, cos = np.sin(angles), np.cos(angles)
    source = geometry.src_radius * sin, -geometry.src_radius * cos
    length = geometry.src_radius + geometry.det_radius
    x, y = -length * sin + u * cos, length * cos + u * sin
    normals = np.stack([y, -x]) / np.hypot(x, y)
    return normals, normals[0] * source[0] + normals[1] * source[1]


def fitted_disc(scan):
    """Return centre and radius of a disc, from the edges of its shadow."""
    normals, distances = lines(scan.geometry)
    found = []
    for view, readings in enumerate(scan.readings):
        (inside,) = np.nonzero(readings > EDGE)
        for last, step in ((inside[0], -1), (inside[-1], 1)):
            here, beyond = readings[last], readings[last + step]
            place = last + step * (here - EDGE) / (here - beyond)
            columns = np.arange(len(readings))
            values = (normals[0, view], normals[1, view], distances[view])
            found.append([np.interp(place, columns, v) for v in values])
    x, y, distance = np.transpose(found)
    side = np.sign(distance)
    fit = optimize.least_squares(
        lambda c: x * c[0] + y * c[1] + side * c[2] - distance,
        [0, 0, np.abs(distance).mean()],
        loss='soft_l1',
        f_scale=0.1,
    )
    return fit.x


def as_lengths(scan, disc):
    """Return the scan with exponents as lengths in the disc's material."""
    normals, distances = lines(scan.geometry)
    away = distances - normals[0] * disc[0] - normals[1] * disc[1]
    chords = 2 * np.sqrt(np.maximum(disc[2] ** 2 - away**2, 0))
    lengths = np.arange(*RIM) + 0.5
    exponents = [
        np.median(scan.readings[abs(chords - length) < 0.5])
        for length in lengths
    ]
    p = np.array(exponents)
    curve = np.linalg.lstsq(np.stack([p, p**2], 1), lengths)[0]
    readings = curve[0] * scan.readings + curve[1] * scan.readings**2
    return dataclasses.replace(scan, readings=readings)


def units_of_weights(acquisition, data, scale):
    r"""Return the weights of total variation and prior by Bayes' rule.

    They are :math:`s^2 w_Y / w_X` for a prior, with the noise of the data
    and the cells of both spaces, and that times cell / scale for the sum of
    differences of neighbours. So numbers in these units mean the same in
    every unit of length, for every number of views and every grid.
    """
    second = np.diff(data.asarray(), 2, axis=1)
    noise = np.median(abs(second)) / 0.6745 / np.sqrt(6)
    cells = data.space.cell_volume / acquisition.space.cell_volume
    prior = float(noise**2 * cells)
    return prior * float(acquisition.space.cell_sides[0]) / scale, prior


def least_squares(acquisition, data, start, niter=10):
    """Return an image that a few conjugate gradients have fitted."""
    u = start.copy()
    odl.solvers.conjugate_gradient_normal(acquisition.operator, u, data, niter)
    return u


def total_variation(acquisition, data, start, weight, upper, niter):
    """Minimise the least-squares fit with total variation and bounds."""
    A, gradient = acquisition.operator, odl.Gradient(acquisition.space)
    scaling = operator_norm(A) / operator_norm(gradient)
    L = odl.BroadcastOperator(A, scaling * gradient)
    g = odl.functionals.SeparableSum(
        0.5 * odl.functionals.L2NormSquared(A.range).translated(data),
        weight / scaling * odl.functionals.GroupL1Norm(gradient.range),
    )
    f = odl.functionals.IndicatorBox(acquisition.space, 0, upper)
    step = 0.99 / operator_norm(L)
    u = f.proximal(1.0)(start)
    odl.solvers.pdhg(u, f, g, L, niter, tau=step, sigma=step)
    return u


def plug_and_play(acquisition, data, start, weight, scale):
    """Plug a denoiser in, for images that reach about `scale`."""
    u = start.copy()
    half_quadratic_splitting(
        u,
        models.load(DENOISER),
        acquisition.data_fit(data, tol=1e-3, warm_start=True),
        0.1 * scale,
        0.01 * scale,
        8,
        weight,
        scale=scale,
    )
    return u


def ridge(acquisition, data, start, weight, scale, upper, niter=60):
    """Minimise the least-squares fit with a learned energy and bounds."""
    level = LEVEL * scale
    energy = LearnedRegularizer(
        acquisition.space, models.load(ENERGY), level, scale
    )
    u = start.copy()
    accelerated_proximal_gradient(
        u,
        odl.functionals.IndicatorBox(acquisition.space, 0, upper),
        acquisition.data_fit(data) + weight / level**2 * energy,
        maxiter=niter,
        objective=False,
    )
    return u


def unrolled(acquisition, data, name, **unit):
    """Apply a network, which was trained on views over a half turn."""
    network = models.load(name, acquisition, **unit)
    return network.as_operator(str(acquisition.space.dtype_identifier))(data)


def other_views(scan, space, every):
    """Return the filtered back-projection of the views that are left out."""
    kept = np.arange(scan.n_views) % every != 0
    settings = scan.acquisition(space).settings()
    angles = np.asarray(scan.geometry.angles)[kept]
    settings['geometry'] |= {'angles': angles.tolist()}
    acquisition = MeasuredCT(**settings)
    all_data = scan.data(scan.acquisition(space)).asarray()
    return acquisition.fbp(all_data[kept], frequency_scaling=1.0)


def otsu(values):
    """Return the threshold with the largest variance between two classes."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    n, m = np.cumsum(counts), np.cumsum(counts * middles)
    between = (m[-1] * n - m * n[-1]) ** 2 / np.maximum(n * (n[-1] - n), 1)
    return middles[np.argmax(between)]


def matthews(u, truth):
    """Return Matthews' correlation of a segmented image and the truth."""
    picture = np.rot90(u)
    factor = len(truth) / len(picture)
    picture = ndimage.zoom(
        picture, factor, order=1, mode='nearest', grid_mode=True
    )
    found = picture > otsu(picture)
    return float(np.corrcoef(found.ravel(), truth.ravel())[0, 1])


def psnr(u, reference):
    """Return the peak signal-to-noise ratio in dB."""
    error = np.mean(np.square(u - reference))
    return float(10 * np.log10(np.ptp(reference) ** 2 / error))


def extend_scores(path, scan, scores):
    """Write scores of a scan into a file, and keep what else it holds."""
    found = json.loads(path.read_text('utf-8')) if path.is_file() else {}
    found.setdefault(scan, {}).update(scores)
    write_atomically(path, (json.dumps(found, indent=1) + '\n').encode())


def main():
    """Read a scan, reconstruct it, and write images with their origin."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    add = parser.add_argument
    add('scan', type=pathlib.Path)
    add('--segmentation', type=pathlib.Path)
    add('--output', type=pathlib.Path, default='measured_ct')
    add('--shape', type=int, default=256)
    add('--bin', type=int, default=2)
    add('--every', type=int, default=1)
    add('--niter', type=int, default=300)
    add('--tv', type=float, nargs='+')
    add('--prior', type=float, nargs='+', default=[])
    add('--ridge', type=float, nargs='+', default=[])
    add('--network', type=float, nargs='+', default=[], help='values of 1')
    add('--json', type=pathlib.Path, help='file of scores, to be extended')
    arguments = parser.parse_args()
    scan = read_scan(arguments.scan).row()
    n = arguments.shape
    is_disc = scan.geometry.__class__.__name__ == 'FanBeamGeometry'
    if is_disc:
        disc = fitted_disc(scan)
        print(f'disc: centre {disc[:2].round(2)}, radius {disc[2]:.2f} mm')
        scan = as_lengths(scan, disc)
        space = {'shape': (n, n), 'cell': SIDE / n}
    else:
        # one element is one unit: lengths in cells need cells of side 1
        if scan.length_unit == 'cell':
            scan = dataclasses.replace(scan, length_unit='um')
        acquisition = scan.acquisition((8, 8))
        offset = acquisition.find_axis(scan.data(acquisition))
        width = float(scan.geometry.det_partition.cell_sides[0])
        print(f'offset of the detector: {offset / width:.2f} elements')
        scan = scan.with_detector_offset(offset)
        space = {'shape': (n, n), 'cell': scan.readings.shape[1] * width / n}
    truth = None
    if arguments.segmentation:
        picture = Image.open(arguments.segmentation).convert('L')
        truth = np.asarray(picture) > 127
    scan = scan.binned(arguments.bin)
    full = scan.acquisition(space)
    all_data = scan.data(full)
    reference = full.fbp(all_data)
    scale = 1.0 if is_disc else float(np.percentile(reference.asarray(), 99))
    compared = truth is None and arguments.every > 1
    if compared:
        reference = other_views(scan, space, arguments.every)
    scan = scan.select_views(slice(None, None, arguments.every))
    acquisition = scan.acquisition(space)
    data = scan.data(acquisition)
    results = {'fbp': acquisition.fbp(data)}
    upper, start = np.inf, acquisition.space.zero()
    units = units_of_weights(acquisition, data, scale)
    if is_disc:
        x, y = acquisition.space.meshgrid
        upper = acquisition.space.element(
            1.0 * (np.hypot(x - disc[0], y - disc[1]) < disc[2])
        )
        units = 1.0, 1.0
    else:
        start = least_squares(acquisition, data, results['fbp'])
        results['least-squares'] = start
    weights = arguments.tv or [0.007 if is_disc else 0.3]
    for weight in weights:
        results[f'tv-{weight:g}'] = total_variation(
            acquisition,
            data,
            start,
            weight * units[0],
            upper,
            arguments.niter,
        )
    if is_disc:
        # a short arc leaves other images too far from the object
        start = list(results.values())[-1]
    for weight in arguments.prior:
        results[f'prior-{weight:g}'] = plug_and_play(
            acquisition, data, start, weight * units[1], scale
        )
    for weight in arguments.ridge:
        results[f'ridge-{weight:g}'] = ridge(
            acquisition, data, start, weight * units[1], scale, upper
        )
    for value in arguments.network:
        results[f'network-{value:g}'] = unrolled(
            acquisition, data, NETWORK, unit=value * scale
        )
    results['unrolled_splitting'] = unrolled(acquisition, data, SPLITTING)
    arguments.output.mkdir(parents=True, exist_ok=True)
    scores = {}
    for name, u in results.items():
        u = u.asarray()
        score = {}
        if truth is not None:
            score['matthews'] = matthews(u, truth)
        elif compared:
            score['psnr'] = psnr(u, reference.asarray())
        print(name, *(f'{k} {v:.4f}' for k, v in score.items()), flush=True)
        scores[name] = {key: round(value, 4) for key, value in score.items()}
        made = provenance(source=arguments.scan, method=name, **score)
        cell = float(acquisition.space.cell_sides[0])
        write_result(
            arguments.output / f'{name}.npy', u, cell, provenance=made
        )
        grey = np.clip(np.rot90(u) / scale, 0, 1) * 255
        Image.fromarray(grey.astype('u1')).save(
            arguments.output / f'{name}.png'
        )
    if arguments.json:
        extend_scores(arguments.json, arguments.scan.stem, scores)


if __name__ == '__main__':
    main()
