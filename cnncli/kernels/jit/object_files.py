"""Object files, cached in their subpackage's folder next to Numba's files, and code loaded from them.

The digests in the folder's path identify sources and target machine, so a cached file is always valid for both.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress

from llvmlite import binding

from cnncli.errors import CnncliError
from cnncli.kernels.jit import cache
from cnncli.kernels.jit.target import Machine
from cnncli.system import atomic, folders

_engines: list[binding.ExecutionEngine] = []
"""Owners of the loaded machine code."""


def addresses(code: bytes, target: Machine) -> Callable[[str], int]:
    """Load an object file; return a function from symbol name to address."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target.generator())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    address: Callable[[str], int] = engine.get_function_address
    return address


def kept(module: str, name: str, build: Callable[[], bytes]) -> bytes:
    """Return the object file `name` of a module's subpackage; build it if missing or if its SHA-256 differs."""
    place = cache.place(module, name) if cache.ENABLED else None
    try:
        content = place.read_bytes() if place else b""
    except OSError:
        content = b""
    digest, code = content[:32], content[32:]
    if code and hashlib.sha256(code).digest() == digest:
        return code
    code = build()
    if place:
        with suppress(CnncliError, OSError):  # caching is optional: a full disk is no error
            folders.make(place.parent)
            atomic.write(place, hashlib.sha256(code).digest() + code)
    return code
