# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How long all networks of the tables take, from nothing."""

__all__ = ('duration',)


def duration(tables, searched):
    """Return in words how long one core takes for all networks.

    Parameters
    ----------
    tables : dict
        Rows of the experiments by their names. A network that several of
        them have counts once.
    searched : list of dict
        Rows of the learning rates.

    Returns
    -------
    words : str
        Hours of the networks whose time was stored, and of all of them. The
        others count with the mean time of a step of their task. Empty, if no
        time was stored.
    """
    times = {}
    for row in _rows(tables, searched):
        key = row.get('run') or tuple(
            row[name] for name in ('task', 'steps', 'size', 'arm', 'rate')
        )
        task = row.get('task') or row['run'].partition('-')[0]
        seconds = row.get('seconds', '')
        if key not in times or seconds != '':
            times[key] = task, row['steps'], seconds
    known, unknown = {}, {}
    for task, steps, seconds in times.values():
        if seconds == '':
            unknown.setdefault(task, []).append(steps)
        else:
            known.setdefault(task, []).append((steps, seconds))
    if not known:
        return ''
    spent = sum(s for pairs in known.values() for _, s in pairs)
    n_known = sum(map(len, known.values()))
    words = (
        f'The {n_known} networks whose time was stored took '
        f'{spent / 3600:.1f} hours of one core'
    )
    total, n_others = spent, 0
    for task, steps in unknown.items():
        if task in known:
            each = _mean_step(known[task])
            total += each * sum(steps)
            n_others += len(steps)
    if n_others:
        words += (
            f', and all {n_known + n_others} take about {total / 3600:.1f} '
            'hours, if a step of the others takes as long'
        )
    n_left = len(times) - n_known - n_others
    if n_left:
        words += f'; of {n_left} more no time is known'
    return words + '. This is with training, search of rates, and scores.'


def _rows(tables, searched):
    """Return one row for each network and table."""
    rows = [
        row
        for table in tables.values()
        for row in table
        # methods that need no training have no seed, and costs no run
        if row.get('seed', '') != ''
    ]
    return rows + searched


def _mean_step(pairs):
    return sum(s for _, s in pairs) / sum(n for n, _ in pairs)
