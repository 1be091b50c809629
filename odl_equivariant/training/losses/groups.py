# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Groups of a loss, and the symmetries of its forward operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import odl
import torch
from scipy.sparse.linalg import LinearOperator, cg

from odl_equivariant._checks import whole_number
from odl_equivariant.actions import Action, InducedAction, group_actions
from odl_equivariant.diagnostics.symmetries import (
    Symmetries,
    commutation_error,
    induced,
    smooth_images,
)
from odl_equivariant.elements import (
    as_tensor,
    describe_space,
    element_from_array,
    is_complex,
)
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.training.losses.problem import applied, mean_square

__all__ = (
    'Actions',
    'commutation_error',
    'induced',
    'made_actions',
    'symmetries_of',
    'unseen_share',
)

Actions = str | list[Callable[[odl.DiscretizedSpace], Action]]

_SAME = 1e-5
# relative residual of a system of equations in single precision
_SOLVED = 1e-4


def made_actions(actions: Any, space: odl.DiscretizedSpace) -> list[Action]:
    """Return the actions of a loss on a space, without the identity.

    Parameters
    ----------
    actions : str or list
        Name of a group, see `group_actions`; elements that are not exact on
        the grid interpolate by ``'fourier'``. Or a list of actions, or of
        callables that make one on a space.
    space : odl.DiscretizedSpace
        Space of the images.

    Returns
    -------
    actions : list of Action
        Linear actions on ``space``.

    Raises
    ------
    ValueError
        If there are none, or one acts on another space.
    TypeError
        If one is no action, or not linear.
    """
    if isinstance(actions, str):
        try:
            made = group_actions(space, actions)
        except ValueError:
            made = group_actions(space, actions, method='fourier')
    elif isinstance(actions, Sequence):
        made = [
            action if isinstance(action, odl.Operator) else action(space)
            for action in actions
        ]
    else:
        raise TypeError(
            '`actions` must be the name of a group, such as `C8`, or a list '
            f'of actions, got {actions!r:.80}'
        )
    for action in made:
        if not isinstance(action, Action) or not action.is_linear:
            raise TypeError(
                '`actions` must be linear actions of '
                f'`odl_equivariant.actions`, got {action!r:.200}'
            )
        if isinstance(action, InducedAction):
            raise ValueError(
                f'{action} acts on data. Give the action on the images that '
                'induces it: where it does, the loss moves the data instead'
            )
        if action.domain != space:
            raise ValueError(
                f'{action} acts on {describe_space(action.domain)}, and the '
                f'images are in {describe_space(space)}'
            )
    images = smooth_images(space)
    size = float(mean_square(images, space).sum())
    made = [
        action
        for action in made
        if float(mean_square(applied(action, images) - images, space).sum())
        > _SAME**2 * size
    ]
    if not made:
        raise ValueError(
            f'`actions` has no element but the identity, got {actions!r:.80}'
        )
    return made


def symmetries_of(acquisition: Any) -> Symmetries:
    """Return the symmetries of the operator of an acquisition.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition, or anything with an ``operator``.

    Returns
    -------
    symmetries : Symmetries
        Those that the acquisition knows, if it does.
    """
    known = getattr(acquisition, 'symmetries', None)
    return Symmetries(acquisition.operator) if known is None else known


def unseen_share(
    operator: odl.Operator,
    actions: Sequence[odl.Operator] = (),
    n_iterations: int = 12,
) -> float:
    r"""Return the share of an image that an operator sees in no pose.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator :math:`A` on functions of a grid.
    actions : sequence of odl.Operator, optional
        Linear actions :math:`T` on its domain, besides the identity. Default:
        none, for the null space of the operator alone.
    n_iterations : int, optional
        Steps of the conjugate gradient method. Each applies the operator and
        its adjoint once for each pose.

    Returns
    -------
    share : float
        :math:`\|x - P x\|^2 / \|x\|^2`, with the projection :math:`P` onto
        what the operators :math:`A` and :math:`A T` see together. All
        frequencies of :math:`x` have the same size, and random phases.

    Raises
    ------
    TypeError
        If the operator is not one on functions on a grid, or not linear, or
        the actions are no operators.
    ValueError
        If an action acts on other functions.

    Notes
    -----
    :math:`P x` is the limit of the conjugate gradient method for

    .. math::
        M z = M x, \qquad M = A^* A + \sum_T T^* A^* A\, T,

    from zero. It takes as many steps as :math:`M` has eigenvalues. So for
    masks of k-space and turns that are exact, the share is a count of
    frequencies. For turns that interpolate, and for tomography, what counts
    as unseen after so many steps is also what is hardly seen. A loss
    without ground truth that relies on the symmetry of images needs the share
    to be zero: necessary is that :math:`M` is invertible (Sechaud et al.,
    *Equivariant splitting*, 2025; Tachella, Chen and Davies, *Sensing
    theorems*, JMLR 24 (2023)).

    Examples
    --------
    >>> from odl_equivariant.actions import group_actions
    >>> from odl_equivariant.data import CartesianMRI
    >>> acquisition = CartesianMRI((15, 15), acceleration=3)
    >>> print(f'{unseen_share(acquisition.operator):.2f}')
    0.67
    >>> turns = group_actions(acquisition.space, 'C4')
    >>> print(f'{unseen_share(acquisition.operator, turns[1:]):.2f}')
    0.28
    """
    space = operator.domain
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            'expected an operator on functions on one grid, which have '
            f'frequencies, got the domain {describe_space(space)}'
        )
    whole_number('n_iterations', n_iterations, 1)
    for action in actions:
        if not isinstance(action, odl.Operator):
            raise TypeError(
                '`actions` must be operators, such as '
                "`odl_equivariant.actions.group_actions(space, 'C4')`, got "
                f'{actions!r}'
            )
        if action.domain != space:
            raise ValueError(
                f'{action} acts on {describe_space(action.domain)}, and the '
                f'operator on {describe_space(space)}'
            )
    layer = OperatorLayer(operator)
    moves = [OperatorLayer(action) for action in actions]

    def normal(x):
        once = layer.adjoint(layer(x))
        for move in moves:
            once = once + move.adjoint(layer.adjoint(layer(move(x))))
        return once

    image = as_tensor(_white(space))

    def product(values):
        x = torch.from_numpy(values.reshape(image.shape)).to(image)
        with torch.no_grad():
            return normal(x).double().flatten().numpy()

    wanted = image.double().flatten().numpy()
    n = len(wanted)
    matrix = LinearOperator((n, n), matvec=product, dtype=np.float64)
    seen, _ = cg(matrix, product(wanted), rtol=_SOLVED, maxiter=n_iterations)
    return float(np.sum((wanted - seen) ** 2) / np.sum(wanted**2))


def _white(space):
    """Return an image whose frequencies have one size, and random phases."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *space.shape))
    noise = noise[0] + 1j * noise[1] * is_complex(space)
    spectrum = np.fft.fftn(noise)
    flat = np.fft.ifftn(spectrum / np.abs(spectrum))
    return element_from_array(flat if is_complex(space) else flat.real, space)
