# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The XML header of ISMRMRD, which fastMRI has too."""

import xml.etree.ElementTree

__all__ = ('Header', 'chosen')

_SPACE = '{http://www.ismrm.org/ISMRMRD}'


class Header:
    """What an XML header of ISMRMRD says of the first encoding.

    Parameters
    ----------
    text : bytes or str
        The header.
    path : path-like
        File, for messages.
    """

    def __init__(self, text, path):
        self._path = path
        try:
            root = xml.etree.ElementTree.fromstring(text)
        except (xml.etree.ElementTree.ParseError, TypeError) as error:
            raise ValueError(
                f'the ISMRMRD header of {path} is no XML: {error}'
            ) from error
        encodings = root.findall(_SPACE + 'encoding')
        if not encodings:
            raise ValueError(f'the ISMRMRD header of {path} has no `encoding`')
        self.n_encodings = len(encodings)
        self._root, self._encoding = root, encodings[0]

    def text(self, *names, default=None):
        """Return the text of an element of the encoding."""
        return _text(self._encoding, names, default)

    def number(self, *names, default=None):
        """Return a number of the encoding."""
        return self._number(self._encoding, names, default)

    def system(self, name, default=None):
        """Return a number of the scanner."""
        names = ('acquisitionSystemInformation', name)
        return self._number(self._root, names, default)

    def _number(self, element, names, default):
        text = _text(element, names, None)
        if text is None:
            if default is not None:
                return default
            raise ValueError(
                f'the ISMRMRD header of {self._path} has no '
                f'`{"/".join(names)}`'
            )
        try:
            return float(text)
        except ValueError as error:
            raise ValueError(
                f'`{"/".join(names)}` in the ISMRMRD header of {self._path} '
                f'must be a number, got {text!r}'
            ) from error

    def matrix(self, space):
        """Return the numbers of samples along x, y and z."""
        return tuple(
            int(self.number(space, 'matrixSize', axis)) for axis in 'xyz'
        )

    def field_of_view(self, axes):
        """Return the encoded lengths along two axes, in metres."""
        lengths = tuple(
            self.number('encodedSpace', 'fieldOfView_mm', axis, default=0)
            / 1000
            for axis in axes
        )
        return lengths if min(lengths) > 0 else None

    def image_shape(self, shape, axes):
        """Return the shape that images have, if that is a part of k-space."""
        asked = tuple(
            int(self.number('reconSpace', 'matrixSize', axis, default=0))
            for axis in axes
        )
        asked = tuple(
            n if 0 < n <= own else own
            for n, own in zip(asked, shape, strict=True)
        )
        return asked if asked != tuple(shape) else None


def _text(element, names, default):
    found = element.findtext('/'.join(_SPACE + name for name in names))
    return default if found is None else found.strip()


def chosen(name, value, values, path):
    """Return the slice, or another part of a file, that was asked for.

    Raises
    ------
    ValueError
        If there is no such part, or there are several and none is named.
    """
    values = sorted(set(values))
    if value is None and len(values) == 1:
        return values[0]
    if value in values:
        return value
    there = f'{path} has the {name}s {values[0]} to {values[-1]}'
    if value is None:
        raise ValueError(f'{there}: pass `{name}`')
    raise ValueError(f'{there}, got {name}={value}')
