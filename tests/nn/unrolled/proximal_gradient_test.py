# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the unrolled learned proximal gradient method."""

import copy
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.actions import (
    Dilation,
    Reflection,
    Rotation,
    group_actions,
    induced_action,
)
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.nn.unrolled.layers import FBP_CUTOFF
from odl_equivariant.operators.network import NetworkOperator
from odl_equivariant.operators.ray.filtered_backprojection import (
    filtered_backprojection,
)
from odl_equivariant.solvers import learned_proximal_gradient

dtype = simple_fixture('dtype', ['float32', 'complex128'])
shared = simple_fixture('shared', [False, True])


def ray_transform(dtype='float32', backend='numpy', size=6, n_views=4):
    """Return a small ray transform between spaces of unequal weights."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=backend
    )
    geometry = parallel_beam_geometry(space, n_views, 2 * size)
    return RayTransform(space, geometry, impl='astra_matrix')


def network_for(
    operator,
    block=OrdinaryProximal,
    shared=False,
    initial='zero',
    n_iterations=3,
    seed=1,
    **kwargs,
):
    """Return an unrolled network with random weights and steps."""
    space = operator.domain

    def make():
        arguments = {'channels': 8, 'memory': 2, **kwargs}
        module = block(n_channels(space), **arguments)
        return module.to(tensor_dtype(space))

    network = LearnedProximalGradient(
        operator, make() if shared else make, n_iterations, initial
    )
    return randomise(network, seed)


def randomise(network, seed=1):
    """Draw all weights and steps anew."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.blocks.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 1 / parameter[0].numel() ** 0.5
            # large biases would hide what the data do
            scale *= 0.05 if parameter.ndim == 1 else 1
            parameter.copy_(scale * noise)
        steps = torch.rand(network.n_iterations, generator=generator)
        network.relative_steps.copy_(0.5 + steps)
    return network


def data_for(operator, n_samples=2, seed=2):
    """Return random data of an operator as a tensor."""
    generator = torch.Generator().manual_seed(seed)
    space = operator.range
    shape = (n_samples, n_channels(space), *space.shape)
    return torch.randn(shape, generator=generator).to(tensor_dtype(space))


def close(ours, theirs):
    """Assert that two tensors are equal to rounding."""
    tol = 1e-12 if theirs.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(ours, theirs, rtol=tol, atol=tol)


class Descent(nn.Module):
    """Block that makes a gradient step."""

    def forward(self, x, gradient):
        return x - gradient


# --- The steps --- #


def test_steps_start_at_one_over_the_squared_norm(dtype, backend):
    """The first steps are 1 / ||A||^2, in the weighted inner products."""
    operator = ray_transform(dtype, backend)
    network = LearnedProximalGradient(operator, Descent, n_iterations=2)
    columns = []
    for i in range(operator.domain.size):
        unit = np.zeros(operator.domain.size, dtype)
        unit[i] = 1
        unit = unit.reshape(operator.domain.shape)
        image = operator(operator.domain.element(unit))
        columns.append(as_tensor(image)[0, 0].flatten().double().numpy())
    norm = np.linalg.norm(np.array(columns), 2)
    ratio = float(inner_product_weights(operator.range).flatten()[0])
    ratio /= float(inner_product_weights(operator.domain).flatten()[0])
    assert abs(ratio - 1) > 0.1
    expected = 1 / (norm**2 * ratio)
    assert network.relative_steps.tolist() == [1, 1]
    for k in range(2):
        assert network.step(k).item() == pytest.approx(expected, rel=1e-3)


def test_norm_draws_nothing():
    """The estimate of the norm leaves the global random state alone."""
    operator = ray_transform()
    state = torch.get_rng_state()
    steps = [
        LearnedProximalGradient(operator, Descent).step(0).item()
        for _ in range(2)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert steps[0] == steps[1]


def test_steps_scale_with_the_operator():
    """Multiplying operator and data by a factor gives the same images."""
    operator = ray_transform('float64')
    y = data_for(operator)
    expected = network_for(operator)(y)
    close(network_for(1000.0 * operator)(1000 * y), expected)


@pytest.mark.parametrize('initial', ['zero', 'adjoint'])
def test_steps_do_not_depend_on_the_unit_of_length(initial, dtype):
    """Cells of 1 x 1, which ODL takes for unweighted, are no exception.

    Rays are longer in a smaller unit, and so are the data.
    """
    results = []
    for half in (1.0, 3.0, 1e-3):
        space = odl.uniform_discr([-half] * 2, [half] * 2, (6, 6), dtype=dtype)
        geometry = parallel_beam_geometry(space, 4, 12)
        operator = RayTransform(space, geometry, impl='astra_matrix')
        network = network_for(operator, initial=initial)
        with torch.no_grad():
            results.append(network(half * data_for(operator, 2)))
    scale = results[0].abs().max()
    for result in results[1:]:
        torch.testing.assert_close(
            result / scale, results[0] / scale, rtol=0, atol=2e-5
        )


# --- Where it starts, if the operator is moved --- #


def moved_operators(operator):
    """Yield operators after actions, each with its action and factor."""
    space = operator.domain
    for action in group_actions(space, 'D4'):
        yield operator @ action, action, 1
    turn, mirror = Rotation(space, np.pi / 2), Reflection(space, 0)
    nested = odl.OperatorComp(turn, odl.OperatorComp(mirror, turn))
    yield operator @ nested, nested, 1
    yield odl.OperatorComp(operator @ turn, mirror), turn @ mirror, 1
    yield (2 * operator) @ (turn.adjoint * -3), turn.inverse, -6
    same = odl.IdentityOperator(space)
    half = odl.ScalingOperator(space, 0.5)
    yield operator @ same @ half @ turn, turn, 0.5


def test_initial_of_a_moved_operator(backend):
    """FBP of c A T_g is T_g^-1 of the FBP of A, divided by c."""
    operator = ray_transform(backend=backend)
    fbp = filtered_backprojection(operator, 'Hann', FBP_CUTOFF)
    y = as_element(data_for(operator, 1), operator.range)
    for moved, action, factor in moved_operators(operator):
        layers = network_for(moved, initial='fbp')._layers
        result = as_element(layers.initial(as_tensor(y)), operator.domain)
        close(as_tensor(action(result)) * factor, as_tensor(fbp(y)))


def test_initial_with_moved_data():
    """FBP of S_g A is the FBP of A after S_g^-1."""
    operator = ray_transform(n_views=6)
    fbp = filtered_backprojection(operator, 'Hann', FBP_CUTOFF)
    turn = Rotation(operator.domain, np.pi / 2)
    data_turn = induced_action(operator, turn)
    assert data_turn.is_isometry
    mirror = induced_action(operator, Reflection(operator.domain, 0))
    y = data_for(operator, 1)
    element = as_element(y, operator.range)
    for moved, expected in (
        (data_turn @ operator, fbp(data_turn.inverse(element))),
        (
            odl.OperatorComp(data_turn, odl.OperatorComp(mirror, operator)),
            fbp(mirror.inverse(data_turn.inverse(element))),
        ),
        (
            data_turn @ operator @ turn,
            turn.inverse(fbp(data_turn.inverse(element))),
        ),
    ):
        layers = network_for(moved, initial='fbp')._layers
        close(layers.initial(y), as_tensor(expected))


@pytest.mark.parametrize('initial', ['zero', 'adjoint', 'fbp'])
def test_networks_follow_a_moved_operator(initial, backend):
    """Phi(y; A T_g) = T_g^-1 Phi(y; A), however the operator is given."""
    operator = ray_transform('float64', backend, size=7, n_views=3)
    network = network_for(
        operator,
        EquivariantProximal,
        initial=initial,
        group='D4',
        channels=8,
    )
    y = data_for(operator, 1)
    with torch.no_grad():
        upright = as_element(network(y), operator.domain)
    for action in group_actions(operator.domain, 'D4')[1:]:
        expected = as_tensor(action.inverse(upright))
        moved = operator @ action
        other = network.with_operator(moved)
        with torch.no_grad():
            close(other(y), expected)
            close(network(y, forward_operator=moved), expected)
            # and back again
            close(other(y, forward_operator=operator), as_tensor(upright))


def test_blocks_in_a_precision_of_their_own_follow_to_another_operator():
    """Precision is that of the steps: a block may convert what it is given."""

    class Halved(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))

        def forward(self, x, gradient):
            return (x - gradient) * self.weight.to(x)

    operator = ray_transform()
    network = LearnedProximalGradient(operator, Halved, 2)
    other = network.with_operator(2.0 * operator)
    y = data_for(operator, 1)
    close(other(2.0 * y).detach(), network(y).detach())


def test_initial_after_a_dilation():
    """A dilation is no isometry, and FBP does not follow it."""
    operator = ray_transform()
    larger = Dilation(operator.domain, 1.5, method='linear')
    with pytest.raises(ValueError, match='ray transform'):
        network_for(operator @ larger, initial='fbp')


# --- The iteration --- #


@pytest.mark.parametrize('initial', ['zero', 'adjoint', 'fbp', 'operator'])
@pytest.mark.parametrize('memory', [0, 2])
def test_network_equals_the_solver(initial, memory, shared, dtype, backend):
    """The network computes what the ODL solver does with its proximals."""
    operator = ray_transform(dtype, backend)
    given = initial
    if initial == 'operator':
        given = 0.1 * operator.adjoint
    network = network_for(
        operator, shared=shared, initial=given, memory=memory
    )
    y = as_element(data_for(operator, 1), operator.range)
    x = {
        'zero': lambda y: operator.domain.zero(),
        'adjoint': lambda y: (
            (network.step(0) / network.relative_steps[0]).item()
            * operator.adjoint(y)
        ),
        'fbp': filtered_backprojection(operator, 'Hann', FBP_CUTOFF)
        if initial == 'fbp'
        else None,
        'operator': given,
    }[initial](y)
    assert (float(x.norm()) == 0) == (initial == 'zero')

    def gradient(x):
        return operator.adjoint(operator(x) - y)

    learned_proximal_gradient(x, network.proximals, gradient)
    with torch.no_grad():
        expected = network(as_tensor(y))
    assert float(expected.norm()) > 0.1
    close(as_tensor(x), expected)


def test_gradient_descent():
    """With blocks that make gradient steps, it is the Landweber iteration."""
    operator = ray_transform('float64')
    network = LearnedProximalGradient(operator, Descent, n_iterations=5)
    y = as_element(data_for(operator, 1), operator.range)
    x = operator.domain.zero()
    omega = network.step(0).item()
    odl.solvers.landweber(operator, x, y, niter=5, omega=omega)
    with torch.no_grad():
        close(network(as_tensor(y)), as_tensor(x))


def test_blocks_in_their_order():
    """Iteration k uses block k, or the shared block."""
    operator = ray_transform()
    blocks = [Descent() for _ in range(3)]
    network = LearnedProximalGradient(operator, iter(blocks).__next__, 3)
    assert [network.block(k) for k in range(3)] == blocks
    network = LearnedProximalGradient(operator, blocks[0], 3)
    assert [network.block(k) for k in range(3)] == 3 * [blocks[0]]
    assert len(network.blocks) == 1


def test_samples_of_a_batch_are_apart():
    """The image of a sample does not depend on the rest of the batch."""
    operator = ray_transform()
    network = network_for(operator)
    y = data_for(operator, 3)
    with torch.no_grad():
        result = network(y)
        assert result.shape == (3, 1, 6, 6)
        assert network(y[:0]).shape == (0, 1, 6, 6)
        for i in range(3):
            close(network(y[i : i + 1]), result[i : i + 1])


# --- As an operator --- #


def test_as_operator(dtype, backend):
    """The operator maps data to what the network maps their tensor to."""
    operator = ray_transform(dtype, backend)
    network = network_for(operator)
    reconstruction = network.as_operator()
    assert reconstruction.domain == operator.range
    assert reconstruction.range == operator.domain
    y = data_for(operator, 1)
    for seed in (1, 5):
        # the second time with other weights, which the operator follows
        randomise(network, seed)
        with torch.no_grad():
            expected = network(y)
        result = reconstruction(as_element(y, operator.range))
        assert result in operator.domain
        close(as_tensor(result), expected)


# --- Equivariance --- #


@pytest.mark.parametrize('initial', ['zero', 'adjoint', 'fbp'])
def test_reconstructions_turn_with_the_object(initial, backend):
    """Data of a turned object give the turned image.

    An even number of views is mapped to itself by a quarter turn.
    """
    operator = ray_transform(backend=backend, size=8, n_views=6)
    turn = Rotation(operator.domain, np.pi / 2)
    truth = operator.domain.element(
        as_element(torch.rand(1, 1, 8, 8), operator.domain)
    )
    errors = {}
    for block in (EquivariantProximal, OrdinaryProximal):
        network = network_for(operator, block, initial=initial)
        reconstruct = network.as_operator() * operator
        expected = turn(reconstruct(truth))
        gap = reconstruct(turn(truth)) - expected
        errors[block] = float(gap.norm()) / float(expected.norm())
    assert errors[EquivariantProximal] < 1e-4
    assert errors[OrdinaryProximal] > 0.02


@pytest.mark.parametrize('n_views', [4, 5])
@pytest.mark.parametrize('initial', ['zero', 'adjoint'])
def test_equivariance_in_data_and_operator(initial, n_views):
    """For any data, ``Phi(y; A T) = T^-1 Phi(y; A)``, for any isometry T."""
    operator = ray_transform('float64', size=8, n_views=n_views)
    turn = Rotation(operator.domain, np.pi / 2)
    y = as_element(data_for(operator, 1), operator.range)
    errors = {}
    for block in (EquivariantProximal, OrdinaryProximal):
        network = network_for(operator, block, initial=initial)
        turned = network_for(operator * turn, block, initial=initial)
        expected = turn.inverse(network.as_operator()(y))
        gap = turned.as_operator()(y) - expected
        errors[block] = float(gap.norm()) / float(expected.norm())
    assert errors[EquivariantProximal] < 1e-10
    assert errors[OrdinaryProximal] > 0.02


# --- As a torch module --- #


def test_gradients_reach_every_weight(shared):
    """Each weight, each step and the data have a gradient."""
    operator = ray_transform()
    network = network_for(
        operator, EquivariantProximal, shared, initial='adjoint'
    )
    y = data_for(operator).requires_grad_()
    network(y).square().sum().backward()
    # the last block has no iteration after it that takes its memory
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().amax() > 0, name
    assert (network.relative_steps.grad != 0).all()
    assert y.grad.abs().amax() > 0


def test_state_has_no_operator():
    """The weights do not depend on the operator, and fit another grid."""
    network = network_for(ray_transform())
    names = set(network.state_dict())
    assert names == set(dict(network.named_parameters()))
    assert set(network.eval().state_dict()) == names
    other = network_for(ray_transform(size=9, n_views=7), seed=4)
    other.load_state_dict(network.state_dict())


@pytest.mark.parametrize('initial', ['zero', 'adjoint', 'fbp'])
def test_deepcopy(initial, shared):
    """A copy computes the same, with weights of its own."""
    operator = ray_transform()
    network = network_for(operator, shared=shared, initial=initial).eval()
    y = data_for(operator)
    with torch.no_grad():
        expected = network(y)
        other = copy.deepcopy(network)
        assert not other.training
        assert other.forward_operator is operator
        assert torch.equal(other(y), expected)
        randomise(other, 7)
        assert torch.equal(network(y), expected)
        assert not torch.equal(other(y), expected)


@pytest.mark.parametrize('initial', ['zero', 'adjoint', 'fbp'])
def test_pickle(initial):
    """A network can be pickled, also after its adjoint was used."""
    operator = ray_transform()
    network = network_for(operator, initial=initial)
    y = data_for(operator)
    other = pickle.loads(pickle.dumps(network))
    with torch.no_grad():
        assert torch.equal(other(y), network(y))
    assert other.forward_operator.domain == operator.domain


def test_network_as_initial_is_trained():
    """If the initial value is a network, it is trained too."""
    space = odl.rn((6, 6), dtype='float32')
    start = NetworkOperator(torch.nn.Conv2d(1, 1, 3, padding=1), space)
    network = network_for(odl.IdentityOperator(space), initial=start)
    network(torch.rand(1, 1, 6, 6)).sum().backward()
    weight = start.module.weight
    assert any(parameter is weight for parameter in network.parameters())
    assert float(weight.grad.abs().sum()) > 0


def test_double():
    """On a space in float64, the network computes in float64."""
    operator = ray_transform('float64')
    network = LearnedProximalGradient(
        operator, lambda: EquivariantProximal(channels=4), n_iterations=2
    ).double()
    assert network(data_for(operator)).dtype == torch.float64


# --- Bad input --- #


def identity(shape=(6, 6), **kwargs):
    """Return the identity on a space of images."""
    return odl.IdentityOperator(odl.rn(shape, dtype='float32', **kwargs))


@pytest.mark.parametrize('n_iterations', [0, -1, 2.0, True, '3', None])
def test_n_iterations_out_of_range(n_iterations):
    """The number of iterations is a positive whole number."""
    error = ValueError if n_iterations in (0, -1) else TypeError
    with pytest.raises(error, match='positive whole number'):
        LearnedProximalGradient(identity(), Descent, n_iterations)


@pytest.mark.parametrize(
    'operator, error, match',
    [
        (np.eye(6), TypeError, '`odl.Operator`, got ndarray'),
        (
            odl.ConstantOperator(odl.rn(3).one()),
            TypeError,
            'expected a linear operator',
        ),
        (
            odl.ZeroOperator(odl.rn((6, 6), dtype='float32')),
            ValueError,
            'non-zero and finite',
        ),
        (
            odl.ScalingOperator(odl.rn((6, 6), dtype='float32'), np.nan),
            ValueError,
            'must be finite',
        ),
    ],
)
def test_operators_that_do_not_fit(operator, error, match):
    """An operator without a gradient of the data fit is refused."""
    with pytest.raises(error, match=match):
        LearnedProximalGradient(operator, OrdinaryProximal)


@pytest.mark.parametrize('proximal', [None, 3, [Descent()]])
def test_proximals_that_cannot_be_called(proximal):
    """A proximal must be a module, or a function that returns one."""
    with pytest.raises(TypeError, match='callable that makes one'):
        LearnedProximalGradient(identity(), proximal)


@pytest.mark.parametrize(
    'make, error, match',
    [
        (lambda: None, TypeError, 'torch.nn.Module.*got NoneType'),
        (
            lambda: OrdinaryProximal(2, 4),
            ValueError,
            '1 channel.*in_channels=2',
        ),
        (
            lambda: OrdinaryProximal(channels=4, kernel_size=7),
            ValueError,
            'smaller than the kernels of side 7',
        ),
        (
            lambda: OrdinaryProximal(channels=4, memory=0, gradient=False),
            ValueError,
            'make the proximal with gradient=True',
        ),
        (
            lambda: OrdinaryProximal(channels=4, noise_level=True),
            ValueError,
            'noise_level=False',
        ),
    ],
)
def test_blocks_that_do_not_fit(make, error, match):
    """A block that does not fit is refused at once."""
    with pytest.raises(error, match=match):
        LearnedProximalGradient(identity(), make, 2)


def test_blocks_with_another_memory():
    """All blocks must have the same number of memory channels."""
    sizes = iter((2, 3))
    with pytest.raises(ValueError, match=r'memory channels, got \[2, 3\]'):
        LearnedProximalGradient(
            identity(),
            lambda: OrdinaryProximal(channels=4, memory=next(sizes)),
            n_iterations=2,
        )


@pytest.mark.parametrize(
    'initial, error, match',
    [
        ('FBP', ValueError, "'zero', 'adjoint', 'fbp'.*got 'FBP'"),
        (None, TypeError, "'zero', 'adjoint', 'fbp'.*got None"),
        (np.zeros((6, 6)), TypeError, "'zero', 'adjoint', 'fbp'.*shape"),
        ('fbp', ValueError, 'ray transform'),
        (odl.IdentityOperator(odl.rn((5, 6))), ValueError, 'must map from'),
    ],
)
def test_initials_that_do_not_fit(initial, error, match):
    """Unknown initial values, and those of other spaces, are refused."""
    with pytest.raises(error, match=match):
        LearnedProximalGradient(
            identity(), OrdinaryProximal, 2, initial=initial
        )


@pytest.mark.parametrize('initial', ['zero', 'adjoint'])
@pytest.mark.parametrize(
    'y, error, match',
    [
        (np.zeros((1, 1, 6, 6), 'float32'), TypeError, 'got ndarray'),
        (torch.zeros(1, 1, 6, 6).double(), TypeError, 'float32.*float64'),
        (torch.zeros(1, 1, 6), ValueError, r'\(N, 1, 6, 6\)'),
        (torch.zeros(1, 1, 1, 6), ValueError, r'\(N, 1, 6, 6\)'),
        (torch.zeros(1, 2, 6, 6), ValueError, r'\(N, 1, 6, 6\)'),
        (torch.zeros(()), ValueError, r'\(N, 1, 6, 6\)'),
    ],
)
def test_data_that_do_not_fit(initial, y, error, match):
    """Data of another shape are refused, also if they would broadcast."""
    network = network_for(identity(), initial=initial)
    with pytest.raises(error, match=match):
        network(y)


def test_architecture_needs_that_of_its_blocks():
    """A network with blocks of a user has no architecture."""
    network = LearnedProximalGradient(identity(), Descent, 2)
    with pytest.raises(TypeError, match='blocks with an `architecture`'):
        _ = network.architecture


def test_repr_has_the_iteration():
    """The text has the initial value, and the number and size of the steps."""
    network = network_for(ray_transform(), initial='adjoint')
    with torch.no_grad():
        network.relative_steps.copy_(torch.tensor([1.0, 0.51239, 2.0]))
    first = repr(network).splitlines()[1].strip()
    assert first == (
        "n_iterations=3, initial='adjoint', relative_steps=[1, 0.512, 2]"
    )
