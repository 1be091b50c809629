# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures that the tests share."""

import numpy as np
import pytest
from odl.core.util.testutils import simple_fixture

backend = simple_fixture('backend', ['numpy', 'pytorch'])


@pytest.fixture
def rng():
    """Return a random generator in a fixed state."""
    return np.random.default_rng(20210801)
