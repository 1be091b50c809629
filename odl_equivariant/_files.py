# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files that are whole or not there at all."""

import os
import pathlib
import tempfile

__all__ = ('write_atomically',)


def write_atomically(path, content):
    """Write a file that is whole, or as it was before.

    Parameters
    ----------
    path : path-like
        File to write, in a folder that exists.
    content : bytes
        All that it will contain.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left of the attempt.
    """
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp('.tmp', f'.{path.name}-', path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f'{error.strerror}: could not be written, and is as it was '
                'before',
                str(path),
            ) from error
        raise


def _umask():
    value = os.umask(0)
    os.umask(value)
    return value
