# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the pages of the documentation show and name, there is."""

import ast
import configparser
import inspect
import pathlib
import re

import odl
import pytest

import odl_equivariant
from odl_equivariant.actions import group_actions
from odl_equivariant.training.cli import main

ROOT = pathlib.Path(__file__).parents[1]
# without what Sphinx makes of the reference and of the examples
PAGES = sorted(
    path
    for path in (ROOT / 'docs').rglob('*.md')
    if not {'generated', 'gallery'} & set(path.parts)
)
README = ROOT / 'README.md'


def parametrised(paths):
    """Return a decorator that runs a test for each of some pages."""
    return pytest.mark.parametrize(
        'path', paths, ids=lambda path: str(path.relative_to(ROOT))
    )


each_page = parametrised([README, *PAGES])


def blocks_of(path, language):
    """Return the blocks of a page in one language."""
    text = path.read_text('utf-8')
    if language == 'python':
        # blocks that make the figures of a page run as well
        language = r'(?:python|\{code-figure\} [^\n]+)'
    return re.findall(rf'```{language}\n(.*?)```', text, re.S)


# --- Python --- #


@parametrised([path for path in PAGES if blocks_of(path, 'python')])
@pytest.mark.slow
# of torch about its own code
@pytest.mark.filterwarnings('ignore:.torch.jit.script. is deprecated')
def test_code_of_a_page_runs(path):
    """The code blocks of a page run in order, and their asserts hold."""
    names = {'__name__': path.stem}
    for block in blocks_of(path, 'python'):
        exec(compile(block, path.name, 'exec'), names)
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6))
    fixtures = {
        'image_space': space,
        'image_actions': group_actions(space, 'D4'),
    }
    for name, function in names.items():
        if name.startswith('test_'):
            arguments = inspect.signature(function).parameters
            function(**{key: fixtures[key] for key in arguments})


def test_there_are_pages_with_code():
    """The tutorial and the how-tos have code blocks."""
    found = {path.name for path in PAGES if blocks_of(path, 'python')}
    assert {'install.md', 'tutorial.md', 'training.md'} < found
    how_to = {path.name for path in (ROOT / 'docs/how-to').glob('*.md')}
    assert how_to - {'index.md'} < found


# What a page shows, and what it has to name in its first lines for that.
NEEDS = {
    r'export_onnx\(|import onnx': '`onnx`',
    r'odl_equivariant\.training|odl-equivariant (train|eval|recon)': (
        '`training`'
    ),
    r'EquivariantProximal\(|escnn import': 'escnn',
    r'NonUniformFourierTransform\(': '`nufft`',
}


@parametrised(PAGES)
def test_extras_of_a_page(path):
    """If the code of a page needs an extra, the top of the page says so."""
    code = '\n'.join(
        block
        for language in ('python', 'sh')
        for block in blocks_of(path, language)
    )
    text = path.read_text('utf-8')
    code += '\n'.join(re.findall(r'^    (\S.*)$', text, re.M))
    top = '\n'.join(text.splitlines()[:10])
    for pattern, name in NEEDS.items():
        if re.search(pattern, code):
            assert name in top, name


# --- Commands --- #


@each_page
def test_links_to_files(path):
    """The files to which a page links exist."""
    for link in re.findall(r'\]\(([^)#]+)\)', path.read_text('utf-8')):
        if not link.startswith('http'):
            assert (path.parent / link).exists(), link


@each_page
def test_files_of_commands(path):
    """The files in the commands of a page exist."""
    text = path.read_text('utf-8')
    for name in re.findall(r'--config (\S+)', text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r'python ((?:examples|benchmarks)/\S+\.py)', text):
        assert (ROOT / name).is_file(), name


@each_page
def test_targets_of_make(path):
    """The targets that a page names are in the Makefile."""
    targets = re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.M)
    # at the start of a line or of code
    asked = re.findall(
        r'(?:^|`)(?: {4})?make ([a-z-]+)', path.read_text('utf-8'), re.M
    )
    assert set(asked) <= set(targets)


@pytest.mark.parametrize('command', ['train', 'evaluate', 'reconstruct'])
def test_options_of_commands(command, capsys):
    """The options that a page names are options of the command line."""
    with pytest.raises(SystemExit):
        main([command, '--help-all'])
    known = set(re.findall(r'--[\w.-]+', capsys.readouterr().out))
    known |= {'--help-all', '--version', '--import'}
    if command == 'reconstruct':
        # with a model in place of a configuration
        assert main([command, '--model', 'fdk', '--help']) == 0
        known |= set(re.findall(r'--[\w.-]+', capsys.readouterr().out))
    for path in (README, *PAGES):
        # a command goes on where a line ends in a backslash
        text = path.read_text('utf-8').replace('\\\n', ' ')
        for line in re.findall(rf'odl-equivariant {command} (.*)', text):
            for option in re.findall(r'--[\w.-]+', line):
                # arguments of a class are known once it is chosen
                option = option.partition('.init_args.')[0]
                assert option in known, f'{path.name}: {option}'
        if command == 'train':
            dotted = re.findall(r'--(?:trainer|model|data)\.\w+', text)
            assert set(dotted) <= known, path.name


# --- Names --- #


def test_page_on_theory_names_all_of_its_tests():
    """The page names every test of the theory, and no other."""
    page = (ROOT / 'docs/theory.md').read_text('utf-8')
    named = set(re.findall(r'(\w+_test\.py)::(\w+)', page))
    assert named == {
        (path.name, node.name)
        for path in (ROOT / 'tests/theory').glob('*_test.py')
        if path.name != 'recording_test.py'  # is about the other ones
        for node in ast.parse(path.read_text('utf-8')).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith('test_')
    }


def test_reference_lists_all_subpackages():
    """The pages of the reference follow ``__all__``."""
    page = (ROOT / 'docs/api/index.md').read_text('utf-8')
    listed = re.findall(r'^ {3}(\w+)$', page, re.M)
    assert sorted(listed) == sorted(odl_equivariant.__all__)


def test_extras_are_described():
    """The page on installing has a line for each extra."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg')
    page = (ROOT / 'docs/install.md').read_text('utf-8')
    listed = re.findall(r'^\| `(\w+)` \|', page, re.M)
    assert sorted(listed) == sorted(metadata['options.extras_require'])
