# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""A run that is trained in seconds."""

import subprocess
import sys

import pytest
import torch

from odl_equivariant.training import CheckpointFiles
from odl_equivariant.training.runs.tree import pack

CONFIGURATION = """\
seed_everything: 1
trainer:
  default_root_dir: run
  accelerator: cpu
  max_steps: 7
  val_check_interval: 3
  log_every_n_steps: 1
  gradient_clip_val: 1.0
model:
  proximal:
    class_path: odl_equivariant.nn.EquivariantProximal
    init_args: {channels: 8, group: C4, memory: 2, skip: true}
  n_iterations: 2
  initial: fbp
  schedule: cosine
  learning_rate: 1.0e-3
data:
  acquisition:
    class_path: odl_equivariant.data.SparseViewCT
    init_args: {shape: [24, 24], n_views: 8}
  train:
    class_path: odl_equivariant.data.Phantoms
    init_args: {n: 5, shape: [48, 48]}
  validation:
    class_path: odl_equivariant.data.Phantoms
    init_args: {n: 3, shape: [48, 48], seed: 1}
  test:
    class_path: odl_equivariant.data.Phantoms
    init_args: {n: 3, shape: [48, 48], seed: 2}
  batch_size: 2
"""


@pytest.fixture(autouse=True)
def _one_thread():
    """Compute with one thread, which is the quickest for small images."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope='session')
def configuration_text():
    """Return the configuration."""
    return CONFIGURATION


@pytest.fixture
def configuration(tmp_path):
    """Return the path of a configuration in the test's own folder."""
    path = tmp_path / 'run.yaml'
    path.write_text(CONFIGURATION, 'utf-8')
    return path


@pytest.fixture
def command_line(configuration):
    """Return a function that starts a command in a process of its own."""

    def start(command, *options, **kwargs):
        return subprocess.Popen(
            [
                sys.executable,
                '-m',
                'odl_equivariant.training.cli',
                command,
                '--config',
                str(configuration),
                *options,
            ],
            cwd=configuration.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **kwargs,
        )

    return start


@pytest.fixture
def run(configuration, capsys):
    """Return a function that runs a command in this process.

    It returns the status, and what was printed and logged.
    """
    from odl_equivariant.training.cli import main

    def call(command, *options):
        status = main([command, '--config', str(configuration), *options])
        output = capsys.readouterr()
        return status, output.out, output.err

    return call


@pytest.fixture
def assert_same_folders():
    """Return a function that compares what two runs have left."""

    def compare(one, other):
        """Compare two folders, file by file, but for logs and their times.

        Nothing orders the header of a checkpoint.
        """
        logs = ('logs', 'tensorboard')
        names = [
            sorted(
                path.relative_to(folder)
                for path in folder.rglob('*')
                if path.is_file()
                and path.relative_to(folder).parts[0] not in logs
            )
            for folder in (one, other)
        ]
        assert names[0] == names[1]
        for name in names[0]:
            if name.suffix != '.ckpt':
                assert (one / name).read_bytes() == (other / name).read_bytes()
                continue
            trees, tensors = zip(
                *(
                    pack(CheckpointFiles().load_checkpoint(folder / name))
                    for folder in (one, other)
                ),
                strict=True,
            )
            assert trees[0] == trees[1]
            assert tensors[0].keys() == tensors[1].keys()
            for key, tensor in tensors[0].items():
                assert torch.equal(tensor, tensors[1][key]), (name, key)

    return compare
