# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Lightning: whether it is there, and without what it advertises.

This is imported before all else of the sub-package.
"""

import logging

from odl_equivariant._packages import require_packages

__all__ = ('is_no_advertisement',)

_LOGGER = 'lightning.pytorch.utilities.rank_zero'

require_packages(('lightning', 'torchmetrics'), '`odl_equivariant.training`')


def is_no_advertisement(record):
    """Return whether a record is something else than a hint to buy more."""
    return not record.getMessage().startswith('\N{ELECTRIC LIGHT BULB} Tip:')


logging.getLogger(_LOGGER).addFilter(is_no_advertisement)
