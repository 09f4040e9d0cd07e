"""The epilogue of a convolution or dense product, applied while elements are in cache: bias, then activation.

Workers initialize each sum with its bias, and call the activation on freshly written elements by its address, so that
one compiled worker serves all activations.
"""

from typing import NamedTuple

from cnncli.kernels.elementwise import activations
from cnncli.kernels.jit.runtime import Step, Tensor

EPILOGUE = "bias after slopes"


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
