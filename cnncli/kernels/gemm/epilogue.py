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

    `slopes`, of the output's shape, receives the activation's derivative.
    """

    bias: Tensor | None = None
    activation: str = "linear"
    slopes: Tensor | None = None

    def fields(self, dtype: str) -> dict[str, int]:
        """Return the fields of EPILOGUE: addresses of bias, a function of `activations.in_place`, and slopes, or 0.

        `dtype`: that of the elements that the function takes.
        """
        slopes = self.slopes is not None
        after = 0 if self.activation == "linear" else activations.in_place(self.activation, dtype, slopes=slopes)
        bias, there = (0 if given is None else given.address for given in (self.bias, self.slopes))
        return {"bias": bias, "after": after, "slopes": there}

    def activated(self, out: Tensor) -> list[Step]:
        """Return the steps of the activation as an operation of its own, in place."""
        if self.activation == "linear":
            return []
        if self.slopes is not None:
            return activations.with_slopes(self.activation, out, self.slopes)
        return activations.forward(self.activation, out, out)


PLAIN = Epilogue()
