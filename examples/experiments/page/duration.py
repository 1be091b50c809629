# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How long all networks of the tables take, from nothing."""

__all__ = ('duration',)


def duration(tables, searched, calls):
    """Return in words how long cores and the clock took for all networks.

    Parameters
    ----------
    tables : dict
        Rows of the experiments by their names. A network that several of
        them have counts once.
    searched : list of dict
        Rows of the learning rates.
    calls : list of dict
        How long each call of the command took by the clock.

    Returns
    -------
    words : str
        Hours of one core, and by the clock. Empty, if no time was stored.
    """
    times = {
        row['run']: row['seconds']
        for rows in (*tables.values(), searched)
        for row in rows
        # methods that need no training, and costs, have no time
        if 'seconds' in row and row['run'] and row.get('seed', 1) != ''
    }
    known = [seconds for seconds in times.values() if seconds != '']
    if not known:
        return ''
    words = (
        f'The {len(known)} networks took {sum(known) / 3600:.1f} hours of one '
        'core, with training, search of rates, and scores'
    )
    if n_unknown := len(times) - len(known):
        words += (
            f'; of {n_unknown} more, which were stopped and went on, no time '
            'is known'
        )
    if calls:
        hours = sum(call['seconds'] for call in calls) / 3600
        n_jobs = sorted({call['jobs'] for call in calls})
        times = '' if len(calls) == 1 else f' in {len(calls)} calls'
        words += (
            f'. By the clock the command took {hours:.1f} hours{times}, with '
            f'{" or ".join(map(str, n_jobs))} networks at once'
        )
    return words + '.'
