"""After `warmup`, a training, its evaluation and a prediction find every function compiled."""

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from cnncli.cli.commands import warmup
from cnncli.graph.network import Network
from cnncli.spec.spec import load
from cnncli.training.loop import loop
from tests.cli.test_train import SPEC, child_environment
from tests.training import small


@pytest.fixture
def cnncli(tmp_path):
    """Run a command in a folder with a spec and data."""
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)

    def run(*arguments, **more):
        command = [sys.executable, "-m", "cnncli", *arguments]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": child_environment(), **more}
        return subprocess.run(command, cwd=tmp_path, text=True, check=False, **given)

    return run


@pytest.fixture
def cold(tmp_path, cnncli):
    """The same with a cache that is empty at first."""
    return partial(cnncli, env={**child_environment(), "CNNCLI_CACHE_DIR": str(tmp_path / "cache")})


def on_terminal(run, *arguments):
    """The lines that a command writes on a terminal, and the rest of what it did."""
    shown, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (50, 500))
    try:
        try:
            done = run(*arguments, stdout=terminal)
        finally:
            os.close(terminal)
        written = bytearray()
        with suppress(OSError):  # how the end is told
            while part := os.read(shown, 1 << 16):  # of which a terminal gives 4 kB at a time
                written += part
        return written.decode().splitlines(), done
    finally:
        os.close(shown)


def kept(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.nb[ic]")}


@pytest.mark.long
def test_what_was_warmed_up_is_not_compiled_again_and_a_terminal_has_a_line_for_each_function(cold, tmp_path):
    lines, done = on_terminal(cold, "warmup", "bars.yaml", "--set", "compile.optimizer=sgd")
    assert (done.returncode, done.stderr) == (0, "")
    functions = [line for line in lines if " s  " in line]
    assert functions[0].split()[1:] == ["s", "driver.run"]
    assert all(re.fullmatch(r" *\d+\.\d\d s  \w+\.\w+( \w+)?( float32)?( \(cached\))?", line) for line in functions)
    assert {"update_rules.update", "conv_pool.forward"} <= {line.split()[2] for line in functions}
    closing = "\n".join(lines[len(functions) :])  # two lines, where the folder's name is long
    found = re.fullmatch(r"compiled (\d+) functions in \d+\.\d s, kept in\s+(\S+)", closing)
    count, folder = int(found[1]), found[2]
    assert count == len(functions) > 5
    assert len(kept(tmp_path)) >= count

    done = cold("warmup", "bars.yaml", "--set", "compile.optimizer=sgd")
    assert done.stdout == f"all {count} functions were already compiled, in {folder}\n"
    done = cold("warmup", "bars.yaml")
    assert re.fullmatch(rf"compiled 1 function in .*; {count - 1} were already compiled\n", done.stdout)

    before = kept(tmp_path)
    assert cold("train", "bars.yaml").returncode == 0
    assert cold("evaluate").returncode == 0
    assert kept(tmp_path) == before


SEGMENTATION = Path(__file__).parents[2] / "configs" / "segmentation.yaml"
EVERY_KIND = """\
data: {dataset: nowhere.npz}
model:
  input_shape: [12, 12, 3]
  layers:
    - Conv2D: {filters: 16, kernel_size: 3, padding: same, use_bias: false}
    - BatchNormalization
    - ReLU: {max_value: 6}
    - Conv2D: {filters: 16, kernel_size: 3, padding: same, activation: silu}
    - DepthwiseConv2D: {kernel_size: 3, padding: same, activation: relu}
    - DepthwiseConv2D: {kernel_size: 3, strides: 2, padding: same}
    - Conv2DTranspose: {name: up, filters: 4, kernel_size: 3, strides: 2, padding: same}
    - UpSampling2D: {interpolation: bilinear}
    - Cropping2D: {cropping: 6}
    - Multiply: {inputs: [previous, up]}
    - Dropout: {rate: 0.1}
    - LayerNormalization
    - GroupNormalization: {groups: 2}
    - GlobalMaxPooling2D
    - Dense: {units: 3, activation: softmax}
compile: {optimizer: {AdamW: {global_clipnorm: 1}}, loss: categorical_crossentropy}
"""


@pytest.mark.long
def test_no_kind_of_function_is_compiled_anew_in_another_process(cnncli, tmp_path):
    """Whichever process compiled it: they share the cache of all tests."""
    (tmp_path / "kinds.yaml").write_text(EVERY_KIND)
    done = cnncli("warmup", "kinds.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"all \d+ functions were already compiled, in \S+\n", cnncli("warmup", "kinds.yaml").stdout)


def test_what_weighs_the_classes_of_pixels_is_run(monkeypatch):
    weighed = []
    monkeypatch.setattr(loop, "prepare", lambda network, *_: weighed.append(network.weigh_positions))
    monkeypatch.setattr(Network, "predict", lambda network, n: None)
    for sets in ([], ["fit.class_weight=balanced"]):
        warmup._run(load(SEGMENTATION, sets, check_data=False))
    assert weighed == [False, True]


def test_where_nothing_can_be_kept_it_says_so(cold, tmp_path):
    (tmp_path / "cache").touch()
    done = cold("warmup", "bars.yaml")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"warning: compiled kernels are not kept: {tmp_path}/cache can't be made: File exists; "
        "set CNNCLI_CACHE_DIR to another directory",
        "error: compiled kernels can't be cached; set CNNCLI_CACHE_DIR to a writable directory",
    ]
