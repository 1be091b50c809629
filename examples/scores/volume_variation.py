# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measure total variation on the volumes that shipped models are scored on.

The weight is chosen by the truth, for each volume on its own::

    python examples/scores/volume_variation.py --brain inia19-t1-brain.nii.gz

writes ``docs/results/volume_variation.json``, in ten minutes on one core. The
brain is that of a macaque, the template INIA19 of Debian's ``mricron-data``.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from comparison.volumes import problems, total_variation

from odl_equivariant._files import write_atomically

TARGET = (
    pathlib.Path(__file__).resolve().parents[2]
    / 'docs'
    / 'results'
    / 'volume_variation.json'
)


def main(argv=None):
    """Score total variation, and write the file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--brain', type=pathlib.Path, help='a NIfTI file')
    parser.add_argument('--json', type=pathlib.Path, default=TARGET)
    options = parser.parse_args(argv)
    rows = []
    for acceleration, label, found in problems(options.brain):
        scores, weights = zip(*map(total_variation, found), strict=True)
        rows.append(
            {
                'acceleration': acceleration,
                'images': label,
                'psnr': round(sum(scores) / len(scores), 2),
                'weights': weights,
            }
        )
        print(rows[-1], flush=True)
    text = json.dumps(rows, indent=1) + '\n'
    write_atomically(options.json, text.encode())


if __name__ == '__main__':
    main()
