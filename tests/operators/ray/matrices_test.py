# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the settings of the matrices of ray transforms."""

import math
import os

import pytest
from scipy import sparse

from odl_equivariant.operators.ray.matrices import (
    CACHE_VARIABLE,
    LIMIT_VARIABLE,
    RayMatrix,
    configure_ray_matrices,
    matrix_bytes,
    ray_matrix_settings,
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """Start without settings."""
    for name in (CACHE_VARIABLE, LIMIT_VARIABLE):
        # set and delete: it is restored whatever the test does
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)


def test_initial_settings():
    """Initially there is a limit, and no folder."""
    assert configure_ray_matrices() == (2 * 2**30, None)
    assert CACHE_VARIABLE not in os.environ


def test_each_setting_by_itself(tmp_path):
    """Arguments that are not given change nothing."""
    configure_ray_matrices(memory_limit=1000)
    folder = str(tmp_path / 'rays')
    assert configure_ray_matrices(cache_folder=folder) == (1000, folder)
    assert configure_ray_matrices(memory_limit=math.inf) == (math.inf, folder)
    settings = configure_ray_matrices(cache_folder=None)
    assert settings == (math.inf, None) == ray_matrix_settings()
    assert settings.memory_limit == math.inf
    assert settings.cache_folder is None


def test_settings_are_in_the_environment(tmp_path, monkeypatch):
    """The environment holds the settings, for other processes."""
    configure_ray_matrices(memory_limit=1e6, cache_folder=tmp_path)
    assert os.environ[CACHE_VARIABLE] == str(tmp_path)
    assert float(os.environ[LIMIT_VARIABLE]) == 1e6
    monkeypatch.setenv(LIMIT_VARIABLE, '12')
    monkeypatch.setenv(CACHE_VARIABLE, 'rays')
    assert ray_matrix_settings() == (12, str(tmp_path / 'rays'))
    monkeypatch.setenv(CACHE_VARIABLE, '')
    assert ray_matrix_settings().cache_folder is None


def test_folder_does_not_follow_the_working_directory(tmp_path, monkeypatch):
    """A relative folder is resolved when it is set."""
    configure_ray_matrices(cache_folder='rays')
    monkeypatch.chdir('/')
    assert ray_matrix_settings().cache_folder == str(tmp_path / 'rays')
    configure_ray_matrices(cache_folder='~/rays')
    expected = os.path.expanduser('~/rays')
    assert ray_matrix_settings().cache_folder == expected


@pytest.mark.parametrize('limit', [-1, math.nan, 'much', None])
def test_limits_that_are_none(limit, tmp_path):
    """A wrong limit is refused, and the old one stays."""
    before = ray_matrix_settings()
    error = TypeError if limit in ('much', None) else ValueError
    with pytest.raises(error, match=f'bytes.* at least 0, got .*{limit}'):
        configure_ray_matrices(memory_limit=limit, cache_folder=tmp_path)
    assert ray_matrix_settings() == before


def test_folder_that_is_none(tmp_path):
    """A number is refused as a folder, and the old one stays."""
    before = ray_matrix_settings()
    with pytest.raises(TypeError):
        configure_ray_matrices(memory_limit=5, cache_folder=3)
    assert ray_matrix_settings() == before


def test_limit_of_the_environment_that_is_none(monkeypatch):
    """If the variable is wrong, the error names it."""
    monkeypatch.setenv(LIMIT_VARIABLE, '2 GiB')
    with pytest.raises(ValueError, match=f"{LIMIT_VARIABLE}.*got '2 GiB'"):
        ray_matrix_settings()


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_size_of_a_matrix(dtype):
    """The size is the sum over all arrays."""
    csr = sparse.random(30, 50, 0.2, format='csr', dtype=dtype)
    matrix = RayMatrix(csr)
    size = sum(
        part.numel() * part.itemsize
        for tensor in (matrix.matrix, matrix.transposed)
        for part in (
            tensor.values(),
            tensor.col_indices(),
            tensor.crow_indices(),
        )
    )
    assert matrix.nbytes == size
    assert matrix_bytes(csr.nnz, (30, 50), csr.data.itemsize) == size
