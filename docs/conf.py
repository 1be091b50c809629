# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Settings of Sphinx; `make docs` builds the pages into `build/docs`."""

import os
import pathlib
import sys

# Examples run without bars of progress, which would be in their output. It is
# read when tqdm is imported.
os.environ['TQDM_DISABLE'] = '1'

import odl_equivariant  # noqa: E402

DOCS = pathlib.Path(__file__).parent
sys.path.insert(0, str(DOCS / '_extensions'))

project = 'odl_equivariant'
author = 'The odl_equivariant contributors'
copyright = '2026, the odl_equivariant contributors'
version = release = odl_equivariant.__version__

extensions = [
    'code_figure',
    'denoiser_table',
    'film_table',
    'licence_table',
    'mathml',
    'measured_tables',
    'model_pages',
    'model_table',
    'reference',
    'symmetry_table',
    'thumbnails',
    'volume_table',
    'myst_parser',
    'numpydoc',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx_gallery.gen_gallery',
]
templates_path = ['_templates']
# strings such as 'fourier' are code
smartquotes = False
exclude_patterns = ['_*', '**/GALLERY_HEADER.rst']

# Single backticks are names, as in ODL: links to what is documented here. The
# names of other packages are shown without a link, since their lists would
# have to be fetched.
default_role = 'py:obj'
nitpicky = True
nitpick_ignore_regex = [
    ('py:.*', r'(abc|collections|lightning|numpy|odl|torch)\b.*'),
    ('py:obj', 'DiscretizedSpace|ProductSpace|TensorSpace'),
    # bases of public classes that are private, by name or by their folder
    ('py:class', r'odl_equivariant\..*\b_.*'),
    ('py:class', r'odl_equivariant(\.\w+){4,5}'),
    ('py:class', r'odl_equivariant\.training\.evaluation\.EvaluatedTask'),
]

myst_enable_extensions = ['dollarmath', 'amsmath', 'colon_fence', 'deflist']
myst_heading_anchors = 3

# Pages of the reference follow `__all__`, so that nothing is left out.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_inherit_docstrings = False
autodoc_member_order = 'bysource'
# Types are in the signatures, and in words, with shapes and units, below.
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
python_maximum_signature_line_length = 79
python_use_unqualified_type_names = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
# Classes and functions are complete; methods may say all in one line.
numpydoc_validation_checks = {
    'PR01',
    'PR02',
    'PR03',
    'PR05',
    'PR08',
    'PR09',
    'RT03',
    'RT05',
    'GL07',
    'GL09',
    'SS03',
    'YD01',
}
numpydoc_validation_exclude = {
    r'\.[A-Z]\w+\.\w+$',
    # fixtures, a class with a `__new__` of its own, a protocol, base classes,
    # and what only solvers and functions make
    r'\.testing\.',
    r'\.GroupAverage$',
    r'\.nn\.Block$',
    r'\.nn\.Energy$',
    r'\.nn\.UnrolledMethod$',
    r'\.SolverResult$',
    r'\.uncertainty\.(Bootstrap|Calibration|Ensemble|Uncertainty)$',
}
# labels like C+2021
numpydoc_citation_re = r'[\w.+-]+'

sphinx_gallery_conf = {
    'examples_dirs': '../examples',
    'gallery_dirs': 'gallery',
    # what takes half an hour, or needs files of the user, is shown only
    'filename_pattern': (
        r'examples/(?:null_spaces/)?'
        r'(?!compare_|measured_|score_|train)\w+\.py$'
    ),
    'reset_argv': 'gallery.arguments',
    'image_scrapers': ('matplotlib', 'gallery.figures'),
    'within_subsection_order': 'gallery.order',
    'copyfile_regex': r'^$',
    'download_all_examples': False,
    # what a notebook is called with are no options of an example
    'first_notebook_cell': (
        '# Some examples import others: put this beside them, into '
        '`examples`.\nimport sys\n\nsys.argv = sys.argv[:1]'
    ),
    'remove_config_comments': True,
    'show_signature': False,
    'show_memory': False,
    # pages do not change with the speed of the machine
    'min_reported_time': float('inf'),
    'write_computation_times': False,
    # what the last line of a block is worth is not a result
    'capture_repr': (),
    'plot_gallery': True,
    'abort_on_example_error': True,
    'only_warn_on_example_error': False,
}

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['odl_equivariant.css']
html_title = f'odl_equivariant {version}'
html_copy_source = False
html_show_sourcelink = False
html_permalinks_icon = '#'
