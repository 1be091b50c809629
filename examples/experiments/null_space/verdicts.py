# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the comparison says, each statement checked against its rows."""

import statistics

import scipy.stats

from examples.experiments.tables import mean_and_spread, verdict

__all__ = ('gains', 'table', 'verdicts')

_LEFT_OUT = (
    'images',
    'problem',
    'network',
    'rate',
    'seed',
    'seconds',
    'steps',
)
# From how many problems a rank correlation is taken, and from which one on a
# statement holds in part and as a whole.
_FEWEST = 6
_RANKS = (0.3, 0.7)
# Problems with a null space and little noise, by how their names begin.
_INCOMPLETE = ('inpaint', 'sens', 'ct 10 ', 'ct 20 ', 'ct 50 ')


def gains(rows, condition):
    """Return by how much the equivariant network is above the ordinary one.

    Parameters
    ----------
    rows : list of dict
        One for each network.
    condition : str
        Which test images.

    Returns
    -------
    gains : dict
        For each kind of images and problem the gains of the seeds, in dB.
    """
    scores = {}
    for row in rows:
        key = row['images'], row['problem']
        seeds = scores.setdefault(key, {}).setdefault(row['seed'], {})
        seeds[row['network']] = row[condition]
    found = {
        key: [
            one['equivariant'] - one['ordinary']
            for one in seeds.values()
            if len(one) == 2
        ]
        for key, seeds in scores.items()
    }
    return {key: values for key, values in found.items() if values}


def conditions(rows):
    """Return the names of the conditions."""
    return [name for name in rows[0] if name not in _LEFT_OUT] if rows else []


def table(rows):
    """Return the gains as a table in Markdown, with the scores upright."""
    names = conditions(rows)
    lines = [
        f'| images | problem | ordinary, upright, dB | {" | ".join(names)} |',
        '|' + (3 + len(names)) * '---|',
    ]
    found = {name: gains(rows, name) for name in names}
    for key in found[names[0]] if names else []:
        upright = [
            row['upright']
            for row in rows
            if (row['images'], row['problem']) == key
            and row['network'] == 'ordinary'
        ]
        cells = [*key, _cell(upright, '.2f')]
        cells += [_cell(found[name][key], '+.2f') for name in names]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _cell(values, form):
    """Return the mean and the spread, which one value does not have."""
    mean, spread = mean_and_spread(values)
    text = f'{mean:{form}}'
    return f'{text} ± {spread:.2f}' if len(values) > 1 else text


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
    if not rows:
        return found
    kinds = list(dict.fromkeys(row['images'] for row in rows))
    by_condition = {name: gains(rows, name) for name in conditions(rows)}
    for kind in kinds:
        for name in ('upright', 'quarter turns', 'unseen angles'):
            means = _means(by_condition[name], kind)
            found.append(
                _said(
                    f'{kind}, {name}: the equivariant network is above the '
                    'ordinary one',
                    means,
                    [gain > 0 for gain in means.values()],
                )
            )
        turned = _means(by_condition['quarter turns'], kind)
        upright = _means(by_condition['upright'], kind)
        more = {key: turned[key] - upright[key] for key in turned}
        found.append(
            _said(
                f'{kind}: the gain is larger on turned images than on upright '
                'ones',
                more,
                [value > 0 for value in more.values()],
            )
        )
        for words in ('inpainting', 'sensing', 'ct', 'denoising'):
            found += _grows(kind, words, turned)
        found += _null_space(kind, turned)
        found += _follows_quality(rows, kind, turned)
        for name in ('scale 0.5', 'scale 2', 'intensity 0.1', 'intensity 10'):
            lost = _lost(rows, kind, name) if name in by_condition else {}
            if lost:
                found.append(
                    _said(
                        f'{kind}, {name}: the equivariant network loses less '
                        'than the ordinary one',
                        lost,
                        [value < 0 for value in lost.values()],
                    )
                )
    return found


def _means(found, kind):
    return {
        problem: statistics.fmean(values)
        for (one, problem), values in found.items()
        if one == kind
    }


def _grows(kind, words, means):
    chosen = {k: v for k, v in means.items() if k.startswith(words)}
    if len(chosen) < 2:
        return
    values = list(chosen.values())
    what = 'with the noise' if words == 'denoising' else 'with the null space'
    sentence = f'{kind}, turned: the gain in {words} grows {what}'
    flags = [b > a for a, b in zip(values, values[1:], strict=False)]
    if values[-1] <= values[0]:
        # single steps up are no growth
        flags = [False]
    yield _said(sentence, chosen, flags)


def _null_space(kind, means):
    without = [v for k, v in means.items() if k.startswith('denoising')]
    pairs = {k: v for k, v in means.items() if k.startswith(_INCOMPLETE)}
    if not without or not pairs:
        return
    most = max(without)
    sentence = (
        f'{kind}, turned: with a null space and little noise the gain is '
        f'larger than in denoising, at most {most:+.2f} dB'
    )
    yield _said(sentence, pairs, [value > most for value in pairs.values()])


def _follows_quality(rows, kind, means):
    """Say whether problems with better images have larger gains."""
    scores = {}
    for row in rows:
        if row['images'] == kind and row['network'] == 'ordinary':
            scores.setdefault(row['problem'], []).append(row['upright'])
    if len(means) < _FEWEST:
        return
    upright = [statistics.fmean(scores[problem]) for problem in means]
    rank = scipy.stats.spearmanr(upright, list(means.values())).statistic
    figures = f'rank correlation {rank:+.2f} of {len(means)} problems'
    sentence = (
        f'{kind}, turned: the better the images of a problem are, upright '
        'and by the ordinary network, the larger is the gain'
    )
    yield sentence, figures, verdict([rank > limit for limit in _RANKS])


def _lost(rows, kind, name):
    """Return by how much more the equivariant network loses, in dB."""
    changed = gains([row for row in rows if row['images'] == kind], name)
    upright = gains([row for row in rows if row['images'] == kind], 'upright')
    return {
        key[1]: statistics.fmean(upright[key]) - statistics.fmean(values)
        for key, values in changed.items()
    }


def _said(sentence, values, flags):
    figures = ', '.join(f'{k}: {v:+.2f} dB' for k, v in values.items())
    return sentence, figures, verdict(flags)
