# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Learned energies of images as functionals of ODL."""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable
from typing import Any, Literal

import odl
import torch
from odl.functionals import FunctionalRightScalarMult

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import one_of, positive_number, whole_number
from odl_equivariant._types import Element, ElementLike, Operator, Space
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    describe_space,
    tensor_dtype,
)
from odl_equivariant.functionals._accelerated import minimise
from odl_equivariant.functionals._energy import (
    COMPLEX_VALUES,
    ImageLayout,
    ScaledEnergy,
    check_energy,
)
from odl_equivariant.functionals._energy_operators import (
    Derivative,
    Gradient,
    GradientModule,
)
from odl_equivariant.functionals._inner_proximal import Inner, InnerProximal
from odl_equivariant.functionals._values import ValueCheck
from odl_equivariant.inner_products import inner_product_weights

__all__ = ('LearnedRegularizer',)

# Bounds of energies are known to the rounding of their weights: what differs
# from the largest proximal parameter by so little is the largest.
_ROUNDING = 1e-6
# Curvatures that gradients show are uncertain by less.
_UNCERTAINTY = 1e-2


class LearnedRegularizer(CheckedOperator, odl.functionals.Functional):
    r"""A learned energy with value, gradient and proximal.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Domain of the functional, of any dimension, real or complex, backed
        by numpy or pytorch, with a constant weight.
    energy : odl_equivariant.nn.Energy
        Energy of images in the layout of `odl_equivariant.elements`. Images
        of a product space have one channel (two if complex) for each part;
        an energy of a single channel (two if complex) takes the parts one by
        one, and is the sum over them.
    sigma : float, optional
        Noise level of the energy, in the unit of the images of ``space``.
        Needed by energies with ``noise_level``, and by no others.
    scale : float, optional
        Value in the images of ``space`` that corresponds to the value 1 in
        the images of the training.
    weight : float, optional
        Positive factor. ``weight * f`` is the same.
    complex_values : {'magnitude', 'parts'}, optional
        How an energy of real images takes complex ones: their absolute
        values, or real and imaginary part, as two images. Default: an energy
        of complex images takes both as two channels.
    tol : float, optional
        Largest relative error of a proximal, :math:`\|u - u^*\| /
        \max(\|x\|, \|u\|)`, see Notes.
    maxiter : int, optional
        Largest number of gradients for a proximal. Where they do not reach
        the tolerance, a `ConvergenceWarning` says how far they came. Another
        one is given where the gradients refute the modulus of weak convexity
        that the energy states.
    warm_start : bool, optional
        Whether a proximal starts from the result of the one before, if that
        is better than its argument. It is faster inside of a solver. Its
        values then depend on what came before, within the tolerance.

    Raises
    ------
    TypeError
        If ``energy`` is no energy, or has another precision than the space,
        or the space cannot be laid out as a tensor, or an argument is no
        number.
    ValueError
        If the energy has channels that do not fit the space or fails on its
        images, or is not one number for each image, or the weights of the
        space differ from cell to cell, or ``sigma`` is missing or not
        wanted, or an argument is not positive. When the functional, its
        gradient or its proximal is applied: if values are not finite.
    NotImplementedError
        If the inner product of the space is not a weighted sum.

    Warns
    -----
    UserWarning
        Once, when it is applied to an image whose values do not fit the
        attribute ``value_range`` of the energy, as for `LearnedProximal`.

    Notes
    -----
    With the constant weight :math:`w` of the space, which is the volume of a
    cell, and :math:`\lambda` for ``weight``, :math:`c` for ``scale``,

    .. math::
        f(u) = \lambda\, w\, J_c(u; \sigma), \qquad
        J_c(u; \sigma) = c^2 J(u / c; \sigma / c),

    for an energy :math:`J`, a sum over cells. So the value is an integral,
    and does not depend on the grid. In the inner product of the space, the
    gradient is :math:`\lambda \nabla J_c` and the proximal is

    .. math::
        \mathrm{prox}_{\tau f}(x) = \mathrm{arg\,min}_u\,
        \tau \lambda J_c(u; \sigma) + \tfrac12 \|u - x\|^2,

    with derivatives and the norm of tensors. At :math:`\tau \lambda = 1` it
    is the denoiser of the energy. A positive multiple of a functional, its
    translations and ``f * s``, with the argument times :math:`s > 0`, are
    again learned regularisers that know their bounds.

    *The proximal.* If :math:`J` is :math:`\rho`-weakly convex, the objective
    is strongly convex with the modulus :math:`\mu = 1 - \tau \lambda \rho`
    for :math:`\tau` below `largest_parameter`, :math:`1 / (\lambda \rho)`.
    Any larger one is an error. Accelerated gradients with restarts stop
    where :math:`\|\nabla\| / \mu`, which bounds the distance to the
    minimiser, reaches the tolerance. At the largest parameter itself,
    :math:`\mu = 0` and there may be several minimisers. There, the tolerance
    bounds the *residual* :math:`\|\nabla\| / \max(\|x\|, \|u\|)`: the result
    is an exact proximal of an argument that differs from :math:`x` by no
    more than that. The operators have the attributes ``error_bound``,
    ``residual`` and ``n_iter`` of their last call. Both hold up to the
    rounding of the gradients.

    *Magnitudes.* With ``complex_values='magnitude'``, :math:`J` is applied to
    :math:`|u|`. Since :math:`|u - x| \geq \bigl| |u| - |x| \bigr|`, with
    equality for equal phases,

    .. math::
        \mathrm{prox}_{\tau f}(x) = \frac{x}{|x|}\, \mathrm{arg\,min}_{r \geq
        0}\, \tau \lambda J_c(r; \sigma) + \tfrac12 \left\| r - |x| \right\|^2,

    which the inner solver solves with the constraint. It needs
    :math:`\tau \lambda \rho \leq 1` as above, but :math:`J(|\cdot|)` need not
    be convex if :math:`J` is, and has no modulus in general:
    :math:`\tfrac12 (|u_1| - |u_2|)^2` is 0 at :math:`(1, 1)` and
    :math:`(1, -1)`, and :math:`\tfrac12` between them. So ``weak_convexity``
    and ``grad_lipschitz`` are infinite, and there is no ``convex_conj``.
    :math:`f` is differentiable where no value of :math:`u` is 0, and where
    :math:`\partial J / \partial r` is 0 at all that are, as for even
    energies. Elsewhere the gradient at a zero is taken as 0, which lies in
    Clarke's subdifferential, and the Hessian ignores zeros. Where
    :math:`x = 0` and :math:`r > 0`, all phases are minimisers, and the
    proximal takes 1.

    *Complex spaces.* Derivatives are those with respect to real and imaginary
    part: they are linear over the real numbers, and their adjoints satisfy
    :math:`\mathrm{Re} \langle H h, k \rangle = \mathrm{Re} \langle h, H k
    \rangle`. The solvers of ODL that take inner products of gradients
    (``conjugate_gradient_nonlinear``, ``newtons_method``, ``bfgs_method``)
    are for real spaces.

    Examples
    --------
    >>> from odl_equivariant.nn import Energy
    >>> class Tikhonov(Energy):
    ...     def forward(self, x, sigma=None):
    ...         return 0.5 * x.square().flatten(1).sum(1)
    ...     def gradient_lipschitz(self, sigma=None):
    ...         return 1.0
    ...     def weak_convexity(self, sigma=None):
    ...         return 0.0

    The value is an integral, the same on all grids:

    >>> space = odl.uniform_discr([0, 0], [1, 1], (8, 8), dtype='float32')
    >>> f = LearnedRegularizer(space, Tikhonov())
    >>> f(space.one())
    0.5
    >>> x = 3 * space.one()
    >>> bool((f.gradient(x) - x).norm() == 0)
    True
    >>> g = 2 * f
    >>> g.grad_lipschitz, g.weak_convexity
    (2.0, 0.0)
    >>> float((g.proximal(0.5)(x) - 1.5 * space.one()).norm()) < 3e-4
    True
    """

    has_value = True
    has_proximal = True

    def __init__(
        self,
        space: Space,
        energy: torch.nn.Module,
        sigma: float | None = None,
        scale: float = 1.0,
        weight: float = 1.0,
        complex_values: Literal['magnitude', 'parts'] | None = None,
        tol: float = 1e-4,
        maxiter: int = 1000,
        warm_start: bool = False,
    ) -> None:
        check_energy(energy)
        self.complex_values = one_of(
            'complex_values', complex_values, COMPLEX_VALUES, optional=True
        )
        self.scale = positive_number('scale', scale)
        self.weight = positive_number('weight', weight)
        self.tol = positive_number('tol', tol)
        self.maxiter = whole_number('maxiter', maxiter, 1)
        self.warm_start = bool(warm_start)
        self.energy = energy
        #: Element by which the functional is translated, or None.
        self.translation: Element | None = None
        self._state: torch.Tensor | None = None
        in_channels = getattr(energy, 'in_channels', 1)
        self._layout = ImageLayout(space, in_channels, complex_values)
        self._cell = _constant_weight(space)
        check_space = getattr(energy, 'check_space', None)
        if callable(check_space):
            check_space(self._layout.image_space(space))
        odl.functionals.Functional.__init__(self, space, linear=False)
        self._set_energy(sigma)
        zero = self._point(space.zero(), 'zero')
        self._scaled.check(self._layout.images(zero))

    def _set_energy(self, sigma):
        self.sigma = sigma
        self._scaled = ScaledEnergy(self.energy, sigma, self.scale)
        self._check_values = ValueCheck(
            self.energy, self.scale, 'LearnedRegularizer'
        )

    def _changed(self, sigma=None, **attributes):
        """Return a functional that differs in some attributes."""
        other = copy.copy(self)
        other._state = None
        for name, value in attributes.items():
            setattr(other, name, value)
        other._set_energy(self.sigma if sigma is None else sigma)
        return other

    def _point(self, x, what):
        """Return a translated element as a tensor."""
        return self.gradient.point(x, what)

    def _images(self, x, what):
        """Return a translated element and its images, as tensors."""
        tensor = self._point(x, what)
        images = self._layout.images(tensor)
        self._check_values(images)
        return tensor, images

    def _call(self, x):
        _, images = self._images(x, 'the image')
        with torch.no_grad():
            total = float(self._scaled(images).sum(dtype=torch.double))
        if math.isnan(total):
            raise ValueError(
                f'the energy {type(self.energy).__name__} is NaN for finite '
                'images'
            )
        return self.weight * self._cell * total

    @property
    def gradient(self) -> Operator:
        """Gradient, an operator whose derivative is the Hessian.

        Returns
        -------
        gradient : `odl.Operator`
            Operator on the domain. ``gradient.derivative(x)`` is linear and
            its own adjoint.
        """
        module = GradientModule(
            self._scaled, self._layout, self.weight, self.translation
        )
        return Gradient(self, module)

    def derivative(self, point: ElementLike) -> Operator:
        """Return the derivative at a point.

        Parameters
        ----------
        point : element of the domain
            Point of linearisation.

        Returns
        -------
        derivative : `odl.Operator`
            Linear functional: the real part of the inner product with the
            gradient.
        """
        return Derivative(self.gradient(point))

    @property
    def grad_lipschitz(self) -> float:
        """Lipschitz constant of the gradient, infinite if none is known."""
        if self.complex_values == 'magnitude':
            return math.inf
        return self.weight * self._scaled.gradient_lipschitz()

    @property
    def weak_convexity(self) -> float:
        r"""Modulus :math:`\rho` with which the functional is weakly convex.

        :math:`f + \tfrac{\rho}{2} \|\cdot\|^2`, in the norm of the space, is
        convex. 0 if :math:`f` is convex, infinite if no modulus is known.
        """
        if self.complex_values == 'magnitude':
            return math.inf
        return self.weight * self._scaled.weak_convexity()

    @property
    def largest_parameter(self) -> float:
        r"""Largest parameter of a proximal, infinite if there is none."""
        modulus = self.weight * self._scaled.weak_convexity()
        return 1 / modulus if modulus > 0 else math.inf

    @property
    def proximal(self) -> Callable[[float], Operator]:
        """Factory of the proximal operators.

        Returns
        -------
        factory : callable
            Maps ``sigma``, a positive number up to `largest_parameter`, to
            an `odl.Operator` on the domain. Raises ValueError for any other
            ``sigma``, or TypeError for what is no number.
        """
        return self._proximal

    def _proximal(self, sigma=1.0):
        sigma = positive_number('sigma', sigma)
        largest = self.largest_parameter
        if largest == 0:
            raise ValueError(
                f'the energy {type(self.energy).__name__} knows no modulus of '
                'weak convexity, so that no proximal is known to exist; use '
                'the gradient, or define its method `weak_convexity`'
            )
        if sigma > largest * (1 + _ROUNDING):
            raise ValueError(
                f'the parameter {sigma:.6g} of the proximal is beyond '
                f'1 / weak_convexity: the largest is {largest:.6g}; choose a '
                'smaller step, or a smaller multiple of the functional'
            )
        return InnerProximal(self, sigma)

    def _solve(self, x, sigma):
        tensor, noisy = self._images(x, 'the argument of the proximal')
        energy, parameter = self._scaled, sigma * self.weight
        modulus = 1 - parameter * energy.weak_convexity()
        modulus = modulus if modulus > _ROUNDING else 0.0
        start = self._state if self.warm_start else None
        if start is not None and start.device != noisy.device:
            start = None
        with torch.no_grad():
            least = minimise(
                lambda u: parameter * energy.gradient(u),
                noisy,
                (modulus, 1 + parameter * energy.gradient_lipschitz()),
                self.tol * (modulus or 1.0),
                self.maxiter,
                start,
                nonnegative=self.complex_values == 'magnitude',
            )
        if not math.isfinite(least.residual):
            raise ValueError(
                f'the gradient of the energy {type(self.energy).__name__} is '
                'not finite'
            )
        if self.warm_start:
            self._state = least.u
        u = self._layout.elements(least.u, tensor, unit=1.0)
        if self.translation is not None:
            u = u + self.gradient.module.shift_like(u)
        bound = least.residual / modulus if modulus > 0 else math.inf
        return Inner(
            as_element(u, self.domain, copy=True),
            bound,
            least.n_iter,
            least.residual,
            self._shortfall(least, bound, parameter),
        )

    def _shortfall(self, least, bound, parameter):
        modulus = self._scaled.weak_convexity()
        if least.curvature < 1 - parameter * modulus - _UNCERTAINTY:
            shown = (1 - least.curvature) / parameter
            return (
                f'no guaranteed error: {type(self.energy).__name__} says that '
                f'its weak_convexity is {modulus:.4g}, and its gradients show '
                f'at least {shown:.4g}'
            )
        reached = least.residual if math.isinf(bound) else bound
        if reached <= self.tol:
            return None
        what = 'a residual of' if math.isinf(bound) else 'an error of up to'
        remedy = (
            f'less is not possible in {tensor_dtype(self.domain)}, '
            'raise `tol`, or choose a smaller parameter'
            if least.is_stalled
            else 'raise `maxiter` or `tol`'
        )
        return (
            f'{what} {reached:.2g} (residual {least.residual:.2g}) after '
            f'{least.n_iter} iterations, above the tolerance {self.tol:.2g}; '
            f'{remedy}'
        )

    @property
    def convex_conj(self) -> odl.functionals.Functional:
        """Convex conjugate, with a proximal by Moreau's identity.

        Raises NotImplementedError if the functional is not known to be
        convex, for which the identity does not hold.
        """
        if self.weak_convexity > 0:
            raise NotImplementedError(
                "Moreau's identity, for the proximal of the convex "
                'conjugate, needs a convex functional; this one has '
                f'weak_convexity={self.weak_convexity:.4g}: take it as the '
                'functional whose own proximal the solver applies'
            )
        return super().convex_conj

    def with_sigma(self, sigma: float) -> LearnedRegularizer:
        """Return the functional at another noise level.

        Parameters
        ----------
        sigma : float
            Noise level in the unit of the images of the space.

        Returns
        -------
        functional : LearnedRegularizer
            Functional of the same energy, with the bounds at that level.
        """
        return self._changed(sigma=positive_number('sigma', sigma))

    def translated(self, shift: ElementLike) -> LearnedRegularizer:
        r"""Return the functional with its argument shifted.

        Parameters
        ----------
        shift : element of the domain
            Shift :math:`b` in :math:`f(\cdot - b)`.

        Returns
        -------
        translated : LearnedRegularizer
            Translated functional, with the same bounds.
        """
        shift = self._element(shift)
        if not torch.isfinite(as_tensor(shift)).all():
            raise ValueError('the values of `shift` must be finite')
        if self.translation is not None:
            shift = self.translation + shift
        return self._changed(translation=shift.copy())

    def __rmul__(self, other: Any) -> Any:
        """Return ``other * self``, with all bounds if it is positive."""
        if not _is_positive(other):
            return super().__rmul__(other)
        return self._changed(weight=self.weight * float(other))

    def __mul__(self, other: Any) -> Any:
        """Return ``self * other``, with all bounds if it is positive."""
        if _is_positive(other):
            factor = float(other)
            shift = self.translation
            return self._changed(
                sigma=None if self.sigma is None else self.sigma / factor,
                scale=self.scale / factor,
                weight=self.weight * factor**2,
                translation=None if shift is None else (1 / factor) * shift,
            )
        product = super().__mul__(other)
        if isinstance(product, FunctionalRightScalarMult):
            # ODL multiplies by the factor itself
            product.grad_lipschitz = abs(other) ** 2 * self.grad_lipschitz
        return product

    def __repr__(self):
        """Return ``repr(self)``."""
        more = ''.join(
            f', {name}={value!r}'
            for name, value, default in (
                ('sigma', self.sigma, None),
                ('scale', self.scale, 1.0),
                ('weight', self.weight, 1.0),
                ('complex_values', self.complex_values, None),
                ('tol', self.tol, None),
            )
            if value != default
        )
        text = (
            f'{type(self).__name__}({describe_space(self.domain)}, '
            f'{type(self.energy).__name__}(...){more})'
        )
        return text if self.translation is None else f'{text}.translated(...)'


def _is_positive(value):
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and 0 < value < math.inf
    )


def _constant_weight(space):
    """Return the weight of a space that has only one."""
    weights = inner_product_weights(space)
    least, most = (float(end) for end in weights.aminmax())
    if not math.isclose(least, most, rel_tol=1e-6):
        raise ValueError(
            'the value of a learned regulariser per cell needs a space with '
            f'one weight, got weights from {least:.4g} to {most:.4g} in '
            f'{describe_space(space)}; make it with `nodes_on_bdry=False` '
            'and without an array of weights'
        )
    return float(weights.flatten()[0])
