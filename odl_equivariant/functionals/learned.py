# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Functionals that are given by a learned proximal alone."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Literal, NoReturn

import odl
import torch
from torch import nn

from odl_equivariant._checks import one_of, positive_number
from odl_equivariant._types import Operator, Space
from odl_equivariant.elements import describe_space
from odl_equivariant.functionals._values import ValueCheck
from odl_equivariant.operators.network import NetworkOperator

__all__ = ('LearnedProximal',)

_PARAMETERS = ('deviation', 'variance')


class _AtLevel(nn.Module):
    """A module of ``(x, sigma)`` at a fixed sigma, in another unit of x."""

    def __init__(self, module, level, scale):
        super().__init__()
        self.module = module
        self.level = level
        self.scale = scale

    def forward(self, x):
        x = x if self.scale == 1 else x / self.scale
        y = (
            self.module(x)
            if self.level is None
            else self.module(x, sigma=self.level)
        )
        if self.scale == 1 or not isinstance(y, torch.Tensor):
            return y
        return self.scale * y


class _ProximalOperator(NetworkOperator):
    """A proximal that knows which values of images it expects."""

    def __init__(self, functional, module, sigma):
        self._functional = functional
        self._sigma = sigma
        super().__init__(module, functional.domain)

    def at(self, module, sigma):
        """Return the proximal at another sigma, of a module just as this."""
        other = copy.copy(self)
        other.module, other._sigma = module, sigma
        return other

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'{self._functional!r}.proximal({self._sigma:g})'

    __str__ = __repr__

    def _call(self, x):
        self._functional._check_values(x)
        return super()._call(x)


def _takes_sigma(module):
    # a module made without a noise level may refuse one
    return getattr(module, 'noise_level', None) is not False and (
        'sigma' in inspect.signature(module.forward).parameters
    )


class LearnedProximal(odl.functionals.Functional):
    r"""A functional with a learned proximal and without a value.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Domain of the functional, real or complex, backed by numpy or
        pytorch.
    module : torch.nn.Module
        Module that maps ``(1, C, *shape)`` to the same shape, in the layout
        of `odl_equivariant.elements`. Where its ``forward`` takes ``sigma``,
        and it has no ``noise_level=False``, it is given a noise level: see
        ``parameter``.
    scale : float, optional
        Value in the images of ``space`` that corresponds to the value 1 in
        the images of the training. With ``scale=255``, a denoiser for images
        in [0, 1] denoises images in [0, 255].
    parameter : {'deviation', 'variance'}, optional
        Meaning of :math:`\sigma` in :math:`\mathrm{prox}_{\sigma f}`: the
        standard deviation or the variance of the noise that the module
        removes, in the unit of the images of ``space``.

    Raises
    ------
    TypeError
        If ``module`` is not a module of the space's precision, or the space
        cannot be laid out as a tensor, or ``scale`` is no number.
    ValueError
        If the module has the wrong number of channels, or needs more than an
        image (a gradient or a memory), or ``scale`` is not positive, or
        ``parameter`` none of these.

    Warns
    -----
    UserWarning
        Once, when a proximal is applied to an image whose values do not fit
        the attribute ``value_range`` of the module, the range of the training
        images, which `odl_equivariant.models.load` sets. Values do not fit if
        one leaves the range by more than its width, the mean leaves it by
        more than a quarter of the width, or all values together fill less
        than 5 % of it. The random elements of `odl_equivariant.diagnostics`
        are not images, and are not checked. A module with the attribute
        ``homogeneous`` may have any unit, but not any zero: its images do
        not fit if the mean has a sign that no image of the training has. One
        with the attribute ``shift_equivariant`` may have any zero. One with
        both, such as `odl_equivariant.nn.Normalised`, takes all images.

    Notes
    -----
    The functional :math:`f` is a regulariser of which only the proximal is
    known, as in plug-and-play methods. With :math:`c` for ``scale`` and a
    module :math:`\Phi_\theta(x; s)` for noise of standard deviation :math:`s`,
    its proximal is

    .. math::
        \mathrm{prox}_{\sigma f}(x) = c\, \Phi_\theta(x / c; s / c), \quad
        s = \sigma \text{ (deviation)}, \quad
        s = \sqrt{\sigma} \text{ (variance)}.

    It can replace :math:`f` in any solver of `odl.solvers` that uses only a
    proximal, and :math:`g` through ``convex_conj``, whose proximal follows
    by Moreau's identity. Asking for the value raises an error. If the module
    is equivariant, so is the proximal.

    *Which parameter?* In both cases, ``a * f`` has the proximal of :math:`f`
    at :math:`a \sigma`. Only with the variance does this agree with the rule
    for ordinary functionals. The most probable image, given an image with
    Gaussian noise of variance :math:`s^2` and the prior :math:`e^{-R}`, is

    .. math::
        \Phi(x; s) = \mathrm{arg\,min}_u \; \frac{\|u - x\|^2}{2 s^2} + R(u)
        = \mathrm{prox}_{s^2 R}(x),

    So with ``parameter='variance'`` the functional is :math:`R` itself
    (times the constant weight of the space, as for the norms of ODL), and a
    solver may change its step without changing the weight of :math:`f`. With
    the deviation, the default, a solver with the step :math:`\tau` removes
    noise of level :math:`\tau` times the weight of :math:`f`. For the level
    :math:`s`, pass ``s / tau * f``; with the variance, pass
    ``s**2 / tau * f``.

    *Why the scale?* In general a network is not homogeneous: a denoiser for
    images in [0, 1] does not work on images in Hounsfield units. One that is,
    such as `odl_equivariant.nn.EquivariantProximal` with
    ``homogeneous=True`` or `odl_equivariant.nn.Normalised`, needs no scale,
    which then cancels. For a module
    that is a proximal, :math:`\Phi(\cdot; s) = \mathrm{prox}_{s^2 R}`,
    substituting :math:`u = c w` gives

    .. math::
        c\, \mathrm{prox}_{(s / c)^2 R}(x / c)
        = \mathrm{arg\,min}_u \; \tfrac12 \|u - x\|^2 + s^2 R(u / c)
        = \mathrm{prox}_{s^2 R(\cdot / c)}(x):

    the regulariser of the same image in the other unit. With :math:`f_c` for
    the functional with the scale :math:`c`, and :math:`k > 0`,

    .. math::
        \mathrm{prox}_{k \sigma f_{k c}}(k x)
        = k\, \mathrm{prox}_{\sigma f_c}(x) \text{ (deviation)}, \quad
        \mathrm{prox}_{k^2 \sigma f_{k c}}(k x)
        = k\, \mathrm{prox}_{\sigma f_c}(x) \text{ (variance)}.

    If the zero differs too, translate the functional by :math:`b`; its
    proximal is then :math:`b + \mathrm{prox}_{\sigma f}(x - b)`. For example,
    images with 0 for air and 1 for 81.36 per metre have the scale 4072 and
    the zero -1001 in Hounsfield units, see
    `odl_equivariant.data.sample_ct_slice`::

        f = LearnedProximal(space, module, scale=4072)
        f = f.translated(-1001 * space.one())

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='float32')
    >>> f = LearnedProximal(space, nn.Threshold(0.5, 0.0))
    >>> f.proximal(1.0)(0.25 * space.one()).norm()
    0.0

    In a unit in which 255 stands for 1:

    >>> f = LearnedProximal(space, nn.Threshold(0.5, 0.0), scale=255)
    >>> float(f.proximal(1.0)(130 * space.one())[0, 0])
    130.0
    >>> float(f.proximal(1.0)(120 * space.one())[0, 0])
    0.0
    """

    has_value = False
    has_proximal = True

    def __init__(
        self,
        space: Space,
        module: torch.nn.Module,
        scale: float = 1.0,
        parameter: Literal['deviation', 'variance'] = 'deviation',
    ) -> None:
        memory = getattr(module, 'memory', 0)
        if getattr(module, 'gradient', None) is True or (
            isinstance(memory, int) and memory > 0
        ):
            raise ValueError(
                'the module of a `LearnedProximal` maps an image to an image: '
                'make it with gradient=False and memory=0 (a proximal with '
                'gradient and memory goes into `LearnedProximalGradient`)'
            )
        one_of('parameter', parameter, _PARAMETERS)
        self.scale = positive_number('scale', scale)
        self.parameter = parameter
        # knows whether module and space fit, before any work
        NetworkOperator(module, space)
        super().__init__(space, linear=False)
        self.module = module
        self._last_proximal = None, None
        self._check_values = ValueCheck(module, self.scale, 'LearnedProximal')

    def _call(self, x):
        raise NotImplementedError(
            'a `LearnedProximal` has a proximal and no value; leave it out '
            'when you evaluate the objective'
        )

    @property
    def proximal(self) -> Callable[[float], Operator]:
        """Factory of the proximal operators.

        Returns
        -------
        factory : callable
            Maps ``sigma``, a positive number, to an `odl.Operator` on the
            domain. It is a standard deviation or a variance, in the unit of
            the images, see ``parameter``. Raises ValueError for any other
            ``sigma``.
        """
        return self._proximal

    def _proximal(self, sigma):
        sigma = positive_number('the parameter of a learned proximal', sigma)
        # Solvers ask for the same one in each iteration. The operator checks
        # at each call what may have changed in the module.
        key = sigma, self.module, self.scale, self.parameter
        known, operator = self._last_proximal
        if known != key:
            operator = self._new_proximal(sigma)
            self._last_proximal = key, operator
        return operator

    def _new_proximal(self, sigma):
        module, level = self.module, None
        if _takes_sigma(module):
            is_variance = self.parameter == 'variance'
            level = positive_number(
                'the noise level that the module is given, in its unit,',
                (math.sqrt(sigma) if is_variance else sigma) / self.scale,
            )
        if level is not None or self.scale != 1:
            module = _AtLevel(module, level, self.scale)
        known, last = self._last_proximal
        if known is not None and known[1] is self.module:
            # the module fits the space, as it did before
            return last.at(module, sigma)
        return _ProximalOperator(self, module, sigma)

    @property
    def gradient(self) -> NoReturn:
        """Not known for a learned proximal."""
        raise NotImplementedError(
            'a `LearnedProximal` has no gradient; use a solver that takes its '
            'proximal'
        )

    def __repr__(self):
        """Return ``repr(self)``."""
        more = '' if self.scale == 1 else f', scale={self.scale:g}'
        if self.parameter != _PARAMETERS[0]:
            more += f', parameter={self.parameter!r}'
        return (
            f'{type(self).__name__}({describe_space(self.domain)}, '
            f'{type(self.module).__name__}(...){more})'
        )
