# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""A distance from the truth that single large errors do not rule."""

from odl_equivariant._checks import positive_number
from odl_equivariant.training.losses.supervised import (
    EPSILON,
    Supervised,
    charbonnier,
)

__all__ = ('Charbonnier',)


class Charbonnier(Supervised):
    r"""Mean error with a smooth bottom, relative to the truth.

    Parameters
    ----------
    epsilon : float, optional
        The share :math:`\varepsilon` of the root mean square of the truth
        below which errors count squared. Default: 0.001.
    floor : float, optional
        The number :math:`\delta`, added to the mean square of the truth, so
        that dark images count less, and images of zeros have a loss.

    Raises
    ------
    TypeError
        If an argument is no number.
    ValueError
        If :math:`\varepsilon \le 0` or :math:`\delta < 0`.

    See Also
    --------
    Supervised : Other distances.

    Notes
    -----
    For a reconstruction :math:`u` of :math:`x` with :math:`n` pixels,

    .. math:: \ell(u, x) = \frac{1}{n} \sum_{i = 1}^n \left(\sqrt{
        \frac{|u_i - x_i|^2}{s^2} + \varepsilon^2} - \varepsilon\right),
        \qquad s^2 = \frac{1}{n} \sum_{i = 1}^n |x_i|^2 + \delta,

    where :math:`|\cdot|` is the modulus of a complex number, and the length
    of a vector. It is half the squared relative error, divided by
    :math:`\varepsilon`, where errors are small, and the absolute relative
    error where they are large: no pixel has a gradient above :math:`1 / (n
    s)`. With :math:`\delta = 0` it is the same in each unit,
    :math:`\ell(c u, c x) = \ell(u, x)` for :math:`c \neq 0`, also for a
    complex :math:`c`.

    The function is that of Charbonnier, Blanc-Feraud, Aubert and Barlaud
    (ICIP 1994); Lai, Huang, Ahuja and Yang (CVPR 2017) train networks by it,
    with :math:`\varepsilon = 0.001`. Absolute errors lead to the median of
    the truth given the data in each pixel, and squared ones to its mean,
    which has the higher PSNR where both are reached.

    Examples
    --------
    >>> from odl_equivariant.training.losses import Charbonnier
    >>> Charbonnier(epsilon=0.01)
    Charbonnier(epsilon=0.01, floor=0.0)
    """

    def __init__(self, epsilon: float = EPSILON, floor: float = 0.0) -> None:
        super().__init__('charbonnier', floor)
        self.epsilon = positive_number('epsilon', epsilon)

    def _losses(self, result, batch):
        return charbonnier(result, batch, self.floor, self.epsilon)
