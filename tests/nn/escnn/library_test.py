# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the import of escnn and of what is put in place of its parts."""

import importlib
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from odl.core.util.testutils import simple_fixture
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from odl_equivariant.nn.escnn import library
from odl_equivariant.nn.escnn.library import enn, group, gspaces
from odl_equivariant.nn.escnn.numerics import (
    Memory,
    build_sylvester_constraint,
    null,
)
from odl_equivariant.nn.escnn.wigner import wigner_D_matrix

TOLERANCE = 1e-10

degree = simple_fixture('degree', range(7))


def representation(degree, rotation):
    """Return the Wigner matrix of a rotation."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Gimbal lock')
        return wigner_D_matrix(degree, *rotation.as_euler('ZYZ'))


def rotations(n=12):
    """Return generic rotations, and those where Euler angles degenerate."""
    axes = [[0, 0, 0], [0, 0, 1.3], [0, np.pi, 0], [np.pi / 2, 0, 0]]
    return [*Rotation.random(n, rng=1), *Rotation.from_rotvec(axes)]


def real_spherical_harmonics(degree, points):
    """Return the real spherical harmonics, one row for each order."""
    polar = np.arccos(np.clip(points[:, 2], -1, 1))
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    rows = []
    for order in range(-degree, degree + 1):
        # without the sign that the complex ones have by convention
        values = (-1) ** order * sph_harm_y(degree, abs(order), polar, azimuth)
        if order == 0:
            rows.append(values.real)
        else:
            part = values.imag if order < 0 else values.real
            rows.append(np.sqrt(2) * part)
    return np.array(rows)


def run(script, folder=None):
    """Run a script in a fresh interpreter in which warnings are errors."""
    result = subprocess.run(
        [sys.executable, '-W', 'error', '-c', textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr
    return result


# --- The representations of SO(3) --- #


def test_wigner_homomorphism(degree):
    """D(R S) = D(R) D(S)."""
    for first in rotations():
        for second in rotations():
            np.testing.assert_allclose(
                representation(degree, first * second),
                representation(degree, first) @ representation(degree, second),
                atol=TOLERANCE,
            )


def test_wigner_orthogonal(degree):
    """D(R)^T D(R) = 1 and det D(R) = 1."""
    for rotation in rotations():
        matrix = representation(degree, rotation)
        np.testing.assert_allclose(
            matrix.T @ matrix, np.eye(2 * degree + 1), atol=TOLERANCE
        )
        assert np.linalg.det(matrix) == pytest.approx(1, abs=TOLERANCE)


def test_wigner_inverse(degree):
    """D(R^-1) = D(R)^-1."""
    for rotation in rotations():
        np.testing.assert_allclose(
            representation(degree, rotation.inv())
            @ representation(degree, rotation),
            np.eye(2 * degree + 1),
            atol=TOLERANCE,
        )


def test_wigner_spherical_harmonics(degree, rng):
    """Y(R r) = D(R) Y(r), for the harmonics computed by SciPy."""
    points = rng.normal(size=(40, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for rotation in rotations():
        np.testing.assert_allclose(
            real_spherical_harmonics(degree, rotation.apply(points)),
            representation(degree, rotation)
            @ real_spherical_harmonics(degree, points),
            atol=TOLERANCE,
        )


def test_wigner_degree_one():
    """Degree 1 is the rotation matrix in the order y, z, x."""
    order = [1, 2, 0]
    for rotation in rotations():
        np.testing.assert_allclose(
            representation(1, rotation),
            rotation.as_matrix()[np.ix_(order, order)],
            atol=TOLERANCE,
        )


def test_wigner_broadcast(degree):
    """Arrays of angles give the matrices of the single angles."""
    alpha, beta = np.array([[0.1], [0.2]]), np.array([0.3, 0.4, 0.5])
    matrices = wigner_D_matrix(degree, alpha, beta, 0.6)
    assert matrices.shape == (2, 3, 2 * degree + 1, 2 * degree + 1)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(
            matrices[i, j],
            wigner_D_matrix(degree, alpha[i, 0], beta[j], 0.6),
            atol=TOLERANCE,
        )


@pytest.mark.parametrize('arguments', [{'l': -1}, {'l': 1.5}])
def test_wigner_bad_degree(arguments):
    """A degree that is no natural number is refused."""
    with pytest.raises(ValueError, match='`l` must be an integer'):
        wigner_D_matrix(alpha=0, beta=0, gamma=0, **arguments)


@pytest.mark.parametrize(
    'basis',
    [
        {'field': 'complex'},
        {'normalization': 'seismology'},
        {'order': 'block'},
        {'condon_shortley': 'nocs'},
    ],
)
def test_wigner_other_basis(basis):
    """A basis that is not available is refused, never given another one."""
    with pytest.raises(ValueError, match='lie_learn'):
        wigner_D_matrix(1, 0, 0, 0, **basis)


# --- escnn in three dimensions --- #


def test_escnn_irreps_so3(degree):
    """The irreps that escnn builds multiply, and have its own characters."""
    so3 = group.so3_group(6)
    irrep = so3.irrep(degree)
    for _ in range(5):
        first, second = so3.sample(), so3.sample()
        np.testing.assert_allclose(
            irrep(first @ second),
            irrep(first) @ irrep(second),
            atol=TOLERANCE,
        )
        assert np.trace(irrep(first)) == pytest.approx(
            irrep.character(first), abs=TOLERANCE
        )


def test_escnn_standard_representation():
    """The standard representation of SO(3) is the rotation matrix."""
    so3 = group.so3_group()
    for _ in range(5):
        rotation = so3.sample()
        np.testing.assert_allclose(
            so3.standard_representation()(rotation),
            rotation.to('MAT'),
            atol=TOLERANCE,
        )


def test_escnn_restriction_so2():
    """The restriction to SO(2) by escnn agrees with our matrices."""
    so3 = group.so3_group()
    so2, include, _ = so3.subgroup((False, -1))
    for degree in range(4):
        restricted = so3.irrep(degree).restrict((False, -1))
        angle = so2.element(0.7, 'radians')
        np.testing.assert_allclose(
            restricted(angle),
            so3.irrep(degree)(include(angle)),
            atol=TOLERANCE,
        )


@pytest.mark.parametrize(
    'space', [gspaces.rot3dOnR3, gspaces.flipRot3dOnR3], ids=['SO3', 'O3']
)
@pytest.mark.parametrize(
    'axis, plane', [(0, (3, 2)), (1, (4, 2)), (2, (3, 4))], ids='xyz'
)
def test_escnn_convolution_3d(space, axis, plane):
    """A convolution from scalars to vectors commutes with quarter turns."""
    space = space(maximum_frequency=2)
    vector = space.fibergroup.standard_representation()
    convolution = enn.R3Conv(
        enn.FieldType(space, [space.trivial_repr]),
        enn.FieldType(space, [vector]),
        kernel_size=3,
        padding=1,
        bias=False,
    ).double()
    image = torch.randn(1, 1, 5, 5, 5, dtype=torch.float64)

    def apply(image):
        return convolution(convolution.in_type(image)).tensor.detach()

    # escnn indexes images by [z, y, x], with z and y pointing down; a turn
    # about y takes z to x.
    turned = apply(torch.rot90(image, 1, plane))
    rotation = torch.as_tensor(
        Rotation.from_rotvec(np.pi / 2 * np.eye(3)[axis]).as_matrix()
    )
    expected = torch.einsum(
        'ij,njzyx->nizyx', rotation, torch.rot90(apply(image), 1, plane)
    )
    assert expected.abs().max() > 1e-2
    torch.testing.assert_close(turned, expected)


# --- Its linear algebra --- #


def test_null_canonical(rng):
    """The basis depends only on the null space, and spans it."""
    kernel = np.linalg.qr(rng.normal(size=(9, 3)))[0]
    complement = np.eye(9) - kernel @ kernel.T
    first = null(complement)
    second = null(rng.normal(size=(20, 9)) @ complement)
    np.testing.assert_allclose(first, second, atol=1e-9)
    np.testing.assert_allclose(first.T @ first, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(complement @ first, 0, atol=1e-9)


def test_null_trivial_kernel():
    """A regular matrix has an empty basis."""
    assert null(np.eye(4)).shape == (4, 0)


def test_null_numpy_matrix():
    """`numpy.matrix` is accepted, since escnn passes it."""
    matrix = scipy.sparse.csc_matrix((2, 2)).todense()
    assert isinstance(matrix, np.matrix)
    assert null(matrix).shape == (2, 2)


def test_sylvester_constraint(rng):
    """The constraint is rho_1 W - W rho_2, by columns of W."""
    rho_1 = [rng.normal(size=(2, 2)) for _ in range(4)]
    rho_2 = [rng.normal(size=(3, 3)) for _ in range(4)]
    matrix = rng.normal(size=(2, 3))
    expected = np.concatenate(
        [
            (a @ matrix - matrix @ b).ravel(order='F')
            for a, b in zip(rho_1, rho_2, strict=True)
        ]
    )
    constraint = build_sylvester_constraint(rho_1, rho_2)
    np.testing.assert_allclose(constraint @ matrix.ravel(order='F'), expected)


def test_clebsch_gordan_dihedral():
    """The coefficients of D4 intertwine the product with its parts."""
    dihedral = group.dihedral_group(4)
    for first in dihedral.irreps():
        for second in dihedral.irreps():
            product = first.tensor(second)
            for g in dihedral.elements:
                np.testing.assert_allclose(
                    product(g), np.kron(first(g), second(g)), atol=TOLERANCE
                )


# --- Its cache --- #


def test_memory_remembers():
    """A function is evaluated once for equal arguments."""
    calls = []

    @Memory().cache(ignore=['ignored'])
    def double(number, ignored):
        calls.append(number)
        return [2 * number]

    assert double(3, 0) == double(3, 1) == [6]
    assert calls == [3]
    assert double(4, 0) == [8]


def test_memory_copies():
    """Changing a returned value does not change the next one."""

    @Memory().cache
    def values():
        return np.zeros(2)

    values()[:] = 1
    np.testing.assert_array_equal(values(), 0)


def test_memory_random_state():
    """A value does not depend on the global generator, or change it."""

    def draw():
        return np.random.rand()  # noqa: NPY002

    np.random.seed(5)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    first = Memory().cache(draw)()
    assert np.random.rand() == expected  # noqa: NPY002
    assert Memory().cache(draw)() == first


# --- The import --- #


CACHES_IN_MEMORY = """
        import joblib
        from odl_equivariant.nn.escnn.numerics import Memory
        caches = [
            module.cache
            for name, module in sys.modules.items()
            if name.startswith('escnn.') and hasattr(module, 'cache')
        ]
        assert caches
        assert all(isinstance(cache, Memory) for cache in caches)
        assert joblib.Memory is not Memory
        """


@pytest.mark.slow
def test_import_quiet_and_clean(tmp_path):
    """Importing and using escnn prints nothing and writes no file."""
    result = run(
        """
        import builtins, pathlib, sys
        from odl_equivariant.nn.escnn.library import enn, group, gspaces

        written = []
        open_file = builtins.open

        def watch(file, mode='r', *args, **kwargs):
            if set(mode) & set('wax+'):
                written.append(file)
            return open_file(file, mode, *args, **kwargs)

        builtins.open = watch
        cache = pathlib.Path(group.__cache_path__)
        before = cache.exists()
        space = gspaces.flipRot2dOnR2(3)
        fields = enn.FieldType(space, [space.regular_repr])
        enn.R2Conv(fields, fields, 3)
        group.so3_group().irrep(1).tensor(group.so3_group().irrep(1))
        assert not written, written
        assert cache.exists() == before
        """
        + CACHES_IN_MEMORY,
        folder=tmp_path,
    )
    assert (result.stdout, result.stderr) == ('', '')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_import_after_escnn():
    """Our import works after a plain `import escnn` has failed."""
    run(
        """
        import sys, warnings, joblib
        sys.modules['lie_learn'] = None
        memory = joblib.Memory
        # escnn's own cache would write into its installation folder
        joblib.Memory = lambda *args, **kwargs: memory(None)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            import escnn
        joblib.Memory = memory
        assert not hasattr(escnn, 'gspaces')
        del sys.modules['lie_learn']
        from odl_equivariant.nn.escnn.library import enn
        assert escnn.nn is enn
        """
        + CACHES_IN_MEMORY
    )


@pytest.fixture
def fresh_modules(monkeypatch, tmp_path):
    """Forget escnn and lie_learn for one test, and look in `tmp_path`."""
    names = ('escnn', 'lie_learn')
    monkeypatch.syspath_prepend(tmp_path)

    def ours():
        return [m for m in sys.modules if m.partition('.')[0] in names]

    kept = {name: sys.modules.pop(name) for name in ours()}
    yield
    for name in ours():
        del sys.modules[name]
    sys.modules.update(kept)


def write_lie_learn(folder, body):
    """Write a package ``lie_learn`` whose ``wigner_d`` has this body."""
    package = folder / 'lie_learn' / 'representations' / 'SO3'
    package.mkdir(parents=True)
    for parent in (package, package.parent, package.parent.parent):
        (parent / '__init__.py').touch()
    (package / 'wigner_d.py').write_text(textwrap.dedent(body))
    importlib.invalidate_caches()


WORKING = """
    from odl_equivariant.nn.escnn import wigner
    def wigner_D_matrix(*args, **kwargs):
        return wigner.wigner_D_matrix(*args, **kwargs)
    """

BROKEN = {
    'import_error': "raise ImportError('built for another numpy')",
    'value_error': "raise ValueError('numpy.dtype size changed')",
    'wrong_values': """
        import sys, warnings, numpy as np
        print('a page of advice', file=sys.stderr)
        print('and more')
        warnings.warn('and a warning')
        def wigner_D_matrix(l, alpha, beta, gamma, field='complex'):
            return np.eye(2 * l + 1)
        """,
    'fails_in_use': """
        def wigner_D_matrix(*args, **kwargs):
            raise AttributeError('np.float was removed')
        """,
}


def imported_function():
    """Return the function that escnn would get."""
    with library._wigner_supplied():
        return importlib.import_module(
            'lie_learn.representations.SO3.wigner_d'
        ).wigner_D_matrix


@pytest.mark.usefixtures('fresh_modules')
def test_lie_learn_missing(monkeypatch):
    """Without lie_learn, our function is used."""
    monkeypatch.setitem(sys.modules, 'lie_learn', None)
    assert imported_function() is wigner_D_matrix
    assert sys.modules['lie_learn'] is None
    assert not [name for name in sys.modules if name[:10] == 'lie_learn.']


@pytest.mark.usefixtures('fresh_modules')
@pytest.mark.parametrize('reason', BROKEN)
def test_lie_learn_broken(tmp_path, capsys, reason):
    """If lie_learn does not work, our function is used without a warning."""
    write_lie_learn(tmp_path, BROKEN[reason])
    assert imported_function() is wigner_D_matrix
    assert capsys.readouterr() == ('', '')
    # It is hidden from escnn only.
    assert importlib.import_module('lie_learn').__file__


@pytest.mark.usefixtures('fresh_modules')
def test_lie_learn_working(tmp_path):
    """If lie_learn works, it is used."""
    write_lie_learn(tmp_path, WORKING)
    function = imported_function()
    assert function.__module__ == 'lie_learn.representations.SO3.wigner_d'


class Missing:
    """An import hook that does not find one module."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        """Raise the error of a module that is not installed."""
        if name == self.name:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


@pytest.mark.usefixtures('fresh_modules')
@pytest.mark.parametrize(
    'missing, messages',
    [
        ('escnn', ['not installed', 'pip install --no-deps escnn==1.0.11']),
        ('joblib', ['is installed', "'joblib'", 'pip install joblib']),
        (
            'escnn.gspaces.r2',
            ['is installed', 'pip install --no-deps escnn==1.0.11'],
        ),
    ],
)
def test_import_missing(monkeypatch, missing, messages):
    """The error names the missing package, and how to install it."""
    monkeypatch.setattr(sys, 'meta_path', [Missing(missing), *sys.meta_path])
    if missing == 'joblib':
        monkeypatch.delitem(sys.modules, 'joblib')
    with pytest.raises(ImportError) as error:
        library._import_escnn()
    for message in messages:
        assert message in str(error.value)
