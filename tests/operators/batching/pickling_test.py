# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests that layers can be copied and sent to other processes."""

import copy
import gc
import pickle
import weakref

import odl
import pytest
import torch
from odl.applications.tomo import (
    RayTransform,
    cone_beam_geometry,
    parallel_beam_geometry,
)
from torch import nn
from torch.utils.data import DataLoader, Dataset

from odl_equivariant.nn import LearnedProximalGradient, OrdinaryProximal
from odl_equivariant.operators import (
    AdjointOperator,
    CartesianMask,
    NetworkOperator,
    OperatorLayer,
    SensitivityEncoding,
    SubsampledFourierTransform,
    filtered_backprojection,
)
from odl_equivariant.operators.batching.pickling import pickled, unpickled


def ray_transform(backend='numpy', impl='astra_matrix', touched=True):
    """Return a ray transform that ODL can no longer pickle, if touched."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (6, 6), dtype='float32', impl=backend
    )
    geometry = parallel_beam_geometry(space, 4, 9)
    operator = RayTransform(space, geometry, impl=impl)
    if touched:
        operator.adjoint  # noqa: B018
    return operator


def network(space):
    """Return an operator with weights between elements of a space."""
    torch.manual_seed(1)
    return NetworkOperator(nn.Conv2d(1, 1, 3, padding=1), space)


def _two_transforms(backend):
    operator = ray_transform(backend)
    return odl.BroadcastOperator(operator, 2.0 * operator)


def _unrolled_step(backend):
    operator = ray_transform(backend)
    step = operator.adjoint * (operator - operator.range.one())
    prox = network(operator.domain)
    return prox * (odl.IdentityOperator(operator.domain) - 0.1 * step)


def _data_term(backend):
    operator = ray_transform(backend)
    norm = odl.functionals.L2NormSquared(operator.range)
    return 0.5 * norm.translated(operator.range.one()) * operator


def _array_weights(backend):
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    weights = weights if backend == 'pytorch' else weights.numpy()
    return odl.Gradient(
        odl.uniform_discr(
            [0, 0],
            [1, 1],
            (2, 2),
            dtype='float32',
            impl=backend,
            weighting=weights,
        )
    )


def _samples_of_coils(backend):
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (6, 6), dtype='complex64', impl=backend
    )
    coils = SensitivityEncoding(space, torch.ones(2, 6, 6) * (1 + 2j))
    mask = CartesianMask((6, 6), 2, 0.3)
    return SubsampledFourierTransform(coils.range, mask) * coils


OPERATORS = {
    'RayTransform': ray_transform,
    'RayTransform, not touched': lambda b: ray_transform(b, touched=False),
    'RayTransform, astra_cpu': lambda b: ray_transform(b, 'astra_cpu'),
    'RayBackProjection': lambda b: ray_transform(b).adjoint,
    'AdjointOperator': lambda b: AdjointOperator(ray_transform(b)),
    'filtered_backprojection': lambda b: filtered_backprojection(
        ray_transform(b)
    ),
    'normal operator': lambda b: ray_transform(b).adjoint * ray_transform(b),
    'two transforms': _two_transforms,
    'unrolled step': _unrolled_step,
    'data term': _data_term,
    'array weights': _array_weights,
    'samples of coils': _samples_of_coils,
    'network': lambda b: ray_transform(b) * network(ray_transform(b).domain),
}
every_operator = pytest.mark.parametrize('name', OPERATORS)


def batch(layer):
    """Return a random batch of what a layer takes."""
    return torch.randn(2, *layer._shape, dtype=layer._dtype)


def through_pickle(layer):
    """Return a layer as another process would get it."""
    return pickle.loads(pickle.dumps(nn.Sequential(layer)))[0]


def deep_copy(layer):
    """Return a deep copy, as part of a model."""
    return copy.deepcopy(nn.Sequential(layer))[0]


every_way = pytest.mark.parametrize('way', [through_pickle, deep_copy])


@every_way
@every_operator
def test_layer_survives(name, way, backend):
    """A copy has the same values and gradients."""
    layer = OperatorLayer(OPERATORS[name](backend))
    twin = way(layer)
    x = batch(layer).requires_grad_()
    y = layer(x)
    torch.testing.assert_close(twin(x), y, rtol=0, atol=0)
    (expected,) = torch.autograd.grad(y.sum(), x)
    (gradient,) = torch.autograd.grad(twin(x).sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


@every_way
@every_operator
def test_layer_survives_after_use(name, way):
    """A layer can be copied after use, also of its adjoint."""
    layer = OperatorLayer(OPERATORS[name]('numpy'))
    x = batch(layer).requires_grad_()
    layer(x).sum().backward()
    if name not in ('unrolled step', 'data term', 'network'):
        layer.adjoint(layer(x))
    twin = way(way(layer))
    torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)


@every_way
def test_layer_keeps_its_state(way):
    """A copy has the same layout, mode and device."""
    space = odl.cn(3)
    layer = OperatorLayer(odl.ScalingOperator(space, 1j), 'complex').eval()
    twin = way(layer.to('meta'))
    assert twin.layout == 'complex' and not twin.training
    assert twin(torch.ones(2, 1, 3, device='meta').cdouble()).is_meta


@every_way
def test_spaces_stay_equal(way):
    """The operator of a copy acts between equal spaces."""
    layer = OperatorLayer(ray_transform())
    twin = way(layer)
    assert twin.operator.domain == layer.operator.domain
    assert twin.operator.range == layer.operator.range
    assert twin.operator.impl == 'astra_matrix'


def test_copy_shares_an_operator_without_weights():
    """A deep copy shares the operator if it has no weights."""
    layer = OperatorLayer(_data_term('numpy'))
    assert deep_copy(layer).operator is layer.operator


def test_copy_of_what_nobody_can_pickle():
    """A deep copy shares operators that cannot be pickled."""
    space = odl.rn(3)
    proximal = odl.functionals.L1Norm(space).proximal(0.1)
    layer = OperatorLayer(proximal * odl.ScalingOperator(space, 2.0))
    x = batch(layer)
    torch.testing.assert_close(deep_copy(layer)(x), layer(x))


@every_way
def test_module_in_two_places_stays_one(way):
    """A module inside and outside of a layer stays one in a copy."""
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype='float32')
    operator = network(space)
    layer = OperatorLayer(operator * operator)
    twin = way(layer)
    assert len(list(twin.parameters())) == 2
    model = nn.ModuleDict({'layer': layer, 'network': operator.module})
    model = copy.deepcopy(model)
    assert model['network'].weight is next(model['layer'].parameters())


@every_way
def test_weights_of_the_layer_are_those_of_its_operator(way):
    """Training the twin trains the operator in it."""
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype='float32')
    twin = way(OperatorLayer(network(space)))
    assert twin.operator.module.weight is next(twin.parameters())


@every_operator
@pytest.mark.parametrize(
    'way',
    [lambda a: pickle.loads(pickle.dumps(a)), copy.deepcopy, copy.copy],
    ids=['pickle', 'deepcopy', 'copy'],
)
def test_operator_by_itself(name, way):
    """Operators can be pickled and copied without a layer, after use too."""
    operator = OPERATORS[name]('numpy')
    x = operator.domain.one()
    for _ in range(2):
        gap = way(operator)(x) - operator(x)
        assert abs(gap if isinstance(gap, float) else gap.norm()) == 0


@pytest.mark.parametrize('impl', ['astra_matrix', 'astra_cpu'])
def test_back_projection_of_a_fan(impl):
    """An unpickled adjoint of a fan beam has its geometry and its adjoint."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype='float32')
    geometry = cone_beam_geometry(space, 3, 2, num_angles=5, det_shape=9)
    adjoint = RayTransform(space, geometry, impl=impl).adjoint
    twin = pickle.loads(pickle.dumps(adjoint))
    x, y = space.one(), adjoint.domain.one()
    assert (twin(y) - adjoint(y)).norm() == 0
    assert (twin.adjoint(x) - adjoint.adjoint(x)).norm() == 0


def test_pickled_ray_transforms_are_freed():
    """After pickling, transforms and matrices can be freed."""
    operator = ray_transform()
    pickle.dumps(operator.adjoint)
    alive = weakref.ref(operator)
    del operator
    gc.collect()
    assert alive() is None


def test_modules_are_not_in_the_bytes():
    """Modules are returned separately, each once."""
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype='float32')
    operator = network(space)
    data, modules = pickled(operator * operator)
    assert modules == [operator.module]
    assert unpickled(data, ['another']).left.module == 'another'


# --- Other processes --- #


class Reconstructions(Dataset):
    """Images that operators and a network reconstruct."""

    def __init__(self):
        self.operator = ray_transform()
        unrolled = LearnedProximalGradient(
            self.operator, lambda: OrdinaryProximal(channels=4), n_iterations=2
        )
        self.methods = (
            self.operator.adjoint,
            filtered_backprojection(self.operator),
            unrolled.requires_grad_(False).as_operator(),
        )

    def __len__(self):
        return len(self.methods)

    def __getitem__(self, index):
        y = self.operator(self.operator.domain.one())
        return torch.from_numpy(self.methods[index](y).data)


@pytest.mark.slow
def test_worker_with_operators():
    """Workers of a forkserver get the operators and networks of a data set."""
    dataset = Reconstructions()
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=1,
        multiprocessing_context='forkserver',
    )
    for index, result in enumerate(loader):
        torch.testing.assert_close(result, dataset[index])
    assert index == 2


class Projections(Dataset):
    """Samples that a layer makes."""

    def __init__(self, layers):
        self.layers = layers

    def __len__(self):
        return len(self.layers)

    def __getitem__(self, index):
        layer = self.layers[index]
        with torch.no_grad():
            return layer(torch.ones(1, *layer._shape, dtype=layer._dtype))


@pytest.mark.slow
def test_worker_that_is_spawned():
    """Spawned workers get the layers of a data set."""
    names = [name for name in OPERATORS if name != 'array weights']
    layers = [OperatorLayer(OPERATORS[name]('numpy')) for name in names]
    dataset = Projections(layers)
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=1,
        multiprocessing_context='spawn',
    )
    for index, result in enumerate(loader):
        torch.testing.assert_close(result, dataset[index])
    assert index == len(layers) - 1
