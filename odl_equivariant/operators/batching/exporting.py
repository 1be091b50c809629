# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Errors for operators that cannot be exported."""

import torch

__all__ = ('check_not_exported', 'check_not_exported_strictly')


def check_not_exported(what, reason, traced=True):
    """Raise an error if the computation is being exported.

    Parameters
    ----------
    what : str
        The operator that is applied.
    reason : str
        Why it has no place in such a graph.
    traced : bool, optional
        Whether `torch.jit.trace` cannot take it either.

    Raises
    ------
    NotImplementedError
        Within `torch.export.export` or `torch.jit.trace`.
    """
    if torch.compiler.is_exporting() or traced and torch.jit.is_tracing():
        raise NotImplementedError(
            f'{what} has no place in an exported graph, as {reason}. Export '
            'the learned blocks of a network, and apply the operator between '
            'them: `odl_equivariant.models.export_onnx(network, path)` '
            'writes them as ONNX, and `torch.export.export` takes '
            '`network.block(k)`. To reconstruct more quickly without an '
            'export, take `odl_equivariant.nn.for_inference(network)`'
        )


def check_not_exported_strictly():
    """Raise an error within an export by `torch.compile`'s own tracing.

    Raises
    ------
    NotImplementedError
        Within ``torch.export.export(..., strict=True)``.
    """
    if torch.compiler.is_exporting() and torch.compiler.is_dynamo_compiling():
        check_not_exported(
            'an operator of ODL', 'strict=True cannot look into it'
        )
