# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The parametric bootstrap with transforms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from odl_equivariant._checks import boolean, whole_number
from odl_equivariant._types import Element, ElementLike, Operator
from odl_equivariant.uncertainty.collecting import Collector, checked_size
from odl_equivariant.uncertainty.evaluation import (
    Reconstruction,
    checked_forward_operator,
)
from odl_equivariant.uncertainty.noise import noise_function
from odl_equivariant.uncertainty.progress import progress_bar
from odl_equivariant.uncertainty.result import Uncertainty
from odl_equivariant.uncertainty.transforms import (
    checked_actions,
    declared_group,
    default_actions,
    warn_of_inexact_inverses,
)

__all__ = ('Bootstrap', 'bootstrap')

_GIB = 2**30


class Bootstrap:
    """The bootstrap of a reconstruction, applied to data.

    Made by `bootstrap`, where all arguments are described. Its attributes
    have their names.
    """

    def __init__(
        self,
        reconstruct: Operator | torch.nn.Module | Callable[[Element], Any],
        operator: Operator,
        noise: Any = None,
        actions: Sequence[Operator] | None = None,
        n: int = 100,
        *,
        seed: int = 0,
        batch_size: int = 8,
        keep_samples: bool = True,
        memory_limit: float = _GIB,
        progress: bool = False,
    ) -> None:
        """Initialize a new instance, see `bootstrap`."""
        self.operator = checked_forward_operator(operator)
        space = operator.domain
        self._reconstruction = Reconstruction(
            reconstruct, operator.range, space
        )
        self.reconstruct = reconstruct
        self.noise, self._add_noise = noise, noise_function(noise)
        self.n, self.keep_samples, self.memory_limit = checked_size(
            n, keep_samples, memory_limit, space
        )
        self.seed = whole_number('seed', seed, 0)
        self.batch_size = whole_number('batch_size', batch_size, 1)
        self.progress = boolean('progress', progress)
        if actions is None:
            group = declared_group(self._reconstruction.module)
            actions = default_actions(space, group, seed=self.seed)
        self.actions = checked_actions(actions, space)

    def __call__(self, data: ElementLike) -> Uncertainty:
        """Return the uncertainty of the reconstruction of data.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Measured data.

        Returns
        -------
        uncertainty : `Uncertainty`
            Its ``estimate`` is the reconstruction.

        Raises
        ------
        ValueError
            If the data have another shape, or data or reconstructions are
            not finite.

        Warns
        -----
        RuntimeWarning
            If the inverse of an action does not undo it, by a thousandth of
            the norm of the reconstruction.
        """
        data = self._reconstruction.data(data)
        return self.around(self._reconstruction.one(data))

    def around(self, estimate: ElementLike) -> Uncertainty:
        """Return the uncertainty of an estimate that is known.

        Parameters
        ----------
        estimate : element of ``operator.domain`` or array-like
            The reconstruction of the data.

        Returns
        -------
        uncertainty : `Uncertainty`
            As of a call.
        """
        estimate = self.operator.domain.element(estimate).copy()
        warn_of_inexact_inverses(self.actions, estimate)
        collector = Collector(
            self.operator.domain, self.n, self.keep_samples, estimate
        )
        order = self._order()
        with progress_bar(self.progress, self.n, 'bootstrap') as advance:
            for start in range(0, self.n, self.batch_size):
                batch = range(start, min(start + self.batch_size, self.n))
                data = [self._data(estimate, i, order[i]) for i in batch]
                images = self._reconstruction.many(data)
                for i, image in zip(batch, images, strict=True):
                    collector.add(self._inverse(order[i])(image))
                advance(len(batch))
        return collector.result()

    def _order(self):
        """Return which action each sample has, each equally often."""
        rng = np.random.default_rng(self.seed)
        rounds = -(-self.n // len(self.actions))
        orders = [rng.permutation(len(self.actions)) for _ in range(rounds)]
        return np.concatenate(orders)[: self.n].tolist()

    def _data(self, estimate, i, k):
        """Return the data of a sample, of a seed of its own."""
        clean = self.operator(self.actions[k](estimate))
        # one stream for each sample, whatever the size of batches is
        data = self._add_noise(clean, np.random.default_rng([self.seed, i]))
        return self._reconstruction.data(data)

    @functools.cached_property
    def _inverses(self):
        return {}

    def _inverse(self, k):
        if k not in self._inverses:
            self._inverses[k] = self.actions[k].inverse
        return self._inverses[k]

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'<bootstrap of {self.n} samples with {len(self.actions)} '
            f'action(s) and noise {self.noise!r:.60}>'
        )


def bootstrap(
    reconstruct: Operator | torch.nn.Module | Callable[[Element], Any],
    operator: Operator,
    noise: Any = None,
    actions: Sequence[Operator] | None = None,
    n: int = 100,
    *,
    seed: int = 0,
    batch_size: int = 8,
    keep_samples: bool = True,
    memory_limit: float = _GIB,
    progress: bool = False,
) -> Bootstrap:
    r"""Return the equivariant bootstrap of a reconstruction.

    Parameters
    ----------
    reconstruct : `odl.Operator`, torch.nn.Module or callable
        Reconstruction :math:`\Phi` from the range to the domain of
        ``operator``. A module, or a `NetworkOperator`, takes many samples in
        a batch. Its mode is kept: call ``.eval()`` first. A callable maps an
        element of the data to an image.
    operator : `odl.Operator`
        Forward operator :math:`A`.
    noise : optional
        What adds noise to data: an acquisition (its ``add_noise``), a
        callable such as `GaussianNoise` that maps ``(data, rng)`` to noisy
        data, where ``rng`` is a `numpy.random.Generator`, or ``None`` for no
        noise.
    actions : sequence of `odl.Operator`, optional
        Transforms :math:`T` of the images, each with an ``inverse``. Each is
        used equally often. An empty sequence means none, the ordinary
        parametric bootstrap. Default: `default_actions`, for the group that
        the network declares.
    n : int, optional
        Number of samples, at least 2.
    seed : int, optional
        Seed of the noise and of the order of the actions. A sample does not
        depend on ``batch_size``.
    batch_size : int, optional
        Number of data that a module reconstructs at once.
    keep_samples : bool, optional
        Whether to keep all samples, for quantiles and intervals of pixels.
        The other results are computed as samples come.
    memory_limit : float, optional
        Most bytes that kept samples may take. Default: 1 GiB.
    progress : bool, optional
        Whether to show a progress bar.

    Returns
    -------
    bootstrap : `Bootstrap`
        Maps data to an `Uncertainty`.

    Raises
    ------
    TypeError
        If an argument has a wrong type.
    ValueError
        If the spaces do not fit, or the samples take more memory than they
        may: the message says how many fit.

    Notes
    -----
    With the reconstruction :math:`\hat x = \Phi(y)` in place of the truth, new
    data are drawn and reconstructed,

    .. math::
        x_i = T_i^{-1} \Phi(\mathrm{noise}(A T_i \hat x)),
        \quad i = 1, \dots, n,

    and :math:`x_i - \hat x` stands for the error :math:`\hat x - x^*`
    [TP2023]_. Without transforms, :math:`A \hat x` knows nothing of what the
    operator does not measure: the samples have the bias of the method twice,
    and hide it. With transforms, the operators :math:`A T_i` measure
    different things of the same image.

    They do so only if :math:`T_i` is not a symmetry of all of it. If both the
    reconstruction and the operator are equivariant under :math:`T_i`, then
    :math:`x_i = \Phi(A \hat x + \varepsilon_i)`, and only the noise varies,
    see `default_actions`. An unrolled network whose blocks are equivariant
    under quarter turns, for parallel beams with an even number of views, is
    such a case: it needs finer rotations, shifts or reflections.

    The operator is that of the reconstruction, and so are the simulated data.
    Errors of the model itself are not seen.

    References
    ----------
    .. [TP2023] Tachella J and Pereyra M. *Equivariant bootstrapping for
       uncertainty quantification in imaging inverse problems*.
       arXiv:2310.11838 (2023).

    Examples
    --------
    >>> import odl
    >>> from odl_equivariant.uncertainty import GaussianNoise
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    >>> identity = odl.IdentityOperator(space)
    >>> method = bootstrap(identity, identity, GaussianNoise(0.1), n=200)
    >>> result = method(space.one())
    >>> result.estimate == space.one()
    True
    >>> bool(0.09 < result.standard_deviation.asarray().mean() < 0.11)
    True
    """
    return Bootstrap(
        reconstruct,
        operator,
        noise,
        actions,
        n,
        seed=seed,
        batch_size=batch_size,
        keep_samples=keep_samples,
        memory_limit=memory_limit,
        progress=progress,
    )
