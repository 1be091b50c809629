# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Learned half-quadratic splitting as a torch module."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import odl
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._types import Initial
from odl_equivariant.elements import first_part, n_channels, tensor_dtype
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.nn.blocks.contract import (
    architecture_of,
    precomputed_of_all,
)
from odl_equivariant.nn.energies.base import Energy
from odl_equivariant.nn.inference import blocks_of
from odl_equivariant.nn.unrolled.base import (
    UnrolledMethod,
    made_blocks,
    maker_of,
)
from odl_equivariant.nn.unrolled.conjugate_gradient import implicit_gradient
from odl_equivariant.nn.unrolled.layers import (
    Layers,
    OperatorCache,
    per_sample,
)
from odl_equivariant.operators.batching.exporting import (
    check_not_exported_strictly,
)

__all__ = ('MOST_INNER_ITERATIONS', 'LearnedHalfQuadraticSplitting')

#: More would take a day, and a file of weights could ask for it.
MOST_INNER_ITERATIONS = 1000


class LearnedHalfQuadraticSplitting(UnrolledMethod):
    r"""Learned half-quadratic splitting, unrolled to a network.

    Parameters
    ----------
    forward_operator : `odl.Operator`
        Linear operator :math:`A : X \to Y` with an adjoint.
    denoiser : callable or torch.nn.Module
        Denoiser of all iterations, such as a `MultiscaleDenoiser`; or, called
        without arguments once for each iteration, it returns the one of that
        iteration. It maps ``(v, sigma)`` to images, or ``v`` if it has
        ``noise_level=False``, and has neither a gradient nor a memory. A
        denoiser of one channel is applied to each channel of the images: for
        complex images to the real and to the imaginary part.
    n_iterations : int, optional
        Number K of iterations.
    inner_iterations : int, optional
        Number of conjugate gradient iterations for the data fit, in each
        iteration, at most 1000.
    initial : {'zero', 'adjoint', 'fbp'} or `odl.Operator`, optional
        Where the iteration starts, as for `LearnedProximalGradient`.
    relative_steps : sequence of floats, optional
        The steps :math:`\tau_k \|A\|^2` at the start of the training: the
        first and the last one, between which the others lie evenly on a
        logarithmic scale, or all K.
    relative_levels : sequence of floats, optional
        The :math:`\rho_k` at the start of the training, in the same way.
    checkpointing : bool, optional
        Whether training keeps the intermediate results of one iteration at a
        time, and computes them again for the gradient. It takes less memory
        and more time.

    Attributes
    ----------
    log_steps, log_levels : torch.nn.Parameter
        The logarithms of :math:`\tau_k \|A\|^2` and of :math:`\rho_k`, of
        shape ``(K,)``. There are no levels if no denoiser takes one.

    Raises
    ------
    TypeError
        If ``forward_operator`` is not a linear ODL operator, ``denoiser`` not
        callable or what it makes no denoiser, a number none, or ``initial``
        neither an operator nor a string.
    ValueError
        If a number is not positive, ``initial`` another string, or a denoiser
        or ``initial`` does not fit the spaces.

    Notes
    -----
    From :math:`z = 0` (or ``initial``), and with
    :math:`D(u) = \frac{1}{2} \|A u - y\|^2`,

    .. math::
        u_k &= \mathrm{prox}_{\tau_k D}(z_{k-1}), \\
        z_k &= \Phi_k(u_k; \sigma_k), \quad
        \sigma_k = \rho_k\, r(u_k - z_{k-1}), \quad k = 1, \dots, K,

    with the root mean square :math:`r` of an image. The proximal is that of
    the inner products of the spaces. It is approximated by conjugate
    gradients, which start at :math:`z_{k-1}`. This is the plug-and-play
    method `odl_equivariant.solvers.half_quadratic_splitting` with a fixed
    number of iterations, whose steps and levels are learned with the denoiser
    [Z+2020]_ [AMJ2019]_. It starts from what the denoiser alone can do.

    What the data fit changes in an image that was denoised is mostly noise
    and artefacts: its size, times a learned factor, is the noise level, so
    that a network fits all doses. If the denoisers are homogeneous, so is the
    method: data :math:`a y` lead to :math:`a` times the result.

    If the denoisers commute with an isometry :math:`T_g`, the reconstruction
    from :math:`A T_g` is :math:`T_g^{-1}` of that from :math:`A`, as conjugate
    gradients and norms do not see isometries.

    References
    ----------
    .. [Z+2020] Zhang K, Van Gool L and Timofte R. *Deep unfolding network for
       image super-resolution*. IEEE/CVF Conference on Computer Vision and
       Pattern Recognition (2020) 3217-3226.
    .. [AMJ2019] Aggarwal H K, Mani M P and Jacob M. *MoDL: model-based deep
       learning architecture for inverse problems*. IEEE Transactions on
       Medical Imaging 38 (2019) 394-405.

    Examples
    --------
    >>> from odl_equivariant.nn import MultiscaleDenoiser
    >>> space = odl.rn((8, 8), dtype='float32')
    >>> network = LearnedHalfQuadraticSplitting(
    ...     odl.IdentityOperator(space),
    ...     MultiscaleDenoiser('C4', channels=4, n_scales=1),
    ...     n_iterations=2,
    ... )
    >>> network(torch.ones(3, 1, 8, 8)).shape
    torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        forward_operator: odl.Operator,
        denoiser: Callable[[], nn.Module] | nn.Module,
        n_iterations: int = 6,
        inner_iterations: int = 4,
        initial: Initial = 'zero',
        relative_steps: Sequence[float] = (10.0, 60.0),
        relative_levels: Sequence[float] = (10.0, 2.0),
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.n_iterations = whole_number('n_iterations', n_iterations, 1)
        self.inner_iterations = whole_number(
            'inner_iterations', inner_iterations, 1, MOST_INNER_ITERATIONS
        )
        self._layers = Layers(forward_operator, initial)
        self._operators = OperatorCache(self._layers)
        self.register_buffer(
            '_weights', _unequal_weights(forward_operator.domain), False
        )
        blocks = made_blocks('denoiser', denoiser, self.n_iterations)
        for block in blocks:
            _check_denoiser(block, forward_operator.domain)
        self.blocks = nn.ModuleList(blocks)
        self.log_steps = self._logarithms('relative_steps', relative_steps)
        levels = self._logarithms('relative_levels', relative_levels)
        takes_level = any(_takes_level(block) for block in blocks)
        self.register_parameter('log_levels', levels if takes_level else None)

    def _logarithms(self, name, values):
        """Return the logarithms of the values of all iterations."""
        values = _checked_values(name, values, self.n_iterations)
        dtype = tensor_dtype(self.forward_operator.domain)
        return nn.Parameter(torch.as_tensor(np.log(values), dtype=dtype))

    @property
    def architecture(self) -> dict[str, Any]:
        """All that the network can be rebuilt from, except its operators.

        Raises
        ------
        TypeError
            If a denoiser has no ``architecture``.
        """
        return {
            'class': type(self).__name__,
            'arguments': {
                'n_iterations': self.n_iterations,
                'inner_iterations': self.inner_iterations,
                'initial': self._layers.kind,
            },
            'blocks': [architecture_of(block) for block in self.blocks],
        }

    def extra_repr(self) -> str:
        """Return iterations, start and steps, for ``repr``."""
        steps = ', '.join(f'{step:.3g}' for step in self.relative_steps)
        return (
            f'n_iterations={self.n_iterations}, '
            f'inner_iterations={self.inner_iterations}, '
            f'initial={self._layers.kind!r}, relative_steps=[{steps}]'
        )

    @property
    def relative_steps(self) -> torch.Tensor:
        r"""The steps :math:`\tau_k \|A\|^2`."""
        return self.log_steps.exp()

    @property
    def relative_levels(self) -> torch.Tensor | None:
        r"""The factors :math:`\rho_k` of the levels, None without levels."""
        return None if self.log_levels is None else self.log_levels.exp()

    def step(self, iteration: int) -> torch.Tensor:
        r"""Return the step :math:`\tau_k` of an iteration, as a tensor."""
        return self.relative_steps[iteration] / self._layers.squared_norm

    def forward(
        self,
        y: torch.Tensor,
        forward_operator: odl.Operator | Sequence[odl.Operator] | None = None,
    ) -> torch.Tensor:
        """Reconstruct a batch of data.

        Parameters
        ----------
        y : torch.Tensor
            Data of shape ``(N, C, *range.shape)``.
        forward_operator : `odl.Operator` or sequence of N of them, optional
            The operator that the data come from, or one for each sample, as
            for `LearnedProximalGradient`. Default: the network's own.

        Returns
        -------
        u : torch.Tensor
            Images of shape ``(N, C, *domain.shape)``.

        Raises
        ------
        ValueError
            If the shape of ``y`` does not fit the range of the operator, or
            the operators do not fit the samples or the network's spaces.
        TypeError
            If ``y`` is not a tensor of the precision of the operator's
            spaces, or ``forward_operator`` not of ODL.
        NotImplementedError
            Within `torch.export.export` or `torch.jit.trace`, if the operator
            cannot be exported: those over a sparse matrix cannot.
        """
        check_not_exported_strictly()
        self._check_data(y)
        layers = self._operators.layers_for(
            forward_operator, len(y), self.log_steps.device
        )
        z = layers.initial(y)
        squared_norm = per_sample(layers.squared_norm, z)
        precomputed = precomputed_of_all(self.blocks)
        steps, levels = self.relative_steps, self.relative_levels
        weights = None if self._weights is None else self._weights.to(z)

        def normal(u):
            return layers.apply_adjoint(layers.apply_operator(u))

        def iterate(k, z):
            step = steps[k] / squared_norm
            # multiplied before, and so in the unit of images
            change = -implicit_gradient(
                normal,
                step * layers.gradient(z, y),
                step,
                self.inner_iterations,
                weights,
            )
            level = None if levels is None else _level(levels[k], change)
            block = self.block(k)
            z = _denoised(block, z + change, level, precomputed[block])
            # within a region of autocast, denoisers may lower the precision
            return z.to(y.dtype)

        for k in range(self.n_iterations):
            if self._computes_again():
                z = checkpoint(iterate, k, z, use_reentrant=False)
            else:
                z = iterate(k, z)
        return z

    def with_operator(
        self,
        forward_operator: odl.Operator,
        initial: Initial | None = None,
    ) -> 'LearnedHalfQuadraticSplitting':
        """Return the network with the same weights for another operator.

        Parameters
        ----------
        forward_operator : `odl.Operator`
            Linear operator, possibly on another grid, between spaces of the
            same kind and precision.
        initial : {'zero', 'adjoint', 'fbp'} or `odl.Operator`, optional
            Where the iteration starts. Default: as this network does.

        Returns
        -------
        network : LearnedHalfQuadraticSplitting
            Network that shares the weights of this one.

        Raises
        ------
        ValueError
            If the denoisers do not fit the spaces. Also if this network
            starts at an operator that was given as ``initial``, and no other
            one is given here.
        TypeError
            If the operator is not linear, or of another precision.
        """
        if initial is None:
            initial = self._layers.initial_elsewhere()
        network = LearnedHalfQuadraticSplitting(
            forward_operator,
            maker_of(self.blocks),
            self.n_iterations,
            self.inner_iterations,
            initial,
            checkpointing=self.checkpointing,
        )
        self._check_precision(forward_operator)
        network.log_steps, network.log_levels = self.log_steps, self.log_levels
        return self._continued(network)


def _unequal_weights(space):
    """Return the weights of an inner product, None if they are equal."""
    weights = inner_product_weights(space)
    first = weights.flatten()[:1]
    if bool((weights == first).all()):
        return None
    return (weights / first).to(tensor_dtype(space))


def _checked_values(name, values, n):
    """Return n positive numbers, given all or the first and the last."""
    expected = (
        f'`{name}` must be the first and the last value, or those of all '
        f'{n} iterations, got '
    )
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f'{expected}{values!r:.80}')
    values = [
        positive_number(f'each of the `{name}`', value) for value in values
    ]
    if len(values) == 2:
        return np.geomspace(*values, n)
    if len(values) != n:
        raise ValueError(f'{expected}{len(values)}')
    return np.asarray(values)


def _flag(block, name):
    """Return whether a module has a member that is no method, and true."""
    value = getattr(block, name, False)
    return bool(value) and not callable(value)


def _takes_level(block):
    return _flag(block, 'noise_level')


def _check_denoiser(block, space):
    """Raise an error unless a module is a denoiser for images of a space."""
    if not isinstance(block, nn.Module):
        raise TypeError(
            '`denoiser` must make a `torch.nn.Module`, got '
            f'{type(block).__name__}'
        )
    if isinstance(block, Energy):
        raise ValueError(
            f'`denoiser` must map images to images, and the energy '
            f'{type(block).__name__} maps them to numbers: take '
            '`odl_equivariant.nn.EnergyDenoiser(energy)`'
        )
    name = f'`denoiser`, the module {type(block).__name__},'
    for member, remedy in (
        ('gradient', 'gradient=False'),
        ('memory', 'memory=0'),
    ):
        if _flag(block, member):
            raise ValueError(
                f'{name} must be a denoiser, which is given neither a '
                f'gradient nor a memory: make it with {remedy}'
            )
    check = getattr(block, 'check_space', None)
    if check is None:
        return
    if _is_of_channels(block, n_channels(space)):
        space = first_part(space).real_space
    check(space)


def _is_of_channels(block, n):
    """Return whether a denoiser is applied to each of n channels."""
    return n > 1 and getattr(block, 'in_channels', None) == 1


def _level(factor, change):
    """Return the noise level of each image, of shape ``(N,)``.

    Parameters
    ----------
    factor : torch.Tensor
        The factor of the iteration.
    change : torch.Tensor
        What the data fit has changed.
    """
    info = torch.finfo(change.dtype)
    values = change.flatten(1)
    # squares in this unit neither vanish nor overflow
    unit = values.detach().abs().amax(1).clamp_min(info.tiny / info.eps**2)
    square = (values / unit[:, None]).square().mean(1)
    # levels are positive, and the root has a derivative there
    size = unit * square.clamp_min(info.eps**2).sqrt()
    # data that are not finite lead to such images, and not to an error
    # about a level that nobody has given
    return factor * torch.where(size.isfinite(), size, torch.ones_like(size))


def _denoised(block, x, level, precomputed):
    """Apply a denoiser to images, or to each of their channels."""
    images, arguments = x, dict(precomputed)
    if _takes_level(block):
        arguments['sigma'] = level
    if _is_of_channels(block, x.shape[1]):
        images = x.flatten(0, 1)[:, None]
        if _takes_level(block):
            # images of one sample are next to each other
            arguments['sigma'] = level.repeat_interleave(x.shape[1])
    result = block(images, **arguments)
    if not torch.is_tensor(result) or result.shape != images.shape:
        given = (
            tuple(result.shape)
            if torch.is_tensor(result)
            else type(result).__name__
        )
        raise ValueError(
            f'the denoiser {type(block).__name__} must return images of the '
            f'shape {tuple(images.shape)} of those it is given, got {given}'
        )
    return result.reshape(x.shape)


@blocks_of.register
def _blocks(network: LearnedHalfQuadraticSplitting) -> list[nn.Module]:
    # a derived class may use its denoisers in another way
    known = type(network) is LearnedHalfQuadraticSplitting
    return list(network.blocks) if known else [network]
