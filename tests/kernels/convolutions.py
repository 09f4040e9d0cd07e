"""Random convolutions, and how their kernels are run, whichever family they are of."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import Pass, Scratch, Step, tensor
from tests.kernels.support import execute, unwritten

Plan = Callable[..., Sequence[Step]]


class Case(NamedTuple):
    """Arrays of one random convolution."""

    x: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray | None
    grad: np.ndarray
    geometry: Geometry

    @property
    def terms(self) -> int:
        """The longest sum in any of the three operations."""
        return max(self.kernel.size, self.grad.size)


def extent(rng: np.random.Generator, same: bool) -> tuple[int, ...]:
    """One axis: (image, kernel, stride, padding before, dilation, output), as Keras' `same` or `valid` has it."""
    kernel, stride, dilation = (int(rng.integers(1, 4)) for _ in range(3))
    reach = (kernel - 1) * dilation + 1
    image = int(rng.integers(1 if same else reach, reach + 8))
    if same:
        out = -(-image // stride)
        return image, kernel, stride, max(0, (out - 1) * stride + reach - image) // 2, dilation, out
    return image, kernel, stride, 0, dilation, (image - reach) // stride + 1


def forward(plan: Plan, case: Case, threads: int = 2, activation: str = "linear") -> np.ndarray:
    """What `plan` makes of the images."""
    out = unwritten(case.x.dtype.name, *case.grad.shape)
    epilogue = Epilogue(None if case.bias is None else tensor(case.bias), activation)
    arrays = tensor(case.x), tensor(case.kernel), epilogue, tensor(out)
    execute(lambda scratch: plan(*arrays, case.geometry, scratch), threads)
    return out


def slopes(plan: Plan, case: Case, activation: str) -> np.ndarray:
    """The slopes of the activation behind what `plan` makes of the images, which must be what it is without them."""
    out, found = (unwritten(case.x.dtype.name, *case.grad.shape) for _ in range(2))
    epilogue = Epilogue(None if case.bias is None else tensor(case.bias), activation, tensor(found))
    arrays = tensor(case.x), tensor(case.kernel), epilogue, tensor(out)
    execute(lambda scratch: plan(*arrays, case.geometry, scratch))
    assert out.tobytes() == forward(plan, case, activation=activation).tobytes()
    return found


def grad_input(plan: Plan, case: Case, threads: int = 2) -> np.ndarray:
    """The gradient of the images."""
    out = unwritten(case.x.dtype.name, *case.x.shape)
    arrays = tensor(case.grad), tensor(case.kernel), tensor(out)
    execute(lambda scratch: plan(*arrays, case.geometry, scratch), threads)
    return out


def grad_weight(plan: Plan, case: Case, threads: int = 2, portion: int = 0) -> np.ndarray:
    """The gradient of the kernel; with `portion`, so many images at a time, as in a pass with other steps."""
    out = unwritten(case.x.dtype.name, *case.kernel.shape)
    arrays = tensor(case.x), tensor(case.grad), tensor(out)

    def steps(scratch: Scratch) -> list[Step | Pass]:
        first, *after = plan(*arrays, case.geometry, scratch)
        return [Pass([first], len(case.x), first.work.grain, portion) if portion else first, *after]

    execute(steps, threads)
    return out
