# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Networks that commute with phases of complex images, and others."""

import cmath
import math

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import Intensity, group_actions
from odl_equivariant.diagnostics import (
    TOLERANCES,
    assert_equivariant,
    equivariance_error,
)
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.nn._convolution import PaddedConvolution
from odl_equivariant.nn.steerable.complex_linear import (
    ComplexLinearConvolution,
)
from odl_equivariant.operators import (
    NetworkOperator,
    SubsampledFourierTransform,
)


def plane(size=7, dtype='complex128', impl='numpy'):
    """Return a space of complex images on a square."""
    return odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=impl
    )


def phases(space):
    """Return multiplications by some numbers of modulus one."""
    angles = (0.7, math.pi / 2, math.pi, -2.0)
    return [Intensity(space, scale=cmath.exp(1j * phi)) for phi in angles]


class Function(odl.Operator):
    """Operator that maps complex arrays by a function."""

    def __init__(self, function, space):
        """Initialize a new instance."""
        super().__init__(space, space, linear=False)
        self.function = function

    def _call(self, x):
        return self.range.element(self.function(x.asarray()))


class Kernel(torch.nn.Module):
    """A convolution with a given kernel."""

    def __init__(self, kernel):
        super().__init__()
        self.kernel = torch.nn.Parameter(kernel)

    def forward(self, x):
        """Convolve with the kernel."""
        return torch.nn.functional.conv2d(x, self.kernel, padding=1)


def network(dtype='float64', phase=True, channels=16, **kwargs):
    """Return a network with random weights in all of its layers."""
    torch.manual_seed(3)
    arguments = {'memory': 0, 'gradient': False, **kwargs}
    module = EquivariantProximal(
        2, channels, 'D4', phase=phase, **arguments
    ).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


# --- Layers --- #


def test_complex_kernels_commute_with_phases(law):
    """Convolutions with a + i b, of any kernels a and b."""
    torch.manual_seed(0)
    layer = ComplexLinearConvolution(
        lambda gain: PaddedConvolution(3, 3, gain=gain)
    ).double()
    space = plane() ** 3
    operator = NetworkOperator(layer, space)
    law.holds(assert_equivariant(operator, phases(space)))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 7, 7))
    (a, _), (b, _) = layer.real.kernel(), layer.imaginary.kernel()
    kernel = (a + 1j * b).detach()
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(
            torch.complex(*torch.from_numpy(x)), 4 * (1,), 'replicate'
        ),
        kernel,
    )
    found = operator(space.element(x[0] + 1j * x[1])).asarray()
    law.holds(
        np.abs(found - expected.numpy()).max(),
        case='In real numbers they are those with [[a, -b], [b, a]].',
    )


def test_what_commutes_with_phases_has_a_complex_kernel(law):
    """The mean of e^(-i phi) k e^(i phi) is [[a, -b], [b, a]] for any k."""
    torch.manual_seed(0)
    kernel = torch.randn(2, 2, 3, 3, dtype=torch.float64)
    mean = torch.zeros_like(kernel)
    for phi in (0, math.pi / 2, math.pi, 3 * math.pi / 2):
        c, s = math.cos(phi), math.sin(phi)
        turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
        mean += torch.einsum('ba,bcij,cd->adij', turn, kernel, turn) / 4
    gap = max(
        (mean[0, 0] - mean[1, 1]).abs().max(),
        (mean[0, 1] + mean[1, 0]).abs().max(),
    )
    law.holds(gap)
    space = plane()
    law.holds(
        assert_equivariant(
            NetworkOperator(Kernel(mean), space), phases(space)
        ),
        case='It commutes with all phases.',
    )
    law.fails(
        equivariance_error(
            NetworkOperator(Kernel(kernel), space), phases(space)[0]
        ),
        1e-1,
        'Kernels that are not of this form.',
    )


def test_functions_of_the_modulus_commute_with_phases(law):
    """Maps z -> psi(|z|) z, with a complex psi."""
    space = plane()
    function = Function(lambda z: np.exp((2j - 1) * np.abs(z)) * z, space)
    law.holds(assert_equivariant(function, phases(space)))


def test_functions_of_the_parts_do_not(law):
    """A LeakyReLU of real and imaginary part."""
    space = plane()

    def leaky(z):
        parts = np.stack([z.real, z.imag])
        real, imaginary = np.where(parts > 0, parts, 0.01 * parts)
        return real + 1j * imaginary

    error = equivariance_error(Function(leaky, space), phases(space)[0])
    law.fails(error, 1e-1)


def test_no_bias_commutes_with_phases(law):
    """A constant b, u -> u + b."""
    space = plane()
    error = equivariance_error(
        Function(lambda z: z + 0.5, space), phases(space)[0]
    )
    law.fails(error, 1e-1)


# --- Networks of these layers --- #


@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('size', [6, 7])
def test_networks_of_these_commute_with_phases_and_turns(
    law, size, impl, dtype
):
    """Phi(e^(i phi) g . u) = e^(i phi) g . Phi(u), with g in D4."""
    space = plane(size, dtype, impl)
    real = {'complex64': 'float32', 'complex128': 'float64'}[dtype]
    operator = NetworkOperator(network(real), space)
    both = [
        turn @ phase
        for turn in group_actions(space, 'D4')[::3]
        for phase in phases(space)[:2]
    ]
    law.holds(assert_equivariant(operator, both), TOLERANCES[real])


def test_networks_of_real_and_imaginary_parts_do_not(law):
    """The same network without phase=True."""
    space = plane()
    operator = NetworkOperator(network(phase=False), space)
    law.fails(equivariance_error(operator, phases(space)[0]), 1e-1)


def scaled(module, factor, sigma=None):
    """Return the relative error of Phi(c u; |c| sigma) = c Phi(u; sigma)."""
    x = torch.complex(*torch.randn(2, 7, 7, dtype=torch.float64))
    kwargs = {} if sigma is None else {'sigma': sigma}
    more = {} if sigma is None else {'sigma': abs(factor) * sigma}

    def apply(z, arguments):
        parts = torch.stack([z.real, z.imag])[None]
        with torch.no_grad():
            return torch.complex(*module(parts, **arguments)[0])

    expected = factor * apply(x, kwargs)
    gap = apply(factor * x, more) - expected
    return float(gap.norm() / expected.norm())


@pytest.mark.parametrize('factor', [1e-3, 1e3j, 3 - 4j])
def test_the_noise_level_makes_networks_homogeneous(law, factor):
    """Phi(c u; |c| sigma) = c Phi(u; sigma) for all complex c."""
    law.holds(scaled(network(noise_level=True), factor, 0.3))


def test_without_a_noise_level_they_are_not_homogeneous(law):
    """Phi(c u) = c Phi(u) for c = 10."""
    law.fails(scaled(network(), 10), 1e-2)


def test_reconstructions_have_the_phase_of_the_data(law):
    """Phi(e^(i phi) y; A) = e^(i phi) Phi(y; A), Fourier samples."""
    space = plane()
    operator = SubsampledFourierTransform(space, np.arange(7)[None] % 2 == 0)
    unrolled = LearnedProximalGradient(
        operator, network(gradient=True, memory=4), 3
    ).as_operator()
    y = random_element(operator.range, np.random.default_rng(1))
    for before, after in zip(
        phases(operator.range), phases(space), strict=True
    ):
        gap = unrolled(before(y)) - after(unrolled(y))
        law.holds(float(gap.norm()) / float(unrolled(y).norm()))
