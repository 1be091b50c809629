# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which networks the experiments are made of."""

import dataclasses
import hashlib
import json
import math
import pathlib

import yaml

__all__ = (
    'ARMS',
    'SCALES',
    'Experiment',
    'Run',
    'baselines_key',
    'experiments',
    'rehearsed',
    'rehearsed_task',
    'searched',
    'tasks',
)

SCALES = ('small', 'paper')
FOLDER = pathlib.Path(__file__).parent / 'settings'
# How arms are made, which the file of an experiment does not say.
_ROTATIONS = {'quarter turns': 'quarter', 'any angle': 'any'}
_UNTRAINED = ('averaged',)
_CYCLIC = 'C2', 'C3', 'C4', 'C6', 'C8', 'C12', 'D4'
# A basis of kernels after the group; escnn's is not named.
_BASES = 'grid', 'fourier'
ARMS = (
    'ordinary',
    *_ROTATIONS,
    *_UNTRAINED,
    *_CYCLIC,
    'SO2',
    *(f'{group} {basis}' for basis in _BASES for group in _CYCLIC),
)
SEARCH_SEED = 1000


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to train: all settings on which its weights depend.

    Parameters
    ----------
    task : str
        ``'ct'`` or ``'mri'``.
    scale : str
        ``'small'`` or ``'paper'``.
    group : str or None
        Group of the network; ``None`` for an ordinary one.
    rotation : str
        How the training images are turned, see `Augmentation`.
    smoothing : float
        Standard deviation, in pixels, by which all images are smoothed.
    size, seed : int
        Number of training images, and the seed of all random numbers.
    rate : float
        Learning rate.
    common : str
        Settings that all runs of the task share, as JSON.
    """

    task: str
    scale: str
    group: str | None
    rotation: str
    smoothing: float
    size: int
    seed: int
    rate: float
    common: str

    @property
    def settings(self):
        """Settings that all runs of the task share."""
        return json.loads(self.common)

    @property
    def key(self):
        """A short name, which differs if another network would be trained.

        Real slices of the tests may come later, and leave it as it is.
        """
        settings = self.settings
        settings.get('slices', {}).pop('test', None)
        own = {**dataclasses.asdict(self), 'common': settings}
        text = json.dumps(own, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        return f'{self.task}-{self.group or "ordinary"}-{self.size}-{digest}'


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The settings of one file, at one scale."""

    name: str
    title: str
    arms: tuple
    scale: str
    task: str = None
    vary: str = None
    baselines: bool = False
    max_steps: int = None
    own_rates: bool = False
    each_rate: bool = False
    rates: tuple = ()
    search_sizes: tuple = ()
    sizes: tuple = ()
    widths: tuple = ()
    seeds: tuple = ()
    smoothings: tuple = (0,)
    picture_of: dict = None
    cost_of: str = None
    rounds: int = 0

    def changed(self, common, width=None):
        """Return the settings of a task with what the experiment changes."""
        training, network = dict(common['training']), dict(common['network'])
        if self.max_steps:
            training['max_steps'] = self.max_steps
        if width:
            network['channels'] = width
        return {**common, 'training': training, 'network': network}

    def searches(self, common, task=None):
        """Return the runs that choose the learning rates.

        Parameters
        ----------
        common : dict
            Settings that all runs of the task share, see `tasks`.
        task : str, optional
            The task. Default: that of the experiment.

        Returns
        -------
        searches : dict of dict
            By the size of the training set and the width, the runs of each
            arm that has a search: ``'ordinary'`` for all ordinary ones, C4
            for all groups, and C4 with the same basis where an arm has one;
            with ``each_rate``, each group has runs of its own. With
            ``own_rates`` they are of this width and all settings of the
            experiment, its ``rates`` included, and of that one of its
            ``search_sizes`` whose ratio to this size is nearest to 1; if it
            has none, of this size. Without ``own_rates``, all have the same
            runs, of the settings of the task.
        """
        task = task or self.task
        arms = dict.fromkeys(map(self.searched_by, self.arms))
        found = {}
        for size, width in self._cells():
            own, n_images = common, common['search_size']
            if self.own_rates:
                own, n_images = (
                    self.changed(common, width),
                    min(
                        self.search_sizes or (size,),
                        key=lambda n, size=size: abs(math.log(n / size)),
                    ),
                )
                own = {**own, 'rates': self.rates or own['rates']}
            found[size, width] = {
                arm: searched(task, self.scale, own, n_images, arm)
                for arm in arms
            }
        return found

    def searched_by(self, arm):
        """Return the arm whose search chooses the rate of an arm."""
        if _ordinary(arm):
            return 'ordinary'
        group, basis = _parsed(arm)
        return arm if self.each_rate else ' '.join(filter(None, ('C4', basis)))

    def _cells(self):
        """Return all pairs of a size and a width, ``None`` for the task's."""
        return [(s, w) for s in self.sizes for w in self.widths or (None,)]

    def runs(self, common, rates, task=None):
        """Return a run for each arm, size, width, seed and smoothness.

        Parameters
        ----------
        common : dict
            Settings that all runs of the task share, see `tasks`.
        rates : dict of dict
            The learning rates of the arms that have a search, for each size
            and width as `searches` has them.
        task : str, optional
            The task. Default: that of the experiment.

        Returns
        -------
        runs : list of tuple
            Pairs of the name of an arm and its `Run`.
        """
        return [
            (
                arm,
                trained(
                    task or self.task,
                    self.scale,
                    arm,
                    size,
                    seed,
                    smoothing,
                    self.changed(common, width),
                    rates[size, width][self.searched_by(arm)],
                ),
            )
            for seed in self.seeds
            for size, width in self._cells()
            for smoothing in self.smoothings
            for arm in self.arms
        ]


def trained(task, scale, arm, size, seed, smoothing, common, rate):
    """Return the run that trains the network of an arm."""
    group, basis = None, None
    if not _ordinary(arm):
        group, basis = _parsed(arm)
    if basis:
        network = {**common['network'], 'basis': basis}
        common = {**common, 'network': network}
    return Run(
        task,
        scale,
        group,
        _ROTATIONS.get(arm, 'none'),
        float(smoothing),
        size,
        seed,
        rate,
        _shared(common),
    )


def _ordinary(arm):
    return arm == 'ordinary' or arm in _ROTATIONS or arm in _UNTRAINED


def _parsed(arm):
    """Return the group of an arm, and its basis of kernels or ``''``."""
    group, _, basis = arm.partition(' ')
    return group, basis


def searched(task, scale, common, size, arm):
    """Return the runs that choose the learning rate of an arm."""
    return [
        trained(task, scale, arm, size, SEARCH_SEED, 0, common, rate)
        for rate in common['rates']
    ]


def _shared(common):
    left_out = ('rates', 'tv_weights', 'search_size')
    shared = {k: v for k, v in common.items() if k not in left_out}
    return json.dumps(shared, sort_keys=True)


def baselines_key(task, common):
    """Return a short name of the baselines, which differs with settings."""
    left_out = ('rates', 'training', 'network', 'search_size')
    settings = {k: v for k, v in common.items() if k not in left_out}
    text = json.dumps(settings, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return f'{task}-baselines-{digest}'


def tasks(scale, folder=FOLDER):
    """Return the settings of all tasks at a scale, by their names."""
    path = pathlib.Path(folder) / 'tasks.yaml'
    return {
        name: _at_scale(scales, scale, f'{path}, {name}')
        for name, scales in _read(path).items()
    }


def rehearsed_task(settings, side):
    """Return the settings of a task with two steps on few small images.

    Parameters
    ----------
    settings : dict
        Settings of the task, see `tasks`.
    side : int
        Rows and columns of the images. All that is no size stays.
    """
    training = {**settings['training'], 'max_steps': 2}
    if 'warm_up' in training:
        training['warm_up'] = min(training['warm_up'], 1)
    images = dict(settings['images'])
    if 'folder' in images:
        images['shape'] = [side, side]
    return {
        **settings,
        'acquisition': {**settings['acquisition'], 'shape': [side, side]},
        'training': training,
        'images': images,
        'search_size': _fewer(settings['search_size']),
        'n_train': _fewer(settings['n_train']),
        'n_validation': 1,
        'n_test': 1,
    }


def rehearsed(experiment):
    """Return an experiment with as many runs, of fewer images and steps."""
    return dataclasses.replace(
        experiment,
        sizes=tuple(_fewer(size) for size in experiment.sizes),
        search_sizes=tuple(_fewer(n) for n in experiment.search_sizes),
        max_steps=experiment.max_steps and 3,
        rounds=min(experiment.rounds, 1),
    )


def _fewer(size):
    """Return a number of images, which is larger for a larger size."""
    return int(size).bit_length() - 1


def _read(path):
    try:
        loaded = yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise ValueError(f'{path} is no YAML: {error}') from error
    if not isinstance(loaded, dict):
        raise ValueError(f'{path} must hold settings by their names')
    return loaded


def _at_scale(settings, scale, where):
    if not isinstance(settings.get(scale), dict):
        raise ValueError(f'{where} has no settings for the scale {scale}')
    return settings[scale]


def experiments(scale, folder=FOLDER):
    """Return all experiments at a scale, by their names.

    Raises
    ------
    ValueError
        If a file has an arm or a setting that is not known.
    """
    found = {}
    for path in sorted(pathlib.Path(folder).glob('*.yaml')):
        if path.stem == 'tasks':
            continue
        loaded = _read(path)
        own = _at_scale(loaded, scale, path)
        settings = {**loaded, **own, 'scale': scale}
        for name in SCALES:
            settings.pop(name, None)
        unknown = set(settings.get('arms', ())) - set(ARMS)
        if unknown:
            raise ValueError(
                f'{path} has the arms {sorted(unknown)}; known are '
                f'{", ".join(ARMS)}'
            )
        fields = {f.name for f in dataclasses.fields(Experiment)}
        if not settings.keys() <= fields:
            raise ValueError(
                f'{path} has the settings {sorted(settings.keys() - fields)}; '
                f'known are {", ".join(sorted(fields))}'
            )
        found[path.stem] = Experiment(
            name=path.stem,
            **{
                k: tuple(v) if isinstance(v, list) else v
                for k, v in settings.items()
            },
        )
    return found
