# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the arguments of `odl-equivariant reconstruct FILE`."""

import json
import pathlib

import numpy as np
import pytest

from odl_equivariant.training.measured import inputs, methods
from odl_equivariant.training.measured.arguments import (
    cell_in,
    cell_in_metres,
    is_direct,
    parsed,
)
from odl_equivariant.training.measured.classical import Classical
from odl_equivariant.training.measured.outputs import ending_of, write_images

NAMED = ['reconstruct', 'a.npy', '--model', 'm', '--output', 'o.npy']


def test_defaults():
    """What is not given is left to the scan."""
    options = parsed(NAMED)
    assert options.inputs == [pathlib.Path('a.npy')]
    assert options.output == pathlib.Path('o.npy') and options.model == 'm'
    for name in ('unit', 'cell', 'shape', 'geometry', 'axis', 'format'):
        assert getattr(options, name) is None
    assert options.strength == 1.0 and options.pictures is False


@pytest.mark.parametrize(
    ('option', 'text', 'name', 'value'),
    [
        ('--unit', 'auto', 'unit', 'auto'),
        ('--unit', 'HU', 'unit', 'HU'),
        ('--unit', '0.5', 'unit', 0.5),
        ('--cell-size', '0.2mm', 'cell', (0.2, 'mm')),
        ('--cell-size', '3e-1 um', 'cell', (0.3, 'um')),
        ('--cell-size', '2', 'cell', (2.0, None)),
        ('--shape', '64x48', 'shape', (64, 48)),
        ('--shape', '(64, 48)', 'shape', (64, 48)),
        ('--shape', '64', 'shape', (64, 64)),
        ('--shape', '4x5x6', 'shape', (4, 5, 6)),
        ('--axis', 'auto', 'axis', 'auto'),
        ('--axis', '-2.5', 'axis', -2.5),
        ('--strength', '0.1', 'strength', 0.1),
        ('--maxiter', '3', 'maxiter', 3),
        ('--kernel', '4', 'kernel', 4),
        ('--coil-maps', 'm.npy', 'coil_maps', pathlib.Path('m.npy')),
        ('--geometry', 'g.yaml', 'geometry', pathlib.Path('g.yaml')),
        ('--pictures', 'true', 'pictures', True),
        ('--format', 'nii.gz', 'format', 'nii.gz'),
    ],
)
def test_values_are_read(option, text, name, value):
    """Each option has the value, and the type, of its text."""
    found = getattr(parsed([*NAMED, f'{option}={text}']), name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (NAMED[:4], '--output'),
        (['reconstruct', *NAMED[4:], 'a.npy'], '--model'),
        (['reconstruct', *NAMED[2:]], 'name the files of data'),
        ([*NAMED, '--unit', '0'], 'expected one of auto'),
        ([*NAMED, '--unit', 'furlong'], 'expected one of auto'),
        ([*NAMED, '--cell-size', '0mm'], 'positive'),
        ([*NAMED, '--cell-size', '2 inch'], 'side of a cell'),
        ([*NAMED, '--shape', '0x5'], 'expected a shape'),
        ([*NAMED, '--shape', '4x5x6x7'], 'expected a shape'),
        ([*NAMED, '--axis', 'inf'], 'expected `auto`'),
        ([*NAMED, '--strength', 'inf'], 'positive number'),
        ([*NAMED, '--maxiter', '0'], 'positive whole number'),
        ([*NAMED, '--kernel', '2.5'], 'positive whole number'),
        ([*NAMED, '--pictures', 'yes'], 'true'),
    ],
)
def test_what_is_none_is_refused(arguments, message, capsys):
    """Wrong and missing values end with the status 2, and say which."""
    with pytest.raises(SystemExit) as end:
        parsed(arguments)
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith('odl-equivariant: error: ') and message in text


def test_a_configuration_is_another_command():
    """Only `--model` without a configuration is meant."""
    assert is_direct(NAMED)
    assert not is_direct([*NAMED, '--config=a.yaml'])
    assert not is_direct([*NAMED, '-c', 'a.yaml'])
    assert not is_direct(['train', '--model', 'm'])


def test_lengths_of_cells():
    """A length has the unit of the scan, unless it has its own."""
    assert cell_in((3.0, None), 'um') == 3.0
    assert cell_in((3.0, 'mm'), 'um') == pytest.approx(3000)
    assert cell_in_metres((3.0, 'mm')) == pytest.approx(3e-3)
    with pytest.raises(ValueError, match='needs a unit'):
        cell_in_metres((3.0, None))


def test_networks_have_no_strength():
    """The options of a prior are refused where there is no prior."""
    with pytest.raises(ValueError, match='--strength 2: .* unrolled'):
        methods.Method('sparse_view_ct_c4', strength=2.0)
    with pytest.raises(ValueError, match='--maxiter 2: .* unrolled'):
        methods.Method('sparse_view_ct_c4', maxiter=2)
    with pytest.raises(ValueError, match='--maxiter 2: fbp has no'):
        Classical('fbp', maxiter=2)


@pytest.mark.parametrize(
    ('content', 'found'),
    [
        ({'geometry': {'kind': 'fan'}}, True),
        ({'kind': 'fan', 'angles': [0.0]}, True),
        ({'patient': 'phantom'}, False),
        ({'acquisition': {'n_views': 4}}, True),
    ],
)
def test_files_for_other_purposes_are_no_headers(tmp_path, content, found):
    """A header has a geometry or an acquisition, other JSON does not count."""
    np.save(tmp_path / 'a.npy', np.ones(3))
    (tmp_path / 'a.json').write_text(json.dumps(content))
    header = inputs._header(tmp_path / 'a.npy')
    assert (header is not None) == found
    assert inputs._header(tmp_path / 'a.mat') is None


@pytest.mark.parametrize(
    ('name', 'ending'),
    [
        ('a.nii.gz', '.nii.gz'),
        ('a.nii', '.nii'),
        ('a.dcm', '.dcm'),
        ('a', None),
    ],
)
def test_endings(name, ending):
    """Results end in that of their format, and folders in nothing."""
    assert ending_of(pathlib.Path(name)) == ending
    with pytest.raises(ValueError, match='results end in'):
        ending_of(pathlib.Path('a.png'))


@pytest.mark.parametrize('single', [True, False])
def test_axes_and_sides_of_results(tmp_path, single):
    """Rows of a detector are the first axis of arrays, and the last of NIfTI.

    They are as far apart as cells are wide along the first axis.
    """
    nibabel = pytest.importorskip('nibabel')
    images = [np.arange(6.0).reshape(2, 3) + 10 * i for i in range(4)]
    images = images[:1] if single else images
    for name in ('a.npy', 'a.nii'):
        write_images(
            tmp_path / name, images, single, (2e-3, 1e-3), '1/m', {}, False
        )
    array = np.load(tmp_path / 'a.npy')
    np.testing.assert_array_equal(
        array, images[0] if single else np.stack(images)
    )
    file = nibabel.load(tmp_path / 'a.nii')
    sides = file.header.get_zooms()
    np.testing.assert_allclose(sides[:2], (2, 1), rtol=1e-6)
    values = np.squeeze(file.get_fdata())
    if not single:
        assert sides[2] == pytest.approx(2)
        values = np.moveaxis(values, 2, 0)
    np.testing.assert_allclose(values, array)
