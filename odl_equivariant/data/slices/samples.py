# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Real slices that come with pydicom, for demonstrations and tests."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
import odl

from odl_equivariant._checks import one_of
from odl_equivariant._packages import how_to_install, import_package
from odl_equivariant._types import Element, Precision
from odl_equivariant.data.slices.dicom.files import read_dataset
from odl_equivariant.data.slices.dicom.pixels import oriented, read_frame
from odl_equivariant.data.slices.values import AIR_HU, LOWEST_HU
from odl_equivariant.data.units import (
    AIR_ATTENUATION,
    MU_MAX,
    WATER_ATTENUATION,
)

__all__ = ('sample_ct_slice', 'sample_mr_slice')

CT_UNITS = ('HU', '1/m', 'relative')


def sample_ct_slice(
    unit: Literal['HU', '1/m', 'relative'] = 'HU', dtype: Precision = 'float32'
) -> Element:
    r"""Return a real axial head CT slice of 512 x 512 pixels.

    The slice is one of the test files of the package pydicom. Nothing is
    downloaded. It shows the base of the skull, with frontal sinuses, mastoid
    cells and a headrest. Its sides are 0.221 m long.

    Parameters
    ----------
    unit : {'HU', '1/m', 'relative'}, optional
        Hounsfield units, linear attenuation in 1 / metre, or linear
        attenuation as a fraction of 81.35858 / metre, in [0, 1]. The last one
        is the unit of `SparseViewCT`.
    dtype : {'float32', 'float64'}, optional
        Precision of the space.

    Returns
    -------
    image : element of odl.DiscretizedSpace
        Image of shape (512, 512), centred at the origin, in metres. Axis 0 is
        x, to the viewer's right, axis 1 is y, upwards, and the forehead is on
        top. Outside of the scanner's field of view there is air.

    Raises
    ------
    ImportError
        If pydicom or a decoder of JPEG 2000 is missing.
    ValueError
        If the unit is unknown.

    Notes
    -----
    Hounsfield units become attenuation by

    .. math::
        \mu = \max\left(0, \mu_{\mathrm{water}} + \mathrm{HU}
        \frac{\mu_{\mathrm{water}} - \mu_{\mathrm{air}}}{1000}\right),
        \quad \mu_{\mathrm{water}} = 20, \; \mu_{\mathrm{air}} = 0.02,

    as in the preprocessing of the LoDoPaB-CT dataset (Leuschner et al.,
    Scientific Data 8, 2021, 109).

    Examples
    --------
    >>> image = sample_ct_slice('relative')
    >>> image.shape
    (512, 512)
    """
    one_of('unit', unit, CT_UNITS)
    hounsfield, spacing = _read('J2K_pixelrep_mismatch.dcm')
    hounsfield[hounsfield < LOWEST_HU] = AIR_HU
    if unit == 'HU':
        return _element(hounsfield, spacing, dtype)
    per_unit = (WATER_ATTENUATION - AIR_ATTENUATION) / 1000
    attenuation = np.maximum(hounsfield * per_unit + WATER_ATTENUATION, 0)
    if unit == '1/m':
        return _element(attenuation, spacing, dtype)
    return _element(np.clip(attenuation / MU_MAX, 0, 1), spacing, dtype)


def sample_mr_slice(dtype: Precision = 'float32') -> Element:
    """Return a real axial abdominal MR slice of 484 x 300 pixels.

    This is a T1-weighted slice with fat suppression. It is one of the test
    files of the package pydicom. Nothing is downloaded.

    Parameters
    ----------
    dtype : {'float32', 'float64'}, optional
        Precision of the space.

    Returns
    -------
    image : element of odl.DiscretizedSpace
        Magnitude in the scanner's units, from 0 to 1123. The shape is
        (484, 300), and the extent 0.350 m x 0.217 m, centred at the origin.
        Axis 0 is x, to the viewer's right, axis 1 is y, upwards, and the
        belly is on top.

    Raises
    ------
    ImportError
        If pydicom is missing.

    Examples
    --------
    >>> image = sample_mr_slice()
    >>> image.shape
    (484, 300)
    """
    magnitude, spacing = _read('examples_overlay.dcm')
    return _element(magnitude, spacing, dtype)


def _read(name):
    """Return the pixels, x to the right, y upwards, and their spacing."""
    pydicom = import_package('pydicom', 'a sample slice')
    # Not by pydicom's own search, which would also try to download data.
    path = os.path.join(
        os.path.dirname(pydicom.__file__), 'data', 'test_files', name
    )
    if not os.path.isfile(path):
        raise ImportError(
            f'pydicom {pydicom.__version__} comes without the file {name!r}: '
            f'{how_to_install("pydicom")}'
        )
    dataset = read_dataset(path)
    spacing = tuple(float(s) for s in dataset.PixelSpacing)
    # In DICOM, the distance of rows comes before the distance of columns.
    return oriented(read_frame(dataset)), spacing[::-1]


def _element(data, spacing, dtype):
    """Return pixels as an element of a space in metres."""
    half = np.multiply(data.shape, spacing) / 1000 / 2
    space = odl.uniform_discr(-half, half, data.shape, dtype=dtype)
    return space.element(data.astype(dtype))
