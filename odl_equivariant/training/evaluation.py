# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""How a task scores its network and the baseline."""

import logging
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torchmetrics import MeanMetric

from odl_equivariant.data import Acquisition
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.training.losses import Loss
from odl_equivariant.training.losses.parts import predicted_measurements
from odl_equivariant.training.scores.films import film_scores
from odl_equivariant.training.scores.metrics import has_range, scores
from odl_equivariant.training.scores.tables import listed

__all__ = ('EvaluatedTask', 'own_parts')

_log = logging.getLogger(__name__)


class EvaluatedTask(LightningModule):
    """The part of a task that validates and tests.

    A subclass sets ``acquisition`` and ``_loss``, and has ``problem``.
    """

    acquisition: Acquisition
    _loss: Loss

    def __init__(self) -> None:
        super().__init__()
        self._blank, self._named = [], set()
        # Several processes may have uneven shares of the images, for which
        # Lightning's own means are wrong. A NaN is shown, since images
        # without scores were left out before.
        self._means = torch.nn.ModuleDict(
            {
                f'{part}/{name}': MeanMetric(nan_strategy='disable')
                for part in ('validation', 'test')
                for name in ('psnr', 'ssim', 'loss', 'held_out')
            }
        )

    def _evaluate(self, batch, batch_idx, part):
        # the same random numbers in each validation
        generator = torch.Generator().manual_seed(batch_idx)
        problem = self.problem(batch, generator)
        if 'truth' not in batch:
            return self._predict(problem, batch, part)
        truth = batch['truth']
        result = problem.reconstruct()
        own = self._scores(result, truth)
        counts = has_range(truth)
        numbers = range(batch_idx * len(truth), (batch_idx + 1) * len(truth))
        names = batch.get('name', batch.get('index', numbers))
        self._blank += [
            str(names[i]) for i in (~counts).nonzero().flatten().tolist()
        ]
        values = {f'{part}/{name}': own[name][counts] for name in own}
        loss = self._loss(problem)
        # relative to an image of zeros, there is none
        values[f'{part}/loss'] = loss[counts | loss.isfinite()]
        self._log_means(values)
        return result, own

    def _scores(self, result, truth):
        if getattr(self.acquisition, 'has_frames', False):
            return film_scores(result, truth)
        return scores(result, truth)

    def _log_means(self, values):
        for name, value in values.items():
            mean = self._means[name]
            mean.update(value)
            self.log(name, mean, on_step=False, on_epoch=True)

    def _predict(self, problem, batch, part):
        """Score how well the held-out measurements are predicted."""
        result, score = predicted_measurements(problem)
        self._log_means({f'{part}/held_out': score})
        return result, {'held_out': score}

    def _name_blank(self, part):
        """Say once which images have no scores."""
        new = [name for name in self._blank if (part, name) not in self._named]
        self._named.update((part, name) for name in new)
        self._blank = []
        if new:
            _log.warning(
                'the ground truth of %d %s images is constant: they have no '
                'scores, and the means leave them out: %s',
                len(new),
                part,
                listed(new),
            )

    def validation_step(
        self, batch: dict[str, Any], batch_idx: int
    ) -> torch.Tensor:
        """Score the network; return its reconstructions."""
        result, _ = self._evaluate(batch, batch_idx, 'validation')
        return result

    def on_validation_epoch_end(self) -> None:
        """Log which images have no scores."""
        self._name_blank('validation')

    def test_step(
        self, batch: dict[str, Any], batch_idx: int
    ) -> dict[str, Any]:
        """Return the scores of network and baseline, sample by sample."""
        if 'truth' not in batch:
            raise ValueError(
                'scores need ground truth, and these data have none: look at '
                'the images, `odl-equivariant reconstruct --model '
                'RUN/best.safetensors`, or give images as `data.test`'
            )
        _, own = self._evaluate(batch, batch_idx, 'test')
        baseline = self._scores(self.baseline(batch), batch['truth'])
        return {
            'learned': own,
            str(self.acquisition.baseline_name): baseline,
            'blank': ~has_range(batch['truth']),
        }

    def on_test_epoch_end(self) -> None:
        """Log which images have no scores."""
        self._name_blank('test')

    def baseline(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return reconstructions by the baseline of the acquisition.

        Parameters
        ----------
        batch : dict
            Batch of pairs.

        Returns
        -------
        images : torch.Tensor
            Filtered back-projections, zero-filled or noisy images.
        """
        space = self.acquisition.forward_operator().range
        maps = [
            {'coil_maps': own['coil_maps']} if 'coil_maps' in own else {}
            for own in own_parts(batch)
        ]
        images = [
            as_tensor(self.acquisition.baseline(as_element(y, space), **own))
            for y, own in zip(
                batch['data'].cpu(),
                maps or len(batch['data']) * [{}],
                strict=True,
            )
        ]
        return torch.cat(images).to(batch['data'].device)


def own_parts(batch):
    """Return what the operator of each sample is made of, if it has its own.

    Parameters
    ----------
    batch : dict of torch.Tensor
        Batch of pairs.

    Returns
    -------
    parts : list of dict
        Arguments of ``forward_operator`` for each sample, or an empty list.
    """
    keys = [key for key in ('mask', 'coil_maps') if key in batch]
    parts = {key: batch[key] for key in keys}
    if 'mask' in parts and 'held_out' in batch:
        parts['mask'] = parts['mask'].bool() & ~batch['held_out']
    return [
        dict(zip(keys, (part.cpu().numpy() for part in own), strict=True))
        for own in zip(*parts.values(), strict=True)
    ]
