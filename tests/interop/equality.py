"""How far exported networks are from ours, for docs/export.md: `python -m tests.interop.equality [NETWORK...]`.

Each network of `configs/` has random weights, and statistics as after a training, and is compared before its softmax;
those of `configs/networks` see images of 64 × 64. The deviation is the largest difference, relative to the largest
output. Frameworks that are not installed here are run by the interpreters in CNNCLI_KERAS_PYTHON and
CNNCLI_TORCH_PYTHON. Results go to `equality.json`, and into the page.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cnncli.api.export import export
from cnncli.api.model import Model
from cnncli.api.targets import Target
from cnncli.errors import CnncliError
from cnncli.graph.model import lower
from cnncli.spec.spec import Spec, load
from cnncli.training.runs import checkpoint

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("equality.json")
PAGE = ROOT / "docs" / "export.md"
MARK = "<!-- Made by `python -m tests.interop.equality`. -->"
BATCH, SIDE = 3, 64
Array = np.ndarray[Any, Any]


def specs() -> list[Path]:
    """All bundled networks."""
    return [*sorted((ROOT / "configs").glob("*.yaml")), *sorted((ROOT / "configs/networks").glob("*.yaml"))]


def spec_of(path: Path) -> Spec:
    """A spec; a large image is made smaller."""
    spec = load(path, check_data=False)
    shape = spec.model.input_shape
    if len(shape) == 3 and max(shape[:2]) > SIDE:
        spec = load(path, [f"model.input_shape=[{SIDE}, {SIDE}, {shape[2]}]"], check_data=False)
    *nodes, last = spec.model.nodes
    if "activation" in last.layer.settings():
        last = replace(last, layer=last.layer.replace(activation="linear"))
    return replace(spec, model=replace(spec.model, nodes=(*nodes, last)))


def weights_of(spec: Spec) -> dict[str, Array]:
    """Random weights that keep the size of outputs, and statistics of normalizations near 0 and 1."""
    random, made = np.random.default_rng(0), {}
    for parameter in lower(spec.model).parameters:
        name, shape = parameter.name.rpartition("/")[2], parameter.weight.shape
        if "kernel" in name:
            fan = np.prod(shape[:2] if "depthwise" in name else shape[:-1])
            array = random.standard_normal(shape) * np.sqrt(1.5 / fan)
        elif name in ("gamma", "moving_variance"):
            array = random.uniform(0.7, 1.3, shape)
        else:
            array = random.standard_normal(shape) * 0.1
        made[parameter.name] = array.astype(np.float32)
    return made


def model_file(spec: Spec, file: Path) -> Path:
    """A model file of a spec with random weights."""
    text = json.dumps(spec.resolved())
    checkpoint.save(file, checkpoint.ModelFile(weights_of(spec), {"spec": text, "epoch": "0"}))
    return file


def of_numpy(folder: Path, x: Array) -> Array:
    """What predict.py computes."""
    names: dict[str, Any] = {"__name__": "predict", "__file__": str(folder / "predict.py")}
    exec((folder / "predict.py").read_text(), names)
    with np.load(folder / "weights.npz") as file:
        return names["network"](x, dict(file))  # type: ignore[no-any-return]


def of_onnx(file: Path, x: Array) -> Array:
    """What ONNX Runtime computes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": x})
    return found  # type: ignore[no-any-return]


def elsewhere(python: str, script: str, path: Path, x: Array) -> Array:
    """What a script beside this one computes with another Python, of the only export in a folder."""
    np.savez(path.with_suffix(".npz"), x=x)
    settings = {**os.environ, "PYTHONPATH": str(ROOT / "tests/fixtures")}
    command = [os.environ[python], str(Path(__file__).with_name(script)), str(path.parent)]
    subprocess.run(command, env=settings, check=True, capture_output=True)
    return np.load(path.with_suffix(".out.npz"))["y"]  # type: ignore[no-any-return]


def of_keras(file: Path, x: Array) -> Array:
    """What Keras computes."""
    return elsewhere("CNNCLI_KERAS_PYTHON", "keras_load.py", file, x)


def of_torch(folder: Path, x: Array) -> Array:
    """What PyTorch computes, whose images are channels first."""
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    y = elsewhere("CNNCLI_TORCH_PYTHON", "torch_load.py", folder, first)
    return np.moveaxis(y, 1, -1)


def of_c(source: Path, x: Array) -> Array:
    """What the C code computes, compiled by the compiler of this machine."""
    library = source.with_suffix(".so")
    subprocess.run(["cc", "-std=c99", "-O2", "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    outputs = re.search(r"_OUTPUTS (\d+)", source.with_suffix(".h").read_text())
    assert outputs is not None
    y = np.zeros((len(x), int(outputs[1])), np.float32)
    for image, output in zip(x, y, strict=True):
        ctypes.CDLL(str(library)).net_predict(ctypes.c_void_p(image.ctypes.data), ctypes.c_void_p(output.ctypes.data))
    return y


FORMATS: dict[str, tuple[str, dict[str, bool], Callable[[Path, Array], Array]]] = {
    "c": ("net.c", {}, of_c),
    "keras": ("keras/net.keras", {}, of_keras),
    "numpy": ("numpy", {}, of_numpy),
    "onnx": ("net.onnx", {"nhwc": True}, of_onnx),
    "torch": ("torch/net", {}, of_torch),
}
"""The name of the file or folder, options, and what it computes of images with the channels last."""
MOST_IN_C = 5_000_000
"""Weights that a compiler reads in a minute."""
NEEDED = {"keras": "CNNCLI_KERAS_PYTHON", "torch": "CNNCLI_TORCH_PYTHON"}


def deviations(path: Path) -> dict[str, float | str]:
    """By format: the deviation of a network, or why it is refused."""
    spec, found = spec_of(path), {}
    with TemporaryDirectory() as place:
        model = Model(Target(model_file(spec, Path(place) / "model.safetensors"), None))
        x = np.random.default_rng(1).random((BATCH, *spec.model.input_shape), np.float32)
        network = model.network
        network.inputs[:BATCH] = x
        network.predict(BATCH)
        (ours,) = (outputs[:BATCH].copy() for outputs in network.probabilities.values())
        for name, (file, options, compute) in FORMATS.items():
            weights = sum(weight.size for weight in model.file.weights.values())
            if NEEDED.get(name, "PATH") not in os.environ or (name == "c" and weights > MOST_IN_C):
                continue
            try:
                (Path(place) / file).parent.mkdir(exist_ok=True)
                made = export(model, Path(place) / file, name, **options)  # type: ignore[arg-type]
                theirs = compute(made, x).reshape(ours.shape)
                found[name] = float(np.abs(theirs - ours).max() / np.abs(ours).max())
            except CnncliError as error:
                found[name] = str(error)
    return found


def table(found: dict[str, dict[str, float | str]]) -> str:
    """The table of docs/export.md."""
    rows = [f"| network | {' | '.join(FORMATS)} |", f"|---|{'---|' * len(FORMATS)}"]
    for name, row in found.items():
        cells = (row.get(key, "") for key in FORMATS)
        shown = (f"{cell:.1e}" if isinstance(cell, float) else cell and "refused" for cell in cells)
        rows.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(rows)


def with_table(page: str, found: dict[str, dict[str, float | str]]) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(f"{MARK}\n\n")
    _, _, after = rest.partition("|\n\n")
    return f"{before}{MARK}\n\n{table(found)}\n\n{after}"


def main(wanted: list[str]) -> None:
    """Measure some networks, or all, and write the file and the page."""
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    for path in specs():
        name = path.stem if path.parent.name == "configs" else f"networks/{path.stem}"
        if not wanted or name in wanted:
            found[name] = {**found.get(name, {}), **deviations(path)}
            print(name, found[name], flush=True)
            found = dict(sorted(found.items(), key=lambda item: ("/" in item[0], item[0])))
            FILE.write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), found))


if __name__ == "__main__":
    main(sys.argv[1:])
