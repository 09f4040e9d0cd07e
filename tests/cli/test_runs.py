"""`cnncli runs`: what there has been, told from the files that runs leave."""

import csv
import json
import re
import shutil
import sys

import pytest

from cnncli.report.tables.runs import print_runs
from cnncli.training.runs.facts import facts
from tests.cli.test_train import SPEC, cnncli, cnncli_process, interrupted
from tests.report.test_console import Terminal
from tests.training import small


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run, and one that stands where an interrupted one would."""
    path = tmp_path_factory.mktemp("trained")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    assert cnncli(path, "train", "bars.yaml").returncode == 0
    (finished,) = (run for run in (path / "runs/bars").iterdir() if not run.is_symlink())
    unfinished = finished.with_name("29991231-000000")
    shutil.copytree(finished, unfinished)
    (unfinished / "result.json").unlink()
    lines = (finished / "metrics.jsonl").read_text().splitlines()
    (unfinished / "metrics.jsonl").write_text(lines[0] + "\n" + lines[1][:9])
    return path


def documents(folder, *arguments):
    return json.loads(cnncli(folder, "runs", "--json", *arguments).stdout)


def test_a_finished_run_has_the_figures_that_training_ended_with(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    *epochs, end = map(json.loads, cnncli(tmp_path, "train", "bars.yaml", "--json").stdout.splitlines())
    (run,) = documents(tmp_path)
    assert (run["run"], run["name"], run["state"]) == (end["run"], "bars", "finished")
    assert (run["epochs"], run["planned_epochs"], run["epoch"]) == (2, 2, end["epoch"])
    assert run["test"] == end["test"]
    best = epochs[end["epoch"] - 1]
    assert run["figures"] == {name: best[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    files = [file for file in (tmp_path / end["run"]).iterdir() if file.is_file()]
    assert run["bytes"] == sum(len(file.read_bytes()) for file in files)


def test_the_newest_is_first_and_a_killed_one_says_how_far_it_came(trained):
    killed, finished = documents(trained)
    assert (killed["began"], killed["state"]) == ("2999-12-31T00:00:00", "killed")
    assert (killed["planned_epochs"], killed["test"]) == (2, None)
    assert killed["epochs"] == 2  # its last line is cut short, but the checkpoint has the epoch
    assert killed["figures"] == finished["figures"]
    assert finished["began"].replace("-", "").replace(":", "").replace("T", "-") == finished["run"][-15:]


def test_people_see_a_row_a_run(trained):
    head, first, second = [line.split() for line in cnncli(trained, "runs").stdout.splitlines()]
    assert head == ["run", "epochs", "validation", "test", "size"]
    assert first[:3] == ["runs/bars/29991231-000000", "2/2", "killed"]
    assert second[:3] == [documents(trained)[1]["run"], "2/2", "loss"]


def test_a_resumed_run_is_finished_when_it_ends_again(trained, tmp_path):
    (run,) = (trained / "runs/bars").glob("2[!9]*")
    mine = tmp_path / "runs/bars" / run.name
    shutil.copytree(run, mine)
    resumed = cnncli(tmp_path, "train", "--resume", mine, "--epochs", 3)
    assert resumed.returncode == 0, resumed.stderr
    (document,) = documents(tmp_path)
    assert (document["state"], document["epochs"], document["planned_epochs"]) == ("finished", 3, 3)


def test_without_a_run_it_says_how_to_make_one(tmp_path):
    done = cnncli_process(tmp_path, "runs")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no runs yet under runs/; create one with `cnncli train SPEC`\n"
    assert documents(tmp_path, "nothing") == []


def test_a_run_that_is_no_more_than_begun_is_listed(tmp_path):
    run = tmp_path / "runs/x/20260101-000000"
    run.mkdir(parents=True)
    (run / "spec.yaml").write_text("damaged")
    (run / "best.safetensors").write_text("damaged")
    (document,) = documents(tmp_path)
    assert (document["epochs"], document["planned_epochs"], document["figures"]) == (0, None, {})
    assert "0/?" in cnncli(tmp_path, "runs").stdout


def test_a_run_with_an_initial_epoch_came_as_far_as_its_last_one(tmp_path):
    run = tmp_path / "runs/x/20260101-000000"
    run.mkdir(parents=True)
    (run / "spec.yaml").write_text("")
    (run / "metrics.jsonl").write_text('{"epoch": 6, "loss": 0.5}\n{"epoch": 7, "loss": 0.4}\n')
    (document,) = documents(tmp_path)
    assert (document["epochs"], document["epoch"], document["figures"]) == (7, 7, {"loss": 0.4})


@pytest.fixture
def folder(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    return tmp_path


def test_a_run_that_was_put_elsewhere_is_listed_and_is_the_newest(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "run"
    assert cnncli(folder, "train", "bars.yaml").returncode == 0
    done = cnncli(folder, "train", "bars.yaml", "-o", elsewhere)
    assert done.stdout.splitlines()[-1].startswith("next  cnncli evaluate · ")
    assert cnncli(folder, "train", "bars.yaml", "-o", "runs/mine", "--set", "name=rods").returncode == 0
    found = documents(folder)
    assert [(run["run"], run["name"]) for run in found[:2]] == [("runs/mine", "rods"), (str(elsewhere), "bars")]
    assert [run["began"] for run in found] == sorted((run["began"] for run in found), reverse=True)
    assert [run["run"] for run in documents(folder, "bars")] == [found[1]["run"], found[2]["run"]]
    assert cnncli(folder, "evaluate", "--json").stderr == "model: runs/mine\n"
    assert cnncli(folder, "evaluate", "bars.yaml", "--json").stderr == f"model: {elsewhere}\n"
    shutil.move(folder / "runs/mine", folder / "moved")
    elsewhere.rename(elsewhere.with_name("moved"))
    assert [run["run"] for run in documents(folder)] == [found[2]["run"]]


def test_a_resumed_run_keeps_its_place_among_the_runs(folder):
    for name in ("first", "second"):
        assert cnncli(folder, "train", "bars.yaml", "-o", name).returncode == 0
        about = json.loads((folder / name / "environment.json").read_text())
        about["started"] = f"2026-01-0{len(name) - 4}T00:00:00+00:00"
        (folder / name / "environment.json").write_text(json.dumps(about))
    assert cnncli(folder, "train", "--resume", "first", "--epochs", 3).returncode == 0
    assert [run["run"] for run in documents(folder)] == ["second", "first"]


def test_a_diverged_run_and_an_interrupted_one_are_listed_as_such_until_they_are_resumed(folder):
    diverging = "compile.optimizer={SGD: {learning_rate: 1e30}}"
    done = cnncli(folder, "train", "bars.yaml", "-o", "diverged", "--set", diverging)
    (run,) = documents(folder)
    assert (run["state"], f"error: {run['reason']}\n") == ("diverged", done.stderr)
    code, _ = interrupted(folder, "bars.yaml", "--epochs", "10000", "--output", "interrupted")
    assert code == 130
    run, _ = documents(folder)
    assert run["state"] == "interrupted"
    assert cnncli(folder, "train", "--resume", "diverged").returncode == 3
    assert [run["state"] for run in documents(folder)] == ["interrupted", "diverged"]
    text = cnncli(folder, "runs").stdout
    assert " interrupted" in text
    assert " diverged" in text


def test_a_resumption_that_fails_changes_nothing(folder):
    assert cnncli(folder, "train", "bars.yaml", "-o", "run").returncode == 0
    before = documents(folder)
    small.write_data(folder, scale=2.0)
    assert cnncli(folder, "train", "--resume", "run").returncode == 1
    assert documents(folder) == before


@pytest.mark.parametrize("keep", [(), ("last.safetensors",)])
def test_a_run_killed_between_saving_its_best_and_its_line_shows_what_it_has(folder, keep):
    """As it is after a kill: best is of epoch 2; the line of epoch 2, and maybe its checkpoint, was not written."""
    for epochs in (1, 2):
        done = cnncli(folder, "train", "bars.yaml", "--epochs", epochs, "-o", f"run{epochs}")
        assert done.returncode == 0
    one, two = folder / "run1", folder / "run2"
    (two / "result.json").unlink()
    (two / "metrics.jsonl").write_text((two / "metrics.jsonl").read_text().splitlines(keepends=True)[0])
    if not keep:
        shutil.copy(one / "last.safetensors", two)
    run = next(run for run in documents(folder) if run["run"] == "run2")
    assert run["state"] == "killed"
    assert run["epochs"] == (2 if keep else 1)
    lines = [json.loads(line) for line in (folder / "run1/metrics.jsonl").read_text().splitlines()]
    if not keep:
        assert run["epoch"] == 1
        assert run["figures"] == {name: lines[0][name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    assert "loss" in cnncli(folder, "runs").stdout


def test_on_a_narrow_terminal_a_run_has_a_few_lines(trained, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    found = [facts(trained / run["run"]) for run in documents(trained)]
    file = Terminal()
    print_runs(found, file)
    lines = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue()).splitlines()
    assert lines[0] == f"{trained}/runs/bars/29991231-000000"
    assert re.fullmatch(r"  2/2  killed  0\.\d MB", lines[1])
    assert [line.split()[0] for line in lines[2:3]] == ["validation"]
    assert max(map(len, lines[1:3])) <= 60


def names(folder, *arguments):
    done = cnncli(folder, "runs", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [run["run"][-15:] for run in json.loads(done.stdout)]


def test_runs_are_chosen_sorted_and_limited(trained):
    both = names(trained)
    killed, finished = both
    assert (
        names(trained, "list", "bars")
        == names(trained, "--name", "b*rs")
        == names(trained, "bars", "--name", "*")
        == both
    )
    assert names(trained, "--name", "rods*") == []
    assert names(trained, "--where", "state == killed") == [killed]
    assert names(trained, "bars", "--where", "fit.batch_size == 8", "--where", "test_accuracy >= 0") == [finished]
    assert names(trained, "--sort", "began") == [finished, killed]
    assert names(trained, "--sort", "-began", "--limit", 1) == [killed]
    none = cnncli(trained, "runs", "--where", "seed > 3")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "none of 2 runs matches seed > 3\n")


def test_an_unknown_name_or_command_is_an_error_with_a_suggestion(trained):
    for word, near in (("barz", "bars"), ("shwo", "show")):
        done = cnncli(trained, "runs", word)
        told = f"error: there is no run of '{word}' under runs/ yet; did you mean '{near}'?\n"
        assert (done.returncode, done.stderr) == (2, told)


def test_csv_has_the_figures_of_json_in_columns(trained):
    rows = list(csv.DictReader(cnncli(trained, "runs", "--csv").stdout.splitlines()))
    for row, document in zip(rows, documents(trained), strict=True):
        assert (row["run"], row["state"], row["seed"]) == (document["run"], document["state"], "3")
        assert {name: float(row[name]) for name in document["figures"]} == document["figures"]
        test = document["test"] or {}
        assert (row["test_loss"], row["test_accuracy"]) == tuple(
            str(test.get(name, "")) for name in ("loss", "accuracy")
        )


def test_show_has_all_there_is(trained):
    _, run = documents(trained)
    found = json.loads(cnncli(trained, "runs", "show", run["run"], "--json").stdout)
    assert {name: found[name] for name in run} == run
    assert (len(found["history"]), found["images"]) == (2, {"train": 45, "validation": 5, "test": 9})
    assert found["environment"]["command"].startswith("cnncli train bars.yaml")
    text = cnncli(trained, "runs", "show", run["run"]).stdout
    assert text.splitlines()[0] == run["run"]
    assert f"weights     {found['digest']}\n" in text
    accuracy = next(line.split() for line in text.splitlines() if line.startswith("  accuracy"))
    figures, test = run["figures"], run["test"]
    values = figures["accuracy"], figures["val_accuracy"], test["accuracy"]
    assert accuracy[1:] == [f"{value:.4f}" for value in values]


def test_notes_and_tags_are_shown_found_and_survive_resuming(trained, tmp_path):
    (run,) = (trained / "runs/bars").glob("2[!9]*")
    mine = tmp_path / "runs/bars" / run.name
    shutil.copytree(run, mine)
    assert cnncli(tmp_path, "runs", "note", mine, "wider, no dropout").stdout == ""
    assert cnncli(tmp_path, "runs", "note", mine).stdout == "wider, no dropout\n"
    assert cnncli(tmp_path, "runs", "tag", mine, "best", "new").stdout == "best  new\n"
    assert cnncli(tmp_path, "runs", "tag", mine, "--remove", "new").stdout == "best\n"
    assert cnncli(tmp_path, "train", "--resume", mine, "--epochs", 3).returncode == 0
    assert names(tmp_path, "--where", "tags == best and note == 'wider, no dropout'") == [run.name]
    assert "#best  wider, no dropout\n" in cnncli(tmp_path, "runs").stdout
    done = cnncli(tmp_path, "runs", "tag", mine, "--remove", "old")
    assert (done.returncode, done.stderr) == (2, "error: the run has no tag 'old': it has best\n")


def test_runs_are_removed_after_a_question(tmp_path, monkeypatch):
    paths = [f"runs/bars/2026010{number}-000000" for number in (1, 2, 3)]
    for path in paths:
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "spec.yaml").write_text("x" * 100_000)
    (tmp_path / paths[0] / "own.txt").touch()
    done = cnncli(tmp_path, "runs", "rm", *paths[:2])
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == [f"{paths[0]}  0.1 MB  with own.txt", f"{paths[1]}  0.1 MB"]
    assert "--yes removes without asking" in done.stderr
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    done = cnncli(tmp_path, "runs", "rm", *paths[:2])
    assert done.returncode == 0
    assert "Remove these 2 runs (0.2 MB)? [y/N]: " in done.stderr
    assert done.stderr.endswith("nothing was removed\n")
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    done = cnncli(tmp_path, "runs", "rm", paths[0])
    assert done.stdout == f"removed  {paths[0]}\n"
    assert cnncli(tmp_path, "runs", "rm", paths[1], paths[1], "--yes").stdout == f"removed  {paths[1]}\n"
    assert names(tmp_path) == ["20260103-000000"]
    done = cnncli(tmp_path, "runs", "rm", paths[2], "runs/bars/none", "--yes")
    assert (done.returncode, done.stderr) == (2, "error: 'runs/bars/none' is no run: it has no spec.yaml\n")
    assert (tmp_path / paths[2]).exists()
