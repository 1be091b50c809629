# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Sensitivity encoding: images as receive coils see them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import odl
import torch
from odl.core.space.base_tensors import TensorSpace

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Operator, Space
from odl_equivariant.elements import describe_space, tensor_dtype
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.per_sample import register_per_sample
from odl_equivariant.operators.batching.registry import register_batched

__all__ = ('SensitivityEncoding', 'checked_coil_maps')

_COMPLEX_NAMES = {torch.float32: 'complex64', torch.float64: 'complex128'}


def checked_coil_maps(coil_maps, shape, name, space=None):
    """Return coil maps as a new complex numpy array.

    Parameters
    ----------
    coil_maps : array-like or torch.Tensor
        Sensitivities, of shape ``(n_coils, *shape)``.
    shape : tuple of int
        Shape of an image.
    name : {'complex64', 'complex128'}
        Precision of the result.
    space : optional
        What the message about the shape names. Default: the shape.

    Raises
    ------
    TypeError, ValueError
        See `SensitivityEncoding`.
    """
    if isinstance(coil_maps, torch.Tensor):
        coil_maps = coil_maps.detach().cpu().resolve_conj().resolve_neg()
        coil_maps = coil_maps.numpy()
    maps = np.asarray(coil_maps)
    if maps.dtype.kind not in 'fc':
        raise TypeError(
            '`coil_maps` must be an array of real or complex floating point '
            f'numbers, got dtype {maps.dtype}'
        )
    shape = tuple(shape)
    if maps.ndim != len(shape) + 1 or maps.shape[1:] != shape:
        what = 'images' if space is None else describe_space(space)
        raise ValueError(
            '`coil_maps` must have the shape (n_coils, '
            f'{str(shape)[1:]} for {what}, got {maps.shape}'
        )
    # numbers of double precision may be none of single precision
    with np.errstate(over='ignore', under='ignore'):
        maps = maps.astype(name)
    if not np.isfinite(maps).all():
        raise ValueError(
            f'`coil_maps` must be finite in {name}, the precision of the '
            f'space, got {np.count_nonzero(~np.isfinite(maps))} NaN or '
            'infinite values'
        )
    if not maps.any():
        raise ValueError(
            '`coil_maps` must not be zero everywhere: such coils see nothing '
            f'in {name}, the precision of the space'
        )
    maps.flags.writeable = False
    return maps


class SensitivityEncoding(CheckedOperator):
    r"""Multiply an image by the sensitivity of each coil.

    Parameters
    ----------
    space : `DiscretizedSpace` or `TensorSpace`
        Complex or real space of images, backed by numpy or pytorch, with
        constant or array weights. Coils see real images as
        complex ones, so that the range is the same.
    coil_maps : numpy.ndarray or torch.Tensor
        Sensitivities, of shape ``(n_coils, *space.shape)``, real or complex.
        They are copied, to the precision and the device of the space.

    Raises
    ------
    ValueError
        If the maps have another shape, are not finite, or are all zero.
    TypeError
        If the maps are not floating point numbers, or ``space`` is not a
        space of float32, float64, complex64 or complex128.
    NotImplementedError
        If the inner product of the space is not a weighted sum.

    Notes
    -----
    With the sensitivities :math:`c_j` of Pruessmann et al. (1999),

    .. math::
        S u = (c_j\, u)_j, \qquad S^* v = \sum_j \overline{c_j}\, v_j,

    where the range is the power of the complex space with the weights of
    ``space``; for real images :math:`S^*` is the real part of this sum. Where
    :math:`\sum_j |c_j|^2 = 1`, :math:`S` is an isometry.

    Examples
    --------
    >>> encoding = SensitivityEncoding(odl.cn(2), np.array([[1, 0], [2, 1j]]))
    >>> encoding.range
    ProductSpace(cn(2), 2)
    >>> encoding([1, 1])[1]
    cn(2).element([ 2.+0.j,  0.+1.j])
    >>> encoding.adjoint(encoding([1, 1]))
    cn(2).element([ 5.+0.j,  1.+0.j])
    """

    def __init__(
        self, space: Space, coil_maps: np.ndarray | torch.Tensor
    ) -> None:
        if not isinstance(space, (odl.DiscretizedSpace, TensorSpace)):
            raise TypeError(
                'expected a `DiscretizedSpace` or a `TensorSpace`, got '
                f'{describe_space(space)}'
            )
        tensor_dtype(space)
        inner_product_weights(space)
        name = _COMPLEX_NAMES[tensor_dtype(space)]
        self._maps = checked_coil_maps(coil_maps, space.shape, name, space)
        part = space if space.is_complex else space.complex_space
        range = odl.ProductSpace(part, len(self._maps))
        super().__init__(space, range, linear=True)

    @property
    def coil_maps(self) -> np.ndarray:
        """Complex numpy array of shape ``(n_coils, *shape)``, read-only."""
        return self._maps

    @property
    def n_coils(self) -> int:
        """Number of coils."""
        return len(self._maps)

    @functools.cached_property
    def _factors(self):
        """The maps and their conjugates, on the back-end of the space."""
        if self.domain.impl == 'numpy':
            return self._maps, self._maps.conj()
        maps = torch.tensor(self._maps, device=self.domain.device)
        return maps, maps.conj().resolve_conj()

    def _call(self, u):
        maps, _ = self._factors
        return self.range.element(list(maps * _data(u)))

    def normalised(self) -> SensitivityEncoding:
        """Return the operator with maps whose squares sum to one.

        Returns
        -------
        normalised : SensitivityEncoding
            Operator with the maps divided by the root of their sum of
            squares, and zero where no coil sees anything.

        Examples
        --------
        >>> encoding = SensitivityEncoding(odl.rn(2), [[3.0, 0.0], [4.0, 0.0]])
        >>> encoding.normalised().coil_maps.real
        array([[ 0.6,  0. ],
               [ 0.8,  0. ]])
        """
        maps = self._maps.astype('complex128')
        size = np.sqrt((np.abs(maps) ** 2).sum(0))
        maps = np.divide(maps, size, out=np.zeros_like(maps), where=size > 0)
        return type(self)(self.domain, maps)

    def norm(self, estimate: bool = False, **kwargs: Any) -> float:
        """Return the norm of the operator, which is known exactly.

        Parameters
        ----------
        estimate, **kwargs :
            Not used: nothing has to be estimated.

        Returns
        -------
        norm : float
            Largest root of the sum of the maps' squares.
        """
        return self._largest_gain

    @functools.cached_property
    def _largest_gain(self):
        squares = np.abs(self._maps.astype('complex128')) ** 2
        return float(np.sqrt(squares.sum(0).max()))

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint in the weighted inner products."""
        return _SensitivityEncodingAdjoint(self)

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self.domain, self._maps)


def _data(leaf):
    data = leaf.data
    return data.detach() if isinstance(data, torch.Tensor) else data


class _SensitivityEncodingAdjoint(CheckedOperator):
    """Adjoint of a `SensitivityEncoding`."""

    def __init__(self, encoding):
        self._encoding = encoding
        super().__init__(encoding.range, encoding.domain, linear=True)

    def _call(self, v):
        _, conjugates = self._encoding._factors
        # the weights of the two spaces are the same, and cancel
        result = conjugates[0] * _data(v[0])
        for n in range(1, len(conjugates)):
            result += conjugates[n] * _data(v[n])
        if self.range.is_real:
            result = result.real + 0  # no view of the imaginary part too
        return self.range.element(result)

    @property
    def adjoint(self):
        """The encoding itself."""
        return self._encoding

    def norm(self, estimate=False, **kwargs):
        """Return the norm of the operator, that of the encoding."""
        return self._encoding.norm()

    def __reduce__(self):
        """Pickle the encoding only."""
        return type(self), (self._encoding,)


def _maps_of_batches(operator, coil_maps):
    domain, _ = layouts(operator)
    maps = Constant(torch.tensor(coil_maps))
    conjugates = Constant(torch.tensor(coil_maps.conj()))
    coils = -len(domain.shape)
    return (
        lambda x: x * maps.like(x),
        lambda y: domain.cast((y * conjugates.like(y)).sum(coils, True)),
    )


@register_batched(SensitivityEncoding)
def _batched(operator):
    return _maps_of_batches(operator, operator.coil_maps)


@register_per_sample(SensitivityEncoding)
def _per_sample(operators):
    if len({operator.n_coils for operator in operators}) > 1:
        return None
    maps = np.stack([operator.coil_maps for operator in operators])
    return _maps_of_batches(operators[0], maps)


@register_batched(_SensitivityEncodingAdjoint)
def _batched_adjoint(operator):
    # one constant weight for both spaces: the transpose is the adjoint
    return _batched(operator.adjoint)[::-1]
