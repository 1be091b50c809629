# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a training remembers of each of its images."""

import collections
import hashlib

import torch

__all__ = ('Memory', 'keys_of')


def keys_of(x, sigma=None):
    """Return names of images with their noise levels.

    Parameters
    ----------
    x : torch.Tensor
        Images of shape ``(N, C, *shape)``.
    sigma : torch.Tensor, optional
        Noise levels of shape ``(N,)`` or ``(1,)``.

    Returns
    -------
    keys : list of bytes
        Images of the same values and the same level have the same one.
    """
    images = x.detach().cpu().flatten(1)
    if sigma is not None:
        levels = sigma.detach().to(images).expand(len(images))
        images = torch.cat([images, levels[:, None]], 1)
    return [hashlib.sha1(row.tobytes()).digest() for row in images.numpy()]


class Memory:
    """Tensors of some images, of which the oldest are forgotten first.

    Parameters
    ----------
    size : int
        Number of images.
    """

    def __init__(self, size):
        self._size = size
        self._kept = collections.OrderedDict()

    def __reduce__(self):
        # a copy is trained on its own, and may never see these images
        return Memory, (self._size,)

    def __len__(self):
        return len(self._kept)

    def knows(self, keys):
        """Return whether all of some images are known."""
        return all(key in self._kept for key in keys)

    def recalled(self, keys, new):
        """Return what is remembered of images, or else what is new.

        Parameters
        ----------
        keys : list of bytes
            Names of the N images, see `keys_of`.
        new : sequence of torch.Tensor
            Tensors of N rows, for images that are not known.

        Returns
        -------
        tensors : list of torch.Tensor
            Tensors of the same shapes, dtypes and devices.
        """
        tensors = [tensor.clone() for tensor in new]
        for i, key in enumerate(keys):
            known = self._kept.get(key, ())
            for tensor, row in zip(tensors, known, strict=False):
                tensor[i] = row.to(tensor)
        return tensors

    def keep(self, keys, tensors):
        """Remember tensors of N rows, those of N images, where finite."""
        for i, key in enumerate(keys):
            self._kept.pop(key, None)
            rows = [tensor[i].clone() for tensor in tensors]
            if all(bool(row.isfinite().all()) for row in rows):
                self._kept[key] = rows
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def state(self):
        """Return all that is remembered, as lists and dicts of tensors.

        Returns
        -------
        groups : list of dict
            For each set of shapes, ``'keys'`` as rows of bytes, ``'places'``
            in the order of age, and ``'tensors'``, a list.
        """
        groups = {}
        for place, (key, rows) in enumerate(self._kept.items()):
            kind = tuple((row.shape, row.dtype) for row in rows)
            groups.setdefault(kind, []).append((place, key, rows))
        return [
            {
                'places': torch.tensor([place for place, _, _ in group]),
                'keys': torch.tensor(
                    [list(key) for _, key, _ in group], dtype=torch.uint8
                ),
                'tensors': [
                    torch.stack(rows).cpu()
                    for rows in zip(*(rows for *_, rows in group), strict=True)
                ],
            }
            for group in groups.values()
        ]

    def load(self, groups):
        """Remember what `state` returned, and nothing else."""
        found = {}
        for group in groups:
            for i, place in enumerate(group['places'].tolist()):
                rows = [tensor[i].clone() for tensor in group['tensors']]
                found[place] = bytes(group['keys'][i].tolist()), rows
        self._kept.clear()
        self._kept.update(found[place] for place in sorted(found))
