# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The numerical results: ordinary and equivariant networks, CT and MRI.

    python -m examples.experiments --scale small --output results/experiments

trains all networks, scores them, and makes all tables and figures. The results
are in `docs/results.md`.
"""
