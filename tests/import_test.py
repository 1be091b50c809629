# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of what importing the package loads, and of who imports whom."""

import ast
import importlib
import json
import pathlib
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter

import pytest

import odl_equivariant

PACKAGE = pathlib.Path(odl_equivariant.__file__).parent
DOOR = PACKAGE / 'nn' / 'escnn'

# Nothing imports from its own floor or from one above, its own sub-package
# aside.
FLOORS = (
    ('elements',),
    ('inner_products',),
    ('actions',),
    ('operators',),
    ('functionals', 'nn', 'diagnostics'),
    ('solvers', 'testing', 'uncertainty'),
    ('data',),
    ('models',),
    ('training', 'plotting'),
)
FLOOR_OF = {name: i for i, floor in enumerate(FLOORS) for name in floor}

# The same for the wings of a sub-package; what lies beside them is above them.
WINGS = {
    'data': (
        ('slices',),
        ('phantoms', 'acquisitions', 'volumes'),
        ('kspace', 'scans'),
        ('pairs', 'results'),
    ),
    'nn': (
        ('steerable',),
        ('layers',),
        ('blocks',),
        ('dual', 'energies'),
    ),
    'operators': (('batching',), ('degradations', 'fourier', 'ray')),
    'training': (
        ('losses', 'scores'),
        ('configuration', 'reconstruction'),
        ('measured', 'runs'),
    ),
}
# A wing that another one asks for bases, and that knows its groups.
PART_OF = {'escnn': 'steerable'}
# Helpers that all wings share, and what a list of permissions names.
BELOW_WINGS = (
    'data._checks',
    'data._fields',
    'data._tiff',
    'data.units',
    'nn._convolution',
    'nn._defaults',
    'nn._gradients',
    'nn._precision',
    'nn._slices',
    'nn.convolution_norm',
    'training.display',
)

# What only some users need, and what takes long to load.
HEAVY = (
    'escnn',
    'finufft',
    'h5py',
    'jsonargparse',
    'joblib',
    'lightning',
    'matplotlib',
    'nibabel',
    'onnx',
    'onnxruntime',
    'pydicom',
    'pytorch_lightning',
    'tensorboard',
    'torchmetrics',
    'tqdm',
    'yaml',
)


def modules():
    """Return the sources of the package."""
    return sorted(PACKAGE.rglob('*.py'))


def owner(path):
    """Return the sub-package that a source belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported(path, on_load=False):
    """Yield the dotted names of what a source imports.

    With `on_load`, only of what it imports when it is loaded itself.
    """
    nodes = [ast.parse(path.read_text('utf-8'))]
    while nodes:
        node = nodes.pop()
        if on_load and isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            continue
        # what only type checkers read
        if (
            on_load
            and isinstance(node, ast.If)
            and (ast.unparse(node.test) == 'TYPE_CHECKING')
        ):
            nodes.extend(node.orelse)
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} has a relative import'
            yield from (f'{node.module}.{a.name}' for a in node.names)


each_module = pytest.mark.parametrize(
    'path',
    modules(),
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)


def loaded_by(statement):
    """Return what a fresh interpreter has loaded, and ODL's back-ends."""
    script = f"""
{statement}
import json, sys
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS
print(json.dumps([list(sys.modules), list(RAY_TRAFO_IMPLS)]))
"""
    result = subprocess.run(
        [sys.executable, '-W', 'error', '-c', script],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ''
    loaded, backends = json.loads(result.stdout)
    return set(loaded), backends


@pytest.fixture(scope='module')
def loaded_by_us():
    """Return the result of `loaded_by` for `import odl_equivariant`."""
    return loaded_by('import odl_equivariant')


@pytest.mark.slow
def test_import_light(loaded_by_us):
    """Importing the package loads nothing heavy that ODL and torch do not."""
    theirs, _ = loaded_by('import odl, torch')
    extra = {name.partition('.')[0] for name in loaded_by_us[0] - theirs}
    assert not extra & set(HEAVY), sorted(extra)


def test_import_registers_backend(loaded_by_us):
    """`import odl_equivariant` alone makes 'astra_matrix' known to ODL."""
    assert 'astra_matrix' in loaded_by_us[1]


@pytest.mark.parametrize('name', odl_equivariant.__all__)
def test_import_subpackage(name):
    """Every public sub-package is an attribute, and imports by itself."""
    module = importlib.import_module(f'odl_equivariant.{name}')
    assert getattr(odl_equivariant, name) is module
    assert name in dir(odl_equivariant)


@pytest.mark.parametrize('name', odl_equivariant.__all__)
def test_import_public_names(name):
    """All names in ``__all__`` of a sub-package exist, each once."""
    module = getattr(odl_equivariant, name)
    assert isinstance(module.__all__, tuple)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public), public


def test_import_all_subpackages_announced():
    """The package announces the sub-packages that it has."""
    present = {
        owner(path) for path in modules() if not owner(path).startswith('_')
    }
    assert present == set(odl_equivariant.__all__)


def test_import_unknown_attribute():
    """A wrong attribute gives the usual error."""
    with pytest.raises(AttributeError, match='no attribute .nonsense.'):
        odl_equivariant.nonsense  # noqa: B018


@each_module
def test_import_downwards(path):
    """No module imports from its own floor or from one above."""
    mine = owner(path)
    if mine.startswith('_'):
        return
    for name in imported(path):
        package, _, rest = name.partition('.')
        other = rest.partition('.')[0]
        if package == 'odl_equivariant' and other in FLOOR_OF:
            assert other == mine or FLOOR_OF[other] < FLOOR_OF[mine], (
                f'{name} is imported, but `{mine}` is not above `{other}`'
            )


def wing_and_floor(name):
    """Return the wing of a module, and the floor on which it lies."""
    package, _, rest = name.partition('.')
    wing = rest.partition('.')[0]
    wing = PART_OF.get(wing, wing)
    for floor, wings in enumerate(WINGS[package]):
        if wing in wings:
            return wing, floor
    return None, -1 if name in BELOW_WINGS else len(WINGS[package])


@each_module
def test_import_wings(path):
    """No wing imports from its own floor or from one above, itself aside."""
    mine = module_name(path)
    package = mine.partition('.')[0]
    if package not in WINGS or path.name == '__init__.py':
        return
    wing, floor = wing_and_floor(mine)
    for name in imported_modules(path):
        if name.startswith(f'{package}.') and wing is not None:
            other, other_floor = wing_and_floor(name)
            assert other == wing or other_floor < floor, (
                f'{name} is imported, but `{wing}` is not above it'
            )


def module_name(path):
    """Return the dotted name of a source within the package."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts).removesuffix('.__init__')


def imported_modules(path):
    """Return the modules of the package that a source imports."""
    known = {module_name(other) for other in modules()}
    names = set()
    for name in imported(path):
        name = name.removeprefix('odl_equivariant.')
        while name and name not in known:
            name = name.rpartition('.')[0]
        if name:
            names.add(name)
    return names


def test_import_circles():
    """No two modules import each other, not even inside of functions."""
    graph = {
        module_name(path): imported_modules(path) - {module_name(path)}
        for path in modules()
        if path.name != '__init__.py'
    }
    TopologicalSorter(graph).prepare()


def test_folders_are_not_too_full():
    """A folder has at most sixteen modules."""
    counts = Counter(path.parent for path in modules())
    assert max(counts.values()) <= 16, counts.most_common(3)


def test_map_of_the_house_is_complete():
    """The table of folders in the design names each folder, and no other."""
    top = pathlib.Path(__file__).parent.parent
    table = (top / 'docs' / 'design.md').read_text('utf-8')
    named = set(re.findall(r'`([a-z_/]+)/`', table))
    folders = {
        path.parent.relative_to(PACKAGE).as_posix()
        for path in modules()
        if path.name != '__init__.py'
    }
    assert folders - {'.', 'data'} <= named
    for name in named:
        assert any((root / name).is_dir() for root in (PACKAGE, top)), name


@each_module
def test_import_escnn(path):
    """Only `nn` and `actions` import escnn, and through `nn/escnn`."""
    if DOOR in path.parents:
        return
    for name in imported(path):
        assert name.partition('.')[0] != 'escnn', (
            f'take {name} from odl_equivariant.nn.escnn.library'
        )
        if (name + '.').startswith('odl_equivariant.nn.escnn.library.'):
            assert owner(path) in ('nn', 'actions'), name


@each_module
def test_import_where_used(path):
    """Heavy packages are imported inside of functions.

    But for `training`, which consists of classes of Lightning.
    """
    if owner(path) == 'training':
        return
    for name in imported(path, on_load=True):
        assert name.partition('.')[0] not in HEAVY, name
        if owner(path) != 'nn':
            assert not name.startswith('odl_equivariant.nn.escnn.'), name
