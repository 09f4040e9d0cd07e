"""Object files kept in the folder of their room beside Numba's, and code loaded from them.

The digests in the folder's path say what it is compiled from and for: a file there is of this code and this machine.
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
"""They own the machine code."""


def addresses(code: bytes, target: Machine) -> Callable[[str], int]:
    """Load an object file's code; what gives the addresses of its functions by name."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target.generator())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    address: Callable[[str], int] = engine.get_function_address
    return address


def kept(module: str, name: str, build: Callable[[], bytes]) -> bytes:
    """The object file `name` of a module's room; built where it is missing, or differs from its SHA-256."""
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
        with suppress(CnncliError, OSError):  # a full disk costs only the cache
            folders.make(place.parent)
            atomic.write(place, hashlib.sha256(code).digest() + code)
    return code
