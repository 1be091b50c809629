# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The learning task: networks, loss, optimiser and scores."""

import logging
import math
import pathlib
from collections.abc import Callable

import torch
from lightning.pytorch import LightningModule
from torchmetrics import MeanMetric

from odl_equivariant.data import Denoising
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import LearnedProximalGradient
from odl_equivariant.nn.inference import proximals_of
from odl_equivariant.training.losses import LOSSES, check_loss, loss_of
from odl_equivariant.training.metrics import has_range, scores
from odl_equivariant.training.runs.checkpoints import end_of_run
from odl_equivariant.training.tables import listed

__all__ = ('LOSSES', 'ReconstructionTask')

_SCHEDULES = ('constant', 'cosine')
_log = logging.getLogger(__name__)


class ReconstructionTask(LightningModule):
    r"""Train a learned proximal gradient method, or a denoiser, on pairs.

    Parameters
    ----------
    acquisition : SparseViewCT, CartesianMRI or Denoising
        The network is made for its operator; its baseline (filtered
        back-projection, zero-filled or noisy) is scored beside the network.
        With `odl_equivariant.data.Denoising`, the network is one block, a
        denoiser that is told the noise level.
    proximal : callable
        Makes one block of the network: a class such as
        `odl_equivariant.nn.EquivariantProximal` and its arguments. Those of
        a denoiser are ``gradient=False``, ``memory=0`` and
        ``noise_level=True``.
    n_iterations : int, optional
        Number of iterations of the network.
    shared : bool, optional
        Whether all iterations share one block.
    initial : {'zero', 'adjoint', 'fbp'}, optional
        Where the network starts. A denoiser takes none of these three.
    loss : {'squared', 'relative', 'absolute', 'noise'}, optional
        Half of the mean squared error, the squared error relative to the
        square of the truth, or the mean absolute error of a sample. For a
        denoiser also ``'noise'``, the mean squared error divided by the noise
        level :math:`\sigma` of the sample.
    loss_floor : float, optional
        Added to the mean square of the truth in ``'relative'``, so that dark
        images count less, and images of zeros have a loss.
    learning_rate : float, optional
        Step of Adam, at its highest.
    schedule : {'constant', 'cosine'}, optional
        How the step goes on.
    warm_up : int, optional
        Number of steps in which it rises.
    steps_before : int, optional
        Number of steps that earlier runs have made: the schedule goes on
        from there.
    schedule_steps : int, optional
        Number of steps over which the cosine falls, counted from the first
        run. Default: to the end of this run.
    checkpointing : bool, optional
        See `LearnedProximalGradient`: less memory, more time.
    channels_last : bool, optional
        Memory format of the convolutions; faster on most processors.
    pretrained : path-like, optional
        Weights to start from: a file of `odl_equivariant.models.save` of the
        same architecture, or a checkpoint, ending in ``.ckpt``, of another
        run. From a checkpoint, Adam's moments are taken, too.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a block does not fit.
    TypeError
        If the blocks are of a class that `odl_equivariant.models.save` does
        not know.
    """

    def __init__(
        self,
        acquisition: object,
        proximal: Callable[[], torch.nn.Module],
        n_iterations: int = 8,
        shared: bool = False,
        initial: str = 'zero',
        loss: str = 'squared',
        loss_floor: float = 0.0,
        learning_rate: float = 1e-4,
        schedule: str = 'constant',
        warm_up: int = 0,
        steps_before: int = 0,
        schedule_steps: int | None = None,
        checkpointing: bool = False,
        channels_last: bool = True,
        pretrained: str | None = None,
    ):
        super().__init__()
        check_loss(loss, loss_floor, acquisition)
        if schedule not in _SCHEDULES:
            raise ValueError(
                f'`schedule` must be one of {", ".join(_SCHEDULES)}, got '
                f'{schedule!r}'
            )
        if not (0 < learning_rate < math.inf) or warm_up < 0:
            raise ValueError(
                '`learning_rate` must be positive and `warm_up` not negative, '
                f'got {learning_rate} and {warm_up}'
            )
        if steps_before < 0 or (
            schedule_steps is not None and schedule_steps <= steps_before
        ):
            raise ValueError(
                '`steps_before` must not be negative, and `schedule_steps` '
                f'above it, got {steps_before} and {schedule_steps}'
            )
        self.acquisition = acquisition
        self.loss = loss
        self.loss_floor = loss_floor
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warm_up = warm_up
        self.steps_before = steps_before
        self.schedule_steps = schedule_steps
        self._moments = None
        self._of_shapes = {}
        self._names = ''
        self._blank, self._named = [], set()
        # Means over uneven shares of several processes, which those of
        # Lightning are not. What is not a number is no matter to be silent
        # about: images without scores are left out before.
        self._means = torch.nn.ModuleDict(
            {
                f'{part}/{name}': MeanMetric(nan_strategy='disable')
                for part in ('validation', 'test')
                for name in ('psnr', 'ssim', 'loss')
            }
        )
        if isinstance(acquisition, Denoising):
            self.network = _checked_denoiser(proximal(), acquisition.space)
        else:
            self.network = LearnedProximalGradient(
                acquisition.forward_operator(),
                proximal() if shared else proximal,
                n_iterations,
                initial,
                checkpointing,
            )
        # of others no weights could be saved, which would be seen late
        proximals_of(self.network)
        if pretrained is not None:
            if pathlib.Path(pretrained).suffix == '.ckpt':
                self._load_checkpoint(pretrained)
            else:
                self.load_weights(pretrained)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)

    def load_weights(self, path):
        """Take the weights of a file of `odl_equivariant.models.save`.

        Parameters
        ----------
        path : path-like
            File of a network of the same architecture.

        Raises
        ------
        ValueError
            If the file is damaged, or of another architecture.
        """
        from odl_equivariant import models

        operator = None
        if not isinstance(self.acquisition, Denoising):
            operator = self.acquisition.forward_operator()
        loaded = models.load(path, operator)
        self._check_architecture(loaded.architecture, f'the network in {path}')
        self.network.load_state_dict(loaded.state_dict())

    def _load_checkpoint(self, path):
        """Take the weights, and Adam's moments, of a checkpoint."""
        architecture, weights, self._moments = end_of_run(path)
        self._check_architecture(architecture, f'the network in {path}')
        self.load_state_dict(weights)

    def check_reconstructs(self):
        """Raise a ValueError for a denoiser, which needs a noise level."""
        if isinstance(self.acquisition, Denoising):
            raise ValueError(
                'a denoiser must be told the noise level, and files of data '
                'have none: load its weights by `odl_equivariant.models.load` '
                'and call `denoiser(images, sigma=...)`'
            )

    def on_save_checkpoint(self, checkpoint):
        """Write down the architecture."""
        checkpoint['architecture'] = self.network.architecture

    def on_load_checkpoint(self, checkpoint):
        """Raise a ValueError for a checkpoint of another architecture."""
        self._check_architecture(
            checkpoint.get('architecture'), 'the checkpoint'
        )

    def _check_architecture(self, theirs, what):
        ours = self.network.architecture
        if ours != theirs:
            raise ValueError(
                f'{what} is of another architecture than the configuration: '
                f'{_first_difference(theirs, ours)}'
            )

    def forward(self, batch):
        """Reconstruct the data of a batch.

        Parameters
        ----------
        batch : dict
            Batch of pairs: ``'data'``, and possibly ``'mask'``, ``'sigma'``
            and ``'shape'``, of which the first one counts for all.

        Returns
        -------
        images : torch.Tensor
            Reconstructions of shape ``(N, C, n, m)``.
        """
        if isinstance(self.acquisition, Denoising):
            return self.network(batch['data'], sigma=batch['sigma'])
        acquisition, network = self._of_shape(batch.get('shape'))
        operators = None
        if 'mask' in batch:
            operators = [
                acquisition.forward_operator(mask.cpu().numpy())
                for mask in batch['mask']
            ]
        return network(batch['data'], operators)

    def _of_shape(self, shapes):
        """Return the acquisition of a batch, and the network with it."""
        if shapes is None:
            return self.acquisition, self.network
        shape = tuple(shapes[0].tolist())
        if shape not in self._of_shapes:
            acquisition = self.acquisition.with_shape(shape)
            # the same weights, so that no optimiser has to know of it
            network = self.network.with_operator(acquisition.operator)
            self._of_shapes[shape] = (acquisition, network)
        return self._of_shapes[shape]

    def _losses(self, result, batch):
        """Return the loss of each sample."""
        return loss_of(self.loss, result, batch, self.loss_floor)

    def training_step(self, batch, batch_idx):
        """Return the loss of a batch, the mean over its samples.

        Raises
        ------
        FloatingPointError
            If that of a sample is not finite; with the sample's name.
        """
        self._names = ', '.join(map(str, batch['name']))
        truth = batch['truth']
        losses = self._losses(self(batch), batch)
        bad = (~torch.isfinite(losses)).nonzero().flatten().tolist()
        if bad:
            names = ', '.join(str(batch['name'][i]) for i in bad)
            raise FloatingPointError(
                f'the loss is {losses[bad[0]].item()} for {names} at step '
                f'{self.global_step}; the last checkpoint is from before. '
                'Look at these data, or take a smaller learning rate'
            )
        self.log(
            'train/loss', losses.mean(), batch_size=len(truth), sync_dist=True
        )
        return losses.mean()

    def on_before_optimizer_step(self, optimizer):
        """Raise an error rather than take a step that is not finite."""
        if getattr(self.trainer.precision_plugin, 'scaler', None) is not None:
            return  # which leaves such steps out
        for name, parameter in self.named_parameters():
            gradient = parameter.grad
            if gradient is not None and not gradient.isfinite().all():
                raise FloatingPointError(
                    f'the gradient of {name} is not finite for {self._names} '
                    f'at step {self.global_step}; the last checkpoint is from '
                    'before. Look at these data, or take a smaller learning '
                    'rate'
                )

    def _evaluate(self, batch, batch_idx, part):
        result, truth = self(batch), batch['truth']
        own = scores(result, truth)
        counts = has_range(truth)
        numbers = range(batch_idx * len(truth), (batch_idx + 1) * len(truth))
        names = batch.get('name', batch.get('index', numbers))
        self._blank += [
            str(names[i]) for i in (~counts).nonzero().flatten().tolist()
        ]
        values = {f'{part}/{name}': own[name][counts] for name in own}
        loss = self._losses(result, batch)
        # relative to an image of zeros, there is none
        values[f'{part}/loss'] = loss[counts | loss.isfinite()]
        for name, value in values.items():
            mean = self._means[name]
            mean.update(value)
            self.log(name, mean, on_step=False, on_epoch=True)
        return result, own

    def _name_blank(self, part):
        """Say once which images have no scores."""
        new = [name for name in self._blank if (part, name) not in self._named]
        self._named.update((part, name) for name in new)
        self._blank = []
        if new:
            _log.warning(
                '%d of the %s images: the ground truth is constant, so that '
                'it has no scores, and is left out of their means: %s',
                len(new),
                part,
                listed(new),
            )

    def validation_step(self, batch, batch_idx):
        """Score the network; return its reconstructions."""
        result, _ = self._evaluate(batch, batch_idx, 'validation')
        return result

    def on_validation_epoch_end(self):
        """Say which images have no scores."""
        self._name_blank('validation')

    def test_step(self, batch, batch_idx):
        """Return the scores of network and baseline, sample by sample."""
        _, own = self._evaluate(batch, batch_idx, 'test')
        baseline = scores(self.baseline(batch), batch['truth'])
        return {
            'learned': own,
            self.acquisition.baseline_name: baseline,
            'blank': ~has_range(batch['truth']),
        }

    def on_test_epoch_end(self):
        """Say which images have no scores."""
        self._name_blank('test')

    def baseline(self, batch):
        """Return the reconstructions that the network has to beat.

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
        images = [
            as_tensor(self.acquisition.baseline(as_element(y, space)))
            for y in batch['data'].cpu()
        ]
        return torch.cat(images).to(batch['data'].device)

    def configure_optimizers(self):
        """Return Adam and the schedule of its steps."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        if self._moments is not None:
            own = optimizer.state_dict()
            optimizer.load_state_dict({**own, 'state': self._moments})
            self._moments = None
        n_steps = self.trainer.estimated_stepping_batches
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self._relative_rate(step, n_steps)
        )
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'},
        }

    def _relative_rate(self, step, n_steps):
        step += self.steps_before
        n_steps = self.schedule_steps or self.steps_before + n_steps
        rate = min(1, (step + 1) / (self.warm_up + 1))
        if self.schedule == 'cosine':
            rate *= 0.5 * (1 + math.cos(math.pi * min(1, step / n_steps)))
        return rate


def _checked_denoiser(block, space):
    """Return a block that is a denoiser for a space, or raise an error."""
    for name, expected in (
        ('gradient', False),
        ('memory', 0),
        ('noise_level', True),
    ):
        if getattr(block, name, None) != expected:
            raise ValueError(
                'the acquisition `Denoising` trains a denoiser, made with '
                '`gradient: false`, `memory: 0` and `noise_level: true` in '
                '`model.proximal.init_args`; got '
                f'{name}={getattr(block, name, None)!r}'
            )
    block.check_space(space)
    return block


def _first_difference(theirs, ours, place='it'):
    """Return where two architectures differ first, in words."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *ours]:
            if theirs.get(key) != ours.get(key):
                return _first_difference(
                    theirs.get(key), ours.get(key), str(key)
                )
    if isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            return f'it has {len(theirs)} {place}, not {len(ours)}'
        for one, other in zip(theirs, ours, strict=True):
            if one != other:
                return _first_difference(one, other, place)
    return f'{place} is {theirs!r}, not {ours!r}'
