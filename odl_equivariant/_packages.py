# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Imports of optional packages, and how to install those."""

import importlib
import importlib.util

__all__ = ('how_to_install', 'import_package', 'require_packages')

# Where the name on an index is not that of the module, or a version matters:
# as in the extras of `setup.cfg`.
_REQUIREMENTS = {
    'PIL': 'pillow',
    'astra': 'astra-toolbox',
    'finufft': 'finufft>=2.5',
    'jsonargparse': 'jsonargparse[signatures]>=4.53',
    'lightning': 'lightning>=2.5',
    'pydicom': 'pydicom>=3',
    'pylibjpeg': 'pylibjpeg[all]',
    'yaml': 'pyyaml',
}


def how_to_install(*modules):
    """Return the command that installs the packages of some modules.

    Parameters
    ----------
    *modules : str
        Names as they are imported.

    Returns
    -------
    command : str
        One line for a shell.

    Examples
    --------
    >>> how_to_install('h5py', 'pydicom.pixels')
    "pip install h5py 'pydicom>=3'"
    """
    tops = [name.partition('.')[0] for name in modules]
    names = [_REQUIREMENTS.get(top, top) for top in tops]
    quoted = (
        f"'{name}'" if set(name) & set('<>[]') else name for name in names
    )
    return ' '.join(['pip install', *quoted])


def import_package(name, purpose):
    """Import a module, or explain how to install what it lacks.

    Parameters
    ----------
    name : str
        Module to import.
    purpose : str
        What needs it.

    Returns
    -------
    module : module
        The module.

    Raises
    ------
    ImportError
        If it cannot be imported. The message names the module that is
        missing, which may be one that ``name`` needs itself.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition('.')[0]
        missing = (error.name or '').partition('.')[0]
        if not isinstance(error, ModuleNotFoundError) or not missing:
            reason = f'which is installed, but cannot be imported: {error}'
        elif missing == package:
            reason = f'which is not installed: {how_to_install(name)}'
        else:
            reason = (
                f'which is installed, but needs {missing}, which is not: '
                f'{how_to_install(missing)}'
            )
        raise ImportError(
            f'{purpose} needs {package}, {reason}', name=error.name
        ) from error


def require_packages(names, purpose):
    """Raise an error that names all packages that are missing.

    Parameters
    ----------
    names : sequence of str
        Modules without dots.
    purpose : str
        What needs them.

    Raises
    ------
    ImportError
        If one of them is not installed.
    """
    missing = [name for name in names if not importlib.util.find_spec(name)]
    if missing:
        verb = 'is' if len(missing) == 1 else 'are'
        raise ImportError(
            f'{purpose} needs {" and ".join(missing)}, which {verb} not '
            f'installed: {how_to_install(*missing)}',
            name=missing[0],
        )
