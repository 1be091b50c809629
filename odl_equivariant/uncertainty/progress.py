# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A progress bar, where it is wanted."""

import contextlib

from odl_equivariant._packages import import_package

__all__ = ('progress_bar',)


@contextlib.contextmanager
def progress_bar(shown, total, name, unit='sample'):
    """Yield a function that is told how many more are done."""
    if not shown:
        yield lambda count=1: None
        return
    tqdm = import_package('tqdm', 'a progress bar').tqdm
    with tqdm(total=total, desc=name, unit=unit) as bar:
        yield lambda count=1: bar.update(count)
