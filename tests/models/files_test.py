# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the files of weights."""

import copy
import errno
import json
import os
import pathlib
import pickle
import random
import subprocess
import sys
import time

import odl
import pytest
import safetensors
import safetensors.torch
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.nn import (
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    LearnedHalfQuadraticSplitting,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.steerable.convolutions import _scaled_basis

PATH = 'network.safetensors'


def identity(dtype='float32', impl='numpy'):
    """Return the identity on a space of small images."""
    return odl.IdentityOperator(odl.rn((8, 8), dtype=dtype, impl=impl))


def unrolled(shared=False, initial='adjoint', **kwargs):
    """Return an unrolled network with steps of its own."""

    def make():
        return EquivariantProximal(**{'channels': 4, 'memory': 1, **kwargs})

    network = LearnedProximalGradient(
        identity(), make() if shared else make, 3, initial
    )
    with torch.no_grad():
        network.relative_steps.copy_(torch.tensor([0.7, 1.0, 1.2]))
    return network


def splitting(shared=False, make=MultiscaleDenoiser, **kwargs):
    """Return a network of half-quadratic splitting."""
    settings = {'channels': 4, 'n_scales': 1, 'n_blocks': 1, **kwargs}
    if make is not MultiscaleDenoiser:
        settings = kwargs
    network = LearnedHalfQuadraticSplitting(
        identity(),
        make(**settings) if shared else lambda: make(**settings),
        3,
        2,
        'adjoint',
    )
    with torch.no_grad():
        network.log_steps.copy_(torch.tensor([0.7, 1.0, 1.2]))
        if network.log_levels is not None:
            network.log_levels.copy_(torch.tensor([0.3, -0.2, 0.1]))
    return network


def gradient_step():
    """Return a denoiser that consists of an energy."""
    inner = MultiscaleDenoiser(channels=4, n_scales=1, activation='softplus')
    return GradientStepDenoiser(GradientStepEnergy(inner))


NETWORKS = {
    'equivariant': lambda: EquivariantProximal(channels=8, group='C8'),
    'denoiser': lambda: EquivariantProximal(
        channels=4,
        memory=0,
        gradient=False,
        noise_level=True,
        n_residual_blocks=2,
        skip=True,
    ),
    'ordinary': lambda: OrdinaryProximal(channels=4, padding_mode='circular'),
    'unrolled': unrolled,
    'shared': lambda: unrolled(shared=True),
    'splitting': splitting,
    'shared splitting': lambda: splitting(shared=True),
}
UNROLLED = ('unrolled', 'shared', 'splitting', 'shared splitting')
kind = simple_fixture('kind', list(NETWORKS))


def load(kind):
    """Load a network, with the operator if it needs one."""
    operator = identity() if kind in UNROLLED else None
    return models.load(PATH, operator)


def read(path=PATH):
    """Return the architecture and the tensors of a file."""
    with safetensors.safe_open(path, 'pt') as file:
        header = json.loads(file.metadata()['odl_equivariant'])
    return header['architecture'], safetensors.torch.load_file(path)


def write(architecture, tensors, path=PATH, version=2):
    """Write a file of weights with any content."""
    header = {'format': version, 'architecture': architecture}
    metadata = {'odl_equivariant': json.dumps(header)}
    safetensors.torch.save_file(tensors, path, metadata)


def write_first_format(architecture, tensors, path=PATH):
    """Write a file in the first format, which has no bases."""
    metadata = {'architecture': json.dumps(architecture)}
    safetensors.torch.save_file(weights_of(tensors), path, metadata)


def weights_of(tensors):
    """Return the tensors of a file without the bases."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith('bases.')
    }


# --- There and back --- #


def test_round_trip(kind):
    """Saved networks are loaded with the same bits."""
    network = NETWORKS[kind]()
    models.save(network, PATH)
    loaded = load(kind)
    assert type(loaded) is type(network)
    assert loaded.architecture == network.architecture
    assert not loaded.training
    expected = network.state_dict()
    assert list(loaded.state_dict()) == list(expected)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, expected[name])
    assert all(p.requires_grad for p in loaded.parameters())
    x = torch.rand(2, 1, 8, 8)
    if kind == 'denoiser':
        inputs = (x, None, None, 0.1)
    else:
        inputs = (x,) if kind in UNROLLED else (x, x)
    for ours, theirs in zip(loaded(*inputs), network(*inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_shared_blocks_stay_shared():
    """One block for all iterations is one block again."""
    models.save(unrolled(shared=True), PATH)
    network = models.load(PATH, identity())
    assert len(network.blocks) == 1
    assert network.n_iterations == 3


def test_file_does_not_depend_on_the_mode(kind):
    """In training and in evaluation, the same file is written."""
    network = NETWORKS[kind]()
    contents = []
    for training in (True, False):
        models.save(network.train(training), PATH)
        contents.append(pathlib.Path(PATH).read_bytes())
    assert contents[0] == contents[1]


def test_header_has_the_architecture(kind):
    """The file is safetensors, with the architecture as JSON."""
    network = NETWORKS[kind]()
    models.save(network, PATH)
    architecture, tensors = read()
    assert architecture == network.architecture
    assert architecture['class'] == type(network).__name__
    assert weights_of(tensors).keys() == network.state_dict().keys()


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_proximals_keep_their_precision(dtype):
    """A proximal comes back in the precision it was saved in."""
    network = EquivariantProximal(channels=4).to(dtype)
    models.save(network, PATH)
    loaded = models.load(PATH)
    for ours, theirs in zip(
        (*loaded.parameters(), *loaded.buffers()),
        (*network.parameters(), *network.buffers()),
        strict=True,
    ):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
    assert {p.dtype for p in loaded.parameters()} == {dtype}


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_unrolled_networks_take_the_precision_of_the_operator(impl):
    """On a space in float64, a network in float32 computes in float64."""
    network = unrolled()
    models.save(network, PATH)
    operator = identity('float64', impl)
    loaded = models.load(PATH, operator)
    x = torch.rand(1, 1, 8, 8)
    expected = network(x).detach()
    assert loaded(x.double()).dtype == torch.float64
    torch.testing.assert_close(loaded(x.double()).float(), expected)
    assert loaded.as_operator()(operator.domain.one()) in operator.domain


def test_start_of_an_unrolled_network():
    """The initial value is the stored one, unless another one is given."""
    models.save(unrolled(initial='adjoint'), PATH)
    for initial, expected in ((None, 'adjoint'), ('zero', 'zero')):
        network = models.load(PATH, identity(), initial)
        assert network.architecture['arguments']['initial'] == expected


def test_start_that_was_an_operator():
    """A network whose initial value is an operator cannot be saved."""
    operator = 0.5 * identity()
    network = unrolled(initial=operator)
    models.save(network, PATH)
    with pytest.raises(ValueError, match='give it as `initial`'):
        models.load(PATH, identity())
    loaded = models.load(PATH, identity(), operator)
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(x), network(x))


def test_loading_draws_nothing(kind):
    """Loading leaves the global random state alone."""
    models.save(NETWORKS[kind](), PATH)
    state = torch.get_rng_state()
    load(kind)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_do_not_follow_the_file():
    """Changing the file after loading does not change the weights."""
    models.save(OrdinaryProximal(channels=4), PATH)
    network = models.load(PATH)
    expected = copy.deepcopy(network.state_dict())
    size = os.path.getsize(PATH)
    with open(PATH, 'r+b') as file:
        file.write(bytes(size))
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name])


def test_plain_convolutions_come_back(kind):
    """Networks with plain convolutions are saved and loaded."""
    network = to_convolutional(NETWORKS[kind]())
    models.save(network, PATH)
    loaded = load(kind)
    assert loaded.architecture == network.architecture
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


# --- The range of values --- #


def test_range_of_values_comes_back(kind):
    """The range of values is loaded, and saved again."""
    network = NETWORKS[kind]()
    models.save(network, PATH)
    assert network.value_range is None and load(kind).value_range is None
    models.save(network, PATH, value_range=(-1, 2))
    loaded = load(kind)
    assert loaded.value_range == (-1.0, 2.0)
    models.save(loaded, PATH)
    assert load(kind).value_range == (-1.0, 2.0)
    models.save(loaded, PATH, (0, 1))
    assert load(kind).value_range == (0.0, 1.0)


def test_range_of_values_survives_copies(kind):
    """Copies and conversions of a network keep the range."""
    models.save(NETWORKS[kind](), PATH, value_range=(0, 3))
    network = load(kind)
    others = [
        copy.deepcopy(network),
        pickle.loads(pickle.dumps(network)),
        to_convolutional(network),
        for_inference(network),
    ]
    if kind in ('unrolled', 'shared'):
        others.append(network.with_operator(identity()))
        others.append(network.as_operator('float32').module)
    assert [other.value_range for other in others] == len(others) * [(0, 3)]


@pytest.mark.parametrize(
    'value_range',
    [(1, 0), (0, 0), (0, float('inf')), (float('nan'), 1), 3, 'ab', (0, 1, 2)],
)
def test_range_that_is_none_is_refused(value_range):
    """A wrong range is an error, when saving and when loading."""
    network = OrdinaryProximal(channels=4)
    error = TypeError if value_range in (3, 'ab') else ValueError
    with pytest.raises(error, match='least and the greatest value'):
        models.save(network, PATH, value_range)
    assert os.listdir() == []
    header = {
        'format': 2,
        'architecture': network.architecture,
        'value_range': value_range,
    }
    metadata = {'odl_equivariant': json.dumps(header)}
    safetensors.torch.save_file(network.state_dict(), PATH, metadata)
    with pytest.raises(ValueError, match=f'load {PATH}.*least and the great'):
        models.load(PATH)


# --- The checksum --- #


def test_files_without_a_checksum(kind):
    """Files of earlier versions, without a checksum, still load."""
    network = NETWORKS[kind]()
    models.save(network, PATH)
    write(*read())
    for name, value in load(kind).state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def _other_weight(architecture, tensors):
    tensors['lift.bias'][0] += 1e-6


def _other_slope(architecture, tensors):
    architecture['arguments']['negative_slope'] = 0.3


def _other_name(architecture, tensors):
    tensors['more'] = torch.ones(1)


def _other_shape(architecture, tensors):
    tensors['lift.weight'] = tensors['lift.weight'].flatten()


@pytest.mark.parametrize(
    'change', [_other_weight, _other_slope, _other_name, _other_shape]
)
def test_checksum_is_of_all_there_is(change):
    """The checksum covers values, shapes, names and the architecture."""
    models.save(OrdinaryProximal(channels=4), PATH, (0, 1))
    with safetensors.safe_open(PATH, 'pt') as file:
        before = json.loads(file.metadata()['odl_equivariant'])
    architecture, tensors = read()
    change(architecture, tensors)
    header = {**before, 'architecture': architecture}
    text = json.dumps(header, separators=(',', ':'))
    safetensors.torch.save_file(tensors, PATH, {'odl_equivariant': text})
    with pytest.raises(ValueError, match=f'{PATH} is damaged, its checksum'):
        models.load(PATH)


def load_all(path):
    """Return everything that a file tells of a proximal."""
    network = models.load(path)
    buffers = {f'buffer {k}': v for k, v in network.named_buffers()}
    tensors = network.state_dict() | buffers
    return network.architecture, network.value_range, tensors


def test_flipped_bits_are_noticed_or_harmless():
    """Every flipped bit is an error, or changes nothing."""
    network = EquivariantProximal(channels=4, n_residual_blocks=1)
    models.save(network, PATH, value_range=(0, 1))
    content = pathlib.Path(PATH).read_bytes()
    expected = load_all(PATH)
    generator = random.Random(0)
    n_noticed = 0
    for place in (
        # anywhere, which is mostly in tensors; and in the header
        *(generator.randrange(8 * len(content)) for _ in range(300)),
        *(generator.randrange(8 * 1000) for _ in range(200)),
    ):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        pathlib.Path(PATH).write_bytes(damaged)
        try:
            found = load_all(PATH)
        except ValueError:
            n_noticed += 1
            continue
        assert found[:2] == expected[:2]
        assert found[2].keys() == expected[2].keys()
        for name, tensor in expected[2].items():
            assert torch.equal(found[2][name], tensor)
    assert n_noticed > 480


# --- Bases --- #


def test_bases_are_in_the_file_once():
    """All layers with the same kernels share one basis in float64."""
    models.save(unrolled(), PATH)
    _, tensors = read()
    bases = {k: v for k, v in tensors.items() if k.startswith('bases.')}
    assert sorted(bases) == [
        'bases.C4.regular.regular.3',
        'bases.C4.regular.trivial.3',
        'bases.C4.trivial.regular.3',
    ]
    for name, basis in bases.items():
        group, source, target, size = name.split('.')[1:]
        expected = _scaled_basis(group, source, target, int(size))
        assert torch.equal(basis, expected)


def test_networks_use_the_basis_of_their_file():
    """A network uses the basis of its own file."""
    models.save(EquivariantProximal(channels=4), PATH)
    architecture, tensors = read()
    for name in tensors:
        if name.startswith('bases.'):
            tensors[name] = 2 * tensors[name]
    write(architecture, tensors)
    loaded = models.load(PATH)
    other = EquivariantProximal(channels=4)
    assert torch.equal(loaded.lift.basis, 2 * other.lift.basis)
    for copied in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        doubled = copied.double().lift
        assert torch.equal(doubled.basis, 2 * other.double().lift.basis)
        other.float()


def test_first_format(kind):
    """Files without bases load if escnn is installed."""
    network = NETWORKS[kind]()
    models.save(network, PATH)
    write_first_format(*read())
    loaded = load(kind)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])
    for ours, theirs in zip(loaded.buffers(), network.buffers(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize('version', [3, 0, '2', 2.5, None, 10**400, [1]])
def test_later_formats(version):
    """A file of a later version is refused, and the error says what to do."""
    models.save(OrdinaryProximal(channels=4), PATH)
    write(*read(), version=version)
    with pytest.raises(ValueError, match='reads up to 2: install a newer'):
        models.load(PATH)


BASIS = 'bases.C4.regular.regular.3'


def _changed(change):
    def apply(tensors):
        tensors[BASIS] = change(tensors[BASIS])

    return apply


def _added(name):
    def apply(tensors):
        tensors[name] = torch.ones_like(tensors[BASIS])

    return apply


def _one_number(basis):
    basis[3, 2, 1, 0, 0] += 1e-9
    return basis


@pytest.mark.parametrize(
    'change, match',
    [
        (lambda t: t.pop(BASIS), 'no basis is given of the 3 x 3 kernels'),
        (_changed(_one_number), 'not equivariant'),
        (_changed(lambda b: b.roll(1, -1)), 'not equivariant'),
        (_changed(torch.zeros_like), 'not equivariant'),
        (_changed(lambda b: b * torch.nan), 'NaN or infinite'),
        (_changed(lambda b: b.float()), 'must be in torch.float64'),
        (_changed(lambda b: b[:, :3]), 'the kernels have 3 rows'),
        (_changed(lambda b: b[:, :, :3]), 'the kernels have 3 columns'),
        (_changed(lambda b: b[..., :2]), r'shape \(n, rows, columns, 3, 3\)'),
        (_changed(lambda b: b[:0]), 'not equivariant'),
        (_changed(lambda b: b[:7]), r'of shape \(1, 1, 7\), the file'),
        (_added('bases.C4'), 'not the name of a basis'),
        (_added('bases.C4.trivial.trivial.1'), 'not the name of a basis'),
        (_added('bases.C999999999.regular.regular.3'), '999999999 channels'),
        (_added('bases.D2.regular.regular.3'), 'which nothing uses'),
    ],
)
def test_bases_that_are_refused(change, match):
    """A basis that is not equivariant is refused, without asking escnn."""
    models.save(EquivariantProximal(channels=4), PATH)
    architecture, tensors = read()
    change(tensors)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    write(architecture, tensors)
    with pytest.raises(ValueError, match=f'(?s)cannot load {PATH}.*{match}'):
        models.load(PATH)


_WITHOUT_ESCNN = """
import copy, pickle, sys
import torch
sys.modules['escnn'] = None  # importing it fails from now on
from odl_equivariant import models
from odl_equivariant.nn import for_inference, to_convolutional

network = models.load(sys.argv[1])
inputs, expected = torch.load(sys.argv[2])
for module in (
    network,
    copy.deepcopy(network),
    pickle.loads(pickle.dumps(network)),
    network.to('cpu').double().float(),
    to_convolutional(network),
    for_inference(network),
):
    result = torch.cat(module(*inputs), 1)
    torch.testing.assert_close(result, expected)
network.train()
torch.cat(network(*inputs), 1).sum().backward()
assert network.double().lift.basis.dtype == torch.float64
models.save(network, 'again.safetensors')
models.load('denoiser_c4')
print('done')
"""


@pytest.mark.slow
def test_loading_without_escnn():
    """A loaded network works without escnn."""
    network = EquivariantProximal(channels=16, group='D8').eval()
    models.save(network, PATH)
    inputs = torch.randn(2, 1, 1, 9, 9).unbind()
    with torch.no_grad():
        expected = torch.cat(network(*inputs), 1)
    torch.save((inputs, expected), 'tensors.pt')
    result = subprocess.run(
        [sys.executable, '-c', _WITHOUT_ESCNN, PATH, 'tensors.pt'],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == 'done\n'
    again = models.load('again.safetensors')
    assert torch.equal(again.lift.basis.float(), network.lift.basis)


# --- Writing --- #


@pytest.mark.parametrize('failing', ['replace', 'fsync'])
def test_file_is_written_whole_or_not_at_all(failing, monkeypatch):
    """If writing fails, the old file is unchanged and no other is left."""
    models.save(OrdinaryProximal(channels=4), PATH)
    before = pathlib.Path(PATH).read_bytes()

    def fail(*args):
        raise OSError(errno.ENOSPC, 'no space left')

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match='no space left'):
        models.save(OrdinaryProximal(channels=8), PATH)
    assert os.listdir() == [PATH]
    assert pathlib.Path(PATH).read_bytes() == before


def test_existing_file_is_replaced():
    """A second save takes the place of the first, and leaves no other."""
    for channels in (4, 8):
        models.save(OrdinaryProximal(channels=channels), pathlib.Path(PATH))
    assert models.load(PATH).channels == 8
    assert os.listdir() == [PATH]


def test_permissions_follow_the_umask():
    """The permissions are the usual ones for a new file."""
    with open('other', 'w'):
        pass
    models.save(OrdinaryProximal(channels=4), PATH)
    assert os.stat(PATH).st_mode == os.stat('other').st_mode


def test_umask_of_other_threads_stays(monkeypatch):
    """Saving never changes the umask of the process."""

    def refuse(mask):
        raise AssertionError

    monkeypatch.setattr(os, 'umask', refuse)
    models.save(OrdinaryProximal(channels=4), PATH)
    assert os.path.isfile(PATH)


class Derived(OrdinaryProximal):
    """A class that cannot be built from a file."""


@pytest.mark.parametrize(
    'make',
    [
        lambda: torch.nn.Linear(2, 2),
        lambda: Derived(channels=4),
        lambda: None,
        lambda: LearnedProximalGradient(
            identity(), lambda: Derived(channels=4), 1
        ),
    ],
)
def test_networks_that_cannot_be_saved(make):
    """A network that could not be loaded again is not saved."""
    with pytest.raises(TypeError, match='expected EquivariantProximal, Ord'):
        models.save(make(), PATH)
    assert os.listdir() == []


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite_are_not_saved(value):
    """A network that has diverged is refused, and the weight is named."""
    network = OrdinaryProximal(channels=4)
    with torch.no_grad():
        network.project.weight[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match='project.weight has NaN'):
        models.save(network, PATH)
    assert os.listdir() == []


@pytest.mark.parametrize(
    'path, error, match',
    [
        ('network.pt', ValueError, "end in .safetensors, got 'network.pt'"),
        ('network', ValueError, 'end in .safetensors'),
        ('missing/network.safetensors', FileNotFoundError, 'folder missing'),
    ],
)
def test_paths_that_cannot_be_written(path, error, match):
    """A path at which no file can be written is refused."""
    with pytest.raises(error, match=match):
        models.save(OrdinaryProximal(channels=4), path)
    assert os.listdir() == []


# --- Files that are refused --- #


def _truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _append(path):
    path.write_bytes(path.read_bytes() + b'more')


@pytest.mark.parametrize(
    'damage',
    [
        _truncate,
        _append,
        lambda path: path.write_bytes(b''),
        lambda path: path.write_bytes(bytes(100)),
        lambda path: path.write_bytes(b'\xff' * 100),
        lambda path: path.write_text('weights'),
        lambda path: torch.save({'weight': torch.ones(3)}, path),
    ],
    ids=['half', 'longer', 'empty', 'zeros', 'ones', 'text', 'pickle'],
)
def test_damaged_files(damage):
    """A file that is not a whole safetensors file is an error that says so."""
    models.save(OrdinaryProximal(channels=4), PATH)
    damage(pathlib.Path(PATH))
    with pytest.raises(ValueError, match='not a whole safetensors file'):
        models.load(PATH)


@pytest.mark.parametrize(
    'metadata',
    [
        None,
        {},
        {'other': '1'},
        {'architecture': 'OrdinaryProximal'},
        {'architecture': '[]'},
        {'architecture': '"x"'},
        {'architecture': 50_000 * '['},
        {'architecture': '{"class": 1' + 5000 * '0' + '}'},
        {'odl_equivariant': '3'},
        {'odl_equivariant': '{"format": 2}'},
        {'odl_equivariant': '{"format": 2, "architecture": 3}'},
    ],
)
def test_headers_without_an_architecture(metadata):
    """A file of weights without an architecture is refused."""
    safetensors.torch.save_file({'weight': torch.ones(3)}, PATH, metadata)
    with pytest.raises(ValueError, match='no architecture in its header'):
        models.load(PATH)


def _set_tensors(**changes):
    def change(architecture, tensors):
        tensors.update(changes)

    return change


def _without(name):
    def change(architecture, tensors):
        del tensors[name]

    return change


def _set_arguments(**changes):
    def change(architecture, tensors):
        architecture['arguments'].update(changes)

    return change


def _set(**changes):
    def change(architecture, tensors):
        architecture.update(changes)

    return change


@pytest.mark.parametrize(
    'change, match',
    [
        # architectures that are not known
        (_set(**{'class': 'Sequential'}), "unknown class 'Sequential'; known"),
        (_set(**{'class': None}), 'unknown class None'),
        (_set(**{'class': ['OrdinaryProximal']}), 'unknown class'),
        (lambda a, t: a.pop('class'), 'a class, arguments by name, got'),
        (lambda a, t: a.pop('arguments'), 'a class, arguments by name, got'),
        (_set(arguments=[1, 2]), 'a class, arguments by name, got'),
        (_set(more=1), 'a class, arguments by name, got'),
        (_set_arguments(unknown=1), "TypeError.*'unknown'"),
        (lambda a, t: a['arguments'].pop('n_residual_blocks'), 'KeyError'),
        (_set_arguments(n_residual_blocks='1'), 'TypeError'),
        (_set_arguments(kernel_size=4), 'odd'),
        (_set_arguments(channels=-4), 'channels.* positive whole number'),
        (_set_arguments(channels=1e3), 'whole number'),
        (_set_arguments(channels=5), r'of shape \(5,\), the file \(4,\)'),
        (_set_arguments(memory=0), r'of shape \(4, 2.*the file \(4, 7'),
        # weights that do not fit
        (_without('lift.bias'), '6 weights and biases, the file has 5'),
        (_set_tensors(more=torch.ones(1)), 'the file has 7'),
        (_set_tensors(**{'lift.bias': torch.ones(5)}), r'\(4,\).*\(5,\)'),
        (_set_tensors(**{'blocks.0.x': torch.ones(1)}), 'no blocks.0.x'),
        (
            lambda a, t: t.update(other=t.pop('lift.bias')),
            r'lift.bias of shape \(4,\), the file None',
        ),
        # values that are no weights
        (_set_tensors(**{'lift.bias': torch.full((4,), torch.nan)}), 'NaN'),
        (_set_tensors(**{'lift.bias': torch.ones(4).long()}), 'dtype.*int64'),
        (_set_tensors(**{'lift.bias': torch.ones(4).cfloat()}), 'dtype'),
        (_set_tensors(**{'lift.bias': torch.ones(4).half()}), 'one precision'),
        # sizes that would take all memory
        (_set_arguments(channels=10**6), r'of shape \(1000000.*the file'),
        (_set_arguments(channels=10**30), 'Error'),
        (_set_arguments(memory=10**9), r'of shape.*1000000.*the file'),
        (_set_arguments(kernel_size=9999), r'9999.*the file'),
        (_set_arguments(kernel_size=10**400 + 1), 'Error'),
        (_set_arguments(n_residual_blocks=10**9), 'the file has 6'),
    ],
)
def test_ordinary_networks_that_are_refused(change, match):
    """The error says why header and weights do not fit."""
    models.save(OrdinaryProximal(channels=4), PATH)
    architecture, tensors = read()
    change(architecture, tensors)
    write(architecture, tensors)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=f'(?s)cannot load {PATH}.*{match}'):
        models.load(PATH)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    'change, match',
    [
        (_set_arguments(group='SO3'), "unknown group 'SO3'"),
        (_set_arguments(group='C3'), '3 or 6'),
        (_set_arguments(group='C2'), 'no basis is given of .* of C2'),
        (_set_arguments(kernel_size=9999), 'smaller group or'),
        (_set_arguments(group='C100000', channels=100000), 'smaller group or'),
        (_set_arguments(group=f'C1{5000 * "0"}'), ''),
        (_set_arguments(channels=4 * 10**6), r'of shape \(1000000.*the file'),
        (_set_arguments(n_residual_blocks=10**9), 'the file has 6'),
    ],
)
def test_equivariant_networks_that_are_refused(change, match):
    """A basis too large for the memory is refused before computing it."""
    models.save(EquivariantProximal(channels=4), PATH)
    architecture, tensors = read()
    change(architecture, tensors)
    write(architecture, tensors)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=f'(?s)cannot load {PATH}.*{match}'):
        models.load(PATH)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize('shared', [False, True])
@pytest.mark.parametrize(
    'change, match',
    [
        (_set_arguments(n_iterations=10**9), '1000000000 iterations'),
        (_set_arguments(n_iterations=2), '2 iterations'),
        (_set_arguments(n_iterations='3'), '3 iterations'),
        (_set_arguments(initial='fpb'), "unknown initial 'fpb'"),
        (_set_arguments(more=1), 'n_iterations and initial, got .*more'),
        (lambda a, t: a['arguments'].clear(), 'n_iterations and initial'),
        (_without('relative_steps'), 'the file has None'),
        (
            _set_tensors(relative_steps=torch.ones(3, 1)),
            r'\(3,\) and 1 or 3 blocks.*\(3, 1\)',
        ),
        (
            _set_tensors(relative_steps=torch.full((3,), torch.nan)),
            'relative_steps has NaN',
        ),
        (lambda a, t: a['blocks'].append(a['blocks'][0]), '3 blocks, the'),
        (lambda a, t: a['blocks'].clear(), '3 blocks, the file'),
        (_set(blocks=3), 'TypeError'),
        (_set(blocks=[3, 3, 3]), 'arguments by name, got 3'),
        (_set(blocks='abc'), 'arguments by name, got a'),
        (lambda a, t: a.pop('blocks'), 'arguments by name and blocks, got'),
        (lambda a, t: a['blocks'][0].update({'class': 'X'}), 'unknown class'),
        (
            lambda a, t: a['blocks'][0].update(copy.deepcopy(a)),
            'arguments by name, got',
        ),
        (_set_tensors(**{'blocks.7.lift.bias': torch.ones(1)}), 'blocks.7'),
        (_without('blocks.0.lift.bias'), 'blocks.0. .* the file has 5'),
    ],
)
def test_unrolled_networks_that_are_refused(change, match, shared):
    """Blocks, iterations and steps have to fit each other."""
    models.save(unrolled(shared), PATH)
    architecture, tensors = read()
    change(architecture, tensors)
    write(architecture, tensors)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=f'(?s)cannot load {PATH}.*{match}'):
        models.load(PATH, identity())
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize('shared', [False, True])
@pytest.mark.parametrize(
    'change, match',
    [
        (_set_arguments(inner_iterations=0), 'inner_iterations.*got 0'),
        (_set_arguments(inner_iterations=10**9), 'inner_iterations.*1000'),
        (_set_arguments(inner_iterations=2.0), 'inner_iterations.*got 2.0'),
        (_set_arguments(inner_iterations='2'), "inner_iterations.*got '2'"),
        (_set_arguments(inner_iterations=None), 'inner_iterations.*None'),
        (
            lambda a, t: a['arguments'].pop('inner_iterations'),
            'n_iterations, inner_iterations and initial, got',
        ),
        (_set_arguments(n_iterations=10**9), '1000000000 iterations'),
        (_set_arguments(n_iterations=2), '2 iterations'),
        (_set_arguments(initial='fpb'), "unknown initial 'fpb'"),
        (_set_arguments(more=1), 'and initial, got .*more'),
        (_without('log_steps'), 'log_steps of shape.*the file has None'),
        (_without('log_levels'), 'take a noise level, and the file has no'),
        (_set_tensors(log_steps=torch.ones(3, 1)), r'log_steps.*\(3, 1\)'),
        (_set_tensors(log_levels=torch.ones(2)), r'log_levels.*\(2,\)'),
        (_set_tensors(log_levels=torch.full((3,), torch.nan)), 'has NaN'),
        (_set_tensors(relative_steps=torch.ones(3)), 'no relative_steps'),
        (lambda a, t: a['blocks'].append(a['blocks'][0]), '3 blocks, the'),
        (lambda a, t: a['blocks'].clear(), '3 blocks, the file'),
        (lambda a, t: a['blocks'][0].update({'class': 'X'}), 'unknown class'),
        (_set(blocks=3), 'TypeError'),
        (_set(duals=[]), 'arguments by name and blocks, got'),
        (_set(**{'class': 'LearnedProximalGradient'}), 'n_iterations and'),
        (_set_tensors(**{'blocks.7.lift.weight': torch.ones(1)}), 'blocks.7'),
        (_without('blocks.0.lift.weight'), 'blocks.0. .* the file has'),
    ],
)
def test_networks_of_splitting_that_are_refused(change, match, shared):
    """Denoisers, iterations, steps and levels have to fit each other."""
    models.save(splitting(shared, group=None), PATH)
    architecture, tensors = read()
    change(architecture, tensors)
    write(architecture, tensors)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=f'(?s)cannot load {PATH}.*{match}'):
        models.load(PATH, identity())
    assert time.perf_counter() - start < 5


def test_denoisers_of_splitting_without_a_level():
    """There are no factors of levels, and a file with them is refused."""
    network = splitting(noise_level=False)
    models.save(network, PATH)
    assert 'log_levels' not in read()[1]
    loaded = models.load(PATH, identity())
    x = torch.rand(1, 1, 8, 8)
    assert loaded.log_levels is None and torch.equal(loaded(x), network(x))
    architecture, tensors = read()
    write(architecture, {**tensors, 'log_levels': torch.ones(3)})
    with pytest.raises(ValueError, match='take no noise level, and the file'):
        models.load(PATH, identity())


@pytest.mark.parametrize('shared', [False, True])
def test_energies_within_splitting(shared):
    """Denoisers may consist of an energy, and of a network within."""
    network = splitting(shared, gradient_step)
    models.save(network, PATH)
    loaded = models.load(PATH, identity())
    assert loaded.architecture == network.architecture
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(x), network(x))


def test_file_that_does_not_exist():
    """The error names the missing file."""
    with pytest.raises(FileNotFoundError, match='no file missing.safetensors'):
        models.load('missing.safetensors')
    with pytest.raises(FileNotFoundError):
        models.load(pathlib.Path('missing.safetensors'))


@pytest.mark.parametrize('operator', [None, 3, torch.nn.Identity()])
def test_unrolled_network_without_its_operator(operator):
    """The error asks for a forward operator."""
    models.save(unrolled(), PATH)
    with pytest.raises(ValueError, match='give the `odl.Operator`'):
        models.load(PATH, operator)


@pytest.mark.parametrize(
    'arguments', [{'forward_operator': identity()}, {'initial': 'fbp'}]
)
def test_proximal_with_an_operator(arguments):
    """A proximal refuses a forward operator, which it would not use."""
    models.save(OrdinaryProximal(channels=4), PATH)
    with pytest.raises(ValueError, match='OrdinaryProximal takes neither'):
        models.load(PATH, **arguments)


@pytest.mark.parametrize(
    'operator, error, match',
    [
        (odl.IdentityOperator(odl.cn((8, 8))), ValueError, '2 channel'),
        (odl.IdentityOperator(odl.rn((2, 8))), ValueError, 'smaller than'),
        (odl.ConstantOperator(odl.rn((8, 8)).one()), TypeError, 'linear'),
    ],
)
def test_operators_that_do_not_fit(operator, error, match):
    """The error names the operator, not the file."""
    models.save(unrolled(), PATH)
    with pytest.raises(error, match=match) as info:
        models.load(PATH, operator)
    assert 'cannot load' not in str(info.value)
