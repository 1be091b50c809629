# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The comparison of regularisers, on a small image with few evaluations."""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import pytest
import torch

from odl_equivariant import models
from odl_equivariant.data import ellipse_phantom, mr_phantom
from odl_equivariant.functionals import (
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
    LearnedRegularizer,
)
from odl_equivariant.nn import GradientStepEnergy, MultiscaleDenoiser
from odl_equivariant.solvers import accelerated_proximal_gradient

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'
QUICK = [
    '--evaluations',
    '2',
    '--variation-iterations',
    '5',
    '--energy-iterations',
    '3',
    '--plug-and-play-iterations',
    '2',
    '--views',
    '10',
]


@pytest.fixture(scope='module')
def example():
    """Return the example as a module."""
    pytest.importorskip('matplotlib')
    spec = importlib.util.spec_from_file_location(
        'compare_regularisers', EXAMPLES / 'compare_regularisers.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.variations = sys.modules['comparison.variations']
    module.method_module = sys.modules['comparison.methods']
    module.fits = sys.modules['comparison.fits']
    return module


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Return a folder with the weights of networks that are not trained."""
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    denoiser = MultiscaleDenoiser(channels=8, n_scales=2, n_blocks=1)
    models.save(denoiser, folder / 'multiscale_denoiser_c4.safetensors')
    energy = GradientStepEnergy(denoiser)
    models.save(energy, folder / 'gradient_step_c4.safetensors')
    return folder


def run(example, folder, *arguments):
    """Run the example, and return what it writes."""
    example.main(
        [
            *QUICK,
            '--json',
            str(folder / 'scores.json'),
            '--output',
            str(folder / 'images.png'),
            *map(str, arguments),
        ]
    )
    assert (folder / 'images.png').stat().st_size > 0
    return json.loads((folder / 'scores.json').read_text(encoding='utf-8'))


@pytest.mark.slow
def test_tomography(example, weights, tmp_path, capsys):
    """All methods with weights are scored, upright and turned."""
    image = np.clip(ellipse_phantom((48, 48), rng=0), 0, 1)
    np.save(tmp_path / 'phantom.npy', image)
    results = run(
        example,
        tmp_path,
        '--images',
        tmp_path / 'phantom.npy',
        '--weights',
        weights,
    )
    (scores,) = results.values()
    assert set(results) == {'phantom'}
    assert {
        'baseline',
        'tv',
        'tgv',
        'gradient_step_c4',
        'plug_and_play_c4',
        'unrolled_c4',
        'primal_dual_c4',
    } <= set(scores)
    for name, found in scores.items():
        keys = ('psnr', 'ssim', 'seconds', 'turned_psnr', 'setting')
        assert set(keys) <= set(found)
        assert np.isfinite([found[key] for key in keys[:-1]]).all(), name
        if 'ordinary' not in name:
            assert found['equivariance_error'] < 1e-3, name
            assert found['turned_psnr'] == pytest.approx(
                found['psnr'], abs=1e-2
            )
    text = capsys.readouterr().out
    missing = {'ridge_convex_c4'} - set(models.available())
    for name in missing:
        assert f'Left out: {example.NAMES[name]}: the weights' in text


@pytest.mark.slow
def test_magnetic_resonance(example, weights, tmp_path):
    """Complex images are reconstructed, also where sides differ."""
    image = np.abs(mr_phantom((48, 36), rng=0))
    np.save(tmp_path / 'phantom.npy', image)
    results = run(
        example,
        tmp_path,
        '--modality',
        'mri',
        '--images',
        tmp_path / 'phantom.npy',
        '--weights',
        weights,
        '--methods',
        'baseline',
        'tv',
        'gradient_step_c4',
        'plug_and_play_c4',
        'unrolled_c4',
    )
    for name, found in results['phantom'].items():
        assert found['equivariance_error'] < 1e-3, name


def test_a_network_of_tomography_is_left_out_of_mri(example):
    """What is trained for one modality alone is compared there alone."""
    names = ['primal_dual_c4', 'unrolled_c4']
    iterations = dict.fromkeys(('variations', 'energies', 'plug_and_play'), 1)
    for modality, expected in (('ct', set(names)), ('mri', {'unrolled_c4'})):
        found, missing = example.methods(names, modality, iterations)
        assert set(found) == expected
        assert set(missing) == set(names) - expected


def test_plugging_in_takes_more_levels_in_mri(example):
    """Unless a number is given, it is that of the modality."""
    for arguments, expected in (
        ([], 8),
        (['--modality', 'mri'], 24),
        (['--modality', 'mri', '--plug-and-play-iterations', '5'], 5),
    ):
        found = example.arguments_of(arguments)
        assert found.plug_and_play_iterations == expected


def test_gradient_step_has_both_kinds(example):
    """Without weights of their own, both take a denoiser for plugging in."""
    names = ('gradient_step_c4', 'gradient_step_ordinary')
    iterations = {'energies': 3, 'variations': 3, 'plug_and_play': 2}
    found, missing = example.methods(names, 'ct', iterations)
    assert set(found) == set(names) and not missing


@pytest.fixture(scope='module')
def problems(example):
    """Return a small problem of each modality."""
    phantom = np.clip(ellipse_phantom((48, 48), rng=0), 0, 1)
    images = {'ct': phantom, 'mri': np.abs(mr_phantom((48, 48), rng=0))}
    return {
        modality: example.problem_of(
            modality, image, example.arguments_of(['--views', '20']), 0
        )
        for modality, image in images.items()
    }


def reconstruct(example, problem, name, n_iterations, factor=1.0):
    """Return an image at the first weight, times a factor."""
    iterations = {'variations': n_iterations, 'energies': n_iterations}
    iterations['plug_and_play'] = 8
    found, _ = example.methods([name], problem.modality, iterations)
    setting = {p.name: p.start for p in found[name].parameters(problem)}
    setting['weight'] *= factor
    return found[name].run(problem, setting), setting


def objective(problem, name, setting):
    """Return the objective of a variation."""
    if name == 'tv':
        variation = InvariantTotalVariation(problem.space)
    else:
        pixel = float(min(problem.space.cell_sides))
        variation = InvariantTotalGeneralizedVariation(
            problem.space, (1.0, setting['pixels'] * pixel), tol=1e-4
        )
    fit = problem.data_fit()
    return lambda x: fit(x) + setting['weight'] * variation(x)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['tv', 'tgv'])
@pytest.mark.parametrize('modality', ['ct', 'mri'])
def test_variations_converge(example, problems, modality, name, monkeypatch):
    """By default the objective is within a thousandth of a long run's."""
    problem = problems[modality]
    n_default = example.arguments_of([]).variation_iterations
    found, setting = reconstruct(example, problem, name, n_default)
    assert found.converged
    monkeypatch.setattr(example.variations, '_DECREASE', -1.0)
    long, _ = reconstruct(example, problem, name, 1000)
    assert not long.converged
    value = objective(problem, name, setting)
    assert value(found.image) <= 1.001 * value(long.image)


@pytest.mark.parametrize('modality', ['ct', 'mri'])
def test_energies_stop_by_their_residual(example, problems, modality):
    """An energy ends at its residual, and says if it did not reach it."""
    name = 'ridge_convex_c4'
    found, setting = reconstruct(example, problems[modality], name, 300)
    assert found.converged
    again, _ = reconstruct(example, problems[modality], name, 1000)
    assert (found.image - again.image).norm() == 0
    short, _ = reconstruct(example, problems[modality], name, 2)
    assert not short.converged


@pytest.mark.slow
@pytest.mark.parametrize('modality', ['ct', 'mri'])
def test_convex_energies_are_minimised(
    example, problems, modality, monkeypatch
):
    """The image is near the minimiser, for its noise and its objective."""
    problem, name = problems[modality], 'ridge_convex_c4'
    found, setting = reconstruct(example, problem, name, 300)
    monkeypatch.setattr(example.method_module, '_CONVEX_RESIDUAL', 1e-5)
    long, _ = reconstruct(example, problem, name, 1000)
    options = {} if modality == 'ct' else {'complex_values': 'parts'}
    energy = LearnedRegularizer(
        problem.space, models.load(name), setting['sigma'], **options
    )
    value = problem.data_fit() + setting['weight'] * energy
    assert value(found.image) <= 1.002 * value(long.image)
    psnr = [problem.scores(x.image)['psnr'] for x in (found, long)]
    assert psnr[0] == pytest.approx(psnr[1], abs=0.1)


@pytest.mark.parametrize('kind', ['least-squares', 'poisson'])
def test_constrained_fits_have_their_proximal(example, kind):
    """At a proximal, the slope is zero, or leads below zero from zero."""
    phantom = np.clip(ellipse_phantom((24, 24), rng=0), 0, 1)
    arguments = example.arguments_of(['--views', '10', '--fit', kind])
    problem = example.problem_of('ct', phantom, arguments, 0)
    fit = example.fits.proximable_fit(problem)
    x = problem.start() - 0.1 * problem.space.one()
    tau = 3.0 / problem.data_fit().grad_lipschitz
    assert np.isfinite(tau)
    for _ in range(2):
        u = fit.proximal(tau)(x)
        assert u.asarray().min() == 0 < u.asarray().max()
        slope = tau * problem.data_fit().gradient(u) + u - x
        moved = np.maximum((u - slope).asarray(), 0) - u.asarray()
        assert np.linalg.norm(moved) < 0.02 * np.linalg.norm(
            (tau * problem.data_fit().gradient(x)).asarray()
        )
        # the second starts where the first has ended
        x = 0.9 * x


@pytest.mark.slow
@pytest.mark.parametrize('modality', ['ct', 'mri'])
def test_gradient_steps_are_minimised(example, problems, modality):
    """The objective is hardly above what plain iterations reach."""
    problem, name = problems[modality], 'gradient_step_c4'
    found, setting = reconstruct(example, problem, name, 100)
    assert found.converged
    options = {} if modality == 'ct' else {'complex_values': 'parts'}
    energy = LearnedRegularizer(
        problem.space, models.load(name), setting['sigma'], **options
    )
    value = problem.data_fit() + setting['weight'] * energy
    x = problem.start()
    constraint = example.method_module._constraint(problem)
    accelerated_proximal_gradient(
        x, constraint, value, maxiter=60, line_search=True, objective=False
    )
    start = value(problem.start())
    assert value(found.image) - value(x) < 0.03 * (start - value(x))


def entry(psnr, **others):
    """Return the scores of a method."""
    return {
        'psnr': psnr,
        'ssim': 0.9,
        'seconds': 1.0,
        'converged': True,
        'turned_psnr': psnr,
        'turned_ssim': 0.9,
        'equivariance_error': 1e-7,
        'setting': {'weight': 2.0},
        'evaluations': 3,
        'at_end': [],
        **others,
    }


def test_runs_make_one_page(example, tmp_path, capsys):
    """Scores of several runs become one page, with notes on doubtful ones."""
    first = {'a': {'tv': entry(30.0)}, 'b': {'tv': entry(31.0)}}
    second = {'a': {'tgv': entry(32.0, converged=False)}}
    second['b'] = {'tgv': entry(34.0, at_end=['weight'])}
    second['b']['baseline'] = entry(20.0)
    paths = [tmp_path / name for name in ('1.json', '2.json')]
    for path, results in zip(paths, (first, second), strict=True):
        path.write_text(json.dumps(results), encoding='utf-8')
    target = tmp_path / 'page.md'
    example.main(['--scores', *map(str, paths), '--page', str(target)])
    text = target.read_text(encoding='utf-8')
    assert '| total variation | 30.00 | 31.00 | 30.50 | 30.50 |' in text
    # no mean over other images than those of the other methods
    assert '| FBP or zero-filled |  | 20.00 |  |  |  |  |' in text
    assert 'b, total generalised variation: the best weight, 2, is' in text
    assert 'a, total generalised variation: the iterations have not' in text
    assert text.count('\n- ') == capsys.readouterr().out.count('Note: ') == 2
    paths[0].write_text('{"a": {"unknown": {"psnr": 1}}}', encoding='utf-8')
    with pytest.raises(ValueError, match=r'1\.json must hold'):
        example.main(['--scores', str(paths[0])])


def test_scores_are_written_after_each_method(
    example, problems, tmp_path, monkeypatch
):
    """If a method fails, the scores of those before it are in the file."""
    phantom = problems['ct'].truth.asarray()
    np.save(tmp_path / 'phantom.npy', phantom)

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(example.method_module, 'minimise_variation', fail)
    target = tmp_path / 'scores.json'
    with pytest.raises(KeyboardInterrupt):
        run(
            example,
            tmp_path,
            '--images',
            tmp_path / 'phantom.npy',
            '--methods',
            'baseline',
            'tv',
        )
    results = json.loads(target.read_text(encoding='utf-8'))
    assert set(results['phantom']) == {'baseline'}


def test_search_finds_the_best_inside(example):
    """The best of two parameters is found, from a start far from it."""
    parameters = [
        example.Parameter('a', 1.0),
        example.Parameter('b', 1.0, 3.0),
    ]

    def score(setting):
        a, b = (np.log(setting[name]) for name in 'ab')
        return -((a - 2) ** 2) - (b + 1) ** 2 - 0.5 * (a - 2) * (b + 1)

    setting, report = example.search(score, parameters, 30)
    assert np.log(setting['a']) == pytest.approx(2, abs=0.2)
    assert np.log(setting['b']) == pytest.approx(-1, abs=0.2)
    assert report['at_end'] == []
    assert report['evaluations'] <= 60


def test_search_extends_the_range(example):
    """If the best is the last after all evaluations, there are more."""
    setting, report = example.search(
        lambda setting: -((np.log2(setting['a']) - 6) ** 2),
        [example.Parameter('a', 1.0)],
        5,
    )
    assert report == {'evaluations': 8, 'at_end': []}
    assert setting == {'a': 64.0}
    _, report = example.search(
        lambda setting: setting['a'], [example.Parameter('a', 1.0)], 4
    )
    assert report['at_end'] == ['a']
    _, report = example.search(
        lambda setting: setting['a'],
        [example.Parameter('a', 0.5, most=1.0)],
        4,
    )
    assert report['at_end'] == []
    # a range ends where values have no meaning any more
    setting, report = example.search(
        lambda setting: -setting['a'],
        [example.Parameter('a', 0.5, least=0.123456)],
        4,
    )
    assert setting == {'a': 0.1235}
    assert report['at_end'] == [] and report['evaluations'] < 8


def test_search_without_parameters(example):
    """What has no parameters is evaluated once."""
    setting, report = example.search(lambda setting: 1.0, [], 9)
    assert setting == {}
    assert report['evaluations'] == 1


@pytest.mark.parametrize('shape', [(12, 12), (11, 13)])
def test_turned_samples_are_those_of_the_turned_image(example, shape):
    """The turned k-space is the data of the turned image, noise included."""
    arguments = example.arguments_of(['--modality', 'mri', '--sigma', '0'])
    rng = np.random.default_rng(0)
    problem = example.problem_of('mri', rng.uniform(size=shape), arguments, 0)
    other = example.turned(problem)
    expected = other.acquisition.operator(other.truth)
    assert (expected - other.data).norm() <= 1e-5 * expected.norm()
    assert other.acquisition.mask.sum() == problem.acquisition.mask.sum()


def test_wrong_arguments(example, tmp_path, capsys):
    """Odd views and arrays of three axes are refused."""
    with pytest.raises(SystemExit):
        example.main(['--views', '9'])
    assert 'even' in capsys.readouterr().err
    np.save(tmp_path / 'volume.npy', np.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match='two axes'):
        example.main(
            [
                '--methods',
                'baseline',
                '--images',
                str(tmp_path / 'volume.npy'),
            ]
        )
