# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Kernels whose filters are two-dimensional Fourier series.

This module needs no escnn. A filter is a function of the plane,

.. math::
    \varphi(x) = \Omega(x) \sum_\kappa
    a_\kappa \cos\Big(\frac{2 \pi}{p}\, \kappa \cdot x\Big)
    + b_\kappa \sin\Big(\frac{2 \pi}{p}\, \kappa \cdot x\Big),

with x in cells. It can be turned by any angle, and is then sampled on the
p x p cells of the kernel. One such filter, turned by each element of a finite
group, gives a kernel between an image and a regular field.
"""

import functools
import math

import torch

from odl_equivariant.nn.steerable.groups import (
    INFINITE,
    group_elements,
    group_order,
)
from odl_equivariant.nn.steerable.representations import (
    fibre_matrix,
    field_size,
)
from odl_equivariant.nn.steerable.symmetries import exact_symmetries, moved

__all__ = ('check_turns', 'filters', 'fourier_basis', 'mask')


def check_turns(group):
    """Raise a ValueError unless a group has finitely many turns.

    Raises
    ------
    ValueError
        If it is SO2 or O2.
    """
    if group in INFINITE:
        raise ValueError(
            "basis='fourier' has one turned filter for each element of a "
            f'finite group, and {group} is infinite: take C<N> or D<N>, such '
            f"as 'C8', or basis='escnn' for {group}"
        )


def mask(radii, kernel_size):
    r"""Return the radial mask of the filters.

    Parameters
    ----------
    radii : torch.Tensor
        Distances from the centre, in cells.
    kernel_size : int
        Side p of the kernel in cells.

    Returns
    -------
    mask : torch.Tensor
        Values of the same shape.

    Notes
    -----
    With the radius :math:`\rho = (p + 1) / 2`, from which on it vanishes,

    .. math::
        \Omega(r) = 1 \text{ for } r \le \rho / 2, \quad
        \cos^2\Big(\pi \Big(\frac{r}{\rho} - \frac12\Big)\Big)
        \text{ for } \rho / 2 \le r \le \rho .

    It has a continuous derivative. All cells of the kernels with p <= 5 are
    within the radius, those at the corners of larger ones are not.

    Examples
    --------
    >>> mask(torch.arange(4), 5)
    tensor([1.0000, 1.0000, 0.7500, 0.0000], dtype=torch.float64)
    """
    shares = 2 * radii.double() / (kernel_size + 1)
    falling = torch.cos(math.pi * (shares.clamp(0.5, 1) - 0.5)).square()
    # a quarter of a period is not to the last bit
    return torch.where(shares < 1, falling, torch.zeros_like(falling))


def filters(points, kernel_size):
    r"""Return the functions of which all filters are sums, at some points.

    Parameters
    ----------
    points : torch.Tensor
        Float64 tensor of shape ``(..., 2)``, from the centre, in cells.
    kernel_size : int
        Odd side p of the kernel in cells.

    Returns
    -------
    values : torch.Tensor
        Float64 tensor of shape ``(p ** 2, ...)``: the mask times 1 and, for
        half of the other frequencies :math:`\kappa` with
        :math:`|\kappa_i| < p / 2`, from low to high, times
        :math:`\sqrt{2} \cos` and :math:`\sqrt{2} \sin`. The other half has
        the same functions, up to signs.

    Notes
    -----
    On the p x p cells these functions without the mask are orthogonal, and
    of equal norms. So where the mask is not zero they interpolate all
    values.
    """
    along = range(-(kernel_size // 2), kernel_size // 2 + 1)
    half = [(k, m) for k in along for m in along if (k, m) > (0, 0)]
    half.sort(key=lambda frequency: (math.hypot(*frequency), frequency))
    frequencies = points.new_tensor(half).reshape(-1, 2)
    phases = torch.einsum('fa,...a->f...', frequencies, points)
    phases = 2 * math.pi / kernel_size * phases
    waves = torch.stack([phases.cos(), phases.sin()], 1).flatten(0, 1)
    values = [torch.ones_like(points[None, ..., 0]), math.sqrt(2) * waves]
    return torch.cat(values) * mask(points.norm(dim=-1), kernel_size)


@functools.cache
def fourier_basis(group, source, target, kernel_size):
    r"""Return kernels of turned Fourier series between two fields.

    Parameters
    ----------
    group : str
        Name of a finite group.
    source, target : str
        Representations of the input and of the output field, of which one is
        ``'regular'``, and the other one this too or one of `irreps_of`.
    kernel_size : int
        Odd side p of the kernel in cells.

    Returns
    -------
    basis : torch.Tensor
        Float64 tensor of shape ``(n, size(target), size(source),
        kernel_size, kernel_size)``, with p^2 kernels for each channel of the
        field that is not regular, or of the source.

    Raises
    ------
    ValueError
        If the group is infinite, or none of the fields is regular.

    Notes
    -----
    With a free filter :math:`\varphi_c` for each channel of the source, the
    kernel at the channel g of a regular field is

    .. math::
        k_g(x) = \varphi(R_g^{-1} x)\, \rho_\text{in}(g)^{-1},

    which are the solutions of :math:`k(R x) = \rho_\text{out}(R)\, k(x)\,
    \rho_\text{in}(R)^{-1}` for all elements R of the group. From a regular
    field it is the transpose of these, as all matrices are orthogonal.
    Between regular fields, :math:`k_{gh}(x) = \varphi_{g^{-1} h}(R_g^{-1}
    x)`. The filters are those of [XZXM2023]_, with which [FXMX2024]_ made
    proximals. They may be linearly dependent on the grid, where the mask
    vanishes at some cells.

    Under elements that map cells to cells, kernels are equivariant to the
    last bit, or, of irreducible representations at other angles, to rounding.
    At other angles, filters of a fixed shape err by :math:`O(h^2)` where the
    size h of the cells is small, compared to their support. Filters of few
    cells whose frequencies are high err by a part of their values that does
    not depend on h.

    References
    ----------
    .. [XZXM2023] Xie Q, Zhao Q, Xu Z and Meng D. *Fourier series expansion
       based filter parametrization for equivariant convolutions*. IEEE
       Transactions on Pattern Analysis and Machine Intelligence 45 (2023)
       4537-4551.
    .. [FXMX2024] Fu J, Xie Q, Meng D and Xu Z. *Rotation equivariant proximal
       operator for deep unfolding methods in image restoration*. IEEE
       Transactions on Pattern Analysis and Machine Intelligence 46 (2024)
       6577-6593.

    Examples
    --------
    >>> fourier_basis('C8', 'trivial', 'regular', 3).shape
    torch.Size([9, 8, 1, 3, 3])
    """
    check_turns(group)
    if target != 'regular':
        if source != 'regular':
            raise ValueError(
                "basis='fourier' has kernels to and from regular fields, with "
                'a channel for each turn of a filter, and none from '
                f"{source} to {target} fields: take basis='escnn', or regular "
                'fields'
            )
        basis = fourier_basis(group, target, source, kernel_size)
        return basis.transpose(1, 2).contiguous()
    symmetries = exact_symmetries(group)
    with torch.device('cpu'), torch.no_grad():
        # one element of each coset of those that map cells to cells
        first = [
            g
            for g in range(group_order(group))
            if all(permutation[g] >= g for _, permutation in symmetries)
        ]
        elements = [group_elements(group)[g] for g in first]
        turns = torch.stack([_turn('standard', *e) for e in elements])
        fibres = torch.stack([_fibre(group, source, *e) for e in elements])
        along = torch.arange(kernel_size).double() - kernel_size // 2
        cells = torch.cartesian_prod(along, along)
        # the rows of cells times a matrix are its transpose times the cells
        values = filters(cells @ turns, kernel_size)
        kernels = torch.einsum('fgx,gcv->fvgcx', values, fibres)
        kernels = kernels.flatten(0, 1).unflatten(-1, 2 * (kernel_size,))
        size = group_order(group), field_size(group, source)
        basis = torch.zeros(
            len(kernels), *size, *kernels.shape[-2:], dtype=torch.float64
        )
        basis[:, first] = kernels
        images = [moved(basis, s, source, target) for s in symmetries]
        # each row is in one of them, and files take what lies in one piece
        return torch.stack(images).sum(0)


def _turn(representation, turn, flipped):
    return fibre_matrix(representation, 2 * math.pi * float(turn), flipped)


def _fibre(group, representation, turn, flipped):
    """Return the matrix of an element, also in the regular representation."""
    if representation != 'regular':
        return _turn(representation, turn, flipped)
    elements = group_elements(group)
    sign = -1 if flipped else 1
    products = [
        elements.index(((turn + sign * other) % 1, flipped != other_flipped))
        for other, other_flipped in elements
    ]
    return torch.eye(len(elements), dtype=torch.float64)[:, products]
