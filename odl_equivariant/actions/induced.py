# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Actions on tomographic data that follow from actions on images."""

from __future__ import annotations

import numpy as np

from odl_equivariant._types import Operator, RayTransform
from odl_equivariant.actions._rays import (
    Rays,
    explain_mismatch,
    match_rays,
    misses_domain,
)
from odl_equivariant.actions.action import Action, AdjointAction
from odl_equivariant.actions.geometric import GeometricAction
from odl_equivariant.elements import describe_space

__all__ = ('InducedAction', 'induced_action')


class InducedAction(Action):
    r"""The permutation of the rays that a moved image asks for.

    Made by `induced_action`.

    Notes
    -----
    For each ray :math:`\ell` it takes the value at :math:`g^{-1} \ell`, and
    0 where that is not measured because :math:`\ell` misses the domain.
    """

    def __init__(
        self,
        ray_transform: RayTransform,
        action: GeometricAction,
        source: np.ndarray,
        is_measured: np.ndarray,
    ) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        ray_transform : `odl.applications.tomo.RayTransform`
            Operator from images to data.
        action : `GeometricAction`
            Action on the images.
        source : numpy.ndarray of int, shape (n_rays,)
            Where the values come from, in the order of the flat data.
        is_measured : numpy.ndarray of bool, shape (n_rays,)
            ``False`` for rays with the value 0.
        """
        super().__init__(ray_transform.range)
        self.__ray_transform = ray_transform
        self.__action = action
        self.__source = source
        self.__is_measured = is_measured

    @property
    def action(self) -> GeometricAction:
        """The action on the images."""
        return self.__action

    @property
    def source(self) -> np.ndarray:
        """Where the values come from, an int array of the data's shape.

        It is -1 for rays with the value 0.
        """
        source = np.where(self.__is_measured, self.__source, -1)
        return source.reshape(self.domain.shape)

    @property
    def is_isometry(self) -> bool:
        """``True`` if all rays only change their places, and weights fit."""
        if len(np.unique(self.source)) < self.domain.size or not (
            self.__is_measured.all()
        ):
            return False
        weights = self._weights
        return weights is None or np.allclose(
            weights[self.__source], weights, rtol=1e-5, atol=0
        )

    @property
    def is_exact(self) -> bool:
        """``True`` if the action on the images is exact on their grid."""
        return self.__action.is_exact

    @property
    def inverse(self) -> InducedAction:
        """The induced action of the inverse element."""
        return induced_action(self.__ray_transform, self.__action.inverse)

    @property
    def adjoint(self) -> Operator:
        """Adjoint in the inner product of the data: the inverse mostly."""
        if self.is_isometry:
            return self.inverse
        return AdjointAction(self)

    @property
    def _weights(self):
        """Sizes of the cells of the data, `None` if they are all equal."""
        if self.domain.is_uniformly_weighted:
            return None
        sizes = self.domain.partition.cell_sizes_vecs
        weights = np.ones(())
        for vector in sizes:
            weights = np.multiply.outer(weights, np.asarray(vector))
        return weights.ravel()

    def _call(self, x):
        data = x.data.reshape(-1)[self._indices(x.data, self.__source)]
        if not self.__is_measured.all():
            data[self._indices(x.data, ~self.__is_measured)] = 0
        return self.domain.element(data.reshape(x.data.shape))

    def _call_adjoint(self, y):
        namespace = self.domain.array_namespace
        data = y.data.reshape(-1)
        weights = self._weights
        if weights is not None:
            weights = namespace.asarray(
                weights, dtype=data.real.dtype, device=data.device
            )
            data = data * weights
        result = namespace.zeros_like(data)
        places = self._indices(data, self.__source[self.__is_measured])
        values = data[self._indices(data, self.__is_measured)]
        # a view that is measured twice may be the source of both
        if isinstance(data, np.ndarray):
            np.add.at(result, places, values)
        else:
            result.index_add_(0, places, values)
        if weights is not None:
            result = result / weights
        return self.domain.element(result.reshape(y.data.shape))

    def _indices(self, data, indices):
        namespace = self.domain.array_namespace
        return namespace.asarray(indices, device=data.device)

    def _compose(self, other):
        if (
            not isinstance(other, InducedAction)
            or other.__ray_transform is not self.__ray_transform
        ):
            return NotImplemented
        product = self.__action @ other.action
        if not isinstance(product, GeometricAction):
            return NotImplemented
        return induced_action(self.__ray_transform, product)

    def __eq__(self, other):
        """Return whether both permute the same data in the same way."""
        if not isinstance(other, InducedAction):
            return NotImplemented
        return (
            self.domain == other.domain
            and self.__action == other.action
            and np.array_equal(self.source, other.source)
        )

    def __hash__(self):
        """Return ``hash(self)``."""
        return hash(self.__action)

    def __str__(self):
        """Return what the action does, in words."""
        return f'induced by: {self.__action}'

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'<{self} on {describe_space(self.domain)}>'


def induced_action(
    ray_transform: RayTransform, action: GeometricAction
) -> InducedAction:
    r"""Return the action on data that an action on images induces.

    Parameters
    ----------
    ray_transform : `odl.applications.tomo.RayTransform`
        Operator from images to data, of parallel or fan beams in the
        plane.
    action : `GeometricAction`
        Rotation or reflection about the centre of the domain, on the space
        of the images.

    Returns
    -------
    induced : `InducedAction`
        Action S_g on ``ray_transform.range``.

    Raises
    ------
    TypeError
        If the operator has no geometry of the plane, or ``action`` is not
        a `GeometricAction`.
    ValueError
        If the action does not act on the images, shifts them, or maps rays
        that meet the domain to rays that are not measured: the error says
        which views or detectors are missing, and which rotations fit.

    Notes
    -----
    Moving the image by :math:`g` moves all lines, so that

    .. math::
        A\, T_g = S_g\, A, \qquad (S_g y)(\ell) = y(g^{-1} \ell).

    A rotation by :math:`\alpha` shifts the views of parallel beams,
    :math:`(S_g y)(\varphi, s) = y(\varphi - \alpha, s)`, with
    :math:`y(\varphi - \pi, s) = y(\varphi, -s)`; a reflection reverses them.
    Where :math:`T_g` is exact on the grid of the image, it holds to rounding
    with the back-end ``'astra_matrix'`` if no line is measured twice, and to
    the precision of the projector otherwise. For other rotations :math:`S_g`
    is still a permutation of the data, and the identity holds up to the
    discretization for images that stay inside of the domain.

    Examples
    --------
    >>> import odl
    >>> from odl_equivariant.actions import Rotation
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype='float32')
    >>> geometry = odl.applications.tomo.parallel_beam_geometry(
    ...     space, num_angles=4, det_shape=6
    ... )
    >>> A = odl.applications.tomo.RayTransform(
    ...     space, geometry, impl='astra_cpu'
    ... )
    >>> turn = induced_action(A, Rotation(space, np.pi / 2))
    >>> turn.source[:, 0].tolist()
    [17, 23, 0, 6]
    >>> turn.is_isometry
    True
    """
    geometry = getattr(ray_transform, 'geometry', None)
    if geometry is None or getattr(geometry, 'ndim', None) != 2:
        raise TypeError(
            'expected a ray transform with a geometry of the plane, got '
            f'{type(ray_transform).__name__}'
        )
    if not isinstance(action, GeometricAction):
        raise TypeError(
            'expected a rotation or a reflection of the images, got '
            f'{type(action).__name__}'
        )
    if action.domain != ray_transform.domain:
        raise ValueError(
            'expected an action on the images, '
            f'{describe_space(ray_transform.domain)}, got {action!r}'
        )
    if action.representation is not None:
        raise ValueError(
            'rays see the sum of the values of a function, which do not '
            f'turn; got the representation {action.representation!r}, '
            'expected None'
        )
    mover = action.mover
    if not np.allclose(mover.matrix @ mover.matrix.T, np.eye(2)):
        raise ValueError(
            f'expected a rotation or a reflection, got {action}, which '
            'changes the lengths of the rays'
        )
    if np.abs(mover.shift / ray_transform.domain.cell_sides).max() > 1e-6:
        raise ValueError(
            f'no action on the data commutes with the {action}: a shifted '
            'image leaves the domain, or comes back on the other side, and '
            'rays do neither; expected one that keeps the centre of the '
            'domain'
        )
    rays = Rays.of(geometry)
    sources = rays.moved(mover.matrix.T, -mover.matrix.T @ mover.translation)
    source, is_measured = match_rays(sources, rays)
    is_lost = ~is_measured & ~misses_domain(rays, ray_transform.domain)
    if is_lost.any():
        raise ValueError(
            f'no permutation of the data commutes with the {action}: '
            + explain_mismatch(rays, sources, is_lost, geometry)
        )
    return InducedAction(ray_transform, action, source, is_measured)
