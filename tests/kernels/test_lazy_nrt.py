"""Numba's NRT is compiled only where something is compiled that needs it."""

import os
import subprocess
import sys

SCRIPT = """
import numpy as np
from numba.core.runtime import nrtdynmod, rtsys
made, compile_nrt = [], nrtdynmod.compile_nrt_functions
nrtdynmod.compile_nrt_functions = lambda context: [made.append(context), compile_nrt(context)][1]
from cnncli.kernels.elementwise import merge
from cnncli.kernels.jit import runtime
x, out = np.arange(6.0), np.zeros(6)
runtime.run(merge.add([runtime.tensor(x), runtime.tensor(x)], runtime.tensor(out)))
assert (out == 2 * x).all()
print(len(made))
import numba
assert numba.njit(lambda x: np.sort(x).sum())(x) == 15
print(len(made), rtsys.library is not None)
"""


def test_a_start_from_the_cache_compiles_no_reference_counting_and_others_still_get_it(tmp_path):
    environment = {**os.environ, "CNNCLI_CACHE_DIR": str(tmp_path)}
    printed = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert [text.split() for text in printed] == [["1", "1", "True"], ["0", "1", "True"]]
