# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Checks that Lightning is installed, and hides its advertisements.

The sub-package imports this module first.
"""

import logging

from odl_equivariant._packages import require_packages

__all__ = ('is_no_advertisement',)

_LOGGER = 'lightning.pytorch.utilities.rank_zero'

require_packages(('lightning', 'torchmetrics'), '`odl_equivariant.training`')


def is_no_advertisement(record):
    """Return whether a log record is not an advertisement."""
    return not record.getMessage().startswith('\N{ELECTRIC LIGHT BULB} Tip:')


logging.getLogger(_LOGGER).addFilter(is_no_advertisement)
