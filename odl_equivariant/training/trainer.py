# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Lightning's trainer, with what reconstruction needs beside it."""

import logging
import pathlib

import torch
from lightning.pytorch import Callback
from lightning.pytorch import Trainer as LightningTrainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from odl_equivariant.nn import for_inference
from odl_equivariant.nn.inference import has_bfloat16
from odl_equivariant.training.checkpoints import (
    CheckpointFiles,
    checkpoint_path,
    last_whole,
)
from odl_equivariant.training.display import Progress
from odl_equivariant.training.reconstruction import (
    Measurements,
    SimulatedMeasurements,
    checksum,
    reconstruct_files,
)
from odl_equivariant.training.run_folder import BEST, RunFolder
from odl_equivariant.training.tables import save_scores, score_table

__all__ = ('Trainer',)

_log = logging.getLogger(__name__)


class Trainer(LightningTrainer):
    """Train, evaluate and apply a reconstruction network.

    Parameters
    ----------
    default_root_dir : path-like
        Folder of the run: all that it leaves lies there.
    precision : str or int, optional
        As for Lightning, or ``'auto'``: mixed precision in bfloat16 where the
        processor has it, else ``'32-true'``.
    max_steps : int, optional
        Number of steps of the optimiser in the whole run.
    logger : Logger, list of Logger or bool, optional
        Where numbers and images go. Default: to a file of comma-separated
        values, in ``logs/``, and to TensorBoard, in ``tensorboard/``.
    callbacks, plugins : optional
        As for Lightning, besides our own.
    num_sanity_val_steps, check_val_every_n_epoch, log_every_n_steps, \
kwargs : optional
        Further arguments of `lightning.pytorch.Trainer`.

    Notes
    -----
    Checkpoints are safetensors files, see `CheckpointFiles` and `RunFolder`.
    Samplers are never replaced: those of `ReconstructionData` know of several
    processes themselves. ``val_check_interval`` counts steps of the run.
    """

    def __init__(
        self,
        default_root_dir: str = 'run',
        precision: str | int = '32-true',
        max_steps: int = 1000,
        logger: Logger | list[Logger] | bool = True,
        callbacks: Callback | list[Callback] | None = None,
        plugins: object | list[object] | None = None,
        num_sanity_val_steps: int = 0,
        check_val_every_n_epoch: int | None = None,
        log_every_n_steps: int = 10,
        **kwargs,
    ):
        if precision == 'auto':
            kind = 'cuda' if torch.cuda.is_available() else 'cpu'
            lowered = has_bfloat16(torch.device(kind))
            precision = 'bf16-mixed' if lowered else '32-true'
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
            logger=logger,
            callbacks=[*_as_list(callbacks), Progress()],
            plugins=[*_as_list(plugins), CheckpointFiles()],
            num_sanity_val_steps=num_sanity_val_steps,
            check_val_every_n_epoch=check_val_every_n_epoch,
            log_every_n_steps=log_every_n_steps,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            **kwargs,
        )

    @property
    def folder(self):
        """Folder of the run."""
        return pathlib.Path(self.default_root_dir)

    def train(
        self,
        model,
        datamodule,
        resume: bool = True,
        checkpoint_every: int = 500,
    ):
        """Train a network, or go on with a run that was interrupted.

        Parameters
        ----------
        model : ReconstructionTask
            Network, loss and optimiser.
        datamodule : ReconstructionData
            Training and validation pairs.
        resume : bool, optional
            Whether to go on from the last checkpoint in the folder, if there
            is one. Otherwise a folder with a run in it is an error.
        checkpoint_every : int, optional
            Number of steps between checkpoints.

        Raises
        ------
        ValueError
            If the checkpoint is of another architecture, all checkpoints are
            torn, or the folder has a run in it that must not go on.
        FloatingPointError
            If the loss or a gradient is not finite.
        """
        checkpoint = last_whole(self.folder / 'checkpoints')
        if checkpoint is not None and not resume:
            raise ValueError(
                f'the folder {self.folder} holds a run, {checkpoint.name}: '
                'take another `trainer.default_root_dir`, or `resume: true`'
            )
        for part in ('train', 'validation'):
            datamodule.pairs(part)
        if checkpoint is not None:
            _log.info('going on from %s', checkpoint)
            last = checkpoint_path(checkpoint.parent, self.max_steps)
            if checkpoint >= last:
                _log.info('all of its %d steps are made', self.max_steps)
                return
        keeper = RunFolder(self.folder, checkpoint_every)
        self.callbacks.append(keeper)
        try:
            self.fit(model, datamodule=datamodule, ckpt_path=checkpoint)
        finally:
            self.callbacks.remove(keeper)

    def evaluate(self, model, datamodule, weights: str | None = None):
        """Score a trained network beside the baseline on the test pairs.

        Parameters
        ----------
        model : ReconstructionTask
            Network.
        datamodule : ReconstructionData
            Test pairs.
        weights : path-like, optional
            File of weights. Default: the best of the run in the folder.

        Returns
        -------
        rows : list of dict
            Scores of each image by each method. They are also written to
            ``scores.csv`` in the folder, and their means printed.
        """
        model.load_weights(weights or self._best())
        collect = _Collect()
        self.callbacks.append(collect)
        try:
            self.test(model, datamodule=datamodule, verbose=False)
        finally:
            self.callbacks.remove(collect)
        rows = self._of_all_processes(collect.rows)
        if self.is_global_zero:
            save_scores(rows, self.folder / 'scores.csv')
            print(score_table(rows))
        return rows

    def reconstruct(
        self,
        model,
        datamodule,
        output: str,
        input: str | None = None,
        weights: str | None = None,
        inference_precision: str = 'float32',
        compile: bool = False,
        tile: int | str | None = None,
        pictures: bool = True,
    ):
        """Reconstruct measured data, file by file, or the test pairs.

        Parameters
        ----------
        model : ReconstructionTask
            Network.
        datamodule : ReconstructionData
            With the acquisition, and the batch size.
        output : path-like
            Folder for the images. Images that are already there are kept.
        input : path-like, optional
            File or folder of data, see `Measurements`. Default: the data of
            the test pairs.
        weights : path-like, optional
            File of weights. Default: the best of the run in the folder.
        inference_precision, compile, tile : optional
            See `odl_equivariant.nn.for_inference`.
        pictures : bool, optional
            Whether to write a picture of each image, as PNG.

        Returns
        -------
        n_images : int
            Number of images that were made in this call.
        """
        weights = weights or self._best()
        model.load_weights(weights)
        settings = {
            'weights': checksum(weights),
            'acquisition': repr(datamodule.acquisition),
            'precision': inference_precision,
        }
        acquisition = datamodule.acquisition
        n_made = reconstruct_files(
            for_inference(model.network, inference_precision, compile, tile),
            acquisition,
            SimulatedMeasurements(datamodule.pairs('test'))
            if input is None
            else Measurements(input, acquisition.operator.range),
            output,
            settings,
            datamodule.batch_size,
            pictures,
        )
        _log.info('%d images made, in %s', n_made, output)
        return n_made

    def _best(self):
        path = self.folder / BEST
        if not path.is_file():
            raise FileNotFoundError(
                f'there are no weights {path}: train first, or name a file '
                'by `weights`'
            )
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


class _Collect(Callback):
    """Keep the scores of each test pair."""

    def __init__(self):
        self.rows = []

    def on_test_batch_end(
        self, trainer, task, outputs, batch, batch_idx, dataloader_idx=0
    ):
        """Take the scores of a batch apart."""
        for i, name in enumerate(batch['name']):
            for method, values in outputs.items():
                row = {'index': int(batch['index'][i]), 'image': str(name)}
                row['method'] = method
                row |= {key: float(value[i]) for key, value in values.items()}
                self.rows.append(row)
