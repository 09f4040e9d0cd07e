"""Pipes, devices and files far too large: each is refused in one line, at once, and in little memory."""

import json
import os
import subprocess
import sys
import zipfile
from contextlib import chdir

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_train import SPEC, child_environment
from tests.errors.page import run
from tests.training import small

PLACES = {
    "pipe.yaml": "cnncli check pipe.yaml",
    "pipe.npz": "cnncli train bars.yaml --set data.dataset=pipe.npz",
    "pipe.csv": "cnncli check bars.yaml --set data.dataset=pipe.csv",
    "arrays/x_train.npy": "cnncli train bars.yaml --set data.dataset=arrays",
    "idx/train-images-idx3-ubyte": "cnncli check bars.yaml --set data.dataset=idx",
    "idx/train-images-idx3-ubyte.gz": "cnncli check bars.yaml --set data.dataset=idx",
    "photos/labels.csv": "cnncli check bars.yaml --set data.dataset=photos",
    "photos/a/pipe.png": "cnncli train bars.yaml --set data.dataset=photos --set data.image_size=[8,8]",
    "pipe.safetensors": "cnncli evaluate pipe.safetensors",
    "own.safetensors": "cnncli summary own.safetensors",
    "first.safetensors": "cnncli train bars.yaml --weights first.safetensors",
}


pytestmark = pytest.mark.usefixtures("alarm")


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, device])
@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, name, make):
    if make is device and name in ("pipe.npz", "pipe.csv"):
        pytest.skip("a link's target is what a dataset is named by")
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    make(tmp_path / name)
    if name == "photos/a/pipe.png":
        for image in ("photos/a/1.png", "photos/b/1.png", "photos/b/2.png"):
            (tmp_path / image).parent.mkdir(exist_ok=True)
            Image.new("L", (8, 8)).save(tmp_path / image)
    with chdir(tmp_path):
        said = run(PLACES[name], tmp_path)
    kind = {pipe: "a named pipe", device: "a device"}[make]
    assert f"it must be a regular file; it is {kind}\n" in said
    assert "bug" not in said
    assert said.endswith(("exit code 1\n", "exit code 2\n"))


@pytest.mark.parametrize("name", ["train.json", "boxes.csv", "labels/a.txt"])
def test_a_pipe_is_not_searched_for_boxes(tmp_path, name):
    (tmp_path / "bars.yaml").write_text(SPEC)
    (tmp_path / "photos" / name).parent.mkdir(parents=True)
    os.mkfifo(tmp_path / "photos" / name)
    with chdir(tmp_path):
        said = run("cnncli check bars.yaml --set data.dataset=photos", tmp_path)
    assert "photos" in said
    assert said.endswith(("exit code 1\n", "exit code 2\n"))


MEASURED = """
import re, sys
from pathlib import Path
from cnncli.cli import main
try:
    main(sys.argv[1:])
finally:  # of this program alone: what `getrusage` tells begins with the memory of the process that started it
    print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def memory_of(folder, *arguments):
    """The most bytes of memory that a command takes, and what it says on standard error."""
    command = [sys.executable, "-c", MEASURED, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=child_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return int(done.stdout.splitlines()[-1]) * 1024, done.stderr


def test_a_line_of_a_gigabyte_is_not_read(tmp_path):
    (tmp_path / "bars.yaml").write_text(SPEC)
    with (tmp_path / "long.csv").open("wb") as file:
        file.truncate(1 << 30)
    taken, said = memory_of(tmp_path, "check", "bars.yaml", "--set", "data.dataset=long.csv")
    assert said == f"error: {tmp_path}/long.csv: can't be read: line 1 has more than 16,777,216 characters\n"
    assert taken < 200e6


def test_a_model_file_of_a_terabyte_is_not_read(tmp_path):
    weight = {"dtype": "F32", "shape": [250_000_000_000], "data_offsets": [0, 10**12]}
    header = json.dumps({"weight": weight, "__metadata__": {"format": "cnncli 1"}}).encode()
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 10**12)
    taken, said = memory_of(tmp_path, "evaluate", "large.safetensors")
    assert said.startswith("error: large.safetensors: takes 1,000.0 GB of memory, of which this process may use ")
    assert said.count("\n") == 1
    assert taken < 300e6


def test_a_member_that_says_it_is_small_is_not_unpacked_beyond_that(tmp_path):
    """500 MB of zeros, of which the archive's directory says that they are 1,000 bytes."""
    (tmp_path / "bars.yaml").write_text(SPEC)
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x_train.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2, 8, 8)})
            for _ in range(50):
                file.write(bytes(10_000_000))
        with archive.open("y_train.npy", "w") as file:
            np.save(file, np.array([0, 1]))
        archive.getinfo("x_train.npy").file_size = 128 + 2 * 64
    taken, said = memory_of(tmp_path, "train", "bars.yaml", "--set", "data.dataset=bomb.npz")
    assert "bomb.npz: x_train can't be read: " in said
    assert said.count("\n") == 1
    assert taken < 400e6
