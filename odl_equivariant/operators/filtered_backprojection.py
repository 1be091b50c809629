# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Filtered back-projection for parallel beams, on any array back-end."""

import numpy as np
import odl
import torch

from odl_equivariant.elements import as_element, as_tensor

__all__ = ('filtered_backprojection',)

WINDOWS = {
    'Ram-Lak': lambda f: np.ones_like(f),
    'Shepp-Logan': lambda f: np.sinc(f / 2),
    'Cosine': lambda f: np.cos(np.pi * f / 2),
    'Hamming': lambda f: 0.54 + 0.46 * np.cos(np.pi * f),
    'Hann': lambda f: 0.5 + 0.5 * np.cos(np.pi * f),
}


class RampFilter(odl.Operator):
    """Convolution of each view with a windowed ramp; self-adjoint.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Data space; axis 1 is the detector.
    filter_type : str, optional
        Name of the window.
    frequency_scaling : float, optional
        Cutoff, as a share of the highest frequency.
    """

    def __init__(self, space, filter_type='Hann', frequency_scaling=1.0):
        if filter_type not in WINDOWS:
            raise ValueError(
                f'`filter_type` must be one of {list(WINDOWS)}, '
                f'got {filter_type!r}'
            )
        if not 0 < frequency_scaling <= 1:
            raise ValueError(
                '`frequency_scaling` must be in (0, 1], got '
                f'{frequency_scaling}'
            )
        super().__init__(space, space, linear=True)
        size, width = space.shape[1], float(space.cell_sides[1])
        # Long enough for a convolution that does not wrap around.
        self._padded = 2 ** int(np.ceil(np.log2(2 * size)))
        self._size = size
        # The samples of the band-limited ramp, not the ramp's samples: those
        # have no mean and shift the whole image by a constant.
        index = np.fft.fftfreq(self._padded, 1 / self._padded)
        kernel = np.zeros(self._padded)
        odd = index % 2 == 1
        kernel[odd] = -1 / (np.pi * index[odd]) ** 2
        kernel[0] = 0.25
        response = np.fft.rfft(kernel).real / width
        frequency = 2 * np.fft.rfftfreq(self._padded) / frequency_scaling
        window = WINDOWS[filter_type](np.minimum(frequency, 1))
        response *= np.where(frequency <= 1, window, 0)
        self._response = torch.from_numpy(response)

    def _call(self, x):
        tensor = as_tensor(x)
        response = self._response.to(tensor.device, tensor.dtype)
        spectrum = torch.fft.rfft(tensor, self._padded) * response
        filtered = torch.fft.irfft(spectrum, self._padded)
        return as_element(filtered[..., : self._size].contiguous(), self.range)

    @property
    def adjoint(self):
        """The operator itself: the kernel is real and even."""
        return self


def filtered_backprojection(
    ray_transform, filter_type='Hann', frequency_scaling=1.0
):
    r"""Return the filtered back-projection of a parallel-beam transform.

    Parameters
    ----------
    ray_transform : odl.applications.tomo.RayTransform
        Two-dimensional, with parallel beams uniform on ``[0, pi)``.
    filter_type : {'Ram-Lak', 'Shepp-Logan', 'Cosine', 'Hamming', 'Hann'}
        Window on the ramp, from sharp to smooth.
    frequency_scaling : float, optional
        Cutoff of the window, as a share of the detector's highest
        frequency, in (0, 1].

    Returns
    -------
    operator : odl.Operator
        Linear operator from ``ray_transform.range`` to
        ``ray_transform.domain``.

    Raises
    ------
    ValueError
        If the geometry is another, the window is unknown or the cutoff out
        of range.

    Notes
    -----
    With the kernel :math:`h` of the band-limited ramp, detector width
    :math:`d` (Kak and Slaney, *Principles of Computerized Tomographic
    Imaging*, 1988, section 3.3),

    .. math::
        u = A^* (h * y), \quad h(0) = \frac{1}{4 d^2}, \quad
        h(nd) = -\frac{1}{(\pi n d)^2} \text{ for odd } n,
        \text{ else } 0.
    """
    geometry = getattr(ray_transform, 'geometry', None)
    if not isinstance(geometry, odl.applications.tomo.Parallel2dGeometry):
        raise ValueError(
            'filtered back-projection needs a ray transform with parallel '
            f'beams in 2D, got {type(ray_transform).__name__} with the '
            f'geometry {type(geometry).__name__}'
        )
    ramp = RampFilter(ray_transform.range, filter_type, frequency_scaling)
    return ray_transform.adjoint * ramp
