"""The JSON Schema: a validator that knows nothing of cnncli takes good specs by it, and refuses what people mistype."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.vocabulary import layers
from cnncli.spec.schema import schema
from cnncli.spec.spec import load
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.validation.sections import SECTIONS
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
VALIDATOR = Draft202012Validator(schema())
MNIST = Path(__file__).with_name("digits.yaml").read_text(encoding="utf-8")


def refused(text):
    """Where the schema refuses a spec, as dotted paths."""
    problems = Problems("spec.yaml", text)
    tree = read(text, problems)
    problems.raise_any()
    return [".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(plain(tree))]


def changed(old, new):
    """The seed network's spec with one text for another."""
    assert old in MNIST
    return MNIST.replace(old, new, 1)


def test_it_is_a_json_schema():
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_takes_every_spec_that_ships_and_what_runs_make_of_it(path):
    assert refused(path.read_text(encoding="utf-8")) == []
    assert refused(load(path).to_yaml()) == []


@pytest.mark.parametrize("cls", layers().values())
def test_it_takes_every_example_of_a_layer(cls):
    for example in cls.examples:
        for arguments in (example.arguments, cls(**example.arguments).plain()):
            spec = {"data": {"dataset": "x"}, "compile": {"optimizer": "adam", "loss": "mse"}}
            spec["model"] = {"layers": [{cls.__name__: {**arguments, "name": "a", "inputs": ["input", "previous"]}}]}
            plainly = _lists(spec)
            assert not list(VALIDATOR.iter_errors(plainly))


def _lists(value):
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("adam", "{SGD: {learning_rate: {CosineDecay: {initial_learning_rate: 1, decay_steps: 9 epochs}}}}"),
        ("optimizer: adam", "optimizer: RMSprop"),
        ("patience: 5", "patience: 5, min_delta: 1e-3"),
        ("dataset: mnist5k", "dataset: {synthetic: {classes: 10, image_shape: [28, 28, 1]}}"),
        ("validation_split: 0.1", "rescale: 1/255"),
        ("validation_split: 0.1", "rescale: auto"),
        ("units: 128,", "units: 128, kernel_regularizer: {l2: {l2: 0.001}}, bias_regularizer: l1,"),
        ("units: 128,", "units: 128, kernel_initializer: HeNormal, activity_regularizer: null,"),
        ("- Flatten", "- Flatten: {}"),
        ("- Flatten", "- Flatten:"),
        ("- Flatten", "- head: {units: 3}\n    - head\n    - Flatten"),
        ("- MaxPooling2D  ", "- MaxPool2D: {pool_size: [2, 3], strides: null}  "),
        ("metrics: [accuracy]", "metrics: [acc, {BinaryAccuracy: {threshold: 0.3}}]"),
        ("  layers:\n", "  weights: runs/a\n  freeze_until: dense\n  unfreeze_at: 3\n  fine_tune: null\n  layers:\n"),
        ("  layers:\n", "  weights: {file: runs/a, by: order}\n  fine_tune: {rate_factor: 0.5}\n  layers:\n"),
        ("  layers:\n", "  freeze: [dense]\n  unfreeze_at: {epoch: 2, rate_factor: 0.1}\n  layers:\n"),
    ],
)  # fmt: skip
def test_it_takes_all_ways_to_say_a_thing(old, new):
    assert refused(changed(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("filters: 32", "filtres: 32", "model.layers.0"),
        ("filters: 32", "filters: many", "model.layers.0"),
        ("filters: 32", "filters: 0", "model.layers.0"),
        ("kernel_size: 3,", "kernel_size: [3, 3, 3],", "model.layers.2"),
        ("- Flatten", "- Flaten", "model.layers.4"),
        ("- Flatten", "- Dense", "model.layers.4"),
        ("- Flatten", "- Dropout: 0.5", "model.layers.4"),
        ("activation: relu", "activation: rely", "model.layers.0"),
        ("epochs: 15", "epochs: -1", "fit.epochs"),
        ("epochs: 15", "epoch: 15", "fit"),
        ("batch_size: 32", 'batch_size: "32"', "fit.batch_size"),
        ("loss: categorical_crossentropy", "loss: crossentropy", "compile.loss"),
        ("optimizer: adam", "optimizer: {Adam: {lr: 0.1}}", "compile.optimizer"),
        ("optimizer: adam", "optimizer: $name", "compile.optimizer"),
        ("patience: 5", "patience: soon", "fit.callbacks.0"),
        ('">= 0.96"', "0.96", "expect.test_accuracy"),
        ("validation_split: 0.1", "validation_split: 1", "data.validation_split"),
        ("seed: 42", "sed: 42", ""),
        ("  layers:\n", "  weights: {fil: a}\n  layers:\n", "model.weights"),
        ("  layers:\n", "  fine_tune: {freeze_epochs: 0}\n  layers:\n", "model.fine_tune"),
        ("  layers:\n", "  unfreeze_at: 1\n  layers:\n", "model.unfreeze_at"),
    ],
)
def test_it_refuses_what_people_mistype_where_it_stands(old, new, where):
    assert refused(changed(old, new)) == [where]


def test_dollar_names_stand_for_values_anywhere_in_a_block():
    block = """  blocks:
    b:
      parameters: [filters, size: 3, amount: 0.1, start: he_normal]
      layers:
        - Conv2D: {filters: $filters, kernel_size: [$size, 3], kernel_initializer: $start, repeat: $size}
        - Dense: {units: $filters, kernel_regularizer: {l2: {l2: $amount}}}
  layers:
    - b: {filters: 3, repeat: 2, name: s, inputs: input}
"""
    assert refused(changed("  layers:\n", block)) == []
    assert refused(changed("  layers:\n", block.replace("$filters", "filters"))) != []
    assert refused(changed("  layers:\n", block.replace("layers:\n        -", "layer:\n        -"))) != []


@pytest.mark.parametrize(
    "cls", [*layers().values(), *(cls for registry in REGISTRIES.values() for cls in registry), *SECTIONS.values()]
)
def test_no_argument_may_be_just_anything(cls):
    assert all(field.kind.schema() for field in cls.fields.values())


VALUES = [
    *(None, True, False, 0, 1, 3, -1, 10**9, 0.5, 1.0, -0.25, 1e-7, 255.0),
    *(
        "",
        "auto",
        "1/255",
        " 1 / 255 ",
        "0.5",
        "1e-3",
        "80 epochs",
        "1 epoch",
        "0.5 epochs",
        "x.npz",
        "mnist",
        "$x",
        "relu",
    ),
    *(
        [],
        [1],
        [1, 2],
        [0.1, 0.2],
        [-0.5, 0.5],
        [1, 2, 3],
        [28, 28, 1],
        [[0, 1], [2, 3]],
        ["1 epoch", "2 epochs"],
        [1, 5],
    ),
    *({}, {"x": 1}, {"Adam": None}, {"adam": {}}, {"l2": {"l2": 0.1}}, {"synthetic": {"classes": 3}}, "l1l2", "L1L2"),
    *({"CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 3}}, ["accuracy"], [{"EarlyStopping": {}}]),
]


def test_no_argument_is_refused_a_value_that_it_may_have():
    fields = {
        (cls.__name__, name): field
        for cls in [
            *layers().values(),
            *(cls for registry in REGISTRIES.values() for cls in registry),
            *SECTIONS.values(),
        ]
        for name, field in cls.fields.items()
    }
    accepted = 0
    definitions = schema()["$defs"]
    for where, field in fields.items():
        validator = Draft202012Validator({"$defs": definitions, **field.kind.schema()})
        for value in [
            *VALUES,
            field.kind.sample,
            *field.kind.choices,
            None if field.required else field.plain_default(),
        ]:
            try:
                field.kind.read(value)
            except ValidationError:
                continue
            accepted += 1
            assert validator.is_valid(value), (where, value)
    assert accepted > 5 * len(fields)


def test_every_argument_says_what_it_may_be_and_what_it_is_without_a_word():
    defined = schema()["$defs"]
    padding = defined["layer.Conv2D"]["properties"]["padding"]
    assert (padding["description"], padding["default"]) == ("one of valid, same", "valid")
    assert {"enum": ["valid", "same"]} in padding["anyOf"][0]["anyOf"]
    split = schema()["properties"]["data"]["properties"]["validation_split"]
    assert split["description"].startswith("Fraction of the training data used for validation")
    assert (split["default"], split["minimum"], split["exclusiveMaximum"]) == (0.0, 0, 1)
    assert set(defined) >= set(REGISTRIES) | {f"layer.{name}" for name in layers()}
