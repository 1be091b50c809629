# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The learned primal-dual method as a torch module."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import odl
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from odl_equivariant._checks import whole_number
from odl_equivariant._types import Initial
from odl_equivariant.elements import grid_shape, n_channels
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.nn.blocks.base import Proximal
from odl_equivariant.nn.blocks.contract import (
    apply_block,
    architecture_of,
    check_block,
    memory_of,
    precomputed_of_all,
)
from odl_equivariant.nn.inference import blocks_of, duals_of
from odl_equivariant.nn.unrolled.base import (
    UnrolledMethod,
    made_blocks,
    maker_of,
)
from odl_equivariant.nn.unrolled.layers import (
    Layers,
    OperatorCache,
    per_sample,
)
from odl_equivariant.operators.batching.exporting import (
    check_not_exported_strictly,
)

__all__ = ('LearnedPrimalDual',)


class LearnedPrimalDual(UnrolledMethod):
    r"""Learned primal-dual reconstruction, unrolled to a network.

    Parameters
    ----------
    forward_operator : `odl.Operator`
        Linear operator :math:`A : X \to Y` with an adjoint.
    primal : callable or torch.nn.Module
        Makes the image-side block of an iteration, as ``proximal`` of
        `LearnedProximalGradient` does: a `Block`, such as an
        `EquivariantProximal`. A module is the block of all iterations.
    dual : callable or torch.nn.Module
        Makes the data-side block of an iteration, such as a `DualProximal`.
        A module is the block of all iterations. It maps the dual variables
        h, with the channels of the data and ``memory`` others, the evaluation
        A u and the data to new dual variables. Its method
        ``check_operator``, if it has one, raises an error for an operator
        that it does not fit.
    n_iterations : int, optional
        Number K of iterations.
    initial : {'zero', 'adjoint', 'fbp'} or `odl.Operator`, optional
        Where the images start, as for `LearnedProximalGradient`. The dual
        variables start at zero.
    checkpointing : bool, optional
        Whether training keeps the intermediate results of one iteration at a
        time, and computes them again for the gradient.

    Raises
    ------
    TypeError
        If ``forward_operator`` is not a linear ODL operator, ``primal`` or
        ``dual`` not callable or what they make no block, ``n_iterations`` no
        whole number, or ``initial`` neither an operator nor a string.
    ValueError
        If ``n_iterations`` is not positive, ``initial`` another string, or a
        block or ``initial`` does not fit the operator. In particular, if
        data-side blocks promise to follow a group that the data do not.

    Notes
    -----
    From :math:`h = 0`, :math:`s = 0` and :math:`u = 0` (or ``initial``), the
    method of [AO2018]_ is

    .. math::
        h \leftarrow \Gamma_k(h, \bar A \bar u, \bar y), \quad
        (u, s) \leftarrow \Lambda_k(u, \bar A^* h^{(1)}, s), \quad
        k = 1, \dots, K.

    Here :math:`h^{(1)}` are the first channels of h, as many as the data
    have. If the memory s has at least as many channels as the images, and
    these are scalars, then :math:`\bar u = u + s^{(1)}`, with the first
    channels of s. This is the free channel at which [AO2018]_ evaluates the
    operator, as an extrapolation. Otherwise :math:`\bar u = u`.

    The operator is scaled by its norm, :math:`\bar A = c A / \|A\|`,
    :math:`\bar A^* = A^* / (c \|A\|)` and :math:`\bar y = c y / \|A\|`, with
    :math:`c = \|1\|_Y / \|1\|_X`. So it has the norm 1 for mean squares, and
    trained weights depend neither on the grid nor on the unit of length.

    If the image-side blocks are equivariant and :math:`T_g` is an isometry,
    the reconstruction from :math:`A T_g` is :math:`T_g^{-1}` of that from
    :math:`A`, whatever the data-side blocks are. If these also commute with
    an isometry :math:`S_g` with :math:`A T_g = S_g A`, as made by
    `odl_equivariant.actions.induced_action`, the reconstruction of
    :math:`S_g y` is :math:`T_g` of that of :math:`y`. The network checks this
    for its own operator when it is made.

    References
    ----------
    .. [AO2018] Adler J and Öktem O. *Learned primal-dual reconstruction*.
       IEEE Transactions on Medical Imaging 37 (2018) 1322-1332.

    Examples
    --------
    >>> from odl.applications.tomo import RayTransform, parallel_beam_geometry
    >>> from odl_equivariant.nn import DualProximal, EquivariantProximal
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype='float32')
    >>> geometry = parallel_beam_geometry(space, num_angles=6, det_shape=13)
    >>> network = LearnedPrimalDual(
    ...     RayTransform(space, geometry, impl='astra_matrix'),
    ...     lambda: EquivariantProximal(channels=8),
    ...     lambda: DualProximal(channels=8),
    ...     n_iterations=2,
    ... )
    >>> network(torch.zeros(3, 1, 6, 13)).shape
    torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        forward_operator: odl.Operator,
        primal: Callable[[], nn.Module] | nn.Module,
        dual: Callable[[], nn.Module] | nn.Module,
        n_iterations: int = 10,
        initial: Initial = 'zero',
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.n_iterations = whole_number('n_iterations', n_iterations, 1)
        blocks = made_blocks('primal', primal, self.n_iterations)
        duals = made_blocks('dual', dual, self.n_iterations)
        self._layers = Layers(forward_operator, initial)
        self._operators = OperatorCache(self._layers)
        for block in blocks:
            check_block(block, forward_operator.domain)
        for block in duals:
            _check_dual(block, forward_operator)
        for name, made in (('primal', blocks), ('dual', duals)):
            memories = {memory_of(block) for block in made}
            if len(memories) > 1:
                raise ValueError(
                    f'the {name} blocks hand on one memory, and must have '
                    'the same number of memory channels, got '
                    f'{sorted(memories)}'
                )
        self.blocks = nn.ModuleList(blocks)
        self.duals = nn.ModuleList(duals)
        volumes = [
            _volume(space)
            for space in (forward_operator.range, forward_operator.domain)
        ]
        self._ratio = math.sqrt(volumes[0] / volumes[1])

    @property
    def architecture(self) -> dict[str, Any]:
        """All that the network can be rebuilt from, except its operators.

        Raises
        ------
        TypeError
            If a block has no ``architecture``.
        """
        return {
            'class': type(self).__name__,
            'arguments': {
                'n_iterations': self.n_iterations,
                'initial': self._layers.kind,
            },
            'blocks': [architecture_of(block) for block in self.blocks],
            'duals': [architecture_of(block) for block in self.duals],
        }

    def extra_repr(self) -> str:
        """Return number of iterations and start, for ``repr``."""
        return (
            f'n_iterations={self.n_iterations}, initial={self._layers.kind!r}'
        )

    def dual(self, iteration: int) -> nn.Module:
        """Return the data-side block of an iteration, counted from 0."""
        return self.duals[iteration % len(self.duals)]

    @property
    def memory(self) -> int:
        """Number of memory channels that the image-side blocks hand on."""
        return memory_of(self.blocks[0])

    @property
    def extrapolates(self) -> bool:
        r"""Whether the operator is applied to :math:`u + s^{(1)}`."""
        scalars = all(
            getattr(block, 'representation', 'trivial') == 'trivial'
            for block in self.blocks
        )
        channels = n_channels(self.forward_operator.domain)
        return scalars and self.memory >= channels

    @property
    def scales(self) -> tuple[Any, Any]:
        r"""The factors of the operator and of its adjoint.

        They are :math:`c / \|A\|` and :math:`1 / (c \|A\|)`.
        """
        norm = self._layers.squared_norm**0.5
        return self._ratio / norm, 1 / (self._ratio * norm)

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
            forward_operator, len(y), _reference(self, y).device
        )
        u = layers.initial(y)
        norms = [per_sample(layers.squared_norm, x) ** 0.5 for x in (y, u)]
        to_data = self._ratio / norms[0]
        to_image = 1 / (self._ratio * norms[1])
        n_data, n_image = y.shape[1], u.shape[1]
        extrapolates = self.extrapolates
        precomputed = precomputed_of_all((*self.blocks, *self.duals))
        data = to_data * y

        def iterate(k, u, memory, h):
            dual, block = self.dual(k), self.block(k)
            at = u
            if extrapolates and memory is not None:
                at = u + memory[:, :n_image]
            evaluation = to_data * layers.apply_operator(at)
            h = _apply_dual(dual, h, evaluation, data, precomputed[dual])
            # within a region of autocast, blocks may lower the precision
            h = h.to(y.dtype)
            gradient = layers.apply_adjoint(h[:, :n_data].contiguous())
            u, memory = apply_block(
                block, u, to_image, gradient, memory, precomputed[block]
            )
            if memory is not None:
                memory = memory.to(y.dtype)
            return u.to(y.dtype), memory, h

        n_dual = n_data + memory_of(self.duals[0])
        memory, h = None, y.new_zeros(y.shape[0], n_dual, *y.shape[2:])
        for k in range(self.n_iterations):
            if self._computes_again():
                u, memory, h = checkpoint(
                    iterate, k, u, memory, h, use_reentrant=False
                )
            else:
                u, memory, h = iterate(k, u, memory, h)
        return u

    def with_operator(
        self,
        forward_operator: odl.Operator,
        initial: Initial | None = None,
    ) -> 'LearnedPrimalDual':
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
        network : LearnedPrimalDual
            Network that shares the weights of this one.

        Raises
        ------
        ValueError
            If the blocks do not fit the operator. Also if this network starts
            at an operator that was given as ``initial``, and no other one is
            given here.
        TypeError
            If the operator is not linear, or of another precision.
        """
        if initial is None:
            initial = self._layers.initial_elsewhere()
        network = LearnedPrimalDual(
            forward_operator,
            maker_of(self.blocks),
            maker_of(self.duals),
            self.n_iterations,
            initial,
            self.checkpointing,
        )
        self._check_precision(forward_operator)
        return self._continued(network)


def _reference(network, y):
    """Return a weight, or the data if there is none."""
    return next(network.parameters(), y)


def _volume(space):
    """Return the squared norm of the function one."""
    shape = (n_channels(space), *grid_shape(space))
    weights = inner_product_weights(space)
    return float(weights.sum()) * math.prod(shape) / weights.numel()


def _check_dual(block, operator):
    """Raise an error unless a module can be a data-side block."""
    if not isinstance(block, nn.Module):
        raise TypeError(
            f'`dual` must make a `torch.nn.Module`, got {type(block).__name__}'
        )
    if isinstance(block, Proximal):
        raise TypeError(
            f'{type(block).__name__} is an image-side block: give it as '
            '`primal`, and as `dual` a `DualProximal`'
        )
    memory_of(block)
    check = getattr(block, 'check_operator', None)
    if check is not None:
        check(operator)


def _apply_dual(block, h, evaluation, data, precomputed):
    """Apply a data-side block, and check what it returns."""
    result = block(h, evaluation, data, **precomputed)
    if not torch.is_tensor(result) or result.shape != h.shape:
        given = (
            tuple(result.shape)
            if torch.is_tensor(result)
            else type(result).__name__
        )
        raise ValueError(
            f'the dual block {type(block).__name__} must return dual '
            f'variables of the shape {tuple(h.shape)} of those it is given, '
            f'got {given}'
        )
    return result


@blocks_of.register
def _blocks(network: LearnedPrimalDual) -> list[nn.Module]:
    # a derived class may use its blocks in another way
    known = type(network) is LearnedPrimalDual
    return list(network.blocks) if known else [network]


@duals_of.register
def _duals(network: LearnedPrimalDual) -> list[nn.Module]:
    return list(network.duals)
