# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks that some actions form a finite group."""

from collections import Counter

import numpy as np
import torch

from odl_equivariant._warnings import warn_user
from odl_equivariant.actions.action import Action
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    grid_shape,
    n_channels,
    tensor_dtype,
)

__all__ = ('check_group',)

# Each factor outside of the largest group that keeps the set is found out,
# and that has at most half of its elements.
_FACTORS = 8
# Numbers of an image that are compared.
_NUMBERS = 1000
_TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-8}


class _Kind:
    """The actions on one space, and their results for white noise."""

    def __init__(self, actions):
        self.actions = actions
        self._places = self._images = None
        self.tolerance = _TOLERANCES[tensor_dtype(actions[0].domain)]

    def _look(self):
        if self._images is not None:
            return
        space = self.actions[0].domain
        shape = (1, n_channels(space), *grid_shape(space))
        rng = np.random.default_rng(0)
        noise = torch.from_numpy(rng.standard_normal(shape))
        noise = as_element(noise.to(tensor_dtype(space)), space)
        size = int(np.prod(shape))
        self._places = np.arange(size)
        if size > _NUMBERS:
            self._places = rng.choice(size, _NUMBERS, replace=False)
        self._elements = [action(noise) for action in self.actions]
        self._images = np.stack([self._seen(x) for x in self._elements])

    def _seen(self, x):
        return as_tensor(x).flatten().cpu().double().numpy()[self._places]

    def named(self, h, i):
        """Return which elements are the product of two, by the group's law.

        Returns
        -------
        is_product : numpy.ndarray of bool, shape (n,)
            All ``False`` where the law is not known.
        """
        product = NotImplemented
        if isinstance(self.actions[h], Action):
            product = self.actions[h]._compose(self.actions[i])
        if product is NotImplemented:
            return np.zeros(len(self.actions), bool)
        return np.array([action == product for action in self.actions])

    def errors(self, h, i, named):
        """Return by how much the product of two misses each element."""
        factors = (self.actions[h], self.actions[i])
        if named.any() and all(
            factor.is_exact and factor.is_isometry for factor in factors
        ):
            return np.where(named, 0.0, np.inf)
        self._look()
        image = self._seen(self.actions[h](self._elements[i]))
        gaps = np.linalg.norm(self._images - image, axis=1)
        return gaps / (np.linalg.norm(image) or 1.0)


def check_group(actions, range_actions=None):
    """Raise an error unless actions are those of all elements of a group.

    Parameters
    ----------
    actions : list of `odl.Operator`
        Actions on one space, linear or not.
    range_actions : list of `odl.Operator`, optional
        The same elements acting on another space, in the same order.

    Raises
    ------
    ValueError
        If a product of two elements is not among them, or some are there
        more often than others.

    Warns
    -----
    RuntimeWarning
        If the elements are a group and their actions on the grid are none.
    """
    kinds = [_Kind(actions)]
    if range_actions is not None and range_actions != actions:
        kinds.append(_Kind(range_actions))
    n = len(actions)
    factors = range(n)
    if n > _FACTORS:
        factors = np.random.default_rng(0).choice(n, _FACTORS, replace=False)
    worst, pair = 0.0, None
    for h in factors:
        found, sizes = Counter(), {}
        for i in range(n):
            products, error = _products(kinds, int(h), i)
            if error > worst:
                worst, pair = error, (int(h), i)
            found[products[0]] += 1
            sizes[products[0]] = len(products)
        if found != sizes:
            raise ValueError(
                f'expected each element of a group equally often, got {n} '
                'actions, some of them more often than others; give '
                '`check=False` to take the mean anyway'
            )
    if pair is not None:
        h, i = pair
        warn_user(
            f'the {n} actions are those of a group, but not on this grid: '
            f'for white noise u, ({actions[h]}) applied after '
            f'({actions[i]}) misses the action of their product by '
            f'{worst:.2g} of its norm, so that the average is only as '
            'equivariant as that. The error is far smaller for smooth '
            'functions: measure `equivariance_error` at one. '
            '`check=False` silences this warning',
            RuntimeWarning,
        )


def _products(kinds, h, i):
    """Return which elements are the product of two, and how far from it."""
    named = [kind.named(h, i) for kind in kinds]
    errors = [
        kind.errors(h, i, names)
        for kind, names in zip(kinds, named, strict=True)
    ]
    excess = np.max(
        [e / kind.tolerance for e, kind in zip(errors, kinds, strict=True)], 0
    )
    if (excess <= 1).any():
        return np.flatnonzero(excess <= 1), 0.0
    largest = np.max(errors, 0)
    in_all = np.all(named, 0)
    if in_all.any():
        return np.flatnonzero(in_all), float(largest[in_all].min())
    actions = kinds[0].actions
    product = f'({actions[h]}) after ({actions[i]})'
    advice = '`check=False` to take the mean anyway'
    if (errors[0] <= kinds[0].tolerance).any():
        raise ValueError(
            'the actions on the range are not those of the same elements, in '
            f'the same order, as those on the domain: there, {product} is '
            f'another one of the {len(actions)}, or none. Give the same '
            f'group on both spaces, or {advice}'
        )
    closest = int(np.argmin(largest))
    raise ValueError(
        'the actions are not those of all elements of a group: '
        f'{product} is none of the {len(actions)}. For white noise, '
        f'({actions[closest]}) is closest to it, and misses it by '
        f'{largest[closest]:.2g} of its norm. Give all elements, as '
        f'`group_actions` does, or {advice}'
    )
