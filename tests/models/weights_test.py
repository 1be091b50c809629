# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the files of weights of modules of one's own."""

import os
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

from odl_equivariant import models
from odl_equivariant.nn import EquivariantProximal
from odl_equivariant.nn.layers import (
    Fields,
    GatedNonlinearity,
    GroupPooling,
    ResidualBlock,
    SteerableConvolution,
)

PATH = 'own.safetensors'
X = torch.linspace(-1, 1, 81).reshape(1, 1, 9, 9)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(group='C4', basis='escnn'):
    """Return a network of several layers and kinds of fields."""
    image = Fields(group, trivial=1)
    hidden = Fields(group, regular=1, standard=1, sign=1)
    gated = GatedNonlinearity(hidden + Fields(group, {'irrep(2,+)': 1}))
    return nn.Sequential(
        SteerableConvolution(image, gated.in_fields, 5, basis=basis),
        gated,
        ResidualBlock(gated.out_fields, basis=basis),
        GroupPooling(gated.out_fields, 'norm'),
        nn.BatchNorm2d(4, affine=False),
    )


def trained(dtype=torch.float32, **arguments):
    """Return a network with weights other than at its start."""
    network = make(**arguments).to(dtype).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape).to(dtype)
    return network


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('basis', ['escnn', 'grid', 'mixed'])
def test_weights_are_loaded(dtype, basis):
    """A loaded network is the same map, to the last bit."""
    network = trained(dtype, basis=basis)
    models.save_weights(network, PATH)
    again = models.load_weights(PATH, lambda: make(basis=basis))
    assert not again.training
    assert torch.equal(again(X.to(dtype)), network(X.to(dtype)))


def test_all_modules_are_saved():
    """A block of the package is saved like any other module."""
    block = EquivariantProximal(channels=4).eval()
    models.save_weights(nn.ModuleList([block]), PATH)
    (again,) = models.load_weights(
        PATH, lambda: nn.ModuleList([EquivariantProximal(channels=4)])
    )
    for result, expected in zip(again(X, X), block(X, X), strict=True):
        assert torch.equal(result, expected)


_WITHOUT_ESCNN = """
import sys
import torch
sys.modules['escnn'] = None  # importing it fails from now on
from odl_equivariant import models
sys.path.insert(0, sys.argv[1])
from weights_test import X, make
network = models.load_weights('own.safetensors', make)
torch.testing.assert_close(network(X), torch.load('expected.pt'))
network.train()
network(X).sum().backward()
network.double().float().eval()
models.save_weights(network, 'again.safetensors')
print('done')
"""


@pytest.mark.slow
def test_loading_without_escnn():
    """A loaded network is run, trained and saved again without escnn."""
    network = trained()
    models.save_weights(network, PATH)
    torch.save(network(X).detach(), 'expected.pt')
    result = subprocess.run(
        [sys.executable, '-c', _WITHOUT_ESCNN, os.path.dirname(__file__)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == 'done\n'


def changed(change):
    """Change the tensors of a file, and keep its header without a seal."""
    with safetensors.safe_open(PATH, 'pt') as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    change(tensors)
    header = '{"format":2,"architecture":{"class":"own"}}'
    safetensors.torch.save_file(tensors, PATH, {'odl_equivariant': header})


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda t: t.pop('bases.C4.sign.sign.3'), 'no basis is given'),
        (lambda t: t['bases.C4.sign.sign.3'].add_(torch.eye(3)), 'not equi'),
        (
            lambda t: t.update(
                {'bases.C4.sign.sign.1': t['bases.C4.sign.sign.3'].clone()}
            ),
            'must have the shape',
        ),
        (lambda t: t.pop('2.second.blocks.0.weight'), 'Missing key'),
        (lambda t: t['2.second.blocks.0.weight'].fill_(torch.nan), 'NaN'),
    ],
)
def test_damaged_files_are_refused(change, message):
    """A file whose weights or bases are wrong is refused."""
    models.save_weights(trained(), PATH)
    changed(change)
    with pytest.raises(
        ValueError, match=f'cannot load {PATH}.*(?s:.*){message}'
    ):
        models.load_weights(PATH, make)


def test_damage_is_seen():
    """A file of which a byte has changed is refused."""
    models.save_weights(trained(), PATH)
    with open(PATH, 'r+b') as file:
        file.seek(-1, os.SEEK_END)
        file.write(b'\x55')
    with pytest.raises(ValueError, match='checksum'):
        models.load_weights(PATH, make)


@pytest.mark.parametrize(
    'other, error, message',
    [
        (lambda: make('D4'), ValueError, 'of D4; `make` must make the module'),
        (lambda: make(basis='grid'), ValueError, 'no grid basis is given'),
        (lambda: make()[:3], ValueError, 'Unexpected key'),
        (lambda: nn.Linear(1, 1), ValueError, 'which nothing uses'),
        (lambda: None, TypeError, 'must return a `torch.nn.Module`'),
        (nn.Linear(1, 1), TypeError, 'must be a function without arguments'),
        ('make', TypeError, 'must be a function without arguments'),
    ],
)
def test_other_modules_are_refused(other, error, message):
    """Weights do not go into a module of another kind."""
    models.save_weights(trained(), PATH)
    with pytest.raises(error, match=message):
        models.load_weights(PATH, other)


def test_files_of_the_other_kind_are_refused():
    """Either function names the other one."""
    models.save_weights(trained(), PATH)
    with pytest.raises(ValueError, match='load them with `load_weights`'):
        models.load(PATH)
    models.save(EquivariantProximal(channels=4), PATH)
    with pytest.raises(ValueError, match='load it with `load`'):
        models.load_weights(PATH, make)
    with pytest.raises(FileNotFoundError, match='no file missing'):
        models.load_weights('missing.safetensors', make)
    with pytest.raises(ValueError, match='must end in .safetensors'):
        models.save_weights(trained(), 'own.pt')
    with pytest.raises(TypeError, match='expected a `torch.nn.Module`'):
        models.save_weights({}, PATH)
