# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Reconstructions of many data, at once where that is possible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import odl
import torch

from odl_equivariant.elements import as_element, as_tensor, describe_space
from odl_equivariant.operators import NetworkOperator, OperatorLayer

__all__ = ('Reconstruction', 'checked_forward_operator')


def checked_forward_operator(operator):
    """Check the operator from images to data."""
    if isinstance(operator, odl.Operator):
        return operator
    hint = ''
    if hasattr(operator, 'operator'):
        hint = '; pass its `operator`'
    raise TypeError(
        '`operator` must be the `odl.Operator` from images to data, got '
        f'{type(operator).__name__}{hint}'
    )


class Reconstruction:
    """A reconstruction of data, of one or of many.

    Parameters
    ----------
    reconstruct : `odl.Operator`, torch.nn.Module or callable
        What reconstructs.
    data_space, image_space : odl spaces
        Between which it maps.
    """

    def __init__(self, reconstruct, data_space, image_space):
        self.data_space, self.image_space = data_space, image_space
        if isinstance(reconstruct, torch.nn.Module):
            reconstruct = NetworkOperator(reconstruct, data_space, image_space)
        if isinstance(reconstruct, odl.Operator):
            _check_spaces(reconstruct, data_space, image_space)
        elif not isinstance(reconstruct, Callable):
            raise TypeError(
                '`reconstruct` must be an `odl.Operator`, a '
                '`torch.nn.Module`, or a callable that maps data to an image, '
                f'got {type(reconstruct).__name__}'
            )
        self.function, self._layer = reconstruct, None
        if isinstance(reconstruct, NetworkOperator):
            _check_mode(reconstruct.module)
            self._layer = OperatorLayer(reconstruct)

    @property
    def module(self):
        """The network, None for other reconstructions."""
        return None if self._layer is None else self.function.module

    def data(self, data):
        """Return finite data as an element."""
        if data not in self.data_space:
            shape = getattr(data, 'shape', None) or np.shape(data)
            expected = getattr(self.data_space, 'shape', shape)
            if tuple(shape) != tuple(expected):
                raise ValueError(
                    f'`data` must have shape {tuple(expected)}, as the range '
                    f'of the operator, got {tuple(shape)}'
                )
            data = self.data_space.element(data)
        _check_finite('`data`', data)
        return data

    def one(self, data):
        """Return the reconstruction of an element, checked."""
        image = self.function(data)
        if image not in self.image_space:
            image = self.image_space.element(image)
        _check_finite('the reconstruction', image)
        return image

    def many(self, data):
        """Return the reconstructions of a list of elements."""
        if self._layer is None:
            return [self.one(y) for y in data]
        batch = torch.cat([as_tensor(y) for y in data])
        home = batch.device
        for tensor in self.module.parameters():
            self._layer.to(tensor.device)
            batch = batch.to(tensor.device)
            break
        with torch.no_grad():
            images = self._layer(batch).to(home)
        images = [
            as_element(image, self.image_space, copy=True) for image in images
        ]
        for image in images:
            _check_finite('the reconstruction', image)
        return images


def _check_spaces(reconstruct, data_space, image_space):
    pairs = (
        ('domain', reconstruct.domain, 'range', data_space),
        ('range', reconstruct.range, 'domain', image_space),
    )
    for mine, space, theirs, expected in pairs:
        if space != expected:
            raise ValueError(
                f'the {mine} of `reconstruct` must be the {theirs} of the '
                f'operator, {describe_space(expected)}, got '
                f'{describe_space(space)}'
            )


def _check_mode(module):
    for part in module.modules():
        norm = torch.nn.modules.batchnorm._BatchNorm
        if isinstance(part, norm) and part.training:
            raise ValueError(
                'the network normalises batches as in training, so samples '
                'would depend on each other: call `.eval()` first'
            )


def _check_finite(what, element):
    if not _is_finite(element):
        raise ValueError(
            f'{what} must be finite, got values that are infinite or not a '
            'number'
        )


def _is_finite(element):
    if isinstance(element.space, odl.ProductSpace):
        return all(map(_is_finite, element))
    return bool(torch.isfinite(as_tensor(element)).all())
