# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the task and of its data."""

import copy
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, Timer
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.data import (
    Augmentation,
    CartesianMRI,
    Denoising,
    PairsOfShapes,
    PairsOfVariants,
    PairStore,
    Phantoms,
    SimulatedPairs,
    SparseViewCT,
    mr_phantom,
)
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import (
    DualProximal,
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    LearnedHalfQuadraticSplitting,
    LearnedPrimalDual,
    MultiscaleDenoiser,
    OrdinaryProximal,
    hessian_norm,
)
from odl_equivariant.operators import OperatorLayer
from odl_equivariant.training import (
    ReconstructionData,
    ReconstructionTask,
    RunFolder,
    Trainer,
    losses,
)
from odl_equivariant.training.reconstruction.image_files import ImageFile
from odl_equivariant.training.runs.checkpoints import checkpoint_path
from odl_equivariant.training.runs.schedules import share_of_time

loss = simple_fixture(
    'loss', ['squared', 'relative', 'absolute', 'charbonnier']
)


def ct():
    """Return a small acquisition."""
    return SparseViewCT((16, 16), n_views=6)


def mri(**kwargs):
    """Return a small acquisition with a mask for each image."""
    return CartesianMRI((16, 16), acceleration=2, random_masks=True, **kwargs)


def task_for(acquisition, **kwargs):
    """Return a task with a small network."""
    n = 2 if isinstance(acquisition, CartesianMRI) else 1

    def proximal():
        return EquivariantProximal(n, channels=8, memory=2, skip=True)

    settings = {'n_iterations': 2, **kwargs}
    return ReconstructionTask(acquisition, proximal, **settings)


def batch_of(acquisition, n=3):
    """Return a batch of pairs."""
    draw = None
    if isinstance(acquisition, CartesianMRI):
        draw = mr_phantom
    phantoms = Phantoms(n, acquisition.image_shape, draw=draw)
    pairs = SimulatedPairs(phantoms, acquisition)
    return torch.utils.data.default_collate([pairs[i] for i in range(n)])


# --- Losses and steps --- #


def test_losses_by_their_formulas(loss):
    """Each is the mean over the samples of what its name says."""
    task, batch = task_for(ct(), loss=loss), batch_of(ct())
    task.log = lambda *args, **kwargs: None
    result = task(batch)
    expected = 0
    for u, v in zip(result, batch['truth'], strict=True):
        gap = u - v
        expected += {
            'squared': 0.5 * gap.square().mean(),
            'relative': gap.square().sum() / v.square().sum(),
            'absolute': gap.abs().mean(),
            'charbonnier': (gap.square() / v.square().mean() + 1e-6)
            .sqrt()
            .mean()
            - 1e-3,
        }[loss]
    _attach(task)
    torch.testing.assert_close(task.training_step(batch, 0), expected / 3)


def _attach(task):
    """Give a task a trainer at step 0."""
    task._trainer = Trainer(logger=False, accelerator='cpu')
    return task


def test_sample_that_is_not_finite_is_named():
    """Of a batch, those and only those with a bad loss."""
    task, batch = _attach(task_for(ct())), batch_of(ct())
    batch['data'][1] = math.nan
    with pytest.raises(FloatingPointError, match='nan for phantom-1 at step'):
        task.training_step(batch, 0)


def test_gradient_that_is_not_finite_stops_the_step():
    """No step is taken with it, and the samples of the batch are named."""
    task = _attach(task_for(ct()))
    task._names = 'phantom-7'
    parameter = task.network.relative_steps
    parameter.grad = torch.full_like(parameter, math.inf)
    with pytest.raises(
        FloatingPointError, match='relative_steps is not finite for phantom-7'
    ):
        task.on_before_optimizer_step(None)


def test_large_gradients_are_finite():
    """A gradient whose squares overflow does not stop the step."""
    task = _attach(task_for(ct()))
    task._names = 'phantom-7'
    for parameter in task.parameters():
        parameter.grad = torch.full_like(parameter, 1e30)
    task.on_before_optimizer_step(None)
    assert all((p.grad == 1e30).all() for p in task.parameters())


def test_gradients_are_checked_at_once(monkeypatch):
    """A GPU is waited for once per step, not once for each parameter."""
    task = _attach(task_for(ct()))
    for parameter in task.parameters():
        parameter.grad = torch.ones_like(parameter)
    calls = []
    isfinite = torch.Tensor.isfinite
    monkeypatch.setattr(
        torch.Tensor, 'isfinite', lambda x: calls.append(x) or isfinite(x)
    )
    task.on_before_optimizer_step(None)
    assert len(calls) == 1


@pytest.mark.parametrize('schedule', ['constant', 'cosine'])
def test_schedule(schedule):
    """The rate rises, stays or falls like a cosine, and ends near zero."""
    task = task_for(ct(), schedule=schedule, warm_up=4)
    rates = [task._relative_rate(step, 100) for step in range(100)]
    assert rates[:4] == sorted(rates[:4]) and rates[0] <= 0.2
    if schedule == 'constant':
        assert set(rates[4:]) == {1}
    else:
        assert rates[50] == pytest.approx(0.5)
        assert rates[4:] == sorted(rates[4:], reverse=True)
        assert rates[-1] < 1e-3


def test_rate_falls_within_the_time():
    """Where a run ends by its time, the cosine ends there, too."""
    task = task_for(ct(), schedule='cosine')
    rates = [task._relative_rate(5, 100, share) for share in (0, 0.5, 1, 2)]
    assert rates[0] == task._relative_rate(5, 100)
    assert rates[1] == pytest.approx(0.5)
    assert rates[2] == rates[3] == 0
    timer = Timer(duration={'seconds': 10})
    timer.time_elapsed, timer.time_remaining = lambda: 4.0, lambda: 6.0
    trainer = SimpleNamespace(callbacks=[object(), timer])
    assert share_of_time(trainer) == pytest.approx(0.4)
    assert share_of_time(SimpleNamespace(callbacks=[])) == 0


def test_floor_of_the_relative_loss():
    """It is added to the mean square of the truth, so zeros have a loss."""
    batch = batch_of(ct(), 2)
    batch['truth'][1] = 0
    task = _attach(task_for(ct(), loss='relative', loss_floor=0.01))
    task.log = lambda *args, **kwargs: None
    result = task(batch)
    expected = 0
    for u, v in zip(result, batch['truth'], strict=True):
        error = (u - v).square().mean()
        expected += error / (v.square().mean() + 0.01) / 2
    torch.testing.assert_close(task.training_step(batch, 0), expected)


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'loss_floor': -1.0}, '`loss_floor` must be a finite'),
        ({'steps_learning_rate': 0.0}, '`steps_learning_rate` must be'),
        ({'loss_floor': math.inf}, '`loss_floor` must be a finite'),
        ({'loss_floor': 0.1}, 'is for the losses `relative` and `charb'),
        ({'loss': 'noise'}, 'is for the acquisition `Denoising`'),
        ({'steps_before': -1}, '`steps_before` must be a whole number of'),
        (
            {'steps_before': 5, 'schedule_steps': 5},
            '`schedule_steps` must be .* at least 6, got 5',
        ),
        ({'schedule_steps': 0}, '`schedule_steps` must be .*, got 0'),
    ],
)
def test_settings_are_checked(settings, message):
    """A setting that makes no sense is refused, with its value."""
    with pytest.raises(ValueError, match=message):
        task_for(ct(), **settings)


@pytest.mark.parametrize('schedule', ['constant', 'cosine'])
def test_schedule_over_several_runs(schedule):
    """The rates of runs one after another are those of a long one."""
    settings = {'schedule': schedule, 'warm_up': 6}
    whole = task_for(ct(), **settings)
    expected = [whole._relative_rate(step, 20) for step in range(20)]
    first = task_for(ct(), **settings, schedule_steps=20)
    last = task_for(ct(), **settings, steps_before=4)
    rates = [first._relative_rate(step, 4) for step in range(4)]
    rates += [last._relative_rate(step, 16) for step in range(16)]
    assert rates == expected


# --- Denoisers --- #


def denoiser(**kwargs):
    """Return a small denoiser that is told the noise level."""
    settings = {'memory': 0, 'gradient': False, 'noise_level': True}
    return EquivariantProximal(channels=4, **{**settings, **kwargs})


def test_denoiser_is_told_the_level_of_each_sample():
    """The network is the block itself, applied at the samples' levels."""
    acquisition = Denoising((16, 16), (0.05, 0.5))
    task = _attach(ReconstructionTask(acquisition, denoiser, loss='noise'))
    task.log = lambda *args, **kwargs: None
    assert type(task.network) is EquivariantProximal
    batch = batch_of(acquisition)
    assert batch['sigma'].unique().numel() == 3
    expected = 0
    for data, truth, sigma in zip(
        batch['data'], batch['truth'], batch['sigma'], strict=True
    ):
        result = task.network(data[None], sigma=float(sigma))
        expected += (result[0] - truth).square().mean() / sigma / 3
    torch.testing.assert_close(task.training_step(batch, 0), expected)
    torch.testing.assert_close(task.baseline(batch), batch['data'])


@pytest.mark.parametrize(
    'settings', [{'gradient': True}, {'memory': 2}, {'noise_level': False}]
)
def test_block_of_another_kind_is_no_denoiser(settings):
    """The error names the argument of the block that does not fit."""
    (name,) = settings
    with pytest.raises(ValueError, match=f'a denoiser.*got {name}='):
        ReconstructionTask(Denoising((16, 16)), lambda: denoiser(**settings))


def test_weights_of_a_denoiser(tmp_path):
    """They are taken from a file, of a denoiser alone."""
    path = tmp_path / 'denoiser.safetensors'
    other = denoiser()
    models.save(other, path)
    task = ReconstructionTask(
        Denoising((16, 16)), denoiser, pretrained=str(path)
    )
    for one, two in zip(
        task.network.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    with pytest.raises(ValueError, match='another architecture'):
        ReconstructionTask(
            Denoising((16, 16)),
            lambda: denoiser(skip=True),
            pretrained=str(path),
        )


def gradient_step(**kwargs):
    """Return a small denoiser of an energy with a large Hessian."""
    torch.manual_seed(0)
    inner = MultiscaleDenoiser(
        channels=4, n_scales=1, n_blocks=1, activation='softplus', **kwargs
    )
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return GradientStepDenoiser(GradientStepEnergy(inner), 0.8)


def test_penalties_lower_the_norm_of_the_hessian():
    """It is added to the loss, and its steps bring the norm down."""
    acquisition = Denoising((12, 12), 0.3)
    batch = batch_of(acquisition)
    plain, task = (
        _attach(ReconstructionTask(acquisition, gradient_step, **settings))
        for settings in ({}, {'hessian_penalty': 0.5})
    )
    for each in (plain, task):
        each.log = lambda *args, **kwargs: None

    def norms():
        return 0.8 * hessian_norm(
            task.network.energy, batch['data'], batch['sigma'], 8
        )

    before = norms().detach()
    assert before.max() > 1
    torch.testing.assert_close(
        task.training_step(batch, 0) - plain.training_step(batch, 0),
        0.5 * before.clamp_min(0.9).mean(),
        rtol=1e-4,
        atol=1e-5,
    )
    optimizer = torch.optim.Adam(task.network.parameters(), 3e-3)
    for _ in range(10):
        optimizer.zero_grad()
        task.training_step(batch, 0).backward()
        optimizer.step()
    assert norms().mean() < 0.9 * before.mean()


def test_penalties_are_for_energies():
    """The error names the class that has no Hessian."""
    with pytest.raises(ValueError, match='has an energy.*got EquivariantPr'):
        ReconstructionTask(Denoising((16, 16)), denoiser, hessian_penalty=1.0)
    with pytest.raises(ValueError, match='`hessian_penalty` must be'):
        ReconstructionTask(
            Denoising((16, 16)), gradient_step, hessian_penalty=-1.0
        )


# --- Runs one after another, and several shapes --- #


def _data_of(acquisition, **kwargs):
    phantoms = Phantoms(4, acquisition.image_shape)
    return ReconstructionData(
        acquisition, lambda: phantoms, lambda: phantoms, **kwargs
    )


def _trained(folder, max_steps, schedule_steps=6, **kwargs):
    torch.manual_seed(0)
    task = task_for(
        ct(), schedule='cosine', schedule_steps=schedule_steps, **kwargs
    )
    trainer = Trainer(
        str(folder),
        accelerator='cpu',
        max_steps=max_steps,
        logger=False,
        enable_progress_bar=False,
        val_check_interval=100,
    )
    trainer.train(task, _data_of(ct()))
    return task


def test_run_starts_from_the_checkpoint_of_another(tmp_path):
    """Weights and Adam's moments are those of the other run at its end."""
    first = _trained(tmp_path / 'a', 3)
    path = checkpoint_path(tmp_path / 'a' / 'checkpoints', 3)
    task = task_for(ct(), pretrained=str(path), steps_before=3)
    for one, two in zip(task.parameters(), first.parameters(), strict=True):
        assert torch.equal(one, two)
    trainer = Trainer(logger=False, accelerator='cpu', max_steps=3)
    task._trainer = trainer
    trainer.strategy.connect(task)
    trainer.fit_loop.epoch_loop.max_steps = 3
    optimizer = task.configure_optimizers()['optimizer']
    theirs = first.optimizers().optimizer.state_dict()['state']
    ours = optimizer.state_dict()['state']
    assert ours.keys() == theirs.keys() and len(ours) > 0
    for key, state in theirs.items():
        for name, value in state.items():
            assert torch.equal(ours[key][name], value), name


def test_no_checkpoint_of_a_task(tmp_path):
    """A file that is none, or of another network, is refused by name."""
    _trained(tmp_path / 'a', 1)
    path = checkpoint_path(tmp_path / 'a' / 'checkpoints', 1)
    with pytest.raises(ValueError, match='another architecture') as error:
        task_for(ct(), n_iterations=3, pretrained=str(path))
    assert str(path) in str(error.value)
    (tmp_path / 'b.ckpt').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='b.ckpt'):
        task_for(ct(), pretrained=str(tmp_path / 'b.ckpt'))
    with pytest.raises(FileNotFoundError, match='c.ckpt'):
        task_for(ct(), pretrained=str(tmp_path / 'c.ckpt'))


@pytest.mark.parametrize('acquisition', [ct(), mri()])
def test_pairs_of_several_shapes_train_one_network(acquisition):
    """Each is reconstructed with its operator, by the same weights."""
    draw = mr_phantom if isinstance(acquisition, CartesianMRI) else None
    phantoms = Phantoms(8, acquisition.image_shape, draw=draw)
    pairs = PairsOfShapes(phantoms, acquisition, [(16, 16), (12, 20)])
    task = task_for(acquisition)
    weights = [id(parameter) for parameter in task.parameters()]
    seen = set()
    for i in range(8):
        batch = torch.utils.data.default_collate([pairs[i]])
        shape = tuple(batch['shape'][0].tolist())
        seen.add(shape)
        own = acquisition.with_shape(shape)
        mask = batch.get('mask')
        operator = own.forward_operator(mask if mask is None else mask[0])
        network = task.network.with_operator(operator)
        torch.testing.assert_close(
            task(batch), network(batch['data']), rtol=1e-4, atol=1e-6
        )
    assert len(seen) == 2
    assert weights == [id(parameter) for parameter in task.parameters()]
    assert len(task.state_dict()) == len(task_for(acquisition).state_dict())


def test_pairs_of_several_acquisitions_train_one_network():
    """Each is reconstructed with its views, by the same weights."""
    acquisition = ct()
    phantoms = Phantoms(8, acquisition.image_shape)
    variants = [
        {'n_views': 5, 'n_photons': 1e3},
        {'shape': [12, 20], 'n_views': 9},
        {'n_views': 8, 'geometry': 'fan'},
    ]
    pairs = PairsOfVariants(phantoms, acquisition, variants)
    task = task_for(acquisition)
    seen = set()
    for i in range(8):
        batch = torch.utils.data.default_collate([pairs[i]])
        settings = json.loads(batch['settings'][0])
        seen.add(settings['n_views'])
        own = acquisition.with_settings(**settings)
        network = task.network.with_operator(own.operator)
        torch.testing.assert_close(
            task(batch), network(batch['data']), rtol=1e-4, atol=1e-6
        )
    assert seen == {5, 8, 9}
    mixed = {'data': batch['data'], 'settings': ['{"n_views": 5}', '{}']}
    with pytest.raises(ValueError, match='of several acquisitions'):
        task(mixed)


def test_variants_are_of_training_pairs_alone():
    """Validation keeps the acquisition; there are shapes or variants."""
    variants = [{'n_views': 3}]
    data = _data_of(ct(), variants=variants)
    assert isinstance(data.pairs('train'), PairsOfVariants)
    assert type(data.pairs('validation')) is SimulatedPairs
    with pytest.raises(ValueError, match='`data.variants` a batch is one'):
        _data_of(ct(), variants=variants, batch_size=2)
    with pytest.raises(ValueError, match='not both'):
        _data_of(ct(), variants=variants, shapes=[(8, 8)])


def test_shapes_are_of_training_pairs_alone():
    """Validation keeps the acquisition's shape; prepared pairs have one."""
    shapes = [(12, 20), (8, 8)]
    data = _data_of(ct(), shapes=shapes)
    assert isinstance(data.pairs('train'), PairsOfShapes)
    assert type(data.pairs('validation')) is SimulatedPairs
    for wrong in ({'batch_size': 2}, {'measured': True}):
        with pytest.raises(ValueError, match='`data.shapes` a batch is one'):
            _data_of(ct(), shapes=shapes, **wrong)
    ready = SimulatedPairs(Phantoms(2, (32, 32)), ct())
    data = ReconstructionData(ct(), lambda: ready, shapes=shapes)
    with pytest.raises(ValueError, match='prepared pairs have one shape'):
        data.pairs('train')


# --- Operators and baselines --- #


def test_each_sample_has_its_mask():
    """A batch is reconstructed as its samples are one by one."""
    acquisition = mri()
    task, batch = task_for(acquisition), batch_of(acquisition)
    assert batch['mask'].flatten(1).unique(dim=0).shape[0] == 3
    together = task(batch)
    for i in range(3):
        alone = {key: batch[key][i : i + 1] for key in ('data', 'mask')}
        torch.testing.assert_close(
            together[i : i + 1], task(alone), rtol=1e-4, atol=1e-5
        )
        operator = acquisition.forward_operator(batch['mask'][i].numpy())
        layer = OperatorLayer(operator)
        u = torch.randn(1, 2, 16, 16)
        outside = (~batch['mask'][i]).expand(16, 16)
        assert not layer(u)[:, :, outside].any()
        assert not batch['data'][i][:, outside].any()


def test_each_sample_has_its_coil_maps():
    """A batch and its baselines are those of its samples."""
    acquisition = mri(n_coils=2)
    task, batch = task_for(acquisition), batch_of(acquisition)
    assert batch['coil_maps'].shape == (3, 2, 16, 16)
    together, baseline = task(batch), task.baseline(batch)
    for i in range(3):
        alone = {
            key: batch[key][i : i + 1] for key in ('data', 'mask', 'coil_maps')
        }
        torch.testing.assert_close(
            together[i : i + 1], task(alone), rtol=1e-4, atol=1e-5
        )
        maps, space = batch['coil_maps'][i], acquisition.operator.range
        own = acquisition.zero_filled(
            as_element(batch['data'][i], space), maps
        )
        torch.testing.assert_close(baseline[i : i + 1], as_tensor(own))


def test_masks_of_a_batch_are_applied_at_once(monkeypatch):
    """A batch with a mask for each sample is transformed as a whole."""
    task, batch = task_for(mri(), initial='adjoint'), batch_of(mri())
    lengths = []

    def transform(x, *args, own=torch.fft.fftn, **kwargs):
        lengths.append(len(x.reshape(-1, *x.shape[-2:])))
        return own(x, *args, **kwargs)

    monkeypatch.setattr(torch.fft, 'fftn', transform)
    task(batch)
    assert lengths == [3, 3]


def test_several_coils():
    """Coils are channels of the data."""
    maps = np.stack([np.ones((16, 16)), 1j * np.ones((16, 16))])
    acquisition = mri(coil_maps=maps)
    batch = batch_of(acquisition)
    assert batch['data'].shape == (3, 4, 16, 16)
    assert task_for(acquisition)(batch).shape == (3, 2, 16, 16)


def test_baseline_is_that_of_the_acquisition():
    """Sample by sample, in the layout of the truth."""
    for acquisition in (ct(), mri()):
        batch = batch_of(acquisition)
        result = task_for(acquisition).baseline(batch)
        assert result.shape == batch['truth'].shape
        error = (result - batch['truth']).norm() / batch['truth'].norm()
        assert error < 0.7


def test_pretrained_weights(tmp_path):
    """A task starts from a file of the same architecture only."""
    trained = task_for(ct())
    models.save(trained.network, tmp_path / 'a.safetensors')
    task = task_for(ct(), pretrained=tmp_path / 'a.safetensors')
    for one, other in zip(
        task.parameters(), trained.parameters(), strict=True
    ):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match='n_iterations is 2, not 3'):
        task_for(ct(), n_iterations=3, pretrained=tmp_path / 'a.safetensors')
    with pytest.raises(ValueError, match='class is .*Equivariant.*Ordinary'):
        ReconstructionTask(
            ct(),
            lambda: OrdinaryProximal(channels=8, memory=2),
            2,
            pretrained=tmp_path / 'a.safetensors',
        )


def test_shared_block():
    """All iterations then have the same weights."""
    assert len(task_for(ct(), shared=True).network.blocks) == 1


def test_block_that_cannot_be_saved():
    """It is refused before any step, and not at the first validation."""

    class Mine(OrdinaryProximal):
        pass

    with pytest.raises(TypeError, match='no class derived from one, got Mine'):
        ReconstructionTask(ct(), lambda: Mine(channels=8))


def test_random_states_are_those_of_the_checkpoint(tmp_path):
    """They are set at the first batch, whatever was drawn before it."""
    keeper = RunFolder(tmp_path)
    state = keeper.state_dict()
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    resumed = RunFolder(tmp_path)
    resumed.load_state_dict(state)
    torch.rand(5)
    resumed.on_train_batch_start(None, None, None, 0)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002
    resumed.on_train_batch_start(None, None, None, 1)
    assert not torch.equal(torch.rand(3), expected[0])


def test_half_written_images_of_other_data(tmp_path):
    """Images are gone on with for the same data and grid only."""
    space = ct().space
    path = tmp_path / 'y.npy'
    file = ImageFile(path, 3, space, 'these data')
    file.append(torch.rand(2, 1, 16, 16), pictures=False)
    assert not path.exists()
    assert ImageFile(path, 3, space, 'these data').done == 2
    assert ImageFile(path, 3, space, 'others').done == 0
    assert ImageFile(path, 4, space, 'these data').done == 0
    partial = tmp_path / '.y.partial'
    partial.write_bytes(partial.read_bytes()[:-1])
    assert ImageFile(path, 3, space, 'these data').done == 0


# --- Data --- #


def data_for(**kwargs):
    """Return data of phantoms."""
    settings = {
        'train': lambda: Phantoms(6, (32, 32)),
        'validation': lambda: Phantoms(2, (32, 32), seed=1),
        'test': lambda: Phantoms(2, (32, 32), seed=2),
        **kwargs,
    }
    return ReconstructionData(ct(), **settings)


def test_parts_have_noise_of_their_own():
    """Training noise is new in each pass, that of the others is not."""
    parts = ('train', 'validation', 'test')
    data = data_for(**dict.fromkeys(parts, lambda: Phantoms(2, (32, 32))))
    first = [data.pairs(part)[0, 0]['data'] for part in parts]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
    later = [data.pairs(part)[0, 1]['data'] for part in parts]
    assert not torch.equal(first[0], later[0])
    assert torch.equal(first[1], later[1])
    assert torch.equal(first[2], later[2])


def test_what_is_not_needed_is_not_made():
    """To score, no training image is looked for."""

    def nowhere():
        raise FileNotFoundError('no such folder')

    data = data_for(train=nowhere)
    assert len(data.pairs('test')) == 2
    with pytest.raises(FileNotFoundError):
        data.pairs('train')


def test_one_set_is_split_by_group():
    """No group is in two parts, and the set is read once."""
    made = []

    def images():
        phantoms = Phantoms(12, (32, 32))
        phantoms.groups = [f'patient {i // 3}' for i in range(12)]
        made.append(phantoms)
        return phantoms

    none = dict.fromkeys(('train', 'validation', 'test'))
    sizes = {'train': 6, 'validation': 3, 'test': 3}
    data = data_for(**none, images=images, sizes=sizes)
    groups = [set(data.pairs(part).slices.groups) for part in sizes]
    assert [len(data.pairs(part)) for part in sizes] == [6, 3, 3]
    assert len(made) == 1
    assert len(set.union(*groups)) == sum(map(len, groups)) == 4


def test_first_training_images():
    """A smaller training set is the beginning of the larger one."""
    data, fewer = data_for(), data_for(n_train=2)
    assert len(fewer.pairs('train')) == 2
    for i in range(2):
        one, other = data.pairs('train')[i, 3], fewer.pairs('train')[i, 3]
        assert torch.equal(one['data'], other['data'])
    assert len(fewer.pairs('validation')) == 2


def test_prepared_pairs(tmp_path):
    """A store is taken as it is."""
    pairs = SimulatedPairs(Phantoms(3, (32, 32)), ct())
    PairStore.write(pairs, tmp_path / 'store', progress=False)
    data = data_for(train=lambda: PairStore(tmp_path / 'store'), n_train=2)
    assert len(data.pairs('train')) == 2
    assert torch.equal(data.pairs('train')[1]['data'], pairs[1]['data'])


def test_augmentation_is_for_training():
    """Test images are turned only where that is asked for."""
    turns = Augmentation(rotation='quarter')
    plain = data_for()
    for part, options in (
        ('train', {'augmentation': turns}),
        ('test', {'evaluation_augmentation': turns}),
    ):
        data = data_for(**options)
        for name in ('train', 'test'):
            truths = [
                [d.pairs(name)[i]['truth'] for i in range(2)]
                for d in (data, plain)
            ]
            same = all(map(torch.equal, *truths))
            assert same == (name != part)


@pytest.mark.parametrize(
    'options, match',
    [
        ({'batch_size': 0}, 'batch_size` must be a positive whole'),
        ({'workers': -1}, 'workers` must be .* of at least 0'),
        ({'n_train': 0}, 'n_train` must be a positive whole'),
        ({'images': lambda: None}, 'together with `data.sizes`'),
        ({'sizes': {'train': 1}}, 'together with `data.sizes`'),
        (
            {'images': lambda: None, 'sizes': {'train': 1}},
            'not both',
        ),
        ({'measured': True, 'augmentation': Augmentation()}, 'be augmented'),
    ],
)
def test_data_out_of_range(options, match):
    """What cannot be meant is refused at once."""
    with pytest.raises(ValueError, match=match):
        data_for(**options)


def test_unknown_part():
    """Only training, validation and test are parts."""
    none = dict.fromkeys(('train', 'validation', 'test'))
    with pytest.raises(ValueError, match='the parts in `data.sizes` are'):
        data_for(**none, images=lambda: None, sizes={'training': 3})


def test_a_run_without_loggers_makes_its_own_folder(tmp_path):
    """The best weights come before any checkpoint, into a new folder."""
    trainer = Trainer(
        tmp_path / 'new' / 'run',
        max_steps=1,
        val_check_interval=1,
        logger=False,
        accelerator='cpu',
    )
    trainer.train(task_for(ct()), data_for())
    assert (tmp_path / 'new' / 'run' / 'best.safetensors').is_file()


@pytest.mark.slow
def test_workers_change_nothing(tmp_path):
    """Pairs that other processes simulate are the same, in the same order."""
    weights = []
    for workers in (0, 2):
        torch.manual_seed(0)
        trainer = Trainer(
            tmp_path / str(workers),
            max_steps=3,
            logger=False,
            accelerator='cpu',
            limit_val_batches=0,
        )
        task = task_for(ct())
        trainer.train(task, data_for(workers=workers, batch_size=2))
        weights.append([p.detach() for p in task.parameters()])
    for one, other in zip(*weights, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    'make, settings, what',
    [
        (SparseViewCT, {'side': 0.5}, 'images'),
        (SparseViewCT, {'n_detectors': 21}, 'data'),
        (CartesianMRI, {'side': 0.5}, 'images'),
        (CartesianMRI, {'side': 0.5, 'coil_maps': np.ones((2, 16, 16))}, 'im'),
    ],
)
def test_data_on_another_grid_are_refused(tmp_path, make, settings, what):
    """Data of the same shape can be of another geometry than the network."""
    task = task_for(make((16, 16)))
    data = ReconstructionData(make((16, 16), **settings))
    trainer = Trainer(
        tmp_path / 'run', logger=False, accelerator='cpu', max_steps=1
    )
    for call in (
        trainer.train,
        trainer.evaluate,
        lambda *arguments: trainer.reconstruct(*arguments, tmp_path / 'out'),
    ):
        with pytest.raises(ValueError, match=f'its {what}.* on another grid'):
            call(task, data)
    assert not list(tmp_path.iterdir())


def test_data_may_be_computed_in_another_way():
    """Precision, back-end, noise and mask leave the grid as it is."""
    task = task_for(ct())
    for settings in (
        {'dtype': 'float64'},
        {'backend': 'pytorch'},
        {'n_photons': None},
    ):
        other = SparseViewCT((16, 16), n_views=6, **settings)
        assert task.check_acquisition(other) is None
    other = mri(seed=1, sigma=0.0)
    assert task_for(mri()).check_acquisition(other) is None


# --- The learned primal-dual method --- #


def dual_of(acquisition):
    """Return what makes a data-side block for an acquisition."""
    if isinstance(acquisition, CartesianMRI):
        return lambda: DualProximal(2, 4, kernel_size=1, skip=True)
    return lambda: DualProximal(channels=4, skip=True)


@pytest.mark.parametrize('acquisition', [ct(), mri()], ids=['ct', 'mri'])
@pytest.mark.parametrize('shared', [False, True])
def test_learned_primal_dual_steps(acquisition, shared, tmp_path):
    """It learns a batch, and its weights are saved and taken up."""
    torch.manual_seed(0)
    settings = {
        'method': 'primal_dual',
        'dual': dual_of(acquisition),
        'shared': shared,
    }
    task = task_for(acquisition, loss='relative', **settings)
    assert type(task.network) is LearnedPrimalDual
    assert len(task.network.duals) == (1 if shared else 2)
    task.log = lambda *args, **kwargs: None
    batch = {**batch_of(acquisition), 'name': ['a', 'b', 'c']}
    optimizer = torch.optim.Adam(task.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = task.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]
    path = tmp_path / 'network.safetensors'
    models.save(task.network, path)
    again = task_for(acquisition, pretrained=str(path), **settings)
    assert torch.equal(again(batch), task(batch))


@pytest.mark.parametrize(
    ('acquisition', 'settings', 'message'),
    [
        (ct(), {'method': 'primal_dual'}, 'set `model.dual` to'),
        (ct(), {'dual': DualProximal}, 'for `model.method: primal_dual`'),
        (ct(), {'method': 'dual'}, "'proximal_gradient', 'primal_dual'"),
        (
            Denoising((16, 16)),
            {'method': 'primal_dual', 'dual': DualProximal},
            'remove `model.method`',
        ),
        (
            SparseViewCT((16, 16), n_views=7),
            {'method': 'primal_dual', 'dual': DualProximal},
            'take kernel_size=1',
        ),
        (
            mri(),
            {'method': 'primal_dual', 'dual': DualProximal},
            'in_channels=2',
        ),
    ],
)
def test_learned_primal_dual_is_refused(acquisition, settings, message):
    """The error names the key, and what to do."""
    with pytest.raises(ValueError, match=message):
        task_for(acquisition, **settings)


# --- Learned half-quadratic splitting --- #


def splitting(acquisition, block=None, **kwargs):
    """Return a task with a small network of this method."""

    def proximal():
        return MultiscaleDenoiser('C4', 1, channels=4, n_scales=1, n_blocks=1)

    settings = {'n_iterations': 2, 'relative_steps': (1.0, 10.0), **kwargs}
    return ReconstructionTask(
        acquisition,
        block or proximal,
        method='half_quadratic_splitting',
        **settings,
    )


@pytest.mark.parametrize('acquisition', [ct(), mri()], ids=['ct', 'mri'])
@pytest.mark.parametrize('shared', [False, True])
def test_half_quadratic_splitting_steps(acquisition, shared, tmp_path):
    """It learns a batch, and its weights are saved and taken up."""
    torch.manual_seed(0)
    settings = {'shared': shared, 'inner_iterations': 3}
    task = splitting(
        acquisition, loss='relative', checkpointing=True, **settings
    )
    network = task.network
    assert type(network) is LearnedHalfQuadraticSplitting
    assert len(network.blocks) == (1 if shared else 2)
    assert network.inner_iterations == 3 and network.checkpointing
    torch.testing.assert_close(
        network.relative_steps.detach(), torch.tensor([1.0, 10.0])
    )
    task.log = lambda *args, **kwargs: None
    batch = {**batch_of(acquisition), 'name': ['a', 'b', 'c']}
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    values = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = task.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.95 * values[0]
    path = tmp_path / 'network.safetensors'
    models.save(task.network, path)
    # whose steps and levels are those of the file
    file = {'pretrained': str(path), 'relative_steps': None}
    again = splitting(acquisition, **file, **settings)
    assert torch.equal(again(batch), task(batch))
    with pytest.raises(ValueError, match='inner_iterations is 3, not 4'):
        splitting(acquisition, **file, shared=shared)
    more = {**settings, 'inner_iterations': 5}
    more = splitting(acquisition, **file, **more)
    assert more.network.inner_iterations == 5
    assert torch.equal(more.network.log_steps, task.network.log_steps)


def test_steps_have_a_rate_of_their_own():
    """The first step of Adam moves each number by its rate, at most."""
    rates = {'learning_rate': 1e-3, 'steps_learning_rate': 0.1}
    task = _attach(splitting(ct(), **rates))
    task.log = lambda *args, **kwargs: None
    task._trainer = SimpleNamespace(
        estimated_stepping_batches=10,
        callbacks=[],
        global_step=0,
        world_size=1,
    )
    optimizer = task.configure_optimizers()['optimizer']
    # in this order, moments of a run without groups fit
    ours = [p for group in optimizer.param_groups for p in group['params']]
    assert list(map(id, ours)) == list(map(id, task.parameters()))
    task = _attach(task)
    before = copy.deepcopy(task.network.state_dict())
    task.training_step({**batch_of(ct()), 'name': list('abc')}, 0).backward()
    optimizer.step()
    for name, value in task.network.state_dict().items():
        step = (value - before[name]).abs().max().item()
        rate = 0.1 if name.startswith('log_') else 1e-3
        # some weights of blocks have no gradient at the start
        assert step == pytest.approx(rate, rel=1e-2) or (
            step == 0 and name.startswith('blocks')
        ), name
    with pytest.raises(ValueError, match='`steps_learning_rate` is for'):
        ReconstructionTask(
            Denoising((8, 8)),
            lambda: MultiscaleDenoiser('C4', channels=4, n_scales=1),
            steps_learning_rate=0.1,
        )


def test_half_quadratic_splitting_has_its_defaults():
    """What is not given is as the class has it."""
    network = splitting(ct(), relative_steps=None).network
    other = LearnedHalfQuadraticSplitting(
        ct().operator, network.block(0), n_iterations=2
    )
    assert network.inner_iterations == other.inner_iterations == 4
    assert torch.equal(network.log_steps, other.log_steps)
    assert torch.equal(network.log_levels, other.log_levels)


@pytest.mark.parametrize('acquisition', [ct(), mri()], ids=['ct', 'mri'])
def test_half_quadratic_splitting_without_ground_truth(acquisition):
    """Losses that give the network a part of the data take it."""
    task = splitting(acquisition, loss=losses.MeasurementSplitting())
    task.log = lambda *args, **kwargs: None
    batch = {**batch_of(acquisition), 'name': ['a', 'b', 'c']}
    del batch['truth']
    task.training_step(batch, 0).backward()
    assert float(task.network.log_steps.grad.abs().min()) > 0


@pytest.mark.parametrize(
    ('acquisition', 'settings', 'message'),
    [
        (
            Denoising((16, 16)),
            {},
            'half_quadratic_splitting` inverts .*remove `model.method`$',
        ),
        (ct(), {'dual': DualProximal}, 'or remove `model.dual`'),
        (ct(), {'block': EquivariantProximal}, 'make it with gradient=False'),
        (ct(), {'inner_iterations': 0}, '`inner_iterations` must be'),
        (ct(), {'relative_steps': (1.0, 0.0)}, 'each of the `relative_st'),
    ],
)
def test_half_quadratic_splitting_is_refused(acquisition, settings, message):
    """The error names the key, and what to do."""
    with pytest.raises(ValueError, match=message):
        splitting(acquisition, **settings)


@pytest.mark.parametrize('method', ['proximal_gradient', 'primal_dual'])
def test_settings_of_half_quadratic_splitting_alone(method):
    """Other methods have none of them, and the error says what to do."""
    dual = dual_of(ct()) if method == 'primal_dual' else None
    with pytest.raises(
        ValueError,
        match='`model.inner_iterations` and `model.relative_levels` would '
        'have no effect: set `model.method: half_quadratic_splitting`, or '
        'remove them',
    ):
        task_for(
            ct(),
            method=method,
            dual=dual,
            inner_iterations=4,
            relative_levels=(1, 1),
        )


def test_loss_is_logged_only_where_it_is_written(tmp_path):
    """Each step with a number of `log_every_n_steps` has its own loss."""
    logged, written = [], []

    class Task(ReconstructionTask):
        def log(self, name, value, **kwargs):
            logged.append((self.global_step, name))
            super().log(name, value, **kwargs)

    class Written(Callback):
        def on_train_batch_end(self, trainer, task, outputs, batch, index):
            if 'train/loss' in trainer.logged_metrics:
                written.append(float(trainer.logged_metrics['train/loss']))

    acquisition = SparseViewCT((16, 16), n_views=6)
    task = Task(
        acquisition, lambda: OrdinaryProximal(channels=4), n_iterations=1
    )
    data = ReconstructionData(
        acquisition,
        train=lambda: Phantoms(3, (32, 32)),
        validation=lambda: Phantoms(1, (32, 32), seed=1),
    )
    Trainer(
        tmp_path,
        max_steps=6,
        log_every_n_steps=3,
        accelerator='cpu',
        enable_progress_bar=False,
        limit_val_batches=0,
        callbacks=Written(),
    ).train(task, data)
    assert logged == [(2, 'train/loss'), (5, 'train/loss')]
    rows = (tmp_path / 'logs/version_0/metrics.csv').read_text().split()
    assert len(rows) == 3
    assert len(set(written)) == 2


@pytest.mark.parametrize('stops_early', [True, False])
def test_loss_is_there_for_what_reads_it(tmp_path, stops_early):
    """A callback finds the loss of its step, and the caller the last one."""
    read = []

    class Stopping(EarlyStopping):
        def on_validation_end(self, trainer, task):
            read.append(float(trainer.callback_metrics[self.monitor]))
            super().on_validation_end(trainer, task)

    acquisition = SparseViewCT((16, 16), n_views=6)
    task = ReconstructionTask(
        acquisition, lambda: OrdinaryProximal(channels=4), n_iterations=1
    )
    data = ReconstructionData(
        acquisition,
        train=lambda: Phantoms(3, (32, 32)),
        validation=lambda: Phantoms(1, (32, 32), seed=1),
    )
    trainer = Trainer(
        tmp_path,
        max_steps=3,
        val_check_interval=1,
        accelerator='cpu',
        enable_progress_bar=False,
        logger=False,
        callbacks=[Stopping('train/loss', patience=9)] if stops_early else [],
    )
    trainer.train(task, data)
    assert 'train/loss' in trainer.callback_metrics
    assert len(set(read)) == (3 if stops_early else 0)


def test_validation_images_are_tried_before_the_first_step(tmp_path):
    """Those of another shape are an error before any weights change."""
    acquisition = ct()
    data = ReconstructionData(
        acquisition,
        train=lambda: Phantoms(4, (16, 16)),
        validation=lambda: Phantoms(2, (12, 12)),
        variants=[{'n_views': 4}],
    )
    task = task_for(acquisition)
    trainer = Trainer(tmp_path, max_steps=4, accelerator='cpu')
    with pytest.raises(ValueError, match=r'got \(12, 12\)'):
        trainer.train(task, data)
    assert trainer.global_step == 0
