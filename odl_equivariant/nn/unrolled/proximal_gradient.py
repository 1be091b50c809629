# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Learned proximal gradient descent as a torch module."""

from collections.abc import Callable, Sequence
from typing import Any

import odl
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, noop_context_fn

from odl_equivariant._checks import whole_number
from odl_equivariant._types import Initial
from odl_equivariant.elements import first_part, tensor_dtype
from odl_equivariant.nn.blocks.base import Proximal
from odl_equivariant.nn.blocks.contract import (
    apply_block,
    architecture_of,
    check_block,
    memory_of,
    precomputed_of_all,
)
from odl_equivariant.nn.blocks.derivative import recomputing, replaying
from odl_equivariant.nn.inference import blocks_of
from odl_equivariant.nn.unrolled.base import (
    UnrolledMethod,
    made_blocks,
    maker_of,
)
from odl_equivariant.nn.unrolled.element_proximal import ElementProximal
from odl_equivariant.nn.unrolled.layers import (
    Layers,
    OperatorCache,
    per_sample,
)
from odl_equivariant.operators.batching.exporting import (
    check_not_exported_strictly,
)

__all__ = ('LearnedProximalGradient',)


class LearnedProximalGradient(UnrolledMethod):
    r"""Learned proximal gradient descent, unrolled to a network.

    Parameters
    ----------
    forward_operator : `odl.Operator`
        Linear operator :math:`A : X \to Y` with an adjoint.
    proximal : callable or torch.nn.Module
        Makes the block of an iteration; called without arguments, once for
        each iteration. A module is the block of all iterations. A block maps
        ``(u, gradient, memory)`` to ``(u, memory)``, or ``(u, gradient)`` to
        ``u`` if it has no memory. `Block` has the whole contract.
    n_iterations : int, optional
        Number K of iterations.
    initial : {'zero', 'adjoint', 'fbp'} or `odl.Operator`, optional
        Where the iteration starts: at zero, at :math:`A^* y / \|A\|^2`, at
        the filtered back-projection (of a parallel-beam ray transform), or
        at another reconstruction, an operator from Y to X. The filtered
        back-projection of :math:`A T_g`, with an isometric action
        :math:`T_g`, is :math:`T_g^{-1}` of that of :math:`A`.
    checkpointing : bool, optional
        Whether training keeps the intermediate results of one iteration at a
        time, and computes them again for the gradient. It takes less memory
        and more time.

    Attributes
    ----------
    relative_steps : torch.nn.Parameter
        The steps :math:`\tau_k \|A\|^2`. They start at 1. They are relative
        to the norm of the operator, and so do not depend on the grid. The
        norm is that of `operator_norm`. For Fourier samples of coil images it
        is the product of the norms, an upper bound.

    Raises
    ------
    TypeError
        If ``forward_operator`` is not a linear ODL operator, ``proximal`` not
        callable, ``n_iterations`` no whole number, or ``initial`` neither an
        operator nor a string. Also if a block does not
        fulfil the contract of `Block`; the error names the member.
    ValueError
        If ``n_iterations`` is not positive, ``initial`` another string, or a
        block or ``initial`` does not fit the spaces.

    Notes
    -----
    From :math:`u = 0` (or ``initial``) and the memory :math:`s = 0`,
    algorithm 2 of [C+2021]_ is

    .. math::
        (u, s) \leftarrow \mathrm{prox}_k(u, \tau_k A^*(A u - y), s),
        \quad k = 1, \dots, K,

    with the adjoint in the weighted inner products of the spaces. The module
    maps ``(N, C, *range.shape)`` to ``(N, C, *domain.shape)``.

    References
    ----------
    .. [C+2021] Celledoni E, Ehrhardt M J, Etmann C, Owren B, Schönlieb C-B
       and Sherry F. *Equivariant neural networks for inverse problems*.
       Inverse Problems 37 (2021) 085006.

    Examples
    --------
    >>> from odl_equivariant.nn import OrdinaryProximal
    >>> space = odl.rn((8, 8), dtype='float32')
    >>> network = LearnedProximalGradient(
    ...     odl.IdentityOperator(space),
    ...     lambda: OrdinaryProximal(channels=4),
    ...     n_iterations=2,
    ... )
    >>> network(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 1, 8, 8])
    >>> network.as_operator().domain == space
    True
    """

    def __init__(
        self,
        forward_operator: odl.Operator,
        proximal: Callable[[], nn.Module] | nn.Module,
        n_iterations: int = 8,
        initial: Initial = 'zero',
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.n_iterations = whole_number('n_iterations', n_iterations, 1)
        self._layers = Layers(forward_operator, initial)
        self._operators = OperatorCache(self._layers)
        blocks = made_blocks('proximal', proximal, self.n_iterations)
        for block in blocks:
            check_block(block, forward_operator.domain)
        memories = {memory_of(block) for block in blocks}
        if len(memories) > 1:
            raise ValueError(
                'the blocks hand on one memory, and must have the same number '
                f'of memory channels, got {sorted(memories)}'
            )
        self.blocks = nn.ModuleList(blocks)
        dtype = tensor_dtype(forward_operator.domain)
        self.relative_steps = nn.Parameter(
            torch.ones(self.n_iterations, dtype=dtype)
        )

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
        }

    def extra_repr(self) -> str:
        """Return number of iterations, start and steps, for ``repr``."""
        steps = ', '.join(f'{step:.3g}' for step in self.relative_steps)
        return (
            f'n_iterations={self.n_iterations}, '
            f'initial={self._layers.kind!r}, relative_steps=[{steps}]'
        )

    def step(self, iteration: int) -> torch.Tensor:
        r"""Return the step :math:`\tau_k` of an iteration, as a tensor."""
        return self.relative_steps[iteration] / self._layers.squared_norm

    @property
    def memory(self) -> int:
        """Number of memory channels that the blocks hand on."""
        return memory_of(self.blocks[0])

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
            The operator that the data come from, or one for each sample, such
            as Fourier transforms with a mask each. They map between the same
            spaces as the network's own operator, the default. The steps are
            relative to the norm of each. Subsampled Fourier transforms, coil
            sensitivities, and their compositions are applied to the whole
            batch at once, other operators to one sample after the other.

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
            forward_operator, len(y), self.relative_steps.device
        )
        u, memory = layers.initial(y), None
        squared_norm = per_sample(layers.squared_norm, u)
        precomputed = precomputed_of_all(self.blocks)

        def iterate(k, u, memory):
            block, step = self.block(k), self.relative_steps[k] / squared_norm
            gradient = layers.gradient(u, y)
            return apply_block(
                block, u, step, gradient, memory, precomputed[block]
            )

        recompute = self._computes_again()
        # of blocks that can do it themselves, only the inputs are made again
        by_blocks = recompute and all(
            isinstance(block, Proximal) and block.recomputes(u)
            for block in self.blocks
        )
        contexts = _own_contexts if by_blocks else noop_context_fn
        for k in range(self.n_iterations):
            if recompute:
                if by_blocks and memory is not None:
                    # a part of an array that would be kept as a whole
                    memory = memory.clone()
                u, memory = checkpoint(
                    iterate,
                    k,
                    u,
                    memory,
                    use_reentrant=False,
                    context_fn=contexts,
                )
            else:
                u, memory = iterate(k, u, memory)
            # within a region of autocast, blocks may lower the precision
            u = u.to(y.dtype)
        return u

    def with_operator(
        self,
        forward_operator: odl.Operator,
        initial: Initial | None = None,
    ) -> 'LearnedProximalGradient':
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
        network : LearnedProximalGradient
            Network that shares the weights of this one.

        Raises
        ------
        ValueError
            If the blocks do not fit the spaces. Also if this network starts
            at an operator that was given as ``initial``, and no other one is
            given here.
        TypeError
            If the operator is not linear, or of another precision.

        Examples
        --------
        >>> from odl_equivariant.nn import OrdinaryProximal
        >>> network = LearnedProximalGradient(
        ...     odl.IdentityOperator(odl.rn((8, 8), dtype='float32')),
        ...     lambda: OrdinaryProximal(channels=4),
        ... )
        >>> larger = odl.IdentityOperator(odl.rn((9, 7), dtype='float32'))
        >>> network.with_operator(larger)(torch.zeros(1, 1, 9, 7)).shape
        torch.Size([1, 1, 9, 7])
        """
        if initial is None:
            initial = self._layers.initial_elsewhere()
        network = LearnedProximalGradient(
            forward_operator,
            maker_of(self.blocks),
            self.n_iterations,
            initial,
            self.checkpointing,
        )
        self._check_precision(forward_operator)
        network.relative_steps = self.relative_steps
        return self._continued(network)

    @property
    def proximals(self) -> list[ElementProximal]:
        r"""The iterations as maps of ODL elements, in a list.

        They are the proximals for
        `odl_equivariant.solvers.learned_proximal_gradient`. Each maps
        ``(u, gradient, memory)`` to ``(u, memory)``, or ``(u, gradient)`` to
        ``u`` if there is no memory. ``u`` and ``gradient`` lie in the domain
        of the forward operator, ``memory`` in `memory_space`. The gradient is
        that of the data fit, **without** the step: each map multiplies it by
        its step :math:`\tau_k`, and hands the product to its block.
        """
        return [ElementProximal(self, k) for k in range(self.n_iterations)]

    @property
    def memory_space(self) -> odl.ProductSpace | None:
        """Product of real spaces for the memory; ``None`` without one."""
        if not self.memory:
            return None
        part = first_part(self.forward_operator.domain)
        return odl.ProductSpace(part.real_space, self.memory)


def _own_contexts():
    """Return the contexts of an iteration, at first and once again."""
    return recomputing(), replaying()


@blocks_of.register
def _blocks(network: LearnedProximalGradient) -> list[nn.Module]:
    # a derived class may use its blocks in another way
    known = type(network) is LearnedProximalGradient
    return list(network.blocks) if known else [network]
