# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Command line of the experiments."""

import argparse
import pathlib
import sys

from examples.experiments.page.figures import make_figures
from examples.experiments.page.report import make_report
from examples.experiments.schedule import Study
from examples.experiments.settings import FOLDER, SCALES, experiments


def parser():
    """Return the parser of the arguments."""
    result = argparse.ArgumentParser(
        prog='python -m examples.experiments',
        description='Train and score ordinary and equivariant networks, and '
        'make the tables and figures. What has been done is not done again: '
        'a run that was stopped goes on with the same command.',
    )
    result.add_argument(
        'names', nargs='*', metavar='NAME', help='experiments; all by default'
    )
    result.add_argument('--scale', choices=SCALES, default='small')
    result.add_argument(
        '--output',
        type=pathlib.Path,
        help='folder of runs, tables and figures; by default '
        'results/experiments/SCALE, or SCALE-rehearsal',
    )
    result.add_argument(
        '--jobs',
        type=int,
        default=2,
        help='how many networks to train at once, with one thread each',
    )
    result.add_argument(
        '--settings',
        type=pathlib.Path,
        default=FOLDER,
        help='folder of the YAML files',
    )
    result.add_argument(
        '--rehearse',
        type=int,
        metavar='SIDE',
        help='all runs with two steps each, on few images of SIDE x SIDE '
        'pixels, to see that all goes well before it takes weeks',
    )
    result.add_argument(
        '--only-figures',
        action='store_true',
        help='make the figures from the tables, and nothing else',
    )
    result.add_argument(
        '--report',
        type=pathlib.Path,
        metavar='PATH',
        help='write the results as a page of documentation, figures beside it',
    )
    for name in ('lidc', 'fastmri'):
        result.add_argument(
            f'--{name}',
            type=pathlib.Path,
            metavar='FOLDER',
            help='folder of the collection, for --scale paper',
        )
    result.add_argument(
        '--heads',
        type=pathlib.Path,
        metavar='FILE',
        help='CT of a head to test with: a project of InVesalius, such as '
        'Cranium.inv3 in the package invesalius-examples of Debian',
    )
    result.add_argument(
        '--brain',
        type=pathlib.Path,
        metavar='FILE',
        help='MRI of a head to test with: a NIfTI volume, such as ch2.nii.gz '
        'in the package mricron-data of Debian',
    )
    return result


def main(arguments=None):
    """Run what the arguments ask for."""
    options = parser().parse_args(arguments)
    try:
        known = experiments(options.scale, options.settings)
        names = options.names or list(known)
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ValueError(
                f'there are no experiments {", ".join(unknown)}; known are '
                f'{", ".join(known)}'
            )
        side, folder = options.rehearse, options.scale
        if side is not None:
            if side < 16:
                raise ValueError(f'--rehearse must be at least 16, got {side}')
            folder += '-rehearsal'
        output = options.output or pathlib.Path(
            'results', 'experiments', folder
        )
        chosen = [known[name] for name in names]
        if not options.only_figures:
            folders = {
                name: getattr(options, name)
                for name in ('lidc', 'fastmri', 'heads', 'brain')
            }
            study = Study(
                chosen,
                options.scale,
                output,
                options.settings,
                folders,
                side,
            )
            study.run(options.jobs)
        make_figures(chosen, output)
        if options.report:
            command = ['--scale', options.scale, *options.names]
            command += ['--jobs', str(options.jobs)]
            for name in ('heads', 'brain'):
                if path := getattr(options, name):
                    command += [f'--{name}', path.name]
            if side is not None:
                command += ['--rehearse', str(side)]
            make_report(chosen, output, options.report, command)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
