"""Conditions on runs mean what they say, and say what is wrong with them."""

import json

import pytest

from cnncli.errors import UsageError
from cnncli.training.runs.facts import Record
from cnncli.training.runs.query import matching, ordered


def record(name, *, state="finished", test=None, tags=(), figures=None, spec=None, seed=1):
    facts = {"run": name, "name": name, "state": state, "figures": figures or {}, "test": test, "seed": seed}
    return Record({**facts, "tags": list(tags), "began": "2026-01-02T03:04:05"}, json.dumps(spec or {}))


ADAM = {"compile": {"optimizer": {"Adam": {"learning_rate": 0.01, "amsgrad": False}}}, "fit": {"batch_size": 32}}
SGD = {"compile": {"optimizer": {"SGD": {"learning_rate": 0.1, "amsgrad": True}}}, "fit": {"batch_size": 64}}
RUNS = [
    record("a", test={"accuracy": 0.9}, tags=["best", "1.5"], figures={"val_loss": 0.3}, spec=ADAM),
    record("b", test={"accuracy": 0.98}, figures={"val_loss": 0.1}, spec=SGD, seed=2),
    record("c", state="killed", figures={"val_loss": float("nan")}, spec=ADAM, seed=None),
    record("2024", test={"accuracy": 0.95}, tags=["old"], spec={}),
]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("test_accuracy > 0.9", "b 2024"),
        ("test_accuracy>=0.9 and test_accuracy<0.98", "a 2024"),
        ("test_accuracy != 0.9", "b 2024"),  # c has none
        ("state == killed or test_accuracy == .98", "b c"),
        ("state = KILLED", "c"),
        ("not state == killed", "a b 2024"),
        ("not (state == killed or seed == 2)", "a 2024"),
        ("seed == 1 and state == finished or seed == 2", "a b 2024"),  # and before or
        ("seed == 1 and (state == killed or seed == 2)", ""),
        ("seed == null", "c"),
        ("tags == best", "a"),
        ("tags != best", "b c 2024"),
        ("tags == 1.5", "a"),
        ("fit.batch_size == 32", "a c"),
        ("compile.optimizer == sgd", "b"),
        ("compile.optimizer.SGD.amsgrad == true", "b"),
        ("compile.optimizer.SGD.amsgrad == 1", ""),
        ("name == 2024", "2024"),
        ("name == \"a\" || name == 'b'", "a b"),
        ("began > 2026-01-02", "a b c 2024"),
        ("began < 2026", ""),
        ("name > 3 and seed < x", ""),  # a number is no text
        ("val_loss < 1", "a b"),  # NaN is less than nothing
    ],
)
def test_a_condition_chooses_the_runs_that_meet_it(condition, names):
    assert " ".join(one.facts["name"] for one in matching(RUNS, [condition])) == names


def test_all_conditions_must_be_met():
    assert [one.facts["name"] for one in matching(RUNS, ["seed == 1", "test_accuracy > 0.9"])] == ["2024"]


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("test_accuracy", "a 2024 b c"),
        ("-test_accuracy", "b 2024 a c"),
        ("-val_loss", "a b c 2024"),
        ("name", "2024 a b c"),
    ],
)
def test_runs_are_sorted_and_those_without_a_value_are_last(key, names):
    assert " ".join(one.facts["name"] for one in ordered(RUNS, key)) == names


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("test_acuracy > 1", "no run has 'test_acuracy'; did you mean 'test_accuracy'?"),
        ("fit.batchsize == 1", "no run has 'fit.batchsize'; did you mean 'fit.batch_size'?"),
        ("learning_rate > 1", "no run has 'learning_rate'; did you mean 'compile.optimizer.Adam.learning_rate'?"),
        (
            "xyz > 1",
            "no run has 'xyz'; there are run, name, state, seed, tags, began, val_loss, test_accuracy, and keys",
        ),
        ("state == finishd", "there is no state 'finishd'; did you mean 'finished'?"),
        ("test_accuracy", "expected an operator (==, =, !=, <=, >=, <, >) after 'test_accuracy'; it ends there"),
        ("test_accuracy ( 3", "after 'test_accuracy'; received '('"),
        ("seed >", "expected a value after 'seed >'; it ends there"),
        ("seed > > 3", "expected a value after 'seed >'; received '>'"),
        ("> 3", "expected a key; received '>'"),
        ("seed == 1 seed == 2", "expected 'and' or 'or' before 'seed'"),
        ("(seed == 1", "a ')' is missing"),
        ("seed == 1)", "expected 'and' or 'or' before ')'"),
        ("seed == 'x", "unexpected 'x"),
        ("", "expected a key; it ends there"),
        ("not " * 100 + "seed == 1", "it is nested too deeply"),
        ("__import__ == 1", "no run has '__import__'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(condition, message):
    with pytest.raises(UsageError) as raised:
        matching(RUNS, [condition])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_key_to_sort_by_must_exist():
    with pytest.raises(UsageError, match="--sort -epoch: no run has 'epoch'"):
        ordered(RUNS, "-epoch")
