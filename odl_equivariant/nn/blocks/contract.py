# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What an unrolled network asks of its blocks."""

import inspect
import numbers
import operator
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from odl_equivariant._types import Space
from odl_equivariant.nn.steerable.expansion import expanded_together

__all__ = (
    'Block',
    'apply_block',
    'architecture_of',
    'check_block',
    'memory_of',
    'parameters_of',
    'precomputed_of',
    'precomputed_of_all',
)


@runtime_checkable
class Block(Protocol):
    r"""What `LearnedProximalGradient` asks of its blocks.

    A block is a `torch.nn.Module` that computes one iteration

    .. math::
        (u, s) \leftarrow \mathrm{prox}(u, g, s), \quad
        g = \tau A^* (A u - y).

    The network computes the gradient of the data fit and multiplies it by the
    step :math:`\tau`. So a block takes the **scaled** gradient, and knows
    neither the operator nor the step.

    Only `forward` is required. For each other member that a module lacks, the
    network takes the one of this class. A class of your own may inherit from
    ``torch.nn.Module`` and ``Block``, in this order, or from the module alone.

    Attributes
    ----------
    memory : int
        Number of memory channels that the block takes and returns. Default:
        0, for none.
    gradient : bool
        Whether the block takes a gradient. Default: True. Blocks without one
        are refused, since they never see the data.
    noise_level : bool
        Whether the block needs a noise level. Default: False. Blocks that
        need one are refused, since the network has none to give.
    architecture : mapping or None
        Name and arguments of the class, as JSON can hold them. Default: None;
        then the network has no `LearnedProximalGradient.architecture`.

    Notes
    -----
    `for_inference`, `odl_equivariant.models.save` and
    `odl_equivariant.models.export_onnx` need to know what a block computes.
    They take `EquivariantProximal`, `OrdinaryProximal` and
    `MultiscaleProximal`, and `AtScales` of one of these, only.

    Examples
    --------
    >>> class Descent(nn.Module, Block):
    ...     def forward(self, x, gradient):
    ...         return x - gradient
    >>> isinstance(Descent(), Block)
    True

    A block that refuses images on which its kernels do not fit:

    >>> class Smoothing(Descent):
    ...     def check_space(self, space):
    ...         if min(space.shape) < 5:
    ...             raise ValueError('the images are smaller than the kernels')
    """

    memory: int = 0
    gradient: bool = True
    noise_level: bool = False
    architecture: Mapping[str, Any] | None = None

    def forward(
        self,
        x: torch.Tensor,
        gradient: torch.Tensor,
        memory: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Apply the block.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, n, m)``.
        gradient : torch.Tensor
            Scaled gradients of the data fit, of the shape of ``x``.
        memory : torch.Tensor or None
            Memory of shape ``(N, memory, n, m)``, from the last iteration. In
            the first one it is None, which means zero. Only passed if the
            block has a memory.

        Returns
        -------
        x : torch.Tensor
            New images, of the shape of ``x``.
        memory : torch.Tensor
            New memory; only returned if the block has a memory.
        """

    def check_space(self, space: Space) -> None:
        """Raise a ValueError unless the block fits the images of a space.

        The network calls it when it is made. For example, images may be
        smaller than the kernels. Default: all spaces are accepted.
        """

    def precomputed(self) -> Mapping[str, Any]:
        """Return arguments of `forward` that depend on the weights alone.

        The network calls it once for each batch, and passes the result to
        `forward` as keyword arguments, in all iterations of the block.
        Convolution kernels are an example. Default: no arguments.
        """
        return {}


class _Plain(Block):
    """The members that a module need not have."""


_PLAIN = _Plain()


def _member(block, name):
    """Return a member of a module, or that of `Block` if it has none."""
    return getattr(block, name, getattr(_PLAIN, name))


def _flag(block, name):
    """Return a member that is True or False."""
    value = _member(block, name)
    if callable(value):
        # a method or a layer of the same name
        return getattr(_PLAIN, name)
    if value is not None and not isinstance(value, numbers.Number | np.bool_):
        raise TypeError(
            f'the member `{name}` of {_named(block)} must be True or False, '
            f'see `odl_equivariant.nn.Block`, got {type(value).__name__}'
        )
    return bool(value)


def _named(block):
    return f'the block {type(block).__name__}'


def memory_of(block: nn.Module) -> int:
    """Return the number of memory channels of a block.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is negative.
    """
    given = _member(block, 'memory')
    try:
        memory = 0 if given is None else operator.index(given)
    except TypeError:
        raise TypeError(
            f'the member `memory` of {_named(block)} must be its number of '
            'memory channels, 0 for none, see `odl_equivariant.nn.Block`, '
            f'got {type(given).__name__}'
        ) from None
    if memory < 0:
        raise ValueError(
            f'the member `memory` of {_named(block)} must not be negative, '
            f'got {memory}'
        )
    return memory


def parameters_of(module: nn.Module) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a module's ``forward``, none if it hides."""
    try:
        return inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        # compiled code does not always tell
        return {}


def precomputed_of(block: nn.Module) -> Mapping[str, Any]:
    """Return the arguments of a block that depend on its weights alone."""
    return _member(block, 'precomputed')()


def precomputed_of_all(
    blocks: Iterable[nn.Module],
) -> dict[nn.Module, Mapping[str, Any]]:
    """Return `precomputed_of` each block, by block; all are computed at once.

    Parameters
    ----------
    blocks : iterable of torch.nn.Module
        Blocks; one that comes twice is computed once.
    """
    blocks = dict.fromkeys(blocks)
    with expanded_together(blocks):
        return {block: precomputed_of(block) for block in blocks}


def architecture_of(block: nn.Module) -> Mapping[str, Any]:
    """Return what a block can be rebuilt from.

    Raises
    ------
    TypeError
        If the block does not say.
    """
    architecture = _member(block, 'architecture')
    if architecture is None:
        raise TypeError(
            'blocks with an `architecture`, such as `EquivariantProximal`, '
            f'are needed, got {block!r}'
        )
    return architecture


def check_block(block: object, space: Space) -> None:
    """Raise an error unless a module is a `Block` for the images of a space.

    Raises
    ------
    TypeError
        If it is no module, or a member is missing or wrong. The error names
        the member.
    ValueError
        If the block does not fit the space or the unrolled method.
    """
    if not isinstance(block, nn.Module):
        raise TypeError(
            '`proximal` must make a `torch.nn.Module`, got '
            f'{type(block).__name__}'
        )
    for name in ('check_space', 'precomputed'):
        member = _member(block, name)
        if not callable(member):
            raise TypeError(
                f'the member `{name}` of {_named(block)} must be a method, '
                f'see `odl_equivariant.nn.Block`, got {type(member).__name__}'
            )
    memory = memory_of(block)
    _member(block, 'check_space')(space)
    if not _flag(block, 'gradient'):
        raise ValueError(
            'a block that takes no gradient never sees the data: make the '
            'proximal with gradient=True'
        )
    if _flag(block, 'noise_level'):
        raise ValueError(
            'the blocks are given no noise level: make the proximal with '
            'noise_level=False'
        )
    _check_forward(block, memory)


def _check_forward(block, memory):
    """Raise a TypeError unless `forward` takes what the network passes."""
    arguments = ('x', 'gradient', 'memory')[: 3 if memory else 2]
    expected = f'`forward({", ".join(arguments)})`'
    own = getattr(block.forward, '__func__', block.forward)
    if own in (nn.Module.forward, Block.forward):
        raise TypeError(
            f'{_named(block)} has no `forward`: define {expected}, see '
            '`odl_equivariant.nn.Block`'
        )
    try:
        signature = inspect.signature(block.forward)
    except (TypeError, ValueError):
        # compiled code does not always tell
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(
            f'{_named(block)} with memory={memory} is called as {expected}, '
            f'see `odl_equivariant.nn.Block`, but has `forward{signature}`: '
            f'{error}'
        ) from None


def apply_block(
    block: nn.Module,
    x: torch.Tensor,
    step: torch.Tensor,
    gradient: torch.Tensor,
    memory: torch.Tensor | None,
    precomputed: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Apply a block to the scaled gradient, and check what it returns.

    This is the only place where the gradient is multiplied by the step.

    Parameters
    ----------
    block : torch.nn.Module
        A `Block`.
    x, memory
        As for `Block.forward`.
    step : torch.Tensor
        Step, or one for each sample, of shape ``(N, 1, ..., 1)``.
    gradient : torch.Tensor
        Gradients of the data fit, without the step.
    precomputed : mapping, optional
        What `precomputed_of` returned. Default: the block computes it.

    Returns
    -------
    x : torch.Tensor
        New images.
    memory : torch.Tensor or None
        New memory, None if the block has none.

    Raises
    ------
    TypeError
        If the block does not return a tensor, or a pair if it has a memory.
    ValueError
        If the shape of the new images is another one.
    """
    n_memory = memory_of(block)
    arguments = (x, step * gradient, memory)[: 3 if n_memory else 2]
    result = block(*arguments, **precomputed)
    given = result if n_memory else (result, None)
    if not (
        isinstance(given, tuple | list)
        and len(given) == 2
        and torch.is_tensor(given[0])
    ):
        raise TypeError(
            f'{_named(block)} with memory={n_memory} must return '
            f'{"a tuple (x, memory)" if n_memory else "a tensor"}, see '
            f'`odl_equivariant.nn.Block`, got {type(result).__name__}'
        )
    new_x, new_memory = given
    if new_x.shape != x.shape:
        raise ValueError(
            f'{_named(block)} must return images of the shape '
            f'{tuple(x.shape)} of those it is given, got {tuple(new_x.shape)}'
        )
    return new_x, new_memory
