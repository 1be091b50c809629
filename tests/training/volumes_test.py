# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of training, scoring and reconstructing volumes by configuration."""

import numpy as np
import pytest
from safetensors.torch import load_file

from odl_equivariant.data import PhantomVolumes, VolumeMRI
from odl_equivariant.elements import as_tensor
from odl_equivariant.training.reconstruction.files import _Manifest
from odl_equivariant.training.reconstruction.processes import Processes

MRI = """\
seed_everything: 1
trainer:
  default_root_dir: run
  accelerator: cpu
  max_steps: 2
  val_check_interval: 2
  log_every_n_steps: 1
  callbacks:
  - class_path: odl_equivariant.training.ImagePanels
model:
  proximal:
    class_path: odl_equivariant.nn.EquivariantProximal
    init_args: {in_channels: 2, channels: 24, group: O, memory: 2, skip: true}
  n_iterations: 1
  initial: adjoint
  learning_rate: 1.0e-3
data:
  acquisition:
    class_path: odl_equivariant.data.VolumeMRI
    init_args: {shape: [11, 11, 11], acceleration: 3, random_masks: true}
  train:
    class_path: odl_equivariant.data.VolumePatches
    init_args:
      volumes:
        class_path: odl_equivariant.data.NiftiVolumes
        init_args: {folder: ., spacing: 1.0, scale: max}
      shape: [11, 11, 11]
      n_per_volume: 2
  validation:
    class_path: odl_equivariant.data.PhantomVolumes
    init_args: {n: 2, shape: [11, 11, 11], seed: 1}
  test:
    class_path: odl_equivariant.data.PhantomVolumes
    init_args: {n: 2, shape: [11, 11, 11], seed: 2}
  batch_size: 2
"""
TWO = ('--trainer.devices', '2')
CT = """\
model:
  proximal:
    class_path: odl_equivariant.nn.EquivariantProximal
    init_args: {channels: 16, group: D4h, axis: 2, memory: 2}
  n_iterations: 1
  initial: fbp
data:
  acquisition:
    class_path: odl_equivariant.data.SlicewiseCT
    init_args: {shape: [12, 12, 11], n_views: 8}
  train:
    class_path: odl_equivariant.data.PhantomVolumes
    init_args: {n: 2, shape: [12, 12, 11]}
  validation:
    class_path: odl_equivariant.data.PhantomVolumes
    init_args: {n: 1, shape: [24, 24, 11], seed: 1}
  batch_size: 2
"""


@pytest.mark.slow
def test_train_evaluate_and_reconstruct_volumes(configuration, run, tmp_path):
    """A configuration trains on patches of files, scores, and reconstructs."""
    nibabel = pytest.importorskip('nibabel')
    array = PhantomVolumes(1, (16, 14, 13))[0]
    image = nibabel.Nifti1Image(array, np.diag([1, 1, 1.2, 1]))
    nibabel.save(image, tmp_path / 'head.nii')
    configuration.write_text(MRI, 'utf-8')
    assert run('train')[0] == 0
    status, table, _ = run('evaluate')
    assert status == 0
    assert [line.split()[:2] for line in table.splitlines()[-2:]] == [
        ['learned', '2'],
        ['zero-filled', '2'],
    ]
    assert run('reconstruct', '--output', 'out')[0] == 0
    volume = np.load(tmp_path / 'out' / 'test-0.npy')
    assert volume.shape == (11, 11, 11) and volume.dtype == 'complex64'
    assert (tmp_path / 'out' / 'test-0.png').is_file()
    acquisition = VolumeMRI((11, 11, 11), 3, random_masks=True)
    mask = acquisition.draw_mask(0)
    volume = PhantomVolumes(1, (11, 11, 11))[0]
    data = as_tensor(acquisition.simulate(volume, 0, mask))[0].numpy()
    (tmp_path / 'data').mkdir()
    np.save(tmp_path / 'data' / 'a.npy', data[0] + 1j * data[1])
    np.save(tmp_path / 'data' / 'a.mask.npy', mask)
    options = ('--input', 'data', '--output', 'measured')
    status, _, error = run('reconstruct', *options)
    assert status == 0, error
    result = np.load(tmp_path / 'measured' / 'a.npy')
    assert np.linalg.norm(result - volume) < np.linalg.norm(volume)


@pytest.mark.slow
def test_stacks_of_tomography_are_trained(configuration, run):
    """A network for D4h starts at the stack of back-projections."""
    text = MRI.partition('model:')[0] + CT
    configuration.write_text(text, 'utf-8')
    status, _, error = run('train')
    assert status == 0, error


def _finished(process):
    """Return the status and the errors of a process."""
    _, error = process.communicate(timeout=600)
    return process.returncode, error


@pytest.fixture
def small(configuration):
    """Return a configuration of phantoms alone."""
    start, _, rest = MRI.partition('  train:')
    configuration.write_text(
        start
        + '  train:\n    class_path: odl_equivariant.data.PhantomVolumes\n'
        '    init_args: {n: 4, shape: [11, 11, 11]}\n  validation:'
        + rest.partition('  validation:')[2].replace('n: 2', 'n: 3'),
        'utf-8',
    )


@pytest.mark.slow
@pytest.mark.usefixtures('small')
def test_two_processes_train_as_one(command_line, run, tmp_path):
    """The gradients of volumes are the means over both processes."""
    process = command_line(
        'train', *TWO, '--data.batch_size', '1',
        '--trainer.default_root_dir', 'two',
    )  # fmt: skip
    assert run('train')[0] == 0
    status, error = _finished(process)
    assert status == 0, error
    one, other = (
        load_file(tmp_path / name / 'final.safetensors')
        for name in ('run', 'two')
    )
    for name, tensor in one.items():
        gap = (other[name] - tensor).norm()
        assert gap <= 1e-4 * tensor.norm() + 1e-6, name


@pytest.mark.slow
@pytest.mark.usefixtures('small')
def test_two_processes_reconstruct_as_one(
    command_line, run, tmp_path, assert_same_folders
):
    """Each volume is reconstructed by one process, with the same bits.

    Any number of processes resumes, and what one finds ends all.
    """
    assert run('train')[0] == 0
    process = command_line('reconstruct', '--output', 'both', *TWO)
    assert run('reconstruct', '--output', 'alone')[0] == 0
    status, error = _finished(process)
    assert status == 0, error
    assert error.count('3 images reconstructed') == 1
    assert_same_folders(tmp_path / 'alone', tmp_path / 'both')

    (tmp_path / 'both' / 'test-1.npy').unlink()
    before = (tmp_path / 'both' / 'test-2.npy').stat().st_mtime_ns
    assert run('reconstruct', '--output', 'both')[0] == 0
    assert (tmp_path / 'both' / 'test-2.npy').stat().st_mtime_ns == before
    assert_same_folders(tmp_path / 'alone', tmp_path / 'both')

    process = command_line(
        'reconstruct', '--output', 'both', *TWO,
        '--inference_precision', 'bfloat16',
    )  # fmt: skip
    status, error = _finished(process)
    assert status != 0 and 'results of another precision' in error


def test_records_of_a_killed_process_are_taken(tmp_path):
    """What a process beside the first one has recorded is not lost."""
    path = tmp_path / 'reconstruction.json'
    first = _Manifest(path, {'precision': 'float32'})
    second = _Manifest(path, {'precision': 'float32'}, rank=1)
    (tmp_path / 'a.npy').touch()
    second.record(tmp_path / 'a.npy', 'data')
    # both are killed, and another call begins
    del first, second
    again = _Manifest(path, {'precision': 'float32'})
    assert again.check(tmp_path / 'a.npy', 'data')
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'a.npy',
        'reconstruction.json',
    ]


@pytest.mark.parametrize('n', [1, 2, 3, 7])
def test_each_file_belongs_to_one_process(n):
    """The shares of all processes are a partition, of any number."""
    shares = [Processes(rank, n, None).share(range(5)) for rank in range(n)]
    assert sorted(sum(shares, [])) == list(range(5))
