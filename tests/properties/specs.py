"""Specs gone wrong: trees and bytes of good ones, changed at random."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from cnncli.layers.declarations.declaration import Field, snake_case
from cnncli.layers.vocabulary import layers
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain

RICH = """\
name: rich
seed: 7
data:
  dataset: {synthetic: {image_shape: [16, 16, 3], classes: 4, train: 40, test: 12, seed: 2}}
  validation_split: 0.25
  rescale: 1/255
  augment:
    - RandomFlip
    - RandomBrightness: {factor: [-0.2, 0.2], value_range: [0, 255]}
    - RandAugment: {num_ops: 2, factor: 0.3}
    - CutMix: {factor: 0.5}
model:
  input_shape: [16, 16, 3]
  blocks:
    unit:
      parameters: [filters, strides: 1]
      layers:
        - Conv2D:
            filters: $filters
            kernel_size: 3
            strides: $strides
            padding: same
            kernel_initializer: {RandomNormal: {stddev: 0.1}}
            kernel_regularizer: {L1L2: {l1: 0.001, l2: 0.01}}
            kernel_constraint: {MaxNorm: {max_value: 2.0}}
        - BatchNormalization: {momentum: 0.9}
        - LeakyReLU: {negative_slope: 0.1}
    twice:
      parameters: [filters]
      inputs: [left, right]
      layers:
        - unit: {inputs: left, filters: $filters, name: a}
        - unit: {inputs: right, filters: $filters}
        - Add: {inputs: [previous, a]}
  layers:
    - unit: {filters: 4, repeat: 2, name: stem}
    - DepthwiseConv2D: {kernel_size: 3, padding: same, depth_multiplier: 2}
    - SeparableConv2D: {filters: 4, kernel_size: [3, 3], padding: same}
    - twice: {filters: 4, inputs: [previous, stem]}
    - ZeroPadding2D: {padding: [[1, 0], [0, 1]]}
    - MaxPooling2D: {pool_size: 2}
    - UpSampling2D: {size: 2, interpolation: bilinear}
    - Concatenate: {inputs: [previous, previous]}
    - GlobalAveragePooling2D
    - Dropout: {rate: 0.5}
    - Dense: {units: 4, activation: softmax}
compile:
  optimizer:
    SGD:
      learning_rate:
        CosineDecay: {initial_learning_rate: 0, warmup_target: 0.1, warmup_steps: 1 epochs, decay_steps: 4 epochs}
      momentum: 0.9
      clipnorm: 1.0
  loss: {CategoricalCrossentropy: {label_smoothing: 0.1}}
  metrics: [accuracy]
fit:
  epochs: 3
  batch_size: 8
  class_weight: {0: 1, 1: 2.5, 2: 1, 3: 0.5}
  callbacks:
    - EarlyStopping: {monitor: val_loss, patience: 2, restore_best_weights: true}
expect: {test_accuracy: ">= 0.1", val_loss: "< 99"}
"""
MASKS = """\
data: {dataset: synthetic, targets: masks, folds: 4, fold: 2, augment: [RandomColorJitter: {hue_factor: 0.2}, MixUp]}
model:
  input_shape: [16, 16, 3]
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, padding: same, activation: relu, name: skip}
    - AveragePooling2D: {pool_size: 2}
    - Conv2DTranspose: {filters: 8, kernel_size: 3, strides: 2, padding: same}
    - Multiply: {inputs: [previous, skip]}
    - Conv2D: {filters: 11, kernel_size: 1, activation: softmax}
compile:
  optimizer: {AdamW: {learning_rate: {PiecewiseConstantDecay: {boundaries: [10, 20], values: [0.1, 0.01, 0.001]}}}}
  loss: sparse_categorical_crossentropy
fit: {epochs: 1, shuffle: false}
"""
CODER = """\
data: {dataset: mnist5k, targets: input, validation_split: 0.1, augment: [RandomZoom: {height_factor: [0, 0.1]}]}
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, strides: 2, padding: same, activation: tanh}
    - Conv2DTranspose: {filters: 1, kernel_size: 3, strides: 2, padding: same}
    - ReLU: {max_value: 1}
compile: {optimizer: {RMSprop: {momentum: 0.1}}, loss: mse}
"""
layers()
GOOD = [path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))]
GOOD += [RICH, MASKS, CODER]


class Raw(str):
    """YAML as it is."""


SCALARS = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 255, 256, 10_000, 2**31, 2**63 - 1, 2**63, 10**19, -(10**18)),
    *(0.5, 1.0, -0.1, 1e-30, 1e308, 1e-400, 0.9999999999999999, 1e18),
    *map(Raw, ("1e400", ".nan", ".inf", "-.inf", "~", "0x10", "010", "1_000", "yes", "1:30", "<<", "=", "2001-01-01")),
    *map(Raw, ("!!python/object/apply:os.system [x]", "!!int '3'", "!x y", "&a b", "*a", "@x", "`x`", "%x", "- x")),
    *(
        "",
        " ",
        "\0",
        "\x1b]0;x\x07",
        "\x7f",
        "\x85",
        "\u202ex",
        "\u2028",
        "\ufeff",
        "a\nb",
        "a\tb",
        "a\rb",
        "é",
        "日本",
    ),
    *("x" * 5000, "a/" * 3000, "1" * 5000 + "x", "Conv2D(" + "1," * 5000, "a/b", "../x", ".", "~/x", "x.npz", "x.csv"),
    *(
        "auto",
        "balanced",
        "input",
        "previous",
        "masks",
        "labels",
        "relu",
        "adam",
        "mse",
        "mnist5k",
        "cifar10",
        "synthetic",
    ),
    *("1/0", "1/255", "nan", "inf", "1e999", "3 epochs", "0.5 epochs", "-1 epochs", ">= 0.5", "> 1e999", "val_loss"),
    *(
        "$filters",
        "$",
        "$$",
        "$x.y",
        "None",
        "(3, 3)",
        "True",
        "Dense(10)",
        "relu6",
        "Conv2D",
        "conv2d",
        "Lambda",
        "Flatten",
    ),
    *("same", "valid", "causal", "channels_first", "float16", "1 epoch", "1e3 epochs", "9" * 30 + " epochs"),
]
OTHERS: list[Any] = [
    [],
    {},
    [[]],
    [{}],
    {"": None},
    [None],
    [1, 2],
    [3, 3, 3, 3],
    [0, 0],
    [-1, 2],
    [1e18, 1],
    ["a", "a"],
    {"a": {"b": []}},
    [2**40, 2**40, 3],
    [1, 1, 1],
    [1],
    [16, 3],
    [4, 4, 4, 4, 4],
    {"Dense": {"units": 3}},
    {"Conv2D": None},
    {"x": 1, "y": 2},
    [[[[1]]]],
    {"Adam": {}},
    {"adam": {"learning_rate": {"ExponentialDecay": {}}}},
    {"0": 1, "1": 1},
    {"L2": 0.1},
    ["Flatten"] * 40,
    [{"ReLU": {}}] * 60,
    {"repeat": 1000},
    {"inputs": ["input", "input"]},
    [[1, 2], [3]],
    {"name": "a"},
]
OTHERS += [Raw("[" * deep + "]" * deep) for deep in (30, 99, 101)]
NUMBERS = [0, 1, 2, 3, 4, 5, 8, 16, 100, 4096, 2**20, 2**31, 2**62, 0.0, 1e-9, 0.1, 0.25, 0.5, 0.9, 1.0, 1.5, 100.0]
PLACES = {
    "layer": [("model", "layers")],
    "initializer": [("model", "layers")],
    "regularizer": [("model", "layers")],
    "constraint": [("model", "layers")],
    "loss": [("compile", "loss")],
    "optimizer": [("compile", "optimizer")],
    "schedule": [("compile", "optimizer", name, "learning_rate") for name in ("SGD", "Adam", "adam")],
    "metric": [("compile", "metrics")],
    "callback": [("fit", "callbacks")],
    "dataset": [("data", "dataset")],
    "augmentation": [("data", "augment")],
}
"""Where words of each kind stand."""
LISTS = ("layers", "metrics", "callbacks", "augment")
PARTS = {kind: [f"kernel_{kind}", f"bias_{kind}"] for kind in ("initializer", "regularizer", "constraint")}
PIECES = [
    *(
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\0",
        b"\x1b[31m",
        b"\t",
        b"\r\n",
        b"\r",
        b"\n",
        b"\n\n",
        b" ",
    ),
    *(
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
        b"&a ",
        b"*a",
        b"*a\n",
        b"<<: *a\n",
        b"? ",
        b"? a : b\n",
        b"- ",
        b"|\n",
        b">\n",
    ),
    *(
        b"!!python/object:x ",
        b"!t ",
        b"#",
        b"'",
        b'"',
        b'"\\',
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b": ",
        b",",
        b"@",
        b"`",
        b"$",
    ),
    *(
        "é日\u202e\u2028\x85\u200b".encode(),
        b"\xf0\x9f\x98\x80",
        b"1e400",
        b"-",
        b".",
        b"0",
        b"9" * 30,
        b"a: &b [*b]\n",
    ),
]


def dumped(value: Any) -> str:
    """A tree as YAML in one line."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {dumped(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return str(key) if key.isdigit() or isinstance(key, Raw) else json.dumps(key)


def tree_of(text: str) -> Any:
    """The tree of a good spec as plain data."""
    tree = read(text, Problems("", text))
    assert tree is not None
    return plain(tree)


TREES = [tree_of(text) for text in GOOD]


def broken_tree(random: Random) -> bytes:
    """A spec whose tree is changed in a few places."""
    tree = json.loads(json.dumps(random.choice(TREES)))
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        random.choice([_change, _change, _use_word])(tree, random)
    return written(tree).encode("utf-8", "surrogatepass")


def written(tree: dict[str, Any]) -> str:
    """A spec with a line for each section."""
    return "\n".join(f"{_key(key)}: {dumped(value)}" for key, value in tree.items())


def _change(tree: Any, random: Random) -> None:
    places = [(tree, key) for key in tree] if not random.randint(0, 9) else list(_places(tree))
    if not places:
        return
    owner, key = random.choice(places)
    random.choice(CHANGES)(owner, key, places, random)


def _use_word(tree: Any, random: Random) -> None:
    """Some word of the vocabulary comes in, with arguments of all kinds."""
    kind = random.choice(list(PLACES))
    word = _word(kind, random)
    *above, last = random.choice(PLACES[kind])
    owner = tree
    for key in above:
        owner = owner.setdefault(key, {}) if isinstance(owner, dict) else None
    if not isinstance(owner, dict):
        return
    if last in LISTS and kind not in PARTS and isinstance(owner.setdefault(last, []), list):
        owner[last].insert(random.randint(0, len(owner[last])), word)
    elif isinstance(owner.get(last), list) and owner[last] and kind in PARTS:
        arguments = {"filters": 3, "kernel_size": 1, "padding": "same", random.choice(PARTS[kind]): word}
        owner[last].insert(0, {"Conv2D": arguments})
    else:
        owner[last] = word


def _word(kind: str, random: Random) -> Any:
    cls = random.choice(list(REGISTRIES[kind].classes.values()))
    name = random.choice([cls.__name__, cls.__name__, snake_case(cls.__name__)])
    fields = {key: field for key, field in cls.fields.items() if field.required or random.randint(0, 2) == 0}
    arguments = {key: _argument(field, random) for key, field in fields.items()}
    return {name: arguments} if arguments or random.randint(0, 1) else name


def _argument(field: Field, random: Random) -> Any:
    choices = [field.kind.sample, field.kind.sample, random.choice(NUMBERS), random.choice([[2, 3], [0, 0.5], [1, 1]])]
    if field.kind.choices:
        choices += [random.choice(field.kind.choices)] * 3
    return random.choice(choices) if random.randint(0, 9) else _odd(random)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or mapping with each of its indices or keys."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)


Change = Callable[[Any, Any, list[tuple[Any, Any]], Random], None]


def _delete(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    del owner[key]


def _replace(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    owner[key] = _odd(random)


def _odd(random: Random) -> Any:
    return random.choice(SCALARS) if random.randint(0, 3) else random.choice(OTHERS)


def _resize(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    """A number becomes another one of its kind: what is often still valid."""
    if type(owner[key]) is int:
        owner[key] = random.choice(NUMBERS[:13])
    elif type(owner[key]) is float:
        owner[key] = random.choice(NUMBERS)
    else:
        _replace(owner, key, places, random)


def _duplicate(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    if isinstance(owner, list):
        owner[key:key] = [owner[key]] * random.choice([1, 1, 2, 20])
    else:
        owner[random.choice([f"{key}2", str(key).upper(), Raw(f"{key}"), f"{key} "])] = owner[key]


def _move(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    other, place = random.choice(places)
    value = json.loads(json.dumps(owner[key]))
    if random.randint(0, 1):
        other[place] = value
    elif isinstance(other, list):
        other.insert(place, value)
    else:
        other[str(key)] = value


def _swap(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    other, place = random.choice(places)
    first, second = (json.loads(json.dumps(one)) for one in (owner[key], other[place]))
    owner[key], other[place] = second, first


def _rename(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    if isinstance(owner, dict):
        others = [other for each, other in places if isinstance(each, dict)]
        name = random.choice([*others, *(str(one) for one in SCALARS if isinstance(one, str) and len(one) < 20)])
        owner[name] = owner.pop(key)
    else:
        _replace(owner, key, places, random)


def _wrap(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    value = owner[key]
    owner[key] = random.choice([[value], {"a": value}, [value, value], {str(key): value}, dumped(value)])


def _alias(owner: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    other, place = random.choice(places)
    value = dumped(owner[key])
    owner[key] = Raw(f"&x {value}")
    if owner is not other or key != place:
        other[place] = Raw("*x")


CHANGES: list[Change] = [
    _delete,
    _replace,
    _replace,
    _resize,
    _resize,
    _duplicate,
    _move,
    _swap,
    _rename,
    _wrap,
    _alias,
]


def broken_bytes(random: Random) -> bytes:
    """A spec whose bytes are changed in a few places."""
    raw = bytearray(random.choice(GOOD).encode())
    for _ in range(random.choice([1, 1, 2, 4])):
        start = random.randint(0, len(raw))
        end = min(len(raw), start + random.choice([0, 1, 1, 2, 5, 20, 200]))
        way = random.choice([0, 1, 1, 2, 2, 3, 4, 4, 5, 6])
        if way == 0:
            raw[start:end] = b""
        elif way == 1:
            raw[start:start] = random.choice(PIECES)
        elif way == 2:
            raw[start:end] = random.choice(PIECES)
        elif way == 3 and start < len(raw):
            raw[start] ^= 1 << random.randint(0, 7)
        elif way == 4:
            other = random.choice(GOOD).encode()
            cut = random.randint(0, len(other))
            raw[start:end] = other[cut : cut + random.choice([5, 50, 500, 5000])]
        elif way == 5:
            raw[start:start] = raw[start:end] * random.choice([1, 2, 30])
        else:
            del raw[start:]
    return bytes(raw)


def overrides(random: Random) -> list[str]:
    """Some --set, with their values in YAML."""
    tree = random.choice(TREES)
    paths = [".".join(map(str, path)) for path in _paths(tree)]
    more = ["model.layers.0.name", "model.layers.conv2d.filters", "fit.class_weight.x", "seed.x", "data", "x", "", "."]
    return [f"{random.choice([*paths, *more])}={dumped(_odd(random))}" for _ in range(random.choice([0] * 8 + [1, 2]))]


def _paths(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from _paths(value, (*above, key))
