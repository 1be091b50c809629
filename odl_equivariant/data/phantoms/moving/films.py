# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Films of phantoms that move, with every frame known."""

from __future__ import annotations

from typing import Literal

import numpy as np

from odl_equivariant._checks import (
    array_shape,
    boolean,
    one_of,
    positive_number,
    whole_number,
)
from odl_equivariant._types import ImageShape, Random
from odl_equivariant.data._fields import random_texture
from odl_equivariant.data.phantoms.moving.scenes import SCENES, draw
from odl_equivariant.data.slices.base import Slices, index_and_epoch

__all__ = ('Motion', 'MovingPhantoms', 'moving_phantom')

Motion = Literal['rotating', 'breathing', 'beating']
# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x66696C6D


def moving_phantom(
    shape: ImageShape,
    n_frames: int,
    motion: Motion | None = None,
    rng: Random = None,
    phase: bool = False,
    peak: float = 1.0,
) -> np.ndarray:
    r"""Return a random film of a body that moves with a period.

    Parameters
    ----------
    shape : tuple of 2 ints
        Shape of a frame. The field of view is the largest central square.
    n_frames : int
        Number of frames of one period.
    motion : {'rotating', 'breathing', 'beating'}, optional
        ``'rotating'``: all of it turns once, counter-clockwise.
        ``'breathing'``: a chest widens and pushes its organs.
        ``'beating'``: the chamber of a heart shrinks quickly and fills
        slowly, while its wall keeps its area. Default: a random one.
    rng : int, numpy.random.Generator or None, optional
        Seed or source of randomness. The same seed gives the same motion at
        every resolution and number of frames.
    phase : bool, optional
        Whether the film is complex, with a smooth phase that stays.
    peak : float, optional
        Factor of all values. For tomography, with attenuation relative to
        that of bone, 0.5 makes the body soft tissue.

    Returns
    -------
    film : numpy.ndarray
        Array of shape ``(*shape, n_frames)``, float32, or complex64 with a
        phase, of modulus from 0 to ``peak``. Frame k shows the time
        :math:`k / T` of the period; after the last frame comes the first one.

    Raises
    ------
    ValueError
        If a size is not positive, or the motion is unknown.

    Examples
    --------
    >>> film = moving_phantom((32, 32), 8, 'rotating', rng=0)
    >>> film.shape, film.dtype
    ((32, 32, 8), dtype('float32'))
    >>> bool(np.allclose(film[..., 2], np.rot90(film[..., 0]), atol=1e-5))
    True
    """
    shape = array_shape('shape', shape, 2)
    if min(shape) < 8:
        raise ValueError(
            'both sides of a phantom must be at least 8 pixels, got shape '
            f'{shape}'
        )
    n_frames = whole_number('n_frames', n_frames, 1)
    one_of('motion', motion, tuple(SCENES), optional=True)
    boolean('phase', phase)
    rng = np.random.default_rng(rng)
    drawn = str(rng.choice(list(SCENES)))
    scene = SCENES[drawn if motion is None else motion](rng)
    frames = [draw(scene(k / n_frames), shape) for k in range(n_frames)]
    peak = positive_number('peak', peak)
    film = peak * np.clip(np.stack(frames, -1), 0, 1)
    film = film.astype(np.float32)
    if not phase:
        return film
    waves = random_texture(shape, rng, 0.3, 1.5)
    return film * np.exp(1j * waves)[..., None].astype(np.complex64)


class MovingPhantoms(Slices):
    """Random films, drawn on access.

    They take the place of images in training: `SimulatedPairs` hands each
    film to a dynamic acquisition.

    Parameters
    ----------
    n : int
        Number of films.
    shape : tuple of 2 ints
        Shape of a frame.
    n_frames : int
        Number of frames.
    motion : {'rotating', 'breathing', 'beating'}, optional
        How they move, see `moving_phantom`. Default: a random one each.
    phase : bool, optional
        Whether films are complex.
    seed : int, optional
        Seed. A film depends only on the seed and its index.
    peak : float, optional
        Factor of all values.

    Raises
    ------
    ValueError
        If a size is not positive, or the motion is unknown.

    Examples
    --------
    >>> films = MovingPhantoms(3, (16, 16), 5, 'beating')
    >>> films[1].shape, films.names[1]
    ((16, 16, 5), 'film-1')
    """

    def __init__(
        self,
        n: int,
        shape: ImageShape,
        n_frames: int,
        motion: Motion | None = None,
        phase: bool = False,
        seed: int = 0,
        peak: float = 1.0,
    ) -> None:
        names = [f'film-{i}' for i in range(whole_number('n', n, 1))]
        super().__init__(names, names)
        self.seed = whole_number('seed', seed, 0)
        self._frame = array_shape('shape', shape, 2)
        self.n_frames = whole_number('n_frames', n_frames, 1)
        one_of('motion', motion, tuple(SCENES), optional=True)
        self.motion = motion
        self.phase = boolean('phase', phase)
        self.peak = positive_number('peak', peak)

    def __getitem__(self, key: int | tuple[int, int]) -> np.ndarray:
        index, _ = index_and_epoch(key, len(self), 'films')
        place = self._places[index]
        rng = np.random.default_rng([self.seed, place, _PURPOSE])
        return moving_phantom(
            self._frame,
            self.n_frames,
            self.motion,
            rng,
            self.phase,
            self.peak,
        )

    def with_shape(self, shape: ImageShape) -> MovingPhantoms:
        """Return the same films with frames of another shape.

        Parameters
        ----------
        shape : tuple of 2 ints
            Shape of a frame.

        Returns
        -------
        films : MovingPhantoms
            The same motions.
        """
        other = self.subset(range(len(self)))
        other._frame = array_shape('shape', shape, 2)
        return other
