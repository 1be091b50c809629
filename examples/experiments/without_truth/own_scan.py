# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A shipped network, fine-tuned on one measured scan, before and after.

    python -m examples.experiments.without_truth.own_scan kspace.npy

trains by the command and the configuration that a user has, `odl-equivariant
train --config examples/configs/own_kspace.yaml`, on a copy of the scan from
which some samples were taken away. Neither the training nor its validation
ever sees these, and both networks must predict them.
"""

import argparse
import pathlib
import zlib

import numpy as np
import torch
from matplotlib.figure import Figure

from examples.experiments.without_truth.results import (
    read_results,
    write_results,
)
from odl_equivariant import models
from odl_equivariant.data import read_kspace
from odl_equivariant.data.kspace.calibration import calibration_block
from odl_equivariant.plotting import save_figure
from odl_equivariant.training.cli import main as command

__all__ = ('main',)

CONFIGURATION = (
    pathlib.Path(__file__).parents[2] / 'configs' / 'own_kspace.yaml'
)
# of the samples outside of the middle
TAKEN, SEED = 0.05, 0


def without_some(kspace):
    """Return k-space without some samples, and where these are.

    Parameters
    ----------
    kspace : numpy.ndarray
        Array of shape ``(n_coils, nx, ny)``.

    Returns
    -------
    kept : numpy.ndarray
        The array with zeros where samples were taken away.
    taken : numpy.ndarray
        Booleans of shape ``(nx, ny)``.
    """
    measured = (kspace != 0).any(axis=0)
    middle = np.zeros_like(measured)
    # of which coil maps are estimated
    block = calibration_block(measured, 24)
    if block is not None:
        middle[block] = True
    rng = np.random.default_rng(SEED)
    taken = measured & ~middle & (rng.random(middle.shape) < TAKEN)
    if not taken.any():
        raise ValueError(
            f'no sample could be taken away of {int(measured.sum())} that '
            'were measured: give a scan with more samples outside of the '
            'middle of k-space'
        )
    return np.where(taken, 0, kspace), taken


def judged(network_of, scan, kspace, taken):
    """Return the image of a scan, and the error where nothing was known.

    Parameters
    ----------
    network_of : callable
        Returns a network for an operator.
    scan : KspaceScan
        The scan without some samples, with coil maps, normalised.
    kspace : numpy.ndarray
        All samples.
    taken : numpy.ndarray
        Where they were taken away.

    Returns
    -------
    image : numpy.ndarray
        Complex image.
    error : float
        ``|N (A u - y)| / |N y|``, with the noise of the data.
    """
    acquisition = scan.acquisition()
    network = network_of(acquisition.operator).eval()
    image = network.as_operator()(scan.data(acquisition))
    predicted = scan.acquisition(mask=taken).operator(image)
    values = np.stack([np.asarray(part.asarray()) for part in predicted])
    if values.ndim == taken.ndim:
        values = values[None]
    wanted = kspace[:, taken] / scan.scale
    error = np.linalg.norm(values[:, taken] - wanted)
    return np.asarray(image.asarray()), float(error / np.linalg.norm(wanted))


def run(kspace, model, steps, folder):
    """Fine-tune a network, unless this was done, and judge both.

    Returns
    -------
    images : dict of numpy.ndarray
        Images before and after.
    errors : dict of float
        Their errors.
    """
    kept, taken = without_some(kspace)
    # another scan is no reason to take the network of the last one
    digest = zlib.crc32(np.ascontiguousarray(kept))
    stem = pathlib.Path(model).stem
    folder = pathlib.Path(folder) / f'{stem}_{steps}_{digest:08x}'
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'scan' / 'kept.npy'
    path.parent.mkdir(exist_ok=True)
    np.save(path, kept)
    tuned = folder / 'best.safetensors'
    if not (folder / 'finished').exists():
        n_coils, *shape = kept.shape
        status = command(
            [
                'train',
                f'--config={CONFIGURATION}',
                f'--trainer.default_root_dir={folder}',
                f'--trainer.max_steps={steps}',
                f'--trainer.val_check_interval={max(1, steps // 4)}',
                '--trainer.accelerator=cpu',
                '--trainer.logger=false',
                f'--model.pretrained={model}',
                f'--data.acquisition.init_args.shape={shape}',
                f'--data.acquisition.init_args.n_coils={n_coils}',
                f'--data.train.init_args.folder={path.parent}',
                f'--data.validation.init_args.folder={path.parent}',
            ]
        )
        if status:
            raise SystemExit(status)
        (folder / 'finished').touch()
    scan = read_kspace(path).with_coil_maps().normalised()
    images, errors = {}, {}
    for name, weights in (('before', model), ('after', tuned)):
        images[name], errors[name] = judged(
            lambda operator, weights=weights: models.load(weights, operator),
            scan,
            kspace,
            taken,
        )
    errors['zero-filled'] = 1.0
    return images, errors


def section(found):
    """Return the errors as lines of a page in Markdown."""
    lines = [
        '## One measured scan',
        '',
        'Made by `python -m examples.experiments.without_truth.own_scan '
        'cartesian_ksp.npy`: shipped networks, fine-tuned on this scan alone, '
        'by the command and the configuration of '
        '[I have no ground truth](how-to/without-truth.md). '
        f'{100 * TAKEN:g} % of its samples outside of the middle of k-space '
        'were taken away first. The error is '
        r'$\lVert N (A u - y) \rVert / \lVert N y \rVert$ of these, which '
        'nothing was learned from or chosen by; noise is a part of it. That '
        'of the zero-filled image is 1.',
        '',
        '| network | steps | before | after | verdict |',
        '|---|---|---|---|---|',
    ]
    for name, one in found.items():
        better = 'Better' if one['after'] < one['before'] else 'Not better'
        lines.append(
            f'| `{name}` | {one["steps"]} | {one["before"]:.4f} | '
            f'{one["after"]:.4f} | {better} |'
        )
    return lines


def picture(images):
    """Return a figure of the images before and after, and their difference.

    Parameters
    ----------
    images : dict of dict of numpy.ndarray
        Complex images before and after, for each network.
    """
    figure = Figure((7.5, 3.4 * len(images)), layout='compressed')
    axes = figure.subplots(len(images), 3, squeeze=False)
    for row, (name, one) in zip(axes, images.items(), strict=True):
        before, after = abs(one['before']), abs(one['after'])
        high = float(np.percentile(before, 99.8))
        shown = {
            f'{name}\nbefore': before,
            'after': after,
            'five times the difference': 5 * abs(after - before),
        }
        for ax, (title, image) in zip(row, shown.items(), strict=True):
            # files have their first row at the top
            ax.imshow(image, cmap='gray', vmin=0, vmax=high)
            ax.set_title(title, fontsize=8)
            ax.set_axis_off()
    return figure


def main(arguments=None):
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.without_truth.own_scan',
        description='Fine-tune a shipped network on one measured scan.',
    )
    parser.add_argument('file', help='k-space that `read_kspace` reads')
    parser.add_argument('--models', nargs='+', default=['cartesian_mri_c4'])
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument(
        '--output', type=pathlib.Path, default='results/own_scan'
    )
    parser.add_argument(
        '--results',
        type=pathlib.Path,
        help='JSON file of results, to which a part of the page is written',
    )
    parser.add_argument('--picture', type=pathlib.Path)
    options = parser.parse_args(arguments)
    kspace = np.asarray(read_kspace(options.file).kspace)
    known = read_results(options.results) if options.results else {}
    found = known.get('own_scan', {}).get('errors', {})
    images = {}
    for model in options.models:
        images[model], errors = run(
            kspace, model, options.steps, options.output
        )
        found[model] = {'steps': options.steps, **errors}
        print(model, found[model], flush=True)
        if options.results:
            lines = section(found)
            if options.picture:
                words = 'Before and after, and the difference'
                lines += ['', f'![{words}](images/{options.picture.name})']
            part = {'lines': lines, 'errors': found}
            write_results(options.results, {'own_scan': part})
        if options.picture:
            save_figure(picture(images), options.picture, dpi=100)
    return found


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
