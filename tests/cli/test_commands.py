"""check, summary, the group: outputs, exit codes, and what they import. Each runs as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnncli.spec.spec import load
from cnncli.training.runs import checkpoint
from cnncli.training.runs.checkpoint import ModelFile

ROOT = Path(__file__).parents[2]
MNIST = ROOT / "configs" / "mnist.yaml"
RESIDUAL = ROOT / "configs" / "residual.yaml"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def cnncli(*arguments: object, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line."""
    command = [sys.executable, "-m", "cnncli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env={**ENVIRONMENT, **environment}, capture_output=True, encoding="utf-8", check=False
    )


def test_check_prints_one_line_for_a_good_spec() -> None:
    done = cnncli("check", MNIST)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{MNIST}: ok · 225,034 parameters · 7 layers · mnist5k\n"


def test_check_tells_all_problems_of_several_specs_and_exits_with_2(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    text = MNIST.read_text(encoding="utf-8").replace("filters: 32", "filtres: 32").replace("epochs: 40", "epochs: -1")
    bad.write_text(text, encoding="utf-8")
    done = cnncli("check", bad, MNIST, tmp_path / "bed.yaml")
    assert done.returncode == 2
    assert done.stdout.startswith(f"{MNIST}: ok")
    assert done.stderr.splitlines() == [
        f"{bad}:14:7: Conv2D requires 'filters': an integer ≥ 1",
        "      - Conv2D: {filtres: 32, kernel_size: [3, 3], activation: relu}",
        "        ^",
        f"{bad}:14:16: unknown key 'filtres' in Conv2D; did you mean 'filters'?",
        "      - Conv2D: {filtres: 32, kernel_size: [3, 3], activation: relu}",
        "                 ^",
        f"{bad}:28:11: epochs must be an integer ≥ 0; received -1",
        "    epochs: -1",
        "            ^",
        "error: 3 problems in the spec; nothing was done",
        f"error: there is no file '{tmp_path / 'bed.yaml'}'; did you mean '{bad}'?",
    ]


def test_check_prints_json_for_programs(tmp_path: Path) -> None:
    done = cnncli("check", MNIST, "--json", "--set", "fit.epochs=3")
    good = {"spec": str(MNIST), "ok": True, "parameters": 225034, "layers": 7, "dataset": "mnist5k"}
    assert json.loads(done.stdout) == {**good, "notes": [], "problems": [], "warnings": []}
    done = cnncli("check", MNIST, "--json", "--set", "fit.epochs=x")
    assert done.returncode == 2
    problem = "--set fit.epochs=x: epochs must be an integer ≥ 0; received 'x'"
    assert json.loads(done.stdout) == {"spec": str(MNIST), "ok": False, "problems": [problem]}


def test_summary_shows_the_layers_of_the_seed_network() -> None:
    done = cnncli("summary", MNIST)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "Connected to" not in done.stdout
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert rows == [
        ["conv2d (Conv2D)", "26 × 26 × 32", "3 × 3", "320", "432,640", "▌        8%", "86.5 kB", "57%"],
        ["max_pooling2d (MaxPooling2D)", "13 × 13 × 32", "4 × 4", "0", "21,632", "0%", "21.6 kB", "14%"],
        ["conv2d_1 (Conv2D)", "11 × 11 × 64", "8 × 8", "18,496", "4,476,032", "█████   84%", "31 kB", "20%"],
        ["max_pooling2d_1 (MaxPooling2D)", "5 × 5 × 64", "10 × 10", "0", "6,400", "0%", "6.4 kB", "4%"],
        ["flatten (Flatten)", "1600", "", "0", "0", "0%", "6.4 kB", "4%"],
        ["dense (Dense)", "128", "", "204,928", "409,856", "▌        8%", "512 B", "0%"],
        ["dense_1 (Dense)", "10", "", "1,290", "2,580", "0%", "40 B", "0%"],
    ]
    assert "225,034 parameters, all trainable · 900 kB of weights · 5.35 MFLOPs" in done.stdout


def test_summary_says_what_layers_are_connected_to_where_they_form_no_chain() -> None:
    done = cnncli("summary", RESIDUAL, "--expand", COLUMNS="60")
    assert "conv_1/conv2d, max_pooling2d" in done.stdout


def test_summary_has_a_row_for_a_block_and_shows_its_layers_on_demand() -> None:
    def names(*options: str) -> list[str]:
        lines = cnncli("summary", RESIDUAL, *options).stdout.splitlines()
        return [line.split("│")[1][1:].rstrip() for line in lines if line.startswith("│")]

    around = ["conv/conv2d (Conv2D)", "max_pooling2d (MaxPooling2D)"], ["max_pooling2d_1 (MaxPooling2D)"]
    assert names()[:4] == [*around[0], "stage1 (4 layers)", "conv_1/conv2d (Conv2D)"]
    assert names("--expand")[:7] == [
        *around[0], "stage1", "  conv/conv2d (Conv2D)", "  conv_1/conv2d (Conv2D)", "  add (Add)",
        "  activation (Activation)",
    ]  # fmt: skip
    assert [name for name in names("--expand") if name in around[1]] == around[1]


def test_summary_json_has_the_promised_form() -> None:
    data = json.loads(cnncli("summary", MNIST, "--json").stdout)
    assert list(data) == ["layers", "parameters", "trainable_parameters", "flops", "output_bytes", "c_export"]
    assert data["c_export"] == {"flash_bytes": 900136, "ram_bytes": 108160}
    assert data["layers"][0] == {
        "name": "conv2d", "type": "Conv2D", "output_shape": [26, 26, 32], "parameters": 320, "flops": 432640,
        "trainable_parameters": 320, "output_bytes": 4 * 26 * 26 * 32, "receptive_field": [3, 3], "inputs": ["input"],
    }  # fmt: skip
    assert data["layers"][-1]["receptive_field"] is None
    assert data["output_bytes"] == 4 * (26 * 26 * 32 + 13 * 13 * 32 + 11 * 11 * 64 + 2 * 5 * 5 * 64 + 128 + 10)
    assert (data["parameters"], data["trainable_parameters"], data["flops"]) == (225034, 225034, 5349140)


def model_file(path: Path, header: bytes, length: int | None = None) -> Path:
    """A safetensors file with this header and no tensors."""
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header)
    return path


def test_summary_reads_runs_and_model_files(tmp_path: Path) -> None:
    spec = load(RESIDUAL)
    wanted = cnncli("summary", RESIDUAL, "--json").stdout
    runs = [tmp_path / "runs" / "residual" / name for name in ("20260101-000000", "20260102-000000")]
    for run, text in zip(runs, (load(MNIST).to_yaml(), spec.to_yaml()), strict=True):
        run.mkdir(parents=True)
        (run / "spec.yaml").write_text(text, encoding="utf-8")
        (run / "last.safetensors").touch()
    assert cnncli("summary", runs[1], "--json").stdout == wanted
    newest = cnncli("summary", "--json", cwd=tmp_path)
    assert (newest.stdout, newest.stderr) == (wanted, "model: runs/residual/20260102-000000\n")
    checkpoint.save(tmp_path / "best.safetensors", ModelFile({}, {"spec": json.dumps(spec.resolved())}))
    assert cnncli("summary", tmp_path / "best.safetensors", "--json").stdout == wanted


@pytest.mark.parametrize(
    ("header", "length", "message"),
    [
        (b"{}", None, "is not a model file of cnncli (no 'cnncli 1' in its metadata)"),
        (b'{"__metadata__": {"format": "cnncli 1"}}', None, "is damaged: its content does not match its SHA-256"),
        (b'{"__metadata__": {"format": ["cnncli 1"]}}', None, "is damaged: its header can't be read"),
        (b"[" * 100_000, None, "is not a safetensors file"),
        (b'{"a":' * 100_000, None, "is damaged: its header can't be read"),
        (b"{}", 1 << 62, "is not a safetensors file"),
        (b"{}", 3, "is truncated: 10 bytes, not even the header is whole"),
        (b"", 0, "is not a safetensors file"),
    ],
)
def test_a_file_that_is_no_model_is_told_in_one_line(
    tmp_path: Path, header: bytes, length: int | None, message: str
) -> None:
    done = cnncli("summary", model_file(tmp_path / "m.safetensors", header, length))
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_run_summary_says_what_to_name(tmp_path: Path) -> None:
    done = cnncli("summary", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: there is no run under runs/ yet; name a run, a model file or a spec\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no command 'trian'; did you mean 'train'?"),
        (["check", str(MNIST), "--jsno"], "--json"),
        (["check"], "SPEC"),
        (["--verison"], "--version"),
    ],
)
def test_wrong_usage_exits_with_2_and_suggests(arguments: list[str], message: str) -> None:
    done = cnncli(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_help_and_version() -> None:
    done = cnncli("--help")
    assert done.returncode == 0
    for name in ("train", "evaluate", "summary", "check", "benchmark", "warmup"):
        assert f"\n  {name} " in done.stdout
    assert cnncli("--version").stdout == "cnncli 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["layers", "Conv2D"], {"numpy", "numba", "llvmlite"}),
        (["schema"], {"numpy", "numba", "llvmlite", "rich"}),
        (["--help"], {"numpy", "numba", "llvmlite", "pydantic", "yaml", "rich", "importlib.metadata"}),
        (["check", str(MNIST)], {"numpy", "numba", "llvmlite", "rich", "importlib.metadata"}),
        (["summary", str(RESIDUAL)], {"numpy", "numba", "llvmlite"}),
        (["summary", "m.safetensors"], {"numpy", "numba", "llvmlite"}),
        (["check", str(MNIST), "--set", "fit.epochs=x"], {"numpy", "numba", "llvmlite", "rich"}),
    ],
)
def test_commands_leave_heavy_modules_alone(arguments: list[str], unwanted: set[str], tmp_path: Path) -> None:
    resolved = json.dumps(load(MNIST).resolved())
    checkpoint.save(tmp_path / "m.safetensors", ModelFile({"a": np.ones(3, np.float32)}, {"spec": resolved}))
    code = (
        f"import sys\nfrom cnncli.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', sorted({unwanted!r} & sys.modules.keys()))"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("LOADED []\n")


@pytest.mark.parametrize(("arguments", "code"), [(["summary"], 0), (["layers"], 0), (["--help"], 0), (["check"], 2)])
def test_a_reader_that_stops_reading_gets_no_complaint_and_changes_no_exit_code(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\n")
    specs = {"summary": [str(MNIST)], "check": [*[str(MNIST)] * 300, str(tmp_path / "bad.yaml")]}
    with subprocess.Popen(
        [sys.executable, "-m", "cnncli", *arguments, *specs.get(arguments[0], [])],
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
        assert "Broken" not in told
        assert ("problems in the spec" in told) == (code == 2)
        assert process.wait() == code


def leads_to(descriptor: Path, pipe: Path) -> bool:
    """Whether a descriptor of a process, which may be closed meanwhile, is open on a pipe."""
    try:
        return descriptor.readlink() == pipe
    except OSError:
        return False


def test_ctrl_c_before_training_exits_with_130() -> None:
    command = [sys.executable, "-m", "cnncli", "check", "/dev/stdin"]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=ENVIRONMENT, text=True, **pipes) as process:
        descriptors = Path(f"/proc/{process.pid}/fd")
        pipe = (descriptors / "0").readlink()
        while len([place for place in descriptors.iterdir() if leads_to(place, pipe)]) < 2:  # not opened yet
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read().strip() == "error: interrupted"
        assert process.wait() == 130


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_is_one_line_and_a_traceback_only_on_demand(debug: str) -> None:
    code = (
        "import cnncli.spec.spec as s\ndef broken(*a, **k): raise ZeroDivisionError('odd\\nthing')\ns.load = broken\n"
        "from cnncli.cli import main\nmain(['check', 'x.yaml'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**ENVIRONMENT, "CNNCLI_DEBUG": debug},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: a bug in cnncli: ZeroDivisionError: odd thing; please report it")
    assert ("Traceback" in done.stderr) == (debug == "1")
    assert (len(done.stderr.splitlines()) == 1) == (debug == "")
