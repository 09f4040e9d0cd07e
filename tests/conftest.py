"""Before Numba is imported: room for four threads, whatever the machine, so that 1, 2 and 4 can be compared.

Nor does it matter whether it is GitHub that runs the tests.
"""

import os

os.environ.setdefault("NUMBA_NUM_THREADS", "4")
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(name, None)
