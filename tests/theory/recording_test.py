# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What fails is not taken down."""

import pytest


def test_a_law_that_does_not_hold_is_no_row(request):
    """A law that does not hold raises, and is not recorded."""
    law = request.getfixturevalue('law')
    with pytest.raises(AssertionError):
        law.holds(1e-3, 1e-4)
    with pytest.raises(AssertionError):
        law.fails(1e-3, 1e-2)
    with pytest.raises(AssertionError):
        law.holds(float('nan'))
