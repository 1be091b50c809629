# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the experiments' runner, at a scale of its own."""

import dataclasses
import functools
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from odl_equivariant.data import FastMRIKspace, FastMRISlices, LIDCSlices

pytest.importorskip('lightning')
pytest.importorskip('pydicom')
h5py = pytest.importorskip('h5py')

# Lightning's own, under warnings as errors
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings('ignore:.*does not have many workers'),
    pytest.mark.filterwarnings('ignore:.*Checkpoint directory'),
    pytest.mark.filterwarnings('ignore:.*LeafSpec.*:FutureWarning'),
    pytest.mark.filterwarnings('ignore:.*is applied to one sample'),
]

ROOT = Path(__file__).parents[2]
HEADS = 'head.inv3'
TASK = {
    'network': {'channels': 8, 'n_iterations': 1, 'skip': True},
    'training': {'max_steps': 3, 'loss': 'relative'},
    'rates': [1e-3, 1e-2],
    'search_size': 2,
    'n_train': 3,
    'n_validation': 1,
    'n_test': 2,
}
TASKS = {
    'ct': {
        'acquisition': {
            'class': 'SparseViewCT',
            'shape': [16, 16],
            'n_views': 4,
        },
        'images': {'kind': 'phantoms', 'draw': 'ellipse_phantom'},
        'slices': {'validation': ['sample_ct_slice'], 'test': ['heads']},
        'tv_weights': [1e-6, 4e-6],
        **TASK,
    },
    'mri': {
        'acquisition': {
            'class': 'CartesianMRI',
            'shape': [16, 16],
            'random_masks': True,
        },
        'images': {'kind': 'phantoms', 'draw': 'mr_phantom'},
        'slices': {'test': ['sample_mr_slice']},
        'tv_weights': [1e-4, 2e-4],
        **TASK,
    },
}
TASKS['ct']['network'] = {**TASK['network'], 'initial': 'fbp'}
TASKS['mri']['rates'] = [1e-3]
EXPERIMENTS = {
    'ct_training_size': {
        'title': 'Sizes',
        'task': 'ct',
        'vary': 'size',
        'arms': ['ordinary', 'C4'],
        'baselines': True,
        'small': {'sizes': [1, 2], 'seeds': [1]},
    },
    'ct_arms': {
        'title': 'Arms',
        'task': 'ct',
        'vary': 'arm',
        'arms': ['ordinary', 'averaged', 'quarter turns', 'C4'],
        'small': {'sizes': [2], 'seeds': [1]},
    },
    'mri_smoothing': {
        'title': 'Smoothness',
        'task': 'mri',
        'vary': 'smoothing',
        'arms': ['C4'],
        'small': {'sizes': [2], 'seeds': [1], 'smoothings': [0, 1]},
    },
    'pictures': {
        'title': 'Pictures',
        'picture_of': {'ct': 'ct_training_size'},
        'arms': ['ordinary', 'C4'],
        'small': {'sizes': [2], 'seeds': [1]},
    },
    'mri_longer': {
        'title': 'Longer',
        'task': 'mri',
        'vary': 'size',
        'arms': ['ordinary', 'C4'],
        'own_rates': True,
        'max_steps': 4,
        'rates': [1e-3, 2e-3],
        'small': {'sizes': [1, 2, 3], 'search_sizes': [1, 3], 'seeds': [1]},
    },
    'mri_width': {
        'title': 'Width',
        'task': 'mri',
        'vary': 'width',
        'arms': ['ordinary', 'C4', 'C4 grid'],
        'own_rates': True,
        'small': {'sizes': [2], 'seeds': [1], 'widths': [8, 12]},
    },
    'cost': {
        'title': 'Cost',
        'cost_of': 'ct',
        'arms': ['ordinary', 'C4'],
        'small': {'rounds': 2},
    },
}


def write_settings(folder, tasks=TASKS, **experiments):
    """Write the files of settings."""
    folder.mkdir(exist_ok=True)
    both = {
        name: {'small': task, 'paper': task} for name, task in tasks.items()
    }
    (folder / 'tasks.yaml').write_text(yaml.safe_dump(both))
    for name, settings in experiments.items():
        settings = {**settings, 'paper': settings['small']}
        (folder / f'{name}.yaml').write_text(yaml.safe_dump(settings))
    return folder


def experiments(*arguments):
    """Call the command line."""
    sys.path.insert(0, str(ROOT))
    try:
        from examples.experiments.__main__ import main
    finally:
        sys.path.remove(str(ROOT))
    main(['--jobs', '1', *map(str, arguments)])


def given(settings, output):
    """Return options for the settings, a head beside them, and the output."""
    options = {'settings': settings, 'heads': settings / HEADS}
    options |= {'output': output}
    return [x for name, path in options.items() for x in (f'--{name}', path)]


def table(path):
    """Return the rows of a table."""
    sys.path.insert(0, str(ROOT))
    try:
        from examples.experiments.tables import read_rows
    finally:
        sys.path.remove(str(ROOT))
    return read_rows(path)


@pytest.fixture(scope='module')
def done(tmp_path_factory, write_head):
    """Return the folders of the settings and of all experiments, done."""
    folder = tmp_path_factory.mktemp('experiments')
    settings = write_settings(folder / 'settings', **EXPERIMENTS)
    write_head(settings / HEADS)
    experiments(*given(settings, folder / 'output'))
    return settings, folder / 'output'


@pytest.fixture
def copied(done, tmp_path):
    """Return the same folders as a copy that may be changed."""
    for path in done:
        shutil.copytree(path, tmp_path / path.name)
    return tmp_path / 'settings', tmp_path / 'output'


def times(output):
    """Return when each run was finished."""
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in output.glob('runs/*/run.json')
    }


def test_tables_have_a_row_for_each_run_and_condition(done):
    """Arms, sizes, seeds; sets of images and conditions."""
    rows = table(done[1] / 'ct_training_size.csv')
    runs = {(r['arm'], r['size'], r['seed']) for r in rows if r['seed'] != ''}
    assert len(runs) == 2 * 2
    conditions = {r['condition'] for r in rows if r['images'] == 'slices'}
    assert len(conditions) == 4
    assert {r['arm'] for r in rows if r['seed'] == ''} == {'FBP', 'TV'}
    assert all(5 < r['psnr'] < 60 and -1 <= r['ssim'] <= 1 for r in rows)
    assert all(r['steps'] == 3 for r in rows if r['seed'] != '')


def test_networks_that_two_experiments_need_are_trained_once(done):
    """Those of the sizes are among the arms, and in the pictures."""
    runs = [
        {r['run'] for r in table(done[1] / f'{name}.csv')}
        for name in ('ct_training_size', 'ct_arms')
    ]
    shared = runs[0] & runs[1]
    assert len(shared) == 2


def test_quarter_turns_leave_the_score_of_c4_alone(done):
    """As they do not that of the ordinary network."""
    rows = table(done[1] / 'ct_training_size.csv')
    keys = 'arm', 'size', 'images', 'condition'
    score = {tuple(r[k] for k in keys): r['psnr'] for r in rows}
    changes = {'ordinary': [], 'C4': []}
    for (arm, size, images, condition), value in score.items():
        if arm in changes and condition == 'quarter turns':
            upright = score[arm, size, images, 'upright']
            changes[arm].append(abs(value - upright))
    assert max(changes['C4']) < 1e-4 < 1e-3 < max(changes['ordinary'])


def test_averages_over_the_group_are_equivariant_too(done):
    """The ordinary network, averaged at test time."""
    score = {
        (r['images'], r['condition']): r['psnr']
        for r in table(done[1] / 'ct_arms.csv')
        if r['arm'] == 'averaged'
    }
    for images in ('test', 'slices'):
        upright, turned = (
            score[images, c] for c in ('upright', 'quarter turns')
        )
        assert turned == pytest.approx(upright, abs=1e-4)


def test_rates_are_those_with_the_best_validation(done):
    """Of each arm one, from images that are not tested with."""
    rows = table(done[1] / 'learning_rates.csv')
    keys = 'task', 'steps', 'size', 'width', 'arm'
    searches = {tuple(r[k] for k in keys) for r in rows}
    # two tasks at their own size, one of two sizes with its own steps, and
    # one of two widths, of which the first is that of its task, for an arm
    # with a basis of its own
    assert len(searches) == 2 * 2 + 2 * 2 + 2 + 2
    for search in searches:
        own = [r for r in rows if tuple(r[k] for k in keys) == search]
        assert len(own) == (1 if search[0] == 'mri' and search[1] == 3 else 2)
        best = max(own, key=lambda r: r['both_psnr'])
        assert [r['rate'] for r in own if r['chosen']] == [best['rate']]


def test_validation_weighs_phantoms_and_real_slices_equally(done):
    """Where there are both of them; tests are on other slices."""
    rates = table(done[1] / 'learning_rates.csv')
    by_run = {row['run']: row for row in rates}
    for path in done[1].glob('runs/*/run.json'):
        row = by_run.get(path.parent.name)
        if row is None or 'averaged' in row:
            continue
        scores = table(path.with_name('scores.csv'))
        # a search is scored upright alone
        assert {s['condition'] for s in scores} == {'upright'}
        means = {
            images: np.mean(
                [s['psnr'] for s in scores if s['images'] == images]
            )
            for images in {s['images'] for s in scores}
        }
        both = means['validation']
        if row['task'] == 'ct':
            both = (both + means['validation slices']) / 2
        assert row['both_psnr'] == pytest.approx(both)
        assert row['test_psnr'] == pytest.approx(means['test'])
        names = {s['image'] for s in scores if s['images'] == 'slices'}
        assert not names & {
            s['image'] for s in scores if s['images'] == 'validation slices'
        }
        assert len(names) == {'ct': 5, 'mri': 1}[row['task']]


def test_experiments_with_own_rates_are_as_they_say(done):
    """Rates of the nearest size, of their steps and width, of each basis."""
    rates = {
        (r['steps'], r['size'], r['width'], r['arm']): r['rate']
        for r in table(done[1] / 'learning_rates.csv')
        if r['chosen']
    }
    rows = table(done[1] / 'mri_longer.csv')
    # two images are nearer to three than to one
    nearest = {1: 1, 2: 3, 3: 3}
    assert {r['size'] for r in rows} == set(nearest)
    for row in rows:
        key = 4, nearest[row['size']], 8, row['arm']
        assert row['rate'] == rates[key] and row['steps'] == 4
    rows = table(done[1] / 'mri_width.csv')
    assert {r['width'] for r in rows} == {8, 12}
    assert {r['arm'] for r in rows} == {'ordinary', 'C4', 'C4 grid'}
    for row in rows:
        assert row['rate'] == rates[3, 2, row['width'], row['arm']]
    parameters = {(r['width'], r['arm']): r['parameters'] for r in rows}
    assert parameters[12, 'ordinary'] > 1.5 * parameters[8, 'ordinary']
    assert parameters[8, 'C4 grid'] != parameters[8, 'C4']


def test_each_group_may_have_a_rate_of_its_own():
    """Without, a group has that of C4, and one with a basis that of its C4."""
    settings = module('settings')
    common = settings.tasks('small')['ct']
    arms = ('ordinary', 'averaged', 'C4', 'C8', 'SO2', 'C8 grid')
    experiment = settings.Experiment(
        'a', 'A', arms, 'small', 'ct', each_rate=True, sizes=(5,), seeds=(1,)
    )
    (searches,) = experiment.searches(common).values()
    assert list(searches) == ['ordinary', 'C4', 'C8', 'SO2', 'C8 grid']
    for arm in ('C8', 'SO2', 'C8 grid'):
        assert {run.group for run in searches[arm]} == {arm.split()[0]}
        assert [run.rate for run in searches[arm]] == common['rates']
    bases = [run.settings['network'].get('basis') for run in searches[arm]]
    assert set(bases) == {'grid'}
    rates = {'ordinary': 1, 'C4': 2, 'C8': 3, 'SO2': 4, 'C8 grid': 5}
    runs = experiment.runs(common, {(5, None): rates})
    assert [run.rate for _, run in runs] == [1, 1, 2, 3, 4, 5]
    shared = dataclasses.replace(experiment, each_rate=False)
    (searches,) = shared.searches(common).values()
    assert list(searches) == ['ordinary', 'C4', 'C4 grid']
    rates = {'ordinary': 1, 'C4': 2, 'C4 grid': 3}
    runs = shared.runs(common, {(5, None): rates})
    assert [run.rate for _, run in runs] == [1, 1, 2, 2, 2, 3]


def test_tables_of_rates_keep_those_of_other_experiments(copied):
    """A call for some experiments leaves the rows of the others."""
    settings, output = copied
    text = (output / 'learning_rates.csv').read_text()
    experiments('mri_longer', *given(settings, output))
    assert (output / 'learning_rates.csv').read_text() == text


def test_rates_that_diverge_are_not_chosen():
    """A score that is NaN is below all others, also where it comes first."""
    sys.path.insert(0, str(ROOT))
    try:
        from examples.experiments.records import _or_worst
    finally:
        sys.path.remove(str(ROOT))
    assert max([np.nan, -3.0], key=_or_worst) == -3.0


def test_pictures_hold_the_images_and_scores(done):
    """The truth and what each arm makes of it."""
    with np.load(done[1] / 'pictures_ct.npz') as file:
        assert file['upright/ground truth'].shape == (16, 16)
        assert file['random angles/C4'].shape == (16, 16)
        assert float(file['upright/ordinary/psnr'][0]) > 5


def test_costs_are_relative_to_the_first_arm(done):
    """Its ratios are 1, and C4 has fewer parameters."""
    ordinary, c4 = table(done[1] / 'cost.csv')
    assert ordinary['training_ratio'] == ordinary['inference_ratio'] == 1
    assert 0 < c4['parameters'] < ordinary['parameters']
    assert c4['inference_seconds'] > 0


def test_nothing_is_done_twice(copied):
    """A second call makes tables and figures anew, of the same runs."""
    settings, output = copied
    before = times(output)
    text = (output / 'ct_training_size.csv').read_text()
    (output / 'ct_training_size.csv').unlink()
    experiments('ct_training_size', *given(settings, output))
    assert times(output) == before
    assert (output / 'ct_training_size.csv').read_text() == text


def test_the_times_of_runs_are_those_of_whole_ones(copied):
    """One that was stopped has none: what was spent before is not known."""
    settings, output = copied
    rows = table(output / 'ct_arms.csv')
    assert all(0 < row['seconds'] < 60 for row in rows)
    key = rows[-1]['run']
    (output / 'runs' / key / 'run.json').unlink()
    experiments('ct_arms', *given(settings, output))
    lost = [r for r in table(output / 'ct_arms.csv') if r['seconds'] == '']
    assert {row['run'] for row in lost} == {key}


def test_a_run_that_was_stopped_goes_on_to_the_same_scores(copied):
    """Here one that was killed before it could write its scores."""
    settings, output = copied
    run = next(output.glob('runs/ct-C4-2-*'))
    scores = (run / 'scores.csv').read_bytes()
    (run / 'scores.csv').unlink(), (run / 'run.json').unlink()
    experiments('ct_arms', *given(settings, output))
    assert (run / 'scores.csv').read_bytes() == scores


def test_slices_that_come_later_are_scored_without_training(copied):
    """Also by averages over the group, with the networks that there are."""
    settings, output = copied
    run = module('settings').Run(
        'ct', 'small', None, 'none', 0, 2, 1, 1e-3, ''
    )
    keys = [
        dataclasses.replace(run, common=json.dumps({'slices': slices})).key
        for slices in (
            {'validation': ['a'], 'test': []},
            {'validation': ['a'], 'test': ['heads']},
            {'validation': [], 'test': ['heads']},
        )
    ]
    assert keys[0] == keys[1] != keys[2]
    write = module('tables').write_rows
    rows = table(output / 'ct_arms.csv')
    before = times(output)
    for path in output.glob('runs/ct-*-2-*/scores.csv'):
        write(
            path,
            [
                row
                for row in table(path)
                if row['image'] != 'heads4' and row['averaged'] == ''
            ],
        )
    experiments('ct_arms', *given(settings, output))
    assert times(output) == before
    again = table(output / 'ct_arms.csv')
    assert [r['n_images'] for r in again] == [r['n_images'] for r in rows]
    scores, others = ([r['psnr'] for r in found] for found in (again, rows))
    assert scores == pytest.approx(others, abs=1e-3)


def test_changed_settings_are_run_anew(copied):
    """Runs of other settings are left alone, and not taken."""
    settings, output = copied
    before = times(output)
    tasks = {**TASKS, 'ct': {**TASKS['ct'], 'rates': [1e-3]}}
    tasks['ct']['training'] = {**TASK['training'], 'max_steps': 2}
    small = {'sizes': [2], 'seeds': [1]}
    changed = {**EXPERIMENTS['ct_arms'], 'small': small}
    write_settings(settings, tasks, ct_arms=changed)
    experiments('ct_arms', *given(settings, output))
    after = times(output)
    assert before.items() <= after.items() and len(after) > len(before)
    assert all(r['steps'] == 2 for r in table(output / 'ct_arms.csv'))


def test_figures_are_made_from_the_tables_alone(copied):
    """Without any run."""
    settings, output = copied
    shutil.rmtree(output / 'runs')
    before = {
        path.name: path.stat().st_mtime_ns
        for path in output.iterdir()
        if path.suffix in ('.png', '.pdf')
    }
    assert len(before) == 22
    (output / 'pictures_ct.png').unlink()
    experiments(
        'pictures',
        'ct_arms',
        '--only-figures',
        *given(settings, output),
    )
    made = {
        name
        for name, time in before.items()
        if (output / name).stat().st_mtime_ns != time
    }
    assert made == {
        f'{name}.{ending}'
        for name in ('pictures_ct', 'ct_arms_test', 'ct_arms_slices')
        for ending in ('png', 'pdf')
    }


def test_the_report_has_what_the_tables_have(copied):
    """Tables, figures beside it, and statements with a verdict."""
    settings, output = copied
    page = output.parent / 'docs' / 'results.md'
    page.parent.mkdir()
    (page.parent / '_results_notes.md').write_text('A note by hand.')
    experiments(
        '--only-figures',
        *given(settings, output),
        '--report',
        page,
    )
    text = page.read_text(encoding='utf-8')
    for title in ('Sizes', 'Arms', 'Smoothness', 'Pictures', 'Cost'):
        assert f'\n## {title}\n' in text
    assert 'A note by hand.' in text
    assert text.count('| yes |') + text.count('| no |') >= 8
    for name in ('ct_training_size_test', 'pictures_ct'):
        assert (page.parent / f'images/experiments/{name}.png').is_file()


_WORKERS = """
import os
import time

from examples.experiments.workers import pool_of

if __name__ == '__main__':
    with pool_of(2) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(120)
"""


def test_workers_end_with_a_process_that_is_killed(tmp_path):
    """They do not go on by themselves."""
    script = tmp_path / 'workers.py'
    script.write_text(_WORKERS)
    process = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert int(process.stdout.readline()) > 0
    process.kill()
    # ends with the last process that could write to it
    process.communicate(timeout=20)
    assert process.returncode < 0


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nothing'], 'there are no experiments nothing; known are .*ct_arms'),
        (['--only-figures', '--output', 'nowhere'], 'no table nowhere.*run'),
    ],
)
def test_what_is_not_there_is_named(done, arguments, message):
    """The command ends with one line, and no traceback."""
    with pytest.raises(SystemExit, match=message):
        experiments('--settings', done[0], *arguments)


def test_real_slices_whose_file_is_not_given_are_left_out(tmp_path, capsys):
    """Said at once, and on the page; runs with them are others."""
    small = {'sizes': [2], 'seeds': [1]}
    arms = {**EXPERIMENTS['ct_arms'], 'arms': ['C4'], 'small': small}
    ct = {**TASKS['ct'], 'rates': [1e-3]}
    settings = write_settings(tmp_path / 'settings', {'ct': ct}, ct_arms=arms)
    page = tmp_path / 'results.md'
    options = ['--settings', settings, '--output', tmp_path / 'output']
    experiments(*options, '--report', page)
    assert 'without those of heads (give its file by --heads)' in (
        capsys.readouterr().err
    )
    assert 'The tests of CT have no real slices' in page.read_text('utf-8')
    rows = table(tmp_path / 'output' / 'ct_arms.csv')
    assert {row['images'] for row in rows} == {
        'validation',
        'validation slices',
        'test',
    }
    with pytest.raises(SystemExit, match='--heads: there is no file gone'):
        experiments(*options, '--heads', 'gone')
    (tmp_path / 'wrong.inv3').write_text('no archive')
    with pytest.raises(SystemExit, match='must be a project of InVesalius'):
        experiments(*options, '--heads', tmp_path / 'wrong.inv3')


def test_scores_of_slices_of_two_files_are_not_mixed(tmp_path, monkeypatch):
    """Slices of another head have the same names, but not its scores."""
    nibabel = pytest.importorskip('nibabel')
    task = {**TASKS['mri'], 'slices': {'test': ['brain']}}
    settings = write_settings(tmp_path / 'settings', {'mri': task})
    study = module('schedule').Study
    monkeypatch.setattr(study, '_used_tasks', lambda self: ['mri'])
    one, other = (tmp_path / f'{name}.nii.gz' for name in ('one', 'other'))
    for path, size in ((one, 11), (other, 12)):
        values = np.ones((12, 12, size), 'int16')
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)

    def run(**files):
        study([], 'small', tmp_path / 'output', settings, files).run(1)

    for files in ({}, {'brain': one}, {}, {'brain': one}):
        run(**files)
    # which no task reads
    run(heads=other)
    with pytest.raises(ValueError, match='--brain .*other.nii.gz: give the f'):
        run(brain=other)
    other.write_bytes(one.read_bytes())
    run(brain=other)
    (tmp_path / 'output' / 'sources.json').write_text('{')
    with pytest.raises(ValueError, match='sources.json is damaged: give'):
        run(brain=other)


def test_slices_of_a_brain_are_read_from_a_volume(tmp_path):
    """Five heights, on the grid of the images, at most one."""
    nibabel = pytest.importorskip('nibabel')
    values = np.zeros((10, 12, 11), 'int16')
    values[2:8, 3:9] = np.arange(11) * 7
    path, wrong = tmp_path / 'brain.nii.gz', tmp_path / 'wrong.nii'
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    images = module('images')
    read = functools.partial(images.real_slices, ['brain'], TASKS['mri'])
    slices = read({'brain': path})
    assert [image.shape for image in slices.values()] == [(16, 16)] * 5
    highest = [image.max() for image in slices.values()]
    assert highest == sorted(highest) and 0 < highest[0] < highest[-1] <= 1
    nibabel.save(nibabel.Nifti1Image(values[0], np.eye(4)), wrong)
    with pytest.raises(ValueError, match='wrong.nii .* with 3 axes, got'):
        read({'brain': wrong})
    wrong.write_text('no volume')
    images._axial.cache_clear()
    with pytest.raises(ValueError, match='wrong.nii must be a NIfTI volume'):
        read({'brain': wrong})
    with pytest.raises(ValueError, match="'brain' are read from a file"):
        read(None)
    path.write_bytes(path.read_bytes()[:-40])
    images._axial.cache_clear()
    with pytest.raises(ValueError, match='must be a NIfTI volume'):
        read({'brain': path})


def test_the_scale_of_the_paper_needs_its_images(tmp_path):
    """Said at once: which option gives the folder, or that it is not there."""
    ct = {**TASKS['ct'], 'images': {'kind': 'LIDCSlices', 'folder': 'lidc'}}
    settings = write_settings(
        tmp_path / 'settings', {'ct': ct}, ct_arms=EXPERIMENTS['ct_arms']
    )
    arguments = ['--settings', settings, '--scale', 'paper']
    with pytest.raises(SystemExit, match='--lidc FOLDER'):
        experiments(*arguments)
    with pytest.raises(SystemExit, match='--lidc: there is no folder gone'):
        experiments(*arguments, '--lidc', 'gone')


def module(name):
    """Import a module of the experiments."""
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module(f'examples.experiments.{name}')
    finally:
        sys.path.remove(str(ROOT))


@pytest.mark.parametrize('scale', ['small', 'paper'])
def test_a_rehearsal_has_all_runs_of_its_scale(scale):
    """As many networks, in all arms, seeds and sizes, of a few steps each."""
    settings = module('settings')
    rates = defaultdict(lambda: defaultdict(lambda: 1e-3))
    tasks = settings.tasks(scale)
    short = {k: settings.rehearsed_task(v, 32) for k, v in tasks.items()}
    for experiment in settings.experiments(scale).values():
        rehearsed = settings.rehearsed(experiment)
        for task in [experiment.task, *(experiment.picture_of or ())]:
            if task is None:
                continue
            asked = experiment.runs(tasks[task], rates, task)
            runs = rehearsed.runs(short[task], rates, task)
            keys, whole_keys = (
                {run.key for _, run in found} for found in (runs, asked)
            )
            assert len(keys) == len(whole_keys)
            assert [arm for arm, _ in runs] == [arm for arm, _ in asked]
            for (_, run), (_, whole) in zip(runs, asked, strict=True):
                assert run.settings['training']['max_steps'] <= 3
                assert run.settings['network'] == whole.settings['network']
                assert run.size <= short[task]['n_train'] <= 12
                assert (run.group, run.rotation, run.seed, run.smoothing) == (
                    whole.group,
                    whole.rotation,
                    whole.seed,
                    whole.smoothing,
                )


def test_stand_ins_have_the_formats_of_the_collections(tmp_path):
    """The readers take what they take of the real ones, by their rules."""
    synthetic = module('synthetic')
    synthetic.write_lidc(tmp_path / 'ct', 2, 1)
    chests = LIDCSlices(tmp_path / 'ct', size=[512, 512], progress=False)
    assert len(set(chests.groups)) == 2 and chests[0].shape == (512, 512)
    assert all(s['circle'] for s in chests.statistics)
    # notes are no image, scout views are none of this kind
    assert {name[-4:] for name, _ in chests.index.skipped} == {'.xml'}
    synthetic.write_brain_dicom(tmp_path / 'mr', 2, 4)
    brains = FastMRISlices(tmp_path / 'mr', series='T1', progress=False)
    assert 0 < len(brains) < 2 * 4 and brains[0].max() == 1
    synthetic.write_brain_kspace(tmp_path / 'raw', 2, 1, n_coils=2)
    raw = FastMRIKspace(tmp_path / 'raw', 'T1', (320, 320), progress=False)
    assert len(raw) == 1 and raw.kspace(0).shape == (2, 320, 640)
    assert raw.measured_columns == [synthetic.MEASURED]
    (name,) = raw.names
    with h5py.File(tmp_path / 'raw' / name.partition('#')[0]) as file:
        squares = file['reconstruction_rss'][0]
    # rows of the files run along y
    error = np.linalg.norm(abs(raw[0]).T - squares)
    assert error < 0.1 * np.linalg.norm(squares)


def test_the_scale_of_the_paper_is_rehearsed_whole(tmp_path):
    """From the files of the collections to tables, figures and the report."""
    synthetic = module('synthetic')
    synthetic.write_lidc(tmp_path / 'ct', 10, 1)
    synthetic.write_brain_dicom(tmp_path / 'mr', 14, 2)
    tasks = {}
    for name, task in module('settings').tasks('paper').items():
        network = {**task['network'], 'channels': 8, 'n_iterations': 1}
        tasks[name] = {
            **task,
            'network': network,
            'rates': [1e-4],
            'tv_weights': [1e-6],
            'n_train': 200,
        }
    sizes = {'sizes': [10, 100], 'seeds': [1]}
    settings = write_settings(
        tmp_path / 'settings',
        tasks,
        ct_training_size={**EXPERIMENTS['ct_training_size'], 'small': sizes},
        mri_smoothing=EXPERIMENTS['mri_smoothing'],
        pictures=EXPERIMENTS['pictures'],
        cost=EXPERIMENTS['cost'],
    )
    output, page = tmp_path / 'output', tmp_path / 'page' / 'results.md'
    page.parent.mkdir()
    arguments = [
        *('--scale', 'paper', '--rehearse', 16, '--settings', settings),
        *('--lidc', tmp_path / 'ct', '--fastmri', tmp_path / 'mr'),
        *('--output', output, '--report', page),
    ]
    experiments(*arguments)
    text = page.read_text('utf-8')
    assert (
        '--scale paper --jobs 1 --rehearse 16' in text
        and 'test images' in text
    )
    assert 'phantom' not in text
    before = times(output)
    experiments(*arguments)
    assert times(output) == before


@pytest.mark.parametrize(
    'change, message',
    [
        ({'arms': ['C5']}, "arms .'C5'.*known are ordinary"),
        ({'colour': 1}, "settings .'colour'.*known are arms"),
    ],
)
def test_unknown_settings_are_refused(tmp_path, change, message):
    """The file and what is known are named."""
    settings = write_settings(
        tmp_path / 'settings', arms={**EXPERIMENTS['ct_arms'], **change}
    )
    with pytest.raises(SystemExit, match=message):
        experiments('--settings', settings)


@pytest.mark.parametrize(
    'text, message',
    [
        ('title: [x', 'arms.yaml is no YAML'),
        ('title: x', 'arms.yaml has no settings for the scale small'),
        ('', 'arms.yaml must hold settings'),
    ],
)
def test_files_that_are_no_settings_are_refused(tmp_path, text, message):
    """With the name of the file."""
    settings = write_settings(tmp_path / 'settings')
    (settings / 'arms.yaml').write_text(text)
    with pytest.raises(SystemExit, match=message):
        experiments('--settings', settings)


def test_the_settings_that_come_with_the_package_are_whole():
    """All of them can be read at both scales, and their groups fit."""
    sys.path.insert(0, str(ROOT))
    try:
        from examples.experiments import settings
    finally:
        sys.path.remove(str(ROOT))
    for scale in settings.SCALES:
        tasks = settings.tasks(scale)
        found = settings.experiments(scale)
        assert len(found) == 12
        rates = defaultdict(lambda: defaultdict(lambda: 1e-3))
        for experiment in found.values():
            for task in [experiment.task, *(experiment.picture_of or ())]:
                if task is None:
                    continue
                runs = experiment.runs(tasks[task], rates, task)
                assert len({run.seed for _, run in runs}) >= (
                    3 if experiment.task else 1
                )
                channels = tasks[task]['network']['channels']
                for _, run in runs:
                    if run.group and run.group != 'SO2':
                        order = int(run.group[1:])
                        order *= 2 if run.group[0] == 'D' else 1
                        assert channels % order == 0


def scored(steps, **psnr):
    """Return the rows of two arms with scores of validation and slices."""
    return [
        {
            'arm': arm,
            'size': 5,
            'steps': steps,
            'seed': seed,
            'run': f'mri-{arm}',
            'images': images,
            'condition': 'upright',
            'psnr': value + 0.1 * seed,
        }
        for arm, values in psnr.items()
        for images, value in zip(('validation', 'slices'), values, strict=True)
        for seed in (1, 2)
    ]


def test_commits_are_no_numbers(tmp_path):
    """Also those of digits alone, or with an e among them."""
    tables = module('tables')
    rows = [{'commit': name, 'psnr': 1.5} for name in ('0123456', '12e4567')]
    tables.write_rows(tmp_path / 'a.csv', rows)
    assert tables.read_rows(tmp_path / 'a.csv') == rows


def test_arms_are_compared_at_random_angles():
    """By the mean over the seeds, each beside the arm with the same seed."""

    def rows(**arms):
        return [
            {
                'arm': arm,
                'seed': seed,
                'run': f'ct-{arm}-{seed}',
                'commit': 'a',
                'images': 'test',
                'n_images': 3,
                'condition': condition,
                'psnr': value
                + 5 * (condition != 'random angles')
                + seed * (arm == 'C4')
                + 0.1 * (condition == 'quarter turns' and arm == 'ordinary'),
            }
            for arm, value in arms.items()
            for condition in ('upright', 'quarter turns', 'random angles')
            for seed in (1, 3)
        ]

    fourier = {'C4 fourier': 23, 'C8 fourier': 21}
    grid = {'C2 grid': 18, 'C4 grid': 20, 'D4 grid': 20}
    others = dict.fromkeys(('C2', 'C3', 'C6', 'C8', 'C12', 'D4'), 21)
    tables = {
        'ct_angles': rows(ordinary=19, C4=20, C8=23, SO2=22.5, **fourier),
        'ct_group_order': rows(ordinary=19, C4=21, **others, **grid),
    }
    found = module('page.comparisons').compared(tables, 'small')
    verdicts = [row[2] for row in found]
    assert verdicts[:3] == ['yes', 'in part', 'no']
    assert verdicts[3:6] == ['yes', 'yes', 'in part']
    assert verdicts[6:] == ['yes', 'in part', 'no', 'yes', 'yes']
    assert found[4][0].startswith('CT, phantoms, random angles: eighths')
    assert found[4][1] == 'C8 over C4: +1.00 dB (1 of 2 seeds)'
    assert found[5][1].endswith('SO2 over C8: -0.50 dB (0 of 2 seeds)')
    assert found[2][1].startswith('C2 grid over C2: -3.00 dB (0 of 2 seeds)')
    moved = [
        {**row, 'psnr': row['psnr'] + (row['condition'] == 'upright')}
        for row in tables['ct_angles']
    ]
    found = module('page.comparisons').compared({'ct_angles': moved}, 'small')
    assert found[-1][1:] == ('at most 1.0e+00 dB', 'no')


def test_the_gain_is_compared_at_each_width():
    """Upright and at random angles, within each width."""

    def rows(width, **arms):
        return [
            {
                **{'arm': arm, 'seed': 1, 'width': width, 'images': 'slices'},
                **{'n_images': 5, 'condition': condition, 'run': 'mri-a'},
                'psnr': value + (condition == 'upright'),
            }
            for arm, value in arms.items()
            for condition in ('upright', 'random angles')
        ]

    wide = rows(48, ordinary=21, C4=20.5)
    tables = {'mri_width': rows(24, ordinary=19, C4=20) + wide}
    found = module('page.comparisons').compared(tables, 'small')
    assert [row[2] for row in found] == ['in part'] * 2
    assert found[0][0].startswith('MRI, real slices, upright: C4 is above')
    assert found[1][1].startswith('24 channels: +1.00 dB (1 of 1 seeds), 48')


def test_networks_are_compared_with_total_variation():
    """Each arm, at each number of images."""
    scores = [('ordinary', 5, 19), ('ordinary', 10, 21), ('C4', 5, 22)]
    rows = [
        {
            **{'arm': arm, 'size': size, 'psnr': value, 'images': 'test'},
            **{'n_images': 5, 'condition': 'upright', 'run': 'ct-a'},
        }
        for arm, size, value in [*scores, ('TV', '', 20)]
    ]
    compared = module('page.comparisons').compared
    ordinary, c4 = compared({'ct_training_size': rows}, 'small')
    assert ordinary[0].startswith('CT, phantoms, upright: ordinary is above')
    assert ordinary[1].startswith('5: -1.00 dB (0 of 1 seeds), 10: +1.00')
    assert (ordinary[2], c4[2]) == ('in part', 'yes')
    assert compared({'ct_training_size': rows[:-1]}, 'small') == []


def test_hours_are_those_of_each_network_once():
    """By the cores, and by the clock; what is not known is counted."""
    one = {'seed': 1, 'arm': 'C4', 'run': 'ct-C4-1', 'seconds': 3600.0}
    tables = {
        'a': [one, one],
        'c': [{'arm': 'TV', 'seed': '', 'run': 'ct-tv', 'seconds': ''}],
        'd': [{'arm': 'C4', 'training_seconds': 0.1}],
    }
    rates = [{'run': 'ct-C4-2', 'seconds': 1800.0}]
    calls = [{'jobs': 2, 'seconds': 5400.0}]
    duration = module('page.duration').duration
    words = duration(tables, rates, calls)
    assert words.startswith('The 2 networks took 1.5 hours of one core')
    assert words.endswith('took 1.5 hours, with 2 networks at once.')
    rates += [{'run': 'ct-C4-3', 'seconds': ''}]
    words = duration(tables, rates, calls * 2)
    assert 'The 2 networks' in words and 'of 1 more' in words
    assert '3.0 hours in 2 calls' in words
    assert duration({'c': tables['c']}, [], []) == ''


def test_rates_at_an_end_of_their_search_are_named():
    """The lowest and the highest one, and none between."""
    search = {'task': 'ct', 'size': 5, 'steps': 600, 'width': 24}
    rows = [
        {**search, 'arm': arm, 'rate': rate, 'chosen': int(rate == best)}
        for arm, best in (('C2', 1), ('C4', 2), ('D4', 3))
        for rate in (1, 2, 3)
    ]
    words = module('page.report').at_ends(rows)
    assert words.startswith('Of 3 searches, 2 chose a rate at an end: CT, C2,')
    assert 'C4' not in words
    assert words.endswith(
        'D4, 5 images, 600 steps, 24 channels (the highest).'
    )


def test_each_arm_has_the_steps_that_validation_chooses():
    """Not those with the best scores on the images that are tested with."""
    statements = module('page.statements')
    short = scored(600, ordinary=(20, 21), C4=(25, 24))
    longer = scored(2400, ordinary=(22, 23), C4=(24, 29))
    (row,) = statements._chosen_steps([short, longer], 'small')
    assert row[0].startswith('MRI, real slices')
    assert '5: +1.00 dB (2 of 2 seeds), 2400 steps of ordinary' in row[1]
    assert row[1].endswith('600 of C4') and row[2] == 'yes'
    longer = scored(2400, ordinary=(22, 25), C4=(24, 29))
    (row,) = statements._chosen_steps([short, longer], 'small')
    assert row[2] == 'no'
