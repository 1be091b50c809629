# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Layers, forward and backward: rows of tables."""

import sys
import warnings

import odl
import torch
from _device import with_gradient
from _timing import side_by_side

from odl_equivariant.operators import OperatorLayer

__all__ = ('layer_rows', 'overhead_rows', 'prepared')


def prepared(ways, x, channels_for=()):
    """Return calls of forward and backward for the ways that are there."""
    calls = {}
    for name, make in ways.items():
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            function = make(x)
            if function is None:
                continue
            argument = x
            if name in channels_for:
                argument = torch.view_as_real(x[:, 0]).movedim(-1, 1)
                argument = argument.contiguous()
            try:
                calls[name] = with_gradient(function, argument)
                calls[name]()
            except (RuntimeError, TypeError, ValueError) as error:
                print(f'{name} cannot: {error}'.splitlines()[0])
                calls.pop(name, None)
    return calls


def layer_rows(ways, sizes, batches, dtype, channels_for=()):
    """Return the rows of a table of forward and backward."""
    rows = []
    for size in sizes:
        for batch in batches:
            x = torch.randn(batch, 1, size, size, dtype=dtype)
            results = side_by_side(prepared(ways, x, channels_for))
            rows.append(
                [
                    size,
                    batch,
                    f'{1e3 * results["ours"][0]:.2f} ms',
                    *(
                        f'{results[name][1]:.2f}' if name in results else '-'
                        for name in list(ways)[1:]
                    ),
                ]
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def overhead_rows():
    """Return the rows of a table of what a layer itself costs."""
    layer = OperatorLayer(odl.IdentityOperator(odl.rn(3, dtype='float32')))
    x = torch.ones(1, 1, 3)
    repeats = range(200)

    def calls(function, x):
        def call():
            for _ in repeats:
                function(x)

        return call

    rows = []
    for name, argument in (
        ('without gradient', x),
        ('with gradient', x.clone().requires_grad_()),
    ):
        results = side_by_side(
            {
                'layer': calls(layer, argument),
                'torch': calls(lambda x: x * 1.0, argument),
            }
        )
        seconds = [s / len(repeats) for s, _ in results.values()]
        rows.append([name, *(f'{1e6 * s:.1f} µs' for s in seconds)])
    return rows
