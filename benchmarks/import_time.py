# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Time of ``import odl_equivariant`` beside that of ``import odl, torch``.

The two are run in turn, each in a fresh interpreter, and the median of the
ratios of the pairs is printed: python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

PAIRS = 7
CODE = (
    'import time; start = time.perf_counter(); {}; '
    'print(time.perf_counter() - start)'
)


def seconds(statement):
    """Return how long a statement takes in a fresh interpreter."""
    result = subprocess.run(
        [sys.executable, '-c', CODE.format(statement)],
        capture_output=True,
        check=True,
        text=True,
    )
    return float(result.stdout)


def main():
    """Measure the pairs and print the table."""
    seconds('import odl_equivariant')  # fills the file cache
    pairs = [
        (seconds('import odl_equivariant'), seconds('import odl, torch'))
        for _ in range(PAIRS)
    ]
    ours, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    print(f'import odl_equivariant  {statistics.median(ours):6.2f} s')
    print(f'import odl, torch       {statistics.median(theirs):6.2f} s')
    print(f'ratio                   {ratio:6.2f}')


if __name__ == '__main__':
    main()
