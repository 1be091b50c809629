# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Splitting of measurements, also where the network is equivariant."""

from __future__ import annotations

import math
from typing import Any, Literal

import odl
import torch

from odl_equivariant._checks import one_of
from odl_equivariant._warnings import warn_user
from odl_equivariant.actions import Rotation
from odl_equivariant.elements import grid_shape, n_channels, tensor_dtype
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.training.losses.base import Loss
from odl_equivariant.training.losses.divergence import derivative
from odl_equivariant.training.losses.groups import (
    Actions,
    induced,
    made_actions,
    symmetries_of,
    unseen_share,
)
from odl_equivariant.training.losses.noise import Noise
from odl_equivariant.training.losses.parts import (
    Parts,
    Units,
    check_unrolled,
)
from odl_equivariant.training.losses.problem import (
    Problem,
    applied,
    mean_square,
)
from odl_equivariant.training.losses.weighting import (
    WEIGHTINGS,
    check_weighting,
    density_weights,
    weighted_residual,
)

__all__ = ('EquivariantSplitting', 'MeasurementSplitting')

_TARGETS = ('auto', 'others', 'all')
_LARGEST_ERROR = 0.02
_LARGEST_UNSEEN = 0.05
_MANY_STEPS = 100
# Elements of a group that is hardly made finer.
_FINE = 15


class MeasurementSplitting(Loss):
    r"""Prediction of measurements from a random part of them.

    Parameters
    ----------
    fraction : float, optional
        Fraction of the measurements that the network is given.
    over : {'auto', 'views', 'lines', 'samples'}, optional
        What is split: views of tomography, lines of k-space, or samples.
    target : {'auto', 'others', 'all'}, optional
        Which measurements are predicted: those that the network was not
        given, or all. Default: all if ``noise`` is given or the acquisition
        simulates data without noise, and else the others.
    density : {'uniform', 'centre'}, optional
        Whether the network is given measurements near the zero frequency
        more often.
    keep : float or None, optional
        Part of k-space around the zero frequency that the network is always
        given. ``None`` is all that each mask measures, for acquisitions that
        draw masks.
    noise : Noise, optional
        For ``target: all`` and noisy data: the noise, which is corrected
        for, see `SURE`.
    weighting : {'none', 'ramp', 'density'}, optional
        How errors in data count, so that they do about as in images. With
        ``'ramp'``, those in views of tomography are filtered. With
        ``'density'``, those in k-space are divided by the probability with
        which masks of lines, drawn for each scan, measure it. See Notes.

    Raises
    ------
    ValueError
        If there are fewer measurements than the split needs, or the network
        is not told its operator.

    Notes
    -----
    With a random part :math:`M` of the measurements,

    .. math::
        \ell(y) = \|N (A\, \Phi(M y; M A) - y)\|_Y^2,

    with :math:`N = 1 - M`, or :math:`N = 1`. The noise of the others is
    independent of the input. So for each :math:`M` its expectation is that of
    :math:`\|N A (\Phi - x)\|^2`, and a constant: the minimiser is the
    conditional mean of the held-out exact measurements. With all as
    target, data with noise would reward copying it: ``noise`` subtracts that
    reward by the divergence over :math:`M`.

    Of a fixed operator, the others say nothing about the measurements that
    the network was given, for no :math:`M`: it need not even be consistent
    with them. So data without noise are all a target.

    With ``weighting: ramp``, the residual of each view is filtered by the
    root of a ramp, :math:`\|N R^{1/2} (A\, \Phi - y)\|^2`. Any such filter has
    the same minimiser over all estimators. This one makes :math:`A^* R A`
    nearly a multiple of the identity: errors of fine details, of which a
    projection has little, count as they do in images. It also lifts the
    noise of the target.

    With ``weighting: density``, the error at a frequency that the network was
    not given counts :math:`1 / P(k \text{ is measured} \mid k \text{ is not
    given})` times, about 12 for a mask of a quarter of the lines and a
    fraction of 0.6. Of masks that are drawn for each scan, with all as target,
    the expectation given :math:`M` is then the error in the image itself,

    .. math::
        E[\ell(y) \mid M] = \|F (\Phi(M y; M A) - x)\|^2 = \|\Phi - x\|^2,

    that of supervised training from the same part, for lines that are chosen
    uniformly, and about that for others; without it, what is not
    measured counts little. It is exact for each part with ``keep=None``: else
    the more of the lines a part lacks that every mask measures, the fewer
    others are held out. Source: Millard and Chiew, *A theoretical
    framework for self-supervised MR image reconstruction using sub-sampling
    via variable density Noisier2Noise*, IEEE Transactions on Computational
    Imaging 9 (2023).

    The filtered back-projection at which a network starts is that of the
    given views: each of them stands for half of the gaps beside it.

    The minimiser is the conditional mean :math:`E[x \mid M y, M A]` of the
    image if :math:`E[A^* N A \mid M A]` is invertible: operators that
    vary between samples, such as random masks, may together see all of the
    image. One operator with a null space does not, for which
    `EquivariantSplitting` is. Sources: Yaman et al., *Self-supervised
    learning of physics-guided reconstruction neural networks without fully
    sampled reference data* (SSDU), Magnetic Resonance in Medicine 84
    (2020); Daras et al., *Ambient diffusion*, NeurIPS 2023.
    """

    def __init__(
        self,
        fraction: float = 0.6,
        over: Units = 'auto',
        target: Literal['auto', 'others', 'all'] = 'auto',
        density: Literal['uniform', 'centre'] = 'uniform',
        keep: float | None = 0.04,
        noise: Noise | None = None,
        weighting: Literal['none', 'ramp', 'density'] = 'none',
    ) -> None:
        self.target = one_of('target', target, _TARGETS)
        self.weighting = one_of('weighting', weighting, WEIGHTINGS)
        if noise is not None and weighting == 'ramp':
            raise ValueError(
                '`noise` corrects for readings that are not filtered: take '
                '`weighting: none`, or no `noise`'
            )
        if noise is not None and target == 'others':
            raise ValueError(
                '`noise` is for `target: all`: the noise of the others is '
                'independent of the input, and needs no correction'
            )
        self.noise = noise
        self.parts = Parts(fraction, over, density, keep)
        self.fraction, self.over = self.parts.fraction, self.parts.over
        self.density, self.keep = self.parts.density, self.parts.keep

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check that there is enough to split, see `Loss.check`."""
        check_weighting(self.weighting, acquisition)
        self.parts.check(acquisition)
        check_unrolled(network)
        if self.noise is not None:
            self.noise.check(acquisition)
        elif self.target == 'all' and _is_noisy(acquisition):
            warn_user(
                '`target: all` with noisy data rewards a network that copies '
                'the noise: give `noise`, or take `target: others`',
                UserWarning,
            )

    def _target(self, problem):
        """Return which measurements are predicted."""
        if self.target != 'auto':
            return self.target
        # nobody knows that measured data have no noise
        exact = problem.scale is None and not _is_noisy(problem.acquisition)
        return 'all' if exact else 'others'

    def _move(self, problem):
        """Return data, and an action on images, of a random element."""
        return problem.data, None

    def __call__(self, problem: Problem) -> torch.Tensor:
        """Return the losses of the samples, see `Loss`."""
        part = self.parts.draw(problem)
        y, action = self._move(problem)

        def predicted(data):
            images = self.parts.reconstruct(problem, part, data, action)
            if action is not None:
                images = applied(action, images)
            return problem.project(images)

        if self.noise is None:
            where = problem.measured
            if self._target(problem) == 'others':
                where = where & ~part.chosen
            gap = predicted(y) - y
            if self.weighting == 'ramp':
                gap = weighted_residual(gap)
            return self._mean(problem, part, gap.square(), where)
        variance = self.noise.variance(problem)
        signs = part.chosen * problem.signs()
        value, along = derivative(predicted, y, signs)
        errors = (value - y).square() - variance + 2 * variance * signs * along
        return self._mean(problem, part, errors, problem.measured)

    def _mean(self, problem, part, values, where):
        """Return the mean of values where they are a target."""
        if self.weighting != 'density':
            return problem.mean_data(values, where)
        others = density_weights(problem.acquisition, self.parts).to(values)
        weights = torch.where(part.chosen, torch.ones_like(others), others)
        # over all of k-space, measured or not
        everywhere = torch.ones_like(where)
        return problem.mean_data(where * weights * values, everywhere)


class EquivariantSplitting(MeasurementSplitting):
    r"""Splitting that sees null spaces, by the symmetry of images.

    Parameters
    ----------
    fraction, over, target, density, keep, noise : optional
        See `MeasurementSplitting`.
    actions : str or list, optional
        Group of an ordinary network: its name, such as ``'C8'``, or a list of
        `odl_equivariant.actions`. In a configuration each is a class with
        the arguments after the space. Default: none, for networks that are
        equivariant by design.
    weighting : optional
        See `MeasurementSplitting`.

    Raises
    ------
    ValueError
        Also if there are no ``actions``, and the network is measured not to
        be equivariant.

    Warns
    -----
    UserWarning
        If the operator is equivariant under all of the group, or one mask of
        k-space, in all poses of the group, leaves more than 5 % unseen, see
        `unseen_share`.

    Notes
    -----
    If the images :math:`x` and :math:`T x` are equally likely, the data
    :math:`y = A x = (A T) (T^{-1} x)` are data of the operator :math:`A T`,
    too. Splitting these for a random :math:`T`,

    .. math::
        \ell(y) = E_T \|N (A\, T\, \Phi(M y; M A T) - y)\|^2,

    has the minimiser :math:`E[x \mid M y, M A]` if :math:`E_T[T^* A^* N A T
    \mid M A]` is invertible, even if each :math:`A` has the same null space
    (Sechaud, Scanvic, Barthélemy, Abry and Tachella, *Equivariant splitting:
    self-supervised learning from incomplete data*, 2025). For a network with

    .. math::
        \Phi(y; A T) = T^{-1} \Phi(y; A),

    as of this package with equivariant blocks and each isometric
    :math:`T` of their group, :math:`T \Phi(M y; M A T) = \Phi(M y; M A)`:
    the expectation over the group is what it is without :math:`T`, and
    costs one evaluation. For an ordinary network a random element of
    ``actions`` is drawn in each step; where it induces an action :math:`S`
    on the data, :math:`A T = S A`, the data :math:`S^{-1} y` are taken
    instead. All networks of convolutions are equivariant under shifts by
    design, up to the boundary.

    The condition is on :math:`A T` *given* :math:`M A T`. A part that shows
    its pose, such as views at angles that only one :math:`A T` has, or the
    lines of one mask, leaves one term of the expectation, and its null
    space: what a network makes of it is learned from other poses, by its own
    symmetry and locality, and no theorem. So a gap to supervised training
    stays. It does not for operators that vary between samples and together
    see all of the image, such as masks of k-space that are drawn for each.

    Losses without ground truth trust :math:`A`. Where the data come from
    another operator, such as one on a finer grid, supervised training learns
    to correct the difference, and no other loss does.

    If :math:`A` is equivariant under the whole group, its null space stays
    where it is, and nothing is learned about it: parallel beams with an even
    number of views and quarter turns, for example.
    """

    def __init__(
        self,
        fraction: float = 0.6,
        over: Units = 'auto',
        target: Literal['auto', 'others', 'all'] = 'auto',
        density: Literal['uniform', 'centre'] = 'uniform',
        keep: float | None = 0.04,
        noise: Noise | None = None,
        actions: Actions | None = None,
        weighting: Literal['none', 'ramp', 'density'] = 'none',
    ) -> None:
        super().__init__(
            fraction, over, target, density, keep, noise, weighting
        )
        self.actions = actions
        self._made = []

    def check(self, acquisition: Any, network: torch.nn.Module) -> None:
        """Check network and group, see `Loss.check`."""
        super().check(acquisition, network)
        space, operator = acquisition.space, acquisition.operator
        if self.actions is None:
            group = [_element_by_design(acquisition, network)]
            self._made = []
        else:
            group = made_actions(self.actions, space)
            self._made = [(T, _moving(operator, T)) for T in group]
        symmetries = symmetries_of(acquisition)
        if all(T in symmetries for T in group):
            works = symmetries.missing()
            warn_user(
                f'the operator of {type(acquisition).__name__} is '
                'equivariant under the group of the loss, so that splitting '
                'learns nothing about its null space. '
                + (
                    f'These groups would show it: {"; ".join(works)}; or '
                    'take another number of views'
                    if works
                    else 'No rotation or shift would: it has none, or it '
                    'looks at each direction alike'
                ),
                UserWarning,
            )
        elif _has_one_mask(acquisition):
            if self.actions is None:
                group = _group_by_design(network, space)
            _warn_of_unseen(acquisition, group)

    def _move(self, problem):
        if not self._made:
            return problem.data, None
        action, moving = self._made[problem.integer(len(self._made))]
        if moving is None:
            return problem.data, action
        return applied(moving, problem.data), None


def _moving(operator, action):
    """Return what moves data to another pose, made once for all steps."""
    moved = induced(operator, action)
    return None if moved is None else OperatorLayer(moved.inverse)


def _is_noisy(acquisition):
    if hasattr(acquisition, 'n_photons'):
        return acquisition.n_photons is not None
    return bool(getattr(acquisition, 'sigma', 0))


def _has_one_mask(acquisition):
    """Return whether each scan has the same samples, and no maps of its own.

    What the coils of a patient add to a mask, the acquisition cannot know.
    Volumes are not asked: all of their poses would take too long.
    """
    return (
        getattr(acquisition, 'random_masks', None) is False
        and not getattr(acquisition, 'own_coil_maps', False)
        and acquisition.space.ndim == 2
    )


def _warn_of_unseen(acquisition, group):
    """Warn of frequencies that a mask measures in no pose of a group."""
    share = unseen_share(acquisition.operator, group)
    if share > _LARGEST_UNSEEN:
        # turns that interpolate take more steps
        share = unseen_share(acquisition.operator, group, _MANY_STEPS)
    if share <= _LARGEST_UNSEEN:
        return
    finer = ''
    if len(group) < _FINE:
        finer = ', and finer turns as `actions`, such as `C16`, leave less'
    warn_user(
        f'if all scans have the mask of {type(acquisition).__name__}, it '
        'leaves, in all poses of the group of the loss, '
        f'{100 * share:.0f} % of k-space unseen, and splitting learns '
        'nothing of it. Masks that differ between scans (`random_masks: '
        f'true`) leave nothing{finer}: see '
        '`odl_equivariant.training.losses.unseen_share`',
        UserWarning,
    )


def _group_by_design(network, space):
    """Return the actions of the group of the blocks of a network.

    All rotations are as many as the grid tells apart.
    """
    group = network.blocks[0].group
    finite = {'SO2': 'C16', 'O2': 'D16'}
    return made_actions(finite.get(group, group), space)


def _element_by_design(acquisition, network):
    """Return an element of the group of a network, which is measured."""
    space = acquisition.space
    advice = (
        'give `actions`, such as `C8`, from which one is drawn in each step; '
        'take blocks such as `EquivariantProximal`; or, to split without a '
        'group, `MeasurementSplitting`'
    )
    groups = {getattr(block, 'group', None) for block in network.blocks}
    if None in groups or groups == {'C1'}:
        raise ValueError(
            'without `actions` the network must be equivariant by design, '
            f'and {type(network.blocks[0]).__name__} has no group: {advice}'
        )
    angle = math.pi / 2
    try:
        action = Rotation(space, angle)
    except ValueError:
        action = Rotation(space, math.pi)
    error = _equivariance_error(acquisition.operator, network, action)
    if error > _LARGEST_ERROR:
        raise ValueError(
            'without `actions` the network must be equivariant by design: '
            f'for the {action}, its outputs at A T and at A differ by '
            f'{error:.2g} of their size: {advice}'
        )
    return action


def _equivariance_error(operator, network, action):
    """Return how far a network is from equivariance with the operator."""
    weight = next(network.parameters())
    space = operator.range
    y = torch.randn(
        (1, n_channels(space), *grid_shape(space)),
        generator=torch.Generator().manual_seed(0),
        dtype=tensor_dtype(space),
    ).to(weight.device)
    with torch.no_grad():
        # data of an image, not noise alone
        x = applied(operator.adjoint, y)
        y = applied(operator, x / x.abs().max())
        plain = network(y)
        moved = network.with_operator(odl.OperatorComp(operator, action))(y)
        gap = applied(action, moved) - plain
    size = float(mean_square(plain, operator.domain).sum())
    if not size:
        return 0.0
    return math.sqrt(float(mean_square(gap, operator.domain).sum()) / size)
