# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Atomic writes and checksums of files."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import secrets

import numpy as np
import torch

__all__ = (
    'check_no_folder',
    'checksum',
    'digest',
    'full_disk_named',
    'path_inside',
    'sealed',
    'split_seal',
    'unsealed',
    'write_atomically',
    'write_files',
    'write_sealed',
)

# A separator at either end, or `..`, would lead out of a folder.
_PLAIN_NAME = re.compile(r'[\w-][\w.-]*')
_SEAL = re.compile(r'(.*),"checksum":"([0-9a-f]{32})"\}', re.DOTALL)


def checksum(text, tensors=None):
    """Return a checksum of a text and of named tensors.

    Parameters
    ----------
    text : str
        Text, such as JSON.
    tensors : dict, optional
        Tensors on the processor, by name. Names, dtypes, shapes and bytes
        count, their order does not.

    Returns
    -------
    checksum : str
        32 hexadecimal digits.
    """
    content = text.encode()
    parts = [b'%d ' % len(content), content]
    for name, tensor in sorted((tensors or {}).items()):
        layout = json.dumps([name, str(tensor.dtype), list(tensor.shape)])
        parts += [layout.encode(), tensor]
    return digest(parts)


def digest(parts, algorithm=None):
    """Return the checksum of texts, arrays and tensors, one after the other.

    Parameters
    ----------
    parts : iterable of str, bytes, numpy.ndarray or torch.Tensor
        Their bytes count, in row-major order; texts are in UTF-8. Tensors
        are on the processor. Dtypes, shapes and what lies between the parts
        do not count.
    algorithm : hashlib object, optional
        Default: BLAKE2b with 16 bytes.

    Returns
    -------
    digest : str
        Hexadecimal digits.

    Examples
    --------
    >>> digest(['ab', b'c']) == digest(['abc'])
    True
    """
    state = algorithm or hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.contiguous().reshape(-1).view(torch.uint8).numpy()
        elif isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part)
        state.update(part.encode() if isinstance(part, str) else part)
    return state.hexdigest()


def sealed(content, tensors=None):
    """Return JSON that ends with a checksum of itself.

    Parameters
    ----------
    content : dict
        What JSON can hold, not empty, without a key ``checksum``.
    tensors : dict, optional
        Tensors that belong to it, see `checksum`.

    Returns
    -------
    text : str
        JSON of the same dict with the key ``checksum`` at its end.
    """
    text = json.dumps(content, separators=(',', ':'))
    return f'{text[:-1]},"checksum":"{checksum(text, tensors)}"}}'


def split_seal(text):
    """Return the text without its checksum, and the checksum or ``None``."""
    match = _SEAL.fullmatch(text)
    if match is None:
        return text, None
    return f'{match[1]}}}', match[2]


def write_sealed(path, content):
    """Write a dict as JSON with its checksum to a file, atomically.

    Parameters
    ----------
    path : path-like
        File. An earlier one is replaced as a whole or not at all.
    content : dict
        See `sealed`; `unsealed` reads it.
    """
    write_atomically(path, sealed(content).encode())


def unsealed(text):
    """Return what `sealed` wrote, without its checksum.

    Raises
    ------
    ValueError
        If the text has no checksum, or that of another text.
    """
    text, expected = split_seal(text)
    if expected is None:
        raise ValueError('it does not end with a checksum')
    if checksum(text) != expected:
        raise ValueError('its checksum is wrong')
    return json.loads(text)


def path_inside(folder, *names):
    """Join a folder and untrusted names to a path inside the folder.

    Parameters
    ----------
    folder : pathlib.Path
        Folder that may not be left.
    names : str
        Name of a file, after those of the folders that it lies in.

    Returns
    -------
    path : pathlib.Path
        The path, which need not exist.

    Raises
    ------
    ValueError
        If a name has other characters than letters, digits and ``_-.``, or
        begins with a dot, or links lead out of the folder or in circles.
    """
    for name in names:
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
            raise ValueError(
                f'{name!r:.80} is no name of a file in {folder}: only '
                'letters, digits and _-. are'
            )
    path = folder.joinpath(*names)
    try:
        real, root = path.resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f'{path} is a circle of links: {error}') from error
    if not real.is_relative_to(root):
        raise ValueError(
            f'{path} is a link out of its folder, to {real}: files outside '
            'of the folder are neither read nor written'
        )
    return path


def check_no_folder(path):
    """Raise an error if there is a folder where a file is to be written.

    Raises
    ------
    IsADirectoryError
        If there is; with its name.
    """
    if path.is_dir():
        raise IsADirectoryError(
            f'{path} is a folder, where a file should be: move it away'
        )


@contextlib.contextmanager
def full_disk_named(folder):
    """Name a folder in the error of a full disk that names no file.

    Writing to a file that is open fails without its name.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, 'EDQUOT', None))
        if not full or error.filename is not None:
            raise
        raise OSError(
            error.errno,
            f'{error.strerror or error}: make room, then the same command '
            'goes on',
            str(folder),
        ) from error


def write_atomically(path, content):
    """Write a file atomically: all of it, or nothing.

    Parameters
    ----------
    path : path-like
        File to write, in a folder that exists.
    content : bytes, or iterable of buffers
        All that it will contain. Buffers, such as arrays of bytes, are
        written one after the other, without a copy of them.

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
        Bytes, or an iterable of buffers, by `pathlib.Path`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    IsADirectoryError
        If there is a folder in the place of a file.
    OSError
        If they cannot be written; nothing is left of the attempt.
    """
    for path in contents:
        if not path.parent.is_dir():
            raise FileNotFoundError(f'there is no folder {path.parent}')
        check_no_folder(path)
    temporaries = {}
    path = None
    try:
        for path, content in contents.items():
            # Opened as any new file, it has the permissions of any: to ask
            # for them would change them for all threads meanwhile.
            name = f'.{path.stem}-{secrets.token_hex(6)}.tmp'
            # Noted before it is there, as an interruption can come in between.
            temporaries[path] = temporary = path.parent / name
            with open(temporary, 'xb') as file:
                whole = isinstance(content, bytes)
                for part in [content] if whole else content:
                    file.write(part)
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
