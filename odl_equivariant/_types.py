# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Names of types that the signatures of several modules share.

Shapes, units and meanings are in the docstrings. Checkers take what is of
ODL for `Any`: it defines its names while it is imported.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
import odl
import torch
from numpy.typing import ArrayLike
from odl.core.set.space import LinearSpaceElement
from odl.core.space.base_tensors import TensorSpace

__all__ = (
    'Axes',
    'Backend',
    'Device',
    'Element',
    'ElementLike',
    'FilterType',
    'Image',
    'ImageShape',
    'Initial',
    'Interpolation',
    'Operator',
    'PadMode',
    'PathLike',
    'PhantomKind',
    'Precision',
    'Random',
    'RayTransform',
    'Representation',
    'Samples',
    'Space',
    'Spacing',
    'TensorMap',
    'VolumeShape',
    'VoxelSpacing',
)

Operator: TypeAlias = odl.Operator
RayTransform: TypeAlias = odl.applications.tomo.RayTransform
#: What has a tensor layout, see `odl_equivariant.elements`.
Space: TypeAlias = odl.DiscretizedSpace | TensorSpace | odl.ProductSpace
Element: TypeAlias = LinearSpaceElement
#: What ``space.element`` makes an element of.
ElementLike: TypeAlias = LinearSpaceElement | ArrayLike
#: An array, a tensor or an element of a two-dimensional space.
Image: TypeAlias = LinearSpaceElement | torch.Tensor | ArrayLike
ImageShape: TypeAlias = tuple[int, int]
#: The side of a square pixel, or both sides, in millimetres.
Spacing: TypeAlias = float | tuple[float, float]
VolumeShape: TypeAlias = tuple[int, int, int]
#: The side of a cubic voxel, or all three sides, in millimetres.
VoxelSpacing: TypeAlias = float | tuple[float, float, float]

Device: TypeAlias = torch.device | str
PathLike: TypeAlias = str | os.PathLike[str]
#: A seed, a source of random numbers, or None for other ones each time.
Random: TypeAlias = int | np.random.Generator | None
Axes: TypeAlias = int | tuple[int, ...] | list[int]
TensorMap: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

Backend: TypeAlias = Literal['numpy', 'pytorch']
FilterType: TypeAlias = Literal[
    'Ram-Lak', 'Shepp-Logan', 'Cosine', 'Hamming', 'Hann'
]
#: Where an unrolled network starts.
Initial: TypeAlias = Literal['zero', 'adjoint', 'fbp'] | odl.Operator
Interpolation: TypeAlias = Literal['linear', 'cubic', 'fourier']
PadMode: TypeAlias = Literal['symmetric', 'periodic']
PhantomKind: TypeAlias = Literal['head', 'body', 'abstract']
Precision: TypeAlias = Literal['float32', 'float64']


#: Numbers or booleans, in YAML as lists. There, texts would be taken for names
#: of classes if the classes were known, and not for what is wrong.
if TYPE_CHECKING:
    Samples: TypeAlias = ArrayLike | torch.Tensor
else:
    Samples = Any


class GroupRepresentation(Protocol):
    """What a `Representation` of escnn has: a matrix for each element.

    So functions that take one need not import escnn for its type.
    """

    @property
    def group(self) -> Any:
        """Group that is represented."""

    @property
    def size(self) -> int:
        """Number of rows of the matrices."""

    def __call__(self, element: Any) -> np.ndarray:
        """Return the matrix of an element of the group."""


#: How the values of a field turn.
Representation: TypeAlias = (
    Literal['trivial', 'standard'] | GroupRepresentation
)
