# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks derivatives against finite differences at the first use."""

import weakref

import torch

from odl_equivariant._warnings import warn_user

__all__ = ('DerivativeCheck',)

# a relative error that is said, as of derivatives that are discretised, and
# one that is refused; projectors on a GPU miss by less
_TOLERANCE, _WRONG = 2e-2, 1e-1
# how far differences over a step are from those over half of it, for which
# part of the numbers
_RESOLVED, _MOST = 1e-1, 0.8
# what is below this part of a bound of a product is taken for rounding
_CANCELLED = 1e-3
# how often it is looked at points at which nothing can be told
_TRIES = 3

# operators may be equal without having the same derivative, and need no hash
_TRIED = {}


def _tries(operator):
    """Return the record of an operator, for as long as there is one."""
    key = id(operator)
    if key not in _TRIED:
        _TRIED[key] = [_TRIES]
        weakref.finalize(operator, _TRIED.pop, key, None)
    return _TRIED[key]


def _flat(x):
    """Return a sample as one vector of real numbers in double precision."""
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return x.detach().resolve_neg().flatten().double()


def _size(x):
    return float(torch.linalg.vector_norm(x))


def _precision(x):
    return torch.finfo(x.dtype).eps


class _Noise:
    """Numbers that are the same each time, on each device."""

    def __init__(self):
        self._generator = torch.Generator().manual_seed(0)

    def uniform(self, low, high, shape, like):
        """Return independent real numbers of the precision of a tensor."""
        numbers = torch.rand(shape, generator=self._generator).double()
        numbers = low + (high - low) * numbers
        return numbers.to(like.device, like.real.dtype)

    def centred(self, shape, like):
        """Return independent numbers of the dtype of a tensor."""
        parts = [self.uniform(-1, 1, shape, like) for _ in range(2)]
        return torch.complex(*parts) if like.is_complex() else parts[0]


def _away_from_zero(x, noise):
    """Return a nearby point without zeros and ties, and its scale.

    Norms have kinks at zeros and ties. Signs stay unchanged, since logarithms
    and square roots need positive values.
    """
    scale = float(x.abs().square().mean().sqrt()) or 1.0
    phases = torch.sgn(x)
    if x.is_complex():
        others = torch.sgn(noise.centred(x.shape, x))
    elif (x < 0).any():
        others = torch.sgn(noise.centred(x.shape, x))
    else:
        others = torch.ones_like(x)
    phases = torch.where(x == 0, others, phases)
    x = x + 0.1 * scale * noise.uniform(0.5, 1.5, x.shape, x) * phases
    return x, scale


def _directions(x, noise):
    """Yield directions relative to each number, so that no sign changes.

    Along the first direction all numbers change independently. Along the
    second one whole parts of an element do, so that the changes of a sum do
    not cancel.
    """
    yield x.abs() * noise.centred(x.shape, x)
    parts = (len(x), x.shape[1], *(1 for _ in x.shape[2:]))
    yield x * (0.5 * noise.centred(parts, x) + 0.5)


class DerivativeCheck:
    """The derivative of an operator, compared once with its values.

    Parameters
    ----------
    operator : `odl.Operator`
        Operator. The result of the check is remembered while it lives.
    call, derivative, transpose : callable
        Its maps of batches, see `NonlinearMap`.

    Notes
    -----
    One-sided differences to both sides enclose the derivative of a kink, and
    what lies outside of them by more than their distance is wrong. They are
    taken where the gradient is asked for, and near by where nothing is zero.
    The transpose is compared with the derivative, which is exact.
    """

    def __init__(self, operator, call, derivative, transpose):
        self._name = type(operator).__name__
        self._tries = _tries(operator)
        self._call = call
        self._derivative, self._transpose = derivative, transpose

    def __call__(self, points):
        """Raise an error if the derivative at the first point is wrong.

        Parameters
        ----------
        points : torch.Tensor
            Batch of points in the complex layout.

        Raises
        ------
        ValueError
            If the values and the derivative, or the derivative and its
            adjoint, do not belong together.

        Warns
        -----
        RuntimeWarning
            If they do so roughly only.
        """
        if self._tries[0] == 0 or not len(points):
            return
        noise, errors = _Noise(), []
        x = points[:1].detach()
        told = self._is_told(x, noise, errors)
        if not told or (x == 0).any():
            x, scale = _away_from_zero(x, noise)
            told = self._is_told(x, noise, errors) or told
            # values such as log(1 + x) of small numbers are all rounding
            told = told or self._is_told(x / scale, noise, errors)
        self._tries[0] = 0 if told else self._tries[0] - 1
        if errors:
            warn_user(max(errors)[1], RuntimeWarning)
            self._tries[0] = 0

    def _is_told(self, x, noise, errors):
        """Return whether the derivative is known, and not all zero."""
        value, again = self._call(x), self._call(x)
        if not torch.isfinite(value).all():
            return False
        value, again = _flat(value), _flat(again)
        # of sums with numbers near 1, too; and an operator may be random
        rounding = _size(value) + len(value) ** 0.5
        rounding = 10 * _precision(x) * rounding + _size(again - value)
        told = [
            self._follows_values(x, value, rounding, direction, noise, errors)
            for direction in _directions(x, noise)
        ]
        return all(told)

    def _secants(self, x, value, rounding, direction):
        """Yield slopes to both sides, rounding, and where they are resolved.

        Steps are smaller where a larger one meets waves, kinks or jumps.
        """
        for smaller in (1, 32, 1024):
            step = _precision(x) ** 0.2 / smaller
            secants = torch.stack(
                [
                    (_flat(self._call(x + h * direction)) - value) / h
                    for h in (step, -step, step / 2, -step / 2)
                ]
            )
            noise = rounding / step
            coarse, fine = secants[:2].mean(0), secants[2:].mean(0)
            size = torch.maximum(coarse.abs(), fine.abs())
            floor = noise / len(value)
            known = (coarse - fine).abs() <= _RESOLVED * size + floor
            moved = size > floor
            if (known & moved).sum() >= _MOST * moved.sum():
                yield secants[:, known], noise, known

    def _follows_values(self, x, value, rounding, direction, noise, errors):
        image = self._derivative(x, direction)
        if not torch.isfinite(image).all():
            return False
        misses = []
        for secants, floor, known in self._secants(
            x, value, rounding, direction
        ):
            slope, secant = _flat(image)[known], secants.mean(0)
            lowest, highest = secants.amin(0), secants.amax(0)
            outside = torch.maximum(lowest - slope, slope - highest)
            miss = _size((outside - (highest - lowest)).clamp_min(0))
            apart = _size(secant - slope)
            scale = max(_size(secant), _size(slope))
            if scale <= floor:
                continue
            if miss <= _TOLERANCE * scale + floor:
                self._compare_transpose(x, direction, image, noise, errors)
                return scale > 10 * floor and apart < 5 * _TOLERANCE * scale
            # a smaller step may tell waves from a derivative that is wrong
            misses.append((miss / scale, _size(slope), _size(secant), apart))
        if misses:
            error, slope, secant, apart = min(misses)
            self._say(
                error,
                f'it has the norm {slope:.3g} in a direction in which '
                f'differences of the values have the norm {secant:.3g}, and '
                f'misses them by {apart:.3g}',
                errors,
            )
        return False

    def _compare_transpose(self, x, direction, image, noise, errors):
        for weights in (image, noise.centred(image.shape, image)):
            back = self._transpose(x, weights)
            if not torch.isfinite(back).all():
                continue
            product = float(_flat(image) @ _flat(weights))
            other = float(_flat(direction) @ _flat(back))
            scale = max(abs(product), abs(other))
            bound = _size(_flat(image)) * _size(_flat(weights))
            gap = abs(product - other) - _CANCELLED * bound
            if gap > _TOLERANCE * scale:
                self._say(
                    gap / scale,
                    'its adjoint is not that of the weighted inner products: '
                    f'<D h, k> is {product:.6g}, <h, D^* k> {other:.6g}',
                    errors,
                )

    def _say(self, error, reason, errors):
        message = (
            f'the derivative of `{self._name}` is wrong by {error:.2g} of its '
            f'size, and so are gradients through it: {reason}'
        )
        if error <= _WRONG:
            errors.append((error, message))
            return
        raise ValueError(
            f'{message}. Correct its `derivative` (for a functional, its '
            '`gradient`), register a map that torch can differentiate by '
            '`register_batched`, or apply it under `torch.no_grad()`'
        )
