# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Training of the models that are shipped
=======================================

Two reconstruction networks for sparse-view CT, two for magnetic resonance
imaging from a quarter of the lines, and two noise-conditioned denoisers, each
equivariant and ordinary, of the same width, from the same phantoms in the
same order and with the same number of steps. For the images :math:`u_i` of
random phantoms and their simulated data :math:`y_i` we solve

.. math::
    \min_\theta \sum_i
    \frac{\|\Phi_\theta(y_i; A_i) - u_i\|^2}{\|u_i\|^2}

with Adam, first on small images, where a step costs a fraction, then on large
ones. The step size falls like a cosine over the whole training.

In tomography the operator :math:`A_i = A` is that of 25, then of 50 views. In
magnetic resonance imaging it changes with the mask, which is random. As the
lines are sampled along one axis alone, positions along the other do not mix,
and the networks are trained on strips: as long as an image along the axis of
phase encoding, which is always axis 1, and short along axis 0.

The same command resumes an interrupted run from its last checkpoint. All
random numbers depend only on the seed and the number of the step::

    python examples/train_models.py sparse_view_ct_c4 --output weights
"""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import time

import numpy as np
import safetensors
import safetensors.torch
import torch
from tqdm import tqdm

import odl_equivariant
from odl_equivariant.data import (
    CartesianMRI,
    SparseViewCT,
    ellipse_phantom,
    mr_phantom,
)
from odl_equivariant.elements import as_tensor
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)

SEED = 2021
CHANNELS = 48
HIGHEST_RATE = 1e-3
WARM_UP = 100
N_VALIDATION = 8
CHECKPOINT_EVERY = 100

# --- The tasks: stages of settings and number of steps --- #

CT_STAGES = (
    ({'shape': (128, 128), 'n_views': 25, 'n_photons': 1.2e4}, 1500),
    ({'shape': (256, 256), 'n_views': 50, 'n_photons': 1e4}, 1600),
)
MRI_STAGES = (
    ({'shapes': [(64, 64), (48, 96), (40, 128)], 'bfloat16': True}, 1800),
    ({'shapes': [(80, 128), (64, 192), (48, 256)], 'bfloat16': True}, 1000),
    ({'shapes': [(96, 192), (64, 256), (64, 320)], 'bfloat16': False}, 900),
)
N_MASKS = 24
DENOISER_STAGES = (({'shape': (256, 256), 'patch': 64, 'batch': 8}, 1200),)
NOISE_LEVELS = (0.003, 0.1)


class Task:
    """What all tasks do alike."""

    # of the phantoms, which goes into the file of the weights
    value_range = (0, 1)

    @staticmethod
    def apply(network, *inputs):
        """Return what the network makes of the inputs of a batch."""
        return network(*inputs)


class Tomography(Task):
    """Sparse-view CT: data and the networks that reconstruct from them."""

    stages = CT_STAGES

    def __init__(self, proximal_class):
        self.proximal_class = proximal_class

    def set_stage(self, settings):
        """Take the grid and the acquisition of a stage."""
        self.acquisition = SparseViewCT(**settings)

    def network(self, before=None):
        """Return the network of the stage, new or with weights from before."""
        if before is None:
            make = functools.partial(
                self.proximal_class, channels=CHANNELS, skip=True
            )
        else:
            make = iter(before.blocks).__next__
        network = LearnedProximalGradient(
            self.acquisition.operator, make, initial='fbp'
        )
        if before is not None:
            network.relative_steps = before.relative_steps
        return network

    def batch(self, rng):
        """Return data and ground truth of a random phantom."""
        phantom = ellipse_phantom(self.acquisition.fine_space.shape, rng)
        data = as_tensor(self.acquisition.simulate(phantom, rng))
        return (data,), as_tensor(self.acquisition.ground_truth(phantom))

    @staticmethod
    def loss(result, truth):
        """Return the squared error relative to the ground truth."""
        return (result - truth).square().sum() / truth.square().sum()


class MagneticResonance(Task):
    """MRI from random lines: data and networks that reconstruct from them."""

    # of real and imaginary parts, the magnitude being at most 1
    value_range = (-1, 1)

    stages = MRI_STAGES

    def __init__(self, proximal_class):
        self.proximal_class = proximal_class

    def set_stage(self, settings):
        """Take the shapes of a stage."""
        self.acquisitions = [
            CartesianMRI(shape) for shape in settings['shapes']
        ]
        self.bfloat16 = settings['bfloat16']
        self._networks = {}

    def network(self, before=None):
        """Return the network of the stage, new or with weights from before."""
        operator = self.acquisitions[0].operator
        if before is not None:
            return self._on(operator, before)
        return LearnedProximalGradient(
            operator,
            functools.partial(
                self.proximal_class,
                in_channels=2,
                channels=CHANNELS,
                skip=True,
            ),
            initial='adjoint',
        )

    @staticmethod
    def _on(operator, network):
        """Return the same network, with the same weights, of an operator."""
        other = LearnedProximalGradient(
            operator, iter(network.blocks).__next__, initial='adjoint'
        )
        other.relative_steps = network.relative_steps
        return other

    def batch(self, rng):
        """Return a strip's data, which lines they are, and the truth."""
        index = int(rng.integers(len(self.acquisitions)))
        acquisition = self.acquisitions[index]
        n, m = acquisition.shape
        # the field of view is as high as the body, or less
        side = max(n, round(m * rng.uniform(1, 1.3)))
        phantom = mr_phantom((side, side), rng, phase=rng.uniform() < 0.5)
        # the margins at both sides are air, mostly
        start = round((side - n) * rng.uniform(0.15, 0.85))
        below = (side - m) // 2
        strip = phantom[start : start + n, below : below + m]
        seed = int(rng.integers(N_MASKS))
        mask = acquisition.draw_mask(seed)
        data = as_tensor(acquisition.simulate(strip, rng, mask))
        truth = as_tensor(acquisition.ground_truth(strip))
        return (data, (index, seed)), truth

    def apply(self, network, data, lines):
        """Return what the network makes of data at these lines."""
        if lines not in self._networks:
            acquisition = self.acquisitions[lines[0]]
            mask = acquisition.draw_mask(lines[1])
            self._networks[lines] = self._on(
                acquisition.forward_operator(mask), network
            )
        with contextlib.ExitStack() as stack:
            if self.bfloat16:
                stack.enter_context(
                    torch.autocast('cpu', dtype=torch.bfloat16)
                )
            return self._networks[lines](data).float()

    @staticmethod
    def loss(result, truth):
        """Return the relative squared error, of dark strips less than that."""
        floor = 3e-3 * truth.numel()
        error = (result - truth).square().sum()
        return error / (truth.square().sum() + floor)


class Denoising(Task):
    """Gaussian denoising at a noise level that the network is told."""

    stages = DENOISER_STAGES

    def __init__(self, proximal_class):
        self.proximal_class = proximal_class

    def set_stage(self, settings):
        """Take the sizes of a stage."""
        self.shape = settings['shape']
        self.patch = settings['patch']
        self.n_patches = settings['batch']

    def network(self, before=None):
        """Return a new denoiser, or the one from before."""
        return before or self.proximal_class(
            channels=CHANNELS,
            memory=0,
            gradient=False,
            noise_level=True,
            n_residual_blocks=3,
            skip=True,
        )

    def batch(self, rng):
        """Return noisy patches of a phantom, noise levels and the truth."""
        fine = ellipse_phantom([2 * n for n in self.shape], rng)
        image = torch.nn.functional.avg_pool2d(
            torch.from_numpy(fine)[None, None], 2
        )
        corners = rng.integers(
            0, np.array(self.shape) - self.patch + 1, (self.n_patches, 2)
        )
        truth = torch.cat(
            [
                image[..., i : i + self.patch, j : j + self.patch]
                for i, j in corners
            ]
        )
        low, high = np.log(NOISE_LEVELS)
        sigma = np.exp(rng.uniform(low, high, self.n_patches))
        sigma = torch.from_numpy(sigma.astype('float32'))
        noise = rng.standard_normal(truth.shape, dtype='float32')
        noise = sigma[:, None, None, None] * torch.from_numpy(noise)
        self._sigma = sigma
        return (truth + noise, None, None, sigma), truth

    def loss(self, result, truth):
        """Return the squared error relative to the noise level."""
        error = (result - truth).square().mean((1, 2, 3))
        return (error / self._sigma).mean()


MODELS = {
    'sparse_view_ct_c4': Tomography(EquivariantProximal),
    'sparse_view_ct_ordinary': Tomography(OrdinaryProximal),
    'cartesian_mri_c4': MagneticResonance(EquivariantProximal),
    'cartesian_mri_ordinary': MagneticResonance(OrdinaryProximal),
    'denoiser_c4': Denoising(EquivariantProximal),
    'denoiser_ordinary': Denoising(OrdinaryProximal),
}


# --- Checkpoints: weights and the state of Adam, as safetensors --- #


def save_checkpoint(path, network, optimizer, step):
    """Write what a run needs to go on, whole or not at all."""
    tensors = dict(network.named_parameters())
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f'adam.{key}.{name}'] = value
    temporary = path.with_suffix('.tmp')
    safetensors.torch.save_file(
        {k: v.detach().contiguous() for k, v in tensors.items()},
        temporary,
        metadata={'step': str(step)},
    )
    os.replace(temporary, path)


def load_checkpoint(path, network, optimizer):
    """Restore a run and return the number of steps it has made."""
    with safetensors.safe_open(path, 'pt') as file:
        step = int(file.metadata()['step'])
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(file.get_tensor(name))
                optimizer.state[parameter] = {
                    key: file.get_tensor(f'adam.{key}.{name}')
                    for key in ('step', 'exp_avg', 'exp_avg_sq')
                }
    return step


# --- Training --- #


def learning_rates(n_steps):
    """Return the rate of each step: a rise, then a cosine."""
    steps = np.arange(n_steps)
    rise = np.minimum(1, (steps + 1) / WARM_UP)
    decay = 0.5 * (1 + np.cos(np.pi * steps / n_steps))
    return (HIGHEST_RATE * rise * decay).tolist()


def validate(task, network):
    """Return the mean PSNR over phantoms that training never draws."""
    scores = []
    with torch.no_grad():
        for i in range(N_VALIDATION):
            rng = np.random.default_rng([SEED + 1, i])
            inputs, truth = task.batch(rng)
            result = task.apply(network, *inputs)
            # of real images, and of complex ones by their magnitude
            error = (result - truth).square().sum(1).mean((1, 2))
            peak = truth.square().sum(1).amax((1, 2)).clamp_min(0.04)
            scores.append((10 * torch.log10(peak / error)).mean().item())
    return float(np.mean(scores))


def train(name, output, scale=1.0):
    """Train one model and save it in ``output``; return what it reached."""
    task = MODELS[name]
    stages = [(s, max(1, round(scale * n))) for s, n in task.stages]
    n_steps = sum(n for _, n in stages)
    rates = learning_rates(n_steps)
    checkpoint = output / f'{name}.checkpoint.safetensors'
    torch.manual_seed(SEED)
    task.set_stage(stages[0][0])
    network = task.network()
    optimizer = torch.optim.Adam(network.parameters())
    step, start = 0, time.perf_counter()
    if checkpoint.exists():
        step = load_checkpoint(checkpoint, network, optimizer)
        print(f'{name}: going on from step {step} of {n_steps}')
    first = step
    progress = tqdm(total=n_steps, initial=step, desc=name, mininterval=10)
    end, mean_loss = 0, None
    for settings, length in stages:
        end += length
        if step >= end and end < n_steps:
            continue
        # the same parameters on the grid of this stage
        task.set_stage(settings)
        network = task.network(network)
        while step < end:
            rng = np.random.default_rng([SEED, step])
            inputs, truth = task.batch(rng)
            loss = task.loss(task.apply(network, *inputs), truth)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f'the loss is {loss.item()} at step {step} of {name}'
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            for group in optimizer.param_groups:
                group['lr'] = rates[step]
            optimizer.step()
            step += 1
            value = loss.item()
            mean_loss = (
                value if mean_loss is None else 0.98 * mean_loss + 0.02 * value
            )
            progress.update()
            progress.set_postfix(loss=f'{mean_loss:.3e}', refresh=False)
            if step % CHECKPOINT_EVERY == 0 or step == end:
                save_checkpoint(checkpoint, network, optimizer, step)
            if step % 400 == 0 or step == end:
                print(
                    f'{name}: step {step}, loss {mean_loss:.3e}, '
                    f'validation PSNR {validate(task, network):.2f} dB',
                    flush=True,
                )
    progress.close()
    odl_equivariant.models.save(
        network, output / f'{name}.safetensors', task.value_range
    )
    return {
        'model': name,
        'steps': step,
        'parameters': sum(p.numel() for p in network.parameters()),
        'validation PSNR': round(validate(task, network), 2),
        'seconds of this run': round(time.perf_counter() - start),
        'steps of this run': step - first,
    }


def main():
    """Train the models named on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('names', nargs='*', metavar='name', default=MODELS)
    parser.add_argument('--output', type=pathlib.Path, default='weights')
    parser.add_argument(
        '--scale', type=float, default=1.0, help='share of the steps to make'
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MODELS)
    if unknown:
        parser.error(f'unknown {sorted(unknown)}; known: {", ".join(MODELS)}')
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        print(json.dumps(train(name, arguments.output, arguments.scale)))


if __name__ == '__main__':
    main()
