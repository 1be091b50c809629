# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the comparison says, each statement checked against its rows."""

import itertools

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


# whose costs are compared with that of ordinary splitting
MOST = 1.1


def verdicts(rows, costs=None):
    """Return statements, with measured figures and whether they hold.

    Parameters
    ----------
    rows : list of dict
        One for each network.
    costs : dict, optional
        Costs of steps for each problem, see `Study.costs`.

    Returns
    -------
    verdicts : list of tuple of str
        For each statement its words, then the figures and ``'Holds'``,
        ``'Holds in part'`` or ``'Does not hold'`` of phantoms, then both of
        real slices. Statements whose rows are missing are left out.
    """
    found = []
    rows = [row for row in rows if 'refused' not in row]

    def key(row):
        return row['problem'], row['noise']

    for name, group in itertools.groupby(rows, key):
        where = f'{name[0]}, {name[1]} noise'
        by_arm = {}
        for row in group:
            by_arm.setdefault((row['loss'], row['network']), []).append(row)
        found += _of_scores(where, by_arm)
        found += _of_costs(where, (costs or {}).get('/'.join(name), {}))
    return found


def _of_scores(where, by_arm):
    if DESIGN not in by_arm:
        return
    supervised = ('supervised', 'by design')
    if supervised in by_arm:
        yield (
            f'{where}: equivariant splitting by design is within 0.5 dB of '
            'supervised training',
            *_judged(by_arm, supervised, -0.5),
        )
    for words, other in OTHERS.items():
        if other in by_arm:
            yield (
                f'{where}: equivariant splitting by design is above {words}',
                *_judged(by_arm, other, 0),
            )


def _judged(by_arm, other, least):
    """Return figures and verdicts of phantoms, and of real slices."""
    found = []
    for kind in ('test', 'slices'):
        gaps = _gaps(by_arm, DESIGN, other, kind)
        figures = ', '.join(f'{gap:+.2f}' for gap in gaps)
        found += [f'{figures} dB' if gaps else '']
        found += [verdict([gap >= least for gap in gaps]) if gaps else '']
    return found


def _of_costs(where, costs):
    for network, cheap in (('by design', True), ('averaging', False)):
        ratio = costs.get(f'equivariant splitting, {network}')
        if ratio is None:
            continue
        sentence = f'{where}: a step of splitting, {network}, costs '
        sentence += 'at most' if cheap else 'more than'
        sentence += f' {MOST} times that of ordinary splitting'
        holds = (ratio <= MOST) == cheap
        yield sentence, f'{ratio:.2f} times', verdict([holds]), '', ''


def _gaps(by_arm, one, other, kind):
    """Return by how many dB one arm is above the other, for each seed."""
    scores = [
        {row['seed']: row[kind] for row in by_arm[arm] if kind in row}
        for arm in (one, other)
    ]
    both = [seed for seed in scores[0] if seed in scores[1]]
    return [scores[0][seed] - scores[1][seed] for seed in both]
