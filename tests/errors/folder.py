"""The folder in which the commands of docs/errors.md are run: little of everything, right and wrong."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cnncli.spec.spec import parse
from cnncli.training.runs import checkpoint
from cnncli.training.runs.checkpoint import ModelFile
from tests.interop.equality import model_file
from tests.interop.test_import_onnx import model, node

SPEC = """\
data: {dataset: {synthetic: {image_shape: [8, 8, 1], classes: 3, train: 60, test: 12}}, validation_split: 0.1}
model: {layers: [Flatten, Dense: {units: 3, activation: softmax}]}
compile: {optimizer: {SGD: {learning_rate: 0.01}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 1}
"""
ARCHIVES = Path(__file__).parent.parent / "fixtures" / "archives"
RUN = Path("runs/mine/20260101-120000")
TABLES = {
    "columns": b"name,label\n0.png,cat\n",
    "rows": b"file,label\n0.png,cat\n1.png,dog\n2.png,dog\n",
    "again": b"file,label\n0.png,cat\n1.png,dog\n1.png,cat\n",
    "latin": b"file,label\n0.png,caf\xe9\n1.png,dog\n",
    "elsewhere": b"file;label\nC:\\photos\\0.png;cat\n1.png;dog\n",
    "long": b"file,label\n0.png," + b"x" * 200_000 + b"\n",
    "several/train": b"file,cat,dog\n0.png,1,1\n1.png,0,1\n",
    "several/test": b"file,dog,cat\n0.png,1,1\n1.png,0,1\n",
    "both/train": b"file,label\n0.png,cat\n1.png,dog\n",
    "both/test": b"file,cat,dog\n0.png,1,1\n1.png,0,1\n",
}
"""What the labels.csv of some folders holds."""


def fill(folder: Path, shipped: Path) -> None:
    """Put specs, arrays and pictures into `folder`; `shipped` is the folder of the specs that come along."""
    (folder / "configs").mkdir()
    shutil.copy(shipped / "mnist.yaml", folder / "configs")
    (folder / "mine.yaml").write_text(SPEC)
    (folder / "latin.yaml").write_bytes("name: caf\xe9".encode("latin-1"))
    (folder / "gone.yaml").symlink_to("backup/mine.yaml")
    (folder / "notes.txt").write_text("not a model\n")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe.npz")
    _arrays(folder)
    _pictures(folder)


def fill_from_run(folder: Path) -> None:
    """Model files, made from that of the run at RUN; files of other frameworks."""
    content = (folder / RUN / "best.safetensors").read_bytes()
    (folder / "old.safetensors").write_bytes(content)
    (folder / "begun.safetensors").write_bytes(content[:30])
    (folder / "foreign.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "cut.safetensors").write_bytes(content[:-10])
    (folder / "damaged.safetensors").write_bytes(content[:-4] + b"\0\0\0\x3f")
    made = checkpoint.load(folder / "old.safetensors")
    _resealed(folder / "negative.safetensors", made, epoch="-1")
    _resealed(folder / "unnamed.safetensors", made, class_names='{"0": "cat"}')
    nothing = {name: np.full_like(weight, np.nan) for name, weight in made.weights.items()}
    _resealed(folder / "nan.safetensors", replace(made, weights=nothing))

    scaled = SPEC.replace("[Flatten,", "[LayerScale: {name: scaled, init_values: 1, projection_dim: 1}, Flatten,")
    model_file(parse(scaled, "scaled.yaml"), folder / "scaled.safetensors")
    _of_others(folder)


def _of_others(folder: Path) -> None:
    for name in ("digits.keras", "refused.keras"):
        shutil.copy(ARCHIVES / name, folder)
    (folder / "cut.keras").write_bytes((ARCHIVES / "digits.keras").read_bytes()[:5000])
    (folder / "text.onnx").write_text("hello")
    x = node("Relu", ["x"], ["a"])
    graphs = {
        "several": model(
            [x, node("Loop", ["a"], ["b"]), node("MatMul", ["a", "x"], ["c"]), node("Add", "bc", "y")], {}
        ),
        "open": model([node("Relu", ["x"], ["y"])], {}, shape=(None, 3, None, None)),
    }
    for name, content in graphs.items():
        (folder / f"{name}.onnx").write_bytes(content)
    (folder / "cut.onnx").write_bytes(graphs["several"][:-40])


def _resealed(path: Path, made: ModelFile, **metadata: str) -> None:
    """A model file as anybody may make it, with a seal that is right."""
    checkpoint.save(path, replace(made, metadata={**made.metadata, **metadata}))


def _arrays(folder: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    y = np.arange(60) % 3
    wrong = {
        "digits": (x, y),
        "unlabelled": (x, None),
        "short": (x, y[:50]),
        "nan": (np.where(x == 99, np.float32("nan"), x), y),
        "classes": (x, np.arange(60) % 4),
        "negative": (x, y - 1),
        "texts": (x, y.astype(str)),
        "wide": (x.astype(np.int32) + 1000, y),
        "rows": (x.reshape(60, 64), y),
        "none": (x[:0], y[:0]),
        "scalar": (x, np.array(3)),
        "complex": (x, y.astype(np.complex64)),
        "large": (x, np.full(60, 2**64 - 1, np.uint64)),
        "infinite": (x, np.full((60, 3), np.inf)),
        "several": (x, np.eye(3)[y] + np.eye(3)[1] * (y == 0)[:, None]),
        "sorted": (x, np.repeat([0, 1, 2], 20)),
    }
    for name, (images, labels) in wrong.items():
        np.savez(folder / f"{name}.npz", x_train=images, **({} if labels is None else {"y_train": labels}))
    np.savez(folder / "small.npz", x_test=x[:, :7], y_test=y)
    np.savez(folder / "objects.npz", x_train=x, y_train=y.astype(object))
    np.savez(folder / "named.npz", images=x, data=x, labels=y)
    np.savez(folder / "labels.npz", y_train=y)
    content = bytearray((folder / "digits.npz").read_bytes())
    content[200:220] = bytes(20)
    (folder / "scratched.npz").write_bytes(content)
    (folder / "text.npz").write_text("hello")
    (folder / "model.pkl").touch()


def _pictures(folder: Path) -> None:
    picture = Image.fromarray(np.zeros((8, 8), np.uint8))
    for name in ("photos/cat", "photos/dog", "photos/owl", "one_class/cat"):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            picture.save(folder / name / f"{number}.png")
    for place, names in (("pets", ("cat_1", "cat_2", "dog_1", "dog_2")), ("faces", ("31_0", "31_1", "7_0", "7_1"))):
        (folder / place).mkdir()
        for name in names:
            picture.save(folder / place / f"{name}.png")
    shutil.copytree(folder / "photos", folder / "damaged")
    (folder / "damaged/cat/0.png").write_text("no picture")
    (folder / "damaged/dog/1.png").write_bytes(b"")
    shutil.copytree(folder / "photos", folder / "mixed/train")
    shutil.copytree(folder / "photos/cat", folder / "mixed/birds")
    shutil.copytree(folder / "photos", folder / "twice/val")
    shutil.copytree(folder / "photos", folder / "twice/valid")
    shutil.copytree(folder / "photos", folder / "divided/train")
    shutil.copytree(folder / "photos", folder / "divided/val")
    shutil.copytree(folder / "photos", folder / "judged/test")
    shutil.copytree(folder / "photos", folder / "loose")
    picture.save(folder / "loose/extra.png")
    for name, content in TABLES.items():
        table = folder / name / "labels.csv"
        table.parent.mkdir(parents=True)
        table.write_bytes(content)
        picture.save(table.with_name("0.png"))
        picture.save(table.with_name("1.png"))
    (folder / "nested/labels.csv").mkdir(parents=True)
