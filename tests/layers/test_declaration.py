"""Declarations: strict fields, every detail at once, each with the path to it."""

from typing import Annotated, Literal

import pytest

from cnncli.layers.convolution import Conv2D
from cnncli.layers.declarations.declaration import Declaration, Named, Registry, snake_case
from cnncli.layers.declarations.field_types import Integer, Kind, Number
from cnncli.layers.declarations.list_types import ListOf, OneOrMore, PairOf
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.initializers import GlorotUniform, HeNormal
from cnncli.layers.regularizers import L1, L1L2, L2
from cnncli.training.sections import CompileSection


class Sample(Declaration):
    """One field of each simple kind."""

    count: Annotated[int, Integer(1)]
    share: Annotated[float, Number(0, below=1)] = 0.5
    mode: Literal["min", "max"] = "min"
    label: str | None = None
    on: bool = False


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Integer(1, 5), {1: 1, 5: 5}, [0, 6, 1.0, True, "1", None, [1], 10**400]),
        (Number(0, below=1), {0: 0.0, 0.25: 0.25}, [1, -1e-9, float("nan"), float("inf"), "0.5", False, 10**400]),
        (Number(above=0), {1e-300: 1e-300}, [0, -1]),
        (PairOf(Integer(1)), {3: (3, 3)}, [0, [1], [1, 2, 3], "3", None, [1, 0], [True, 1]]),
        (ListOf(Integer(1), 1, 2), {}, [[], [1, 2, 3], 1, "ab", None]),
        (OneOrMore(Integer()), {-1: (-1,)}, [[], None, "1"]),
    ],
)
def test_a_kind_takes_what_its_rule_says_and_nothing_else(kind: Kind, good, bad):
    for value, held in good.items():
        read = kind.read(value)
        assert read == held
        assert type(read) is type(held)
    for value in bad:
        with pytest.raises(ValidationError):
            kind.read(value)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Integer(1), "an integer ≥ 1"),
        (Integer(0, 2**63 - 1), "an integer from 0 to 2^63 − 1"),
        (Number(0, below=1), "a number ≥ 0 and < 1"),
        (Number(above=0), "a number > 0"),
        (PairOf(Integer(1)), "an integer ≥ 1, or a list of 2 such values"),
        (ListOf(Integer(1), 1, 4), "a list of 1 to 4 items, each an integer ≥ 1"),
    ],
)
def test_a_rule_is_said_in_words(kind, rule):
    assert kind.rule == rule


def test_all_flaws_are_told_at_once_with_their_paths():
    with pytest.raises(ValidationError) as caught:
        Sample(**{"share": 1, "mode": "mix", "label": 3, "on": "yes", "self": 1, "cuont": 2})
    details = {(detail.path, detail.kind) for detail in caught.value.details}
    assert details == {
        (("count",), "missing"),
        (("share",), "value"),
        (("mode",), "value"),
        (("label",), "value"),
        (("on",), "value"),
        (("self",), "unknown_key"),
        (("cuont",), "unknown_key"),
    }
    assert all(detail.owner is Sample for detail in caught.value.details)


def test_a_flaw_inside_nested_arguments_has_the_whole_path():
    with pytest.raises(ValidationError) as caught:
        CompileSection(optimizer={"sgd": {"momentum": 2}}, loss="mse", metrics=["accuracy", "acuracy"])
    assert [(detail.path, detail.kind) for detail in caught.value.details] == [
        (("optimizer", "sgd", "momentum"), "value"),
        (("metrics", 1), "unknown_name"),
    ]
    assert str(caught.value).startswith("optimizer.sgd.momentum must be a number from 0 to 1; ")


def test_fields_that_contradict_each_other_are_told():
    with pytest.raises(ValidationError, match=r"received strides=\[2, 2\], dilation_rate=\[1, 2\]"):
        Conv2D(filters=3, kernel_size=(3, 3), strides=(2, 2), dilation_rate=(1, 2))
    with pytest.raises(ValidationError, match="received filters=3, groups=2"):
        Conv2D(filters=3, kernel_size=(3, 3), groups=2)


def test_a_declaration_is_frozen_compared_by_its_fields_and_changed_by_copy():
    one = Sample(count=2, label="a")
    assert one == Sample(count=2, label="a", share=0.5)
    assert hash(one) == hash(one.replace(on=False))
    assert one.replace(count=3).count == 3
    assert one != one.replace(count=3)
    with pytest.raises(AttributeError, match="frozen"):
        one.count = 3


def test_plain_data_holds_every_default_and_reads_back():
    layer = Conv2D(filters=3, kernel_size=3, kernel_initializer="he_normal", kernel_regularizer="l2")
    assert layer.kernel_initializer == HeNormal()
    assert layer.bias_initializer != GlorotUniform()
    plain = layer.plain()
    assert plain["kernel_size"] == [3, 3]
    assert plain["kernel_regularizer"] == {"L2": {"l2": 0.01}}
    assert plain["kernel_initializer"] == {"HeNormal": {}}
    assert Conv2D(**plain) == layer


def test_the_bare_name_l1l2_is_no_penalty_as_in_keras_where_l1_and_l2_alone_are_a_hundredth():
    regularizers = [
        Conv2D(filters=1, kernel_size=1, kernel_regularizer=said).kernel_regularizer
        for said in ("l1l2", "L1L2", {"l1l2": {}}, "l1", "l2", None)
    ]
    assert regularizers == [*[L1L2(l1=0.0, l2=0.0)] * 3, L1(l1=0.01), L2(l2=0.01), None]
    with pytest.raises(ValidationError, match="l1_l2"):  # Keras' `get` knows no such name
        Conv2D(filters=1, kernel_size=1, kernel_regularizer="l1_l2")


def test_a_registry_refuses_a_taken_name_and_knows_every_spelling():
    registry = Registry("thing", Declaration)

    class FirstThing(Declaration):
        aliases = ("1st",)

    registry.register(FirstThing)
    for name in ("FirstThing", "first_thing", "1st"):
        assert registry.parse(name) == FirstThing() == registry.parse({name: None})
    with pytest.raises(ValueError, match="'1st' is already registered by FirstThing"):
        registry.register(type("Other", (Declaration,), {"aliases": ("1st",)}))
    assert Named(registry).rule == "a thing name or {name: arguments}"


def test_a_field_without_a_kind_is_refused_when_the_class_is_made():
    with pytest.raises(TypeError, match=r"Odd\.values_of must be annotated with a kind"):
        type("Odd", (Declaration,), {"__annotations__": {"values_of": dict}})


@pytest.mark.parametrize(
    ("name", "snake"),
    [("Conv2D", "conv2d"), ("MaxPooling2D", "max_pooling2d"), ("HeNormal", "he_normal"), ("SGD", "sgd")],
)
def test_automatic_names_are_those_of_keras(name, snake):
    assert snake_case(name) == snake
