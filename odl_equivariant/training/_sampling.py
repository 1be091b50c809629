# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The samples of a training run, and their order."""

import numpy as np

__all__ = ('SampleStream', 'share_of')


class SampleStream:
    r"""Batches of keys, each determined by its number.

    A sampler of batches for `torch.utils.data.DataLoader`. It passes over the
    samples repeatedly, each time in a new order. A key is the pair
    ``(index, number of the pass)``. A batch depends only on the seed and its
    number, so that a run can resume at any step.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    batch_size : int
        Number of samples of one process in one batch.
    n_batches : int
        Number of batches in the whole run.
    seed : int, optional
        Seed of the order.
    rank, n_processes : int, optional
        Number of this process, from 0, and number of processes. Together
        they see the samples of one process with the batch size
        ``n_processes * batch_size``.
    start : callable, optional
        Called when the iteration begins, it returns the number of batches
        that the run has completed.

    Examples
    --------
    >>> stream = SampleStream(3, batch_size=2, n_batches=2)
    >>> [sorted(batch) for batch in stream]
    [[(0, 0), (2, 0)], [(1, 0), (2, 1)]]
    >>> rest = SampleStream(3, batch_size=2, n_batches=2, start=lambda: 1)
    >>> list(rest) == list(stream)[1:]
    True
    """

    def __init__(
        self,
        n_samples,
        batch_size,
        n_batches,
        seed=0,
        rank=0,
        n_processes=1,
        start=None,
    ):
        self.n_samples = n_samples
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.seed = seed
        self.rank = rank
        self.n_processes = n_processes
        self.start = start or (lambda: 0)
        self._order = (None, None)

    def __len__(self):
        """Return the number of batches in the whole run."""
        return self.n_batches

    def _key(self, position):
        a_pass, place = divmod(position, self.n_samples)
        if self._order[0] != a_pass:
            rng = np.random.default_rng([self.seed, a_pass])
            self._order = (a_pass, rng.permutation(self.n_samples))
        return int(self._order[1][place]), a_pass

    def batch(self, number):
        """Return the keys of one batch, counted from 0."""
        first = (number * self.n_processes + self.rank) * self.batch_size
        return [self._key(first + i) for i in range(self.batch_size)]

    def __iter__(self):
        """Yield the remaining batches of the run."""
        for number in range(self.start(), self.n_batches):
            yield self.batch(number)


def share_of(n_samples, rank, n_processes):
    """Return the indices of one of several processes.

    Examples
    --------
    >>> share_of(5, 0, 2), share_of(5, 1, 2)
    ([0, 2, 4], [1, 3])
    """
    return list(range(rank, n_samples, n_processes))
