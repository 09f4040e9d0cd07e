"""Before Numba is imported: room for four threads, whatever the machine, so that 1, 2 and 4 can be compared."""

import os

os.environ.setdefault("NUMBA_NUM_THREADS", "4")
