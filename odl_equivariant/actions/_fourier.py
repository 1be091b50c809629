# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Turns and shifts by the Fourier transform, unitary on the grid."""

import numpy as np

from odl_equivariant.actions._movers import Mover
from odl_equivariant.actions.grid import (
    QUARTER_TURNS,
    GridMover,
    check_whole_cells,
    grid_mover,
    maps_grid_to_itself,
)
from odl_equivariant.elements import describe_space

__all__ = ('FourierMover', 'fourier_mover', 'shift_lines')


def shift_lines(data, cells, axis, namespace):
    r"""Shift each line of an array along an axis by its own distance.

    Parameters
    ----------
    data : array, shape (n_1, ..., n_d)
        Real or complex array of ``namespace``.
    cells : numpy.ndarray of float
        Distances in cells, of a shape that broadcasts to that of ``data``
        and is 1 along ``axis``.
    axis : int
        Axis to shift along.
    namespace : module
        Array namespace of ``data``.

    Returns
    -------
    shifted : array
        Array of the same shape and dtype.

    Notes
    -----
    The trigonometric interpolant is moved: with N cells, the coefficient of
    frequency k is multiplied by :math:`e^{-2 \pi i k s / N}`. For even N the
    frequency N/2 is its own conjugate, and a real orthogonal map can only
    keep it or change its sign: it is multiplied by
    :math:`(-1)^{\mathrm{round}(s)}`, as a shift by whole cells does. So the
    map is orthogonal for every s, its inverse is the shift by -s, and shifts
    add up on all frequencies but that one. No choice of the sign does
    better: ``roll`` by one cell has the determinant -1 for even N, and so is
    in no continuous group of real orthogonal maps.
    """
    size = data.shape[axis]
    is_complex = namespace.isdtype(data.dtype, 'complex floating')
    if is_complex:
        frequencies = np.fft.fftfreq(size, 1 / size)
    else:
        frequencies = np.fft.rfftfreq(size, 1 / size)
    shape = [1] * data.ndim
    shape[axis] = -1
    phases = np.exp((-2j * np.pi / size) * frequencies.reshape(shape) * cells)
    if size % 2 == 0:
        nyquist = [slice(None)] * data.ndim
        nyquist[axis] = slice(size // 2, size // 2 + 1)
        phases[tuple(nyquist)] = 1 - 2 * (np.rint(cells) % 2)
    fft = namespace.fft
    spectrum = (fft.fft if is_complex else fft.rfft)(data, axis=axis)
    spectrum = spectrum * namespace.asarray(
        phases, dtype=spectrum.dtype, device=data.device
    )
    if is_complex:
        return fft.ifft(spectrum, axis=axis)
    return fft.irfft(spectrum, n=size, axis=axis)


class FourierMover(Mover):
    r"""A turn in one plane by three shears, then a shift, periodic.

    Notes
    -----
    With the shears :math:`S_x(a): (x, y) \mapsto (x + a y, y)` and
    :math:`S_y(b)`, the rotation by :math:`\theta` is

    .. math::
        R_\theta = S_x(-\tan(\theta/2))\, S_y(\sin\theta)\,
        S_x(-\tan(\theta/2)),

    see Unser, Thevenaz & Yaroslavsky, *Convolution-based interpolation for
    fast, high-quality rotation of images*, IEEE Trans. Image Process. 4
    (1995), 1371-1381. Each shear shifts every line of the grid by
    `shift_lines`, so that the whole is orthogonal. What is left of the
    angle after the nearest quarter turn (half turn, on a grid that is not
    square) is done by shears.

    A function is turned about the centre to the precision with which the
    grid resolves it if it vanishes outside of the disk of radius
    :math:`\cos(\theta/2)` times half the side, 0.92 for 45 degrees: what
    lies further out leaves on one side and comes back on the other.

    The matrix has to map one axis to itself (3D), and ``backwards`` makes
    the shift the first step instead of the last one.
    """

    is_isometry = True

    def __init__(self, space, matrix, shift, backwards=False):
        super().__init__(space, matrix, shift)
        check_whole_cells(space)
        turns = _turn_steps(space, self.matrix)
        # a shift commutes with a permutation, but not with shears
        has_shears = any(step[0] == 'shift' for step in turns)
        self._backwards = bool(backwards and has_shears and any(shift))
        if self._backwards:
            before = self.matrix.T @ self.shift
            self._steps = _shift_steps(space, before) + turns
        else:
            self._steps = turns + _shift_steps(space, self.shift)

    def move_back(self, data):
        """Return the array moved by the inverse, which is the adjoint."""
        return self.inverse().move(data)

    def move(self, data):
        """Return the moved array."""
        namespace = self.space.array_namespace
        for kind, *arguments in self._steps:
            if kind == 'permute':
                data = arguments[0].move(data)
            else:
                axis, cells = arguments
                data = shift_lines(data, cells, axis, namespace)
        return data

    def inverse(self):
        """Return the mover of the inverse element, the exact transpose."""
        return FourierMover(
            self.space,
            self.matrix.T,
            -(self.matrix.T @ self.shift),
            backwards=not self._backwards,
        )

    def lift(self, mover):
        """Return a `GridMover` as one that can be multiplied with this."""
        return FourierMover(self.space, mover.matrix, mover.shift)

    def multiply(self, other):
        """Return the mover of the product, on the grid if that is exact."""
        if not isinstance(other, (FourierMover, GridMover)):
            return NotImplemented
        matrix = self.matrix @ other.matrix
        if _plane(matrix) is None:
            return NotImplemented
        shift = self.shift + self.matrix @ other.shift
        return fourier_mover(self.space, matrix, shift)

    def __eq__(self, other):
        """Return whether both move arrays in the same way."""
        if not isinstance(other, FourierMover):
            return NotImplemented
        return (
            super().__eq__(other) is True
            and self._backwards == other._backwards
        )

    __hash__ = Mover.__hash__


def fourier_mover(space, matrix, shift):
    """Return the mover of an element, a `GridMover` where that is exact.

    Parameters
    ----------
    space : `odl.DiscretizedSpace`
        Uniform space with whole cells at the boundary.
    matrix : array-like of float, shape (d, d)
        Orthogonal matrix, in 3D one that maps an axis to itself.
    shift : array-like of float, shape (d,)
        Shift after the turn, in the unit of the domain.

    Returns
    -------
    mover : `GridMover` or `FourierMover`
        What moves the arrays.

    Raises
    ------
    ValueError
        If the boundary of the domain cuts cells.
    """
    periods = np.asarray(space.partition.extent)
    shift = np.asarray(shift, dtype=float)
    shift = shift - periods * np.rint(shift / periods)
    mover = grid_mover(space, matrix, shift)
    return mover or FourierMover(space, matrix, shift)


def _shift_steps(space, shift):
    cells = shift / space.cell_sides
    return [
        ('shift', axis, np.full((1,) * space.ndim, count))
        for axis, count in enumerate(cells)
        if abs(count) > 1e-12
    ]


def _plane(matrix):
    """Return the two axes in which a matrix turns, or `None`.

    On a line there are none.
    """
    if len(matrix) == 1:
        return ()
    if len(matrix) == 2:
        return (0, 1)
    for axis in (2, 1, 0):
        if abs(abs(matrix[axis, axis]) - 1) < 1e-12:
            return ((axis + 1) % 3, (axis + 2) % 3)
    return None


def _turn_steps(space, matrix):
    """Return the steps of the turn; those of the inverse are reversed."""
    plane = _plane(matrix)
    if plane is None:
        raise ValueError(
            'a rotation by shears is one about an axis of the grid of '
            f'{describe_space(space)}, got the matrix {matrix.tolist()}'
        )
    if not plane:
        return _flips(space, plane, matrix)
    block = matrix[np.ix_(plane, plane)]
    exact = [
        turn for turn in QUARTER_TURNS if _fits(space, plane, np.array(turn))
    ]
    angle = np.arctan2(block[1, 0], block[0, 0])
    quarter = 2 * np.pi / len(exact)
    steps = []
    if np.linalg.det(block) > 0:
        number = round(abs(angle) / quarter)
        turn = np.array(exact[number % len(exact)])
        rest = abs(angle) - number * quarter
        if number % len(exact):
            steps.append(('permute', _permutation(space, plane, turn)))
        steps += _shears(space, plane, rest)
        if angle < 0:
            steps = _reversed(steps)
    else:
        number = round(angle / quarter)
        # half a turn of the mirror's matrix is a quarter of its line
        mirror = np.array(exact[number % len(exact)]) @ np.diag([1, -1])
        rest = _shears(space, plane, (angle - number * quarter) / 2)
        steps = [
            *_reversed(rest),
            ('permute', _permutation(space, plane, mirror)),
            *rest,
        ]
    return steps + _flips(space, plane, matrix)


def _flips(space, plane, matrix):
    """Return the reflections of the axes that are not in the plane."""
    steps = []
    left_over = [i for i in range(space.ndim) if i not in plane]
    for axis in left_over:
        if matrix[axis, axis] < 0:
            flip = np.eye(space.ndim, dtype=int)
            flip[axis, axis] = -1
            mirror = GridMover(space, flip, (0,) * space.ndim)
            steps.append(('permute', mirror))
    return steps


def _embed(space, plane, block):
    matrix = np.eye(space.ndim, dtype=int)
    matrix[np.ix_(plane, plane)] = block
    return matrix


def _fits(space, plane, block):
    return maps_grid_to_itself(space, _embed(space, plane, block))


def _permutation(space, plane, block):
    return GridMover(space, _embed(space, plane, block), (0,) * space.ndim)


def _shears(space, plane, angle):
    if abs(angle) < 1e-12:
        return []
    first, second = plane
    outer = _shear(space, first, second, -np.tan(angle / 2))
    return [outer, _shear(space, second, first, np.sin(angle)), outer]


def _shear(space, axis, other, slope):
    """Return the shift along one axis that is linear in another one."""
    size = space.shape[other]
    offsets = (np.arange(size) - (size - 1) / 2) * space.cell_sides[other]
    shape = [1] * space.ndim
    shape[other] = -1
    cells = slope * offsets.reshape(shape) / space.cell_sides[axis]
    return ('shift', axis, cells)


def _reversed(steps):
    return [
        ('permute', step[1].inverse())
        if step[0] == 'permute'
        else ('shift', step[1], -step[2])
        for step in reversed(steps)
    ]
