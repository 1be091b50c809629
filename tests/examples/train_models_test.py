# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the script that trains the shipped models."""

import importlib.util
import json
import pathlib
import re
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from odl_equivariant import models
from odl_equivariant.data import CartesianMRI, SparseViewCT, VolumeMRI
from odl_equivariant.nn import RidgeEnergy
from odl_equivariant.training import ReconstructionTask
from odl_equivariant.training.runs.checkpoints import (
    CheckpointFiles,
    last_whole,
)

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'
SMALL = [
    '--trainer.accelerator=cpu',
    '--trainer.enable_progress_bar=false',
    '--trainer.logger=false',
    '--trainer.checkpoint_every=1',
    '--trainer.val_check_interval=3',
    '--trainer.precision=32-true',
]
RIDGE = [
    '--model.proximal.init_args.energy.init_args.n_filters=8',
    '--model.proximal.init_args.energy.init_args.kernel_size=5',
    # so that images come back to a training that remembers them
    '--data.train.init_args.n=3',
    '--data.acquisition.init_args.shape=[16,16]',
    '--data.batch_size=2',
]
OF_KIND = {
    'sparse_view_ct': [
        '--data.validation.init_args.n=1',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.acquisition.init_args.n_views=4',
        '--data.variants=[{"n_views":4},{"n_views":6,"n_photons":1e3}]',
        '--data.train.init_args.shape=[32,32]',
        '--data.validation.init_args.shape=[32,32]',
    ],
    'cartesian_mri': [
        '--data.validation.init_args.n=1',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.shapes=null',
        '--data.variants=[{"shape":[16,16]},{"shape":[24,24]}]',
        '--data.train.init_args.shape=[16,16]',
        '--data.validation.init_args.shape=[16,16]',
    ],
    'primal_dual_ct': [
        '--model.dual.init_args.channels=4',
        '--data.validation.init_args.n=1',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.acquisition.init_args.n_views=4',
        '--data.variants=[{"n_views":4},{"n_views":6,"n_photons":1e3}]',
        '--data.validation.init_args.shape=[32,32]',
    ],
    'splitting_ct': [
        '--data.validation.init_args.n=1',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.acquisition.init_args.n_views=4',
        '--data.variants=[{"n_views":4},{"n_views":6,"n_photons":1e3}]',
        '--data.validation.init_args.shape=[32,32]',
    ],
    'splitting_mri': [
        '--data.validation.init_args.n=1',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.variants=[{"shape":[16,16]},{"shape":[24,24]}]',
        '--data.validation.init_args.shape=[16,16]',
    ],
    'denoiser': [
        '--data.validation.init_args.n=1',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.train.init_args.shape=[32,32]',
        '--data.validation.init_args.shape=[32,32]',
        '--data.batch_size=2',
    ],
    'multiscale_denoiser': [
        '--model.proximal.init_args.n_blocks=1',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.batch_size=2',
    ],
    'volume_denoiser': [
        '--data.acquisition.init_args.shape=[12,12,12]',
        '--data.train.init_args.shape=[12,12,12]',
        '--data.validation.init_args.shape=[12,12,12]',
    ],
    'volume_mri': [
        '--data.validation.init_args.n=1',
        '--data.acquisition.init_args.shape=[12,12,12]',
        '--data.variants=[{"shape":[12,12,12]},{"acceleration":2}]',
        '--data.train.init_args.shape=[12,12,12]',
        '--data.validation.init_args.shape=[12,12,12]',
    ],
    'gradient_step': [
        '--model.proximal.init_args.energy.init_args.denoiser'
        '.init_args.channels=4',
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.batch_size=2',
    ],
    'ridge_convex': RIDGE,
    'ridge_weakly_convex': RIDGE,
}


@pytest.fixture(scope='module')
def script():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location(
        'train_models', EXAMPLES / 'train_models.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_thread():
    """Compute with one thread, the quickest for small images."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(autouse=True)
def _folder_of_images(tmp_path, monkeypatch):
    """Run in a folder with the images that configurations read."""
    picture = pytest.importorskip('PIL.Image')
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ('natural', 'natural_held_back', 'mr'):
        (tmp_path / 'images' / name).mkdir(parents=True)
        rows = rng.integers(0, 255, (40, 40)).astype('uint8')
        picture.fromarray(rows).save(tmp_path / 'images' / name / 'a.png')
    (tmp_path / 'volumes').mkdir()
    volume = rng.random((16, 16, 16), 'float32')
    np.save(tmp_path / 'volumes' / 'a.npy', volume)


def kind_of(name):
    """Return the kind of a model."""
    return name.rpartition('_')[0]


def command(name, output, n_steps):
    """Return the arguments that train a small model of a name."""
    kind = kind_of(name)
    steps = [f'--output={output}', f'--steps={n_steps}']
    width = '--model.proximal.init_args.channels=4'
    wide = kind.startswith(('ridge', 'gradient', 'splitting', 'volume'))
    narrow = [] if wide else [width]
    return [name, *steps, *SMALL, *narrow, *OF_KIND[kind]]


NAMES = (
    'cartesian_mri_c4',
    'cartesian_mri_ordinary',
    'denoiser_c4',
    'denoiser_ordinary',
    'gradient_step_c4',
    'multiscale_denoiser_c4',
    'multiscale_denoiser_ordinary',
    'primal_dual_ct_c4',
    'primal_dual_ct_ordinary',
    'ridge_convex_c4',
    'ridge_convex_ordinary',
    'ridge_weakly_convex_c4',
    'ridge_weakly_convex_ordinary',
    'sparse_view_ct_c4',
    'sparse_view_ct_ordinary',
    'splitting_ct_c4',
    'splitting_ct_ordinary',
    'splitting_mri_c4',
    'splitting_mri_ordinary',
    'volume_denoiser_o',
    'volume_denoiser_ordinary',
    'volume_mri_o',
    'volume_mri_ordinary',
)
# Models that are trained by the script, and not shipped.
UNSHIPPED = ('gradient_step_ordinary',)
# Each of their stages has a schedule of its own, or another warm-up.
RESTARTED = tuple(
    name
    for name in NAMES
    if name.startswith(
        ('multiscale', 'ridge', 'gradient', 'splitting', 'volume')
    )
)


def test_each_shipped_model_has_its_files(script):
    """The script knows the shipped models, and all files are there."""
    assert list(models.available()) == list(NAMES)
    assert set(script.MODELS) == {*NAMES, *UNSHIPPED}
    files = {
        file
        for model in script.MODELS.values()
        for stage in model.stages
        for file in stage
    }
    assert files == set(script.CONFIGS.glob('*.yaml'))


@pytest.mark.parametrize('name', NAMES)
def test_interrupted_training_ends_with_the_same_weights(
    script, tmp_path, monkeypatch, name
):
    """A resumed training ends as one in one go, to the last bit, and loads."""
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    assert script.main(command(name, whole, 7)) == 0
    made, step = [], ReconstructionTask.training_step

    def stop(self, batch, batch_idx):
        if len(made) == 6:  # within the last stage
            raise KeyboardInterrupt
        made.append(None)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(ReconstructionTask, 'training_step', stop)
        assert script.main(command(name, parts, 7)) == 130
    assert not (parts / f'{name}.safetensors').exists()
    assert script.main(command(name, parts, 7)) == 0

    expected = load_file(whole / f'{name}.safetensors')
    result = load_file(parts / f'{name}.safetensors')
    assert expected.keys() == result.keys()
    for key, value in expected.items():
        assert torch.equal(result[key], value), key

    operator = None
    if name.rpartition('_')[0].endswith('_ct'):
        operator = SparseViewCT((24, 24), n_views=6).operator
    elif name.startswith(('cartesian_mri', 'splitting_mri')):
        operator = CartesianMRI((24, 24)).operator
    elif name.startswith('volume_mri'):
        operator = VolumeMRI((8, 8, 8)).operator
    network = models.load(whole / f'{name}.safetensors', operator)
    low = -1.0 if 'mri' in name else 0.0
    assert network.value_range == (low, 1.0)


def test_model_that_is_not_shipped_is_trained(script, tmp_path):
    """Its configuration runs for two steps, and its energy is saved."""
    arguments = [
        *(f'--output={tmp_path}', '--steps=2', *SMALL),
        '--data.acquisition.init_args.shape=[16,16]',
        '--data.batch_size=2',
    ]
    assert script.main(['gradient_step_ordinary', *arguments]) == 0
    path = tmp_path / 'gradient_step_ordinary.safetensors'
    assert models.load(path).denoiser.group is None
    description = models.describe(path)
    assert 'photographs' in str(description)


@pytest.mark.parametrize('kind', ['c4', 'ordinary'])
def test_weakly_convex_ridges_remember_their_images(script, tmp_path, kind):
    """Both stages do, and the weights move."""
    name = f'ridge_weakly_convex_{kind}'
    assert script.main(command(name, tmp_path, 6)) == 0
    energy = models.load(tmp_path / f'{name}.safetensors')
    assert energy.group == ('C4' if kind == 'c4' else None)
    assert energy.first_knot == 0.08
    start = RidgeEnergy(**energy.architecture['arguments'])
    moved = energy.profiles.values - start.profiles.values
    assert 0 < moved.abs().max() < 0.1
    for stage in ('stage_1', 'stage_2'):
        folder = tmp_path / name / stage
        state = CheckpointFiles().load_checkpoint(
            last_whole(folder / 'checkpoints')
        )
        groups = state['memory']['minimisers']
        assert sum(len(group['keys']) for group in groups) == 3


def test_training_ends_in_time(script, tmp_path):
    """With --seconds, both stages end annealed, long before their steps."""
    name = 'ridge_convex_c4'
    arguments = command(name, tmp_path, 100_000)
    arguments = [a for a in arguments if 'checkpoint_every' not in a]
    start = time.monotonic()
    assert script.main([*arguments, '--seconds=3']) == 0
    assert time.monotonic() - start < 60
    assert models.load(tmp_path / f'{name}.safetensors').convex
    for i in (1, 2):
        file = tmp_path / name / f'stage_{i}' / 'finished.json'
        state = json.loads(file.read_text('utf-8'))
        assert 0 < state['step'] < 50_000


def test_time_is_shared_among_stages(script):
    """A schedule over several stages takes steps, not seconds."""
    assert script.MODELS['ridge_convex_c4'].times(300) == [120, 180]
    assert script.MODELS['gradient_step_c4'].times(300) == [300]
    assert script._clock(90_061) == '01:01:01:01'
    with pytest.raises(ValueError, match='give --steps in place'):
        script.MODELS['sparse_view_ct_c4'].times(300)


@pytest.mark.parametrize('name', NAMES)
def test_networks_are_those_that_are_shipped(script, name):
    """A configuration makes a network of the architecture that is shipped."""
    from lightning.pytorch.cli import LightningArgumentParser

    from odl_equivariant.training import ReconstructionData

    operator = None
    if name.rpartition('_')[0].endswith('_ct'):
        operator = SparseViewCT((16, 16), n_views=4).operator
    elif name.startswith(('cartesian_mri', 'splitting_mri')):
        operator = CartesianMRI((16, 16)).operator
    elif name.startswith('volume_mri'):
        operator = VolumeMRI((8, 8, 8)).operator
    expected = models.load(name, operator)

    content = {}
    for file in script.MODELS[name].stages[-1]:
        for key, value in yaml.safe_load(file.read_text('utf-8')).items():
            if isinstance(value, dict):
                content.setdefault(key, {}).update(value)
    # small, as the weights do not depend on it
    small = [8, 8, 8] if name.startswith('volume') else [16, 16]
    content['data']['acquisition']['init_args']['shape'] = small
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(ReconstructionData, 'data')
    parser.add_lightning_class_args(ReconstructionTask, 'model')
    parser.link_arguments(
        'data.acquisition', 'model.acquisition', apply_on='instantiate'
    )
    made = parser.instantiate(
        parser.parse_object({k: content[k] for k in ('model', 'data')})
    )
    network = made.model.network
    # of a denoiser that minimises an energy, the energy is shipped
    network = getattr(network, 'energy', network)
    assert network.architecture == expected.architecture
    assert expected.value_range == script.MODELS[name].value_range


@pytest.mark.parametrize('kind', sorted(OF_KIND))
def test_twins_differ_in_their_blocks_alone(script, kind):
    """Equivariant and ordinary networks have the same data and settings."""
    twins = []
    arm = 'o' if kind.startswith('volume') else 'c4'
    for name in (f'{kind}_{arm}', f'{kind}_ordinary'):
        model = script.MODELS[name]
        own = yaml.safe_load(model.stages[0][0].read_text('utf-8'))
        block = own['model'].pop('proximal')
        energy = block['init_args'].get('energy', {})
        denoiser = energy.get('init_args', {}).get('denoiser', {})
        for part in (block, energy, denoiser):
            part.get('init_args', {}).pop('group', None)
        dual = own['model'].get('dual', {}).get('init_args', {})
        # ordinary data end with zeros, others with what is measured there
        ends = dual.pop('group', None), dual.pop('padding_mode', 'twisted')
        assert ends in ((None, 'twisted'), ('C4', 'twisted'), ('C1', 'zeros'))
        if kind == 'volume_denoiser':
            # at the rate of its twin, the equivariant one diverges
            own['model'].pop('learning_rate')
        start = own['model'].pop('pretrained', '')
        own_arm = name.rpartition('_')[2]
        assert start in (
            '',
            f'multiscale_denoiser_{own_arm}',
            f'volume_denoiser_{own_arm}',
        )
        twins.append((own, block['init_args']))
        twins[-1] += tuple(stage[1:] for stage in model.stages)
    assert twins[0] == twins[1]


@pytest.mark.parametrize(
    'name', [name for name in NAMES if name not in RESTARTED]
)
def test_rates_fall_over_the_shared_stages(script, name):
    """The files of these stages make one cosine, from rate 1 to rate 0."""
    model = script.MODELS[name]
    n_shared = model.n_shared or len(model.stages)
    stages, lengths = model.stages[:n_shared], model.lengths()[:n_shared]
    rates = []
    for files, length in zip(stages, lengths, strict=True):
        settings = {}
        for file in files:
            content = yaml.safe_load(file.read_text('utf-8'))
            settings.update(content.get('model', {}))
        task = ReconstructionTask.__new__(ReconstructionTask)
        torch.nn.Module.__init__(task)
        task.warm_up, task.schedule = settings['warm_up'], 'cosine'
        task.steps_before = settings.get('steps_before', 0)
        task.schedule_steps = settings.get('schedule_steps')
        rates += [task._relative_rate(step, length) for step in range(length)]
    n = sum(lengths)
    steps = torch.arange(n, dtype=torch.float64)
    expected = ((steps + 1) / 100).clamp_max(1)
    expected *= 0.5 * (1 + (torch.pi * steps / n).cos())
    torch.testing.assert_close(
        torch.tensor(rates, dtype=steps.dtype), expected
    )


@pytest.mark.parametrize('n_steps', [1, 2, 3, 7, 100, 3700, 10_000])
def test_steps_are_shared_among_the_stages(script, n_steps):
    """The stages together make the steps asked for, and at least one each."""
    for model in script.MODELS.values():
        lengths = model.lengths(n_steps)
        assert min(lengths) >= 1
        assert sum(lengths) == max(n_steps, len(model.stages))
    lengths = script.MODELS['sparse_view_ct_c4'].lengths(5700)
    assert lengths == [1500, 1600, 2600]


@pytest.mark.parametrize('name', ['sparse_view_ct_c4', 'cartesian_mri_c4'])
def test_the_stage_on_real_images_has_a_schedule_of_its_own(script, name):
    """Its files leave the steps before it out, and so does the script."""
    model = script.MODELS[name]
    assert len(model.stages) == model.n_shared + 1
    for files, last in ((model.stages[0], False), (model.stages[-1], True)):
        settings = {}
        for file in files:
            content = yaml.safe_load(file.read_text('utf-8'))
            settings.update(content['model'])
        assert ('schedule_steps' in settings) is not last


def test_mean_before_and_after_the_last_stage_is_saved(script, tmp_path):
    """Each weight is the mean of those of the last two stages."""
    name = 'sparse_view_ct_c4'
    assert script.main(command(name, tmp_path, 3)) == 0
    operator = SparseViewCT((24, 24), n_views=6).operator
    before, after, saved = (
        models.load(tmp_path / path, operator)
        for path in (
            f'{name}/stage_2/final.safetensors',
            f'{name}/stage_3/final.safetensors',
            f'{name}.safetensors',
        )
    )
    # a step is small beside the weights: its parts are compared
    whole, half = (
        torch.cat(
            [
                (end - start).double().flatten()
                for start, end in zip(
                    before.parameters(), network.parameters(), strict=True
                )
            ]
        )
        for network in (after, saved)
    )
    assert whole.norm() > 0
    assert (half - whole / 2).norm() < 0.01 * whole.norm()


def test_cards_name_all_acquisitions(script):
    """The intervals span the variants of all stages."""
    card = script.MODELS['sparse_view_ct_c4'].card()
    assert card.views == (24, 200)
    assert card.photons == (2e3, 1e5)
    assert card.geometry == 'parallel beams, fan beams'
    assert (192, 192) in card.shapes
    assert script.MODELS['cartesian_mri_c4'].card().acceleration == (2, 8)


def test_checkpoint_of_the_former_script_is_refused(script, tmp_path, capsys):
    """It is named, nothing is trained, and nothing is written."""
    old = tmp_path / 'denoiser_c4.checkpoint.safetensors'
    old.touch()
    assert script.main(command('denoiser_c4', tmp_path, 1)) == 1
    error = capsys.readouterr().err
    assert str(old) in error and 'choose another --output' in error
    folders = {tmp_path / name for name in ('images', 'volumes')}
    assert set(tmp_path.iterdir()) == {old, *folders}


def test_stage_without_checkpoints_is_refused(script, tmp_path, capsys):
    """The next stage never starts from new weights without a word."""
    arguments = command('sparse_view_ct_c4', tmp_path, 2)
    assert script.main(arguments) == 0
    (tmp_path / 'sparse_view_ct_c4.safetensors').unlink()
    folder = tmp_path / 'sparse_view_ct_c4' / 'stage_1'
    for path in (folder / 'checkpoints').iterdir():
        path.unlink()
    assert script.main(arguments) == 1
    assert f'{folder} has no checkpoints' in capsys.readouterr().err
    folders = {tmp_path / name for name in ('images', 'volumes')}
    assert set(tmp_path.iterdir()) == {folder.parent, *folders}


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['denoiser_c8'], "no model 'denoiser_c8'"),
        (['--steps', '0'], '--steps must be positive'),
        (['--output', 'a', 'denoiser_c4'], 'names come first'),
        (['--trainer.max_steps=5'], 'use --steps'),
        (['--trainer.default_root_dir', 'a'], 'use --output'),
        (['--model.pretrained=a.ckpt'], 'use --output'),
    ],
)
def test_wrong_arguments(script, capsys, arguments, message):
    """One message says what is wrong, before anything is made."""
    with pytest.raises(SystemExit) as error:
        script.main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_help(script, capsys):
    """The help names all models and options."""
    with pytest.raises(SystemExit) as error:
        script.main(['--help'])
    assert error.value.code == 0
    text = re.sub(r'\s+', ' ', capsys.readouterr().out)
    for word in (*NAMES, '--steps', '--output', 'odl-equivariant train'):
        assert word in text


def test_failure_is_the_status(script, tmp_path, capsys):
    """An error of the command ends the script, which names the model."""
    arguments = command('denoiser_c4', tmp_path, 2)
    assert script.main([*arguments, '--model.loss_floor=1.0']) == 1
    error = capsys.readouterr().err
    assert '`loss_floor` is for' in error
    assert 'denoiser_c4: not finished' in error
