# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the networks as ONNX files."""

import copy
import errno
import json
import os
import pathlib
import sys

import numpy as np
import odl
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from odl_equivariant import models
from odl_equivariant.models import onnx as export
from odl_equivariant.nn import (
    DualProximal,
    EquivariantProximal,
    LearnedHalfQuadraticSplitting,
    LearnedPrimalDual,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    OrdinaryProximal,
)
from odl_equivariant.operators import (
    SubsampledFourierTransform,
    operator_norm,
)

PATH = 'net.onnx'


def proximal(kind=OrdinaryProximal, **kwargs):
    """Return a proximal with random weights."""
    block = kind(**{'channels': 4, 'memory': 2, **kwargs})
    with torch.no_grad():
        for parameter in block.parameters():
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * torch.randn_like(parameter))
    return block


def run(path, **inputs):
    """Return what onnxruntime computes, in one tensor."""
    session = onnxruntime.InferenceSession(path)
    named = {name: value.numpy() for name, value in inputs.items()}
    outputs = session.run(None, named)
    return torch.cat([torch.from_numpy(y) for y in outputs], 1)


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Return the path of a block as an ONNX file, which tests only read."""
    path = tmp_path_factory.mktemp('exported') / PATH
    models.export_onnx(proximal(), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
def test_blocks_compute_the_same(padding_mode):
    """The file computes what torch does, on any grid, for any batch."""
    block = proximal(
        EquivariantProximal, padding_mode=padding_mode, kernel_size=5
    )
    paths = models.export_onnx(block, PATH)
    assert paths == (pathlib.Path(PATH),)
    for n, shape in ((1, (5, 5)), (4, (31, 12))):
        x, gradient = torch.randn(2, n, 1, *shape).unbind()
        memory = torch.randn(n, 2, *shape)
        with torch.no_grad():
            expected = torch.cat(block(x, gradient, memory), 1)
        found = run(PATH, x=x, gradient=gradient, memory=memory)
        assert (found - expected).norm() < 1e-5 * expected.norm()
    assert block.training


@pytest.mark.slow
def test_denoiser_in_double():
    """Noise levels are one for each image; the file is in float32."""
    block = proximal(
        in_channels=2,
        memory=0,
        gradient=False,
        noise_level=True,
        skip=True,
        n_residual_blocks=2,
    ).double()
    models.export_onnx(block, PATH)
    x, sigma = torch.randn(3, 2, 8, 9), torch.tensor([0.1, 0.2, 0.3])
    with torch.no_grad():
        expected = block(x.double(), sigma=sigma.double()).float()
    found = run(PATH, x=x, sigma=sigma)
    assert (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_kernels_are_made_in_float32(dtype):
    """Weights of lowered precision give what they give in float32."""
    block = proximal(EquivariantProximal, memory=0, gradient=False).to(dtype)
    (path,) = models.export_onnx(block, PATH)
    x = torch.randn(2, 1, 12, 13)
    with torch.no_grad():
        expected = copy.deepcopy(block).float()(x)
    assert (run(path, x=x) - expected).norm() < 1e-6 * expected.norm()


@pytest.mark.slow
def test_one_grid_alone():
    """A file for one grid refuses others, and takes any batch."""
    block = proximal(memory=0)
    models.export_onnx(block, PATH, shape=(9, np.int64(7)))
    x = torch.randn(3, 1, 9, 7)
    with torch.no_grad():
        expected = block(x, x)
    found = run(PATH, x=x, gradient=x)
    assert (found - expected).norm() < 1e-5 * expected.norm()
    shapes = [
        value.shape
        for value in onnxruntime.InferenceSession(PATH).get_inputs()
    ]
    assert shapes == 2 * [['batch', 1, 9, 7]]


@pytest.mark.slow
def test_axes_have_names(exported):
    """Inputs, outputs and axes have names."""
    session = onnxruntime.InferenceSession(exported)
    found = {
        value.name: value.shape
        for value in (*session.get_inputs(), *session.get_outputs())
    }
    grid = ['height', 'width']
    assert found == {
        'x': ['batch', 1, *grid],
        'gradient': ['batch', 1, *grid],
        'memory': ['batch', 2, *grid],
        'new_x': ['batch', 1, *grid],
        'new_memory': ['batch', 2, *grid],
    }


@pytest.mark.slow
def test_file_tells_nothing_of_the_machine(exported):
    """The file contains no path of the machine that wrote it."""
    content = exported.read_bytes()
    folder = pathlib.Path(export.__file__).parent
    assert str(folder).encode() not in content
    assert b'.py' not in content


@pytest.mark.slow
@pytest.mark.parametrize('shared', [False, True])
def test_unrolled_network(shared):
    """There is a file for each block, with all that is needed to run them."""
    space = odl.rn((8, 8), dtype='float32')
    operator = 0.5 * odl.IdentityOperator(space)
    block = proximal(EquivariantProximal)
    network = LearnedProximalGradient(
        operator, block if shared else lambda: proximal(), 2, 'adjoint'
    )
    with torch.no_grad():
        network.relative_steps.copy_(torch.tensor([0.5, 1.5]))
    paths = models.export_onnx(network, PATH)
    names = ['net-0.onnx'] if shared else ['net-0.onnx', 'net-1.onnx']
    assert [str(path) for path in paths] == names
    y = torch.randn(2, 1, 8, 8)
    u, s = 2 * y, torch.zeros(2, 2, 8, 8)
    blocks = [onnx.load(path) for path in paths]
    for i, model in enumerate(blocks):
        metadata = {p.key: p.value for p in model.metadata_props}
        description = json.loads(metadata['network'])
        assert description.pop('steps') == pytest.approx([2.0, 6.0])
        assert description == {
            'n_iterations': 2,
            'n_blocks': len(names),
            'block': i,
            'initial': 'adjoint',
            'memory': 2,
        }
        own = json.loads(metadata['architecture'])
        assert own == network.blocks[i].architecture
    for k, step in enumerate([2.0, 6.0]):
        gradient = step * 0.5 * (0.5 * u - y)
        path = paths[k % len(paths)]
        u, s = run(path, x=u, gradient=gradient, memory=s).split([1, 2], 1)
    expected = network(y).detach()
    assert (u - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize('shape', [None, (8, 8)])
def test_learned_primal_dual(shape):
    """Both sides, their scales and numpy make the reconstruction."""
    torch.manual_seed(0)
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype='float32')
    geometry = odl.applications.tomo.parallel_beam_geometry(space, 6, 13)
    operator = odl.applications.tomo.RayTransform(
        space, geometry, impl='astra_matrix'
    )
    network = LearnedPrimalDual(
        operator,
        lambda: proximal(EquivariantProximal, in_channels=1),
        DualProximal(1, 4, memory=1),
        n_iterations=2,
    )
    paths = models.export_onnx(network, PATH, shape)
    names = ['net-0.onnx', 'net-1.onnx', 'net-dual-0.onnx']
    assert [path.name for path in paths] == names
    sessions = [onnxruntime.InferenceSession(path) for path in paths]
    metadata = sessions[0].get_modelmeta().custom_metadata_map
    found = json.loads(metadata['network'])
    assert found['n_duals'] == 1 and found['extrapolates']
    to_data, to_image = map(np.float32, found['scales'])
    y = np.random.default_rng(0).normal(size=(6, 13)).astype('float32')
    u, h = np.zeros((1, 1, 8, 8), 'f4'), np.zeros((1, 2, 6, 13), 'f4')
    s = np.zeros((1, found['memory'], 8, 8), 'f4')
    for session in sessions[:2]:
        evaluation = to_data * operator((u + s[:, :1])[0, 0]).asarray()
        inputs = {'evaluation': evaluation, 'data': to_data * y}
        inputs = {key: value[None, None] for key, value in inputs.items()}
        (h,) = sessions[2].run(None, {'h': h, **inputs})
        gradient = to_image * operator.adjoint(h[0, 0]).asarray()
        inputs = {'x': u, 'gradient': gradient[None, None], 'memory': s}
        u, s = session.run(None, inputs)
    expected = network(torch.from_numpy(y)[None, None]).detach().numpy()
    assert np.abs(u - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize('noise_level', [True, False])
def test_learned_half_quadratic_splitting(noise_level):
    """Denoisers and conjugate gradients of numpy make the reconstruction."""
    torch.manual_seed(0)
    space = odl.uniform_discr([-1, -1], [1, 1], (12, 12), dtype='complex64')
    operator = SubsampledFourierTransform(
        space, np.random.default_rng(0).random((12, 12)) < 0.5
    )
    network = LearnedHalfQuadraticSplitting(
        operator,
        lambda: MultiscaleDenoiser('C4', 1, 4, 1, 1, noise_level),
        n_iterations=2,
        inner_iterations=2,
        relative_steps=(5.0, 2.0),
        relative_levels=(3.0, 0.5),
    )
    for parameter in network.blocks.parameters():
        nn.init.normal_(parameter, std=0.2)
    paths = models.export_onnx(network, PATH)
    assert [path.name for path in paths] == ['net-0.onnx', 'net-1.onnx']
    sessions = [onnxruntime.InferenceSession(path) for path in paths]
    metadata = sessions[1].get_modelmeta().custom_metadata_map
    found = json.loads(metadata['network'])
    norm = operator_norm(operator)
    assert found.pop('steps') == pytest.approx([5 / norm**2, 2 / norm**2])
    levels = found.pop('levels')
    assert levels == (pytest.approx([3, 0.5]) if noise_level else None)
    assert found == {
        'n_iterations': 2,
        'n_blocks': 2,
        'block': 1,
        'initial': 'zero',
        'inner_iterations': 2,
    }

    def mapped(A, x):
        """Apply an operator to an array of shape (2, 1, n, m)."""
        element = A.domain.element(x[0, 0] + 1j * x[1, 0])
        image = A(element).asarray()
        return np.stack([image.real, image.imag])[:, None]

    rng = np.random.default_rng(1)
    y = rng.normal(size=(2, 1, 12, 12)).astype('f4')
    z = np.zeros((2, 1, 12, 12), 'f4')
    for k, session in enumerate(sessions):
        step = np.float32(json.loads(metadata['network'])['steps'][k])
        w = np.zeros_like(z)
        p = step * mapped(operator.adjoint, mapped(operator, z) - y)
        r, size = p, (p * p).sum()
        for _ in range(found['inner_iterations']):
            image = p + step * mapped(operator.adjoint, mapped(operator, p))
            along = size / (p * image).sum()
            w, r = w + along * p, r - along * image
            size, last = (r * r).sum(), size
            p = r + size / last * p
        inputs = {'x': z - w}
        if noise_level:
            sigma = levels[k] * np.sqrt([(w * w).mean()] * 2)
            inputs['sigma'] = sigma.astype('f4')
        (z,) = session.run(None, inputs)
    expected = network(torch.from_numpy(y).transpose(0, 1)).detach()
    gap = np.abs(z[:, 0] - expected[0].numpy()).max()
    assert gap <= 1e-4 * float(expected.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize('failing', ['check', 'replace'])
def test_no_file_without_a_check(failing, monkeypatch):
    """A file that fails its check does not replace the old one."""
    pathlib.Path(PATH).write_bytes(b'old')
    if failing == 'check':
        monkeypatch.setattr(export, '_TOLERANCE', 1e-12)
        error, match = RuntimeError, 'no file was written, as the exported'
    else:

        def fail(*args):
            raise OSError(errno.ENOSPC, 'no space left')

        monkeypatch.setattr(os, 'replace', fail)
        error, match = OSError, 'no space left'
    with pytest.raises(error, match=match):
        models.export_onnx(proximal(), PATH)
    assert os.listdir() == [PATH]
    assert pathlib.Path(PATH).read_bytes() == b'old'


@pytest.mark.slow
def test_weights_that_are_not_finite():
    """A network that has diverged does not pass the check."""
    block = proximal()
    with torch.no_grad():
        block.lift.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(RuntimeError, match='no file was written'):
        models.export_onnx(block, PATH)
    assert os.listdir() == []


class Derived(OrdinaryProximal):
    """A class that may do anything."""


@pytest.mark.parametrize(
    'network, path, shape, error, match',
    [
        (nn.ReLU(), PATH, None, TypeError, 'got ReLU'),
        (None, PATH, None, TypeError, 'got NoneType'),
        (Derived(channels=4), PATH, None, TypeError, 'got Derived'),
        (None, 'net.pt', None, ValueError, "end in .onnx, got 'net.pt'"),
        (..., PATH, 8, TypeError, '`shape`.* must be 2 whole numbers'),
        (..., PATH, (8,), ValueError, '`shape`.* must be'),
        (..., PATH, (8, 2), ValueError, 'kernels of side 3'),
        (..., PATH, (8.5, 9), TypeError, '`shape`.* must be'),
        (..., PATH, 'ab', TypeError, '`shape`.* must be'),
        (..., 'missing/net.onnx', (5, 5), FileNotFoundError, 'missing'),
    ],
)
@pytest.mark.slow
def test_what_is_refused(network, path, shape, error, match):
    """Wrong arguments are refused, and nothing is written."""
    network = proximal() if network is ... else network
    with pytest.raises(error, match=match):
        models.export_onnx(network, path, shape)
    assert os.listdir() == []


@pytest.mark.parametrize('package', ['onnx', 'onnxruntime', 'onnxscript'])
def test_without_the_packages(package, monkeypatch):
    """The error says how to install the missing package."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f'pip install {package}'):
        models.export_onnx(proximal(), PATH)


@pytest.mark.parametrize('shape', [None, (6, 5, 7)])
@pytest.mark.parametrize(
    'kind, arguments',
    [
        (OrdinaryProximal, {'dimension': 3}),
        (EquivariantProximal, {'group': 'C4', 'axis': 2}),
    ],
)
def test_volumes(kind, arguments, shape, tmp_path):
    """Files of networks for volumes compute what the networks do."""
    block = proximal(kind, **arguments)
    path = tmp_path / PATH
    models.export_onnx(block, path, shape)
    x, gradient = torch.randn(2, 2, 1, 6, 5, 7).unbind()
    memory = torch.randn(2, 2, 6, 5, 7)
    with torch.no_grad():
        expected = torch.cat(block(x, gradient, memory), 1)
    found = run(path, x=x, gradient=gradient, memory=memory)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
