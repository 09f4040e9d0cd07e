"""What a convolution or a dense product does to its elements while they are in the cache: a bias, then an activation.

Workers start each sum from its bias, and hand what they have just written to a function they know by its address: so
one worker is compiled for all activations.
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
        """The values of EPILOGUE: the bias's address and that of a function of `activations.in_place`, or 0."""
        after = 0 if self.activation == "linear" else activations.in_place(self.activation, dtype)
        return {"bias": self.bias.address if self.bias else 0, "after": after}


PLAIN = Epilogue()
