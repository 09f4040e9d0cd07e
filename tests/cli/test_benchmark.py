"""`benchmark` from end to end on a tiny spec: its forms, and that a peer really takes its turns."""

import json
import re
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from cnncli import extras
from cnncli.interop.peers.peer import Peer
from cnncli.training.resources import benchmark
from tests.cli.test_train import cnncli

FAKE = [sys.executable, str(Path(__file__).parents[1] / "interop" / "fake_peer.py")]
SPEC = """\
name: tiny
data: {dataset: nowhere.npz}
model:
  input_shape: [8, 8, 1]
  layers:
    - Conv2D: {filters: 3, kernel_size: 3}
    - Flatten
    - Dense: {units: 2, activation: softmax}
compile: {optimizer: sgd, loss: categorical_crossentropy}
fit: {batch_size: 4}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `cnncli benchmark` on the spec, with rounds of two milliseconds."""
    monkeypatch.setattr(benchmark, "ROUND", 0.002)
    monkeypatch.setattr(benchmark, "busy_seconds", lambda: None)
    (tmp_path / "tiny.yaml").write_text(SPEC)
    return lambda *arguments: cnncli(tmp_path, "benchmark", "tiny.yaml", "--rounds", 2, *arguments)


def test_json_has_the_promised_form_and_figures_that_agree(run):
    done = run("--json", "--threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert data["peak_gflops"] > 1
    assert data["images_per_second"] > 0
    assert (data["mode"], data["batch_size"], data["threads"]) == ("training", 4, 1)
    assert (data["against"], data["others_cpus"]) == ({}, None)
    first = data["layers"][0]
    assert {key: first[key] for key in ("name", "operation", "pass", "flops", "bytes")} == {
        "name": "conv2d", "operation": "Conv2D", "pass": "forward", "flops": 4 * 36 * 3 * 19,
        "bytes": 4 * (4 * 64 + 27 + 3 + 4 * 36 * 3),
    }  # fmt: skip
    for row in data["layers"]:
        assert row["seconds"] > 0
        assert row["gflops"] == pytest.approx(row["flops"] / row["seconds"] / 1e9, abs=0.006)
        assert row["peak_share"] == pytest.approx(row["gflops"] / data["peak_gflops"], abs=0.01)
    assert [row["pass"] for row in data["layers"]][-1] == "update"
    flops = sum(row["flops"] for row in data["layers"])
    assert data["gflops"] == pytest.approx(flops * data["images_per_second"] / 4 / 1e9, abs=0.01)


def test_the_table_has_a_row_an_operation_and_closing_lines(run):
    done = run("--batch-size", 3, "--threads", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"tiny · training · batch 3 · 2 threads · peak \d+ GFLOP/s", done.stdout)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    data = json.loads(run("--json", "--threads", 1).stdout)
    assert [row[:3] for row in rows] == [[row["name"], row["operation"], row["pass"]] for row in data["layers"]]
    assert all(re.fullmatch(r"[\d.]+ (ms|µs)", row[3]) for row in rows)
    # 3·36·3·19 operations on some 1,600 numbers: bound by memory, as is all else in so small a network.
    assert all(row[7] for row in rows)
    parts, whole = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"operations one by one: .* forward \+ .* backward \+ .* update = [\d.]+ (ms|µs)", parts)
    assert re.fullmatch(r"whole steps: .* · [\d,]+ images/s · [\d.]+ GFLOP/s, \d+% of the peak", whole)


@pytest.mark.parametrize(("busy", "told"), [(0.1, False), (1.5, True)])
def test_a_busy_machine_is_told(run, monkeypatch, busy, told):
    monkeypatch.setattr(benchmark.Bench, "others", busy)
    done = run("--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["others_cpus"] == busy
    assert re.match(r"notice: other processes kept 1.5 CPUs busy meanwhile", done.stderr) if told else not done.stderr


def test_a_peer_takes_its_turns(run, monkeypatch):
    monkeypatch.setattr("cnncli.interop.peers.peer.Framework.command", lambda framework, name: FAKE)
    done = run("--against", "torch,tensorflow", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(json.loads(done.stdout)["against"]) == ["torch", "tensorflow"]
    against = json.loads(done.stdout)["against"]["torch"]
    # Four rounds: 4 images in 2 s, 8 in 0.5 s, 12 in 2 s, 16 in 0.5 s.
    assert (against["version"], against["variant"], against["images_per_second"]) == ("9.9", "channels_last", 24.0)
    least, most = against["ratio_range"]
    assert 0 < least <= against["ratio"] <= most
    assert against["variants"] == {"default": 4.0, "channels_last": 24.0}
    assert against["seconds_to_start"] == {"default": 0.5, "channels_last": 31.2}
    assert re.search(
        r"\ntorch 9\.9 \(channels_last\): 166\.67 ms · 24 images/s; cnncli does [\d.]+ × as",
        run("--against", "torch").stdout,
    )


def test_a_peer_is_told_the_dtype_and_what_is_not_its_fastest_way_is_told(run, monkeypatch):
    monkeypatch.setattr("cnncli.interop.peers.peer.Framework.command", lambda framework, name: FAKE)
    with patch("cnncli.interop.peers.peer.Peer", wraps=Peer) as started:
        done = run("--against", "torch", "--dtype", "bf16", "--compile")
        data = json.loads(run("--against", "torch", "--json").stdout)
    assert (done.returncode, done.stderr) == (0, "")
    told = [(call.args[2]["dtypes"], call.args[2]["compile"]) for call in started.call_args_list]
    assert told == [(["float32", "bf16"], True), (["float32"], False)]
    assert done.stdout.startswith("tiny · training · batch 4 · bf16 · ")
    assert done.stdout.splitlines()[-1] == "torch in other ways, images/s: 4 (default)"
    assert data["dtype"] == "float32"


def test_only_pytorch_compiles(run, monkeypatch):
    monkeypatch.setattr(benchmark, "Bench", None)
    done = run("--compile", "--against", "tensorflow")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --compile needs --against torch\n"


def test_inference_is_one_pass_with_a_peer_that_does_no_more(run, monkeypatch):
    monkeypatch.setattr("cnncli.interop.peers.peer.Framework.command", lambda framework, name: FAKE)
    done = run("--inference", "--against", "onnxruntime,torch,tensorflow", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert data["mode"] == "inference"
    assert list(data["against"]) == ["onnxruntime", "torch", "tensorflow"]
    assert [(row["name"], row["operation"], row["pass"]) for row in data["layers"]] == [
        ("conv2d", "Conv2D", "forward"), ("dense", "Dense", "forward"), ("dense", "Softmax", "forward"),
    ]  # fmt: skip
    flops = 4 * (36 * 3 * 19 + 2 * (2 * 108 + 1)) + data["layers"][2]["flops"]
    assert data["gflops"] == pytest.approx(flops * data["images_per_second"] / 4 / 1e9, abs=0.01)


def test_inference_of_one_image_shows_how_long_it_takes(run):
    done = run("--inference", "--batch-size", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tiny · inference · batch 1 · ")
    assert "Of run" in done.stdout
    parts, whole = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"operations one by one: \S+ (ms|µs) forward", parts)
    time, unit, rate = re.match(r"whole runs: ([\d.]+) (ms|µs) · ([\d,]+) images/s · ", whole).groups()
    seconds = float(time) * {"ms": 1e-3, "µs": 1e-6}[unit]
    assert seconds * int(rate.replace(",", "")) == pytest.approx(1, rel=0.1)


def test_a_peer_is_given_a_schedules_first_rate(run, monkeypatch):
    monkeypatch.setattr("cnncli.interop.peers.peer.Framework.command", lambda framework, name: FAKE)
    schedule = "{SGD: {learning_rate: {CosineDecay: {initial_learning_rate: 0.25, decay_steps: 9 epochs}}}}"
    with patch("cnncli.interop.peers.peer.Peer", wraps=Peer) as started:
        done = run("--against", "torch", "--set", f"compile.optimizer={schedule}")
    assert (done.returncode, done.stderr) == (0, "")
    assert started.call_args.args[2]["optimizer"][1]["lr"] == 0.25


@pytest.mark.parametrize(("name", "title"), [("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO")])
def test_a_peer_that_only_infers_is_not_asked_to_train(run, monkeypatch, name, title):
    monkeypatch.setattr(benchmark, "Bench", None)
    done = run("--against", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --against {name} needs --inference: {title} only infers, it does not train\n"


def test_a_peer_that_is_missing_or_cannot_is_told_before_anything_is_measured(run, monkeypatch):
    monkeypatch.setattr(benchmark, "Bench", None)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    done = run("--against", "torch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --against torch needs PyTorch: pip install 'cnncli[bench]'\n"
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    done = run("--against", "torch", "--set", "model.layers.dense.kernel_regularizer=l2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --against torch knows no counterpart of dense (Dense) with kernel_regularizer\n"


def test_an_unknown_peer_is_told_with_the_known_ones(run):
    done = run("--against", "tensorflw")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --against must be one of torch, tensorflow, onnxruntime, openvino; received 'tensorflw'; "
        "did you mean 'tensorflow'?\n"
    )
