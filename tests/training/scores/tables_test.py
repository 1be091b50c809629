# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the tables of scores."""

import csv

import numpy as np

from odl_equivariant.training.scores.tables import save_scores, score_table


def _rows(patients, methods=('learned', 'FBP'), volumes=None):
    """Return rows whose scores are the index of the image."""
    return [
        {
            'index': i,
            'image': f'image-{i}',
            'method': method,
            'psnr': 20.0 + i + 10 * (method == 'learned'),
            'ssim': i / 10,
            'blank': False,
            'patient': patient,
            'volume': (volumes or patients)[i],
        }
        for i, patient in enumerate(patients)
        for method in methods
    ]


def test_patients_have_the_means_of_their_images():
    """Each patient has a line for each method, and all have one together."""
    lines = score_table(_rows('aaab')).splitlines()
    assert lines[1].split() == (
        'learned 4 31.50 +- 1.29 0.1500 +- 0.1291'.split()
    )
    assert lines[4].split()[:3] == ['patient', 'method', 'images']
    table = [line.split() for line in lines[5:]]
    assert table[0] == 'a learned 3 31.00 +- 1.00 0.1000 +- 0.1000'.split()
    assert table[1][:4] == 'a FBP 3 21.00'.split()
    assert table[2] == 'b learned 1 33.00 +- 0.00 0.3000 +- 0.0000'.split()
    deviation = f'{np.std([31, 33], ddof=1):.2f}'
    assert table[4][:7] == f'2 patients learned 4 32.00 +- {deviation}'.split()
    # volumes are the same division, and are not listed again
    assert len(table) == 6 and 'volume' not in '\n'.join(lines)


def test_volumes_of_a_patient_are_listed():
    """If patients have several volumes, these have lines as well."""
    rows = _rows('aaab', ('FBP',), ['a1', 'a1', 'a2', 'b1'])
    text = score_table(rows)
    assert [line.split()[0] for line in text.splitlines() if line] == [
        *('method', 'FBP'),
        *('patient', 'a', 'b', '2'),
        *('volume', 'a1', 'a2', 'b1', '3'),
    ]


def test_single_images_have_no_groups():
    """Without groups, with one for each image or for all: one table."""
    assert len(score_table(_rows('abc')).splitlines()) == 3
    assert len(score_table(_rows('aaa')).splitlines()) == 3
    rows = [
        {k: v for k, v in row.items() if k not in ('patient', 'volume')}
        for row in _rows('aab')
    ]
    assert len(score_table(rows).splitlines()) == 3


def test_blank_images_are_no_part_of_means():
    """A blank image does not count for its patient either."""
    rows = _rows('aab', ('FBP',))
    rows[1] |= {'blank': True, 'psnr': np.nan, 'ssim': np.nan}
    lines = score_table(rows).splitlines()
    assert lines[5].split()[:4] == ['a', 'FBP', '1', '20.00']
    assert lines[7].split()[:5] == ['2', 'patients', 'FBP', '2', '21.00']


def test_many_and_long_names():
    """Twenty groups are listed, and the ends of long names."""
    rows = _rows([f'{"x" * 40}{i // 2:02}' for i in range(60)], ('FBP',))
    lines = score_table(rows).splitlines()
    assert lines[4].startswith('...x') and 'x00  FBP' in lines[4]
    assert lines[24] == 'and 10 more patients'
    assert lines[25].startswith('30 patients')
    assert max(map(len, lines)) < 90


def test_file_of_scores_names_groups(tmp_path):
    """Patient and volume are the last columns, if they are known."""
    rows = _rows('aab', ('FBP',))
    save_scores(rows, tmp_path / 'scores.csv')
    with open(tmp_path / 'scores.csv', newline='', encoding='utf-8') as file:
        table = list(csv.DictReader(file))
    assert [row['patient'] for row in table] == ['a', 'a', 'b']
    assert list(table[0])[-2:] == ['patient', 'volume']
    for row in rows:
        del row['patient'], row['volume']
    save_scores(rows, tmp_path / 'scores.csv')
    header = (tmp_path / 'scores.csv').read_text('utf-8').splitlines()[0]
    assert header == 'index,image,method,psnr,ssim,blank'
