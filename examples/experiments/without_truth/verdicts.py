# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the comparison says, each statement checked against its rows."""

import itertools

import numpy as np

from examples.experiments.tables import verdict

__all__ = ('verdicts',)

DESIGN = ('equivariant splitting', 'by design')
OTHERS = {
    'equivariant imaging by design': ('equivariant imaging', 'by design'),
    'equivariant imaging of an ordinary network': (
        'equivariant imaging',
        'ordinary',
    ),
    'splitting with an ordinary network': ('splitting', 'ordinary'),
}


def verdicts(rows):
    """Return statements, with measured figures and whether they hold.

    Parameters
    ----------
    rows : list of dict
        One for each network.

    Returns
    -------
    verdicts : list of tuple of str
        For each statement its words, the figures, and ``'Holds'``, ``'Holds
        in part'`` or ``'Does not hold'``. Those whose rows are missing are
        left out.
    """
    found = []
    rows = [row for row in rows if 'refused' not in row]

    def key(row):
        return row['problem'], row['noise']

    for (problem, noise), group in itertools.groupby(rows, key):
        where = f'{problem}, {noise} noise'
        by_arm = {}
        for row in group:
            by_arm.setdefault((row['loss'], row['network']), []).append(row)
        found += _of_problem(where, by_arm)
    return found


def _of_problem(where, by_arm):
    if DESIGN not in by_arm:
        return
    supervised = ('supervised', 'by design')
    if supervised in by_arm:
        gaps = _gaps(by_arm, DESIGN, supervised)
        yield _said(
            f'{where}: equivariant splitting by design is within 0.5 dB of '
            'supervised training',
            gaps,
            [gap >= -0.5 for gap in gaps],
        )
    for words, other in OTHERS.items():
        if other in by_arm:
            gaps = _gaps(by_arm, DESIGN, other)
            yield _said(
                f'{where}: equivariant splitting by design is above {words}',
                gaps,
                [gap > 0 for gap in gaps],
            )
    plain = ('splitting', 'ordinary')
    for network, most in (('by design', 1.1), ('averaging', None)):
        one = ('equivariant splitting', network)
        if one not in by_arm or plain not in by_arm:
            continue
        ratio = _seconds(by_arm[one]) / _seconds(by_arm[plain])
        sentence = f'{where}: a step of splitting, {network}, costs '
        sentence += 'at most 1.1 times' if most else 'more than 1.1 times'
        sentence += ' that of ordinary splitting'
        holds = (ratio <= 1.1) == bool(most)
        yield sentence, f'{ratio:.2f}', verdict([holds])


def _gaps(by_arm, one, other):
    """Return by how many dB one arm is above the other, for each seed."""
    scores = [
        {row['seed']: row['test'] for row in by_arm[arm]}
        for arm in (one, other)
    ]
    return [value - scores[1][seed] for seed, value in scores[0].items()]


def _seconds(rows):
    return float(np.median([row['seconds'] for row in rows]))


def _said(sentence, gaps, flags):
    figures = ', '.join(f'{gap:+.2f}' for gap in gaps)
    return sentence, f'{figures} dB for the seeds', verdict(flags)
