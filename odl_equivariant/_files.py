# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files that are whole or not there at all."""

import contextlib
import os
import pathlib
import secrets

__all__ = ('write_atomically', 'write_files')


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
    FileNotFoundError
        If there is no such folder.
    OSError
        If it cannot be written; nothing is left of the attempt.
    """
    write_files({pathlib.Path(path): content})


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
    OSError
        If they cannot be written; nothing is left of the attempt.
    """
    for path in contents:
        if not path.parent.is_dir():
            raise FileNotFoundError(f'there is no folder {path.parent}')
    temporaries = {}
    path = None
    try:
        for path, content in contents.items():
            # Opened as any new file, it has the permissions of any: to ask
            # for them would change them for all threads meanwhile.
            name = f'.{path.stem}-{secrets.token_hex(6)}.tmp'
            temporary = path.parent / name
            with open(temporary, 'xb') as file:
                temporaries[path] = temporary
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path in contents:
            os.replace(temporaries[path], path)
            del temporaries[path]
    except OSError as error:
        raise OSError(
            error.errno,
            f'{error.strerror or error}: could not be written; what was '
            'there before is unchanged',
            str(path),
        ) from error
    finally:
        for temporary in temporaries.values():
            with contextlib.suppress(OSError):
                os.unlink(temporary)
