"""Model files that anybody may make: any metadata, any tensors, the seal right. Whatever they hold ends in one line."""

import copy
import hashlib
import json
import shutil
from contextlib import chdir
from dataclasses import dataclass, field
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from cnncli.spec.spec import load
from cnncli.training.loop.plan import Plan
from cnncli.training.runs import checkpoint
from tests.cli.test_train import SPEC
from tests.errors.page import run
from tests.training import small

COUNT = max(100, settings.default.max_examples // 10)
CALLBACKS = "  callbacks: [EarlyStopping: {patience: 9, restore_best_weights: true}]\n"
RUN, MIDWAY = Path("run"), Path("midway")
"""A training that came to its end, and one that was interrupted within its second epoch."""
FILES = (RUN / "best.safetensors", RUN / "last.safetensors", MIDWAY / "last.safetensors")
COMMANDS = (
    "cnncli summary {file}",
    "cnncli evaluate {file}",
    "cnncli evaluate {run} --weights last",
    "cnncli predict {file} images.npy --json",
    "cnncli calibrate {file} -o calibrated.safetensors",
    "cnncli calibrate {file} --reset",
    *["cnncli train --resume {run} --epochs 3 --quiet"] * 3,
    "cnncli train bars.yaml --weights {file} --epochs 0 --output out --quiet",
)
TREES = ("spec", "class_names", "rescale", "tone", "weights", "state", "decision")
NAMES = ("", "\0", "é\n", "dense", "optimizer/m/x", "callback/0/x", "callback/-1/", "sums/loss")
DTYPES = {"bool": "BOOL", "int8": "I8", "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64"}


@dataclass
class Made:
    """A model file: what its metadata say, as text or, where it is JSON, as trees; and all its tensors."""

    texts: dict[str, str]
    trees: dict[str, object]
    tensors: dict[str, np.ndarray] = field(default_factory=dict)

    def content(self) -> bytes:
        """The file, sealed as docs of `checkpoint` say: SHA-256 of all metadata, then of each tensor."""
        metadata = {**self.texts, **{key: written(tree) for key, tree in self.trees.items()}}
        state = hashlib.sha256(repr((json.dumps(metadata, sort_keys=True), "float64", (0,))).encode())
        header, offset = {}, 0
        for name, tensor in sorted(self.tensors.items()):
            state.update(repr((name, tensor.dtype.name, tensor.shape)).encode() + tensor.tobytes())
            places = [offset, offset := offset + tensor.nbytes]
            header[name] = {"dtype": DTYPES[tensor.dtype.name], "shape": tensor.shape, "data_offsets": places}
        header["__metadata__"] = {**metadata, "seal": f"sha256:{state.hexdigest()}"}
        text = json.dumps(header).encode()
        tensors = b"".join(tensor.tobytes() for _, tensor in sorted(self.tensors.items()))
        return len(text).to_bytes(8, "little") + text + tensors


class Deep:
    """A list in a list in a list: deeper than any reader can go."""


def written(tree):
    """JSON, also of what is too deep to be written by `json`."""
    text = json.dumps(tree, default=lambda value: "deep")
    return text.replace('"deep"', "[" * 100_000 + "]" * 100_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sealed")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC + CALLBACKS)
    np.save(path / "images.npy", np.zeros((3, 8, 8, 1), np.float32))
    with chdir(path):
        assert run(f"cnncli train bars.yaml --output {RUN} --quiet", path) == "exit code 0\n"
        (path / "costs.csv").write_text("true,0,1,unknown\n0,0,2,1\n1,2,0,1\n")
        assert "exit code 0" in run(f"cnncli calibrate {RUN} --costs costs.csv", path)
        assert "exit code 0" in run(f"cnncli calibrate {RUN} --weights last", path)
        _interrupted(load("bars.yaml"))
    return path


def _interrupted(spec):
    text, resolved = spec.to_yaml(), spec.resolved()
    plan = Plan(spec.name, spec.seed, spec.data, Path(), spec.model, spec.compile, spec.fit, text, resolved)
    small.interrupt(plan, MIDWAY, epoch=2, batch=2)


@pytest.fixture(scope="module")
def originals(folder):
    """The files of both runs by their path."""
    return {path: path.read_bytes() for name in (RUN, MIDWAY) for path in (folder / name).iterdir()}


@pytest.fixture(scope="module")
def makes(folder):
    """Each model file taken apart."""
    found = {}
    for name in FILES:
        made = checkpoint.load(folder / name)
        texts = {
            **made.metadata,
            "format": "cnncli 1",
            "weights": json.dumps(list(made.weights)),
            "digest": made.digest,
        }
        trees = {key: json.loads(texts.pop(key)) for key in TREES if key in texts}
        found[name] = Made(texts, trees, {**made.weights, **made.extra})
    return found


def test_a_file_taken_apart_and_put_together_is_the_same(folder, makes):
    for name, made in makes.items():
        (folder / "again.safetensors").write_bytes(made.content())
        again, first = checkpoint.load(folder / "again.safetensors"), checkpoint.load(folder / name)
        assert (again.digest, again.metadata) == (first.digest, first.metadata)


TEXTS = st.one_of(
    st.sampled_from(
        ["", "\0", "\x1b]0;t\a", "a\nb", "\ud800", "é", "-1", "1e999", "latest", "../x", "/dev/zero", "[", "{"]
    ),
    st.text(max_size=5),
)
NUMBERS = st.one_of(
    st.sampled_from([-1, 0, 1, 2, 7, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, inf, -inf, nan]),
    st.integers(-3, 70),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.builds(Deep)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)


def places(tree, before=()):
    """The path of every value in a tree."""
    yield before
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*before, key))


def changed(tree, path, draw):
    """The tree with the value at `path` replaced, left out, wrapped or put there twice."""
    if not path:
        return draw(st.one_of(VALUES, st.just([tree]), st.just({"": tree})))
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    key, way = path[-1], draw(st.sampled_from(["replace", "replace", "delete", "wrap", "twice"]))
    if way == "replace":
        parent[key] = draw(VALUES)
    elif way == "delete":
        del parent[key]
    elif way == "wrap":
        parent[key] = [parent[key]]
    elif isinstance(parent, list):
        parent.append(parent[key])
    else:
        parent[f"{key}_"] = parent[key]
    return tree


def retold(made, draw):
    """Other metadata."""
    key = draw(st.sampled_from(sorted({*made.texts, *made.trees})))
    if key in made.trees and draw(st.integers(0, 4)):
        tree = made.trees[key]
        made.trees[key] = changed(tree, draw(st.sampled_from(list(places(tree)))), draw)
        return
    made.trees.pop(key, None)
    made.texts.pop(key, None)
    if draw(st.booleans()):
        texts = [TEXTS, st.just("[" * 100_000), VALUES.map(written)]
        made.texts[key] = draw(st.one_of(texts))


def reshaped(made, draw):
    """Another tensor: of another dtype, shape, name or of no finite numbers."""
    name = draw(st.sampled_from(sorted(made.tensors)))
    tensor = made.tensors[name]
    ways = {
        "nan": lambda: np.full_like(tensor, nan),
        "infinite": lambda: np.full_like(tensor, inf),
        "huge": lambda: np.full_like(tensor, 1e38),
        "float64": lambda: tensor.astype(np.float64),
        "float16": lambda: tensor.astype(np.float16),
        "int64": lambda: tensor.astype(np.int64),
        "flat": lambda: tensor.reshape(-1),
        "axis": lambda: tensor[None],
        "empty": lambda: tensor.reshape(-1)[:0],
        "longer": lambda: np.concatenate([tensor, tensor]),
    }
    way = draw(st.sampled_from([*ways, "missing", "renamed", "more"]))
    with np.errstate(over="ignore", invalid="ignore"):
        new = ways[way]() if way in ways else made.tensors.pop(name) if way != "more" else tensor
    if way != "missing":
        made.tensors[draw(st.sampled_from(NAMES)) if way in ("renamed", "more") else name] = new


@settings(max_examples=COUNT, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_a_sealed_model_file_holds_ends_in_one_line(folder, originals, makes, data):
    for path, content in originals.items():
        path.write_bytes(content)
    shutil.rmtree(folder / "out", ignore_errors=True)
    name = data.draw(st.sampled_from(FILES))
    made = copy.deepcopy(makes[name])
    for _ in range(data.draw(st.integers(1, 3))):
        data.draw(st.sampled_from([retold, retold, retold, reshaped]))(made, data.draw)
    (folder / name).write_bytes(made.content())
    command = data.draw(st.sampled_from(COMMANDS))
    with chdir(folder):
        said = run(command.format(file=name, run=name.parent), folder)
    *lines, end = said.splitlines()
    code = int(end.removeprefix("exit code "))
    event(f"{' '.join(command.split()[:2])}: exit code {code}")
    assert code in ((0, 1, 2, 3) if "train" in command else (0, 1, 2)), said
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == bool(code), said
    assert "bug" not in said
    assert "Traceback" not in said
    if code == 1:
        assert [line for line in lines if not line.startswith("warning: ")] == errors, said
    if code == 2 and len(lines) > 1:
        assert lines[0].startswith(f"the spec in {name}:1:"), said
