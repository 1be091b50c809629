# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The pairs for training, validation and test."""

import logging
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset, default_collate

from odl_equivariant._checks import whole_number
from odl_equivariant.data import (
    Acquisition,
    Augmentation,
    MeasuredData,
    MeasuredPairs,
    PairsOfShapes,
    PairsOfVariants,
    ScanFiles,
    SimulatedPairs,
    Slices,
    split,
)
from odl_equivariant.data.pairs.origin import check_origin
from odl_equivariant.elements import grid_shape, n_channels
from odl_equivariant.training._sampling import SampleStream, share_of
from odl_equivariant.training._skipped import by_reason, save_skipped

__all__ = ('ReconstructionData',)

_log = logging.getLogger(__name__)
_PARTS = ('train', 'validation', 'test')


class ReconstructionData(LightningDataModule):
    """Pairs of data and ground truth for training, validation and test.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition that simulates the data, such as `SparseViewCT` or
        `CartesianMRI`. The network inverts its operator.
    train, validation, test : callable, optional
        Called without arguments, it returns `Slices`, prepared pairs such as
        a `PairStore`, or `ScanFiles`, which have no ground truth.
        In a configuration: the class and its arguments.
        It is called when the part is first used.
    images : callable, optional
        The same for one set of images, to be split into these three parts.
    sizes : dict, optional
        Size of each part of ``images``, as a number of slices or a fraction.
        Slices of a patient stay together, see `odl_equivariant.data.split`.
    n_train : int, optional
        Number of training images to use, the first ones. Default: all.
    augmentation : Augmentation, optional
        Random smoothing, rotations and reflections of training images.
    evaluation_augmentation : Augmentation, optional
        The same for validation and test images, drawn once per image.
    shapes : list, optional
        Shapes of the reconstruction. Each training sample gets a random one
        of them instead of that of the acquisition, see `PairsOfShapes`. The
        batch size must then be 1.
    variants : list of dict, optional
        The same for any settings of the acquisition, such as ``{'n_views':
        100, 'n_photons': 1e5}``, see `PairsOfVariants`. Give ``shapes`` or
        ``variants``.
    batch_size : int, optional
        Number of samples of one process in one batch.
    workers : int, optional
        Number of processes that simulate. 0: the training process itself.
    fresh_noise : bool, optional
        Whether each pass over the training images draws new noise and a new
        augmentation.
    measured : bool, optional
        Whether the data are taken from the measured k-space of the images
        instead of being simulated, see `MeasuredPairs`.
    seed : int, optional
        Seed of the split, the noise and the order.

    Attributes
    ----------
    folder : path-like or None
        Folder to which `pairs` writes ``skipped.csv``, a table of skipped
        files and the reasons. The command sets the folder of the run.

    Raises
    ------
    ValueError
        If a size is out of its range, or a part is given twice.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        train: Callable[[], Dataset | Slices] | None = None,
        validation: Callable[[], Dataset | Slices] | None = None,
        test: Callable[[], Dataset | Slices] | None = None,
        images: Callable[[], Slices] | None = None,
        sizes: dict[str, int | float] | None = None,
        n_train: int | None = None,
        augmentation: Augmentation | None = None,
        evaluation_augmentation: Augmentation | None = None,
        shapes: list[tuple[int, int]] | None = None,
        variants: list[dict[str, Any]] | None = None,
        batch_size: int = 1,
        workers: int = 0,
        fresh_noise: bool = True,
        measured: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ('batch_size', batch_size, 1),
            ('workers', workers, 0),
            ('seed', seed, 0),
            ('n_train', 1 if n_train is None else n_train, 1),
        ):
            whole_number(f'data.{name}', value, least)
        given = {'train': train, 'validation': validation, 'test': test}
        if (images is None) != (sizes is None) or (
            images is not None and any(given.values())
        ):
            raise ValueError(
                'give `data.images` together with `data.sizes`, or each of '
                f'{", ".join(f"`data.{part}`" for part in _PARTS)}, not both'
            )
        if sizes is not None and not sizes.keys() <= set(_PARTS):
            raise ValueError(
                f'the parts in `data.sizes` are {", ".join(_PARTS)}, got '
                f'{", ".join(sizes)}'
            )
        if measured and (augmentation or evaluation_augmentation):
            raise ValueError(
                'measured data cannot be augmented: leave out '
                '`data.augmentation`, or simulate'
            )
        if shapes is not None and variants is not None:
            raise ValueError(
                'give `data.shapes` or `data.variants`, not both: a variant '
                'may have a `shape`'
            )
        name = 'shapes' if variants is None else 'variants'
        several = shapes is not None or variants is not None
        if several and (batch_size > 1 or measured):
            raise ValueError(
                f'with `data.{name}` a batch is one simulated image: take '
                '`data.batch_size` 1 (and `trainer.accumulate_grad_batches` '
                'for larger steps) and `data.measured` false, got '
                f'{batch_size} and {measured}'
            )
        self.acquisition = acquisition
        self.shapes = shapes
        self.variants = variants
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.n_train = n_train
        self.fresh_noise = fresh_noise
        self.measured = measured
        self._augmentations = {
            part: augmentation if part == 'train' else evaluation_augmentation
            for part in _PARTS
        }
        self._given, self._images, self._sizes = given, images, sizes
        self._pairs = {}
        self.folder: str | os.PathLike[str] | None = None
        self._skipped = {}

    def _slices(self, part):
        if self._images is not None:
            if part not in self._sizes:
                return None
            if not self._given[part]:
                images = self._images()
                self._report('images', images)
                parts = split(images, self._sizes, self.seed)
                self._given = {
                    name: (lambda name=name: parts.get(name))
                    for name in _PARTS
                }
        make = self._given[part]
        slices = make and make()
        if self._images is None:
            self._report(part, slices)
        return slices

    def _report(self, part, slices):
        """Log which files of a set of images were skipped, and why."""
        skipped = getattr(getattr(slices, 'index', None), 'skipped', ())
        if not skipped or rank_zero_only.rank != 0:
            return
        self._skipped[part] = list(skipped)
        where = ''
        if self.folder is not None:
            path = pathlib.Path(self.folder) / 'skipped.csv'
            path.parent.mkdir(parents=True, exist_ok=True)
            save_skipped(self._skipped, path)
            where = f'; all are listed in {path}'
        for reason, names in by_reason(skipped).items():
            others = f' and {len(names) - 1} more' if len(names) > 1 else ''
            _log.warning(
                '`data.%s`: %s%s skipped: %s%s',
                part, names[0], others, reason, where,
            )  # fmt: skip

    def pairs(self, part: str) -> Dataset:
        """Return the pairs of one part of the data.

        Parameters
        ----------
        part : {'train', 'validation', 'test'}
            The part.

        Returns
        -------
        pairs : Dataset
            Map-style data set of dicts, see `SimulatedPairs`.

        Raises
        ------
        ValueError
            If there are none, fewer than ``n_train``, or another acquisition
            made them.
        """
        if part not in self._pairs:
            self._pairs[part] = self._made(part)
        return self._pairs[part]

    def _made(self, part):
        slices = self._slices(part)
        if slices is None or not len(slices):
            raise ValueError(
                f'there are no data for `{part}`: give `data.{part}`, or a '
                f'size of `{part}` in `data.sizes`'
            )
        limited = part == 'train' and self.n_train is not None
        if limited and self.n_train > len(slices):
            raise ValueError(
                f'`data.n_train` is {self.n_train}, but there are only '
                f'{len(slices)} training images'
            )
        several = None
        if part == 'train':
            several = self.variants if self.shapes is None else self.shapes
        if isinstance(slices, Dataset):
            check_origin(slices, self.acquisition)
            if several is not None:
                raise ValueError(
                    'prepared pairs have one shape: leave out `data.shapes` '
                    'and `data.variants`, or give images as `data.train`'
                )
            if limited:
                slices = torch.utils.data.Subset(slices, range(self.n_train))
            return slices
        if limited:
            slices = slices.subset(range(self.n_train))
        if isinstance(slices, ScanFiles):
            if self._augmentations[part] is not None or several is not None:
                raise ValueError(
                    'measured data cannot be augmented or brought to other '
                    'grids: leave out `data.augmentation`, '
                    '`data.evaluation_augmentation`, `data.shapes` and '
                    '`data.variants`'
                )
            # of all parts the same seed: the validation predicts what the
            # training holds out
            return MeasuredData(slices, self.acquisition, self.seed)
        settings = {
            'seed': len(_PARTS) * self.seed + _PARTS.index(part),
            'fresh_noise': self.fresh_noise and part == 'train',
        }
        if self.measured:
            return MeasuredPairs(slices, self.acquisition, **settings)
        settings['augment'] = self._augmentations[part]
        if several is not None:
            kind = PairsOfShapes if self.variants is None else PairsOfVariants
            return kind(slices, self.acquisition, several, **settings)
        return SimulatedPairs(slices, self.acquisition, **settings)

    def _batch(self, pairs):
        """Return a batch of pairs, after checking their shapes."""
        operator = self.acquisition.operator
        for key, space in (
            ('data', operator.range),
            ('truth', operator.domain),
        ):
            expected = (n_channels(space), *grid_shape(space))
            for pair in pairs:
                # an acquisition of its own, or no truth
                if 'settings' in pair or key not in pair:
                    continue
                given = tuple(pair[key].shape)
                if given != expected:
                    raise ValueError(
                        f'`{key}` of {pair.get("name")} has the shape '
                        f'{given}, but the geometry of the configuration '
                        f'has {expected}'
                    )
        return default_collate(pairs)

    def _loader(self, dataset, **kwargs):
        return DataLoader(
            dataset,
            collate_fn=self._batch,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            # a generator of its own, to leave the global one unchanged
            generator=torch.Generator().manual_seed(self.seed),
            **kwargs,
        )

    def train_dataloader(self) -> Iterable[dict[str, Any]]:
        """Return the remaining batches of the run."""
        trainer = self.trainer
        pairs = self.pairs('train')
        accumulate = trainer.accumulate_grad_batches
        stream = SampleStream(
            len(pairs),
            self.batch_size,
            trainer.max_steps * accumulate,
            self.seed,
            trainer.global_rank,
            trainer.world_size,
            lambda: trainer.global_step * accumulate,
        )
        return _ResumableLoader(self._loader(pairs, batch_sampler=stream))

    def _evaluation_loader(self, part):
        pairs = self.pairs(part)
        trainer = self.trainer
        if len(pairs) < trainer.world_size:
            raise ValueError(
                f'there are {len(pairs)} pairs for `{part}`, fewer than the '
                f'{trainer.world_size} processes: take fewer processes'
            )
        share = share_of(len(pairs), trainer.global_rank, trainer.world_size)
        return self._loader(pairs, sampler=share, batch_size=1)

    def val_dataloader(self) -> DataLoader:
        """Return the validation pairs in batches of one."""
        return self._evaluation_loader('validation')

    def test_dataloader(self) -> DataLoader:
        """Return the test pairs in batches of one."""
        return self._evaluation_loader('test')


class _ResumableLoader:
    """A loader that begins at the step of the run.

    Its ``state_dict`` tells Lightning that it can be resumed.
    """

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)

    def __len__(self):
        return len(self.loader)

    def state_dict(self):
        """Return nothing, since the step tells where to begin."""
        return {}

    def load_state_dict(self, state):
        """Do nothing."""
