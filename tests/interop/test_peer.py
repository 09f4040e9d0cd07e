"""A peer waits at its pipe, answers in order, ends with its input, and says what went wrong.

The frameworks themselves are asked where they are installed: `CNNCLI_BENCH_PYTHON` is the Python of an environment with
the extra `bench`.
"""

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from cnncli import extras
from cnncli.errors import CnncliError, UsageError
from cnncli.interop.peers import peer
from cnncli.interop.peers.peer import FRAMEWORKS, Peer
from cnncli.spec.spec import load

ROOT = Path(__file__).parents[2]
BENCH = os.environ.get("CNNCLI_BENCH_PYTHON") or sys.executable
FAKE = [sys.executable, str(Path(__file__).with_name("fake_peer.py"))]


def start(**description):
    return Peer("fake", FAKE, {"batch_size": 8, **description}, dict(os.environ))


def test_rounds_are_asked_for_one_by_one():
    with start() as fake:
        assert (fake.version, fake.variants) == ("9.9", {"default": 0.5, "channels_last": 31.25})
        assert fake.round("default") == 8 / 2.0
        assert fake.round("channels_last") == 16 / 0.5
        assert fake.process.poll() is None
    assert fake.process.returncode == 0


def test_a_peer_that_fails_to_start_says_why_in_one_line():
    with pytest.raises(CnncliError, match=r"^fake could not run the network: RuntimeError: no such module$"):
        start(behaviour="broken")


def test_a_peer_that_ends_in_a_round_is_told():
    with start(behaviour="mute") as fake, pytest.raises(CnncliError, match=r"network: it ended without a word$"):
        fake.round("default")
    assert fake.process.returncode is not None


def test_a_peer_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(peer, "PATIENCE", 0.1)
    code = 'import time\nprint(\'{"version": "1", "variants": {}}\', flush=True)\ntime.sleep(60)'
    with Peer("fake", [sys.executable, "-c", code], {}, dict(os.environ)) as fake:
        pass
    assert fake.process.returncode == -9


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("torch", "PyTorch"),
        ("tensorflow", "Keras and TensorFlow"),
        ("onnxruntime", "ONNX Runtime"),
        ("openvino", "OpenVINO"),
    ],
)
def test_without_a_framework_one_line_says_how_to_get_it(monkeypatch, name, title):
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    with pytest.raises(UsageError, match=rf"^--against {name} needs {title}: pip install 'cnncli\[bench\]'$"):
        FRAMEWORKS[name].command(name)


def test_pytorch_is_the_installed_one_whatever_lies_in_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    installed = tmp_path / "installed"
    for folder, says in ((tmp_path, "a file of the user"), (installed, "the installed one")):
        folder.mkdir(exist_ok=True)
        (folder / "torch.py").write_text(f"raise SystemExit({says!r})")
    environment = {**os.environ, "PYTHONPATH": str(installed)}  # neither is cnncli on the path
    with chdir(tmp_path), pytest.raises(CnncliError, match=r"^torch could not run the network: the installed one$"):
        Peer("torch", FRAMEWORKS["torch"].command("torch"), {}, environment)


@pytest.mark.parametrize("dtypes", [["float32"], ["float32", "bf16"]])
@pytest.mark.parametrize(
    ("name", "mode", "ways"),
    [
        ("torch", "training", ["default", "channels_last"]),
        ("torch", "inference", ["default", "channels_last"]),
        ("tensorflow", "training", ["graph", "xla"]),
        ("onnxruntime", "inference", ["run", "io_binding"]),
        ("openvino", "inference", []),
    ],
)
def test_a_framework_runs_in_each_of_its_ways_in_the_dtypes_it_is_allowed(name, mode, ways, dtypes):
    framework = FRAMEWORKS[name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    look = f"from importlib.util import find_spec; exit(not all(map(find_spec, {framework.modules})))"
    if subprocess.run([BENCH, "-c", look], check=False).returncode:
        pytest.skip(f"needs the package {framework.modules[-1]}")
    spec = load(ROOT / "configs" / "smoke.yaml", [], check_data=False)
    about = {"mode": mode, "batch_size": 2, "threads": 1, "seconds": 1e-3, "dtypes": dtypes, "compile": False}
    network = framework.translate(spec.model, spec.compile if mode == "training" else None)
    command = [BENCH, "-P", str(Path(peer.__file__).with_name(framework.script))]
    with Peer(name, command, {**network, **about}, environment) as other:
        own = ["float32"] if name == "onnxruntime" else dtypes
        assert list(other.variants) == ([f"{dtype}, {way}" for dtype in own for way in ways] or own)
        assert all(other.round(variant) > 0 for variant in other.variants)
