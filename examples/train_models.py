# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Training of the models that are shipped
=======================================

The package ships six reconstruction networks for sparse-view CT, four for
magnetic resonance imaging from some of the lines, four denoisers that
are told the noise level, and five energies. For volumes, it ships two
networks for magnetic resonance imaging and two denoisers. Of each two, one is
equivariant and one is ordinary. They have the same width, and see the same
images in the same order.
One more is trained here, too, and not shipped: ``gradient_step_ordinary``,
the twin of ``gradient_step_c4``.

All settings are in YAML files, in ``examples/configs/shipped``. This script
hands them to ``odl-equivariant train`` and saves the weights as they are
shipped::

    python examples/train_models.py sparse_view_ct_c4 --output weights

For images :math:`u_i`, which are random phantoms in the first stages and
photographs, slices of magnetic resonance imaging and phantoms in the last
one, and their simulated data
:math:`y_i`, a reconstruction network :math:`\Phi_\theta` minimises

.. math::
    \sum_i \frac{\|\Phi_\theta(y_i; A_i) - u_i\|^2}{\|u_i\|^2}

over its weights :math:`\theta`, and a denoiser :math:`\sum_i
\|\Phi_\theta(y_i; \sigma_i) - u_i\|^2 / \sigma_i`. In magnetic resonance
imaging, the denominator has a floor, so that dark images count less. The
networks named ``splitting``, and those of volumes, start from a denoiser that
is shipped, which is trained further together with the steps and noise levels
of the method.

The training of a reconstruction network has stages, first on small images,
where a step costs a fraction, then on larger ones. Each stage is a run of its
own. It starts from the last checkpoint of the stage before. The learning rate
falls over the stages on phantoms, and once more over the last one; or, of the
splitting networks, over each, and of the primal-dual ones over both together.
If the training is interrupted, the same command resumes it. Of the networks
that begin on phantoms, what is shipped is the mean of the weights before and
after the last stage, see Wortsman et al., *Robust fine-tuning of zero-shot
models*, CVPR 2022: on heads it is as good as the weights before, and on other
images nearly as good as those after. With
``--seconds N``, a denoiser or an energy is trained for that time, and the
learning rate has fallen when it is over::

    python examples/train_models.py ridge_convex_c4 --seconds 300 \
        --trainer.accelerator gpu

Each file has a model card, which says in which unit and from which data a
network was trained. To write the cards of files that are there already::

    python examples/train_models.py --cards weights
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from stages.models import CONFIGS, MODELS  # noqa: F401

from odl_equivariant import models
from odl_equivariant.training import cli
from odl_equivariant.training.runs.checkpoints import last_whole

_FINAL = 'final.safetensors'
# The options that this script sets itself, and what to take instead.
OWN = {
    '--trainer.default_root_dir': '--output',
    '--trainer.max_steps': '--steps',
    '--trainer.max_time': '--seconds',
    '--model.pretrained': '--output, which holds the stages before',
    '--model.steps_before': '--steps',
    '--model.schedule_steps': '--steps',
}


# --- Training --- #


def check_output(output):
    """Raise an error if a folder has checkpoints of the former script."""
    old = sorted(output.glob('*.checkpoint.safetensors'))
    if old:
        raise ValueError(
            f'{old[0]} is a checkpoint of an earlier version of this script, '
            'from which `odl-equivariant train` cannot resume: choose another '
            '--output, or move the file away to train anew'
        )


def train(model, output, n_steps=None, options=(), seconds=None):
    """Train a model, or resume its training, and save it.

    Parameters
    ----------
    model : Model
        The model.
    output : pathlib.Path
        Folder that gets the weights, ``NAME.safetensors``, and a folder of
        the run of each stage, ``NAME/stage_1`` and so on.
    n_steps : int, optional
        Number of steps of all stages. Default: as in their files.
    options : sequence of str, optional
        Further options of ``odl-equivariant train``, for each stage.
    seconds : int, optional
        Time of all stages, if they do not end earlier. Where a rate falls to
        zero, it does so in this time.

    Returns
    -------
    status : int
        0, or what the command returned where it stopped.
    """
    lengths, times = model.lengths(n_steps), model.times(seconds)
    before, start = 0, []
    for i, (files, length) in enumerate(
        zip(model.stages, lengths, strict=True)
    ):
        folder = output / model.name / f'stage_{i + 1}'
        print(
            f'{model.name}: stage {i + 1} of {len(lengths)}, {length} steps, '
            f'in {folder}',
            flush=True,
        )
        arguments = ['train']
        for file in files:
            arguments += ['--config', str(file)]
        arguments += options
        arguments += [f'--trainer.default_root_dir={folder}']
        arguments += [f'--trainer.max_steps={length}']
        if times[i] is not None:
            arguments += [f'--trainer.max_time={_clock(times[i])}']
        if i < model.n_shared:
            together = sum(lengths[: model.n_shared])
            arguments += [f'--model.steps_before={before}']
            arguments += [f'--model.schedule_steps={together}']
        status = cli.main([*arguments, *start])
        if status:
            return status
        before += length
        last = last_whole(folder / 'checkpoints')
        if last is None and i + 1 < len(lengths):
            raise ValueError(
                f'{folder} has no checkpoints, from which the next stage '
                'starts: move this folder away to train the stage anew'
            )
        start = [f'--model.pretrained={last}']
    path = output / f'{model.name}.safetensors'
    before = None
    if 0 < model.n_shared < len(lengths):
        before = folder.with_name(f'stage_{model.n_shared}') / _FINAL
    model.save(folder / _FINAL, path, before)
    print(f'{model.name}: the weights are in {path}', flush=True)
    return 0


def _clock(seconds):
    """Return a time as days, hours, minutes and seconds."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours // 24:02}:{hours % 24:02}:{minutes:02}:{seconds:02}'


# --- Model cards --- #


def write_cards(folder):
    """Write the model cards of all files in a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Folder with files ``NAME.safetensors`` of these models. Their tensors
        stay as they are.
    """
    paths = [folder / f'{name}.safetensors' for name in sorted(MODELS)]
    paths = [path for path in paths if path.is_file()]
    if not paths:
        raise FileNotFoundError(f'there are no weights of models in {folder}')
    for path in paths:
        model = MODELS[path.stem]
        models.add_card(path, model.card(), model.value_range)
        print(models.describe(path), flush=True)


# --- Command line --- #


def parsed(arguments):
    """Return the models, the options of this script, and all others."""
    parser = argparse.ArgumentParser(
        usage='%(prog)s [NAME ...] [--output FOLDER] [--steps N] '
        '[--seconds N] [OPTION ...]',
        description='Train the shipped models, and save their weights. The '
        'same command resumes an interrupted training.',
        epilog='Every other OPTION is one of `odl-equivariant train`, for all '
        'stages, such as --data.workers 2. NAME is one of '
        f'{", ".join(sorted(MODELS))}; all by default.',
        allow_abbrev=False,
    )
    parser.add_argument(
        '--output',
        type=pathlib.Path,
        default=pathlib.Path('weights'),
        metavar='FOLDER',
        help='folder of the weights and of the runs [weights]',
    )
    parser.add_argument(
        '--steps',
        type=int,
        metavar='N',
        help='number of steps of all stages of a model [as shipped]',
    )
    parser.add_argument(
        '--seconds',
        type=int,
        metavar='N',
        help='time of the steps of all stages of a model, after which the '
        'learning rate has fallen to zero, if there are no fewer steps [no '
        'limit]',
    )
    parser.add_argument(
        '--cards',
        type=pathlib.Path,
        metavar='FOLDER',
        help='train nothing, and write the model cards of the files in it',
    )
    first = next(
        (i for i, a in enumerate(arguments) if a.startswith('-')),
        len(arguments),
    )
    names = arguments[:first] or list(MODELS)
    options, others = parser.parse_known_args(arguments[first:])
    for name in names:
        if name not in MODELS:
            parser.error(
                f'there is no model {name!r}; there are '
                f'{", ".join(sorted(MODELS))}'
            )
    if options.steps is not None and options.steps < 1:
        parser.error(f'--steps must be positive, got {options.steps}')
    if options.seconds is not None and options.seconds < 2:
        parser.error(f'--seconds must be at least 2, got {options.seconds}')
    for other in others:
        if other in MODELS:
            parser.error(f'names come first: put {other} before all options')
        key = other.partition('=')[0]
        if key in OWN:
            parser.error(f'this script sets {key}: use {OWN[key]}')
    return [MODELS[name] for name in names], options, others


def main(arguments=None):
    """Train the models that the command line names.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. Default: those of the process.

    Returns
    -------
    status : int
        0, or that of the command ``odl-equivariant train`` that failed.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    chosen, options, others = parsed(arguments)
    model = None
    try:
        if options.cards is not None:
            write_cards(options.cards)
            return 0
        check_output(options.output)
        for model in chosen:
            status = train(
                model, options.output, options.steps, others, options.seconds
            )
            if status:
                break
        else:
            return 0
    except (OSError, ValueError) as error:
        print(f'train_models.py: error: {error}', file=sys.stderr)
        status = 1
    if model is not None:
        print(
            f'{model.name}: not finished; once nothing is wrong, the same '
            'command resumes it',
            file=sys.stderr,
        )
    return status


if __name__ == '__main__':
    sys.exit(main())
