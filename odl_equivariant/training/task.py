# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The learning task: network, loss, optimiser and scores."""

import logging
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torchmetrics import MeanMetric

from odl_equivariant._checks import one_of, positive_number, whole_number
from odl_equivariant.data import Acquisition, Denoising
from odl_equivariant.elements import as_element, as_tensor, first_part
from odl_equivariant.models.architectures import check_classes
from odl_equivariant.models.cards import model_card
from odl_equivariant.nn import LearnedPrimalDual, LearnedProximalGradient
from odl_equivariant.training.configuration.networks import (
    check_method,
    checked_denoiser,
    first_difference,
)
from odl_equivariant.training.losses import (
    LOSSES,
    check_loss,
    check_penalty,
    loss_of,
    penalty_of,
)
from odl_equivariant.training.metrics import has_range, scores
from odl_equivariant.training.runs.checkpoints import end_of_run
from odl_equivariant.training.tables import listed

__all__ = ('LOSSES', 'ReconstructionTask')

_SCHEDULES = ('constant', 'cosine')
_log = logging.getLogger(__name__)


class ReconstructionTask(LightningModule):
    r"""Train an unrolled method, or a denoiser, on pairs.

    Parameters
    ----------
    acquisition : SparseViewCT, CartesianMRI or Denoising
        The network inverts its operator. Its baseline (filtered
        back-projection, zero-filled or noisy) is scored along with the
        network. With `odl_equivariant.data.Denoising`, the network is one
        block, a denoiser that is told the noise level.
    proximal : callable
        Called without arguments, it returns one block of the network. In a
        configuration: a class such as
        `odl_equivariant.nn.EquivariantProximal`, and its arguments. Those of
        a denoiser are ``gradient=False``, ``memory=0`` and
        ``noise_level=True``.
    n_iterations : int, optional
        Number of iterations of the network.
    shared : bool, optional
        Whether all iterations share one block.
    initial : {'zero', 'adjoint', 'fbp'}, optional
        Initial value of the iteration. A denoiser takes none of these three.
    loss : {'squared', 'relative', 'absolute', 'noise'}, optional
        Loss of a sample: half of the mean squared error, the squared error
        relative to the squared truth, or the mean absolute error. For a
        denoiser also ``'noise'``, the mean squared error divided by the noise
        level :math:`\sigma` of the sample.
    loss_floor : float, optional
        Added to the mean square of the truth in ``'relative'``, so that dark
        images count less, and images of zeros have a loss.
    learning_rate : float, optional
        Highest learning rate of Adam.
    schedule : {'constant', 'cosine'}, optional
        Course of the learning rate over the run.
    warm_up : int, optional
        Number of steps in which the learning rate rises linearly.
    steps_before : int, optional
        Number of steps that earlier runs have made: the schedule goes on
        from there.
    schedule_steps : int, optional
        Number of steps over which the cosine falls, counted from the first
        run. Default: to the end of this run.
    checkpointing : bool, optional
        Less memory for more time, see `LearnedProximalGradient`.
    channels_last : bool, optional
        Whether convolutions use this memory format. It is faster on most
        processors.
    pretrained : path-like, optional
        Weights to start from: a file of `odl_equivariant.models.save` of the
        same architecture, or a checkpoint, ending in ``.ckpt``, of another
        run. From a checkpoint, Adam's moments are taken, too.
    method : {'proximal_gradient', 'primal_dual'}, optional
        Unrolled method: `odl_equivariant.nn.LearnedProximalGradient`, or
        `odl_equivariant.nn.LearnedPrimalDual`, of which ``proximal`` returns
        the image-side blocks.
    dual : callable, optional
        For ``'primal_dual'``, and needed there: returns one data-side block.
        In a configuration: `odl_equivariant.nn.DualProximal`, and its
        arguments.
    hessian_penalty : float, optional
        For a `odl_equivariant.nn.GradientStepDenoiser`: weight of a penalty
        in the training on estimated norms of the Hessian above 0.9, as
        Hurault, Leclaire and Papadakis (ICML 2022) have it, so that
        `odl_equivariant.nn.ProximalDenoiser` finds them below 1. It is added
        to the loss of each sample. The energy needs a Hessian without jumps:
        ``activation='softplus'``. A step takes about seven times as long.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a block does not fit the
        operator.
    TypeError
        If `odl_equivariant.models.save` cannot save blocks of this class.
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
        method: str = 'proximal_gradient',
        dual: Callable[[], torch.nn.Module] | None = None,
        hessian_penalty: float = 0.0,
    ) -> None:
        super().__init__()
        check_loss(loss, loss_floor, acquisition)
        check_method(method, dual, acquisition)
        one_of('schedule', schedule, _SCHEDULES)
        positive_number('learning_rate', learning_rate)
        whole_number('warm_up', warm_up, 0)
        whole_number('steps_before', steps_before, 0)
        if schedule_steps is not None:
            whole_number('schedule_steps', schedule_steps, steps_before + 1)
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
        # Several processes may have uneven shares of the images, for which
        # Lightning's own means are wrong. A NaN is shown, since images
        # without scores were left out before.
        self._means = torch.nn.ModuleDict(
            {
                f'{part}/{name}': MeanMetric(nan_strategy='disable')
                for part in ('validation', 'test')
                for name in ('psnr', 'ssim', 'loss')
            }
        )
        if isinstance(acquisition, Denoising):
            self.network = checked_denoiser(proximal(), acquisition.space)
        elif dual is not None:
            self.network = LearnedPrimalDual(
                acquisition.forward_operator(),
                proximal() if shared else proximal,
                dual() if shared else dual,
                n_iterations,
                initial,
                checkpointing,
            )
        else:
            self.network = LearnedProximalGradient(
                acquisition.forward_operator(),
                proximal() if shared else proximal,
                n_iterations,
                initial,
                checkpointing,
            )
        check_penalty(hessian_penalty, self.network)
        self.hessian_penalty = hessian_penalty
        # an error now, not when the weights are saved
        check_classes(self.network)
        self.network.card = model_card(acquisition)
        if pretrained is not None:
            if pathlib.Path(pretrained).suffix == '.ckpt':
                self._load_checkpoint(pretrained)
            else:
                self.load_weights(pretrained)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Load the weights in a file of `odl_equivariant.models.save`.

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

    def check_acquisition(self, acquisition: Acquisition) -> None:
        """Raise an error if data are on another grid than the network's.

        Parameters
        ----------
        acquisition : Acquisition
            Acquisition of the data.

        Raises
        ------
        ValueError
            If its images or its data are on another grid than those of the
            acquisition of the network, even if they have the same shape.
        """
        ours, theirs = (
            a.forward_operator() for a in (self.acquisition, acquisition)
        )
        for what, one, other in (
            ('images', ours.domain, theirs.domain),
            ('data', ours.range, theirs.range),
        ):
            if _partition(one) != _partition(other):
                raise ValueError(
                    f'the network is made for {self.acquisition!r}, and its '
                    f'{what} are on another grid than those of '
                    f'{acquisition!r}: give both the same acquisition'
                )

    def _load_checkpoint(self, path):
        """Take the weights, and Adam's moments, of a checkpoint."""
        architecture, weights, self._moments = end_of_run(path)
        self._check_architecture(architecture, f'the network in {path}')
        self.load_state_dict(weights)

    def check_reconstructs(self) -> None:
        """Raise a ValueError for a denoiser, which needs a noise level."""
        if isinstance(self.acquisition, Denoising):
            raise ValueError(
                'a denoiser must be told the noise level, and files of data '
                'have none: load its weights by `odl_equivariant.models.load` '
                'and call `denoiser(images, sigma=...)`'
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the architecture to a checkpoint."""
        checkpoint['architecture'] = self.network.architecture

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raise a ValueError for a checkpoint of another architecture."""
        self._check_architecture(
            checkpoint.get('architecture'), 'the checkpoint'
        )

    def _check_architecture(self, theirs, what):
        ours = self.network.architecture
        if ours != theirs:
            raise ValueError(
                f'{what} is of another architecture than the configuration: '
                f'{first_difference(theirs, ours)}'
            )

    def forward(self, batch: dict[str, Any]) -> torch.Tensor:
        """Reconstruct the data of a batch.

        Parameters
        ----------
        batch : dict
            Batch of pairs: ``'data'``, and possibly ``'mask'``,
            ``'coil_maps'``, ``'sigma'``, and ``'shape'``, of which the first
            one counts for all.

        Returns
        -------
        images : torch.Tensor
            Reconstructions of shape ``(N, C, n, m)``.
        """
        if isinstance(self.acquisition, Denoising):
            return self.network(batch['data'], sigma=batch['sigma'])
        acquisition, network = self._of_shape(batch.get('shape'))
        operators = None
        own = own_parts(batch)
        if own:
            operators = [
                acquisition.forward_operator(**parts) for parts in own
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

    def training_step(
        self, batch: dict[str, Any], batch_idx: int
    ) -> torch.Tensor:
        """Return the loss of a batch, the mean over its samples.

        Raises
        ------
        FloatingPointError
            If the loss of a sample is not finite. The message names it.
        """
        self._names = ', '.join(map(str, batch['name']))
        truth = batch['truth']
        losses = self._losses(self(batch), batch)
        if self.hessian_penalty:
            losses = losses + penalty_of(
                self.hessian_penalty, self.network, batch
            )
        bad = (~torch.isfinite(losses)).nonzero().flatten().tolist()
        if bad:
            names = ', '.join(str(batch['name'][i]) for i in bad)
            raise FloatingPointError(
                f'the loss is {losses[bad[0]].item()} for {names} at step '
                f'{self.global_step}; the last checkpoint was written before. '
                'Check these data, or take a smaller learning rate'
            )
        self.log(
            'train/loss', losses.mean(), batch_size=len(truth), sync_dist=True
        )
        return losses.mean()

    def on_before_optimizer_step(
        self, optimizer: torch.optim.Optimizer
    ) -> None:
        """Raise an error if a gradient is not finite."""
        if getattr(self.trainer.precision_plugin, 'scaler', None) is not None:
            return  # the scaler skips such steps
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if not gradients or _have_finite_norms(gradients):
            return
        for name, parameter in self.named_parameters():
            gradient = parameter.grad
            if gradient is not None and not gradient.isfinite().all():
                raise FloatingPointError(
                    f'the gradient of {name} is not finite for {self._names} '
                    f'at step {self.global_step}; the last checkpoint was '
                    'written before. Check these data, or take a smaller '
                    'learning rate'
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
        _, own = self._evaluate(batch, batch_idx, 'test')
        baseline = scores(self.baseline(batch), batch['truth'])
        return {
            'learned': own,
            self.acquisition.baseline_name: baseline,
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

    def configure_optimizers(self) -> dict[str, Any]:
        """Return Adam and the schedule of its learning rate."""
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


def _have_finite_norms(tensors):
    """Return whether all norms are finite, after a single wait for a GPU.

    A norm can overflow where the tensor is finite.
    """
    norms = torch._foreach_norm(tensors)
    device = norms[0].device
    norms = torch.stack([norm.to(device, torch.double) for norm in norms])
    return bool(norms.isfinite().all())


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
    return [
        dict(zip(keys, (part.cpu().numpy() for part in parts), strict=True))
        for parts in zip(*(batch[key] for key in keys), strict=True)
    ]


def _partition(space):
    """Return the grid of a space, or of the first part of a product."""
    return getattr(first_part(space), 'partition', None)
