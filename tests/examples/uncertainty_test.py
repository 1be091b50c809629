# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the example on uncertainty, on a smaller scale."""

import pytest


@pytest.mark.slow
def test_quarter_turns_show_as_little_as_none(run_example, tmp_path):
    """For a network and a scan that know them, only the noise varies."""
    names = run_example(
        'uncertainty.py',
        tmp_path,
        [
            ('SIZE = 128', 'SIZE = 64'),
            ('N_SAMPLES = 16', 'N_SAMPLES = 4'),
            ('N_CALIBRATION = 9', 'N_CALIBRATION = 4'),
            ('    main()\n', "    results = main(['--output', 'it.png'])\n"),
        ],
    )
    none, turns, outside = (
        result.standard_deviation.norm()
        for result in names['results'].values()
    )
    assert abs(turns - none) < 0.3 * none
    assert outside > 0
    assert (tmp_path / 'it.png').is_file()
