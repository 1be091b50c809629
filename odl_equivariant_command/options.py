# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What the help of ``odl-equivariant`` says of its commands and options."""

import textwrap

__all__ = ('COMMANDS', 'WIDTH', 'Command', 'Option')

WIDTH = 79


class Option:
    """One line of the help.

    Parameters
    ----------
    name : str
        The option, without its dashes.
    value : str or tuple of str
        What it takes: a word for it, or all choices.
    text : str
        What it does.
    default : optional
        Its default, as the parser has it.
    """

    def __init__(self, name, value, text, default=None):
        self.name = name
        self.choices = value if isinstance(value, tuple) else ()
        self.value = f'{{{",".join(value)}}}' if self.choices else value
        self.text = text
        self.default = default

    def __str__(self):
        default = self.default
        if isinstance(default, bool):
            default = str(default).lower()
        text = self.text if default is None else f'{self.text} [{default}]'
        lines = textwrap.wrap(text, WIDTH - 6)
        return '\n      '.join([f'  --{self.name} {self.value}', *lines])


class Command:
    """What the help says of one command.

    Parameters
    ----------
    summary : str
        What it does, in a line.
    text : str
        More about it.
    examples : tuple of str
        Lines that run.
    options : tuple of Option
        Those that matter.
    """

    def __init__(self, summary, text, examples, options):
        self.summary = summary
        self.text = text
        self.examples = examples
        self.options = options


_CONFIG = Option(
    'config',
    'FILE',
    'Configuration in YAML; a later one overrides an earlier one, and '
    'options override all. The source has some in examples/configs/.',
)
_FOLDER = Option(
    'trainer.default_root_dir', 'FOLDER', 'Folder of the run.', 'run'
)
_ACCELERATOR = Option(
    'trainer.accelerator', ('auto', 'cpu', 'gpu'), 'Where to compute.', 'auto'
)
_WEIGHTS = Option(
    'weights',
    'FILE',
    'File of weights, or the name of a shipped model. Without it: the best '
    'ones of the run.',
)
_WORKERS = Option(
    'data.workers', 'N', 'Number of processes that prepare data.', 0
)

COMMANDS = {
    'train': Command(
        'Train a network, or go on with a run that was interrupted.',
        'All that a run leaves is in its folder: weights, checkpoints, scores '
        'and the configuration. The same line goes on where it was stopped.',
        (
            'train --config examples/configs/ct_small.yaml',
            'train --config examples/configs/ct_small.yaml '
            '--trainer.max_steps 2000',
        ),
        (
            _CONFIG,
            _FOLDER,
            Option(
                'trainer.max_steps', 'N', 'Number of steps of the run.', 1000
            ),
            Option(
                'trainer.precision',
                ('auto', '32-true', 'bf16-mixed'),
                'Precision of the convolutions; auto takes bfloat16 where the '
                'processor has it.',
                '32-true',
            ),
            Option(
                'trainer.averaging',
                'DECAY',
                'Decay, such as 0.999, of moving averages of the weights, '
                'which are then validated and saved.',
            ),
            _ACCELERATOR,
            Option(
                'model.proximal',
                'CLASS',
                'Block of the network: odl_equivariant.nn.EquivariantProximal '
                'or OrdinaryProximal, with its --model.proximal.init_args.',
            ),
            Option(
                'model.n_iterations',
                'N',
                'Number of iterations of the network.',
                8,
            ),
            Option(
                'model.initial',
                ('zero', 'adjoint', 'fbp'),
                'Where the network starts.',
                'zero',
            ),
            Option(
                'model.loss',
                ('squared', 'relative', 'absolute', 'noise', 'charbonnier'),
                'What is made small; noise is for denoisers.',
                'squared',
            ),
            Option(
                'model.learning_rate', 'RATE', 'Largest step of Adam.', 1e-4
            ),
            Option(
                'model.schedule',
                ('constant', 'cosine'),
                'How the step goes on.',
                'constant',
            ),
            Option(
                'data.batch_size',
                'N',
                'Samples of one process in one step.',
                1,
            ),
            _WORKERS,
        ),
    ),
    'evaluate': Command(
        'Score a trained network beside the baseline on the test images.',
        'Prints PSNR and SSIM, and which weights were scored; those of each '
        'image are in scores.csv in the folder of the run.',
        ('evaluate --config examples/configs/ct_small.yaml',),
        (
            _CONFIG,
            _WEIGHTS,
            _FOLDER,
            _ACCELERATOR,
            Option(
                'data.test',
                'CLASS',
                'Set of test images, such as odl_equivariant.data.'
                'NumpySlices, with its --data.test.init_args.',
            ),
            _WORKERS,
        ),
    ),
    'reconstruct': Command(
        'Reconstruct measured data, file by file, or the test images.',
        'Without a configuration: FILE --model NAME --output IMAGE, with a '
        'shipped model or a file of weights. It takes scans (.mat, .h5, '
        '.xtekct, TIFF, .npy with a header) or k-space, and maybe --geometry '
        'FILE.yaml, --axis auto, --cell-size 0.2mm, --shape 512x512, --unit '
        '1/mm or HU, --strength and --maxiter of a prior, --slice, '
        '--coil-maps FILE.npy, or --kernel and --threshold, of k-space, '
        '--format nii.gz, '
        '--pictures true. With a configuration, it goes on where it was '
        'stopped, and never mixes results of different weights or data in '
        'one folder.',
        (
            'reconstruct my_scan.mat --model splitting_ct_c4 '
            '--output image.nii.gz',
            'reconstruct --config examples/configs/ct_small.yaml '
            '--input measured --output images',
        ),
        (
            _CONFIG,
            Option('output', 'FOLDER', 'Folder for the images.'),
            Option(
                'input',
                'FILE',
                'File .npy, or folder of such files, with the data of one '
                'image or of several along a first axis. Without it: the data '
                'of the test images.',
            ),
            _WEIGHTS,
            _FOLDER,
            _ACCELERATOR,
            Option('data.batch_size', 'N', 'So many images at once.', 1),
            Option(
                'inference_precision',
                ('float32', 'bfloat16', 'auto'),
                'Precision of the convolutions.',
                'float32',
            ),
            Option(
                'tile',
                'N',
                'Side of the tiles that bound the memory, or auto.',
            ),
            Option(
                'compile',
                ('true', 'false'),
                'Whether to compile the network, which pays on a GPU.',
                False,
            ),
            Option(
                'pictures',
                ('true', 'false'),
                'Whether to write a picture of each image, as PNG.',
                True,
            ),
        ),
    ),
}
