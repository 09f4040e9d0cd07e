"""The contract of every registered loss: of predictions, of logits, and of the output of its activation."""

import inspect
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

from cnncli.graph.fusion import TRAINING, fuse
from cnncli.graph.program import Program, aligned
from cnncli.kernels.jit import cache
from cnncli.kernels.losses.loss_rules import RULES, of_pair
from cnncli.layers.declarations.field_types import Boolean
from cnncli.layers.loss import NOT_OF_RULES, Loss
from cnncli.layers.loss_sum import LossSum
from cnncli.layers.losses import LOSSES, BinaryFocalCrossentropy
from cnncli.layers.meaning import Meaning
from cnncli.ops.builder import Builder
from cnncli.ops.differentiate import differentiate
from cnncli.ops.ir import Tape, Value
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain
from cnncli.spec.yaml.writer import to_yaml
from tests.kernels.loss_cases import problem, twin
from tests.layers.harness import gradients_agree

NUMBERS = {
    "label_smoothing": (0.0, 0.2),
    "ignore_class": (None, 255),
    "alpha": (0.25, 0.7),
    "beta": (0.3,),
    "gamma": (2.0, 0.5),
    "delta": (1.0, 0.3),
    "q": (0.5,),
    "axis": (None, -1, (1, 2, 3)),
    "weight": (1.0,),
}
"""Values that each number among the fields of losses is tried with."""
OF_NO_TWIN = (*NOT_OF_RULES, "weight")
SHAPES = ((5,), (3, 2, 4))


def every_case():
    """Each loss, its arguments, and whether it is given the output of its activation."""
    for name, cls in LOSSES.classes.items():
        values = [(False, True) if isinstance(f.kind, Boolean) else NUMBERS.get(n, ()) for n, f in cls.fields.items()]
        for number, chosen in enumerate(product(*values)):
            arguments = dict(zip(cls.fields, chosen, strict=True))
            taken = cls.logits and arguments.get("ignore_class") is None  # see Loss.logits_behind
            for behind in (False, True) if taken else (False,):
                yield pytest.param(cls, arguments, behind, id=f"{name}-{number}{'-behind' * behind}")


CASES = list(every_case())


class Run:
    """The program of a loss and its gradient with respect to `x`, on a batch of its own."""

    def __init__(self, declared, given, activation="linear"):
        size, dtype = len(given.x), given.x.dtype.name
        builder = Builder(dtype=dtype)
        arrays = given.x, given.target, given.weight
        self.given, values = given, [Value(array.shape[1:], dtype=dtype) for array in arrays]
        prediction = builder.activation(values[0], activation)
        self.loss, _ = declared.lower(builder, prediction, *values[1:])
        tape = Tape(fuse(builder.calls, TRAINING))
        self.grad = differentiate(tape, values[:1])[values[0]]
        placed = dict(zip(values, arrays, strict=True))
        self.program = Program(tape.calls, placed, [self.loss, self.grad], capacity=size, threads=1)
        self.memory = aligned(self.program.size)
        self.program.attach(self.memory)

    def read(self, value):
        self.program.run(len(self.given.x))
        return self.program.read(value).astype(np.float64)

    def finite_differences(self, step=1e-6):
        found, x = np.empty(self.given.x.shape), self.given.x
        for index in np.ndindex(x.shape):
            before = x[index]
            x[index] = before + step
            above = self.read(self.loss).mean()
            x[index] = before - step
            found[index] = (above - self.read(self.loss).mean()) / (2 * step)
            x[index] = before
        return found


def case_of(cls, arguments, behind, shape, dtype="float64"):
    """The loss at work, and the name of the rule it must be computed by."""
    declared = cls(**arguments)
    logits = cls.logits is not None and (behind or declared.of_logits)
    rule = cls.logits.kind if logits else cls.kind
    given = problem(rule, (4, *shape), dtype, np.random.default_rng(3))
    given.numbers = {name: value for name, value in arguments.items() if name not in OF_NO_TWIN}
    return Run(declared, given, declared.activation if behind else "linear"), rule


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize(("cls", "arguments", "behind"), CASES)
def test_a_loss_is_that_of_its_naive_twin(cls, arguments, behind, dtype, tolerance):
    for shape in SHAPES:
        run, rule = case_of(cls, arguments, behind, shape, dtype)
        arrays = [array.astype(np.float64) for array in (run.given.x, run.given.target, run.given.weight)]
        numbers = inspect.signature(twin(rule)).parameters.keys() & {"label_smoothing"}
        if cls.logits is None and cls.squashed == "softmax" and arguments.get("from_logits"):
            arrays[0] = np.exp(arrays[0]) / np.exp(arrays[0]).sum(-1, keepdims=True)
        if cls is BinaryFocalCrossentropy and behind and arguments["from_logits"]:  # Keras takes the sigmoid again
            arrays[0] = 1 / (1 + np.exp(-arrays[0]))
        expected = twin(rule)(*arrays, **(dict.fromkeys(numbers, 0.0) | run.given.numbers))
        np.testing.assert_allclose(run.read(run.loss), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("cls", "arguments", "behind"), CASES)
def test_its_gradient_is_the_finite_difference_of_the_mean_over_the_batch(cls, arguments, behind):
    for shape in SHAPES:
        run, _ = case_of(cls, arguments, behind, shape)
        got, expected = run.read(run.grad), run.finite_differences()
        assert gradients_agree([got], [expected])
        got.flat[0] += 1e-4 * max(1.0, np.abs(expected).max())
        assert not gradients_agree([got], [expected]), "the comparison must notice a perturbed gradient"


@pytest.mark.parametrize(("cls", "arguments", "behind"), [case for case in CASES if not case.values[2]])
def test_declarations_survive_being_written_as_yaml_and_read(cls, arguments, behind):
    loss, problems = cls(**arguments), Problems("loss.yaml", "")
    tree = read(to_yaml({cls.__name__: loss.plain()}), problems)
    assert not problems
    assert LOSSES.parse(plain(tree)) == loss


@pytest.mark.parametrize("cls", list(LOSSES), ids=LOSSES.classes)
def test_every_loss_says_what_outputs_mean_and_has_rules_twins_and_a_documentation(cls):
    assert cls.outputs in (Meaning.CLASSES, Meaning.LABELS, Meaning.NUMBERS)
    rules = [cls.kind, *([cls.logits.kind] if cls.logits else [])]
    for rule in rules:
        assert rule in RULES, f"kernels/losses/loss_rules.py has no rule {rule}"
        assert RULES[rule].extent == "position" or cls.outputs is not Meaning.CLASSES
        assert set(RULES[rule].numbers) <= cls.fields.keys(), "a rule reads the declaration's fields"
        assert len(RULES[rule].numbers) <= 3
        twin(rule)
        twin(rule, "_gradient")
    untried = [
        name for name, field in cls.fields.items() if not isinstance(field.kind, Boolean) and name not in NUMBERS
    ]
    assert not untried, f"tests/layers/test_losses.py must try values of {untried}: add them to NUMBERS"
    assert cls.__doc__ is not None, "the docstring must be its own, not inherited"


@pytest.mark.parametrize("cls", list(LOSSES), ids=LOSSES.classes)
def test_what_outputs_mean_follows_from_the_loss_and_the_targets(cls):
    declared = cls()
    assert declared.meaning((4, 4, 1), "masks") is Meaning.MASK
    assert declared.meaning((4, 4, 1), "input") is Meaning.IMAGE
    assert declared.meaning((3,), "labels") is cls.outputs
    assert declared.meaning((1,), "values") is Meaning.NUMBERS
    assert (declared.meaning((1,), "labels") is Meaning.CHOICE) == (cls.outputs is Meaning.LABELS)


class Pinball(Loss):
    """A loss of somebody's own, with a number: of the quantile `q`."""

    kind: ClassVar[str] = "pinball"
    outputs: ClassVar[Meaning] = Meaning.NUMBERS

    q: float = 0.5


def _pinball(x, t, q):
    return (t - x) * (q - x.full(1.0).where(t < x, 0.0))


def _pinball_slope(x, t, q):
    return x.full(1.0).where(t < x, 0.0) - q


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_a_declaration_and_an_entry_of_the_table_make_a_loss(monkeypatch, q):
    monkeypatch.setitem(RULES, "pinball", of_pair(_pinball, _pinball_slope, numbers=("q",)))
    monkeypatch.setattr(cache, "ENABLED", False)  # kept code goes by the number of a rule
    given = problem("mean_squared_error", (4, 5), "float64", np.random.default_rng(0))
    run = Run(Pinball(q=q), given)
    error = given.target - given.x
    each = np.where(error < 0, (q - 1) * error, q * error)
    np.testing.assert_allclose(run.read(run.loss), each.mean(-1) * given.weight, rtol=1e-12)
    assert gradients_agree([run.read(run.grad)], [run.finite_differences()])


def test_a_list_of_losses_is_the_sum_of_their_weights_times_losses():
    given = problem("binary_cross_entropy", (4, 3, 2, 4), "float64", np.random.default_rng(1))
    entries = [{"bce": {"label_smoothing": 0.1}}, {"dice": {"weight": 0.3}}, {"mse": {"weight": 2}}]
    declared = LossSum(losses=entries)
    assert declared.entry() == [LOSSES.parse(entry).entry() for entry in entries]
    whole, parts = Run(declared, given), [Run(part, given) for part in declared.parts]
    np.testing.assert_allclose(whole.read(whole.loss), sum(part.read(part.loss) for part in parts), rtol=1e-12)
    np.testing.assert_allclose(whole.read(whole.grad), sum(part.read(part.grad) for part in parts), rtol=1e-12)
    single = Run(LOSSES.parse("dice"), given)
    np.testing.assert_allclose(parts[1].read(parts[1].loss), 0.3 * single.read(single.loss), rtol=1e-12)


@pytest.mark.parametrize(
    ("losses", "meaning"),
    [("mse mae", Meaning.NUMBERS), ("mse dice", Meaning.LABELS), ("dice categorical_crossentropy", Meaning.CLASSES)],
)
def test_outputs_of_several_losses_mean_what_the_strictest_says(losses, meaning):
    assert LossSum(losses=losses.split()).outputs is meaning


def test_a_sum_from_logits_makes_their_probabilities_once_for_all_that_is_shown():
    given = problem("sigmoid_cross_entropy", (4, 3), "float64", np.random.default_rng(1))
    build, x = Builder(dtype="float64"), Value((3,), dtype="float64")
    target, weight = Value((3,), dtype="float64"), Value((), dtype="float64")
    declared = LossSum(losses=[{"bce": {"from_logits": True}}, "mse"])
    _, means = declared.lower(build, x, target, weight)
    program = Program(
        build.calls, {x: given.x, target: given.target, weight: given.weight}, [means], capacity=4, threads=1
    )
    memory = aligned(program.size)
    program.attach(memory)
    program.run(4)
    np.testing.assert_allclose(program.read(means), 1 / (1 + np.exp(-given.x)), rtol=1e-12)
