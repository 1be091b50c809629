# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which convolutions of tomographic data commute with moved images."""

import odl
import torch
from torch.nn import functional

from odl_equivariant.actions import group_actions, induced_action
from odl_equivariant.operators.factors import (
    factorised,
    is_isometric_action,
    split,
)

__all__ = (
    'GROUPS',
    'PADDING_MODES',
    'check_commutes',
    'kernel_flips',
    'pad_views',
    'symmetrised',
)

# Those whose elements map pixels to pixels.
GROUPS = ('C1', 'C2', 'C4', 'D1', 'D2', 'D4')
PADDING_MODES = ('twisted', 'circular', 'zeros')

_VIEWS, _DETECTORS = -2, -1


def kernel_flips(group: str, padding_mode: str) -> tuple[tuple[int, ...], ...]:
    """Return the flips that must leave a kernel as it is.

    Parameters
    ----------
    group : str
        Group of the images.
    padding_mode : {'twisted', 'circular', 'zeros'}
        How the views continue.

    Returns
    -------
    flips : tuple of tuple of int
        The axes of each flip, the identity first: a group.
    """
    if group == 'C1':
        return ((),)
    reflects = group.startswith('D')
    if padding_mode == 'twisted':
        if reflects:
            return (), (_DETECTORS,), (_VIEWS,), (_VIEWS, _DETECTORS)
        return (), (_DETECTORS,)
    return ((), (_VIEWS, _DETECTORS)) if reflects else ((),)


def symmetrised(
    kernel: torch.Tensor, flips: tuple[tuple[int, ...], ...]
) -> torch.Tensor:
    """Return the mean of a kernel over flips, which has their symmetry."""
    for axis in (_DETECTORS, _VIEWS):
        if (axis,) in flips:
            # pairs, so that the sum is the same bit by bit after a flip
            kernel = (kernel + kernel.flip(axis)) / 2
    both = (_VIEWS, _DETECTORS)
    if both in flips and len(flips) == 2:
        kernel = (kernel + kernel.flip(both)) / 2
    return kernel


def pad_views(
    x: torch.Tensor, margin: int, padding_mode: str, value: float = 0
) -> torch.Tensor:
    """Continue data past the first and the last view.

    Parameters
    ----------
    x : torch.Tensor
        Data of shape ``(N, C, n_views, n_detectors)``.
    margin : int
        Number of views to add on both sides, at most ``n_views / 2``.
    padding_mode : {'twisted', 'circular', 'zeros'}
        ``'twisted'``: half a turn later, the detector is reversed;
        ``'circular'``: a full turn later, the view is the same.
    value : float, optional
        Used with ``'zeros'``.

    Returns
    -------
    x : torch.Tensor
        Data with ``n_views + 2 margin`` views.
    """
    if margin == 0:
        return x
    if padding_mode == 'zeros':
        return functional.pad(x, (0, 0, margin, margin), value=value)
    # the gradient of a split is one array, that of a slice one for each
    sizes = [margin, x.shape[_VIEWS] - 2 * margin, margin]
    first, middle, last = x.split(sizes, _VIEWS)
    before, after = last, first
    if padding_mode == 'twisted':
        before, after = before.flip(_DETECTORS), after.flip(_DETECTORS)
    return torch.cat([before, first, middle, last, after], _VIEWS)


def check_commutes(
    operator: odl.Operator, group: str, kernel_size: int, padding_mode: str
) -> None:
    """Raise an error unless convolutions commute with the induced actions.

    Parameters
    ----------
    operator : `odl.Operator`
        A ray transform, possibly of images that an action moves, or times a
        number.
    group : str
        Group of the images, one of `GROUPS`.
    kernel_size : int
        Odd side of the kernels, which are symmetric as `kernel_flips` says.
    padding_mode : {'twisted', 'circular'}
        How the views continue.

    Raises
    ------
    ValueError
        If they do not commute. The error says why, and what to do.
    """
    if group == 'C1' or kernel_size == 1:
        return
    advice = (
        'take kernel_size=1, with which each ray is treated alike, or '
        "group='C1', which promises nothing of the data"
    )
    ray_transform = _ray_transform(operator)
    if ray_transform is None:
        raise ValueError(
            f'data-side convolutions with group={group!r} need the data of a '
            'ray transform of the plane, since only of these it is known how '
            f'they follow the images, got {operator!r}; {advice}'
        )
    for action in _generators(ray_transform, group, advice):
        try:
            source = induced_action(ray_transform, action).source
        except ValueError as error:
            raise ValueError(
                f'the data do not follow the group {group!r} of the images: '
                f'{error}; {advice}'
            ) from error
        if (source < 0).any():
            raise ValueError(
                f'the {action} takes {int((source < 0).sum())} rays from '
                'where none is measured: the detector must be symmetric about '
                f'the centre of the domain; {advice}'
            )
        source = torch.from_numpy(source)
        if _commutes(source, kernel_size, padding_mode, group):
            continue
        fitting = [
            mode
            for mode in ('twisted', 'circular')
            if _commutes(source, kernel_size, mode, group)
        ]
        if fitting:
            advice = f'take padding_mode={fitting[0]!r}'
        raise ValueError(
            f'views that continue as {padding_mode!r} do not follow the '
            f'{action} of the images; {advice}'
        )


def _ray_transform(operator):
    """Return the ray transform of the plane in an operator, or None."""
    _, factors = factorised(operator)
    _, middle, _ = split(factors, lambda _: False, is_isometric_action)
    if len(middle) != 1:
        return None
    geometry = getattr(middle[0], 'geometry', None)
    return middle[0] if getattr(geometry, 'ndim', None) == 2 else None


def _generators(ray_transform, group, advice):
    try:
        actions = group_actions(ray_transform.domain, group)
    except ValueError as error:
        raise ValueError(f'{error}; {advice}') from error
    order = int(group[1:])
    places = [1] if order > 1 else []
    places += [order] if group.startswith('D') else []
    return [actions[place] for place in places]


def _commutes(source, kernel_size, padding_mode, group):
    """Return whether a permutation maps what kernels see to what they see."""
    margin = kernel_size // 2
    if kernel_size > min(source.shape):
        return False
    rays = torch.arange(source.numel()).reshape(1, 1, *source.shape)
    rays = pad_views(rays, margin, padding_mode, -1)
    rays = functional.pad(rays, (margin, margin), value=-1)
    seen = rays[0, 0].unfold(0, kernel_size, 1).unfold(1, kernel_size, 1)
    moved_to = seen.flatten(0, 1)[source.flatten()]
    # the last entry is that of the index -1
    extended = torch.cat([source.flatten(), torch.tensor([-1])])
    moved = extended[seen.flatten(0, 1)]
    equal = [
        (moved.flip(axes) == moved_to).flatten(1).all(1)
        for axes in kernel_flips(group, padding_mode)
    ]
    return bool(torch.stack(equal).any(0).all())
