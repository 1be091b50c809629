# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Train one network and score it under all conditions."""

import contextlib
import functools
import json
import logging
import pathlib
import time
import warnings

import torch

from examples.experiments.conditions import CONDITIONS, samples, turned
from examples.experiments.images import acquisition_of, parts, real_slices
from examples.experiments.settings import SEARCH_SEED
from examples.experiments.tables import (
    REAL,
    SETS,
    VALIDATION,
    read_rows,
    write_rows,
)
from examples.experiments.total_variation import total_variation
from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.actions import group_actions
from odl_equivariant.data import Augmentation
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import EquivariantProximal, OrdinaryProximal
from odl_equivariant.training import (
    ReconstructionData,
    ReconstructionTask,
    Trainer,
    scores,
)

__all__ = ('finished', 'make_baselines', 'make_run', 'network_of', 'test_sets')

SCORES, DONE = 'scores.csv', 'run.json'


@contextlib.contextmanager
def _quiet():
    # the index says once how many files it skipped, and the data each time
    loggers = [
        logging.getLogger(name)
        for name in ('lightning.pytorch', 'odl_equivariant.training.data')
    ]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for words in (
            'The .*dataloader.* does not have many workers',
            '.*isinstance.treespec, LeafSpec.. is deprecated',
            '.*is applied to one sample of a batch after the other',
            '.*across ranks',
        ):
            warnings.filterwarnings('ignore', words)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def finished(folder):
    """Return the record of a finished run, or ``None``."""
    path = pathlib.Path(folder) / DONE
    if not path.is_file():
        return None
    return json.loads(path.read_text(encoding='utf-8'))


@_quiet()
def make_run(run, folder, folders, commit, averaged=False):
    """Train the network of a run and score it, unless this is done.

    Parameters
    ----------
    run : Run
        What to train.
    folder : path-like
        Folder of the run. An interrupted run is resumed.
    folders : dict
        Folders and files of images by their names.
    commit : str
        Commit of the code, which the scores name.
    averaged : bool, optional
        Whether to score the average over the group at test time, too.
    """
    folder = pathlib.Path(folder)
    if finished(folder) is not None:
        _complete(run, folder, folders, averaged)
        return
    folder.mkdir(parents=True, exist_ok=True)
    # what an earlier process spent on it is not known
    is_whole = not any(folder.iterdir())
    begin = time.process_time()
    torch.manual_seed(run.seed)
    settings = run.settings
    task, trainer, datamodule = _training(run, settings, folder, folders)
    trainer.train(task, datamodule)
    task.load_weights(folder / 'final.safetensors')
    sets = test_sets(settings, folders)
    network = task.network.eval()
    rows = _scored(network, run, sets)
    validation = _validation(rows)
    if averaged:
        rows += _scored(network, run, sets, averaged=True)
    write_rows(folder / SCORES, rows)
    summary = {
        'steps': trainer.max_steps,
        'parameters': sum(p.numel() for p in network.parameters()),
        'validation': validation,
        'seconds': time.process_time() - begin if is_whole else '',
        'commit': commit,
    }
    write_atomically(folder / DONE, json.dumps(summary).encode())


def _complete(run, folder, folders, averaged):
    """Score a trained network on what its scores do not have.

    These are real slices of tests that could not be read before, and the
    average over the group.
    """
    rows = scores_of(folder)
    known = {row['image'] for row in rows}
    slices = _slices(run.settings, folders).get(SETS[1], {})
    new = {name: x for name, x in slices.items() if name not in known}
    was_averaged = any(row.get('averaged') for row in rows)
    found = []
    if new:
        network = network_of(run, folder)
        for flag in (False, True) if was_averaged else (False,):
            found += _scored(network, run, {SETS[1]: new}, averaged=flag)
    if averaged and not was_averaged:
        sets = test_sets(run.settings, folders)
        found += _scored(network_of(run, folder), run, sets, averaged=True)
    if found:
        write_rows(folder / SCORES, rows + found)


def _scored(network, run, sets, averaged=False):
    """Return the scores of a network, or of its average over the group."""
    rows = _rows(
        functools.partial(_averaged if averaged else _once, network),
        acquisition_of(run.settings),
        sets,
        run.smoothing,
        # a search asks for the rate alone
        CONDITIONS[:1] if run.seed == SEARCH_SEED else CONDITIONS,
    )
    # the column is there without the average, too, which may come later
    return [{**row, 'averaged': 1 if averaged else ''} for row in rows]


def _once(network, sample):
    return network(sample.data, sample.operator)


def _validation(rows):
    """Return the mean score of phantoms and real slices, with equal weight.

    Validation has both, or the one of them that there is.
    """
    return _mean(
        _mean(row['psnr'] for row in rows if row['images'] == images)
        for images in VALIDATION
        if any(row['images'] == images for row in rows)
    )


@functools.lru_cache(maxsize=2)
def _parts_of(common, folders):
    return parts(json.loads(common), dict(folders))


def _parts(common, folders):
    """Return the parts of the images, which all runs share."""
    return _parts_of(common, tuple(folders.items()))


def _training(run, settings, folder, folders):
    """Return task, trainer and data of a run."""
    acquisition = acquisition_of(settings)
    network = dict(settings['network'])
    training = dict(settings['training'])
    arguments = {
        'in_channels': 2 if acquisition.space.is_complex else 1,
        'channels': network.pop('channels'),
        'skip': network.pop('skip'),
    }
    basis = network.pop('basis', None)
    proximal = functools.partial(OrdinaryProximal, **arguments)
    if run.group is not None:
        proximal = functools.partial(
            EquivariantProximal, group=run.group, basis=basis, **arguments
        )
    max_steps = training.pop('max_steps')
    trainer = Trainer(
        default_root_dir=str(folder),
        max_steps=max_steps,
        val_check_interval=max_steps,
        checkpoint_every=max(100, max_steps // 5),
        logger=False,
        gradient_clip_val=training.pop('gradient_clip_val', None),
        enable_progress_bar=False,
    )
    task = ReconstructionTask(
        acquisition,
        proximal,
        learning_rate=run.rate,
        **network,
        **training,
    )
    images = _parts(run.common, folders)
    datamodule = ReconstructionData(
        acquisition,
        train=lambda: images['train'],
        validation=lambda: images['validation'].subset([0]),
        n_train=run.size,
        augmentation=Augmentation(run.smoothing, run.rotation),
        seed=run.seed,
    )
    return task, trainer, datamodule


def network_of(run, folder):
    """Return the trained network of a run."""
    operator = acquisition_of(run.settings).operator
    return models.load(pathlib.Path(folder) / 'final.safetensors', operator)


def _averaged(network, sample):
    r"""Return the mean of :math:`T^{-1} \Phi(T y)` over the quarter turns."""
    space = sample.operator.domain
    total = 0
    for turn in group_actions(space, 'C4'):
        moved = turned(sample, turn)
        image = as_element(network(moved.data, moved.operator), space)
        total = total + as_tensor(turn.inverse(image))
    return total / 4


def test_sets(settings, folders):
    """Return the images to score with, by the names of the sets.

    Returns
    -------
    sets : dict of dict
        Validation and test images, and for each of them real slices, where
        there are any.
    """
    images = _parts(json.dumps(settings, sort_keys=True), folders)
    sets = {
        part: {
            f'{part} {name}': images[part][i]
            for i, name in enumerate(images[part].names)
        }
        for part in ('validation', 'test')
    }
    return sets | _slices(settings, folders)


def _slices(settings, folders):
    """Return the real slices to score with, by the names of the sets."""
    found = {
        real: real_slices(settings['slices'].get(part, ()), settings, folders)
        for part, real in zip(('validation', 'test'), REAL, strict=True)
    }
    return {images: members for images, members in found.items() if members}


@torch.no_grad()
def _rows(reconstruct, acquisition, sets, smoothing, conditions=CONDITIONS):
    """Return the scores of a method, one row for each test image."""
    rows = []
    for images, members in sets.items():
        own = CONDITIONS[:1] if images in VALIDATION else conditions
        for condition in own:
            for sample in samples(acquisition, members, condition, smoothing):
                values = scores(reconstruct(sample), sample.truth)
                rows.append(
                    {
                        'images': images,
                        'condition': condition,
                        'image': sample.name,
                        'psnr': float(values['psnr'][0]),
                        'ssim': float(values['ssim'][0]),
                    }
                )
    return rows


@_quiet()
def make_baselines(settings, folder, folders, commit):
    """Score total variation and the baseline of the acquisition.

    Parameters
    ----------
    settings : dict
        Settings of the task.
    folder : path-like
        Folder for the scores.
    folders : dict
        Folders of collections of images by their names.
    commit : str
        Commit of the code, which the scores name.
    """
    folder = pathlib.Path(folder)
    if finished(folder) is not None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    acquisition = acquisition_of(settings)

    def start(sample):
        y = as_element(sample.data, sample.operator.range)
        if sample.operator.range == acquisition.operator.range and isinstance(
            sample.operator, type(acquisition.operator)
        ):
            return y, acquisition.baseline(y)
        return y, sample.operator.adjoint(y)

    def regularised(weight, sample):
        y, x = start(sample)
        x = total_variation(sample.operator, y, x, weight)
        return as_tensor(x)

    sets = test_sets(settings, folders)
    validation = [
        (images, sample)
        for images in VALIDATION
        if images in sets
        for sample in samples(acquisition, sets[images], 'upright')
    ]
    tuning = {
        weight: _validation(
            [
                {'images': images, 'psnr': _psnr(regularised(weight, s), s)}
                for images, s in validation
            ]
        )
        for weight in settings['tv_weights']
    }
    weight = max(tuning, key=tuning.get)
    rows = []
    for name, method in (
        (acquisition.baseline_name, lambda s: as_tensor(start(s)[1])),
        ('TV', functools.partial(regularised, weight)),
    ):
        rows += [
            {'arm': name, **row}
            for row in _rows(method, acquisition, sets, 0.0)
        ]
    write_rows(folder / SCORES, rows)
    summary = {'tv_weight': weight, 'tuning': tuning, 'commit': commit}
    write_atomically(folder / DONE, json.dumps(summary).encode())


def scores_of(folder):
    """Return the rows that a run has written."""
    return read_rows(pathlib.Path(folder) / SCORES)


def _psnr(image, sample):
    return float(scores(image, sample.truth)['psnr'][0])


def _mean(values):
    values = list(values)
    return sum(values) / len(values)
