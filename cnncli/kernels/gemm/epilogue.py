"""The epilogue of a convolution or dense product, applied while elements are in cache: bias, then activation.

Workers initialize each sum with its bias, and call the activation on freshly written elements by its address, so that
one compiled worker serves all activations. Those that only limit are applied to sums that are still in registers.
"""

from math import inf
from typing import NamedTuple

import numpy as np

from cnncli.kernels.elementwise import activations
from cnncli.kernels.jit.runtime import Step, Tensor

EPILOGUE = "bias after slopes"
LIMITS = {"linear": (-inf, inf), "relu": (0.0, inf), "relu6": (0.0, 6.0)}
"""Activations that only limit, and their least and largest values."""
STORED = {dtype: {kind: np.array(limits, dtype) for kind, limits in LIMITS.items()} for dtype in ("float32", "float64")}
"""The limits, at addresses that `gemm.product` reads."""


class Epilogue(NamedTuple):
    """`bias`: real (F,), added to every pixel or row; `activation`: one of `activations.KINDS`, or "linear".

    `slopes`, of the output's shape, receives the activation's derivative; `summand`, of the same shape, is added before
    the activation. There is at most one of the two, and only workers that get the place of each element take a summand.
    """

    bias: Tensor | None = None
    activation: str = "linear"
    slopes: Tensor | None = None
    summand: Tensor | None = None

    def fields(self, dtype: str) -> dict[str, int]:
        """Return the fields of EPILOGUE: addresses of bias, a function of `activations`, slopes or summand; or 0.

        `dtype`: that of the elements that the function takes.
        """
        bias, beside = (0 if given is None else given.address for given in (self.bias, self.slopes or self.summand))
        return {"bias": bias, "after": self._after(dtype), "slopes": beside}

    def limits(self, dtype: str) -> int:
        """Return the address of the limits that the activation consists of; 0 if there are none, or more to do."""
        alone = self.summand is None and self.activation != "linear"
        return STORED[dtype][self.activation].ctypes.data if alone and self.activation in LIMITS else 0

    def _after(self, dtype: str) -> int:
        if self.summand is not None:
            return activations.of_sum(self.activation, dtype)
        if self.activation == "linear":
            return 0
        return activations.in_place(self.activation, dtype, slopes=self.slopes is not None)

    def activated(self, out: Tensor) -> list[Step]:
        """Return the steps of the activation as an operation of its own, in place."""
        if self.activation == "linear":
            return []
        if self.slopes is not None:
            return activations.with_slopes(self.activation, out, self.slopes)
        return activations.forward(self.activation, out, out)


PLAIN = Epilogue()
