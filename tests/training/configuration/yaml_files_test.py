# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What is taken for a configuration, and how a bad one is named."""

import pathlib
import time

import pytest

from odl_equivariant.training.configuration.yaml_files import (
    ConfigurationError,
    check_yaml,
    lines_of,
    parse_yaml,
    read_yaml,
)


def bomb(n):
    """Return a document whose lines each repeat the one before nine times."""
    lines = ['k0: &k0 [x, x, x, x, x, x, x, x, x]']
    for i in range(1, n):
        lines.append(f'k{i}: &k{i} [{", ".join([f"*k{i - 1}"] * 9)}]')
    return '\n'.join(lines)


def test_configuration_is_read(tmp_path):
    """Values are read correctly, also with anchors."""
    path = tmp_path / 'a.yaml'
    path.write_text(
        'model: {learning_rate: 1e-4, initial: fbp}\n'
        'data:\n'
        '  train: &phantoms {n: 5, shape: [4, 4]}\n'
        '  test:\n'
        '    <<: *phantoms\n'
        '    n: 3\n',
        'utf-8',
    )
    assert read_yaml(path) == {
        'model': {'learning_rate': 1e-4, 'initial': 'fbp'},
        'data': {
            'train': {'n': 5, 'shape': [4, 4]},
            'test': {'n': 3, 'shape': [4, 4]},
        },
    }
    assert lines_of(path)['data.test.n'] == 6
    assert lines_of(path)['model.initial'] == 1


@pytest.mark.parametrize(
    'path',
    sorted(pathlib.Path(__file__).parents[2].glob('examples/**/*.yaml')),
    ids=lambda path: path.stem,
)
def test_examples_are_read(path):
    """The configurations of the examples are valid."""
    assert read_yaml(path)


@pytest.mark.parametrize(
    'content, message',
    [
        (b'a: 1\nb: {c: 1,\n  c: 2}', 'line 3: the key `c` of `b` .* line 2'),
        (b'a: 1\na: 1', 'line 2: the key `a` is set twice'),
        (b'{"a": 1, "a": 2}', 'the key `a` is set twice'),
        (b'a: 1\nb: \xff', 'line 2: byte 0xff is not UTF-8'),
        ('a: 1'.encode('utf-16'), 'line 1: byte 0xff is not UTF-8'),
        (b'', 'holds nothing'),
        (b'null', 'holds nothing'),
        (b'---\n...\n', 'holds nothing'),
        (b'[]', 'holds a list'),
        (b'3', 'holds a single value'),
        (b'model: {a: "b\\0c"}', 'line 1: model.a holds a NUL character'),
        (b'a\0: 1', 'not YAML'),
        (b'a: [1', r'line \d: not YAML'),
        (b'a: 1\n--- \nb: 1', 'line 2: not YAML'),
        (b'model: {on: 1}', "line 1: the key 'on' in model is not"),
        (b'{[1]: 1}', 'is not a text'),
        (b'a: &a [1, *a]', 'line 1: a contains itself'),
        (b'a: ' + b'[' * 150 + b']' * 150, 'more than 100 levels'),
        (b'a: ' + b'[' * 5000 + b']' * 5000, 'not YAML|without end'),
        (b'a: !!python/name:os.system x', 'tag !!python/name:os.system'),
        (b'a: !!int b', 'a.yaml'),
    ],
)
def test_what_is_no_configuration(tmp_path, content, message):
    """The error names the file and, if known, line and key."""
    path = tmp_path / 'a.yaml'
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as raised:
        read_yaml(path)
    assert str(path) in str(raised.value)


def test_what_is_no_file(tmp_path):
    """The error tells broken links, folders and addresses apart."""
    (tmp_path / 'link').symlink_to('nowhere')
    for path, message in (
        (tmp_path / 'link', 'a link to nowhere, which does not exist'),
        (tmp_path, 'is a folder'),
        (tmp_path / 'none.yaml', 'there is no configuration .*none.yaml'),
        ('https://localhost/a.yaml', 'from local files'),
        ('a\0b', 'cannot be read'),
    ):
        with pytest.raises(ConfigurationError, match=message):
            read_yaml(path)


@pytest.mark.parametrize('n', [5, 7, 10, 60])
def test_anchors_are_bounded(n):
    """A document that grows too much by anchors is refused."""
    start = time.perf_counter()
    with pytest.raises(ConfigurationError, match='repeats'):
        check_yaml(bomb(n))
    assert time.perf_counter() - start < 1


def test_merges_are_bounded():
    """Merge keys are bounded as anchors are."""
    lines = ['a0: &a0 {k0: 1, k1: 1, k2: 1, k3: 1, k4: 1, k5: 1}']
    for i in range(1, 12):
        inner = ', '.join(f'k{j}: *a{i - 1}' for j in range(6))
        lines.append(f'a{i}: &a{i} {{{inner}}}')
    lines.append('b: {<<: *a11}')
    with pytest.raises(ConfigurationError, match='repeats'):
        check_yaml('\n'.join(lines))


def test_long_lists_are_no_repetition():
    """Long lists without anchors are allowed, as for coil maps."""
    maps = [[0.5] * 200] * 100
    assert parse_yaml(f'a: {maps}') == {'a': maps}
