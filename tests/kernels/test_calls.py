"""Kernels do all of their arithmetic themselves: neither they nor LLVM for them call a library's functions."""

import re

from cnncli.kernels.conv import conv_pool, conv_pool_gradient
from cnncli.kernels.elementwise import activations, softmax
from cnncli.kernels.jit.runtime import Function
from cnncli.kernels.jit.target import machine
from cnncli.kernels.losses import loss_functions
from cnncli.kernels.losses.loss_rules import RULES

CALLERS = [
    (activations.forward_worker, "sigmoid"),
    (activations.forward_worker, "tanh"),
    (softmax.forward_worker,),
    *((worker, rule) for worker in (loss_functions.loss_worker, loss_functions.gradient_worker) for rule in RULES),
    (conv_pool.forward_worker,),
    (conv_pool_gradient.input_worker,),
]


def code_of(family: Function, *variant: str) -> str:
    """A kernel's code after LLVM's optimizations; Numba's `inspect_llvm` has none for a kernel from the cache."""
    family.address("float32", *variant)
    return str(family.compiled["float32", *variant]._library._get_module_for_linking())


def test_no_kernel_calls_the_c_library() -> None:
    for family, *variant in CALLERS:
        code = code_of(family, *variant)
        called = re.findall(r"^declare .*@([\w.]+)", code, re.MULTILINE)
        assert called
        # What hands on an exception is Numba's and never reached.
        foreign = [name for name in called if not name.startswith(("llvm.", "Py", "numba_", "NRT_"))]
        assert not foreign, family.__doc__
        calls = "exp|log|tanh|pow|sin" + ("" if machine().fused else "|fma")  # LLVM makes calls of these
        assert not re.search(rf"llvm\.({calls})", code)
