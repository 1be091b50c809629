# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What is missing is named, with what installs it."""

import configparser
import importlib
import pathlib
import re
import sys

import odl
import pytest

import odl_equivariant
from odl_equivariant import _packages

ROOT = pathlib.Path(__file__).parents[1]


def extras():
    """Return the requirements of the package and of all extras."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg')
    lines = '\n'.join(metadata['options.extras_require'].values())
    lines += metadata['options']['install_requires']
    # without what says where each is needed
    return {line.partition(';')[0].strip() for line in lines.splitlines()}


def test_requirements_are_those_of_the_extras():
    """Error messages advise the versions of the extras."""
    for requirement in _packages._REQUIREMENTS.values():
        # one comes with Lightning, the other is for rare files
        if requirement not in ('pyyaml', 'pylibjpeg[all]'):
            assert requirement in extras()


def test_missing_package(monkeypatch):
    """The module is named, and the package by its name on the index."""
    monkeypatch.setitem(sys.modules, 'pydicom', None)
    monkeypatch.delitem(sys.modules, 'pydicom.pixels', raising=False)
    with pytest.raises(ImportError) as raised:
        _packages.import_package('pydicom.pixels', 'reading')
    assert str(raised.value) == (
        'reading needs pydicom, which is not installed: pip install '
        "'pydicom>=3'"
    )


def test_missing_requirement_of_a_package(monkeypatch, tmp_path):
    """If a package lacks a requirement, the error names the requirement."""
    (tmp_path / 'halved.py').write_text('import no_such_thing')
    monkeypatch.syspath_prepend(tmp_path)
    message = 'installed, but needs no_such_thing.*: pip install no_such_thing'
    with pytest.raises(ImportError, match=message):
        _packages.import_package('halved', 'this')


def test_broken_package(monkeypatch, tmp_path):
    """The error of a broken package does not advise to install it."""
    (tmp_path / 'broken.py').write_text('raise ImportError("libx.so is old")')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match='libx.so is old') as raised:
        _packages.import_package('broken', 'this')
    assert 'pip install' not in str(raised.value)


def test_all_missing_packages_are_named(monkeypatch):
    """One command installs them all."""
    for name in ('h5py', 'lightning'):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match='needs h5py and lightning') as error:
        _packages.require_packages(('h5py', 'numpy', 'lightning'), 'this')
    assert str(error.value).endswith("pip install h5py 'lightning>=2.5'")
    _packages.require_packages(('numpy',), 'this')


def use_pictures(path):
    from odl_equivariant.training.reconstruction.image_files import (
        write_picture,
    )

    write_picture(odl_equivariant.data.ellipse_phantom((8, 8)), path)


def use_onnx(path):
    from odl_equivariant.models.onnx import _import

    _import('onnxscript')


def use_figures(path):
    odl_equivariant.plotting._figure_class()


def use_dicom(path):
    odl_equivariant.data.sample_ct_slice()


def use_dicom_files(path):
    odl_equivariant.data.DicomSlices(path)


def use_nifti(path):
    odl_equivariant.data.NiftiSlices(path)


def use_finufft(path):
    odl_equivariant.operators.NonUniformFourierTransform(odl.cn(2), [[3.0]])


def use_rays(path):
    odl_equivariant.data.SparseViewCT((8, 8), n_views=4).operator.get_impl()


def use_hdf5(path):
    odl_equivariant.data.FastMRIKspace(path)


@pytest.mark.parametrize(
    'module, package, use',
    [
        ('PIL.Image', 'pillow', use_pictures),
        ('onnxscript', 'onnxscript', use_onnx),
        ('matplotlib.figure', 'matplotlib', use_figures),
        ('pydicom', "'pydicom>=3'", use_dicom),
        ('pydicom', "'pydicom>=3'", use_dicom_files),
        ('nibabel', 'nibabel', use_nifti),
        ('h5py', 'h5py', use_hdf5),
        ('astra', 'astra-toolbox', use_rays),
        ('finufft', "'finufft>=2.5'", use_finufft),
    ],
)
def test_errors_advise_packages(module, package, use, monkeypatch, tmp_path):
    """Every error names a package that indexes have, and no extra."""
    # which imports some of these itself
    importlib.import_module('odl_equivariant.training')
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as raised:
        use(tmp_path)
    assert str(raised.value).endswith(f'not installed: pip install {package}')


def test_no_error_names_the_package_itself():
    """It is on no index, so that nothing advises `pip install` of it."""
    for path in pathlib.Path(odl_equivariant.__file__).parent.rglob('*.py'):
        text = path.read_text('utf-8')
        found = re.search(r'pip install[^)]{,40}odl-equivariant', text)
        assert not found, path
