"""A signal at any time, to any command: one line, 128 + its number, nothing left behind.

`python -m tests.properties.test_signals COUNT FOLDER` tells how COUNT of them end that come at random times from 5 ms
after the start of the process on.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

ROOT = Path(__file__).parents[2]
NETWORK = """\
model:
  layers: [Conv2D: {filters: 4, kernel_size: 3, activation: relu}, Flatten, Dense: {units: 2, activation: softmax}]
compile: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 3, batch_size: 8}
"""
SPECS = {
    "made": "data: {dataset: {synthetic: {image_shape: [12, 12, 1], classes: 2, train: 400, test: 400}}, "
    "validation_split: 0.1}\n",
    "folder": "data: {dataset: pictures, image_size: [12, 12], color_mode: grayscale, validation_split: 0.5}\n",
}
COMMANDS = {
    "train": ("train", "made.yaml"),
    "decode": ("train", "folder.yaml"),
    "evaluate": ("evaluate", "done"),
    "predict": ("predict", "done", "pictures", "--output", "all.csv"),
    "benchmark": ("benchmark", "made.yaml", "--rounds", "1"),
    "warmup": ("warmup", "made.yaml"),
}
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LINE = re.compile(
    r"error: (interrupted|interrupted before the training began"
    r"|interrupted [^\n]*; everything is saved\. To resume: [^\n]*"
    r"|stopped at once\. [^\n]*)\n"
)
BEGUN = "import os\nfrom cnncli.__main__ import main\nos.write({}, b'.')\nmain()"
"""Says when the first of our instructions are done."""


class Case(NamedTuple):
    """A command, the signal and how often it comes, after how many seconds; with compiled kernels or without."""

    command: str
    number: int
    times: int
    delay: float
    warm: bool = True


class Ended(NamedTuple):
    """The exit code, standard error, seconds from the signal to the end, and what is left that should not be."""

    code: int
    errors: str
    seconds: float
    left: list[str]


def prepare(folder: Path) -> None:
    """Specs, pictures and a run; kernels that are compiled."""
    for name, data in SPECS.items():
        (folder / f"{name}.yaml").write_text(data + NETWORK)
    pixels = np.random.default_rng(0)
    for number in range(120):
        place = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.integers(0, 256, (300, 300), np.uint8)).save(place)
    made = command("train", "made.yaml", "--output", "done", "--quiet")
    subprocess.run(made, cwd=folder, env=environment(folder), check=True)


def environment(folder: Path, *, warm: bool = True) -> dict[str, str]:
    """Caches of this folder's own."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "CNNCLI_CACHE_DIR": str(folder / ("cache" if warm else "cold"))}


def command(*arguments: str, begun: int | None = None) -> list[str]:
    """What starts cnncli; `begun`: the descriptor to which it says that it has begun."""
    start = ["-m", "cnncli"] if begun is None else ["-c", BEGUN.format(begun)]
    return [sys.executable, *start, *arguments]


def interrupt(folder: Path, case: Case, *, from_begin: bool = True) -> Ended:
    """Run it, counting from the process's first instruction of ours or from its very start."""
    shutil.rmtree(folder / "cold", ignore_errors=True)
    shutil.rmtree(folder / "cache" / "images", ignore_errors=True)
    shutil.rmtree(folder / "runs", ignore_errors=True)
    told, begun = os.pipe()
    line = command(*COMMANDS[case.command], begun=begun if from_begin else None)
    with subprocess.Popen(
        line,
        cwd=folder,
        env=environment(folder, warm=case.warm),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[begun],
    ) as process:
        os.close(begun)
        if from_begin:
            assert os.read(told, 1) == b"."
        os.close(told)
        time.sleep(case.delay)
        start = time.perf_counter()
        for _ in range(case.times):
            process.send_signal(case.number)
            time.sleep(0.002)
        _, errors = process.communicate(timeout=120)
        return Ended(process.returncode, errors, time.perf_counter() - start, left(folder))


def left(folder: Path) -> list[str]:
    """Temporary files, runs that can't be resumed, empty folders of runs, tables that are not whole."""
    files = [path.relative_to(folder) for path in folder.rglob("*")]
    odd = [str(file) for file in files if re.search(r"\.tmp|/\.[^/]+$|sha256\.\d", f"/{file}")]
    runs = [path for path in (folder / "runs").glob("*/*") if path.is_dir() and not path.is_symlink()]
    odd += [f"{run.name}: half a run" for run in runs if not (run / "last.safetensors").exists()]
    odd += ["runs" for _ in [0] if (folder / "runs").exists() and not runs]
    table = folder / "all.csv"
    odd += [table.name for _ in [0] if table.exists() and len(table.read_text().splitlines()) != 121]
    return [name for name in odd if name != "runs/.gitignore"]


def is_right(ended: Ended, case: Case) -> bool:
    """Whether it ended well, or as a signal should end it."""
    interrupted = ended.code == 128 + case.number and LINE.fullmatch(ended.errors)
    return not ended.left and bool(interrupted or ended.code == 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("signals")
    prepare(place)
    return place


@pytest.mark.long
@settings(max_examples=settings.default.max_examples // 20)
@given(
    case=st.builds(
        Case,
        st.sampled_from(list(COMMANDS)),
        st.sampled_from(NUMBERS),
        st.sampled_from([1, 2, 20]),
        st.floats(0, 1.5),
        st.integers(0, 4).map(bool),
    )
)
def test_a_signal_at_any_time_is_one_line_and_leaves_nothing(folder: Path, case: Case) -> None:
    ended = interrupt(folder, case)
    assert is_right(ended, case), ended


def main(count: int, folder: Path) -> None:
    """Signals from 5 ms after the start of the process on, in a folder that is left for a look."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job would hand on that it is ignored
    folder.mkdir()
    prepare(folder)
    chosen, ends, longest = random.Random(count), Counter(), Counter()
    for number in range(count):
        name, warm = list(COMMANDS)[number % len(COMMANDS)], chosen.random() < 0.7
        latest = 0.1 if chosen.random() < 0.3 else 1.2 if warm else 6
        case = Case(name, chosen.choice(NUMBERS), chosen.choice([1, 2, 20]), chosen.uniform(0.005, latest), warm)
        ended = interrupt(folder, case, from_begin=False)
        end = outcome(ended, case)
        if end.startswith("wrong"):
            print(case, ended)
        ends[name, end] += 1
        longest[name, end] = max(longest[name, end], ended.seconds)
    for (name, end), times in sorted(ends.items()):
        print(f"{name:10} {end:40} {times:4}   at most {longest[name, end]:.2f} s")


def outcome(ended: Ended, case: Case) -> str:
    """How it ended, in words."""
    if ended.code == 0 and not ended.left:
        return "had come to its end"
    if is_right(ended, case):
        return "one line, 128 + number, nothing left"
    if "cnncli/" not in ended.errors and (ended.code == -case.number or "KeyboardInterrupt" in ended.errors):
        return "while Python itself was starting"
    return f"wrong: {ended.code}, {len(ended.errors.splitlines())} lines, {ended.left}"


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
