import errno
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numba
import pytest
import yaml

from cnncli.cli import main
from cnncli.training.runs import checkpoint
from tests.report.terminal import screen
from tests.training import small

SPEC = """\
name: bars
seed: 3
data:
  dataset: bars.npz
  validation_split: 0.1
model:
  layers:
    - Conv2D: {filters: 3, kernel_size: 3, activation: relu}
    - MaxPooling2D
    - Flatten
    - Dense: {units: 2, activation: softmax}
compile:
  optimizer: adam
  loss: categorical_crossentropy
  metrics: [accuracy]
fit:
  epochs: 2
  batch_size: 8
"""
ROOT = Path(__file__).parents[2]


def read_to_end(master):
    """All that was shown on a terminal until its other end was closed."""
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:  # what Linux says once the other end is closed
        pass
    os.close(master)
    return shown


def child_environment():
    """A child process imports this package, and the tests'."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


def cnncli_process(folder, *arguments):
    """Run the command in `folder` in a process of its own, away from any terminal."""
    command = [sys.executable, "-m", "cnncli", *map(str, arguments)]
    environment = child_environment()
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def cnncli(folder, *arguments):
    """Run the command in `folder` in this process, with the threads that Numba was started with."""
    threads = {"NUMBA_NUM_THREADS": str(numba.config.NUMBA_NUM_THREADS)}
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), patch.dict(os.environ, threads), redirect_stdout(out), redirect_stderr(err):
        try:
            main.main([*map(str, arguments)], prog_name="cnncli")
        except SystemExit as leaving:
            code = leaving.code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture
def folder(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    return tmp_path


def test_training_prints_a_line_an_epoch_and_what_is_left(folder):
    done = cnncli_process(folder, "train", "bars.yaml", "--threads", 1)
    number = r"\d+\.?\d*(e-\d+)?"
    epoch = rf"loss {number}  accuracy {number}  val_loss {number}  val_accuracy {number}  [\d,]+ images/s"
    expected = [
        r"bars: 86 parameters · 45 training, 5 validation, 9 test \(bars\.npz\) · 1 thread · seed 3",
        rf"epoch 1/2  {epoch}",
        rf"epoch 2/2  {epoch}",
        rf"test  loss {number}  accuracy {number}  \(weights of epoch [12]\)",
        r"run   runs/bars/\d{8}-\d{6}",
        r"next  cnncli evaluate · cnncli predict runs/bars/latest IMAGE… · cnncli report",
    ]
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), line
    run = folder / lines[-2].removeprefix("run   ")
    assert {path.name for path in run.iterdir()} == {
        "spec.yaml",
        "environment.json",
        "splits.json",
        "metrics.jsonl",
        "result.json",
        "best.safetensors",
        "last.safetensors",
    }
    kept = yaml.safe_load((run / "spec.yaml").read_text())
    assert kept["data"]["dataset"] == str(folder / "bars.npz")
    assert kept["model"]["input_shape"] == [8, 8, 1]


def test_the_spec_a_run_keeps_is_trainable_and_gives_the_same_weights(folder):
    first = cnncli(folder, "train", "bars.yaml", "--json", "--output", "a")
    second = cnncli_process(folder, "train", "a/spec.yaml", "--json", "--output", "b", "--threads", 3)
    ends = [json.loads(done.stdout.splitlines()[-1]) for done in (first, second)]
    assert ends[0]["weights_digest"] == ends[1]["weights_digest"]
    assert (ends[0]["run"], ends[1]["run"]) == ("a", "b")


def test_json_has_a_line_an_epoch_and_an_end(folder):
    done = cnncli(folder, "train", "bars.yaml", "--json", "--set", "compile.optimizer=sgd", "--seed", 5)
    *epochs, end = map(json.loads, done.stdout.splitlines())
    figures = ["loss", "accuracy", "val_loss", "val_accuracy", "seconds", "images_per_second"]
    assert [list(event) for event in epochs] == [["event", "epoch", *figures]] * 2
    assert [event["epoch"] for event in epochs] == [1, 2]
    assert end["event"] == "end"
    assert re.fullmatch("sha256:[0-9a-f]{64}", end["weights_digest"])
    assert set(end["test"]) == {"loss", "accuracy"}
    lines = [json.loads(line) for line in (folder / end["run"] / "metrics.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["epoch", *figures[:4], "learning_rate", "seconds"]] * 2
    assert [[line[key] for key in figures[:4]] for line in lines] == [[e[key] for key in figures[:4]] for e in epochs]
    assert [line["learning_rate"] for line in lines] == [0.01] * 2
    assert all(0 < line["seconds"] <= event["seconds"] for line, event in zip(lines, epochs, strict=True))


def test_errors_are_events_too_and_end_with_their_exit_code(folder):
    done = cnncli(folder, "train", "bars.yaml", "--json", "--set", "compile.optimizer={SGD: {learning_rate: 1e30}}")
    event = json.loads(done.stdout.splitlines()[-1])
    assert (event["event"], event["exit_code"], done.returncode) == ("error", 3, 3)
    assert "smaller learning_rate" in event["message"]
    assert done.stderr == f"error: {event['message']}\n"


def test_training_can_begin_at_the_weights_of_a_run(folder):
    first = cnncli(folder, "train", "bars.yaml", "--epochs", 0, "--output", "run", "--json")
    begun = cnncli(folder, "train", "bars.yaml", "--epochs", 0, "--seed", 9, "--weights", "run", "--json")
    digests = [json.loads(done.stdout.splitlines()[-1])["weights_digest"] for done in (first, begun)]
    assert digests[0] == digests[1]
    missing = cnncli(folder, "train", "bars.yaml", "--weights", "nowhere")
    assert (missing.returncode, missing.stderr) == (2, "error: there is no run, model file or spec 'nowhere'\n")


def test_a_run_keeps_the_command_line_that_began_it_and_the_commit_of_its_folder(folder):
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("5" * 40 + "\n")
    arguments = ["train", "bars.yaml", "--set", "name=my run", "--epochs", "1", "-o", "run"]
    assert cnncli(folder, *arguments).returncode == 0
    about = json.loads((folder / "run/environment.json").read_text())
    assert shlex.split(about["command"]) == ["cnncli", *arguments]
    assert about["commit"] == "5" * 40
    assert cnncli(folder, "train", "--resume", "run", "--epochs", 2).returncode == 0
    assert json.loads((folder / "run/environment.json").read_text()) == about


def test_quiet_keeps_the_closing_lines(folder):
    done = cnncli(folder, "train", "bars.yaml", "--quiet", "--epochs", 1)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["test", "run"]


def test_an_expectation_that_is_not_met_is_exit_code_4_and_says_that_the_run_is_saved(folder):
    (folder / "bars.yaml").write_text(SPEC + 'expect:\n  test_accuracy: "<= 1"\n  val_loss: "< 0"\n')
    done = cnncli(folder, "train", "bars.yaml", "--epochs", 2, "--output", "run")
    assert done.returncode == 4
    said = r"error: trained and saved, but val_loss is \d\.\d+ and the spec expects < 0\.0\n"
    assert re.fullmatch(said, done.stderr)
    assert (folder / "run/best.safetensors").is_file()


UNMET = SPEC + 'expect:\n  val_loss: "< 0"\n'


@pytest.mark.parametrize("fewer", [["--epochs", 1], ["--set", "fit.epochs=1"]])
def test_a_training_of_fewer_epochs_than_the_spec_asks_for_is_not_judged(folder, fewer):
    (folder / "bars.yaml").write_text(UNMET)
    done = cnncli(folder, "train", "bars.yaml", *fewer, "--output", "run")
    told = "notice: expectations not checked: the run has 1 epoch, the spec asks for {}\n"
    assert (done.returncode, done.stderr) == (0, told.format(2))
    assert cnncli(folder, "train", "--resume", "run").returncode == 0
    assert cnncli(folder, "train", "--resume", "run", "--epochs", 2).returncode == 4


def test_a_training_is_judged_where_epochs_are_more_or_the_expectation_is_the_command_lines_own(folder):
    (folder / "bars.yaml").write_text(UNMET)
    for changes in (["--epochs", 3], ["--epochs", 1, "--set", "expect.val_loss=< -1"], ["--set", "fit.batch_size=9"]):
        assert cnncli(folder, "train", "bars.yaml", *changes).returncode == 4


def test_a_finished_run_that_is_resumed_says_so_and_how_to_train_on(folder):
    cnncli(folder, "train", "bars.yaml", "--output", "run")
    before = (folder / "run/last.safetensors").read_bytes()
    done = cnncli(folder, "train", "--resume", "run")
    assert (done.returncode, done.stderr) == (0, "notice: already finished (2/2); add --epochs 4 to train on\n")
    assert (folder / "run/last.safetensors").read_bytes() == before
    assert json.loads((folder / "run/result.json").read_text())["state"] == "finished"
    assert cnncli(folder, "train", "--resume", "run", "--epochs", 3).stderr == ""


def digest(file):
    return checkpoint.load(file).digest


def test_a_run_that_a_limit_ended_goes_on_with_more(folder):
    done = cnncli(folder, "train", "bars.yaml", "--max-steps", 3, "--output", "run")
    said = "max_steps stopped the training in epoch {} after batch 3\n"
    assert (done.returncode, done.stderr) == (0, said.format(1))
    done = cnncli(folder, "train", "--resume", "run", "--max-steps", 9)
    assert (done.returncode, done.stderr) == (0, said.format(2))
    done = cnncli(folder, "train", "--resume", "run", "--max-time", "1h")
    assert done.stderr.startswith("notice: max_steps 9 ended this run; add --max-steps 18 to train on\n")
    done = cnncli(folder, "train", "--resume", "run", "--max-steps", 99)
    assert (done.returncode, done.stderr) == (0, "")
    cnncli(folder, "train", "bars.yaml", "--output", "whole")
    for name in ("best", "last"):
        assert digest(folder / f"run/{name}.safetensors") == digest(folder / f"whole/{name}.safetensors")


def test_expectations_are_not_checked_after_a_limit_that_the_spec_does_not_have(folder):
    expecting = (folder / "bars.yaml").read_text() + "expect: {val_loss: < -1}\n"
    (folder / "expecting.yaml").write_text(expecting)
    done = cnncli(folder, "train", "expecting.yaml", "--max-steps", 3)
    assert (done.returncode, done.stderr.splitlines()[1]) == (
        0,
        "notice: expectations not checked: max_steps ended the training",
    )
    (folder / "expecting.yaml").write_text(expecting.replace("epochs: 2", "epochs: 2\n  max_steps: 3"))
    assert cnncli(folder, "train", "expecting.yaml").returncode == 4


def test_a_network_that_does_not_learn_a_batch_fails_with_what_that_means(folder):
    done = cnncli(folder, "train", "bars.yaml", "--overfit-batches", 1, "--epochs", 1, "--junit", "result.xml")
    assert done.returncode == 4
    assert "error: overfit_batches: the loss of the 8 images went from " in done.stderr
    assert 'failures="1"' in (folder / "result.xml").read_text()
    done = cnncli(folder, "train", "--resume", "runs/bars/latest", "--overfit-batches", 1)
    assert done.stderr.endswith("it can't be combined with --overfit-batches\n")


def test_a_model_that_a_callback_saved_is_a_model_file(folder):
    saving = "fit.callbacks=[{ModelCheckpoint: {filepath: 'kept/{epoch}.safetensors', max_to_keep: 1}}]"
    cnncli(folder, "train", "bars.yaml", "--set", saving, "--output", "run")
    assert [file.name for file in (folder / "run/kept").iterdir()] == ["2.safetensors"]
    assert cnncli(folder, "evaluate", "run/kept/2.safetensors").returncode == 0
    done = cnncli(
        folder, "train", "bars.yaml", "--epochs", 0, "--weights", "run/kept/2.safetensors", "--json", "-o", "on"
    )
    last, on = (checkpoint.load(folder / name).digest for name in ("run/last.safetensors", "on/best.safetensors"))
    assert (done.returncode, last) == (0, on)


def test_a_run_that_early_stopping_ended_says_so_and_the_command_it_names_trains_on(folder):
    stopping = "fit.callbacks=[{EarlyStopping: {monitor: loss, min_delta: 9}}]"
    cnncli(folder, "train", "bars.yaml", "--epochs", 9, "--set", stopping, "--output", "my run")
    done = cnncli(folder, "train", "--resume", "my run", "--epochs", 20)
    said, command = done.stderr.split(": cnncli ")
    assert (done.returncode, said) == (
        0,
        "notice: EarlyStopping ended this run after epoch 2 of 20, so there is nothing to resume. "
        "To train on from its weights",
    )
    on = cnncli(folder, *shlex.split(command), "--epochs", 1, "--json")
    assert on.returncode == 0, on.stderr
    assert json.loads(on.stdout.splitlines()[0])["epoch"] == 1


def test_a_run_that_can_not_be_locked_or_named_latest_is_trained_with_a_notice_of_each(folder, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    (folder / "runs/bars/latest").mkdir(parents=True)
    done = cnncli(folder, "train", "bars.yaml", "--epochs", 1)
    run = re.search(r"^run   (.*)$", done.stdout, re.MULTILINE)[1]
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        [
            f"warning: {run} can't be locked (No locks available): see to it that no other process trains in this run",
            "warning: runs/bars/latest can't be made a link to this run: Is a directory",
        ],
    )


def interrupted(folder, *arguments):
    """Start a long training, send SIGINT once the first epoch is told, and wait; its exit code and standard error."""
    command = [sys.executable, "-m", "cnncli", "train", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=child_environment(), **streams) as process:
        while not process.stdout.readline().startswith("epoch"):
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_ctrl_c_saves_and_names_the_command_that_goes_on(folder):
    code, errors = interrupted(folder, "bars.yaml", "--epochs", "10000")
    assert code == 130
    match = re.fullmatch(
        r"error: interrupted (in epoch \d+ after batch \d of 6|after epoch \d+); everything is saved\. "
        r"To resume: cnncli train --resume (runs/bars/\d{8}-\d{6})\n",
        errors,
    )
    assert match, errors
    run = match[2]
    done = len((folder / run / "metrics.jsonl").read_text().splitlines())
    (folder / run / "spec.yaml").write_text((folder / run / "spec.yaml").read_text().replace("10000", str(done + 1)))
    resumed = cnncli(folder, "train", "--resume", run)
    assert resumed.returncode == 0
    lines = [json.loads(line) for line in (folder / run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, done + 2))


def test_ctrl_c_pressed_again_and_again_still_ends_with_the_command_that_goes_on(folder):
    command = [sys.executable, "-m", "cnncli", "train", "bars.yaml", "--epochs", "10000"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=child_environment(), **streams) as process:
        while not process.stdout.readline().startswith("epoch"):
            pass
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(r"error: .* cnncli train --resume runs/bars/\d{8}-\d{6}\n", errors.lstrip("\n")), errors


def test_a_training_whose_lines_nobody_reads_any_more_goes_on_to_its_end(folder):
    command = [sys.executable, "-m", "cnncli", "train", "bars.yaml", "--epochs", "2", "--output", "run"]
    with subprocess.Popen(
        command, cwd=folder, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        process.stdout.close()
        assert process.wait(timeout=60) == 0
    assert json.loads((folder / "run/result.json").read_text())["test"] is not None


def test_a_resumed_runs_epochs_may_grow_but_not_shrink(folder):
    cnncli(folder, "train", "bars.yaml", "--output", "grown", "--epochs", 1)
    assert cnncli(folder, "train", "--resume", "grown", "--epochs", 3).returncode == 0
    whole = cnncli(folder, "train", "bars.yaml", "--output", "whole", "--epochs", 3, "--set", "name=bars")
    assert whole.returncode == 0
    assert small.outcome(folder / "grown") == small.outcome(folder / "whole")
    assert (folder / "grown/spec.yaml").read_bytes() == (folder / "whole/spec.yaml").read_bytes()
    shrunk = cnncli(folder, "train", "--resume", "grown", "--epochs", 2)
    assert (shrunk.returncode, shrunk.stderr) == (
        2,
        "error: a resumed run's epochs may only grow: it has 3; received 2\n",
    )


MISUSES = [
    ((), "error: train needs a SPEC, or --resume RUN\n"),
    (("--resume", "nowhere"), "error: --resume needs a run; there is no run 'nowhere'\n"),
    (
        ("bars.yaml", "--resume", "x", "--seed", 1),
        "error: --resume uses the run's own spec; it can't be combined with SPEC, --seed\n",
    ),
    (
        ("bars.yaml", "--output", "."),
        "error: --output must be an empty folder or a new one; . has something in it\n",
    ),
    (("bars.yaml", "--weights", "bars.npz"), "error: bars.npz: is not a safetensors file\n"),
]


@pytest.mark.parametrize(("arguments", "expected"), MISUSES)
def test_misuse_is_one_line_and_leaves_nothing(folder, arguments, expected):
    done = cnncli(folder, "train", *arguments)
    assert done.stderr == expected
    assert done.returncode == (1 if "--weights" in arguments else 2)
    assert not (folder / "runs").exists()


def test_a_terminal_is_told_that_kernels_are_compiled_and_sees_a_bar(folder):
    """Standard error on a pseudo-terminal; standard output stays plain lines."""
    master, terminal = pty.openpty()
    environment = {**child_environment(), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "cnncli", "train", "bars.yaml", "--epochs", "1"]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=terminal, text=True, check=True
    )
    os.close(terminal)
    shown = read_to_end(master)
    before, notice, after = shown.decode().partition("compiling kernels …")
    assert "epoch 1/1" not in before
    assert notice
    assert "epoch 1/1" in after
    assert screen(shown.decode()) == []  # gone when it is done
    assert shown.decode().endswith("\x1b[?25h")
    assert "\x1b" not in done.stdout


def test_made_images_can_be_named_as_other_data(folder):
    changes = ["--set", "model.layers.dense.units=10", "--set", "model.input_shape=[8, 8, 3]", "--epochs", 1, "--json"]
    done = cnncli(folder, "train", "bars.yaml", "--data", "synthetic", *changes)
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load((next((folder / "runs/bars").glob("2*")) / "spec.yaml").read_text())
    assert spec["data"]["dataset"]["Synthetic"]["image_shape"] == [8, 8, 3]
