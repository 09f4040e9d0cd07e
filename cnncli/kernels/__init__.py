"""The ground floor: arrays and addresses in, arrays out; Numba, llvmlite and NumPy only.

Loaded lazily: `from cnncli import kernels` costs nothing, the first attribute imports Numba. That is what lets a spec
be checked and summarized without it.
"""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name.startswith("_"):
        raise AttributeError(name)
    return import_module(f"{__name__}.{name}")
