# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A page for each shipped model, from its card and from measured scores.

The scores are in ``docs/results``: ``shipped_models.json``, which
``examples/scores/shipped_models.py`` writes, and ``regularisers_*.json`` of
``examples/compare_regularisers.py``. No number is typed.
"""

import json
import pathlib

from odl_equivariant import models

__all__ = ('FOLDER', 'page', 'setup', 'uses_of')

DOCS = pathlib.Path(__file__).parents[1]
FOLDER = DOCS / 'models' / 'generated'
_IMAGES = {
    'head': 'a head, one slice of pydicom',
    'abdomen': 'an abdomen, one slice of pydicom',
    'phantoms': '{n} random phantoms',
    'brain': 'the brain of a macaque, a template of MRI',
    'volumes of phantoms': '{n} volumes of random ellipsoids',
}

# By kind of model: what it is, how it is used, and where its limits are.
_UNROLLED = {
    'is': 'An unrolled network, from data to image',
    'pages': '{doc}`/how-to/models` and {doc}`/how-to/deploying`',
}
_KINDS = {
    'tomography': _UNROLLED
    | {
        'code': """from odl_equivariant import models
from odl_equivariant.data import SparseViewCT, ellipse_phantom

ct = SparseViewCT((64, 64), n_views=50)
y = ct.simulate(ellipse_phantom((128, 128), rng=0), rng=0)
reconstruct = models.load('{name}', ct).as_operator()
image = reconstruct(y)""",
        'limits': (
            'It does not fill in views that are missing: on less than a half '
            'turn its images have streaks. Plug a denoiser in instead, see '
            '{doc}`/how-to/sinogram`.',
            'Cells must be square.',
        ),
        'unit': (
            'Values far from those of the training are named once, with both '
            'ranges. Give `load` the acquisition, or a `unit`.'
        ),
    },
    'magnetic resonance': _UNROLLED
    | {
        'code': """from odl_equivariant import models
from odl_equivariant.data import CartesianMRI, mr_phantom

mri = CartesianMRI((64, 64), acceleration=4)
y = mri.simulate(mr_phantom((64, 64), rng=0), rng=0)
reconstruct = models.load('{name}', mri.operator).as_operator()
image = reconstruct(y)""",
        'limits': (
            'Samples must lie on a Cartesian grid. For spokes and spirals '
            'plug a denoiser in, see {doc}`/how-to/non-cartesian`.',
        ),
        'unit': (
            'The largest magnitude of an image must be about 1: '
            '`normalised()` divides measured data, see '
            '{doc}`/how-to/kspace`.'
        ),
    },
    'denoiser': {
        'is': 'A denoiser that is told the noise level',
        'pages': '{doc}`/how-to/plug-and-play` and {doc}`/how-to/solvers`',
        'code': """import odl

from odl_equivariant import models
from odl_equivariant.data import ellipse_phantom
from odl_equivariant.functionals import LearnedProximal

space = odl.uniform_discr([0, 0], [1, 1], (64, 64), dtype='float32')
truth = space.element(ellipse_phantom((64, 64), rng=0))
noisy = truth + odl.core.phantom.white_noise(space, stddev=0.05, seed=0)
denoise = LearnedProximal(space, models.load('{name}')).proximal(0.05)
image = denoise(noisy)""",
        'limits': (
            'It is not a proximal in the strict sense: iterations with it '
            'need not have a limit. Stop early, or lower the noise level.',
            'It was trained for white noise. Streaks of few views and folds '
            'of k-space are none.',
        ),
    },
    'volumes of magnetic resonance': _UNROLLED
    | {
        'pages': '{doc}`/how-to/volumes`',
        'code': """from odl_equivariant import models
from odl_equivariant.data import VolumeMRI, ellipsoid_phantom

mri = VolumeMRI((24, 24, 24), acceleration=4)
y = mri.simulate(ellipsoid_phantom((24, 24, 24), rng=0), rng=0)
reconstruct = models.load('{name}', mri.operator).as_operator()
image = reconstruct(y)""",
        'limits': (
            'Samples must lie on a Cartesian grid.',
            'Its denoiser was trained on boxes of two heads and of phantoms, '
            'and is taken as it is, with steps and levels that suit it.',
        ),
    },
    'denoiser of volumes': {
        'is': 'A denoiser of volumes that is told the noise level',
        'pages': '{doc}`/how-to/volumes` and {doc}`/how-to/plug-and-play`',
        'code': """import odl

from odl_equivariant import models
from odl_equivariant.data import ellipsoid_phantom
from odl_equivariant.functionals import LearnedProximal

space = odl.uniform_discr([0] * 3, [1] * 3, (24, 24, 24), dtype='float32')
truth = space.element(ellipsoid_phantom((24, 24, 24), rng=0))
noisy = truth + odl.core.phantom.white_noise(space, stddev=0.05, seed=0)
denoise = LearnedProximal(space, models.load('{name}')).proximal(0.05)
image = denoise(noisy)""",
        'limits': (
            'It is not a proximal in the strict sense: iterations with it '
            'need not have a limit. Stop early, or lower the noise level.',
            'It was trained on boxes of two heads and of phantoms alone.',
        ),
    },
    'energy': {
        'is': 'A learned energy, as a regulariser with a value',
        'pages': '{doc}`/how-to/plug-and-play` and {doc}`/how-to/solvers`',
        'code': """import odl

from odl_equivariant import models
from odl_equivariant.data import ellipse_phantom
from odl_equivariant.functionals import LearnedRegularizer

space = odl.uniform_discr([0, 0], [1, 1], (64, 64), dtype='float32')
truth = space.element(ellipse_phantom((64, 64), rng=0))
R = LearnedRegularizer(space, models.load('{name}'), sigma=0.05)
value, slope = R(truth), R.gradient(truth)""",
        'limits': (
            'A reconstruction takes many gradients, and its weight has to be '
            'chosen.',
            'Values are expected from 0 to 1; for others pass `scale`, see '
            '{doc}`/how-to/units`.',
        ),
    },
}
# The method of `compare_regularisers.py` that a model is.
_METHODS = {
    'sparse_view_ct_': 'unrolled_',
    'cartesian_mri_': 'unrolled_',
    'multiscale_denoiser_': 'plug_and_play_',
    'splitting_ct_': 'unrolled_splitting_',
    'splitting_mri_': 'unrolled_splitting_',
    'primal_dual_ct_': 'primal_dual_',
}
# The models of the other modality.
_OTHERS = {
    'ct': ('cartesian_mri_', 'splitting_mri_'),
    'mri': ('sparse_view_ct_', 'splitting_ct_', 'primal_dual_ct_'),
}
_USES = {
    'sparse_view_ct': 'few views: from data to image, fast',
    'cartesian_mri': 'a part of k-space: from data to image, fast',
    'primal_dual_ct': 'few views on a half turn: from data to image',
    'splitting_ct': 'few views: from data to image',
    'splitting_mri': 'a part of k-space: from data to image',
    'volume_mri': 'volumes from a part of k-space: from data to image',
    'denoiser': 'plugging in, small and fast',
    'volume_denoiser': 'plugging in, volumes',
    'multiscale_denoiser': 'plugging in',
    'gradient_step': 'plugging in, with a value',
    'ridge_convex': 'regularising, with a unique minimiser',
    'ridge_weakly_convex': 'regularising',
}


def uses_of(name):
    """Return what a model is for, in words."""
    return _USES[name.rpartition('_')[0]]


def _kind(description):
    modality = description.card.modality
    if len(description.card.shapes[0]) == 3:
        return _KINDS[
            'denoiser of volumes'
            if modality == 'images'
            else 'volumes of magnetic resonance'
        ]
    if modality != 'images':
        return _KINDS[modality]
    is_energy = description.network.endswith('Energy')
    return _KINDS['energy' if is_energy else 'denoiser']


def _twin(name):
    stem, _, arm = name.rpartition('_')
    arms = ('c4', 'o') if arm == 'ordinary' else ('ordinary',)
    for other in arms:
        if f'{stem}_{other}' in models.available():
            return f'{stem}_{other}'
    return None


def _stored(file):
    return json.loads((DOCS / 'results' / file).read_text('utf-8'))


def _score_rows(name):
    """Yield the rows of the table of scores, and whether one is outside."""
    measured = _stored('shipped_models.json')['models']
    if name not in measured:
        raise ValueError(f'{name} has no scores: call `make scores`')
    for row in measured[name]['scores']:
        images = _IMAGES[row['images']].format(n=row['n'])
        mark = '' if row['inside'] else ' †'
        yield (
            f'| {row["setting"]}{mark} | {images} | {row["baseline"]:.2f} '
            f'| {row["psnr"]:.2f} | {row["turned"]:.2f} '
            f'| {row["equivariance_error"]:.0e} |',
            row['inside'],
        )


def _real_rows(name):
    """Return rows of the slices in the comparison, and if it was tuned."""
    method = name
    for stem, other in _METHODS.items():
        if name.startswith(stem):
            method = other + name.removeprefix(stem)
    rows, tuned = [], False
    for modality in ('ct', 'mri'):
        if name.startswith(_OTHERS[modality]):
            continue
        for image, scores in _stored(f'regularisers_{modality}.json').items():
            if method in scores and 'tv' in scores:
                own = scores[method]
                tuned |= bool(own['setting'])
                rows.append(
                    f'| {modality.upper()} | `{image}` '
                    f'| {scores["tv"]["psnr"]:.2f} | {own["psnr"]:.2f} '
                    f'| {own["turned_psnr"]:.2f} |'
                )
    return rows, tuned


def _beside_variation(name):
    """Return the lines that compare a network of volumes with variation."""
    own = {
        (row['setting'].partition(',')[0], row['images']): row
        for row in _stored('shipped_models.json')['models'][name]['scores']
    }
    lines = [
        '',
        'Beside total variation, whose weight was tuned on the truth of each '
        'volume, by `examples/scores/volume_variation.py`:',
        '',
        '| data | volumes | total variation | this model |',
        '|---|---|---|---|',
    ]
    ahead = []
    for row in _stored('volume_variation.json'):
        setting = f'acceleration {row["acceleration"]}'
        found = own.get((setting, row['images']))
        if found is not None:
            images = _IMAGES[row['images']].format(n=found['n'])
            lines.append(
                f'| {setting} | {images} | {row["psnr"]:.2f} '
                f'| {found["psnr"]:.2f} |'
            )
            ahead.append(found['psnr'] > row['psnr'])
    if ahead:
        lines += [
            '',
            f'This model is ahead in {sum(ahead)} of {len(ahead)} rows.',
        ]
    return lines


def _beside_twin(name, twin):
    """Return in words how a model scores beside its twin."""
    measured = _stored('shipped_models.json')['models']
    own, other = (
        {(row['setting'], row['images']): row['psnr'] for row in found}
        for found in (measured[name]['scores'], measured[twin]['scores'])
    )
    both = [(own[key], other[key]) for key in own if key in other]
    weights = [
        int(models.describe(key).rows()['weights']) for key in (name, twin)
    ]
    return (
        f'In {len(both)} rows of scores, this model is above its twin in '
        f'{sum(a > b for a, b in both)} and below it in '
        f'{sum(a < b for a, b in both)}. It has {weights[0]} weights, and '
        f'the twin has {weights[1]}.'
    )


def page(name):
    """Return the page of a model in Markdown."""
    description = models.describe(name)
    kind = _kind(description)
    group = description.group
    lines = [
        f'# {name}',
        '',
        f'{kind["is"]}, '
        + (
            f'equivariant under {group} by construction.'
            if group
            else 'an ordinary network, to compare with.'
        )
        + f' How to use it: {kind["pages"]}.',
        '',
    ]
    if twin := _twin(name):
        words = 'equivariant' if group is None else 'ordinary'
        lines += [
            f'Its twin is the {words} network of the same width: '
            f'{{doc}}`{twin}`. {_beside_twin(name, twin)}',
            '',
        ]
    code = kind['code'].format(name=name)
    lines += ['```python', code, '```', '', '## What it was trained on', '']
    lines += ['| | |', '|---|---|']
    lines += [f'| {k} | {v} |' for k, v in description.rows().items()]
    lines += [
        '',
        f'All settings are in `examples/configs/shipped/{name}.yaml`, and '
        f'`python examples/train_models.py {name}` trains it again.',
        '',
        '## Measured scores',
        '',
        'PSNR in dB, by `examples/scores/shipped_models.py`. No image was '
        'seen in training. *Turned*: the object turned '
        + ('as a cube is' if name.startswith('volume_') else 'by 90 degrees')
        + ', with its noise and the scanner; *change*: of the result, '
        'relative to it.',
        '',
        '| data | images | without a prior | this model | turned | change |',
        '|---|---|---|---|---|---|',
    ]
    rows = list(_score_rows(name))
    lines += [line for line, _ in rows]
    if not all(inside for _, inside in rows):
        lines += ['', '† outside of the training.']
    if name.startswith('volume_mri_'):
        lines += _beside_variation(name)
    real, tuned = _real_rows(name)
    if real:
        lines += [
            '',
            'On the real slices of {doc}`/regularisers`, beside total '
            'variation. '
            + (
                'The parameters of both were tuned on the truth:'
                if tuned
                else 'The weight of the latter was tuned on the truth, and '
                'this model has no parameter:'
            ),
            '',
            '| | slice | total variation | this model | turned |',
            '|---|---|---|---|---|',
            *real,
        ]
    limits = list(kind['limits'])
    if name.startswith('primal_dual_'):
        limits.insert(
            0,
            'Parallel beams over a half turn'
            + (', and an even number of views' if group else '')
            + ': the blocks see the data as well, and have learned how '
            'their views follow each other. See {doc}`/how-to/primal-dual`.',
        )
    # homogeneous networks take all units
    if 'unit' in kind and not name.startswith('splitting_'):
        limits.append(kind['unit'])
    if group is None:
        limits.insert(0, 'If the object is turned, its result changes.')
    else:
        limits.insert(
            0,
            'Equivariance is exact for '
            + ('rotations of the cube' if group == 'O' else 'quarter turns')
            + '. At other angles there '
            'is an error of the grid, see {doc}`/how-to/group`.',
        )
    lines += ['', '## Limits', '', *(f'- {limit}' for limit in limits), '']
    lines += ['It is no medical device: nobody has validated it for use.', '']
    return '\n'.join(lines)


def _write(app):
    """Write all pages, and leave those as they are that did not change."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = {f'{name}.md': page(name) for name in models.available()}
    for path in FOLDER.glob('*.md'):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = FOLDER / name
        if not path.is_file() or path.read_text('utf-8') != text:
            path.write_text(text, 'utf-8')


def setup(app):
    """Write the pages before Sphinx looks for them."""
    app.connect('builder-inited', _write)
    return {'parallel_read_safe': True}
