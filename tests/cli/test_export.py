"""`cnncli export`: formats, refusals, and what NumPy alone makes of an exported network."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import cnncli as library
from tests.cli.test_train import SPEC, child_environment, cnncli
from tests.training import small


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run."""
    path = tmp_path_factory.mktemp("bars")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    assert cnncli(path, "train", "bars.yaml", "--epochs", 1, "--output", "run").returncode == 0
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refused(folder, *arguments):
    """The one line of a refusal, and its exit code."""
    done = cnncli(folder, "export", *arguments)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("error: ").strip(), done.returncode


def test_safetensors_have_the_weights_under_keras_names_and_what_is_done_to_images(trained, tmp_path):
    done = cnncli(trained, "export", "run", "-o", tmp_path / "bars.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'bars.safetensors'}: safetensors, ")
    model = library.load(trained / "run")
    found = load_file(tmp_path / "bars.safetensors")
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in model.weights().items()
    }
    content = (tmp_path / "bars.safetensors").read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert metadata["input_shape"] == "[8, 8, 1]"
    assert json.loads(metadata["scale"]) == pytest.approx([1 / 255])
    assert (metadata["name"], metadata["outputs"], metadata["offset"]) == ("bars", "classes", "[0.0]")


def test_predict_py_needs_no_other_package_than_numpy_and_pillow(trained, tmp_path):
    """Here, other packages can be imported: that it is not done is seen in `sys.modules`."""
    assert cnncli(trained, "export", "run", "-o", tmp_path / "bars", "--format", "numpy").returncode == 0
    random = np.random.default_rng(0)
    pictures = []
    for number, size in enumerate([(8, 8), (20, 9)]):
        pictures.append(tmp_path / f"{number}.png")
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(pictures[-1])
    run = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__'); "
    run += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", run, tmp_path / "bars" / "predict.py", *pictures],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    packages = {name.partition(".")[0] for name in done.stderr.split()}
    assert not packages & {"cnncli", "numba", "click", "safetensors", "yaml"}
    expected = library.load(trained / "run").predict(pictures)
    for line, path, label, shares in zip(
        done.stdout.splitlines(), pictures, expected.labels, expected.probabilities, strict=True
    ):
        assert line.startswith(f"{path}: {label} {max(shares):.1%}, ")


def test_a_missing_package_is_named_with_the_extra_that_installs_it(trained, monkeypatch):
    monkeypatch.setattr("cnncli.extras.find_spec", lambda module: None)
    message, code = refused(trained, "run", "-o", "bars.onnx")
    assert (message, code) == ("exporting ONNX needs the package onnx: pip install 'cnncli[onnx]'", 2)


def test_onnx_runtime_predicts_as_we_do(trained, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    file = tmp_path / "bars.onnx"
    assert cnncli(trained, "export", "run", "-o", file, "--with-preprocessing", "--nhwc").returncode == 0
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    (got,) = onnxruntime.InferenceSession(file).run(None, {"input": pixels})
    expected = library.load(trained / "run").predict(pixels).probabilities
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_c_in_int8_is_told_with_its_size_and_accuracy_beside_those_of_float32(trained, tmp_path):
    done = cnncli(trained, "export", "run", "-o", tmp_path / "bars.c", "--int8")
    assert (done.returncode, done.stderr) == (0, "")
    files, floats, integers = done.stdout.splitlines()
    assert files.startswith(f"{tmp_path / 'bars.c'}, {tmp_path / 'bars.h'}: C, ")
    told = r"([\d,]+) bytes of RAM, ([\d,]+) bytes of weights, accuracy (.+)% on 9 test images"
    sizes = [re.fullmatch(told, line.partition(": ")[2]) for line in (floats, integers)]
    (ram, weights, exact), (less_ram, less_weights, accuracy) = (
        [float(number.replace(",", "")) for number in found.groups()] for found in sizes
    )
    assert less_ram < 0.3 * ram
    assert less_weights < 0.5 * weights
    assert exact == pytest.approx(library.load(trained / "run").evaluate().figures["accuracy"] * 100, abs=0.01)
    assert accuracy == pytest.approx(exact, abs=12)


def test_an_existing_file_is_kept_unless_it_may_be_replaced(trained, tmp_path):
    file = tmp_path / "bars.safetensors"
    file.write_text("mine")
    message, code = refused(trained, "run", "-o", file)
    assert (message, code) == (
        f"'{file}' exists; overwrite it with --force, or choose another name with -o FILE",
        2,
    )
    assert file.read_text() == "mine"
    assert cnncli(trained, "export", "run", "-o", file, "--force").returncode == 0
    assert load_file(file)


def test_an_existing_folder_keeps_its_other_files(trained, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "predict.py").write_text("old")
    assert refused(trained, "run", "-o", tmp_path, "--format", "numpy")[1] == 2
    assert cnncli(trained, "export", "run", "-o", tmp_path, "--format", "numpy", "--force").returncode == 0
    assert names(tmp_path) == ["mine.txt", "predict.py", "weights.npz"]
    assert (tmp_path / "predict.py").read_text() != "old"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "bars.xml"], "openvino is made of ONNX: `cnncli export MODEL -o model.onnx`, then `ovc model.onnx`"),
        (["-o", "bars", "--format", "tflite"], "tflite is made of ONNX: "),
        (["-o", "bars.pt"], "'bars.pt' has no suffix of a format ("),
        (["-o", "bars.safetensors", "--format", "numpy"], "'bars.safetensors' has the suffix of another format"),
        (["-o", "bars.safetensors", "--nhwc"], "--nhwc is not for safetensors"),
        (["-o", "bars.safetensors", "--int8"], "--int8 is not for safetensors"),
        (["-o", "bars.safetensors", "--no-fold"], "--no-fold is not for safetensors"),
        (["-o", "run", "--format", "safetensors", "--force"], "'run' is a directory; safetensors is a file"),
        (["-o", "bars.yaml", "--format", "numpy", "--force"], "'bars.yaml' is a file; NumPy is a folder"),
    ],
)
def test_refusals_say_what_to_do_and_write_nothing(trained, arguments, message):
    before = names(trained)
    said, code = refused(trained, "run", *arguments)
    assert said.startswith(message)
    assert code == 2
    assert names(trained) == before


@pytest.mark.parametrize("arguments", [["-o", "none/bars.safetensors"], ["-o", "none/bars", "--format", "numpy"]])
def test_a_place_that_does_not_exist_can_not_be_written(trained, arguments):
    message, code = refused(trained, "run", *arguments)
    assert message == f"{arguments[1]}: can't be written: there is no directory 'none'"
    assert code == 1


@pytest.mark.parametrize("arguments", [["-o", "full.safetensors"], ["-o", "full", "--format", "numpy"]])
def test_a_disk_that_gets_full_leaves_nothing(trained, arguments):
    """A limit on the size of files, of this process's child, is what a full disk looks like."""
    before = names(trained)
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); import signal; "
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from cnncli.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "run", *arguments],
        cwd=trained, env=child_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {arguments[1]}: can't be written: File too large\n"
    assert names(trained) == before


def test_decisions_become_metadata_with_a_warning(trained, tmp_path):
    model = library.load(trained / "run")
    model.calibrate()
    model.save(tmp_path / "model.safetensors")
    done = cnncli(trained, "export", tmp_path / "model.safetensors", "-o", tmp_path / "out.safetensors")
    assert "the decisions of `calibrate` become metadata" in done.stderr
    content = (tmp_path / "out.safetensors").read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert json.loads(metadata["decision"])["temperature"] == pytest.approx(model.decision.temperature)


def test_python_exports_what_it_has_loaded(trained, tmp_path):
    model = library.load(trained / "run")
    assert library.export(model, tmp_path / "a.safetensors") == tmp_path / "a.safetensors"
    library.export(trained / "run", str(tmp_path / "b"), "safetensors")
    assert Path(tmp_path / "b").read_bytes() == (tmp_path / "a.safetensors").read_bytes()
