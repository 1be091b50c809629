# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The same by ``python -m odl_equivariant_command``."""

import sys

from odl_equivariant_command import main

if __name__ == '__main__':
    sys.exit(main())
