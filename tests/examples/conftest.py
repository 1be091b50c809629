# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How examples are run by the tests."""

import io
import pathlib
import plistlib
import runpy
import tarfile

import numpy as np
import pytest
import torch

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def run_example():
    """Return a function that runs a whole example and returns its names.

    The file is run as it is, or with lines replaced, to make it smaller.
    """
    plt = pytest.importorskip('matplotlib.pyplot')
    backend = plt.get_backend()
    plt.switch_backend('Agg')
    threads = torch.get_num_threads()

    def run(name, tmp_path, replacements=()):
        path = EXAMPLES / name
        if replacements:
            source = path.read_text(encoding='utf-8')
            for old, new in replacements:
                assert source.count(old) == 1, old
                source = source.replace(old, new)
            path = tmp_path / name
            path.write_text(source, encoding='utf-8')
        with pytest.MonkeyPatch.context() as patch:
            # without a display, showing does nothing
            patch.delenv('DISPLAY', raising=False)
            patch.delenv('WAYLAND_DISPLAY', raising=False)
            return runpy.run_path(str(path), run_name='__main__')

    yield run
    plt.close('all')
    plt.switch_backend(backend)
    torch.set_num_threads(threads)


@pytest.fixture(scope='session')
def write_head():
    """Return a function that writes a CT of a head."""

    def write(path, shape=(95, 24, 20), dtype='int16'):
        """Write a project of InVesalius: a box of bone in each slice."""
        values = np.full(shape, -1000, dtype)
        values[:, 4:10, 3:17] = 1000
        values[:, 4:6, 3:5] = 3000
        about = {'matrix': {'dtype': dtype, 'shape': list(shape)}}
        files = {
            'main.plist': plistlib.dumps(about),
            'matrix.dat': values.tobytes(),
        }
        with tarfile.open(path, 'w:gz') as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(f'folder/{name}')
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    return write
