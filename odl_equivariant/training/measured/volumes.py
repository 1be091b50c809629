# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Whole volumes of cone beams, and models of images for their slices."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import torch
from odl.applications import tomo
from torch import nn

from odl_equivariant._warnings import quiet
from odl_equivariant.data import TomographyScan
from odl_equivariant.training.measured.arguments import (
    cell_in,
    cell_in_metres,
    unit_of_any_cells,
)

__all__ = (
    'Slicewise',
    'acquisition_of_volume',
    'dimension_of',
    'memory_for_volume',
)


def acquisition_of_volume(
    scan: TomographyScan, path: pathlib.Path, options: Any
) -> tuple[Any, float | None, float]:
    """Return the acquisition of a volume, seen by all rows of a detector.

    Parameters
    ----------
    scan : TomographyScan
        Scan with several rows.
    path : pathlib.Path
        Its file, for messages.
    options : argparse.Namespace
        Options of the command: ``shape``, of three numbers, ``cell`` and
        ``axis``.

    Returns
    -------
    acquisition : MeasuredCT
        Acquisition on cubic cells. On the CPU its operator is a matrix, made
        where it is needed first.
    axis : float or None
        Where the axis is projected, if it was looked for, see `Measured`.
    covered : float
        Share of what the rows see that the volume covers across the axis.

    Raises
    ------
    ValueError
        If the scan is no cone beam.
    """
    if not isinstance(scan.geometry, tomo.ConeBeamGeometry):
        shape = 'x'.join(map(str, options.shape))
        raise ValueError(
            f'--shape {shape}: the rows of {path} are those of images, as its '
            'beams are no cones, and a volume is made of them row by row: '
            'give two numbers, such as --shape '
            f'{options.shape[0]}x{options.shape[1]}'
        )
    middle = scan.row()
    unit = unit_of_any_cells(scan.length_unit)
    plane = middle.acquisition((2, 2), length_unit=unit)
    side = 2 * float(plane.space.cell_sides[0])
    cell = side / max(options.shape[:2])
    if scan.length_unit == 'cell':
        cell = 1.0
        if options.cell is not None:
            cell_in_metres(options.cell)
    elif options.cell is not None:
        cell = cell_in(options.cell, scan.length_unit)
    axis = options.axis
    if axis is not None:
        width = plane.geometry.det_partition
        width = float(width.extent[0]) / width.shape[0]
        offset = -width * axis if axis != 'auto' else None
        if offset is None:
            with quiet():  # said of the whole data later
                y = middle.data(plane)
            offset = plane.find_axis(y)
        axis, scan = -offset / width, scan.with_detector_offset(offset)
    impl = 'astra_cuda' if tomo.ASTRA_CUDA_AVAILABLE else 'volume_matrix'
    space = {'shape': options.shape, 'cell': cell}
    acquisition = scan.acquisition(space, impl=impl)
    return acquisition, axis, min(1.0, cell * min(options.shape[:2]) / side)


@contextlib.contextmanager
def memory_for_volume(path: pathlib.Path, space: Any) -> Iterator[None]:
    """Context in which too little memory for a volume is explained.

    Parameters
    ----------
    path : pathlib.Path
        File of the data.
    space : odl.DiscretizedSpace
        Space of the images; those in 2D are not looked at.

    Raises
    ------
    MemoryError
        If a volume, or the matrix of its rays, is too large.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has no class for it
        is_meant = isinstance(error, MemoryError) or (
            'DefaultCPUAllocator' in str(error)
        )
        if space.ndim == 2 or not is_meant:
            raise
        raise MemoryError(
            f'{path}: there is too little memory for '
            f'{" x ".join(map(str, space.shape))} voxels: {error}. On the '
            'command line, take fewer voxels by --shape, --model fdk, which '
            'needs no matrix of the rays, or two numbers as --shape, for the '
            'row opposite the source'
        ) from error


def dimension_of(module: nn.Module) -> int:
    """Return the number of axes of the images that a module takes."""
    return max(getattr(part, 'dimension', 2) for part in module.modules())


class Slicewise(nn.Module):
    """A denoiser of images, applied to the slices of volumes.

    Slices are those across the last axis, about which a scanner turns.

    Parameters
    ----------
    module : torch.nn.Module
        Denoiser of images.
    """

    gradient = False
    memory = 0

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if dimension_of(module) != 2:
            raise ValueError(
                f'slices are images, and {type(module).__name__} takes '
                f'{dimension_of(module)} axes'
            )
        self.module = module
        for name in ('in_channels', 'noise_level', 'value_range'):
            setattr(self, name, getattr(module, name, None))

    def forward(
        self, x: torch.Tensor, sigma: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return volumes of denoised slices, of the shape of ``x``."""
        levels = {'sigma': sigma} if self.noise_level else {}
        # one by one, so that the memory does not grow with their number
        slices = [self.module(u, **levels) for u in x.unbind(-1)]
        return torch.stack(slices, -1)
