"""Data benchmarks: cost of augmentation, comparison with PyTorch's DataLoader, a folder of 100,000 images."""

import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from cnncli.report.benchmarks.figures import Figures, Goal, commands, rate, share, table, times
from cnncli.report.benchmarks.runs import benchmark, output, usage

FEEDING = ("-m", "cnncli.report.benchmarks.feeding")
SPECS = ("mnist", "resnet20")
COST = Goal(5, below=True, unit="%")
BATCHES = Goal(2)
MEMORY = Goal(600, below=True, unit="MB")
LOADERS = {"torch-0": "DataLoader, no workers", "torch-2": "DataLoader, 2 workers"}
CLASSES, OF_CLASS, SIDE = 10, 10_000, 64
EPOCHS = 3
MEGA = 1e6
SPEC = f"""name: folder
data: {{dataset: photos/, image_size: [{SIDE}, {SIDE}], validation_split: 0.1}}
model:
  input_shape: [{SIDE}, {SIDE}, 3]
  layers:
    - Conv2D: {{filters: 16, kernel_size: 3, strides: 2, activation: relu}}
    - Conv2D: {{filters: 32, kernel_size: 3, strides: 2, activation: relu}}
    - GlobalAveragePooling2D
    - Dense: {{units: {CLASSES}, activation: softmax}}
compile: {{optimizer: adam, loss: categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: {EPOCHS}, batch_size: 128}}
"""
DRAW = f"""
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import numpy as np
from PIL import Image
def draw(number):
    folder, generator = Path(sys.argv[1]) / f"class{{number}}", np.random.default_rng(number)
    folder.mkdir(parents=True)
    ground = generator.integers(40, 200, (8, 8, 3))
    for i in range({OF_CLASS}):
        pixels = (ground + generator.integers(-40, 40, (8, 8, 3))).astype(np.uint8)
        Image.fromarray(pixels).resize(({SIDE}, {SIDE})).save(folder / f"{{i:05}}.jpg", quality=85)
if __name__ == "__main__":
    with ProcessPoolExecutor() as processes:
        list(processes.map(draw, range({CLASSES})))
"""


def measure(rounds: int) -> Figures:
    """Images a second by round, and of the folder each of two trainings: with decoding, and from the cache."""
    cost = {spec: _turns(rounds, f"configs/{spec}.yaml") for spec in SPECS}
    return {"cost": cost, "batches": _turns(rounds), "folder": _folder(rounds)}


def render(figures: Figures) -> list[str]:
    """The three tables."""
    lines = [
        "Flip, translation and crop of every image, whole training steps of 128 with and without, in turns:",
        "",
        *commands(*(f"python {' '.join(FEEDING)} 7 configs/{spec}.yaml" for spec in figures["cost"])),
    ]
    rows = []
    for spec, turns in figures["cost"].items():
        lost = median(1 - turn["augmented"] / turn["plain"] for turn in turns)
        rates = [rate(median(turn[name] for turn in turns)) for name in ("plain", "augmented")]
        rows.append([spec, *rates, share(lost), *COST.cells(lost * 100)[:1]])
    lines += table(["network", ">without, images/s", ">with, images/s", ">cost", ">goal"], rows)
    lines += [
        "Batches of 128 alone, out of 32 × 32 × 3 bytes in memory, with the like done to each image for PyTorch:",
        "",
        *commands(f"python {' '.join(FEEDING)} 7"),
    ]
    turns, rows = figures["batches"], []
    ours = rate(median(turn["cnncli"] for turn in turns))
    for name, title in LOADERS.items():
        ratio = median(turn["cnncli"] / turn[name] for turn in turns)
        rows.append([title, ours, rate(median(turn[name] for turn in turns)), times(ratio), *BATCHES.cells(ratio)[:1]])
    lines += table(["against", ">cnncli, images/s", ">PyTorch, images/s", ">ratio", ">goal"], rows)
    folder, rows = figures["folder"], []
    for title, run in folder["runs"].items():
        memory = run["memory"] / MEGA
        rates = [rate(epoch) for epoch in run["images_per_second"]]
        rows.append([title, f"{run['seconds']:.1f} s", *rates, f"{memory:.0f} MB", *MEMORY.cells(memory)[:1]])
    lines += [
        f"A folder of {CLASSES * OF_CLASS:,} JPEG files of {SIDE} × {SIDE} pixels, made for it, trained for {EPOCHS} "
        "epochs with a tenth of them for validation (the network and the pictures are in "
        f"cnncli/report/benchmarks/data.py). On a batch that is ready in memory the kernels train "
        f"{rate(folder['kernels'])} images/s.",
        "",
        *table(["", ">whole", *(f">epoch {n + 1}, images/s" for n in range(EPOCHS)), ">most memory", ">goal"], rows),
    ]
    return lines


def _turns(rounds: int, *spec: str) -> list[dict[str, float]]:
    turns: list[dict[str, float]] = json.loads(output(*FEEDING, str(rounds), *spec))
    return turns


def _folder(rounds: int) -> dict[str, Any]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "folder.yaml").write_text(SPEC, encoding="utf-8")
        (folder / "draw.py").write_text(DRAW, encoding="utf-8")
        output(str(folder / "draw.py"), str(folder / "photos"))
        spec = str(folder / "folder.yaml")
        kernels = benchmark(spec, rounds=rounds)["images_per_second"]
        runs = {title: _run(folder, spec, title) for title in ("with decoding", "decoded before")}
    return {"kernels": kernels, "runs": runs}


def _run(folder: Path, spec: str, title: str) -> dict[str, Any]:
    printed = folder / "printed"
    arguments = ("-m", "cnncli", "train", spec, "--json", "--output", str(folder / title))
    # Decoded images are to be removed with the folder; kernels are compiled ahead, as they are from the second run on.
    cache = {"CNNCLI_CACHE_DIR": str(folder / "cache")}
    output("-m", "cnncli", "warmup", spec, environment=cache)
    used = usage(*arguments, printed=printed, environment=cache)
    events = [json.loads(line) for line in printed.read_text(encoding="utf-8").splitlines()]
    rates = [event["images_per_second"] for event in events if event["event"] == "epoch"]
    return {"seconds": used.seconds, "memory": used.memory, "images_per_second": rates}
