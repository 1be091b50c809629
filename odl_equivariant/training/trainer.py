# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Lightning's trainer, for reconstruction networks."""

import contextlib
import logging
import pathlib
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch import Trainer as LightningTrainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins import (
    CheckpointIO,
    ClusterEnvironment,
    LayerSync,
    Precision,
)

from odl_equivariant._checks import whole_number
from odl_equivariant._files import check_no_folder, full_disk_named
from odl_equivariant._folder_lock import FolderLock
from odl_equivariant.nn import for_inference
from odl_equivariant.nn.inference import check_arithmetic
from odl_equivariant.training._signals import interrupts_raised
from odl_equivariant.training.data import ReconstructionData
from odl_equivariant.training.display import Progress
from odl_equivariant.training.reconstruction.files import reconstruct_files
from odl_equivariant.training.reconstruction.measurements import (
    Measurements,
    SimulatedMeasurements,
    checksum,
)
from odl_equivariant.training.reconstruction.processes import in_all_processes
from odl_equivariant.training.runs.averaging import checked_decay
from odl_equivariant.training.runs.checkpoints import CheckpointFiles
from odl_equivariant.training.runs.files import remove_leftovers
from odl_equivariant.training.runs.fitting import fit_run
from odl_equivariant.training.runs.path import fast_precision
from odl_equivariant.training.runs.weights import chosen_weights, say_weights
from odl_equivariant.training.scores.tables import (
    Scores,
    save_scores,
    score_table,
)
from odl_equivariant.training.task import ReconstructionTask

__all__ = ('Trainer',)

_Plugin = Precision | CheckpointIO | ClusterEnvironment | LayerSync
_SCORES, _SCORES_LEFT = 'scores.csv', ('.scores-',)
_log = logging.getLogger(__name__)


class Trainer(LightningTrainer):
    """Train, evaluate and apply a reconstruction network.

    Parameters
    ----------
    default_root_dir : path-like
        Folder of the run. All files of the run are written to it.
    precision : str or int, optional
        As for Lightning, or ``'auto'``: mixed precision in bfloat16 if the
        processor has arithmetic for it, and ``'32-true'`` otherwise. A run
        that resumes keeps what it began with, where that is possible. A
        precision that the processor would emulate is an error, unless the
        environment variable ``ODL_EQUIVARIANT_ALLOW_EMULATION`` is 1.
    max_steps : int, optional
        Number of steps of the optimiser in the whole run.
    val_check_interval : int, optional
        Number of steps between validations.
    checkpoint_every : int, optional
        Number of steps between checkpoints.
    resume : bool, optional
        If true, training resumes from the last checkpoint in the folder, if
        there is one. If false, a folder that holds anything of a run
        (checkpoints, weights, ``config.yaml``, ``finished.json``) is an
        error.
    accumulate_grad_batches : int, optional
        Number of batches whose gradients are added up for one step.
    logger : Logger, list of Logger or bool, optional
        Loggers of numbers and images. Default: a file of comma-separated
        values in ``logs/``, and TensorBoard in ``tensorboard/``.
    callbacks, plugins : optional
        As for Lightning, in addition to our own.
    averaging : float, optional
        Decay ``d < 1`` of moving averages of the weights, such as 0.999.
        Validation, both files of weights, and the network after the training
        then have the averages ``a[k] = d[k] * a[k - 1] + (1 - d[k]) * w[k]``
        of the weights ``w[k]`` after step ``k``, with ``a[0] = w[0]`` and
        ``d[k] = min(d, k / (k + 9))``. They look back over about
        ``1 / (1 - d)`` steps, or over the last tenth of all steps if that is
        less. Default: no averages.
    num_sanity_val_steps, log_every_n_steps, enable_progress_bar, \
**kwargs : optional
        Further arguments of `lightning.pytorch.Trainer`.

    Attributes
    ----------
    configuration : str or None
        Configuration in YAML. The command sets it. `train` writes it to
        ``config.yaml`` in the folder. `evaluate` and `reconstruct` compare
        its acquisition with that of the run.

    Raises
    ------
    ValueError
        If a number of steps is not positive, or the processor would emulate
        the precision.

    Notes
    -----
    Checkpoints are safetensors files, see `CheckpointFiles` and `RunFolder`.
    Lightning does not replace samplers: `ReconstructionData` itself divides
    the samples among processes. A run is a single epoch of Lightning, however
    often it passes over the data. Its length is a number of steps.
    """

    def __init__(
        self,
        default_root_dir: str = 'run',
        precision: str | int = '32-true',
        max_steps: int = 1000,
        val_check_interval: int = 500,
        checkpoint_every: int = 500,
        resume: bool = True,
        accumulate_grad_batches: int = 1,
        logger: Logger | list[Logger] | bool = True,
        callbacks: Callback | list[Callback] | None = None,
        plugins: _Plugin | list[_Plugin] | None = None,
        averaging: float | None = None,
        num_sanity_val_steps: int = 0,
        log_every_n_steps: int = 10,
        enable_progress_bar: bool = True,
        **kwargs: Any,
    ) -> None:
        self.configuration: str | None = None
        is_auto = precision == 'auto'
        if is_auto:
            precision = fast_precision(kwargs.get('accelerator'))
        for name, value in (
            ('max_steps', max_steps),
            ('val_check_interval', val_check_interval),
            ('accumulate_grad_batches', accumulate_grad_batches),
        ):
            whole_number(f'trainer.{name}', value, 1)
        self.averaging = averaging
        if averaging is not None:
            self.averaging = checked_decay(averaging)
        self.checkpoint_every = checkpoint_every
        self.resume = resume
        if logger is True:
            logger = [
                CSVLogger(
                    default_root_dir, 'logs', flush_logs_every_n_steps=10
                ),
                TensorBoardLogger(default_root_dir, 'tensorboard'),
            ]
        super().__init__(
            default_root_dir=str(default_root_dir),
            precision=precision,
            max_steps=max_steps,
            max_epochs=-1,
            min_epochs=None,
            # Lightning counts batches
            val_check_interval=val_check_interval * accumulate_grad_batches,
            accumulate_grad_batches=accumulate_grad_batches,
            logger=logger,
            callbacks=[
                *_as_list(callbacks),
                *([Progress()] if enable_progress_bar else []),
            ],
            enable_progress_bar=enable_progress_bar,
            plugins=[*_as_list(plugins), CheckpointFiles()],
            num_sanity_val_steps=num_sanity_val_steps,
            check_val_every_n_epoch=None,
            log_every_n_steps=log_every_n_steps,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            **kwargs,
        )
        self.asked_precision = 'auto' if is_auto else self.precision
        # on a processor, Lightning takes bfloat16 where it is told '16-mixed'
        for start, dtype in (('bf16', torch.bfloat16), ('16', torch.float16)):
            if str(self.precision).startswith(start):
                check_arithmetic(dtype, self.strategy.root_device)

    @property
    def folder(self) -> pathlib.Path:
        """Folder of the run."""
        return pathlib.Path(self.default_root_dir)

    def train(
        self, model: ReconstructionTask, datamodule: ReconstructionData
    ) -> None:
        """Train a network, or resume an interrupted run.

        The folder is locked meanwhile, so that no other training writes to it.

        Parameters
        ----------
        model : ReconstructionTask
            Network, loss and optimiser.
        datamodule : ReconstructionData
            Training and validation pairs.

        Raises
        ------
        ValueError
            If the checkpoint is of another architecture or another run, all
            checkpoints are damaged, the folder holds a run that may not be
            resumed, or a new run would overwrite weights. Also if the network
            and the data have different geometries.
        BlockingIOError
            If another training is writing to the folder.
        OSError
            If a file cannot be written, a folder has the name of a file, or a
            file has the name of the folder. The message names it.
        FloatingPointError
            If the loss or a gradient is not finite.
        KeyboardInterrupt
            After Ctrl-C.
        """
        lock = self._lock(
            'training',
            'wait for it, or take another `trainer.default_root_dir`',
        )
        model.check_acquisition(datamodule.acquisition)
        with full_disk_named(self.folder), lock, interrupts_raised():
            fit_run(self, model, datamodule)

    def _lock(self, *arguments):
        """Return a lock on the folder, for all processes of the run."""
        if not self.is_global_zero:
            return contextlib.nullcontext()
        return FolderLock(self.folder, *arguments)

    def evaluate(
        self,
        model: ReconstructionTask,
        datamodule: ReconstructionData,
        weights: str | None = None,
    ) -> list[dict[str, Any]]:
        """Score a trained network and the baseline on the test pairs.

        Parameters
        ----------
        model : ReconstructionTask
            Network.
        datamodule : ReconstructionData
            Test pairs.
        weights : path-like, optional
            File of weights, or the name of a shipped model. Default: the best
            of the run in the folder.

        Returns
        -------
        rows : list of dict
            Scores of each image by each method. A ``'blank'`` image has no
            scores and is left out of the means. The scores are also written
            to ``scores.csv`` in the folder, and their means are printed.

        Raises
        ------
        BlockingIOError
            If another evaluation is writing to the folder. A training may be
            running.
        KeyboardInterrupt
            After Ctrl-C.
        """
        model.check_acquisition(datamodule.acquisition)
        path = self._weights(weights)
        lock = self._lock(
            'evaluating',
            'wait for it, or take another `trainer.default_root_dir` and '
            'name the `weights`',
            '.evaluation.lock',
        )
        with full_disk_named(self.folder), lock, interrupts_raised():
            if self.is_global_zero:
                check_no_folder(self.folder / _SCORES)
                remove_leftovers(self.folder, _SCORES_LEFT)
            model.load_weights(path)
            collect = Scores()
            self.callbacks.append(collect)
            try:
                self.test(model, datamodule=datamodule, verbose=False)
            finally:
                self.callbacks.remove(collect)
            rows = self._of_all_processes(collect.rows)
            if self.is_global_zero:
                save_scores(rows, self.folder / _SCORES)
                print(score_table(rows))
        return rows

    def reconstruct(
        self,
        model: ReconstructionTask,
        datamodule: ReconstructionData,
        output: str,
        input: str | None = None,
        weights: str | None = None,
        inference_precision: str = 'float32',
        compile: bool = False,
        tile: int | str | None = None,
        pictures: bool = True,
    ) -> int:
        """Reconstruct measured data, or the test pairs.

        Several processes, of one or of several nodes with a common folder,
        share the files. Each file is reconstructed by one of them, with the
        same result as by a single process. Any number of processes resumes
        what others have begun.

        Parameters
        ----------
        model : ReconstructionTask
            Network.
        datamodule : ReconstructionData
            Data, with the acquisition and the batch size.
        output : path-like
            Folder for the images. Images that are already in it are kept.
        input : path-like, optional
            File ``.npy``, or folder of such files. A file holds the data of
            one image, or of several along its first axis. Default: the data
            of the test pairs.
        weights : path-like, optional
            File of weights, or the name of a shipped model. Default: the best
            of the run in the folder.
        inference_precision, compile, tile : optional
            See `odl_equivariant.nn.for_inference`.
        pictures : bool, optional
            Whether to write a picture of each image, as PNG.

        Returns
        -------
        n_images : int
            Number of images that this call reconstructed.

        Raises
        ------
        ValueError
            If the network is a denoiser.
        """
        model.check_reconstructs()
        model.check_acquisition(datamodule.acquisition)
        weights = self._weights(weights)
        model.load_weights(weights)
        acquisition = datamodule.acquisition
        settings = {
            'weights': checksum(pathlib.Path(weights).read_bytes()),
            'acquisition': acquisition.fingerprint(),
            'precision': inference_precision,
        }
        device = self.strategy.root_device
        network = model.network.to(device)
        n_made = in_all_processes(
            self,
            reconstruct_files,
            for_inference(network, inference_precision, compile, tile),
            acquisition,
            SimulatedMeasurements(datamodule.pairs('test'))
            if input is None
            else Measurements(input, acquisition.operator.range),
            output,
            settings,
            datamodule.batch_size,
            pictures,
            progress=self.is_global_zero,
            device=device,
        )
        if self.is_global_zero:
            _log.info('%d images reconstructed, in %s', n_made, output)
        return n_made

    def _weights(self, name):
        """Return the path of the weights, and print which they are."""
        path, what = chosen_weights(self.folder, name)
        if self.is_global_zero:
            say_weights(path, what, self.configuration)
        return path

    def _of_all_processes(self, rows):
        if self.world_size == 1:
            return rows
        gathered = [None] * self.world_size
        torch.distributed.all_gather_object(gathered, rows)
        return sorted(sum(gathered, []), key=lambda row: row['index'])


def _as_list(value):
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
