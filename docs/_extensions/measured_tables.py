# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tables of scores, from files of scores.

The examples ``measured_mri.py`` and ``score_measured_ct.py`` write those of
measured data to ``docs/results`` by their option ``--json``, and
``scores/units.py`` that of units, and ``scores/shipped_models.py`` those of
shipped models.
"""

import json
import pathlib

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

__all__ = ('TABLES', 'setup')

_RESULTS = pathlib.Path(__file__).parents[1] / 'results'
# By the beginning of what the examples call a method.
_METHODS = {
    'fbp': 'filtered back-projection',
    'least-squares': 'least squares, few iterations',
    'network': '`sparse_view_ct_c4`',
    'tv': 'total variation',
    'prior': 'plug-and-play, `multiscale_denoiser_c4`',
    'ridge': '`ridge_weakly_convex_c4`',
    'zero-filled': 'zero-filled',
    'unrolled splitting': '`splitting_mri_c4`',
    'unrolled_splitting': '`splitting_ct_c4`',
    'unrolled': '`cartesian_mri_c4`',
    'total variation': 'total variation',
    'splitting': 'half-quadratic splitting, `multiscale_denoiser_c4`',
}


def _stored(name):
    return json.loads((_RESULTS / f'{name}.json').read_text('utf-8'))


def _method(name):
    return next(w for key, w in _METHODS.items() if name.startswith(key))


def of_kspace():
    """Return the lines of the table of a brain, the largest error first."""
    lines = ['| method | parameter | error |', '|---|---|---|']
    scores = _stored('measured_mri')
    for name in sorted(scores, key=lambda name: -scores[name]['error']):
        own = scores[name]
        parameter = own['parameter']
        shown = '' if parameter is None else f'{parameter:g}'
        lines.append(f'| {_method(name)} | {shown} | {own["error"]:.3f} |')
    return lines


def of_discs():
    """Return the lines of the table of the Helsinki challenge."""
    scores = _stored('measured_ct')
    scans = {
        'htc2022_ta_121_views': 'ta, 60 degrees',
        'htc2022_tb_90_degrees': 'tb, 90 degrees',
    }
    lines = [f'| method | {" | ".join(scans.values())} |', '|---|---|---|']
    for key in (
        'fbp',
        'network',
        'unrolled_splitting',
        'tv',
        'prior',
        'ridge',
    ):
        cells = [
            ' / '.join(
                f'{score["matthews"]:.3f}'
                for name, score in scores[scan].items()
                if name.partition('-')[0] == key
            )
            for scan in scans
        ]
        lines.append(f'| {_METHODS[key]} | {" | ".join(cells)} |')
    return lines


def of_tooth():
    """Return the lines of the table of a tooth, the worst method first."""
    scores = _stored('measured_ct')['tooth']
    lines = ['| method | against the other views |', '|---|---|']
    for name in sorted(scores, key=lambda name: scores[name]['psnr']):
        lines.append(f'| {_method(name)} | {scores[name]["psnr"]:.1f} dB |')
    return lines


def of_units():
    """Return the lines of the table of images in several units."""
    scores = _stored('units')
    names = list(next(iter(scores.values())))
    lines = [
        f'| unit of the image | {" | ".join(names)} |',
        f'|{"---|" * (1 + len(names))}',
    ]
    for unit, own in scores.items():
        cells = [f'{own[name]:.1f} dB' for name in names]
        lines.append(f'| {unit} | {" | ".join(cells)} |')
    return lines


def of_volumes():
    """Return the lines of the table of k-space of volumes, twin by twin."""
    names = ('volume_mri_o', 'volume_mri_ordinary')
    models = _stored('shipped_models')['models']
    rows = {}
    for name in names:
        for score in models[name]['scores']:
            key = score['setting'], score['images']
            rows.setdefault(key, {})[name] = score['psnr']
    shown = ' | '.join(f'`{name}`' for name in names)
    lines = [f'| k-space | volumes | {shown} |', '|---|---|---|---|']
    # brains before phantoms
    for setting, images in sorted(rows, key=lambda key: key[1]):
        scores = rows[setting, images]
        cells = [f'{scores[name]:.2f}' for name in names]
        lines.append(f'| {setting} | {images} | {" | ".join(cells)} |')
    return lines


TABLES = {
    'kspace': of_kspace,
    'discs': of_discs,
    'tooth': of_tooth,
    'units': of_units,
    'volumes': of_volumes,
}


class _MeasuredTable(SphinxDirective):
    """The directive ``measured-table``, whose argument is a key of TABLES."""

    required_arguments = 1

    def run(self):
        """Return the table."""
        node = nodes.container()
        lines = TABLES[self.arguments[0]]()
        text = StringList(lines, source='measured-table')
        self.state.nested_parse(text, self.content_offset, node)
        return node.children


def setup(app):
    """Let Sphinx know the directive."""
    app.add_directive('measured-table', _MeasuredTable)
    return {'parallel_read_safe': True}
