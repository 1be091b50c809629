# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A canvas on which smooth shapes are drawn quickly, for phantoms."""

import numpy as np

__all__ = ('Canvas',)


class Canvas:
    """An image and the coordinates in which shapes are drawn.

    The shorter side of the image spans [-1, 1]; axis 0 is x (to the right),
    axis 1 is y (upwards).

    Parameters
    ----------
    shape : tuple of 2 ints
        Shape of the image.
    """

    def __init__(self, shape):
        self.shape = tuple(shape)
        side = min(self.shape)
        # length of a pixel
        self.step = 2.0 / side
        self._axes = [
            ((2 * np.arange(n) - n + 1) / side).astype(np.float32)
            for n in self.shape
        ]
        self._reach = [0.0, 0.0]
        self.x = np.repeat(self._axes[0][:, None], self.shape[1], axis=1)
        self.y = np.repeat(self._axes[1][None, :], self.shape[0], axis=0)
        self.image = np.zeros(self.shape, dtype=np.float32)

    def warp(self, rng, amount):
        """Displace the coordinates smoothly by at most ``amount``.

        Shapes that are drawn later are bent: an ellipse gets an irregular
        outline.
        """
        # Slow waves bend an outline, fast and shallow ones roughen it.
        for low, high, share in ((0.4, 1.5, 0.7), (1.5, 5.0, 0.3)):
            for index, target in enumerate((self.x, self.y)):
                for _ in range(2):
                    amplitude = amount * share * rng.uniform(0, 0.5)
                    frequency = np.pi * rng.uniform(low, high, 2)
                    frequency *= rng.choice([-1, 1], 2)
                    phase = rng.uniform(0, 2 * np.pi)
                    # sin(a + b) as outer products: no sine for each pixel.
                    a = (frequency[0] * self._axes[0] + phase)[:, None]
                    b = (frequency[1] * self._axes[1])[None, :]
                    left = np.hstack([np.sin(a), np.cos(a)])
                    right = amplitude * np.vstack([np.cos(b), np.sin(b)])
                    target += left.astype(np.float32) @ right.astype(
                        np.float32
                    )
                    self._reach[index] += amplitude

    def _window(self, center, reach):
        """Return the slices that hold every pixel within reach of center."""
        slices = []
        for index, size in enumerate(self.shape):
            middle = center[index] - float(self._axes[index][0])
            margin = reach[index] + self._reach[index]
            start = int(np.floor((middle - margin) / self.step))
            stop = int(np.ceil((middle + margin) / self.step)) + 1
            start = min(max(start, 0), size)
            slices.append(slice(start, max(min(stop, size), start)))
        return tuple(slices)

    def radius(self, center, axes, angle=0.0, power=2.0):
        """Return a window and the relative radius in it, below 1 inside.

        The shape is a superellipse ``|u / a|^p + |v / b|^p < 1``, turned
        counter-clockwise by ``angle`` (radians).
        """
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        window = self._window(
            center,
            (
                abs(axes[0] * cos) + abs(axes[1] * sin),
                abs(axes[0] * sin) + abs(axes[1] * cos),
            ),
        )
        dx = self.x[window] - np.float32(center[0])
        dy = self.y[window] - np.float32(center[1])
        u = dx * np.float32(cos / axes[0]) + dy * np.float32(sin / axes[0])
        v = dy * np.float32(cos / axes[1]) - dx * np.float32(sin / axes[1])
        if power in (2, 4, 8):
            # Squares and square roots are many times faster than powers.
            doublings = int(np.log2(power))
            for _ in range(doublings):
                u *= u
                v *= v
            u += v
            for _ in range(doublings):
                np.sqrt(u, out=u)
            return window, u
        power = np.float32(power)
        total = np.abs(u) ** power + np.abs(v) ** power
        return window, total ** (1 / power)

    def mask(self, center, axes, angle=0.0, power=2.0):
        """Return the shape as a Boolean array of the full size."""
        window, radius = self.radius(center, axes, angle, power)
        full = np.zeros(self.shape, dtype=bool)
        full[window] = radius < 1
        return full

    def fill(
        self,
        center,
        axes,
        value,
        angle=0.0,
        power=2.0,
        soft=0.0,
        where=None,
        texture=None,
        add=False,
    ):
        """Draw one shape.

        Parameters
        ----------
        center, axes, angle, power
            The shape, see `radius`.
        value : float
            Value that fills the shape, or is added to it.
        soft : float, optional
            Share of the radius over which the edge fades; 0 is sharp.
        where : numpy.ndarray of bool, optional
            Only these pixels are changed.
        texture : tuple of float and numpy.ndarray, optional
            Amplitude and field (of the full shape) added to the value.
        add : bool, optional
            Add the value to the image, instead of replacing the image.
        """
        window, radius = self.radius(center, axes, angle, power)
        target = self.image[window]
        if texture is not None:
            value = (
                np.float32(value) + np.float32(texture[0]) * texture[1][window]
            )
        else:
            value = np.float32(value)
        if soft > 0:
            weight = np.clip((1 - radius) * np.float32(1 / soft), 0, 1)
            if where is not None:
                weight *= where[window]
            target += weight * (value if add else value - target)
            return
        inside = radius < 1
        if where is not None:
            inside &= where[window]
        np.copyto(target, target + value if add else value, where=inside)

    def ring(
        self,
        center,
        axes,
        value,
        thickness,
        angle=0.0,
        power=2.0,
        sector=None,
        where=None,
    ):
        """Draw the rim of a shape, or the part of it in a sector.

        ``thickness`` is in half sides; ``sector`` is a pair of angles in
        radians, measured at the centre, from the first to the second.
        """
        window, radius = self.radius(center, axes, angle, power)
        inside = np.abs(radius - 1) < thickness / (2 * min(axes))
        if sector is not None:
            bearing = np.arctan2(
                self.y[window] - np.float32(center[1]),
                self.x[window] - np.float32(center[0]),
            )
            turn = np.float32(2 * np.pi)
            inside &= (bearing - sector[0]) % turn < sector[1] - sector[0]
        if where is not None:
            inside &= where[window]
        np.copyto(self.image[window], np.float32(value), where=inside)

    def line(self, start, stop, value, thickness, where=None):
        """Draw a line from one point to the other."""
        start, stop = np.asarray(start, float), np.asarray(stop, float)
        length = max(float(np.hypot(*(stop - start))), 1e-6)
        angle = float(np.arctan2(*(stop - start)[::-1]))
        self.fill(
            (start + stop) / 2,
            (length / 2, thickness / 2),
            value,
            angle,
            power=8.0,
            where=where,
        )

    def blur(self, times):
        """Smooth with the kernel (1, 2, 1) / 4 along both axes."""
        for _ in range(times):
            for axis in (0, 1):
                image = np.moveaxis(self.image, axis, 0)
                padded = np.concatenate([image[:1], image, image[-1:]])
                image *= np.float32(0.5)
                padded *= np.float32(0.25)
                image += padded[:-2]
                image += padded[2:]
