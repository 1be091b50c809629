# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a training remembers of each of its images."""

import collections

import torch

from odl_equivariant._files import digest

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
    keys : list of str
        Equal names are those of images of the same shape, dtype and values,
        at the same level.
    """
    images = x.detach().cpu()
    levels = [None] * len(images)
    if sigma is not None:
        levels = sigma.detach().cpu().double().expand(len(images)).tolist()
    kind = f'{tuple(x.shape[1:])} {x.dtype}'
    return [
        digest([f'{kind} {level!r} ', image])
        for image, level in zip(images, levels, strict=True)
    ]


class Memory:
    """Tensors of some images; those not seen for longest are forgotten first.

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
        keys : list of str
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
        """Remember tensors of images, in place of what was known of them.

        Parameters
        ----------
        keys : list of str
            Names of the N images.
        tensors : sequence of torch.Tensor
            Tensors of N rows. Where one is not finite, the image is
            forgotten, so that a training can come back from it.
        """
        finite = torch.stack([t.flatten(1).isfinite().all(1) for t in tensors])
        for i, is_finite in enumerate(finite.all(0).tolist()):
            self._kept.pop(keys[i], None)
            if is_finite:
                self._kept[keys[i]] = [tensor[i].clone() for tensor in tensors]
        self._forget()

    def _forget(self):
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def state(self):
        """Return all that is remembered, as lists and dicts of tensors.

        Returns
        -------
        groups : list of dict
            For each set of shapes and dtypes: ``'keys'``, ``'places'`` in the
            order of age, and ``'tensors'``, a list.
        """
        groups = {}
        for place, (key, rows) in enumerate(self._kept.items()):
            kind = tuple((row.shape, row.dtype) for row in rows)
            groups.setdefault(kind, []).append((place, key, rows))
        return [
            {
                'places': [place for place, _, _ in group],
                'keys': [key for _, key, _ in group],
                # some may lie on another device, as others were loaded
                'tensors': [
                    torch.stack([row.cpu() for row in rows])
                    for rows in zip(*(rows for *_, rows in group), strict=True)
                ],
            }
            for group in groups.values()
        ]

    def load(self, groups):
        """Remember what a memory knew, and nothing else.

        Parameters
        ----------
        groups : list of dict
            What `state` returned.
        """
        found = {}
        for group in groups:
            for i, place in enumerate(group['places']):
                rows = [tensor[i].clone() for tensor in group['tensors']]
                found[place] = group['keys'][i], rows
        self._kept.clear()
        self._kept.update(found[place] for place in sorted(found))
        self._forget()
