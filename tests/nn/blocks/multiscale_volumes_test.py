# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the blocks of several scales for volumes."""

import json

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import (
    assert_equivariant,
    reconstruction_equivariance_error,
)
from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    LearnedProximalGradient,
    MultiscaleDenoiser,
    MultiscaleProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks import calibration, scales
from odl_equivariant.nn.steerable.orbits import kernel_orbits
from odl_equivariant.nn.steerable.space import elements_of, group_in_space
from odl_equivariant.operators import (
    NetworkOperator,
    SubsampledFourierTransform,
)

impl = simple_fixture('impl', ['numpy', 'pytorch'])
dtype = simple_fixture('dtype', [torch.float32, torch.float64])
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}

GROUPS = [
    {'group': 'O', 'channels': 24},
    {'group': 'Oh', 'channels': 48},
    {'group': 'C4', 'axis': 2, 'channels': 4},
    {'group': 'D4', 'axis': 0, 'channels': 8},
    {'group': 'D4h', 'axis': 1, 'channels': 16},
]
ORDINARY = {'group': None, 'dimension': 3, 'channels': 6}
each_group = pytest.mark.parametrize('arguments', GROUPS, ids=str)
each_arm = pytest.mark.parametrize('arguments', [GROUPS[0], ORDINARY], ids=str)
both = pytest.mark.parametrize('cls', [MultiscaleDenoiser, MultiscaleProximal])


def make(cls=MultiscaleDenoiser, dtype=torch.float64, **arguments):
    """Return a small block, all of whose weights are at work."""
    own = {'memory': 2} if cls is MultiscaleProximal else {'skip': False}
    sizes = {'group': 'O', 'channels': 24, 'n_scales': 2, 'n_blocks': 1}
    torch.manual_seed(0)
    block = cls(**{**sizes, **own, **arguments})
    with torch.no_grad():
        for parameter in block.parameters():
            if not parameter.any():
                parameter.copy_(0.05 * torch.randn(parameter.shape))
    return block.to(dtype).eval()


def inputs_of(block, shape=(8, 7, 6), n=1):
    """Return random inputs of a block, by their names."""
    torch.manual_seed(1)
    dtype = block.lift.weight.dtype

    def volumes(channels):
        return torch.randn(n, channels, *shape, dtype=dtype)

    inputs = {'x': volumes(block.in_channels)}
    if block.gradient:
        inputs['gradient'] = volumes(block.in_channels)
    if block.memory:
        inputs['memory'] = volumes(block.memory)
    if block.noise_level:
        inputs['sigma'] = 0.1
    return inputs


@torch.no_grad()
def result_of(block, inputs):
    """Return all outputs of a block, as one tensor."""
    result = block(**inputs)
    return torch.cat(result, 1) if isinstance(result, tuple) else result


def moved(x, element):
    """Return volumes turned by a signed permutation of their axes."""
    if not isinstance(x, torch.Tensor):  # a level, or kernels
        return x
    source = np.abs(element).argmax(1)
    x = x.permute(0, 1, *(2 + int(i) for i in source))
    signs = element[np.arange(3), source]
    return x.flip([2 + i for i in range(3) if signs[i] < 0])


def gap(ours, theirs):
    """Return the relative distance of tensors."""
    return float((ours - theirs).norm() / theirs.norm())


# --- Symmetry --- #


def largest_gap(block, shape):
    """Return how far a block is from commuting with its group."""
    inputs = inputs_of(block, shape)
    expected = result_of(block, inputs)
    gaps = []
    inputs['kernels'] = block.kernels()
    for element in elements_of(group_in_space(block.group, block.axis)):
        turned = {name: moved(x, element) for name, x in inputs.items()}
        gaps.append(gap(result_of(block, turned), moved(expected, element)))
    return max(gaps)


@both
@each_group
def test_all_elements_commute(cls, arguments, dtype):
    """Blocks commute with each element of a group, on even and odd sides."""
    block = make(cls, dtype, **arguments)
    for shape in ((6, 6, 6), (5, 6, 7)):
        assert largest_gap(block, shape) < TOLERANCES[dtype]


def test_small_volumes_and_many_scales():
    """Volumes too small for the coarsest grid turn with it, too."""
    for kernel_size, shape in ((3, (3, 4, 5)), (5, (5, 6, 8))):
        block = make(n_scales=3, kernel_size=kernel_size, **GROUPS[3])
        assert largest_gap(block, shape) < 1e-12


@pytest.mark.parametrize('padding_mode', ['zeros', 'reflect', 'circular'])
def test_all_paddings_commute(padding_mode):
    """So it is with each way to continue a volume past its boundary."""
    block = make(padding_mode=padding_mode)
    assert largest_gap(block, (8, 7, 6)) < 1e-12


def test_ordinary_twin_does_not_commute():
    """Without a group, a turn of the volume does not turn the result."""
    block = make(**ORDINARY)
    inputs = inputs_of(block)
    expected = result_of(block, inputs)
    for element in elements_of('O')[1:]:
        turned = {name: moved(x, element) for name, x in inputs.items()}
        error = gap(result_of(block, turned), moved(expected, element))
        assert error > 1e-2


@both
@each_arm
def test_values_scale(cls, arguments):
    """Phi(a u; a sigma) = a Phi(u; sigma), the default."""
    block = make(cls, **arguments)
    inputs = inputs_of(block)
    expected = result_of(block, inputs)
    for a in (1e-3, 0.7, 1e3):
        scaled = {name: a * x for name, x in inputs.items()}
        assert gap(result_of(block, scaled) / a, expected) < 1e-12


def test_number_of_weights_is_the_dimension_of_the_kernels():
    """The weights of a convolution are all equivariant kernels.

    Of 27 cells, there are as many as entries between regular fields divided
    by the order of the group, which moves all of them.
    """
    block = make()
    n = {layer.weight.shape[-1] for layer in block.hidden}
    assert n == {24 * 24 * 27 // 24}
    assert n == {kernel_orbits('O', 'regular', 'regular', 3).number}


def test_laws_of_smooth_activations():
    """Smooth activations keep turns and factors, with the noise as unit."""
    block = make(activation='elu')
    assert largest_gap(block, (6, 6, 6)) < 1e-12
    inputs = inputs_of(block)
    scaled = {name: 7 * x for name, x in inputs.items()}
    expected = 7 * result_of(block, inputs)
    assert gap(result_of(block, scaled), expected) < 1e-12


# --- In spaces --- #


def space_of(dtype='float64', impl='numpy', shape=(6, 6, 6), sides=(1, 1, 1)):
    """Return a space of volumes with cells of these sides."""
    ends = [n * side / 2 for n, side in zip(shape, sides, strict=True)]
    return odl.uniform_discr(
        [-end for end in ends], ends, shape, dtype, impl=impl
    )


@pytest.mark.parametrize('kind', ['float64', 'complex128'])
def test_learned_proximal_is_equivariant(kind, impl):
    """In ODL, the proximal of real and complex volumes turns with them."""
    space = space_of(kind, impl)
    module = make(in_channels=1 + space.is_complex)
    operator = LearnedProximal(space, module).proximal(0.1)
    for action in group_actions(space, 'O')[1::5]:
        assert_equivariant(operator, action, tol=1e-12)


def test_thick_slices():
    """About an axis, groups fit volumes whose third axis differs."""
    space = space_of(shape=(6, 6, 5), sides=(1, 1, 2))
    module = make(group='D4h', axis=2, channels=16, noise_level=False)
    operator = NetworkOperator(module, space)
    for action in group_actions(space, 'D4h', axis=2)[1:]:
        assert_equivariant(operator, action, tol=1e-12)


def unrolled(space, checkpointing=False, dtype=torch.float64, **arguments):
    """Return an unrolled network, of two iterations."""
    n, m = space.shape[1:]
    mask = np.random.default_rng(0).random((1, n, m)) < 0.4
    mask[0, n // 2, m // 2] = True
    return LearnedProximalGradient(
        SubsampledFourierTransform(space, mask),
        lambda: make(MultiscaleProximal, dtype, in_channels=2, **arguments),
        2,
        checkpointing=checkpointing,
    )


def test_unrolled_reconstructions_turn_with_the_volume(impl):
    """A whole reconstruction commutes with turns of a cube."""
    space = space_of('complex128', impl)
    network = unrolled(space)

    def method(operator, y):
        return network.with_operator(operator).as_operator()(y)

    for action in group_actions(space, 'O')[1::7]:
        error = reconstruction_equivariance_error(
            method, network.forward_operator, action
        )
        assert error < 1e-12


@each_arm
def test_checkpointing_gives_the_same_gradients(arguments):
    """Recomputing instead of storing changes no gradient."""
    space = space_of('complex128')
    gradients = []
    for checkpointing in (False, True):
        network = unrolled(space, checkpointing, **arguments)
        y = as_tensor(network.forward_operator(space.one()))
        network(y + 0.1).square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


# --- All paths compute the same --- #


@both
@pytest.mark.parametrize('homogeneous', [True, False])
def test_plain_convolutions(cls, homogeneous):
    """`to_convolutional` returns the ordinary network with its kernels."""
    block = make(
        cls, group='D4h', axis=2, channels=16, homogeneous=homogeneous
    )
    plain = to_convolutional(block)
    assert type(plain) is type(block)
    assert plain.group is None and plain.dimension == 3
    inputs = inputs_of(block)
    expected = result_of(block, inputs)
    assert gap(result_of(plain, inputs), expected) < 1e-12
    assert to_convolutional(plain).architecture == plain.architecture
    rebuilt = cls(**plain.architecture['arguments'])
    assert rebuilt.state_dict().keys() == plain.state_dict().keys()


@both
@each_arm
@pytest.mark.parametrize('tile', [None, 4, 'auto'])
def test_inference(cls, arguments, tile):
    """Copies for inference compute the same, whole and in pieces."""
    block = make(cls, **arguments)
    quick = for_inference(block, tile=tile)
    for shape in ((9, 6, 7), (3, 4, 5)):
        inputs = inputs_of(block, shape, n=2)
        expected = result_of(block, inputs)
        assert gap(result_of(quick, inputs), expected) < 1e-12


@pytest.mark.parametrize('shape', [(61, 10, 9), (30, 9, 41)])
@pytest.mark.parametrize('n_scales', [1, 2, 3])
def test_pieces_are_parts_of_the_whole(n_scales, shape):
    """Pieces have the result for the whole volume, along all axes."""
    generator = torch.Generator().manual_seed(1)
    kernels = []
    for _ in range(scales.n_convolutions(n_scales, 0)):
        weight = torch.randn(2, 2, 3, 3, 3, generator=generator).double()
        kernels.append((weight / weight[0].norm(), torch.ones(2).double()))
    sizes = []

    def run(x):
        sizes.append(x.shape[2:].numel())
        return scales.on_whole_image(x, kernels, 'replicate', 0.1, n_scales)

    x = torch.randn(1, 2, *shape, generator=generator).double()
    whole = run(x)
    parts = scales.evaluate(x, run, n_scales, 0, 3, 8)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    # those that are computed are smaller than the whole
    assert n_scales == 3 or 2 * max(sizes[1:]) < sizes[0]


def test_thin_volumes_in_pieces():
    """Few slices, continued for the coarsest grid, are cut along the rest."""
    block, sizes = make(n_blocks=1), []

    def run(x, **options):
        sizes.append(tuple(x.shape[2:]))
        return scales.on_whole_image(x, **options)

    inputs = inputs_of(block, (70, 5, 3), n=1)
    expected = result_of(block, inputs)
    block.compute(None, 4, run)
    assert gap(result_of(block, inputs), expected) < 1e-12
    assert len(sizes) > 1 and max(size[0] for size in sizes) < 60


def test_transforms_of_functions():
    """`torch.func` maps and differentiates the blocks."""
    block = make(noise_level=False)
    u = inputs_of(block, n=2)['x']
    with torch.no_grad():
        mapped = torch.func.vmap(lambda x: block(x[None])[0])(u)
        gradient = torch.func.grad(lambda x: block(x).square().sum())(u)
        value = block(u)
    assert gap(mapped, value) < 1e-12
    # homogeneous of degree two: the derivative in the direction of u
    assert gap((gradient * u).sum(), 2 * value.square().sum()) < 1e-12


def test_precision_of_inference():
    """Convolutions in another precision leave that of the volumes alone."""
    block = make(dtype=torch.float32)
    inputs = inputs_of(block)
    found = result_of(for_inference(block, precision='float64'), inputs)
    assert found.dtype == torch.float32
    assert gap(found, result_of(block, inputs)) < 1e-5


def test_memory_format():
    """The order of the channels in memory makes no difference."""
    block = make(**ORDINARY)
    inputs = inputs_of(block)
    expected = result_of(block, inputs)
    block.to(memory_format=torch.channels_last_3d)
    assert gap(result_of(block, inputs), expected) < 1e-12


@both
@pytest.mark.parametrize('arguments', [*GROUPS[::2], ORDINARY], ids=str)
def test_files(cls, arguments, tmp_path):
    """What was saved comes back, to the last bit."""
    block = make(cls, torch.float32, **arguments)
    path = tmp_path / 'network.safetensors'
    models.save(block, path)
    loaded = models.load(path)
    assert loaded.architecture == block.architecture
    json.dumps(block.architecture)
    inputs = inputs_of(block)
    expected = result_of(block, inputs)
    assert torch.equal(result_of(loaded, inputs), expected)


def test_architectures_of_the_plane_stay_what_they_are():
    """For images, files list neither an axis nor a dimension nor a basis."""
    for group in ('C4', None):
        arguments = MultiscaleDenoiser(group).architecture['arguments']
        assert not {'axis', 'dimension', 'basis'} & arguments.keys()


def test_made_on_the_meta_device():
    """Shapes are known without numbers."""
    with torch.device('meta'):
        block = MultiscaleDenoiser('O', channels=24, n_scales=2)
        x = torch.empty(1, 1, 8, 7, 6)
    assert block(x, sigma=0.1).shape == x.shape


@pytest.mark.slow
def test_onnx(tmp_path):
    """The exporter checks one file on even and odd sides against torch."""
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')
    block = make(dtype=torch.float32, **GROUPS[2])
    (path,) = models.export_onnx(block, tmp_path / 'block.onnx')
    assert path.stat().st_size > 0


# --- Starts and errors --- #


def test_both_arms_start_alike():
    """All convolutions start with outputs of the same size in both arms."""
    for arguments in (*GROUPS[:2], {**ORDINARY, 'channels': 24}):
        torch.manual_seed(0)
        block = MultiscaleDenoiser(
            **arguments, n_scales=2, n_blocks=1, noise_level=False, skip=False
        )
        x = calibration._random_images(1, 16, 4, 3)
        extent = calibration._Normalising('replicate')
        with torch.no_grad():
            scales.multiscale_network(x, block.kernels(), 0.01, 2, extent)
        factors = torch.stack(extent.factors)
        assert (factors - 1).abs().max() < 1e-3


@both
@pytest.mark.parametrize(
    'arguments, match',
    [
        ({'group': 'O', 'channels': 16}, 'order 24.*nearest are 24'),
        ({'group': 'O', 'basis': 'escnn'}, "basis='grid'"),
        ({'group': 'O', 'axis': 1}, 'has no axis'),
        ({'group': 'O', 'dimension': 2}, "3 for group='O'.*without `axis`"),
        ({'group': 'C4', 'dimension': 3}, "2 for group='C4'.*with axis=2"),
        ({'group': 'D4h'}, 'give `axis`'),
        ({'group': 'I'}, 'does not map cells to cells'),
        ({'group': None, 'axis': 2}, 'take dimension=3'),
        ({'group': None, 'dimension': 4}, '`dimension`'),
        ({'group': None, 'dimension': 3, 'basis': 'grid'}, 'needs a group'),
    ],
)
def test_arguments_that_are_refused(cls, arguments, match):
    """Arguments that do not fit a group of the space say what does."""
    with pytest.raises(ValueError, match=match):
        cls(**{'channels': 24, **arguments})


@pytest.mark.parametrize(
    'arguments, shape, match',
    [
        ({'group': 'O'}, (8, 8), '3 axes.*one of the plane'),
        ({'group': 'C4'}, (8, 8, 8), "group='O', or group='C4' with axis=2"),
        ({'group': None}, (8, 8, 8), 'make it with dimension=3'),
        ({'group': None, 'dimension': 3}, (8, 8), 'dimension=2'),
        ({'group': 'O'}, (8, 8, 2), 'smaller than the kernels'),
    ],
)
def test_spaces_of_another_dimension(arguments, shape, match):
    """A space of the wrong dimension says which arguments to take."""
    module = MultiscaleDenoiser(channels=24, **arguments)
    with pytest.raises(ValueError, match=match):
        module.check_space(odl.rn(shape))


def test_cells_that_are_no_cubes():
    """The error names the group that fits the cells, and it does."""
    space = space_of(sides=(1, 1, 3))
    with pytest.raises(ValueError, match="'D4h' with reflections.*axis=2"):
        make().check_space(space)
    make(group='D4h', axis=2, channels=16).check_space(space)
    make(**ORDINARY).check_space(space)
    with pytest.raises(ValueError, match='C4 about axis 0.*axis=2'):
        make(group='C4', axis=0, channels=4).check_space(space)


def test_images_in_place_of_volumes():
    """The error says which shape is expected."""
    with pytest.raises(ValueError, match=r'shape \(N, 1, n, m, l\)'):
        make()(torch.zeros(1, 1, 8, 8).double(), sigma=0.1)
