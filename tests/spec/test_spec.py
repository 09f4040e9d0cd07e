"""Loading, blocks, overrides, and the resolved form."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.errors import SpecError, UsageError
from cnncli.spec.spec import Spec, load, parse
from tests.spec.test_mistakes import HEAD

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
MNIST = Path(__file__).with_name("digits.yaml").read_text(encoding="utf-8")
RESIDUAL = CONFIGS[0].with_name("residual.yaml").read_text(encoding="utf-8")
END = "    - Dense: {units: 10, activation: softmax}\n"


def graph(text: str) -> dict[str, tuple[str, ...]]:
    """Each node's inputs, by name."""
    return {node.name: node.inputs for node in parse(text, "f.yaml").model.nodes}


def first_lines(text: str, *overrides: str) -> list[str]:
    """The problems without their source lines."""
    with pytest.raises(SpecError) as caught:
        parse(text, "f.yaml", overrides)
    return [problem.split("\n")[0] for problem in caught.value.problems]


def resolved_layer(spec: Spec, name: str) -> dict[str, Any]:
    """The arguments of a layer in the resolved form."""
    (found,) = [args for item in spec.resolved()["model"]["layers"] for args in item.values() if args["name"] == name]
    return dict(found)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_spec_loads_and_survives_its_resolved_form(path: Path) -> None:
    spec = load(path)
    assert parse(spec.to_yaml(), "other.yaml") == spec
    assert parse(spec.to_yaml(), "other.yaml").to_yaml() == spec.to_yaml()


def test_the_resolved_form_says_everything() -> None:
    text = HEAD + "model: {layers: [Flatten, Dense: {units: 10, kernel_regularizer: l2, activation: softmax}]}\n"
    assert parse(text, "some where/net.yaml").resolved() == {
        "name": "net",
        "seed": 0,
        "data": {
            "dataset": "mnist5k", "validation_split": 0.1, "stratified": None, "normalize": None,
            "rescale": "auto", "targets": "labels",
            "augment": [],
            "folds": None, "fold": 1,
            "test_split": 0.0,
            "image_size": None, "color_mode": "rgb", "crop_to_aspect_ratio": False, "pad_to_aspect_ratio": False,
            "interpolation": "bilinear", "antialias": True, "on_error": "stop", "alpha": "drop", "bit_depth": 16,
            "layout": "auto", "data_format": "auto", "label_column": None, "palette": None, "columns": None,
            "crop_boxes": False,
            "group_by": None, "sample_weight": "auto",
            "label_from": None,
        },
        "model": {
            "input_shape": [28, 28, 1],
            "layers": [
                {"Flatten": {"name": "flatten", "inputs": ["input"], "data_format": "channels_last"}},
                {
                    "Dense": {
                        "name": "dense", "inputs": ["flatten"], "units": 10, "activation": "softmax", "use_bias": True,
                        "kernel_initializer": {"GlorotUniform": {}}, "bias_initializer": {"Zeros": {}},
                        "kernel_regularizer": {"L2": {"l2": 0.01}}, "bias_regularizer": None,
                        "activity_regularizer": None, "kernel_constraint": None, "bias_constraint": None,
                        "trainable": True,
                    }
                },
            ],
        },
        "compile": {
            "optimizer": {
                "Adam": {
                    "learning_rate": 0.001, "amsgrad": False, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7,
                    "weight_decay": None, "exclude": [], "multipliers": {},
                    "clipnorm": None, "clipvalue": None, "global_clipnorm": None,
                    "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None,
                    "gradient_accumulation_steps": None, "loss_scale_factor": None, "name": None,
                }
            },
            "loss": {"CategoricalCrossentropy": {"from_logits": False, "label_smoothing": 0.0, "weight": 1.0}},
            "metrics": [{"Accuracy": {"name": None}}], "dtype_policy": "float32",
        },
        "fit": {
            "epochs": 1, "batch_size": 32, "shuffle": True, "class_weight": None, "initial_epoch": 0,
            "steps_per_epoch": None, "validation_steps": None, "validation_batch_size": None, "validation_freq": 1,
            "max_steps": None, "max_time": None, "save_freq": "epoch", "overfit_batches": None, "shards": None,
            "callbacks": [], "log": [],
        },
        "expect": {},
    }  # fmt: skip


NAMES = ["1e-3", "null", "a b", "é", "a: b", "#", "'", '"', "~x", "010", "yes", "\U0001f600"]
VALUES = st.fixed_dictionaries(
    {
        "name": st.one_of(st.sampled_from(NAMES), st.text(min_size=1, max_size=20)),
        "seed": st.integers(0, 2**63 - 1),
        "rate": st.just(0.0) | st.floats(0.001, 0.999),  # of 4,000 images, at least one on either side
        "rescale": st.one_of(st.just("auto"), st.just("1/255"), st.floats(-1e9, 1e9)),
        "learning_rate": st.floats(0, 1e300),
        "units": st.integers(1, 10**6),
        "bound": st.floats(allow_nan=False, allow_infinity=False),
        "regularizer": st.sampled_from(["null", "l2", "l1l2", "{l1: {l1: 1e-5}}", "{L1L2: {l1: 0.5}}"]),
        "constraint": st.sampled_from(["null", "max_norm", "{MaxNorm: {axis: [0, 1]}}", "unit_norm"]),
        "initializer": st.sampled_from(["he_normal", "{Constant: {value: -.5}}", "{random_uniform: {minval: -1}}"]),
    }
)


def varied(values: dict[str, Any]) -> str:
    """A spec with these values in it."""
    v = {**values, "name": "".join(f"\\U{ord(c):08X}" for c in values["name"])}
    return f"""name: "{v["name"]}"
seed: {v["seed"]}
data: {{dataset: mnist5k, rescale: {v["rescale"]}, validation_split: {v["rate"]}}}
model:
  layers:
    - Flatten
    - Dropout: {{rate: {v["rate"]}}}
    - Dense: {{units: {v["units"]}, kernel_regularizer: {v["regularizer"]}, kernel_constraint: {v["constraint"]}}}
    - Dense: {{units: 10, kernel_initializer: {v["initializer"]}, activity_regularizer: {v["regularizer"]}}}
compile: {{optimizer: {{sgd: {{learning_rate: {v["learning_rate"]}}}}}, loss: categorical_crossentropy}}
expect: {{test_loss: "<={v["bound"]}"}}
"""


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_any_valid_spec_equals_what_its_resolved_form_reads_as(values: dict[str, Any]) -> None:
    try:
        spec = parse(varied(values), "f.yaml")
    except SpecError as error:
        assert re.search("name must be a plain file name|is not allowed in a spec", error.problems[0])
        spec = parse(varied({**values, "name": "plain"}), "f.yaml")
    again = parse(spec.to_yaml(), "g.yaml")
    assert again == spec
    assert again.expect[0].bound == values["bound"]


def test_blocks_are_written_out_with_local_names() -> None:
    assert graph(RESIDUAL)["stage1/add"] == ("stage1/conv_1/conv2d", "max_pooling2d")
    assert graph(RESIDUAL)["stage2_2/conv/conv2d"] == ("stage2_1/activation",)
    assert list(graph(RESIDUAL))[:4] == ["conv/conv2d", "max_pooling2d", "stage1/conv/conv2d", "stage1/conv_1/conv2d"]


def test_the_name_of_repeated_entries_means_the_last() -> None:
    layers = """model:
  layers:
    - Flatten
    - Dense: {name: s, units: 4, repeat: 3}
    - Dense: {units: 4, repeat: 2}
    - Concatenate: {inputs: [s, s_1, dense_1, previous]}
"""
    assert graph(HEAD + layers.replace("dense_1, ", "") + END) == {
        "flatten": ("input",), "s_1": ("flatten",), "s_2": ("s_1",), "s_3": ("s_2",), "dense": ("s_3",),
        "dense_1": ("dense",), "concatenate": ("s_3", "s_1", "dense_1"), "dense_2": ("concatenate",),
    }  # fmt: skip


def test_unnamed_layers_pass_over_names_that_are_taken() -> None:
    text = (
        HEAD + "model:\n  layers:\n    - Flatten\n    - Dense: {units: 3}\n    - Dense: {name: dense, units: 3}\n" + END
    )
    assert list(graph(text)) == ["flatten", "dense_1", "dense", "dense_2"]


def test_a_block_of_several_inputs() -> None:
    text = f"""{HEAD}model:
  blocks:
    join:
      inputs: [below, skip]
      parameters: [units, kind: relu]
      layers:
        - Dense: {{name: a, inputs: below, units: $units}}
        - Dense: {{name: b, inputs: skip, units: $units, activation: $kind}}
        - Add: {{inputs: [a, b]}}
  layers:
    - Flatten: {{name: flat}}
    - Dense: {{units: 5}}
    - join: {{name: j, inputs: [previous, flat], units: 3}}
{END}"""
    assert graph(text) == {
        "flat": ("input",), "dense": ("flat",), "j/a": ("dense",), "j/b": ("flat",), "j/add": ("j/a", "j/b"),
        "dense_1": ("j/add",),
    }  # fmt: skip


def test_names_inside_a_block_are_not_seen_from_outside() -> None:
    text = RESIDUAL.replace(
        "    - MaxPooling2D\n    - Flatten", "    - MaxPooling2D: {inputs: stage1/add}\n    - Flatten"
    )
    assert any("there is no earlier entry 'stage1/add'" in line for line in first_lines(text))


def test_explicit_names_may_not_collide_with_those_of_blocks() -> None:
    text = RESIDUAL.replace("    - Flatten", "    - Flatten: {name: stage1/add}")
    assert any("the name 'stage1/add' is already used by an earlier entry" in line for line in first_lines(text))


def test_blocks_that_multiply_are_stopped() -> None:
    chain = "".join(f"    b{i}: {{layers: [b{i + 1}: {{repeat: 1000}}]}}\n" for i in range(20))
    text = f"{HEAD}model:\n  blocks:\n{chain}    b20: {{layers: [Flatten]}}\n  layers: [b0]\n"
    (line,) = first_lines(text)
    assert "a model must not have more than 10,000 layers" in line


def test_blocks_may_not_use_themselves_in_a_ring() -> None:
    text = f"{HEAD}model:\n  blocks:\n    a: {{layers: [b]}}\n    b: {{layers: [a]}}\n  layers: [a]\n"
    (line,) = first_lines(text)
    assert line.startswith(
        "f.yaml:6:18: a block must not use itself; received a → b → a … in block 'b', used at f.yaml:5:18"
    )


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("fit.epochs=3", ("fit", "epochs"), 3),
        ("seed=0x10", ("seed",), 16),
        ("name=x", ("name",), "x"),
        ("data.validation_split=.25", ("data", "validation_split"), 0.25),
        ("compile.optimizer.learning_rate=1e-2", ("compile", "optimizer", "Adam", "learning_rate"), 0.01),
        ("compile.optimizer.adam.beta_1=0.5", ("compile", "optimizer", "Adam", "beta_1"), 0.5),
        ("compile.optimizer={SGD: {momentum: 0.9}}", ("compile", "optimizer", "SGD", "momentum"), 0.9),
        ("fit.callbacks.0.patience=7", ("fit", "callbacks", 0, "EarlyStopping", "patience"), 7),
        ("fit.callbacks.EarlyStopping.patience=8", ("fit", "callbacks", 0, "EarlyStopping", "patience"), 8),
        ("fit.callbacks=[]", ("fit", "callbacks"), []),
        ("model.layers.conv2d_1.filters=8", ("model", "layers", 2, "Conv2D", "filters"), 8),
        ("model.layers.0.filters=8", ("model", "layers", 0, "Conv2D", "filters"), 8),
        ("model.layers.dense.Dense.units=9", ("model", "layers", 5, "Dense", "units"), 9),
        ("expect.test_accuracy=>0.5", ("expect", "test_accuracy"), "> 0.5"),
        ("compile.loss.label_smoothing=0.1", ("compile", "loss", "CategoricalCrossentropy", "label_smoothing"), 0.1),
    ],
)
def test_an_override_changes_the_resolved_form(override: str, path: tuple[str | int, ...], value: object) -> None:
    found: Any = parse(MNIST, "f.yaml", [override]).resolved()
    for step in path:
        found = found[step]
    assert found == value


def test_an_override_reaches_into_a_default() -> None:
    text = MNIST.replace("units: 128,", "units: 128, kernel_initializer: random_normal,")
    spec = parse(text, "f.yaml", ["model.layers.dense.kernel_initializer.stddev=0.5"])
    assert resolved_layer(spec, "dense")["kernel_initializer"] == {"RandomNormal": {"mean": 0.0, "stddev": 0.5}}


def test_an_override_addresses_a_layer_inside_a_block_by_its_full_name() -> None:
    spec = parse(RESIDUAL, "f.yaml", ["model.layers.stage1/conv/conv2d.activation=tanh"])
    assert resolved_layer(spec, "stage1/conv/conv2d")["activation"] == "tanh"
    assert resolved_layer(spec, "stage2_1/conv/conv2d")["activation"] == "relu"


def test_the_last_override_wins() -> None:
    assert parse(MNIST, "f.yaml", ["fit.epochs=3", "fit.epochs=4"]).fit.epochs == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fit.epochs=x", "epochs must be an integer ≥ 0; received 'x'"),
        ("fit.epochs=-1", "epochs must be an integer ≥ 0; received -1"),
        ("fit.epoch=3", "unknown key 'epoch' in fit; did you mean 'epochs'?"),
        ("epochs=3", "unknown key 'epochs' in a spec; did you mean 'fit.epochs'?"),
        ("ft.epochs=3", "unknown key 'ft' in a spec; did you mean 'fit'?"),
        ("compile.optimizer.lr=1", "unknown key 'lr' in adam; use 'learning_rate'"),
        ("model.layers.conv2.filters=8", "unknown layer 'conv2'; did you mean 'conv2d'?"),
        ("model.layers.conv2d.name=x", "--set can't change a layer's name; change it in the file"),
        ("model.layers.0.Conv2D.name=[1]", "--set can't change a layer's name; change it in the file"),
        ("model.layers.0.Conv2D.inputs=dense", "--set can't change a layer's inputs; change it in the file"),
        ("model.layers.conv2d.filters=0", "filters must be an integer ≥ 1; received 0"),
        ("fit.callbacks.1.patience=7", "unknown item '1' in callbacks; available: EarlyStopping"),
        ("expect.test_accuracy=high", 'a condition must be one of >=, >, <=, <, == and a number, like ">= 0.95", '
         "or decreasing or increasing; received 'high'"),
        ("fit=3", "'fit' is a section; set one of its keys, like fit.epochs"),
        ("fit.epochs.x=3", "'epochs' has no keys, so 'x' can't be set"),
        ("fit.epochs", "an override must be KEY=VALUE, like fit.epochs=3"),
        ("fit.epochs=[1", "the list opened with [ is never closed with ] (or a comma is missing)"),
        ("name=a/b", "name must be a plain file name of at most 200 bytes, without / and not starting with a dot; "
         "received 'a/b'"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_told_as_its_own_place(override: str, message: str) -> None:
    assert first_lines(MNIST, override) == [f"--set {override}: {message}"]


def test_a_missing_file_gets_the_nearest_one_suggested(tmp_path: Path) -> None:
    (tmp_path / "mnist.yaml").write_text(MNIST, encoding="utf-8")
    with pytest.raises(UsageError, match=r"there is no file '.*mnits\.yaml'; did you mean '.*/mnist\.yaml'\?"):
        load(tmp_path / "mnits.yaml")
    with pytest.raises(UsageError, match="is a folder"):
        load(tmp_path)


def test_data_need_not_be_there_when_the_shape_is_given() -> None:
    text = MNIST.replace("dataset: mnist5k ", "dataset: /nowhere/at/all.npz ")
    assert parse(text, "f.yaml", check_data=False).data.dataset == "/nowhere/at/all.npz"


WORDS = """model: layers: blocks: data: compile: fit: expect: Conv2D Dense filters units 3 0.5 null $x parameters inputs
    repeat name previous input *a adam mnist5k { } [ ] " ' # | > = é"""
FRAGMENTS = st.sampled_from(
    [*WORDS.split(), "- ", "  ", "    ", "\n", "\n  ", "\n    - ", ": ", ", ", "&a ", "(3, 3)", "\t"]
)


@given(st.one_of(st.text(max_size=80), st.lists(FRAGMENTS, max_size=40).map("".join)))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_a_spec_or_a_spec_error(text: str) -> None:
    try:
        parse(text, "f.yaml")
    except SpecError as error:
        assert error.problems


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_edit_of_a_good_spec_gives_a_spec_or_a_spec_error(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([MNIST, RESIDUAL]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 20))
        text = text[:start] + data.draw(FRAGMENTS) + text[start + cut :]
    override = data.draw(
        st.lists(st.sampled_from(["fit.epochs=2", "model.layers.0.filters=2", "model.layers.dense.x=1"]))
    )
    try:
        parse(text, "f.yaml", override[:2])
    except SpecError as error:
        assert error.problems
