# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the blocks of several scales."""

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_equivariant
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    MultiscaleProximal,
    for_inference,
    inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks import calibration, scales
from odl_equivariant.operators import NetworkOperator

group = simple_fixture('group', ['C4', 'D4'])
arm = simple_fixture('arm', ['C4', None])
shape = simple_fixture('shape', [(32, 32), (33, 33), (31, 45), (4, 7)])
homogeneous = simple_fixture('homogeneous', [True, False])
dtype = simple_fixture('dtype', [torch.float32, torch.float64])
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def randomise(block):
    """Draw anew what starts at zero, and biases."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in block.parameters():
            if not parameter.any():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(0.05 * noise)
    return block.eval()


def denoiser(group='C4', **kwargs):
    """Return a small denoiser, all of whose weights are at work."""
    sizes = {'channels': 8, 'n_scales': 3, 'n_blocks': 1, 'skip': False}
    return randomise(MultiscaleDenoiser(group, **{**sizes, **kwargs}))


def proximal(group='C4', **kwargs):
    """Return a small block for the unrolled method."""
    sizes = {'channels': 8, 'n_scales': 2, 'memory': 2}
    return randomise(MultiscaleProximal(group, **{**sizes, **kwargs}))


def images(shape=(17, 14), channels=1, n=2, dtype=torch.float32, seed=0):
    """Return random images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, channels, *shape, generator=generator).to(dtype)


def arguments_of(block, shape=(17, 14), dtype=torch.float32):
    """Return inputs of a block, by their names."""
    x = images(shape, block.in_channels, dtype=dtype)
    arguments = {'x': x}
    if block.gradient:
        arguments['gradient'] = x.flip(0)
    if block.memory:
        arguments['memory'] = images(shape, block.memory, 2, dtype, 1)
    if block.noise_level:
        arguments['sigma'] = torch.tensor([0.1, 0.5], dtype=dtype)
    return arguments


@torch.no_grad()
def result_of(block, arguments):
    """Return all outputs of a block, as one tensor."""
    result = block(**arguments)
    return torch.cat(result, 1) if isinstance(result, tuple) else result


def gap(ours, theirs):
    """Return the relative distance of tensors."""
    return float((ours - theirs).detach().norm() / theirs.detach().norm())


# --- Laws --- #


@pytest.mark.parametrize('make', [denoiser, proximal])
def test_turns_and_reflections(make, group, shape, dtype):
    """Blocks are equivariant on even, odd, oblong and small images."""
    block = make(group).to(dtype)
    arguments = arguments_of(block, shape, dtype)
    expected = result_of(block, arguments)
    for k in range(4):
        for flipped in (False, True) if group == 'D4' else (False,):

            def move(x, k=k, flipped=flipped):
                if x.ndim < 4:
                    return x
                return (x.flip(3) if flipped else x).rot90(k, (2, 3))

            moved = {name: move(x) for name, x in arguments.items()}
            error = gap(result_of(block, moved), move(expected))
            assert error < TOLERANCES[dtype]


def test_ordinary_twin_is_not_equivariant():
    """Without a group, a turn of the image does not turn the result."""
    block = denoiser(None)
    u = images()
    turned = result_of(block, {'x': u.rot90(1, (2, 3)), 'sigma': 0.1})
    expected = result_of(block, {'x': u, 'sigma': 0.1}).rot90(1, (2, 3))
    assert gap(turned, expected) > 0.1


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('kind', ['float64', 'complex128'])
def test_operator_on_a_space(impl, kind):
    """A denoiser is an equivariant operator of real and complex images."""
    space = odl.uniform_discr([-1, -1], [1, 1], (9, 9), kind, impl=impl)
    channels = 2 if kind == 'complex128' else 1
    block = denoiser('C4', in_channels=channels, noise_level=False).double()
    operator = NetworkOperator(block, space)
    assert_equivariant(operator, group_actions(space, 'C4'), tol=1e-12)


@pytest.mark.parametrize('make', [denoiser, proximal])
@pytest.mark.parametrize('skip', [False, True])
def test_values_scale(make, arm, skip):
    """Phi(a u; a sigma) = a Phi(u; sigma), the default."""
    block = make(arm, skip=skip)
    arguments = arguments_of(block)
    expected = result_of(block, arguments)
    for a in (1e-3, 0.7, 30.0, 1e3):
        scaled = {name: a * x for name, x in arguments.items()}
        assert gap(result_of(block, scaled) / a, expected) < 1e-6


def test_biases_are_for_one_unit(arm):
    """With biases, the result depends on the unit of the image."""
    block = denoiser(arm, homogeneous=False)
    arguments = arguments_of(block)
    scaled = {name: 1e-2 * x for name, x in arguments.items()}
    expected = result_of(block, arguments)
    assert gap(100 * result_of(block, scaled), expected) > 0.1
    assert any(name.endswith('bias') for name, _ in block.named_parameters())


def test_unrolled_method_scales():
    """With homogeneous blocks, the method maps a y to a times its result."""
    space = odl.rn((10, 13), dtype='float32')
    network = LearnedProximalGradient(
        0.5 * odl.IdentityOperator(space), proximal, 2
    )
    y = images((10, 13))
    with torch.no_grad():
        assert gap(network(100 * y) / 100, network(y)) < 1e-6


def test_learned_proximal_in_any_unit():
    """The scale of a `LearnedProximal` makes no difference."""
    space = odl.uniform_discr([0, 0], [4, 3], (12, 9), dtype='float32')
    module = denoiser()
    x = space.element(np.random.default_rng(0).random(space.shape))
    results = [
        LearnedProximal(space, module, scale=scale).proximal(0.1)(x)
        for scale in (1.0, 255.0)
    ]
    assert (results[0] - results[1]).norm() < 1e-6 * results[0].norm()


def test_periodic_shifts():
    """With circular padding, shifts by coarse cells commute."""
    block = denoiser(padding_mode='circular').double()
    u = images((24, 16), dtype=torch.float64)

    def shifted(x):
        return x.roll((4, -8), (2, 3))

    expected = shifted(result_of(block, {'x': u, 'sigma': 0.1}))
    found = result_of(block, {'x': shifted(u), 'sigma': 0.1})
    assert gap(found, expected) < 1e-12


def test_both_arms_start_alike():
    """All convolutions start with outputs of the same size in both arms."""
    for group in ('C4', 'D4', None):
        torch.manual_seed(0)
        block = MultiscaleDenoiser(
            group, channels=16, n_blocks=1, noise_level=False, skip=False
        )
        x = calibration._random_images(1, 32)
        extent = calibration._Normalising('replicate')
        with torch.no_grad():
            scales.multiscale_network(x, block.kernels(), 0.01, 3, extent)
        factors = torch.stack(extent.factors)
        assert (factors - 1).abs().max() < 1e-3


def test_blocks_start_as_the_identity():
    """The second convolution of each residual block starts at zero."""
    block = MultiscaleDenoiser('C4', channels=8, n_scales=2, n_blocks=2)
    zero = [not layer.weight.any() for layer in block.hidden]
    blocks = [False, True, False, True]
    assert zero == [*blocks, False, *blocks, False, *blocks]


# --- All paths compute the same --- #


@pytest.mark.parametrize('make', [denoiser, proximal])
def test_plain_convolutions(make, homogeneous):
    """`to_convolutional` returns the ordinary network with its kernels."""
    block = make('D4', homogeneous=homogeneous)
    plain = to_convolutional(block)
    assert type(plain) is type(block) and plain.group is None
    arguments = arguments_of(block)
    expected = result_of(block, arguments)
    assert gap(result_of(plain, arguments), expected) < 1e-6
    assert to_convolutional(plain).architecture == plain.architecture
    # without biases there are none afterwards
    rebuilt = type(plain)(**plain.architecture['arguments'])
    assert rebuilt.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize('make', [denoiser, proximal])
@pytest.mark.parametrize('tile', [None, 16, 'auto'])
def test_inference(make, arm, tile):
    """Copies for inference compute the same, whole and in pieces."""
    block = make(arm)
    quick = for_inference(block, tile=tile)
    for shape in ((61, 34), (5, 40)):
        arguments = arguments_of(block, shape)
        expected = result_of(block, arguments)
        assert gap(result_of(quick, arguments), expected) < 1e-6
    # the original computes as before
    assert block._tile is None


def test_pieces_are_computed_one_after_another(monkeypatch):
    """With a tile, no part that is computed is the whole image."""
    sizes = []

    def spy(x, *args, **kwargs):
        sizes.append(x.shape[2:].numel())
        return scales.on_whole_image(x, *args, **kwargs)

    quick = for_inference(denoiser(n_scales=2), tile=16)
    quick.compute(None, 16, spy)
    quick(images((90, 90)), sigma=0.1)
    assert len(sizes) > 4 and max(sizes) < 90 * 90 / 2


def test_pieces_of_periodic_images_are_refused():
    """Pieces of periodic images would be wrong: the error says so."""
    block = denoiser(padding_mode='circular')
    with pytest.raises(ValueError, match='tile=None'):
        for_inference(block, tile=16)
    assert (
        gap(
            result_of(for_inference(block), arguments_of(block)),
            result_of(block, arguments_of(block)),
        )
        < 1e-6
    )


def test_precision_of_inference(arm):
    """Convolutions in another precision leave that of the images alone."""
    block = denoiser(arm)
    arguments = arguments_of(block)
    quick = for_inference(block, precision='float64')
    found = result_of(quick, arguments)
    assert found.dtype == torch.float32
    assert gap(found, result_of(block, arguments)) < 1e-5


@pytest.mark.skipif(
    not inference.has_bfloat16(torch.device('cpu')),
    reason='needs arithmetic in bfloat16',
)
def test_bfloat16(arm):
    """In bfloat16, results are the same up to its precision."""
    block = denoiser(arm)
    arguments = arguments_of(block)
    expected = result_of(block, arguments)
    with torch.autocast('cpu', torch.bfloat16):
        assert gap(result_of(block, arguments), expected) < 0.03
    quick = for_inference(block, 'bfloat16')
    assert gap(result_of(quick, arguments), expected) < 0.03


def test_compiled(monkeypatch):
    """A compiled network has the compiler called with its images."""
    seen = []

    def spy(x, kernels, **kwargs):
        seen.append(tuple(x.shape[2:]))
        return scales.on_whole_image(x, kernels, **kwargs)

    monkeypatch.setattr(inference, '_compiler', lambda function: [spy])
    block = denoiser()
    quick = for_inference(block, compile=True)
    arguments = arguments_of(block)
    found = result_of(quick, arguments)
    assert gap(found, result_of(block, arguments)) < 1e-6
    assert seen == [(17, 14)]


@pytest.mark.slow
def test_exported_program_is_for_all_sizes():
    """`torch.export` gives one graph for even and odd sizes."""
    block = denoiser(None, n_scales=2, noise_level=False)
    n, m = torch.export.Dim('n', min=5), torch.export.Dim('m', min=5)
    program = torch.export.export(
        block, (images((9, 12)),), dynamic_shapes=({2: n, 3: m},)
    ).module()
    for shape in ((9, 12), (8, 8), (13, 7)):
        x = images(shape)
        assert gap(program(x), block(x)) < 1e-6


def test_transforms_of_functions(arm):
    """`torch.func` maps and differentiates the blocks."""
    block = denoiser(arm, noise_level=False).double()
    u = images(dtype=torch.float64)
    with torch.no_grad():
        mapped = torch.func.vmap(lambda x: block(x[None])[0])(u)
        gradient = torch.func.grad(lambda x: block(x).square().sum())(u)
        value = block(u)
    assert gap(mapped, value) < 1e-12
    # homogeneous of degree two: the derivative in the direction of u
    assert gap((gradient * u).sum(), 2 * value.square().sum()) < 1e-12


def test_no_numbers_on_the_meta_device():
    """Shapes are known without numbers."""
    with torch.device('meta'):
        block = MultiscaleDenoiser(None, channels=8)
        x = torch.empty(1, 1, 30, 31)
    assert block(x, sigma=0.1).shape == x.shape


def test_memory_format(arm):
    """The order of the channels in memory makes no difference."""
    block = denoiser(arm)
    arguments = arguments_of(block)
    expected = result_of(block, arguments)
    block.to(memory_format=torch.channels_last)
    assert gap(result_of(block, arguments), expected) < 1e-6


def test_checkpointing_gives_the_same_gradients(arm):
    """Recomputing instead of storing changes no gradient."""
    space = odl.rn((9, 12), dtype='float32')
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = LearnedProximalGradient(
            0.5 * odl.IdentityOperator(space),
            lambda: proximal(arm),
            2,
            checkpointing=checkpointing,
        )
        network(images((9, 12))).square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize('make', [denoiser, proximal])
def test_files(make, arm, homogeneous, tmp_path):
    """What was saved comes back, to the last bit."""
    block = make(arm, homogeneous=homogeneous)
    path = tmp_path / 'network.safetensors'
    models.save(block, path)
    loaded = models.load(path)
    assert loaded.architecture == block.architecture
    arguments = arguments_of(block)
    expected = result_of(block, arguments)
    assert torch.equal(result_of(loaded, arguments), expected)


@pytest.mark.slow
def test_onnx(tmp_path):
    """The exporter checks one file on even and odd sides against torch."""
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')
    block = denoiser(n_scales=2)
    (path,) = models.export_onnx(block, tmp_path / 'block.onnx')
    assert path.stat().st_size > 0


# --- Errors --- #


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        ({'group': 'SO2'}, ValueError, 'infinite group SO2.*None'),
        ({'group': 'X4'}, ValueError, "unknown group 'X4'"),
        ({'channels': 6}, ValueError, 'nearest are 4 or 8'),
        ({'group': 'D4', 'channels': 12}, ValueError, '8 or 16'),
        ({'group': 'C8', 'basis': 'grid'}, ValueError, 'C1, C2, C4'),
        ({'group': None, 'basis': 'grid'}, ValueError, 'needs a group'),
        ({'n_scales': 0}, ValueError, '`n_scales`'),
        ({'n_blocks': -1}, ValueError, '`n_blocks`'),
        ({'n_blocks': 1.5}, TypeError, '`n_blocks`'),
        ({'homogeneous': 'no'}, TypeError, '`homogeneous`'),
        ({'kernel_size': 4}, ValueError, 'must be odd'),
        ({'padding_mode': 'mirror'}, ValueError, '`padding_mode`'),
    ],
)
def test_arguments_that_are_refused(arguments, error, match):
    """The error names the argument and the choices."""
    for make in (MultiscaleDenoiser, MultiscaleProximal):
        with pytest.raises(error, match=match):
            make(**{'channels': 8, **arguments})


@pytest.mark.parametrize('sigma', [0.0, -1.0, float('nan'), float('inf')])
def test_levels_that_are_refused(sigma):
    """A noise level that is no positive number is an error."""
    block = denoiser()
    for given in (sigma, torch.tensor([0.1, sigma])):
        with pytest.raises(ValueError, match='`sigma` must be positive'):
            block(images(), sigma=given)


def test_inputs_that_are_refused():
    """Missing and superfluous inputs are errors, and tiny images."""
    block = denoiser()
    with pytest.raises(TypeError, match='pass `sigma`'):
        block(images())
    with pytest.raises(ValueError, match='made without a gradient'):
        block(images(), gradient=images(), sigma=0.1)
    with pytest.raises(ValueError, match='smaller than the kernel'):
        block(images((2, 9)), sigma=0.1)


def test_oblong_cells_are_refused():
    """An equivariant network needs square cells, an ordinary one does not."""
    space = odl.uniform_discr([0, 0], [1, 2], (8, 8), dtype='float32')
    denoiser(None).check_space(space)
    with pytest.raises(ValueError, match='square cells'):
        denoiser('C4').check_space(space)


def test_fewer_weights_than_the_small_block_has():
    """By default, a denoiser has 0.19 million weights."""
    n_weights = sum(p.numel() for p in MultiscaleDenoiser().parameters())
    assert n_weights == 190608
    assert n_weights > sum(
        p.numel() for p in EquivariantProximal().parameters()
    )


smooth = simple_fixture('smooth', ['elu', 'softplus'])


def test_smooth_activations_keep_symmetry_and_scale(smooth, group):
    """Turns and factors commute with networks that have the noise as unit."""
    block = denoiser(group, activation=smooth).double()
    x, levels = images((16, 16)).double(), torch.tensor([0.1, 0.5]).double()
    y = block(x, sigma=levels)
    torch.testing.assert_close(
        block(x.rot90(1, (2, 3)), sigma=levels), y.rot90(1, (2, 3))
    )
    torch.testing.assert_close(block(7 * x, sigma=7 * levels), 7 * y)


def test_smooth_activations_have_derivatives_without_jumps(smooth):
    """The slope along a line changes by O(t) over a distance t."""
    block = denoiser(activation=smooth).double()
    x, h = images().double(), images(seed=1).double()

    def slopes(block):
        u = x.clone().requires_grad_()
        points = [u + t * h for t in (0.0, 1e-3)]
        values = [block(p, sigma=0.3).sum() for p in points]
        one, other = (torch.autograd.grad(v, u)[0] for v in values)
        return ((one - other).abs() > 1e-2).sum()

    assert slopes(block) == 0 < slopes(denoiser().double())


@pytest.mark.parametrize('homogeneous', [True, False])
def test_smooth_networks_are_saved_and_converted(
    smooth, homogeneous, tmp_path
):
    """Files, plain convolutions and inference keep the activation."""
    block = denoiser(activation=smooth, homogeneous=homogeneous)
    x, path = images(), tmp_path / 'smooth.safetensors'
    expected = block(x, sigma=0.1)
    models.save(block, path)
    assert torch.equal(models.load(path)(x, sigma=0.1), expected)
    for copy in (to_convolutional(block), for_inference(block)):
        torch.testing.assert_close(copy(x, sigma=0.1), expected)


def test_leaky_networks_do_not_list_the_activation():
    """Architectures, and so files and checkpoints, stay what they were."""
    assert 'activation' not in denoiser().architecture['arguments']


def test_wrong_activations_are_named():
    """Errors name the activation and what to do."""
    with pytest.raises(ValueError, match='`activation` must be'):
        denoiser(activation='tanh')
    with pytest.raises(ValueError, match='noise_level=True, homogeneous=Fals'):
        denoiser(activation='elu', noise_level=False)
    with pytest.raises(ValueError, match="'elu' takes none, got 0.2"):
        denoiser(activation='elu', negative_slope=0.2)
