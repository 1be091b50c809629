# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files that are there whole or not at all."""

import os
import tempfile

__all__ = ('write_files',)


def write_files(contents):
    """Write files, replacing old ones once all new ones are complete.

    Parameters
    ----------
    contents : dict
        Bytes by `pathlib.Path`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    for path in contents:
        if not path.parent.is_dir():
            raise FileNotFoundError(f'there is no folder {path.parent}')
    temporaries = {}
    try:
        for path, content in contents.items():
            handle, temporary = tempfile.mkstemp(
                '.tmp', path.stem, path.parent
            )
            temporaries[path] = temporary
            with os.fdopen(handle, 'wb') as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
        for path in contents:
            os.replace(temporaries[path], path)
            del temporaries[path]
    finally:
        for temporary in temporaries.values():
            os.unlink(temporary)


def _umask():
    value = os.umask(0)
    os.umask(value)
    return value
