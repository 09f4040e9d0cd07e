"""The epilogue of a convolution or dense product, applied while elements are in cache: bias, then activation.

Workers initialize each sum with its bias, and call the activation on freshly written elements by its address, so that
one compiled worker serves all activations.
"""

from typing import NamedTuple

from cnncli.kernels.elementwise import activations
from cnncli.kernels.jit.runtime import Tensor

EPILOGUE = "bias after"


class Epilogue(NamedTuple):
    """`bias`: real (F,), added to every pixel or row; `activation`: one of `activations.KINDS`, or "linear"."""

    bias: Tensor | None = None
    activation: str = "linear"

    def fields(self, dtype: str) -> dict[str, int]:
        """Return the fields of EPILOGUE: address of the bias and of a function of `activations.in_place`, or 0."""
        after = 0 if self.activation == "linear" else activations.in_place(self.activation, dtype)
        return {"bias": self.bias.address if self.bias else 0, "after": after}


PLAIN = Epilogue()
