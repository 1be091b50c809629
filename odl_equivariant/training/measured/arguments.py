# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The arguments of ``odl-equivariant reconstruct FILE --model NAME``."""

import argparse
import math
import pathlib
import re

from odl_equivariant.data.units import ATTENUATION_UNITS, metres

__all__ = (
    'cell_in',
    'cell_in_metres',
    'is_direct',
    'parsed',
    'refuse_options_of_kspace',
    'refuse_options_of_tomography',
    'unit_of_any_cells',
)

_LENGTH = re.compile(r'([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(m|cm|mm|um)?')


def is_direct(arguments):
    """Return whether arguments name a model and no configuration.

    Parameters
    ----------
    arguments : list of str
        Arguments of the command.

    Examples
    --------
    >>> is_direct(['reconstruct', 'y.npy', '--model', 'sparse_view_ct_c4'])
    True
    >>> is_direct(['reconstruct', '--config', 'ct.yaml', '--input', 'y.npy'])
    False
    """
    names = [argument.partition('=')[0] for argument in arguments]
    return (
        'reconstruct' in arguments
        and '--model' in names
        and not {'-c', '--config'} & set(names)
    )


class _Parser(argparse.ArgumentParser):
    """A parser whose errors begin like all others of the command."""

    def error(self, message):
        self.exit(2, f'odl-equivariant: error: {message}\n')


def parsed(arguments):
    """Return the options of the command.

    Parameters
    ----------
    arguments : list of str
        Arguments, of which the first is ``'reconstruct'``.

    Returns
    -------
    options : argparse.Namespace
        ``inputs``, ``model``, ``output``, ``unit``, ``cell``, ``shape``,
        ``geometry``, ``axis``, ``slice``, ``coil_maps``, ``kernel``,
        ``threshold``, ``strength``, ``maxiter``, ``format`` and ``pictures``.
    """
    parser = _Parser(prog='odl-equivariant reconstruct', allow_abbrev=False)
    add = parser.add_argument
    add('inputs', nargs='*', type=pathlib.Path)
    add('--input', action='append', default=[], type=pathlib.Path)
    add('--model', required=True)
    add('--output', required=True, type=pathlib.Path)
    add('--unit', type=_unit)
    add('--cell-size', dest='cell', type=_length)
    add('--shape', type=_shape)
    add('--geometry', type=pathlib.Path)
    add('--axis', type=_axis)
    add('--slice', type=_slice)
    add('--coil-maps', type=pathlib.Path)
    add('--kernel', type=_count)
    add('--threshold', type=_share)
    add('--strength', type=_positive, default=1.0)
    add('--maxiter', type=_count)
    add('--format', choices=FORMATS)
    add('--pictures', choices=('true', 'false'), default='false')
    rest = [argument for argument in arguments if argument != 'reconstruct']
    options = parser.parse_args(rest)
    options.inputs += options.input
    options.pictures = options.pictures == 'true'
    if not options.inputs:
        parser.error(
            'name the files of data, such as `odl-equivariant reconstruct '
            'my_scan.mat --model splitting_ct_c4 --output image.nii.gz`'
        )
    return options


# Endings of results, with their dots.
FORMATS = ('npy', 'nii', 'nii.gz', 'dcm')


def _positive(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(
            f'expected a positive number, got {text!r}'
        )
    return value


def _share(text):
    value = _positive(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(
            f'expected a number between 0 and 1, got {text!r}'
        )
    return value


def _count(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(
            f'expected a positive whole number, got {text!r}'
        )
    return int(text)


def _unit(text):
    if text in (*ATTENUATION_UNITS, 'auto'):
        return text
    try:
        return _positive(text)
    except argparse.ArgumentTypeError:
        names = ', '.join(('auto', *ATTENUATION_UNITS))
        raise argparse.ArgumentTypeError(
            f'expected one of {names}, or the value of your images that is to '
            f'be 1 for the network, got {text!r}'
        ) from None


def _length(text):
    """Return a number and its unit, ``None`` for that of the scan."""
    match = _LENGTH.fullmatch(text.strip())
    value = _positive(match[1]) if match else None
    if value is None:
        raise argparse.ArgumentTypeError(
            'expected the side of a cell, such as 0.2mm, or a number in the '
            f'unit of the scan, got {text!r}'
        )
    return value, match[2]


def _shape(text):
    numbers = re.split(r'[x,\s]+', text.strip('()[] '))
    if not all(n.isdecimal() and int(n) > 0 for n in numbers):
        raise argparse.ArgumentTypeError(
            f'expected a shape such as 512x512, got {text!r}'
        )
    if len(numbers) == 1:
        numbers = 2 * numbers
    if len(numbers) > 3:
        raise argparse.ArgumentTypeError(
            'expected a shape such as 512x512, or 64x64x64 for the volume of '
            f'a cone beam, got {text!r}'
        )
    return tuple(map(int, numbers))


def _axis(text):
    if text == 'auto':
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(
            'expected `auto`, or where the axis of rotation is projected, in '
            f'detector elements from the middle, got {text!r}'
        )
    return value


def _slice(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f'expected the number of a slice, from 0, got {text!r}'
        )
    return int(text)


def cell_in(cell, unit):
    """Return the side of a cell in a unit of length.

    Parameters
    ----------
    cell : tuple
        Number and name of its unit, ``None`` for that of the scan.
    unit : str
        Unit of the scan, not ``'cell'``.

    Examples
    --------
    >>> cell_in((0.5, 'cm'), 'mm'), cell_in((0.5, None), 'mm')
    (5.0, 0.5)
    """
    value, own = cell
    return value if own is None else value * metres(own) / metres(unit)


def cell_in_metres(cell):
    """Return the side of a cell in metres, for scans without a length.

    Raises
    ------
    ValueError
        If the number has no unit.

    Examples
    --------
    >>> cell_in_metres((0.5, 'cm'))
    0.005
    """
    value, unit = cell
    if unit is None:
        raise ValueError(
            f'--cell-size {value:g}: the scan has lengths in cells, so the '
            'number needs a unit, such as 0.65um'
        )
    return value * metres(unit)


def unit_of_any_cells(unit):
    """Return a unit in which cells of any side can be made of a scan.

    In the unit ``'cell'`` they have the side 1; micrometres stand for it.

    Examples
    --------
    >>> unit_of_any_cells('cell'), unit_of_any_cells('mm')
    ('um', 'mm')
    """
    return 'um' if unit == 'cell' else unit


def refuse_options_of_tomography(options):
    """Raise an error for an option of tomography.

    Parameters
    ----------
    options : argparse.Namespace
        Options of a command for k-space.

    Raises
    ------
    ValueError
        If one is given that is for the other kind of data.
    """
    names = {
        '--unit': options.unit,
        '--cell-size': options.cell,
        '--shape': options.shape,
        '--geometry': options.geometry,
        '--axis': options.axis,
    }
    given = [name for name, value in names.items() if value is not None]
    if given:
        raise ValueError(
            f'{", ".join(given)}: {options.model} reconstructs magnetic '
            'resonance, where the file says all of this'
        )


def refuse_options_of_kspace(options):
    """Raise an error for an option of magnetic resonance.

    Parameters
    ----------
    options : argparse.Namespace
        Options of a command for tomography.

    Raises
    ------
    ValueError
        If one is given that is for the other kind of data.
    """
    names = {
        '--coil-maps': options.coil_maps,
        '--kernel': options.kernel,
        '--threshold': options.threshold,
    }
    given = [name for name, value in names.items() if value is not None]
    if given:
        raise ValueError(
            f'{", ".join(given)}: {options.model} reconstructs tomography, '
            'and these are for k-space of several coils: leave them out'
        )
    if options.slice is not None:
        raise ValueError(
            f'--slice is for k-space, and {options.model} reconstructs '
            'tomography, of which all rows of a detector are reconstructed'
        )
