# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of `odl-equivariant reconstruct` for whole volumes of cone beams."""

import argparse
import json
import pathlib

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo

from odl_equivariant import models
from odl_equivariant.data import MeasuredCT, read_scan
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    RidgeEnergy,
)
from odl_equivariant.operators import configure_ray_matrices
from odl_equivariant.training.cli import main
from odl_equivariant.training.measured.classical import (
    CLASSICAL,
    Classical,
)
from odl_equivariant.training.measured.methods import Method
from odl_equivariant.training.measured.volumes import (
    Slicewise,
    acquisition_of_volume,
)

N, CELL = 12, 2.0
GRID = ('--shape', '12x12x12', '--cell-size', '2mm')


def geometry(offset=0.0, **changes):
    """Return the geometry of a cone beam, in millimetres."""
    return {
        'kind': 'cone',
        'source_radius': 60.0,
        'detector_radius': 40.0,
        'n_detectors': 20,
        'detector_width': 3.0,
        'detector_offset': offset,
        'n_rows': 16,
        'row_height': 3.0,
        'angles': {'first': 0.0, 'step': 22.5, 'n': 16},
        'angle_unit': 'degrees',
        'unit': 'mm',
        **changes,
    }


def written(folder, offset=0.0, noise=0.0, **changes):
    """Write a scan of two balls and its header; return acquisition, truth."""
    description = geometry(offset, **changes)
    acquisition = MeasuredCT(
        description,
        {'shape': (N, N, N), 'cell': CELL},
        length_unit='mm',
        impl='volume_matrix',
    )
    truth = acquisition.space.element(
        lambda x: (
            0.02 * (x[0] ** 2 + x[1] ** 2 + x[2] ** 2 < 64)
            + 0.03 * ((x[0] - 2) ** 2 + x[1] ** 2 + (x[2] - 3) ** 2 < 10)
        )
    )
    data = acquisition.operator(truth).asarray()
    data = data + noise * np.random.default_rng(0).standard_normal(data.shape)
    # files have the rows before the columns
    readings = np.swapaxes(data, 1, 2).astype('float32')
    np.save(folder / 'scan.npy', readings)
    content = {
        'geometry': description,
        'length_unit': 'mm',
        'kind': 'line integrals',
    }
    header = json.dumps({'acquisition': content})
    (folder / 'scan.json').write_text(header)
    return acquisition, truth.asarray(), np.swapaxes(readings, 1, 2)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd, caplog):
    """Return a function that reconstructs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level('INFO')

    def call(*arguments, model):
        caplog.clear()
        given = ['reconstruct', *map(str, arguments), '--model', str(model)]
        try:
            status = main(given)
        except SystemExit as end:
            status = end.code
        return status, capfd.readouterr().err + caplog.text

    return call


def written_of(name):
    """Return what was written beside a result."""
    text = pathlib.Path(f'{name}.provenance.json').read_text('utf-8')
    return json.loads(text)


def relative(image, truth):
    """Return the relative error."""
    return float(np.linalg.norm(image - truth) / np.linalg.norm(truth))


def test_volume_is_that_of_feldkamp(run, tmp_path):
    """The command writes what `fbp` of the acquisition returns."""
    acquisition, truth, data = written(tmp_path)
    status, said = run('scan.npy', *GRID, '--output', 'v.npy', model='fdk')
    assert status == 0, said
    volume = np.load('v.npy')
    expected = acquisition.fbp(data).asarray()
    assert volume.shape == (N, N, N)
    assert relative(volume, expected) < 1e-5
    assert relative(volume, truth) < 0.5


def test_feldkamp_needs_no_matrix(run, tmp_path):
    """Where the matrix is too large, `fdk` has a volume, the others do not."""
    written(tmp_path)
    before = configure_ray_matrices()[0]
    configure_ray_matrices(memory_limit=1000)
    try:
        options = ('--shape', '11x11x11', '--output', 'v.npy')
        status, said = run('scan.npy', *options, model='tv')
        assert status != 0 and '--model fdk, which needs no matrix' in said
        status, said = run('scan.npy', *options, model='fdk')
        assert status == 0 and 'residual is not computed' in said
        assert written_of('v')['relative_residual'] is None
    finally:
        configure_ray_matrices(memory_limit=before)


def test_total_variation_is_better_than_feldkamp(run, tmp_path):
    """With noise, the minimiser is nearer to the truth, in all slices."""
    _, truth, _ = written(tmp_path, noise=0.01)
    errors = {}
    for model in ('fdk', 'tv'):
        name = f'{model}.npy'
        status, said = run('scan.npy', *GRID, '--output', name, model=model)
        assert status == 0, said
        errors[model] = relative(np.load(name), truth)
    assert errors['tv'] < 0.8 * errors['fdk']


@pytest.mark.parametrize(
    'name', ['fdk', 'tv', 'denoiser_c4', 'ridge_convex_c4']
)
def test_back_projection_runs_once(name, monkeypatch):
    """It is start and largest value in one; for volumes it takes a while."""
    scanner = {
        'kind': 'parallel',
        'n_detectors': 40,
        'detector_width': 1.0,
        'angles': {'first': 0.0, 'step': 15.0, 'n': 12},
        'angle_unit': 'degrees',
    }
    acquisition = MeasuredCT(scanner, {'shape': (24, 24), 'cell': 1.0}, 'mm')
    disc = acquisition.space.element(
        lambda x: 1.0 * (x[0] ** 2 + x[1] ** 2 < 36)
    )
    y = acquisition.operator(disc)
    y += odl.core.phantom.white_noise(y.space, stddev=0.1, seed=0)
    calls = []
    fbp = MeasuredCT.fbp
    monkeypatch.setattr(
        MeasuredCT, 'fbp', lambda *given: calls.append(1) or fbp(*given)
    )
    make = Classical if name in CLASSICAL else Method
    image, element, scale = make(name)(acquisition, y)
    assert len(calls) == 1
    assert np.array_equal(image, element.asarray())
    assert (scale is None) == (name == 'fdk')


def test_denoisers_of_images_are_applied_to_slices(run, tmp_path):
    """A denoiser of images takes volumes slice by slice."""
    written(tmp_path, noise=0.01)
    status, said = run(
        'scan.npy', *GRID, '--output', 'v.npy', model='denoiser_c4'
    )
    assert status == 0, said
    volume = np.load('v.npy')
    assert volume.shape == (N, N, N) and np.isfinite(volume).all()


@torch.no_grad()
def test_slices_are_those_across_the_axis():
    """Each slice has what the module returns for it, and its noise level."""
    module = MultiscaleDenoiser('C4', channels=4, n_scales=1, n_blocks=1)
    x, levels = torch.rand(2, 1, 6, 7, 3), torch.tensor([0.1, 0.4])
    y = Slicewise(module)(x, sigma=levels)
    for i in range(3):
        expected = module(x[..., i], sigma=levels)
        torch.testing.assert_close(y[..., i], expected)
    sizes = []
    module.register_forward_pre_hook(lambda _, given: sizes.append(given[0]))
    Slicewise(module)(x, sigma=0.1)
    assert [tuple(u.shape) for u in sizes] == 3 * [(2, 1, 6, 7)]
    with pytest.raises(ValueError, match='takes 3 axes'):
        Slicewise(MultiscaleDenoiser('O', channels=24, n_scales=1))


@pytest.mark.parametrize('kind', ['denoiser', 'energy', 'unrolled'])
def test_models_of_volumes(run, tmp_path, kind):
    """Denoisers, energies and unrolled networks of volumes are taken."""
    acquisition, _, _ = written(tmp_path, noise=0.01)
    torch.manual_seed(0)
    if kind == 'denoiser':
        model = MultiscaleDenoiser('O', 1, 24, n_scales=1, n_blocks=1)
    elif kind == 'energy':
        model = RidgeEnergy('D4', 3, 8, axis=2, convex=True)
    else:
        model = LearnedProximalGradient(
            acquisition.operator,
            lambda: EquivariantProximal(1, 8, 'D4', 1, axis=2),
            1,
            'fbp',
        )
    models.save(model, tmp_path / 'own.safetensors')
    arguments = ('scan.npy', *GRID, '--output', 'v.npy')
    status, said = run(*arguments, model=tmp_path / 'own.safetensors')
    assert status == 0, said
    volume = np.load('v.npy')
    assert volume.shape == (N, N, N) and np.isfinite(volume).all()


def test_other_faults_of_networks_of_volumes(tmp_path):
    """The error has no advice for networks of images."""
    acquisition, _, _ = written(tmp_path)
    model = LearnedProximalGradient(
        acquisition.operator,
        lambda: EquivariantProximal(1, 8, 'D4', 1, axis=2),
        1,
        'fbp',
    )
    models.save(model, tmp_path / 'own.safetensors')
    for own, advised in (('own', False), ('sparse_view_ct_c4', True)):
        name = tmp_path / 'own.safetensors' if own == 'own' else own
        with pytest.raises(ValueError) as refused:
            Method(name)._network(acquisition, 'no unit')
        assert ('asks for a volume' in str(refused.value)) == advised, own


def test_nifti_has_the_sides_of_voxels(run, tmp_path):
    """The file of a volume has three sides, and pictures are its slices."""
    nibabel = pytest.importorskip('nibabel')
    written(tmp_path)
    options = (*GRID, '--output', 'v.nii.gz', '--pictures', 'true')
    status, said = run('scan.npy', *options, model='fdk')
    assert status == 0, said
    image = nibabel.load('v.nii.gz')
    assert image.shape == (N, N, N)
    assert np.allclose(image.header.get_zooms(), CELL)
    assert len(list(tmp_path.glob('v-*.png'))) == N


def test_axis_of_a_volume(run, tmp_path):
    """`--axis` shifts the detector of all rows."""
    acquisition, truth, data = written(tmp_path, offset=6.0)
    header = json.loads((tmp_path / 'scan.json').read_text())
    header['acquisition']['geometry']['detector_offset'] = 0.0
    (tmp_path / 'scan.json').write_text(json.dumps(header))
    expected = acquisition.fbp(data).asarray()
    for axis in ('-2', 'auto'):
        status, said = run(
            'scan.npy', *GRID, '--axis', axis, '--output', 'v.npy', model='fdk'
        )
        assert status == 0, said
        assert relative(np.load('v.npy'), expected) < 0.1


def test_default_cell_covers_what_the_detector_sees(run, tmp_path):
    """Without a length, cubic cells fill the circle that all views see."""
    written(tmp_path)
    flat = {k: v for k, v in geometry(kind='fan').items() if 'row' not in k}
    side = MeasuredCT(flat, (10, 10), 'mm').space.cell_sides[0]
    options = ('--shape', '10x10x6', '--output', 'v.npy')
    status, said = run('scan.npy', *options, model='fdk')
    assert status == 0, said
    assert np.load('v.npy').shape == (10, 10, 6)
    assert np.allclose(written_of('v')['spacing'], 3 * [side], rtol=1e-5)


@pytest.mark.parametrize(
    'model, options, message',
    [
        ('sparse_view_ct_c4', GRID, 'take --model fdk or tv, a denoiser'),
        ('ridge', GRID, 'take --model fdk or tv, a denoiser'),
        ('fdk', (*GRID, '--strength', '2'), 'take --model tv'),
        ('tv', (*GRID, '--unit', 'auto'), 'needs no value that is 1'),
        ('fdk', ('--shape', '9000x9000x9000'), 'take fewer voxels by --shape'),
        ('fdk', (*GRID, '--axis', '11'), 'between -10 and 10'),
        ('fdk', (*GRID, '--format', 'dcm'), 'asks for a volume'),
    ],
)
def test_what_cannot_be_is_said(run, tmp_path, model, options, message):
    """The error says which models and shapes there are."""
    written(tmp_path)
    if model == 'ridge':
        model = tmp_path / 'ridge.safetensors'
        models.save(RidgeEnergy('C4', 3, 4), model)
    output = 'v' if '--format' in options else 'v.npy'
    status, said = run('scan.npy', *options, '--output', output, model=model)
    assert status != 0 and message in said
    assert not (tmp_path / 'v').exists()
    assert not (tmp_path / 'v.npy').exists()


def test_rows_of_parallel_beams_are_images(run, tmp_path):
    """Volumes of parallel beams are made row by row, and the error says so."""
    description = geometry(kind='parallel3d')
    for name in ('source_radius', 'detector_radius'):
        del description[name]
    np.save(tmp_path / 'scan.npy', np.ones((16, 16, 20), 'float32'))
    content = {'geometry': description, 'length_unit': 'mm'}
    header = json.dumps({'acquisition': content})
    (tmp_path / 'scan.json').write_text(header)
    status, said = run('scan.npy', *GRID, '--output', 'v.npy', model='fdk')
    assert status != 0 and '--shape 12x12' in said


def test_classical_methods_of_images(run, tmp_path):
    """Without a third number, `fdk` and `tv` take the middle row."""
    written(tmp_path)
    for model in ('fbp', 'tv'):
        options = ('--shape', '12', '--cell-size', '2mm', '--output', 'u.npy')
        status, said = run('scan.npy', *options, model=model)
        assert status == 0, said
        assert np.load('u.npy').shape == (12, 12)
        assert 'three numbers asks for the whole volume' in said


def test_cells_without_a_length_need_a_unit(tmp_path):
    """Where a scan has lengths in cells, a bare number is refused at once."""
    written(tmp_path)
    scan = read_scan(tmp_path / 'scan.npy', geometry=geometry(unit='cell'))
    options = argparse.Namespace(shape=(4, 4, 4), cell=(2.0, None), axis=None)
    with pytest.raises(ValueError, match='needs a unit'):
        acquisition_of_volume(scan, tmp_path / 'scan.npy', options)


def test_volumes_in_cells(run, tmp_path):
    """A scan with lengths in cells has a volume, of cells of the side 1."""
    lengths = {
        name: length / CELL
        for name, length in geometry().items()
        if name.endswith(('radius', 'width', 'height'))
    }
    acquisition, _, data = written(tmp_path)
    header = {'geometry': geometry(unit='cell', **lengths)}
    header = {**header, 'length_unit': 'cell', 'kind': 'line integrals'}
    (tmp_path / 'scan.json').write_text(json.dumps({'acquisition': header}))
    status, said = run(
        'scan.npy', *GRID, '--axis', '0', '--output', 'v.npy', model='fdk'
    )
    assert status == 0, said
    expected = CELL * acquisition.fbp(data).asarray()
    assert relative(np.load('v.npy'), expected) < 1e-5
    assert np.allclose(written_of('v')['spacing'], 3 * [CELL])


def test_back_end_is_one_that_is_there(tmp_path, monkeypatch):
    """A GPU of torch is none for ASTRA that was built without."""
    written(tmp_path)
    scan = read_scan(tmp_path / 'scan.npy', geometry=geometry())
    options = argparse.Namespace(shape=(4, 4, 4), cell=(2.0, None), axis=None)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(tomo, 'ASTRA_CUDA_AVAILABLE', False)
    acquisition, _, _ = acquisition_of_volume(scan, tmp_path, options)
    assert acquisition.impl == 'volume_matrix'


@pytest.mark.parametrize('kind', ['fan', 'cone'])
def test_total_variation_does_not_depend_on_the_unit(kind):
    """In cells, where ODL leaves out a weight, the image is the same."""
    angles = {'first': 0.0, 'step': 3.75, 'n': 96}
    description = geometry(kind=kind, angles=angles)
    shape, impl = (8, 8, 8), 'volume_matrix'
    if kind == 'fan':
        description = {k: v for k, v in description.items() if 'row' not in k}
        shape, impl = shape[:2], 'astra_matrix'
    found = []
    for cell, unit in ((3.0, 'mm'), (1.0, 'cell')):
        lengths = {
            name: description[name] * cell / 3
            for name in description
            if name.endswith(('radius', 'width', 'height'))
        }
        acquisition = MeasuredCT(
            {**description, **lengths, 'unit': unit},
            {'shape': shape, 'cell': cell},
            length_unit=unit,
            impl=impl,
        )
        ball = acquisition.space.element(
            lambda x, h=cell: (sum(t**2 for t in x) < 9 * h**2) / h
        )
        data = acquisition.operator(ball).asarray()
        noise = np.random.default_rng(0).standard_normal(data.shape)
        image, *_ = Classical('tv')(
            acquisition, acquisition.operator.range.element(data + 0.2 * noise)
        )
        found.append(cell * image)
    assert relative(*found) < 1e-4
