# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of `odl-equivariant reconstruct FILE --model NAME`."""

import json
import sys
import warnings

import numpy as np
import pytest
import torch

from odl_equivariant import models
from odl_equivariant.data import (
    MeasuredCT,
    SparseViewCT,
    ellipse_phantom,
    mr_phantom,
    read_kspace,
)
from odl_equivariant.nn import (
    LearnedHalfQuadraticSplitting,
    MultiscaleDenoiser,
)
from odl_equivariant.training.cli import main
from odl_equivariant.training.measured import inputs, kspace

MODEL = 'sparse_view_ct_c4'
WIDTH = 3.0  # of an element, in millimetres


def geometry(n_views=30, n_detectors=60, offset=4.3, **changes):
    """Return a geometry with a shifted axis, in millimetres."""
    return {
        'kind': 'parallel',
        'n_detectors': n_detectors,
        'detector_width': WIDTH,
        'detector_offset': offset * WIDTH,
        'angles': {'first': 0.0, 'step': 180 / n_views, 'n': n_views},
        'angle_unit': 'degrees',
        'unit': 'mm',
        **changes,
    }


def scanned(description, n=40, seed=5, cell=WIDTH):
    """Return data and truth of a phantom in a geometry."""
    acquisition = MeasuredCT(
        description,
        {'shape': (n, n), 'cell': cell},
        length_unit='mm',
        n_photons=1e4,
    )
    image = 0.08135858 * ellipse_phantom((2 * n, 2 * n), rng=seed)
    data = acquisition.simulate(image, rng=seed)
    return data.asarray(), acquisition.ground_truth(image).asarray()


def written(folder, name='scan', header=True, **changes):
    """Write a scan, and maybe its header; return its truth."""
    description = geometry(**changes)
    data, truth = scanned(description)
    np.save(folder / f'{name}.npy', data)
    if header:
        content = {'geometry': description, 'length_unit': 'mm'}
        (folder / f'{name}.json').write_text(
            json.dumps({'acquisition': content})
        )
    return data, truth


@pytest.fixture(autouse=True)
def _one_thread():
    """Compute with one thread, the quickest for small images."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd, caplog):
    """Return a function that reconstructs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level('INFO')

    def call(*arguments, model=MODEL):
        caplog.clear()
        given = ['reconstruct', *map(str, arguments), '--model', model]
        try:
            status = main(given)
        except SystemExit as end:
            status = end.code
        return status, capfd.readouterr().err + caplog.text

    return call


GRID = ('--shape', '40', '--cell-size', '3mm')


def test_a_network_of_half_quadratic_splitting(run, tmp_path):
    """Its file is a model, whose images are those of Python."""
    written(tmp_path)
    torch.manual_seed(0)
    acquisition = SparseViewCT((16, 16), n_views=8)
    network = LearnedHalfQuadraticSplitting(
        acquisition.operator,
        lambda: MultiscaleDenoiser('C4', 1, 4, 1, 1),
        n_iterations=2,
    )
    card = models.model_card(acquisition)
    models.save(network, 'own.safetensors', (0, 1), card)
    status, text = run(
        'scan.npy', *GRID, '--output', 'out', model='own.safetensors'
    )
    assert status == 0, text
    scanner = MeasuredCT(
        geometry(), {'shape': (40, 40), 'cell': WIDTH}, length_unit='mm'
    )
    loaded = models.load('own.safetensors', scanner)
    y = scanner.operator.range.element(np.load('scan.npy'))
    expected = loaded.as_operator()(y).asarray()
    (path,) = (tmp_path / 'out').glob('*.npy')
    assert relative(np.load(path), expected) < 1e-3


def relative(image, truth):
    """Return the relative error."""
    return float(np.linalg.norm(image - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize(
    'n_views, n_detectors, n',
    [(30, 60, 40), pytest.param(120, 300, 200, marks=pytest.mark.slow)],
)
def test_error_is_that_of_python(run, tmp_path, n_views, n_detectors, n):
    """With a shifted axis, the command has the image and error of Python."""
    cell = 40 * WIDTH / n
    description = geometry(
        n_views,
        n_detectors,
        detector_width=cell,
        detector_offset=7.3 * cell,
    )
    data, truth = scanned(description, n, cell=cell)
    np.save('scan.npy', data)
    (tmp_path / 'scan.json').write_text(json.dumps(description))
    options = ('--shape', n, '--cell-size', f'{cell / 10}cm')
    status, text = run('scan.npy', *options, '--output', 'image.npy')
    assert status == 0, text
    image = np.load('image.npy')
    acquisition = MeasuredCT(
        description, {'shape': (n, n), 'cell': cell}, length_unit='mm'
    )
    network = models.load(MODEL, acquisition)
    expected = network.as_operator()(data).asarray()
    assert relative(image, expected) < 1e-5
    assert abs(relative(image, truth) - relative(expected, truth)) < 1e-5
    assert relative(image, truth) < 0.15
    assert 'unexplained' not in text


def test_results_say_how_they_were_made(run, tmp_path):
    """NIfTI has cells in millimetres; JSON has weights, command and unit."""
    nibabel = pytest.importorskip('nibabel')
    _, truth = written(tmp_path)
    options = (*GRID, '--unit', '1/m', '--pictures', 'true')
    status, text = run('scan.npy', *options, '--output', 'out/image.nii.gz')
    assert status == 0, text
    image = nibabel.load('out/image.nii.gz')
    np.testing.assert_allclose(image.header.get_zooms()[:2], (3, 3))
    np.testing.assert_allclose(image.affine[:2, 3], (-58.5, -58.5))
    assert relative(np.asarray(image.dataobj)[..., 0] / 1e3, truth) < 0.15
    assert (tmp_path / 'out' / 'image.png').is_file()
    says = json.loads((tmp_path / 'out' / 'image.provenance.json').read_text())
    assert says['unit'] == '1/m' and says['model'] == MODEL
    assert says['spacing'] == pytest.approx([3, 3])
    assert 'odl-equivariant reconstruct scan.npy' in says['command']
    assert says['weights'] and says['source'] and 'odl' in says['versions']
    assert says['geometry_from'] == 'scan.json'


def test_arrays_without_a_header_are_refused(run, tmp_path):
    """An array alone is not reconstructed, whatever its shape."""
    written(tmp_path, header=False)
    status, text = run('scan.npy', '--output', 'image.npy')
    assert status == 1
    assert 'scan.npy' in text and '--geometry FILE.yaml' in text
    assert not (tmp_path / 'image.npy').exists()


def test_wrong_geometry_is_noticed(run, tmp_path):
    """Data of another geometry with the same shape are not silent."""
    data, _ = written(tmp_path)
    description = geometry(offset=-4.0)
    (tmp_path / 'scan.json').write_text(json.dumps(description))
    status, text = run('scan.npy', *GRID, '--output', 'image.npy')
    assert status == 0
    assert '% of the data unexplained' in text and 'scan.json' in text
    assert 'moments of order' in text and '--axis auto' in text


def test_geometry_of_another_shape(run, tmp_path):
    """Other numbers of views are an error that names file and both shapes."""
    written(tmp_path)
    (tmp_path / 'scan.json').write_text(json.dumps(geometry(n_views=20)))
    status, text = run('scan.npy', *GRID, '--output', 'image.npy')
    assert status == 1
    assert 'scan.' in text and '(20, 60)' in text and '(30, 60)' in text


def test_geometry_of_a_file(run, tmp_path):
    """`--geometry` describes data, and may not contradict their header."""
    yaml = pytest.importorskip('yaml')
    _, truth = written(tmp_path, header=False)
    (tmp_path / 'scanner.yaml').write_text(yaml.safe_dump(geometry()))
    options = (*GRID, '--geometry', 'scanner.yaml', '--output', 'image.npy')
    status, text = run('scan.npy', *options)
    assert status == 0, text
    assert relative(np.load('image.npy'), truth) < 0.15
    (tmp_path / 'scan.json').write_text(json.dumps(geometry(offset=1.0)))
    status, text = run('scan.npy', *options)
    assert status == 1
    assert 'scan.json and scanner.yaml say different things' in text


def test_axis(run, tmp_path):
    """`--axis auto` finds the axis, and a number sets it."""
    _, truth = written(tmp_path, n_views=40)
    description = geometry(n_views=40, offset=0.0)
    (tmp_path / 'scan.json').write_text(json.dumps(description))
    for axis in ('auto', '-4.3'):
        options = (f'--axis={axis}', '--output', 'image.npy')
        status, text = run('scan.npy', *GRID, *options)
        assert status == 0, text
        assert relative(np.load('image.npy'), truth) < 0.15
        says = json.loads((tmp_path / 'image.provenance.json').read_text())
        assert says['axis_in_elements'] == pytest.approx(-4.3, abs=0.3)


@pytest.mark.parametrize(
    'change, words',
    [(lambda y: -y, 'negative'), (lambda y: np.exp(-y), 'bright')],
)
def test_other_data_than_line_integrals_are_refused(
    run, tmp_path, change, words
):
    """Negated data and transmissions make no image, and are named."""
    data, _ = written(tmp_path)
    np.save('scan.npy', change(data))
    status, text = run('scan.npy', *GRID, '--output', 'image.npy')
    assert status == 1 and words in text
    assert not (tmp_path / 'image.npy').exists()


def test_counts_that_are_no_line_integrals(run, tmp_path):
    """Readings of a detector need to be called counts."""
    data, _ = written(tmp_path)
    np.save('scan.npy', 1e4 * np.exp(-data))
    status, text = run('scan.npy', *GRID, '--output', 'image.npy')
    assert status == 1 and 'kind: counts' in text


@pytest.mark.parametrize('simulated', [False, True])
@pytest.mark.parametrize('damage', [b'\x93NUMPY short', b''])
def test_a_folder_goes_on(run, tmp_path, damage, simulated):
    """If one file fails, the others are made, and a list is printed."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a', 'b', 'c'):
        written(folder, name)
    (folder / 'b.npy').write_bytes(damage)
    if simulated:
        (folder / 'b.json').write_text(
            '{"acquisition": {"n_views": 30, "side": 0.36}}'
        )
    status, text = run('in', *GRID, '--output', 'out')
    assert status == 1
    assert '1 of 3 files failed' in text and '\n  in/b.npy ' in text
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'a.npy',
        'a.provenance.json',
        'c.npy',
        'c.provenance.json',
    ]


def test_a_folder_goes_on_whatever_is_raised(run, tmp_path, monkeypatch):
    """An error of any kind ends its file alone, and is named."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a', 'b'):
        written(folder, name)
    own = inputs.read_scan

    def read(path, **options):
        if path.name == 'a.npy':
            raise KeyError('exchange')
        return own(path, **options)

    monkeypatch.setattr(inputs, 'read_scan', read)
    status, text = run('in', *GRID, '--output', 'out')
    assert status == 1 and "in/a.npy: KeyError: 'exchange'" in text
    assert (tmp_path / 'out' / 'b.npy').is_file()


def test_headers_of_simulated_scans(run, tmp_path):
    """Arguments of `SparseViewCT` in a header describe several images."""
    ct = SparseViewCT((24, 24), n_views=20)
    images = [ellipse_phantom((48, 48), rng=i) for i in range(2)]
    data = np.stack([ct.simulate(u, rng=0).asarray() for u in images])
    np.save('scans.npy', data)
    settings = {'shape': [24, 24], 'n_views': 20, 'side': 0.36}
    header = tmp_path / 'acquisition.json'
    header.write_text(json.dumps({'acquisition': settings}))
    status, text = run('scans.npy', '--output', 'images.npy')
    assert status == 0, text
    network = models.load(MODEL, ct.operator).as_operator()
    expected = [network(y).asarray() for y in data]
    assert relative(np.load('images.npy'), np.stack(expected)) < 1e-5
    for wrong, message in (
        ({'n_views': 20}, 'side must be there'),
        ({**settings, 'n_views': 10}, r'describes 10 views'),
        (ct.fingerprint(), 'has the fingerprint'),
    ):
        header.write_text(json.dumps({'acquisition': wrong}))
        status, text = run('scans.npy', '--output', 'images.npy')
        assert status == 1 and message in text


def test_lengths_in_cells(run, tmp_path):
    """Where no length is known, the largest value is 1 for the network."""
    data, truth = scanned(geometry())
    np.save('scan.npy', data)
    description = geometry(unit='cell', detector_width=1.0)
    description['detector_offset'] = 4.3
    (tmp_path / 'scan.json').write_text(json.dumps(description))
    status, text = run('scan.npy', '--shape', '40', '--output', 'image.npy')
    assert status == 0, text
    assert relative(np.load('image.npy') / WIDTH, truth) < 0.25
    says = json.loads((tmp_path / 'image.provenance.json').read_text())
    assert says['unit'] == '1/cell' and says['value_of_one'] > 0
    options = ('--cell-size', '3mm', '--unit', '1/mm', '--output', 'i.npy')
    status, text = run('scan.npy', '--shape', '40', *options)
    assert status == 0, text
    assert relative(np.load('i.npy'), truth) < 0.15


@pytest.mark.parametrize('model', ['denoiser_c4', 'ridge'])
def test_priors(run, tmp_path, model):
    """A denoiser is plugged in, an energy regularises."""
    from odl_equivariant.nn import RidgeEnergy

    _, truth = written(tmp_path)
    if model == 'ridge':
        model = 'ridge.safetensors'
        torch.manual_seed(0)
        models.save(RidgeEnergy('C4', 5, 4), model, (0, 1))
    status, text = run('scan.npy', *GRID, '--output', 'image.npy', model=model)
    assert status == 0, text
    assert relative(np.load('image.npy'), truth) < 0.2


@pytest.mark.parametrize('model', ['denoiser_c4', 'tv', 'ridge'])
def test_number_of_iterations(run, tmp_path, monkeypatch, model):
    """`--maxiter` is the number of iterations of a prior."""
    from odl_equivariant.nn import RidgeEnergy
    from odl_equivariant.training.measured import classical, methods

    written(tmp_path)
    if model == 'ridge':
        model = 'ridge.safetensors'
        models.save(RidgeEnergy('C4', 5, 4), model, (0, 1))
    counted = []

    def recorded(solver):
        def solve(*args, **kwargs):
            counted.append(solver(*args, **kwargs).n_iter)

        return solve

    for module in (classical, methods):
        for name in (
            'half_quadratic_splitting',
            'accelerated_proximal_gradient',
        ):
            if hasattr(module, name):
                solver = recorded(getattr(module, name))
                monkeypatch.setattr(module, name, solver)
    options = ('--maxiter', '2', '--output', 'image.npy')
    status, text = run('scan.npy', *GRID, *options, model=model)
    assert status == 0, text
    assert counted == [2]


def test_fewer_iterations_end_at_the_same_level(run, tmp_path):
    """Whatever `--maxiter` is, the last noise level is the same."""
    _, truth = written(tmp_path)
    given, model = ('scan.npy', *GRID, '--output', 'image.npy'), 'denoiser_c4'
    for n in (1, 2):
        status, text = run(*given, '--maxiter', n, model=model)
        assert status == 0, text
        assert relative(np.load('image.npy'), truth) < 0.25, n


def test_kspace(run, tmp_path):
    """k-space of several coils is reconstructed, in the unit of the file."""
    from odl_equivariant.data import simulated_coil_maps

    maps = simulated_coil_maps((64, 64), 4, rng=0)
    coils = 3e-4 * maps * mr_phantom((64, 64), 3)
    axes = (1, 2)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(coils, axes), norm='ortho'), axes
    )
    kspace[:, :, np.r_[1:20:2, 45:64:2]] = 0
    np.save('scan.npy', kspace)
    model = 'cartesian_mri_c4'
    status, text = run('scan.npy', '--output', 'image.npy', model=model)
    assert status == 0, text
    scan = read_kspace('scan.npy').with_coil_maps().normalised()
    acquisition = scan.acquisition()
    network = models.load(model, acquisition.operator).as_operator()
    expected = network(scan.data(acquisition)).asarray()
    image = np.load('image.npy')
    assert relative(image, scan.scale * expected) < 1e-5
    status, text = run(
        'scan.npy', '--axis', 'auto', '--output', 'image.npy', model=model
    )
    assert status == 1 and '--axis: cartesian_mri_c4 reconstructs' in text


def test_coil_maps_of_a_file(run):
    """Maps of a file are used as they are, and wrong ones are named."""
    from odl_equivariant.data import simulated_coil_maps

    maps = simulated_coil_maps((32, 32), 3, rng=0)
    image = maps * mr_phantom((32, 32), 3)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(image, (1, 2)), norm='ortho'), (1, 2)
    )
    np.save('scan.npy', kspace)
    np.save('maps.npy', maps)
    model = 'cartesian_mri_c4'
    given = ('scan.npy', '--output', 'image.npy', '--coil-maps', 'maps.npy')
    status, text = run(*given, model=model)
    assert status == 0, text
    scan = read_kspace('scan.npy').with_coil_maps(maps).normalised()
    acquisition = scan.acquisition()
    network = models.load(model, acquisition.operator).as_operator()
    expected = scan.scale * network(scan.data(acquisition)).asarray()
    assert relative(np.load('image.npy'), expected) < 1e-5
    status, text = run(*given, '--kernel', '4', model=model)
    assert status == 1 and 'leave one of them out' in text
    np.save('maps.npy', maps[:2])
    status, text = run(*given, model=model)
    assert status == 1 and '(--coil-maps maps.npy)' in text
    status, text = run(*given, model='denoiser_c4')
    assert status == 1 and '--coil-maps: denoiser_c4 reconstructs' in text


@pytest.mark.parametrize('noise', [0.0, 0.06])
def test_wrong_coil_maps_are_named(run, noise):
    """Maps of coils in another order are not silent, and right ones are."""
    from odl_equivariant.data import simulated_coil_maps

    maps = simulated_coil_maps((48, 40), 4, rng=0)
    image = maps * mr_phantom((48, 40), 3)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(image, (1, 2)), norm='ortho'), (1, 2)
    )
    parts = np.random.default_rng(0).normal(size=(2, *kspace.shape))
    kspace += noise * (parts[0] + 1j * parts[1])
    kspace[:, :, np.r_[1:12:2, 28:40:2]] = 0
    np.save('scan.npy', kspace)
    np.save('maps.npy', maps)
    np.save('swapped.npy', maps[[1, 0, 3, 2]])
    model = 'cartesian_mri_c4'
    given = ('scan.npy', '--output', 'image.npy')
    # maps are not estimated from noise
    estimated = [()] if noise == 0 else []
    for options in (*estimated, ('--coil-maps', 'maps.npy')):
        status, text = run(*given, *options, model=model)
        assert status == 0 and 'unexplained' not in text
    with pytest.warns(UserWarning, match='coil maps do not fit scan.npy'):
        status, text = run(*given, '--coil-maps', 'swapped.npy', model=model)
    assert status == 0 and 'of k-space unexplained' in text
    assert 'scan.npy: ' in text and '--coil-maps swapped.npy' in text
    assert 'in another order of the coils' in text


def test_kspace_that_no_image_explains():
    """Without a file of maps, the warning is about what was estimated."""
    acquisition = SparseViewCT((8, 8), n_views=4)
    y = acquisition.operator.range.one()
    text = kspace.doubt_of_kspace(2.0, y)
    assert 'the order of the axes' in text and '--coil-maps FILE.npy' in text
    assert not kspace.doubt_of_kspace(0.2, y)
    assert not kspace.doubt_of_kspace(2.0, 0 * y)


def test_slice_of_kspace(run, tmp_path):
    """Of a file with several slices, the one that is named is taken."""
    h5py = pytest.importorskip('h5py')
    phantoms = np.stack([mr_phantom((64, 48), seed) for seed in range(3)])
    axes = (1, 2)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(phantoms, axes), norm='ortho'), axes
    )
    with h5py.File('brain.h5', 'w') as file:
        file['kspace'] = kspace.astype(np.complex64)
    model = 'cartesian_mri_c4'
    images = []
    for number in ('0', '2'):
        status, text = run(
            *('brain.h5', '--slice', number, '--output', f'{number}.npy'),
            model=model,
        )
        assert status == 0, text
        images.append(np.abs(np.load(f'{number}.npy')))
    for image, i in zip(images, (0, 2), strict=True):
        # axis 0 is that of the phase, the last one of the file
        own, other = (
            np.corrcoef(image.ravel(), phantoms[j].T.ravel())[0, 1]
            for j in (i, 2 - i)
        )
        assert own > 0.9 > other
    status, text = run('brain.h5', '--output', 'image.npy', model=model)
    assert status == 1 and 'has the slices 0 to 2: pass `slice`' in text
    options = ('--slice', '1', '--output', 'i.npy')
    status, text = run('scan.npy', *options, model='ridge_convex_c4')
    assert status == 1 and '--slice is for k-space' in text


@pytest.mark.parametrize(
    'options, message',
    [
        (('--unit', 'inch'), 'expected one of auto, 1/m'),
        (('--shape', '3x3x3x3'), 'or 64x64x64 for the volume'),
        (('--cell-size', 'wide'), 'such as 0.2mm'),
        (('--axis', 'left'), 'expected `auto`'),
        (('--axis', 'nan'), 'expected `auto`'),
        (('--slice', '-1'), 'the number of a slice, from 0'),
        (('--strength', '-1'), 'expected a positive number'),
        (('--nonsense', '1'), 'unrecognized arguments'),
        (('--format', 'nii'), 'another format'),
        (('--output', 'image.jpg'), 'results end in .nii.gz'),
        (('--output', 'scan.npy'), 'would overwrite the data'),
        (('other.npy',), 'no file or folder other.npy'),
        (('scan.txt',), 'of no format that'),
        (('image.dcm',), 'images, which are reconstructed already'),
        (('dicom',), 'images, which are reconstructed already'),
        (('--output', 'scan.npy/image.npy'), '--output scan.npy/image.npy: '),
        (('kspace.npy',), 'kspace.npy holds complex numbers of shape (3, 4)'),
        (('--model', 'nonsense'), "unknown model 'nonsense'"),
        (('--model', 'FBP'), '(without a model: fbp, fdk, tv)'),
    ],
)
def test_wrong_options(run, tmp_path, options, message):
    """The error says what was expected, and nothing is written."""
    np.save('scan.npy', np.zeros((3, 4)))
    np.save('kspace.npy', np.zeros((3, 4), complex))
    (tmp_path / 'dicom').mkdir()
    for name in ('scan.txt', 'image.dcm', 'dicom/image.dcm'):
        (tmp_path / name).write_text('')
    inputs = () if options[0][0] != '-' else ('scan.npy',)
    name = MODEL
    if options[0] == '--model':
        options, name = (), options[1]
    status, text = run(*inputs, '--output', 'image.npy', *options, model=name)
    assert status in (1, 2) and message in text
    assert not (tmp_path / 'image.npy').exists()


@pytest.mark.parametrize(
    'options, message',
    [
        (('--axis', '30'), '--axis 30: the detector of scan.npy has 60'),
        (('--axis=-500',), '--axis -500: the detector of scan.npy has 60'),
        (('--cell-size', '1e-5mm'), '--cell-size 1e-05 mm: the detector of'),
        (('--cell-size', '0.1m'), '2 cells along a side'),
    ],
)
def test_lengths_off_the_detector(run, tmp_path, options, message):
    """An axis or a cell that the detector cannot have is refused at once."""
    written(tmp_path)
    status, text = run('scan.npy', *options, '--output', 'image.npy')
    assert status == 1 and message in text
    assert 'scan.npy' in text and not (tmp_path / 'image.npy').exists()


def test_output_is_checked_before_work(run, tmp_path, monkeypatch):
    """Where nothing can be written, nothing is read."""
    written(tmp_path)
    name = 'odl_equivariant.training.measured.command._reconstruct_file'
    monkeypatch.setattr(name, lambda *_: pytest.fail('has been read'))
    (tmp_path / 'file').write_text('')
    status, text = run('scan.npy', '--output', 'file/images')
    assert status == 1 and '--output file/images: results cannot be' in text


def test_file_of_another_format(run, tmp_path):
    """No message advises to run objects that a file may hold."""
    written(tmp_path)
    for content, reason in (
        (b'DICM' * 100, 'does not begin as a file of NumPy'),
        (b'', 'it is empty'),
    ):
        (tmp_path / 'scan.npy').write_bytes(content)
        status, text = run('scan.npy', '--output', 'image.npy')
        assert status == 1 and 'scan.npy' in text and reason in text
        assert 'pickle' not in text


def test_error_names_its_file_once(run, tmp_path):
    """Each line of the list of failures begins with its file."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a', 'b'):
        written(folder, name)
        (folder / f'{name}.npy').write_bytes(b'')
    status, text = run('in', '--output', 'out')
    lines = [line for line in text.splitlines() if line.startswith('  in/')]
    assert status == 1 and len(lines) == 2
    for name, line in zip(('in/a.npy', 'in/b.npy'), lines, strict=True):
        assert line.count(name) == 1, line


def test_failed_files_have_their_notes(run, tmp_path):
    """The list of failures names the option that an error is about."""
    rng = np.random.default_rng(0)
    (tmp_path / 'in').mkdir()
    for name in ('a', 'b'):
        kspace = rng.standard_normal((4, 16, 16)) + 0j
        kspace[..., ::2] = 0
        np.save(f'in/{name}.npy', kspace)
    model = 'splitting_mri_c4'
    np.save('maps.npy', np.ones((3, 16, 16)))
    for options, note in (
        (('--coil-maps', 'maps.npy'), '(--coil-maps maps.npy)'),
        ((), '--coil-maps FILE.npy, --kernel N, --threshold X'),
    ):
        status, text = run('in', '--output', 'out', *options, model=model)
        lines = [line for line in text.splitlines() if line[:2] == '  ']
        assert status == 1 and len(lines) == 2
        for name, line in zip(('in/a.npy', 'in/b.npy'), lines, strict=True):
            assert note in line and line.count(name) == 1, line


def test_warnings_name_the_file(run, tmp_path):
    """A warning has the file of data, and no line of this package."""
    written(tmp_path, n_views=12, angles={'first': 0, 'step': 5, 'n': 12})
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = lambda message, category, *rest: print(
            warnings.formatwarning(message, category, *rest), file=sys.stderr
        )
        status, text = run('scan.npy', *GRID, '--output', 'image.npy')
    assert status == 0, text
    assert 'warning: scan.npy: the views cover 60 degrees' in text
    assert 'Warning:' not in text


def test_an_image_that_is_too_small_is_said(run, tmp_path):
    """Where the image cuts the object, the message has what it covers."""
    written(tmp_path)
    options = ('--shape', '16', '--cell-size', '3mm', '--output', 'image.npy')
    status, text = run('scan.npy', *options)
    assert status == 0, text
    assert 'It covers 31 % of what the detector sees' in text


def test_each_file_is_warned_of(run, tmp_path):
    """The same warning is given for each of the files that it is about."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a.1', 'a.2'):
        written(
            folder, name, n_views=12, angles={'first': 0, 'step': 5, 'n': 12}
        )
    with warnings.catch_warnings():
        warnings.simplefilter('default')
        warnings.showwarning = lambda message, category, *rest: print(
            warnings.formatwarning(message, category, *rest), file=sys.stderr
        )
        status, text = run('in', *GRID, '--output', 'out')
    assert status == 0, text
    for name in ('a.1', 'a.2'):
        assert (tmp_path / 'out' / f'{name}.npy').is_file()
        assert f'warning: in/{name}.npy: the views cover 60' in text


def test_folder_of_one_scan(run, tmp_path):
    """A folder with one file of data has one image, of any name."""
    folder = tmp_path / 'in'
    folder.mkdir()
    written(folder)
    status, text = run('in', *GRID, '--output', 'image.npy')
    assert status == 0, text
    assert np.load(tmp_path / 'image.npy').shape == (40, 40)
    written(folder, 'other')
    status, text = run('in', *GRID, '--output', 'image.npy')
    assert status == 1 and 'there are 2 files of data' in text


def test_coil_maps_that_cannot_be_estimated(run):
    """k-space whose maps cannot be estimated is named, and only once."""
    rng = np.random.default_rng(0)
    kspace = rng.standard_normal((4, 16, 16)) + 0j
    kspace[..., ::2] = 0
    np.save('scan.npy', kspace)
    model = 'splitting_mri_c4'
    status, text = run('scan.npy', '--output', 'image.npy', model=model)
    assert status == 1 and '--coil-maps FILE.npy, --kernel N' in text
    assert text.count('scan.npy') == 1


def test_a_smaller_kernel(run):
    """A middle too small for the default kernel is enough for another one."""
    from odl_equivariant.data import simulated_coil_maps

    image = simulated_coil_maps((32, 32), 3, rng=0) * mr_phantom((32, 32), 3)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(image, (1, 2)), norm='ortho'), (1, 2)
    )
    kspace[:, :, [*range(0, 13, 2), *range(20, 32, 2)]] = 0
    np.save('scan.npy', kspace)
    given, model = ('scan.npy', '--output', 'image.npy'), 'splitting_mri_c4'
    status, text = run(*given, model=model)
    assert status == 1 and '--kernel N' in text
    status, text = run(*given, '--kernel', '4', model=model)
    assert status == 0, text


def test_a_kernel_for_one_coil(run):
    """k-space of one coil has no maps to estimate, and the option is named."""
    image = mr_phantom((32, 32), 3)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(image), norm='ortho')
    )
    np.save('scan.npy', kspace)
    given, model = ('scan.npy', '--output', 'image.npy'), 'splitting_mri_c4'
    status, text = run(*given, '--kernel', '4', model=model)
    assert status == 1 and 'scan.npy has one' in text and '--kernel 4' in text
    status, text = run(*given, '--threshold', '0.1', model=model)
    assert status == 1 and '--threshold 0.1: for the maps of several' in text
    status, text = run(*given, '--threshold', '1.5', model=model)
    assert status == 2 and 'between 0 and 1' in text
    status, text = run(*given, model=model)
    assert status == 0, text
