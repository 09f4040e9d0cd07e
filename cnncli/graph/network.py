"""An executable network: programs for training, evaluation and prediction that share weights and buffers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import fsum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from cnncli import kernels
from cnncli.graph.arena import Arena, fill
from cnncli.graph.model import Model, lower
from cnncli.graph.objective import Objective, Purpose, objective
from cnncli.graph.precision import FLOAT32
from cnncli.graph.program import Program, aligned
from cnncli.kernels.jit import runtime
from cnncli.kernels.jit.runtime import Step
from cnncli.layers.loss import Loss
from cnncli.ops import streams
from cnncli.ops.ir import Call, Value
from cnncli.ops.ready import Ready

Array = np.ndarray[Any, Any]


BUCKETS, BUCKET = 4, 1 << 18
"""Gradients that processes add up are sent in at most so many buckets, of at least so many bytes."""


class _Run(NamedTuple):
    """One of the three programs, with its objective."""

    program: Program
    objective: Objective


class _Results(NamedTuple):
    """Views of a program's results, created once rather than after every batch. `predict` has no losses."""

    predictions: Mapping[str, Array]
    probabilities: Mapping[str, Array]
    losses: Array | None
    penalties: Sequence[Array]


class Network:
    """A model with its weights and gradients, for batches of up to `batch_size` samples.

    `weights` and `gradients` are the arenas of the trainable weights; `frozen` holds all other weights and statistics.
    Fill the first n rows of `inputs` (and `targets`, `sample_weight`), call `train_step`, `evaluate` or `predict`, and
    read `predictions`, `losses`, `gradients`. Targets and predictions are keyed by the names of the model's outputs.
    All arrays have dtype `dtype`, batch axis first; `policy`, "float32" or "mixed_bfloat16", says how values in between
    are stored. With `weigh_positions`, a sample weight is one for each position of the output, all its axes but the
    last. Nothing is allocated after the first call for a given n.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        *,
        batch_size: int,
        dtype: str = "float32",
        policy: str = FLOAT32,
        threads: int | None = None,
        weigh_positions: bool = False,
    ) -> None:
        self.model, self.loss, self.batch_size, self.dtype, self.policy = model, loss, batch_size, dtype, policy
        self.threads = runtime.threads() if threads is None else threads
        runtime.set_threads(self.threads)
        lowered = lower(model, training=True)
        self.parameters = lowered.parameters
        trained, others = (
            {p.name: p.weight.shape for p in self.parameters if p.weight.trainable == trainable}
            for trainable in (True, False)
        )
        self.weights, self.gradients, self.frozen = (Arena(shapes, dtype) for shapes in (trained, trained, others))
        self.inputs: Array = np.zeros((batch_size, *model.input_shape), dtype)
        self.targets: Mapping[str, Array] = MappingProxyType(
            {name: np.zeros((batch_size, *lowered.outputs[name].shape), dtype) for name in model.outputs}
        )
        self.weigh_positions = weigh_positions
        positions = lowered.output.shape[:-1] if weigh_positions else ()
        self.sample_weight: Array = np.ones((batch_size, *positions), dtype)
        self.clock: Array = np.zeros(3, np.int64)
        self.memory: Array = aligned(0)
        self.runs: dict[str, _Run] = {}
        self.results: dict[str, _Results] = {}
        self.current: _Results | None = None
        self.steady = False

    def initialize(self, seed: int) -> None:
        """Initialize every weight: a pure function of the model and `seed`."""
        for number, parameter in enumerate(self.parameters):
            drawn = parameter.weight.initializer.draw(parameter.weight.shape, seed, streams.WEIGHTS + number)
            self.tensor(parameter.name)[...] = drawn

    def tensor(self, name: str) -> Array:
        """Return a view of the weight or statistic `name`."""
        return self.weights[name] if name in self.weights.segments else self.frozen[name]

    def tensors(self) -> dict[str, Array]:
        """Return views of all weights and statistics by name, in model order."""
        return {parameter.name: self.tensor(parameter.name) for parameter in self.parameters}

    @property
    def updated(self) -> list[str]:
        """Names of the statistics that a training step updates."""
        lowered = lower(self.model, training=True)
        replaced = set(lowered.builder.updates.values())
        return [parameter.name for parameter in lowered.parameters if parameter.value in replaced]

    def of(self, model: Model) -> "Network":
        """A network of another model, with the loss and all settings of this one."""
        return Network(
            *(model, self.loss),
            batch_size=self.batch_size,
            dtype=self.dtype,
            policy=self.policy,
            threads=self.threads,
            weigh_positions=self.weigh_positions,
        )

    def load(self, tensors: Mapping[str, Array]) -> None:
        """Load weights by name. Raises CnncliError if names or shapes differ from the model's."""
        fill(self.tensors(), tensors)

    def train_step(self, n: int, seed: int, step: int, first: int = 0) -> None:
        """Forward and backward pass over the first `n` rows.

        Fills `gradients` with the gradients of the mean loss plus penalties. `seed` and `step` key the dropout masks,
        with the number that the first row has in its batch, a multiple of 4, if these rows are a part of one.
        """
        self.clock[:] = seed, step, first
        self._run("train", n)

    def survey(self, n: int, seed: int, step: int, first: int = 0) -> bool:
        """Run a `train_step` up to the last sum over all parts of a batch (`kernels.shared`); whether there is one."""
        self.clock[:] = seed, step, first
        self._prepare("train")
        return self.runs["train"].program.run_up_to(n, kernels.shared.TOTALED)

    def evaluate(self, n: int) -> None:
        """Compute predictions and losses of the first `n` rows."""
        self._run("evaluate", n)

    def predict(self, n: int) -> None:
        """Compute predictions of the first `n` rows."""
        self._run("predict", n)

    @contextmanager
    def steady_weights(self) -> Iterator[None]:
        """Context in which weights are constant: values computed from weights only are computed once and reused."""
        self.current, self.steady = None, True
        try:
            yield
        finally:
            self.steady = False

    @property
    def predictions(self) -> Mapping[str, Array]:
        """Outputs of the last call, (batch_size, *output_shape) each."""
        assert self.current is not None
        return self.current.predictions

    @property
    def probabilities(self) -> Mapping[str, Array]:
        """Probabilities of the last call, (batch_size, *output_shape) each: the predictions unless they are logits."""
        assert self.current is not None
        return self.current.probabilities

    @property
    def losses(self) -> Array:
        """Weighted loss of each row in the last `train_step` or `evaluate`, (batch_size,)."""
        assert self.current is not None
        assert self.current.losses is not None
        return self.current.losses

    def penalty(self) -> float:
        """Return the sum of all regularization penalties in the last `train_step` or `evaluate`."""
        assert self.current is not None
        return fsum(float(penalty[0]) for penalty in self.current.penalties)

    def constraint_steps(self) -> list[Step]:
        """Return the steps that project constrained weights; run them after each update."""
        return [
            step
            for parameter in self.parameters
            if parameter.weight.constraint is not None and parameter.weight.trainable
            for step in parameter.weight.constraint.steps(runtime.tensor(self.weights[parameter.name]))
        ]

    def _prepare(self, purpose: Purpose) -> None:
        """Plan one kind of program, once."""
        if purpose in self.runs:
            return
        self.runs[purpose] = self._plan(purpose)
        size = max(run.program.size for run in self.runs.values())
        if size > self.memory.size:
            self.memory = aligned(size)
        for kind, run in self.runs.items():
            run.program.attach(self.memory)
            self.results[kind] = _results(run)

    def _run(self, purpose: Purpose, n: int) -> None:
        self._prepare(purpose)
        again = self.current is self.results[purpose]
        self.current = self.results[purpose]
        self.runs[purpose].program.run(n, steady=self.steady and again)

    @property
    def buckets(self) -> list[slice]:
        """Ranges of the gradients, in the order in which the backward pass completes them, roughly."""
        return self.gradients.buckets(BUCKETS, BUCKET)

    def _signalling(self, calls: Sequence[Call], gradients: Mapping[str, Value]) -> list[Call]:
        """The calls with signals where the gradients of a bucket are complete; the last bucket needs none."""
        found = list(calls)
        for number, bucket in enumerate(self.buckets[:-1]):
            places = self.gradients.segments
            values = {value for name, value in gradients.items() if bucket.start <= places[name].offset < bucket.stop}
            if values:
                ready = Call(Ready(number), tuple(values), Ready(number).infer(*values))
                found.insert(_after(found, values), ready)
        return found

    def traced(self, n: int, memory: int) -> tuple[Objective, dict[Value, Array]]:
        """Run the last `train_step` on `n` rows again with all values in memory of their own; return its operations
        and the floating-point values, none if that takes more than `memory` bytes.
        """
        program, what = self._plan("train", everything=True)
        if program.size > memory:
            return what, {}
        program.attach(aligned(program.size))
        program.run(n)
        values = (value for call in what.calls for value in call.outputs)
        return what, {value: _as_float(program.read(value), n if value.batched else None) for value in values}

    def _plan(self, purpose: Purpose, *, everything: bool = False) -> _Run:
        """Plan one kind of program. All kinds share one block of memory, because only one runs at a time.

        With `everything`, no two values of the program share memory.
        """
        what = objective(
            *(self.model, self.loss, purpose),
            dtype=self.dtype,
            policy=self.policy,
            weigh_positions=self.weigh_positions,
        )
        lowered = what.lowered
        weights = {parameter.value: self.tensor(parameter.name) for parameter in lowered.parameters}
        placed = {
            lowered.input: self.inputs,
            lowered.builder.clock: self.clock,
            **{what.targets[name]: array for name, array in self.targets.items()},
            what.sample_weight: self.sample_weight,
            **weights,
            **{new: weights[old] for new, old in lowered.builder.updates.items()},
            **{grad: self.gradients[name] for name, grad in what.gradients.items()},
        }
        calls = what.calls
        if purpose == "train" and kernels.shared.shared():
            calls = self._signalling(calls, what.gradients)
        program = Program(
            calls,
            placed,
            [value for call in what.calls for value in call.outputs] if everything else what.kept,
            capacity=self.batch_size,
            threads=self.threads,
            steady=purpose != "train",
        )
        return _Run(program, what)


def _after(calls: Sequence[Call], values: set[Value]) -> int:
    """The number of calls up to the last one that makes one of the values."""
    return max(number for number, call in enumerate(calls, 1) if not values.isdisjoint(call.outputs))


def _as_float(array: Array, n: int | None) -> Array:
    """The first `n` rows, or all, of an array; of bfloat16, its numbers as float32."""
    rows = array[:n]
    return (rows.astype(np.uint32) << 16).view(np.float32) if rows.dtype == np.uint16 else rows


def _results(run: _Run) -> _Results:
    """Return views of the results of a program whose memory is attached."""
    read, what = run.program.read, run.objective
    losses = None if what.loss is None else read(what.loss)
    penalties = [read(value) for value in what.penalties]
    predictions, probabilities = (
        MappingProxyType({name: read(value) for name, value in values.items()})
        for values in (what.predictions, what.probabilities)
    )
    return _Results(predictions, probabilities, losses, penalties)
