# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measure what a denoiser does to images in another unit than its own.

A slice with noise of 5 % of its range is denoised at that level, in several
units, by the shipped denoiser, and by the same one between statistics of the
image::

    python examples/scores/units.py

writes ``docs/results/units.json``, in a minute on one core.
"""

import argparse
import json
import math
import pathlib
import warnings

import numpy as np
import torch

from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.data import sample_ct_slice
from odl_equivariant.nn import Normalised

TARGET = (
    pathlib.Path(__file__).resolve().parents[2]
    / 'docs'
    / 'results'
    / 'units.json'
)
MODEL, LEVEL, SEED = 'denoiser_c4', 0.05, 0


def scores():
    """Return the PSNR of each network, for each unit."""
    fine = sample_ct_slice('relative').asarray()
    image = fine.reshape(256, 2, 256, 2).mean(axis=(1, 3))
    # Hounsfield units of the same values, see `sample_ct_slice`
    slope, water = 81.35858 / 0.01998, -20 / 0.01998
    denoiser = models.load(MODEL)
    networks = {
        'the denoiser': denoiser,
        '`Normalised(denoiser)`': Normalised(denoiser),
        "`Normalised(denoiser, 'rms', None)`": Normalised(
            denoiser, 'rms', None
        ),
    }
    units = {
        'that of the training': (1.0, 0.0),
        '× 10⁻²': (1e-2, 0.0),
        '× 10⁻⁴': (1e-4, 0.0),
        '× 4096': (4096.0, 0.0),
        'Hounsfield units': (slope, water),
    }
    span = float(np.ptp(image))
    noise = np.random.default_rng(SEED).standard_normal(image.shape)
    noisy = image + LEVEL * span * noise
    found = {}
    for unit, (factor, offset) in units.items():
        given = torch.tensor(factor * noisy + offset)[None, None].float()
        found[unit] = {}
        for name, network in networks.items():
            with torch.no_grad():
                result = network(given, sigma=LEVEL * span * factor)
            error = (result[0, 0].double().numpy() - offset) / factor - image
            value = 20 * math.log10(span / math.sqrt(np.mean(error**2)))
            found[unit][name] = round(value, 2)
        print(unit, found[unit], flush=True)
    return found


def main(argv=None):
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--json', type=pathlib.Path, default=TARGET)
    options = parser.parse_args(argv)
    with warnings.catch_warnings():
        # of values in another unit, which is what is measured
        warnings.simplefilter('ignore', UserWarning)
        text = json.dumps(scores(), indent=1, ensure_ascii=False) + '\n'
    write_atomically(options.json, text.encode())


if __name__ == '__main__':
    main()
