"""One layer by itself, as a program of its own: its outputs, its penalty and all its gradients."""

from collections.abc import Sequence

import numpy as np

from cnncli.graph.model import Node, Parameter, lower_node
from cnncli.graph.precision import narrowed
from cnncli.graph.program import Program, aligned
from cnncli.layers.layer import Layer
from cnncli.ops.builder import Builder
from cnncli.ops.differentiate import differentiate
from cnncli.ops.ir import Value
from cnncli.ops.losses import Penalty


class LayerHarness:
    """`layer` on `batch` samples of `shapes`; fill `inputs`, `weights` and `cotangent`, then `run`.

    The objective is Σ output·cotangent + penalties. `trained` are the weights that have a gradient; what a training
    step makes of statistics lies in `updated`, by their names, so that a run can be repeated. With `mixed`, the layer's
    own inputs and output, and their gradients, are stored as bfloat16.
    """

    def __init__(
        self,
        layer: Layer,
        shapes: Sequence[tuple[int, ...]],
        *,
        batch: int,
        dtype: str,
        training: bool,
        threads: int = 2,
        mixed: bool = False,
    ):
        builder = Builder(training=training, dtype=dtype)
        values = [Value(tuple(shape), dtype=dtype) for shape in shapes]
        parameters: list[Parameter] = []
        node = Node("layer", layer, ("input",) * len(values))
        inputs = [builder.affine(value, 1.0) for value in values] if mixed else values
        output = lower_node(builder, node, inputs, parameters)
        output = builder.affine(output, 1.0) if mixed else output
        self.output_shape = output.shape
        penalties = [call.output for call in builder.calls if isinstance(call.op, Penalty)]
        cotangent = output.like()
        weights = {parameter.name.rpartition("/")[2]: parameter.value for parameter in parameters}
        trained = [p.name.rpartition("/")[2] for p in parameters if p.weight.trainable]
        wanted = [*values, *(weights[name] for name in trained)]
        grads = differentiate(builder, wanted, {output: cotangent})

        def make(value: Value) -> np.ndarray:
            return np.zeros((batch, *value.shape) if value.batched else value.shape, value.dtype)

        self.inputs = [make(value) for value in values]
        self.weights = {name: make(value) for name, value in weights.items()}
        self.trained = {name: self.weights[name] for name in trained}
        names = {value: name for name, value in weights.items()}
        self.updated = {names[old]: make(old) for old in builder.updates.values()}
        self.cotangent = make(cotangent)
        self.clock = np.array([7, 3, 0], np.int64)
        placed = dict(zip([*values, *weights.values()], [*self.inputs, *self.weights.values()], strict=True))
        placed |= {cotangent: self.cotangent, builder.clock: self.clock}
        placed |= {new: self.updated[names[old]] for new, old in builder.updates.items()}
        kept = [output, *penalties, *(grad for grad in grads.values() if grad is not None)]
        calls = narrowed(builder.calls, {*placed, *kept}) if mixed else builder.calls
        self.program = Program(calls, placed, kept, capacity=batch, threads=threads)
        self.program.attach(aligned(self.program.size))
        self.batch, self.output, self.penalties = batch, output, penalties
        self.grads = [grads[value] for value in wanted]

    def fill(self, seed: int) -> "LayerHarness":
        """Random inputs, weights and cotangent, none of them near 0, where derivatives may have kinks.

        A variance is positive.
        """
        random = np.random.default_rng(seed)
        for array in (*self.inputs, *self.weights.values(), self.cotangent):
            array[...] = random.uniform(0.1, 1.0, array.shape) * random.choice([-1.0, 1.0], array.shape)
        for name, array in self.weights.items():
            if name.endswith("variance"):
                array[...] = np.abs(array)
        return self

    def run(self) -> np.ndarray:
        """Run forward and backward; a copy of the output."""
        self.program.run(self.batch)
        return self.program.read(self.output).copy()

    def penalty(self) -> float:
        """The sum of the penalties of the last run."""
        return float(sum(self.program.read(value)[0] for value in self.penalties))

    def objective(self) -> float:
        """Σ output·cotangent + penalties, after a run."""
        return float((self.run().astype(np.float64) * self.cotangent).sum()) + self.penalty()

    def gradients(self) -> list[np.ndarray]:
        """Copies of the gradients of each input, then of each trained weight; zeros where there is no influence."""
        self.run()
        places = [*self.inputs, *self.trained.values()]
        return [
            np.zeros_like(place) if grad is None else self.program.read(grad).copy()
            for grad, place in zip(self.grads, places, strict=True)
        ]


def finite_differences(harness: LayerHarness, step: float = 1e-6) -> list[np.ndarray]:
    """The gradients by central differences of the objective, one element at a time."""
    result = []
    for array in (*harness.inputs, *harness.trained.values()):
        gradient = np.zeros_like(array)
        for index in np.ndindex(*array.shape):
            value = array[index]
            array[index] = value + step
            above = harness.objective()
            array[index] = value - step
            gradient[index] = (above - harness.objective()) / (2 * step)
            array[index] = value
        result.append(gradient)
    return result


def gradients_agree(got: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float = 1e-6) -> bool:
    """Whether all elements agree within `tolerance` of the largest gradient."""
    scale = max(1.0, *(float(np.abs(array).max(initial=0.0)) for array in expected))
    return all(np.allclose(a, b, rtol=0, atol=tolerance * scale) for a, b in zip(got, expected, strict=True))
