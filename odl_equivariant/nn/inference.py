# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Copies of trained networks that reconstruct images faster."""

import contextlib
import functools
from typing import Literal, TypeAlias

import torch
from torch import nn

from odl_equivariant._checks import boolean, one_of, whole_number
from odl_equivariant._warnings import quiet, warn_user
from odl_equivariant.nn._convolution import channels_last
from odl_equivariant.nn._precision import check_arithmetic, has_bfloat16
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.nn.blocks.multiscale import (
    Multiscale,
    MultiscaleDenoiser,
    MultiscaleProximal,
)
from odl_equivariant.nn.blocks.scales import on_whole_image
from odl_equivariant.nn.dual.proximal import DualProximal
from odl_equivariant.nn.export import copy_buffers, to_convolutional
from odl_equivariant.nn.proximal import EquivariantProximal, OrdinaryProximal
from odl_equivariant.nn.scaling.at_scales import AtScales
from odl_equivariant.operators import PerformanceWarning

__all__ = (
    'blocks_of',
    'channels_last_of',
    'check_arithmetic',
    'duals_of',
    'for_inference',
    'has_bfloat16',
    'proximals_of',
)

_PRECISIONS = {
    'float32': torch.float32,
    'float64': torch.float64,
    'bfloat16': torch.bfloat16,
}

_KNOWN = (
    EquivariantProximal,
    OrdinaryProximal,
    MultiscaleDenoiser,
    MultiscaleProximal,
)

Precision: TypeAlias = Literal['float32', 'float64', 'bfloat16', 'auto']
Tile: TypeAlias = int | Literal['auto']

# Pieces at a corner, at an edge and inside are compiled separately.
_VARIANTS = 64


def for_inference(
    network: nn.Module,
    precision: Precision | None = None,
    compile: bool = False,
    tile: Tile | None = None,
) -> nn.Module:
    """Return a faster copy of a network, with the same results.

    Parameters
    ----------
    network : LearnedProximalGradient, LearnedPrimalDual, \
LearnedHalfQuadraticSplitting, EquivariantProximal, OrdinaryProximal, \
MultiscaleDenoiser, MultiscaleProximal, or AtScales of one of these
        Network to copy. It is not changed, and later changes of it do not
        affect the copy.
    precision : {'float32', 'float64', 'bfloat16', 'auto'}, optional
        Precision of the convolutions. 'auto' is 'bfloat16' if the processor
        has arithmetic for it, and the default otherwise. Images, gradients,
        memory and operators stay in the precision of the weights, and so do
        inputs and outputs. Default: the precision of the weights.
    compile : bool, optional
        Whether to compile the convolutions with `torch.compile`. Operators,
        data-side blocks and derivatives are never compiled. The first call
        takes some seconds more, and longer with a ``tile``. This is meant for
        GPUs: on a processor, pieces that stay in the cache are as fast.
    tile : int or 'auto', optional
        Largest side, in cells, of the pieces of the image that a block
        computes one after another; data are not cut. With 'auto' they take at
        most a quarter of the free memory. Default: on a processor, pieces
        that stay in its cache; on a GPU or with ``compile``, the whole image.
        The result is the same, up to rounding, for every padding mode.
        Networks of several scales take the whole image by default. Their
        pieces have wide halos, here not counted, and they have none of
        periodic images.

    Returns
    -------
    network : torch.nn.Module
        Network of the same class, with the same inputs and outputs. It
        consists of ordinary convolutions, is in evaluation mode, and its
        weights are frozen.

    Raises
    ------
    TypeError
        If the network, or one of its blocks, is none of these classes, or an
        argument is of another type.
    ValueError
        If an argument is none of the above, a periodic network of several
        scales is to compute in pieces, or the processor has no arithmetic for
        bfloat16 and would emulate it. The environment variable
        ``ODL_EQUIVARIANT_ALLOW_EMULATION=1`` allows emulation here, inside
        `torch.autocast` and in training.
    MemoryError
        On use, if there is too little memory. It names a ``tile`` that fits.

    Warns
    -----
    PerformanceWarning
        On first use, if the convolutions cannot be compiled. They then run
        without compilation.

    Examples
    --------
    >>> block = EquivariantProximal(channels=8, memory=0).eval()
    >>> quick = for_inference(block, tile=64)
    >>> u = torch.randn(1, 1, 100, 100)
    >>> torch.allclose(quick(u, u), block(u, u), atol=1e-6)
    True
    """
    blocks = proximals_of(network)
    device = blocks[0].lift.weight.device
    dtype = _checked_precision(precision, device)
    compile = boolean('compile', compile)
    tile = _checked_tile(tile)
    plain = to_convolutional(network)
    copies = {}
    for block in blocks_of(plain):
        if id(block) not in copies:
            copies[id(block)] = _quick(block, dtype, compile, tile)
    if blocks[0] is network:
        (plain,) = copies.values()
    else:
        plain.blocks = nn.ModuleList(copies[id(b)] for b in plain.blocks)
    for block in duals_of(plain):
        block.compute_in(dtype)
    return plain.requires_grad_(False).eval()


def _quick(plain, dtype, compile, tile):
    if isinstance(plain, AtScales):
        plain.module = _quick(plain.module, dtype, compile, tile)
        return plain
    if not isinstance(plain, Multiscale):
        return _QuickProximal(plain, dtype, compile, tile)
    run = on_whole_image
    if compile:
        run = functools.partial(_compiled, on_whole_image)
    plain.compute(dtype, tile, run)
    return plain


@functools.singledispatch
def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Return the blocks of a network, or a block as the only one."""
    return [network]


def channels_last_of(network: nn.Module) -> torch.memory_format:
    """Return the order for `torch.nn.Module.to` in which channels are last.

    It is another one for the kernels of volumes.
    """
    return channels_last(
        max(getattr(block, 'dimension', 2) for block in blocks_of(network))
    )


@functools.singledispatch
def duals_of(network: nn.Module) -> list[nn.Module]:
    """Return the data-side blocks of a network, none for most of them."""
    return []


def proximals_of(network: nn.Module) -> list[nn.Module]:
    """Return the blocks of a network, or a proximal as the only one.

    Raises
    ------
    TypeError
        If one of them is of no class of this package, or a data-side block no
        `DualProximal`. A derived class may compute something else.
    """
    blocks = blocks_of(network)
    for block in blocks:
        inner = block.module if type(block) is AtScales else block
        if type(inner) not in _KNOWN:
            known = ', '.join(f'`{cls.__name__}`' for cls in _KNOWN)
            raise TypeError(
                f'expected an {known}, `AtScales` of one, or an unrolled '
                'method, such as a `LearnedProximalGradient`, with such '
                'blocks, no class derived from one, got '
                f'{type(inner).__name__}'
            )
    for block in duals_of(network):
        if type(block) is not DualProximal:
            raise TypeError(
                'expected data-side blocks that are a `DualProximal`, no '
                f'class derived from it, got {type(block).__name__}'
            )
    return blocks


def _checked_precision(precision, device):
    """Return the dtype of the convolutions, None for that of the weights."""
    if precision is None:
        return None
    if precision == 'auto':
        return torch.bfloat16 if has_bfloat16(device) else None
    choices = (*_PRECISIONS, 'auto')
    one_of('precision', precision, choices, optional=True)
    check_arithmetic(_PRECISIONS[precision], device)
    return _PRECISIONS[precision]


def _checked_tile(tile):
    if tile is None or isinstance(tile, str) and tile == 'auto':
        return tile
    name = "`tile`, unless 'auto' or None,"
    if isinstance(tile, str):
        raise ValueError(f'{name} must be a whole number, got {tile!r}')
    return whole_number(name, tile, 1)


class _QuickProximal(OrdinaryProximal):
    """An ordinary proximal that computes piece by piece."""

    def __init__(self, plain, dtype, compile, tile):
        with torch.device('meta'):
            super().__init__(**plain.architecture['arguments'])
        self.lift, self.residual = plain.lift, plain.residual
        self.project, self.activations = plain.project, plain.activations
        copy_buffers(plain, self)
        self._dtype, self._compile, self._tile = dtype, compile, tile

    def extra_repr(self):
        """Return the arguments, for ``repr``."""
        return (
            f'{super().extra_repr()}, precision={self._dtype}, '
            f'compile={self._compile}, tile={self._tile!r}'
        )

    def _network(self, x, kernels):
        own = self.lift.weight.dtype
        dtype = own if self._dtype is None else self._dtype
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            # The graph would keep the pieces of the grid of its example.
            if dtype == own:
                return super()._network(x, kernels)
            return self._in_pieces(x, kernels, dtype, None)
        side = self._side(x.device, dtype)
        run = None
        if self._compile:
            run = functools.partial(_compiled, pieces.layers)
        # Kernels are converted at each call, which takes less time than a
        # piece. So no copy is out of date after weights are moved or loaded.
        try:
            return self._in_pieces(x, kernels, dtype, side, run)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            fits = pieces.side_for_memory(
                self.channels, dtype, x.device, self.dimension
            )
            if side is not None:
                fits = min(fits, max(side // 2, 1))
            sides = ' x '.join(map(str, x.shape[2:]))
            now = 'at once' if side is None else f'with tile={side}'
            raise MemoryError(
                f'there is too little memory for {len(x)} of {sides} cells '
                f'and {self.channels} channels {now}: pass tile={fits} to '
                '`as_operator` or `for_inference`, or take smaller batches'
            ) from error

    def _side(self, device, dtype):
        if isinstance(self._tile, int):
            return self._tile
        sides = []
        # Each kind of piece takes seconds to compile.
        if device.type == 'cpu' and not self._compile:
            sides.append(
                pieces.side_for_cache(self.channels, dtype, self.dimension)
            )
        if self._tile == 'auto':
            sides.append(
                pieces.side_for_memory(
                    self.channels, dtype, device, self.dimension
                )
            )
        return min(sides, default=None)


def _is_out_of_memory(error):
    """Return whether torch has found no memory, on any device."""
    return (
        isinstance(error, torch.OutOfMemoryError)
        # there is no class for it
        or 'DefaultCPUAllocator' in str(error)
    )


@functools.cache
def _compiler(function):
    """Return the compiled function, in a list that is emptied if it fails."""
    with quiet():
        # torch warns about its own code while it imports it.
        options = {'cpp.simdlen': _vector_length()}
        return [torch.compile(function, dynamic=True, options=options)]


def _vector_length():
    """Return the bits of a processor's vectors, None if torch is to find out.

    torch keeps compiled code on disk, and would take that for other vectors:
    of a run with another `ATEN_CPU_CAPABILITY`, or on another machine with
    the same folder. The results are wrong then, or memory is damaged.
    """
    lengths = {'AVX2': 256, 'AVX512': 512}
    return lengths.get(torch.backends.cpu.get_cpu_capability())


# Kinds of arguments that the functions were compiled for.
_KINDS = set()


def _compiled(function, x, kernels, *rest, **named):
    """Apply the layers, compiled where that is possible."""
    functions = list(_compiler(function))
    if not functions or _is_differentiated(x):
        return function(x, kernels, *rest, **named)
    kind = (
        *(function, x.shape, x.stride(), x.dtype, x.device),
        *(
            tuple(map(id, value)) if isinstance(value, tuple) else value
            for value in (*rest, *named.values())
        ),
        tuple(weight.shape for weight, _ in kernels),
    )
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                torch._dynamo.config.patch(recompile_limit=_VARIANTS)
            )
            if kind not in _KINDS:
                # Only while they compile, threads wait for each other.
                stack.enter_context(quiet())
            result = functions[0](x, kernels, *rest, **named)
        _KINDS.add(kind)
        return result
    except Exception as error:
        # If the error is one of the layers themselves, such as too little
        # memory, this raises it again.
        result = function(x, kernels, *rest, **named)
        _compiler(function).clear()
        reason = ' '.join(str(error).split())
        warn_user(
            'the convolutions cannot be compiled, and are used as they are; '
            f'is there a C++ compiler? {type(error).__name__}: {reason:.200}',
            PerformanceWarning,
        )
        return result


def _is_differentiated(x):
    """Return whether a derivative is being computed, in either mode."""
    return (
        torch.is_grad_enabled() and x.requires_grad
    ) or torch._C._functorch.maybe_current_level() is not None
