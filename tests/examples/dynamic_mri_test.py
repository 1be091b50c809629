# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Test of the example on films, on a smaller scale."""

import pytest

from odl_equivariant.data import DynamicMRI


@pytest.mark.slow
def test_films_turn_and_are_written(run_example, tmp_path):
    """The equivariant network commutes with turns, and films are written."""
    image = pytest.importorskip('PIL.Image')
    (tmp_path / 'volumes').mkdir()
    output, kept = tmp_path / 'it.png', tmp_path / 'networks'
    arguments = ['--quick', '--steps', '2', '--output', str(output)]
    arguments += ['--networks', str(kept)]

    def run(*replacements):
        return run_example(
            'volumes/dynamic_mri.py',
            tmp_path,
            [
                ('N_TRAINING, N_TEST = 1000, 6', 'N_TRAINING, N_TEST = 8, 1'),
                ('    main()\n', f'    scores, errors = main({arguments})\n'),
                *replacements,
            ],
        )

    names = run()
    # the second time, none is trained
    again = run(('    train(network, *arguments)\n', '    assert False\n'))
    assert again['scores'] == names['scores']
    assert len(list(kept.iterdir())) == 3
    assert names['errors']['space-time C4'] < 1e-5
    assert names['errors']['space-time ordinary'] > 1e-2
    assert names['scores']['shared samples'] > names['scores']['zero-filled']
    assert output.is_file()
    # what the page of films says of the numbers of weights
    made = names['networks_for'](DynamicMRI((16, 16), 6).operator)
    equivariant, ordinary, _ = (
        sum(weight.numel() for weight in make().parameters())
        for make in made.values()
    )
    assert round(ordinary / equivariant, 1) == 7
    with image.open(tmp_path / 'it.gif') as animation:
        assert animation.n_frames == 6
