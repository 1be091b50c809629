# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Steerable convolutions between fields of one kind each.

escnn supplies bases of smooth equivariant kernels, `grid` those of all on the
grid. The layer itself is a plain torch module: its parameters are the
coefficients alone, the same in training and evaluation mode, so that it can be
copied, saved, traced and exported.
"""

import contextlib
import contextvars
import functools
import io
import math

import torch
from torch import nn
from torch.nn import functional

from odl_equivariant.nn._convolution import (
    PaddedConvolution,
    check_image_size,
    convolve,
    normal,
)
from odl_equivariant.nn._defaults import tensor_defaults
from odl_equivariant.nn._precision import in_full_precision
from odl_equivariant.nn.steerable.expansion import ExpandedKernel
from odl_equivariant.nn.steerable.fourier import fourier_basis
from odl_equivariant.nn.steerable.grid import (
    checked_basis,
    grid_basis,
    split,
)
from odl_equivariant.nn.steerable.representations import is_hidden
from odl_equivariant.nn.steerable.symmetries import exact_symmetries, moved

__all__ = (
    'SteerableConvolution',
    'PaddedConvolution',
    'check_image_size',
    'given_bases',
    'has_kernels',
)

_given = contextvars.ContextVar('given', default=None)


@contextlib.contextmanager
def given_bases(bases):
    """Context in which new layers take their bases from a mapping.

    escnn is not used, and need not be installed. Only layers that are made in
    the context use these bases.

    Parameters
    ----------
    bases : mapping
        Scaled bases, float64 tensors on the CPU, by the ``basis_key`` of the
        layers; they are not copied.
    """
    token = _given.set(bases)
    try:
        yield
    finally:
        _given.reset(token)


def _basis_for(key):
    """Return the scaled basis for a new layer."""
    given = _given.get()
    if given is None:
        return _scaled_basis(*key)
    if key not in given:
        group, source, target, size, *kind = key
        raise ValueError(
            f'no {"".join(f"{name} " for name in kind)}basis is given of the '
            f'{size} x {size} kernels from {source} to {target} fields of '
            f'{group}'
        )
    return given[key]


@functools.cache
def _kernel_basis(group_name, source, target, kernel_size):
    """Return a basis of equivariant kernels between two single fields.

    Parameters
    ----------
    group_name : str
        Name of the group, such as ``'C4'``.
    source, target : str
        Representations of the input and of the output field, ``'regular'``
        or one of `irreps_of`.
    kernel_size : int
        Side of the kernel in cells.

    Returns
    -------
    basis : torch.Tensor
        Float64 tensor of shape ``(n, size(target), size(source),
        kernel_size, kernel_size)``.
    """
    from odl_equivariant.nn.escnn.fields import escnn_representation, gspace
    from odl_equivariant.nn.escnn.library import enn

    space = gspace(group_name, source, target)
    fields = {
        name: enn.FieldType(space, [escnn_representation(space, name)])
        for name in {source, target}
    }
    # as escnn can compute with, also where modules are being built on the
    # meta device, or in float64
    with (
        tensor_defaults(torch.float32, 'cpu'),
        torch.no_grad(),
        # it prints where the basis is empty
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            convolution = enn.R2Conv(
                fields[source],
                fields[target],
                kernel_size,
                bias=False,
                initialize=False,
            )
        except ValueError as error:
            if 'is empty' not in str(error):
                raise
            size = fields[target].size, fields[source].size
            return torch.zeros(
                0, *size, kernel_size, kernel_size, dtype=torch.float64
            )
        (expand,) = convolution.basisexpansion.children()
        basis = expand(torch.eye(convolution.weights.numel()))
        basis = basis.double().reshape(
            len(basis),
            fields[target].size,
            fields[source].size,
            kernel_size,
            kernel_size,
        )
        return _make_exact(basis, group_name, source, target)


def _make_exact(basis, group_name, source, target):
    """Project kernels onto those that are equivariant to full precision.

    escnn computes in float32. The average over all symmetries of the grid
    removes its rounding errors.
    """
    images = [
        moved(basis, symmetry, source, target)
        for symmetry in exact_symmetries(group_name)
    ]
    return torch.stack(images).mean(0)


@functools.cache
def _scaled_basis(group_name, source, target, kernel_size, kind='escnn'):
    """Return the basis of kernels, scaled for a `SteerableConvolution`."""
    key = group_name, source, target, kernel_size
    if kind == 'escnn':
        return _scaled(_kernel_basis(*key))
    if kind == 'fourier':
        return _scaled(fourier_basis(*key))
    complete = grid_basis(*key)
    if kind == 'grid':
        return _scaled(complete)
    smooth, rest = split(complete, _kernel_basis(*key))
    return torch.cat([_scaled(smooth), _scaled(rest, len(complete))])


def _scaled(basis, n=None):
    """Return a basis, scaled as for n elements."""
    if not len(basis):
        return basis
    n = len(basis) if n is None else n
    _, rows, columns, *size = basis.shape
    # mean square norm of a row of each element: columns * k^2 / n
    energy = basis.square().sum((1, 2, 3, 4), keepdim=True) / rows
    return basis * (columns * math.prod(size) / n / energy).sqrt()


def _n_started(key, basis):
    """Return how many of the kernels do not start at zero, the first ones."""
    if key[4:] != ('mixed',) or _given.get() is not None:
        return len(basis)
    # where no kernel is smooth, all start
    return len(_kernel_basis(*key[:4])) or len(basis)


def has_kernels(group, source, target, kernel_size, kind):
    """Return whether a basis has any kernel between two kinds of fields."""
    return bool(
        len(_basis_for(_basis_key(group, source, target, kernel_size, kind)))
    )


def _basis_key(group, source, target, kernel_size, kind):
    key = group, source, target, kernel_size
    # files name escnn's bases without a kind
    return key if kind == 'escnn' else (*key, kind)


def _has_invariants(representation):
    """Return whether some combination of channels is invariant."""
    return representation == 'trivial' or is_hidden(representation)


class SteerableConvolution(ExpandedKernel, nn.Module):
    r"""A convolution that is equivariant by the choice of its kernels.

    Parameters
    ----------
    in_fields, out_fields : int
        Numbers of fields.
    source, target : str
        How the group acts on the channels of an input and an output field:
        ``'trivial'``, not at all (one channel), ``'regular'``, by permuting
        one channel per element, or another one of `irreps_of`.
    group : str
        ``'C<N>'``, ``'D<N>'``, ``'SO2'`` or ``'O2'``.
    kernel_size : int, optional
        Odd side of the kernel in cells.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How the image goes on past its boundary.
    gain : float, optional
        Standard deviation of the output for an input of unit variance at
        the start; 0 starts weights and bias at zero.
    bias : bool, optional
        Whether there is a bias, where the output has what no element of the
        group moves: one number a field, which all channels of a regular
        field have and the first one of a band-limited field.
    basis : {'escnn', 'grid', 'mixed'}, optional
        Which kernels there are: escnn's, which are smooth, sampled and
        limited in their bands; all that are equivariant on the grid, for the
        groups C1, C2, C4, D1, D2 and D4; or all of these, as escnn's, with
        which the layer starts, and the others, which start at zero.
    may_be_zero : bool, optional
        Whether the kernel is zero where the basis has none between such
        fields. Default: an error says so.

    Raises
    ------
    ValueError
        If there is no such basis, it is not for this group, or has no kernel
        between such fields.

    Notes
    -----
    The kernel is :math:`k_{oi} = \sum_n w_{oin} b_n` with the basis
    :math:`b_n` of the kernels with

    .. math::
        b(R x) = \rho_\text{out}(R)\, b(x)\, \rho_\text{in}(R)^{-1}.

    The basis is scaled such that at the same ``gain`` the coefficients start
    with the variance of the weights of a `PaddedConvolution` of the same
    width: one learning rate then means the same to both.
    """

    def __init__(
        self,
        in_fields,
        out_fields,
        source,
        target,
        group,
        kernel_size=3,
        padding_mode='replicate',
        gain=1.0,
        bias=True,
        basis='escnn',
        may_be_zero=False,
    ):
        super().__init__()
        self.padding_mode = padding_mode
        kind = checked_basis(basis, group)
        self.basis_key = _basis_key(group, source, target, kernel_size, kind)
        basis = _basis_for(self.basis_key)
        n, _, columns = basis.shape[:3]
        if not n and not may_be_zero:
            raise ValueError(
                f'the {kind} basis has no {kernel_size} x {kernel_size} '
                f'kernels from {source} to {target} fields of {group}: take '
                'a larger kernel_size or other fields'
            )
        std = gain / math.sqrt(in_fields * columns * kernel_size**2)
        n_started = _n_started(self.basis_key, basis)
        weight = normal((out_fields, in_fields, n_started), std)
        self.weight = nn.Parameter(functional.pad(weight, (0, n - n_started)))
        # No buffer, which would be converted with the module; read only, as
        # all layers share it.
        self.exact_basis = basis
        self.register_buffer('basis', self._new_basis(), persistent=False)
        if not (bias and _has_invariants(target)):
            self.register_parameter('bias', None)
        else:
            self.bias = nn.Parameter(torch.zeros(out_fields))

    def _apply(self, fn, recurse=True):
        # five axes cannot be in the memory format channels_last
        self.basis = self.basis.flatten(1)
        super()._apply(fn, recurse)
        # Made anew: converted to float64, it would keep the rounding errors of
        # float32, and a module that was on the meta device has no numbers.
        self.basis = self._new_basis()
        return self

    def _load_from_state_dict(self, *args):
        super()._load_from_state_dict(*args)
        # `assign=True` brings weights of another device or precision
        if self.basis.device != self.weight.device or (
            self.basis.dtype
            != torch.promote_types(self.weight.dtype, torch.float32)
        ):
            self.basis = self._new_basis()

    def _new_basis(self):
        """Return the basis where the weights are, in float32 at least."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        return self.exact_basis.to(self.weight.device, dtype, copy=True)

    def _kind(self):
        # bases that are given may differ under the same name
        return self.basis_key, id(self.exact_basis)

    def _expand(self, weights, biases):
        _, rows, columns, *size = self.basis.shape
        n, out_fields, in_fields, _ = weights.shape
        # In lowered precision, the sums would be equivariant up to rounding
        # only, where rounding their values keeps them so exactly.
        with in_full_precision(weights.device):
            kernels = weights.flatten(0, 2).to(self.basis.dtype)
            kernels = kernels @ self.basis.flatten(1)
            kernels = kernels.to(weights.dtype)
        kernels = kernels.reshape(
            n, out_fields, in_fields, rows, columns, *size
        )
        kernels = kernels.transpose(2, 3).reshape(
            n, out_fields * rows, in_fields * columns, *size
        )
        return kernels, self._biases_of_channels(kernels, biases)

    def _biases_of_channels(self, kernels, biases):
        target = self.basis_key[2]
        rows = self.basis.shape[1]
        if biases is None:
            return kernels.new_zeros(kernels.shape[:2])
        if target in ('trivial', 'regular'):
            return biases.repeat_interleave(rows, 1)
        return functional.pad(biases[..., None], (0, rows - 1)).flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in channels, n, m)`` to ``(N, out channels, n, m)``."""
        return convolve(x, *self.kernel(), self.padding_mode)
