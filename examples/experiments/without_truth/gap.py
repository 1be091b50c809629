# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Why splitting of k-space is below supervised training.

    python -m examples.experiments.without_truth.gap --output FOLDER

changes one thing at a time between the two, at the scale `processor` of
the comparison, and divides the errors by where they are in k-space.
What was trained is not trained again: the same command goes on with a run
that was stopped.
"""

import argparse
import contextlib
import itertools
import json
import pathlib
import warnings

import numpy as np
import torch
import yaml

from examples.experiments.without_truth.arms import Arm
from examples.experiments.without_truth.comparison import SETTINGS
from examples.experiments.without_truth.gap_losses import (
    CAUSES,
    ROWS,
    in_fourier,
)
from examples.experiments.without_truth.parallel import quiet
from examples.experiments.without_truth.pose import FromCrossings, turned_mask
from examples.experiments.without_truth.results import write_results
from examples.experiments.without_truth.study import OutOfTime, Study

__all__ = ('Gap', 'main')


HEAD = [
    '## Errors in parts of k-space',
    '',
    'Made by `python -m examples.experiments.without_truth.gap`. Errors are '
    'in thousandths of the energy of the images, and in brackets the slope of '
    'the regression on the truth, and the energy over that of the truth: both '
    'are the same for a conditional mean, and more energy is invented.',
    '',
]


class Gap(Study):
    """Networks of one problem, by losses of `ROWS`."""

    def _loss(self, arm):
        self.n_clipped = 0
        self._made = ROWS[self.name][arm.loss][1]()
        return self._made

    @torch.no_grad()
    def _also(self, arm, network):
        known = self._test('test')
        images, masks = self._at_the_end(arm, network, known)
        parts = self.parts(known, images, masks)
        return {'n_clipped': self.n_clipped, 'parts': parts}

    def _images(self, arm, network, known):
        return self._at_the_end(arm, network, known)[0]

    @torch.no_grad()
    def _at_the_end(self, arm, network, known):
        """Return images of what a loss gives at the end, and its parts."""
        if isinstance(self._made, FromCrossings):
            problem = known.problem(network, self.acquisition)
            return self._made.at_the_end(problem)
        return super()._images(arm, network, known), None

    def parts(self, known, images, masks=None):
        """Return what `in_part` says of each part of k-space.

        Unless there are ``masks`` of parts, lines are measured, or not; of
        one mask for all scans they may be measured in another pose.
        """
        masks = self._masks(known) if masks is None else masks
        result, truth = (
            in_fourier(self.acquisition, one) for one in (images, known.truth)
        )
        return {
            name: in_part(result, truth, mask) for name, mask in masks.items()
        }

    def _masks(self, known):
        """Return the parts of k-space, as booleans."""
        space = self.acquisition.space
        measured = torch.from_numpy(self.acquisition.mask.copy())
        masks = {'measured': measured.expand(1, *space.shape)}
        if known.measured is not None:
            masks = {'measured': known.measured[:, 0].expand(-1, *space.shape)}
        else:
            turned = turned_mask(measured.expand(space.shape))
            masks['in another pose'] = turned & ~masks['measured']
        return masks | {'unseen': ~sum(masks.values()).bool()}

    def kept(self, folder, seed=1):
        """Return the parts of the images that the comparison kept.

        Parameters
        ----------
        folder : path-like
            Folder of the comparison.
        seed : int, optional
            Seed of the networks.

        Returns
        -------
        parts : dict of dict
            For each loss and network, those of one phantom and of one real
            slice.
        """
        steps = self.settings['n_steps']
        name = f'{self.name}-{self.noise}-*-{seed}-{steps}-*.npz'
        found = {}
        for file in sorted(pathlib.Path(folder).glob(name)):
            row = json.loads(file.with_suffix('.json').read_text('utf-8'))
            _, _, loss, network = file.name.split('-')[:4]
            arm = f'{loss}, {network}'.replace('_', ' ')
            if row['test'] < found.get(arm, row)['test']:
                continue
            with np.load(file) as arrays:
                images = {
                    kind: torch.from_numpy(
                        np.float32(arrays[f'{kind} result'])
                    )
                    for kind in ('test', 'slices')
                }
            found[arm] = row | {
                kind + ' parts': self.parts(
                    self._test(kind).of([0]), one[None]
                )
                for kind, one in images.items()
            }
        return found


def in_part(result, truth, mask):
    """Return the share, size, error, slope and energy of a part of k-space.

    Size and error are shares of the energy of all of the truth. The slope of
    the regression on the truth, and the energy over its own, are the same for
    a conditional mean; more energy is invented.
    """
    size = (mask[:, None] * truth.square()).sum()
    return {
        'share': float(mask.double().mean()),
        'size': float(size / truth.square().sum()),
        'error': float(
            (mask[:, None] * (result - truth).square()).sum()
            / truth.square().sum()
        ),
        'slope': float((mask[:, None] * result * truth).sum() / size),
        'energy': float((mask[:, None] * result.square()).sum() / size),
    }


def section(found):
    """Return the rows as lines of a page in Markdown.

    Parameters
    ----------
    found : dict of dict
        For each problem and row, what `Study.trained` returns for each seed.
    """
    lines = []
    for problem, rows in found.items():
        # those with the same parts of k-space
        tables = {}
        for name, seeds in rows.items():
            parts = tuple(seeds[0]['parts'])
            tables.setdefault(parts, {})[name] = seeds
        lines += causes(problem, rows)
        for table in tables.values():
            lines += [*_table(problem, table), '']
        clipped = sum(
            one['n_clipped'] for seeds in rows.values() for one in seeds
        )
        steps = sum(one['steps'] for seeds in rows.values() for one in seeds)
        lines += [f'Gradients were clipped in {clipped} of {steps} steps.', '']
    return lines


def causes(problem, rows):
    """Return what single changes of a problem bring, as a table.

    Parameters
    ----------
    problem : str
        Name of the problem.
    rows : dict of list of dict
        For each row, what was trained for each seed.

    Returns
    -------
    lines : list of str
        None where no change has both of its rows.
    """
    lines = []
    for words, *pair in CAUSES[problem]:
        if not all(name in rows for name in pair):
            continue
        before, after = (
            {one['seed']: one['test'] for one in rows[name]} for name in pair
        )
        changes = [after[s] - before[s] for s in before if s in after]
        shown = ', '.join(f'{change:+.2f}' for change in changes)
        lines.append(f'| {words} | {" | ".join(pair)} | {shown} |')
    if not lines:
        return []
    return [
        f'What changes alone, of {problem}, without noise, a figure for each '
        'seed:',
        '',
        '| change | from | to | phantoms, dB |',
        '|---|---|---|---|',
        *lines,
        '',
    ]


def _table(problem, rows):
    """Return the lines of rows whose parts of k-space are the same."""
    first = next(iter(rows.values()))[0]['parts']
    where = ', '.join(
        f'{name} {100 * one["share"]:.0f} % of k-space with '
        f'{1000 * one["size"]:.1f} thousandths of the energy'
        for name, one in first.items()
    )
    lines = [
        f'Of {problem}, without noise: {where}.',
        '',
        f'| loss | network | phantoms, dB | rate | {" | ".join(first)} |',
        '|---' * (4 + len(first)) + '|',
    ]
    for name, seeds in rows.items():
        cells = [name, seeds[0]['network']]
        cells.append(', '.join(f'{one["test"]:.2f}' for one in seeds))
        cells.append(f'{seeds[0]["rate"]:.0e}')
        for part in first:
            cells.append(_of_part([one['parts'][part] for one in seeds]))
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def section_of_kept(problem, found):
    """Return the parts of kept images as lines of a page in Markdown."""
    kinds = {'test parts': 'phantom', 'slices parts': 'slice'}
    parts = list(next(iter(found.values()))['test parts'])
    heads = [f'{words}, {part}' for words in kinds.values() for part in parts]
    lines = [
        f'Of {problem}, without noise, one phantom and one real slice of the '
        'networks of the comparison:',
        '',
        f'| loss and network | {" | ".join(heads)} |',
        '|---' * (1 + len(heads)) + '|',
    ]
    for arm, row in found.items():
        cells = [
            _of_part([row[kind][part]]) for kind in kinds for part in parts
        ]
        lines.append(f'| {arm} | {" | ".join(cells)} |')
    return lines


def _of_part(parts):
    """Return the mean of the error, slope and energy of a part, in words."""
    error, slope, energy = (
        np.mean([one[key] for one in parts])
        for key in ('error', 'slope', 'energy')
    )
    return f'{1000 * error:.1f} ({slope:.2f}, {energy:.2f})'


def main(arguments=None):
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.without_truth.gap',
        description='Change one thing at a time between two losses.',
    )
    parser.add_argument('--scale', default='processor')
    parser.add_argument('--problems', nargs='+', choices=ROWS, default=ROWS)
    parser.add_argument(
        '--rows', type=int, nargs='+', help='their places; default: all'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--rates', type=float, nargs='+', default=[1e-2])
    parser.add_argument(
        '--steps', type=int, nargs='+', help='default: those of the scale'
    )
    parser.add_argument(
        '--known', action='store_true', help='show what was trained alone'
    )
    parser.add_argument('--output', type=pathlib.Path, default='results/gap')
    parser.add_argument(
        '--kept',
        type=pathlib.Path,
        help='folder of the comparison, whose kept images are divided too',
    )
    parser.add_argument(
        '--results',
        type=pathlib.Path,
        help='JSON file of results, to which a part of the page is written',
    )
    options = parser.parse_args(arguments)
    with open(SETTINGS, encoding='utf-8') as file:
        settings = yaml.safe_load(file)
    settings['arms'] = {}
    scale = settings['scales'][options.scale]
    scale.pop('arms', None), scale.pop('tasks', None)
    until = 0.0 if options.known else np.inf
    found, kept = {}, []
    for problem in options.problems:
        with warnings.catch_warnings():
            quiet()
            rows = list(ROWS[problem])
            study = Gap(
                settings,
                options.scale,
                problem,
                'without',
                options.output,
                until=until,
            )
            rows = [rows[i] for i in options.rows or range(len(rows))]
            known = found[problem] = _trained(study, rows, options)
        if not known:
            del found[problem]
        images = study.kept(options.kept) if options.kept else {}
        if images:
            kept += [*section_of_kept(problem, images), '']
    lines = [*HEAD, *section(found), *kept]
    while not lines[-1]:
        lines.pop()
    if options.results:
        write_results(options.results, {'gap': {'lines': lines}})
    print('\n'.join(lines))
    return found


def _trained(study, names, options):
    """Return the seeds of each row and number of steps, at its best rate.

    It is the best of the first seed, on the images to choose with.
    """
    usual = study.settings['n_steps']
    found = {}
    for steps, rate, seed, name in itertools.product(
        options.steps or [usual], options.rates, options.seeds, names
    ):
        arm = Arm(name, ROWS[study.name][name][0])
        words = name if steps == usual else f'{name}, {steps} steps'
        with contextlib.suppress(OutOfTime):
            one = study.trained(arm, rate, seed, steps)
            known = found.setdefault(words, {}).setdefault(rate, [])
            more = {'seed': seed, 'rate': rate, 'network': arm.network}
            known.append(one | more)

    def score(seeds):
        first = seeds[0]
        is_first = first['seed'] == options.seeds[0]
        return first['validation'] if is_first else -np.inf

    return {name: max(found[name].values(), key=score) for name in found}


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
