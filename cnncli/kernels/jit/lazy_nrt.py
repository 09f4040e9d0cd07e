"""Lazy compilation of NRT, Numba's reference-counting runtime.

Numba compiles NRT in each process before it loads anything from its cache. That takes longer than loading all kernels
of a network, and 20 MB. Cached code contains a copy of the NRT functions it needs.
"""

import llvmlite.binding as llvm
from numba.core.runtime import rtsys


def defer() -> None:
    """Defer NRT until its first use; with an incompatible version of Numba, do nothing."""
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
            """Register the addresses of NRT's C functions with LLVM: cached code calls them."""
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
