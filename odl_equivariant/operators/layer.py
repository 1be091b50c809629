# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""ODL operators as torch modules."""

from __future__ import annotations

import copy
from typing import Literal

import odl
import torch
from torch import nn

from odl_equivariant._checks import one_of
from odl_equivariant._types import Operator
from odl_equivariant.elements import (
    describe_space,
    merge_complex,
    split_complex,
)
from odl_equivariant.operators.batching.autograd import LinearMap
from odl_equivariant.operators.batching.exporting import (
    check_not_exported_strictly,
)
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.pickling import pickled, unpickled
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    batched_map,
    is_registered,
)
from odl_equivariant.operators.batching.structures import Structure

__all__ = ('OperatorLayer',)

_LAYOUTS = ('channels', 'complex')


class OperatorLayer(nn.Module):
    r"""An ODL operator as a torch module.

    Parameters
    ----------
    operator : `odl.Operator`
        Operator between spaces that `odl_equivariant.elements` can lay out as
        tensors. For gradients, a linear operator needs an adjoint, and a
        non-linear one a derivative. The range may be a field.
    layout : {'channels', 'complex'}, optional
        How elements of complex spaces lie in a tensor: as two real channels,
        or as one complex channel. For real spaces the two are the same.

    Raises
    ------
    TypeError
        If ``operator`` is not an ODL operator, its spaces cannot be laid out
        as a tensor, or ``layout`` is no string.
    ValueError
        If there is no such layout, or the parts of a product space do not
        share a grid.

    Notes
    -----
    The module maps ``(N, C, *domain.shape)`` to ``(N, C', *range.shape)``, in
    the layout of `odl_equivariant.elements`, and takes any number of further
    axes in front. Functionals give ``(N, 1)``.

    Autograd gets the transpose of a linear operator,

    .. math::
        A^T = w_X\, A^*\, w_Y^{-1},

    with :math:`w_X` and :math:`w_Y` the weights of the inner products. So
    gradients refer to the Euclidean inner product of tensors. They exist to
    any order, also with `torch.func`. Other operators have first-order
    gradients, from ``operator.derivative(x).adjoint``; a second derivative
    raises an error. Torch itself differentiates ODL's norms, to any order, and
    also compositions, sums, products and product spaces of norms, networks
    and linear operators. The weights of such networks are weights of the
    layer.

    For an unregistered type of operator, gradients are correct only if its
    ``adjoint`` or ``derivative`` is. Both are checked on first use. A wrong
    adjoint gives a warning. A derivative that differs from finite differences
    of the values by a tenth of its size raises a `ValueError`. A difference
    of two percent, as a discretised derivative may have, gives a warning.
    `odl_equivariant.diagnostics` measures both. Under autocast, the layer
    accepts inputs of lowered precision, and operators compute in the
    precision of their spaces.

    For a registered type of operator, the layer computes a whole batch at
    once, see `register_batched`. Otherwise it computes one sample at a time,
    and a `PerformanceWarning` says so once.

    Examples
    --------
    >>> import numpy as np
    >>> matrix = np.array([[1, 0, 1], [0, 1, 1]], dtype='float32')
    >>> layer = OperatorLayer(odl.MatrixOperator(matrix))
    >>> layer(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[4., 5.]]])
    """

    _place: torch.Tensor

    def __init__(
        self,
        operator: Operator,
        layout: Literal['channels', 'complex'] = 'channels',
    ) -> None:
        super().__init__()
        if not isinstance(operator, odl.Operator):
            raise TypeError(
                f'expected an `odl.Operator`, got {type(operator).__name__}'
            )
        self.operator = operator
        self.layout = one_of('layout', layout, _LAYOUTS)
        domain, range = layouts(operator)
        self._split_range = range.is_complex and layout == 'channels'
        self._merge_domain = domain.is_complex and layout == 'channels'
        if layout == 'channels':
            self._shape, self._dtype = domain.channels_shape, domain.real_dtype
        else:
            self._shape, self._dtype = domain.shape, domain.dtype
        # what `.to(device)` moves, so that the layer knows where it is
        self.register_buffer(
            '_place', torch.empty(0, dtype=torch.bool), persistent=False
        )
        self._map = batched_map(operator)

    @property
    def adjoint(self) -> OperatorLayer:
        """Layer of the operator's adjoint, in the weighted inner products.

        It is correct even if ODL's own adjoint is not, for example for ODL's
        Fourier transforms.
        """
        operator = self.operator
        if not isinstance(self._map, LinearMap):
            raise TypeError(f'{operator!r} is not linear and has no adjoint')
        if isinstance(operator, AdjointOperator):
            adjoint = operator.operator
        elif is_registered(operator):
            maps = (self._map.apply, self._map.transpose)
            adjoint = AdjointOperator(operator, maps)
        else:
            adjoint = operator.adjoint
        return OperatorLayer(adjoint, self.layout).to(self._place.device)

    def __reduce__(self):
        """Pickle and copy the operator only, and rebuild the rest."""
        data, modules = pickled(self.operator)
        state = (data, modules, self.layout, self.training)
        return _unpickle, (*state, self._place.device)

    def __deepcopy__(self, memo):
        """Return a new layer, of the same operator if that has no weights.

        Operators do not change, and some of ODL's cannot be copied.
        """
        if self._has_modules():
            rebuild, arguments = self.__reduce__()
            layer = rebuild(*(copy.deepcopy(a, memo) for a in arguments))
        else:
            layer = _rebuilt(
                self.operator, self.layout, self.training, self._place.device
            )
        memo[id(self)] = layer
        return layer

    def _has_modules(self):
        return isinstance(self._map, nn.Module) and any(
            not isinstance(module, Structure) for module in self._map.modules()
        )

    def _check(self, x):
        if not isinstance(x, torch.Tensor):
            raise TypeError(
                f'expected a `torch.Tensor`, got {type(x).__name__}'
            )
        shape = self._shape
        if x.ndim <= len(shape) or tuple(x.shape[-len(shape) :]) != shape:
            raise ValueError(
                f'expected a tensor of shape (N, {str(shape)[1:]} for an '
                f'operator on {describe_space(self.operator.domain)}, '
                f'got {tuple(x.shape)}'
            )
        if x.dtype != self._dtype and not _is_from_autocast(x):
            raise TypeError(
                f'expected a tensor of dtype {self._dtype} for an operator '
                f'on {describe_space(self.operator.domain)} in the layout '
                f'{self.layout!r}, got {x.dtype}'
            )
        if x.device != self._place.device:
            raise ValueError(
                f'the tensor is on {x.device}, the layer on '
                f'{self._place.device}: move one of them with `.to(device)`'
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the operator to a batch.

        Parameters
        ----------
        x : torch.Tensor
            Tensor of shape ``(N, C, *domain.shape)``, possibly with more axes
            in front, of the precision of the operator's spaces.

        Returns
        -------
        result : torch.Tensor
            Tensor of shape ``(N, C', *range.shape)``.

        Raises
        ------
        ValueError
            If the shape of ``x`` does not fit the domain, it lies on another
            device than the layer, or it needs a gradient and the operator's
            derivative is wrong.
        TypeError
            If ``x`` is not a tensor of the right dtype.
        NotImplementedError
            If ``x`` needs a gradient and the operator has no derivative, or
            the layer is being exported and its operator cannot be.
        """
        check_not_exported_strictly()
        self._check(x)
        x = x.to(self._dtype)
        leading = x.shape[: x.ndim - len(self._shape)]
        if len(leading) > 1:
            x = x.flatten(0, len(leading) - 1)
        if self._merge_domain:
            x = merge_complex(x)
        y = self._map(x)
        if self._split_range:
            y = split_complex(y)
        return y.unflatten(0, leading) if len(leading) > 1 else y

    def extra_repr(self) -> str:
        """Return the operator and the layout, for ``repr``."""
        return f'{type(self.operator).__name__}, layout={self.layout!r}'


def _is_from_autocast(x):
    """Return whether other modules may have lowered the precision."""
    return (
        torch.amp.is_autocast_available(x.device.type)
        and torch.is_autocast_enabled(x.device.type)
        and x.dtype in (torch.bfloat16, torch.float16)
    )


def _unpickle(data, modules, layout, training, device):
    return _rebuilt(unpickled(data, modules), layout, training, device)


def _rebuilt(operator, layout, training, device):
    layer = OperatorLayer(operator, layout).to(device)
    # not by `train`, since modules in it may be in a mode of their own
    layer.training = training
    return layer
