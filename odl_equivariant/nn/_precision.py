# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a processor is good at: precisions, and the path of convolutions."""

import contextlib
import contextvars
import os
from collections.abc import Iterator
from typing import NamedTuple

import torch

__all__ = (
    'Path',
    'check_arithmetic',
    'followed_path',
    'following',
    'has_bfloat16',
    'in_full_precision',
    'is_older_processor',
)

VARIABLE = 'ODL_EQUIVARIANT_ALLOW_EMULATION'

_NAMES = {torch.bfloat16: 'bfloat16', torch.float16: 'float16'}

# What torch calls processors with neither, or is told to use of others.
_OLDER = ('DEFAULT', 'NO AVX', 'AVX2')


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has arithmetic for bfloat16."""
    if device.type == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return (
        device.type == 'cpu'
        and _is_newer()
        and any(
            # Private functions of torch, which other versions may lack.
            getattr(torch.cpu, name, lambda: False)()
            for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
        )
    )


def _has_float16(device):
    if device.type != 'cpu':
        return True
    # Private too.
    return (
        _is_newer()
        and getattr(
            torch.ops.mkldnn, '_is_mkldnn_fp16_supported', lambda: False
        )()
    )


def is_older_processor() -> bool:
    """Return whether the processor has no AVX-512, or is used without it."""
    return torch.backends.cpu.get_cpu_capability() in _OLDER


def _is_newer():
    return not is_older_processor()


def check_arithmetic(dtype: torch.dtype, device: torch.device) -> None:
    """Raise an error if a device only emulates a lowered precision.

    Parameters
    ----------
    dtype : torch.dtype
        Precision of the convolutions.
    device : torch.device
        Device that computes them.

    Raises
    ------
    ValueError
        If it is bfloat16 or float16 and would be emulated, and the
        environment variable ``ODL_EQUIVARIANT_ALLOW_EMULATION`` is not 1.
    """
    if dtype not in _NAMES or device.type not in ('cpu', 'cuda'):
        return
    has = has_bfloat16 if dtype == torch.bfloat16 else _has_float16
    if os.environ.get(VARIABLE) == '1' or has(device):
        return
    name = _NAMES[dtype]
    kind = torch.backends.cpu.get_cpu_capability()
    used = f' (used as {kind})' if device.type == 'cpu' else ''
    raise ValueError(
        f'this machine has no arithmetic in {name} on {device}{used}, and '
        'would emulate it, up to a hundred times more slowly than float32; '
        "take float32, or 'auto' as the precision of `for_inference` or of a "
        'trainer, which uses bfloat16 only where it helps. The environment '
        f'variable {VARIABLE}=1 allows the emulation'
    )


def in_full_precision(
    device: torch.device,
) -> contextlib.AbstractContextManager:
    """Return a context without autocast, which some devices do not have.

    Parameters
    ----------
    device : torch.device
        Where the numbers are; ``'meta'`` has none to lower.

    Returns
    -------
    context : context manager
        To be entered once.
    """
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


class Path(NamedTuple):
    """How a processor computes convolutions, where results differ in rounding.

    Attributes
    ----------
    cache : int
        Bytes for the channels of a piece of an image, see `blocks.pieces`.
    products : bool
        Whether gradients by kernels, and convolutions of many channels, are
        products of matrices, see `_gradients`.
    """

    cache: int
    products: bool


_followed: contextvars.ContextVar[Path | None] = contextvars.ContextVar(
    'followed', default=None
)


def followed_path() -> Path | None:
    """Return the path to take, None for the one that is fast here."""
    return _followed.get()


@contextlib.contextmanager
def following(path: Path) -> Iterator[None]:
    """Context in which convolutions take a path, on any processor.

    Parameters
    ----------
    path : Path
        The path, for example that of a run on another machine.
    """
    token = _followed.set(path)
    try:
        yield
    finally:
        _followed.reset(token)
