# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files of the weights of modules that users build themselves."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from odl_equivariant._types import PathLike
from odl_equivariant.models.files import (
    OWN,
    check_values,
    checked_path,
    only_these,
    read,
    write_network,
)

__all__ = ('load_weights', 'save_weights')

Module = TypeVar('Module', bound=nn.Module)


def save_weights(module: nn.Module, path: PathLike) -> None:
    """Save the weights of any module, and the bases of its kernels.

    `save` also saves the architecture, of the networks that it knows. Of
    other modules, such as those built of `odl_equivariant.nn.layers`, it is
    not in the file: `load_weights` is told how to make one.

    Parameters
    ----------
    module : torch.nn.Module
        Module in training or evaluation mode, on any device. Its weights are
        of one precision; whole numbers may be among them.
    path : path-like
        File to write, ending in ``.safetensors``. An existing file is
        replaced once the new one is complete.

    Raises
    ------
    TypeError
        If ``module`` is none.
    ValueError
        If the path does not end in ``.safetensors``, a weight is not finite,
        or the weights are not all of one precision.
    FileNotFoundError
        If there is no such folder.

    Examples
    --------
    >>> import os, tempfile
    >>> from odl_equivariant.nn.layers import Fields, SteerableConvolution
    >>> def make():
    ...     image, hidden = Fields('C4', trivial=1), Fields('C4', regular=2)
    ...     return SteerableConvolution(image, hidden)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, 'layer.safetensors')
    ...     save_weights(make(), path)
    ...     layer = load_weights(path, make)
    >>> layer.training
    False
    """
    if not isinstance(module, nn.Module):
        raise TypeError(
            f'expected a `torch.nn.Module`, got {type(module).__name__}'
        )
    header = {'architecture': {'class': OWN}}
    write_network(checked_path(path), module, header, counts=True)


def load_weights(path: PathLike, make: Callable[[], Module]) -> Module:
    """Load the weights of a module, without escnn.

    Parameters
    ----------
    path : path-like
        File that `save_weights` wrote.
    make : callable
        Function without arguments that makes the module, as it was made
        before it was saved. Its equivariant convolutions take the bases of
        the file, so that escnn need not be installed.

    Returns
    -------
    module : torch.nn.Module
        What ``make`` returned, in evaluation mode, on the processor, with the
        weights of the file, in their precision.

    Raises
    ------
    TypeError
        If ``make`` is no function, or does not return a module.
    ValueError
        If the file is damaged or not of this kind, or its weights or bases
        are not those of the module.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(make, nn.Module) or not callable(make):
        raise TypeError(
            '`make` must be a function without arguments that makes the '
            f'module, such as a class, got {type(make).__name__}'
        )
    path = pathlib.Path(path)
    architecture, tensors, bases, _ = read(path)
    if architecture.get('class') != OWN:
        raise ValueError(
            f'{path.name} holds a network of this package: load it with `load`'
        )
    try:
        check_values(tensors, counts=True)
        with only_these(bases, of_blocks=False):
            module = make()
            if not isinstance(module, nn.Module):
                raise TypeError(
                    '`make` must return a `torch.nn.Module`, got '
                    f'{type(module).__name__}'
                )
        # not converted by the copy, which would lose digits
        floats = [t for t in tensors.values() if t.is_floating_point()]
        module = module.to('cpu', floats[0].dtype if floats else None)
        module.load_state_dict(tensors)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f'cannot load {path}: {error}; `make` must make the module as it '
            'was saved'
        ) from error
    return module.eval()
