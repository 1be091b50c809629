# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The configurations among the examples."""

import json
import pathlib
import re
from functools import partial

import numpy as np
import pytest
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from odl_equivariant import models
from odl_equivariant.data import (
    CartesianMRI,
    MeasuredCT,
    Phantoms,
    mr_phantom,
    simulated_coil_maps,
)
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.training import ReconstructionData, ReconstructionTask
from odl_equivariant.training.cli import main

CONFIGURATIONS = sorted(
    pathlib.Path(__file__).parents[2].glob('examples/configs/*.yaml')
)
each = pytest.mark.parametrize(
    'path', CONFIGURATIONS, ids=lambda path: path.stem
)


def parsed(path):
    """Return network and data of a configuration, not yet made."""
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(ReconstructionData, 'data')
    parser.add_lightning_class_args(ReconstructionTask, 'model')
    parser.link_arguments(
        'data.acquisition', 'model.acquisition', apply_on='instantiate'
    )
    content = yaml.safe_load(path.read_text('utf-8'))
    content = {key: content[key] for key in ('model', 'data')}
    return parser, parser.parse_object(content)


def test_there_are_configurations():
    """The paper's, one of five minutes for each, and for own files."""
    assert [path.stem for path in CONFIGURATIONS] == [
        'ct_paper',
        'ct_small',
        'mri_paper',
        'mri_small',
        'own_dicom',
        'own_kspace',
        'own_nifti',
        'own_sinograms',
    ]


@pytest.mark.parametrize('stage', [1, 2])
def test_arms_of_learned_primal_dual(stage, tmp_path):
    """They differ in their blocks alone, and take all variants of the data."""
    folder = CONFIGURATIONS[0].parent / 'shipped'
    stage = folder / f'primal_dual_ct_stage_{stage}.yaml'
    data = yaml.safe_load(stage.read_text())
    arms = []
    for kind in ('c4', 'ordinary'):
        arm = folder / f'primal_dual_ct_{kind}.yaml'
        arm = yaml.safe_load(arm.read_text())
        path = tmp_path / 'both.yaml'
        both = {**data, 'model': {**arm['model'], **data['model']}}
        # the images that are not there
        both['data'] = {
            key: value
            for key, value in data['data'].items()
            if key not in ('train', 'validation', 'augmentation')
        }
        path.write_text(yaml.safe_dump(both), 'utf-8')
        parser, configuration = parsed(path)
        acquisition = configuration.data.acquisition.init_args
        acquisition.shape = (16, 16)
        made = parser.instantiate(configuration)
        network, own = made.model.network, made.data.acquisition
        for variant in data['data']['variants']:
            small = {'shape': (16, 16), 'n_detectors': None}
            network.with_operator(
                own.with_settings(**{**variant, **small}).operator
            )
        blocks = [arm['model'].pop(name) for name in ('proximal', 'dual')]
        arms.append((arm, [b['init_args']['channels'] for b in blocks]))
    assert arms[0] == arms[1]


@pytest.mark.parametrize('kind', ['ct', 'mri'])
def test_settings_of_the_paper(kind):
    """The number of weights is the published one, and the acquisition too."""
    (path,) = [p for p in CONFIGURATIONS if p.stem == f'{kind}_paper']
    parser, configuration = parsed(path)
    # the network does not depend on the grid
    shape = configuration.data.acquisition.init_args
    assert shape.shape == {'ct': (512, 512), 'mri': (320, 320)}[kind]
    shape.shape = (32, 32)
    if kind == 'ct':
        assert shape.n_detectors == 725 and shape.n_views == 50
    made = parser.instantiate(configuration)
    n = sum(p.numel() for p in made.model.network.blocks.parameters())
    assert n == {'ct': 126_000, 'mri': 129_464}[kind]
    assert made.data.batch_size == 1
    assert made.model.learning_rate == 1e-4
    trainer = yaml.safe_load(path.read_text('utf-8'))['trainer']
    assert trainer['max_steps'] == 100_000


@pytest.mark.parametrize('kind', ['ct', 'mri'])
def test_data_of_the_paper_are_missing(kind, capsys):
    """Without the collection, one message says which folder is not there."""
    (path,) = [p for p in CONFIGURATIONS if p.stem == f'{kind}_paper']
    option = '--data.acquisition.init_args.shape=[32,32]'
    status = main(['train', '--config', str(path), option])
    assert status == 1
    error = capsys.readouterr().err
    assert re.search(r'error: .*data/(LIDC-IDRI|fastmri_brain_dicom)', error)
    assert 'Traceback' not in error


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['ct', 'mri'])
def test_five_minutes(kind, capsys, tmp_path):
    """The small configurations train, and are scored beside the baseline."""
    (path,) = [p for p in CONFIGURATIONS if p.stem == f'{kind}_small']
    options = ['--config', str(path), '--data.test.init_args.n=2']
    options += ['--trainer.max_steps=30', '--trainer.val_check_interval=15']
    options += ['--data.validation.init_args.n=2', '--model.warm_up=5']
    if kind == 'ct':  # of the same kind, on a quarter of the pixels
        options += ['--data.acquisition.init_args.shape=[64,64]']
        options += [
            f'--data.{part}.init_args.shape=[128,128]'
            for part in ('train', 'validation', 'test')
        ]
    assert main(['train', *options]) == 0, capsys.readouterr().err
    assert main(['evaluate', *options]) == 0
    lines = capsys.readouterr().out.strip().splitlines()[-2:]
    assert lines[0].startswith('learned')
    learned, baseline = (
        float(re.search(r'([\d.]+) \+- ', line)[1]) for line in lines
    )
    assert learned > baseline + 0.5


def own_files(kind, folder, write_dicom):
    """Write volumes of five patients with oblong pixels."""
    for k in range(5):
        tissue = Phantoms(1, (40, 60), seed=k)[0] - 0.5
        if kind == 'dicom':
            for i in range(2):
                write_dicom(
                    folder / f'{k}/{i}.dcm',
                    (1000 * tissue[:, ::-1].T).astype('int16'),
                    PatientID=f'patient-{k}',
                    SeriesInstanceUID=f'1.{k}',
                    InstanceNumber=i,
                    RescaleIntercept=0,
                    PixelSpacing=[4, 6],
                    ImageType=['ORIGINAL', 'PRIMARY', 'AXIAL'],
                )
        else:
            nibabel = pytest.importorskip('nibabel')
            volume = np.repeat(tissue[..., None], 2, -1) * 300 + 150
            image = nibabel.Nifti1Image(volume, np.diag([3, 2, 5, 1]))
            folder.mkdir(exist_ok=True)
            nibabel.save(image, folder / f'sub-0{k}_T1w.nii.gz')


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['dicom', 'nifti'])
def test_own_files(kind, capsys, tmp_path, write_dicom):
    """The configurations for own files train on files, and score patients."""
    own_files(kind, tmp_path / 'own', write_dicom)
    (path,) = [p for p in CONFIGURATIONS if p.stem == f'own_{kind}']
    name = yaml.safe_load(path.read_text('utf-8'))['data']['images']
    assert not pathlib.Path(name['init_args']['folder']).is_absolute()
    options = ['--config', str(path)]
    options += [f'--data.images.init_args.folder={tmp_path / "own"}']
    options += [f'--trainer.default_root_dir={tmp_path / "run"}']
    options += ['--trainer.max_steps=2', '--trainer.val_check_interval=2']
    options += ['--model.proximal.init_args.channels=8', '--model.warm_up=1']
    options += ['--model.n_iterations=1', '--trainer.accelerator=cpu']
    options += ['--data.sizes={train: 0.4, validation: 0.2, test: 0.4}']
    if kind == 'dicom':  # the same field of view, with fewer pixels
        options += ['--data.acquisition.init_args.shape=[32,32]']
        options += ['--data.images.init_args.shape=[64,64]']
        options += ['--data.images.init_args.spacing=5.6']
    else:
        options += ['--data.acquisition.init_args.shape=[64,64]']
        options += ['--data.images.init_args.shape=[64,64]']
    assert main(['train', *options]) == 0, capsys.readouterr().err
    assert main(['evaluate', *options]) == 0, capsys.readouterr().err
    table = capsys.readouterr().out
    assert re.search(r'^(patient-|sub-0)\d +learned +2 ', table, re.M)
    assert re.search(r'^2 patients +learned +4 ', table, re.M)


def write_scan(kind, folder):
    """Write one scan, and a small network to begin with; return options."""
    block = partial(EquivariantProximal, channels=8, memory=2, skip=True)
    if kind == 'sinograms':
        geometry = {
            'kind': 'parallel',
            'n_detectors': 34,
            'detector_width': 1.0,
            'angle_unit': 'degrees',
            'angles': {'first': 0, 'step': 12, 'n': 15},
        }
        space = {'shape': [24, 24], 'cell': 1.0}
        acquisition = MeasuredCT(geometry, space, 'mm')
        image = 0.02 * Phantoms(1, (48, 48))[0]
        data = acquisition.simulate(image, rng=0).asarray()
        network = LearnedProximalGradient(
            acquisition.operator, partial(block, 1), 2, 'fbp'
        )
        own = {'geometry': json.dumps(geometry), 'space': json.dumps(space)}
    else:
        images = simulated_coil_maps((32, 32), 4, rng=0)
        images = images * mr_phantom((32, 32), rng=0)
        data = np.fft.fftshift(
            np.fft.fft2(np.fft.ifftshift(images, (1, 2))), (1, 2)
        )
        lines = (np.arange(32) % 2 == 0) | (abs(np.arange(32) - 16) < 7)
        data = data * lines
        acquisition = CartesianMRI((32, 32), n_coils=4)
        network = LearnedProximalGradient(
            acquisition.operator, partial(block, 2), 2, 'adjoint'
        )
        own = {'shape': '[32,32]', 'n_coils': 4}
    folder.mkdir()
    np.save(folder / 'scan.npy', data)
    models.save(network, folder.parent / 'small.safetensors')
    return [f'--data.acquisition.init_args.{k}={v}' for k, v in own.items()]


@pytest.mark.parametrize('kind', ['sinograms', 'kspace'])
def test_own_scan_without_truth(kind, capsys, tmp_path):
    """One scan fine-tunes a network; held-out data choose the best one."""
    options = write_scan(kind, tmp_path / 'own')
    (path,) = [p for p in CONFIGURATIONS if p.stem == f'own_{kind}']
    options += ['--config', str(path)]
    for part in ('train', 'validation'):
        options += [f'--data.{part}.init_args.folder={tmp_path / "own"}']
    options += [f'--trainer.default_root_dir={tmp_path / "run"}']
    options += [f'--model.pretrained={tmp_path / "small.safetensors"}']
    options += ['--trainer.max_steps=2', '--trainer.val_check_interval=1']
    options += ['--trainer.accelerator=cpu', '--trainer.logger=false']
    assert main(['train', *options]) == 0, capsys.readouterr().err
    assert (tmp_path / 'run/best.safetensors').is_file()
    assert 'held out=' in capsys.readouterr().err
    before, after = (
        models.describe(tmp_path / name)
        for name in ('small.safetensors', 'run/best.safetensors')
    )
    assert before.n_weights == after.n_weights


def test_supervised_loss_of_measured_data(capsys, tmp_path):
    """It is refused before the first step, with what to set."""
    options = write_scan('sinograms', tmp_path / 'own')
    (path,) = [p for p in CONFIGURATIONS if p.stem == 'own_sinograms']
    options += ['--config', str(path), '--model.loss=squared']
    options += ['--data.train.init_args.folder', str(tmp_path / 'own')]
    options += ['--data.validation.init_args.folder', str(tmp_path / 'own')]
    options += [f'--trainer.default_root_dir={tmp_path / "run"}']
    options += [f'--model.pretrained={tmp_path / "small.safetensors"}']
    options += ['--trainer.accelerator=cpu', '--trainer.logger=false']
    assert main(['train', *options]) == 1
    assert 'needs ground truth' in capsys.readouterr().err


def test_own_dicom_has_the_side_of_its_images():
    """The side of the acquisition is that of the resampled images."""
    (path,) = [p for p in CONFIGURATIONS if p.stem == 'own_dicom']
    data = yaml.safe_load(path.read_text('utf-8'))['data']
    images = data['images']['init_args']
    side = images['spacing'] * max(images['shape']) / 1000
    assert data['acquisition']['init_args']['side'] == pytest.approx(side)
