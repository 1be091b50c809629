# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""The numerical results: ordinary and equivariant networks, CT and MRI.

    python -m examples.experiments --jobs 2 --heads Cranium.inv3 \
        --brain ch2.nii.gz --report docs/results.md

trains all networks, scores them, makes all tables and figures, and writes the
page of results. The head is in Debian's ``invesalius-examples``, the brain in
its ``mricron-data``; more slices come with the package nilearn.
"""
