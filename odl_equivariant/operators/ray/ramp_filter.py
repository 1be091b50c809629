# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The ramp filter of filtered back-projection."""

import numpy as np
import torch

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import one_of, positive_number
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    register_batched,
)

__all__ = ('WINDOWS', 'DataOperator', 'RampFilter', 'by_parts')

WINDOWS = {
    'Ram-Lak': lambda f: np.ones_like(f),
    'Shepp-Logan': lambda f: np.sinc(f / 2),
    'Cosine': lambda f: np.cos(np.pi * f / 2),
    'Hamming': lambda f: 0.54 + 0.46 * np.cos(np.pi * f),
    'Hann': lambda f: 0.5 + 0.5 * np.cos(np.pi * f),
}


def by_parts(function):
    """Return a real map as one of complex tensors."""

    def complex_function(x):
        if not x.is_complex():
            return function(x)
        parts = function(torch.stack([x.real, x.imag]))
        return torch.complex(*parts)

    return complex_function


class DataOperator(CheckedOperator):
    """A linear operator with a real matrix, given by batched maps."""

    def maps(self):
        """Return the map of batches and its transpose."""
        raise NotImplementedError

    def _call(self, x):
        domain, range = layouts(self)
        return range.element(self.maps()[0](domain.tensor(x)[None])[0])

    @property
    def adjoint(self):
        """The adjoint in the inner products of the spaces."""
        return AdjointOperator(self)


class RampFilter(DataOperator):
    """Convolution of each view with a windowed ramp.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Data space; axis 1 is the detector.
    filter_type : str, optional
        Name of the window.
    frequency_scaling : float, optional
        Cutoff, as a share of the highest frequency.
    weights : float or numpy.ndarray, optional
        Factors of the data before they are filtered, broadcastable to them.
    step : float, optional
        Distance between two elements, for the ramp only. Default: the width
        of the cells of the space.
    is_angle : bool, optional
        Whether this is an angle at the source, so that the ramp is that of
        fan beams with equal angles.
    range : odl.DiscretizedSpace or odl.TensorSpace, optional
        Space of the filtered data, which may have more elements: data are
        zero there, but filtered data are not. Default: ``space``.
    before : int, optional
        How many more there are before the first of ``space``.
    after : numpy.ndarray, optional
        Factors of the filtered data, broadcastable to them.
    """

    def __init__(
        self,
        space,
        filter_type='Hann',
        frequency_scaling=1.0,
        weights=1.0,
        step=None,
        is_angle=False,
        range=None,
        before=0,
        after=None,
    ):
        one_of('filter_type', filter_type, WINDOWS)
        positive_number('frequency_scaling', frequency_scaling, most=1)
        super().__init__(space, range or space, linear=True)
        size = self.range.shape[1]
        step = float(space.cell_sides[1]) if step is None else step
        # Long enough for a convolution that does not wrap around.
        self._padded = 2 ** int(np.ceil(np.log2(2 * size)))
        self._before = before
        # The samples of the band-limited ramp, not the ramp's samples: those
        # have no mean and shift the whole image by a constant.
        index = np.fft.fftfreq(self._padded, 1 / self._padded)
        kernel = np.zeros(self._padded)
        odd = index % 2 == 1
        if is_angle:
            odd &= np.abs(index) < size
        lag = np.sin(index[odd] * step) / step if is_angle else index[odd]
        kernel[odd] = -1 / (np.pi * lag) ** 2
        kernel[0] = 0.25
        response = np.fft.rfft(kernel).real / step
        frequency = 2 * np.fft.rfftfreq(self._padded) / frequency_scaling
        window = WINDOWS[filter_type](np.minimum(frequency, 1))
        response *= np.where(frequency <= 1, window, 0)
        weights = np.asarray(weights, dtype=float)
        self._weights = None
        if weights.size == 1:
            response *= float(weights.reshape(()))
        else:
            self._weights = torch.from_numpy(weights.copy())
        self._after = None if after is None else torch.from_numpy(after.copy())
        self._response = torch.from_numpy(response)

    def maps(self):
        """Return the map of batches and its transpose."""
        dtype = layouts(self)[0].real_dtype
        response = Constant(self._response.to(dtype))
        sizes = self.domain.shape[1], self.range.shape[1]

        def filtered(x, shift, size):
            if not x.numel():  # which no Fourier transform takes
                return x.new_zeros(*x.shape[:-1], size)
            if shift > 0:
                x = torch.nn.functional.pad(x, (shift, 0))
            spectrum = torch.fft.rfft(x, self._padded) * response.like(x)
            result = torch.fft.irfft(spectrum, self._padded)
            start = max(-shift, 0)
            return result[..., start : start + size].contiguous()

        def times(x, factors):
            return x if factors is None else x * factors.like(x)

        weights, after = (
            None if factors is None else Constant(factors.to(dtype))
            for factors in (self._weights, self._after)
        )
        # the matrix of the convolution is symmetric
        apply = by_parts(lambda x: filtered(x, self._before, sizes[1]))
        transpose = by_parts(lambda y: filtered(y, -self._before, sizes[0]))
        return (
            lambda x: times(apply(times(x, weights)), after),
            lambda y: times(transpose(times(y, after)), weights),
        )

    @property
    def adjoint(self):
        """The operator itself where its matrix and the weights allow it."""
        weights = inner_product_weights(self.domain)
        if (
            self._weights is self._after is None
            and self.domain == self.range
            and (weights == weights.flatten()[0]).all()
        ):
            return self
        return super().adjoint


@register_batched(RampFilter)
def _ramp_filter(operator):
    return operator.maps()
