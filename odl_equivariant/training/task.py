# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The learning task: network, loss, optimiser and scores."""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import torch

from odl_equivariant._checks import (
    boolean,
    one_of,
    positive_number,
    whole_number,
)
from odl_equivariant.data import Acquisition, Denoising
from odl_equivariant.elements import first_part
from odl_equivariant.models.architectures import check_classes
from odl_equivariant.models.cards import model_card
from odl_equivariant.nn.inference import channels_last_of
from odl_equivariant.training.configuration.networks import (
    check_method,
    made_network,
)
from odl_equivariant.training.configuration.pretrained import (
    check_architecture,
    check_no_replaced_values,
    load_weights,
    loaded_network,
)
from odl_equivariant.training.display import is_read
from odl_equivariant.training.evaluation import EvaluatedTask, own_parts
from odl_equivariant.training.losses import Loss, Problem, Supervised
from odl_equivariant.training.losses.penalties import (
    check_penalty,
    penalty_of,
)
from odl_equivariant.training.losses.supervised import LOSSES, check_loss
from odl_equivariant.training.optimisation import (
    adam,
    check_gradients,
    check_steps_rate,
)
from odl_equivariant.training.runs.checkpoints import end_of_run
from odl_equivariant.training.runs.memories import (
    check_memory,
    load_memory,
    save_memory,
)
from odl_equivariant.training.runs.schedules import (
    SCHEDULES,
    relative_rate,
    share_of_time,
)

__all__ = ('LOSSES', 'ReconstructionTask')


class ReconstructionTask(EvaluatedTask):
    r"""Train an unrolled method, or a denoiser, on pairs.

    Parameters
    ----------
    acquisition : SparseViewCT, CartesianMRI or Denoising
        The network inverts its operator. Its baseline (filtered
        back-projection, zero-filled or noisy) is scored along with the
        network. With `odl_equivariant.data.Denoising`, the network is one
        block, a denoiser that is told the noise level.
    proximal : callable, optional
        Called without arguments, it returns one block of the network. It may
        be left out with ``pretrained``, whose architecture is then taken. In a
        configuration: a class such as
        `odl_equivariant.nn.EquivariantProximal`, and its arguments. Those of
        a denoiser are ``gradient=False``, ``memory=0`` and
        ``noise_level=True``. For the method ``'half_quadratic_splitting'``
        the blocks are denoisers, too.
    n_iterations : int, optional
        Number of iterations of the network.
    shared : bool, optional
        Whether all iterations share one block.
    initial : {'zero', 'adjoint', 'fbp'}, optional
        Initial value of the iteration. A denoiser takes none of these three.
    loss : str or Loss, optional
        Loss of a sample, also one without ground truth, see
        `odl_equivariant.training.losses`. Or the name of a distance from the
        truth. ``'squared'``: half of the mean squared error; ``'relative'``:
        the squared error relative to the squared truth; ``'absolute'``: the
        mean absolute error; ``'charbonnier'``: the absolute error relative to
        the truth, with a smooth bottom, see
        `odl_equivariant.training.losses.Charbonnier`; for a denoiser also
        ``'noise'``: the mean squared error divided by the noise level
        :math:`\sigma` of the sample.
    loss_floor : float, optional
        Added to the mean square of the truth in ``'relative'`` and
        ``'charbonnier'``, so that dark images count less, and images of zeros
        have a loss.
    learning_rate : float, optional
        Highest learning rate of Adam.
    schedule : {'constant', 'cosine'}, optional
        Course of the learning rate over the run. With ``trainer.max_time``,
        the cosine has fallen to zero after that time, or at the last step if
        that comes first.
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
        Weights to start from: the name of a shipped model, a file of
        `odl_equivariant.models.save` of the same architecture, or a
        checkpoint, ending in ``.ckpt``, of another run. From a checkpoint,
        Adam's moments are taken, too, and ``proximal`` must be given. For the
        method ``'half_quadratic_splitting'`` also a denoiser, whose weights
        all denoisers of the network start from.
    method : str, optional
        Unrolled method. ``'proximal_gradient'``:
        `odl_equivariant.nn.LearnedProximalGradient`; ``'primal_dual'``:
        `odl_equivariant.nn.LearnedPrimalDual`, of which ``proximal`` returns
        the image-side blocks; ``'half_quadratic_splitting'``:
        `odl_equivariant.nn.LearnedHalfQuadraticSplitting`, of which it
        returns the denoisers.
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
    inner_iterations : int, optional
        For ``'half_quadratic_splitting'``: number of conjugate gradient
        iterations in each iteration, which may differ from that of the
        ``pretrained`` network. Default: 4.
    relative_steps, relative_levels : list of floats, optional
        For ``'half_quadratic_splitting'``: the steps, and the factors of the
        noise levels, at the start of the training; the first and the last, or
        all. Default: those of
        `odl_equivariant.nn.LearnedHalfQuadraticSplitting`.
    steps_learning_rate : float, optional
        Learning rate of the steps and noise levels of an unrolled method:
        few numbers, which a rate that suits the weights hardly moves in a
        short training. Default: ``learning_rate``.

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
        proximal: Callable[[], torch.nn.Module] | None = None,
        n_iterations: int = 8,
        shared: bool = False,
        initial: str = 'zero',
        loss: str | Loss = 'squared',
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
        inner_iterations: int | None = None,
        relative_steps: list[float] | None = None,
        relative_levels: list[float] | None = None,
        steps_learning_rate: float | None = None,
    ) -> None:
        super().__init__()
        if isinstance(loss, str):
            check_loss(loss, loss_floor, acquisition)
        elif not isinstance(loss, Loss):
            raise TypeError(
                '`loss` must be a name or a `Loss` of '
                f'`odl_equivariant.training.losses`, got {loss!r:.80}'
            )
        elif loss_floor:
            raise ValueError(
                '`loss_floor` is for the name of a loss: give `floor` to '
                '`Supervised`'
            )
        own = {
            'inner_iterations': inner_iterations,
            'relative_steps': relative_steps,
            'relative_levels': relative_levels,
        }
        check_method(method, dual, acquisition, own)
        boolean('checkpointing', checkpointing)
        one_of('schedule', schedule, SCHEDULES)
        positive_number('learning_rate', learning_rate)
        whole_number('warm_up', warm_up, 0)
        whole_number('steps_before', steps_before, 0)
        if schedule_steps is not None:
            whole_number('schedule_steps', schedule_steps, steps_before + 1)
        self.acquisition = acquisition
        self.loss = loss
        self.loss_floor = loss_floor
        self.learning_rate = learning_rate
        self.steps_learning_rate = steps_learning_rate
        self.schedule = schedule
        self.warm_up = warm_up
        self.steps_before = steps_before
        self.schedule_steps = schedule_steps
        self._moments = None
        # what a configuration gives may differ from the file of the weights
        self._chosen = ['inner_iterations'] if inner_iterations else []
        self._variants = {}
        self._names = ''
        rest = shared, initial, method, n_iterations, own, checkpointing
        if proximal is None:
            self.network = loaded_network(acquisition, pretrained, *rest)
        else:
            self.network = made_network(acquisition, proximal, dual, *rest)
        check_steps_rate(steps_learning_rate, self.network)
        check_penalty(hessian_penalty, self.network)
        check_memory(self.network)
        self.hessian_penalty = hessian_penalty
        # an error now, not when the weights are saved
        check_classes(self.network)
        self.network.card = model_card(acquisition)
        if pretrained is not None and proximal is not None:
            check_no_replaced_values(own, pretrained)
            if pathlib.Path(pretrained).suffix == '.ckpt':
                self._load_checkpoint(pretrained)
            else:
                self.load_weights(pretrained)
        self._loss = loss
        if isinstance(loss, str):
            self._loss = Supervised(loss, loss_floor)
        self._loss.check(acquisition, self.network)
        self.channels_last = boolean('channels_last', channels_last)
        if channels_last:
            self.network.to(memory_format=channels_last_of(self.network))

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Load the weights in a file of `odl_equivariant.models.save`.

        Parameters
        ----------
        path : path-like
            File of a network of the same architecture, or of the denoisers
            of a `odl_equivariant.nn.LearnedHalfQuadraticSplitting`.

        Raises
        ------
        ValueError
            If the file is damaged, or of another architecture.
        """
        load_weights(self.network, path, self.acquisition, self._chosen)

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
        theirs, weights, self._moments = end_of_run(path)
        ours = self.network.architecture
        what = f'the network in {path}'
        check_architecture(ours, theirs, what, self._chosen)
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
        """Add the architecture, and what is remembered, to a checkpoint."""
        checkpoint['architecture'] = self.network.architecture
        save_memory(self.network, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what is remembered; architectures must agree."""
        check_architecture(
            self.network.architecture,
            checkpoint.get('architecture'),
            'the checkpoint',
        )
        load_memory(self.network, checkpoint)

    def forward(self, batch: dict[str, Any]) -> torch.Tensor:
        """Reconstruct the data of a batch.

        Parameters
        ----------
        batch : dict
            Batch of pairs: ``'data'``, and possibly ``'mask'``,
            ``'coil_maps'``, ``'sigma'``, and ``'settings'``, which are the
            same for all.

        Returns
        -------
        images : torch.Tensor
            Reconstructions of shape ``(N, C, n, m)``.
        """
        return self.problem(batch).reconstruct()

    def problem(
        self,
        batch: dict[str, Any],
        generator: torch.Generator | None = None,
    ) -> Problem:
        """Return the inverse problem of a batch, as losses take it.

        Parameters
        ----------
        batch : dict
            Batch of pairs, see `forward`.
        generator : torch.Generator, optional
            Source of the random numbers of losses, on the CPU. Default: that
            of torch.

        Returns
        -------
        problem : Problem
            Network, operators and data.
        """
        if isinstance(self.acquisition, Denoising):
            acquisition, network, own = self.acquisition, self.network, []
        else:
            acquisition, network = self._variant(batch.get('settings'))
            own = own_parts(batch)
        operators = None
        if own:
            operators = [
                acquisition.forward_operator(**parts) for parts in own
            ]
        return Problem(
            network,
            batch['data'],
            acquisition,
            operators,
            batch['mask'].bool()[:, None] if 'mask' in batch else None,
            batch.get('truth'),
            batch.get('sigma'),
            own,
            generator,
            batch.get('scale'),
            batch.get('noise_level'),
            batch.get('held_out'),
        )

    def _variant(self, settings):
        """Return the acquisition of a batch, and the network with it."""
        if settings is None:
            return self.acquisition, self.network
        text = settings[0]
        if any(other != text for other in settings):
            raise ValueError(
                'the samples of a batch are of several acquisitions, '
                f'{", ".join(sorted(set(settings)))}: take batches of one'
            )
        if text not in self._variants:
            acquisition = self.acquisition.with_settings(**json.loads(text))
            # the same weights, so that no optimiser has to know of it
            network = self.network.with_operator(acquisition.operator)
            self._variants[text] = (acquisition, network)
        return self._variants[text]

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
        losses = self._loss(self.problem(batch))
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
        loss = losses.mean()
        if is_read('train/loss', self._trainer, self.global_step + 1):
            self.log(
                'train/loss', loss, batch_size=len(losses), sync_dist=True
            )
        return loss

    def on_fit_start(self) -> None:
        """Raise a ValueError for data without the truth that a loss needs."""
        data = getattr(self.trainer, 'datamodule', None)
        if data is None or not self._loss.needs_truth:
            return
        if not getattr(data.pairs('train'), 'has_truth', True):
            raise ValueError(
                f'`model.loss` {self.loss!r} needs ground truth, and measured '
                'data have none: set it to a loss of '
                '`odl_equivariant.training.losses`, such as '
                '`EquivariantSplitting`'
            )

    def on_before_optimizer_step(
        self, optimizer: torch.optim.Optimizer
    ) -> None:
        """Raise an error if a gradient is not finite."""
        if getattr(self.trainer.precision_plugin, 'scaler', None) is not None:
            return  # the scaler skips such steps
        check_gradients(self, self._names, self.global_step)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return Adam and the schedule of its learning rate."""
        optimizer = adam(
            self,
            self.network,
            self.learning_rate,
            self.steps_learning_rate,
            self._moments,
        )
        self._moments = None
        n_steps = self.trainer.estimated_stepping_batches
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: self._relative_rate(
                step, n_steps, share_of_time(self.trainer)
            ),
        )
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'},
        }

    def _relative_rate(self, step, n_steps, least_share=0.0):
        step += self.steps_before
        n_steps = self.schedule_steps or self.steps_before + n_steps
        return relative_rate(
            self.schedule, step, n_steps, self.warm_up, least_share
        )


def _partition(space):
    """Return the grid of a space, or of the first part of a product."""
    return getattr(first_part(space), 'partition', None)
