# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The thumbnails of the gallery."""

import importlib
import pathlib
import sys

import numpy as np
import pytest

pytest.importorskip('sphinx_gallery')
ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted(
    path.stem
    for header in (ROOT / 'examples').rglob('GALLERY_HEADER.rst')
    for path in header.parent.glob('*.py')
    if path.name != '__init__.py'
)


@pytest.fixture
def thumbnails(monkeypatch):
    """Return the extension that draws them."""
    folder = ROOT / 'docs' / '_extensions'
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    return importlib.import_module('thumbnails')


def test_thumbnails_are_of_examples_that_exist(thumbnails):
    """Nothing is drawn for an example that is gone."""
    assert set(thumbnails.THUMBNAILS) <= set(EXAMPLES)


def test_parts_lie_in_their_figure(thumbnails):
    """A part begins before it ends, within the figure."""
    for content in thumbnails.THUMBNAILS.values():
        if not isinstance(content, str):
            for left, top, right, bottom in content[1].values():
                assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_thumbnails_are_drawn(thumbnails, tmp_path):
    """They have the size of sphinx-gallery, once there is a figure."""
    from matplotlib.image import imsave

    assert thumbnails.draw('quickstart', tmp_path) is None
    imsave(tmp_path / 'sphx_glr_quickstart_001.png', np.zeros((60, 100)))
    for name in ('quickstart', 'train_models', 'an_example_of_tomorrow'):
        figure = thumbnails.draw(name, tmp_path)
        assert np.allclose(figure.get_size_inches() * figure.dpi, (400, 280))
