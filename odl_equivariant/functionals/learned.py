# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Functionals that are known by a learned proximal alone."""

import inspect

import odl
from torch import nn

from odl_equivariant.functionals._parameters import positive_number
from odl_equivariant.operators.network import NetworkOperator

__all__ = ('LearnedProximal',)


class _AtSigma(nn.Module):
    """A module of ``(x, sigma)`` at a fixed sigma."""

    def __init__(self, module, sigma):
        super().__init__()
        self.module = module
        self.sigma = sigma

    def forward(self, x):
        return self.module(x, sigma=self.sigma)


def _takes_sigma(module):
    return 'sigma' in inspect.signature(module.forward).parameters


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
        it is given the parameter of the proximal.

    Raises
    ------
    TypeError
        If ``module`` is not a module of the space's precision, or the space
        cannot be laid out as a tensor.
    ValueError
        If the module has the wrong number of channels, or needs more than an
        image (a gradient or a memory).

    Notes
    -----
    The functional :math:`f` is a regulariser that is not known itself, as in
    plug-and-play methods, but

    .. math::
        \mathrm{prox}_{\sigma f}(x) = \Phi_\theta(x; \sigma)

    is. It takes the place of :math:`f` in any solver of `odl.solvers` that
    uses a proximal only, and of :math:`g` through ``convex_conj``, the
    proximal of which follows by Moreau's identity. Asking for the value
    raises. ``c * f`` has the proximal :math:`\Phi_\theta(x; c \sigma)`. If
    the module is equivariant, so is the proximal.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='float32')
    >>> f = LearnedProximal(space, nn.Threshold(0.5, 0.0))
    >>> f.proximal(1.0)(0.25 * space.one()).norm()
    0.0
    """

    has_value = False
    has_proximal = True

    def __init__(self, space, module):
        memory = getattr(module, 'memory', 0)
        if getattr(module, 'gradient', None) is True or (
            isinstance(memory, int) and memory > 0
        ):
            raise ValueError(
                'the module of a `LearnedProximal` maps an image to an image: '
                'make it with gradient=False and memory=0 (a proximal with '
                'gradient and memory goes into `LearnedProximalGradient`)'
            )
        # knows whether module and space fit, before any work
        NetworkOperator(module, space)
        super().__init__(space, linear=False)
        self.module = module

    def _call(self, x):
        raise NotImplementedError(
            'a `LearnedProximal` has a proximal and no value; leave it out '
            'when you evaluate the objective'
        )

    @property
    def proximal(self):
        """Factory of the proximal operators.

        Returns
        -------
        factory : callable
            Maps ``sigma``, a positive number, to an `odl.Operator` on the
            domain. Raises ValueError for any other ``sigma``.
        """
        return self._proximal

    def _proximal(self, sigma):
        sigma = positive_number(
            sigma, 'the parameter of a learned proximal'
        )
        module = self.module
        if _takes_sigma(module):
            module = _AtSigma(module, sigma)
        return NetworkOperator(module, self.domain)

    @property
    def gradient(self):
        """Not known for a learned proximal."""
        raise NotImplementedError(
            'a `LearnedProximal` has no gradient; use a solver that takes its '
            'proximal'
        )

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}({self.domain!r}, '
            f'{type(self.module).__name__}(...))'
        )
