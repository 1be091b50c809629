# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of a training run: what it leaves, and what stops it."""

import csv
import os
import re
import shutil
import socket

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from odl_equivariant import models
from odl_equivariant._folder_lock import FolderLock
from odl_equivariant.data import Phantoms, SparseViewCT
from odl_equivariant.elements import as_tensor, merge_complex
from odl_equivariant.nn import (
    LearnedHalfQuadraticSplitting,
    LearnedProximalGradient,
    MultiscaleDenoiser,
)
from odl_equivariant.training.cli import main
from odl_equivariant.training.runs import checkpoints


def rows(path):
    """Return the rows of a file of comma-separated values."""
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def assert_same_weights(one, other):
    """Compare two files of weights, to the last bit."""
    one, other = load_file(one), load_file(other)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture(scope='module')
def run_of(tmp_path_factory, configuration_text):
    """Return a function that makes the folder of a run, once for all tests."""
    folders = {}

    def train(n_steps):
        if n_steps not in folders:
            folder = tmp_path_factory.mktemp('trained')
            (folder / 'run.yaml').write_text(configuration_text, 'utf-8')
            options = ('--config', 'run.yaml', '--trainer.max_steps')
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                assert main(['train', *options, str(n_steps)]) == 0
            folders[n_steps] = folder / 'run'
        return folders[n_steps]

    return train


@pytest.fixture
def finished(tmp_path, run_of):
    """Let there be a run of one step in `run`."""
    shutil.copytree(run_of(1), tmp_path / 'run')


@pytest.fixture
def trained(tmp_path, run_of):
    """Let there be a run of all seven steps in `run`."""
    shutil.copytree(run_of(7), tmp_path / 'run')


def test_training_leaves_a_run(run, tmp_path):
    """Weights, checkpoints, logs and the configuration lie in its folder."""
    status, _, error = run('train', '--trainer.checkpoint_every', '2')
    assert status == 0, error
    folder = tmp_path / 'run'
    found = checkpoints.checkpoints(folder / 'checkpoints')
    kept = [path.name for path in found]
    assert kept == ['step-000000007.ckpt', 'step-000000006.ckpt']
    log = rows(folder / 'logs' / 'version_0' / 'metrics.csv')
    losses = [float(r['train/loss']) for r in log if r['train/loss']]
    scores = [float(r['validation/psnr']) for r in log if r['validation/psnr']]
    assert len(losses) == 7 and np.isfinite(losses).all()
    assert len(scores) == 2
    saved = yaml.safe_load((folder / 'config.yaml').read_text('utf-8'))
    assert saved['model']['learning_rate'] == 1e-3
    assert any((folder / 'tensorboard').rglob('events.*'))
    assert 'loss=' in error and 'PSNR=' in error and 'step/s' in error

    ct = SparseViewCT((24, 24), n_views=8)
    final = models.load(folder / 'final.safetensors', ct.operator)
    assert type(final) is LearnedProximalGradient
    best = models.load(folder / 'best.safetensors', ct.operator)
    assert any(
        not torch.equal(one, other)
        for one, other in zip(
            final.parameters(), best.parameters(), strict=True
        )
    )


def test_best_weights_are_those_of_the_best_score(run, tmp_path, trained):
    """The best weights have the best validation score in the log."""
    from odl_equivariant.data import SimulatedPairs
    from odl_equivariant.training import scores

    log = rows(tmp_path / 'run/logs/version_0/metrics.csv')
    logged = [float(r['validation/psnr']) for r in log if r['validation/psnr']]
    ct = SparseViewCT((24, 24), n_views=8)
    network = models.load(tmp_path / 'run/best.safetensors', ct.operator)
    pairs = SimulatedPairs(Phantoms(3, (48, 48), seed=1), ct, seed=1)
    with torch.no_grad():
        own = [
            float(scores(network(p['data'][None]), p['truth'][None])['psnr'])
            for p in (pairs[i] for i in range(3))
        ]
    assert np.mean(own) == pytest.approx(max(logged), abs=1e-3)


def test_finished_run_stays_as_it_is(run, tmp_path, caplog, trained):
    """A finished run makes no further step; with more steps it goes on."""
    caplog.set_level('INFO')
    before = (tmp_path / 'run/final.safetensors').read_bytes()
    assert run('train')[0] == 0
    assert 'the run is finished, at step 7' in caplog.text
    assert (tmp_path / 'run/final.safetensors').read_bytes() == before
    assert run('train', '--trainer.max_steps', '9')[0] == 0
    assert 'resuming from' in caplog.text
    last = checkpoints.last_whole(tmp_path / 'run/checkpoints')
    assert last.name == 'step-000000009.ckpt'


def test_torn_checkpoint_is_said_and_the_one_before_used(
    run, tmp_path, caplog
):
    """A torn checkpoint is named, and the one before it is used."""
    options = ('--trainer.checkpoint_every', '2')
    assert run('train', *options)[0] == 0
    expected = (tmp_path / 'run/final.safetensors').read_bytes()
    torn = tmp_path / 'run/checkpoints/step-000000007.ckpt'
    torn.write_bytes(torn.read_bytes()[:3000])
    assert run('train', *options)[0] == 0
    assert 'step-000000007.ckpt is damaged' in caplog.text
    assert (tmp_path / 'run/final.safetensors').read_bytes() == expected


def test_evaluation_table(run, tmp_path, trained):
    """The table has network and baseline; the file has each image."""
    status, table, _ = run('evaluate')
    assert status == 0
    lines = table.strip().splitlines()[-3:]
    assert lines[0].split() == ['method', 'images', 'PSNR', '(dB)', 'SSIM']
    assert [line.split()[:2] for line in lines[1:]] == [
        ['learned', '3'],
        ['FBP', '3'],
    ]
    own = rows(tmp_path / 'run' / 'scores.csv')
    assert len(own) == 6
    mean = np.mean([float(r['psnr']) for r in own if r['method'] == 'FBP'])
    assert float(lines[2].split()[2]) == pytest.approx(mean, abs=0.006)


def test_reconstruction_of_files(run, tmp_path, trained):
    """The written images are the network's reconstructions of the files."""
    ct = SparseViewCT((24, 24), n_views=8)
    data = [ct.simulate(Phantoms(3, (48, 48), 5)[i], rng=i) for i in range(3)]
    measured = tmp_path / 'measured'
    measured.mkdir()
    np.save(measured / 'one.npy', data[0].asarray())
    np.save(measured / 'volume.npy', np.stack([y.asarray() for y in data]))
    status, _, error = run(
        'reconstruct', '--input', 'measured', '--output', 'images'
    )
    assert status == 0, error
    assert sorted(os.listdir(tmp_path / 'images')) == [
        'one.npy',
        'one.png',
        'reconstruction.json',
        'volume-0.png',
        'volume-1.png',
        'volume-2.png',
        'volume.npy',
    ]
    network = models.load(tmp_path / 'run/best.safetensors', ct.operator)
    with torch.no_grad():
        expected = network(torch.cat([as_tensor(y) for y in data]))[:, 0]
    volume = np.load(tmp_path / 'images' / 'volume.npy')
    np.testing.assert_allclose(volume, expected, rtol=1e-4, atol=1e-5)
    one = np.load(tmp_path / 'images' / 'one.npy')
    np.testing.assert_allclose(one, volume[0], rtol=1e-4, atol=1e-5)


def test_reconstruction_of_the_test_pairs(run, tmp_path, trained):
    """Without files, the test pairs are reconstructed."""
    from odl_equivariant.data import SimulatedPairs

    assert run('reconstruct', '--output', 'images')[0] == 0
    ct = SparseViewCT((24, 24), n_views=8)
    pairs = SimulatedPairs(Phantoms(3, (48, 48), seed=2), ct, seed=2)
    network = models.load(tmp_path / 'run/best.safetensors', ct.operator)
    for i in range(3):
        with torch.no_grad():
            expected = network(pairs[i]['data'][None])[0, 0]
        result = np.load(tmp_path / 'images' / f'test-{i}.npy')
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_interrupted_reconstruction_goes_on(
    run, tmp_path, monkeypatch, finished
):
    """Finished images are not made again, and no file is torn."""
    from odl_equivariant.training.reconstruction.image_files import ImageFile

    data = np.random.default_rng(0).random((4, 8, 34), 'float32')
    np.save(tmp_path / 'y.npy', data)
    options = ['--input', 'y.npy', '--data.batch_size', '1']
    options += ['--weights', 'run/final.safetensors']
    assert run('reconstruct', *options, '--output', 'whole')[0] == 0
    append = ImageFile.append

    def stop(self, *args):
        if self.done == 2:
            raise OSError('the plug was pulled')
        return append(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, 'append', stop)
        assert run('reconstruct', *options, '--output', 'parts')[0] == 1
    assert not (tmp_path / 'parts' / 'y.npy').exists()
    made = []
    monkeypatch.setattr(
        ImageFile,
        'append',
        lambda self, *args: made.append(self.done) or append(self, *args),
    )
    assert run('reconstruct', *options, '--output', 'parts')[0] == 0
    assert made == [2, 3]
    assert sorted(os.listdir('parts')) == sorted(os.listdir('whole'))
    assert np.array_equal(np.load('parts/y.npy'), np.load('whole/y.npy'))
    assert run('reconstruct', *options, '--output', 'parts')[0] == 0
    assert made == [2, 3]


@pytest.mark.slow
def test_results_of_other_weights_are_not_mixed(run, tmp_path):
    """A folder holds the results of one network only."""
    np.save(tmp_path / 'y.npy', np.ones((8, 34), 'float32'))
    options = ('--input', 'y.npy', '--output', 'images', '--weights')
    assert run('train', '--trainer.max_steps', '3')[0] == 0
    assert run('reconstruct', *options, 'run/best.safetensors')[0] == 0
    assert run('train', '--trainer.max_steps', '5')[0] == 0
    status, _, error = run('reconstruct', *options, 'run/final.safetensors')
    assert status == 1
    assert 'holds results of another weights' in error


def test_images_of_other_data_are_not_kept(run, tmp_path, finished):
    """If data have changed, or lie in the output folder, it is an error."""
    rng = np.random.default_rng(0)
    (tmp_path / 'in').mkdir()
    np.save(tmp_path / 'in' / 'y.npy', rng.random((8, 34), 'float32'))
    options = ('--weights', 'run/final.safetensors', '--input', 'in')
    assert run('reconstruct', *options, '--output', 'out')[0] == 0
    before = (tmp_path / 'out' / 'y.npy').read_bytes()
    np.save(tmp_path / 'in' / 'y.npy', rng.random((8, 34), 'float32'))
    status, _, error = run('reconstruct', *options, '--output', 'out')
    assert status == 1 and 'out/y.npy was made from other data' in error
    assert (tmp_path / 'out' / 'y.npy').read_bytes() == before
    status, _, error = run('reconstruct', *options, '--output', 'in')
    assert status == 1 and 'is the folder of the data' in error
    assert os.listdir(tmp_path / 'in') == ['y.npy']


@pytest.mark.parametrize('group', ['C4', 'null'])
def test_networks_of_several_scales(run, configuration, tmp_path, group):
    """A block and a denoiser of several scales are trained and loaded."""
    text = configuration.read_text('utf-8')
    text = text.replace(
        'nn.EquivariantProximal\n'
        '    init_args: {channels: 8, group: C4, memory: 2, skip: true}',
        'nn.MultiscaleProximal\n'
        f'    init_args: {{channels: 4, group: {group}, n_scales: 2}}',
    )
    configuration.write_text(text, 'utf-8')
    status, _, error = run('train', '--trainer.max_steps', '1')
    assert status == 0, error

    text = text.replace('Proximal\n', 'Denoiser\n').replace(
        'data.SparseViewCT\n    init_args: {shape: [24, 24], n_views: 8}',
        'data.Denoising\n    init_args: {shape: [24, 24], sigma: 0.1}',
    )
    text = text.replace('  n_iterations: 2\n  initial: fbp\n', '')
    text = text.replace('default_root_dir: run', 'default_root_dir: other')
    configuration.write_text(text, 'utf-8')
    status, _, error = run('train', '--trainer.max_steps', '1')
    assert status == 0, error
    denoiser = models.load(tmp_path / 'other' / 'final.safetensors')
    assert denoiser.group == (None if group == 'null' else group)


GRADIENT_STEP = """nn.GradientStepDenoiser
    init_args:
      energy:
        class_path: odl_equivariant.nn.GradientStepEnergy
        init_args:
          denoiser:
            class_path: odl_equivariant.nn.MultiscaleDenoiser
            init_args: {channels: 4, n_scales: 2, activation: softplus}"""
RIDGE = """nn.EnergyDenoiser
    init_args:
      tolerance: 0.1
      energy:
        class_path: odl_equivariant.nn.RidgeEnergy
        init_args: {group: C4, kernel_size: 5, n_filters: 4, convex: true}"""


@pytest.mark.parametrize('resumed', [False, True])
@pytest.mark.parametrize(
    'block, inner',
    [(GRADIENT_STEP, 'MultiscaleDenoiser'), (RIDGE, None)],
    ids=['gradient_step', 'ridge'],
)
def test_energies(run, configuration, tmp_path, block, inner, resumed):
    """A denoiser of an energy is trained, validated, resumed and loaded."""
    text = configuration.read_text('utf-8')
    text = text.replace(
        'nn.EquivariantProximal\n'
        '    init_args: {channels: 8, group: C4, memory: 2, skip: true}',
        block,
    ).replace(
        'data.SparseViewCT\n    init_args: {shape: [24, 24], n_views: 8}',
        'data.Denoising\n    init_args: {shape: [24, 24], sigma: 0.1}',
    )
    text = text.replace('  n_iterations: 2\n  initial: fbp\n', '')
    configuration.write_text(text, 'utf-8')
    for n in range(1, 3 if resumed else 2):
        status, _, error = run('train', '--trainer.max_steps', str(n))
        assert status == 0, error
    denoiser = models.load(tmp_path / 'run' / 'final.safetensors')
    assert block.startswith(f'nn.{type(denoiser).__name__}\n')
    energy = denoiser.energy.architecture
    assert f'odl_equivariant.nn.{energy["class"]}\n' in block
    assert energy.get('denoiser', {}).get('class') == inner
    assert denoiser.value_range is None


@pytest.mark.parametrize('resumed', [False, True])
def test_half_quadratic_splitting(run, configuration, tmp_path, resumed):
    """It is trained from a denoiser, resumed, evaluated and loaded."""
    block = MultiscaleDenoiser('C4', 1, 4, n_scales=1)
    models.save(block, tmp_path / 'denoiser.safetensors')
    text = configuration.read_text('utf-8')
    text = text.replace(
        'nn.EquivariantProximal\n'
        '    init_args: {channels: 8, group: C4, memory: 2, skip: true}',
        'nn.MultiscaleDenoiser\n'
        '    init_args: {group: C4, channels: 4, n_scales: 1}\n'
        '  method: half_quadratic_splitting\n'
        '  inner_iterations: 2\n'
        '  relative_steps: [5, 50]\n'
        '  pretrained: denoiser.safetensors',
    )
    configuration.write_text(text, 'utf-8')
    for n in range(1, 3 if resumed else 2):
        status, _, error = run('train', '--trainer.max_steps', str(n))
        assert status == 0, error
    operator = SparseViewCT((24, 24), n_views=8).operator
    network = models.load(tmp_path / 'run' / 'final.safetensors', operator)
    assert type(network) is LearnedHalfQuadraticSplitting
    assert network.inner_iterations == 2 and len(network.blocks) == 2
    assert network.relative_steps.tolist() == pytest.approx([5, 50], rel=0.01)
    status, _, error = run('evaluate', '--weights', 'run/final.safetensors')
    assert status == 0, error


@pytest.mark.slow
def test_shipped_weights_by_name(run, configuration):
    """`--weights` takes the names of `models.load`."""
    text = configuration.read_text('utf-8')
    block = '{channels: 8, group: C4, memory: 2, skip: true}'
    text = text.replace(block, '{channels: 48, skip: true}')
    text = text.replace('n_iterations: 2', 'n_iterations: 8')
    configuration.write_text(text, 'utf-8')
    options = ('--weights', 'sparse_view_ct_c4', '--output', 'images')
    status, _, error = run('reconstruct', *options)
    assert status == 0, error
    status, _, error = run('evaluate', '--weights', 'nonsense')
    assert status == 1 and "unknown model 'nonsense'" in error


@pytest.mark.slow
@pytest.mark.parametrize('coils', [False, True])
def test_measurements_with_masks(run, configuration, tmp_path, coils):
    """If each image has its own mask, it is a file beside the data."""
    from odl_equivariant.data import CartesianMRI

    text = configuration.read_text('utf-8')
    maps = [np.ones((24, 24)).tolist(), (0.5 * np.eye(24)).tolist()]
    old = re.search(r'    class_path: .*SparseViewCT.*\n.*\n', text)[0]
    new = (
        '    class_path: odl_equivariant.data.CartesianMRI\n'
        '    init_args: {shape: [24, 24], acceleration: 2, '
        f'random_masks: true, coil_maps: {maps if coils else "null"}}}\n'
    )
    text = text.replace(old, new).replace('initial: fbp', 'initial: adjoint')
    text = text.replace('{channels: 8,', '{in_channels: 2, channels: 8,')
    text = text.replace('[48, 48]', '[24, 24]').replace(
        'init_args: {n:',
        'init_args: {draw: odl_equivariant.data.mr_phantom, n:',
    )
    configuration.write_text(text, 'utf-8')
    status, _, error = run('train', '--trainer.max_steps', '3')
    assert status == 0, error
    status, table, error = run('evaluate')
    assert status == 0 and 'zero-filled' in table, error

    mri = CartesianMRI(
        (24, 24),
        acceleration=2,
        random_masks=True,
        coil_maps=np.array(maps) if coils else None,
    )
    mask = mri.draw_mask(7)
    image = Phantoms(1, (24, 24))[0]
    data = as_tensor(mri.simulate(image, 0, mask))
    stored = merge_complex(data)[0]
    np.save(tmp_path / 'y.npy', stored if coils else stored[0])
    options = ('--input', 'y.npy', '--output', 'images')
    status, _, error = run('reconstruct', *options)
    assert status == 1 and 'y.mask.npy' in error
    np.save(tmp_path / 'y.mask.npy', mask.array)
    status, _, error = run('reconstruct', *options)
    assert status == 0, error
    network = models.load('run/best.safetensors', mri.operator)
    with torch.no_grad():
        expected = network(data, mri.forward_operator(mask))
    result = np.load('images/y.npy')
    assert result.dtype == np.complex64
    np.testing.assert_allclose(
        result, merge_complex(expected)[0, 0], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize('precision', ['auto', 'bf16-mixed', '64-true'])
def test_precisions(run, tmp_path, precision):
    """Weights are stored in the precision of the spaces."""
    status, _, error = run('train', '--trainer.precision', precision)
    if precision == '64-true':
        assert status == 1
        assert 'odl-equivariant: error' in error
        return
    assert status == 0, error
    weights = load_file(tmp_path / 'run' / 'final.safetensors')
    assert {w.dtype for n, w in weights.items() if 'basis' not in n} <= {
        torch.float32,
        torch.float64,
    }


@pytest.mark.parametrize(
    'precision', ['bf16-mixed', '16-mixed', 'bf16-true', '16-true']
)
def test_precisions_that_would_be_emulated(run, precision, monkeypatch):
    """Precisions that the processor lacks are refused at once."""
    variable = 'ODL_EQUIVARIANT_ALLOW_EMULATION'
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(
        torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2'
    )
    status, _, error = run('train', '--trainer.precision', precision)
    assert status == 1
    assert 'no arithmetic in' in error and f'{variable}=1' in error
    assert not os.path.exists('run')


@pytest.mark.slow
def test_saved_configuration_is_one_for_every_command(run, tmp_path, trained):
    """The saved configuration works for training and evaluation."""
    saved = ('--config', str(tmp_path / 'run' / 'config.yaml'))
    assert run('evaluate', *saved)[0] == 0
    assert run('train', *saved, '--trainer.default_root_dir', 'again')[0] == 0
    assert_same_weights('run/final.safetensors', 'again/final.safetensors')


@pytest.mark.slow
def test_accumulated_gradients_are_those_of_a_larger_batch(run, tmp_path):
    """Two accumulated batches of 2 are a batch of 4."""
    two = ('--trainer.accumulate_grad_batches', '2')
    four = ('--data.batch_size', '4', '--trainer.default_root_dir', 'four')
    options = ('--trainer.checkpoint_every', '2')
    assert run('train', *options, *two)[0] == 0
    assert run('train', *options, *four)[0] == 0
    one, other = (
        load_file(tmp_path / folder / 'final.safetensors')
        for folder in ('run', 'four')
    )
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-5)
    scores = [
        [
            float(row['validation/psnr'])
            for row in rows(tmp_path / folder / 'logs/version_0/metrics.csv')
            if row['validation/psnr']
        ]
        for folder in ('run', 'four')
    ]
    assert len(scores[0]) == 2
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    # a run that goes on from a checkpoint of accumulated steps
    assert run('train', *two, '--trainer.max_steps', '9')[0] == 0
    last = checkpoints.last_whole(tmp_path / 'run' / 'checkpoints')
    assert last.name == 'step-000000009.ckpt'


def test_early_stop(run, configuration, tmp_path):
    """If Lightning's callback ends a run, its weights are written."""
    text = configuration.read_text('utf-8')
    stop = (
        '  callbacks:\n'
        '  - class_path: lightning.pytorch.callbacks.EarlyStopping\n'
        '    init_args: {monitor: validation/psnr, mode: max, patience: 1, '
        'min_delta: 100}\n'
    )
    configuration.write_text(text.replace('model:', stop + 'model:', 1))
    status, _, error = run('train', '--trainer.max_steps', '100')
    assert status == 0, error
    last = checkpoints.last_whole(tmp_path / 'run' / 'checkpoints')
    assert last.name == 'step-000000006.ckpt'
    final = (tmp_path / 'run' / 'final.safetensors').read_bytes()
    # and the command is the same when given again
    assert run('train', '--trainer.max_steps', '100')[0] == 0
    assert (tmp_path / 'run' / 'final.safetensors').read_bytes() == final


# --- Bad input --- #


def test_unknown_key(run, configuration, capsys):
    """An unknown key is named, with exit status 2."""
    text = configuration.read_text('utf-8')
    configuration.write_text(text.replace('schedule:', 'shedule:'), 'utf-8')
    with pytest.raises(SystemExit) as ended:
        run('train')
    assert ended.value.code == 2
    assert 'model.shedule' in capsys.readouterr().err
    assert not (configuration.parent / 'run').exists()


@pytest.mark.parametrize(
    'options, message',
    [
        (
            ['--model.proximal.init_args.channels', '9'],
            'the order 4 of the group C4 must divide `channels`, got 9',
        ),
        (
            ['--model.proximal.init_args.in_channels', '2'],
            'the proximal was made with in_channels=2',
        ),
        (
            ['--data.train.init_args.shape', '[40, 44]'],
            r'got \(40, 44\).*pair \d, phantom-\d',
        ),
        (['--model.loss', 'mse'], "`loss` must be one of 'squared'"),
        (['--model.schedule', 'none'], '`schedule` must be one of'),
        (
            ['--model.learning_rate', '-1'],
            '`learning_rate` must be .* positive',
        ),
        (['--data.batch_size', '0'], 'batch_size` must be a positive whole'),
        (['--data.n_train', '6'], '`data.n_train` is 6.*only 5 training'),
        (['--trainer.max_steps', '0'], 'max_steps` must be a positive'),
        (['--trainer.val_check_interval', '0'], 'val_check_interval` must'),
        pytest.param(
            ['--trainer.accelerator', 'gpu'],
            'gpu|cuda|CUDA|GPU',
            marks=pytest.mark.skipif(
                torch.cuda.is_available(), reason='there is a GPU'
            ),
        ),
        (['--trainer.checkpoint_every', '0'], 'checkpoint_every` must be a'),
        (['--data.validation', 'null'], 'no data for `validation`'),
        (
            ['--data.train', 'odl_equivariant.data.DicomSlices']
            + ['--data.train.init_args.folder', 'nowhere'],
            'nowhere',
        ),
        (['--model.pretrained', 'x.safetensors'], 'no file x.safetensors'),
    ],
)
def test_bad_configuration(run, tmp_path, options, message):
    """There is one message, exit status 1, and no weights."""
    status, _, error = run('train', *options)
    assert status == 1
    (line,) = [
        line
        for line in error.splitlines()
        if line.startswith('odl-equivariant: error: ')
    ]
    assert re.search(message, line), line
    assert 'Traceback' not in error
    assert not list(tmp_path.rglob('*.safetensors'))


def test_loss_that_is_not_finite(run, tmp_path):
    """The run stops, names the samples and keeps the last good checkpoint."""
    assert run('train', '--trainer.max_steps', '2')[0] == 0
    status, _, error = run(
        'train', '--model.learning_rate', '1e30',
        '--trainer.checkpoint_every', '1',
        '--trainer.default_root_dir', 'other',
        '--trainer.gradient_clip_val', 'null',
    )  # fmt: skip
    assert status == 1
    assert re.search(
        r'the loss is (nan|inf) for phantom-\d, phantom-\d at step \d', error
    )
    last = checkpoints.last_whole(tmp_path / 'other/checkpoints')
    state = checkpoints.CheckpointFiles().load_checkpoint(last)
    for name, tensor in state['state_dict'].items():
        assert tensor.isfinite().all(), name


def test_folder_of_another_run(run, tmp_path, trained):
    """A run does not continue with another configuration."""
    before = (tmp_path / 'run/config.yaml').read_bytes()
    status, _, error = run('train', '--data.batch_size', '1')
    assert status == 1
    assert 'another configuration, data.batch_size: 2 instead of 1' in error
    status, _, error = run('train', '--trainer.resume', 'false')
    assert status == 1
    assert 'the folder run holds a run' in error
    assert (tmp_path / 'run/config.yaml').read_bytes() == before


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'[]',
        b'3',
        b'model: 3',
        b'model: {}\ndata: {}\n',
        b'trainer: {}\nmodel: {}\ndata: [1]',
        b'\x00\xff\xfe binary',
        b'trainer: {',
        b'trainer: {}\nmodel: {? [1, 2] : 3}\ndata: {}\n',
        b'[' * 5000,
        None,
    ],
)
def test_damaged_configuration_of_a_run(run, tmp_path, finished, content):
    """The error names the file, and nothing is written."""
    path = tmp_path / 'run' / 'config.yaml'
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    before = sorted(tmp_path.rglob('*'))
    status, _, error = run('train', '--trainer.max_steps', '2')
    assert status == 1
    assert 'error: run/config.yaml is ' in error
    assert sorted(tmp_path.rglob('*')) == before
    if content is not None:
        path.unlink()
        assert run('train', '--trainer.max_steps', '2')[0] == 0


@pytest.mark.parametrize(
    'options, message',
    [
        (['--seed_everything', '2'], "seed_everything: '1' instead of '2'"),
        (
            ['--data.acquisition.init_args.n_views', '9'],
            'acquisition: .*n_views=8.*instead of .*n_views=9',
        ),
        (
            ['--data.train.init_args.seed', '5'],
            'data.train.init_args.seed: 0 instead of 5',
        ),
    ],
)
@pytest.mark.parametrize('max_steps', ['1', '2'])
def test_checkpoints_are_bound_to_their_run(
    run, tmp_path, finished, options, message, max_steps
):
    """A checkpoint of another configuration is refused."""
    (tmp_path / 'run' / 'config.yaml').unlink()
    options = [*options, '--trainer.max_steps', max_steps]
    status, _, error = run('train', *options)
    assert status == 1
    assert re.search(
        'step-000000001.ckpt holds a run of another configuration, .*'
        f'{message}',
        error,
    )
    assert not (tmp_path / 'run' / 'config.yaml').exists()


@pytest.mark.slow
def test_what_may_change_when_a_run_goes_on(run, tmp_path, finished):
    """Test data, intervals and display do not change the weights."""
    changed = (
        '--data.test.init_args.n', '1',
        '--data.validation.init_args.n', '2',
        '--data.evaluation_augmentation.flip', 'true',
        '--data.workers', '1',
        '--model.checkpointing', 'true',
        '--trainer.val_check_interval', '1',
        '--trainer.checkpoint_every', '1',
        '--trainer.log_every_n_steps', '2',
        '--trainer.enable_progress_bar', 'false',
    )  # fmt: skip
    options = ('--trainer.max_steps', '2')
    assert run('train', *options, *changed)[0] == 0
    whole = ('--trainer.default_root_dir', 'whole')
    # the rate of the first step depends on the length of the run
    for n_steps in '12':
        assert run('train', *whole, '--trainer.max_steps', n_steps)[0] == 0
    assert_same_weights('run/final.safetensors', 'whole/final.safetensors')


@pytest.mark.slow
def test_folder_in_use(run, tmp_path, finished):
    """A second command is refused, names the first, and writes nothing."""
    before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    message = f'process {os.getpid()} on {socket.gethostname()}, which has'
    weights = ('--weights', 'run/final.safetensors')
    for command, options, folder, name in (
        ('train', (), 'run', '.lock'),
        ('evaluate', weights, 'run', '.evaluation.lock'),
        ('reconstruct', (*weights, '--output', 'images'), 'images', '.lock'),
    ):
        with FolderLock(folder, 'busy', 'wait', name):
            status, _, error = run(command, *options)
        assert status == 1
        assert f'the folder {folder} is in use by this very {message}' in error
    for path in tmp_path.rglob('*'):
        assert path.is_dir() or before.pop(path) == path.read_bytes()
    assert not before
    with FolderLock('run', 'training', 'wait'):
        assert run('evaluate', *weights)[0] == 0


def test_blank_test_image(run, configuration, tmp_path, finished):
    """A blank image is not in the means of the table, but counted."""
    volume = np.stack([Phantoms(2, (48, 48))[i] for i in (0, 1)])
    np.save(tmp_path / 'test.npy', np.concatenate([volume, 0 * volume[:1]]))
    status, table, error = run(
        'evaluate', '--weights', 'run/final.safetensors',
        '--data.test', 'odl_equivariant.data.NumpySlices',
        '--data.test.init_args.folder', 'test.npy',
    )  # fmt: skip
    assert status == 0, error
    *_, learned, baseline, left_out = table.strip().splitlines()
    assert learned.split()[:2] == ['learned', '2']
    assert baseline.split()[:2] == ['FBP', '2']
    assert left_out.endswith('constant: 1, test.npy#2')
    scored = rows(tmp_path / 'run' / 'scores.csv')
    assert [row['blank'] for row in scored] == ['0'] * 4 + ['1'] * 2
    assert [row['psnr'] == 'nan' for row in scored] == 4 * [False] + 2 * [True]
    mean = np.mean([float(r['psnr']) for r in scored[:4:2]])
    assert float(learned.split()[2]) == pytest.approx(mean, abs=0.006)
    assert 'nan' not in table


@pytest.mark.parametrize(
    'content', ['[]', '3', '{}', '{"settings": 3}', '{"settings": {}', '\0']
)
def test_damaged_manifest(run, tmp_path, finished, content):
    """If the list of results is damaged, the error names it."""
    (tmp_path / 'images').mkdir()
    path = tmp_path / 'images' / 'reconstruction.json'
    path.write_text(content, 'utf-8')
    status, _, error = run(
        'reconstruct', '--output', 'images',
        '--weights', 'run/final.safetensors',
    )  # fmt: skip
    assert status == 1
    assert 'error: images/reconstruction.json is damaged' in error
    assert path.read_text('utf-8') == content


def test_checkpoint_of_another_architecture(run, tmp_path, trained):
    """The error names the arguments that differ."""
    (tmp_path / 'run' / 'config.yaml').unlink()
    options = ('--model.proximal.init_args.channels', '12')
    status, _, error = run('train', '--trainer.max_steps', '9', *options)
    assert status == 1
    assert 'the checkpoint is of another architecture' in error
    assert 'channels is 8, not 12' in error
    status, _, error = run('evaluate', *options)
    assert status == 1
    assert 'channels is 8, not 12' in error


def test_evaluation_without_weights(run):
    """The error says to train first."""
    status, _, error = run('evaluate')
    assert status == 1
    assert 'no weights run/best.safetensors: train first' in error


@pytest.mark.parametrize(
    'content, message',
    [
        (np.ones((8, 30), 'float32'), r'have the shape \(8, 30\)'),
        (np.ones((8, 34), 'int16'), 'of dtype int16'),
        (np.full((8, 34), np.nan, 'float32'), 'infinite or not a number'),
        (b'no array', 'cannot be read'),
        (None, 'no file or folder'),
    ],
)
@pytest.mark.slow
def test_measurements_that_do_not_fit(
    run, tmp_path, content, message, finished
):
    """The error names the file, before any result is written."""
    path = tmp_path / 'y.npy'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    status, _, error = run(
        'reconstruct', '--input', 'y.npy', '--output', 'images',
        '--weights', 'run/final.safetensors',
    )  # fmt: skip
    assert status == 1
    assert message.replace('\\', '') in error.replace('\\', '')
    assert 'y.npy' in error
    assert not list(tmp_path.glob('images/*.npy'))


@pytest.mark.parametrize('config', [['--config'], ['-c'], []])
def test_options_override_configurations_in_any_order(
    configuration, tmp_path, config
):
    """Options before the configuration are used, too."""
    value = [*config, str(configuration)]
    if not config:
        value = [f'--config={configuration}']
    status = main(['train', '--trainer.max_steps', '1', *value])
    assert status == 0
    saved = yaml.safe_load((tmp_path / 'run/config.yaml').read_text('utf-8'))
    assert saved['trainer']['max_steps'] == 1


def test_final_weights_alone_are_a_run(run, tmp_path, finished):
    """A run without checkpoints is recognised by its final weights."""
    shutil.rmtree(tmp_path / 'run/checkpoints')
    assert not (tmp_path / 'run/best.safetensors').exists()
    before = (tmp_path / 'run/final.safetensors').read_bytes()
    for steps in ('1', '2'):
        status, _, error = run(
            'train', '--seed_everything', '3', '--trainer.max_steps', steps
        )
        assert status == 1
        assert 'seed_everything: 1 instead of 3' in error
    assert (tmp_path / 'run/final.safetensors').read_bytes() == before


@pytest.mark.parametrize(
    'content',
    [
        '{"step": 1e400, "max_steps": 1}',
        '{"step": 1, "max_steps": Infinity}',
        '[' * 100_000,
    ],
    ids=['large', 'infinite', 'nested'],
)
def test_damaged_note_of_the_end(run, tmp_path, finished, content):
    """A damaged `finished.json` is written anew."""
    note = tmp_path / 'run/finished.json'
    before = note.read_text('utf-8')
    note.write_text(content, 'utf-8')
    status, _, error = run('train', '--trainer.max_steps', '1')
    assert status == 0, error
    assert note.read_text('utf-8') == before
