# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The identity of a training run: all on which its weights depend."""

import hashlib
import json
import os
import re

import odl_equivariant.data
from odl_equivariant.data.acquisitions.base import HOW_TO_COMPUTE
from odl_equivariant.training.configuration.yaml_files import parse_yaml

__all__ = (
    'changed_acquisition',
    'check_file',
    'check_same',
    'contents',
    'decisive',
    'identity',
)

_TRAINER = (
    'accumulate_grad_batches',
    'devices',
    'gradient_clip_algorithm',
    'gradient_clip_val',
    'num_nodes',
    'precision',
)
_LONGEST = 1000
# Settings that may change when a run resumes.
_FREE = {
    'model': ('checkpointing',),
    'data': ('evaluation_augmentation', 'test', 'validation', 'workers'),
}
# Settings that came later, with the values that mean the same as before.
_LATER = {
    'model': {
        'hessian_penalty': 0.0,
        'inner_iterations': None,
        'loss_floor': 0.0,
        'relative_levels': None,
        'relative_steps': None,
        'schedule_steps': None,
        'steps_before': 0,
        'steps_learning_rate': None,
    },
    'data': {'shapes': None, 'variants': None},
    'trainer': {'averaging': None},
}


def identity(trainer, task, data):
    """Return the settings of a run on which its weights depend.

    Parameters
    ----------
    trainer : Trainer
        Trainer, with the text of its configuration if there is one.
    task : ReconstructionTask
        Loss and optimiser. The architecture of the network is in a checkpoint
        anyway.
    data : ReconstructionData
        Settings of the batches. The images are compared by `contents`.

    Returns
    -------
    identity : dict
        Settings that JSON can hold.
    """
    acquisition = getattr(data, 'acquisition', None)
    fingerprint = getattr(acquisition, 'fingerprint', lambda: None)
    clip = trainer.gradient_clip_algorithm
    own = {
        'acquisition': _described(acquisition),
        'acquisition, arrays included': fingerprint(),
        'model': _attributes(
            task, 'learning_rate', 'loss', 'schedule', 'warm_up'
        )
        | _later('model', vars(task)),
        'data': _attributes(
            data, 'batch_size', 'fresh_noise', 'measured', 'n_train', 'seed'
        )
        | _later('data', vars(data)),
        'trainer': {
            'accumulate_grad_batches': trainer.accumulate_grad_batches,
            'gradient_clip_algorithm': getattr(clip, 'value', clip),
            'gradient_clip_val': trainer.gradient_clip_val,
            'number of processes': trainer.world_size,
            'precision': trainer.asked_precision,
        }
        | _later('trainer', vars(trainer)),
        # another order of channels rounds differently
        'channels_last': getattr(task, 'channels_last', None),
        # as Lightning's `seed_everything` leaves it
        'seed_everything': os.environ.get('PL_GLOBAL_SEED'),
    }
    if trainer.configuration is not None:
        own['configuration'] = decisive(parse_yaml(trainer.configuration))
    return json.loads(json.dumps(own, default=str))


def contents(pairs):
    """Return a description of a set of pairs, without making any pair.

    Parameters
    ----------
    pairs : Dataset
        Pairs, see `SimulatedPairs`.

    Returns
    -------
    contents : dict
        Their number, and, if known, a checksum of their names and their
        augmentation.
    """
    names = getattr(getattr(pairs, 'slices', None), 'names', None)
    if names is not None:
        content = json.dumps(list(map(str, names))).encode()
        names = hashlib.blake2b(content, digest_size=8).hexdigest()
    return {
        'number of images': len(pairs),
        'checksum of names': names,
        'augmentation': _described(getattr(pairs, 'augment', None)),
    }


def _attributes(thing, *names):
    return {name: _described(getattr(thing, name, None)) for name in names}


def _later(part, values):
    """Return the later settings among some, where they are not as before."""
    return {
        name: _described(values[name])
        for name, default in _LATER[part].items()
        if name in values and values[name] != default
    }


def _described(value):
    """Return a value, or a text that is the same in every process."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return re.sub(r' at 0x[0-9a-fA-F]+', '', repr(value))


def decisive(configuration):
    """Return the settings of a configuration on which the weights depend.

    Parameters
    ----------
    configuration : object
        Content of a file.

    Returns
    -------
    settings : dict
        The settings, except those that may change when a run resumes, with
        checksums in place of long lists, such as coil maps.

    Raises
    ------
    ValueError
        If it is not the configuration of a run. The message says why.
    """
    if not isinstance(configuration, dict):
        kind = type(configuration).__name__
        raise ValueError(
            'it must hold the keys seed_everything, trainer, model and '
            f'data, but is {"empty" if configuration is None else kind}'
        )
    settings = {}
    for part in ('trainer', 'model', 'data'):
        value = configuration.get(part)
        if not isinstance(value, dict):
            raise ValueError(
                f'`{part}` must hold keys of its own, but is {value!r:.60}'
            )
        later = _LATER.get(part, {})
        settings[part] = {
            key: value[key]
            for key in value
            if key not in _FREE.get(part, ())
            and (key not in later or value[key] != later[key])
        }
    settings['data'] = _with_earlier_settings(settings['data'])
    trainer = settings['trainer']
    names = [*_TRAINER, *(key for key in _LATER['trainer'] if key in trainer)]
    settings['trainer'] = {key: trainer.get(key) for key in names}
    settings['seed_everything'] = configuration.get('seed_everything')
    try:
        return _short(json.loads(json.dumps(settings, default=str)))
    except TypeError as error:
        raise ValueError(f'one of its keys is not a name: {error}') from error


def _with_earlier_settings(section):
    """Return the section of data without later settings of acquisitions."""
    acquisition = section.get('acquisition')
    if not isinstance(acquisition, dict):
        return section
    name = str(acquisition.get('class_path')).rpartition('.')[2]
    kind = getattr(odl_equivariant.data, name, None)
    later = getattr(kind, 'added_settings', {})
    arguments = acquisition.get('init_args')
    if not later or not isinstance(arguments, dict):
        return section
    kept = {
        key: value
        for key, value in arguments.items()
        if key not in later or value != later[key]
    }
    return {**section, 'acquisition': {**acquisition, 'init_args': kept}}


def _short(value):
    if isinstance(value, dict):
        return {key: _short(part) for key, part in value.items()}
    text = json.dumps(value)
    if isinstance(value, list) and len(text) > _LONGEST:
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return f'list of {len(value)} with the checksum {digest}'
    return value


def check_file(path, text, begun):
    """Raise an error if a file holds the configuration of another run.

    Parameters
    ----------
    path : pathlib.Path
        File that holds, or will hold, a configuration.
    text : str
        The configuration of this run, as YAML.
    begun : bool
        Whether the folder holds a run, which the file describes.

    Raises
    ------
    ValueError
        If the configurations differ, or the file is damaged. The message
        names the first difference.
    """
    if begun and path.is_file():
        try:
            before = decisive(parse_yaml(path.read_text('utf-8'), 'it'))
        except (RecursionError, ValueError) as error:
            raise ValueError(
                f'{path} is damaged: {error}. Delete it if the run in that '
                'folder is yours'
            ) from error
        check_same(
            before, decisive(parse_yaml(text)), f'the folder {path.parent}'
        )


def changed_acquisition(path, text):
    """Return how the acquisition differs from that of a run.

    Parameters
    ----------
    path : pathlib.Path
        File with the configuration of the run.
    text : str
        The configuration now, as YAML.

    Returns
    -------
    changes : list of str
        One text for each setting, such as ``'n_views: 8 instead of 9'``,
        where 9 is that of the run. Settings that only one of them has are
        left out. Empty if the file is missing or damaged.
    """
    try:
        run, now = (
            decisive(parse_yaml(content))['data']['acquisition']
            for content in (path.read_text('utf-8'), text)
        )
        if run['class_path'] != now['class_path']:
            return [f'{now["class_path"]} instead of {run["class_path"]}']
        run, now = run['init_args'], now['init_args']
        return [
            f'{key}: {now[key]!r} instead of {run[key]!r}'
            for key in run
            if key in now
            and key not in HOW_TO_COMPUTE
            and not _equal(run[key], now[key])
        ]
    except (KeyError, OSError, RecursionError, TypeError, ValueError):
        return []


def check_same(before, now, what):
    """Raise an error if the settings of two runs differ.

    Parameters
    ----------
    before, now : dict
        The settings of both. Settings that only one has are not compared.
    what : str
        Name of the first run, for the message.

    Raises
    ------
    ValueError
        If they differ. The message names the first difference.
    """
    for part in now:
        if part in before and not _equal(before[part], now[part]):
            difference = _difference(before, now, part)
            raise ValueError(
                f'{what} holds a run of another configuration, '
                f'{difference.removeprefix("configuration.")}: take another '
                '`trainer.default_root_dir`'
            )


def _equal(one, other):
    """Compare as JSON, in which NaN equals NaN."""
    one, other = (json.dumps(value, sort_keys=True) for value in (one, other))
    return one == other


def _difference(before, now, key):
    """Describe the first difference of two configurations."""
    one, other = before.get(key), now.get(key)
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *other]:
            if not _equal(one.get(name), other.get(name)):
                inner = _difference(one, other, name)
                return f'{key}.{inner}'
    return f'{key}: {one!r} instead of {other!r}'
