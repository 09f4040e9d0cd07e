"""Numba's runtime NRT, which counts references to arrays, compiled only where something is compiled that needs it.

Numba compiles it in each process before it loads anything from its cache, which takes longer than to load all of a
network's kernels, and 20 MB. Code from the cache has a copy of what it needs.
"""

import llvmlite.binding as llvm
from numba.core.runtime import rtsys


def defer() -> None:
    """Let NRT wait until it is asked for; a Numba that is made differently starts as it always does."""
    try:
        from numba.core.runtime._nrt_python import c_helpers
    except ImportError:
        return
    runtime = type(rtsys)
    if not all(hasattr(runtime, name) for name in ("initialize", "library", "_init_guard")):
        return

    class LazyRuntime(runtime):  # type: ignore[valid-type,misc]
        context = None

        def initialize(self, ctx):
            """Tell LLVM where NRT's C functions are: code from the cache calls them."""
            if self.context is None and not self._init:
                self.context = ctx
                for name, address in c_helpers.items():
                    llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)

        @property
        def library(self):
            self._init_guard()
            return super().library

        def _init_guard(self):
            if self.context is not None:
                super().initialize(self.context)
            super()._init_guard()

    rtsys.__class__ = LazyRuntime
