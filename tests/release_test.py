# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What is said of a release, in all places that say it."""

import configparser
import pathlib
import re

import pytest
import yaml

import odl_equivariant

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope='module')
def metadata():
    """Return what `setup.cfg` says of the package."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'setup.cfg', encoding='utf-8')
    return settings


@pytest.fixture(scope='module')
def citation():
    """Return what `CITATION.cff` says of the package."""
    return yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))


def lines(text):
    """Return the lines of a value that has several."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_the_version_is_written_once(metadata):
    """The metadata and the documentation take it from the package."""
    version = metadata['metadata']['version']
    assert version == 'attr: odl_equivariant.__version__'
    page = (ROOT / 'docs' / 'conf.py').read_text('utf-8')
    assert 'version = release = odl_equivariant.__version__' in page


def test_the_version_is_that_of_the_citation(citation):
    """Who cites the package names the version that is installed."""
    assert str(citation['version']) == odl_equivariant.__version__


def test_the_version_is_the_newest_of_the_changelog():
    """The first heading of the changelog is about this version."""
    text = (ROOT / 'CHANGELOG.md').read_text('utf-8')
    newest = re.search(r'^## (\d+\.\d+\.\d+)', text, re.M).group(1)
    assert newest == odl_equivariant.__version__


def test_the_citation_has_what_its_format_requires(citation):
    """The keys are those of version 1.2.0 of the Citation File Format."""
    required = {'cff-version', 'message', 'title', 'authors'}
    assert required <= citation.keys()
    assert citation['cff-version'] == '1.2.0'
    assert citation['authors'] and all(citation['authors'])
    for reference in citation['references']:
        assert {'type', 'title', 'authors'} <= reference.keys()
        assert re.fullmatch(r'10\.\d{4,}/\S+', reference['doi'])


def test_the_licence_is_the_same_everywhere(metadata, citation):
    """The licence of the metadata, of the citation and of the file."""
    expression = metadata['metadata']['license_expression']
    assert expression == citation['license'] == 'MPL-2.0'
    assert metadata['metadata']['license_files'] == 'LICENSE'
    assert 'Mozilla Public License Version 2.0' in (
        (ROOT / 'LICENSE').read_text('utf-8')
    )


def test_each_file_of_the_package_names_its_licence():
    """Each module that ships says that it is under the MPL."""
    files = [*(ROOT / 'odl_equivariant').rglob('*.py')]
    files += (ROOT / 'odl_equivariant_command').rglob('*.py')
    files += (ROOT / 'examples').rglob('*.py')
    files += (ROOT / 'benchmarks').rglob('*.py')
    assert len(files) > 100
    for path in files:
        assert 'https://mozilla.org/MPL/2.0/' in path.read_text('utf-8'), path


def test_urls_of_the_project_are_whole(metadata):
    """Each has a label of its own and begins with https."""
    pairs = [
        line.split(' = ')
        for line in lines(metadata['metadata']['project_urls'])
    ]
    assert len({label for label, _ in pairs}) == len(pairs)
    assert all(url.startswith('https://') for _, url in pairs)


def test_versions_of_python_are_those_that_are_tested(metadata):
    """The metadata name those with which the workflow runs the tests."""
    named = re.findall(
        r'Python :: (3\.\d+)$', metadata['metadata']['classifiers'], re.M
    )
    workflow = ROOT / '.github' / 'workflows' / 'ci.yml'
    if workflow.exists():  # a source distribution has none
        jobs = yaml.safe_load(workflow.read_text('utf-8'))['jobs']
        assert named == jobs['tests']['strategy']['matrix']['python']
    assert metadata['options']['python_requires'] == f'>={named[0]}'


def test_each_requirement_has_a_version_in_the_constraints(metadata):
    """What is required, and what escnn is, is named in `constraints.txt`."""
    text = (ROOT / 'constraints.txt').read_text('utf-8')
    fixed = set(re.findall(r'^([\w-]+)==', text, re.M))
    required = metadata['options']['install_requires']
    required += ''.join(metadata['options.extras_require'].values())
    names = {
        re.match(r'[\w-]+', line).group().lower()
        for line in lines(required)
        if line[0] != '#'
    }
    assert names - {'odl-equivariant'} <= fixed
    assert 'escnn' in fixed
