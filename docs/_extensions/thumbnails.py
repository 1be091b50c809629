# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Thumbnails of the gallery: parts of figures that can be recognised.

A figure of many panels is illegible when it is as small as a stamp. So a
thumbnail has two or three of its panels, with words below them, or words
alone where an example makes no figure.
"""

import pathlib

from matplotlib.figure import Figure
from matplotlib.image import imread

__all__ = ('THUMBNAILS', 'draw', 'setup')

DOCS = pathlib.Path(__file__).parents[1]
_INCHES, _DPI = (4.0, 2.8), 100  # of sphinx-gallery

# columns and rows of the figures, as parts of their width and height
_HEAD = [(0.0152 + 0.1412 * i, 0.150 + 0.1416 * i) for i in range(7)]
_FULL, _CLOSE_UP = (0.037, 0.264), (0.272, 0.495)


def _head(column, row):
    (left, right), (top, bottom) = _HEAD[column], row
    return left, top, right, bottom


def _pixels(width, height, left, top, right, bottom):
    return left / width, top / height, right / width, bottom / height


def _mri(left, right):
    return _pixels(805, 672, left, 167, right, 318)


def _radial(left, right, width=828):
    return _pixels(width, 216, left, 36, right, 211)


def _discs(left, right, turned=True):
    top, bottom = (446, 631) if turned else (26, 211)
    return _pixels(800, 840, left, top, right, bottom)


def _turned(top, bottom):
    return _pixels(900, 660, 463, top, 602, bottom)


def _tv(*box):
    return _pixels(900, 600, *box)


# By example: the example whose figure it is, and its parts by their words; or
# words alone. All others have the words of their name.
THUMBNAILS = {
    'quickstart': (
        'quickstart',
        {'FBP': _head(1, _FULL), 'C4 network': _head(6, _FULL)},
    ),
    'mri_reconstruction': (
        'mri_reconstruction',
        {'zero-filled': _mri(176, 328), 'C4 network': _mri(651, 802)},
    ),
    'compare_regularisers': (
        'quickstart',
        {
            'TV': _head(2, _CLOSE_UP),
            'plugged in': _head(4, _CLOSE_UP),
            'unrolled': _head(6, _CLOSE_UP),
        },
    ),
    'equivariance_over_angles': (
        'equivariance_over_angles',
        {'error over the angle': _pixels(1100, 650, 384, 26, 686, 297)},
    ),
    'measured_mri': (
        'mri_reconstruction',
        {
            'zero-filled': _pixels(805, 672, 176, 34, 328, 127),
            'TV': _pixels(805, 672, 334, 34, 486, 127),
        },
    ),
    'radial_mri': (
        'radial_mri',
        {'gridding': _radial(223, 399), 'plugged in': _radial(637, 812)},
    ),
    'rotated_denoising': (
        'rotated_denoising',
        {
            'noisy': _discs(25, 210),
            'ordinary': _discs(220, 406),
            'C4': _discs(415, 601),
        },
    ),
    'score_denoisers': (
        'rotated_denoising',
        {
            'noisy': _discs(25, 210, False),
            'denoised': _discs(415, 601, False),
        },
    ),
    'score_measured_ct': (
        'quickstart',
        {'FBP': _head(1, _CLOSE_UP), 'TV': _head(2, _CLOSE_UP)},
    ),
    'spiral_mri': (
        'spiral_mri',
        {
            'gridding': _radial(223, 399, 621),
            'least squares': _radial(430, 605, 621),
        },
    ),
    'tv_inpainting_is_not': (
        'tv_inpainting_is_not',
        {
            'mask stays': _pixels(900, 630, 268, 348, 521, 601),
            'mask turns': _pixels(900, 630, 531, 348, 784, 601),
        },
    ),
    'tv_prox_is_equivariant': (
        'tv_prox_is_equivariant',
        {
            'not invariant': _tv(264, 329, 513, 577),
            'invariant': _tv(522, 329, 771, 577),
        },
    ),
    'uncertainty': (
        'uncertainty',
        {
            'estimated error': _pixels(1089, 648, 610, 25, 797, 213),
            'error': _pixels(1089, 648, 806, 25, 993, 213),
        },
    ),
    'upright_and_turned': (
        'upright_and_turned',
        {
            'data': _turned(181, 320),
            'ordinary': _turned(340, 478),
            'C4': _turned(498, 637),
        },
    ),
    'vector_field_action': (
        'vector_field_action',
        {
            '$u$, $\\nabla u$': _pixels(1100, 400, 36, 39, 357, 361),
            'turned': _pixels(1100, 400, 403, 39, 724, 361),
        },
    ),
    'training_images': 'photographs,\nMR slices\n→ PNG',
    'train_models': 'YAML\n→ weights',
    'volume_mri': 'a volume,\nupright\nand lying',
}


def draw(name, images):
    """Return the thumbnail of an example.

    Parameters
    ----------
    name : str
        Name of the example.
    images : pathlib.Path
        Folder with the figures of all examples.

    Returns
    -------
    figure : matplotlib.figure.Figure or None
        ``None`` if the figure has not been made.
    """
    content = THUMBNAILS.get(name, name.replace('_', '\n'))
    figure = Figure(_INCHES, dpi=_DPI)
    if isinstance(content, str):
        figure.text(
            0.5, 0.5, content, ha='center', va='center', size=28, color='0.25'
        )
        return figure
    source, parts = content
    path = images / f'sphx_glr_{source}_001.png'
    if not path.is_file():
        return None
    pixels = imread(path)
    height, width = pixels.shape[:2]
    axes = figure.subplots(1, len(parts), squeeze=False)[0]
    for axis, (words, box) in zip(axes, parts.items(), strict=True):
        left, top, right, bottom = box
        part = pixels[
            round(top * height) : round(bottom * height),
            round(left * width) : round(right * width),
        ]
        axis.imshow(part, interpolation='lanczos')
        axis.set_axis_off()
        size = 15 if len(parts) > 2 else 18
        axis.text(
            0.5,
            -0.05,
            words,
            transform=axis.transAxes,
            ha='center',
            va='top',
            size=size,
        )
    figure.subplots_adjust(0.01, 0.13, 0.99, 1, 0.03)
    return figure


def _draw_all(app):
    """Draw the thumbnails, once the gallery has been made."""
    for folder in sorted((DOCS / 'gallery').rglob('images')):
        thumbs = folder / 'thumb'
        for path in sorted(thumbs.glob('sphx_glr_*_thumb.*')):
            name = path.stem.removeprefix('sphx_glr_').removesuffix('_thumb')
            figure = draw(name, folder)
            if figure:
                figure.savefig(path)


def setup(app):
    """Draw after sphinx-gallery, which has the priority 500."""
    app.connect('builder-inited', _draw_all, priority=900)
    return {'parallel_read_safe': True}
