# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measure total variation on the slices of a head that networks are scored on.

The weight is chosen by the truth, for each slice on its own::

    python examples/scores/heads.py Cranium.inv3

writes ``docs/results/head_variation.json``, in five minutes on one core. The
head is the example `Cranium.inv3` of InVesalius, in Debian's
``invesalius-examples``. No network was trained on it.
"""

import argparse
import json
import pathlib
import plistlib
import sys
import tarfile
import zlib
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from comparison.methods import methods
from comparison.problems import problem_of
from comparison.search import search

from odl_equivariant._files import write_atomically
from odl_equivariant.data import convert_attenuation

TARGET = (
    pathlib.Path(__file__).resolve().parents[2]
    / 'docs'
    / 'results'
    / 'head_variation.json'
)
SLICES = (12, 32, 52, 72, 92)
VIEWS, PHOTONS = 50, 1e4
EVALUATIONS, ITERATIONS = 9, {'variations': 600}


def head_slices(file):
    """Return slices of the head as they are scored, by their names.

    Parameters
    ----------
    file : path-like
        Project of InVesalius: an archive of ``main.plist`` and
        ``matrix.dat``, slices of Hounsfield units.

    Returns
    -------
    slices : dict of numpy.ndarray
        Images in the unit of `SparseViewCT`, the nose at the bottom, as in
        the file.

    Raises
    ------
    ValueError
        If the file is no such archive, or has too few slices.
    """
    found = {}
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                name = pathlib.PurePosixPath(member.name).name
                if name in ('main.plist', 'matrix.dat'):
                    found[name] = archive.extractfile(member).read()
        about = plistlib.loads(found['main.plist'])['matrix']
        values = np.frombuffer(found['matrix.dat'], about['dtype'])
        volume = values.reshape(about['shape'])
        chosen = {f'slice {i}': volume[i].T[:, ::-1] for i in SLICES}
    except (
        tarfile.TarError,
        plistlib.InvalidFileException,
        AttributeError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        zlib.error,
    ) as error:
        raise ValueError(
            f'{file} must be a project of InVesalius with a volume of more '
            f'than {max(SLICES)} slices, such as Cranium.inv3: {error!r}'
        ) from error
    return {
        name: np.ascontiguousarray(
            np.maximum(
                convert_attenuation(image.astype(float), 'HU', 'relative'), 0
            ),
            'float32',
        )
        for name, image in chosen.items()
    }


def head_problems(file, views=VIEWS, photons=PHOTONS):
    """Return the problems of these slices by their names, see `problem_of`."""
    return {
        name: problem_of(
            'ct',
            image,
            SimpleNamespace(
                shape=image.shape,
                views=views,
                photons=photons,
                fit='least-squares',
            ),
            seed,
        )
        for seed, (name, image) in enumerate(head_slices(file).items())
    }


def main(argv=None):
    """Score total variation, and write the file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('file', type=pathlib.Path, help='Cranium.inv3')
    parser.add_argument('--json', type=pathlib.Path, default=TARGET)
    options = parser.parse_args(argv)
    found, _ = methods(['tv'], 'ct', ITERATIONS)
    tv = found['tv']
    slices = {}
    for name, problem in head_problems(options.file).items():
        scores = []

        def score(setting, problem=problem, scores=scores):
            image = tv.run(problem, setting).image
            scores.append(problem.scores(image)['psnr'])
            return scores[-1]

        setting, report = search(score, tv.parameters(problem), EVALUATIONS)
        slices[name] = {'psnr': round(max(scores), 2), **setting, **report}
        print(name, slices[name], flush=True)
        result = {'views': VIEWS, 'photons': PHOTONS, 'slices': slices}
        text = json.dumps(result, indent=1) + '\n'
        write_atomically(options.json, text.encode())


if __name__ == '__main__':
    main()
