# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measured k-space in files of ISMRMRD."""

import numpy as np

from odl_equivariant.data.kspace.header import Header, chosen
from odl_equivariant.data.kspace.scan import KspaceScan

__all__ = ('ismrmrd_group', 'ismrmrd_scan')

COUNTERS = ('slice', 'contrast', 'phase', 'repetition', 'set')
# Bits of the flags of an acquisition, counted from 1 in the standard.
_NOISE = 1 << 18
_REVERSE = 1 << 21
# calibration for other reconstructions, navigators, phase corrections,
# feedback, dummy scans, and scans of surface coils
_NO_IMAGE = sum(1 << (bit - 1) for bit in (20, 23, 24, 26, 27, 28, 29, 30))


def ismrmrd_group(file):
    """Return the group of an HDF5 file with ``xml`` and ``data``, or None."""
    import h5py

    for name in file:
        group = file.get(name)
        if isinstance(group, h5py.Group) and {'xml', 'data'} <= set(group):
            return group
    return None


def ismrmrd_scan(group, path, slice, counters):
    """Return the scan of a slice in a file of ISMRMRD, see `read_kspace`.

    The line with the encoding step :math:`s` is put at index :math:`n // 2 -
    c + s`, where :math:`c` is the centre in the header; samples of a readout
    are put so that the one called centre is at index ``n // 2``. Averages are
    averaged.
    """
    unknown = set(counters) - set(COUNTERS)
    if unknown:
        raise TypeError(
            f'expected some of {COUNTERS[1:]}, got {sorted(unknown)}'
        )
    header = Header(group['xml'][0], path)
    kind = header.text('trajectory', default='cartesian')
    if kind.lower() != 'cartesian':
        raise ValueError(
            f'the `trajectory` of {path} is {kind!r}, and lines of k-space '
            "were expected, 'cartesian': its samples need a non-uniform "
            'Fourier transform at their coordinates'
        )
    nx, ny, nz = header.matrix('encodedSpace')
    if nz > 1:
        raise ValueError(
            f'{path} has {nz} encoded partitions, `encodedSpace/matrixSize/z` '
            '= 1 was expected: transform the third axis first, and save each '
            'slice as .npy'
        )
    heads = group['data']['head']
    flags, steps = heads['flags'], heads['idx']
    is_noise = (flags & _NOISE) != 0
    lines = ~is_noise & ((flags & _NO_IMAGE) == 0)
    for name in COUNTERS:
        wanted = slice if name == 'slice' else counters.get(name)
        if not lines.any():
            raise ValueError(f'{path} has no lines of an image')
        wanted = chosen(name, wanted, steps[name][lines].tolist(), path)
        lines &= steps[name] == wanted
    if (flags[lines] & _REVERSE).any():
        raise ValueError(
            f'{path} has readouts in reverse, as in echo-planar imaging, '
            'whose phases need a correction: correct them first, and save '
            'k-space as .npy'
        )
    center = header.number(
        'encodingLimits', 'kspace_encoding_step_1', 'center', default=ny // 2
    )
    rows = ny // 2 - int(center) + steps['kspace_encode_step_1'].astype(int)
    wrong = lines & ((rows < 0) | (rows >= ny))
    if wrong.any():
        raise ValueError(
            f'{np.count_nonzero(wrong)} lines of {path} lie outside of the '
            f'{ny} of `encodedSpace/matrixSize/y`, from {rows[lines].min()} '
            f'to {rows[lines].max()}'
        )
    n_coils = chosen_coils(heads['active_channels'][lines], path)
    kspace = np.zeros((n_coils, nx, ny), np.complex64)
    count = np.zeros((nx, ny), int)
    for i in np.flatnonzero(lines):
        samples, left = _samples(group, i, heads[i], path)
        first = left + nx // 2 - int(heads['center_sample'][i])
        stop = first + samples.shape[1]
        if first < 0 or stop > nx:
            raise ValueError(
                f'readout {i} of {path} has {samples.shape[1]} samples with '
                f'the centre {heads["center_sample"][i]}, which lie outside '
                f'of the {nx} of `encodedSpace/matrixSize/x`'
            )
        kspace[:, first:stop, rows[i]] += samples
        count[first:stop, rows[i]] += 1
    kspace /= np.maximum(count, 1)
    return KspaceScan(
        kspace,
        count > 0,
        noise=_noise(group, heads, is_noise, lines, header, n_coils, path),
        field_of_view=header.field_of_view('xy'),
        image_shape=header.image_shape((nx, ny), 'xy'),
        source=str(path),
        attributes={'n_averages': int(count.max())},
    )


def chosen_coils(channels, path):
    """Return the number of coils, which all lines must have.

    Parameters
    ----------
    channels : numpy.ndarray
        ``active_channels`` of each line.
    path : path-like
        File, for the message.

    Raises
    ------
    ValueError
        If lines have different numbers of coils.
    """
    found = sorted(set(channels.tolist()))
    if len(found) > 1:
        raise ValueError(
            f'the lines of {path} have `active_channels` of {found}, and one '
            'number was expected'
        )
    return found[0]


def _samples(group, i, head, path):
    """Return the samples of a readout, and the number of the first one.

    They have the shape (n_coils, n_samples). The scanner says how many to
    leave out at both ends.
    """
    numbers = np.asarray(group['data'][i]['data'], np.float32)
    shape = int(head['active_channels']), int(head['number_of_samples'])
    if numbers.size != 2 * shape[0] * shape[1]:
        raise ValueError(
            f'readout {i} of {path} has {numbers.size} numbers, and '
            f'{shape[0]} coils with {shape[1]} complex samples were expected'
        )
    samples = numbers.view(np.complex64).reshape(shape)
    left, right = int(head['discard_pre']), int(head['discard_post'])
    return samples[:, left : max(left, shape[1] - right)], left


def _noise(group, heads, is_noise, lines, header, n_coils, path):
    """Return the samples of noise at the bandwidth of the lines, or None."""
    parts = [
        _samples(group, i, heads[i], path)[0]
        for i in np.flatnonzero(is_noise)
        if heads['active_channels'][i] == n_coils
    ]
    if not parts:
        return None
    noise = np.concatenate(parts, axis=1)
    own = float(heads['sample_time_us'][is_noise][0])
    used = float(heads['sample_time_us'][lines][0])
    if own > 0 and used > 0:
        # the variance is proportional to the bandwidth
        share = header.system('relativeReceiverNoiseBandwidth', default=1.0)
        noise = noise * np.float32((own / (used * share)) ** 0.5)
    return noise
